/* Connections and jobs, shared by the control thread (clients.c) and those that serve (jobs.c). SPDX-License-Identifier: BSD-2-Clause */
#ifndef MAPID_CLIENTS_INTERNAL_H
#define MAPID_CLIENTS_INTERNAL_H

#include "mapid/clients.h"

#include "protocol/message.h"
#include "server/serve.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

struct client;

/** A request that waits to be served, or the end of a session. */
struct job {
        struct job *next;
        struct client *client;
        bool end; /* the client has gone: end its session */
        uint64_t id;
        struct protocol_received received;
        uint8_t bytes[];
};

struct queue {
        struct job *first, **last;
};

/** An answer that the client's socket did not take yet. */
struct outgoing {
        struct outgoing *next;
        size_t len;
        unsigned nfds;
        int fd[PROTOCOL_FDS_MAX];
        uint8_t bytes[];
};

struct client {
        struct client *next;
        struct clients *all;
        /* the control thread's */
        int fd, pid_fd;
        pid_t pid;
        uid_t uid;
        uint64_t number; /* for the log */
        char program[64];
        struct event *readable, *writable, *exited;
        struct serve_session serve;
        /* under all->lock */
        struct host_session *session; /* NULL before hello */
        struct queue waiting;
        unsigned running;     /* jobs that are being served, or about to be */
        unsigned outstanding; /* requests without an answer */
        bool reading;         /* it is read from; only the control thread changes it */
        bool gone;            /* its connection has ended */
        bool ended;           /* and so has its session */
        struct outgoing *out, **out_last;
};

struct clients {
        struct event_base *base;
        struct host *host;
        struct clients_limits limits;
        struct event *listening, *noticed;
        int notice_fd; /* eventfd: a thread wants the control thread to look at the clients */
        uint32_t count;
        uint64_t numbers;
        struct client *first;
        bool stopping;
        bool deaf; /* out of descriptors: nobody is listened to until a client has gone */
        void (*done)(void *context);
        void *context;
        void *receive_mem; /* PROTOCOL_MESSAGE_MAX bytes, and a pool to look at what came */
        struct protocol_pool pool;
        /* threads */
        pthread_mutex_t lock;
        pthread_cond_t work;
        struct queue ready;
        unsigned threads, idle;
        /* what to tell everybody; under lock */
        struct told {
                struct told *next;
                enum host_event event;
                char device[MAPI_STR_LENGTH];
        } * told, **told_last;
};

/** Puts a job where it belongs; under the lock. */
void jobs_add(struct clients *a, struct job *j);

/** The jobs of a client that nobody has begun with: out of its queue. Under the lock. */
struct job *jobs_drop(struct client *c);

/** The one with this id, if nobody has begun with it. Under the lock. */
struct job *jobs_take(struct client *c, uint64_t id);

void jobs_free(struct job *j);

/** All threads end when there is nothing to do; waits for them. */
void jobs_stop(struct clients *a);

/** Sends, or keeps what cannot be sent now. Descriptors are taken. Any thread. */
void client_send(struct client *c, const uint8_t *bytes, size_t len, const int *fds, unsigned nfds);

/** Sends what was kept. Returns true when nothing is left. Under the lock. */
bool client_flush(struct client *c);

/** The control thread looks at all clients soon. Any thread. */
void clients_notice(struct clients *a);

#endif
