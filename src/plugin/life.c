/*
 * What a function of a stranger's must survive, see plugin.h: with the engine itself, in one thread, and with packets that lie in
 * front of memory that nobody may touch.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "plugin/plugin.h"

#include "results/sink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
        FRAMES = 4,
        FRAME_BYTES = 96, /* each is cut at every length */
        STEPS_MAX = 20000,
        BLOCKED_MAX = 8, /* nobody reads the rings: then the flow is closed in the middle */
        MEMORY_STEP = 4096,
        ENOUGH = 64 << 20,
};

/** Strings that some function may take; all are tried. */
static const char *const samples[] = { "1s", "ip or ip6", "1", "e", "+1s", "" };
enum { SAMPLES = sizeof samples / sizeof samples[0] };

/* ---- the device ------------------------------------------------------------------------------------------------ */

struct source {
        uint8_t *pages; /* two for each packet of a batch; the second may not be touched */
        size_t page;
        unsigned at, width;
        bool live;
};

struct life {
        const struct plugin_set *set;
        const struct mapi_function *def;
        const struct plugin_listener *listener;
        struct source source;
        struct engine *engine;
        struct session *session;
        struct device *device;
        struct flow *flow;
        int fd, fid;
};

/** IPv4 and TCP with text, IPv6 and UDP in a VLAN, only ones, only zeros. */
static void fill_frame(uint8_t *to, unsigned which)
{
        static const uint8_t tcp[] = {
                2,    0,    0,   0,   0,   1,   2,   0,   0,   0,   0,   2,   8,   0, /* Ethernet */
                0x45, 0,    0,   82,  0,   1,   0,   0,   64,  6,   0,   0,   10,  0,    0,    1,   10, 0, 0,
                2,    0x13, 136, 0,   80,  0,   0,   0,   1,   0,   0,   0,   1,   0x50, 0x18, 16,  0,  0, 0,
                0,    0,    'G', 'E', 'T', ' ', '/', ' ', 'H', 'T', 'T', 'P', '/', '1',  '.',  '0', 13, 10
        };
        static const uint8_t udp[] = { 2, 0, 0, 0,    0,    1,    2, 0, 0, 0, 0,  2,  0x81,
                                       0, 0, 5, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 38, 17, 64 };

        memset(to, which == 2 ? 0xff : 0, FRAME_BYTES);
        if (which == 0) {
                memset(to, 'e', FRAME_BYTES);
                memcpy(to, tcp, sizeof tcp);
        } else if (which == 1) {
                memcpy(to, udp, sizeof udp);
        }
}

/** Time goes on by a tenth of a second for each packet, once by years, once back. */
static uint64_t time_of(unsigned i)
{
        uint64_t s = 1000000000u + i / 10;

        if (i >= FRAME_BYTES && i < 2 * FRAME_BYTES)
                s += 100000000u;
        return s << 32 | (uint64_t)(i % 10) * 429496729u;
}

static struct source *opening;

static int source_open(const struct mapi_source *src, struct mapi_device_facts *facts, void **ret_state,
                       struct mapi_error *err)
{
        (void)src;
        (void)err;
        facts->linktype = 1;
        facts->snaplen = MAPI_CAPLEN_MAX;
        facts->offline = !opening->live;
        *ret_state = opening;
        return 0;
}

static int source_recv(void *state, struct mapi_batch *b, unsigned most, size_t max_bytes,
                       size_t *ret_needed_bytes, struct mapi_error *err)
{
        struct source *s = state;
        int n = 0;

        (void)err;
        *ret_needed_bytes = 0;
        if (s->at == FRAMES * FRAME_BYTES)
                return s->live ? 0 : MAPI_RECV_END;
        while (s->at < FRAMES * FRAME_BYTES && (unsigned)n < most && (unsigned)n < s->width) {
                uint8_t whole[FRAME_BYTES], *to = s->pages + (size_t)(2 * n + 1) * s->page;
                uint32_t caplen = s->at % FRAME_BYTES + 1;

                if (caplen == FRAME_BYTES) /* and none at all */
                        caplen = 0;
                if (caplen > max_bytes) {
                        *ret_needed_bytes = n > 0 ? 0 : caplen;
                        break;
                }
                max_bytes -= caplen;
                fill_frame(whole, s->at / FRAME_BYTES);
                memcpy(to - caplen, whole, caplen);
                b->pkt[n++] = (struct mapi_view){ .data = to - caplen,
                                                  .ts = time_of(s->at),
                                                  .caplen = caplen,
                                                  .wirelen = s->at % 7 == 0 ? 0 : 1500,
                                                  .linktype = 1 };
                s->at++;
        }
        return n;
}

static void source_release(void *state, struct mapi_batch *b)
{
        (void)state;
        (void)b;
}

static void source_close(void *state)
{
        (void)state;
}

static const struct mapi_driver memory_driver = { .abi = MAPI_DRIVER_ABI,
                                                  .name = "memory",
                                                  .help = "Packets that are made up.",
                                                  .open = source_open,
                                                  .recv = source_recv,
                                                  .release = source_release,
                                                  .close = source_close };

