/*
 * Reads a trace through the driver, writes its packets as a nanosecond pcap file and prints packets, wire bytes,
 * captured bytes, link type, and the error if it ends with one. Used by compare_traces.sh.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "drivers/table.h"
#include "formats/pcap_write.h"

int main(int argc, char **argv)
{
        uint64_t packets = 0, wirelen = 0, caplen = 0;
        struct mapi_source src = { .fd = -1 };
        uint8_t head[FORMATS_PCAP_FILE_BYTES], record[FORMATS_PCAP_RECORD_BYTES];
        struct mapi_device_facts facts;
        struct mapi_error err;
        struct mapi_batch b;
        uint32_t time[2];
        size_t needed;
        void *state;
        FILE *out;
        int n;

        if (argc != 3) {
                fprintf(stderr, "Usage: %s TRACE OUTPUT\n", argv[0]);
                return 2;
        }
        src.name = argv[1];
        if (mapi_drv_trace.open(&src, &facts, &state, &err) < 0) {
                fprintf(stderr, "%s\n", err.text);
                return 1;
        }
        out = fopen(argv[2], "w");
        if (out == NULL) {
                perror(argv[2]);
                return 1;
        }
        formats_pcap_write_file(head, facts.linktype, facts.snaplen);
        memcpy(head, &(uint32_t){ 0xa1b23c4d }, 4);
        fwrite(head, sizeof(head), 1, out);
        while ((n = mapi_drv_trace.recv(state, &b, MAPI_BATCH_MAX, SIZE_MAX, &needed, &err)) >= 0) {
                if (n == 0) {
                        struct pollfd pfd = { .fd = mapi_drv_trace.fd(state), .events = POLLIN };

                        (void)poll(&pfd, 1, -1); /* whatever it says, recv will see */
                }
                for (int i = 0; i < n; i++) {
                        packets++;
                        wirelen += b.pkt[i].wirelen;
                        caplen += b.pkt[i].caplen;
                        formats_pcap_write_record(record, &b.pkt[i]);
                        mapi_ts_to_ns(b.pkt[i].ts, &time[0], &time[1]);
                        memcpy(record, time, sizeof(time));
                        fwrite(record, sizeof(record), 1, out);
                        fwrite(b.pkt[i].data, 1, b.pkt[i].caplen, out);
                }
                mapi_drv_trace.release(state, &b);
        }
        mapi_drv_trace.close(state);
        if (fclose(out) != 0) {
                perror(argv[2]);
                return 1;
        }
        printf("%llu %llu %llu %u\n", (unsigned long long)packets, (unsigned long long)wirelen,
               (unsigned long long)caplen, facts.linktype);
        if (n != MAPI_RECV_END)
                fprintf(stderr, "%s\n", err.text);
        return 0;
}
