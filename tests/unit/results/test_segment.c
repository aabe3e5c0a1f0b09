/* results/segment: slots, their reuse, and that nobody but us can write. SPDX-License-Identifier: BSD-2-Clause */
#include "results/segment.h"

#include "results/reader.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

enum { SEGMENT_BYTES = 256 * 1024 };

static unsigned open_descriptors(void)
{
        DIR *dir = opendir("/proc/self/fd");
        unsigned n = 0;

        assert_non_null(dir);
        while (readdir(dir) != NULL)
                n++;
        closedir(dir);
        return n;
}

/* As a client maps it. */
static struct results_map map_segment(const struct segments *s, uint32_t segment)
{
        struct results_map m = { 0 };
        int fd = segments_fd(s, segment, &m.size);

        assert_true(fd >= 0);
        m.mem = mmap(NULL, m.size, PROT_READ, MAP_SHARED, fd, 0);
        assert_true(m.mem != MAP_FAILED);
        assert_int_equal(results_check(&m), 0);
        return m;
}

static void unmap_segment(struct results_map *m)
{
        assert_int_equal(munmap((void *)(uintptr_t)m->mem, m->size), 0);
}

static struct segment_place counter(struct segments *s, int flow, int fid)
{
        struct segment_place p = { 0 };
        struct mapi_error err;

        if (segments_alloc(s, RESULTS_COUNTER, flow, fid, 8, 1, MAPI_COMBINE_SUM, &p, &err) < 0)
                fail_msg("%s", err.text);
        return p;
}

static void sealed(void **state)
{
        struct segments *s = segments_new(NULL);
        struct segment_place p = counter(s, 1, 1);
        size_t size;
        int fd = segments_fd(s, p.segment, &size), again;
        char path[64];
        struct stat st;
        uint8_t *mem;

        assert_true(fd >= 0);
        assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        assert_int_equal(fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, SEGMENT_BYTES);
        assert_int_equal(size, SEGMENT_BYTES);

        /* what a hostile client might try with the descriptor, also opened anew through /proc */
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        again = open(path, O_RDWR | O_CLOEXEC);
        for (int i = 0; i < 2; i++) {
                int f = i == 0 ? fd : again;

                if (f < 0)
                        continue;
                assert_true(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0) == MAP_FAILED);
                assert_int_equal(errno, EPERM);
                assert_int_equal(write(f, "x", 1), -1);
                assert_int_equal(errno, EPERM);
                assert_int_equal(pwrite(f, "x", 1, 4096), -1);
                assert_int_equal(ftruncate(f, 0), -1);
                assert_int_equal(errno, EPERM);
                assert_int_equal(ftruncate(f, (off_t)size + 4096), -1);
                assert_int_equal(fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
                assert_int_equal(fcntl(f, F_ADD_SEALS, F_SEAL_WRITE), -1);
                assert_int_equal(errno, EPERM);
        }
        if (again >= 0)
                close(again);
        mem = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
        assert_true(mem != MAP_FAILED);
        assert_int_equal(mprotect(mem, size, PROT_READ | PROT_WRITE), -1);
        munmap(mem, size);
        ((struct mapi_slot *)p.mem)->data[0] = 1; /* we still can */
        segments_free(&s);
        assert_null(s);
        segments_free(&s);
}

