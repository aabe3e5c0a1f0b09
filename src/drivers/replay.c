/*
 * The driver that plays traces round after round as if they came from a wire: a live device for tests, and for
 * machines where nobody may capture.
 *
 * Packets are due by the trace's own distances (times a factor), by a rate, or at once; their time stamps are those of
 * the present. Nothing is ever lost here: a packet that nobody fetches in time is only late.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "drivers/replay.h"
#include "drivers/table.h"
#include "formats/format.h"
#include "formats/stream.h"

#define NS_PER_SECOND 1000000000u

/* Who fetches later than this finds the rest of the trace moved by as much, instead of a flood of old packets. */
#define LAG_MAX_NS NS_PER_SECOND
/* When all files have become empty since open. */
#define PAUSE_NS NS_PER_SECOND
/* Farther than this from the clock, and it was set, or ours has drifted away. */
#define CLOCK_OFF_NS 1000000
/* Two readings of the clock that are farther apart than this do not belong together. */
#define CLOCK_READ_NS 100000u
/* No distance in a trace is longer, so that sums of a few cannot overflow. 73 years. */
#define DISTANCE_MAX_NS ((uint64_t)1 << 61)

struct replay {
        const struct replay_clock *clock;
        struct replay_options options;
        struct formats_stream stream; /* its descriptor is one of fds, or -1 */
        struct formats_reader reader;
        int timer;
        uint64_t armed_ns; /* when it goes off, 0: not */

        int fds[MAPI_SOURCE_FDS]; /* those that had packets at open */
        unsigned nfds, file;      /* which one is being played */
        int opened;               /* 1: its head has been read */
        uint64_t rounds, round_packets;
        uint64_t file_packets; /* read from it */
        int finished;          /* all rounds have been played */
        uint64_t resume_ns;    /* not 0: nothing before that */

        int started;       /* the time of the first packet is known */
        uint64_t last_ts;  /* time stamps do not go below this one */
        uint64_t due_ns;   /* REPLAY_RATE: of the next packet; REPLAY_OWN: of the last one */
        uint64_t due_rest; /* REPLAY_RATE: what due_ns lacks, in ns divided by the rate */

        /* REPLAY_OWN: whether a packet is due can be told when it has been read. */
        uint64_t start_ns, start_ts; /* the first packet of this file: when it was due, and its own time */
        int fresh;                   /* 1: start_ts is not known yet */
        int64_t real_offset_ns;      /* real_ns less mono_ns */
        struct mapi_view ahead[MAPI_BATCH_MAX];
        unsigned ahead_at, ahead_n; /* not yet handed out: [ahead_at, ahead_n) */

        uint64_t received; /* read by other threads */
};

/* ---- time ------------------------------------------------------------------------------------------------ */

static uint64_t read_clock(clockid_t id)
{
        struct timespec t;

        (void)clock_gettime(id, &t); /* cannot fail with these clocks */
        return (uint64_t)t.tv_sec * NS_PER_SECOND + (uint64_t)t.tv_nsec;
}

static uint64_t mono_ns(void)
{
        return read_clock(CLOCK_MONOTONIC);
}

static uint64_t real_ns(void)
{
        return read_clock(CLOCK_REALTIME);
}

static void arm(int timer_fd, uint64_t due_ns)
{
        struct itimerspec when = { .it_value = { .tv_sec = (time_t)(due_ns / NS_PER_SECOND),
                                                 .tv_nsec = (long)(due_ns % NS_PER_SECOND) } };

        (void)timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &when, NULL); /* cannot fail with such a time */
}

static const struct replay_clock real_clock = { mono_ns, real_ns, arm };

void drivers_replay_set_clock(void *state, const struct replay_clock *clock)
{
        struct replay *r = state;

        r->clock = clock;
}

/* What recv says when nothing is due before that. */
static int sleep_until(struct replay *r, uint64_t due_ns)
{
        if (r->armed_ns != due_ns)
                r->clock->arm(r->timer, due_ns);
        r->armed_ns = due_ns;
        return 0;
}

