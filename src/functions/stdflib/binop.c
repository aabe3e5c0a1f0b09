/* BINOP: the sum or the difference of two other functions' results. SPDX-License-Identifier: BSD-2-Clause */
#include <mapi/binop.h>
#include <mapi/function.h>

static int start(struct mapi_fn *fn, struct mapi_error *err)
{
        if (mapi_ref_count(fn) != 2)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_2, "BINOP reads two functions, not %u",
                                 mapi_ref_count(fn));
        return 0;
}

static mapi_sel run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        uint64_t first, second;

        (void)b;
        if (in == 0)
                return 0;
        first = mapi_ref_u64(fn, 0);
        second = mapi_ref_u64(fn, 1);
        mapi_result_set(fn, fn->arg[0].num == BINOP_ADD ? first + second : first - second);
        return in;
}

static const struct mapi_arg_spec args[] = {
        { .letter = 'i',
          .name = "type",
          .help = "BINOP_ADD (0) or BINOP_SUB (1)",
          .min = BINOP_ADD,
          .max = BINOP_SUB },
        { .letter = 'r', .name = "flow1", .help = "flow of the first function" },
        { .letter = 'f', .name = "function1", .help = "the first function, whose result is one number" },
        { .letter = 'r', .name = "flow2", .help = "flow of the second function" },
        { .letter = 'f', .name = "function2", .help = "the second function, whose result is one number" },
        { .letter = 0 },
};

const struct mapi_function mapi_fn_binop = {
        .abi = MAPI_FUNCTION_ABI,
        .name = "BINOP",
        .help = "Adds or subtracts the results of two other functions.",
        .args = args,
        .result = { .kind = MAPI_RESULT_COUNTER, .size = 8, .unit = "as read", .combine = MAPI_COMBINE_SERIAL },
        .shape = MAPI_READER,
        .traits = MAPI_SERIAL,
        .start = start,
        .run = run,
};