static uint64_t now_s(void *context)
{
        (void)context;
        return 1000000000;
}

/* ---- the world -------------------------------------------------------------------------------------------------- */

static void say(const struct life *l, const char *doing)
{
        char text[128];

        (void)snprintf(text, sizeof text, "%s: %s", l->def->name, doing);
        l->listener->say(l->listener->context, text);
}

static int begin(struct life *l, bool live, unsigned width, size_t memory_bytes, struct mapi_error *err)
{
        struct engine_options engine = { .now_s = now_s, .seed = 42, .count_functions = true };
        struct session_options options = {
                .limits = { .flows = 10,
                            .memory_bytes = memory_bytes,
                            .ring_bytes = 1 << 16,
                            .sink_bytes = 1 << 16 },
                .libraries = l->set->library,
        };
        struct mapi_source src = { .name = "memory", .fd = -1 };
        struct capture c;

        l->device = NULL;
        l->flow = NULL;
        l->source.at = 0;
        l->source.width = width;
        l->source.live = live;
        opening = &l->source;
        l->engine = engine_new(&engine);
        l->session = l->engine == NULL ? NULL : session_new(l->engine, &options);
        if (l->session == NULL)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "a session");
        if (capture_open(&c, &memory_driver, &src, err) < 0)
                return -err->code;
        return engine_device_add(l->engine, &c, 1, "memory", &l->device, err);
}

static void drain(struct life *l)
{
        struct instance *in;

        for (int fid = 0; (in = engine_function(l->flow, fid, true)) != NULL; fid = in->fid)
                for (int i = 0; in->sink != NULL && i < STEPS_MAX && sink_drain(in->sink) != 0; i++)
                        ;
}

static void end(struct life *l)
{
        struct flow *f = NULL;

        if (l->flow != NULL && session_close_begin(l->session, l->fd, &f, NULL) == 0 && f != NULL) {
                engine_flow_finish(f);
                drain(l);
                session_close_end(l->session, f);
        }
        l->flow = NULL;
        if (l->device != NULL)
                engine_device_remove(&l->device);
        if (l->session != NULL)
                session_free(&l->session);
        if (l->engine != NULL)
                engine_free(&l->engine);
}

static int apply(struct life *l, const char *name, const struct mapi_value *values, uint32_t n,
                 struct mapi_error *err)
{
        struct flow *closed = NULL;
        struct instance *in;
        int r = session_apply_begin(l->session, l->fd, name, values, n, &in, err);

        if (r < 0)
                return r;
        return session_apply_end(l->session, l->fd, in, instance_start(in, err), &closed, err);
}

static void set_value(const struct life *l, const struct mapi_arg_spec *a, const char *sample, const char *list,
                      int source, struct mapi_value *v)
{
        *v = (struct mapi_value){ .fd = -1 };
        switch (a->letter) {
        case 's':
                v->str = a->optional && sample == samples[0] ? NULL : sample;
                break;
        case 'S':
                v->str = list;
                break;
        case 'R':
                v->str = strchr(list, '@') + 1;
                break;
        case 'w':
                v->str = "memory";
                v->fd = memfd_create("plugin", MFD_CLOEXEC);
                break;
        case 'r':
                v->num = l->fd;
                break;
        case 'f':
                v->num = source;
                break;
        default:
                v->num = a->optional ? a->def : a->min < a->max && a->min > 1 ? a->min : 1;
                if (!a->optional && a->min < a->max && a->max < 1)
                        v->num = a->max;
                v->u64 = (uint64_t)v->num;
        }
}

/** A flow with the function, behind a counter that it may read. Its fid, or what it says. */
static int create(struct life *l, const char *sample, struct mapi_error *err)
{
        const struct mapi_arg_spec *a = l->def->args;
        struct mapi_value values[MAPI_ARGS_MAX];
        char name[2 * MAPI_LIBRARY_NAME_MAX + 2], list[64];
        int source, r = session_create_flow(l->session, l->device, 0, err);
        uint32_t n = 0;

        if (r < 0)
                return r;
        l->fd = r;
        l->flow = session_flow(l->session, r);
        source = apply(l, "stdflib:PKT_COUNTER", NULL, 0, err);
        if (source < 0)
                return source;
        (void)snprintf(list, sizeof list, "%d@%d", source, l->fd);
        for (; a != NULL && n < MAPI_ARGS_MAX && a[n].letter != '\0'; n++)
                set_value(l, &a[n], sample, list, source, &values[n]);
        (void)snprintf(name, sizeof name, "%s:%s", l->set->library[l->set->n - 1].name, l->def->name);
        l->fid = apply(l, name, values, n, err);
        return l->fid;
}

static int told(const struct life *l, int r, const struct mapi_error *said, struct mapi_error *err)
{
        if (said->code == -r)
                return 0;
        return mapi_fail(err, MAPI_LIBRARY_LOAD_ERR, "%s fails with %d and says nothing (mapi_fail())",
                         l->def->name, r);
}

/* ---- lives ------------------------------------------------------------------------------------------------------ */

