/* Arenas over mmap, see arena.h. SPDX-License-Identifier: BSD-2-Clause */
#include "base/arena.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, CHUNK_MAX = 1 << 20 };

struct chunk {
        struct chunk *next;
        size_t size; /* bytes mapped, this head included */
        size_t used;
        size_t unused;
};

struct arena {
        struct chunk *chunks; /* newest first; the arena itself lies in the oldest */
        struct quota *quota;
        size_t total;
};

int quota_take(struct quota *q, size_t size)
{
        size_t now;

        if (q == NULL)
                return 0;
        now = atomic_load_explicit(&q->used_bytes, memory_order_relaxed);
        do {
                if (size > q->limit_bytes || now > q->limit_bytes - size)
                        return -1;
        } while (!atomic_compare_exchange_weak_explicit(&q->used_bytes, &now, now + size, memory_order_relaxed,
                                                        memory_order_relaxed));
        if (quota_take(q->shared, size) < 0) {
                atomic_fetch_sub_explicit(&q->used_bytes, size, memory_order_relaxed);
                return -1;
        }
        return 0;
}

void quota_give(struct quota *q, size_t size)
{
        for (; q != NULL; q = q->shared)
                atomic_fetch_sub_explicit(&q->used_bytes, size, memory_order_relaxed);
}

static struct chunk *chunk_new(struct quota *q, size_t size)
{
        struct chunk *c;

        if (quota_take(q, size) < 0)
                return NULL;
        c = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (c == MAP_FAILED) {
                quota_give(q, size);
                return NULL;
        }
        c->size = size;
        c->used = sizeof *c;
        return c;
}

struct arena *arena_new(struct quota *q)
{
        struct chunk *c = chunk_new(q, PAGE);
        struct arena *a;

        if (c == NULL)
                return NULL;
        a = (struct arena *)(c + 1);
        c->used += (sizeof *a + 15) & ~(size_t)15;
        a->chunks = c;
        a->quota = q;
        a->total = c->size;
        return a;
}

static size_t start_of(const struct chunk *c, size_t size)
{
        return size >= PAGE ? (c->used + 63) & ~(size_t)63 : c->used;
}

void *arena_alloc(struct arena *a, size_t size)
{
        struct chunk *c = a->chunks;
        size_t start, want;

        if (size > SIZE_MAX / 4)
                return NULL;
        size = size == 0 ? 16 : (size + 15) & ~(size_t)15;
        start = start_of(c, size);
        if (start > c->size || c->size - start < size) {
                want = a->total < CHUNK_MAX ? a->total : CHUNK_MAX; /* doubling keeps small arenas small */
                if (want < size + 128)
                        want = size + 128;
                want = (want + PAGE - 1) & ~(size_t)(PAGE - 1);
                c = chunk_new(a->quota, want);
                if (c == NULL)
                        return NULL;
                c->next = a->chunks;
                a->chunks = c;
                a->total += want;
                start = start_of(c, size);
        }
        c->used = start + size;
        return (char *)c + start;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
        char *copy = arena_alloc(a, n + 1);

        if (copy != NULL)
                memcpy(copy, s, n);
        return copy;
}

size_t arena_size(const struct arena *a)
{
        return a->total;
}

void arena_free(struct arena **pa)
{
        struct arena *a = *pa;
        struct quota *q;

        *pa = NULL;
        if (a == NULL)
                return;
        q = a->quota;
        for (struct chunk *c = a->chunks, *next; c != NULL; c = next) {
                size_t size = c->size;

                next = c->next;
                munmap(c, size); /* the last one holds the arena itself */
                quota_give(q, size);
        }
}
