/* The information calls. SPDX-License-Identifier: BSD-2-Clause */
#include "client/client.h"

#include "client/device_map.h"

#include <limits.h>
#include <string.h>

/** These calls may come before anything was created: they bring the library to life. */
static int open_for_info(struct client_backend *b, const void *info)
{
        if (info == NULL)
                return client_fail(MFUNCT_INVALID_ARGUMENT_2, "no place for the information");
        return client_open(b);
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

/** Devices of an embedded engine that have a name before they are opened: entry i of MAPI_DEVICE_MAP has the id i + 1. */
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

int mapi_get_device_info(int devid, mapi_device_info_t *info)
{
        struct mapi_error err = { 0 };
        struct client_backend b;

        if (open_for_info(&b, info) < 0)
                return -1;
        if (mapped_info(devid, info) == 0)
                return 0;
        return b.ops->device_info(b.state, devid, false, info, &err) < 0 ? client_fail_with(&err) : 0;
}

int mapi_get_next_device_info(int devid, mapi_device_info_t *info)
{
        struct mapi_error err = { 0 };
        struct client_backend b;

        if (open_for_info(&b, info) < 0)
                return -1;
        if (b.ops->device_info(b.state, devid, true, info, &err) == 0 ||
            mapped_info(devid < 0 ? 1 : behind(devid), info) == 0)
                return 0;
        return client_fail_with(&err);
}

int mapi_get_library_info(int libnum, mapi_lib_info_t *info)
{
        struct mapi_error err = { 0 };
        struct client_backend b;

        if (open_for_info(&b, info) < 0)
                return -1;
        return b.ops->library_info(b.state, libnum, info, &err) < 0 ? client_fail_with(&err) : 0;
}

int mapi_get_next_library_info(int libnum, mapi_lib_info_t *info)
{
        return mapi_get_library_info(behind(libnum), info);
}

int mapi_get_libfunct_info(int libnum, int fnum, mapi_libfunct_info_t *info)
{
        struct mapi_error err = { 0 };
        struct client_backend b;

        if (open_for_info(&b, info) < 0)
                return -1;
        return b.ops->libfunct_info(b.state, libnum, fnum, info, &err) < 0 ? client_fail_with(&err) : 0;
}

int mapi_get_next_libfunct_info(int libnum, int fnum, mapi_libfunct_info_t *info)
{
        return mapi_get_libfunct_info(libnum, behind(fnum), info);
}

int mapi_get_libfunct_next_info(int libnum, int fnum, mapi_libfunct_info_t *info)
{
        return mapi_get_next_libfunct_info(libnum, fnum, info);
}

int mapi_get_flow_info(int fd, mapi_flow_info_t *info)
{
        struct mapi_error err = { 0 };
        struct client_backend b;
        struct client_flow *f;

        if (!client_ready())
                return -1;
        if (fd <= 0)
                return client_fail(MAPI_INVALID_FLOW, "%d", fd);
        if (info == NULL)
                return client_fail(MFUNCT_INVALID_ARGUMENT_2, "no place for the information");
        f = client_flow_get(fd);
        if (f == NULL)
                return -1;
        client_flow_put(f);
        if (client_get(&b) < 0)
                return -1;
        return b.ops->flow_info(b.state, fd, false, info, &err) < 0 ? client_fail_with(&err) : 0;
}

int mapi_get_next_flow_info(int fd, mapi_flow_info_t *info)
{
        struct mapi_error err = { 0 };
        struct client_backend b;
        mapi_flow_info_t start;

        if (open_for_info(&b, info) < 0)
                return -1;
        if (fd < 0)
                fd = 0;
        if (fd < INT_MAX && b.ops->flow_info(b.state, fd, true, info, &err) == 0)
                return 0;
        /* Nothing follows: the start is the last flow, or there is no such flow. */
        if (fd > 0 && b.ops->flow_info(b.state, fd, false, &start, &err) == 0)
                return client_fail(MAPI_FLOW_INFO_ERR, "flow %d is the last", fd);
        return client_fail(MAPI_INVALID_FLOW, "%d, and no flow after it", fd);
}

static int function_info(int fd, int fid, bool next, mapi_function_info_t *info)
{
        struct mapi_error err = { 0 };
        struct client_backend b;
        mapi_flow_info_t flow;

        if (!client_ready())
                return -1;
        if (fd <= 0 || (next ? fid < 0 : fid <= 0))
                return client_fail(MAPI_INVALID_FID_FUNCID, "flow %d, function %d", fd, fid);
        if (info == NULL)
                return client_fail(MFUNCT_INVALID_ARGUMENT_3, "no place for the information");
        if (client_get(&b) < 0)
                return -1;
        if (b.ops->flow_info(b.state, fd, false, &flow, &err) < 0)
                return client_fail(MAPI_INIT_ERROR, "there is no flow %d",
                                   fd); /* the code that old programs expect here */
        return b.ops->function_info(b.state, fd, fid, next, info, &err) < 0 ? client_fail_with(&err) : 0;
}

int mapi_get_function_info(int fd, int fid, mapi_function_info_t *info)
{
        return function_info(fd, fid, false, info);
}

int mapi_get_next_function_info(int fd, int fid, mapi_function_info_t *info)
{
        return function_info(fd, fid, true, info);
}

int mapi_stats(const char *dev, struct mapi_stat *stats)
{
        struct device_map_entry map;
        struct mapi_error err = { 0 };
        struct client_backend b;

        if (dev == NULL)
                return client_fail(MAPI_DEVICE_INFO_ERR, "no device name");
        if (open_for_info(&b, stats) < 0)
                return -1;
        if (b.ops->stats(b.state, dev, stats, &err) == 0)
                return 1;
        if (device_map_find(dev, &map) == 0)
                return client_fail(MAPI_STATS_ERROR, "%.64s", dev);
        return client_fail_with(&err);
}
