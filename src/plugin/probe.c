/* Trying a library in a process of its own, see plugin.h. SPDX-License-Identifier: BSD-2-Clause */
#include "plugin/plugin.h"

#include "base/error.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer) ||          \
        __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define ROOM_FOR_ALL 1 /* sanitizers reserve terabytes */
#else
#define ROOM_FOR_ALL 0
#endif

enum { WAIT_MS = 10000, END_MS = 1000, CPU_S = 5, FILE_BYTES = 64 << 20 };
#define MEMORY_BYTES ((rlim_t)1 << 30)

/** What the child tells: one message each, in a socket that keeps them apart. */
enum word_kind { WORD_DOING = 1, WORD_REFUSED, WORD_DONE };
struct word {
        int kind;
        int code;       /* REFUSED */
        char text[512]; /* what is being tried; the sentence; the library's name */
};

/* ---- the child -------------------------------------------------------------------------------------------------- */

static void tell(int fd, int kind, int code, const char *text)
{
        struct word w = { .kind = kind, .code = code };

        (void)snprintf(w.text, sizeof w.text, "%s", text);
        (void)send(fd, &w, sizeof w, MSG_NOSIGNAL);
}

static void say(void *context, const char *doing)
{
        tell(*(int *)context, WORD_DOING, 0, doing);
}

static void limit(__rlimit_resource_t resource, rlim_t soft, rlim_t hard)
{
        struct rlimit now, wanted;

        if (getrlimit(resource, &now) < 0)
                return;
        wanted.rlim_max = hard < now.rlim_max ? hard : now.rlim_max;
        wanted.rlim_cur = soft < wanted.rlim_max ? soft : wanted.rlim_max;
        (void)setrlimit(resource, &wanted);
}

/** Never returns. */
static void child(struct plugin_set *set, const char *path, const struct plugin_probe *how, int fd)
{
        struct plugin_listener listener = { .context = &fd, .say = say };
        rlim_t cpu = how->cpu_s != 0 ? how->cpu_s : CPU_S;
        const struct session_library *l;
        struct mapi_error err = { 0 };
        sigset_t none;
        int r;

        for (int signal_number = 1; signal_number < NSIG; signal_number++)
                (void)signal(signal_number, SIG_DFL);
        sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        (void)prctl(PR_SET_NAME, "mapi-try");
        if (fd != 3) { /* nothing else of ours is for it */
                (void)dup2(fd, 3);
                fd = 3;
        }
        (void)close_range(4, ~0u, 0);
        limit(RLIMIT_CPU, cpu, cpu + 1);
        limit(RLIMIT_CORE, 0, 0);
        limit(RLIMIT_FSIZE, FILE_BYTES, FILE_BYTES);
        if (!ROOM_FOR_ALL)
                limit(RLIMIT_AS, how->as_bytes != 0 ? how->as_bytes : MEMORY_BYTES,
                      how->as_bytes != 0 ? how->as_bytes : MEMORY_BYTES);
        tell(fd, WORD_DOING, 0, "giving up rights");
        r = how->drop == NULL ? 0 : how->drop(how->context, &err);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* the change of user would undo it */
        if (r == 0) {
                tell(fd, WORD_DOING, 0, "loading it");
                r = plugin_load(set, path, &err);
        }
        if (r == 0) {
                l = &set->library[set->n - 1];
                for (unsigned i = 0; r == 0 && l->functions[i] != NULL; i++)
                        r = plugin_live(set, l->functions[i], &listener, &err);
                if (r == 0)
                        tell(fd, WORD_DONE, 0, l->name);
        }
        if (r < 0)
                tell(fd, WORD_REFUSED, err.code, err.text);
        _exit(r < 0 ? 1 : 0);
}

/* ---- the parent ------------------------------------------------------------------------------------------------- */

