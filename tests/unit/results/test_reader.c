/* results/reader: how the slots of several workers become one result, and records that are never torn.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "results/reader.h"

#include "results/segment.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

/* A result of several workers, and the client's view of it: through a mapping of its own. */
struct fixture {
        struct segments *segments;
        struct segment_place place;
        struct results_map map;
        struct results_ref ref;
};

static void fixture_init(struct fixture *x, enum results_kind kind, uint32_t size, uint32_t workers,
                         enum mapi_combine combine)
{
        x->segments = segments_new(NULL);
        assert_int_equal(segments_alloc(x->segments, kind, 3, 4, size, workers, combine, &x->place, NULL), 0);
        x->map.mem = mmap(NULL, 256 * 1024, PROT_READ, MAP_SHARED, segments_fd(x->segments, 0, &x->map.size), 0);
        assert_true(x->map.mem != MAP_FAILED);
        assert_int_equal(results_check(&x->map), 0);
        assert_int_equal(results_find(&x->map, x->place.entry, 3, 4, &x->ref), 0);
}

static void fixture_fini(struct fixture *x)
{
        munmap((void *)(uintptr_t)x->map.mem, x->map.size);
        segments_free(&x->segments);
}

static struct mapi_slot *slot(const struct fixture *x, uint32_t worker)
{
        return (struct mapi_slot *)((uint8_t *)x->place.mem + (size_t)worker * x->ref.stride);
}

static uint64_t read_counter(const struct fixture *x)
{
        uint64_t value = 0xeeeeeeeeeeeeeeeeu;

        assert_int_equal(results_read(&x->ref, &value), 0);
        return value;
}

static void sum(void **state)
{
        struct fixture x;

        fixture_init(&x, RESULTS_COUNTER, 8, 5, MAPI_COMBINE_SUM);
        assert_int_equal(read_counter(&x), 0);
        for (uint32_t w = 0; w < 5; w++)
                slot(&x, w)->data[0] = UINT64_C(10000000000) << w;
        assert_int_equal(read_counter(&x), UINT64_C(310000000000));
        for (uint32_t w = 0; w < 5; w++) /* reset: what was there is the base, and is taken off each */
                slot(&x, w)->base = slot(&x, w)->data[0];
        assert_int_equal(read_counter(&x), 0);
        slot(&x, 3)->data[0] += 7;
        slot(&x, 4)->data[0] += 8;
        assert_int_equal(read_counter(&x), 15);
        slot(&x, 0)->data[0] = 3; /* wraps */
        slot(&x, 0)->base = UINT64_MAX;
        assert_int_equal(read_counter(&x), 19);
        fixture_fini(&x);
}

static void max(void **state)
{
        struct fixture x;

        fixture_init(&x, RESULTS_COUNTER, 8, 4, MAPI_COMBINE_MAX);
        slot(&x, 1)->data[0] = 5;
        slot(&x, 2)->data[0] = 9;
        slot(&x, 3)->data[0] = 8;
        slot(&x, 2)->base = 100; /* for sums only */
        assert_int_equal(read_counter(&x), 9);
        slot(&x, 0)->data[0] = UINT64_MAX;
        assert_true(read_counter(&x) == UINT64_MAX);
        fixture_fini(&x);
}

static void latest(void **state)
{
        struct fixture x;

        fixture_init(&x, RESULTS_COUNTER, 8, 3, MAPI_COMBINE_LATEST);
        for (uint32_t w = 0; w < 3; w++)
                slot(&x, w)->data[0] = 100 + w;
        assert_int_equal(read_counter(&x), 100); /* nobody has written yet */
        slot(&x, 1)->stamp = 50;
        assert_int_equal(read_counter(&x), 101);
        slot(&x, 2)->stamp = UINT64_C(1) << 63;
        assert_int_equal(read_counter(&x), 102);
        slot(&x, 0)->stamp = UINT64_MAX;
        slot(&x, 0)->base = 4;
        assert_int_equal(read_counter(&x), 100);
        fixture_fini(&x);
}

