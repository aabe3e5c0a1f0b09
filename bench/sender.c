/*
 * Sends so many frames of one size through an interface, at a rate or as fast as possible, says how many and how fast, and
 * ends: sender [--socket] [--rate N] [--bytes N] [--ports N] [--seconds N] INTERFACE PACKETS
 *
 * Prints "SECONDS PACKETS BYTES METHOD": from the first to the last packet, how many were sent, bytes in all, "xdp" or
 * "socket". Ends with 0 if all were sent, 1 if not in --seconds (60), 2 if it cannot, 77 if it may not. --socket: without XDP.
 * For interfaces of a network namespace of one's own: frames go to an address that nobody has.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "sender.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"

#define BATCH 64u
#define NAP_FROM_S 200e-6 /* shorter waits are not worth a sleep */

static uint8_t frame[SENDER_BYTES_MAX];

static void put16(uint8_t *to, unsigned v)
{
        to[0] = (uint8_t)(v >> 8);
        to[1] = (uint8_t)v;
}

/* Ethernet, IPv4, UDP without checksum. The address begins with 02: assigned by nobody but us, and to nobody. */
static void make_frame(uint32_t bytes)
{
        static const uint8_t head[] = {
                0x02, 0, 0, 0, 0, 0x99, 0x02, 0, 0,  0,  0, 0x01, 0x08, 0x00, /* to, from, IPv4 */
                0x45, 0, 0, 0, 0, 0,    0x40, 0, 64, 17, 0, 0,    10,   0,    0, 1, 10, 0, 0, 2, /* IPv4 */
        };
        uint32_t sum = 0;

        memcpy(frame, head, sizeof(head));
        put16(frame + 16, bytes - 14);
        for (unsigned i = 14; i < 34; i += 2)
                sum += (uint32_t)frame[i] << 8 | frame[i + 1];
        sum = (sum & 0xffff) + (sum >> 16);
        put16(frame + 24, ~((sum & 0xffff) + (sum >> 16)));
        put16(frame + 34, 5000);
        put16(frame + SENDER_PORT_AT, SENDER_PORT);
        put16(frame + 38, bytes - 34);
        for (uint32_t i = 42; i < bytes; i++)
                frame[i] = (uint8_t)i;
}

/* ---- without XDP ---------------------------------------------------------------------------------------------------- */

static int open_socket(const struct sender_order *o)
{
        struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = o->index };
        int one = 1, fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return -1;
        if (setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)) < 0 ||
            bind(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
                close(fd);
                return -1;
        }
        return fd;
}

/* How many are due, at most BATCH and what is left; sleeps or spins until it is one at least. */
static unsigned wait_for_due(const struct sender_order *o, uint64_t sent, double start)
{
        uint64_t left = o->packets - sent, due;

        for (;;) {
                double t = bench_now_s() - start, wait = (double)sent / (double)(o->rate != 0 ? o->rate : 1) - t;
                struct timespec nap = { .tv_nsec = (long)(wait / 2 * 1e9) };

                due = o->rate == 0 ? left : wait > 0 ? 0 : (uint64_t)(t * (double)o->rate) + 1 - sent;
                if (due > 0)
                        break;
                if (wait > NAP_FROM_S)
                        nanosleep(&nap, NULL);
        }
        due = due < left ? due : left;
        return due < BATCH ? (unsigned)due : BATCH;
}

