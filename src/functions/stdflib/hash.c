/* HASH: a checksum of the latest packet, from a chosen layer on. SPDX-License-Identifier: BSD-2-Clause */
#include <mapi/function.h>

#define MODULUS 500009u
#define ETHERNET 1u
#define ETHERNET_HEADER 14u

/* The bytes [*ret_from, *ret_to) of the packet that the layer stands for, or 0: it has no such layer. */
static int layer_bytes(const struct mapi_view *v, const struct mapi_headers *h, long long layer,
                       uint32_t *ret_from, uint32_t *ret_to)
{
        *ret_to = v->caplen;
        switch (layer) {
        case 0:
                *ret_from = 0;
                return 1;
        case 1:
                /* without an EtherType (802.3) an Ethernet frame still has its header */
                if (!(h->flags & MAPI_HDR_L3) && (v->linktype != ETHERNET || v->caplen < ETHERNET_HEADER))
                        return 0;
                *ret_from = h->flags & MAPI_HDR_L3 ? h->l3 : ETHERNET_HEADER;
                return 1;
        case 2:
                if (!(h->flags & (MAPI_HDR_IP4 | MAPI_HDR_IP6 | MAPI_HDR_ARP)))
                        return 0;
                *ret_from = h->l3_payload;
                *ret_to = h->ip_end;
                return 1;
        default:
                if (!(h->flags & MAPI_HDR_PAYLOAD))
                        return 0;
                *ret_from = h->payload;
                *ret_to = h->ip_end;
                return 1;
        }
}

static uint32_t hash(const struct mapi_view *v, const struct mapi_headers *h, long long layer)
{
        uint32_t from, to;
        uint64_t sum;

        if (!layer_bytes(v, h, layer, &from, &to))
                return 0;
        sum = to - from;
        for (uint32_t i = from; i < to; i++)
                sum += v->data[i];
        return (uint32_t)(sum % MODULUS);
}

static int start(struct mapi_fn *fn, struct mapi_error *err)
{
        long long layer = fn->arg[0].num;

        if (layer < 0 || layer > 3)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_1, "HASH knows the layers 0 to 3, not %lld", layer);
        if (layer == 0)
                fn->needs = MAPI_NEED_NOTHING;
        return 0;
}

static mapi_sel run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        unsigned last;

        if (in == 0)
                return 0;
        last = mapi_sel_last(in); /* only the latest packet can be seen */
        mapi_result_set32(fn, hash(&b->pkt[last], &b->hdr[last], fn->arg[0].num));
        mapi_result_stamp(fn, b->pkt[last].ts);
        return in;
}

static const struct mapi_arg_spec args[] = {
        { .letter = 'i',
          .name = "layer",
          .help = "0 the whole packet, 1 without link header, 2 payload of IP or ARP message, 3 payload of TCP, "
                  "UDP or ICMP",
          .min = 0,
          .max = 3 },
        { .letter = 0 },
};

const struct mapi_function mapi_fn_hash = {
        .abi = MAPI_FUNCTION_ABI,
        .name = "HASH",
        .help = "Computes a checksum of the latest packet.",
        .args = args,
        .result = { .kind = MAPI_RESULT_COUNTER, .size = 4, .unit = "hash", .combine = MAPI_COMBINE_LATEST },
        .shape = MAPI_OBSERVER,
        .traits = MAPI_PURE,
        .needs = MAPI_NEED_HEADERS,
        .start = start,
        .run = run,
};