static int64_t now_ms(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/** Whatever a stranger's code may have sent: one line of visible characters. */
static void clean(char *text)
{
        for (; *text != '\0'; text++)
                if (*text < ' ' || *text > '~')
                        *text = '?';
}

/** Hears the child until it ends. False: the time is over. */
static bool hear(int fd, int64_t until, char *ret_doing, size_t size, struct word *ret_last)
{
        for (;;) {
                struct pollfd p = { .fd = fd, .events = POLLIN };
                int64_t left = until - now_ms();
                struct word w;
                ssize_t n;

                if (left <= 0)
                        return false;
                n = poll(&p, 1, (int)left);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n == 0 ? false : true;
                n = recv(fd, &w, sizeof w, MSG_DONTWAIT);
                if (n < 0 && (errno == EINTR || errno == EAGAIN))
                        continue;
                if (n <= 0)
                        return true;
                if (n != (ssize_t)sizeof w)
                        continue;
                w.text[sizeof w.text - 1] = '\0';
                clean(w.text);
                if (w.kind == WORD_DOING)
                        (void)snprintf(ret_doing, size, "%.200s", w.text);
                else
                        *ret_last = w;
        }
}

static int refuse(const char *path, const struct word *last, struct mapi_error *err)
{
        static const int codes[] = { MAPI_LIBRARY_LOAD_ERR, MDLIB_ETH_SYM_NOT_FOUND, MAPI_PRIVILEGES_ERROR };
        const char *sentence = error_sentence(last->code), *text = last->text;
        size_t n = strlen(sentence);
        int code = MAPI_LIBRARY_LOAD_ERR;

        for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
                if (codes[i] == last->code)
                        code = codes[i];
        if (strncmp(text, sentence, n) == 0 && strncmp(text + n, ": ", 2) == 0)
                text += n + 2;
        if (strncmp(text, path, strlen(path)) == 0)
                return mapi_fail(err, code, "%.440s", text);
        return mapi_fail(err, code, "%.200s: %.240s", path, text);
}

/** Its end of the socket is closed: its end is near. False: it is not. */
static bool ends(pid_t pid)
{
        struct pollfd p = { .fd = pidfd_open(pid, 0), .events = POLLIN };
        bool ended = p.fd < 0 || poll(&p, 1, END_MS) == 1;

        if (p.fd >= 0)
                (void)close(p.fd);
        return ended;
}

int plugin_try(struct plugin_set *set, const char *path, const struct plugin_probe *how, struct mapi_error *err)
{
        char doing[256] = "starting";
        struct word last = { 0 };
        int pair[2], status = 0;
        bool in_time;
        pid_t pid;

        if (set->n == PLUGIN_LIBRARIES_MAX)
                return mapi_fail(err, MAPI_LIBRARY_LOAD_ERR, "%.200s: %u libraries are the most", path,
                                 PLUGIN_LIBRARIES_MAX);
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return mapi_fail(err, MAPI_LIBRARY_LOAD_ERR, "%.200s: it cannot be tried: %m", path);
        (void)fflush(NULL); /* or the copies would be written as well */
        pid = fork();
        if (pid == 0)
                child(set, path, how, pair[1]);
        (void)close(pair[1]);
        if (pid < 0) {
                (void)close(pair[0]);
                return mapi_fail(err, MAPI_LIBRARY_LOAD_ERR, "%.200s: it cannot be tried: %m", path);
        }
        in_time =
                hear(pair[0], now_ms() + (how->wait_ms != 0 ? how->wait_ms : WAIT_MS), doing, sizeof doing, &last);
        (void)close(pair[0]);
        if (in_time)
                in_time = ends(pid);
        (void)kill(pid, SIGKILL); /* no harm to one that has ended */
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        if (!in_time || (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU))
                return mapi_fail(err, MAPI_LIBRARY_LOAD_ERR, "%.200s: it does not come to an end (%s)", path,
                                 doing);
        if (WIFSIGNALED(status))
                return mapi_fail(err, MAPI_LIBRARY_LOAD_ERR, "%.200s: it crashes with signal %d, %s (%s)", path,
                                 WTERMSIG(status), strsignal(WTERMSIG(status)), doing);
        if (last.kind == WORD_REFUSED)
                return refuse(path, &last, err);
        if (last.kind != WORD_DONE || WEXITSTATUS(status) != 0)
                return mapi_fail(err, MAPI_LIBRARY_LOAD_ERR, "%.200s: it ends the process with status %d (%s)",
                                 path, WEXITSTATUS(status), doing);
        plugin_append(set, last.text, NULL);
        return 0;
}
