/* Device strings and offline devices. SPDX-License-Identifier: BSD-2-Clause */
#include "client/client.h"

#include "client/device_map.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_MAX_BYTES = 4096, DELIVERED_MAX = 4096 };

int client_open_trace(const char *path)
{
        struct stat st;
        int fd;

        if (strcmp(path, "-") == 0)
                fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
        else
                fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY |
                                        O_NONBLOCK); /* a FIFO without a writer must not hang us */
        if (fd < 0)
                return client_fail(MAPI_ERROR_FILE, "%.200s: %s", path, strerror(errno));
        if (fstat(fd, &st) < 0 || S_ISDIR(st.st_mode)) {
                (void)close(fd);
                return client_fail(MAPI_ERROR_FILE, "%.200s: %s", path, strerror(EISDIR));
        }
        if (strcmp(path, "-") != 0)
                (void)fcntl(fd, F_SETFL, 0); /* the descriptor is ours alone: plain blocking reads again */
        return fd;
}

/** Does the format of mapi_create_offline_device() name something we read? */
static int check_format(int format)
{
        if (format == MFF_PCAP || format == MFF_RAW || format == MFF_DAG_ERF)
                return 0;
        return client_fail(MAPID_NO_DRIVER, "no driver reads trace format %d", format);
}

/** A flow on a private device: a trace, or "null:options", packets out of nowhere. */
static int create_private(const struct client_backend *b, const char *dev, const char *path)
{
        struct backend_source source = { .driver = "trace", .name = dev, .fd = -1 };
        struct mapi_error err = { 0 };
        int r;

        if (strncmp(path, "null:", 5) == 0 || strcmp(path, "null") == 0) {
                source.driver = "null";
                source.options = path[4] == ':' ? path + 5 : NULL;
        } else {
                source.fd = client_open_trace(path);
                if (source.fd < 0)
                        return -1;
        }
        r = b->ops->flow_create_private(b->state, &source, &err);
        if (r < 0)
                return client_fail_with(&err);
        if (client_flow_add(r) < 0) {
                (void)b->ops->close_flow(b->state, r, &err); /* the first error is the one to tell */
                return -1;
        }
        return r;
}

static int create_on_device(const struct client_backend *b, const char *dev)
{
        struct mapi_error err = { 0 };
        int r = b->ops->flow_create(b->state, dev, &err);

        if (r < 0)
                return client_fail_with(&err);
        if (client_flow_add(r) < 0) {
                (void)b->ops->close_flow(b->state, r, &err);
                return -1;
        }
        return r;
}

/** A file or pipe of that name; a directory too: opening it gives the clearer error. */
static bool is_trace(const char *dev)
{
        struct stat st;

        return strcmp(dev, "-") == 0 ||
               (stat(dev, &st) == 0 && (S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode) || S_ISDIR(st.st_mode)));
}

int mapi_create_flow(const char *dev)
{
        struct client_backend b;
        struct device_map_entry map;
        char path[NAME_MAX_BYTES];

        if (dev == NULL)
                return client_fail(MAPI_DEVICE_INFO_ERR, "no device name");
        if (strlen(dev) >= sizeof path)
                return client_fail(MAPID_NO_DRIVER, "the device name has more than %zu bytes", sizeof path - 1);
        if (client_open(&b) < 0)
                return -1;
        if (b.ops->device_known(b.state, dev))
                return create_on_device(&b, dev);
        if (device_map_find(dev, &map) == 0 && map.path_len < sizeof path) {
                memcpy(path, map.path, map.path_len);
                path[map.path_len] = '\0';
                client_debug("%s is %s by MAPI_DEVICE_MAP", dev, path);
                return create_private(&b, dev, path);
        }
        if (if_nametoindex(dev) != 0)
                return client_fail(MCOM_INIT_SOCKET_ERROR,
                                   "%.64s is a network interface, and this version captures from none: mapid is "
                                   "not part of it yet",
                                   dev);
        if (is_trace(dev))
                return create_private(&b, dev, dev);
        if (strchr(dev, ':') != NULL)
                return client_fail(MCOM_SOCKET_ERROR,
                                   "'%.200s' names remote sensors, and DiMAPI is not part of this version yet",
                                   dev);
        return client_fail(MAPID_NO_DRIVER, "'%.200s' is no device, no interface and no readable trace", dev);
}

int mapi_create_offline_flow(const char *path, int format)
{
        struct backend_source source = { .driver = "trace", .name = path };
        struct mapi_error err = { 0 };
        struct client_backend b;
        int r;

        if (path == NULL)
                return client_fail(MAPI_ERROR_FILE, "no path");
        if (check_format(format) < 0 || client_open(&b) < 0)
                return -1;
        source.fd = client_open_trace(path);
        if (source.fd < 0)
                return -1;
        r = b.ops->flow_create_private(b.state, &source, &err);
        if (r < 0)
                return client_fail_with(&err);
        if (client_flow_add(r) < 0) {
                (void)b.ops->close_flow(b.state, r, &err);
                return -1;
        }
        return r;
}

/* ---- offline devices ---------------------------------------------------------------------------------------- */

/*
 * mapi_delete_offline_device() frees the string it is given, if it is one that we handed out: this is how we know. Slots
 * are claimed and released with one exchange each.
 */
static _Atomic(char *) delivered[DELIVERED_MAX];

static char *deliver(const char *name)
{
        char *copy = strdup(name);

        for (unsigned i = 0; copy != NULL && i < DELIVERED_MAX; i++) {
                char *expected = NULL;

                if (atomic_compare_exchange_strong(&delivered[i], &expected, copy))
                        return copy;
        }
        free(copy);
        return NULL;
}

static void take_back(char *name)
{
        for (unsigned i = 0; i < DELIVERED_MAX; i++) {
                char *expected = name;

                if (atomic_compare_exchange_strong(&delivered[i], &expected, NULL)) {
                        free(name);
                        return;
                }
        }
}

char *mapi_create_offline_device(const char *path, int format)
{
        struct backend_source source = { .driver = "trace", .name = path };
        char name[MAPI_STR_LENGTH], *result;
        struct mapi_error err = { 0 };
        struct client_backend b;

        if (path == NULL) {
                (void)client_fail(MAPI_ERROR_FILE, "no path");
                return NULL;
        }
        if (check_format(format) < 0 || client_open(&b) < 0)
                return NULL;
        source.fd = client_open_trace(path);
        if (source.fd < 0)
                return NULL;
        if (b.ops->device_create(b.state, &source, name, &err) < 0) {
                (void)client_fail_with(&err);
                return NULL;
        }
        result = deliver(name);
        if (result == NULL) {
                (void)b.ops->device_delete(b.state, name, &err);
                (void)client_fail(MAPI_LIMIT_ERROR, "%d offline devices in one process", DELIVERED_MAX);
        }
        return result;
}

int mapi_start_offline_device(const char *dev)
{
        struct mapi_error err = { 0 };
        struct client_backend b;

        if (dev == NULL)
                return client_fail(MAPID_NO_DEVICE, "no name");
        if (client_get(&b) < 0)
                return -1;
        return b.ops->device_start(b.state, dev, &err) < 0 ? client_fail_with(&err) : 0;
}

int mapi_delete_offline_device(char *dev)
{
        struct mapi_error err = { 0 };
        struct client_backend b;

        if (dev == NULL)
                return client_fail(MAPID_NO_DEVICE, "no name");
        if (client_get(&b) < 0)
                return -1;
        if (b.ops->device_delete(b.state, dev, &err) < 0)
                return client_fail_with(&err);
        take_back(dev);
        return 0;
}
