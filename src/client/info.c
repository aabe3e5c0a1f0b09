/* The information calls. SPDX-License-Identifier: BSD-2-Clause */
#include "client/client.h"

#include "client/device_map.h"

#include <limits.h>
#include <string.h>

/** These calls may come before anything was created: they bring the library to life. */
static struct client_session *open_for_info(const void *info)
{
        if (info != NULL)
                return client_session_open();
        (void)client_fail(MFUNCT_INVALID_ARGUMENT_2, "no place for the information");
        return NULL;
}

/** The end of all calls: what the backend said. */
static int answer(struct client_session *s, int r, const struct mapi_error *err)
{
        client_session_put(s);
        return r < 0 ? client_fail_with(err) : 0;
}

/** What "next" begins with: the number behind this one. The largest has none, and -1 is no number of anything. */
static int behind(int number)
{
        return number < 0 ? 0 : number == INT_MAX ? -1 : number + 1;
}

static void copy_text(char *to, size_t size, const char *from, size_t len)
{
        len = len < size - 1 ? len : size - 1;
        memcpy(to, from, len);
        to[len] = '\0';
}

/** Devices that have a name before they are opened: entry i of MAPI_DEVICE_MAP has the id i + 1. */
static int mapped_info(int id, mapi_device_info_t *info)
{
        struct device_map_entry e;

        if (id < 1 || device_map_get((unsigned)id - 1, &e) < 0)
                return -1;
        memset(info, 0, sizeof *info);
        info->id = id;
        copy_text(info->device, sizeof info->device, e.name, e.name_len);
        copy_text(info->name, sizeof info->name, "trace", 5);
        copy_text(info->alias, sizeof info->alias, "No alias", 8);
        copy_text(info->description, sizeof info->description, e.path, e.path_len);
        return 0;
}

/** How many ids the map takes off an engine in this process: its interfaces have those behind. */
static int mapped(const struct client_session *s)
{
        struct device_map_entry e;
        unsigned n = 0;

        while (!s->local && device_map_get(n, &e) == 0)
                n++;
        return (int)n;
}

/** The id that a device of the backend has for the program; negative ones are those of offline devices. */
static int shifted(int id, int by)
{
        return id <= 0 ? id : id > INT_MAX - by ? INT_MAX : id + by;
}

int mapi_get_device_info(int devid, mapi_device_info_t *info)
{
        struct client_session *s = open_for_info(info);
        struct mapi_error err = { 0 };
        int n, r = 0;

        if (s == NULL)
                return -1;
        n = mapped(s);
        if (devid < 1 || devid > n || mapped_info(devid, info) < 0) {
                r = s->ops->device_info(s->state,
                                        devid > n   ? devid - n
                                        : devid < 0 ? devid
                                                    : 0,
                                        false, info, &err);
                if (r == 0)
                        info->id = shifted(info->id, n);
        }
        return answer(s, r, &err);
}

/** In this order: offline devices (their ids are negative), the map, the others of the backend. */
int mapi_get_next_device_info(int devid, mapi_device_info_t *info)
{
        struct client_session *s = open_for_info(info);
        struct mapi_error err = { 0 };
        int n, r = -1;

        if (s == NULL)
                return -1;
        n = mapped(s);
        if (devid < 0 || devid >= n) {
                r = s->ops->device_info(s->state, devid < 0 ? devid : devid - n, true, info, &err);
                if (r == 0 && (info->id < 0 || devid >= n || n == 0))
                        info->id = shifted(info->id, n);
                else if (n > 0 && devid < 0)
                        r = mapped_info(1, info);
        } else {
                r = mapped_info(devid + 1, info);
        }
        return answer(s, r, &err);
}

int mapi_get_library_info(int libnum, mapi_lib_info_t *info)
{
        struct client_session *s = open_for_info(info);
        struct mapi_error err = { 0 };

        if (s == NULL)
                return -1;
        return answer(s, s->ops->library_info(s->state, libnum, info, &err), &err);
}

int mapi_get_next_library_info(int libnum, mapi_lib_info_t *info)
{
        return mapi_get_library_info(behind(libnum), info);
}

int mapi_get_libfunct_info(int libnum, int fnum, mapi_libfunct_info_t *info)
{
        struct client_session *s = open_for_info(info);
        struct mapi_error err = { 0 };

        if (s == NULL)
                return -1;
        return answer(s, s->ops->libfunct_info(s->state, libnum, fnum, info, &err), &err);
}

int mapi_get_next_libfunct_info(int libnum, int fnum, mapi_libfunct_info_t *info)
{
        return mapi_get_libfunct_info(libnum, behind(fnum), info);
}

int mapi_get_libfunct_next_info(int libnum, int fnum, mapi_libfunct_info_t *info)
{
        return mapi_get_next_libfunct_info(libnum, fnum, info);
}

/* ---- flows and functions: the last answers are kept for the time when nobody answers
 * ----------------------------- */

