/*
 * How many packets a second a number of programs take from one interface without a loss.
 *
 * A step is a bounded number of packets at a rate, and a balance: what the sender sent arrived or was lost on the wire, what
 * arrived was counted by every program or is in its account of losses. A step whose balance does not close is an error of
 * somebody, and the benchmark fails. A step is good if nothing was lost and the programs had counted all soon after the last
 * packet: a full ring is not a rate. Full speed first; only if that is too fast, the rate is searched by halving.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "live.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common.h"

#define PORTS 16u
#define PROBE_PACKETS 20000u
#define STEP_S 0.5
#define PACKETS_MIN 1600u
#define PACKETS_MAX 4000000u
#define BACKLOG_PART 0.1 /* of a step's time the programs may be behind in the end, and ... */
#define BACKLOG_S 0.03   /* ... this: the kernel hands over blocks that are not full after 10 ms, */
#define TCPDUMP_S 1.1    /* for tcpdump after a second */
#define FIRST_LOOK_S 0.012
#define DRAIN_S 5.0 /* what has not come by then is lost without a trace */
#define HALVINGS 6
#define RETRIES 2 /* of full speed: somebody else may have needed the machine */
#define CLOSE_ENOUGH 1.05

struct step {
        uint64_t sent, arrived;
        double seconds; /* of the sender, from the first to the last packet */
        double drain_s; /* from then until all was counted */
        bool lossless, good;
        double programs_ns, softirq_ns; /* for a packet */
};

struct run {
        struct live_row *row;
        pid_t mapid;
        struct program program[LIVE_PROGRAMS_MAX];
};

static void filter_of(const struct live_row *row, unsigned i, char *text, size_t bytes)
{
        if (row->own)
                snprintf(text, bytes, "udp and dst port %u", 9000 + i);
        else
                snprintf(text, bytes, "udp and dst portrange 9000-9015");
}

static void send_packets(struct run *r, double rate, uint64_t packets, struct step *s)
{
        unsigned long long sent, bytes;
        char line[200];
        FILE *from;
        pid_t pid = programs_send(rate, packets, PORTS, &from);
        int status;

        if (fgets(line, sizeof(line), from) == NULL ||
            sscanf(line, "%lf %llu %llu %15s", &s->seconds, &sent, &bytes, r->row->sender) != 4)
                bench_die("sender", "said nothing");
        fclose(from);
        status = programs_wait(pid);
        s->sent = sent;
        if (status != 0) {
                printf("WRONG: the sender sent %llu of %" PRIu64 " packets, wait status %#x\n", sent, packets,
                       (unsigned)status);
                live_wrong++;
        }
}

static double cpu_of_programs(const struct run *r)
{
        double sum = r->mapid > 0 ? world_cpu_s(r->mapid) : 0;

        for (unsigned i = 0; i < r->row->programs; i++)
                sum += world_cpu_s(r->program[i].pid);
        return sum;
}

static void complain(const struct live_row *row, unsigned i, const char *what, uint64_t is, uint64_t should)
{
        printf("WRONG: %u programs, kind %d, number %u: %s: %" PRIu64 " instead of %" PRIu64 "\n", row->programs,
               row->kind, i, what, is, should);
        live_wrong++;
}

/* What program i has to account for. */
static uint64_t share(const struct live_row *row, const struct step *s)
{
        return row->own ? s->arrived / PORTS : s->arrived;
}

static bool is_mapi(const struct live_row *row)
{
        return row->kind == KIND_COUNT || row->kind == KIND_BUFFER;
}

/* Whether a program has accounted for everything that it will account for. */
static bool complete(const struct live_row *row, const struct step *s, const struct counts *b,
                     const struct counts *n)
{
        if (is_mapi(row)) /* its flow counts all packets of the device, and those that were dropped before the filter */
                return n->seen - b->seen >= s->arrived && n->counted >= n->delivered;
        return n->counted - b->counted + n->dropped - b->dropped >= share(row, s);
}

