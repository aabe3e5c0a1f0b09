/*
 * The bytes of a trace from an open descriptor; see stream.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "formats/stream.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The incomplete record at the end of a block is moved in front of this place, so that reads always go to whole
   pages. */
#define BLOCK_AT FORMATS_RECORD_MAX
#define BUFFER_BYTES (BLOCK_AT + FORMATS_BLOCK_BYTES)

/* Compressed bytes read at once, and the least room that is worth a read. */
#define IN_BYTES (128u << 10)
#define ROOM_MIN (64u << 10)

#define MAGIC_BYTES 4u

_Static_assert(IN_BYTES <= FORMATS_BLOCK_BYTES, "the first read goes to the block");

static __attribute__((format(printf, 3, 4), cold)) int fail(struct formats_stream *s, int code, const char *format,
                                                            ...)
{
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(s->why, sizeof(s->why), format, ap);
        va_end(ap);
        s->ended = -code;
        return s->ended;
}

int formats_stream_open(struct formats_stream *s, int fd)
{
        struct stat st;

        *s = (struct formats_stream){ .fd = fd };
        if (fstat(fd, &st) < 0)
                return fail(s, MAPI_ERROR_FILE, "%m");
        if (S_ISDIR(st.st_mode))
                return fail(s, MAPI_ERROR_FILE, "it is a directory");
        s->waits = !S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode);
        if (!s->waits)
                (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL); /* only a hint */
        s->buf = mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (s->buf == MAP_FAILED) {
                s->buf = NULL;
                return fail(s, MAPID_MEM_ALLOCATION_ERROR, "no memory for the read buffer");
        }
        s->w.p = s->w.end = s->buf + BLOCK_AT;
        return 0;
}

static void close_codec(struct formats_stream *s)
{
        if (s->codec != NULL && s->codec->close != NULL)
                s->codec->close(s->codec_state);
        s->codec = NULL;
}

void formats_stream_restart(struct formats_stream *s, int fd)
{
        uint8_t *buf = s->buf, *in = s->in;

        close_codec(s);
        *s = (struct formats_stream){ .fd = fd, .buf = buf, .in = in };
        s->w.p = s->w.end = s->buf + BLOCK_AT;
}

void formats_stream_close(struct formats_stream *s)
{
        close_codec(s);
        free(s->in);
        s->in = NULL;
        if (s->buf != NULL)
                (void)munmap(s->buf, BUFFER_BYTES); /* our own mapping */
        s->buf = NULL;
        if (s->fd >= 0)
                (void)close(s->fd); /* only read from: nothing can be lost */
        s->fd = -1;
}

int formats_stream_wait(const struct formats_stream *s, int timeout_ms)
{
        struct pollfd pfd = { .fd = s->fd, .events = POLLIN };
        int rc;

        do
                rc = poll(&pfd, 1, timeout_ms);
        while (rc < 0 && errno == EINTR && timeout_ms == 0);
        return rc > 0;
}

/* > 0 bytes; 0 none now; FORMATS_END; -9002. */
static ssize_t raw_read(struct formats_stream *s, uint8_t *to, size_t room)
{
        ssize_t n;

        if (s->waits && !formats_stream_wait(s, 0))
                return 0;
        do
                n = read(s->fd, to, room);
        while (n < 0 && errno == EINTR);
        if (n > 0)
                return n;
        if (n == 0)
                return FORMATS_END;
        if (errno == EAGAIN || errno == EWOULDBLOCK)
                return 0;
        return fail(s, s->started ? MAPI_TRACE_DAMAGED : MAPI_ERROR_FILE, "reading failed: %m");
}

static void make_room(struct formats_stream *s, size_t need_bytes)
{
        uint8_t *limit = s->buf + BUFFER_BYTES, *place;
        size_t tail = formats_avail(&s->w), room = (size_t)(limit - s->w.end);

        assert(need_bytes <= FORMATS_RECORD_MAX && tail < FORMATS_RECORD_MAX);
        if (tail != 0 && room >= ROOM_MIN && tail + room >= need_bytes) /* a pipe that brings little at a time */
                return;
        place = s->buf + BLOCK_AT - tail;
        memmove(place, s->w.p, tail);
        s->w.p = place;
        s->w.end = place + tail;
}

static int add(struct formats_stream *s, size_t n)
{
        s->w.end += n;
        s->w.end_offset += n;
        return (int)n;
}

