/* BURST: bursts of packets and the gaps between them, by size. SPDX-License-Identifier: BSD-2-Clause */
#include <mapi/burst.h>
#include <mapi/function.h>

#include <limits.h>
#include <stdbool.h>
#include <string.h>

#define RESULT_BYTES_MAX (1u << 20)
#define NS_PER_SECOND 1000000000u

/* At s Mbit/s a byte takes 8000 / s ns. So durations are counted in ns / s: then every sum below is exact. */
#define UNITS_PER_BYTE 8000

__extension__ typedef __int128 wide;

struct burst {
        uint64_t min, step; /* bytes */
        uint64_t last;      /* number of the last category */
        wide speed;         /* Mbit/s, units per ns */
        wide least, most;   /* units between the end of a packet and the next one of the same burst */
        bool any;           /* there was a packet */
        uint64_t ns;        /* its time since 1970 */
        uint32_t wirelen;   /* its size */
        uint64_t bytes;     /* of the unfinished burst, that packet included */
        uint64_t packets;
};

enum { ARG_MIN, ARG_MAX, ARG_STEP, ARG_IFTIME, ARG_LATE, ARG_EARLY, ARG_SPEED };

static int start(struct mapi_fn *fn, struct mapi_error *err)
{
        const struct mapi_value *arg = fn->arg;
        struct burst *s = mapi_fn_alloc(fn, sizeof *s);
        uint64_t categories;

        if (s == NULL)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "for BURST");
        if (arg[ARG_MIN].num < 0)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_1, "BURST: min is %lld", arg[ARG_MIN].num);
        if (arg[ARG_MAX].num < arg[ARG_MIN].num)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_2, "BURST: max, %lld, is less than min, %lld",
                                 arg[ARG_MAX].num, arg[ARG_MIN].num);
        if (arg[ARG_STEP].num <= 0)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_3, "BURST wants a step of at least 1, not %lld",
                                 arg[ARG_STEP].num);
        if (arg[ARG_IFTIME].num < 0)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_4, "BURST: iftime is %lld", arg[ARG_IFTIME].num);
        if (arg[ARG_LATE].num < 0)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_5, "BURST: late is %lld", arg[ARG_LATE].num);
        if (arg[ARG_EARLY].num < 0)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_6, "BURST: early is %lld", arg[ARG_EARLY].num);
        if (arg[ARG_SPEED].num <= 0)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT, "BURST wants a link speed of at least 1, not %lld",
                                 arg[ARG_SPEED].num);
        categories = (uint64_t)((arg[ARG_MAX].num - arg[ARG_MIN].num) / arg[ARG_STEP].num) + 2;
        if (categories > RESULT_BYTES_MAX / sizeof(burst_category_t))
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_3,
                                 "BURST: steps of %lld make %llu categories, more than a result holds (%zu)",
                                 arg[ARG_STEP].num, (unsigned long long)categories,
                                 RESULT_BYTES_MAX / sizeof(burst_category_t));
        s->min = (uint64_t)arg[ARG_MIN].num;
        s->step = (uint64_t)arg[ARG_STEP].num;
        s->last = categories - 1;
        s->speed = arg[ARG_SPEED].num;
        s->least = (arg[ARG_IFTIME].num - arg[ARG_EARLY].num) * s->speed;
        s->most = (arg[ARG_IFTIME].num + arg[ARG_LATE].num) * s->speed;
        fn->result_size = (uint32_t)(categories * sizeof(burst_category_t));
        fn->state = s;
        return 0;
}

/* Nanoseconds, because the arguments are: rounded, so that stamps of us or ns are again what they were in the trace. */
static uint64_t nanoseconds(uint64_t ts)
{
        return (ts >> 32) * NS_PER_SECOND + (((ts & UINT32_MAX) * NS_PER_SECOND + 0x80000000u) >> 32);
}

static burst_category_t *category(const struct burst *s, burst_category_t *all, uint64_t bytes)
{
        uint64_t k = bytes < s->min ? 0 : (bytes - s->min) / s->step + 1;

        return &all[k < s->last ? k : s->last];
}

/* The burst that has ended, and the gap behind it. */
static void book(const struct burst *s, burst_category_t *all, wide idle)
{
        burst_category_t *c = category(s, all, s->bytes);
        wide gap = idle > 0 ? idle / UNITS_PER_BYTE : 0;
        unsigned long gap_bytes = gap < (wide)ULONG_MAX ? (unsigned long)gap : ULONG_MAX;

        c->bytes += (unsigned long)s->bytes;
        c->packets += (unsigned long)s->packets;
        c->bursts++;
        c = category(s, all, gap_bytes);
        c->gap_bytes = c->gap_bytes < ULONG_MAX - gap_bytes ? c->gap_bytes + gap_bytes : ULONG_MAX;
        c->gaps++;
}

static mapi_sel run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        struct burst *s = fn->state;
        burst_category_t *all = NULL; /* the result, once it is being written */

        MAPI_SEL_EACH (i, in) {
                uint64_t ns = nanoseconds(b->pkt[i].ts);
                wide idle; /* from the end of the packet before to this one */

                if (ns < s->ns)
                        ns = s->ns; /* time that goes back is the present */
                idle = (wide)(ns - s->ns) * s->speed - (wide)s->wirelen * UNITS_PER_BYTE;
                if (s->any && (idle < s->least || idle > s->most)) {
                        if (all == NULL)
                                all = mapi_result_begin(fn);
                        book(s, all, idle);
                        s->bytes = s->packets = 0;
                }
                s->any = true;
                s->ns = ns;
                s->wirelen = b->pkt[i].wirelen;
                s->bytes += s->wirelen;
                s->packets++;
        }
        if (all != NULL)
                mapi_result_end(fn);
        return in;
}

/* The unfinished burst goes on. */
static void reset(struct mapi_fn *fn)
{
        memset(mapi_result_begin(fn), 0, fn->result_size);
        mapi_result_end(fn);
}

static const struct mapi_arg_spec args[] = {
        { .letter = 'i', .name = "min", .help = "bytes where the second category begins" },
        { .letter = 'i', .name = "max", .help = "bytes where the last category begins" },
        { .letter = 'i', .name = "step", .help = "bytes from one category to the next" },
        { .letter = 'i', .name = "iftime", .help = "ns between two packets of a burst" },
        { .letter = 'i', .name = "late", .help = "ns that a packet of a burst may be late" },
        { .letter = 'i', .name = "early", .help = "ns that a packet of a burst may be early" },
        { .letter = 'i', .name = "link_speed", .help = "speed of the link in Mbit/s" },
        { .letter = 0 },
};

const struct mapi_function mapi_fn_burst = {
        .abi = MAPI_FUNCTION_ABI,
        .name = "BURST",
        .help = "Counts bursts of packets and the gaps between them by their sizes.",
        .args = args,
        .result = { .kind = MAPI_RESULT_RECORD,
                    .size = 0, /* set by .start */
                    .unit = "burst_category_t[]",
                    .combine = MAPI_COMBINE_SERIAL },
        .shape = MAPI_OBSERVER,
        .traits = MAPI_SERIAL,
        .start = start,
        .run = run,
        .reset = reset,
};