static void check_mapi(const struct live_row *row, const struct step *s, unsigned i, const struct counts *b,
                       const struct counts *n)
{
        uint64_t passed = n->delivered - b->delivered, lost = n->dropped - b->dropped;

        if (n->seen - b->seen != s->arrived)
                complain(row, i, "seen by its flow", n->seen - b->seen, s->arrived);
        if (n->seen != n->delivered + n->filtered + n->dropped)
                complain(row, i, "seen is not delivered + filtered + dropped", n->seen,
                         n->delivered + n->filtered + n->dropped);
        if (n->counted != n->delivered)
                complain(row, i, "counted is not what its flow delivered", n->counted, n->delivered);
        if (n->device_seen - b->device_seen != s->arrived)
                complain(row, i, "seen by the device", n->device_seen - b->device_seen, s->arrived);
        if (n->device_seen != n->device_delivered + n->device_dropped)
                complain(row, i, "the device's seen is not delivered + dropped", n->device_seen,
                         n->device_delivered + n->device_dropped);
        /* With filters of their own nobody knows whose the packets were that were dropped before the filter. */
        if ((lost == 0 || !row->own) && passed + lost != share(row, s))
                complain(row, i, "delivered and dropped", passed + lost, share(row, s));
}

/* All programs at the end of a step. Returns true if nothing was lost. */
static bool check_all(const struct run *r, const struct step *s, const struct counts *before,
                      const struct counts *now)
{
        const struct live_row *row = r->row;
        bool lossless = true;

        for (unsigned i = 0; i < row->programs; i++) {
                const struct counts *b = &before[i], *n = &now[i];

                lossless = lossless && n->dropped == b->dropped;
                if (is_mapi(row)) {
                        check_mapi(row, s, i, b, n);
                        continue;
                }
                if (n->seen - b->seen != share(row, s))
                        complain(row, i, "received by its filter", n->seen - b->seen, share(row, s));
                if (n->counted - b->counted + n->dropped - b->dropped != share(row, s))
                        complain(row, i, "counted and dropped", n->counted - b->counted + n->dropped - b->dropped,
                                 share(row, s));
        }
        return lossless;
}

/* Asks until all programs have accounted for everything, or time is up. Not more often than needed: answering costs CPU
   time, which is measured. */
static void wait_for_all(const struct run *r, const struct step *s, const struct counts *before,
                         struct counts *now, double end)
{
        double nap_s = FIRST_LOOK_S;

        for (;;) {
                struct timespec nap = { .tv_nsec = (long)(nap_s * 1e9) };
                bool all = true;

                nanosleep(&nap, NULL);
                for (unsigned i = 0; i < r->row->programs; i++) {
                        programs_ask(&r->program[i], &now[i]);
                        all = complete(r->row, s, &before[i], &now[i]) && all;
                }
                if (all || bench_now_s() > end)
                        return;
                nap_s = r->row->kind == KIND_TCPDUMP ? 0.05 : 0.004;
        }
}

static struct step take_step(struct run *r, double rate, uint64_t packets)
{
        struct counts before[LIVE_PROGRAMS_MAX], now[LIVE_PROGRAMS_MAX];
        struct world_wire wire_before, wire;
        struct step s = { 0 };
        double programs_s, softirq_s, sent_at;

        packets = (packets + PORTS - 1) / PORTS * PORTS; /* each port as often */
        for (unsigned i = 0; i < r->row->programs; i++)
                programs_ask(&r->program[i], &before[i]);
        world_wire(&wire_before);
        programs_s = cpu_of_programs(r);
        softirq_s = world_softirq_s();

        send_packets(r, rate, packets, &s);
        sent_at = bench_now_s();
        world_wire(&wire);
        s.arrived = wire.arrived - wire_before.arrived;
        wait_for_all(r, &s, before, now, sent_at + DRAIN_S);
        s.drain_s = bench_now_s() - sent_at;

