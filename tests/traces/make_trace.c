/*
 * Writes a trace of invented traffic, the same bytes for the same options on every machine; needs no library.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frames.h"

#define SECOND_NS 1000000000ull

static const char usage[] = "usage: make_trace [options] [-o FILE]\n"
                            "  -n COUNT    packets (3000)\n"
                            "  -d SECONDS  time from first to last packet, about (60)\n"
                            "  -r SEED     another seed, other traffic (1)\n"
                            "  -z MIX      small, mixed (about 330 bytes a packet) or large\n"
                            "  -p LIST     of tcp,udp,icmp,arp,ip6,vlan,odd,worm (all)\n"
                            "  -f FORMAT   us-le us-be ns-le ns-be (pcap), ng-le ng-be (pcapng)\n"
                            "  -l LINK     ether, raw or sll (Linux cooked)\n"
                            "  -s BYTES    capture no more than these of a packet (65535)\n"
                            "  -c BYTES    cut that many bytes off the end of the file: a damaged trace\n"
                            "  -o FILE     where to (standard output)\n";

enum link { LINK_ETHER = 1, LINK_RAW = 101, LINK_SLL = 113 };

struct options {
        uint64_t count, seconds, seed;
        unsigned protocols;
        enum frame_sizes sizes;
        int big_endian, nano, ng;
        enum link link;
        uint32_t snaplen;
        uint64_t cut;
        const char *path;
};

/** A buffer that is written when full; the last `cut` bytes never are. */
struct out {
        int fd;
        int big_endian;
        uint64_t cut;
        size_t used;
        uint8_t buf[1 << 20];
};

static void die(const char *what)
{
        fprintf(stderr, "make_trace: %s\n", what);
        exit(2);
}

static void flush(struct out *o, size_t keep)
{
        size_t done = 0, most = o->used > keep ? o->used - keep : 0;

        while (done < most) {
                ssize_t n = write(o->fd, o->buf + done, most - done);

                if (n <= 0)
                        die("cannot write");
                done += (size_t)n;
        }
        memmove(o->buf, o->buf + done, o->used - done);
        o->used -= done;
}

static void put(struct out *o, const void *data, size_t n)
{
        if (n > sizeof(o->buf) - o->used)
                flush(o, o->cut);
        memcpy(o->buf + o->used, data, n);
        o->used += n;
}

static void put_u16(struct out *o, unsigned v)
{
        uint8_t b[2] = { (uint8_t)v, (uint8_t)(v >> 8) };

        if (o->big_endian) {
                b[0] = (uint8_t)(v >> 8);
                b[1] = (uint8_t)v;
        }
        put(o, b, 2);
}

static void put_u32(struct out *o, uint32_t v)
{
        put_u16(o, o->big_endian ? v >> 16 : v & 0xffffu);
        put_u16(o, o->big_endian ? v & 0xffffu : v >> 16);
}

static void put_head(struct out *o, const struct options *opt)
{
        if (!opt->ng) {
                put_u32(o, opt->nano ? 0xa1b23c4du : 0xa1b2c3d4u);
                put_u16(o, 2);
                put_u16(o, 4);
                put_u32(o, 0);
                put_u32(o, 0);
                put_u32(o, opt->snaplen);
                put_u32(o, opt->link);
                return;
        }
        put_u32(o, 0x0a0d0d0au); /* section header */
        put_u32(o, 28);
        put_u32(o, 0x1a2b3c4du);
        put_u16(o, 1);
        put_u16(o, 0);
        put_u32(o, 0xffffffffu); /* of unknown length */
        put_u32(o, 0xffffffffu);
        put_u32(o, 28);
        put_u32(o, 1); /* interface description */
        put_u32(o, 32);
        put_u16(o, opt->link);
        put_u16(o, 0);
        put_u32(o, opt->snaplen);
        put_u16(o, 9); /* if_tsresol: 10^-9 */
        put_u16(o, 1);
        put(o, "\t\0\0", 4);
        put_u32(o, 0); /* end of options */
        put_u32(o, 32);
}

static void put_packet(struct out *o, const struct options *opt, uint64_t ns, const uint8_t *frame,
                       uint32_t wirelen)
{
        uint32_t caplen = wirelen < opt->snaplen ? wirelen : opt->snaplen, padding = -caplen & 3u;

        if (!opt->ng) {
                put_u32(o, (uint32_t)(ns / SECOND_NS));
                put_u32(o, (uint32_t)(ns % SECOND_NS / (opt->nano ? 1 : 1000)));
                put_u32(o, caplen);
                put_u32(o, wirelen);
                put(o, frame, caplen);
                return;
        }
        put_u32(o, 6); /* enhanced packet */
        put_u32(o, 32 + caplen + padding);
        put_u32(o, 0);
        put_u32(o, (uint32_t)(ns >> 32));
        put_u32(o, (uint32_t)ns);
        put_u32(o, caplen);
        put_u32(o, wirelen);
        put(o, frame, caplen);
        put(o, "\0\0\0", padding);
        put_u32(o, 32 + caplen + padding);
}

