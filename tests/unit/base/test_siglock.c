/* base/siglock: no signal reaches the holder, so a handler may take the lock.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "base/siglock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static struct siglock lock = SIGLOCK_INIT;
static unsigned long counter; /* by the lock */
static volatile sig_atomic_t handled;

static void locked_add(void)
{
        sigset_t mask;

        siglock_take(&lock, &mask);
        counter++;
        siglock_give(&lock, &mask);
}

static void on_signal(int signal)
{
        (void)signal;
        locked_add();
        handled++;
}

static void set_handler(void)
{
        struct sigaction action = { .sa_handler = on_signal };

        assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
}

static bool blocked(int signal)
{
        sigset_t now;

        assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &now), 0);
        return sigismember(&now, signal) == 1;
}

/* Raised under the lock it comes when the lock is given, and the mask is then what it was. */
static void comes_afterwards(void **state)
{
        sigset_t mask, only;

        set_handler();
        handled = 0;
        counter = 0;
        sigemptyset(&only);
        sigaddset(&only, SIGUSR2);
        assert_int_equal(pthread_sigmask(SIG_BLOCK, &only, NULL), 0);
        siglock_take(&lock, &mask);
        assert_true(blocked(SIGUSR1) && blocked(SIGTERM) && blocked(SIGALRM) && blocked(SIGSEGV));
        assert_int_equal(raise(SIGUSR1), 0);
        assert_int_equal(handled, 0);
        counter++;
        siglock_give(&lock, &mask);
        assert_int_equal(handled, 1);
        assert_int_equal(counter, 2);
        assert_true(!blocked(SIGUSR1) && blocked(SIGUSR2) && !blocked(SIGTERM));
        assert_int_equal(pthread_sigmask(SIG_UNBLOCK, &only, NULL), 0);
}

enum { ADDS = 20000 };

static void *add_often(void *argument)
{
        (void)argument;
        for (unsigned i = 0; i < ADDS; i++)
                locked_add();
        return NULL;
}

/* Two threads that lock all the time, interrupted at any moment by a handler that locks too: a deadlock hangs
   the test. */
static void handler_takes_it(void **state)
{
        pthread_t thread[2];

        set_handler();
        handled = 0;
        counter = 0;
        for (unsigned i = 0; i < 2; i++)
                assert_int_equal(pthread_create(&thread[i], NULL, add_often, NULL), 0);
        for (unsigned i = 0; i < 2000; i++)
                (void)pthread_kill(thread[i % 2], SIGUSR1); /* threads are joined below: they exist */
        for (unsigned i = 0; i < 2; i++)
                assert_int_equal(pthread_join(thread[i], NULL), 0);
        assert_true(counter >= 2 * ADDS);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(comes_afterwards),
                cmocka_unit_test(handler_takes_it),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