/* The time stamp for a packet of that moment. */
static uint64_t stamp(struct replay *r, uint64_t ns)
{
        uint64_t ts = mapi_ts_from_ns(ns / NS_PER_SECOND, (uint32_t)(ns % NS_PER_SECOND));

        if (ts > r->last_ts)
                r->last_ts = ts;
        return r->last_ts;
}

static void stamp_all(struct replay *r, struct mapi_batch *b, int n)
{
        uint64_t ts = n > 0 ? stamp(r, r->clock->real_ns()) : 0;

        for (int i = 0; i < n; i++)
                b->pkt[i].ts = ts;
}

/* ---- files ----------------------------------------------------------------------------------------------- */

/* Reads the head of a file from its beginning. 0, or -code and *ret_why, which lives as long as r. */
static int open_file(struct replay *r, int fd, const char **ret_why)
{
        int rc;

        if (lseek(fd, 0, SEEK_SET) < 0) {
                *ret_why = "it cannot be played from the beginning again";
                return -MAPI_ERROR_FILE;
        }
        formats_stream_restart(&r->stream, fd);
        formats_rewind(&r->reader);
        r->reader.need_bytes = 1;
        do {
                int eof;

                rc = formats_stream_fill(&r->stream, r->reader.need_bytes);
                if (rc < FORMATS_END) {
                        *ret_why = r->stream.why;
                        return rc == -MAPI_TRACE_DAMAGED ? -MAPI_ERROR_FILE : rc;
                }
                eof = rc == FORMATS_END;
                rc = formats_open(&r->reader, &r->stream.w, eof);
        } while (rc == 0);
        *ret_why = r->reader.why;
        return rc < 0 ? rc : 0;
}

/*
 * The next packets of the file that is open. > 0 views; 0 the next one has more than max_bytes; FORMATS_END, or
 * -9002 and *ret_why.
 */
static int read_views(struct replay *r, struct mapi_view *pkt, unsigned most, size_t max_bytes,
                      const char **ret_why)
{
        *ret_why = r->reader.why;
        for (;;) {
                int rc = formats_read(&r->reader, &r->stream.w, pkt, most, max_bytes);

                if (rc != 0 || r->reader.next_caplen != 0)
                        return rc;
                rc = formats_stream_fill(&r->stream, r->reader.need_bytes); /* no view is lent here */
                if (rc == FORMATS_END)
                        return formats_at_end(&r->reader, &r->stream.w);
                if (rc < 0) {
                        *ret_why = r->stream.why;
                        return rc;
                }
        }
}

/* A file has come to its end or to a damage. 1 go on with the next one, 0 nothing more now. */
static int next_file(struct replay *r)
{
        if (r->file_packets > 0 && r->options.pace == REPLAY_OWN) {
                uint64_t took_ns = r->due_ns - r->start_ns, distances = r->file_packets - 1;

                /* Packets that are all of the same time say nothing about their distance: take a second. */
                r->start_ns = r->due_ns + (took_ns > 0 ? took_ns / distances
                                                       : (uint64_t)NS_PER_SECOND * REPLAY_SPEED_ONE /
                                                                 r->options.speed_millionths);
                r->fresh = 1;
        }
        r->file_packets = 0;
        r->opened = 0;
        if (++r->file < r->nfds)
                return 1;
        r->file = 0;
        r->rounds++;
        if (r->rounds == r->options.loops) {
                r->finished = 1;
                return sleep_until(r, 0);
        }
        if (r->round_packets == 0) { /* they have been changed since open; they may change again */
                r->resume_ns = r->clock->mono_ns() + PAUSE_NS;
                return sleep_until(r, r->resume_ns);
        }
        r->round_packets = 0;
        return 1;
}

/* As recv: > 0 views with the trace's time stamps, 0 none now. No view may be lent. */
static int next_views(struct replay *r, struct mapi_view *pkt, unsigned most, size_t max_bytes,
                      size_t *ret_needed_bytes)
{
        const char *why;

        do {
                int rc;

                if (!r->opened && open_file(r, r->fds[r->file], &why) < 0)
                        continue; /* it was good at open: it has been changed, or there is no memory now */
                r->opened = 1;
                rc = read_views(r, pkt, most, max_bytes, &why);
                if (rc > 0) {
                        r->file_packets += (unsigned)rc;
                        r->round_packets += (unsigned)rc;
                        return rc;
                }
                if (rc == 0) {
                        *ret_needed_bytes = r->reader.next_caplen;
                        return 0;
                }
        } while (next_file(r));
        return 0;
}

