/* GAP: time between the latest two packets. SPDX-License-Identifier: BSD-2-Clause */
#include <mapi/function.h>

struct gap {
        uint64_t last; /* time stamp of the latest packet */
        int any;       /* there was one */
};

static int start(struct mapi_fn *fn, struct mapi_error *err)
{
        fn->state = mapi_fn_alloc(fn, sizeof(struct gap));
        return fn->state != NULL ? 0 : mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "for GAP");
}

static mapi_sel run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        struct gap *g = fn->state;
        uint64_t gap = 0;

        MAPI_SEL_EACH (i, in) {
                uint64_t ts = b->pkt[i].ts;

                gap = g->any && ts > g->last ? ts - g->last : 0; /* time that goes back is no gap */
                g->last = ts;
                g->any = 1;
        }
        if (in != 0)
                mapi_result_set(fn, gap);
        return in;
}

const struct mapi_function mapi_fn_gap = {
        .abi = MAPI_FUNCTION_ABI,
        .name = "GAP",
        .help = "Tells the time between the latest two packets.",
        .result = { .kind = MAPI_RESULT_COUNTER, .size = 8, .unit = "2^-32 s", .combine = MAPI_COMBINE_SERIAL },
        .shape = MAPI_OBSERVER,
        .traits = MAPI_SERIAL,
        .start = start,
        .run = run,
};
