/*
 * Fuzz target: the pcapng reader must survive any bytes and find the same packets however they come.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "trace_feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        feed_compare(formats_pcapng_open, data, size);
        feed_compare(formats_open, data, size);
        return 0;
}