static void words_of_four_bytes(void **state)
{
        static const enum mapi_combine combine[] = { MAPI_COMBINE_SUM, MAPI_COMBINE_MAX, MAPI_COMBINE_LATEST,
                                                     MAPI_COMBINE_SERIAL };

        for (unsigned i = 0; i < 4; i++) {
                struct fixture x;
                uint32_t value[2] = { 0, 0xeeeeeeee };

                fixture_init(&x, RESULTS_COUNTER, 4, 1, combine[i]);
                memcpy(slot(&x, 0)->data, (const uint32_t[]){ 0x89abcdef, 0x11111111 },
                       8); /* the second is not its */
                assert_int_equal(results_read(&x.ref, value), 0);
                assert_int_equal(value[0], 0x89abcdef);
                assert_int_equal(value[1], 0xeeeeeeee);
                fixture_fini(&x);
        }
}

static void latest_record(void **state)
{
        uint8_t got[101];
        struct fixture x;

        fixture_init(&x, RESULTS_RECORD, 100, 3, MAPI_COMBINE_LATEST);
        for (uint32_t w = 0; w < 3; w++) {
                memset(slot(&x, w)->data, 'a' + (int)w, 100);
                slot(&x, w)->stamp = w == 1 ? 9 : w;
        }
        memset(got, 0, sizeof got);
        assert_int_equal(results_read(&x.ref, got), 0);
        for (unsigned i = 0; i < 100; i++)
                assert_int_equal(got[i], 'b');
        assert_int_equal(got[100], 0);
        fixture_fini(&x);
}

static void dead_writer(void **state)
{
        uint8_t got[16];
        struct fixture x;

        fixture_init(&x, RESULTS_RECORD, 16, 1, MAPI_COMBINE_SERIAL);
        slot(&x, 0)->seq = 7; /* it died inside a record */
        assert_int_equal(results_read(&x.ref, got), -1);
        slot(&x, 0)->seq = 8;
        assert_int_equal(results_read(&x.ref, got), 0);
        fixture_fini(&x);
}

static void kinds_without_value(void **state)
{
        struct fixture x;
        uint8_t got[64];

        fixture_init(&x, RESULTS_RING, 64, 1, MAPI_COMBINE_SERIAL);
        assert_int_equal(results_read(&x.ref, got), -1);
        fixture_fini(&x);
}

static void finds_only_what_is_meant(void **state)
{
        struct fixture x;
        struct results_ref ref;

        fixture_init(&x, RESULTS_COUNTER, 8, 1, MAPI_COMBINE_SUM);
        memset(&ref, 0xee, sizeof ref);
        assert_int_equal(results_find(&x.map, x.place.entry, 3, 5, &ref), -1);
        assert_int_equal(results_find(&x.map, x.place.entry, 4, 4, &ref), -1);
        assert_int_equal(results_find(&x.map, x.place.entry + 1, 3, 4, &ref), -1);
        assert_int_equal(results_find(&x.map, UINT32_MAX, 3, 4, &ref), -1);
        assert_int_equal(results_find(&x.map, 256 * 1024 / 64 - 1, 3, 4, &ref), -1);
        assert_int_equal(ref.kind, 0xeeeeeeee);
        fixture_fini(&x);
}

/* A segment whose bytes somebody wrote who means no good: refused, or everything found lies within. */
static void hostile_headers(void **state)
{
        struct fixture x;
        struct results_header *h;
        struct results_map m;
        uint8_t *copy = aligned_alloc(64, 256 * 1024);

        assert_non_null(copy);
        fixture_init(&x, RESULTS_COUNTER, 8, 1, MAPI_COMBINE_SUM);
        m = (struct results_map){ .mem = copy, .size = x.map.size };
        h = (struct results_header *)copy;
#define REFUSED(change)                                                                                           \
        do {                                                                                                      \
                memcpy(copy, x.map.mem, x.map.size);                                                              \
                assert_int_equal(results_check(&m), 0);                                                           \
                change;                                                                                           \
                assert_int_equal(results_check(&m), -1);                                                          \
        } while (0)
        REFUSED(h->magic++);
        REFUSED(h->version++);
        REFUSED(h->size_bytes--);
        REFUSED(h->size_bytes = UINT64_MAX);
        REFUSED(h->entries = UINT32_MAX);
        REFUSED(h->entries = 4096);
        REFUSED(h->entries_offset = 0);
        REFUSED(h->entries_offset = UINT32_MAX);
        REFUSED(m.size = 63);
        m.size = 0;
        assert_int_equal(results_check(&m), -1);
#undef REFUSED
        free(copy);
        fixture_fini(&x);
}

