/* Flows and their plan without an engine, see rig.h. SPDX-License-Identifier: BSD-2-Clause */
#include "rig.h"

struct mapi_view rig_packet[RIG_PACKETS];

static uint8_t *bytes[RIG_PACKETS];

/** Ports 0 to 9, protocol TCP or UDP; "needle" in every seventh; every tenth is cut somewhere. */
static void make_packets(void)
{
        for (uint32_t i = 0; i < RIG_PACKETS && bytes[i] == NULL; i++) {
                uint32_t wirelen = 60 + i * 7919 % 1400;
                uint32_t caplen = i % 10 == 3 ? i * 31 % wirelen : wirelen;
                uint8_t *p = calloc(1, wirelen);
                uint16_t ip_len = (uint16_t)(wirelen - 14);

                assert_non_null(p);
                p[12] = 8;
                p[14] = 0x45;
                p[16] = (uint8_t)(ip_len >> 8);
                p[17] = (uint8_t)ip_len;
                p[22] = 64;
                p[23] = i % 3 == 0 ? 17 : 6;
                p[26] = p[30] = 10;
                p[29] = (uint8_t)(i % 5);
                p[33] = (uint8_t)(i % 11);
                p[35] = (uint8_t)(i % 10);
                p[37] = (uint8_t)(i / 7 % 10);
                for (uint32_t k = 38; k < wirelen; k++)
                        p[k] = (uint8_t)(i + k);
                if (i % 7 == 0)
                        memcpy(p + 50, "needle", 6);
                bytes[i] = malloc(caplen > 0 ? caplen : 1);
                assert_non_null(bytes[i]);
                memcpy(bytes[i], p, caplen);
                free(p);
                rig_packet[i] = (struct mapi_view){ .data = bytes[i],
                                                    .ts = ((uint64_t)1000 << 32) + (uint64_t)i * 10000000,
                                                    .caplen = caplen,
                                                    .wirelen = wirelen,
                                                    .linktype = 1 };
        }
}

void rig_init(struct rig *r)
{
        make_packets();
        memset(r, 0, sizeof *r);
        r->quota.limit_bytes = (size_t)1 << 30;
        r->arena = arena_new(&r->quota);
        r->segments = segments_new(&r->quota);
        assert_non_null(r->arena);
        assert_non_null(r->segments);
        r->device = (struct mapi_device_facts){ .linktype = 1, .snaplen = 2000, .offline = 1 };
        r->ring_bytes = 16 << 20;
        r->sink_bytes = 1 << 20;
}

void rig_fini(struct rig *r)
{
        graph_free(&r->graph);
        for (uint32_t f = r->flows; f > 0; f--)
                for (uint32_t k = r->flow[f - 1].n; k > 0; k--)
                        instance_free(r->fn[f - 1][k - 1], r->segments);
        arena_free(&r->arena);
        segments_free(&r->segments);
        assert_int_equal(r->quota.used_bytes, 0);
}

uint32_t rig_flow(struct rig *r)
{
        uint32_t f = r->flows++;

        assert_true(f < RIG_FLOWS);
        r->flow[f] = (struct graph_flow){ .number = (int)f + 1, .fn = r->fn[f], .owner = r };
        return f;
}

const struct mapi_function *rig_function(const char *name)
{
        for (const struct mapi_function *const *f = mapi_lib_stdflib; *f != NULL; f++)
                if (strcmp((*f)->name, name) == 0)
                        return *f;
        fail_msg("there is no %s", name);
        return NULL;
}