/* ---- recv ------------------------------------------------------------------------------------------------ */

static int recv_max(struct replay *r, struct mapi_batch *b, unsigned most, size_t max_bytes,
                    size_t *ret_needed_bytes)
{
        int n = next_views(r, b->pkt, most, max_bytes, ret_needed_bytes);

        stamp_all(r, b, n);
        return n;
}

static int recv_rate(struct replay *r, struct mapi_batch *b, unsigned most, size_t max_bytes,
                     size_t *ret_needed_bytes)
{
        uint64_t now_ns = r->clock->mono_ns(), rate = r->options.rate_pps, due;
        int n;

        if (r->started && r->due_ns > now_ns)
                return sleep_until(r, r->due_ns);
        if (!r->started || now_ns - r->due_ns > LAG_MAX_NS) {
                r->started = 1;
                r->due_ns = now_ns;
                r->due_rest = 0;
        }
        /* Packet i from here is due at due_ns + (due_rest + i * 10^9) / rate, rounded down: how many by now? */
        due = 1 + ((now_ns - r->due_ns + 1) * rate - 1 - r->due_rest) / NS_PER_SECOND;
        if (most > due)
                most = (unsigned)due;
        n = next_views(r, b->pkt, most, max_bytes, ret_needed_bytes);
        stamp_all(r, b, n);
        r->due_rest += (uint64_t)n * NS_PER_SECOND;
        r->due_ns += r->due_rest / rate;
        r->due_rest %= rate;
        return n;
}

/* When a packet of this file is due: never before the one in front of it. */
static uint64_t own_due_ns(const struct replay *r, const struct mapi_view *v)
{
        uint64_t due_ns = r->start_ns;

        if (v->ts > r->start_ts) {
                /* Rounded, so that a distance comes out as the trace's file has it. */
                unsigned __int128 ticks = v->ts - r->start_ts, ns = (ticks * NS_PER_SECOND + 0x80000000u) >> 32;

                if (r->options.speed_millionths != REPLAY_SPEED_ONE)
                        ns = ns * REPLAY_SPEED_ONE / r->options.speed_millionths;
                due_ns += ns < DISTANCE_MAX_NS ? (uint64_t)ns : DISTANCE_MAX_NS;
        }
        return due_ns > r->due_ns ? due_ns : r->due_ns;
}

/*
 * Keeps what is added to times of our schedule near the clock. Only when it is off, so that distances between packets
 * are exact as long as nobody sets the clock.
 */
static void follow_clock(struct replay *r, uint64_t now_ns, int first)
{
        int64_t offset_ns = (int64_t)(r->clock->real_ns() - now_ns), off_ns = offset_ns - r->real_offset_ns;

        if (!first && off_ns <= CLOCK_OFF_NS && off_ns >= -CLOCK_OFF_NS)
                return;
        if (!first && r->clock->mono_ns() - now_ns > CLOCK_READ_NS) /* we were interrupted: the next batch tells */
                return;
        r->real_offset_ns = offset_ns;
}

/* The real time of a moment of our schedule. */
static uint64_t real_of(const struct replay *r, uint64_t ns)
{
        int64_t real = (int64_t)ns + r->real_offset_ns;

        return real > 0 ? (uint64_t)real : 0; /* somebody has set the clock to 1970 */
}

