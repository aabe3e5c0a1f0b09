/* Test-only functions, see shapes.h. SPDX-License-Identifier: BSD-2-Clause */
#include "shapes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int shapes_alive;

/* ---- predicate ---------------------------------------------------------------------------------------------- */

static int has_start(struct mapi_fn *fn, struct mapi_error *err)
{
        const char *text = fn->arg[0].str;
        struct mapi_literal lit;

        if (text == NULL)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_1, "T_HAS needs something to look for");
        lit = (struct mapi_literal){ .bytes = (const uint8_t *)text, .len = strlen(text) };
        return mapi_predicate_literals(fn, &lit, 1, 0, 0, err);
}

static const struct mapi_arg_spec has_args[] = { { .letter = 's', .name = "bytes", .help = "to look for" },
                                                 { 0 } };

const struct mapi_function shapes_has = {
        .name = "T_HAS",
        .help = "Lets the packets pass that contain some bytes.",
        .args = has_args,
        .shape = MAPI_PREDICATE,
        .traits = MAPI_FILTERS | MAPI_PURE,
        .start = has_start,
};

/* ---- observer ----------------------------------------------------------------------------------------------- */

/* Memory of its own, besides the instance's: .stop has something to do. */
struct tally {
        struct shapes_tally r;
        char *own;
};

static void tally_publish(struct mapi_fn *fn)
{
        memcpy(mapi_result_begin(fn), &((struct tally *)fn->state)->r, sizeof(struct shapes_tally));
        mapi_result_end(fn);
}

static int tally_start(struct mapi_fn *fn, struct mapi_error *err)
{
        struct tally *t = mapi_fn_alloc(fn, sizeof *t);

        shapes_alive++;
        if (t == NULL)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "for T_TALLY");
        fn->state = t;
        t->own = malloc(100);
        if (t->own == NULL || fn->slot == NULL || fn->slot->data[0] != 0)
                return mapi_fail(err, MFUNCT_COULD_NOT_INIT_FUNCT, "T_TALLY");
        return 0;
}

static mapi_sel tally_run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        struct shapes_tally *r = &((struct tally *)fn->state)->r;

        MAPI_SEL_EACH (i, in) {
                const struct mapi_view *v = &b->pkt[i];

                r->packets++;
                r->caplen += v->caplen;
                r->wirelen += v->wirelen;
                for (uint32_t k = 0; k < v->caplen; k++)
                        r->bytes = r->bytes * 31 + v->data[k] + 1;
                r->order = r->order * 31 + v->ts;
                r->parsed += (b->hdr[i].flags & (MAPI_HDR_IP4 | MAPI_HDR_IP6)) != 0;
        }
        tally_publish(fn);
        return in;
}

static int tally_finish(struct mapi_fn *fn, enum mapi_finish why)
{
        (void)why;
        ((struct tally *)fn->state)->r.finishes++;
        tally_publish(fn);
        return 0;
}

static void tally_reset(struct mapi_fn *fn)
{
        struct tally *t = fn->state;

        t->r = (struct shapes_tally){ 0 };
        tally_publish(fn);
}

static void tally_stop(struct mapi_fn *fn)
{
        struct tally *t = fn->state;

        shapes_alive--;
        if (t != NULL)
                free(t->own);
}

const struct mapi_function shapes_tally = {
        .name = "T_TALLY",
        .help = "Adds up all that can be seen of the packets.",
        .result = { .kind = MAPI_RESULT_RECORD,
                    .size = sizeof(struct shapes_tally),
                    .unit = "struct shapes_tally",
                    .combine = MAPI_COMBINE_SERIAL },
        .shape = MAPI_OBSERVER,
        .traits = MAPI_SERIAL,
        .needs = MAPI_NEED_HEADERS,
        .start = tally_start,
        .run = tally_run,
        .finish = tally_finish,
        .reset = tally_reset,
        .stop = tally_stop,
};

/* ---- transformer -------------------------------------------------------------------------------------------- */

