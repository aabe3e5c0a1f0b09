/*
 * A descriptor by which one process tells another that there may be something to read: it becomes readable for poll and epoll.
 *
 * It is a timer (timerfd_create(2)) that is set to expire at once. An eventfd would be the obvious choice, but whoever shares
 * one with us can take away its O_NONBLOCK and fill it up, and then our write waits for him. Setting a timer never waits.
 * Both sides may signal and both may clear; how often it was signalled is not told.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef RESULTS_EVENT_H
#define RESULTS_EVENT_H

/** A new one, not readable, closed on exec. -1 with errno set. */
int event_new(void);

/** Makes it readable, now or within microseconds; whoever polls is woken. -1: does nothing. Any thread, and signal handlers. */
void event_signal(int fd);

/** Makes it unreadable, until the next signal. Never waits. */
void event_clear(int fd);

#endif
