/* The tables of functions: complete, in order, each descriptor whole. SPDX-License-Identifier: BSD-2-Clause */
#include "functions/table.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Ids are positions: a new function goes to the end. */
static void order(void **state)
{
        static const char *const names[] = {
                "BPF_FILTER", "STR_SEARCH", "TO_BUFFER", "PKT_COUNTER", "BYTE_COUNTER", "SAMPLE",    "HASH",
                "TO_FILE",    "PKTINFO",    "GAP",       "STATS",       "STARTSTOP",    "INTERFACE", "BURST",
                "HASHSAMP",   "BINOP",      "DIST",      "BUCKET",      "THRESHOLD",    "SYNC",      "RES2FILE"
        };
        size_t n = sizeof names / sizeof names[0];

        assert_string_equal(functions_libraries[0].name, "stdflib");
        assert_ptr_equal(functions_libraries[0].functions, mapi_lib_stdflib);
        assert_null(functions_libraries[1].name);
        for (size_t i = 0; i < n; i++)
                assert_string_equal(mapi_lib_stdflib[i]->name, names[i]);
        assert_null(mapi_lib_stdflib[n]);
}

static void check_arguments(const struct mapi_function *def)
{
        int optional = 0;
        unsigned n = 0;

        for (const struct mapi_arg_spec *a = def->args; a != NULL && a->letter != 0; a++, n++) {
                if (strchr("sicwlrfSR", a->letter) == NULL || a->name == NULL || a->help == NULL ||
                    a->help[0] == '\0')
                        fail_msg("%s: argument %u is not described", def->name, n + 1);
                if (a->letter == 'f' && (n == 0 || a[-1].letter != 'r'))
                        fail_msg("%s: argument %u has no flow in front", def->name, n + 1);
                if (optional && !a->optional)
                        fail_msg("%s: argument %u must be there, the one in front need not", def->name, n + 1);
                if (a->min > a->max || (a->min < a->max && a->optional && (a->def < a->min || a->def > a->max)))
                        fail_msg("%s: range of argument %u", def->name, n + 1);
                optional = a->optional;
        }
        assert_true(n <= MAPI_ARGS_MAX);
}

static void descriptors(void **state)
{
        for (const struct functions_library *lib = functions_libraries; lib->name != NULL; lib++) {
                for (size_t i = 0; lib->functions[i] != NULL; i++) {
                        const struct mapi_function *def = lib->functions[i];
                        const char *help = def->help;

                        assert_int_equal(def->abi, MAPI_FUNCTION_ABI);
                        for (const char *c = def->name; *c != '\0'; c++)
                                assert_true(isupper((unsigned char)*c) || isdigit((unsigned char)*c) || *c == '_');
                        if (help == NULL || !isupper((unsigned char)help[0]) || help[strlen(help) - 1] != '.')
                                fail_msg("%s: help is one sentence", def->name);
                        check_arguments(def);
                        assert_true((def->shape == MAPI_PREDICATE) == (def->run == NULL));
                        assert_true((def->shape == MAPI_SINK) == (def->drained != NULL));
                        if (def->shape == MAPI_PREDICATE)
                                assert_true(def->traits & MAPI_FILTERS);
                        if (def->result.kind == MAPI_RESULT_COUNTER)
                                assert_true(def->result.size == 4 || def->result.size == 8);
                        if (def->result.kind != MAPI_RESULT_NONE && def->result.unit == NULL)
                                fail_msg("%s: unit of the result", def->name);
                        if (def->traits & MAPI_SERIAL && def->result.kind != MAPI_RESULT_NONE)
                                assert_int_equal(def->result.combine, MAPI_COMBINE_SERIAL);
                        if (def->shape == MAPI_SINK || def->result.kind == MAPI_RESULT_PACKETS)
                                assert_true(def->room.per_packet > 0 && def->room.with_bytes == 1);
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(order), cmocka_unit_test(descriptors) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