struct triple {
        struct mapi_view last; /* the bytes are not kept */
        uint64_t packets;
};

static int triple_start(struct mapi_fn *fn, struct mapi_error *err)
{
        fn->state = mapi_fn_alloc(fn, sizeof(struct triple));
        if (fn->state == NULL)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "for T_TRIPLE");
        fn->emit_count = 3;
        return 0;
}

static mapi_sel triple_run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        struct triple *t = fn->state;

        MAPI_SEL_EACH (i, in) {
                const struct mapi_view *v = &b->pkt[i];

                for (uint32_t k = 0; k < 3; k++) {
                        uint8_t *to = mapi_emit(fn, v, v->caplen, v->wirelen + k, v->ts);

                        if (to != NULL && v->caplen > 0)
                                memcpy(to, v->data, v->caplen);
                }
                t->last = *v;
                t->packets++;
        }
        return in;
}

static int triple_finish(struct mapi_fn *fn, enum mapi_finish why)
{
        struct triple *t = fn->state;
        uint8_t *to;

        (void)why;
        if (fn->emit_caplen < 20)
                return 0;
        to = mapi_emit(fn, t->packets > 0 ? &t->last : NULL, 20, 9, t->last.ts);
        if (to != NULL)
                memset(to, 0xfe, 20);
        return 0;
}

const struct mapi_function shapes_triple = {
        .name = "T_TRIPLE",
        .help = "Makes three packets of one, and one more at the end.",
        .shape = MAPI_TRANSFORMER,
        .traits = MAPI_SERIAL,
        .start = triple_start,
        .run = triple_run,
        .finish = triple_finish,
};

/* ---- reader ------------------------------------------------------------------------------------------------- */

static void watch_publish(struct mapi_fn *fn)
{
        memcpy(mapi_result_begin(fn), fn->state, sizeof(struct shapes_watch));
        mapi_result_end(fn);
}

static int watch_start(struct mapi_fn *fn, struct mapi_error *err)
{
        fn->state = mapi_fn_alloc(fn, sizeof(struct shapes_watch));
        if (fn->state == NULL)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "for T_WATCH");
        if (mapi_ref_count(fn) != 2)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_1, "T_WATCH reads two functions");
        return 0;
}

static mapi_sel watch_run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        struct shapes_watch *w = fn->state;

        (void)b;
        w->packets += mapi_sel_count(in);
        w->together += mapi_sel_count(in) > 1;
        for (unsigned i = 0; i < 2; i++) {
                w->now[i] += mapi_ref_u64(fn, i);
                w->before[i] += mapi_ref_before(fn, i);
        }
        watch_publish(fn);
        return in;
}

static void watch_tick(struct mapi_fn *fn, uint64_t now)
{
        struct shapes_watch *w = fn->state;

        (void)now;
        w->ticks++;
        for (unsigned i = 0; i < 2; i++) {
                w->now[i] += mapi_ref_u64(fn, i);
                w->before[i] += mapi_ref_before(fn, i);
        }
        watch_publish(fn);
}

static const struct mapi_arg_spec watch_args[] = {
        { .letter = 'r', .name = "flow 1", .help = "of the first" },
        { .letter = 'f', .name = "function 1", .help = "the first" },
        { .letter = 'r', .name = "flow 2", .help = "of the second" },
        { .letter = 'f', .name = "function 2", .help = "the second" },
        { 0 },
};

const struct mapi_function shapes_watch = {
        .name = "T_WATCH",
        .help = "Adds up what two functions have at each packet.",
        .args = watch_args,
        .result = { .kind = MAPI_RESULT_RECORD,
                    .size = sizeof(struct shapes_watch),
                    .unit = "struct shapes_watch",
                    .combine = MAPI_COMBINE_SERIAL },
        .shape = MAPI_READER,
        .traits = MAPI_SERIAL,
        .start = watch_start,
        .run = watch_run,
        .tick = watch_tick,
};

