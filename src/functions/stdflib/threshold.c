/* THRESHOLD: tells when another function's result crosses a bound. SPDX-License-Identifier: BSD-2-Clause */
#include "functions/period.h"

#include <mapi/function.h>
#include <mapi/threshold.h>

#define DEPTH 64
#define DIVIDER_MAX 65536
#define TYPE_BITS 63

__extension__ typedef __int128 wide; /* holds differences of 64-bit numbers */

struct threshold {
        uint64_t mask; /* of the bits of the source that count */
        uint64_t threshold;
        long long boundary;
        uint64_t left; /* events still to be told; UINT64_MAX: no limit */

        uint64_t dead; /* per packet: no events for so long after one; 2^-32 s */
        uint64_t deaf_until;

        struct period period; /* polls */
        bool polls;
        uint64_t *
                window; /* TR_MW: the increments of the last `divider` polls; NULL: the value itself is compared */
        uint64_t divider;
        uint64_t at;     /* where the next one goes */
        uint64_t filled; /* how many there are */
        uint64_t sum;    /* of them */
        uint64_t last;   /* the source at the latest poll */

        uint64_t previous;
        bool any; /* there was a previous one */
};

static int check(const struct mapi_value *arg, struct mapi_error *err)
{
        long long type = arg[0].num, boundary = arg[4].num, timeout = arg[5].num, divider = arg[6].num;
        bool poll = (type & TR_POLL) != 0, window = (type & TR_MW) != 0;

        if ((type & ~(long long)(TR_POLL | TR_MW | TYPE_BITS)) != 0 ||
            (type & TYPE_BITS) > TYPE_UNSIGNED_LONG_LONG || (poll && window))
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_1,
                                 "THRESHOLD: type is 0, 1 or 2, with TR_POLL (64) or TR_MW (128), not %lld", type);
        if (boundary != TR_B_EQ && boundary != TR_B_POS && boundary != TR_B_NEG && boundary != TR_B_D_EQ &&
            boundary != TR_B_D_POS && boundary != TR_B_D_NEG)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_5,
                                 "THRESHOLD: boundary is 0, 1, 2, 4, 8 or 16, not %lld", boundary);
        if (timeout < 0 || timeout > INT32_MAX || (timeout == 0 && (poll || window)))
                return mapi_fail(
                        err, MFUNCT_INVALID_ARGUMENT_6,
                        "THRESHOLD: timeout is in microseconds, more than 0 with TR_POLL and TR_MW, not %lld",
                        timeout);
        if (window && (divider < 1 || divider > DIVIDER_MAX || divider > timeout))
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT,
                                 "THRESHOLD: divider is 1 to %d, and at most one poll a microsecond, not %lld",
                                 DIVIDER_MAX, divider);
        if (arg[7].num < 0)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT, "THRESHOLD: count is 0 or more, not %lld",
                                 arg[7].num);
        return 0;
}

static int start(struct mapi_fn *fn, struct mapi_error *err)
{
        static const uint64_t masks[] = { UINT8_MAX, UINT32_MAX, UINT64_MAX };
        const struct mapi_value *arg = fn->arg;
        struct threshold *s;
        int r = check(arg, err);

        if (r < 0)
                return r;
        if (mapi_ref_count(fn) < 1)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_2, "THRESHOLD: flow %lld has no function %lld",
                                 arg[1].num, arg[2].num);
        s = mapi_fn_alloc(fn, sizeof *s);
        if (s == NULL)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "for THRESHOLD");
        fn->state = s;
        s->mask = masks[arg[0].num & TYPE_BITS];
        s->threshold = arg[3].u64;
        s->boundary = arg[4].num;
        s->left = arg[7].num == 0 ? UINT64_MAX : (uint64_t)arg[7].num;
        s->polls = (arg[0].num & (TR_POLL | TR_MW)) != 0;
        if (!s->polls) {
                s->dead = ((uint64_t)arg[5].num << 32) / 1000000u;
                return 0;
        }
        s->divider = (arg[0].num & TR_MW) != 0 ? (uint64_t)arg[6].num : 1;
        period_init_us(&s->period, (uint32_t)arg[5].num, (uint32_t)s->divider);
        fn->ahead = 1;
        if ((arg[0].num & TR_MW) == 0)
                return 0;
        s->window = mapi_fn_alloc(fn, (size_t)s->divider * sizeof s->window[0]);
        return s->window != NULL ? 0 : mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "for THRESHOLD");
}

static bool crosses(const struct threshold *s, uint64_t value)
{
        wide difference = (wide)value - s->previous, threshold = s->threshold;

        switch (s->boundary) {
        case TR_B_EQ:
                return value == s->threshold;
        case TR_B_POS:
                return value > s->threshold;
        case TR_B_NEG:
                return value < s->threshold;
        case TR_B_D_EQ:
                return s->any && difference == threshold;
        case TR_B_D_POS:
                return s->any && difference > threshold;
        default:
                return s->any && difference < threshold;
        }
}

