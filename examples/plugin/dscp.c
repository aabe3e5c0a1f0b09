/* DSCP: lets the IP packets of one traffic class pass. SPDX-License-Identifier: BSD-2-Clause */
#include <mapi/function.h>

static unsigned dscp_of(const struct mapi_view *v, const struct mapi_headers *h)
{
        const uint8_t *ip = v->data + h->l3;

        if (h->flags & MAPI_HDR_IP4)
                return ip[1] >> 2;
        return (ip[0] & 0x0fu) << 2 | ip[1] >> 6;
}

static mapi_sel run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        mapi_sel out = 0;

        MAPI_SEL_EACH (i, in)
                if ((b->hdr[i].flags & (MAPI_HDR_IP4 | MAPI_HDR_IP6)) != 0 &&
                    dscp_of(&b->pkt[i], &b->hdr[i]) == (unsigned)fn->arg[0].num)
                        out |= MAPI_SEL_BIT(i);
        return out;
}

static const struct mapi_arg_spec args[] = {
        { .letter = 'i',
          .name = "class",
          .help = "differentiated services code point, 0 to 63",
          .min = 0,
          .max = 63 },
        { .letter = 0 },
};

const struct mapi_function example_dscp = {
        .abi = MAPI_FUNCTION_ABI,
        .name = "DSCP",
        .help = "Lets the IPv4 and IPv6 packets of one traffic class pass.",
        .args = args,
        .shape = MAPI_OBSERVER,
        .traits = MAPI_FILTERS | MAPI_PURE,
        .needs = MAPI_NEED_HEADERS,
        .run = run,
};
