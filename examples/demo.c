/*
 * Says what is in a trace. Some thirty questions are asked of one offline device, each as a flow of its own, and the
 * trace is read once for all of them.
 *
 *     demo TRACE           pcap, pcapng or ERF, compressed or not
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <mapi.h>
#include <mapi/pktinfo.h>
#include <mapi/sample.h>
#include <mapi/stats.h>

#include "packet_line.h"

#define SHOWN 6 /* packets and requests that are printed */

/** One question: the packets that pass the filter and hold the text are counted. No filter: all packets. */
struct row {
        const char *label;
        const char *filter;
        const char *search;
        int depth;                      /* bytes of the packet that are searched; 0: all */
        int fd, packets_fid, bytes_fid; /* fd 0: this cannot be asked of this link type */
        unsigned long long packets, bytes;
};

static struct row all[] = { { .label = "all packets" } };
static struct row network[] = {
        { .label = "IPv4", .filter = "ip" },
        { .label = "IPv6", .filter = "ip6" },
        { .label = "ARP", .filter = "arp or rarp" },
        { .label = "TCP", .filter = "tcp" },
        { .label = "UDP", .filter = "udp" },
        { .label = "ICMP", .filter = "icmp or icmp6" },
        { .label = "fragments", .filter = "ip[6:2] & 0x3fff != 0 or ip6 proto 44" },
};
static struct row tagged[] = { { .label = "with a VLAN tag", .filter = "vlan" } };
static struct row services[] = {
        { .label = "web, port 80", .filter = "tcp port 80" },
        { .label = "web, port 443", .filter = "tcp port 443 or udp port 443" },
        { .label = "DNS", .filter = "port 53" },
        { .label = "SSH", .filter = "tcp port 22" },
        { .label = "mail",
          .filter = "tcp port 25 or tcp port 110 or tcp port 143 or tcp port 465 or tcp port 587 "
                    "or tcp port 993 or tcp port 995" },
};
static struct row connections[] = {
        { .label = "asked for (SYN)", .filter = "tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn" },
        { .label = "granted (SYN ACK)", .filter = "tcp[tcpflags] & (tcp-syn|tcp-ack) == (tcp-syn|tcp-ack)" },
        { .label = "ended (FIN)", .filter = "tcp[tcpflags] & tcp-fin != 0" },
        { .label = "refused or cut (RST)", .filter = "tcp[tcpflags] & tcp-rst != 0" },
};
static struct row searches[] = {
        { .label = "\"HTTP/1.\"", .search = "HTTP/1." },
        { .label = "\"www.\"", .search = "www." },
        { .label = "\"password\"", .search = "password" },
        { .label = "\"User-Agent\"", .search = "User-Agent" },
        { .label = "the Slapper worm",
          .filter = "udp and src port 2002",
          .search = "|00 00|E|00 00|E|00 00|@|00|",
          .depth = 100 },
};
static struct row sizes[] = {
        { .label = "to 64", .filter = "less 64" },
        { .label = "65-127", .filter = "greater 65 and less 127" },
        { .label = "128-255", .filter = "greater 128 and less 255" },
        { .label = "256-511", .filter = "greater 256 and less 511" },
        { .label = "512-1023", .filter = "greater 512 and less 1023" },
        { .label = "1024-1517", .filter = "greater 1024 and less 1517" },
        { .label = "from 1518", .filter = "greater 1518" },
};
#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

/** A flow whose packets come to us. */
struct packets {
        int fd, fid, shown;
        char line[SHOWN][PACKET_LINE_MAX];
};

static const char *trace;

static void fail(const char *what)
{
        char why[MAPI_ERRORSTR_LENGTH];
        int code;

        mapi_read_error(&code, why);
        fprintf(stderr, "demo: %s: %s: %s (error %d)\n", trace, what, why, code);
        exit(EXIT_FAILURE);
}

/* ---- asking ------------------------------------------------------------------------------------------------ */

