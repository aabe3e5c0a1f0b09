/* HASHSAMP: samples TCP and UDP flows by a hash of addresses and ports. SPDX-License-Identifier: BSD-2-Clause */
#include <mapi/function.h>
#include <mapi/hashsamp.h>

#include <string.h>

#define RANGE_MAX 1024u
#define KEPT 40u /* samples in the queue */

#define TCP 6u
#define UDP 17u

/* Where things are in the headers. */
#define IP4_SOURCE 12u
#define IP6_SOURCE 8u
#define L4_SEQUENCE 4u
#define L4_FLAGS 13u

struct tuple {
        uint32_t source, dest; /* the bytes of the packet, the first one lowest, whatever machine this is */
        uint32_t ports;        /* likewise, source and destination */
};

static int start(struct mapi_fn *fn, struct mapi_error *err)
{
        if (fn->arg[0].num < 1 || fn->arg[0].num > RANGE_MAX)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_1, "HASHSAMP wants a range of 1 to %u, not %lld",
                                 RANGE_MAX, fn->arg[0].num);
        if (fn->arg[1].num == 0)
                fn->result_size = 0; /* nothing is kept */
        return 0;
}

static uint32_t le32(const uint8_t *p)
{
        return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t be32(const uint8_t *p)
{
        return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t be16(const uint8_t *p)
{
        return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t folded(const uint8_t *address)
{
        return le32(address) ^ le32(address + 4) ^ le32(address + 8) ^ le32(address + 12);
}

/* Has the packet ports? Fragments behind the first have none. */
static int tuple_of(const struct mapi_view *v, const struct mapi_headers *h, struct tuple *ret)
{
        const uint8_t *ip = v->data + h->l3;

        if (!(h->flags & MAPI_HDR_L4) || (h->l4proto != TCP && h->l4proto != UDP) || h->ip_end - h->l4 < 4)
                return 0;
        if (h->flags & MAPI_HDR_IP4) {
                ret->source = le32(ip + IP4_SOURCE);
                ret->dest = le32(ip + IP4_SOURCE + 4);
        } else {
                ret->source = folded(ip + IP6_SOURCE);
                ret->dest = folded(ip + IP6_SOURCE + 16);
        }
        ret->ports = le32(v->data + h->l4);
        return 1;
}

/* Three words and a start value into one word, by Bob Jenkins' mix of 1996: nine rounds, each takes two words off the
   third and shifts. */
static uint32_t hash(uint32_t a, uint32_t b, uint32_t c)
{
        static const struct {
                unsigned char right1, left, right2;
        } shift[] = { { 13, 8, 13 }, { 12, 16, 5 }, { 3, 10, 15 } };

        a += 0x9e3779b9u;
        b += 0x9e3779b9u;
        c += 6564987u;
        for (int i = 0; i < 3; i++) {
                a = (a - b - c) ^ c >> shift[i].right1;
                b = (b - c - a) ^ a << shift[i].left;
                c = (c - a - b) ^ b >> shift[i].right2;
        }
        return c;
}

static void keep(struct mapi_fn *fn, const struct mapi_view *v, const struct mapi_headers *h)
{
        static const struct {
                unsigned char in_header;
                unsigned char in_sample;
        } flag[] = { { 1, TCP_FIN }, { 2, TCP_SYN }, { 4, TCP_RST }, { 8, TCP_PSH }, { 16, TCP_ACK } };
        const uint8_t *ip = v->data + h->l3, *l4 = v->data + h->l4;
        struct sample sample;

        memset(&sample, 0, sizeof sample); /* the padding, too */
        if (h->flags & MAPI_HDR_IP4) {
                memcpy(&sample.source_ip, ip + IP4_SOURCE, 4);
                memcpy(&sample.dest_ip, ip + IP4_SOURCE + 4, 4);
        }
        sample.sourceport = be16(l4);
        sample.destport = be16(l4 + 2);
        if (h->l4proto == TCP && h->ip_end - h->l4 >= L4_SEQUENCE + 4)
                sample.sequence = be32(l4 + L4_SEQUENCE);
        if (h->l4proto == TCP && h->ip_end - h->l4 > L4_FLAGS) {
                for (unsigned i = 0; i < sizeof flag / sizeof flag[0]; i++) {
                        if (l4[L4_FLAGS] & flag[i].in_header)
                                sample.tcp_flags |= flag[i].in_sample;
                }
        }
        sample.protocol = h->l4proto;
        sample.timestamp = v->ts;
        (void)mapi_queue_put(fn, &sample); /* full: the reader is told what it has lost */
}

static mapi_sel run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        struct tuple t;
        mapi_sel out = 0;

        MAPI_SEL_EACH (i, in) {
                if (!tuple_of(&b->pkt[i], &b->hdr[i], &t) ||
                    hash(t.source, t.dest ^ b->hdr[i].l4proto, t.ports) % RANGE_MAX >= fn->arg[0].num)
                        continue;
                out |= MAPI_SEL_BIT(i);
                if (fn->result_size != 0)
                        keep(fn, &b->pkt[i], &b->hdr[i]);
        }
        return out;
}

static const struct mapi_arg_spec args[] = {
        { .letter = 'i',
          .name = "range",
          .help = "how many of 1024 flows pass, 1 to 1024",
          .min = 1,
          .max = RANGE_MAX },
        { .letter = 'i', .name = "keep", .help = "not 0: a sample of each packet that passes is kept" },
        { .letter = 0 },
};

const struct mapi_function mapi_fn_hashsamp = {
        .abi = MAPI_FUNCTION_ABI,
        .name = "HASHSAMP",
        .help = "Lets the packets of some TCP and UDP flows pass, chosen by a hash of addresses and ports.",
        .args = args,
        .result = { .kind = MAPI_RESULT_QUEUE,
                    .size = sizeof(struct sample),
                    .unit = "struct sample",
                    .combine = MAPI_COMBINE_SERIAL,
                    .depth = KEPT,
                    .full = MAPI_OVERRUN_NEWEST },
        .shape = MAPI_OBSERVER,
        .traits = MAPI_FILTERS | MAPI_SERIAL,
        .needs = MAPI_NEED_HEADERS,
        .start = start,
        .run = run,
};
