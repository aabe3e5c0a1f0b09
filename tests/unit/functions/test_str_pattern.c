/* The pattern language of STR_SEARCH, form by form. SPDX-License-Identifier: BSD-2-Clause */
#include "functions/stdflib/str_pattern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct row {
        const char *text;
        int rc;
        const char *want; /* alternatives in hex, each followed by a blank */
};

static const struct row rows[] = {
        /* ordinary characters */
        { "www", 0, "777777 " },
        { "a b\tc", 0, "6120620963 " },
        { "\xff\x80", 0, "ff80 " },
        /* hex */
        { "|41 42|", 0, "4142 " },
        { "|4142|", 0, "4142 " },
        { "|4 1 4 2|", 0, "4142 " }, /* digits pair up across blanks */
        { "| 41\t42 |", 0, "4142 " },
        { "|aF Fa 00|", 0, "affa00 " },
        { "x|00|y|01 02|z", 0, "78007901027a " },
        { "|41||42|", 0, "4142 " }, /* the first pipe closes, the next one opens */
        { "| |a", 0, "61 " },
        { "|00 00|E|00 00|E|00 00|@|00|", 0, "00004500004500004000 " }, /* the tutorial's */
        /* escapes */
        { "a\\|b", 0, "617c62 " },
        { "a\\\\b", 0, "615c62 " },
        { "\\a\\b", 0, "6162 " },
        { "\\|", 0, "7c " },
        { "\\\\", 0, "5c " },
        { "\\\\|41|", 0, "5c41 " },      /* an even number: the pipe is not escaped */
        { "\\\\\\|41", 0, "5c7c3431 " }, /* an odd number: it is */
        { "\\||41|", 0, "7c41 " },       /* an escaped pipe does not swallow the next */
        { "a\\||\\|b", -7001, NULL },    /* literal pipe, then a hex part that begins with a backslash */
        { "a\\|||b", 0, "617c 62 " },
        { "a\\", 0, "61 " },
        /* alternatives */
        { "abc||de||f", 0, "616263 6465 66 " },
        { "a||a", 0, "61 61 " },
        { "||a||||b||", 0, "61 62 " },
        { "abcd|||65 66|||ijkl", 0, "61626364 6566 696a6b6c " },
        { "|41|||42", 0, "41 3432 " },
        { "a|||42|", 0, "61 42 " },
        { "\\|||\\|", 0, "7c 7c " },
        /* errors */
        { NULL, -7001, NULL },
        { "", -7001, NULL },
        { "|41", -3503, NULL },
        { "abc|", -3503, NULL },
        { "|", -3503, NULL },
        { "a|||", -3503, NULL },
        { "|41 4|", -7001, NULL },
        { "|4|", -7001, NULL },
        { "|4||1|", -7001, NULL },
        { "|4g|", -7001, NULL },
        { "|0x41|", -7001, NULL },
        { "|41\\|42|", -7001, NULL },
        { "|41,42|", -7001, NULL },
        { "|\xb2|", -7001, NULL },
        { "||", -3505, NULL },
        { "||||", -3505, NULL },
        { "| |", -3505, NULL },
        { "| |||| |", -3505, NULL },
        { "\\", -3505, NULL },
};

/* A copy that ends with its memory, so that a sanitizer sees the parser look behind it. */
static int parse(const char *text, struct str_pattern *ret, struct mapi_error *err)
{
        size_t size = text != NULL ? strlen(text) + 1 : 0;
        char *copy = text != NULL ? malloc(size) : NULL;
        int rc;

        if (text != NULL) {
                assert_non_null(copy);
                memcpy(copy, text, size);
        }
        rc = str_pattern_init(ret, copy, err);
        free(copy);
        return rc;
}

static void forms(void **state)
{
        char got[256];

        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                const struct row *r = &rows[i];
                struct mapi_error err = { 0 };
                struct str_pattern p;
                size_t used = 0;
                int rc = parse(r->text, &p, &err);

                if (rc != r->rc)
                        fail_msg("\"%s\": %d, not %d", r->text, rc, r->rc);
                assert_int_equal(err.code, -r->rc);
                if (rc < 0) {
                        assert_true(err.text[0] != '\0');
                        continue;
                }
                for (size_t k = 0; k < p.n; k++) {
                        for (size_t j = 0; j < p.lit[k].len; j++)
                                used += (size_t)sprintf(got + used, "%02x", p.lit[k].bytes[j]);
                        used += (size_t)sprintf(got + used, " ");
                }
                if (strcmp(got, r->want) != 0)
                        fail_msg("\"%s\": %s, not %s", r->text, got, r->want);
                str_pattern_fini(&p);
        }
}

static void limits(void **state)
{
        char *text = malloc(STR_PATTERN_LITERALS_MAX * 3 + 8);
        struct str_pattern p;
        size_t n = 0;

        assert_non_null(text);
        for (unsigned i = 0; i < STR_PATTERN_LITERALS_MAX; i++)
                n += (size_t)sprintf(text + n, "a||");
        assert_int_equal(parse(text, &p, NULL), 0);
        assert_int_equal(p.n, STR_PATTERN_LITERALS_MAX);
        str_pattern_fini(&p);
        (void)sprintf(text + n, "b");
        assert_int_equal(parse(text, &p, NULL), -9000);
        free(text);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(forms), cmocka_unit_test(limits) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
