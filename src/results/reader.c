/* Reading results from a mapped segment. SPDX-License-Identifier: BSD-2-Clause */
#include "results/reader.h"

#include <string.h>
#include <time.h>

/* A writer is inside a record for nanoseconds, unless it has lost its processor there: then we let it have one. */
enum { SPINS = 1 << 14, NAPS = 3000, NAP_NS = 100000 };

int results_check(const struct results_map *map)
{
        struct results_header h;

        if (map->size < sizeof h)
                return -1;
        memcpy(&h, map->mem, sizeof h);
        if (h.magic != RESULTS_MAGIC || h.version != RESULTS_VERSION || h.size_bytes != map->size)
                return -1;
        if (h.entries_offset != RESULTS_LINE ||
            h.entries > (map->size - RESULTS_LINE) / sizeof(struct results_entry))
                return -1;
        return 0;
}

int results_find(const struct results_map *map, uint32_t entry, int flow, int fid, struct results_ref *ret)
{
        const struct results_entry *shared;
        struct results_entry e;
        uint64_t head, end;

        if (entry >= (map->size - RESULTS_LINE) / sizeof e)
                return -1;
        shared = (const struct results_entry *)(map->mem + RESULTS_LINE) + entry;
        e.kind = __atomic_load_n(&shared->kind, __ATOMIC_ACQUIRE);
        memcpy((char *)&e + sizeof e.kind, (const char *)shared + sizeof e.kind, sizeof e - sizeof e.kind);
        if (e.kind == RESULTS_FREE || e.kind > RESULTS_RING || e.flow != flow || e.fid != fid)
                return -1;
        head = e.kind == RESULTS_COUNTER || e.kind == RESULTS_RECORD ? sizeof(struct mapi_slot) : 0;
        if (e.workers == 0 || e.workers > 4096 || e.stride > map->size || e.offset > map->size ||
            e.offset % RESULTS_LINE != 0 || e.stride % RESULTS_LINE != 0)
                return -1;
        end = (uint64_t)e.offset + (uint64_t)e.stride * (e.workers - 1) + head + e.size;
        if (end > map->size || (e.workers > 1 && e.stride < head + e.size))
                return -1;
        if ((e.kind == RESULTS_COUNTER && e.size != 4 && e.size != 8) ||
            (e.kind == RESULTS_FLOW && e.size != sizeof(struct results_flow)) ||
            (e.kind == RESULTS_RING && e.size != sizeof(struct results_ring)))
                return -1;
        *ret = (struct results_ref){ .slot = map->mem + e.offset,
                                     .kind = e.kind,
                                     .size = e.size,
                                     .stride = e.stride,
                                     .workers = e.workers,
                                     .combine = e.combine };
        return 0;
}

static uint64_t counter_read(const struct results_ref *ref)
{
        uint64_t value = 0, newest = 0;

        for (uint32_t w = 0; w < ref->workers; w++) {
                const struct mapi_slot *s = (const void *)(ref->slot + (size_t)w * ref->stride);
                /* base before the value: it is never above a value that is read later */
                uint64_t base = __atomic_load_n(&s->base, __ATOMIC_ACQUIRE);
                uint64_t v = ref->size == 4 ? __atomic_load_n((const uint32_t *)s->data, __ATOMIC_RELAXED)
                                            : __atomic_load_n(s->data, __ATOMIC_RELAXED);
                uint64_t stamp;

                switch (ref->combine) {
                case MAPI_COMBINE_MAX:
                        value = v > value ? v : value;
                        break;
                case MAPI_COMBINE_LATEST:
                case MAPI_COMBINE_SERIAL:
                        stamp = __atomic_load_n(&s->stamp, __ATOMIC_RELAXED);
                        if (w == 0 || stamp > newest) {
                                value = v;
                                newest = stamp;
                        }
                        break;
                default:
                        value += v - base;
                }
        }
        return value;
}

/** One slot as a whole. */
static int record_copy(const struct mapi_slot *s, uint32_t size, void *ret)
{
        static const struct timespec nap = { .tv_nsec = NAP_NS };

        for (int i = 0; i < SPINS + NAPS; i++) {
                uint64_t before;

                if (__builtin_expect(i >= SPINS, 0))
                        (void)nanosleep(&nap, NULL); /* cut short by a signal: no matter */
                before = __atomic_load_n(&s->seq, __ATOMIC_ACQUIRE);
                if (before & 1)
                        continue;
                memcpy(ret, s->data, size);
                __atomic_thread_fence(__ATOMIC_ACQUIRE);
                if (__atomic_load_n(&s->seq, __ATOMIC_RELAXED) == before)
                        return 0;
        }
        return -1;
}

int results_read(const struct results_ref *ref, void *ret)
{
        const struct mapi_slot *best = (const void *)ref->slot;
        uint64_t value;
        uint32_t low;

        switch (ref->kind) {
        case RESULTS_COUNTER:
                value = counter_read(ref);
                low = (uint32_t)value;
                memcpy(ret, ref->size == 4 ? (const void *)&low : (const void *)&value, ref->size);
                return 0;
        case RESULTS_RECORD: /* of several workers' records the latest counts: functions that must merge are SERIAL today */
                for (uint32_t w = 1; w < ref->workers; w++) {
                        const struct mapi_slot *s = (const void *)(ref->slot + (size_t)w * ref->stride);

                        if (__atomic_load_n(&s->stamp, __ATOMIC_RELAXED) >
                            __atomic_load_n(&best->stamp, __ATOMIC_RELAXED))
                                best = s;
                }
                return record_copy(best, ref->size, ret);
        default:
                return -1;
        }
}