static int recv_own(struct replay *r, struct mapi_batch *b, unsigned most, size_t max_bytes,
                    size_t *ret_needed_bytes)
{
        uint64_t now_ns, due_ns;
        unsigned n = 0;

        if (r->ahead_at == r->ahead_n) {
                r->ahead_at = r->ahead_n = 0;
                r->ahead_n = (unsigned)next_views(r, r->ahead, MAPI_BATCH_MAX, SIZE_MAX, ret_needed_bytes);
                if (r->ahead_n == 0)
                        return 0;
        }
        now_ns = r->clock->mono_ns();
        if (!r->started)
                r->start_ns = now_ns;
        if (r->fresh)
                r->start_ts = r->ahead[0].ts;
        r->fresh = 0;
        due_ns = own_due_ns(r, &r->ahead[r->ahead_at]);
        if (due_ns > now_ns)
                return sleep_until(r, due_ns);
        if (now_ns - due_ns > LAG_MAX_NS) {
                r->start_ns += now_ns - due_ns;
                due_ns = now_ns;
        }
        follow_clock(r, now_ns, !r->started);
        r->started = 1;
        do {
                struct mapi_view *v = &r->ahead[r->ahead_at];

                if (v->caplen > max_bytes) {
                        *ret_needed_bytes = n == 0 ? v->caplen : 0;
                        break;
                }
                max_bytes -= v->caplen;
                b->pkt[n] = *v;
                b->pkt[n].ts = stamp(r, real_of(r, due_ns));
                r->due_ns = due_ns;
                r->ahead_at++;
                n++;
                if (n == most || r->ahead_at == r->ahead_n)
                        break;
                due_ns = own_due_ns(r, &r->ahead[r->ahead_at]);
        } while (due_ns <= now_ns);
        return (int)n;
}

static int replay_recv(void *state, struct mapi_batch *b, unsigned most, size_t max_bytes,
                       size_t *ret_needed_bytes, struct mapi_error *err)
{
        struct replay *r = state;
        int n;

        (void)err; /* damage ends a file, not the device */
        *ret_needed_bytes = 0;
        if (most == 0 || r->finished)
                return 0;
        if (most > MAPI_BATCH_MAX)
                most = MAPI_BATCH_MAX;
        if (r->resume_ns != 0) {
                if (r->clock->mono_ns() < r->resume_ns)
                        return 0;
                r->resume_ns = 0;
        }
        if (r->options.pace == REPLAY_MAX)
                n = recv_max(r, b, most, max_bytes, ret_needed_bytes);
        else if (r->options.pace == REPLAY_RATE)
                n = recv_rate(r, b, most, max_bytes, ret_needed_bytes);
        else
                n = recv_own(r, b, most, max_bytes, ret_needed_bytes);
        __atomic_store_n(&r->received, r->received + (unsigned)n, __ATOMIC_RELAXED);
        return n;
}

static void replay_release(void *state, struct mapi_batch *b)
{
        (void)state; /* the next recv may overwrite the window; nothing is to be done before */
        (void)b;
}

static void replay_stats(void *state, struct mapi_driver_stats *ret)
{
        const struct replay *r = state;

        *ret = (struct mapi_driver_stats){ .received = __atomic_load_n(&r->received, __ATOMIC_RELAXED) };
}

static int replay_fd(void *state)
{
        const struct replay *r = state;

        return r->timer;
}

/* ---- opening --------------------------------------------------------------------------------------------- */

static int replay_prepare(const struct mapi_source *src, int *ret_fds, struct mapi_error *err)
{
        struct replay_options options;
        int rc = drivers_replay_parse(src, &options, err);

        return rc < 0 ? rc : drivers_replay_files(src, &options, ret_fds, err);
}

static void replay_close(void *state)
{
        struct replay *r = state;

        if (r == NULL)
                return;
        formats_close(&r->reader);
        r->stream.fd = -1; /* they are all in fds */
        formats_stream_close(&r->stream);
        for (unsigned i = 0; i < r->nfds; i++)
                (void)close(r->fds[i]); /* only read from: nothing can be lost */
        if (r->timer >= 0)
                (void)close(r->timer);
        free(r);
}

/* Whether a file can be played, again and again. 0, or -code and *ret_why, which lives as long as r. */
static int check_file(struct replay *r, int fd, const char **ret_why)
{
        struct mapi_view v;
        struct stat st;
        int rc;

        *ret_why = "it is not a file, which could be played again";
        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return -MAPI_ERROR_FILE;
        rc = open_file(r, fd, ret_why);
        if (rc < 0)
                return rc;
        rc = read_views(r, &v, 1, SIZE_MAX, ret_why);
        if (rc > 0)
                return 0;
        if (rc == FORMATS_END)
                *ret_why = "it has no packets";
        return -MAPI_ERROR_FILE;
}

