/* futex(2), which libc does not wrap. SPDX-License-Identifier: BSD-2-Clause */
#include "base/futex.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int futex_wait(const uint32_t *word, uint32_t expected, int timeout_ms)
{
        struct timespec limit = { .tv_sec = timeout_ms / 1000, .tv_nsec = (long)(timeout_ms % 1000) * 1000000 };
        int saved = errno;
        long r;

        r = syscall(SYS_futex, word, FUTEX_WAIT, expected, timeout_ms < 0 ? NULL : &limit, NULL, 0);
        if (r < 0)
                r = errno == ETIMEDOUT ? -1 : errno == EINTR ? -2 : 0;
        errno = saved; /* a signal handler may be waiting here */
        return (int)r;
}

void futex_wake(uint32_t *word)
{
        int saved = errno;

        (void)syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL,
                      0); /* fails only if the word is not mapped */
        errno = saved;
}