/* Compares once; `deaf`: only for the sake of the next difference. Returns whether that was an event. */
static bool evaluate(struct mapi_fn *fn, struct threshold *s, uint64_t ts, uint64_t value, bool deaf)
{
        struct mapi_threshold_event event = { .ts = ts, .value = value };
        bool yes = !deaf && s->left != 0 && crosses(s, value);

        s->previous = value;
        s->any = true;
        if (!yes)
                return false;
        if (s->left != UINT64_MAX)
                s->left--;
        (void)mapi_queue_put(fn, &event);
        return true;
}

static void slide(struct threshold *s, uint64_t increment)
{
        s->sum += increment - s->window[s->at];
        s->window[s->at] = increment;
        s->at = s->at + 1 == s->divider ? 0 : s->at + 1;
        if (s->filled < s->divider)
                s->filled++;
}

/* A window is compared when it is complete: what it has seen of its first time is still in it then. */
static void poll_window(struct mapi_fn *fn, struct threshold *s, uint64_t over, uint64_t value)
{
        uint64_t empty = over - 1 < s->divider ? over - 1 : s->divider;

        slide(s, value >= s->last ? value - s->last : value); /* less: somebody has set the source back */
        s->last = value;
        if (s->filled == s->divider)
                (void)evaluate(fn, s, period_boundary(&s->period, s->period.done - over + 1), s->sum, false);
        if (empty == 0)
                return;
        for (uint64_t i = 0; i < empty; i++)
                slide(s, 0);
        if (s->filled == s->divider)
                (void)evaluate(fn, s, period_boundary(&s->period, s->period.done), s->sum, false);
}

/* Time has come to `now`. Of polls in which nothing happened, however many, the newest is compared. */
static void advance(struct mapi_fn *fn, struct threshold *s, uint64_t now)
{
        bool first = !s->period.begun;
        uint64_t over = period_advance(&s->period, now), value;

        if (first)
                s->last = mapi_ref_before(fn, 0) & s->mask;
        if (over == 0 || s->left == 0)
                return;
        value = mapi_ref_before(fn, 0) & s->mask;
        if (s->window != NULL) {
                poll_window(fn, s, over, value);
                return;
        }
        (void)evaluate(fn, s, period_boundary(&s->period, s->period.done - over + 1), value, false);
        if (over > 1)
                (void)evaluate(fn, s, period_boundary(&s->period, s->period.done), value, false);
}

static mapi_sel run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        struct threshold *s = fn->state;

        if (s->left == 0)
                return in;
        MAPI_SEL_EACH (i, in) {
                uint64_t ts = b->pkt[i].ts;

                if (s->polls)
                        advance(fn, s, ts);
                else if (evaluate(fn, s, ts, mapi_ref_u64(fn, 0) & s->mask, ts < s->deaf_until))
                        s->deaf_until = ts > UINT64_MAX - s->dead ? UINT64_MAX : ts + s->dead;
        }
        return in;
}

/* Before the first packet there is no period that could end. */
static void tick(struct mapi_fn *fn, uint64_t now)
{
        struct threshold *s = fn->state;

        if (s->polls && s->period.begun)
                advance(fn, s, now);
}

static const struct mapi_arg_spec args[] = {
        { .letter = 'i',
          .name = "type",
          .help = "TYPE_CHAR, TYPE_INT or TYPE_UNSIGNED_LONG_LONG; TR_POLL or TR_MW" },
        { .letter = 'r', .name = "flow", .help = "flow of the function to be watched" },
        { .letter = 'f', .name = "function", .help = "the function, whose result is one number" },
        { .letter = 'l', .name = "threshold", .help = "what its result is compared with" },
        { .letter = 'i', .name = "boundary", .help = "how: TR_B_EQ, TR_B_POS, TR_B_NEG or their TR_B_D_ forms" },
        { .letter = 'i', .name = "timeout", .help = "microseconds: poll period, window, or rest after an event" },
        { .letter = 'i', .name = "divider", .help = "TR_MW: polls for each window" },
        { .letter = 'i', .name = "count", .help = "events to tell, 0: all" },
        { .letter = 0 },
};

const struct mapi_function mapi_fn_threshold = {
        .abi = MAPI_FUNCTION_ABI,
        .name = "THRESHOLD",
        .help = "Tells when another function's result crosses a bound.",
        .args = args,
        .result = { .kind = MAPI_RESULT_QUEUE,
                    .size = sizeof(struct mapi_threshold_event),
                    .unit = "struct mapi_threshold_event",
                    .combine = MAPI_COMBINE_SERIAL,
                    .depth = DEPTH,
                    .full = MAPI_OVERRUN_OLDEST },
        .shape = MAPI_READER,
        .traits = MAPI_SERIAL,
        .start = start,
        .run = run,
        .tick = tick,
};
