/* PEAK: the busiest period of time; a function with data of its own. SPDX-License-Identifier: BSD-2-Clause */
#include "example.h"

#include <mapi/function.h>

#include <string.h>

struct peak {
        struct example_peak r;
        uint64_t period; /* 32.32 */
        uint64_t begin;  /* of the present period */
        uint64_t packets;
        int begun; /* there was a packet */
};

static int start(struct mapi_fn *fn, struct mapi_error *err)
{
        struct peak *s = mapi_fn_alloc(fn, sizeof *s); /* zeroed, and freed with the instance */
        const char *text = fn->arg[0].str != NULL ? fn->arg[0].str : "1s";

        if (s == NULL)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "for PEAK");
        if (mapi_parse_time(text, &s->period) < 0 || s->period == 0)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_1,
                                 "PEAK wants a time such as \"1s\", not \"%.100s\"", text);
        fn->state = s;
        return 0;
}

/** Time has come to `now`: any number of periods may be over, which is a division and no loop. */
static void advance(struct mapi_fn *fn, struct peak *s, uint64_t now)
{
        uint64_t over = now > s->begin ? (now - s->begin) / s->period : 0; /* time may go back */

        if (over == 0)
                return;
        s->r.periods += over;
        if (s->packets > s->r.packets) {
                s->r.packets = s->packets;
                s->r.ts = s->begin;
        }
        s->begin += over * s->period;
        s->packets = 0;
        memcpy(mapi_result_begin(fn), &s->r, sizeof s->r); /* readers see all of it or nothing of it */
        mapi_result_end(fn);
}

static mapi_sel run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        struct peak *s = fn->state;

        MAPI_SEL_EACH (i, in) {
                if (!s->begun) {
                        s->begun = 1;
                        s->begin = b->pkt[i].ts;
                }
                advance(fn, s, b->pkt[i].ts);
                s->packets++;
        }
        return in;
}

/** A silent device: time passes all the same. Before the first packet there is no period that could end. */
static void tick(struct mapi_fn *fn, uint64_t now)
{
        struct peak *s = fn->state;

        if (s->begun)
                advance(fn, s, now);
}

static void reset(struct mapi_fn *fn)
{
        struct peak *s = fn->state;

        memset(&s->r, 0, sizeof s->r);
        s->begun = 0;
        s->packets = 0;
        memcpy(mapi_result_begin(fn), &s->r, sizeof s->r);
        mapi_result_end(fn);
}

static const struct mapi_arg_spec args[] = {
        { .letter = 's', .optional = 1, .name = "period", .help = "a time string; without it 1s" },
        { .letter = 0 },
};

const struct mapi_function example_peak = {
        .abi = MAPI_FUNCTION_ABI,
        .name = "PEAK",
        .help = "Finds the period of time with the most packets.",
        .args = args,
        .result = { .kind = MAPI_RESULT_RECORD,
                    .size = sizeof(struct example_peak),
                    .unit = "packets",
                    .combine = MAPI_COMBINE_SERIAL },
        .shape = MAPI_OBSERVER,
        .traits = MAPI_SERIAL,
        .start = start,
        .run = run,
        .tick = tick,
        .reset = reset,
};
