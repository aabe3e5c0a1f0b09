/*
 * Invents traffic: some hundred conversations in parallel, each a small state machine that says its next packet.
 * Addresses are those of the tutorial, documentation ranges and 10/8; checksums are right.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "frames.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TALKS 192u
#define BODY_SIZE 65536u

enum kind { HTTP, TLS, SSH, MAIL, OTHER_TCP, DNS, NTP, QUIC, OTHER_UDP, FRAGMENTED, PING, ARP };
enum { TH_FIN = 1, TH_SYN = 2, TH_RST = 4, TH_PUSH = 8, TH_ACK = 16 };

/** One conversation. Side 0 asks, side 1 answers. */
struct talk {
        enum kind kind;
        int ip6;
        unsigned vlans; /* tags: 0, 1 or 2 */
        uint16_t tag[2];
        int odd; /* IPv4 options or an IPv6 extension header */
        uint8_t mac[2][6];
        uint8_t addr[2][16]; /* IPv4: the first four bytes */
        uint16_t port[2];
        uint32_t seq[2];
        uint16_t id;          /* DNS and ping identifier */
        unsigned step, steps; /* packets said, packets until the end */
};

struct frames {
        uint64_t random;
        uint64_t made;
        unsigned protocols;
        enum frame_sizes sizes;
        uint16_t ip_id;
        struct talk talk[TALKS];
        uint8_t text[BODY_SIZE + FRAME_MAX];  /* prose to send: words that a search may look for */
        uint8_t noise[BODY_SIZE + FRAME_MAX]; /* what encrypted traffic looks like */
};

static const char *const words[] = {
        "the",         "packet", "network",   "monitoring", "flow",     "of",        "traffic", "and",
        "measurement", "sensor", "password",  "a",          "tutorial", "function",  "counter", "filter",
        "to",          "buffer", "Heraklion", "link",       "in",       "signature", "worm",    "detection",
        "payload",     "search", "is",        "secret",     "admin",    "login",
};
static const char *const sites[] = {
        "www.example.org",  "www.example.com",    "news.example.net",  "static.example.org",
        "mail.example.com", "search.example.net", "video.example.org", "updates.example.com",
};
static const char *const paths[] = {
        "/",      "/index.html",    "/news/today.html", "/images/logo.png", "/search?q=monitoring",
        "/login", "/api/v1/status", "/cgi-bin/test.pl", "/bin/perl.exe",    "/downloads/mapi.tar.gz",
};
#define PICK(f, list) ((list)[frames_random((f), sizeof(list) / sizeof((list)[0]))])

/* ---- numbers ------------------------------------------------------------------------------------------- */

/* splitmix64: every seed is a good one, and the sequence is the same everywhere */
static uint64_t next_random(struct frames *f)
{
        uint64_t z = f->random += 0x9e3779b97f4a7c15u;

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
}

uint32_t frames_random(struct frames *f, uint32_t n)
{
        return (uint32_t)(((next_random(f) >> 32) * n) >> 32);
}

static int one_in(struct frames *f, uint32_t n)
{
        return frames_random(f, n) == 0;
}

static uint8_t *put16(uint8_t *p, unsigned v)
{
        p[0] = (uint8_t)(v >> 8);
        p[1] = (uint8_t)v;
        return p + 2;
}

static uint8_t *put32(uint8_t *p, uint32_t v)
{
        put16(p, v >> 16);
        put16(p + 2, v & 0xffffu);
        return p + 4;
}

/* The sum of RFC 1071, of big-endian 16-bit words. */
static uint32_t add_words(uint32_t sum, const uint8_t *p, size_t n)
{
        size_t i;

        for (i = 0; i + 1 < n; i += 2)
                sum += (uint32_t)(p[i] << 8 | p[i + 1]);
        if (i < n)
                sum += (uint32_t)p[i] << 8;
        return sum;
}

static uint16_t fold(uint32_t sum)
{
        while (sum >> 16)
                sum = (sum & 0xffffu) + (sum >> 16);
        return (uint16_t)~sum;
}

/* ---- conversations --------------------------------------------------------------------------------------- */