static int new_flow(const char *device)
{
        int fd = mapi_create_flow(device);

        if (fd < 0)
                fail("flow");
        return fd;
}

static int apply_filter(int fd, const char *filter)
{
        char text[1000];

        /* as in tcpdump, a filter sees packets behind a VLAN tag only if it says so; some links have no VLANs */
        if (strcmp(filter, "vlan") != 0 && strncmp(filter, "less", 4) != 0 && strncmp(filter, "greater", 7) != 0) {
                snprintf(text, sizeof(text), "(%s) or (vlan and ((%s) or (vlan and (%s))))", filter, filter,
                         filter);
                if (mapi_apply_function(fd, "BPF_FILTER", text) > 0)
                        return 0;
        }
        return mapi_apply_function(fd, "BPF_FILTER", filter) > 0 ? 0 : -1;
}

static void ask(const char *device, struct row *rows, size_t n)
{
        struct row *r;

        for (r = rows; r < rows + n; r++) {
                r->fd = new_flow(device);
                if (r->filter != NULL && apply_filter(r->fd, r->filter) < 0) {
                        mapi_close_flow(r->fd); /* no IPv6 or ARP on this kind of link: nothing to count */
                        r->fd = 0;
                        continue;
                }
                if (r->search != NULL && mapi_apply_function(r->fd, "STR_SEARCH", r->search, 0, r->depth) < 0)
                        fail("STR_SEARCH");
                r->packets_fid = mapi_apply_function(r->fd, "PKT_COUNTER");
                r->bytes_fid = mapi_apply_function(r->fd, "BYTE_COUNTER");
                if (r->packets_fid < 0 || r->bytes_fid < 0 || mapi_connect(r->fd) < 0)
                        fail(r->label);
        }
}

/* Statistics over a property of each packet: PKTINFO gives it, STATS reads PKTINFO. */
static void ask_stats(const char *device, int property, int *ret_fd, int *ret_fid)
{
        int info;

        *ret_fd = new_flow(device);
        info = mapi_apply_function(*ret_fd, "PKTINFO", property);
        if (info < 0)
                fail("PKTINFO");
        *ret_fid = mapi_apply_function(*ret_fd, "STATS", *ret_fd, info, "0");
        if (*ret_fid < 0 || mapi_connect(*ret_fd) < 0)
                fail("STATS");
}

static int ask_packets(const char *device, const char *filter, const char *search, int percent, struct packets *p)
{
        p->fd = new_flow(device);
        if (filter != NULL && apply_filter(p->fd, filter) < 0) {
                mapi_close_flow(p->fd);
                p->fd = 0;
                return -1;
        }
        if (search != NULL && mapi_apply_function(p->fd, "STR_SEARCH", search, 0, 0) < 0)
                fail("STR_SEARCH");
        if (percent < 100 && mapi_apply_function(p->fd, "SAMPLE", percent, PROBABILISTIC) < 0)
                fail("SAMPLE");
        p->fid = mapi_apply_function(p->fd, "TO_BUFFER");
        if (p->fid < 0 || mapi_connect(p->fd) < 0)
                fail("TO_BUFFER");
        return 0;
}

/* ---- reading answers --------------------------------------------------------------------------------------- */

static void *answer(int fd, int fid)
{
        mapi_results_t *result = mapi_read_results(fd, fid);

        if (result == NULL)
                fail("result");
        return result->res;
}

static void read_rows(struct row *rows, size_t n)
{
        struct row *r;

        for (r = rows; r < rows + n; r++) {
                if (r->fd == 0)
                        continue;
                r->packets = *(unsigned long long *)answer(r->fd, r->packets_fid);
                r->bytes = *(unsigned long long *)answer(r->fd, r->bytes_fid);
        }
}

