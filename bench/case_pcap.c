/*
 * The benchmark's peers: what one would write without MAPI. Each case reads a trace once and reports a line.
 *
 *     case_pcap limit TRACE         1 MB reads, walk from packet header to packet header: nothing can be faster
 *     case_pcap limit_filter TRACE  the same, and bpf_filter() on each packet
 *     case_pcap loop TRACE N        pcap_loop(), N filters with two counters each; one filter is given to libpcap
 *     case_pcap next TRACE          pcap_next_ex(), every packet is looked at
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <fcntl.h>
#include <pcap/pcap.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "common.h"

#define BLOCK_BYTES (1u << 20)
#define RECORD_HEAD 16u

struct counters {
        unsigned long long packets, bytes;
};

struct many {
        unsigned n;
        struct bpf_program program[BENCH_FLOWS_MAX];
        struct counters counted[BENCH_FLOWS_MAX];
};

/* ---- the bare limit -------------------------------------------------------------------------------------------- */

static uint32_t load32(const uint8_t *p)
{
        uint32_t v;

        memcpy(&v, p, sizeof(v));
        return v;
}

/* Takes all whole packets out of the buffer. Returns the bytes used. */
static size_t walk(const uint8_t *buf, size_t n, const struct bpf_program *filter, struct counters *c)
{
        size_t at = 0;

        while (n - at >= RECORD_HEAD) {
                uint32_t caplen = load32(buf + at + 8), wirelen = load32(buf + at + 12);

                if (caplen > n - at - RECORD_HEAD)
                        break;
                if (filter == NULL || bpf_filter(filter->bf_insns, buf + at + RECORD_HEAD, wirelen, caplen) != 0) {
                        c->packets++;
                        c->bytes += wirelen;
                }
                at += RECORD_HEAD + caplen;
        }
        return at;
}

static void limit(const char *trace, int filtered)
{
        static uint8_t buf[2 * BLOCK_BYTES];
        struct bpf_program program;
        struct counters c = { 0, 0 };
        size_t kept = 0;
        double start;
        pcap_t *dead;
        ssize_t n;
        int fd = open(trace, O_RDONLY);

        if (fd < 0 || read(fd, buf, 24) != 24 || (load32(buf) != 0xa1b2c3d4u && load32(buf) != 0xa1b23c4du))
                bench_die(trace, "the limit is for plain pcap files of this machine's byte order");
        dead = pcap_open_dead((int)load32(buf + 20), 262144);
        if (dead == NULL || pcap_compile(dead, &program, BENCH_FILTER, 1, 0) < 0)
                bench_die(BENCH_FILTER, "does not compile");
        start = bench_now_s();
        while ((n = read(fd, buf + kept, BLOCK_BYTES)) > 0) {
                size_t have = kept + (size_t)n, used = walk(buf, have, filtered ? &program : NULL, &c);

                kept = have - used;
                if (kept > BLOCK_BYTES)
                        bench_die(trace, "a packet longer than any packet");
                memmove(buf, buf + used, kept);
        }
        bench_report(bench_now_s() - start, c.packets, c.bytes);
        pcap_close(dead);
        close(fd);
}

/* ---- libpcap ----------------------------------------------------------------------------------------------------- */

static pcap_t *open_trace(const char *trace)
{
        char why[PCAP_ERRBUF_SIZE];
        pcap_t *p = pcap_open_offline(trace, why);

        if (p == NULL)
                bench_die(trace, why);
        return p;
}

static void count_one(u_char *user, const struct pcap_pkthdr *h, const u_char *data)
{
        struct counters *c = (struct counters *)user;

        (void)data;
        c->packets++;
        c->bytes += h->len;
}

static void count_many(u_char *user, const struct pcap_pkthdr *h, const u_char *data)
{
        struct many *m = (struct many *)user;
        unsigned i;

        for (i = 0; i < m->n; i++)
                if (bpf_filter(m->program[i].bf_insns, data, h->len, h->caplen) != 0) {
                        m->counted[i].packets++;
                        m->counted[i].bytes += h->len;
                }
}

static void loop(const char *trace, unsigned n)
{
        static struct many m;
        struct counters sum = { 0, 0 };
        pcap_t *p = open_trace(trace);
        char filter[40];
        double start;
        unsigned i;

        m.n = n;
        for (i = 0; i < n; i++) {
                bench_filter(i, filter);
                if (pcap_compile(p, &m.program[i], filter, 1, 0) < 0)
                        bench_die(filter, pcap_geterr(p));
        }
        if (n == 1 && pcap_setfilter(p, &m.program[0]) < 0)
                bench_die(filter, pcap_geterr(p));
        start = bench_now_s();
        if (n == 1)
                pcap_loop(p, -1, count_one, (u_char *)&m.counted[0]);
        else
                pcap_loop(p, -1, count_many, (u_char *)&m);
        start = bench_now_s() - start;
        for (i = 0; i < n; i++) {
                sum.packets += m.counted[i].packets;
                sum.bytes += m.counted[i].bytes;
        }
        bench_report(start, sum.packets, sum.bytes);
        pcap_close(p);
}

static volatile unsigned char looked; /* so that looking is done */

static void next(const char *trace)
{
        pcap_t *p = open_trace(trace);
        struct pcap_pkthdr *h;
        struct counters c = { 0, 0 };
        const u_char *data;
        double start = bench_now_s();

        while (pcap_next_ex(p, &h, &data) == 1) {
                c.packets++;
                c.bytes += h->len;
                looked = h->caplen > 0 ? data[0] : 0;
        }
        bench_report(bench_now_s() - start, c.packets, c.bytes);
        pcap_close(p);
}

int main(int argc, char **argv)
{
        if (argc == 3 && strcmp(argv[1], "limit") == 0)
                limit(argv[2], 0);
        else if (argc == 3 && strcmp(argv[1], "limit_filter") == 0)
                limit(argv[2], 1);
        else if (argc == 4 && strcmp(argv[1], "loop") == 0 && atoi(argv[3]) >= 1 &&
                 atoi(argv[3]) <= BENCH_FLOWS_MAX)
                loop(argv[2], (unsigned)atoi(argv[3]));
        else if (argc == 3 && strcmp(argv[1], "next") == 0)
                next(argv[2]);
        else
                bench_die("case_pcap", "limit|limit_filter|next TRACE, or loop TRACE N");
        return 0;
}
