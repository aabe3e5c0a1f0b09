/* Who runs the flows: mapid, if it answers, or the engine in this process.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "client/client.h"

#include "base/error.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ENGINE_LIBRARY "libmapi-engine.so.0"
#define SYSTEM_SOCKET "/run/mapi/mapid.sock"

enum { PATHS_MAX = 2, PATH_BYTES = 512, WHY_BYTES = 384 };

/* ---- the engine in this process
 * ------------------------------------------------------------------------------- */

/** The engine where the loader finds it (LD_LIBRARY_PATH, our own run path), or beside libmapi itself. */
static void *load_engine(void)
{
        void *library = dlopen(ENGINE_LIBRARY, RTLD_NOW | RTLD_LOCAL);
        static const char here;
        char path[4096];
        const char *slash;
        Dl_info ours;

        if (library != NULL || dladdr(&here, &ours) == 0 || ours.dli_fname == NULL)
                return library;
        slash = strrchr(ours.dli_fname, '/');
        if (slash == NULL || slash - ours.dli_fname > (ptrdiff_t)(sizeof path - sizeof ENGINE_LIBRARY - 2))
                return NULL;
        (void)snprintf(path, sizeof path, "%.*s%s", (int)(slash - ours.dli_fname + 1), ours.dli_fname,
                       ENGINE_LIBRARY);
        return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

static int open_embedded(struct client_session *s, struct mapi_error *err)
{
        static const struct backend_options none;
        void *library = load_engine();

        if (library == NULL)
                return mapi_fail(err, MAPI_LIBRARY_LOAD_ERR, "the engine for flows inside this process, %s: %s",
                                 ENGINE_LIBRARY, dlerror());
        s->ops = dlsym(library, "mapi_backend_embedded");
        if (s->ops == NULL || s->ops->version != BACKEND_VERSION)
                return mapi_fail(err, MAPI_LIBRARY_LOAD_ERR, "%s is of another version than libmapi",
                                 ENGINE_LIBRARY);
        return s->ops->open(&none, &s->state, err);
}

/* ---- mapid
 * ------------------------------------------------------------------------------------------------------- */

/** What came of a path: -1 there is no socket, 0 there is but nobody answers, 1 mapid answers. */
enum answer { NO_SOCKET = -1, REFUSED = 0, ANSWERED = 1 };

/** Who may use a socket that this process may not. */
static void say_rights(const char *path, const struct stat *st, char *why, size_t size)
{
        char buffer[2048];
        struct group group, *found = NULL;

        if ((st->st_mode & S_IWGRP) == 0)
                (void)snprintf(why, size, "%.200s: permission denied: it is for its owner only, user %u", path,
                               (unsigned)st->st_uid);
        else if (getgrgid_r(st->st_gid, &group, buffer, sizeof buffer, &found) == 0 && found != NULL)
                (void)snprintf(why, size, "%.200s: permission denied: it is for members of the group %s", path,
                               found->gr_name);
        else
                (void)snprintf(why, size, "%.200s: permission denied: it is for members of the group %u", path,
                               (unsigned)st->st_gid);
}

static enum answer try_socket(struct client_session *s, const char *path, char *why, size_t size)
{
        const char *sentence = error_sentence(MCOM_INIT_SOCKET_ERROR), *cause;
        struct backend_options options = { .path = path };
        struct mapi_error err = { 0 };
        struct stat st;

        if (stat(path, &st) < 0) {
                (void)snprintf(why, size, "%.200s: %s", path,
                               errno == ENOENT ? "there is no such socket" : strerror(errno));
                return errno == ENOENT || errno == ENOTDIR ? NO_SOCKET : REFUSED;
        }
        if (!S_ISSOCK(st.st_mode)) {
                (void)snprintf(why, size, "%.200s: it is no socket", path);
                return REFUSED;
        }
        if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) < 0) {
                say_rights(path, &st, why, size);
                return REFUSED;
        }
        if (strlen(path) >= sizeof((struct sockaddr_un *)0)->sun_path) {
                (void)snprintf(why, size, "%.200s: the path is too long for a socket", path);
                return REFUSED;
        }
        s->ops = &backend_local;
        if (backend_local.open(&options, &s->state, &err) == 0)
                return ANSWERED;
        s->ops = NULL;
        cause = err.text;
        if (strncmp(cause, sentence, strlen(sentence)) == 0 && strncmp(cause + strlen(sentence), ": ", 2) == 0)
                cause += strlen(sentence) + 2; /* it will be said again */
        if (strstr(cause, path) != NULL)
                (void)snprintf(why, size, "%.380s", cause);
        else
                (void)snprintf(why, size, "%.170s: %.200s", path, cause);
        return REFUSED;
}