struct instance *rig_apply(struct rig *r, uint32_t flow, const struct mapi_function *def,
                           const struct mapi_value *values, uint32_t n, struct instance *const *refs,
                           uint32_t nrefs)
{
        struct graph_flow *f = &r->flow[flow];
        struct instance_env env = {
                .arena = r->arena,
                .quota = &r->quota,
                .segments = r->segments,
                .device = &r->device,
                .library = "test",
                .flow = f->number,
                .fid = (int)f->n + 1,
                .seed = f->n,
                .ring_bytes = r->ring_bytes,
                .sink_bytes = r->sink_bytes,
        };
        struct mapi_error err = { 0 };
        struct instance *in;

        assert_true(f->n < RIG_FUNCTIONS);
        if (instance_prepare(def, &env, values, n, refs, nrefs, &in, &err) < 0 || instance_start(in, &err) < 0 ||
            instance_complete(in, r->segments, &err) < 0)
                fail_msg("%s: %s", def->name, err.text);
        r->fn[flow][f->n++] = in;
        return in;
}

struct instance *rig_plain(struct rig *r, uint32_t flow, const char *name)
{
        struct mapi_value zero[3] = { NUM(0), NUM(0), NUM(0) };
        const struct mapi_function *def = rig_function(name);
        uint32_t n = 0;

        while (def->args != NULL && def->args[n].letter != 0)
                n++;
        return rig_apply(r, flow, def, zero, n, NULL, 0);
}

struct instance *rig_filter(struct rig *r, uint32_t flow, const char *expression)
{
        return rig_apply(r, flow, rig_function("BPF_FILTER"), &STR(expression), 1, NULL, 0);
}

struct instance *rig_stats(struct rig *r, uint32_t flow, struct instance *of, const char *ticks)
{
        struct mapi_value v[3] = { NUM(of->flow), NUM(of->fid), STR(ticks) };

        return rig_apply(r, flow, rig_function("STATS"), v, 3, &of, 1);
}

struct instance *rig_watch(struct rig *r, uint32_t flow, struct instance *a, struct instance *b)
{
        struct mapi_value v[4] = { NUM(a->flow), NUM(a->fid), NUM(b->flow), NUM(b->fid) };
        struct instance *refs[2] = { a, b };

        return rig_apply(r, flow, &shapes_watch, v, 4, refs, 2);
}

struct instance *rig_one(struct rig *r, uint32_t flow, const struct mapi_function *def, long long number)
{
        return rig_apply(r, flow, def, &NUM(number), 1, NULL, 0);
}

struct graph_facts rig_compile(struct rig *r, bool count)
{
        struct graph_facts facts;
        struct graph *g = NULL;

        assert_int_equal(graph_compile(r->flow, r->flows, count, &g, NULL), 0);
        graph_free(&r->graph);
        r->graph = g;
        graph_adopt(g, 0);
        graph_facts(g, &facts);
        return facts;
}

void rig_run(struct rig *r, uint32_t from, uint32_t to, uint32_t width)
{
        static struct mapi_batch b;

        while (from < to) {
                b.n = to - from < width ? to - from : width;
                b.parsed = 0;
                memset(b.hdr, 0xee, sizeof b.hdr);
                memcpy(b.pkt, rig_packet + from, b.n * sizeof b.pkt[0]);
                graph_run(r->graph, &b);
                from += b.n;
        }
        graph_publish(r->graph, true);
}

void rig_finish(struct rig *r)
{
        for (uint32_t i = 0; i < graph_flows(r->graph); i++)
                assert_true(graph_finish_flow(r->graph, i, MAPI_FINISH_END, false));
        graph_publish(r->graph, true);
}

stats_t rig_stats_of(const struct instance *in)
{
        stats_t s;

        assert_ptr_equal(in->fn.def, rig_function("STATS"));
        memcpy(&s, in->fn.slot->data, sizeof s);
        return s;
}

struct shapes_tally rig_tally(const struct instance *in)
{
        struct shapes_tally t;

        assert_ptr_equal(in->fn.def, &shapes_tally);
        memcpy(&t, in->fn.slot->data, sizeof t);
        return t;
}

struct shapes_watch rig_watched(const struct instance *in)
{
        struct shapes_watch w;

        assert_ptr_equal(in->fn.def, &shapes_watch);
        memcpy(&w, in->fn.slot->data, sizeof w);
        return w;
}
