/* PKT_COUNTER: how many packets reach this point of the flow. SPDX-License-Identifier: BSD-2-Clause */
#include <mapi/function.h>

static mapi_sel run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        (void)b;
        mapi_result_add(fn, mapi_sel_count(in));
        return in;
}

const struct mapi_function mapi_fn_pkt_counter = {
        .abi = MAPI_FUNCTION_ABI,
        .name = "PKT_COUNTER",
        .help = "Counts the packets that reach it.",
        .result = { .kind = MAPI_RESULT_COUNTER, .size = 8, .unit = "packets", .combine = MAPI_COMBINE_SUM },
        .shape = MAPI_OBSERVER,
        .run = run,
};