/* Exchanges the Ethernet header, whose last two bytes are the type, for another one. Returns where the frame begins. */
static const uint8_t *change_link(enum link link, uint8_t *frame, size_t l3)
{
        static const uint8_t sll[14] = { 0, 0, 0, 1, 0, 6 };
        uint8_t *start;

        if (link == LINK_ETHER)
                return frame;
        if (link == LINK_RAW)
                return frame + l3;
        start = frame + l3 - 2 - sizeof(sll); /* frames_next() was given the room in front of it */
        memmove(start + 6, frame + 6, 6);
        memcpy(start, sll, 6);
        start[12] = start[13] = 0;
        return start;
}

static int write_trace(const struct options *opt, struct out *o)
{
        static uint8_t room[16 + FRAME_MAX];
        struct frames *f = frames_new(opt->seed, opt->protocols, opt->sizes);
        uint64_t i, ns, gap = opt->seconds * SECOND_NS / (opt->count == 0 ? 1 : opt->count);

        if (f == NULL)
                return -1;
        ns = 1246435200ull * SECOND_NS; /* July 1, 2009 */
        put_head(o, opt);
        for (i = 0; i < opt->count; i++) {
                uint8_t *frame = room + 16;
                const uint8_t *start;
                size_t l3, n = frames_next(f, frame, &l3);

                start = change_link(opt->link, frame, l3);
                put_packet(o, opt, ns, start, (uint32_t)(frame + n - start));
                ns += gap / 2 + gap * frames_random(f, 1024) / 1024;
        }
        flush(o, o->cut);
        frames_free(f);
        return 0;
}

/* ---- options ----------------------------------------------------------------------------------------------- */

static uint64_t number(const char *text, uint64_t most)
{
        char *end;
        uint64_t v = strtoull(text, &end, 10);

        if (*text == 0 || *text == '-' || *end != 0 || v > most)
                die("not a number, or too large");
        return v;
}

/* The position of a word in a list of words, or the end. */
static unsigned word(const char *text, size_t n, const char *const *list, unsigned count)
{
        unsigned i;

        for (i = 0; i < count; i++)
                if (strlen(list[i]) == n && memcmp(list[i], text, n) == 0)
                        return i;
        die("unknown word; -h lists them");
        return count;
}

static unsigned protocols(const char *text)
{
        static const char *const names[] = { "tcp", "udp", "icmp", "arp", "ip6", "vlan", "odd", "worm" };
        unsigned set = 0;

        while (*text != 0) {
                size_t n = strcspn(text, ",");

                set |= 1u << word(text, n, names, 8);
                text += n + (text[n] == ',');
        }
        return set;
}

static void read_options(int argc, char **argv, struct options *opt)
{
        static const char *const sizes[] = { "small", "mixed", "large" };
        static const char *const formats[] = { "us-le", "us-be", "ns-le", "ns-be", "ng-le", "ng-be" };
        static const char *const links[] = { "ether", "raw", "sll" };
        static const enum link link_values[] = { LINK_ETHER, LINK_RAW, LINK_SLL };
        unsigned format;
        int c;

        while ((c = getopt(argc, argv, "n:d:r:z:p:f:l:s:c:o:h")) != -1) {
                switch (c) {
                case 'n':
                        opt->count = number(optarg, UINT32_MAX);
                        break;
                case 'd':
                        opt->seconds = number(optarg, 1000000);
                        break;
                case 'r':
                        opt->seed = number(optarg, UINT64_MAX);
                        break;
                case 'z':
                        opt->sizes = (enum frame_sizes)word(optarg, strlen(optarg), sizes, 3);
                        break;
                case 'p':
                        opt->protocols = protocols(optarg);
                        break;
                case 'f':
                        format = word(optarg, strlen(optarg), formats, 6);
                        opt->big_endian = format & 1;
                        opt->nano = format / 2 == 1;
                        opt->ng = format / 2 == 2;
                        break;
                case 'l':
                        opt->link = link_values[word(optarg, strlen(optarg), links, 3)];
                        break;
                case 's':
                        opt->snaplen = (uint32_t)number(optarg, 262144);
                        break;
                case 'c':
                        opt->cut = number(optarg, 65536);
                        break;
                case 'o':
                        opt->path = optarg;
                        break;
                case 'h':
                        fputs(usage, stdout);
                        exit(0);
                default:
                        fputs(usage, stderr);
                        exit(2);
                }
        }
        if (optind != argc)
                die("surplus argument");
        if (opt->link == LINK_RAW)
                opt->protocols &= ~(unsigned)FRAME_ARP; /* there is no ARP without a link */
}

int main(int argc, char **argv)
{
        static struct out o;
        struct options opt = { .count = 3000,
                               .seconds = 60,
                               .seed = 1,
                               .protocols = FRAME_ALL,
                               .sizes = FRAME_MIXED,
                               .link = LINK_ETHER,
                               .snaplen = 65535 };
        FILE *file = stdout;

        read_options(argc, argv, &opt);
        if (opt.path != NULL && (file = fopen(opt.path, "wb")) == NULL)
                die("cannot open the file to write");
        o.fd = fileno(file);
        o.big_endian = opt.big_endian;
        o.cut = opt.cut;
        if (write_trace(&opt, &o) < 0)
                die("out of memory");
        if (file != stdout && fclose(file) != 0)
                die("cannot write");
        return 0;
}
