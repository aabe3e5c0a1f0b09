/*
 * The driver of traces: pcap, pcapng and ERF files and pipes, compressed or not, told apart by their content.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <mapi/driver.h>

#include "drivers/options.h"
#include "drivers/table.h"
#include "formats/format.h"
#include "formats/stream.h"

#define HEAD_WAIT_MS 10000 /* how long a pipe may take to bring the head of its trace */

struct trace {
        struct formats_stream stream;
        struct formats_reader reader;
        int ended;                  /* 0, MAPI_RECV_END or -code: what recv says from now on */
        uint64_t received, dropped; /* read by other threads */
        char name[128];             /* of the source, for messages */
};

static uint64_t now_ms(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail with this clock */
        return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* More of the head, waiting for it if it comes from a pipe. As formats_stream_fill, but 0 means that time is up.
   */
static int fill_waiting(struct trace *t, uint64_t deadline_ms)
{
        for (;;) {
                int rc = formats_stream_fill(&t->stream, t->reader.need_bytes);
                uint64_t now = now_ms();

                if (rc != 0 || now >= deadline_ms)
                        return rc;
                (void)formats_stream_wait(&t->stream, (int)(deadline_ms - now)); /* fill sees what has come */
        }
}

static int read_head(struct trace *t, uint64_t wait_ms, struct mapi_error *err)
{
        uint64_t deadline_ms = now_ms() + wait_ms;
        int eof = 0, rc;

        t->reader.need_bytes = 1;
        for (;;) {
                rc = fill_waiting(t, deadline_ms);
                if (rc == 0)
                        return mapi_fail(err, MAPI_ERROR_FILE, "%s: no trace has begun to come within %llu ms",
                                         t->name, (unsigned long long)wait_ms);
                if (rc < FORMATS_END)
                        return mapi_fail(err, rc == -MAPI_TRACE_DAMAGED ? MAPI_ERROR_FILE : -rc, "%s: %s", t->name,
                                         t->stream.why);
                eof = rc == FORMATS_END;
                rc = formats_open(&t->reader, &t->stream.w, eof);
                if (rc < 0)
                        return mapi_fail(err, -rc, "%s: %s", t->name, t->reader.why);
                if (rc > 0)
                        return 0;
        }
}

static void trace_close(void *state)
{
        struct trace *t = state;

        if (t == NULL)
                return;
        formats_close(&t->reader);
        formats_stream_close(&t->stream);
        free(t);
}

static int trace_open(const struct mapi_source *src, struct mapi_device_facts *facts, void **ret_state,
                      struct mapi_error *err)
{
        uint64_t wait_ms = HEAD_WAIT_MS;
        const struct drivers_option options[] = { { "wait_ms", 0, 3600000, &wait_ms } };
        int fd = src->fd, rc = drivers_options_parse(src, options, 1, err);
        struct trace *t = NULL;

        if (rc < 0)
                goto out;
        t = calloc(1, sizeof(*t));
        if (t == NULL) {
                rc = mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "%s", src->name);
                goto out;
        }
        (void)snprintf(t->name, sizeof(t->name), "%s",
                       src->name); /* a long name is cut: it is for messages only */
        t->stream.fd = -1;
        if (fd < 0) /* this descriptor is nobody else's, so that it may be non-blocking: a FIFO without a writer */
                fd = open(src->name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0) {
                rc = mapi_fail(err, MAPI_ERROR_FILE, "%s: %m", src->name);
                goto out;
        }
        rc = formats_stream_open(&t->stream, fd);
        fd = -1;
        if (rc < 0) {
                rc = mapi_fail(err, -rc, "%s: %s", t->name, t->stream.why);
                goto out;
        }
        rc = read_head(t, wait_ms, err);
        if (rc < 0)
                goto out;
        facts->linktype = t->reader.linktype;
        facts->snaplen = t->reader.snaplen;
        facts->offline = 1;
        facts->link_speed = 0;
        *ret_state = t;
        return 0;
out:
        trace_close(t);
        if (fd >= 0)
                (void)close(fd); /* only read from: nothing can be lost */
        return rc;
}

/* The reader wants bytes that are not there and will not come, or there is damage: remembers and says what this
   is. */
static __attribute__((noinline, cold)) int end_of_trace(struct trace *t, int rc, const char *why,
                                                        struct mapi_error *err)
{
        t->ended = rc;
        if (rc != FORMATS_END) {
                if (why != t->reader.why)
                        (void)snprintf(t->reader.why, sizeof(t->reader.why), "%s", why);
                return mapi_fail(err, -rc, "%s: %s", t->name, t->reader.why);
        }
        return MAPI_RECV_END;
}

static int trace_recv(void *state, struct mapi_batch *b, unsigned most, size_t max_bytes, size_t *ret_needed_bytes,
                      struct mapi_error *err)
{
        struct trace *t = state;

        *ret_needed_bytes = 0;
        if (t->ended != 0)
                return end_of_trace(t, t->ended, t->reader.why, err);
        if (most == 0)
                return 0;
        if (most > MAPI_BATCH_MAX)
                most = MAPI_BATCH_MAX;
        for (;;) {
                int rc = formats_read(&t->reader, &t->stream.w, b->pkt, most, max_bytes);

                if (rc > 0) {
                        __atomic_store_n(&t->received, t->reader.records, __ATOMIC_RELAXED);
                        __atomic_store_n(&t->dropped, t->reader.lost, __ATOMIC_RELAXED);
                        return rc;
                }
                if (rc < 0)
                        return end_of_trace(t, rc, t->reader.why, err);
                if (t->reader.next_caplen != 0) {
                        *ret_needed_bytes = t->reader.next_caplen;
                        return 0;
                }
                /* No view is lent here, so the window may move. */
                rc = formats_stream_fill(&t->stream, t->reader.need_bytes);
                if (rc == 0)
                        return 0;
                if (rc == FORMATS_END) {
                        rc = formats_at_end(&t->reader, &t->stream.w);
                        return end_of_trace(t, rc, t->reader.why, err);
                }
                if (rc < 0)
                        return end_of_trace(t, rc, t->stream.why, err);
        }
}

static void trace_release(void *state, struct mapi_batch *b)
{
        (void)state; /* the next recv may overwrite the window; nothing is to be done before */
        (void)b;
}

static void trace_stats(void *state, struct mapi_driver_stats *ret)
{
        const struct trace *t = state;

        *ret = (struct mapi_driver_stats){
                .received = __atomic_load_n(&t->received, __ATOMIC_RELAXED),
                .dropped = __atomic_load_n(&t->dropped, __ATOMIC_RELAXED),
        };
}

static int trace_fd(void *state)
{
        const struct trace *t = state;

        return t->stream.waits ? t->stream.fd : -1;
}

const struct mapi_driver mapi_drv_trace = {
        .abi = MAPI_DRIVER_ABI,
        .name = "trace",
        .help = "Reads pcap, pcapng and ERF traces from files and pipes, also compressed with gzip, zstd or lz4.",
        .traits = MAPI_DRV_OFFLINE,
        .open = trace_open,
        .recv = trace_recv,
        .release = trace_release,
        .stats = trace_stats,
        .fd = trace_fd,
        .close = trace_close,
};