static void choose_addresses(struct frames *f, struct talk *t)
{
        static const uint8_t nets[][3] = { { 192, 0, 2 }, { 198, 51, 100 }, { 203, 0, 113 }, { 139, 91, 23 } };
        static const uint8_t busy[4] = { 139, 91, 145, 84 }; /* the tutorial's host */
        unsigned i;

        memset(t->addr, 0, sizeof(t->addr));
        for (i = 0; i < 2; i++) {
                t->mac[i][0] = 2; /* locally administered */
                t->mac[i][1] = (uint8_t)i;
                put32(&t->mac[i][2], 0x0a000000u + frames_random(f, 400));
        }
        if (t->ip6) {
                for (i = 0; i < 2; i++) {
                        put32(t->addr[i], 0x20010db8u);
                        t->addr[i][7] = (uint8_t)(i * 0x20 + frames_random(f, 4));
                        put16(&t->addr[i][14], 1 + frames_random(f, 200));
                }
                return;
        }
        if (one_in(f, 5)) {
                memcpy(t->addr[0], busy, 4);
        } else {
                t->addr[0][0] = 10;
                put16(&t->addr[0][1], 0x0100u + frames_random(f, 8));
                t->addr[0][3] = (uint8_t)(1 + frames_random(f, 250));
        }
        memcpy(t->addr[1], nets[frames_random(f, 4)], 3);
        t->addr[1][3] = (uint8_t)(1 + frames_random(f, 60));
        if (one_in(f, 8))
                memcpy(t->addr[1], busy, 4); /* and it serves, too */
}

static enum kind choose_kind(struct frames *f)
{
        static const struct {
                enum kind kind;
                unsigned share, protocol;
        } mix[] = {
                { HTTP, 20, FRAME_TCP },      { TLS, 18, FRAME_TCP },      { SSH, 5, FRAME_TCP },
                { MAIL, 4, FRAME_TCP },       { OTHER_TCP, 7, FRAME_TCP }, { DNS, 18, FRAME_UDP },
                { NTP, 4, FRAME_UDP },        { QUIC, 4, FRAME_UDP },      { OTHER_UDP, 7, FRAME_UDP },
                { FRAGMENTED, 2, FRAME_ODD }, { PING, 7, FRAME_ICMP },     { ARP, 4, FRAME_ARP },
        };
        unsigned total = 0, at, i;

        for (i = 0; i < sizeof(mix) / sizeof(mix[0]); i++)
                total += f->protocols & mix[i].protocol ? mix[i].share : 0;
        if (total == 0)
                return ARP;
        at = frames_random(f, total);
        for (i = 0; i < sizeof(mix) / sizeof(mix[0]); i++) {
                unsigned share = f->protocols & mix[i].protocol ? mix[i].share : 0;

                if (at < share)
                        return mix[i].kind;
                at -= share;
        }
        return ARP;
}

static void begin_talk(struct frames *f, struct talk *t)
{
        static const uint16_t server_port[] = { 80, 443, 22, 25, 0, 53, 123, 443, 0, 4500, 0, 0 };
        static const uint16_t tcp_ports[] = { 21, 110, 143, 993, 3306, 8080, 6881, 5222 };
        static const uint16_t udp_ports[] = { 161, 514, 1900, 5060, 5353, 500, 3478, 27015 };

        t->kind = choose_kind(f);
        t->ip6 = t->kind != ARP && t->kind != FRAGMENTED && (f->protocols & FRAME_IP6) && one_in(f, 7);
        t->vlans = (f->protocols & FRAME_VLAN) && one_in(f, 10) ? 1u + (unsigned)one_in(f, 5) : 0u;
        t->tag[0] = (uint16_t)(100 + 100 * frames_random(f, 3));
        t->tag[1] = (uint16_t)(10 + frames_random(f, 5));
        t->odd = (f->protocols & FRAME_ODD) && one_in(f, 25);
        choose_addresses(f, t);
        t->port[0] = (uint16_t)(32768 + frames_random(f, 28000));
        t->port[1] = server_port[t->kind];
        if (t->kind == OTHER_TCP)
                t->port[1] = PICK(f, tcp_ports);
        else if (t->kind == OTHER_UDP)
                t->port[1] = PICK(f, udp_ports);
        t->seq[0] = (uint32_t)next_random(f);
        t->seq[1] = (uint32_t)next_random(f);
        t->id = (uint16_t)next_random(f);
        t->step = 0;
        t->steps = t->kind <= OTHER_TCP ? 7 + frames_random(f, 40)
                   : t->kind == QUIC    ? 4 + frames_random(f, 30)
                   : t->kind == PING    ? 2 + 2 * frames_random(f, 4)
                                        : 2;
        if (t->kind <= OTHER_TCP && one_in(f, 15))
                t->steps = 2; /* a closed port answers with a reset */
}

