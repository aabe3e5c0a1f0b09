/* SAMPLE: lets every n-th packet pass, or each with a probability. SPDX-License-Identifier: BSD-2-Clause */
#include <mapi/function.h>
#include <mapi/sample.h>

struct sample {
        uint64_t every;   /* PERIODIC: one of so many */
        uint64_t left;    /* the packet after so many others passes next */
        uint64_t percent; /* PROBABILISTIC */
};

static int start(struct mapi_fn *fn, struct mapi_error *err)
{
        struct sample *s = mapi_fn_alloc(fn, sizeof *s);
        long long value = fn->arg[0].num;

        if (s == NULL)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "for SAMPLE");
        if (fn->arg[1].num == PROBABILISTIC)
                s->percent = value < 0 ? 0 : value > 100 ? 100 : (uint64_t)value;
        else
                s->every = value < 1 ? 1 : (uint64_t)value;
        s->left = s->every - 1;
        fn->state = s;
        return 0;
}

static mapi_sel run_periodic(struct sample *s, mapi_sel in)
{
        uint64_t count = mapi_sel_count(in);
        mapi_sel out = 0;

        if (count <= s->left) {
                s->left -= count;
                return 0;
        }
        MAPI_SEL_EACH (i, in) {
                if (s->left == 0) {
                        out |= MAPI_SEL_BIT(i);
                        s->left = s->every;
                }
                s->left--;
        }
        return out;
}

static mapi_sel run_probabilistic(struct mapi_fn *fn, uint64_t percent, mapi_sel in)
{
        mapi_sel out = 0;
        uint64_t random;

        MAPI_SEL_EACH (i, in) {
                do /* 2^64 is not a multiple of 100: the last incomplete hundred would make small numbers likelier */
                        random = mapi_random(fn);
                while (random >= UINT64_MAX - UINT64_MAX % 100);
                if (random % 100 < percent)
                        out |= MAPI_SEL_BIT(i);
        }
        return out;
}

static mapi_sel run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        struct sample *s = fn->state;

        (void)b;
        return s->every != 0 ? run_periodic(s, in) : run_probabilistic(fn, s->percent, in);
}

static const struct mapi_arg_spec args[] = {
        { .letter = 'i', .name = "value", .help = "PERIODIC: every so many packets; PROBABILISTIC: percent" },
        { .letter = 'i',
          .optional = 1,
          .name = "mode",
          .help = "PERIODIC (2) or PROBABILISTIC (3)",
          .def = PERIODIC },
        { .letter = 0 },
};

const struct mapi_function mapi_fn_sample = {
        .abi = MAPI_FUNCTION_ABI,
        .name = "SAMPLE",
        .help = "Lets every n-th packet pass, or n percent of the packets at random.",
        .args = args,
        .shape = MAPI_OBSERVER,
        .traits = MAPI_FILTERS | MAPI_SERIAL,
        .start = start,
        .run = run,
};
