/* Function libraries that must be refused: one for each way to be broken, chosen by -D. SPDX-License-Identifier: BSD-2-Clause */
#include <mapi/library.h>

#include <stdlib.h>

static int start(struct mapi_fn *fn, struct mapi_error *err)
{
        (void)fn;
        (void)err;
#ifdef CRASH
        *(volatile int *)(unsigned long)err->code = 1;
#endif
#ifdef EXIT
        exit(7);
#endif
#ifdef SILENT
        return -7001;
#endif
        return 0;
}

static mapi_sel run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        MAPI_SEL_EACH (i, in) {
#ifdef LOOP
                for (volatile int forever = 1; forever;)
                        ;
#endif
#ifdef BEHIND /* reads one byte too many */
                mapi_result_add(fn, b->pkt[i].data[b->pkt[i].caplen]);
#endif
        }
        (void)fn;
        (void)b;
#ifdef GUEST
        return in | 1;
#endif
        return in;
}

static const struct mapi_function broken = {
        .abi = MAPI_FUNCTION_ABI,
#ifdef LOWER
        .name = "broken",
#else
        .name = "BROKEN",
#endif
        .help = "Is broken.",
        .result = { .kind = MAPI_RESULT_COUNTER, .unit = "nothing" },
        .shape = MAPI_OBSERVER,
        .start = start,
#ifndef NO_RUN
        .run = run,
#endif
};

static const struct mapi_function *const functions[] = { &broken, NULL };

#ifdef NO_SYMBOL
#define SYMBOL something_else
#else
#define SYMBOL mapi_library
#endif
#ifdef ABI
#undef MAPI_FUNCTION_ABI
#define MAPI_FUNCTION_ABI 77
#endif
#ifdef STDFLIB
#define NAME "stdflib"
#else
#define NAME "broken"
#endif
const struct mapi_library SYMBOL = { .abi = MAPI_FUNCTION_ABI, .name = NAME, .functions = functions };

#ifdef LOADING
__attribute__((constructor)) static void crash(void)
{
        abort();
}
#endif
const void *broken_uses = run;
