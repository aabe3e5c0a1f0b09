/* CUT: emits the first bytes of every packet for the rest of the flow. SPDX-License-Identifier: BSD-2-Clause */
#include <mapi/function.h>

#include <string.h>

static int start(struct mapi_fn *fn, struct mapi_error *err)
{
        (void)err;
        fn->emit_caplen = (uint32_t)fn->arg[0].num; /* the most that one emitted packet has */
        fn->emit_count = 1;                         /* the most for one packet that comes in */
        return 0;
}

static mapi_sel run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        MAPI_SEL_EACH (i, in) {
                const struct mapi_view *v = &b->pkt[i];
                uint32_t n = v->caplen < fn->emit_caplen ? v->caplen : fn->emit_caplen;
                uint8_t *to = mapi_emit(fn, v, n, v->wirelen, v->ts);

                if (to != NULL) /* NULL: more than was declared; cannot be here */
                        memcpy(to, v->data, n);
        }
        return 0; /* what goes on is what was emitted */
}

static const struct mapi_arg_spec args[] = {
        { .letter = 'i', .name = "bytes", .help = "captured bytes to keep", .min = 1, .max = MAPI_CAPLEN_MAX },
        { .letter = 0 },
};

const struct mapi_function example_cut = {
        .abi = MAPI_FUNCTION_ABI,
        .name = "CUT",
        .help = "Cuts packets to their first bytes, for the functions behind it.",
        .args = args,
        .shape = MAPI_TRANSFORMER,
        .start = start,
        .run = run,
};