/* ---- payloads -------------------------------------------------------------------------------------------- */

static size_t copy_body(struct frames *f, const uint8_t *body, uint8_t *p, size_t n)
{
        memcpy(p, body + frames_random(f, BODY_SIZE), n);
        return n;
}

/* Bytes of a data segment: a full one (1460, or less where headers need the room), a piece, or a few. */
static size_t data_size(struct frames *f, const struct talk *t)
{
        size_t full = 1460u - (t->ip6 ? 20u : 0u) - 12u * (unsigned)t->odd;
        uint32_t dice = frames_random(f, 100);

        if (f->sizes == FRAME_SMALL)
                return 1 + frames_random(f, 40);
        if (f->sizes == FRAME_LARGE ? dice < 92 : dice < 47)
                return full;
        return dice < 78 ? 40 + frames_random(f, 620) : 10 + frames_random(f, 110);
}

static size_t http_payload(struct frames *f, unsigned side, uint8_t *p)
{
        /* one draw per statement: the order of arguments is the compiler's, and all must make the same trace */
        const char *path = PICK(f, paths), *site = PICK(f, sites);
        uint32_t dice = frames_random(f, 9000);

        if (side == 0)
                return (size_t)sprintf((char *)p,
                                       "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: Mozilla/5.0 (X11; Linux)\r\n"
                                       "Accept: text/html\r\nConnection: keep-alive\r\n\r\n",
                                       dice < 1000 ? "POST" : "GET", path, site);
        return (size_t)sprintf((char *)p,
                               "HTTP/1.1 %s\r\nServer: Apache\r\nContent-Type: text/html\r\n"
                               "Content-Length: %u\r\n\r\n",
                               dice < 900 ? "404 Not Found" : "200 OK", 200 + dice);
}

static size_t dns_payload(struct frames *f, struct talk *t, unsigned side, uint8_t *start)
{
        const char *name = sites[t->id % (sizeof(sites) / sizeof(sites[0]))];
        uint8_t *p = start;

        p = put16(p, t->id);
        p = put16(p, side == 0 ? 0x0100u : 0x8180u);
        p = put16(p, 1);
        p = put16(p, side);
        p = put32(p, 0);
        while (*name != 0) { /* labels with their lengths */
                size_t n = strcspn(name, ".");

                *p++ = (uint8_t)n;
                memcpy(p, name, n);
                p += n;
                name += n + (name[n] == '.');
        }
        *p++ = 0;
        p = put16(p, t->ip6 ? 28 : 1);
        p = put16(p, 1);
        if (side == 1) {
                p = put16(p, 0xc00c); /* the name above */
                p = put16(p, t->ip6 ? 28 : 1);
                p = put16(p, 1);
                p = put32(p, 300);
                p = put16(p, t->ip6 ? 16 : 4);
                p += copy_body(f, f->noise, p, t->ip6 ? 16 : 4);
        }
        return (size_t)(p - start);
}

static size_t tcp_payload(struct frames *f, struct talk *t, unsigned side, uint8_t *p)
{
        size_t n, want = data_size(f, t);

        switch (t->kind) {
        case HTTP:
                n = t->step <= 4 || side == 0 ? http_payload(f, side, p) : 0;
                return side == 1 && n < want ? n + copy_body(f, f->text, p + n, want - n) : n;
        case TLS:
                want = want < 6 ? 6 : want;
                p[0] = t->step <= 4 ? 0x16 : 0x17;
                put16(p + 1, 0x0303);
                put16(p + 3, (unsigned)(want - 5));
                return 5 + copy_body(f, f->noise, p + 5, want - 5);
        case SSH:
                if (t->step <= 4)
                        return (size_t)sprintf((char *)p, "SSH-2.0-OpenSSH_9.2\r\n");
                return copy_body(f, f->noise, p, want > 400 ? 96 : want);
        case MAIL:
                if (side == 1)
                        return (size_t)sprintf((char *)p, "250 %s\r\n", PICK(f, sites));
                return copy_body(f, f->text, p, want);
        default:
                return copy_body(f, one_in(f, 2) ? f->text : f->noise, p, want);
        }
}

