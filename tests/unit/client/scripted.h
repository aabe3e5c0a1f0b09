/*
 * A mapid for tests of the local backend: a thread that speaks the protocol on a socket of its own, answers like a mapid that
 * has devices, flows and functions but no packets, notes every request, and misbehaves when the test wants it to.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef TESTS_UNIT_CLIENT_SCRIPTED_H
#define TESTS_UNIT_CLIENT_SCRIPTED_H

#include "protocol/message.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>

enum { SCRIPTED_LOG = 4096, SCRIPTED_LINE = 160, SCRIPTED_FLOWS = 64, SCRIPTED_CONNECTIONS = 4 };

struct scripted;

/** Looks at a request before it is answered. True: it has done everything itself. From the server's thread, unlocked. */
typedef bool (*scripted_hook)(struct scripted *s, const Mapi__Envelope *request,
                              struct protocol_received *received);

struct scripted {
        pthread_t thread;
        pthread_mutex_t mutex;
        pthread_cond_t changed;
        char dir[64], path[100];
        int listen_fd; /* -1: away */
        int wake_fd;
        int conn; /* -1: nobody; there is one client */
        bool stop;

        scripted_hook hook;
        void *hook_data;
        unsigned version, results_version, requests, string_bytes; /* of the welcome */

        char log[SCRIPTED_LOG][SCRIPTED_LINE];
        unsigned nlog;
        int next_flow, next_device;
        struct {
                int number, functions;
        } flow[SCRIPTED_FLOWS];
        int event_fd, kick_fd, segment_fd, ring_fd; /* what was passed; -1 */
        uint8_t in[PROTOCOL_MESSAGE_MAX], out[PROTOCOL_MESSAGE_MAX], pool[PROTOCOL_POOL_BYTES];
};

struct scripted *scripted_start(void);
void scripted_stop(struct scripted *s);

/** Nobody listens any more, and the connection is closed. */
void scripted_leave(struct scripted *s);
/** Another mapid: it knows no flows, and listens. */
void scripted_come(struct scripted *s);

void scripted_set_hook(struct scripted *s, scripted_hook hook, void *data);

/** Waits until this line has been noted so many times. */
void scripted_await(struct scripted *s, const char *line, unsigned times);
/** All lines since the last call, joined by newlines. */
const char *scripted_lines(struct scripted *s);
void scripted_note(struct scripted *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void scripted_note_request(struct scripted *s, const Mapi__Envelope *request, unsigned nfds);

/** From the hook, or while nothing is under way. */
void scripted_send(struct scripted *s, uint64_t id, Mapi__Envelope *e, const int *fds, unsigned nfds);
void scripted_send_error(struct scripted *s, uint64_t id, int code, const char *text);
void scripted_send_done(struct scripted *s, uint64_t id);
void scripted_hang_up(struct scripted *s);
/** The answer that it would have given without a hook. */
void scripted_answer(struct scripted *s, const Mapi__Envelope *request, struct protocol_received *received);

/** Open descriptors of this process. */
unsigned open_descriptors(void);
/** A sealed memfd. */
int sealed_memory(size_t size);

#endif