/* ---- sink --------------------------------------------------------------------------------------------------- */

static int lines_start(struct mapi_fn *fn, struct mapi_error *err)
{
        return mapi_sink_open(fn, 0, err);
}

static mapi_sel lines_run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        mapi_sel kept = 0;

        MAPI_SEL_EACH (i, in) {
                char line[40];
                int n = snprintf(line, sizeof line, "%u %u", b->pkt[i].caplen, b->pkt[i].wirelen);

                if (mapi_sink_put(fn, line, (size_t)n, "\n", 1))
                        kept |= MAPI_SEL_BIT(i);
        }
        return kept;
}

static int lines_finish(struct mapi_fn *fn, enum mapi_finish why)
{
        (void)mapi_sink_put(fn, why == MAPI_FINISH_END ? "end\n" : "cut\n", 4, NULL, 0);
        return 0;
}

static void lines_drained(struct mapi_fn *fn, uint64_t written, int error)
{
        mapi_result_set(fn, error != 0 ? UINT64_MAX : written);
}

static const struct mapi_arg_spec lines_args[] = { { .letter = 'w', .name = "path", .help = "file to write" },
                                                   { 0 } };

const struct mapi_function shapes_lines = {
        .name = "T_LINES",
        .help = "Writes a line for each packet.",
        .args = lines_args,
        .result = { .kind = MAPI_RESULT_COUNTER, .size = 8, .unit = "bytes", .combine = MAPI_COMBINE_SERIAL },
        .shape = MAPI_SINK,
        .traits = MAPI_SERIAL,
        .room = { .per_packet = 24 },
        .start = lines_start,
        .run = lines_run,
        .finish = lines_finish,
        .drained = lines_drained,
};

const struct mapi_function *const shapes[] = {
        &shapes_has, &shapes_tally, &shapes_triple, &shapes_watch, &shapes_lines, NULL,
};

/* ---- others ------------------------------------------------------------------------------------------------- */

static mapi_sel bump_run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        mapi_sel out = 0;

        MAPI_SEL_EACH (i, in) {
                uint8_t *bytes = (uint8_t *)(uintptr_t)b->pkt[i].data;

                for (uint32_t k = 0; k < b->pkt[i].caplen; k++)
                        bytes[k]++;
                if (fn->arg[0].num != 2 || b->pkt[i].wirelen % 2 == 0)
                        out |= MAPI_SEL_BIT(i);
        }
        return out;
}

static const struct mapi_arg_spec number_args[] = {
        { .letter = 'i', .optional = 1, .name = "number", .help = "any", .def = 1 },
        { 0 },
};

const struct mapi_function shapes_bump = {
        .name = "T_BUMP",
        .help = "Adds 1 to every byte.",
        .args = number_args,
        .shape = MAPI_OBSERVER,
        .traits = MAPI_MODIFIES | MAPI_FILTERS,
        .needs = MAPI_NEED_HEADERS,
        .run = bump_run,
};

static mapi_sel pass_run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        mapi_sel out = 0;

        MAPI_SEL_EACH (i, in)
                if (b->pkt[i].caplen % fn->arg[0].num == fn->arg[1].num)
                        out |= MAPI_SEL_BIT(i);
        return out | ~in; /* more than it was given: the graph must not believe it */
}

static const struct mapi_arg_spec pass_args[] = {
        { .letter = 'i', .name = "modulus", .help = "more than 0", .min = 1, .max = 1000 },
        { .letter = 'i', .name = "rest", .help = "less than that" },
        { 0 },
};

const struct mapi_function shapes_pass = {
        .name = "T_PASS",
        .help = "Lets the packets pass whose length has this rest.",
        .args = pass_args,
        .shape = MAPI_OBSERVER,
        .traits = MAPI_FILTERS | MAPI_PURE,
        .run = pass_run,
};