static bool is_away(const struct mapi_error *err)
{
        return err->code == MCOM_SOCKET_ERROR;
}

static void keep_flow(struct client_flow *f, const mapi_flow_info_t *info)
{
        sigset_t mask;

        client_lock(&mask);
        f->info = *info;
        f->info_known = true;
        client_unlock(&mask);
}

static int kept_flow(struct client_flow *f, mapi_flow_info_t *ret)
{
        sigset_t mask;
        bool known;

        client_lock(&mask);
        known = f->info_known;
        if (known)
                *ret = f->info;
        client_unlock(&mask);
        return known ? 0 : -1;
}

static void keep_function(struct client_flow *f, const mapi_function_info_t *info)
{
        struct client_function_info *k;
        sigset_t mask;

        client_lock(&mask);
        for (k = f->functions; k != NULL && k->info.fid != info->fid;)
                k = k->next;
        if (k == NULL) {
                k = arena_alloc(f->arena, sizeof *k);
                if (k != NULL) {
                        k->next = f->functions;
                        f->functions = k;
                }
        }
        if (k != NULL)
                k->info = *info;
        client_unlock(&mask);
}

static int kept_function(struct client_flow *f, int fid, bool next, mapi_function_info_t *ret)
{
        const struct client_function_info *best = NULL;
        sigset_t mask;

        client_lock(&mask);
        for (const struct client_function_info *k = f->functions; k != NULL; k = k->next)
                if (next ? k->info.fid > fid && (best == NULL || k->info.fid < best->info.fid)
                         : k->info.fid == fid)
                        best = k;
        if (best != NULL)
                *ret = best->info;
        client_unlock(&mask);
        return best != NULL ? 0 : -1;
}

/** About a flow of this process. 0; 1 with the error stored: the last answer, mapid is away; -1 with the
 * error stored. */
static int ask_flow(struct client_flow *f, mapi_flow_info_t *info)
{
        struct client_session *s = f->session;
        struct mapi_error err = { 0 };

        if (s->ops->flow_info(s->state, f->number, false, info, &err) == 0) {
                info->fd = f->fd;
                info->devid = shifted(info->devid, mapped(s));
                keep_flow(f, info);
                return 0;
        }
        (void)client_fail_with(&err);
        return is_away(&err) && kept_flow(f, info) == 0 ? 1 : -1;
}

/** About a flow of another process, if mapid knows it. */
static int ask_foreign(int fd, mapi_flow_info_t *info)
{
        struct client_session *s = client_session_get();
        struct mapi_error err = { 0 };
        int r = -1;

        if (s == NULL)
                return -1;
        if (s->local)
                r = s->ops->flow_info(s->state, client_number_of(s, fd), false, info, &err);
        client_session_put(s);
        if (r == 0)
                return 0;
        return is_away(&err) ? client_fail_with(&err) : client_fail(MAPI_INVALID_FLOW, "%d", fd);
}

int mapi_get_flow_info(int fd, mapi_flow_info_t *info)
{
        struct client_flow *f;
        int r;

        if (!client_ready())
                return -1;
        if (fd <= 0)
                return client_fail(MAPI_INVALID_FLOW, "%d", fd);
        if (info == NULL)
                return client_fail(MFUNCT_INVALID_ARGUMENT_2, "no place for the information");
        f = client_flow_get(fd);
        if (f == NULL)
                return ask_foreign(fd, info);
        r = ask_flow(f, info);
        client_flow_put(f);
        return r < 0 ? -1 : 0;
}

static int next_flow_info(struct client_session *s, int fd, mapi_flow_info_t *info)
{
        struct mapi_error err = { 0 };
        mapi_flow_info_t start;
        int number = fd > 0 ? client_number_of(s, fd) : 0;

        if (number < INT_MAX && s->ops->flow_info(s->state, number, true, info, &err) == 0) {
                info->fd = client_fd_of(s, info->fd);
                info->devid = shifted(info->devid, mapped(s));
                return 0;
        }
        if (is_away(&err))
                return client_fail_with(&err);
        /* Nothing follows: the start is the last flow, or there is no such flow. */
        if (fd > 0 && s->ops->flow_info(s->state, number, false, &start, &err) == 0)
                return client_fail(MAPI_FLOW_INFO_ERR, "flow %d is the last", fd);
        return client_fail(MAPI_INVALID_FLOW, "%d, and no flow after it", fd);
}

int mapi_get_next_flow_info(int fd, mapi_flow_info_t *info)
{
        struct client_session *s = open_for_info(info);
        int r;

        if (s == NULL)
                return -1;
        r = next_flow_info(s, fd < 0 ? 0 : fd, info);
        client_session_put(s);
        return r;
}

static int function_of(struct client_flow *f, int fid, bool next, mapi_function_info_t *info)
{
        struct client_session *s = f->session;
        struct mapi_error err = { 0 };

        if (s->ops->function_info(s->state, f->number, fid, next, info, &err) == 0) {
                keep_function(f, info);
                return 0;
        }
        (void)client_fail_with(&err);
        return is_away(&err) ? kept_function(f, fid, next, info) : -1;
}

