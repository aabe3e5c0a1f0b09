/* SYNC: lets no packet pass before other flows have begun. SPDX-License-Identifier: BSD-2-Clause */
#include <mapi/function.h>

#include <stdbool.h>

struct sync {
        bool begun; /* all of them: stays so when they are closed */
};

static int start(struct mapi_fn *fn, struct mapi_error *err)
{
        if (fn->arg[0].str == NULL || mapi_ref_flow_count(fn) < 1)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_1, "SYNC needs a list of flows");
        fn->state = mapi_fn_alloc(fn, sizeof(struct sync));
        return fn->state != NULL ? 0 : mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "for SYNC");
}

/* Decided for the whole batch: flows begin between batches. */
static mapi_sel run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        struct sync *s = fn->state;

        (void)b;
        if (!s->begun) {
                for (unsigned i = 0; i < mapi_ref_flow_count(fn); i++)
                        if (!mapi_ref_flow_begun(fn, i))
                                return 0;
                s->begun = true;
        }
        return in;
}

static const struct mapi_arg_spec args[] = {
        { .letter = 'R', .name = "flows", .help = "the flows that must have begun, \"fd,fd\"" },
        { .letter = 0 },
};

const struct mapi_function mapi_fn_sync = {
        .abi = MAPI_FUNCTION_ABI,
        .name = "SYNC",
        .help = "Lets no packet pass before all of some flows have begun.",
        .args = args,
        .shape = MAPI_OBSERVER,
        .traits = MAPI_FILTERS | MAPI_SERIAL,
        .start = start,
        .run = run,
};
