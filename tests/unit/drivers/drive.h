/*
 * Runs a driver over a whole source and sums up what it delivered.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef TESTS_UNIT_DRIVERS_DRIVE_H
#define TESTS_UNIT_DRIVERS_DRIVE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <stdlib.h>
#include <unistd.h>

#include "drivers/table.h"

#include "../formats/build.h"

/** Everything about the packets of a source, in order. */
struct drive {
        uint64_t packets, caplen, wirelen, hash;
        int end; /* what recv said at last */
        struct mapi_error err;
        struct mapi_device_facts facts;
        struct mapi_driver_stats stats;
};

/** A regular file without a name, at its beginning. */
static inline int drive_file(const void *bytes, size_t n)
{
        int fd = memfd_create("trace", MFD_CLOEXEC);

        assert_true(fd >= 0);
        if (n > PTRDIFF_MAX) /* a size below 0 */
                abort();
        assert_int_equal(write(fd, bytes, n), n);
        assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
        return fd;
}

static inline uint64_t drive_mix(uint64_t hash, uint64_t v)
{
        return (hash ^ v) * 0x9e3779b97f4a7c15u + (hash >> 31);
}

static inline void drive_take(struct drive *d, const struct mapi_view *v)
{
        d->packets++;
        d->caplen += v->caplen;
        d->wirelen += v->wirelen;
        d->hash = drive_mix(d->hash, v->ts);
        d->hash = drive_mix(d->hash, (uint64_t)v->caplen << 32 | v->wirelen);
        d->hash = drive_mix(d->hash, (uint64_t)v->ifindex << 16 | v->linktype);
        for (uint32_t i = 0; i < v->caplen; i++)
                d->hash = (d->hash ^ v->data[i]) * 0x100000001b3u;
}

/** From recv to the end; `most` and max_bytes are what the driver has to obey. Then the end again, twice. */
static inline void drive_state(const struct mapi_driver *drv, void *state, unsigned most, size_t max_bytes,
                               struct drive *d)
{
        struct mapi_batch b = { 0 };
        struct mapi_error err = { 0 };
        size_t needed, allowed = max_bytes;
        int rc;

        for (;;) {
                size_t sum = 0;

                needed = 12345;
                rc = drv->recv(state, &b, most, allowed, &needed, &d->err);
                if (rc < 0)
                        break;
                if (rc == 0) { /* no packet is waited for here: the next one must be longer than allowed */
                        assert_true(needed > allowed && needed <= MAPI_CAPLEN_MAX);
                        allowed = needed;
                        continue;
                }
                assert_true((unsigned)rc <= most);
                assert_int_equal(needed, 0);
                b.n = (uint32_t)rc;
                for (int i = 0; i < rc; i++) {
                        sum += b.pkt[i].caplen;
                        drive_take(d, &b.pkt[i]);
                }
                assert_true(sum <= allowed);
                allowed = max_bytes;
                if (drv->release != NULL)
                        drv->release(state, &b);
        }
        d->end = rc;
        if (drv->stats != NULL)
                drv->stats(state, &d->stats);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(drv->recv(state, &b, most, max_bytes, &needed, &err), rc);
                if (rc != MAPI_RECV_END)
                        assert_string_equal(err.text, d->err.text);
        }
}

/** Opens, runs, closes. If open fails, .end is its code. */
static inline struct drive drive_source(const struct mapi_driver *drv, const struct mapi_source *src,
                                        unsigned most, size_t max_bytes)
{
        struct drive d = { .facts = { .linktype = 0xffff } };
        void *untouched = &d, *state = untouched;

        d.end = drv->open(src, &d.facts, &state, &d.err);
        if (d.end < 0) {
                assert_ptr_equal(state, untouched);
                assert_int_equal(d.err.code, -d.end);
                return d;
        }
        assert_int_equal(d.end, 0);
        drive_state(drv, state, most, max_bytes, &d);
        drv->close(state);
        return d;
}

static inline struct drive drive_bytes(const struct build *b, unsigned most, size_t max_bytes)
{
        struct mapi_source src = { .name = "some.pcap", .fd = drive_file(b->bytes, b->n) };

        return drive_source(&mapi_drv_trace, &src, most, max_bytes);
}

#endif
