/*
 * What becomes of the packets of one flow. Counted once for each batch, never for each packet; the worker's, while it runs.
 *
 * The law: packets of the device that the flow was given = delivered + filtered + dropped_ring + dropped_file. Filtered is
 * what the others leave over, so a packet that is neither delivered nor dropped must have been held back by a function.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef GRAPH_ACCOUNT_H
#define GRAPH_ACCOUNT_H

#include <mapi/packet.h>

struct flow_account {
        /* Packets of the batch under way that one of its queues had no room for. Set by the first queue of the flow, read by
           what hangs on it: where that is skipped, so are all who would read it, and nobody has to clear it. */
        mapi_sel lost;
        uint64_t
                delivered; /* came to the end of the flow, or to its first transformer, and were lost in no queue */
        uint64_t dropped_ring; /* lost in a packet ring first */
        uint64_t dropped_file; /* lost in the queue of a file first */
};

#endif
