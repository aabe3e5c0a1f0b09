/* results/ring and ring_reader: every record whole and in order, nothing lost unless it is counted.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "results/ring.h"

#include "base/futex.h"
#include "results/reader.h"
#include "results/ring_reader.h"
#include "results/segment.h"

#include <mapi.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

static_assert(offsetof(struct mapipkt, pkt) == RING_RECORD_HEAD, "the record is what programs see");

/* A ring and a client that has mapped all of it for itself. */
struct fixture {
        struct quota quota;
        struct segments *segments;
        struct segment_place place;
        struct results_map map;
        struct ring ring;
        struct ring_reader reader;
};

static uint8_t *pattern; /* 2 * MAPI_CAPLEN_MAX bytes; a packet is a piece of it that begins at its number */

static void fixture_init(struct fixture *x, uint64_t size)
{
        struct results_ref ref;

        *x = (struct fixture){ .quota.limit_bytes = 64u << 20 };
        x->segments = segments_new(NULL);
        assert_int_equal(segments_alloc(x->segments, RESULTS_RING, 1, 1, sizeof(struct results_ring), 1,
                                        MAPI_COMBINE_SERIAL, &x->place, NULL),
                         0);
        assert_int_equal(ring_init(&x->ring, size, x->place.mem, &x->quota, NULL), 0);
        x->map.mem = mmap(NULL, 256 * 1024, PROT_READ, MAP_SHARED, segments_fd(x->segments, 0, &x->map.size), 0);
        assert_true(x->map.mem != MAP_FAILED);
        assert_int_equal(results_find(&x->map, x->place.entry, 1, 1, &ref), 0);
        x->reader.shared = (const struct results_ring *)ref.slot;
        assert_int_equal(ring_reader_map(&x->reader, x->ring.fd, x->ring.size, 0), 0);
}

static void fixture_fini(struct fixture *x)
{
        ring_reader_unmap(&x->reader);
        ring_fini(&x->ring);
        ring_fini(&x->ring);
        assert_int_equal(x->quota.used_bytes, 0);
        munmap((void *)(uintptr_t)x->map.mem, x->map.size);
        segments_free(&x->segments);
}

static struct mapi_view packet(uint64_t number, uint32_t caplen)
{
        return (struct mapi_view){ .data = pattern + number % MAPI_CAPLEN_MAX,
                                   .ts = number << 16 | 0xabc,
                                   .caplen = caplen,
                                   .wirelen = caplen + (uint32_t)(number % 77),
                                   .ifindex = (uint16_t)number };
}

static bool put(struct fixture *x, uint64_t number, uint32_t caplen)
{
        struct mapi_view v = packet(number, caplen);

        return ring_put(&x->ring, &v);
}

static void check_record(const void *record, uint64_t number, uint32_t caplen)
{
        const struct mapipkt *p = record;

        assert_int_equal((uintptr_t)record % 8, 0);
        assert_int_equal(p->ts, number << 16 | 0xabc);
        assert_int_equal(p->caplen, caplen);
        assert_int_equal(p->wlen, caplen + (uint32_t)(number % 77));
        assert_int_equal(p->ifindex, (uint16_t)number);
        assert_int_equal(memcmp(&p->pkt, pattern + number % MAPI_CAPLEN_MAX, caplen), 0);
}

static void expect(struct fixture *x, uint64_t number, uint32_t caplen)
{
        void *record = NULL;

        assert_int_equal(ring_reader_next(&x->reader, &record), RING_PACKET);
        check_record(record, number, caplen);
}

static void expect_state(struct fixture *x, enum ring_state state)
{
        void *record = x;

        assert_int_equal(ring_reader_next(&x->reader, &record), state);
        assert_ptr_equal(record, x);
}

