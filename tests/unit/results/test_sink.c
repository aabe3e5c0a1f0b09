/* results/sink: whole records in their order, whatever the file does. SPDX-License-Identifier: BSD-2-Clause */
#include "results/sink.h"

#include "base/futex.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

enum { LONGEST = MAPI_CAPLEN_MAX + 4096 };

/* A sink of a function that remembers what it was told. */
struct fixture {
        struct mapi_fn fn;
        struct mapi_function def;
        struct quota quota;
        struct sink sink;
        char path[64];
        uint64_t told_written;
        int told_error;
        unsigned told;
};

static uint8_t *pattern;

static void drained(struct mapi_fn *fn, uint64_t written, int error)
{
        struct fixture *x = (struct fixture *)(void *)fn;

        assert_true(written >= x->told_written);
        x->told_written = written;
        x->told_error = error;
        x->told++;
}

static void fixture_init(struct fixture *x, int fd, uint64_t size)
{
        *x = (struct fixture){ .quota.limit_bytes = 64u << 20, .def.drained = drained };
        x->fn.def = &x->def;
        if (fd < 0) {
                const char *tmp = getenv("TMPDIR");

                (void)snprintf(x->path, sizeof x->path, "%.40s/mapi-sink.XXXXXX", tmp != NULL ? tmp : "/tmp");
                fd = mkostemp(x->path, O_CLOEXEC);
                assert_true(fd >= 0);
        }
        assert_int_equal(sink_init(&x->sink, &x->fn, fd, size, &x->quota, NULL), 0);
}

static void fixture_fini(struct fixture *x)
{
        int fd = x->sink.fd;

        sink_fini(&x->sink);
        sink_fini(&x->sink);
        assert_int_equal(fcntl(fd, F_GETFD), -1); /* the descriptor was the sink's */
        assert_int_equal(x->quota.used_bytes, 0);
        if (x->path[0] != '\0')
                assert_int_equal(unlink(x->path), 0);
}

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

/* Record `number` is a piece of the pattern, put in two parts that are cut somewhere. */
static bool put(struct sink *s, uint64_t number, size_t n)
{
        const uint8_t *bytes = pattern + number % LONGEST;
        size_t first = n == 0 ? 0 : number % (n + 1);

        return sink_put(s, bytes, first, bytes + first, n - first);
}

static void drain_all(struct fixture *x)
{
        sink_publish(&x->sink, true);
        while (sink_drain(&x->sink) != 0)
                ;
        assert_true(sink_drained(&x->sink));
}

struct expected {
        uint8_t *bytes;
        size_t n, max;
};

static void expect(struct expected *e, uint64_t number, size_t n)
{
        if (n == 0)
                return;
        if (e->n + n > e->max) {
                e->max = 2 * e->max + n;
                e->bytes = realloc(e->bytes, e->max);
                assert_non_null(e->bytes);
        }
        memcpy(e->bytes + e->n, pattern + number % LONGEST, n);
        e->n += n;
}

static void check_file(const struct fixture *x, const struct expected *e)
{
        FILE *f = fopen(x->path, "r");
        uint8_t *got = malloc(e->n + 1);

        assert_non_null(f);
        assert_non_null(got);
        assert_int_equal(fread(got, 1, e->n + 1, f), e->n);
        assert_memory_equal(got, e->bytes, e->n);
        free(got);
        fclose(f);
}

static void every_size(void **state)
{
        struct expected e = { 0 };
        struct fixture x;
        uint64_t number = 0;

        fixture_init(&x, -1, 1 << 19);
        for (size_t n = 0; n <= 5001; n++, number++) {
                size_t len = n == 5001 ? LONGEST : n;

                while (!put(&x.sink, number, len))
                        drain_all(&x);
                expect(&e, number, len);
                if (n % 97 == 0)
                        drain_all(&x);
                assert_int_equal(x.sink.total, e.n);
        }
        drain_all(&x);
        assert_true(x.sink.head > 10 * x.sink.size);
        assert_int_equal(x.sink.written, e.n);
        assert_int_equal(x.told_written, e.n);
        assert_int_equal(x.told_error, 0);
        check_file(&x, &e);
        free(e.bytes);
        fixture_fini(&x);
}

