/* Open devices: driver calls and their accounting. SPDX-License-Identifier: BSD-2-Clause */
#include "capture/capture.h"

#include <string.h>
#include <unistd.h>

int capture_open(struct capture *c, const struct mapi_driver *driver, const struct mapi_source *src,
                 struct mapi_error *err)
{
        int r;

        *c = (struct capture){ 0 };
        if (driver->abi != MAPI_DRIVER_ABI) {
                if (src->fd >= 0)
                        close(src->fd);
                for (unsigned i = 0; i < src->nmore; i++)
                        close(src->more[i]);
                return mapi_fail(err, MAPID_NO_DRIVER, "driver %s speaks version %u, this engine version %u",
                                 driver->name, driver->abi, MAPI_DRIVER_ABI);
        }
        r = driver->open(src, &c->facts, &c->state, err);
        if (r < 0)
                return r;
        if (c->facts.snaplen == 0 || c->facts.snaplen > MAPI_CAPLEN_MAX)
                c->facts.snaplen = MAPI_CAPLEN_MAX;
        c->facts.offline = (driver->traits & MAPI_DRV_OFFLINE) != 0;
        c->driver = driver;
        return 0;
}

void capture_close(struct capture *c)
{
        if (c->driver == NULL)
                return;
        c->driver->close(c->state);
        c->driver = NULL;
}

int capture_fill(struct capture *c, struct mapi_batch *b, unsigned most, size_t max_bytes,
                 size_t *ret_needed_bytes, struct mapi_error *err)
{
        int n;

        *ret_needed_bytes = 0;
        n = c->driver->recv(c->state, b, most, max_bytes, ret_needed_bytes, err);
        if (n <= 0)
                return n;
        b->n = (uint32_t)n;
        b->parsed = 0;
        __atomic_store_n(&c->packets, c->packets + (uint64_t)n, __ATOMIC_RELAXED);
        return n;
}

int capture_fd(const struct capture *c)
{
        return c->driver->fd != NULL ? c->driver->fd(c->state) : -1;
}

void capture_stats(const struct capture *c, struct mapi_driver_stats *ret)
{
        *ret = (struct mapi_driver_stats){ 0 };
        if (c->driver->stats != NULL)
                c->driver->stats(c->state, ret);
        ret->received = __atomic_load_n(&c->packets, __ATOMIC_RELAXED);
}
