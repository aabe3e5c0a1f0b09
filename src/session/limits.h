/* How much one client may take. Reaching a limit is an error with a sentence (9000). SPDX-License-Identifier: BSD-2-Clause */
#ifndef SESSION_LIMITS_H
#define SESSION_LIMITS_H

#include <stddef.h>
#include <stdint.h>

#define SESSION_FLOWS_MAX 65536u
#define SESSION_DEVICES_MAX 4096u
#define SESSION_RING_BYTES (1u << 20) /* a packet ring to begin with: some 3,000 packets of 330 bytes */
#define SESSION_SINK_BYTES (4u << 20) /* a file's queue */
#define SESSION_STRING_MAX 65536u     /* bytes of one string argument */

struct session_limits {
        uint32_t flows;
        uint32_t devices;    /* offline ones, private ones included */
        size_t memory_bytes; /* results, rings, queues and flows together */
        uint64_t ring_bytes;
        uint64_t sink_bytes;
};

#endif