/* To the last byte; what finds no room is counted and leaves no trace. */
static void full_queue(void **state)
{
        struct expected e = { 0 };
        struct fixture x;
        uint64_t number = 0;

        fixture_init(&x, -1, 4096);
        assert_int_equal(sink_room(&x.sink), 4096);
        for (; put(&x.sink, number, 60); number++) /* 64 bytes each */
                expect(&e, number, 60);
        assert_int_equal(number, 64);
        assert_int_equal(sink_room(&x.sink), 0);
        assert_int_equal(x.sink.dropped, 1);
        assert_int_equal(sink_drain(&x.sink), 0); /* not published */
        assert_false(sink_drained(&x.sink));
        sink_publish(&x.sink, false);
        assert_int_equal(sink_drain(&x.sink), 1);
        assert_int_equal(sink_room(&x.sink), 4096);
        assert_int_equal(sink_drain(&x.sink), 0);
        assert_false(put(&x.sink, 1, 4093)); /* never fits */
        assert_true(put(&x.sink, 7, 4092));
        expect(&e, 7, 4092);
        assert_int_equal(x.sink.dropped, 2);
        drain_all(&x);
        check_file(&x, &e);
        free(e.bytes);
        fixture_fini(&x);
}

static void over_the_limit(void **state)
{
        struct quota q = { .limit_bytes = 8191 };
        struct mapi_error err = { 0 };
        struct sink s;
        int fd = dup(0);

        assert_int_equal(sink_init(&s, NULL, fd, 5000, &q, &err), -MAPI_LIMIT_ERROR);
        assert_int_equal(err.code, MAPI_LIMIT_ERROR);
        assert_int_equal(q.used_bytes, 0);
        sink_fini(&s);
        assert_int_equal(sink_init(&s, NULL, fd, UINT64_MAX, &q, &err), -MAPI_LIMIT_ERROR); /* and it comes back */
        assert_int_equal(close(fd), 0); /* the descriptor is still the caller's */
}

/* The disk is full in the middle of a record, at every place: the file ends with the last whole one, for good. */
static void full_disk(void **state)
{
        struct rlimit old, limit;
        struct sigaction ignore = { .sa_handler = SIG_IGN }, old_action;

        assert_int_equal(sigaction(SIGXFSZ, &ignore, &old_action), 0);
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
        for (unsigned full = 0; full < 400; full += 7) {
                struct expected e = { 0 };
                struct fixture x;
                struct stat st;

                fixture_init(&x, -1, 4096);
                limit = (struct rlimit){ .rlim_cur = full, .rlim_max = old.rlim_max };
                for (uint64_t i = 0; i < 10; i++) {
                        assert_true(put(&x.sink, i, 30 + i));
                        if (e.n + 30 + i <= full)
                                expect(&e, i, 30 + i);
                }
                /* sizes rise: the first that does not fit is the last that is expected */
                assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
                drain_all(&x);
                assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
                if (full < 345) {
                        assert_int_equal(x.sink.error, EFBIG);
                        assert_int_equal(x.told_error, EFBIG);
                        assert_int_equal(x.told_written, e.n);
                }
                assert_int_equal(stat(x.path, &st), 0);
                assert_int_equal(st.st_size, e.n);
                check_file(&x, &e);

                /* there is room again, but the file stays what it is */
                if (x.sink.error != 0) {
                        assert_false(put(&x.sink, 0, 5));
                        assert_int_equal(x.sink.dropped, 1);
                        assert_true(sink_room(&x.sink) > UINT32_MAX); /* nobody waits for it */
                        drain_all(&x);
                        assert_int_equal(stat(x.path, &st), 0);
                        assert_int_equal(st.st_size, e.n);
                }
                free(e.bytes);
                fixture_fini(&x);
        }
        assert_int_equal(sigaction(SIGXFSZ, &old_action, NULL), 0);
}

/* What was put between the failed write and the moment the worker sees the error goes nowhere, and blocks
   nobody. */
static void put_after_the_error(void **state)
{
        struct fixture x;
        int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

        assert_true(fd >= 0);
        fixture_init(&x, fd, 4096);
        assert_true(put(&x.sink, 1, 50));
        sink_publish(&x.sink, true);
        assert_true(put(&x.sink, 2, 50)); /* in the queue, not published when the write fails */
        assert_int_equal(sink_drain(&x.sink), 1);
        assert_int_equal(x.told_error, ENOSPC);
        assert_int_equal(x.told_written, 0);
        assert_int_equal(x.sink.written, 0);
        sink_publish(&x.sink, true);
        assert_int_equal(sink_drain(&x.sink), 1);
        assert_true(sink_drained(&x.sink));
        assert_int_equal(x.told_error, ENOSPC);
        assert_int_equal(sink_drain(&x.sink), 0);
        fixture_fini(&x);
}

