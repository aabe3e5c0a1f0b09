/* Reading packets and comparing them with the trace. SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_API_PACKETS_H
#define TESTS_API_PACKETS_H

#include "api.h"
#include "trace.h"

#include <string.h>

/** The packet is number i of the trace, in every respect. */
static inline void check_packet(const struct mapipkt *p, const struct trace *t, size_t i)
{
        const struct trace_packet *e = &t->packet[i];

        if (p == NULL)
                check_error(0); /* says what came instead */
        if (p == NULL || i >= t->n)
                fail("packet %zu of %zu is not there", i, t->n);
        if ((size_t)p % 8 != 0)
                fail("packet %zu is at %p", i, (const void *)p);
        if (p->ts != e->ts || p->caplen != e->caplen || p->wlen != e->wlen || p->ifindex != 0)
                fail("packet %zu: time %016llx, %u of %u bytes, interface %u; expected %016llx, %u of %u, 0", i,
                     p->ts, p->caplen, p->wlen, p->ifindex, (unsigned long long)e->ts, e->caplen, e->wlen);
        if (memcmp(&p->pkt, e->data, e->caplen) != 0)
                fail("packet %zu has other bytes than in the trace", i);
}

/** The flow's next packets are those from..from+n-1 of the trace. */
static inline void check_packets(int fd, int fid, const struct trace *t, size_t from, size_t n)
{
        for (size_t i = from; i < from + n; i++)
                check_packet(mapi_get_next_pkt(fd, fid), t, i);
}

/** All packets, then the end. */
static inline void check_all_packets(int fd, int fid, const struct trace *t)
{
        check_packets(fd, fid, t, 0, t->n);
        check_null(mapi_get_next_pkt(fd, fid), 0);
}

/** A connected flow on this device or trace with a TO_BUFFER, fid 1. */
static inline int buffer_flow(const char *device)
{
        int fd = check_ok(mapi_create_flow(device));

        check_equal(check_ok(mapi_apply_function(fd, "TO_BUFFER")), 1);
        check_ok(mapi_connect(fd));
        return fd;
}

/** The same with a PKT_COUNTER. */
static inline int counter_flow(const char *device)
{
        int fd = check_ok(mapi_create_flow(device));

        check_equal(check_ok(mapi_apply_function(fd, "PKT_COUNTER")), 1);
        check_ok(mapi_connect(fd));
        return fd;
}

#endif