        s.programs_ns = (cpu_of_programs(r) - programs_s) / (double)s.arrived * 1e9;
        s.softirq_ns = (world_softirq_s() - softirq_s) / (double)s.arrived * 1e9;
        if (s.arrived + wire.lost - wire_before.lost != s.sent)
                complain(r->row, 0, "arrived and lost on the wire", s.arrived + wire.lost - wire_before.lost,
                         s.sent);
        if (s.arrived == s.sent || !r->row->own) /* otherwise nobody knows whose packets were lost */
                s.lossless = check_all(r, &s, before, now) && s.arrived == s.sent;
        s.good = s.lossless &&
                 s.drain_s < s.seconds * BACKLOG_PART + (r->row->kind == KIND_TCPDUMP ? TCPDUMP_S : BACKLOG_S);
        r->row->steps++;
        r->row->lossy += !s.lossless;
        if (getenv("MAPI_BENCH_STEPS") != NULL)
                fprintf(stderr,
                        "  step: asked %.0f/s, sent %" PRIu64 " in %.3f s = %.0f/s, arrived %" PRIu64
                        ", behind %.3f s, programs %.0f ns, softirq %.0f ns%s\n",
                        rate, s.sent, s.seconds, (double)s.sent / s.seconds, s.arrived, s.drain_s, s.programs_ns,
                        s.softirq_ns,
                        s.good       ? ""
                        : s.lossless ? ", BEHIND"
                                     : ", LOSS");
        return s;
}

static void keep(struct live_row *row, const struct step *s)
{
        row->rate[row->n] = (double)s->arrived / s->seconds;
        row->programs_ns[row->n] = s->programs_ns;
        row->softirq_ns[row->n] = s->softirq_ns;
        row->n++;
}

static uint64_t packets_for(double rate)
{
        double n = rate * STEP_S;

        return n < PACKETS_MIN ? PACKETS_MIN : n > PACKETS_MAX ? PACKETS_MAX : (uint64_t)n;
}

/* Between nothing and a rate that was too much. */
static void search(struct run *r, double too_much, double guess)
{
        struct step best = { 0 };
        double most = 0;

        r->row->searched = true;
        for (int i = 0; i < HALVINGS && too_much / (most > 0 ? most : 1) > CLOSE_ENOUGH; i++) {
                struct step s = take_step(r, guess, packets_for(guess));

                if (s.good && (double)s.arrived / s.seconds > most) {
                        most = (double)s.arrived / s.seconds;
                        best = s;
                } else if (!s.good) {
                        too_much = guess < too_much ? guess : too_much;
                }
                if (s.good && most < guess * 0.9)
                        break; /* the sender does not reach it: then it is the limit */
                guess = (most + too_much) / 2;
        }
        if (most > 0)
                keep(r->row, &best);
}

void rates_measure(struct live_row *row, pid_t mapid, unsigned rounds)
{
        struct run r = { .row = row, .mapid = mapid };
        int wrong_before = live_wrong;
        struct step s;
        double rate;

        for (unsigned i = 0; i < row->programs; i++) {
                char filter[64];

                filter_of(row, i, filter, sizeof(filter));
                programs_start(&r.program[i], row->kind, filter);
        }
        s = take_step(&r, 0, PROBE_PACKETS); /* warms up, and says how many packets make a step */
        rate = (double)s.sent / s.seconds;
        /* Where a balance did not close there is nothing to measure. */
        for (unsigned failed = 0; row->n < rounds && failed <= RETRIES && live_wrong == wrong_before;) {
                s = take_step(&r, 0, packets_for(rate));
                failed += !s.good;
                rate = (double)s.sent / s.seconds;
                if (s.good)
                        keep(row, &s);
        }
        if (live_wrong != wrong_before) {
                row->n = 0;
        } else if (row->n < rounds) {
                double guess = (double)s.sent / (s.seconds + s.drain_s) * 0.9;

                row->n = 0;
                search(&r, rate, guess);
        }
        for (unsigned i = 0; i < row->programs; i++)
                programs_stop(&r.program[i]);
}
