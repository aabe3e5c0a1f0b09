/* Decodes the headers of a batch, once for everybody. SPDX-License-Identifier: BSD-2-Clause */
#ifndef PACKET_PARSE_H
#define PACKET_PARSE_H

#include <mapi/packet.h>

/**
 * Fills b->hdr[] for the packets in `which` that have not been decoded yet and adds them to b->parsed.
 * Reads at most caplen bytes of each packet and believes none of them. A packet of a link type that is not supported
 * has no flags; one that ends inside a header keeps the flags that are true and gets MAPI_HDR_CUT.
 * Threads  the worker that owns the batch
 */
void packet_parse(struct mapi_batch *b, mapi_sel which);

#endif
