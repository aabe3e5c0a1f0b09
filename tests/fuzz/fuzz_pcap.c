/*
 * Fuzz target: the pcap reader must survive any bytes and find the same packets however they come.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "trace_feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        feed_compare(formats_pcap_open, data, size); /* any magic number */
        feed_compare(formats_open, data, size);
        return 0;
}
