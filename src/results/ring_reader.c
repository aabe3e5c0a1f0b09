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