static size_t udp_payload(struct frames *f, struct talk *t, unsigned side, uint8_t *p)
{
        size_t n;

        switch (t->kind) {
        case DNS:
                return dns_payload(f, t, side, p);
        case NTP:
                copy_body(f, f->noise, p, 48);
                p[0] = side == 0 ? 0x23 : 0x24;
                return 48;
        case QUIC:
                n = copy_body(f, f->noise, p, f->sizes == FRAME_SMALL ? 40 : one_in(f, 3) ? 1200 : 60);
                p[0] = (uint8_t)(0x40 | (p[0] & 0x3f));
                return n;
        default:
                n = data_size(f, t) * 2 / 3;
                return copy_body(f, one_in(f, 2) ? f->text : f->noise, p, n);
        }
}

/* ---- headers, from the outside in; each returns where the next one begins ---------------------------------- */

static uint8_t *put_link(const struct talk *t, unsigned side, unsigned type, uint8_t *p)
{
        unsigned i;

        memcpy(p, t->mac[!side], 6);
        if (type == 0x0806 && side == 0)
                memset(p, 0xff, 6); /* who has ...? */
        memcpy(p + 6, t->mac[side], 6);
        p += 12;
        for (i = 0; i < t->vlans; i++) {
                p = put16(p, i + 1 < t->vlans ? 0x88a8 : 0x8100);
                p = put16(p, t->tag[i]);
        }
        return put16(p, type);
}

static size_t ip_header_size(const struct talk *t)
{
        return (t->ip6 ? 40u : 20u) + (t->odd ? (t->ip6 ? 8u : 12u) : 0u);
}

static void finish_ip(struct frames *f, const struct talk *t, unsigned side, unsigned proto, unsigned fragment,
                      uint8_t *ip, size_t payload)
{
        size_t header = ip_header_size(t);

        memset(ip, 0, header);
        if (t->ip6) {
                put32(ip, 0x60000000u);
                put16(ip + 4, (unsigned)(header - 40 + payload));
                ip[6] = t->odd ? 0 : (uint8_t)proto; /* 0: hop-by-hop options */
                ip[7] = 64;
                memcpy(ip + 8, t->addr[side], 16);
                memcpy(ip + 24, t->addr[!side], 16);
                if (t->odd) {
                        ip[40] = (uint8_t)proto;
                        put16(ip + 42, 0x0104); /* PadN of four bytes */
                }
                return;
        }
        ip[0] = (uint8_t)(0x40 | header / 4);
        put16(ip + 2, (unsigned)(header + payload));
        put16(ip + 4, fragment ? t->id : f->ip_id++);
        put16(ip + 6, fragment ? fragment & 0x3fffu : 0x4000u);
        ip[8] = side == 0 ? 64 : 52;
        ip[9] = (uint8_t)proto;
        memcpy(ip + 12, t->addr[side], 4);
        memcpy(ip + 16, t->addr[!side], 4);
        if (t->odd) {
                put16(ip + 20, 0x070b); /* record route, empty */
                ip[22] = 4;
        }
        put16(ip + 10, fold(add_words(0, ip, header)));
}

static uint16_t l4_checksum(const struct talk *t, unsigned proto, const uint8_t *l4, size_t n)
{
        uint32_t sum = proto + (uint32_t)n;
        size_t width = t->ip6 ? 16 : 4;

        sum = add_words(sum, t->addr[0], width);
        sum = add_words(sum, t->addr[1], width);
        return fold(add_words(sum, l4, n));
}

