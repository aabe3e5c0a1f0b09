/* Flows: applying, connecting, closing. Control thread. SPDX-License-Identifier: BSD-2-Clause */
#include "engine/internal.h"

#include "results/event.h"

#include <mapi.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int engine_flow_new(struct engine *e, struct device *d, const struct flow_home *home, struct flow **ret,
                    struct mapi_error *err)
{
        struct arena *a = arena_new(home->quota);
        struct flow *f = a == NULL ? NULL : arena_alloc(a, sizeof *f);
        int r;

        if (f == NULL) {
                arena_free(&a);
                return mapi_fail(err, MAPI_LIMIT_ERROR, "no memory for another flow in this session");
        }
        f->mark = calloc(1, sizeof *f->mark);
        if (f->mark == NULL) {
                arena_free(&a);
                return mapi_fail(err, MAPI_LIMIT_ERROR, "no memory for another flow in this session");
        }
        f->mark->users = 1;
        f->device = d;
        f->arena = a;
        f->home = *home;
        f->event_fd = -1;
        f->number = home->number != 0 ? home->number : e->last_flow + 1;
        r = segments_alloc(home->segments, RESULTS_FLOW, f->number, 0, sizeof(struct results_flow), 1,
                           MAPI_COMBINE_SERIAL, &f->place, err);
        if (r < 0) {
                flow_mark_put(f->mark);
                arena_free(&a);
                return r;
        }
        if (f->number > e->last_flow)
                e->last_flow = f->number;
        d->nflows++;
        *ret = f;
        return 0;
}

int engine_flow_number(const struct flow *f)
{
        return f->number;
}

struct device *engine_flow_device(const struct flow *f)
{
        return f->device;
}

/** A ring or queue behind transformers must hold what one packet of the device may become, twice (graph_want_room). */
static uint64_t queue_bytes(const struct flow *f, uint64_t wanted)
{
        uint64_t packets = 1, bytes = MAPI_CAPLEN_MAX, need;

        for (uint32_t k = 0; k < f->n; k++) {
                const struct mapi_fn *fn = &f->fn[k]->fn;

                if (fn->def->shape == MAPI_TRANSFORMER) {
                        packets *= fn->emit_count;
                        bytes = fn->emit_caplen;
                }
        }
        need = 2 * packets * (bytes + 128);
        return need > wanted ? need : wanted;
}

int engine_apply_begin(struct flow *f, const struct mapi_function *def, const char *library,
                       const struct mapi_value *values, uint32_t nvalues, struct instance *const *refs,
                       uint32_t nrefs, struct instance **ret, struct mapi_error *err)
{
        struct instance_env env = {
                .arena = f->arena,
                .quota = f->home.quota,
                .segments = f->home.segments,
                .device = &f->device->capture.facts,
                .compiler = &f->device->engine->options.compiler,
                .library = library,
                .flow = f->number,
                .fid = f->last_fid + 1,
                .seed = f->device->engine->options.seed + (uint64_t)f->number * 0x9e3779b97f4a7c15u +
                        (uint64_t)f->last_fid,
                .ring_bytes = queue_bytes(f, f->home.ring_bytes),
                .sink_bytes = queue_bytes(f, f->home.sink_bytes),
        };

        return instance_prepare(def, &env, values, nvalues, refs, nrefs, ret, err);
}

int engine_apply_end(struct flow *f, struct instance *in, int started, struct mapi_error *err)
{
        int r = started;

        if (r == 0)
                r = instance_complete(in, f->home.segments, err);
        if (r == 0 && f->n == FUNCTIONS_PER_FLOW_MAX)
                r = mapi_fail(err, MAPI_LIMIT_ERROR, "a flow may have %d functions", FUNCTIONS_PER_FLOW_MAX);
        if (r < 0) {
                instance_free(in, f->home.segments);
                return r;
        }
        if (in->ring != NULL)
                in->ring->event_fd = f->event_fd;
        f->fn[f->n++] = in;
        f->last_fid = in->fid;
        return in->fid;
}

struct flow_mark *engine_flow_mark(struct flow *f)
{
        return f->mark;
}

struct instance *engine_function(const struct flow *f, int fid, bool next)
{
        for (uint32_t k = 0; k < f->n; k++)
                if (next ? f->fn[k]->fid > fid : f->fn[k]->fid == fid)
                        return f->fn[k];
        return NULL;
}

