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

static int add(struct client_session *s, int number, const struct mapi_error *err)
{
        return number < 0 ? client_fail_with(err) : client_flow_add(s, number);
}

/** A flow on a private device: a trace, or "null:options", packets out of nowhere. */
static int create_private(struct client_session *s, const char *dev, const char *path)
{
        struct backend_source source = { .driver = "trace", .name = dev, .fd = -1 };
        struct mapi_error err = { 0 };

        if (strncmp(path, "null:", 5) == 0 || strcmp(path, "null") == 0) {
                source.driver = "null";
                source.options = path[4] == ':' ? path + 5 : NULL;
        } else {
                source.fd = client_open_trace(path);
                if (source.fd < 0)
                        return -1;
        }
        return add(s, s->ops->flow_create_private(s->state, &source, &err), &err);
}

static int create_on_device(struct client_session *s, const char *dev)
{
        struct mapi_error err = { 0 };

        return add(s, s->ops->flow_create(s->state, dev, &err), &err);
}

/** A file or pipe of that name; a directory too: opening it gives the clearer error. */
static bool is_trace(const char *dev)
{
        struct stat st;

        return strcmp(dev, "-") == 0 ||
               (stat(dev, &st) == 0 && (S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode) || S_ISDIR(st.st_mode)));
}

static bool is_interface(const char *dev)
{
        return strcmp(dev, "any") == 0 || if_nametoindex(dev) != 0;
}

/** A network interface that the backend has not opened for anybody yet. */
static int create_on_interface(struct client_session *s, const char *dev)
{
        if (s->local)
                return client_fail(
                        MAPID_NO_DRIVER,
                        "'%.64s' is a network interface, but mapid does not offer it: its configuration "
                        "decides which it offers",
                        dev);
        if (s->refused[0] != '\0') /* there is a mapid, or there was one: nobody captures past it */
                return client_fail(MCOM_INIT_SOCKET_ERROR, "%s", s->refused);
        return create_on_device(s, dev);
}

/** A name that is neither known nor anything in this machine. */
static int create_on_nothing(const struct client_session *s, const char *dev)
{
        if (strchr(dev, ':') != NULL)
                return client_fail(MCOM_SOCKET_ERROR,
                                   "'%.200s' names remote sensors, and DiMAPI is not part of this version yet",
                                   dev);
        if (s->refused[0] != '\0')
                return client_fail(MAPID_NO_DRIVER,
                                   "'%.64s' is no interface and no readable trace, and mapid cannot be asked for "
                                   "it: %.300s",
                                   dev, s->refused);
        return client_fail(MAPID_NO_DRIVER, "'%.200s' is no device, no interface and no readable trace", dev);
}

/** The first of the things that a device string may be: a device, another name, an interface, a trace, a scope. */
static int create_flow(struct client_session **at, const char *dev)
{
        struct client_session *s = *at;
        struct device_map_entry map;
        char path[NAME_MAX_BYTES];

        /* Who sets the map wants it to hold, whatever else has that name. */
        if (device_map_find(dev, &map) == 0 && map.path_len < sizeof path) {
                if (client_away(client_epoch(s)))
                        return client_fail(MCOM_SOCKET_ERROR, "mapid is away");
                memcpy(path, map.path, map.path_len);
                path[map.path_len] = '\0';
                client_debug("%s is %s by MAPI_DEVICE_MAP", dev, path);
                return create_private(s, dev, path);
        }
        if ((s->local || !is_interface(dev)) && s->ops->device_known(s->state, dev)) {
                int fd = create_on_device(s, dev);

                /* While mapid is away every device counts as known; it may be back by now, and not know this one. */
                if (fd >= 0 || !s->local || client_error_code() != MAPID_NO_DRIVER)
                        return fd;
        }
        if (client_away(client_epoch(s)))
                return client_fail(MCOM_SOCKET_ERROR, "mapid is away");
        if (!is_interface(dev) && is_trace(dev))
                return create_private(s, dev, dev);
        /* Only mapid could have it: it may have been started since this program looked. */
        *at = client_session_again(s);
        if (*at != s)
                return create_flow(at, dev);
        return is_interface(dev) ? create_on_interface(s, dev) : create_on_nothing(s, dev);
}