static size_t put_tcp(struct frames *f, struct talk *t, unsigned *ret_side, uint8_t *p)
{
        unsigned flags = TH_ACK, side, header = 20, left = t->steps - t->step;
        size_t n = 0;

        if (t->steps == 2) { /* refused */
                side = t->step;
                flags = side == 0 ? TH_SYN : TH_RST | TH_ACK;
        } else if (t->step < 3) {
                side = t->step == 1;
                flags = t->step == 0 ? TH_SYN : t->step == 1 ? TH_SYN | TH_ACK : TH_ACK;
        } else if (left <= 3) {
                side = left == 2;
                flags = left == 1 ? TH_ACK : TH_FIN | TH_ACK;
        } else if (t->step == 3) {
                side = 0;
        } else {
                side = !one_in(f, 3);
        }
        *ret_side = side;
        if (flags & TH_SYN) {
                header = 24;
                put32(p + 20, 0x020405b4u); /* maximum segment size 1460 */
        } else if (t->step == 3 || (t->step > 3 && left > 3 && (side == 1 ? !one_in(f, 3) : one_in(f, 3)))) {
                n = tcp_payload(f, t, side, p + header);
                flags |= TH_PUSH;
        }
        put16(p, t->port[side]);
        put16(p + 2, t->port[!side]);
        put32(p + 4, t->seq[side]);
        put32(p + 8, flags & TH_ACK ? t->seq[!side] : 0);
        p[12] = (uint8_t)(header / 4 << 4);
        p[13] = (uint8_t)flags;
        put16(p + 14, 64240);
        put32(p + 16, 0);
        t->seq[side] += (uint32_t)n + ((flags & (TH_SYN | TH_FIN)) != 0);
        n += header;
        put16(p + 16, l4_checksum(t, 6, p, n));
        return n;
}

/* n bytes of payload are at p + 8 already */
static size_t put_udp(const struct talk *t, unsigned side, uint8_t *p, size_t n)
{
        uint16_t sum;

        n += 8;
        put16(p, t->port[side]);
        put16(p + 2, t->port[!side]);
        put16(p + 4, (unsigned)n);
        put16(p + 6, 0);
        sum = l4_checksum(t, 17, p, n);
        put16(p + 6, sum == 0 ? 0xffffu : sum);
        return n;
}

static size_t put_ping(const struct talk *t, unsigned side, uint8_t *p)
{
        size_t i, n = 8 + 56;

        p[0] = (uint8_t)(t->ip6 ? 128 + side : side == 0 ? 8 : 0);
        p[1] = 0;
        put16(p + 2, 0);
        put16(p + 4, t->id);
        put16(p + 6, t->step / 2 + 1);
        for (i = 8; i < n; i++)
                p[i] = (uint8_t)(8 + i);
        put16(p + 2, t->ip6 ? l4_checksum(t, 58, p, n) : fold(add_words(0, p, n)));
        return n;
}

static size_t put_arp(const struct talk *t, unsigned side, uint8_t *p)
{
        put32(p, 0x00010800u);
        put32(p + 4, 0x06040001u + side);
        memcpy(p + 8, t->mac[side], 6);
        memcpy(p + 14, t->addr[side], 4);
        memset(p + 18, 0, 6);
        if (side == 1)
                memcpy(p + 18, t->mac[0], 6);
        memcpy(p + 24, t->addr[!side], 4);
        return 28;
}

/* A datagram of 2,000 bytes in two fragments; its checksum covers both, so both are built and one is sent. */
static size_t put_fragment(struct frames *f, struct talk *t, uint8_t *p)
{
        uint8_t whole[8 + 2000];
        size_t first = 1440;

        memcpy(whole + 8, f->text + t->id % BODY_SIZE, 1500);
        memset(whole + 8 + 1500, 'f', 500);
        put_udp(t, 0, whole, 2000);
        memcpy(p, whole + (t->step == 0 ? 0 : first), t->step == 0 ? first : sizeof(whole) - first);
        return t->step == 0 ? first : sizeof(whole) - first;
}

/* ---- frames ------------------------------------------------------------------------------------------------ */