/* What the directory says is where the slot is. */
static void directory(void **state)
{
        static const struct {
                enum results_kind kind;
                uint32_t size, workers;
                enum mapi_combine combine;
        } rows[] = {
                { RESULTS_FLOW, 64, 1, MAPI_COMBINE_SERIAL },     { RESULTS_COUNTER, 8, 1, MAPI_COMBINE_SUM },
                { RESULTS_COUNTER, 4, 3, MAPI_COMBINE_LATEST },   { RESULTS_RECORD, 1, 1, MAPI_COMBINE_SERIAL },
                { RESULTS_RECORD, 32, 7, MAPI_COMBINE_MAX },      { RESULTS_RECORD, 33, 2, MAPI_COMBINE_LATEST },
                { RESULTS_RECORD, 5000, 5, MAPI_COMBINE_LATEST }, { RESULTS_RING, 64, 1, MAPI_COMBINE_SERIAL },
        };
        enum { N = sizeof rows / sizeof rows[0] };
        struct segments *s = segments_new(NULL);
        struct segment_place p[N];
        struct results_map m;
        struct results_ref ref;

        for (unsigned i = 0; i < N; i++) {
                bool flow = rows[i].kind == RESULTS_FLOW;

                assert_int_equal(segments_alloc(s, rows[i].kind, 7, flow ? 0 : (int)i, rows[i].size,
                                                rows[i].workers, rows[i].combine, &p[i], NULL),
                                 0);
        }
        m = map_segment(s, 0);
        for (unsigned i = 0; i < N; i++) {
                const struct results_entry *e = (const struct results_entry *)(m.mem + RESULTS_LINE) + p[i].entry;
                uint32_t head = rows[i].kind == RESULTS_COUNTER || rows[i].kind == RESULTS_RECORD ? 32 : 0;
                int fid = rows[i].kind == RESULTS_FLOW ? 0 : (int)i;

                assert_int_equal(p[i].segment, 0);
                assert_int_equal(e->kind, rows[i].kind);
                assert_int_equal(e->flow, 7);
                assert_int_equal(e->fid, fid);
                assert_int_equal(e->size, rows[i].size);
                assert_int_equal(e->workers, rows[i].workers);
                assert_int_equal(e->combine, rows[i].combine);
                assert_int_equal(e->generation, p[i].generation);
                assert_int_equal(e->generation, 1);
                assert_true(e->offset % 64 == 0 && e->stride % 64 == 0 && e->stride >= head + e->size);
                assert_true(e->stride - (head + e->size) < 64);
                assert_int_equal(results_find(&m, p[i].entry, 7, fid, &ref), 0);
                assert_ptr_equal(ref.slot, m.mem + e->offset);
                assert_int_equal((uintptr_t)p[i].mem % 64, 0);

                /* our mapping and the client's are the same memory, slot by slot, and slots do not overlap */
                for (uint32_t w = 0; w < e->workers; w++) {
                        uint8_t *mine = (uint8_t *)p[i].mem + (size_t)w * e->stride;

                        for (uint32_t k = 0; k < head + e->size; k++)
                                assert_int_equal(mine[k], 0);
                        memset(mine, (int)(i * 16 + w + 1), head + e->size);
                }
        }
        for (unsigned i = 0; i < N; i++) {
                const struct results_entry *e = (const struct results_entry *)(m.mem + RESULTS_LINE) + p[i].entry;

                for (uint32_t w = 0; w < e->workers; w++)
                        for (uint32_t k = 0; k < e->size; k++)
                                assert_int_equal(m.mem[e->offset + (size_t)w * e->stride + k], i * 16 + w + 1);
        }
        unmap_segment(&m);
        segments_free(&s);
}

/* A released slot is used again, zeroed and with a new generation; the old number finds nothing. */
static void reuse(void **state)
{
        struct segments *s = segments_new(NULL);
        struct segment_place a = counter(s, 1, 1), b = counter(s, 1, 2), old = b, c;
        struct results_map m = map_segment(s, 0);
        struct results_ref ref;

        memset(b.mem, 0xff, 64);
        segments_release(s, &b);
        assert_null(b.mem);
        assert_int_equal(b.entry, 0);
        segments_release(s, &b); /* empty: nothing happens */
        assert_int_equal(results_find(&m, old.entry, 1, 2, &ref), -1);
        assert_int_equal(results_find(&m, a.entry, 1, 1, &ref), 0);
        c = counter(s, 2, 1);
        assert_ptr_equal(c.mem, old.mem);
        assert_int_equal(c.entry, old.entry);
        assert_int_equal(c.generation, old.generation + 1);
        assert_int_equal(((struct mapi_slot *)c.mem)->data[0], 0);
        assert_int_equal(((struct mapi_slot *)c.mem)->base, 0);
        assert_int_equal(results_find(&m, old.entry, 1, 2, &ref), -1);
        assert_int_equal(results_find(&m, c.entry, 2, 1, &ref), 0);
        unmap_segment(&m);
        segments_free(&s);
}

