/* What must become of packets, computed slowly, see model.h. SPDX-License-Identifier: BSD-2-Clause */
#include "model.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/** A packet as the model knows it. */
struct thing {
        uint32_t index, caplen, wirelen;
        unsigned bumps; /* how often all its bytes were changed */
};

void model_init(struct model *m)
{
        memset(m, 0, sizeof *m);
        rig_init(&m->rig);
}

void model_fini(struct model *m)
{
        for (uint32_t f = 0; f < m->rig.flows; f++)
                for (uint32_t k = 0; k < m->flow[f].n; k++) {
                        free(m->flow[f].fn[k].record);
                        ring_reader_unmap(&m->flow[f].fn[k].reader);
                }
        rig_fini(&m->rig);
}

/* ---- making flows ----------------------------------------------------------------------------------------- */

static uint64_t queue_size(uint64_t wanted)
{
        uint64_t size = 4096;

        while (size < wanted)
                size *= 2;
        return size;
}

static struct instance *make(struct model *m, uint32_t f, struct model_function *fn)
{
        struct rig *r = &m->rig;
        char text[40];

        switch (fn->letter) {
        case 'c':
                return rig_plain(r, f, "PKT_COUNTER");
        case 't':
                return rig_filter(r, f, "tcp");
        case 'u':
                return rig_filter(r, f, "udp");
        case 'l':
                (void)snprintf(text, sizeof text, "greater %u", fn->a);
                return rig_filter(r, f, text);
        case 'h':
                return rig_apply(r, f, &shapes_has, &STR("needle"), 1, NULL, 0);
        case 'e':
                return rig_one(r, f, &shapes_every, fn->a);
        case 'p':
                return rig_apply(r, f, &shapes_pass, (struct mapi_value[]){ NUM(fn->a), NUM(fn->b) }, 2, NULL, 0);
        case 'm':
                return rig_one(r, f, &shapes_bump, 1);
        case 'M':
                return rig_one(r, f, &shapes_bump, 2);
        case 'x':
                return rig_apply(r, f, &shapes_triple, NULL, 0, NULL, 0);
        case 's':
                return rig_stats(r, f, m->flow[fn->a - 1].fn[fn->b - 1].in, "0");
        case 'b':
                r->ring_bytes = fn->a;
                fn->size = queue_size(fn->a);
                return rig_plain(r, f, "TO_BUFFER");
        case 'f':
        case 'F':
                r->sink_bytes = fn->a;
                fn->size = queue_size(fn->a);
                return rig_apply(r, f, &shapes_lines,
                                 &(struct mapi_value){ .str = "lines",
                                                       .fd = open(fn->letter == 'f' ? "/dev/null" : "/dev/full",
                                                                  O_WRONLY | O_CLOEXEC) },
                                 1, NULL, 0);
        default:
                fail_msg("no function is called %c", fn->letter);
                return NULL;
        }
}

uint32_t model_flow(struct model *m, const char *words)
{
        uint32_t f = rig_flow(&m->rig);
        struct model_flow *flow = &m->flow[f];

        m->rig.flow[f].account = &flow->account;
        for (int used; *words != '\0'; words += used) {
                struct model_function *fn = &flow->fn[flow->n++];

                used = 0;
                if (sscanf(words, " %c%n%u%n,%u%n", &fn->letter, &used, &fn->a, &used, &fn->b, &used) < 1)
                        fail_msg("not a function: %s", words);
                fn->in = make(m, f, fn);
                if (fn->letter == 'b') {
                        fn->reader.shared = fn->in->ring->shared;
                        assert_int_equal(ring_reader_map(&fn->reader, fn->in->ring->fd, fn->in->ring->size, 0), 0);
                }
        }
        flow->connected = true;
        return f;
}

void model_compile(struct model *m, bool count)
{
        struct graph_flow flows[RIG_FLOWS];
        struct graph *g = NULL;
        uint32_t n = 0;

        for (uint32_t f = 0; f < m->rig.flows; f++)
                if (m->flow[f].connected)
                        flows[n++] = m->rig.flow[f];
        assert_int_equal(graph_compile(flows, n, count, &g, NULL), 0);
        graph_free(&m->rig.graph);
        m->rig.graph = g;
        graph_adopt(g, 0);
}

/* ---- packets ------------------------------------------------------------------------------------------------ */

static bool ring_takes(struct model_function *fn, const struct thing *p)
{
        uint64_t bytes = ((uint64_t)20 + p->caplen + 7) / 8 * 8;

        if (fn->used + bytes > fn->size)
                return false;
        if (fn->last == fn->max) {
                fn->max = fn->max == 0 ? 256 : 2 * fn->max;
                fn->record = realloc(fn->record, fn->max * sizeof *fn->record);
                assert_non_null(fn->record);
        }
        fn->record[fn->last++] = (uint32_t)bytes;
        fn->used += bytes;
        return true;
}