/* ---- pipes ------------------------------------------------------------------------------------------------- */

struct pipe_reader {
        int fd;
        struct expected got;
};

static void *read_pipe(void *argument)
{
        struct pipe_reader *r = argument;
        uint8_t buf[777];
        ssize_t n;

        r->got.max = 1 << 20;
        r->got.bytes = malloc(r->got.max);
        while ((n = read(r->fd, buf, sizeof buf)) > 0) {
                if (r->got.n + (size_t)n <= r->got.max)
                        memcpy(r->got.bytes + r->got.n, buf, (size_t)n);
                r->got.n += (size_t)n;
        }
        return NULL;
}

/* A pipe takes less than a record at a time; everything arrives. */
static void slow_pipe(void **state)
{
        struct expected e = { 0 };
        struct pipe_reader r = { 0 };
        struct fixture x;
        pthread_t thread;
        int fd[2];

        assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
        r.fd = fd[0];
        fixture_init(&x, fd[1], 1 << 20);
        for (uint64_t i = 0; i < 100; i++) {
                assert_true(put(&x.sink, i, 97 * i));
                expect(&e, i, 97 * i);
        }
        assert_int_equal(pthread_create(&thread, NULL, read_pipe, &r), 0);
        drain_all(&x);
        assert_int_equal(x.sink.error, 0);
        assert_int_equal(x.sink.written, e.n);
        fixture_fini(&x);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(r.got.n, e.n);
        assert_memory_equal(r.got.bytes, e.bytes, e.n);
        free(r.got.bytes);
        free(e.bytes);
        close(fd[0]);
}

static void *drain_in_thread(void *argument)
{
        struct fixture *x = argument;

        while (sink_drain(&x->sink) != 0)
                ;
        return NULL;
}

/* Nobody reads: it waits until it is told to give up, and tells how many whole records the pipe has. */
static void pipe_without_reader(void **state)
{
        struct fixture x;
        pthread_t thread;
        int fd[2];

        assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
        fixture_init(&x, fd[1], 1 << 20);
        for (uint64_t i = 0; i < 200; i++)
                assert_true(put(&x.sink, i, 1000));
        sink_publish(&x.sink, true);
        assert_int_equal(pthread_create(&thread, NULL, drain_in_thread, &x), 0);
        while (__atomic_load_n(&x.sink.written, __ATOMIC_RELAXED) == 0) /* the pipe takes its 64 KiB first */
                sched_yield();
        assert_false(sink_drained(&x.sink));
        __atomic_store_n(&x.sink.abandon, 1, __ATOMIC_RELAXED);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_true(sink_drained(&x.sink));
        assert_int_equal(x.told_error, ETIMEDOUT);
        assert_true(x.told_written > 0 && x.told_written <= 65536 && x.told_written % 1000 == 0);
        fixture_fini(&x);
        close(fd[0]);
}

static void broken_pipe(void **state)
{
        struct fixture x;
        int fd[2];

        assert_true(signal(SIGPIPE, SIG_IGN) != SIG_ERR); /* writer threads have all signals blocked */
        assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
        fixture_init(&x, fd[1], 4096);
        assert_true(put(&x.sink, 1, 100));
        close(fd[0]);
        drain_all(&x);
        assert_int_equal(x.told_error, EPIPE);
        assert_int_equal(x.told_written, 0);
        fixture_fini(&x);
}

/* A descriptor that is no regular file keeps its other flags. */
static void flags(void **state)
{
        struct fixture x;
        int fd = open("/dev/null", O_WRONLY | O_APPEND | O_CLOEXEC);

        assert_true(fd >= 0);
        fixture_init(&x, fd, 4096);
        assert_int_equal(fcntl(fd, F_GETFL) & (O_APPEND | O_NONBLOCK), O_APPEND | O_NONBLOCK);
        fixture_fini(&x);
}

/* ---- two threads ------------------------------------------------------------------------------------------- */

