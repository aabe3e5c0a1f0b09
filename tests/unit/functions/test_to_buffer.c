/* TO_BUFFER. SPDX-License-Identifier: BSD-2-Clause */
#include "harness.h"

#include <limits.h>

extern const struct mapi_function mapi_fn_to_buffer;

static void flags(void **state)
{
        static const long long given[] = { 0, 1, 2, -1, INT_MAX, INT_MIN };
        struct harness h;

        for (size_t i = 0; i < sizeof given / sizeof given[0]; i++) {
                harness_init(&h, &mapi_fn_to_buffer);
                h.arg[0].num = given[i];
                assert_int_equal(harness_start(&h), 0);
                assert_int_equal(h.fn.arg[0].num, given[i] == 1);
                harness_fini(&h);
        }
        harness_init(&h, &mapi_fn_to_buffer); /* no flag: WAIT */
        assert_int_equal(harness_start(&h), 0);
        assert_int_equal(h.fn.arg[0].num, 0);
        harness_fini(&h);
        harness_init(&h, &mapi_fn_to_buffer);
        h.fail_alloc = 1;
        assert_int_equal(harness_start(&h), -3084);
        harness_fini(&h);
}

static void puts_and_passes(void **state)
{
        struct harness h;

        harness_init(&h, &mapi_fn_to_buffer);
        assert_int_equal(harness_start(&h), 0);
        for (unsigned i = 0; i < 64; i++)
                harness_add(&h, "", 0, 60, i);
        assert_true(harness_run(&h, 0x8000000000000011u) == 0x8000000000000011u);
        assert_true(h.ring == 0x8000000000000011u);
        assert_int_equal(h.ring_puts, 1);
        harness_add(&h, "", 0, 60, 0);
        harness_add(&h, "", 0, 60, 1);
        h.ring_full = 1;
        assert_int_equal(harness_run(&h, 3), 2); /* it says what found room */
        assert_int_equal(h.ring, 3);
        harness_fini(&h);
}

/* The room that the engine keeps must hold struct mapipkt's head and the padding. */
static void room(void **state)
{
        assert_true(mapi_fn_to_buffer.room.per_packet >= 20 + 7);
        assert_int_equal(mapi_fn_to_buffer.room.with_bytes, 1);
        assert_int_equal(mapi_fn_to_buffer.result.kind, MAPI_RESULT_PACKETS);
        assert_int_equal(mapi_fn_to_buffer.traits, MAPI_KEEPS | MAPI_SERIAL);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(flags), cmocka_unit_test(puts_and_passes),
                                            cmocka_unit_test(room) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
