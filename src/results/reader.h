/*
 * Reading results: the client's side of layout.h. Nothing that the segment says is believed before it has been checked
 * against the size of the mapping; a hostile segment gives wrong numbers, never a bad access or an endless loop.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef RESULTS_READER_H
#define RESULTS_READER_H

#include "results/layout.h"

#include <stddef.h>

/** A mapped segment; the caller maps and unmaps. */
struct results_map {
        const uint8_t *mem;
        size_t size;
};

/** A result that has been found and checked: all its slots lie within the mapping. */
struct results_ref {
        const uint8_t *slot;
        uint32_t kind;
        uint32_t size;
        uint32_t stride;
        uint32_t workers;
        uint32_t combine;
};

/** Checks the header. 0, or -1: not a segment of this version. */
int results_check(const struct results_map *map);

/** Looks up a directory entry by its index, which must describe this flow and fid. 0, or -1. */
int results_find(const struct results_map *map, uint32_t entry, int flow, int fid, struct results_ref *ret);

/**
 * Copies the newest value, combined over the workers, to ret (ref->size bytes). No lock; records are copied until
 * they were not written meanwhile. No system call, unless the writer was stopped inside a record: then it naps.
 * Returns 0, or -1 if a record never came to rest within 0.3 s (the writer died in the middle of it).
 */
int results_read(const struct results_ref *ref, void *ret);

#endif
