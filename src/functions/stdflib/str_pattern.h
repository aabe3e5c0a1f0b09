/* The pattern language of STR_SEARCH. SPDX-License-Identifier: BSD-2-Clause */
#ifndef STDFLIB_STR_PATTERN_H
#define STDFLIB_STR_PATTERN_H

#include <mapi/function.h>

/** Most alternatives of one pattern. */
#define STR_PATTERN_LITERALS_MAX 1024u

/** The alternatives of a pattern, in their order, none of them empty. */
struct str_pattern {
        size_t n;
        struct mapi_literal *lit;
        uint8_t *bytes; /* what the literals point into */
};

/**
 * Parses a pattern: ordinary characters, |41 42| bytes in hex, \| and \\ for the characters themselves (a backslash before
 * anything else disappears), || between alternatives; empty alternatives are skipped.
 * Owner    the caller, until str_pattern_fini()
 * Returns  0; -7001 no pattern, or something else than pairs of hex digits between pipes; -3503 a hex part is not closed;
 *          -3505 nothing is left to search for; -9000 too many alternatives; -3084 no memory
 */
int str_pattern_init(struct str_pattern *ret, const char *text, struct mapi_error *err);

void str_pattern_fini(struct str_pattern *p);

#endif
