/* Packets that a flow has for itself. Inside src/graph. SPDX-License-Identifier: BSD-2-Clause */
#ifndef GRAPH_EMIT_H
#define GRAPH_EMIT_H

#include "graph/instance.h"

/** mapi_emit() of <mapi/function.h>. */
uint8_t *emit_packet(struct instance *in, const struct mapi_view *like, uint32_t caplen, uint32_t wirelen,
                     uint64_t ts);

/** Allows `packets` to be emitted, until emit_end() sends what was emitted down the rest of the flow. */
void emit_begin(struct instance *in, uint64_t packets);
void emit_end(struct instance *in);

#endif
