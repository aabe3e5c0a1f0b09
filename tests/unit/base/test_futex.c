/* base/futex: waiting and waking, also through a mapping that may only be read.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "base/futex.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

static void returns_at_once_if_changed(void **state)
{
        uint32_t word = 1;

        errno = 77;
        assert_int_equal(futex_wait(&word, 2, -1), 0);
        assert_int_equal(errno, 77);
}

static void times_out(void **state)
{
        uint32_t word = 1;

        errno = 77;
        assert_int_equal(futex_wait(&word, 1, 0), -1);
        assert_int_equal(futex_wait(&word, 1, 1), -1);
        assert_int_equal(errno, 77);
        futex_wake(&word);
        assert_int_equal(errno, 77);
}

static void address_that_is_not_mapped(void **state)
{
        uint32_t *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        assert_true(word != MAP_FAILED);
        assert_int_equal(munmap(word, 4096), 0);
        errno = 77;
        assert_int_equal(futex_wait(word, 0, -1), 0);
        futex_wake(word);
        assert_int_equal(errno, 77);
}

struct pair {
        const uint32_t *read; /* one page, mapped twice */
        uint32_t *write;
};

static struct pair pair_new(void)
{
        int fd = memfd_create("test-futex", MFD_CLOEXEC);
        struct pair p;

        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, 4096), 0);
        p.read = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
        p.write = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        assert_true(p.read != MAP_FAILED && p.write != MAP_FAILED);
        assert_int_equal(close(fd), 0);
        return p;
}

static void pair_free(struct pair *p)
{
        munmap((void *)(uintptr_t)p->read, 4096);
        munmap(p->write, 4096);
}

/* Two threads count in turn, each sleeping while it is the other's: a wake that is lost hangs the test. */
enum { TURNS = 2000 };

static void *play(void *argument)
{
        const struct pair *p = argument;

        for (uint32_t turn = 1; turn < 2 * TURNS; turn += 2) {
                uint32_t now;

                while ((now = __atomic_load_n(p->read, __ATOMIC_SEQ_CST)) != turn)
                        (void)futex_wait(p->read, now, -1);
                __atomic_store_n(p->write, turn + 1, __ATOMIC_SEQ_CST);
                futex_wake(p->write);
        }
        return NULL;
}

static void ping_pong(void **state)
{
        struct pair p = pair_new();
        pthread_t other;

        assert_int_equal(pthread_create(&other, NULL, play, &p), 0);
        for (uint32_t turn = 0; turn < 2 * TURNS; turn += 2) {
                uint32_t now;

                while ((now = __atomic_load_n(p.read, __ATOMIC_SEQ_CST)) != turn)
                        (void)futex_wait(p.read, now, -1);
                __atomic_store_n(p.write, turn + 1, __ATOMIC_SEQ_CST);
                futex_wake(p.write);
        }
        assert_int_equal(pthread_join(other, NULL), 0);
        assert_int_equal(*p.read, 2 * TURNS);
        pair_free(&p);
}

static uint32_t interrupted_word = 5;
static uint32_t interrupted;

static void on_signal(int signal)
{
        (void)signal;
}

static void *wait_for_signal(void *argument)
{
        int r;

        (void)argument;
        while ((r = futex_wait(&interrupted_word, 5, -1)) == 0) /* woken for no reason */
                ;
        __atomic_store_n(&interrupted, r == -2 ? 1 : 2, __ATOMIC_SEQ_CST);
        return NULL;
}

static void signals_interrupt(void **state)
{
        struct sigaction action = { .sa_handler = on_signal }, old; /* with SA_RESTART the kernel waits on */
        pthread_t thread;

        assert_int_equal(sigaction(SIGUSR1, &action, &old), 0);
        assert_int_equal(pthread_create(&thread, NULL, wait_for_signal, NULL), 0);
        while (__atomic_load_n(&interrupted, __ATOMIC_SEQ_CST) == 0) /* one before it sleeps interrupts nothing */
                assert_int_equal(pthread_kill(thread, SIGUSR1), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(interrupted, 1);
        assert_int_equal(sigaction(SIGUSR1, &old, NULL), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(returns_at_once_if_changed), cmocka_unit_test(times_out),
                cmocka_unit_test(address_that_is_not_mapped), cmocka_unit_test(ping_pong),
                cmocka_unit_test(signals_interrupt),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