/* Sizes are powers of two of at least a page, and count. */
static void sizes(void **state)
{
        static const struct {
                uint64_t wanted, made;
        } rows[] = { { 0, 4096 },    { 1, 4096 },          { 4096, 4096 },
                     { 4097, 8192 }, { 1 << 20, 1 << 20 }, { (1 << 20) + 1, 2 << 20 } };

        for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                struct fixture x;

                fixture_init(&x, rows[i].wanted);
                assert_int_equal(x.ring.size, rows[i].made);
                assert_int_equal(x.reader.shared->size_bytes, rows[i].made);
                assert_int_equal(x.quota.used_bytes, rows[i].made);
                assert_int_equal(ring_room(&x.ring), rows[i].made);
                assert_int_equal(fcntl(x.ring.fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
                assert_int_equal(fcntl(x.ring.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
                assert_int_equal(ftruncate(x.ring.fd, 0), -1); /* the client cannot pull it away from under us */
                assert_int_equal(errno, EPERM);
                fixture_fini(&x);
        }
}

static void over_the_limit(void **state)
{
        struct quota q = { .limit_bytes = 8191 };
        struct results_ring shared = { 0 };
        struct mapi_error err = { 0 };
        struct ring r = { .fd = -1 };

        assert_int_equal(ring_init(&r, 5000, &shared, &q, &err), -MAPI_LIMIT_ERROR);
        assert_non_null(strstr(err.text, "8192"));
        assert_int_equal(q.used_bytes, 0);
        ring_fini(&r); /* never was one */
        assert_int_equal(ring_init(&r, 4096, &shared, &q, &err), 0);
        assert_int_equal(ring_grow(&r, &err), -MAPI_RING_LIMIT_ERROR);
        assert_int_equal(q.used_bytes, 4096);
        assert_int_equal(r.size, 4096);
        ring_fini(&r);
        assert_int_equal(q.used_bytes, 0);
}

/* Records of every size from 0 to 5000 and the longest there is, round and round: one piece each, also across
   the end. */
static void wrap_around(void **state)
{
        struct fixture x;
        uint64_t number = 0;

        fixture_init(&x, 1 << 19);
        expect_state(&x, RING_EMPTY);
        for (unsigned round = 0; round < 3; round++) {
                for (uint32_t caplen = 0; caplen <= 5001; caplen++, number++) {
                        uint32_t n = caplen == 5001 ? MAPI_CAPLEN_MAX : caplen;

                        assert_true(put(&x, number, n));
                        expect_state(&x, RING_EMPTY); /* not shown yet */
                        ring_publish(&x.ring, false);
                        expect(&x, number, n);
                }
        }
        assert_true(x.ring.head > 40 * x.ring.size); /* it did wrap */
        expect_state(&x, RING_EMPTY);
        assert_int_equal(x.reader.shared->dropped, 0);
        fixture_fini(&x);
}

/* To the last byte: what fits goes in, what does not is counted, and what is read makes room. */
static void full_ring(void **state)
{
        struct fixture x;
        uint64_t number = 0;

        fixture_init(&x, 4096);
        while (put(&x, number, 108)) /* 128 bytes each */
                number++;
        assert_int_equal(number, 32);
        assert_int_equal(ring_room(&x.ring), 0);
        assert_int_equal(x.reader.shared->dropped, 1);
        assert_false(put(&x, number, 0));
        assert_int_equal(x.reader.shared->dropped, 2);
        ring_publish(&x.ring, true);
        expect(&x, 0, 108);
        assert_false(put(&x, number, 0)); /* it is handed out, not given back */
        expect(&x, 1, 108);
        assert_int_equal(ring_room(&x.ring), 128);
        assert_false(put(&x, number, 109));
        assert_true(put(&x, number, 108));
        assert_int_equal(x.reader.shared->dropped, 4);
        ring_publish(&x.ring, true);
        for (uint64_t i = 2; i <= 32; i++)
                expect(&x, i, 108);
        expect_state(&x, RING_EMPTY);
        assert_int_equal(ring_room(&x.ring), 4096);
        assert_true(put(&x, 5, 4096 - 20)); /* all of it for one packet */
        assert_false(put(&x, 6, 0));
        ring_publish(&x.ring, true);
        expect(&x, 5, 4096 - 20);
        expect_state(&x, RING_EMPTY);
        assert_false(put(&x, 7, 4096 - 19)); /* never fits */
        fixture_fini(&x);
}

/* The reader writes anything into its page: never more room than there is, never a step back. */
static void hostile_tail(void **state)
{
        static const uint64_t nonsense[] = {
                UINT64_MAX, UINT64_MAX - 7, 4097, 1 << 20, 0, 127, UINT64_C(1) << 63
        };
        struct fixture x;

        fixture_init(&x, 4096);
        for (uint64_t i = 0; i < 32; i++)
                assert_true(put(&x, i, 108));
        ring_publish(&x.ring, true);
        __atomic_store_n(&x.reader.mine->tail, 256, __ATOMIC_RELEASE);
        assert_int_equal(ring_room(&x.ring), 256);
        for (unsigned i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++) {
                __atomic_store_n(&x.reader.mine->tail, nonsense[i], __ATOMIC_RELEASE);
                assert_int_equal(ring_room(&x.ring), 256); /* as it was */
                assert_false(put(&x, 99, 300));
        }
        assert_true(put(&x, 32, 108));
        assert_true(put(&x, 33, 108));
        assert_false(put(&x, 34, 108));
        __atomic_store_n(&x.reader.mine->tail, x.ring.head, __ATOMIC_RELEASE);
        assert_int_equal(ring_room(&x.ring), 4096);
        fixture_fini(&x);
}

/* The reader writes into the data, too: only what it reads itself is damaged. */
static void hostile_data(void **state)
{
        struct fixture x;
        void *record;

        fixture_init(&x, 4096);
        for (uint64_t i = 0; i < 10; i++)
                assert_true(put(&x, i, 108));
        ring_publish(&x.ring, true);
        memset(x.reader.data, 0xff, 4096);
        assert_int_equal(ring_reader_next(&x.reader, &record), RING_DAMAGED);
        assert_int_equal(ring_reader_next(&x.reader, &record), RING_DAMAGED);
        for (uint64_t i = 10; i < 32; i++)
                assert_true(put(&x, i, 108));
        assert_false(put(&x, 32, 108));
        fixture_fini(&x);
}

/* A writer's head that cannot be. */
static void hostile_head(void **state)
{
        struct fixture x;
        struct results_ring *shared;

        fixture_init(&x, 4096);
        shared = x.place.mem;
        assert_true(put(&x, 1, 108));
        ring_publish(&x.ring, true);
        expect(&x, 1, 108);
        shared->head = 127;
        expect_state(&x, RING_DAMAGED);
        shared->head = 128 + 4097;
        expect_state(&x, RING_DAMAGED);
        shared->head = UINT64_MAX;
        expect_state(&x, RING_DAMAGED);
        shared->head = 128;
        expect_state(&x, RING_EMPTY);
        fixture_fini(&x);
}

static void map_again(struct fixture *x)
{
        assert_int_equal(ring_reader_map(&x->reader, x->ring.fd, x->ring.size, x->ring.generation), 0);
}

/* Grown with unread packets at every place of head and tail: the old ones are still read, all come in order. */
static void grow(void **state)
{
        for (uint32_t caplen = 0; caplen < 700; caplen += 13) {
                struct fixture x;
                uint64_t next = 0, number = 0;

                fixture_init(&x, 4096);
                for (unsigned step = 0; step < 5; step++) { /* five times twice as large: 128 KiB */
                        unsigned generation = x.ring.generation;
                        int old = dup(x.ring.fd);

                        while (put(&x, number, caplen + (uint32_t)(number % 5)))
                                number++;
                        ring_publish(&x.ring, step % 2);
                        for (unsigned i = 0; i < 1 + step * 2 && next < number; i++, next++)
                                expect(&x, next, caplen + (uint32_t)(next % 5));
                        assert_int_equal(ring_grow(&x.ring, NULL), 0);
                        assert_int_equal(x.ring.size, UINT64_C(4096) << (step + 1));
                        assert_int_equal(x.quota.used_bytes, x.ring.size);
                        assert_int_equal(x.reader.shared->size_bytes, x.ring.size);
                        assert_int_equal(x.reader.shared->generation, generation + 1);
                        assert_true(put(&x, number, caplen + (uint32_t)(number % 5)));
                        number++;
                        ring_publish(&x.ring, true);
                        if (step % 2) { /* the reader goes on with the old one to its end, then is told */
                                for (void *record; x.reader.head != x.reader.next; next++) {
                                        assert_int_equal(ring_reader_next(&x.reader, &record), RING_PACKET);
                                        check_record(record, next, caplen + (uint32_t)(next % 5));
                                }
                                expect_state(&x, RING_REPLACED);
                                expect_state(&x, RING_REPLACED);
                                assert_int_equal(ring_reader_map(&x.reader, old, x.ring.size, generation + 1),
                                                 -1); /* too short */
                        }
                        map_again(&x);
                        assert_int_equal(close(old), 0);
                }
                for (; next < number; next++)
                        expect(&x, next, caplen + (uint32_t)(next % 5));
                expect_state(&x, RING_EMPTY);
                assert_int_equal(ring_room(&x.ring), x.ring.size);
                fixture_fini(&x);
        }
}

static void maps_that_cannot_be(void **state)
{
        struct fixture x;
        struct ring_reader before;

        fixture_init(&x, 8192);
        before = x.reader;
        assert_int_equal(ring_reader_map(&x.reader, x.ring.fd, 0, 0), -1);
        assert_int_equal(ring_reader_map(&x.reader, x.ring.fd, 2048, 0), -1);
        assert_int_equal(ring_reader_map(&x.reader, x.ring.fd, 6000, 0), -1);
        assert_int_equal(ring_reader_map(&x.reader, x.ring.fd, 16384, 0), -1);
        assert_int_equal(ring_reader_map(&x.reader, x.ring.fd, UINT64_C(1) << 63, 0), -1);
        assert_int_equal(ring_reader_map(&x.reader, -1, 8192, 0), -1);
        assert_memory_equal(&before, &x.reader, sizeof before);
        assert_true(put(&x, 3, 50));
        ring_publish(&x.ring, true);
        expect(&x, 3, 50);
        fixture_fini(&x);
}

/* A sleeper is woken when a quarter is full or it is urgent, once for each sleep. */
static void wakes(void **state)
{
        struct fixture x;
        uint32_t wake;

        fixture_init(&x, 4096);
        wake = x.reader.shared->wake;
        assert_true(put(&x, 1, 108));
        ring_publish(&x.ring, true);
        assert_int_equal(x.reader.shared->wake, wake); /* nobody sleeps */
        ring_reader_waits(&x.reader);
        ring_publish(&x.ring, false);
        assert_int_equal(x.reader.shared->wake, wake); /* not enough */
        for (uint64_t i = 2; i <= 8; i++)
                assert_true(put(&x, i, 108));
        ring_publish(&x.ring, false);
        assert_int_equal(x.reader.shared->wake, wake + 1); /* 8 * 128 bytes: a quarter */
        ring_publish(&x.ring, true);
        assert_int_equal(x.reader.shared->wake, wake + 1); /* woken already */
        ring_reader_awake(&x.reader);
        ring_publish(&x.ring, true);
        assert_int_equal(x.reader.shared->wake, wake + 1);
        ring_reader_waits(&x.reader);
        ring_publish(&x.ring, true);
        assert_int_equal(x.reader.shared->wake, wake + 2);
        ring_wake(&x.ring);
        assert_int_equal(x.reader.shared->wake, wake + 3);
        ring_finish(&x.ring);
        assert_int_not_equal(x.reader.shared->wake, wake + 3);
        for (uint64_t i = 1; i <= 8; i++)
                expect(&x, i, 108);
        expect_state(&x, RING_FINISHED);
        expect_state(&x, RING_FINISHED);
        fixture_fini(&x);
}

static void kicks(void **state)
{
        struct fixture x;
        struct results_ring *shared;

        fixture_init(&x, 4096);
        shared = x.place.mem;
        for (uint64_t i = 0; i < 32; i++)
                assert_true(put(&x, i, 108));
        ring_publish(&x.ring, true);
        expect(&x, 0, 108);
        assert_false(ring_reader_should_kick(&x.reader)); /* nobody waits for room */
        __atomic_store_n(&shared->want_room, 1, __ATOMIC_RELEASE);
        for (uint64_t i = 1; i < 32; i++) {
                expect(&x, i, 108);
                assert_int_equal(ring_reader_should_kick(&x.reader), i == 16); /* half is free; once is enough */
        }
        __atomic_store_n(&shared->want_room, 2, __ATOMIC_RELEASE);
        assert_true(ring_reader_should_kick(&x.reader));
        assert_false(ring_reader_should_kick(&x.reader));
        fixture_fini(&x);
}

/* ---- two threads ------------------------------------------------------------------------------------------ */

enum { RECORDS = 1000000 };

static uint32_t size_of(uint64_t number)
{
        uint64_t z = (number + 1) * 0x9e3779b97f4a7c15u;

        z ^= z >> 31;
        return z % 1000 == 0 ? (uint32_t)(z >> 40) % 9000 : (uint32_t)(z >> 40) % 120;
}

struct consumer {
        struct fixture *x;
        uint64_t got;
        uint64_t bad;
};

/* As the client reads, with all its sleeping. */
static void *consume(void *argument)
{
        struct consumer *c = argument;
        struct ring_reader *r = &c->x->reader;

        for (;;) {
                uint32_t seen;
                void *record;
                enum ring_state s = ring_reader_next(r, &record);

                if (s == RING_PACKET) {
                        const struct mapipkt *p = record;
                        uint64_t number = p->ts >> 16;

                        c->bad += number != c->got || p->caplen != size_of(number) ||
                                  memcmp(&p->pkt, pattern + number % MAPI_CAPLEN_MAX, p->caplen) != 0;
                        c->got++;
                        continue;
                }
                if (s != RING_EMPTY) {
                        c->bad += s != RING_FINISHED;
                        return NULL;
                }
                seen = __atomic_load_n(&r->shared->wake, __ATOMIC_SEQ_CST);
                ring_reader_waits(r);
                if (__atomic_load_n(&r->shared->head, __ATOMIC_SEQ_CST) == r->tail &&
                    __atomic_load_n(&r->shared->finished, __ATOMIC_SEQ_CST) == 0)
                        (void)futex_wait(&r->shared->wake, seen, -1);
                ring_reader_awake(r);
        }
}

static void producer_and_consumer(void **state)
{
        struct fixture x;
        struct consumer c = { .x = &x };
        pthread_t thread;

        fixture_init(&x, 64 * 1024);
        assert_int_equal(pthread_create(&thread, NULL, consume, &c), 0);
        for (uint64_t i = 0; i < RECORDS; i++) {
                while (ring_room(&x.ring) < ring_record(size_of(i))) {
                        ring_publish(&x.ring, true);
                        sched_yield();
                }
                assert_true(put(&x, i, size_of(i)));
                if (i % 64 == 63)
                        ring_publish(&x.ring, i % 4096 == 4095);
        }
        ring_finish(&x.ring);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(c.bad, 0);
        assert_int_equal(c.got, RECORDS);
        assert_int_equal(x.reader.shared->dropped, 0);
        fixture_fini(&x);
}

/* Live: nobody waits. What arrives is in order, and arrived plus dropped is all. */
struct live {
        struct fixture *x;
        uint64_t got, bad, last;
};

static void *consume_live(void *argument)
{
        struct live *c = argument;

        for (;;) {
                void *record;
                enum ring_state s = ring_reader_next(&c->x->reader, &record);

                if (s == RING_PACKET) {
                        const struct mapipkt *p = record;
                        uint64_t number = p->ts >> 16;

                        c->bad += (c->got > 0 && number <= c->last) || p->caplen != size_of(number) ||
                                  memcmp(&p->pkt, pattern + number % MAPI_CAPLEN_MAX, p->caplen) != 0;
                        c->last = number;
                        c->got++;
                } else if (s != RING_EMPTY) {
                        c->bad += s != RING_FINISHED;
                        return NULL;
                }
        }
}

static void drops_are_counted(void **state)
{
        struct fixture x;
        struct live c = { .x = &x };
        pthread_t thread;

        fixture_init(&x, 8192);
        assert_int_equal(pthread_create(&thread, NULL, consume_live, &c), 0);
        for (uint64_t i = 0; i < RECORDS; i++) {
                (void)put(&x, i, size_of(i));
                if (i % 8 == 7)
                        ring_publish(&x.ring, false);
        }
        ring_finish(&x.ring);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(c.bad, 0);
        assert_int_equal(c.got + x.reader.shared->dropped, RECORDS);
        fixture_fini(&x);
}

static int setup(void **state)
{
        pattern = malloc(2 * MAPI_CAPLEN_MAX);
        if (pattern == NULL)
                return -1;
        for (uint32_t i = 0; i < 2 * MAPI_CAPLEN_MAX; i++)
                pattern[i] = (uint8_t)(i * 2654435761u >> 24);
        return 0;
}

static int teardown(void **state)
{
        free(pattern);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(sizes),
                cmocka_unit_test(over_the_limit),
                cmocka_unit_test(wrap_around),
                cmocka_unit_test(full_ring),
                cmocka_unit_test(hostile_tail),
                cmocka_unit_test(hostile_data),
                cmocka_unit_test(hostile_head),
                cmocka_unit_test(grow),
                cmocka_unit_test(maps_that_cannot_be),
                cmocka_unit_test(wakes),
                cmocka_unit_test(kicks),
                cmocka_unit_test(producer_and_consumer),
                cmocka_unit_test(drops_are_counted),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
