/*
 * One packet in one line of text. A program gets the frame and is not told its link type, so the IP header is looked
 * for where the common link layers have it, and must look like one.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "packet_line.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <mapi.h>

/** What a line tells. Offsets count from the start of the frame. */
struct found {
        int family;       /* AF_INET, AF_INET6, or 0: no IP found */
        unsigned l4, end; /* transport header; end of the captured part of the IP packet */
        unsigned proto;
        int fragment; /* a later one: no transport header */
        const unsigned char *from, *to;
};

static unsigned get16(const unsigned char *p)
{
        return (unsigned)p[0] << 8 | p[1];
}

/* Is there an IP header `at` bytes into the frame? Its length must agree with the packet's. */
static int is_ip(const struct mapipkt *pkt, unsigned at, struct found *f)
{
        const unsigned char *p = &pkt->pkt + at;
        unsigned n, len, next;

        if (at >= pkt->caplen)
                return 0;
        n = pkt->caplen - at;
        if (n >= 20 && p[0] >> 4 == 4 && (p[0] & 15) >= 5) {
                len = get16(p + 2);
                f->l4 = at + (p[0] & 15u) * 4;
                if (at + len > pkt->wlen || at + len < f->l4)
                        return 0;
                f->family = AF_INET;
                f->proto = p[9];
                f->fragment = (get16(p + 6) & 0x1fff) != 0;
                f->from = p + 12;
                f->to = p + 16;
        } else if (n >= 40 && p[0] >> 4 == 6) {
                len = 40 + get16(p + 4);
                if (at + len > pkt->wlen)
                        return 0;
                f->family = AF_INET6;
                f->l4 = at + 40;
                f->proto = p[6];
                f->fragment = 0;
                f->from = p + 8;
                f->to = p + 24;
                while ((f->proto == 0 || f->proto == 43 || f->proto == 60) && f->l4 + 8 <= pkt->caplen) {
                        next = (&pkt->pkt)[f->l4];
                        f->l4 += 8 + 8u * (&pkt->pkt)[f->l4 + 1];
                        f->proto = next;
                }
        } else {
                return 0;
        }
        f->end = at + len < pkt->caplen ? at + len : pkt->caplen;
        return 1;
}

/* Ethernet with its tags first, then cooked, HDLC, PPP, loopback and none. Returns the Ethernet type, if it is one. */
static unsigned find_ip(const struct mapipkt *pkt, struct found *f)
{
        static const unsigned other[] = { 16, 20, 4, 2, 0 };
        const unsigned char *p = &pkt->pkt;
        unsigned type = 0, at = 12, i;

        memset(f, 0, sizeof(*f));
        if (pkt->caplen >= 14) {
                type = get16(p + at);
                while ((type == 0x8100 || type == 0x88a8 || type == 0x9100) && at + 6 <= pkt->caplen) {
                        at += 4;
                        type = get16(p + at);
                }
                if ((type == 0x0800 || type == 0x86dd) && is_ip(pkt, at + 2, f))
                        return type;
        }
        for (i = 0; type != 0x0806 && i < sizeof(other) / sizeof(other[0]); i++)
                if (is_ip(pkt, other[i], f))
                        return 0;
        return type;
}

static const char *protocol_name(const struct found *f, char *number)
{
        switch (f->proto) {
        case 1:
                return "ICMP";
        case 2:
                return "IGMP";
        case 4:
                return "IP in IP";
        case 6:
                return "TCP";
        case 17:
                return "UDP";
        case 41:
                return "IPv6 in IP";
        case 47:
                return "GRE";
        case 50:
                return "ESP";
        case 58:
                return "ICMPv6";
        case 132:
                return "SCTP";
        }
        snprintf(number, 16, "proto %u", f->proto);
        return number;
}

static int has_ports(const struct mapipkt *pkt, const struct found *f)
{
        return (f->proto == 6 || f->proto == 17 || f->proto == 132) && !f->fragment && f->l4 + 4 <= pkt->caplen;
}

/* "10.0.0.1:80 > [2001:db8::1]:443" */
static void write_ends(const struct mapipkt *pkt, const struct found *f, char *out, size_t size)
{
        char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];
        const unsigned char *l4 = &pkt->pkt + f->l4;

        inet_ntop(f->family, f->from, from, sizeof(from));
        inet_ntop(f->family, f->to, to, sizeof(to));
        if (has_ports(pkt, f))
                snprintf(out, size, f->family == AF_INET ? "%s:%u > %s:%u" : "[%s]:%u > [%s]:%u", from, get16(l4),
                         to, get16(l4 + 2));
        else
                snprintf(out, size, "%s > %s", from, to);
}

static int write_start(const struct mapipkt *pkt, char *line)
{
        time_t seconds = (time_t)(pkt->ts >> 32);
        unsigned us = (unsigned)(((pkt->ts & 0xffffffffu) * 1000000u) >> 32);
        char when[16];
        struct tm tm;

        if (gmtime_r(&seconds, &tm) == NULL || strftime(when, sizeof(when), "%H:%M:%S", &tm) == 0)
                strcpy(when, "--:--:--");
        return snprintf(line, PACKET_LINE_MAX, "%s.%06u %5u  ", when, us, pkt->wlen);
}

/* TCP flags as tcpdump writes them. */
static void write_flags(const struct mapipkt *pkt, const struct found *f, char *out)
{
        static const char letters[] = "FSRP.U";
        unsigned i;

        if (f->proto == 6 && !f->fragment && f->l4 + 14 <= pkt->caplen) {
                *out++ = ' ';
                *out++ = '[';
                for (i = 0; i < 6; i++)
                        if ((&pkt->pkt)[f->l4 + 13] >> i & 1)
                                *out++ = letters[i];
                *out++ = ']';
        }
        *out = 0;
}

void packet_line(const struct mapipkt *pkt, char *line)
{
        const unsigned char *p = &pkt->pkt;
        char ends[110], number[16], flags[12];
        struct found f;
        unsigned type = find_ip(pkt, &f), i;
        int n = write_start(pkt, line);
        size_t room = PACKET_LINE_MAX - (size_t)n;

        if (f.family != 0) {
                write_ends(pkt, &f, ends, sizeof(ends));
                write_flags(pkt, &f, flags);
                snprintf(line + n, room, "%-7s %s%s", protocol_name(&f, number), ends, flags);
        } else if (type == 0x0806) {
                snprintf(line + n, room, "ARP");
        } else {
                n += snprintf(line + n, room, "bytes  ");
                for (i = 0; i < 20 && i < pkt->caplen; i++)
                        n += snprintf(line + n, PACKET_LINE_MAX - (size_t)n, " %02x", p[i]);
        }
}

void packet_request_line(const struct mapipkt *pkt, char *line)
{
        const unsigned char *p = &pkt->pkt;
        char ends[110], text[48];
        struct found f;
        unsigned at, i;
        int n = write_start(pkt, line);

        find_ip(pkt, &f);
        if (f.family == 0 || f.proto != 6 || f.l4 + 20 > f.end) {
                packet_line(pkt, line);
                return;
        }
        write_ends(pkt, &f, ends, sizeof(ends));
        at = f.l4 + (p[f.l4 + 12] >> 4) * 4u;
        for (i = 0; i + 1 < sizeof(text) && at + i < f.end && p[at + i] >= 32 && p[at + i] < 127; i++)
                text[i] = (char)p[at + i];
        text[i] = 0;
        snprintf(line + n, PACKET_LINE_MAX - (size_t)n, "%-40s %s", ends, text);
}
