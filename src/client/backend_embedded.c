/*
 * The embedded backend: a host in this process with one session. Interfaces of the machine are its live devices, as far as the
 * process may capture from them.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "backend/backend.h"

#include "drivers/table.h"
#include "host/calls.h"
#include "host/host.h"
#include "mapi_config.h"
#include "plugin/plugin.h"

#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/** What all flows of the process may take: half of the machine's memory, or MAPI_MEMORY_MAX bytes. */
static size_t memory_limit(void)
{
        const char *wanted = getenv("MAPI_MEMORY_MAX");
        size_t limit = host_half_of_memory();
        char *end;

        if (wanted != NULL && wanted[0] >= '0' && wanted[0] <= '9') {
                errno = 0;
                unsigned long long n = strtoull(wanted, &end, 10);

                if (errno == 0 && *end == '\0')
                        limit = (size_t)n;
        }
        return limit;
}

static const _Atomic uint32_t *embedded_epoch(void *state)
{
        static const _Atomic uint32_t always;

        (void)state;
        return &always;
}

static void embedded_await(void *state, uint32_t seen, int timeout_ms)
{
        (void)state; /* it is never away */
        (void)seen;
        (void)timeout_ms;
}

/* ---- interfaces -------------------------------------------------------------------------------------------- */

static void describe(int id, const char *name, struct host_live *ret)
{
        *ret = (struct host_live){ .id = id };
        (void)snprintf(ret->device, sizeof ret->device, "%s", name);
        (void)snprintf(ret->driver, sizeof ret->driver, "afpacket");
        (void)snprintf(ret->description, sizeof ret->description, "%s",
                       strcmp(name, "any") == 0 ? "all interfaces" : "network interface");
}

/** "any" has an id behind every interface. */
enum { ANY_ID = 1 << 30 };

static int find_live(void *context, const char *name, struct host_live *ret, struct mapi_error *err)
{
        unsigned index = if_nametoindex(name);

        (void)context;
        if (strcmp(name, "any") == 0)
                index = ANY_ID;
        if (index == 0 || index > ANY_ID || strlen(name) >= sizeof ret->device)
                return mapi_fail(err, MAPID_NO_DRIVER, "'%.200s' is no interface", name);
        describe((int)index, name, ret);
        return 0;
}

static int list_live(void *context, int id, bool next, struct host_live *ret, struct mapi_error *err)
{
        struct if_nameindex *all = if_nameindex(), *best = NULL;
        bool found = true;

        (void)context;
        for (struct if_nameindex *i = all; i != NULL && i->if_index != 0; i++) {
                int n = (int)i->if_index;

                if (next ? n > id && (best == NULL || n < (int)best->if_index) : n == id)
                        best = i;
        }
        if (best != NULL)
                describe((int)best->if_index, best->if_name, ret);
        else if (next ? id < ANY_ID : id == ANY_ID)
                describe(ANY_ID, "any", ret);
        else
                found = false;
        if (all != NULL)
                if_freenameindex(all);
        return found ? 0 : mapi_fail(err, MAPI_DEVICE_INFO_ERR, "%d", id);
}

static int open_live(void *context, const struct host_live *live, struct capture *ret, struct mapi_error *err)
{
        struct mapi_source src = { .name = live->device, .fd = -1 };
        const struct mapi_driver *driver = drivers_find("afpacket");

        (void)context;
        if (driver == NULL)
                return mapi_fail(err, MAPID_NO_DRIVER, "this system has no AF_PACKET");
        return capture_open(ret, driver, &src, err);
}

/* ---- function libraries of strangers -------------------------------------------------------------------------- */

static struct plugin_set libraries; /* as long as the process lives */
static pthread_once_t libraries_once = PTHREAD_ONCE_INIT;

static void debug(const struct mapi_error *err)
{
        const char *wanted = getenv("MAPI_DEBUG");

        if (wanted != NULL && strcmp(wanted, "1") == 0)
                (void)fprintf(stderr, "mapi: %s\n", err->text);
}

/** The parts of a list with colons; the text is cut into pieces. */
static size_t parts_of(char *text, const char **ret, size_t max)
{
        char *rest = NULL;
        size_t n = 0;

        for (char *part = strtok_r(text, ":", &rest); part != NULL && n < max; part = strtok_r(NULL, ":", &rest))
                ret[n++] = part;
        return n;
}

/** What MAPI_LIBS names, from the folders of MAPI_LIBPATH; in a program that runs with somebody else's rights: nothing. */
static void load_libraries(void)
{
        const char *folder[PLUGIN_LIBRARIES_MAX], *file[PLUGIN_LIBRARIES_MAX];
        const char *libpath = secure_getenv("MAPI_LIBPATH"), *libs = secure_getenv("MAPI_LIBS");
        char *folders = libpath == NULL ? NULL : strdup(libpath), *files = libs == NULL ? NULL : strdup(libs);
        size_t nfolders = folders == NULL ? 0 : parts_of(folders, folder, PLUGIN_LIBRARIES_MAX);
        size_t nfiles = files == NULL ? 0 : parts_of(files, file, PLUGIN_LIBRARIES_MAX);

        plugin_set_begin(&libraries, file, nfiles);
        for (size_t i = 0; i < nfiles; i++) {
                char path[PLUGIN_PATH_BYTES];
                struct mapi_error err;
                int r;

                if (plugin_is_table(file[i]))
                        continue;
                r = plugin_find(file[i], folder, nfolders, path, &err);
                if (r == 0)
                        r = plugin_load(&libraries, path, &err);
                if (r < 0)
                        debug(&err);
        }
        free(folders);
        free(files);
}

/* ---- life -------------------------------------------------------------------------------------------------- */

static int embedded_open(const struct backend_options *options, void **ret_state, struct mapi_error *err)
{
        struct host_options host = {
                .world = { .find_live = find_live, .list_live = list_live, .open_live = open_live },
                .seed = host_seed(),
                .count_functions = MAPI_FUNCSTATS,
        };
        struct session_limits session = { .flows = SESSION_FLOWS_MAX,
                                          .devices = SESSION_DEVICES_MAX,
                                          .memory_bytes = memory_limit(),
                                          .ring_bytes = SESSION_RING_BYTES,
                                          .sink_bytes = SESSION_SINK_BYTES };
        struct host_session *s = NULL;

        struct host *h;

        (void)options;
        (void)pthread_once(&libraries_once, load_libraries);
        host.libraries = libraries.library;
        h = host_new(&host);
        if (h != NULL)
                s = host_session_new(h, &session, getuid());
        if (s == NULL) {
                host_free(&h);
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "the engine");
        }
        *ret_state = s;
        return 0;
}

/** The process, or this session of it, ends. The memory stays: a handler may have interrupted somebody who uses it. */
static void embedded_close(void *state)
{
        host_session_end(state);
}

static void embedded_fork_prepare(void *state)
{
        host_fork_prepare(host_of(state));
}

static void embedded_fork_parent(void *state)
{
        host_fork_parent(host_of(state));
}

static void embedded_fork_child(void *state)
{
        host_fork_child(host_of(state));
}

/* The state is the session, so the other calls are the host's. */
const struct backend mapi_backend_embedded = {
        .version = BACKEND_VERSION,
        .open = embedded_open,
        .close = embedded_close,
        .epoch = embedded_epoch,
        .await = embedded_await,
        .fork_prepare = embedded_fork_prepare,
        .fork_parent = embedded_fork_parent,
        .fork_child = embedded_fork_child,
        HOST_CALLS,
};
