/* The writer's side of packet rings. SPDX-License-Identifier: BSD-2-Clause */
#include "results/ring.h"

#include "base/futex.h"
#include "results/event.h"
#include "results/memfile.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/** Reader's page and data in one memfd, the data mapped twice in a row. Sets fd, reader and data only. */
static int ring_map(struct ring *r, uint64_t size)
{
        uint8_t *base = MAP_FAILED;
        int fd = memfile_new("mapi-ring", MFD_ALLOW_SEALING, RESULTS_PAGE + size);

        if (fd < 0)
                goto fail;
        base = mmap(NULL, RESULTS_PAGE + 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (base == MAP_FAILED)
                goto fail;
        if (mmap(base, RESULTS_PAGE + size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED ||
            mmap(base + RESULTS_PAGE + size, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
                 RESULTS_PAGE) == MAP_FAILED ||
            fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
                goto fail;
        r->fd = fd;
        r->reader = (struct results_ring_reader *)base;
        r->data = base + RESULTS_PAGE;
        return 0;
fail:
        if (base != MAP_FAILED)
                munmap(base, RESULTS_PAGE + 2 * size);
        if (fd >= 0)
                close(fd);
        return -1;
}

static void ring_unmap(struct ring *r)
{
        munmap(r->data - RESULTS_PAGE, RESULTS_PAGE + 2 * r->size);
        close(r->fd);
}

int ring_init(struct ring *r, uint64_t size_bytes, struct results_ring *shared, struct quota *q,
              struct mapi_error *err)
{
        uint64_t size = RESULTS_PAGE;

        while (size < size_bytes && size < (1ull << 40))
                size *= 2;
        if (quota_take(q, size) < 0)
                return mapi_fail(err, MAPI_LIMIT_ERROR,
                                 "no memory for a packet ring of %llu bytes in this session",
                                 (unsigned long long)size);
        if (ring_map(r, size) < 0) {
                quota_give(q, size);
                return mapi_fail(err, MDLIB_SHM_ERR, "a packet ring of %llu bytes", (unsigned long long)size);
        }
        r->size = size;
        r->kept = size;
        r->shared = shared;
        r->quota = q;
        r->mapped_bytes = size;
        r->event_fd = -1;
        shared->size_bytes = size;
        return 0;
}

int ring_init_queue(struct ring *r, const struct ring_queue *what, struct results_ring *shared, struct quota *q,
                    struct mapi_error *err)
{
        uint64_t kept = ring_stride(what->record) * what->records;
        /* Twice: a reader of the oldest record that is kept has time to copy it before it is overwritten. */
        int res = ring_init(r, what->overwrites ? 2 * kept : kept, shared, q, err);

        if (res < 0)
                return res;
        r->kept = kept;
        r->record = what->record;
        r->overwrites = what->overwrites;
        shared->kept = kept;
        shared->record = what->record;
        return 0;
}

int ring_grow(struct ring *r, struct mapi_error *err)
{
        struct ring larger = *r;
        uint64_t size = r->size * 2, at;

        if (quota_take(r->quota, size) < 0)
                return mapi_fail(err, MAPI_RING_LIMIT_ERROR, "%llu bytes are the most for this session",
                                 (unsigned long long)r->quota->limit_bytes);
        if (ring_map(&larger, size) < 0) {
                quota_give(r->quota, size);
                return mapi_fail(err, MDLIB_SHM_ERR, "a packet ring of %llu bytes", (unsigned long long)size);
        }
        (void)ring_room(r);                 /* takes over the reader's tail */
        for (at = r->tail; at < r->head;) { /* unread bytes, to their places in the larger ring */
                uint64_t n = r->head - at, upto = r->size - at % r->size, room = size - at % size;

                n = n < upto ? n : upto;
                n = n < room ? n : room;
                memcpy(larger.data + at % size, r->data + at % r->size, n);
                at += n;
        }
        larger.reader->tail = r->tail;
        larger.size = size;
        larger.kept = size;
        larger.mapped_bytes = size;
        larger.generation = r->generation + 1;
        ring_unmap(r);
        quota_give(r->quota, r->mapped_bytes);
        *r = larger;
        __atomic_store_n(&r->shared->size_bytes, size, __ATOMIC_RELAXED);
        __atomic_store_n(&r->shared->generation, r->generation, __ATOMIC_SEQ_CST);
        /* A reader that has just emptied the old ring may have said there that it waits: it must look again. */
        ring_wake(r);
        return 0;
}

void ring_fini(struct ring *r)
{
        if (r->data == NULL)
                return;
        ring_unmap(r);
        quota_give(r->quota, r->mapped_bytes);
        *r = (struct ring){ .fd = -1, .event_fd = -1 };
}

uint64_t ring_room(struct ring *r)
{
        uint64_t tail = __atomic_load_n(&r->reader->tail, __ATOMIC_ACQUIRE);

        if (tail >= r->tail && tail <= r->head)
                r->tail = tail;
        return r->size - (r->head - r->tail);
}

bool ring_put(struct ring *r, const struct mapi_view *v)
{
        uint64_t need = ring_record(v->caplen);
        uint8_t *to = r->data + (r->head & (r->size - 1));

        if (__builtin_expect(r->size - (r->head - r->tail) < need, 0) && ring_room(r) < need) {
                __atomic_store_n(&r->shared->dropped, r->shared->dropped + 1, __ATOMIC_RELAXED);
                return false;
        }
        memcpy(to, &v->ts, 8); /* struct mapipkt, whose layout <mapi.h> fixes */
        memcpy(to + 8, &v->ifindex, 2);
        memcpy(to + 12, &v->caplen, 4);
        memcpy(to + 16, &v->wirelen, 4);
        memcpy(to + RING_RECORD_HEAD, v->data, v->caplen);
        r->head += need;
        return true;
}

bool ring_put_record(struct ring *r, const void *record)
{
        uint64_t need = ring_stride(r->record);
        uint8_t *to = r->data + (r->head & (r->size - 1));

        if (r->overwrites) {
                /* Told before the bytes change: who has copied the old ones looks at it again. */
                __atomic_store_n(&r->shared->claim, r->head + need, __ATOMIC_RELAXED);
                __atomic_thread_fence(__ATOMIC_RELEASE);
        } else if (r->kept - (r->head - r->tail) < need) {
                (void)ring_room(r);
                if (r->kept - (r->head - r->tail) < need) {
                        __atomic_store_n(&r->shared->dropped, r->shared->dropped + 1, __ATOMIC_RELAXED);
                        return false;
                }
        }
        memcpy(to, record, r->record);
        r->head += need;
        return true;
}

void ring_wake(struct ring *r)
{
        __atomic_fetch_add(&r->shared->wake, 1, __ATOMIC_SEQ_CST);
        futex_wake(&r->shared->wake);
        event_signal(r->event_fd);
}

void ring_publish(struct ring *r, bool urgent)
{
        uint32_t sleep;

        if (r->published != r->head) {
                __atomic_store_n(&r->shared->head, r->head, __ATOMIC_SEQ_CST);
                r->published = r->head;
        }
        /* The reader stores .waiting, then looks at head once more before it sleeps: one of us sees the other. */
        sleep = __atomic_load_n(&r->reader->waiting, __ATOMIC_SEQ_CST);
        if (sleep == 0 || sleep == r->woken)
                return;
        (void)ring_room(r); /* its tail as of when it said so: who has read everything is not woken */
        if (r->head == r->tail)
                return;
        if (urgent || r->head - r->tail >= r->kept / 4) {
                r->woken = sleep;
                ring_wake(r);
        }
}

void ring_finish(struct ring *r)
{
        ring_publish(r, true);
        __atomic_store_n(&r->shared->finished, 1, __ATOMIC_SEQ_CST);
        ring_wake(r);
}
