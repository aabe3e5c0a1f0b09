/*
 * The clients of mapid: connections on the Unix socket, each with a session of the host. One control thread receives and looks after
 * connections; requests are served by threads that come and go as they are needed, at most a few at a time for one client, so
 * that a request which takes its time holds up nobody but its own client.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef MAPID_CLIENTS_H
#define MAPID_CLIENTS_H

#include "host/host.h"

#include <event2/event.h>

struct clients;

struct clients_limits {
        uint32_t sessions;
        struct session_limits session; /* of one client */
};

#define CLIENTS_REQUESTS_MAX 32u /* of one client without an answer; it is not read from while it has more */

/** Serves whoever connects to this listening socket. All calls from the thread that runs `base`. NULL: no memory. */
struct clients *clients_new(struct event_base *base, struct host *host, int listen_fd,
                            const struct clients_limits *limits);

/** For clients that come from now on. */
void clients_set_limits(struct clients *c, const struct clients_limits *limits);

/** Tells everybody. From any thread, does not wait: it is sent by the control thread. */
void clients_tell(struct clients *c, enum host_event event, const char *device);

/** No more clients, and the end for those that are there; `done` is called in the control thread when all have gone. */
void clients_stop(struct clients *c, void (*done)(void *context), void *context);

/** How many are there. */
uint32_t clients_count(const struct clients *c);

/** Frees it when all clients have gone. */
void clients_free(struct clients **c);

#endif
