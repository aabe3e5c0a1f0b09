/* SIZE_COUNTER: how many packets have at least so many bytes on the wire. SPDX-License-Identifier: BSD-2-Clause */
#include <mapi/function.h>

static mapi_sel run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        uint64_t n = 0;

        MAPI_SEL_EACH (i, in)
                n += b->pkt[i].wirelen >= (uint64_t)fn->arg[0].num;
        mapi_result_add(fn, n);
        return in; /* an observer lets everything pass */
}

static const struct mapi_arg_spec args[] = {
        { .letter = 'i',
          .optional = 1,
          .name = "bytes",
          .help = "least number of bytes on the wire, link header included",
          .def = 1514,
          .min = 0,
          .max = MAPI_CAPLEN_MAX },
        { .letter = 0 },
};

const struct mapi_function example_size_counter = {
        .abi = MAPI_FUNCTION_ABI,
        .name = "SIZE_COUNTER",
        .help = "Counts the packets that have at least so many bytes on the wire.",
        .args = args,
        .result = { .kind = MAPI_RESULT_COUNTER, .size = 8, .unit = "packets", .combine = MAPI_COMBINE_SUM },
        .shape = MAPI_OBSERVER,
        .run = run,
};
