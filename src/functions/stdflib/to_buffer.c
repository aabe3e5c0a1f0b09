/* TO_BUFFER: hands packets to the application, for mapi_get_next_pkt() and mapi_loop(). SPDX-License-Identifier: BSD-2-Clause */
#include <mapi/function.h>

#define NOWAIT_FLAG 1 /* NOWAIT of <mapi.h> */

/* Old programs pass anything, or nothing: only exactly NOWAIT is NOWAIT. Who reads the ring finds 0 or 1 in fn->arg[0]. */
static int start(struct mapi_fn *fn, struct mapi_error *err)
{
        struct mapi_value *flag = mapi_fn_alloc(fn, sizeof *flag);

        if (flag == NULL)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "for TO_BUFFER");
        *flag = fn->arg[0];
        flag->num = flag->num == NOWAIT_FLAG;
        fn->arg = flag;
        return 0;
}

static mapi_sel run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        return mapi_ring_put(fn, b, in);
}

static const struct mapi_arg_spec args[] = {
        { .letter = 'i',
          .optional = 1,
          .name = "flag",
          .help = "NOWAIT (1): do not wait for packets; otherwise WAIT (0)",
          .def = 0 },
        { .letter = 0 },
};

const struct mapi_function mapi_fn_to_buffer = {
        .abi = MAPI_FUNCTION_ABI,
        .name = "TO_BUFFER",
        .help = "Hands the packets that reach it to the application.",
        .args = args,
        .result = { .kind = MAPI_RESULT_PACKETS, .unit = "packets", .combine = MAPI_COMBINE_SERIAL },
        .shape = MAPI_OBSERVER,
        .traits = MAPI_KEEPS | MAPI_SERIAL,
        .room = { .per_packet = 32,
                  .with_bytes = 1 }, /* record header of 20 bytes, rounded up to 8 behind the bytes */
        .start = start,
        .run = run,
};
