/* Parser of STR_SEARCH patterns: pure, one pass from left to right. SPDX-License-Identifier: BSD-2-Clause */
#include "functions/stdflib/str_pattern.h"

#include <stdlib.h>
#include <string.h>

/* What has been read so far. `bytes` has as much room as the text is long: no construct yields more than it takes. */
struct reader {
        const char *text;
        size_t at;
        struct str_pattern out;
        size_t used;  /* bytes of all literals */
        size_t begin; /* where the present one begins */
};

static void put(struct reader *r, uint8_t byte)
{
        r->out.bytes[r->used++] = byte;
}

static int end_alternative(struct reader *r, struct mapi_error *err)
{
        if (r->used == r->begin)
                return 0;
        if (r->out.n == STR_PATTERN_LITERALS_MAX)
                return mapi_fail(err, MAPI_LIMIT_ERROR, "a search pattern may have at most %u alternatives",
                                 STR_PATTERN_LITERALS_MAX);
        r->out.lit[r->out.n++] =
                (struct mapi_literal){ .bytes = r->out.bytes + r->begin, .len = r->used - r->begin };
        r->begin = r->used;
        return 0;
}

static int hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

/* From behind the opening pipe to behind the closing one. */
static int hex_part(struct reader *r, struct mapi_error *err)
{
        int high = -1, digit;
        char c;

        for (; (c = r->text[r->at]) != '|'; r->at++) {
                if (c == '\0')
                        return mapi_fail(err, MDLIB_STRSEARCH_UNTERMINATED_PIPE_ERR, "%.100s", r->text);
                if (c == ' ' || c == '\t')
                        continue;
                digit = hex_digit(c);
                if (digit < 0)
                        return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_1,
                                         "character %zu of the search pattern is not a hex digit: \"%.100s\"",
                                         r->at + 1, r->text);
                if (high < 0) {
                        high = digit;
                } else {
                        put(r, (uint8_t)(high << 4 | digit));
                        high = -1;
                }
        }
        if (high >= 0)
                return mapi_fail(
                        err, MFUNCT_INVALID_ARGUMENT_1,
                        "the hex part that ends at character %zu of the search pattern has an odd number of "
                        "digits: \"%.100s\"",
                        r->at + 1, r->text);
        r->at++;
        return 0;
}

static int read_all(struct reader *r, struct mapi_error *err)
{
        int rc;

        while (r->text[r->at] != '\0') {
                char c = r->text[r->at++];

                if (c == '\\') {
                        if (r->text[r->at] != '\0')
                                put(r, (uint8_t)r->text[r->at++]);
                        continue;
                }
                if (c != '|') {
                        put(r, (uint8_t)c);
                        continue;
                }
                if (r->text[r->at] == '|') {
                        r->at++;
                        rc = end_alternative(r, err);
                } else {
                        rc = hex_part(r, err);
                }
                if (rc < 0)
                        return rc;
        }
        rc = end_alternative(r, err);
        if (rc == 0 && r->out.n == 0)
                return mapi_fail(err, MDLIB_STRSEARCH_NOT_A_VALID_SEARCH_STRING, "%.100s", r->text);
        return rc;
}

int str_pattern_init(struct str_pattern *ret, const char *text, struct mapi_error *err)
{
        struct reader r = { .text = text };
        size_t length, alternatives = 1;
        int rc;

        if (text == NULL || text[0] == '\0')
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_1, "there is no search pattern");
        length = strlen(text);
        for (size_t i = 0; i + 1 < length && alternatives < STR_PATTERN_LITERALS_MAX; i++)
                alternatives += text[i] == '|' && text[i + 1] == '|';
        r.out.bytes = malloc(length);
        r.out.lit = malloc(alternatives * sizeof *r.out.lit);
        if (r.out.bytes == NULL || r.out.lit == NULL)
                rc = mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "for a search pattern of %zu characters", length);
        else
                rc = read_all(&r, err);
        if (rc < 0)
                str_pattern_fini(&r.out);
        else
                *ret = r.out;
        return rc;
}

void str_pattern_fini(struct str_pattern *p)
{
        free(p->lit);
        free(p->bytes);
        *p = (struct str_pattern){ 0 };
}
