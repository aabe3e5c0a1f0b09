/* BYTE_COUNTER: how many bytes on the wire the packets had that reach this point. SPDX-License-Identifier: BSD-2-Clause */
#include <mapi/function.h>

static mapi_sel run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        uint64_t bytes = 0;

        MAPI_SEL_EACH (i, in)
                bytes += b->pkt[i].wirelen;
        mapi_result_add(fn, bytes);
        return in;
}

const struct mapi_function mapi_fn_byte_counter = {
        .abi = MAPI_FUNCTION_ABI,
        .name = "BYTE_COUNTER",
        .help = "Adds up the bytes on the wire, link headers included, of the packets that reach it.",
        .result = { .kind = MAPI_RESULT_COUNTER, .size = 8, .unit = "bytes", .combine = MAPI_COMBINE_SUM },
        .shape = MAPI_OBSERVER,
        .run = run,
};
