/*
 * Feeds a trace to a format reader piece by piece and checks what every reader promises; for fuzz targets and
 * unit tests.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef TESTS_FUZZ_TRACE_FEED_H
#define TESTS_FUZZ_TRACE_FEED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/format.h"

/* Not assert(): it must hold in every build. */
#define FEED_MUST(condition)                                                                                      \
        do {                                                                                                      \
                if (!(condition)) {                                                                               \
                        fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #condition);           \
                        abort();                                                                                  \
                }                                                                                                 \
        } while (0)

typedef int (*feed_open_fn)(struct formats_reader *r, struct formats_window *w, int eof);

/** How to feed. */
struct feed_way {
        feed_open_fn open;
        size_t chunk;                                       /* bytes that come at a time */
        unsigned most;                                      /* views asked for at a time */
        size_t max_bytes;                                   /* of their bytes */
        void (*each)(const struct mapi_view *v, void *arg); /* may be NULL */
        void *arg;
};

/** What came out. */
struct feed_outcome {
        int opened; /* what open said at last */
        int end;    /* FORMATS_END or -9002 */
        uint64_t packets, caplen, wirelen;
        uint64_t hash; /* over all packets with all their fields and bytes */
        uint16_t linktype;
        uint32_t snaplen;
        uint64_t skipped, lost;
        char why[240];
};

static inline uint64_t feed_mix(uint64_t hash, uint64_t v)
{
        hash = (hash ^ v) * 0x9e3779b97f4a7c15u;
        return hash ^ hash >> 29;
}

static inline void feed_take(struct feed_outcome *o, const struct feed_way *way, const struct formats_window *w,
                             const uint8_t *start, const struct mapi_view *pkt, int n, size_t max_bytes)
{
        size_t sum = 0;

        FEED_MUST(n > 0 && (unsigned)n <= way->most);
        for (int i = 0; i < n; i++) {
                const struct mapi_view *v = &pkt[i];

                FEED_MUST(v->data >= start && v->data + v->caplen <= w->end && v->data + v->caplen <= w->p);
                FEED_MUST(v->caplen <= MAPI_CAPLEN_MAX && v->caplen <= o->snaplen);
                sum += v->caplen;
                o->packets++;
                o->caplen += v->caplen;
                o->wirelen += v->wirelen;
                o->hash = feed_mix(feed_mix(o->hash, v->ts), (uint64_t)v->caplen << 32 | v->wirelen);
                o->hash = feed_mix(o->hash, (uint64_t)v->ifindex << 16 | v->linktype);
                for (uint32_t k = 0; k < v->caplen; k++)
                        o->hash = (o->hash ^ v->data[k]) * 0x100000001b3u;
                if (way->each != NULL)
                        way->each(v, way->arg);
        }
        FEED_MUST(sum <= max_bytes);
}

/* The window holds exactly what has come and was not used, in a block of its own: a sanitizer sees every byte
   too far. */
static inline void feed_window(struct formats_window *w, uint8_t **block, const uint8_t *data, size_t from,
                               size_t to)
{
        uint8_t *fresh = malloc(to - from + (to == from));

        FEED_MUST(fresh != NULL);
        if (to != from)
                memcpy(fresh, data + from, to - from);
        free(*block);
        *block = fresh;
        w->p = fresh;
        w->end = fresh + (to - from);
        w->end_offset = to;
}

static inline struct feed_outcome feed_run(const uint8_t *data, size_t size, const struct feed_way *way)
{
        struct formats_reader r = { 0 };
        struct formats_window w = { 0 };
        struct feed_outcome o = { 0 };
        struct mapi_view pkt[MAPI_BATCH_MAX];
        uint8_t *block = NULL;
        size_t have = 0, more = 0;
        int open = 0;

        feed_window(&w, &block, data, 0, 0);
        for (;;) {
                size_t from = (size_t)formats_offset(&w), before;
                int rc;

                if (more > 0) { /* the reader has asked for more */
                        if (have == size && open) {
                                o.end = formats_at_end(&r, &w);
                                break;
                        }
                        have = size - have < way->chunk ? size : have + way->chunk;
                        feed_window(&w, &block, data, from, have);
                }
                if (!open) {
                        o.opened = way->open(&r, &w, have == size);
                        if (o.opened < 0)
                                break;
                        FEED_MUST(o.opened == 1 || have < size);
                        open = o.opened;
                        o.linktype = r.linktype;
                        o.snaplen = r.snaplen;
                        more = !open;
                        FEED_MUST(open ||
                                  (r.need_bytes > formats_avail(&w) && r.need_bytes <= FORMATS_RECORD_MAX));
                        continue;
                }
                before = formats_avail(&w);
                {
                        const uint8_t *start = w.p;
                        size_t max_bytes = way->max_bytes;

                        rc = formats_read(&r, &w, pkt, way->most, max_bytes);
                        if (rc == 0 && r.next_caplen != 0) {
                                FEED_MUST(r.next_caplen > max_bytes);
                                max_bytes = r.next_caplen;
                                start = w.p;
                                rc = formats_read(&r, &w, pkt, way->most, max_bytes);
                                FEED_MUST(rc > 0);
                        }
                        if (rc > 0)
                                feed_take(&o, way, &w, start, pkt, rc, max_bytes);
                }
                FEED_MUST(formats_avail(&w) <= before);
                more = rc == 0;
                FEED_MUST(rc != 0 || (r.need_bytes > formats_avail(&w) && r.need_bytes <= FORMATS_RECORD_MAX));
                if (rc < 0) {
                        FEED_MUST(rc == -MAPI_TRACE_DAMAGED);
                        o.end = rc;
                        break;
                }
        }
        o.skipped = r.skipped;
        o.lost = r.lost;
        memcpy(o.why, r.why, sizeof(o.why));
        FEED_MUST(memchr(o.why, '\0', sizeof(o.why)) != NULL);
        formats_close(&r);
        free(block);
        return o;
}

/** The fuzz target: the trace in one piece, and in small ones with narrow batches, must be the same trace. */
static inline void feed_compare(feed_open_fn open, const uint8_t *data, size_t size)
{
        uint64_t dice = 1;
        struct feed_way wide = { .open = open, .chunk = size + 1, .most = MAPI_BATCH_MAX, .max_bytes = SIZE_MAX };
        struct feed_way narrow = { .open = open };
        struct feed_outcome a, b;

        for (size_t i = 0; i < size && i < 64; i++)
                dice = feed_mix(dice, data[i]);
        narrow.chunk = 1 + dice % 97 + size / 512;
        narrow.most = 1 + (unsigned)(dice >> 8) % 7;
        narrow.max_bytes = (dice >> 16) % 300;
        a = feed_run(data, size, &wide);
        b = feed_run(data, size, &narrow);
        FEED_MUST((a.opened > 0) == (b.opened > 0));
        FEED_MUST(a.packets == b.packets && a.caplen == b.caplen && a.wirelen == b.wirelen && a.hash == b.hash);
        FEED_MUST(strcmp(a.why, b.why) == 0);
        FEED_MUST(a.end == b.end && a.skipped == b.skipped && a.lost == b.lost && a.linktype == b.linktype);
}

#endif
