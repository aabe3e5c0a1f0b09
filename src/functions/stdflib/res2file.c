/* RES2FILE: writes the results of other functions to a file, line by line. SPDX-License-Identifier: BSD-2-Clause */
#include "functions/period.h"

#include <mapi/function.h>
#include <mapi/res2file.h>
#include <mapi/stats.h>

#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define LINE_MAX_BYTES 16384
#define CHUNK_BYTES 32768 /* several empty lines become one record of the queue */
#define ROOM_BYTES 65536  /* what one packet may put: its line, and some of the empty ones still owed */
#define EMPTY_MAX 10000   /* empty intervals that are written for one gap */

/* The longest texts, each with its blank. */
#define ULLSTR_BYTES 21
#define ULLSEC_BYTES 24
#define STATS_BYTES 512

#define WRITING 1u /* the result; negative: an errno value */

enum when { EACH_PACKET, AT_END, PERIODIC_TIME };

struct res2file {
        struct period period;
        enum when when;
        bool reset;
        bool over; /* at the end: the line is written */
        unsigned n;
        uint8_t format[MAPI_REFS_MAX];
        uint32_t size[MAPI_REFS_MAX]; /* of the result */
        locale_t c;                   /* the program's own may have decimal commas */

        uint8_t *line; /* the latest; without reset also what empty intervals repeat */
        size_t line_size;
        uint8_t *zero; /* with reset: the line of an empty interval */
        size_t zero_size;
        uint8_t *many; /* several lines */
        uint64_t owed; /* empty lines still to be put */
};

/* ---- arguments -------------------------------------------------------------------------------------------- */

static int format_of(struct mapi_fn *fn, unsigned i, long number, uint32_t *ret_bytes, struct mapi_error *err)
{
        const struct mapi_function *def = mapi_ref_function(fn, i);
        struct res2file *s = fn->state;
        bool counter = def->result.kind == MAPI_RESULT_COUNTER;

        s->size[i] = (uint32_t)mapi_ref_read(fn, i, NULL, 0);
        switch (number) {
        case R2F_RAW:
                if (!counter && def->result.kind != MAPI_RESULT_RECORD)
                        break;
                if (s->size[i] > LINE_MAX_BYTES)
                        return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_2,
                                         "RES2FILE: the %u bytes of %s are too many", s->size[i], def->name);
                *ret_bytes = (uint32_t)sizeof(unsigned long) + s->size[i];
                return 0;
        case R2F_ULLSTR:
        case R2F_ULLSEC:
                if (!counter)
                        break;
                *ret_bytes = number == R2F_ULLSTR ? ULLSTR_BYTES : ULLSEC_BYTES;
                return 0;
        case R2F_STATS:
                if (def->result.kind != MAPI_RESULT_RECORD || s->size[i] != sizeof(stats_t) ||
                    strcmp(def->result.unit, "stats_t") != 0)
                        break;
                *ret_bytes = STATS_BYTES;
                return 0;
        default:
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_2, "RES2FILE has formats 0 to 3, not %ld", number);
        }
        return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_2, "RES2FILE: the result of %s has no format %ld", def->name,
                         number);
}

/* "1,0,2": one number for each function. Returns the bytes that a line may have. */
static int formats(struct mapi_fn *fn, const char *text, struct mapi_error *err)
{
        struct res2file *s = fn->state;
        uint32_t bytes = 1, add = 0;
        unsigned given = text != NULL && *text != '\0';

        for (const char *c = text; given != 0 && *c != '\0'; c++)
                given += *c == ',';
        if (given != s->n)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_1, "RES2FILE: %u formats for %u functions", given,
                                 s->n);
        for (unsigned i = 0; i < s->n; i++) {
                bool digit = *text >= '0' && *text <= '9' && (text[1] == ',' || text[1] == '\0');
                int r;

                if (!digit)
                        return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_2,
                                         "RES2FILE: the formats are numbers such as \"1,2\", not \"%.100s\"",
                                         text);
                s->format[i] = (uint8_t)(*text - '0');
                r = format_of(fn, i, s->format[i], &add, err);
                if (r < 0)
                        return r;
                bytes += add;
                text += 2; /* digit and comma; behind the last one nobody looks */
        }
        if (bytes > LINE_MAX_BYTES)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_2, "RES2FILE: lines of %u bytes are too long",
                                 bytes);
        return (int)bytes;
}

static int interval(struct res2file *s, const char *text, struct mapi_error *err)
{
        uint64_t ts;

        if (text != NULL && strcmp(text, "0") == 0) {
                s->when = EACH_PACKET;
                return 0;
        }
        if (text != NULL && strcmp(text, "-1") == 0) {
                s->when = AT_END;
                return 0;
        }
        if (mapi_parse_time(text, &ts) < 0 || ts == 0)
                return mapi_fail(
                        err, MFUNCT_INVALID_ARGUMENT_5,
                        "RES2FILE's interval is \"0\", \"-1\" or a time such as \"100ms\", not \"%.100s\"",
                        text != NULL ? text : "");
        s->when = PERIODIC_TIME;
        period_init(&s->period, ts);
        return 0;
}