static void wakes(void **state)
{
        struct fixture x;

        fixture_init(&x, -1, 1 << 20);
        sink_publish(&x.sink, true);
        assert_int_equal(x.sink.wake, 0);
        x.sink.idle = 1;
        sink_publish(&x.sink, true); /* nothing to write */
        assert_int_equal(x.sink.wake, 0);
        assert_true(put(&x.sink, 1, 1000));
        sink_publish(&x.sink, false); /* too little for a system call */
        assert_int_equal(x.sink.wake, 0);
        sink_publish(&x.sink, true);
        assert_int_equal(x.sink.wake, 1);
        sink_publish(&x.sink, true); /* it is on its way */
        assert_int_equal(x.sink.wake, 1);
        x.sink.idle = 1;
        for (unsigned i = 0; i < 260; i++)
                assert_true(put(&x.sink, 1, 1000));
        sink_publish(&x.sink, false);
        assert_int_equal(x.sink.wake, 2);
        drain_all(&x);
        fixture_fini(&x);
        fixture_init(&x, -1, 16384); /* a small queue must not be full before its writer hears of it */
        x.sink.idle = 1;
        for (unsigned i = 0; i < 4; i++)
                assert_true(put(&x.sink, 1, 1000));
        sink_publish(&x.sink, false);
        assert_int_equal(x.sink.wake, 0);
        assert_true(put(&x.sink, 1, 1000));
        sink_publish(&x.sink, false);
        assert_int_equal(x.sink.wake, 1);
        drain_all(&x);
        fixture_fini(&x);
}

struct writer {
        struct sink *sink;
        uint32_t stop;
};

static void *writer_main(void *argument)
{
        struct writer *w = argument;
        struct sink *s = w->sink;

        for (;;) {
                uint32_t seen = __atomic_load_n(&s->wake, __ATOMIC_SEQ_CST);

                if (sink_drain(s) != 0)
                        continue;
                if (__atomic_load_n(&w->stop, __ATOMIC_SEQ_CST) != 0)
                        return NULL;
                __atomic_store_n(&s->idle, 1, __ATOMIC_SEQ_CST);
                if (__atomic_load_n(&s->head, __ATOMIC_SEQ_CST) == s->tail &&
                    __atomic_load_n(&w->stop, __ATOMIC_SEQ_CST) == 0)
                        (void)futex_wait(&s->wake, seen, -1);
                __atomic_store_n(&s->idle, 0, __ATOMIC_SEQ_CST);
        }
}

static void worker_and_writer(void **state)
{
        struct expected e = { 0 };
        struct fixture x;
        struct writer w = { .sink = &x.sink };
        pthread_t thread;

        fixture_init(&x, -1, 64 * 1024);
        assert_int_equal(pthread_create(&thread, NULL, writer_main, &w), 0);
        for (uint64_t i = 0; i < 100000; i++) {
                size_t n = (i * 2654435761u >> 20) % 120;

                while (sink_room(&x.sink) < sink_record(n)) {
                        sink_publish(&x.sink, true);
                        sched_yield();
                }
                assert_true(put(&x.sink, i, n));
                expect(&e, i, n);
                if (i % 64 == 0)
                        sink_publish(&x.sink, i % 1024 == 0);
        }
        sink_publish(&x.sink, true);
        __atomic_store_n(&w.stop, 1, __ATOMIC_SEQ_CST);
        __atomic_fetch_add(&x.sink.wake, 1, __ATOMIC_SEQ_CST);
        futex_wake(&x.sink.wake);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_true(sink_drained(&x.sink));
        assert_int_equal(x.sink.dropped, 0);
        check_file(&x, &e);
        free(e.bytes);
        fixture_fini(&x);
}

static unsigned descriptors_before;

static int setup(void **state)
{
        descriptors_before = open_descriptors();
        pattern = malloc(2 * LONGEST);
        if (pattern == NULL)
                return -1;
        for (uint32_t i = 0; i < 2 * LONGEST; i++)
                pattern[i] = (uint8_t)(i * 2654435761u >> 24);
        return 0;
}

static int teardown(void **state)
{
        free(pattern);
        return open_descriptors() == descriptors_before ? 0 : -1;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_size),
                cmocka_unit_test(full_queue),
                cmocka_unit_test(over_the_limit),
                cmocka_unit_test(full_disk),
                cmocka_unit_test(put_after_the_error),
                cmocka_unit_test(slow_pipe),
                cmocka_unit_test(pipe_without_reader),
                cmocka_unit_test(broken_pipe),
                cmocka_unit_test(flags),
                cmocka_unit_test(wakes),
                cmocka_unit_test(worker_and_writer),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