/** A function of a flow of another process, if mapid knows it. */
static int function_of_foreign(int fd, int fid, bool next, mapi_function_info_t *info)
{
        struct mapi_error err = { 0 };
        struct client_session *s;
        mapi_flow_info_t flow;
        int r;

        if (ask_foreign(fd, &flow) < 0) /* the code that old programs expect here */
                return client_error_code() == MCOM_SOCKET_ERROR
                               ? -1
                               : client_fail(MAPI_INIT_ERROR, "there is no flow %d", fd);
        s = client_session_get();
        if (s == NULL)
                return -1;
        r = s->ops->function_info(s->state, client_number_of(s, fd), fid, next, info, &err);
        return answer(s, r, &err);
}

static int function_info(int fd, int fid, bool next, mapi_function_info_t *info)
{
        struct client_flow *f;
        int r;

        if (!client_ready())
                return -1;
        if (fd <= 0 || (next ? fid < 0 : fid <= 0))
                return client_fail(MAPI_INVALID_FID_FUNCID, "flow %d, function %d", fd, fid);
        if (info == NULL)
                return client_fail(MFUNCT_INVALID_ARGUMENT_3, "no place for the information");
        f = client_flow_get(fd);
        if (f == NULL)
                return function_of_foreign(fd, fid, next, info);
        r = function_of(f, fid, next, info);
        client_flow_put(f);
        return r;
}

int mapi_get_function_info(int fd, int fid, mapi_function_info_t *info)
{
        return function_info(fd, fid, false, info);
}

int mapi_get_next_function_info(int fd, int fid, mapi_function_info_t *info)
{
        return function_info(fd, fid, true, info);
}

/* ---- statistics ------------------------------------------------------------------------------------------------ */

int mapi_stats64(const char *dev, struct mapi_stat64 *stats)
{
        struct device_map_entry map;
        struct mapi_error err = { 0 };
        struct client_session *s;
        int r;

        if (dev == NULL)
                return client_fail(MAPI_DEVICE_INFO_ERR, "no device name");
        s = open_for_info(stats);
        if (s == NULL)
                return -1;
        r = s->ops->stats(s->state, dev, stats, &err);
        if (r < 0 && !is_away(&err) && device_map_find(dev, &map) == 0)
                r = mapi_fail(&err, MAPI_STATS_ERROR, "%.64s", dev);
        return answer(s, r, &err) < 0 ? -1 : 1;
}

/*
 * The old counters mean what pcap_stats(3PCAP) means on Linux, whence they came: ps_recv counts the packets that
 * arrived at the capture socket, those included that were then lost because its buffer was full; what the
 * interface lost never arrived. So ps_drop / ps_recv is the share that was lost, as old programs compute it.
 */
int mapi_stats(const char *dev, struct mapi_stat *stats)
{
        struct mapi_stat64 s;
        int n = mapi_stats64(dev, stats == NULL ? NULL : &s);

        if (n < 1)
                return n;
        memset(stats, 0, sizeof *stats);
        stats->ps_recv = (unsigned)(s.seen - s.dropped_interface);
        stats->ps_drop = (unsigned)s.dropped_kernel;
        stats->ps_ifdrop = (unsigned)s.dropped_interface;
        memcpy(stats->hostname, s.hostname, sizeof stats->hostname);
        memcpy(stats->dev, s.dev, sizeof stats->dev);
        return n;
}

/** Of a flow of another process, if mapid knows it. */
static int stats_of_foreign(int fd, struct mapi_stat64 *stats)
{
        struct mapi_error err = { 0 };
        struct client_session *s = client_session_get();
        int r;

        if (s == NULL)
                return -1;
        if (stats == NULL)
                return client_fail(MFUNCT_INVALID_ARGUMENT_2, "no place for the statistics");
        r = s->ops->flow_stats(s->state, client_number_of(s, fd), stats, &err);
        return answer(s, r, &err) < 0 ? -1 : 1;
}

int mapi_flow_stats64(int fd, struct mapi_stat64 *stats)
{
        struct mapi_error err = { 0 };
        struct client_flow *f;
        int r = -1;

        if (!client_ready())
                return -1;
        if (fd <= 0)
                return client_fail(MAPI_INVALID_FLOW, "%d", fd);
        f = client_flow_get(fd);
        if (f == NULL)
                return stats_of_foreign(fd, stats);
        if (atomic_load(&f->connected) == 0)
                (void)client_fail(MAPI_FLOW_NOT_CONNECTED, "%d", fd);
        else if (stats == NULL)
                (void)client_fail(MFUNCT_INVALID_ARGUMENT_2, "no place for the statistics");
        else if (f->session->ops->flow_stats(f->session->state, f->number, stats, &err) < 0)
                (void)client_fail_with(&err);
        else
                r = 1;
        client_flow_put(f);
        return r;
}
