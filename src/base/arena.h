/*
 * Memory that lives and dies as a whole: one arena for each flow and each plan.
 *
 * An arena takes its pages from mmap, never from malloc: closing a flow must be possible from a signal handler that
 * interrupted malloc (mapi_close_flow, architecture.md section 8).
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdatomic.h>
#include <stddef.h>

/** What several arenas, rings and queues may take together; nothing is ever taken beyond the limit. */
struct quota {
        _Atomic size_t used_bytes;
        size_t limit_bytes;
        struct quota *shared; /* counts for this one, too; NULL: none */
};

/** Takes size bytes off the quota. Returns 0, or -1 if the limit would be passed. q may be NULL: no limit. */
int quota_take(struct quota *q, size_t size);
void quota_give(struct quota *q, size_t size);

struct arena;

/** A new arena under a quota (may be NULL, and must outlive the arena). NULL: no memory. */
struct arena *arena_new(struct quota *q);

/** Zeroed, 16-byte aligned; blocks of 4 KiB and more begin on a cache line. NULL: no memory or the quota's limit is reached. */
void *arena_alloc(struct arena *a, size_t size);

/** A copy of n bytes with a 0 behind them. NULL as above. */
char *arena_strndup(struct arena *a, const char *s, size_t n);

/** Bytes taken from the system. */
size_t arena_size(const struct arena *a);

/** Frees everything; *a becomes NULL. */
void arena_free(struct arena **a);

#endif