int mapi_create_flow(const char *dev)
{
        struct client_session *s;
        int r;

        if (dev == NULL)
                return client_fail(MAPI_DEVICE_INFO_ERR, "no device name");
        if (strlen(dev) >= NAME_MAX_BYTES)
                return client_fail(MAPID_NO_DRIVER, "the device name has more than %d bytes", NAME_MAX_BYTES - 1);
        s = client_session_open();
        if (s == NULL)
                return -1;
        r = create_flow(&s, dev);
        client_session_put(s);
        return r;
}

int mapi_create_offline_flow(const char *path, int format)
{
        struct backend_source source = { .driver = "trace", .name = path };
        struct mapi_error err = { 0 };
        struct client_session *s;
        int r = -1;

        if (path == NULL)
                return client_fail(MAPI_ERROR_FILE, "no path");
        if (check_format(format) < 0)
                return -1;
        s = client_session_open();
        if (s == NULL)
                return -1;
        source.fd = client_open_trace(path);
        if (source.fd >= 0)
                r = add(s, s->ops->flow_create_private(s->state, &source, &err), &err);
        client_session_put(s);
        return r;
}

/* ---- offline devices ---------------------------------------------------------------------------------------- */

/*
 * mapi_delete_offline_device() frees the string it is given, if it is one that we handed out: this is how we know.
 * Slots are claimed and released with one exchange each.
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

static void count_devices(struct client_session *s, int by)
{
        sigset_t mask;

        client_lock(&mask);
        s->devices += (unsigned)by;
        client_unlock(&mask);
}

static char *create_device(struct client_session *s, const char *path)
{
        struct backend_source source = { .driver = "trace", .name = path };
        struct mapi_error err = { 0 };
        char name[MAPI_STR_LENGTH], *result;

        source.fd = client_open_trace(path);
        if (source.fd < 0)
                return NULL;
        if (s->ops->device_create(s->state, &source, name, &err) < 0) {
                (void)client_fail_with(&err);
                return NULL;
        }
        result = deliver(name);
        if (result == NULL) {
                (void)s->ops->device_delete(s->state, name, &err);
                (void)client_fail(MAPI_LIMIT_ERROR, "%d offline devices in one process", DELIVERED_MAX);
        }
        return result;
}

char *mapi_create_offline_device(const char *path, int format)
{
        struct client_session *s;
        char *name;

        if (path == NULL) {
                (void)client_fail(MAPI_ERROR_FILE, "no path");
                return NULL;
        }
        if (check_format(format) < 0)
                return NULL;
        s = client_session_open();
        if (s == NULL)
                return NULL;
        count_devices(s, 1); /* before there is one: a session that has devices is kept */
        name = create_device(s, path);
        if (name == NULL)
                count_devices(s, -1);
        client_session_put(s);
        return name;
}

int mapi_start_offline_device(const char *dev)
{
        struct mapi_error err = { 0 };
        struct client_session *s;
        int r;

        if (dev == NULL)
                return client_fail(MAPID_NO_DEVICE, "no name");
        s = client_session_get();
        if (s == NULL)
                return -1;
        r = s->ops->device_start(s->state, dev, &err) < 0 ? client_fail_with(&err) : 0;
        client_session_put(s);
        return r;
}

int mapi_delete_offline_device(char *dev)
{
        struct mapi_error err = { 0 };
        struct client_session *s;
        int r;

        if (dev == NULL)
                return client_fail(MAPID_NO_DEVICE, "no name");
        s = client_session_get();
        if (s == NULL)
                return -1;
        r = s->ops->device_delete(s->state, dev, &err) < 0 ? client_fail_with(&err) : 0;
        if (r == 0) {
                count_devices(s, -1);
                take_back(dev);
        }
        client_session_put(s);
        return r;
}
