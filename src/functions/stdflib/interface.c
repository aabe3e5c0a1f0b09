/* INTERFACE: lets the packets of one capture interface pass. SPDX-License-Identifier: BSD-2-Clause */
#include <mapi/function.h>

/* The range is checked here and not by the schema: the code is 7000, as it always was, and not that of the position. */
static int start(struct mapi_fn *fn, struct mapi_error *err)
{
        if (fn->arg[0].num < 0)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT, "INTERFACE wants a number from 0 on, not %lld",
                                 fn->arg[0].num);
        return 0;
}

static mapi_sel run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        mapi_sel out = 0;

        MAPI_SEL_EACH (i, in) {
                if (b->pkt[i].ifindex == fn->arg[0].num)
                        out |= MAPI_SEL_BIT(i);
        }
        return out;
}

static const struct mapi_arg_spec args[] = {
        { .letter = 'i', .name = "port", .help = "number of the capture interface within the device, from 0 on" },
        { .letter = 0 },
};

const struct mapi_function mapi_fn_interface = {
        .abi = MAPI_FUNCTION_ABI,
        .name = "INTERFACE",
        .help = "Lets the packets of one capture interface of the device pass.",
        .args = args,
        .shape = MAPI_OBSERVER,
        .traits = MAPI_FILTERS | MAPI_PURE,
        .start = start,
        .run = run,
};
