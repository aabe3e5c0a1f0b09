/* STATS: count, sum, squares, least and greatest of another function's result. SPDX-License-Identifier: BSD-2-Clause */
#include "functions/period.h"

#include <mapi/function.h>
#include <mapi/stats.h>

#include <string.h>

struct stats {
        stats_t r;
        struct period period;
        bool periodic;
        bool skip; /* ticks "1": the next packet is the first, which is not sampled */
};

static int start(struct mapi_fn *fn, struct mapi_error *err)
{
        struct stats *s = mapi_fn_alloc(fn, sizeof *s);
        const char *ticks = fn->arg[2].str != NULL ? fn->arg[2].str : "0";
        uint64_t ts;

        if (s == NULL)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "for STATS");
        if (mapi_ref_count(fn) < 1)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_1, "STATS: flow %lld has no function %lld",
                                 fn->arg[0].num, fn->arg[1].num);
        fn->state = s;
        if (strcmp(ticks, "0") == 0)
                return 0;
        if (strcmp(ticks, "1") == 0) {
                s->skip = true;
                return 0;
        }
        if (mapi_parse_time(ticks, &ts) < 0 || ts == 0)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_3,
                                 "STATS samples every \"0\" or \"1\" or a time such as \"100ms\", not \"%.100s\"",
                                 ticks);
        s->periodic = true;
        fn->ahead = 1; /* a packet that opens a period does not belong to the one before */
        period_init(&s->period, ts);
        return 0;
}

/* Samples the same value `times` times. */
static void sample(struct stats *s, uint64_t value, uint64_t times)
{
        if (s->r.count == 0 || (double)value > s->r.max)
                s->r.max = (double)value;
        if (s->r.count == 0 || (double)value < s->r.min)
                s->r.min = (double)value;
        s->r.count += times;
        s->r.sum += (long double)value * times;
        s->r.sum2 += (long double)value * value * times;
}

/* Time has come to `now`. Samples what the source had before it, then the empty periods, if any. */
static bool advance(struct mapi_fn *fn, struct stats *s, uint64_t now)
{
        uint64_t over = period_advance(&s->period, now);

        if (over == 0)
                return false;
        sample(s, mapi_ref_before(fn, 0), 1);
        mapi_ref_reset(fn, 0);
        if (over > 1)
                sample(s, mapi_ref_before(fn, 0), over - 1);
        return true;
}

static void publish(struct mapi_fn *fn, const struct stats *s)
{
        memcpy(mapi_result_begin(fn), &s->r, sizeof s->r);
        mapi_result_end(fn);
}

static mapi_sel run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        struct stats *s = fn->state;
        bool changed = false;

        MAPI_SEL_EACH (i, in) {
                if (s->periodic) {
                        changed |= advance(fn, s, b->pkt[i].ts);
                } else if (s->skip) {
                        s->skip = false;
                } else {
                        sample(s, mapi_ref_u64(fn, 0), 1);
                        changed = true;
                }
        }
        if (changed)
                publish(fn, s);
        return in;
}

/* Before the first packet there is no period that could end. */
static void tick(struct mapi_fn *fn, uint64_t now)
{
        struct stats *s = fn->state;

        if (s->periodic && s->period.begun && advance(fn, s, now))
                publish(fn, s);
}

static void reset(struct mapi_fn *fn)
{
        struct stats *s = fn->state;

        s->r = (stats_t){ 0 };
        publish(fn, s);
}

static const struct mapi_arg_spec args[] = {
        { .letter = 'r', .name = "flow", .help = "flow of the function to be sampled" },
        { .letter = 'f', .name = "function", .help = "the function, whose result is one number" },
        { .letter = 's',
          .optional = 1,
          .name = "ticks",
          .help = "\"0\" at every packet, \"1\" at every packet but the first, otherwise once in this time" },
        { .letter = 0 },
};

const struct mapi_function mapi_fn_stats = {
        .abi = MAPI_FUNCTION_ABI,
        .name = "STATS",
        .help = "Computes statistics over another function's result.",
        .args = args,
        .result = { .kind = MAPI_RESULT_RECORD,
                    .size = sizeof(stats_t),
                    .unit = "stats_t",
                    .combine = MAPI_COMBINE_SERIAL },
        .shape = MAPI_READER,
        .traits = MAPI_SERIAL,
        .start = start,
        .run = run,
        .tick = tick,
        .reset = reset,
};
