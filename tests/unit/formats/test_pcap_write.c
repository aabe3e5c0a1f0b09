/*
 * Headers that are written come back the same through our reader and through libpcap.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <pcap/pcap.h>

#include "formats/pcap_write.h"

#include "collect.h"

static const struct {
        uint32_t seconds, us, caplen, wirelen;
} packets[] = {
        { 0, 0, 0, 0 },
        { 1089376567, 456945, 60, 60 },
        { 1700000000, 999999, 96, 1514 },
        { 0xffffffff, 1, 20, 10 },
};

#define N_PACKETS (sizeof(packets) / sizeof(packets[0]))

static void build_file(struct build *b, uint16_t linktype)
{
        uint8_t head[FORMATS_PCAP_FILE_BYTES], record[FORMATS_PCAP_RECORD_BYTES];

        formats_pcap_write_file(head, linktype, 96);
        build_put(b, head, sizeof(head));
        for (size_t i = 0; i < N_PACKETS; i++) {
                struct mapi_view v = { .ts = mapi_ts_from_us(packets[i].seconds, packets[i].us),
                                       .caplen = packets[i].caplen,
                                       .wirelen = packets[i].wirelen };

                formats_pcap_write_record(record, &v);
                build_put(b, record, sizeof(record));
                build_data(b, (uint8_t)i, v.caplen);
        }
}

static void our_reader(void **state)
{
        struct build b = { 0 };
        struct collect c;

        build_file(&b, 12);
        collect(&c, &b);
        assert_int_equal(c.o.end, FORMATS_END);
        assert_int_equal(c.o.linktype, 12);
        assert_int_equal(c.o.snaplen, 96);
        assert_int_equal(c.n, N_PACKETS);
        for (size_t i = 0; i < N_PACKETS; i++) {
                assert_true(c.view[i].ts == mapi_ts_from_us(packets[i].seconds, packets[i].us));
                assert_int_equal(c.view[i].caplen, packets[i].caplen);
                assert_int_equal(c.view[i].wirelen, packets[i].wirelen);
                expect_data(&c.view[i], (uint8_t)i);
        }
        collect_free(&c);
        build_free(&b);
}

static void libpcap(void **state)
{
        char error[PCAP_ERRBUF_SIZE];
        struct build b = { 0 };
        struct pcap_pkthdr *h;
        const u_char *data;
        pcap_t *p;

        build_file(&b, 12);
        p = pcap_fopen_offline(fmemopen(b.bytes, b.n, "r"), error);
        assert_non_null(p);
        assert_int_equal(pcap_datalink(p), 12);
        assert_int_equal(pcap_snapshot(p), 96);
        for (size_t i = 0; i < N_PACKETS; i++) {
                assert_int_equal(pcap_next_ex(p, &h, &data), 1);
                assert_int_equal((uint32_t)h->ts.tv_sec, packets[i].seconds);
                assert_int_equal(h->ts.tv_usec, packets[i].us);
                assert_int_equal(h->caplen, packets[i].caplen);
                assert_int_equal(h->len, packets[i].wirelen);
        }
        assert_int_equal(pcap_next_ex(p, &h, &data), PCAP_ERROR_BREAK);
        pcap_close(p);
        build_free(&b);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(our_reader), cmocka_unit_test(libpcap) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
