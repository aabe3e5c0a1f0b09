/*
 * Requests of mapi.proto turned into the calls of struct backend, and what those say into answers. Knows nothing of sockets,
 * threads or processes: mapid serves a host this way.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef SERVER_SERVE_H
#define SERVER_SERVE_H

#include "backend/backend.h"
#include "protocol/message.h"

#include <stdint.h>

/** Who asks, and what answers. */
struct serve_session {
        const struct backend *ops;
        void *state; /* of ops */
        /** Flows with a number that they had in an earlier life; NULL: nobody returns here. */
        int (*return_flow)(void *state, const char *device, int wanted, struct mapi_error *err);
        int (*return_private)(void *state, const struct backend_source *source, int wanted,
                              struct mapi_error *err);
        /** A descriptor (results/event.h) that wakes the worker which waits for room in a ring of this flow; the caller closes it. -1: there is none. */
        int (*kick_fd)(void *state, int fd);
        uint32_t string_bytes; /* of one string argument at the most */
};

/** What to send: packed bytes, in the caller's buffer, and descriptors that the caller closes after sending. */
struct serve_answer {
        size_t len;
        unsigned nfds;
        int fd[PROTOCOL_FDS_MAX];
};

/**
 * Serves one request that needs a session: all but hello, cancel and ping. May wait as long as the call does.
 * request  unpacked, from a peer that is not trusted; received: its descriptors, all of which are taken or closed
 * buf      PROTOCOL_MESSAGE_MAX bytes for the answer; larger ones go into a memfd
 */
void serve_request(const struct serve_session *s, const Mapi__Envelope *request,
                   struct protocol_received *received, uint8_t *buf, struct serve_answer *ret);

/** Packs an error, or any other answer that is at hand. */
void serve_error(uint64_t id, int code, const char *text, uint8_t *buf, struct serve_answer *ret);
void serve_pack(const Mapi__Envelope *answer, uint8_t *buf, struct serve_answer *ret);

#endif
