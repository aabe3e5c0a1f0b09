/* STARTSTOP: lets the packets of one span of time pass. SPDX-License-Identifier: BSD-2-Clause */
#include <mapi/function.h>
#include <mapi/startstop.h>

#include <stdbool.h>
#include <string.h>

struct startstop {
        struct mapi_startstop r;
        uint64_t start; /* packets from here to stop pass, both included; known with the first packet */
        uint64_t stop;
        uint64_t after; /* +start: since the first packet */
        uint64_t span;  /* +stop: since start */
        bool start_relative;
        bool stop_relative;
        bool seen;   /* a packet has reached the function */
        bool passed; /* one has passed */
};

/* "+10s", or local time; only the plus tells them apart. */
static int parse(const char *text, bool *ret_relative, uint64_t *ret_ts)
{
        if (text == NULL)
                return -1;
        *ret_relative = text[0] == '+';
        return *ret_relative ? mapi_parse_time(text, ret_ts) : mapi_parse_moment(text, ret_ts);
}

/* No time is later than the last one that there is. */
static uint64_t later(uint64_t ts, uint64_t by)
{
        return ts > UINT64_MAX - by ? UINT64_MAX : ts + by;
}

static int start(struct mapi_fn *fn, struct mapi_error *err)
{
        struct startstop *s = mapi_fn_alloc(fn, sizeof *s);
        uint64_t ts[2];
        bool relative[2];

        if (s == NULL)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "for STARTSTOP");
        for (int i = 0; i < 2; i++) {
                if (parse(fn->arg[i].str, &relative[i], &ts[i]) < 0)
                        return mapi_fail(err, MFUNCT_INVALID_ARGUMENT,
                                         "STARTSTOP wants \"+10s\" or \"YYYY-mm-dd HH:MM:SS\", not \"%.100s\"",
                                         fn->arg[i].str != NULL ? fn->arg[i].str : "");
        }
        if (relative[0] && !relative[1])
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT,
                                 "STARTSTOP: with a relative start such as \"%.100s\" the stop is relative, too",
                                 fn->arg[0].str);
        s->start_relative = relative[0];
        s->stop_relative = relative[1];
        s->after = s->start = ts[0];
        s->span = s->stop = ts[1];
        fn->state = s;
        return 0;
}

static void first_packet(struct startstop *s, uint64_t ts)
{
        s->seen = true;
        s->r.first = ts;
        if (s->start_relative)
                s->start = later(ts, s->after);
        if (s->stop_relative)
                s->stop = later(s->start, s->span);
}

static mapi_sel run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        struct startstop *s = fn->state;
        bool changed = !s->seen && in != 0;
        mapi_sel out = 0;

        MAPI_SEL_EACH (i, in) {
                uint64_t ts = b->pkt[i].ts;

                if (!s->seen)
                        first_packet(s, ts);
                if (ts >= s->start && ts <= s->stop) {
                        if (!s->passed)
                                s->r.first_processed = ts;
                        s->passed = true;
                        s->r.last = ts;
                        out |= MAPI_SEL_BIT(i);
                }
        }
        if (changed || out != 0) {
                memcpy(mapi_result_begin(fn), &s->r, sizeof s->r);
                mapi_result_end(fn);
        }
        return out;
}

static const struct mapi_arg_spec args[] = {
        { .letter = 's',
          .name = "start",
          .help = "\"+10s\" since the first packet, or local time \"YYYY-mm-dd HH:MM:SS\"" },
        { .letter = 's', .name = "stop", .help = "\"+10s\" since start, or local time if start is" },
        { .letter = 0 },
};

const struct mapi_function mapi_fn_startstop = {
        .abi = MAPI_FUNCTION_ABI,
        .name = "STARTSTOP",
        .help = "Lets the packets of one span of time pass.",
        .args = args,
        .result = { .kind = MAPI_RESULT_RECORD,
                    .size = sizeof(struct mapi_startstop),
                    .unit = "struct mapi_startstop",
                    .combine = MAPI_COMBINE_SERIAL },
        .shape = MAPI_OBSERVER,
        .traits = MAPI_FILTERS | MAPI_SERIAL,
        .start = start,
        .run = run,
};
