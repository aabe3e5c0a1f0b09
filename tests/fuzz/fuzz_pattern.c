/*
 * STR_SEARCH: any text as a pattern, searched in any bytes and compared with the plainest search there is. The text ends
 * at the first 0; then offset and depth, a byte each; the rest is searched.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "functions/stdflib/str_pattern.h"
#include "match/match.h"

#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition)                                                                                        \
        do {                                                                                                      \
                if (!(condition))                                                                                 \
                        abort();                                                                                  \
        } while (0)

static bool plain_search(const struct str_pattern *p, size_t offset, size_t depth, const uint8_t *data, size_t n)
{
        size_t end = depth != 0 && offset + depth < n ? offset + depth : n;

        for (size_t k = 0; k < p->n; k++) {
                for (size_t at = offset; at + p->lit[k].len <= end; at++) {
                        if (memcmp(data + at, p->lit[k].bytes, p->lit[k].len) == 0)
                                return true;
                }
        }
        return false;
}

static void search(const struct str_pattern *p, const uint8_t *data, size_t n)
{
        struct arena *a = arena_new(NULL);
        const struct match *m = NULL;
        uint32_t offset = n > 0 ? data[0] : 0, depth = n > 1 ? data[1] : 0;
        size_t rest = n > 2 ? n - 2 : 0;
        uint8_t *copy = malloc(rest != 0 ? rest : 1);
        struct mapi_error err = { 0 };
        int rc;

        REQUIRE(a != NULL && copy != NULL);
        if (rest != 0)
                memcpy(copy, data + 2, rest);
        rc = match_new(a, p->lit, p->n, offset, depth, &m, &err);
        REQUIRE(rc == 0 || rc == -MAPI_LIMIT_ERROR);
        if (rc == 0) {
                REQUIRE(match_test(m, copy, (uint32_t)rest) == plain_search(p, offset, depth, copy, rest));
                REQUIRE(match_equal(m, m));
        }
        free(copy);
        arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        size_t length = strnlen((const char *)data, size);
        char *text = malloc(length + 1);
        struct mapi_error err = { 0 };
        struct str_pattern p;
        size_t bytes = 0;
        int rc;

        REQUIRE(text != NULL);
        memcpy(text, data, length);
        text[length] = '\0';
        rc = str_pattern_init(&p, text, &err);
        REQUIRE(rc == 0 || (rc == -err.code && err.text[0] != '\0'));
        if (rc == 0) {
                REQUIRE(p.n > 0 && p.n <= STR_PATTERN_LITERALS_MAX);
                for (size_t i = 0; i < p.n; i++) {
                        REQUIRE(p.lit[i].len > 0);
                        bytes += p.lit[i].len;
                }
                REQUIRE(bytes <= length);
                search(&p, data + length + (length < size), size - length - (length < size));
                str_pattern_fini(&p);
        } else {
                REQUIRE(rc == -MFUNCT_INVALID_ARGUMENT_1 || rc == -MDLIB_STRSEARCH_UNTERMINATED_PIPE_ERR ||
                        rc == -MDLIB_STRSEARCH_NOT_A_VALID_SEARCH_STRING || rc == -MAPI_LIMIT_ERROR);
        }
        free(text);
        return 0;
}