static int every_start(struct mapi_fn *fn, struct mapi_error *err)
{
        fn->state = mapi_fn_alloc(fn, 8);
        return fn->state != NULL ? 0 : mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "for T_EVERY");
}

static mapi_sel every_run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        uint64_t *seen = fn->state;
        mapi_sel out = 0;

        (void)b;
        MAPI_SEL_EACH (i, in)
                if (++*seen % (uint64_t)fn->arg[0].num == 0)
                        out |= MAPI_SEL_BIT(i);
        return out;
}

const struct mapi_function shapes_every = {
        .name = "T_EVERY",
        .help = "Lets every n-th packet pass.",
        .args = number_args,
        .shape = MAPI_OBSERVER,
        .traits = MAPI_FILTERS | MAPI_SERIAL,
        .start = every_start,
        .run = every_run,
};

static int greedy_start(struct mapi_fn *fn, struct mapi_error *err)
{
        (void)err;
        fn->emit_count = 2;
        fn->emit_caplen = 100;
        return 0;
}

static mapi_sel greedy_run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        MAPI_SEL_EACH (i, in) {
                if (mapi_emit(fn, &b->pkt[i], 101, 101, 0) != NULL)
                        abort();
                for (unsigned k = 0; k < 5; k++) {
                        uint8_t *to = mapi_emit(fn, &b->pkt[i], 10, 10 + k, 0);

                        if (to != NULL)
                                memset(to, (int)k, 10);
                }
        }
        return in;
}

const struct mapi_function shapes_greedy = {
        .name = "T_GREEDY",
        .help = "Emits more than it declares.",
        .shape = MAPI_TRANSFORMER,
        .start = greedy_start,
        .run = greedy_run,
};

struct flood {
        uint64_t left;
};

static int flood_start(struct mapi_fn *fn, struct mapi_error *err)
{
        struct flood *f = mapi_fn_alloc(fn, sizeof *f);

        if (f == NULL)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "for T_FLOOD");
        f->left = (uint64_t)fn->arg[0].num;
        fn->state = f;
        fn->emit_caplen = (uint32_t)fn->arg[1].num;
        return 0;
}

static mapi_sel flood_run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        (void)fn;
        (void)b;
        return in;
}

static int flood_finish(struct mapi_fn *fn, enum mapi_finish why)
{
        struct flood *f = fn->state;
        uint8_t *to;

        (void)why;
        if (f->left == 0)
                return 0;
        to = mapi_emit(fn, NULL, fn->emit_caplen, fn->emit_caplen, f->left);
        if (to != NULL)
                memset(to, (int)(f->left % 256), fn->emit_caplen);
        return --f->left > 0;
}

static const struct mapi_arg_spec flood_args[] = {
        { .letter = 'i', .name = "packets", .help = "how many" },
        { .letter = 'i', .name = "caplen", .help = "how long" },
        { 0 },
};

const struct mapi_function shapes_flood = {
        .name = "T_FLOOD",
        .help = "Emits many packets at the end.",
        .args = flood_args,
        .shape = MAPI_TRANSFORMER,
        .start = flood_start,
        .run = flood_run,
        .finish = flood_finish,
};

static int none_start(struct mapi_fn *fn, struct mapi_error *err)
{
        (void)fn;
        (void)err;
        return 0;
}

static mapi_sel jam_run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        return mapi_ring_put(fn, b, in);
}

const struct mapi_function shapes_jam = {
        .name = "T_JAM",
        .help = "Has a ring and filters.",
        .result = { .kind = MAPI_RESULT_PACKETS, .combine = MAPI_COMBINE_SERIAL },
        .shape = MAPI_OBSERVER,
        .traits = MAPI_FILTERS,
        .room = { .per_packet = 32, .with_bytes = 1 },
        .run = jam_run,
};

const struct mapi_function shapes_none = {
        .name = "T_NONE",
        .help = "Hands over nothing.",
        .shape = MAPI_PREDICATE,
        .traits = MAPI_FILTERS | MAPI_PURE,
        .start = none_start,
};