uint32_t engine_flow_functions(const struct flow *f)
{
        return f->n;
}

int engine_flow_connect(struct flow *f, struct mapi_error *err)
{
        struct results_flow *status = f->place.mem;
        struct flow **at = &f->device->flows;
        int r;

        if (f->state != FLOW_NEW)
                return mapi_fail(err, MDLIB_FLOW_ALREADY_ACTIVE, "flow %d", f->number);
        while (*at != NULL && (*at)->number < f->number)
                at = &(*at)->next;
        f->next = *at;
        *at = f;
        device_stats(f->device, &f->lost_before);
        __atomic_store_n(&status->status, FLOW_ACTIVE, __ATOMIC_RELEASE);
        r = device_publish(f->device, err);
        if (r < 0) {
                *at = f->next;
                __atomic_store_n(&status->status, FLOW_INIT, __ATOMIC_RELEASE);
                return r;
        }
        f->state = FLOW_CONNECTED;
        return 0;
}

bool engine_flow_connected(const struct flow *f)
{
        return f->state == FLOW_CONNECTED;
}

const struct segment_place *engine_flow_place(const struct flow *f)
{
        return &f->place;
}

/** From then until now. What a driver counts does not go back; if it does, nothing was lost. */
static uint64_t since(uint64_t then, uint64_t now)
{
        return now > then ? now - then : 0;
}

/** Packets that waited in the queue of a file when writing it failed; they were counted as delivered. */
static uint64_t lost_in_files(const struct flow *f)
{
        uint64_t most = 0;

        for (uint32_t k = 0; k < f->n; k++) {
                const struct instance *in = f->fn[k];
                uint64_t lost = in->sink == NULL ? 0 : __atomic_load_n(&in->sink->lost, __ATOMIC_RELAXED);

                lost = lost < in->passed ? lost : in->passed; /* the file's own head is no packet */
                most = lost > most ? lost : most;             /* two files may have lost the same packets */
        }
        return most < f->account.delivered ? most : f->account.delivered;
}

void engine_flow_account(const struct flow *f, struct engine_account *ret)
{
        const struct flow_account *a = &f->account;
        struct mapi_driver_stats stats;
        uint64_t packets, lost;

        *ret = (struct engine_account){ 0 };
        for (uint32_t k = 0; k < f->n; k++)
                ret->emit_dropped += f->fn[k]->emit_dropped;
        device_stats(f->device, &stats);
        ret->down = stats.down != 0;
        if (f->state == FLOW_NEW)
                return;
        packets = f->taken_up ? stats.received - f->packets_before : 0;
        lost = lost_in_files(f);
        ret->delivered = a->delivered - lost;
        ret->dropped_ring = a->dropped_ring;
        ret->dropped_file = a->dropped_file + lost;
        ret->filtered = packets - a->delivered - a->dropped_ring - a->dropped_file;
        ret->dropped_kernel = since(f->lost_before.dropped, stats.dropped);
        ret->dropped_interface = since(f->lost_before.if_dropped, stats.if_dropped);
        ret->seen = packets + ret->dropped_kernel + ret->dropped_interface;
}

int engine_flow_event(struct flow *f, int fd)
{
        if (f->event_fd >= 0)
                return -1;
        f->event_fd = fd;
        for (uint32_t k = 0; k < f->n; k++)
                if (f->fn[k]->ring != NULL)
                        f->fn[k]->ring->event_fd = fd;
        event_signal(fd);
        return 0;
}

int engine_flow_event_fd(const struct flow *f)
{
        return f->event_fd;
}

int engine_flow_detach(struct flow *f, struct mapi_error *err)
{
        struct flow **at = &f->device->flows;
        int r;

        if (f->state != FLOW_CONNECTED) {
                f->state = FLOW_DETACHED;
                return 0;
        }
        while (*at != f)
                at = &(*at)->next;
        *at = f->next;
        r = device_publish(f->device, err);
        if (r < 0) { /* no memory for a smaller plan: the flow stays where it is */
                f->next = *at;
                *at = f;
                return r;
        }
        f->state = FLOW_DETACHED;
        return 0;
}