/* Holes of all sizes: random allocation and release, and at no time do two slots share a line. */
static void fragmentation(void **state)
{
        enum { N = 400 };
        static struct segment_place place[N];
        static uint32_t size[N];
        struct quota q = { .limit_bytes = 64 << 20 };
        struct segments *s = segments_new(&q);
        uint32_t rnd = 1;
        size_t most;

        for (unsigned step = 0; step < 20000; step++) {
                unsigned i;

                rnd = rnd * 1664525 + 1013904223;
                i = (rnd >> 8) % N;
                if (place[i].mem != NULL) {
                        const uint8_t *bytes = (const uint8_t *)place[i].mem + 32;

                        for (uint32_t k = 0; k < size[i]; k++)
                                assert_int_equal(bytes[k], i % 251);
                        segments_release(s, &place[i]);
                        continue;
                }
                size[i] = (rnd >> 20) % 8 == 0 ? 1 + (rnd >> 4) % 3000 : 1 + (rnd >> 4) % 40;
                assert_int_equal(segments_alloc(s, RESULTS_RECORD, (int)i + 1, 1, size[i], 1, MAPI_COMBINE_SERIAL,
                                                &place[i], NULL),
                                 0);
                memset((uint8_t *)place[i].mem + 32, (int)(i % 251), size[i]);
        }
        most = q.used_bytes;
        assert_true(most < 6 * SEGMENT_BYTES); /* holes are found again: it does not grow and grow */
        for (unsigned i = 0; i < N; i++)
                segments_release(s, &place[i]);
        for (unsigned i = 0; i < 5;
             i++) { /* everything is free: one that takes nearly a whole segment fits in each */
                struct segment_place p;

                assert_int_equal(segments_alloc(s, RESULTS_RECORD, 1, 1, 100000, 1, MAPI_COMBINE_SERIAL, &p, NULL),
                                 0);
                assert_int_equal(p.segment, 0);
                segments_release(s, &p);
        }
        assert_int_equal(q.used_bytes, most);
        segments_free(&s);
        assert_int_equal(q.used_bytes, 0);
}

static void large_results(void **state)
{
        static const uint32_t sizes[] = { 200000, 262144, 1 << 20, (64 << 20) - 64 };
        struct quota q = { .limit_bytes = 512u << 20 };
        struct segments *s = segments_new(&q);
        struct segment_place small = counter(s, 1, 1), p;

        for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
                struct results_map m;
                struct results_ref ref;

                assert_int_equal(segments_alloc(s, RESULTS_RECORD, 1, 2 + (int)i, sizes[i], 1, MAPI_COMBINE_SERIAL,
                                                &p, NULL),
                                 0);
                assert_true(p.segment > small.segment);
                memset((uint8_t *)p.mem + 32, 0x55, sizes[i]);
                m = map_segment(s, p.segment);
                assert_true(m.size >= sizes[i] && m.size % 4096 == 0 && m.size < sizes[i] + SEGMENT_BYTES + 4096);
                assert_int_equal(results_find(&m, p.entry, 1, 2 + (int)i, &ref), 0);
                assert_int_equal(ref.slot[32 + sizes[i] - 1], 0x55);
                unmap_segment(&m);
        }
        assert_int_equal(((struct mapi_slot *)small.mem)->data[0], 0);
        segments_free(&s);
        assert_int_equal(q.used_bytes, 0);
}

static void sizes_that_cannot_be(void **state)
{
        struct segments *s = segments_new(NULL);
        struct mapi_error err = { 0 };
        struct segment_place p, untouched;

        memset(&p, 0xee, sizeof p);
        untouched = p;
        assert_int_equal(segments_alloc(s, RESULTS_RECORD, 1, 1, 0, 1, MAPI_COMBINE_SUM, &p, &err),
                         -MAPI_LIMIT_ERROR);
        assert_int_equal(segments_alloc(s, RESULTS_RECORD, 1, 1, 8, 0, MAPI_COMBINE_SUM, &p, &err),
                         -MAPI_LIMIT_ERROR);
        assert_int_equal(segments_alloc(s, RESULTS_RECORD, 1, 1, UINT32_MAX, 1, MAPI_COMBINE_SUM, &p, &err),
                         -MAPI_LIMIT_ERROR);
        assert_int_equal(
                segments_alloc(s, RESULTS_RECORD, 1, 1, UINT32_MAX, UINT32_MAX, MAPI_COMBINE_SUM, &p, &err),
                -MAPI_LIMIT_ERROR);
        assert_int_equal(segments_alloc(s, RESULTS_RECORD, 1, 1, 64 << 20, 1, MAPI_COMBINE_SUM, &p, NULL),
                         -MAPI_LIMIT_ERROR);
        assert_memory_equal(&p, &untouched, sizeof p);
        segments_free(&s);
}