static void run(struct life *l)
{
        unsigned blocked = 0;

        for (unsigned i = 0; i < STEPS_MAX && blocked < BLOCKED_MAX; i++) {
                enum engine_state state = engine_step(l->device, 1);

                drain(l);
                if (state == ENGINE_FINISHED || state == ENGINE_IDLE || state == ENGINE_STOPPED)
                        return;
                blocked += state == ENGINE_BLOCKED;
        }
}

/** A batch without packets for the function, which may return none. */
static int empty_batch(struct life *l, struct mapi_error *err)
{
        struct instance *in = engine_function(l->flow, l->fid, false);
        struct mapi_batch *b = l->def->run == NULL || in == NULL ? NULL : calloc(1, sizeof *b);
        mapi_sel passed = 0;

        if (b == NULL)
                return 0;
        say(l, ".run with no packet");
        passed = l->def->run(&in->fn, b, 0);
        free(b);
        return passed == 0 ? 0
                           : mapi_fail(err, MAPI_LIBRARY_LOAD_ERR, "%s lets packets pass that it was not given",
                                       l->def->name);
}

/** A trace to its end. */
static int offline(struct life *l, const char *sample, unsigned width, struct mapi_error *err)
{
        int r = begin(l, false, width, ENOUGH, err);

        say(l, "making it");
        if (r == 0)
                r = create(l, sample, err);
        if (r > 0)
                r = session_connect(l->session, l->fd, err);
        if (r == 0) {
                say(l, ".run and .finish, a trace");
                engine_device_start(l->device);
                run(l);
        }
        say(l, "closing it");
        end(l);
        return r;
}

/** A live device: packets, silence, a result made anew, closed in the middle. */
static int live(struct life *l, const char *sample, struct mapi_error *err)
{
        static const int64_t later_s[] = { 0, 1, 60, 400000000, -10 };
        int r = begin(l, true, MAPI_BATCH_MAX, ENOUGH, err);

        say(l, "making it");
        if (r == 0)
                r = create(l, sample, err);
        if (r > 0)
                r = session_connect(l->session, l->fd, err);
        if (r == 0) {
                struct instance *in = engine_function(l->flow, l->fid, false);

                say(l, ".run, a live device");
                engine_device_start(l->device);
                run(l);
                say(l, ".tick");
                for (size_t i = 0; i < sizeof later_s / sizeof later_s[0]; i++)
                        engine_tick(l->device, (uint64_t)(1000000000 + later_s[i]) << 32);
                say(l, ".reset");
                instance_snapshot(in);
                (void)instance_reset(in, in->flow);
                say(l, ".run after .reset");
                l->source.at = FRAME_BYTES / 2;
                run(l);
                r = empty_batch(l, err);
        }
        say(l, "closing it before the end");
        end(l);
        return r;
}

/** Every length of memory until it is enough. */
static int little_memory(struct life *l, const char *sample, struct mapi_error *err)
{
        int r = -1, wrong;

        say(l, "making it without memory");
        for (size_t limit = 0; r < 0 && limit < ENOUGH; limit += limit < 64 * MEMORY_STEP ? MEMORY_STEP : limit) {
                struct mapi_error said = { 0 };

                r = begin(l, false, 1, limit, &said);
                if (r == 0)
                        r = create(l, sample, &said);
                end(l);
                wrong = r < 0 ? told(l, r, &said, err) : 0;
                if (wrong < 0)
                        return wrong;
        }
        return 0;
}

static int all(struct life *l, struct mapi_error *err)
{
        const char *fits = NULL;
        int r;

        for (size_t i = 0; i < SAMPLES; i++) { /* applied, never connected, closed */
                struct mapi_error said = { 0 };

                r = begin(l, false, 1, ENOUGH, err);
                if (r < 0)
                        return r;
                say(l, ".start");
                r = create(l, samples[i], &said);
                if (r > 0 && fits == NULL)
                        fits = samples[i];
                say(l, "closing it before it is connected");
                end(l);
                r = r < 0 ? told(l, r, &said, err) : 0;
                if (r < 0)
                        return r;
        }
        r = little_memory(l, fits == NULL ? samples[0] : fits, err);
        if (r < 0 || fits == NULL) /* it does not like these arguments, which is its right */
                return r;
        r = offline(l, fits, MAPI_BATCH_MAX, err);
        if (r == 0)
                r = offline(l, fits, 1, err);
        return r == 0 ? live(l, fits, err) : r;
}

int plugin_live(const struct plugin_set *set, const struct mapi_function *def,
                const struct plugin_listener *listener, struct mapi_error *err)
{
        struct life l = { .set = set, .def = def, .listener = listener };
        size_t page = (size_t)sysconf(_SC_PAGESIZE), size = 2 * MAPI_BATCH_MAX * page;
        int r;

        l.source.page = page;
        l.source.pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (l.source.pages == MAP_FAILED)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "packets for %s", def->name);
        for (size_t i = 0; i < MAPI_BATCH_MAX; i++)
                (void)mprotect(l.source.pages + (2 * i + 1) * page, page, PROT_NONE);
        r = all(&l, err);
        (void)munmap(l.source.pages, size);
        return r < 0 ? r : 0;
}
