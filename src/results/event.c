/* Descriptors that become readable. SPDX-License-Identifier: BSD-2-Clause */
#include "results/event.h"

#include <errno.h>
#include <stdint.h>
#include <sys/timerfd.h>
#include <unistd.h>

int event_new(void)
{
        return timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
}

void event_signal(int fd)
{
        /* The first nanosecond after the machine was started is over. */
        const struct itimerspec at_once = { .it_value = { .tv_nsec = 1 } };
        const uint64_t one = 1;
        int saved = errno;

        if (fd >= 0 && timerfd_settime(fd, TFD_TIMER_ABSTIME, &at_once, NULL) < 0 && errno == EINVAL)
                (void)!write(fd, &one, sizeof one); /* an eventfd, inside of one process */
        errno = saved;
}

void event_clear(int fd)
{
        static const struct itimerspec never;
        uint64_t times;
        int saved = errno;

        /* Reading would wait if the other side has taken away O_NONBLOCK and was faster. */
        if (timerfd_settime(fd, 0, &never, NULL) < 0 && errno == EINVAL)
                (void)!read(fd, &times, sizeof times); /* an eventfd, inside of one process */
        errno = saved;
}
