/*
 * Users, capabilities and limits of mapid's processes; see privileges.h. The system call filters are in sandbox.c.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "mapid/privileges.h"
#include "mapid/sanitized.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define NICE_COMPILER 10

/* What the opener keeps, and why. Root without capabilities still owns root's files: that is enough for the socket, the
   pid file and log files in folders of root's. Promiscuous mode and rings need no more than the socket they belong to. */
static const int opener_keeps[] = {
        CAP_NET_RAW,         /* packet sockets of the configured devices, also those that appear later */
        CAP_DAC_READ_SEARCH, /* traces to replay and configurations that belong to others; read, never written */
        CAP_SETUID,          /* engine processes and compilers are started at any time and become another user */
        CAP_SETGID,          /* the same for their groups */
        CAP_KILL,            /* and are told to end, though they are another user's by then */
        CAP_CHOWN,           /* the socket belongs to the group that may use it */
};

static int refuse(struct mapi_error *err, const char *what)
{
        return mapi_fail(err, MAPI_PRIVILEGES_ERROR, "%s: %m", what);
}

int privileges_find_user(const char *name, bool must_exist, struct privileges_user *ret, struct mapi_error *err)
{
        const struct passwd *user;

        memset(ret, 0, sizeof *ret);
        if (geteuid() != 0) {
                ret->uid = geteuid();
                ret->gid = getegid();
                (void)snprintf(ret->name, sizeof ret->name, "uid %u", (unsigned)ret->uid);
                return 0;
        }
        user = getpwnam(name);
        if (user == NULL && !must_exist)
                user = getpwnam(name = "nobody");
        if (user == NULL)
                return mapi_fail(err, MAPI_CONFIG_ERROR, "there is no user '%.64s' for the engine process", name);
        if (user->pw_uid == 0 || user->pw_gid == 0)
                return mapi_fail(err, MAPI_CONFIG_ERROR, "the engine process may not run as '%.64s': that is root",
                                 name);
        ret->uid = user->pw_uid;
        ret->gid = user->pw_gid;
        ret->change = true;
        (void)snprintf(ret->name, sizeof ret->name, "%s", name);
        return 0;
}

/* Leaves the process those of the n capabilities that it has, in every set. */
static int keep_capabilities(const int *keep, size_t n, struct mapi_error *err)
{
        bool have[CAP_LAST_CAP + 1] = { false };
        capng_select_t what = CAPNG_SELECT_CAPS;

        if (capng_get_caps_process() != 0)
                return refuse(err, "capabilities cannot be read");
        for (size_t i = 0; i < n; i++)
                have[keep[i]] = capng_have_capability(CAPNG_PERMITTED, (unsigned)keep[i]);
        if (capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP))
                what = CAPNG_SELECT_BOTH; /* the bounding set, too */
        capng_clear(CAPNG_SELECT_BOTH);
        for (size_t i = 0; i < n; i++)
                if (have[keep[i]] &&
                    capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET,
                                 (unsigned)keep[i]) != 0)
                        return refuse(err, "a capability cannot be chosen");
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
                return refuse(err, "ambient capabilities cannot be cleared");
        if (capng_apply(what) != 0)
                return refuse(err, "capabilities cannot be dropped");
        return 0;
}

/* While we still may: the change of user takes the right to it away. */
static int empty_bounding_set(struct mapi_error *err)
{
        if (capng_get_caps_process() != 0)
                return refuse(err, "capabilities cannot be read");
        if (!capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP))
                return 0;
        capng_clear(CAPNG_SELECT_BOUNDS);
        return capng_apply(CAPNG_SELECT_BOUNDS) != 0 ? refuse(err, "the bounding set cannot be emptied") : 0;
}

static int no_new_privileges(struct mapi_error *err)
{
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return refuse(err, "no_new_privs");
        return 0;
}