int sender_socket(const struct sender_order *o, struct sender_done *ret)
{
        static uint8_t frames[BATCH][SENDER_BYTES_MAX];
        static struct mmsghdr messages[BATCH];
        struct iovec parts[BATCH];
        int fd = open_socket(o);
        uint64_t sent = 0;
        double start = bench_now_s();

        if (fd < 0)
                return -1;
        for (unsigned i = 0; i < BATCH; i++) {
                memcpy(frames[i], o->frame, o->bytes);
                parts[i] = (struct iovec){ .iov_base = frames[i], .iov_len = o->bytes };
                messages[i].msg_hdr = (struct msghdr){ .msg_iov = &parts[i], .msg_iovlen = 1 };
        }
        while (sent < o->packets && bench_now_s() * 1e9 < (double)o->end_ns) {
                unsigned n = wait_for_due(o, sent, start);
                int r;

                for (unsigned i = 0; i < n; i++)
                        put16(frames[i] + SENDER_PORT_AT, SENDER_PORT + (unsigned)((sent + i) % o->ports));
                r = sendmmsg(fd, messages, n, 0);
                if (r < 0 && errno != ENOBUFS && errno != EAGAIN && errno != EINTR)
                        break; /* ENOBUFS: no room at the peer; the rest goes again */
                sent += r > 0 ? (uint64_t)r : 0;
        }
        ret->packets = sent;
        ret->seconds = bench_now_s() - start;
        close(fd);
        return sent > 0 ? 0 : -1;
}

/* ---- main ----------------------------------------------------------------------------------------------------------- */

static uint64_t number(const char *what, const char *text, uint64_t min, uint64_t max)
{
        char *end;
        unsigned long long v = strtoull(text, &end, 10);

        if (text[0] < '0' || text[0] > '9' || *end != '\0' || v < min || v > max) {
                fprintf(stderr, "sender: %s must be a number from %llu to %llu, not '%s'\n", what,
                        (unsigned long long)min, (unsigned long long)max, text);
                exit(2);
        }
        return v;
}

int main(int argc, char **argv)
{
        static const struct option known[] = {
                { "socket", no_argument, NULL, 's' },        { "rate", required_argument, NULL, 'r' },
                { "bytes", required_argument, NULL, 'b' },   { "ports", required_argument, NULL, 'p' },
                { "seconds", required_argument, NULL, 't' }, { NULL, 0, NULL, 0 }
        };
        struct sender_order o = { .ports = 1, .bytes = SENDER_BYTES_MIN, .frame = frame };
        struct sender_done done = { 0, 0 };
        uint64_t seconds = 60;
        bool xdp = true;
        int c;

        while ((c = getopt_long(argc, argv, "", known, NULL)) >= 0) {
                if (c == 's')
                        xdp = false;
                else if (c == 'r')
                        o.rate = number("--rate", optarg, 0, 1000000000);
                else if (c == 'b')
                        o.bytes = (uint32_t)number("--bytes", optarg, SENDER_BYTES_MIN, SENDER_BYTES_MAX);
                else if (c == 'p')
                        o.ports = (uint32_t)number("--ports", optarg, 1, SENDER_PORTS_MAX);
                else if (c == 't')
                        seconds = number("--seconds", optarg, 1, 3600);
                else
                        return 2;
        }
        if (argc - optind != 2 || (o.ports & (o.ports - 1)) != 0) {
                fputs("sender: [--socket] [--rate N] [--bytes N] [--ports N] [--seconds N] INTERFACE PACKETS; "
                      "ports is a "
                      "power of two\n",
                      stderr);
                return 2;
        }
        o.interface = argv[optind];
        o.packets = number("PACKETS", argv[optind + 1], 1, 1000000000);
        o.index = (int)if_nametoindex(o.interface);
        if (o.index == 0)
                bench_die(o.interface, strerror(errno));
        make_frame(o.bytes);
        o.end_ns = (uint64_t)(bench_now_s() * 1e9) + seconds * 1000000000u;
        if (!xdp || sender_xdp(&o, &done) < 0) {
                if (xdp)
                        fprintf(stderr, "sender: no XDP live frames here (%s), using a packet socket\n",
                                strerror(errno));
                xdp = false;
                if (sender_socket(&o, &done) < 0) {
                        fprintf(stderr, "sender: %s: %s\n", o.interface, strerror(errno));
                        return errno == EPERM || errno == EACCES ? 77 : 2;
                }
        }
        printf("%.9f %llu %llu %s\n", done.seconds, (unsigned long long)done.packets,
               (unsigned long long)(done.packets * o.bytes), xdp ? "xdp" : "socket");
        return done.packets == o.packets ? 0 : 1;
}
