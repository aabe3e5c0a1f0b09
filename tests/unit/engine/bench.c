/* An engine on the bench, see bench.h. SPDX-License-Identifier: BSD-2-Clause */
#include "bench.h"

#include <dirent.h>

/* ---- the driver --------------------------------------------------------------------------------------------- */

static void forget(struct script *s)
{
        for (unsigned i = 0; i < s->lent; i++)
                free(s->bytes[i]);
        s->lent = 0;
}

static int play_recv(void *state, struct mapi_batch *b, unsigned most, size_t max_bytes, size_t *ret_needed_bytes,
                     struct mapi_error *err)
{
        struct script *s = state;
        unsigned n = 0;

        assert_int_equal(s->lent, 0);
        assert_true(most >= 1 && most <= MAPI_BATCH_MAX);
        if (s->hook != NULL)
                s->hook(s);
        if (s->needs != 0) {
                *ret_needed_bytes = s->needs;
                return 0;
        }
        if (s->idle_at != 0 && s->at == s->idle_at && !s->idle_done) {
                s->idle_done = true;
                return 0;
        }
        if (s->damage_at != 0 && s->at == s->damage_at)
                return mapi_fail(err, MAPI_TRACE_DAMAGED, "at packet %u", (unsigned)s->at);
        if (s->at == s->packets)
                return MAPI_RECV_END;
        while (n < most && s->at < s->packets && (s->width == 0 || n < s->width)) {
                struct mapi_view v = rig_packet[s->at % RIG_PACKETS];
                uint32_t own = v.caplen;
                uint8_t *copy;

                if (n > 0 && ((s->idle_at == s->at && !s->idle_done) || s->damage_at == s->at))
                        break;
                if (s->long_at != 0 && s->at == s->long_at)
                        v.caplen = v.wirelen = s->long_bytes;
                if (v.caplen > max_bytes) {
                        if (n == 0) {
                                s->needed++;
                                *ret_needed_bytes = v.caplen;
                                return 0;
                        }
                        break;
                }
                copy = calloc(1, v.caplen > 0 ? v.caplen : 1);
                assert_non_null(copy);
                memcpy(copy, v.data, v.caplen < own ? v.caplen : own);
                max_bytes -= v.caplen;
                v.data = copy;
                v.ts += (s->at / RIG_PACKETS) << 40;
                s->bytes[n] = copy;
                b->pkt[n++] = v;
                s->at++;
        }
        s->lent = n;
        return (int)n;
}

static void play_release(void *state, struct mapi_batch *b)
{
        (void)b;
        forget(state);
}

static void play_close(void *state)
{
        struct script *s = state;

        forget(s);
        s->closed++;
}

static void play_stats(void *state, struct mapi_driver_stats *ret)
{
        const struct script *s = state;

        ret->dropped = __atomic_load_n(&s->lost, __ATOMIC_RELAXED);
        ret->if_dropped = __atomic_load_n(&s->if_lost, __ATOMIC_RELAXED);
        ret->down = s->down;
}

static int play_open(const struct mapi_source *src, struct mapi_device_facts *facts, void **ret_state,
                     struct mapi_error *err)
{
        (void)src;
        (void)facts;
        (void)ret_state;
        return mapi_fail(err, MAPID_NO_DRIVER, "not this way");
}

static const struct mapi_driver player = {
        .abi = MAPI_DRIVER_ABI,
        .name = "player",
        .help = "Plays a script.",
        .open = play_open,
        .recv = play_recv,
        .release = play_release,
        .stats = play_stats,
        .close = play_close,
};

/* ---- the engine --------------------------------------------------------------------------------------------- */

static uint64_t now_s(void *context)
{
        (void)context;
        return BENCH_NOW;
}

struct engine *bench_engine(uint64_t seed)
{
        struct engine_options o = { .now_s = now_s, .seed = seed };
        struct engine *e = engine_new(&o);

        assert_non_null(e);
        return e;
}

struct device *bench_device(struct engine *e, struct script *s, bool offline)
{
        struct capture c = { .driver = &player,
                             .state = s,
                             .facts = { .linktype = 1, .snaplen = 2000, .offline = offline } };
        struct device *d = NULL;

        assert_int_equal(engine_device_add(e, &c, -1, "player", &d, NULL), 0);
        return d;
}

void bench_init(struct bench *b, uint64_t packets, bool offline)
{
        struct rig rig; /* makes the packets */

        rig_init(&rig);
        rig_fini(&rig);
        memset(b, 0, sizeof *b);
        b->quota.limit_bytes = (size_t)1 << 30;
        b->segments = segments_new(&b->quota);
        assert_non_null(b->segments);
        b->script.packets = packets;
        b->engine = bench_engine(1);
        b->device = bench_device(b->engine, &b->script, offline);
        b->home = (struct flow_home){
                .quota = &b->quota, .segments = b->segments, .ring_bytes = 4096, .sink_bytes = 4096, .owner = b
        };
}

