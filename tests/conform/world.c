/* A whole engine in one thread, see world.h. SPDX-License-Identifier: BSD-2-Clause */
#include "world.h"

#include "drivers/table.h"
#include "functions/table.h"
#include "shapes.h"

#include <mapi.h>

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- packets and the device that has them ----------------------------------------------------------------- */

void world_packets_add(struct world_packets *p, const uint8_t *data, uint32_t caplen, uint32_t wirelen,
                       uint64_t ts)
{
        uint8_t *copy = malloc(caplen > 0 ? caplen : 1);

        if (p->n == p->max) {
                p->max = p->max == 0 ? 256 : 2 * p->max;
                p->pkt = realloc(p->pkt, p->max * sizeof *p->pkt);
        }
        assert_non_null(copy);
        assert_non_null(p->pkt);
        memcpy(copy, data, caplen);
        p->pkt[p->n++] = (struct mapi_view){
                .data = copy, .ts = ts, .caplen = caplen, .wirelen = wirelen, .linktype = p->linktype
        };
}

void world_packets_free(struct world_packets *p)
{
        for (size_t i = 0; i < p->n; i++)
                free((uint8_t *)(uintptr_t)p->pkt[i].data);
        free(p->pkt);
        *p = (struct world_packets){ 0 };
}

struct world_packets world_packets_of(const char *path)
{
        struct mapi_source src = { .name = path, .fd = -1 };
        struct mapi_device_facts facts = { 0 };
        struct world_packets p = { 0 };
        static struct mapi_batch b;
        struct mapi_error err;
        size_t needed;
        void *state;
        int n;

        assert_int_equal(mapi_drv_trace.open(&src, &facts, &state, &err), 0);
        p.linktype = facts.linktype;
        while ((n = mapi_drv_trace.recv(state, &b, MAPI_BATCH_MAX, SIZE_MAX, &needed, &err)) > 0) {
                for (int i = 0; i < n; i++)
                        world_packets_add(&p, b.pkt[i].data, b.pkt[i].caplen, b.pkt[i].wirelen, b.pkt[i].ts);
                mapi_drv_trace.release(state, &b);
        }
        mapi_drv_trace.close(state);
        return p;
}

struct memory {
        const struct world_packets *p;
        size_t at;
        unsigned width;
};

static struct memory opening; /* what the next open is about */

static int memory_open(const struct mapi_source *src, struct mapi_device_facts *facts, void **ret_state,
                       struct mapi_error *err)
{
        struct memory *m = malloc(sizeof *m);

        (void)src;
        (void)err;
        assert_non_null(m);
        *m = opening;
        facts->linktype = m->p->linktype;
        facts->snaplen = MAPI_CAPLEN_MAX;
        *ret_state = m;
        return 0;
}

static int memory_recv(void *state, struct mapi_batch *b, unsigned most, size_t max_bytes,
                       size_t *ret_needed_bytes, struct mapi_error *err)
{
        struct memory *m = state;
        int n = 0;

        (void)err;
        if (m->at == m->p->n)
                return MAPI_RECV_END;
        while (m->at < m->p->n && (unsigned)n < most && (unsigned)n < m->width) {
                const struct mapi_view *v = &m->p->pkt[m->at];

                if (v->caplen > max_bytes) {
                        *ret_needed_bytes = n > 0 ? 0 : v->caplen;
                        break;
                }
                max_bytes -= v->caplen;
                b->pkt[n++] = *v;
                m->at++;
        }
        return n;
}

static void memory_release(void *state, struct mapi_batch *b)
{
        (void)state;
        (void)b;
}

static const struct mapi_driver memory_driver = {
        .abi = MAPI_DRIVER_ABI,
        .name = "memory",
        .help = "Packets of a test.",
        .traits = MAPI_DRV_OFFLINE,
        .open = memory_open,
        .recv = memory_recv,
        .release = memory_release,
        .close = free,
};

/* ---- the engine -------------------------------------------------------------------------------------------- */

static uint64_t now_s(void *context)
{
        (void)context;
        return 1000000000;
}

