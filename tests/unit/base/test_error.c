/* base/error: every code has a sentence that fits, and mapi_fail() cuts what does not.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "base/error.h"

#include <mapi/function.h>

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static const struct row {
        int code;
        const char *name;
} rows[] = {
#define ROW(code, name, sentence) { code, #name },
        MAPI_ERROR_LIST(ROW)
#undef ROW
};

enum { N_ROWS = sizeof rows / sizeof rows[0] };

static void every_code(void **state)
{
        for (unsigned i = 0; i < N_ROWS; i++) {
                const char *text = error_sentence(rows[i].code);

                assert_true(rows[i].code > 0 && rows[i].code < 65536);
                assert_true(strlen(text) > 8 && strlen(text) < 400); /* room for a detail is left */
                assert_true(islower((unsigned char)text[0]) || strncmp(text, "DAG", 3) == 0 ||
                            isupper((unsigned char)text[0]));
                assert_true(text[strlen(text) - 1] != '.'); /* a detail may follow */
                assert_string_equal(error_name(rows[i].code), rows[i].name);
                assert_string_not_equal(text, "unknown error");
                for (unsigned k = 0; k < i; k++) {
                        assert_int_not_equal(rows[i].code, rows[k].code);
                        assert_string_not_equal(rows[i].name, rows[k].name);
                }
        }
}

/* Numbers that programs know: spec/error-codes.md. */
static void historic_numbers(void **state)
{
        assert_int_equal(PCAP_BPF_ERR, 1025);
        assert_int_equal(MDLIB_FLOW_ALREADY_ACTIVE, 3081);
        assert_int_equal(MAPID_NO_DRIVER, 3200);
        assert_int_equal(MAPI_INVALID_FLOW, 6145);
        assert_int_equal(MAPI_FLOW_INFO_ERR, 6149);
        assert_int_equal(MAPI_ERROR_FILE, 6155);
        assert_int_equal(MAPI_DEVICE_INFO_ERR, 6157);
        assert_int_equal(MFUNCT_INVALID_ARGUMENT_5, 7005);
        assert_int_equal(MFUNCT_INVALID_ARGUMENT_6, 7011);
        assert_int_equal(MAPI_STATS_ERROR, 8004);
        assert_string_not_equal(error_sentence(6149), error_sentence(6157));
}

static void unknown_codes(void **state)
{
        static const int unknown[] = { -1, -6145, 1, 1024, 6158, 8999, 65535, 2147483647, -2147483647 - 1 };

        for (unsigned i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
                assert_string_equal(error_sentence(unknown[i]), "unknown error");
                assert_null(error_name(unknown[i]));
        }
        assert_string_equal(error_sentence(0), "no error");
}

static void with_detail(void **state)
{
        struct mapi_error err;

        memset(&err, 0xee, sizeof err);
        assert_int_equal(mapi_fail(&err, MAPI_INVALID_FLOW, "%d of %s", 17, "nobody"), -6145);
        assert_int_equal(err.code, 6145);
        assert_string_equal(err.text, "no such flow: 17 of nobody");
        assert_int_equal(mapi_fail(&err, 4711, "x"), -4711);
        assert_string_equal(err.text, "unknown error: x");
        assert_int_equal(mapi_fail(NULL, MAPI_INVALID_FLOW, "%d", 1), -6145);
}

static void without_detail(void **state)
{
        struct mapi_error err;

        memset(&err, 0xee, sizeof err);
        assert_int_equal(mapi_fail(&err, MAPI_INVALID_FLOW, NULL), -6145);
        assert_string_equal(err.text, "no such flow");
        assert_int_equal(mapi_fail(&err, MAPI_CONNECT, "%s", ""), -6142);
        assert_memory_equal(err.text, "the flow could not be connected", 31);
}

/* A detail of any length: a proper string of at most 511 bytes that begins like the whole one, nothing written
   behind it. */
static void truncation(void **state)
{
        struct {
                struct mapi_error err;
                char guard[64];
        } x;
        char detail[1200];

        for (size_t n = 0; n < sizeof detail; n++) {
                memset(detail, 'd', n);
                detail[n] = '\0';
                memset(&x, 0xee, sizeof x);
                assert_int_equal(mapi_fail(&x.err, MAPI_INVALID_FLOW, "%s", detail), -6145);
                assert_non_null(memchr(x.err.text, '\0', sizeof x.err.text));
                assert_int_equal(strlen(x.err.text), 14 + n > 511 ? 511 : 14 + n);
                assert_int_equal(strspn(x.err.text + 14, "d"), strlen(x.err.text) - 14);
                for (size_t k = 0; k < sizeof x.guard; k++)
                        assert_int_equal((unsigned char)x.guard[k], 0xee);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_code),  cmocka_unit_test(historic_numbers), cmocka_unit_test(unknown_codes),
                cmocka_unit_test(with_detail), cmocka_unit_test(without_detail),   cmocka_unit_test(truncation),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
