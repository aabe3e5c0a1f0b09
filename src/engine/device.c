/* Engines and their devices; publishing plans. Control thread. SPDX-License-Identifier: BSD-2-Clause */
#include "engine/internal.h"

#include <string.h>

struct engine *engine_new(const struct engine_options *options)
{
        struct arena *a = arena_new(NULL);
        struct engine *e = a == NULL ? NULL : arena_alloc(a, sizeof *e);

        if (e == NULL) {
                arena_free(&a);
                return NULL;
        }
        e->arena = a;
        e->options = *options;
        e->last_flow = options->last_flow;
        return e;
}

void engine_free(struct engine **pe)
{
        struct engine *e = *pe;
        struct arena *a;

        *pe = NULL;
        if (e == NULL)
                return;
        a = e->arena;
        arena_free(&a);
}

uint64_t engine_now_s(const struct engine *e)
{
        return e->options.now_s(e->options.context);
}

int engine_device_add(struct engine *e, const struct capture *c, int number, const char *name, struct device **ret,
                      struct mapi_error *err)
{
        struct arena *a = arena_new(NULL);
        struct device *d = a == NULL ? NULL : arena_alloc(a, sizeof *d + 64);

        if (d != NULL) {
                d = (struct device *)(((uintptr_t)d + 63) & ~(uintptr_t)63);
                d->engine = e;
                d->arena = a;
                d->number = number;
                d->name = arena_strndup(a, name, strlen(name));
        }
        if (d == NULL || d->name == NULL || device_publish(d, err) < 0) {
                arena_free(&a);
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "device %s", name);
        }
        d->capture = *c;
        *ret = d;
        return 0;
}

void engine_device_disown(struct device *d)
{
        d->capture = (struct capture){ 0 };
}

void engine_device_start(struct device *d)
{
        atomic_store(&d->started, 1);
}

void engine_device_end(struct device *d)
{
        atomic_store(&d->end_wanted, 1);
        atomic_store(&d->started, 1);
}

void engine_device_remove(struct device **pd)
{
        struct device *d = *pd;
        struct graph *g;
        struct arena *a;

        *pd = NULL;
        if (d == NULL)
                return;
        engine_device_reap(d);
        g = atomic_load(&d->plan);
        graph_free(&g);
        capture_close(&d->capture);
        a = d->arena;
        arena_free(&a);
}

void engine_device_facts(struct device *d, struct engine_device_facts *ret)
{
        *ret = (struct engine_device_facts){
                .number = d->number,
                .name = d->name,
                .driver = d->capture.driver->name,
                .facts = d->capture.facts,
                .started = atomic_load(&d->started) != 0,
                .finished = atomic_load(&d->finished) != 0,
                .flows = d->nflows,
        };
        device_stats(d, &ret->stats);
        graph_facts(atomic_load(&d->plan), &ret->plan);
}

void device_stats(const struct device *d, struct mapi_driver_stats *ret)
{
        if (atomic_load(&d->finished) != 0)
                *ret = d->at_end;
        else
                capture_stats(&d->capture, ret);
}

void engine_device_account(const struct device *d, struct engine_account *ret)
{
        struct mapi_driver_stats stats;

        device_stats(d, &stats);
        *ret = (struct engine_account){
                .seen = stats.received + stats.dropped + stats.if_dropped,
                .delivered = stats.received,
                .dropped_kernel = stats.dropped,
                .dropped_interface = stats.if_dropped,
                .down = stats.down != 0,
        };
}

int engine_device_error(const struct device *d, struct mapi_error *ret)
{
        if (atomic_load(&d->finished) == 0 || d->error.code == 0)
                return 0;
        *ret = d->error;
        return -d->error.code;
}

int engine_device_fd(const struct device *d)
{
        return capture_fd(&d->capture);
}

bool engine_device_blocked(const struct device *d)
{
        return atomic_load(&d->blocked) != 0;
}

void engine_device_hold(struct device *d, bool yes)
{
        atomic_store(&d->held, yes);
}

bool engine_device_quiet(const struct device *d)
{
        return atomic_load(&d->busy) == 0;
}

/*
 * A worker sets .busy, then loads .plan; we stored .plan before we look at .busy (all sequentially consistent). So if it
 * is not busy now, whatever it loads later is the newest plan; if it is, it must have announced the newest publication.
 */
bool engine_device_settled(const struct device *d)
{
        return atomic_load(&d->busy) == 0 || atomic_load(&d->seen_number) == atomic_load(&d->plan_number);
}

void engine_device_reap(struct device *d)
{
        struct graph *g = d->retired;

        if (!engine_device_settled(d))
                return;
        d->retired = NULL;
        for (struct graph *next; g != NULL; g = next) {
                next = graph_head(g)->next;
                graph_free(&g);
        }
}

int device_publish(struct device *d, struct mapi_error *err)
{
        struct arena *scratch = arena_new(NULL);
        struct graph_flow *flows;
        struct graph *g = NULL, *old;
        uint32_t n = 0;
        int r = 0;

        for (struct flow *f = d->flows; f != NULL; f = f->next)
                n++;
        flows = scratch == NULL ? NULL : arena_alloc(scratch, (n + 1) * sizeof *flows);
        if (flows == NULL) {
                r = mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "the plan of device %s", d->name);
                goto out;
        }
        n = 0;
        for (struct flow *f = d->flows; f != NULL; f = f->next)
                flows[n++] = (struct graph_flow){
                        .number = f->number, .n = f->n, .fn = f->fn, .owner = f, .account = &f->account
                };
        r = graph_compile(flows, n, d->engine->options.count_functions, &g, err);
        if (r < 0)
                goto out;
        graph_head(g)->generation = ++d->generations;
        old = atomic_load(&d->plan);
        atomic_store(&d->plan, g);
        atomic_fetch_add(&d->plan_number, 1);
        if (old != NULL) {
                graph_head(old)->next = d->retired;
                d->retired = old;
        }
        engine_device_reap(d);
out:
        arena_free(&scratch);
        return r;
}