void engine_flow_finish(struct flow *f)
{
        struct results_flow *status = f->place.mem;
        struct graph_flow one = {
                .number = f->number, .n = f->n, .fn = f->fn, .owner = f, .account = &f->account
        };
        struct graph *g;

        if (__atomic_load_n(&status->status, __ATOMIC_ACQUIRE) == FLOW_ACTIVE) {
                /* A plan of its own, so that what its functions still emit finds its way. Without memory for one, it is lost. */
                if (graph_compile(&one, 1, false, &g, NULL) == 0) {
                        graph_adopt(g, f->number);
                        (void)graph_finish_flow(g, 0, MAPI_FINISH_CLOSE, false);
                        graph_free(&g);
                }
        }
        for (uint32_t k = 0; k < f->n; k++) {
                f->fn[k]->emitter = NULL;
                if (f->fn[k]->sink != NULL)
                        sink_publish(f->fn[k]->sink, true);
                if (f->fn[k]->ring != NULL)
                        ring_finish(f->fn[k]->ring);
        }
        __atomic_store_n(&status->status, FLOW_CLOSED, __ATOMIC_RELEASE);
        event_signal(f->event_fd);
}

bool engine_flow_drained(const struct flow *f, int *ret_error)
{
        bool drained = true;

        *ret_error = 0;
        for (uint32_t k = 0; k < f->n; k++) {
                const struct sink *s = f->fn[k]->sink;

                if (s == NULL)
                        continue;
                if (!sink_drained(s))
                        drained = false;
                else if (__atomic_load_n(&s->error, __ATOMIC_ACQUIRE) != 0)
                        *ret_error = s->error;
        }
        return drained;
}

/** True while functions read this flow's results. */
static bool is_read(const struct flow *f)
{
        for (uint32_t k = 0; k < f->n; k++)
                if (f->fn[k]->readers > 0)
                        return true;
        return false;
}

static void flow_drop(struct flow *f)
{
        struct arena *a;

        for (uint32_t k = f->n; k > 0; k--)
                instance_free(f->fn[k - 1], f->home.segments);
        segments_release(f->home.segments, &f->place);
        flow_mark_put(f->mark);
        f->device->nflows--;
        a = f->arena;
        arena_free(&a);
}

/** A closed flow reads nothing any more. A flow that was there only to be read by it goes now. */
static void let_go(struct flow *f)
{
        for (uint32_t k = 0; k < f->n; k++) {
                struct instance *in = f->fn[k];

                while (in->nrefs > 0) {
                        struct instance *target = in->ref[--in->nrefs];
                        struct flow *dead = target->zombie;

                        target->readers--;
                        if (dead != NULL && !is_read(dead))
                                flow_drop(dead);
                }
        }
}

void engine_flow_free(struct flow **pf)
{
        struct flow *f = *pf;

        *pf = NULL;
        if (f == NULL)
                return;
        __atomic_store_n(&f->mark->begun, true, __ATOMIC_RELAXED); /* nobody waits for a flow that is gone */
        let_go(f);
        for (uint32_t k = 0; k < f->n; k++)
                if (f->fn[k]->ring != NULL)
                        f->fn[k]->ring->event_fd = -1;
        if (f->event_fd >= 0)
                close(f->event_fd);
        f->event_fd = -1;
        if (!is_read(f)) {
                flow_drop(f);
                return;
        }
        f->state = FLOW_ZOMBIE; /* the last reader frees it */
        for (uint32_t k = 0; k < f->n; k++)
                f->fn[k]->zombie = f;
}

int engine_grow_rings(struct flow *waiting, const struct ring *but, struct mapi_error *err)
{
        int grown = 0;

        for (struct flow *f = waiting->device->flows; f != NULL; f = f->next) {
                if (f->home.owner != waiting->home.owner)
                        continue;
                for (uint32_t k = 0; k < f->n; k++) {
                        struct ring *r = f->fn[k]->ring;

                        if (r == NULL || r == but || __atomic_load_n(&r->shared->want_room, __ATOMIC_RELAXED) == 0)
                                continue;
                        if (ring_room(r) >=
                            f->fn[k]->wanted) /* read meanwhile: the worker has only not run since */
                                continue;
                        if (ring_grow(r, NULL) < 0)
                                return mapi_fail(err, MAPI_RING_LIMIT_ERROR,
                                                 "that of function %d of flow %d, which nobody reads; this "
                                                 "session may take %zu bytes in all",
                                                 f->fn[k]->fid, f->number, r->quota->limit_bytes);
                        grown++;
                }
        }
        return grown;
}