static int become(const struct privileges_user *user, struct mapi_error *err)
{
        uid_t uid[3];
        gid_t gid[3];

        if (!user->change)
                return 0;
        if (setgroups(0, NULL) < 0)
                return refuse(err, "groups cannot be left");
        if (setresgid(user->gid, user->gid, user->gid) < 0)
                return mapi_fail(err, MAPI_PRIVILEGES_ERROR, "the group of user %s cannot be taken: %m",
                                 user->name);
        if (setresuid(user->uid, user->uid, user->uid) < 0)
                return mapi_fail(err, MAPI_PRIVILEGES_ERROR, "cannot become the user %s: %m", user->name);
        if (getresuid(&uid[0], &uid[1], &uid[2]) < 0 || getresgid(&gid[0], &gid[1], &gid[2]) < 0)
                return refuse(err, "who we are cannot be learnt");
        for (int i = 0; i < 3; i++)
                if (uid[i] != user->uid || gid[i] != user->gid)
                        return mapi_fail(err, MAPI_PRIVILEGES_ERROR, "the user %s was taken in part only",
                                         user->name);
        if (setresuid(0, 0, 0) == 0) /* there must be no way back */
                return mapi_fail(err, MAPI_PRIVILEGES_ERROR, "the user %s can become root again", user->name);
        return 0;
}

/* What engine process and compiler have in common. */
static int become_nobody(const struct privileges_user *user, struct mapi_error *err)
{
        int r = no_new_privileges(err);

        if (r == 0)
                r = empty_bounding_set(err);
        if (r == 0)
                r = become(user, err);
        if (r == 0)
                r = keep_capabilities(NULL, 0, err);
        /* Its memory holds other people's packets: no core, and no debugger of the same user. */
        if (r == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
                r = refuse(err, "cores cannot be forbidden");
        return r;
}

int privileges_take_opener(struct mapi_error *err)
{
        int r = no_new_privileges(err);

        if (r == 0)
                r = keep_capabilities(opener_keeps, sizeof opener_keeps / sizeof opener_keeps[0], err);
        return r < 0 ? r : privileges_filter_opener(err);
}

int privileges_become_engine(const struct privileges_user *user, struct mapi_error *err)
{
        return become_nobody(user, err);
}

int privileges_take_trial(const struct privileges_user *user, struct mapi_error *err)
{
        int r = become_nobody(user, err);

        return r < 0 ? r : privileges_filter_compiler(err);
}

int privileges_take_engine(const struct privileges_user *user, struct mapi_error *err)
{
        int r = privileges_become_engine(user, err);

        return r < 0 ? r : privileges_filter_engine(err);
}

static int limit(__rlimit_resource_t resource, rlim_t soft, rlim_t hard, const char *what, struct mapi_error *err)
{
        struct rlimit now, wanted;

        if (getrlimit(resource, &now) < 0)
                return refuse(err, what);
        wanted.rlim_max = hard < now.rlim_max ? hard : now.rlim_max;
        wanted.rlim_cur = soft < wanted.rlim_max ? soft : wanted.rlim_max;
        return setrlimit(resource, &wanted) < 0 ? refuse(err, what) : 0;
}

int privileges_take_compiler(const struct privileges_user *user, struct mapi_error *err)
{
        /* SIGXCPU first, which tells whoever waits for us what happened; SIGKILL if that is ignored.
           RLIMIT_NPROC counts the user's processes, not ours, and would hit the engine's threads. */
        const rlim_t cpu = PRIVILEGES_COMPILER_CPU_S;
        int r = limit(RLIMIT_CPU, cpu, cpu + 1, "the limit of CPU time", err);

        if (r == 0 && !SANITIZED) /* they reserve terabytes */
                r = limit(RLIMIT_AS, PRIVILEGES_COMPILER_MEMORY, PRIVILEGES_COMPILER_MEMORY, "the limit of memory",
                          err);
        if (r == 0)
                r = limit(RLIMIT_FSIZE, 0, 0, "the limit of files", err);
        if (r == 0)
                r = limit(RLIMIT_CORE, 0, 0, "the limit of cores", err);
        if (r == 0 && setpriority(PRIO_PROCESS, 0, NICE_COMPILER) < 0)
                r = refuse(err, "the priority");
        if (r == 0)
                r = become_nobody(user, err);
        return r < 0 ? r : privileges_filter_compiler(err);
}