static bool file_takes(struct model_function *fn, const struct thing *p)
{
        char line[40];
        uint64_t bytes = ((uint64_t)snprintf(line, sizeof line, "%u %u\n", p->caplen, p->wirelen) + 4 + 7) / 8 * 8;

        if (fn->failed || fn->used + bytes > fn->size)
                return false;
        fn->used += bytes;
        return true;
}

static bool passes(struct model_function *fn, struct thing *p)
{
        switch (fn->letter) {
        case 't':
                return p->bumps == 0 && p->caplen >= 24 && p->index % 3 != 0;
        case 'u':
                return p->bumps == 0 && p->caplen >= 24 && p->index % 3 == 0;
        case 'l':
                return p->wirelen >= fn->a;
        case 'h':
                return p->bumps == 0 && p->caplen >= 56 && p->index % 7 == 0;
        case 'e':
                return ++fn->state % fn->a == 0;
        case 'p':
                return p->caplen % fn->a == fn->b;
        case 'm':
                p->bumps++;
                return true;
        case 'M':
                p->bumps++;
                return p->wirelen % 2 == 0;
        case 'c':
                fn->counted++;
                return true;
        default:
                return true;
        }
}

/** One packet from function k on. account: it is one of the device's; lost: by which kind of queue so far, or 0. */
static void walk(struct model_flow *f, uint32_t k, struct thing p, bool account, char lost)
{
        for (; k < f->n; k++) {
                struct model_function *fn = &f->fn[k];

                if (fn->letter == 'b' || fn->letter == 'f' || fn->letter == 'F') {
                        bool room = fn->letter == 'b' ? ring_takes(fn, &p) : file_takes(fn, &p);

                        fn->packets++;
                        fn->passed += room;
                        if (!room && lost == 0)
                                lost = fn->letter == 'b' ? 'r' : 'f';
                } else if (fn->letter == 'x') {
                        if (account && lost == 0)
                                f->delivered++;
                        for (uint32_t i = 0; i < 3; i++) {
                                struct thing emitted = p;

                                emitted.wirelen += i;
                                walk(f, k + 1, emitted, false, 0);
                        }
                        break;
                } else if (!passes(fn, &p)) {
                        if (account && lost == 0)
                                f->filtered++;
                        break;
                }
        }
        if (!account)
                return;
        if (k == f->n && lost == 0)
                f->delivered++;
        f->dropped_ring += lost == 'r';
        f->dropped_file += lost == 'f';
}

static void compare(const struct model *m)
{
        for (uint32_t i = 0; i < m->rig.flows; i++) {
                const struct model_flow *f = &m->flow[i];

                assert_int_equal(f->given, f->delivered + f->filtered + f->dropped_ring + f->dropped_file);
                assert_int_equal(f->account.delivered, f->delivered);
                assert_int_equal(f->account.dropped_ring, f->dropped_ring);
                assert_int_equal(f->account.dropped_file, f->dropped_file);
                for (uint32_t k = 0; k < f->n; k++) {
                        const struct model_function *fn = &f->fn[k];

                        if (fn->letter == 'c')
                                assert_int_equal(instance_u64(fn->in), fn->counted);
                        if (fn->size == 0)
                                continue;
                        assert_int_equal(fn->in->packets, fn->packets);
                        assert_int_equal(fn->in->passed, fn->passed);
                        if (fn->letter == 'b')
                                assert_int_equal(fn->in->ring->shared->dropped, fn->packets - fn->passed);
                        else
                                assert_int_equal(fn->in->sink->dropped, fn->packets - fn->passed);
                }
        }
}

void model_run(struct model *m, uint32_t from, uint32_t to, uint32_t width)
{
        rig_run(&m->rig, from, to, width);
        for (uint32_t i = from; i < to; i++) {
                struct thing p = { .index = i, .caplen = rig_packet[i].caplen, .wirelen = rig_packet[i].wirelen };

                for (uint32_t f = 0; f < m->rig.flows; f++) {
                        if (!m->flow[f].connected)
                                continue;
                        m->flow[f].given++;
                        walk(&m->flow[f], 0, p, true, 0);
                }
        }
        compare(m);
}

/* ---- readers ------------------------------------------------------------------------------------------------ */

void model_read(struct model *m, uint32_t flow, uint32_t k, uint32_t n)
{
        struct model_function *fn = &m->flow[flow].fn[k];
        void *record;

        for (; n > 0; n--) {
                enum ring_state s = ring_reader_next(&fn->reader, &record);

                if (fn->outstanding) /* given back by asking for the next one */
                        fn->used -= fn->record[fn->first++];
                fn->outstanding = fn->first < fn->last;
                assert_int_equal(s, fn->outstanding ? RING_PACKET : RING_EMPTY);
                if (!fn->outstanding)
                        break;
        }
}

void model_drain(struct model *m, uint32_t flow, uint32_t k)
{
        struct model_function *fn = &m->flow[flow].fn[k];

        while (sink_drain(fn->in->sink) > 0)
                ;
        fn->failed |= fn->letter == 'F' && fn->used > 0;
        fn->used = 0;
}