void bench_fini(struct bench *b)
{
        struct engine_device_facts facts;

        engine_device_facts(b->device, &facts);
        assert_int_equal(facts.flows, 0);
        engine_device_remove(&b->device);
        assert_null(b->device);
        engine_device_remove(&b->device);
        assert_int_equal(b->script.closed, 1);
        engine_free(&b->engine);
        engine_free(&b->engine);
        segments_free(&b->segments);
        assert_int_equal(b->quota.used_bytes, 0);
}

struct flow *bench_flow(struct bench *b)
{
        struct mapi_error err = { 0 };
        struct flow *f;

        if (engine_flow_new(b->engine, b->device, &b->home, &f, &err) < 0)
                fail_msg("%s", err.text);
        return f;
}

struct instance *bench_apply(struct flow *f, const struct mapi_function *def, const struct mapi_value *values,
                             uint32_t n, struct instance *const *refs, uint32_t nrefs)
{
        struct mapi_error err = { 0 };
        struct instance *in;
        int r = engine_apply_begin(f, def, "test", values, n, refs, nrefs, &in, &err);

        if (r == 0)
                r = engine_apply_end(f, in, instance_start(in, &err), &err);
        if (r <= 0)
                fail_msg("%s: %s", def->name, err.text);
        assert_ptr_equal(engine_function(f, r, false), in);
        return in;
}

struct instance *bench_plain(struct flow *f, const char *name)
{
        const struct mapi_value zero[3] = { NUM(0), NUM(0), NUM(0) };
        const struct mapi_function *def = rig_function(name);
        uint32_t n = 0;

        while (def->args != NULL && def->args[n].letter != 0)
                n++;
        return bench_apply(f, def, zero, n, NULL, 0);
}

struct instance *bench_filter(struct flow *f, const char *expression)
{
        return bench_apply(f, rig_function("BPF_FILTER"), &STR(expression), 1, NULL, 0);
}

struct instance *bench_stats(struct flow *f, struct instance *of, const char *ticks)
{
        struct mapi_value v[3] = { NUM(of->flow), NUM(of->fid), STR(ticks) };

        return bench_apply(f, rig_function("STATS"), v, 3, &of, 1);
}

void bench_connect(struct flow *f)
{
        struct mapi_error err = { 0 };

        if (engine_flow_connect(f, &err) < 0)
                fail_msg("%s", err.text);
}

void bench_close(struct flow *f)
{
        struct device *d = engine_flow_device(f);

        assert_int_equal(engine_flow_detach(f, NULL), 0);
        assert_true(engine_device_settled(d));
        engine_device_reap(d);
        engine_flow_finish(f);
        engine_flow_free(&f);
        assert_null(f);
}

enum mapi_flow_status bench_status(const struct flow *f)
{
        const struct results_flow *s = engine_flow_place(f)->mem;

        return (enum mapi_flow_status)__atomic_load_n(&s->status, __ATOMIC_ACQUIRE);
}

enum engine_state bench_run(struct bench *b)
{
        enum engine_state state;

        while ((state = engine_step(b->device, 3)) == ENGINE_WORKED)
                ;
        return state;
}

void bench_map(struct ring_reader *r, const struct instance *in)
{
        if (r->shared == NULL)
                r->shared = in->ring->shared;
        assert_int_equal(ring_reader_map(r, in->ring->fd, in->ring->size, in->ring->generation), 0);
}

enum ring_state bench_read(struct ring_reader *r, uint64_t *next)
{
        enum ring_state state;
        struct mapipkt *p;

        while ((state = ring_reader_next(r, (void **)&p)) == RING_PACKET) {
                const struct mapi_view *v = &rig_packet[*next % RIG_PACKETS];

                assert_int_equal(p->ts, v->ts + ((*next / RIG_PACKETS) << 40));
                if (p->caplen < 2000) { /* not the long one */
                        assert_int_equal(p->caplen, v->caplen);
                        assert_int_equal(memcmp(&p->pkt, v->data, v->caplen), 0);
                }
                ++*next;
        }
        return state;
}

unsigned bench_descriptors(void)
{
        DIR *dir = opendir("/proc/self/fd");
        unsigned n = 0;

        assert_non_null(dir);
        while (readdir(dir) != NULL)
                n++;
        closedir(dir);
        return n;
}