const struct mapi_function *world_function(unsigned i, const char **ret_library)
{
        for (const struct functions_library *l = functions_libraries; l->name != NULL; l++)
                for (const struct mapi_function *const *f = l->functions; *f != NULL; f++)
                        if (i-- == 0) {
                                *ret_library = l->name;
                                return *f;
                        }
        for (const struct mapi_function *const *f = shapes; *f != NULL; f++)
                if (i-- == 0) {
                        *ret_library = "testlib";
                        return *f;
                }
        return NULL;
}

void world_open(struct world *w, size_t memory_bytes)
{
        static struct session_library libraries[16];
        struct engine_options engine = { .now_s = now_s, .seed = 42 };
        struct session_options options = {
                .limits = { .flows = 100,
                            .memory_bytes = memory_bytes,
                            .ring_bytes = 1 << 20,
                            .sink_bytes = 1 << 20 },
                .libraries = libraries,
        };
        size_t n = 0;

        for (const struct functions_library *l = functions_libraries; l->name != NULL; l++)
                libraries[n++] = (struct session_library){ .name = l->name, .functions = l->functions };
        libraries[n++] = (struct session_library){ .name = "testlib", .functions = shapes };
        *w = (struct world){ .engine = engine_new(&engine) };
        assert_non_null(w->engine);
        w->session = session_new(w->engine, &options);
}

void world_device(struct world *w, const struct world_packets *p, unsigned width)
{
        struct mapi_source src = { .name = "memory", .fd = -1 };
        struct mapi_error err;
        struct capture c;

        opening = (struct memory){ .p = p, .width = width };
        assert_int_equal(capture_open(&c, &memory_driver, &src, &err), 0);
        assert_int_equal(engine_device_add(w->engine, &c, -1, "memory", &w->device, &err), 0);
}

/* ---- arguments made from the schema ------------------------------------------------------------------------- */

/** Where the schema alone cannot tell: strings, by the name of the argument. */
static const char *sample_string(const char *name)
{
        static const struct {
                const char *name, *value;
        } sample[] = { { "expression", "ip or ip6" },
                       { "pattern", "e||a" },
                       { "ticks", "1s" },
                       { "bytes", "e" },
                       { "start", "+1s" },
                       { "stop", "+10s" },
                       { "interval", "1s" },
                       { "min", "0" },
                       { "max", "10s" },
                       { "formats", "1" },
                       { "header", "TEST" } };

        for (size_t i = 0; i < sizeof sample / sizeof sample[0]; i++)
                if (strcmp(sample[i].name, name) == 0)
                        return sample[i].value;
        fail_msg("no sample for the string argument '%s': add one line", name);
        return NULL;
}

static int apply(struct world *w, const char *name, const struct mapi_value *values, uint32_t n,
                 struct mapi_error *err)
{
        struct flow *closed = NULL;
        struct instance *in;
        int r = session_apply_begin(w->session, w->fd, name, values, n, &in, err);

        if (r < 0)
                return r;
        r = session_apply_end(w->session, w->fd, in, instance_start(in, err), &closed, err);
        assert_null(closed);
        return r;
}

int world_apply(struct world *w, const struct mapi_function *def, const char *library, int break_at,
                struct mapi_error *err)
{
        struct mapi_value size[1] = { { .num = 1, .fd = -1 } }; /* PKTINFO of sizes: what readers read */
        struct mapi_value values[MAPI_ARGS_MAX];
        char name[64], list[32];
        int r, source = 0;
        uint32_t n = 0;

