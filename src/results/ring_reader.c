/* The reader's side of packet rings. SPDX-License-Identifier: BSD-2-Clause */
#include "results/ring_reader.h"

#include "results/ring.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

int ring_reader_map(struct ring_reader *r, int fd, uint64_t size, uint32_t generation)
{
        struct stat st;
        uint8_t *base;

        if (size < RESULTS_PAGE || (size & (size - 1)) != 0 || size > (1ull << 40) || fstat(fd, &st) < 0 ||
            (uint64_t)st.st_size < RESULTS_PAGE + size)
                return -1;
        base = mmap(NULL, RESULTS_PAGE + 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (base == MAP_FAILED)
                return -1;
        if (mmap(base, RESULTS_PAGE + size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED ||
            mmap(base + RESULTS_PAGE + size, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
                 RESULTS_PAGE) == MAP_FAILED) {
                munmap(base, RESULTS_PAGE + 2 * size);
                return -1;
        }
        ring_reader_unmap(r);
        r->mine = (struct results_ring_reader *)base;
        r->data = base + RESULTS_PAGE;
        r->size = size;
        r->generation = generation;
        r->tail = r->next; /* the record handed out lay in the old mapping and is given back by now */
        r->head = r->tail;
        __atomic_store_n(&r->mine->tail, r->tail, __ATOMIC_RELEASE);
        return 0;
}

void ring_reader_unmap(struct ring_reader *r)
{
        if (r->data != NULL)
                munmap(r->data - RESULTS_PAGE, RESULTS_PAGE + 2 * r->size);
        r->data = NULL;
        r->mine = NULL;
}

enum ring_state ring_reader_next(struct ring_reader *r, void **ret_record)
{
        uint32_t caplen, finished;
        uint8_t *record;
        uint64_t len;

        if (r->tail != r->next) {
                r->tail = r->next;
                __atomic_store_n(&r->mine->tail, r->tail, __ATOMIC_RELEASE);
        }
        if (r->head == r->tail) {
                /* In this order: finished before head, so that "finished and empty" is the truth; head before generation,
                 * so that a head of the larger ring is never taken for one of this ring. */
                finished = __atomic_load_n(&r->shared->finished, __ATOMIC_ACQUIRE);
                r->head = __atomic_load_n(&r->shared->head, __ATOMIC_SEQ_CST);
                if (__atomic_load_n(&r->shared->generation, __ATOMIC_ACQUIRE) != r->generation) {
                        r->head = r->tail;
                        return RING_REPLACED;
                }
                if (r->head == r->tail)
                        return finished ? RING_FINISHED : RING_EMPTY;
                if (r->head < r->tail || r->head - r->tail > r->size) {
                        r->head = r->tail;
                        return RING_DAMAGED;
                }
        }
        record = r->data + (r->tail & (r->size - 1));
        memcpy(&caplen, record + 12, 4);
        len = ring_record(caplen);
        if (len > r->head - r->tail)
                return RING_DAMAGED;
        r->next = r->tail + len;
        __builtin_prefetch(record + len);
        *ret_record = record;
        return RING_PACKET;
}

/** Consumes everything up to `tail`. */
static void consume(struct ring_reader *r, uint64_t tail)
{
        r->tail = r->next = tail;
        __atomic_store_n(&r->mine->tail, tail, __ATOMIC_RELEASE);
}

/** Skips what is overwritten, or may be at any moment. Returns how many records. */
static uint64_t skip_lost(struct ring_reader *r, uint64_t kept, uint64_t stride)
{
        uint64_t claim = __atomic_load_n(&r->shared->claim, __ATOMIC_ACQUIRE), lost;

        if (claim < r->tail || claim - r->tail <= kept)
                return 0;
        lost = (claim - kept - r->tail + stride - 1) / stride;
        if (lost > (r->head - r->tail) / stride) /* not beyond what is shown */
                lost = (r->head - r->tail) / stride;
        consume(r, r->tail + lost * stride);
        return lost;
}

enum ring_state ring_reader_take(struct ring_reader *r, void *to, uint32_t size, uint64_t *ret_lost)
{
        uint64_t stride = ring_stride(size), kept = __atomic_load_n(&r->shared->kept, __ATOMIC_RELAXED);
        uint64_t dropped = __atomic_load_n(&r->shared->dropped, __ATOMIC_RELAXED), claim;
        uint32_t finished;

        *ret_lost = dropped - r->dropped;
        r->dropped = dropped;
        if (size == 0 || kept == 0 || kept > r->size || kept % stride != 0)
                return RING_DAMAGED;
        for (;;) {
                finished = __atomic_load_n(&r->shared->finished, __ATOMIC_ACQUIRE); /* before head, see above */
                r->head = __atomic_load_n(&r->shared->head, __ATOMIC_SEQ_CST);
                if (__atomic_load_n(&r->shared->generation, __ATOMIC_ACQUIRE) != r->generation)
                        return RING_REPLACED;
                if (r->head < r->tail || (r->head - r->tail) % stride != 0)
                        return RING_DAMAGED;
                *ret_lost += skip_lost(r, kept, stride);
                if (r->head == r->tail)
                        return finished ? RING_FINISHED : RING_EMPTY;
                memcpy(to, r->data + (r->tail & (r->size - 1)), size);
                __atomic_thread_fence(__ATOMIC_ACQUIRE);
                claim = __atomic_load_n(&r->shared->claim, __ATOMIC_RELAXED);
                if (claim >= r->tail && claim - r->tail > r->size) /* torn */
                        continue;
                consume(r, r->tail + stride);
                return RING_PACKET;
        }
}
