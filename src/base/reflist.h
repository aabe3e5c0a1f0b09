/* Lists of references: "fid@fd,fid@fd" and "fd,fd". SPDX-License-Identifier: BSD-2-Clause */
#ifndef BASE_REFLIST_H
#define BASE_REFLIST_H

#include <stdbool.h>
#include <stddef.h>

struct reflist_item {
        int flow;
        int fid; /* 0 in lists of flows */
};

/**
 * Parses decimal numbers from 1 to INT_MAX with commas between them, each with "fid@" in front if with_functions. Nothing else
 * is accepted: no blanks, no empty list, nothing behind. text may be NULL: -1.
 * Returns  how many items were written, or -1: no such list, or more than max items
 */
int reflist_parse(const char *text, bool with_functions, struct reflist_item *ret, size_t max);

#endif
