/* DIST: how the values of another function's result are distributed. SPDX-License-Identifier: BSD-2-Clause */
#include <mapi/dist.h>
#include <mapi/function.h>

#include <stdbool.h>
#include <string.h>

#define INTERVALS_MAX (1u << 20)

struct dist {
        uint64_t min, max, interval;
        uint64_t intervals;
        bool shown; /* the result has its header */
};

static int numbers(struct dist *s, const struct mapi_value *arg, struct mapi_error *err)
{
        uint64_t range;

        if (mapi_parse_time(arg[2].str, &s->min) < 0)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_3,
                                 "DIST: the least value is a number or a time string");
        if (mapi_parse_time(arg[3].str, &s->max) < 0)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_4,
                                 "DIST: the greatest value is a number or a time string");
        if (mapi_parse_time(arg[4].str, &s->interval) < 0 || s->interval == 0)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_5,
                                 "DIST: the interval is a number or a time string, and not 0");
        if (s->min > s->max)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT,
                                 "DIST: the least value %.40s is above the greatest %.40s", arg[2].str,
                                 arg[3].str);
        range = s->max - s->min;
        if (s->interval > range)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_4,
                                 "DIST: between %.40s and %.40s is no interval of %.40s", arg[2].str, arg[3].str,
                                 arg[4].str);
        s->intervals = (range - 1) / s->interval + 1;
        if (s->intervals > INTERVALS_MAX)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_5, "DIST counts in at most %u intervals, not %llu",
                                 INTERVALS_MAX, (unsigned long long)s->intervals);
        return 0;
}

static int start(struct mapi_fn *fn, struct mapi_error *err)
{
        struct dist *s = mapi_fn_alloc(fn, sizeof *s);
        int r;

        if (s == NULL)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "for DIST");
        if (mapi_ref_count(fn) < 1)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_1, "DIST: flow %lld has no function %lld",
                                 fn->arg[0].num, fn->arg[1].num);
        r = numbers(s, fn->arg, err);
        if (r < 0)
                return r;
        fn->state = s;
        fn->result_size = (uint32_t)(sizeof(dist_t) + (s->intervals + 1) * sizeof(uint64_t));
        return 0;
}

/* The memory of a result whose size .start has set is not there yet in .start. */
static void header(dist_t *r, struct dist *s)
{
        r->min = s->min;
        r->max = s->max;
        r->intervals = s->intervals;
        s->shown = true;
}

static uint64_t slot_of(const struct dist *s, uint64_t value)
{
        if (value <= s->min)
                return 0;
        if (value > s->max)
                return s->intervals;
        return (value - s->min - 1) / s->interval + 1;
}

static mapi_sel run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        struct dist *s = fn->state;
        unsigned n = mapi_sel_count(in);
        dist_t *r;

        (void)b;
        if (n == 0 && s->shown)
                return 0;
        r = mapi_result_begin(fn);
        if (!s->shown)
                header(r, s);
        if (n != 0)
                r->data[slot_of(s, mapi_ref_u64(fn, 0))] += n;
        mapi_result_end(fn);
        return in;
}

/* Without a packet: an empty distribution rather than nothing. */
static void show(struct mapi_fn *fn)
{
        struct dist *s = fn->state;

        if (s->shown)
                return;
        header(mapi_result_begin(fn), s);
        mapi_result_end(fn);
}

static void tick(struct mapi_fn *fn, uint64_t now)
{
        (void)now;
        show(fn);
}

static int finish(struct mapi_fn *fn, enum mapi_finish why)
{
        (void)why;
        show(fn);
        return 0;
}

static void reset(struct mapi_fn *fn)
{
        struct dist *s = fn->state;
        dist_t *r = mapi_result_begin(fn);

        header(r, s);
        memset(r->data, 0, (size_t)(s->intervals + 1) * sizeof r->data[0]);
        mapi_result_end(fn);
}

static const struct mapi_arg_spec args[] = {
        { .letter = 'r', .name = "flow", .help = "flow of the function to be read" },
        { .letter = 'f', .name = "function", .help = "the function, whose result is one number" },
        { .letter = 's', .name = "min", .help = "values up to this one are counted in the first slot" },
        { .letter = 's', .name = "max", .help = "values above this one are counted in the last slot" },
        { .letter = 's', .name = "interval", .help = "width of the slots; all three are numbers or times" },
        { .letter = 0 },
};

const struct mapi_function mapi_fn_dist = {
        .abi = MAPI_FUNCTION_ABI,
        .name = "DIST",
        .help = "Counts how the values of another function's result are distributed.",
        .args = args,
        .result = { .kind = MAPI_RESULT_RECORD, .unit = "dist_t", .combine = MAPI_COMBINE_SERIAL },
        .shape = MAPI_READER,
        .traits = MAPI_SERIAL,
        .start = start,
        .run = run,
        .tick = tick,
        .finish = finish,
        .reset = reset,
};