static void hostile_entries(void **state)
{
        struct fixture x;
        struct results_entry *e;
        struct results_ref ref;
        struct results_map m;
        uint8_t *copy = aligned_alloc(64, 256 * 1024);

        assert_non_null(copy);
        fixture_init(&x, RESULTS_COUNTER, 8, 1, MAPI_COMBINE_SUM);
        m = (struct results_map){ .mem = copy, .size = x.map.size };
        e = (struct results_entry *)(copy + RESULTS_LINE) + x.place.entry;
#define REFUSED(change)                                                                                           \
        do {                                                                                                      \
                memcpy(copy, x.map.mem, x.map.size);                                                              \
                assert_int_equal(results_find(&m, x.place.entry, 3, 4, &ref), 0);                                 \
                change;                                                                                           \
                assert_int_equal(results_find(&m, x.place.entry, 3, 4, &ref), -1);                                \
        } while (0)
        REFUSED(e->kind = RESULTS_FREE);
        REFUSED(e->kind = 5);
        REFUSED(e->kind = UINT32_MAX);
        REFUSED(e->kind = RESULTS_FLOW); /* 8 bytes are none */
        REFUSED(e->kind = RESULTS_RING);
        REFUSED(e->size = 0);
        REFUSED(e->size = 16);
        REFUSED(e->size = UINT32_MAX);
        REFUSED(e->offset = UINT32_MAX & ~63u);
        REFUSED(e->offset = 256 * 1024);
        REFUSED(e->offset = 256 * 1024 + 64);
        REFUSED(e->offset++);
        REFUSED(e->stride++);
        REFUSED(e->stride = UINT32_MAX & ~63u);
        REFUSED(e->workers = 0);
        REFUSED(e->workers = 4097);
        REFUSED(e->workers = UINT32_MAX);
        REFUSED((e->workers = 2, e->stride = 0)); /* overlapping */
        REFUSED((e->workers = 4096, e->stride = 64 * 1024));
        REFUSED((e->kind = RESULTS_RECORD, e->size = 256 * 1024));
        REFUSED((e->kind = RESULTS_RECORD, e->size = UINT32_MAX));
#undef REFUSED
        free(copy);
        fixture_fini(&x);
}

/* ---- records while they are written ------------------------------------------------------------------------- */

enum { WORDS = 37, WRITES = 300000 };

struct writer {
        struct mapi_fn fn;
        uint32_t started, done;
};

static void *write_records(void *argument)
{
        struct writer *w = argument;

        for (uint64_t i = 1; i <= WRITES; i++) {
                uint64_t *words = mapi_result_begin(&w->fn);

                for (unsigned k = 0; k < WORDS; k++)
                        words[k] = i * (k + 1);
                mapi_result_end(&w->fn);
                __atomic_store_n(&w->started, 1, __ATOMIC_RELEASE);
        }
        __atomic_store_n(&w->done, 1, __ATOMIC_RELEASE);
        return NULL;
}

