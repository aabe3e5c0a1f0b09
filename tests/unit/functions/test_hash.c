/*
 * HASH: hand-made packets, and the two values that are known of the original's test trace. The trace is no part of this
 * tree: the test looks for it in MAPI_TEST_TRACES and is skipped without it.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "harness.h"

#include "packet/parse.h"

#include <stdio.h>

extern const struct mapi_function mapi_fn_hash;

static int start(struct harness *h, long long layer)
{
        harness_init(h, &mapi_fn_hash);
        h->arg[0].num = layer;
        return harness_start(h);
}

/* (bytes + sum of the bytes) mod 500009, computed anew. */
static uint32_t expected(const uint8_t *p, size_t n)
{
        uint64_t sum = 0;

        for (size_t i = 0; i < n; i++)
                sum += 1 + (uint64_t)p[i];
        return (uint32_t)(sum % 500009);
}

static uint32_t hash_of(long long layer, const void *data, uint32_t caplen, uint16_t linktype)
{
        struct harness h;
        uint32_t value;

        assert_int_equal(start(&h, layer), 0);
        h.device.linktype = linktype;
        harness_add(&h, data, caplen, caplen, 77);
        if (h.fn.needs & MAPI_NEED_HEADERS)
                packet_parse(&h.batch, 1);
        assert_int_equal(harness_run(&h, 1), 1);
        value = (uint32_t)harness_i32(&h);
        assert_true(h.fn.slot->stamp == 77);
        harness_fini(&h);
        return value;
}

static const uint8_t udp4[] = "\2\0\0\0\0\1\2\0\0\0\0\2\x08\0"
                              "\x45\0\0\x20\0\1\0\0\x40\x11\0\0\x0a\0\0\1\x0a\0\0\2"
                              "\x04\xd2\0\x35\0\x0c\0\0"
                              "abcd"
                              "\xff\xff\xff"; /* padding */
static const uint8_t tcp6[] = "\2\0\0\0\0\1\2\0\0\0\0\2\x86\xdd"
                              "\x60\0\0\0\0\x16\6\x40"
                              "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
                              "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\2"
                              "\x04\xd2\0\x50\0\0\0\1\0\0\0\2\x50\x18\xff\xff\0\0\0\0"
                              "hi";
static const uint8_t arp[] = "\2\0\0\0\0\1\2\0\0\0\0\2\x08\6"
                             "\0\1\x08\0\6\4\0\1\2\0\0\0\0\1\x0a\0\0\1\0\0\0\0\0\0\x0a\0\0\2"
                             "\1\1\1\1";
static const uint8_t stp[] = "\2\0\0\0\0\1\2\0\0\0\0\2\0\7\x42\x42\3\0\0\0\0";

static void layers(void **state)
{
        const uint32_t n4 = sizeof udp4 - 1, n6 = sizeof tcp6 - 1, na = sizeof arp - 1, ns = sizeof stp - 1;

        assert_int_equal(hash_of(0, udp4, n4, 1), expected(udp4, n4));
        assert_int_equal(hash_of(1, udp4, n4, 1), expected(udp4 + 14, n4 - 14)); /* with the padding */
        assert_int_equal(hash_of(2, udp4, n4, 1), expected(udp4 + 34, 12));      /* without */
        assert_int_equal(hash_of(3, udp4, n4, 1), 4 + 'a' + 'b' + 'c' + 'd');
        assert_int_equal(hash_of(3, udp4, 44, 1),
                         2 + 'a' + 'b');              /* the IP length lies beyond the captured bytes */
        assert_int_equal(hash_of(3, udp4, 41, 1), 0); /* no whole UDP header */
        assert_int_equal(hash_of(2, udp4, 33, 1), 0);
        assert_int_equal(hash_of(1, udp4, 13, 1), 0);
        assert_int_equal(hash_of(0, udp4, 0, 1), 0);
        assert_int_equal(hash_of(2, tcp6, n6, 1), expected(tcp6 + 54, 22));
        assert_int_equal(hash_of(3, tcp6, n6, 1), 2 + 'h' + 'i');
        assert_int_equal(hash_of(1, udp4 + 14, 32, 12), expected(udp4 + 14, 32)); /* raw IP has no link header */
        assert_int_equal(hash_of(2, arp, na, 1), expected(arp + 14, 28));
        assert_int_equal(hash_of(3, arp, na, 1), 0);
        assert_int_equal(hash_of(1, stp, ns, 1), expected(stp + 14, ns - 14));
        assert_int_equal(hash_of(2, stp, ns, 1), 0);
        assert_int_equal(hash_of(1, udp4, n4, 105), 0); /* unsupported link type */
        assert_int_equal(hash_of(0, udp4, n4, 105), expected(udp4, n4));
}

static void modulus(void **state)
{
        static uint8_t big[4000];

        memset(big, 0xff, sizeof big);
        assert_int_equal(hash_of(0, big, 4000, 1), (4000 + 4000 * 255) % 500009);
}

static void the_latest(void **state)
{
        struct harness h;

        assert_int_equal(start(&h, 0), 0);
        assert_int_equal(h.fn.needs, MAPI_NEED_NOTHING);
        harness_add(&h, "a", 1, 1, 1);
        harness_add(&h, "b", 1, 1, 2);
        harness_add(&h, "c", 1, 1, 3);
        assert_int_equal(harness_run(&h, 3), 3);
        assert_int_equal(harness_i32(&h), 1 + 'b');
        assert_int_equal(harness_run(&h, 0), 0);
        assert_int_equal(harness_i32(&h), 1 + 'b');
        harness_fini(&h);
}

static void errors(void **state)
{
        struct harness h;

        assert_int_equal(start(&h, -1), -7001);
        assert_int_equal(start(&h, 4), -7001);
        assert_int_equal(h.err.code, 7001);
        harness_fini(&h);
}

static void the_test_trace(void **state)
{
        const char *folder = getenv("MAPI_TEST_TRACES");
        uint8_t frame[96];
        char path[512];
        uint32_t record[4], first = 0, last = 0, n = 0;
        FILE *f;

        (void)snprintf(path, sizeof path, "%s/tracefile.pcap", folder != NULL ? folder : "");
        f = folder != NULL ? fopen(path, "rb") : NULL;
        if (f == NULL) {
                print_message("no tracefile.pcap in MAPI_TEST_TRACES\n");
                skip();
        }
        assert_int_equal(fseek(f, 24, SEEK_SET), 0);
        while (fread(record, 16, 1, f) == 1) {
                assert_true(record[2] <= sizeof frame);
                assert_int_equal(fread(frame, 1, record[2], f), record[2]);
                if (frame[12] != 8 || frame[13] != 0 || frame[23] != 6)
                        continue;
                last = hash_of(1, frame, record[2], 1);
                if (n++ == 0)
                        first = last;
        }
        (void)fclose(f);
        assert_int_equal(n, 596);
        assert_int_equal(first, 3590);
        assert_int_equal(last, 3176);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(layers), cmocka_unit_test(modulus),
                                            cmocka_unit_test(the_latest), cmocka_unit_test(errors),
                                            cmocka_unit_test(the_test_trace) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
