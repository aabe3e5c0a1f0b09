/*
 * Telling somebody who polls that there may be something to read: a descriptor that becomes readable.
 *
 * It is an eventfd, or one end of a pair of stream sockets whose other end is polled. Both sides of an eventfd share one set
 * of flags and one counter, so a reader can make a writer block: between processes that do not trust one another it must be
 * a pair of sockets. Those also tell the reader when the writer's process has ended. Who polls a socket cannot make it readable
 * himself: a reader that has to (ring_reader.h) takes an eventfd of his own beside it, for example both in one epoll instance.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef RESULTS_EVENT_H
#define RESULTS_EVENT_H

/** Makes the other side readable, if it is not. Never blocks on a socket; an eventfd must be EFD_NONBLOCK. -1: does nothing. */
void event_signal(int fd);

/** The reader's: makes it unreadable, until the next signal. An eventfd must be EFD_NONBLOCK. */
void event_clear(int fd);

#endif
