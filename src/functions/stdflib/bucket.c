/* BUCKET: another function's result at the end of every interval. SPDX-License-Identifier: BSD-2-Clause */
#include "functions/period.h"

#include <mapi/bucket.h>
#include <mapi/function.h>

#include <string.h>

#define DEPTH 1000
/* Empty intervals that are told of one gap, the newest; not all of DEPTH: the value in front of the gap is worth more. */
#define EMPTY_MAX (DEPTH - 1)

enum when { EACH_PACKET, NEVER, PERIODIC_TIME };

struct bucket {
        struct period period;
        enum when when;
        bool reset;
};

static int start(struct mapi_fn *fn, struct mapi_error *err)
{
        struct bucket *s = mapi_fn_alloc(fn, sizeof *s);
        const char *interval = fn->arg[2].str;
        uint64_t ts;

        if (s == NULL)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "for BUCKET");
        if (mapi_ref_count(fn) < 1)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_1, "BUCKET: flow %lld has no function %lld",
                                 fn->arg[0].num, fn->arg[1].num);
        if (interval == NULL)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT, "BUCKET needs an interval");
        if (fn->arg[3].num != 0 && fn->arg[3].num != 1)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT, "BUCKET's reset is 0 or 1, not %lld",
                                 fn->arg[3].num);
        s->reset = fn->arg[3].num == 1;
        fn->state = s;
        if (strcmp(interval, "0") == 0) {
                s->when = EACH_PACKET;
                return 0;
        }
        if (strcmp(interval, "-1") == 0) {
                s->when = NEVER;
                return 0;
        }
        if (mapi_parse_time(interval, &ts) < 0 || ts == 0)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_3,
                                 "BUCKET's interval is \"0\", \"-1\" or a time such as \"100ms\", not \"%.100s\"",
                                 interval);
        s->when = PERIODIC_TIME;
        period_init(&s->period, ts);
        fn->ahead = 1;
        return 0;
}

static void put(struct mapi_fn *fn, uint64_t ts, uint64_t value)
{
        struct bucket_data r = { .timestamp = ts, .data = value };

        (void)mapi_queue_put(fn, &r); /* what a slow reader loses, it is told */
}

/* Time has come to `now`: first what the source had before it, then the empty intervals, if any. */
static void advance(struct mapi_fn *fn, struct bucket *s, uint64_t now)
{
        uint64_t over = period_advance(&s->period, now), value, empty;

        if (over == 0)
                return;
        value = mapi_ref_before(fn, 0);
        put(fn, period_boundary(&s->period, s->period.done - over + 1), value);
        if (s->reset) {
                mapi_ref_reset(fn, 0);
                value = 0;
        }
        empty = over - 1 < EMPTY_MAX ? over - 1 : EMPTY_MAX;
        for (uint64_t k = s->period.done - empty + 1; k <= s->period.done; k++)
                put(fn, period_boundary(&s->period, k), value);
}

static mapi_sel run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        struct bucket *s = fn->state;

        if (s->when == NEVER)
                return in;
        MAPI_SEL_EACH (i, in) {
                if (s->when == PERIODIC_TIME) {
                        advance(fn, s, b->pkt[i].ts);
                        continue;
                }
                if (s->reset) /* from before this packet on: what it added is the value */
                        mapi_ref_reset(fn, 0);
                put(fn, b->pkt[i].ts, mapi_ref_u64(fn, 0));
        }
        return in;
}

/* Before the first packet there is no interval that could end. */
static void tick(struct mapi_fn *fn, uint64_t now)
{
        struct bucket *s = fn->state;

        if (s->when == PERIODIC_TIME && s->period.begun)
                advance(fn, s, now);
}

static const struct mapi_arg_spec args[] = {
        { .letter = 'r', .name = "flow", .help = "flow of the function to be read" },
        { .letter = 'f', .name = "function", .help = "the function, whose result is one number" },
        { .letter = 's',
          .name = "interval",
          .help = "\"0\" at every packet, \"-1\" never, otherwise once in this time" },
        { .letter = 'i',
          .name = "reset",
          .help = "1: the function starts anew after each interval, 0: it goes on" },
        { .letter = 0 },
};

const struct mapi_function mapi_fn_bucket = {
        .abi = MAPI_FUNCTION_ABI,
        .name = "BUCKET",
        .help = "Tells another function's result at the end of every interval.",
        .args = args,
        .result = { .kind = MAPI_RESULT_QUEUE,
                    .size = sizeof(struct bucket_data),
                    .unit = "struct bucket_data",
                    .combine = MAPI_COMBINE_SERIAL,
                    .depth = DEPTH,
                    .full = MAPI_OVERRUN_OLDEST },
        .shape = MAPI_READER,
        .traits = MAPI_SERIAL,
        .start = start,
        .run = run,
        .tick = tick,
};