/* The first packets of a flow become lines; then it is closed, because a trace waits for a reader who does not read. */
static void take_packets(struct packets *p, void (*describe)(const struct mapipkt *, char *))
{
        struct mapipkt *pkt;

        if (p->fd == 0)
                return;
        while (p->shown < SHOWN && (pkt = mapi_get_next_pkt(p->fd, p->fid)) != NULL)
                describe(pkt, p->line[p->shown++]);
        mapi_close_flow(p->fd);
}

/* ---- printing ---------------------------------------------------------------------------------------------- */

/* 1234567 becomes 1,234,567. */
static const char *grouped(unsigned long long n)
{
        static char text[4][32];
        static unsigned turn;
        char digits[24], *out = text[turn++ % 4], *p = out;
        int len = snprintf(digits, sizeof(digits), "%llu", n), i;

        for (i = 0; i < len; i++) {
                if (i > 0 && (len - i) % 3 == 0)
                        *p++ = ',';
                *p++ = digits[i];
        }
        *p = 0;
        return out;
}

/* 1234567 becomes 1.23 M. */
static const char *scaled(double n, const char *unit)
{
        static char text[4][40];
        static unsigned turn;
        static const char *const prefix[] = { "", "k", "M", "G", "T" };
        char *out = text[turn++ % 4];
        unsigned i = 0;

        while (n >= 999.5 && i < 4) {
                n /= 1000;
                i++;
        }
        if (i == 0 && *unit == ' ')
                unit++; /* 46 packets, but 1.23 M packets */
        snprintf(out, 40,
                 n >= 99.5 || n == floor(n) ? "%.0f %s%s"
                 : n >= 9.95                ? "%.1f %s%s"
                                            : "%.2f %s%s",
                 n, prefix[i], unit);
        return out;
}

static void print_title(const char *title)
{
        printf("\n%-24s %14s %8s %12s\n", title, "packets", "", "bytes");
}

static void print_rows(const struct row *rows, size_t n)
{
        const struct row *r;

        for (r = rows; r < rows + n; r++) {
                if (r->fd == 0) {
                        printf("  %-22s %14s\n", r->label, "-");
                        continue;
                }
                printf("  %-22s %14s", r->label, grouped(r->packets));
                if (r->packets != 0)
                        printf(" %6.1f %% %12s %6.1f %%", 100.0 * (double)r->packets / (double)all->packets,
                               scaled((double)r->bytes, "B"),
                               all->bytes == 0 ? 0 : 100.0 * (double)r->bytes / (double)all->bytes);
                printf("\n");
        }
}

static void print_sizes(const stats_t *s)
{
        double n = (double)s->count, mean = n > 0 ? (double)s->sum / n : 0;
        double variance = n > 0 ? (double)(s->sum2 / s->count) - mean * mean : 0;
        unsigned long long most = 1;
        size_t i;

        printf("\nPacket sizes in bytes: smallest %.0f, mean %.1f, largest %.0f, standard deviation %.1f\n",
               s->min, mean, s->max, sqrt(variance > 0 ? variance : 0));
        for (i = 0; i < COUNT(sizes); i++)
                most = sizes[i].packets > most ? sizes[i].packets : most;
        for (i = 0; i < COUNT(sizes); i++) {
                int bar = (int)(36 * sizes[i].packets / most);

                printf("  %-22s %14s%s%.*s\n", sizes[i].label, grouped(sizes[i].packets), bar > 0 ? " " : "", bar,
                       "####################################");
        }
}

static void print_lines(const char *title, const struct packets *p)
{
        int i;

        if (p->shown == 0)
                return;
        printf("\n%s\n", title);
        for (i = 0; i < p->shown; i++)
                printf("  %s\n", p->line[i]);
}