/** Where mapid may be, in this order. Returns how many. */
static unsigned candidates(const char *path, char ret[PATHS_MAX][PATH_BYTES])
{
        const char *only = path != NULL ? path : getenv("MAPI_SOCKET"), *runtime = getenv("XDG_RUNTIME_DIR");
        unsigned n = 0;

        if (path != NULL || (only != NULL && only[0] != '\0')) {
                (void)snprintf(ret[0], PATH_BYTES, "%s", only);
                return 1;
        }
        if (runtime != NULL && runtime[0] == '/' && strlen(runtime) < PATH_BYTES - sizeof "/mapid.sock")
                (void)snprintf(ret[n++], PATH_BYTES, "%s/mapid.sock", runtime);
        (void)snprintf(ret[n++], PATH_BYTES, "%s", SYSTEM_SOCKET);
        return n;
}

static void append(char *to, size_t size, const char *text)
{
        size_t used = strlen(to);

        (void)snprintf(to + used, size - used, "%s%s", used > 0 ? "; " : "", text);
}

/** Tries all. ret_why: what was wrong with each; s->refused: with those that are there. */
static bool try_all(struct client_session *s, const char *path, char ret_why[WHY_BYTES])
{
        char paths[PATHS_MAX][PATH_BYTES], why[WHY_BYTES];
        unsigned n = candidates(path, paths);

        ret_why[0] = '\0';
        for (unsigned i = 0; i < n; i++) {
                enum answer answer = try_socket(s, paths[i], why, sizeof why);

                if (answer == ANSWERED) {
                        client_debug("mapid runs the flows: it answers at %s", paths[i]);
                        s->refused[0] = '\0';
                        s->local = true;
                        return true;
                }
                client_debug("no mapid at %s", why);
                append(ret_why, WHY_BYTES, why);
                if (answer == REFUSED)
                        append(s->refused, sizeof s->refused, why);
        }
        return false;
}

/* ---- the choice
 * ---------------------------------------------------------------------------------------------------- */

int client_choose(struct client_session *s, const char *path, bool local_only, struct mapi_error *err)
{
        const char *wanted = getenv("MAPI_BACKEND");
        char why[WHY_BYTES];
        int r;

        if (path != NULL || wanted == NULL || wanted[0] == '\0')
                wanted = "";
        if (strcmp(wanted, "embedded") != 0 && strcmp(wanted, "local") != 0 && wanted[0] != '\0')
                return mapi_fail(err, MCOM_INIT_SOCKET_ERROR, "MAPI_BACKEND is '%.64s', must be local or embedded",
                                 wanted);
        s->free_choice = path == NULL && wanted[0] == '\0';
        if (strcmp(wanted, "embedded") != 0) {
                if (try_all(s, path, why))
                        return 0;
                if (path != NULL || local_only)
                        return mapi_fail(err, MCOM_INIT_SOCKET_ERROR, "%s", why);
                if (wanted[0] != '\0')
                        return mapi_fail(err, MCOM_INIT_SOCKET_ERROR, "MAPI_BACKEND=local, but %s", why);
        } else if (local_only) {
                return mapi_fail(err, MCOM_INIT_SOCKET_ERROR, "MAPI_BACKEND=embedded");
        }
        r = open_embedded(s, err);
        if (r == 0)
                client_debug("the flows run embedded, in this process%s",
                             wanted[0] != '\0' ? ": MAPI_BACKEND=embedded" : "");
        return r;
}
