/*
 * Link types as files number them (LINKTYPE_) and as filters want them (DLT_).
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef FORMATS_LINKTYPE_H
#define FORMATS_LINKTYPE_H

#include <stdint.h>

/* Those that readers name; pcap-linktype(7). */
enum {
        FORMATS_DLT_NULL = 0,
        FORMATS_DLT_EN10MB = 1,
        FORMATS_DLT_RAW = 12,
        FORMATS_DLT_PPP_SERIAL = 50,
        FORMATS_DLT_C_HDLC = 104,
        FORMATS_DLT_FRELAY = 107
};

/** The DLT_ value of a number found in a file, as libpcap reports it on Linux. */
uint16_t formats_dlt_from_linktype(uint16_t linktype);

/** The number to write into a file for a DLT_ value: the inverse. */
uint16_t formats_linktype_from_dlt(uint16_t dlt);

#endif