static void print_summary(double first, double last)
{
        time_t start = (time_t)first;
        double duration = last - first;
        char when[40];
        struct tm tm;

        printf("%s\n", trace);
        printf("  %s packets, %s on the wire\n", grouped(all->packets), scaled((double)all->bytes, "B"));
        if (all->packets == 0)
                return;
        if (gmtime_r(&start, &tm) == NULL || strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
                snprintf(when, sizeof(when), "second %.0f of 1970", first);
        printf("  from %s, %.3f s long", when, duration);
        if (duration > 0)
                printf(": %s, %s", scaled((double)all->packets / duration, " packets/s"),
                       scaled((double)all->bytes * 8 / duration, "bit/s"));
        printf("\n");
}

int main(int argc, char **argv)
{
        static struct packets first, requests, end;
        struct timespec t0, t1;
        struct row *const groups[] = { all, network, tagged, services, connections, searches, sizes };
        const size_t counts[] = { COUNT(all),         COUNT(network),  COUNT(tagged), COUNT(services),
                                  COUNT(connections), COUNT(searches), COUNT(sizes) };
        int size_fd, size_fid, time_fd, time_fid, flows = 0, code = 0;
        char why[MAPI_ERRORSTR_LENGTH] = "";
        const stats_t *times;
        double seconds;
        char *device;
        size_t i, k;

        if (argc != 2) {
                fprintf(stderr, "usage: demo TRACE\n");
                return 2;
        }
        trace = argv[1];
        device = mapi_create_offline_device(trace, MFF_PCAP);
        if (device == NULL)
                fail("cannot be read");

        for (i = 0; i < COUNT(groups); i++)
                ask(device, groups[i], counts[i]);
        ask_stats(device, PKT_SIZE, &size_fd, &size_fid);
        ask_stats(device, PKT_TS, &time_fd, &time_fid);
        ask_packets(device, NULL, NULL, 100, &first);
        ask_packets(device, "tcp dst port 80", "GET ||POST ", 100, &requests);
        /* nothing comes through this one: waiting for its next packet is waiting for the end of the trace */
        ask_packets(device, NULL, NULL, 0, &end);

        clock_gettime(CLOCK_MONOTONIC, &t0);
        if (mapi_start_offline_device(device) < 0)
                fail("start");
        take_packets(&first, packet_line);
        take_packets(&requests, packet_request_line);
        mapi_read_error(NULL, why);
        while (mapi_get_next_pkt(end.fd, end.fid) != NULL)
                ;
        mapi_read_error(&code, why);
        clock_gettime(CLOCK_MONOTONIC, &t1);
        seconds = (double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) / 1e9;

        for (i = 0; i < COUNT(groups); i++) {
                read_rows(groups[i], counts[i]);
                for (k = 0; k < counts[i]; k++)
                        flows += groups[i][k].fd != 0;
        }
        times = answer(time_fd, time_fid); /* 32.32 fixed point */
        print_summary(ldexp(times->min, -32), ldexp(times->max, -32));
        if (all->packets > 0) {
                print_title("Protocols");
                print_rows(network, COUNT(network));
                print_rows(tagged, COUNT(tagged));
                print_title("Services");
                print_rows(services, COUNT(services));
                print_title("TCP connections (IPv4)");
                print_rows(connections, COUNT(connections));
                print_title("Packets that contain");
                print_rows(searches, COUNT(searches));
                print_sizes(answer(size_fd, size_fid));
                print_lines("First packets", &first);
                print_lines("First web requests", &requests);
        }
        printf("\nRead once for %d flows in %.1f ms", flows + 5, seconds * 1e3);
        if (seconds > 0 && all->packets > 0)
                printf(": %s, %s", scaled((double)all->packets / seconds, " packets/s"),
                       scaled((double)all->bytes / seconds, "B/s"));
        printf("\n");
        if (code != 0)
                printf("%s\n", why);

        mapi_close_flow(end.fd);
        mapi_close_flow(size_fd);
        mapi_close_flow(time_fd);
        for (i = 0; i < COUNT(groups); i++)
                for (k = 0; k < counts[i]; k++)
                        if (groups[i][k].fd != 0)
                                mapi_close_flow(groups[i][k].fd);
        mapi_delete_offline_device(device);
        return code == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
