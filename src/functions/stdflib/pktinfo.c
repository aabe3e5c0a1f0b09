/* PKTINFO: time stamp or size of the latest packet. SPDX-License-Identifier: BSD-2-Clause */
#include <mapi/function.h>
#include <mapi/pktinfo.h>

static int start(struct mapi_fn *fn, struct mapi_error *err)
{
        long long info = fn->arg[0].num;

        if (info != PKT_TS && info != PKT_SIZE)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_1,
                                 "PKTINFO knows PKT_TS (0) and PKT_SIZE (1), not %lld", info);
        return 0;
}

static mapi_sel run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        const struct mapi_view *v;

        if (in == 0)
                return 0;
        v = &b->pkt[mapi_sel_last(in)];
        mapi_result_set(fn, fn->arg[0].num == PKT_TS ? v->ts : v->wirelen);
        mapi_result_stamp(fn, v->ts);
        return in;
}

static const struct mapi_arg_spec args[] = {
        { .letter = 'i',
          .name = "info",
          .help = "PKT_TS (0) time stamp, PKT_SIZE (1) bytes on the wire",
          .min = PKT_TS,
          .max = PKT_SIZE },
        { .letter = 0 },
};

const struct mapi_function mapi_fn_pktinfo = {
        .abi = MAPI_FUNCTION_ABI,
        .name = "PKTINFO",
        .help = "Tells time stamp or size of the latest packet.",
        .args = args,
        .result = { .kind = MAPI_RESULT_COUNTER,
                    .size = 8,
                    .unit = "2^-32 s or bytes",
                    .combine = MAPI_COMBINE_LATEST },
        .shape = MAPI_OBSERVER,
        .traits = MAPI_PURE,
        .start = start,
        .run = run,
};