/* The line of an interval in which everything stood at zero. */
static void write_zero(struct res2file *s)
{
        for (unsigned i = 0; i < s->n; i++) {
                unsigned long size = s->size[i];

                if (s->format[i] != R2F_RAW) {
                        memcpy(s->zero + s->zero_size, "0 ", 2);
                        s->zero_size += 2;
                        continue;
                }
                memcpy(s->zero + s->zero_size, &size, sizeof size);
                s->zero_size += sizeof size + size; /* zeroed memory */
        }
        s->zero[s->zero_size++] = '\n';
}

static int start(struct mapi_fn *fn, struct mapi_error *err)
{
        const struct mapi_value *arg = fn->arg;
        struct res2file *s = mapi_fn_alloc(fn, sizeof *s);
        int r, bytes;

        if (s == NULL)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "for RES2FILE");
        fn->state = s;
        mapi_result_set32(fn, WRITING);
        r = mapi_sink_open(fn, 3, err);
        if (r < 0)
                return r;
        s->n = mapi_ref_count(fn);
        if (s->n < 1 || s->n > MAPI_REFS_MAX)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_2, "RES2FILE needs 1 to %d functions",
                                 MAPI_REFS_MAX);
        bytes = formats(fn, arg[0].str, err);
        if (bytes < 0)
                return bytes;
        if (arg[2].str == NULL)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_3, "RES2FILE needs a header; it may be empty");
        r = interval(s, arg[4].str, err);
        if (r < 0)
                return r;
        s->reset = arg[5].num == 1;
        fn->ahead = s->when == PERIODIC_TIME;
        s->line = mapi_fn_alloc(fn, (size_t)bytes);
        s->zero = s->line != NULL ? mapi_fn_alloc(fn, (size_t)bytes) : NULL;
        s->many = s->zero != NULL ? mapi_fn_alloc(fn, CHUNK_BYTES) : NULL;
        if (s->many == NULL)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "for RES2FILE");
        s->c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
        if (s->c == (locale_t)0)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "for RES2FILE");
        write_zero(s);
        if (!mapi_sink_put(fn, arg[2].str, strlen(arg[2].str), "\n", 1))
                return mapi_fail(err, MAPI_ERROR_FILE, "RES2FILE has no room for the header of %s", arg[3].str);
        return 0;
}

static void stop(struct mapi_fn *fn)
{
        struct res2file *s = fn->state;

        if (s != NULL && s->c != (locale_t)0)
                freelocale(s->c);
        if (s != NULL)
                s->c = (locale_t)0;
}

/* ---- lines ------------------------------------------------------------------------------------------------ */

/* Rounded to even as printf() does. */
static int print_seconds(char *to, size_t size, uint64_t value)
{
        const uint64_t one = 1000000000000u;
        period_wide scaled = (period_wide)(uint32_t)value * one;
        uint64_t seconds = value >> 32, decimals = (uint64_t)(scaled >> 32);
        uint32_t rest = (uint32_t)scaled;

        if (rest > 0x80000000u || (rest == 0x80000000u && (decimals & 1) != 0))
                decimals++;
        if (decimals == one) {
                decimals = 0;
                seconds++;
        }
        return snprintf(to, size, "%llu.%012llu ", (unsigned long long)seconds, (unsigned long long)decimals);
}

static int print(struct mapi_fn *fn, const struct res2file *s, unsigned i, char *to, size_t size)
{
        uint64_t value = s->when == PERIODIC_TIME ? mapi_ref_before(fn, i) : mapi_ref_u64(fn, i);
        stats_t r;

        if (s->format[i] == R2F_ULLSTR)
                return snprintf(to, size, "%llu ", (unsigned long long)value);
        if (s->format[i] == R2F_ULLSEC)
                return print_seconds(to, size, value);
        memset(&r, 0, sizeof r);
        (void)mapi_ref_read(fn, i, &r, sizeof r);
        return snprintf(to, size, "%llu  %.6Lf %.6Lf %.6f %.6f ", r.count, r.sum, r.sum2, r.min, r.max);
}

/* What all functions say now, into s->line. */
static void write_line(struct mapi_fn *fn, struct res2file *s)
{
        static const size_t most[] = { 0, ULLSTR_BYTES, ULLSEC_BYTES, STATS_BYTES };
        locale_t before = uselocale(s->c);
        size_t at = 0;

        for (unsigned i = 0; i < s->n; i++) {
                char *to = (char *)s->line + at;
                unsigned long size = s->size[i];

                if (s->format[i] == R2F_RAW) {
                        memcpy(to, &size, sizeof size);
                        memset(to + sizeof size, 0, size);
                        (void)mapi_ref_read(fn, i, to + sizeof size, size);
                        at += sizeof size + size;
                } else {
                        /* The 0 byte has room where the newline of the line will be at the latest. */
                        size_t room = most[s->format[i]] + 1;
                        int n = print(fn, s, i, to, room);

                        at += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
                }
        }
        s->line[at++] = '\n';
        s->line_size = at;
        (void)uselocale(before);
}

