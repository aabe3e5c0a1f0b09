/* Payload patterns: does one of several literals lie inside a window of a packet? SPDX-License-Identifier: BSD-2-Clause */
#ifndef MATCH_MATCH_H
#define MATCH_MATCH_H

#include "base/arena.h"

#include <mapi/function.h>

#include <stdbool.h>

#define MATCH_BYTES_MAX 65536u /* all literals of one pattern together */
#define MATCH_LITERALS_MAX 1024u

struct match;

/**
 * Builds a pattern. The window starts `offset` bytes into the packet and is `depth` bytes long, 0: to the end of the
 * captured bytes. The literals are copied, sorted and made unique: the order in which they are given does not matter.
 * Owner    the arena
 * Returns  0; -7000 no literal or an empty one, -9000 more than the limits above, -3084 no memory
 */
int match_new(struct arena *a, const struct mapi_literal *lit, size_t n, uint32_t offset, uint32_t depth,
              const struct match **ret, struct mapi_error *err);

/** True if one of the literals lies wholly inside the window. Any thread. */
bool match_test(const struct match *m, const uint8_t *data, uint32_t caplen);

/** Equal patterns have equal keys. */
uint64_t match_key(const struct match *m);

/** True if both say the same about every packet because window and literals are the same. */
bool match_equal(const struct match *a, const struct match *b);

#endif