static void never_torn(void **state)
{
        struct writer w = { 0 };
        struct fixture x;
        uint64_t got[WORDS], last = 0, reads = 0, different = 0;
        pthread_t thread;
        bool done;

        fixture_init(&x, RESULTS_RECORD, sizeof got, 1, MAPI_COMBINE_SERIAL);
        w.fn.slot = x.place.mem;
        assert_int_equal(pthread_create(&thread, NULL, write_records, &w), 0);
        do {
                done = __atomic_load_n(&w.done, __ATOMIC_ACQUIRE) != 0;
                assert_int_equal(results_read(&x.ref, got), 0);
                for (unsigned k = 1; k < WORDS; k++)
                        if (got[k] != got[0] * (k + 1))
                                fail_msg("torn: record %lu has %lu in word %u", (unsigned long)got[0],
                                         (unsigned long)got[k], k);
                assert_true(got[0] >= last); /* and never back */
                different += got[0] != last;
                last = got[0];
                reads++;
        } while (!done);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(last, WRITES);
        assert_true(reads >= 1 && different >= 1);
        fixture_fini(&x);
}

/* Counters are read while several workers add: the sum only rises and ends at the right number. */
struct adder {
        struct mapi_fn fn;
        uint32_t *running;
};

static void *add(void *argument)
{
        struct adder *a = argument;

        for (unsigned i = 0; i < WRITES; i++)
                mapi_result_add(&a->fn, UINT64_C(1) << 33 | 1);
        __atomic_fetch_sub(a->running, 1, __ATOMIC_RELEASE);
        return NULL;
}

static void counters_while_written(void **state)
{
        struct adder adder[3] = { 0 };
        struct fixture x;
        pthread_t thread[3];
        uint32_t running = 3;
        uint64_t last = 0, now;
        bool done;

        fixture_init(&x, RESULTS_COUNTER, 8, 3, MAPI_COMBINE_SUM);
        for (uint32_t w = 0; w < 3; w++) {
                adder[w] = (struct adder){ .fn.slot = slot(&x, w), .running = &running };
                assert_int_equal(pthread_create(&thread[w], NULL, add, &adder[w]), 0);
        }
        do {
                done = __atomic_load_n(&running, __ATOMIC_ACQUIRE) == 0;
                now = read_counter(&x);
                assert_true(now >= last && now >> 33 == (now & 0xffffffff)); /* whole words */
                last = now;
        } while (!done);
        for (uint32_t w = 0; w < 3; w++)
                assert_int_equal(pthread_join(thread[w], NULL), 0);
        assert_int_equal(last, UINT64_C(3) * WRITES * (UINT64_C(1) << 33 | 1));
        fixture_fini(&x);
}

/* Resets while somebody reads: what is read was the value at some time, never a base beyond a value. */
static void *add_and_reset(void *argument)
{
        struct adder *a = argument;

        for (unsigned i = 0; i < WRITES; i++) {
                mapi_result_add(&a->fn, 1);
                if (i % 3 == 0)
                        __atomic_store_n(&a->fn.slot->base, a->fn.slot->data[0], __ATOMIC_RELEASE);
        }
        __atomic_fetch_sub(a->running, 1, __ATOMIC_RELEASE);
        return NULL;
}

static void resets_while_read(void **state)
{
        uint32_t running = 1;
        struct adder adder = { .running = &running };
        struct fixture x;
        pthread_t thread;
        bool done;

        fixture_init(&x, RESULTS_COUNTER, 8, 1, MAPI_COMBINE_SUM);
        adder.fn.slot = slot(&x, 0);
        assert_int_equal(pthread_create(&thread, NULL, add_and_reset, &adder), 0);
        do {
                done = __atomic_load_n(&running, __ATOMIC_ACQUIRE) == 0;
                assert_true(read_counter(&x) <= WRITES);
        } while (!done);
        assert_int_equal(pthread_join(thread, NULL), 0);
        fixture_fini(&x);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(sum),
                cmocka_unit_test(max),
                cmocka_unit_test(latest),
                cmocka_unit_test(words_of_four_bytes),
                cmocka_unit_test(latest_record),
                cmocka_unit_test(dead_writer),
                cmocka_unit_test(kinds_without_value),
                cmocka_unit_test(finds_only_what_is_meant),
                cmocka_unit_test(hostile_headers),
                cmocka_unit_test(hostile_entries),
                cmocka_unit_test(never_torn),
                cmocka_unit_test(counters_while_written),
                cmocka_unit_test(resets_while_read),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