static int fill_plain(struct formats_stream *s)
{
        ssize_t n = raw_read(s, s->w.end, (size_t)(s->buf + BUFFER_BYTES - s->w.end));

        if (n > 0)
                return add(s, (size_t)n);
        if (n == FORMATS_END)
                s->ended = FORMATS_END;
        return (int)n;
}

/* One run of the codec over what has been read. */
static int decompress(struct formats_stream *s)
{
        size_t used = s->in_bytes - s->in_at, room = (size_t)(s->buf + BUFFER_BYTES - s->w.end), made = room;
        const char *why = "unknown error";
        int rc;

        rc = s->codec->run(s->codec_state, s->in + s->in_at, &used, s->w.end, &made, &why);
        if (rc < 0) {
                rc = fail(s, MAPI_TRACE_DAMAGED, "the %s data are broken after %llu bytes of trace: %s",
                          s->codec->name, (unsigned long long)s->w.end_offset + made, why);
                /* What came out before the broken place is delivered first. */
                return made != 0 ? add(s, made) : rc;
        }
        s->in_at += used;
        s->codec_between = rc == FORMATS_CODEC_BETWEEN;
        s->codec_full = made == room;
        if (made == 0 && used == 0 && s->in_at < s->in_bytes)
                return fail(s, MAPI_TRACE_DAMAGED, "the %s data lead nowhere after %llu bytes of trace",
                            s->codec->name, (unsigned long long)s->w.end_offset);
        return add(s, made);
}

static int fill_compressed(struct formats_stream *s)
{
        for (;;) {
                ssize_t n;

                if (s->in_at < s->in_bytes || (s->codec_full && !s->codec_between)) {
                        int rc = decompress(s);

                        if (rc != 0)
                                return rc;
                        continue;
                }
                if (s->raw_eof) {
                        if (!s->codec_between)
                                return fail(s, MAPI_TRACE_DAMAGED,
                                            "the %s data end too early, after %llu bytes of trace", s->codec->name,
                                            (unsigned long long)s->w.end_offset);
                        s->ended = FORMATS_END;
                        return FORMATS_END;
                }
                n = raw_read(s, s->in, IN_BYTES);
                if (n == FORMATS_END) {
                        s->raw_eof = 1;
                        continue;
                }
                if (n <= 0)
                        return (int)n;
                s->in_at = 0;
                s->in_bytes = (size_t)n;
        }
}

/* Reads until the compression can be told. 1 it can, 0 none now, < 0 as fill. */
static int start(struct formats_stream *s)
{
        const char *foreign;
        size_t have;

        while (formats_avail(&s->w) < MAGIC_BYTES && !s->raw_eof) {
                ssize_t n = raw_read(s, s->w.end, IN_BYTES - formats_avail(&s->w));

                if (n == FORMATS_END)
                        s->raw_eof = 1;
                else if (n <= 0)
                        return (int)n;
                else
                        (void)add(s, (size_t)n);
        }
        s->started = 1;
        have = formats_avail(&s->w);
        s->codec = formats_codec_find(s->w.p, have);
        foreign = formats_codec_foreign(s->w.p, have);
        if (foreign != NULL)
                return fail(s, MAPI_ERROR_FILE, "it is compressed with %s, which cannot be read", foreign);
        if (s->codec == NULL)
                return 1;
        if (s->codec->open == NULL)
                return fail(s, MAPI_ERROR_FILE, "it is compressed with %s, which this build of MAPI cannot read",
                            s->codec->name);
        if (s->in == NULL)
                s->in = malloc(IN_BYTES);
        s->codec_state = s->codec->open();
        if (s->in == NULL || s->codec_state == NULL)
                return fail(s, MAPID_MEM_ALLOCATION_ERROR, "no memory to decompress it");
        memcpy(s->in, s->w.p, have);
        s->in_bytes = have;
        s->w.end = s->w.p;
        s->w.end_offset = 0;
        return 1;
}

int formats_stream_fill(struct formats_stream *s, size_t need_bytes)
{
        int fresh = !s->started;

        if (s->ended != 0)
                return s->ended;
        if (fresh) {
                int rc = start(s);

                if (rc <= 0)
                        return rc;
                if (s->codec == NULL && formats_avail(&s->w) != 0)
                        return (int)formats_avail(&s->w);
        }
        make_room(s, need_bytes);
        return s->codec != NULL ? fill_compressed(s) : fill_plain(s);
}