        r = session_create_flow(w->session, w->device, 0, err);
        if (r < 0)
                return r;
        w->fd = r;
        w->flow = session_flow(w->session, r);
        w->file[0] = '\0';
        for (uint32_t i = 0; def->args != NULL && def->args[i].letter != '\0'; i++)
                if (strchr("rS", def->args[i].letter) != NULL && source == 0) {
                        source = apply(w, "PKTINFO", size, 1, err);
                        if (source < 0)
                                return source;
                }
        for (; def->args != NULL && def->args[n].letter != '\0'; n++) {
                const struct mapi_arg_spec *s = &def->args[n];
                bool broken = break_at == (int)n;

                values[n] = (struct mapi_value){ .fd = -1 };
                switch (s->letter) {
                case 's':
                        values[n].str = broken ? NULL : sample_string(s->name);
                        break;
                case 'r':
                        values[n].num = broken ? 4711 : w->fd;
                        break;
                case 'f':
                        values[n].num = broken ? 4711 : source;
                        break;
                case 'S':
                        (void)snprintf(list, sizeof list, "%d@%d", source, broken ? 4711 : w->fd);
                        values[n].str = list;
                        break;
                case 'R':
                        (void)snprintf(list, sizeof list, "%d", broken ? 4711 : w->fd);
                        values[n].str = list;
                        break;
                case 'w':
                        (void)snprintf(w->file, sizeof w->file, "conform-XXXXXX");
                        values[n].fd = mkstemp(w->file);
                        assert_true(values[n].fd >= 0);
                        values[n].str = w->file;
                        if (broken) {
                                (void)close(values[n].fd);
                                values[n].fd = -1;
                        }
                        break;
                case 'l':
                        values[n].u64 = 0;
                        break;
                default: /* 1 if that may be, else what is nearest to it */
                        values[n].num = s->min < s->max && s->min > 1 ? s->min : 1;
                        if (strcmp(s->name, "format") == 0)
                                values[n].num = 0;
                        if (broken)
                                values[n].num = s->max + 1;
                }
        }
        (void)snprintf(name, sizeof name, "%s:%s", library, def->name);
        r = apply(w, name, values, n, err);
        w->fid = r;
        return r;
}

/* ---- running ------------------------------------------------------------------------------------------------- */

static void drain(struct world *w)
{
        struct instance *in;

        for (int fid = 0; (in = engine_function(w->flow, fid, true)) != NULL; fid = in->fid)
                while (in->sink != NULL && sink_drain(in->sink))
                        ;
}

void world_run(struct world *w, unsigned steps_max)
{
        struct mapi_error err;

        assert_int_equal(session_connect(w->session, w->fd, &err), 0);
        engine_device_start(w->device);
        for (unsigned i = 0; i < steps_max; i++) {
                enum engine_state state = engine_step(w->device, 1);

                drain(w);
                if (state == ENGINE_FINISHED)
                        return;
                assert_true(state == ENGINE_WORKED || state == ENGINE_BLOCKED);
        }
}

static void append(struct world_outcome *o, const void *bytes, size_t n)
{
        if (n == 0)
                return;
        o->bytes = realloc(o->bytes, o->n + n);
        assert_non_null(o->bytes);
        memcpy(o->bytes + o->n, bytes, n);
        o->n += n;
}

struct world_outcome world_outcome(struct world *w)
{
        struct instance *in = engine_function(w->flow, w->fid, false);
        struct world_outcome o = { 0 };
        char buf[4096];
        ssize_t n;
        int fd;

        assert_non_null(in);
        if (in->fn.slot != NULL)
                append(&o, in->fn.slot->data, in->fn.result_size);
        if (in->ring != NULL)
                append(&o, in->ring->data, (size_t)in->ring->head);
        if (w->file[0] != '\0') {
                fd = open(w->file, O_RDONLY | O_CLOEXEC);
                assert_true(fd >= 0);
                while ((n = read(fd, buf, sizeof buf)) > 0)
                        append(&o, buf, (size_t)n);
                (void)close(fd);
        }
        return o;
}

void world_close(struct world *w)
{
        struct mapi_error err;
        struct flow *f;
        int error;

        if (w->fd > 0) {
                assert_int_equal(session_close_begin(w->session, w->fd, &f, &err), 0);
                assert_ptr_equal(f, w->flow);
                assert_true(engine_device_settled(w->device));
                engine_flow_finish(f);
                drain(w);
                assert_true(engine_flow_drained(f, &error));
                session_close_end(w->session, f);
        }
        if (w->file[0] != '\0')
                (void)unlink(w->file);
        engine_device_remove(&w->device);
        session_free(&w->session);
        engine_free(&w->engine);
}

int world_descriptors(void)
{
        DIR *d = opendir("/proc/self/fd");
        int n = 0;

        assert_non_null(d);
        while (readdir(d) != NULL)
                n++;
        (void)closedir(d);
        return n;
}
