/*
 * A mutex whose holder no signal interrupts, so that a signal handler may take it too: the thread it interrupted
 * cannot be the holder.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef BASE_SIGLOCK_H
#define BASE_SIGLOCK_H

#include <pthread.h>
#include <signal.h>

struct siglock {
        pthread_mutex_t mutex;
};

#define SIGLOCK_INIT                                                                                              \
        {                                                                                                         \
                PTHREAD_MUTEX_INITIALIZER                                                                         \
        }

/** Blocks all signals for this thread, then locks. *ret_mask: to be given to siglock_give(). */
static inline void siglock_take(struct siglock *l, sigset_t *ret_mask)
{
        sigset_t all;

        sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, ret_mask);
        (void)pthread_mutex_lock(&l->mutex);
}

static inline void siglock_give(struct siglock *l, const sigset_t *mask)
{
        (void)pthread_mutex_unlock(&l->mutex);
        (void)pthread_sigmask(SIG_SETMASK, mask, NULL);
}

#endif