/* Whatever the limit: what fits works, what does not is a clean error, and all is given back. */
static void limits(void **state)
{
        unsigned before = open_descriptors();
        bool ever = false, never = false;

        for (size_t limit = 0; limit < 4 * SEGMENT_BYTES; limit += 20000) {
                struct quota q = { .limit_bytes = limit };
                struct segments *s = segments_new(&q);
                struct mapi_error err = { 0 };
                struct segment_place p;
                int r = 0;

                if (s == NULL) {
                        assert_int_equal(q.used_bytes, 0);
                        never = true;
                        continue;
                }
                for (int i = 1; i < 5000 && r == 0; i++) {
                        r = segments_alloc(s, RESULTS_COUNTER, 1, i, 8, 1, MAPI_COMBINE_SUM, &p, &err);
                        assert_true(q.used_bytes <= limit);
                        ever |= r == 0;
                }
                assert_int_equal(r, -err.code);
                assert_true(r == -MAPI_LIMIT_ERROR || r == -MDLIB_SHM_ERR);
                assert_true(strlen(err.text) > 10);
                segments_free(&s);
                assert_int_equal(q.used_bytes, 0);
        }
        assert_true(ever && never);
        assert_int_equal(open_descriptors(), before);
}

/* No descriptors left: an error, and the limit's bytes come back. */
static void no_descriptors(void **state)
{
        struct quota q = { .limit_bytes = 64 << 20 };
        struct segments *s = segments_new(&q);
        struct mapi_error err = { 0 };
        struct segment_place p;
        size_t used = q.used_bytes;
        int last = dup(0), fd[1024], n = 0;

        assert_true(last >= 0);
        while (n < 1024 && (fd[n] = dup(0)) >= 0)
                n++;
        if (n == 1024)
                goto many; /* the limit of descriptors is higher than we want to go */
        assert_int_equal(segments_alloc(s, RESULTS_COUNTER, 1, 1, 8, 1, MAPI_COMBINE_SUM, &p, &err),
                         -MDLIB_SHM_ERR);
        assert_int_equal(q.used_bytes, used);
many:
        while (n > 0)
                close(fd[--n]);
        close(last);
        assert_int_equal(segments_alloc(s, RESULTS_COUNTER, 1, 1, 8, 1, MAPI_COMBINE_SUM, &p, &err), 0);
        segments_free(&s);
        assert_int_equal(q.used_bytes, 0);
}

static void more_segments(void **state)
{
        struct segments *s = segments_new(NULL);
        unsigned per_segment = 0, segments = 0;
        size_t size;

        for (int i = 1; i <= 5000; i++) {
                struct segment_place p = counter(s, i, 1);

                per_segment += p.segment == 0;
                segments = p.segment > segments ? p.segment : segments;
                ((struct mapi_slot *)p.mem)->data[0] = (uint64_t)i;
        }
        assert_in_range(per_segment, 1000, 2730);
        assert_int_equal(segments, (5000 - 1) / per_segment);
        assert_true(segments_fd(s, segments, &size) >= 0);
        size = 77;
        assert_int_equal(segments_fd(s, segments + 1, &size), -1);
        assert_int_equal(segments_fd(s, UINT32_MAX, &size), -1);
        assert_int_equal(size, 77);
        segments_free(&s);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(sealed),        cmocka_unit_test(directory),
                cmocka_unit_test(reuse),         cmocka_unit_test(fragmentation),
                cmocka_unit_test(large_results), cmocka_unit_test(sizes_that_cannot_be),
                cmocka_unit_test(limits),        cmocka_unit_test(no_descriptors),
                cmocka_unit_test(more_segments),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
