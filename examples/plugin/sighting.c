/* SIGHTING: tells of every packet with at least so many bytes, one after the other. SPDX-License-Identifier: BSD-2-Clause */
#include "example.h"

#include <mapi/function.h>

static int start(struct mapi_fn *fn, struct mapi_error *err)
{
        fn->state = mapi_fn_alloc(fn, sizeof(unsigned));
        return fn->state != NULL ? 0 : mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "for SIGHTING");
}

static mapi_sel run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        unsigned *number = fn->state;

        MAPI_SEL_EACH (i, in) {
                const struct mapi_view *v = &b->pkt[i];
                struct example_sighting one = { .ts = v->ts, .wirelen = v->wirelen };

                if (v->wirelen < (uint64_t)fn->arg[0].num)
                        continue;
                one.number = ++*number;
                (void)mapi_queue_put(fn, &one); /* never waits; what is lost is counted for its reader */
        }
        return in;
}

static const struct mapi_arg_spec args[] = {
        { .letter = 'i',
          .name = "bytes",
          .help = "least number of bytes on the wire, link header included",
          .min = 0,
          .max = MAPI_CAPLEN_MAX },
        { .letter = 0 },
};

const struct mapi_function example_sighting = {
        .abi = MAPI_FUNCTION_ABI,
        .name = "SIGHTING",
        .help = "Tells of every packet that has at least so many bytes on the wire.",
        .args = args,
        .result = { .kind = MAPI_RESULT_QUEUE,
                    .size = sizeof(struct example_sighting),
                    .unit = "packets",
                    .combine = MAPI_COMBINE_SERIAL,
                    .depth = 1024,
                    .full = MAPI_OVERRUN_OLDEST },
        .shape = MAPI_OBSERVER,
        .traits = MAPI_SERIAL,
        .start = start,
        .run = run,
};