/* Puts owed lines as far as `room` bytes of the queue go. Returns false if some were lost. */
static bool pay(struct mapi_fn *fn, struct res2file *s, size_t room)
{
        const uint8_t *line = s->reset ? s->zero : s->line;
        size_t size = s->reset ? s->zero_size : s->line_size;

        while (s->owed > 0) {
                size_t bytes = room < CHUNK_BYTES ? room : CHUNK_BYTES, used = 0;

                bytes = bytes > 16 ? bytes - 16 : 0; /* the queue has a few bytes of its own for each record */
                if (bytes < size)
                        return true;
                for (; s->owed > 0 && used + size <= bytes; s->owed--, used += size)
                        memcpy(s->many + used, line, size);
                if (!mapi_sink_put(fn, s->many, used, NULL, 0)) {
                        s->owed = 0;
                        return false;
                }
                room -= used + 16;
        }
        return true;
}

/*
 * Time has come to `now`: first what the functions had before it, then lines for the empty intervals. Those of a long gap
 * are put bit by bit, with the packets that follow: a trace waits for room for one packet, not for all of them.
 * Returns  false if a line was lost
 */
static bool advance(struct mapi_fn *fn, struct res2file *s, uint64_t now)
{
        uint64_t over = period_advance(&s->period, now);
        size_t room = ROOM_BYTES;
        bool good = true;

        if (over > 0) {
                good = pay(fn, s, SIZE_MAX);
                write_line(fn, s);
                good &= mapi_sink_put(fn, s->line, s->line_size, NULL, 0) != 0;
                room -= s->line_size + 16;
                for (unsigned i = 0; s->reset && i < s->n; i++)
                        mapi_ref_reset(fn, i);
                s->owed = over - 1 < EMPTY_MAX ? over - 1 : EMPTY_MAX;
        }
        return pay(fn, s, room) && good;
}

static mapi_sel run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        struct res2file *s = fn->state;
        mapi_sel lost = 0;

        if (s->when == AT_END)
                return in;
        MAPI_SEL_EACH (i, in) {
                if (s->when == PERIODIC_TIME) {
                        if (!advance(fn, s, b->pkt[i].ts))
                                lost |= MAPI_SEL_BIT(i);
                        continue;
                }
                for (unsigned k = 0; s->reset && k < s->n;
                     k++) /* from before this packet on: what it added is the value */
                        mapi_ref_reset(fn, k);
                write_line(fn, s);
                if (!mapi_sink_put(fn, s->line, s->line_size, NULL, 0))
                        lost |= MAPI_SEL_BIT(i);
        }
        return in & ~lost;
}

/* Before the first packet there is no interval that could end. */
static void tick(struct mapi_fn *fn, uint64_t now)
{
        struct res2file *s = fn->state;

        if (s->when == PERIODIC_TIME && s->period.begun)
                (void)advance(fn, s, now);
}

/* An interval that is not over is not written. */
static int finish(struct mapi_fn *fn, enum mapi_finish why)
{
        struct res2file *s = fn->state;

        (void)why;
        if (s->when == AT_END && !s->over) {
                s->over = true;
                write_line(fn, s);
                (void)mapi_sink_put(fn, s->line, s->line_size, NULL, 0);
        }
        (void)pay(fn, s, ROOM_BYTES);
        return s->owed > 0;
}

static void drained(struct mapi_fn *fn, uint64_t written, int error)
{
        (void)written;
        mapi_result_set32(fn, error != 0 ? (uint32_t)-error : WRITING); /* also when the disk has room again */
}

static const struct mapi_arg_spec args[] = {
        { .letter = 's',
          .name = "formats",
          .help = "how each result is written: \"1,0\", numbers of <mapi/res2file.h>" },
        { .letter = 'S',
          .name = "functions",
          .help = "the functions whose results are written, \"fid@fd,fid@fd\"" },
        { .letter = 's', .name = "header", .help = "first line of the file" },
        { .letter = 'w', .name = "path", .help = "file to write; an existing one is replaced" },
        { .letter = 's',
          .name = "interval",
          .help = "\"0\" a line for every packet, \"-1\" one at the end, otherwise once in this time" },
        { .letter = 'i',
          .name = "reset",
          .help = "1: the functions start anew after each line",
          .min = 0,
          .max = 1 },
        { .letter = 0 },
};

const struct mapi_function mapi_fn_res2file = {
        .abi = MAPI_FUNCTION_ABI,
        .name = "RES2FILE",
        .help = "Writes the results of other functions to a file, line by line.",
        .args = args,
        .result = { .kind = MAPI_RESULT_COUNTER,
                    .size = 4,
                    .unit = "1 writing, < 0 -errno",
                    .combine = MAPI_COMBINE_SERIAL },
        .shape = MAPI_SINK,
        .traits = MAPI_SERIAL,
        .room = { .per_packet = ROOM_BYTES, .with_bytes = 1 },
        .start = start,
        .run = run,
        .tick = tick,
        .finish = finish,
        .stop = stop,
        .drained = drained,
};
