/*
 * Builds the headers of a pcap file; see pcap_write.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "formats/pcap_write.h"

#include <string.h>

#include "formats/linktype.h"

void formats_pcap_write_file(uint8_t ret_header[FORMATS_PCAP_FILE_BYTES], uint16_t linktype, uint32_t snaplen)
{
        const struct {
                uint32_t magic;
                uint16_t major, minor;
                uint32_t zone, accuracy; /* unused since ever */
                uint32_t snaplen;
                uint32_t linktype;
        } head = { 0xa1b2c3d4u, 2, 4, 0, 0, snaplen, formats_linktype_from_dlt(linktype) };

        _Static_assert(sizeof(head) == FORMATS_PCAP_FILE_BYTES, "written as it is");
        memcpy(ret_header, &head, sizeof(head));
}

void formats_pcap_write_record(uint8_t ret_header[FORMATS_PCAP_RECORD_BYTES], const struct mapi_view *v)
{
        struct {
                uint32_t seconds, us;
                uint32_t caplen, wirelen;
        } head = { .caplen = v->caplen, .wirelen = v->wirelen };

        _Static_assert(sizeof(head) == FORMATS_PCAP_RECORD_BYTES, "written as it is");
        mapi_ts_to_us(v->ts, &head.seconds, &head.us);
        memcpy(ret_header, &head, sizeof(head));
}
