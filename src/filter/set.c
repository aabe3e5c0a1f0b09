/* Sets of filters over one batch (hot). SPDX-License-Identifier: BSD-2-Clause */
#include "filter/program.h"

struct filter_set {
        uint32_t n;
        const struct filter *filter[];
};

bool filter_match(const struct filter *f, const struct mapi_view *v)
{
        return v->linktype == f->linktype && bpf_filter(f->insns, v->data, v->wirelen, v->caplen) != 0;
}

const struct filter_set *filter_set_new(struct arena *a, const struct filter *const *filters, uint32_t n)
{
        struct filter_set *set = arena_alloc(a, sizeof *set + n * sizeof set->filter[0]);

        if (set == NULL)
                return NULL;
        set->n = n;
        for (uint32_t i = 0; i < n; i++)
                set->filter[i] = filters[i];
        return set;
}

/*
 * Packet by packet, all filters on each: filters of one set are often of one shape, so the branches that one takes
 * on a packet are those of the next. The other way round the interpreter mispredicts at every packet (measured: 1.5 times
 * the time at 256 filters).
 */
void filter_set_run(const struct filter_set *set, const struct mapi_batch *b, mapi_sel in, mapi_sel *ret_out)
{
        uint32_t n = set->n;

        for (uint32_t f = 0; f < n; f++)
                ret_out[f] = 0;
        MAPI_SEL_EACH (i, in) {
                const struct mapi_view *v = &b->pkt[i];
                mapi_sel bit = MAPI_SEL_BIT(i);

                for (uint32_t f = 0; f < n; f++)
                        ret_out[f] |= filter_match(set->filter[f], v) ? bit : 0;
        }
}
