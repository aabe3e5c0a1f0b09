/*
 * Builds the headers of a pcap file: native byte order, microseconds. Pure; writing them is the caller's affair.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef FORMATS_PCAP_WRITE_H
#define FORMATS_PCAP_WRITE_H

#include <mapi/packet.h>

#define FORMATS_PCAP_FILE_BYTES 24
#define FORMATS_PCAP_RECORD_BYTES 16

/** The head of a file with packets of a DLT_ value, of at most snaplen captured bytes each. */
void formats_pcap_write_file(uint8_t ret_header[FORMATS_PCAP_FILE_BYTES], uint16_t linktype, uint32_t snaplen);

/** What stands in front of the v->caplen bytes of one packet. */
void formats_pcap_write_record(uint8_t ret_header[FORMATS_PCAP_RECORD_BYTES], const struct mapi_view *v);

#endif