/* Keeps the files that have packets and takes the facts from them. */
static int check_files(struct replay *r, const struct mapi_source *src, struct mapi_device_facts *ret,
                       struct mapi_error *err)
{
        struct mapi_device_facts facts = { 0 };
        unsigned found = r->nfds;
        const char *why = "";

        r->nfds = 0;
        for (unsigned i = 0; i < found; i++) {
                int fd = r->fds[i], rc = check_file(r, fd, &why);

                if (rc < 0) {
                        (void)close(fd); /* only read from */
                        if (rc != -MAPID_MEM_ALLOCATION_ERROR && r->options.folder)
                                continue;
                        while (++i < found)
                                (void)close(r->fds[i]);
                        return mapi_fail(err, -rc, "%s: %s: %s", src->name, r->options.path, why);
                }
                if (r->nfds == 0)
                        facts.linktype = r->reader.linktype;
                if (facts.snaplen < r->reader.snaplen)
                        facts.snaplen = r->reader.snaplen;
                r->fds[r->nfds++] = fd;
        }
        if (r->nfds == 0)
                return mapi_fail(err, MAPI_ERROR_FILE, "%s: %s has no trace with packets", src->name,
                                 r->options.path);
        *ret = facts;
        return 0;
}

/* Everything behind the first allocation, with the descriptors in r->fds. */
static int open_state(struct replay *r, const struct mapi_source *src, struct mapi_device_facts *facts,
                      struct mapi_error *err)
{
        int rc = drivers_replay_parse(src, &r->options, err);

        if (rc < 0)
                return rc;
        if (r->nfds == 0) {
                rc = drivers_replay_files(src, &r->options, r->fds, err);
                if (rc < 0)
                        return rc;
                r->nfds = (unsigned)rc;
        }
        r->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        if (r->timer < 0)
                return mapi_fail(err, PCAP_OPEN_ERR, "%s: no timer: %m", src->name);
        rc = formats_stream_open(&r->stream, r->fds[0]); /* for its memory; each file starts it anew */
        if (rc < 0)
                return mapi_fail(err, -rc, "%s: %s: %s", src->name, r->options.path, r->stream.why);
        rc = check_files(r, src, facts, err);
        r->fresh = 1;
        return rc;
}

static int replay_open(const struct mapi_source *src, struct mapi_device_facts *facts, void **ret_state,
                       struct mapi_error *err)
{
        struct replay *r = calloc(1, sizeof(*r));
        unsigned given = src->fd >= 0 ? 1 + src->nmore : 0;
        int rc = 0;

        if (r == NULL)
                rc = mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "%s", src->name);
        else if (given > MAPI_SOURCE_FDS)
                rc = mapi_fail(err, PCAP_OPEN_ERR, "%s: more than %u descriptors", src->name,
                               (unsigned)MAPI_SOURCE_FDS);
        for (unsigned i = 0; i < given; i++) {
                int fd = i == 0 ? src->fd : src->more[i - 1];

                if (rc < 0)
                        (void)close(fd); /* ours, whatever happens */
                else
                        r->fds[r->nfds++] = fd;
        }
        if (r != NULL) {
                r->clock = &real_clock;
                r->timer = -1;
        }
        if (rc == 0)
                rc = open_state(r, src, facts, err);
        if (rc < 0) {
                replay_close(r);
                return rc;
        }
        facts->offline = 0;
        facts->link_speed = 0;
        *ret_state = r;
        return 0;
}

const struct mapi_driver mapi_drv_replay = {
        .abi = MAPI_DRIVER_ABI,
        .name = "replay",
        .help = "Plays traces round after round like a live device; options trace=FILE or trace_dir=DIRECTORY, "
                "speed=FACTOR or rate=PACKETS_PER_SECOND or max, loops=N.",
        .traits = MAPI_DRV_NAPS,
        .prepare = replay_prepare,
        .open = replay_open,
        .recv = replay_recv,
        .release = replay_release,
        .stats = replay_stats,
        .fd = replay_fd,
        .close = replay_close,
};