/* Tutorial 6.3: from UDP port 2002 to port 80 of 139.91.23.x with the worm's bytes. Every fourth only looks like it. */
static size_t put_worm(struct frames *f, uint64_t number, uint8_t *buf, size_t *ret_l3)
{
        static const uint8_t bytes[10] = { 0, 0, 'E', 0, 0, 'E', 0, 0, '@', 0 };
        struct talk t = { .kind = OTHER_UDP, .port = { 2002, 80 } };
        uint8_t *ip;
        size_t n;

        choose_addresses(f, &t);
        memcpy(t.addr[1], (const uint8_t[]){ 139, 91, 23, (uint8_t)(1 + number % 250) }, 4);
        ip = put_link(&t, 0, 0x0800, buf);
        memcpy(ip + 28, f->text + number * 7 % BODY_SIZE, 120);
        if (number % 4 != 3)
                memcpy(ip + 28 + 16, bytes, sizeof(bytes));
        else if (number % 8 == 3)
                memcpy(ip + 28 + 80, bytes, sizeof(bytes)); /* too far behind */
        n = put_udp(&t, 0, ip + 20, 120);
        finish_ip(f, &t, 0, 17, 0, ip, n);
        *ret_l3 = (size_t)(ip - buf);
        return *ret_l3 + 20 + n;
}

size_t frames_next(struct frames *f, uint8_t *buf, size_t *ret_l3)
{
        struct talk *t = &f->talk[frames_random(f, TALKS)];
        unsigned side = t->step & 1, proto = 17, fragment = 0;
        uint64_t number = f->made++;
        uint8_t *ip, *l4;
        size_t n;

        if ((f->protocols & FRAME_WORM) && number % 400 == 200)
                return put_worm(f, number / 400, buf, ret_l3);
        ip = buf + 14 + 4 * t->vlans;
        l4 = t->kind == ARP ? ip : ip + ip_header_size(t);
        switch (t->kind) {
        case ARP:
                n = put_arp(t, side, l4);
                break;
        case PING:
                proto = t->ip6 ? 58 : 1;
                n = put_ping(t, side, l4);
                break;
        case FRAGMENTED:
                side = 0;
                fragment = t->step == 0 ? 0x2000 : 1440 / 8;
                n = put_fragment(f, t, l4);
                break;
        case DNS:
        case NTP:
        case QUIC:
        case OTHER_UDP:
                side = t->kind == QUIC && t->step > 2 ? !one_in(f, 4) : side;
                n = put_udp(t, side, l4, udp_payload(f, t, side, l4 + 8));
                break;
        default:
                proto = 6;
                n = put_tcp(f, t, &side, l4);
        }
        put_link(t, side, t->kind == ARP ? 0x0806 : t->ip6 ? 0x86dd : 0x0800, buf);
        if (t->kind != ARP)
                finish_ip(f, t, side, proto, fragment, ip, n);
        *ret_l3 = (size_t)(ip - buf);
        n += (size_t)(l4 - buf);
        if (side == 1 && n < 60) { /* received frames arrive padded, sent ones are seen before the padding */
                memset(buf + n, 0, 60 - n);
                n = 60;
        }
        if (++t->step >= t->steps)
                begin_talk(f, t);
        return n;
}

struct frames *frames_new(uint64_t seed, unsigned protocols, enum frame_sizes sizes)
{
        struct frames *f = calloc(1, sizeof(*f));
        size_t i;

        if (f == NULL)
                return NULL;
        f->random = seed;
        f->protocols = protocols;
        f->sizes = sizes;
        for (i = 0; i < sizeof(f->noise); i++)
                f->noise[i] = (uint8_t)(next_random(f) >> 56);
        for (i = 0; i < sizeof(f->text);) {
                const char *w = PICK(f, words);
                size_t n = strlen(w);

                if (i + n + 1 > sizeof(f->text))
                        n = sizeof(f->text) - i - 1;
                memcpy(f->text + i, w, n);
                f->text[i + n] = one_in(f, 12) ? '\n' : ' ';
                i += n + 1;
        }
        for (i = 0; i < TALKS; i++) {
                begin_talk(f, &f->talk[i]);
                /* start in the middle, or the first packets would all be openings */
                if (f->talk[i].kind <= OTHER_TCP && f->talk[i].steps > 8 && !one_in(f, 4))
                        f->talk[i].step = 4 + frames_random(f, f->talk[i].steps - 8);
        }
        return f;
}

void frames_free(struct frames *f)
{
        free(f);
}
