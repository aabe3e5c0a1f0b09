/* TO_FILE. SPDX-License-Identifier: BSD-2-Clause */
#include "harness.h"

#include <errno.h>

extern const struct mapi_function mapi_fn_to_file;

static int start(struct harness *h, long long format, unsigned long long count)
{
        harness_init(h, &mapi_fn_to_file);
        h->arg[0].num = format;
        h->arg[1].str = "x.pcap";
        h->arg[1].fd = 100;
        h->arg[2].u64 = count;
        return harness_start(h);
}

static void drain(struct harness *h, uint64_t written, int error)
{
        mapi_fn_to_file.drained(&h->fn, written, error);
}

static uint32_t word(const struct harness *h, size_t at)
{
        uint32_t value;

        assert_true(at + 4 <= h->sink_used);
        memcpy(&value, h->sink + at, 4);
        return value;
}

static void the_file(void **state)
{
        struct harness h;

        for (int format = 0; format <= 1; format++) {
                assert_int_equal(start(&h, format, 0), 0);
                assert_int_equal(h.sink_arg, 1);
                assert_int_equal(h.sink_used, 24);
                assert_int_equal(word(&h, 0), 0xa1b2c3d4);
                assert_int_equal(word(&h, 8), 0);
                assert_int_equal(word(&h, 12), 0);
                assert_int_equal(word(&h, 16), 96); /* snaplen */
                assert_int_equal(word(&h, 20), 1);  /* Ethernet */
                harness_add(&h, "abcd", 4, 60, mapi_ts_from_us(1089376567, 456945));
                harness_add(&h, "....", 4, 60, 0);
                harness_add(&h, "xy", 2, 1514, mapi_ts_from_us(1089376568, 999999));
                assert_int_equal(harness_run(&h, 5), 5);
                assert_int_equal(h.sink_used, 24 + 16 + 4 + 16 + 2);
                assert_int_equal(word(&h, 24), 1089376567);
                assert_int_equal(word(&h, 28), 456945);
                assert_int_equal(word(&h, 32), 4);
                assert_int_equal(word(&h, 36), 60);
                assert_memory_equal(h.sink + 40, "abcd", 4);
                assert_int_equal(word(&h, 44), 1089376568);
                assert_int_equal(word(&h, 48), 999999);
                assert_int_equal(word(&h, 52), 2);
                assert_int_equal(word(&h, 56), 1514);
                assert_memory_equal(h.sink + 60, "xy", 2);
                assert_int_equal(harness_i32(&h), 1);
                drain(&h, 62, 0);
                assert_int_equal(harness_i32(&h), 1); /* no limit: never complete */
                harness_fini(&h);
        }
}

static void limit(void **state)
{
        struct harness h;

        assert_int_equal(start(&h, 0, 3), 0);
        assert_int_equal(harness_i32(&h), 1);
        for (unsigned i = 0; i < 2; i++)
                harness_add(&h, "ab", 2, 60, i);
        assert_int_equal(harness_run(&h, 3), 3);
        drain(&h, 60, 0);
        assert_int_equal(harness_i32(&h), 1); /* everything so far is in the file, but it is not the last */
        for (unsigned i = 0; i < 5; i++)
                harness_add(&h, "ab", 2, 60, i);
        assert_int_equal(harness_run(&h, 0x1f), 0x1f); /* the others still pass on */
        assert_int_equal(h.sink_used, 24 + 3 * 18);
        assert_int_equal(harness_i32(&h), 1); /* in the queue only */
        drain(&h, 77, 0);
        assert_int_equal(harness_i32(&h), 1);
        drain(&h, 78, 0);
        assert_int_equal(harness_i32(&h), 0);
        harness_add(&h, "ab", 2, 60, 1);
        assert_int_equal(harness_run(&h, 1), 1);
        assert_int_equal(h.sink_used, 78);
        assert_int_equal(harness_i32(&h), 0);
        harness_fini(&h);
}

/* A full queue on a live device: the packet is not counted as written. */
static void full_queue(void **state)
{
        struct harness h;

        assert_int_equal(start(&h, 0, 1), 0);
        h.sink_room = 24 + 17;
        harness_add(&h, "ab", 2, 60, 1);
        assert_int_equal(harness_run(&h, 1), 0); /* lost */
        assert_int_equal(h.sink_used, 24);
        drain(&h, 24, 0);
        assert_int_equal(harness_i32(&h), 1);
        h.sink_room = 4096;
        harness_add(&h, "ab", 2, 60, 1);
        assert_int_equal(harness_run(&h, 1), 1);
        assert_int_equal(h.sink_used, 42);
        drain(&h, 42, 0);
        assert_int_equal(harness_i32(&h), 0);
        harness_fini(&h);
}

static void write_error(void **state)
{
        struct harness h;

        assert_int_equal(start(&h, 0, 0), 0);
        drain(&h, 0, ENOSPC);
        assert_int_equal(harness_i32(&h), -28);
        drain(&h, 24, 0); /* room again */
        assert_int_equal(harness_i32(&h), 1);
        harness_fini(&h);
}

/* Another link type has no place in the file: it is lost. */
static void foreign_link_type(void **state)
{
        struct harness h;

        assert_int_equal(start(&h, 0, 0), 0);
        harness_add(&h, "ab", 2, 60, 1);
        harness_add(&h, "cd", 2, 60, 2);
        h.batch.pkt[0].linktype = 113;
        assert_int_equal(harness_run(&h, 3), 2);
        assert_int_equal(h.sink_used, 24 + 18);
        assert_memory_equal(h.sink + 40, "cd", 2);
        harness_fini(&h);
}

static void errors(void **state)
{
        struct harness h;

        assert_int_equal(start(&h, 13242312, 0), -7006);
        assert_int_equal(h.sink_arg, -1);
        harness_fini(&h);
        assert_int_equal(start(&h, -1, 0), -7006);
        harness_fini(&h);
        assert_int_equal(start(&h, 2, 0), -7006);
        harness_fini(&h);
        harness_init(&h, &mapi_fn_to_file); /* no file */
        assert_int_equal(harness_start(&h), -6155);
        assert_int_equal(h.err.code, 6155);
        harness_fini(&h);
        harness_init(&h, &mapi_fn_to_file);
        h.fail_alloc = 1;
        assert_int_equal(harness_start(&h), -3084);
        harness_fini(&h);
        harness_init(&h, &mapi_fn_to_file);
        h.arg[1].fd = 100;
        h.sink_room = 10;
        assert_int_equal(harness_start(&h), -6155);
        harness_fini(&h);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_file),          cmocka_unit_test(limit),
                cmocka_unit_test(full_queue),        cmocka_unit_test(write_error),
                cmocka_unit_test(foreign_link_type), cmocka_unit_test(errors),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
