/*
 * Messages of mapi.proto: packed, unpacked within bounds, and carried over a Unix socket of kind SOCK_SEQPACKET with
 * descriptors beside them. Used by both sides. Nothing here allocates from malloc, so a signal handler may talk while it
 * has interrupted malloc; memory is the caller's.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef PROTOCOL_MESSAGE_H
#define PROTOCOL_MESSAGE_H

#include <mapi/function.h>

#include "protocol/mapi.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROTOCOL_VERSION 1u
#define PROTOCOL_MESSAGE_MAX (128u * 1024) /* bytes of a message on the socket; a filter of 64 KB and more fits */
#define PROTOCOL_LARGE_MAX (16u << 20)     /* bytes of an answer in a memfd */
#define PROTOCOL_FDS_MAX 20u               /* descriptors beside one message */
#define PROTOCOL_VALUES_MAX 64u            /* arguments in one Apply */
#define PROTOCOL_FIRST_ANSWER 60           /* bodies below are requests */
#define PROTOCOL_POOL_BYTES                                                                                       \
        (4 * PROTOCOL_MESSAGE_MAX) /* enough to unpack any message that may come on the socket */

/** Memory for unpacking: taken from front to back, given back as a whole. What does not fit is an error. */
struct protocol_pool {
        uint8_t *mem;
        size_t size, used;
};

void protocol_pool_init(struct protocol_pool *p, void *mem, size_t size);

/**
 * Unpacks an envelope into the pool, which is emptied first. The envelope points into pool and bytes until the next use.
 * Refuses what is not an envelope with a known body and our version (hello, welcome and error: any version), requests without an
 * id, strings with NUL bytes inside, known fields that come twice although they are not repeated, more than
 * PROTOCOL_VALUES_MAX arguments, a Welcome, CreateDevice or Connected without limits, source or status, and a CreateFlow on
 * nothing. So strings are never NULL (but may be any bytes, not only UTF-8), and no message inside is, either; only a Value may
 * be none of its kinds.
 * Returns  0, or -5121 / -9000: the pool is too small
 */
int protocol_unpack(struct protocol_pool *p, const uint8_t *bytes, size_t len, Mapi__Envelope **ret,
                    struct mapi_error *err);

/** The id of a message, without unpacking the rest; 0: it has none or is no message. */
uint64_t protocol_peek_id(const uint8_t *bytes, size_t len);

/** Packs; 0 and *ret_len, or -9000: more than `size` bytes. */
int protocol_pack(const Mapi__Envelope *e, uint8_t *buf, size_t size, size_t *ret_len, struct mapi_error *err);

/**
 * Sends packed bytes and descriptors (borrowed) as one message. flags: MSG_DONTWAIT or 0.
 * Returns  0, or -5123; *ret_again (may be NULL) is true if it would have had to wait
 */
int protocol_send(int socket, const uint8_t *bytes, size_t len, const int *fds, unsigned nfds, int flags,
                  bool *ret_again, struct mapi_error *err);

/** What came over the socket. Descriptors are close-on-exec and owned by the receiver. */
struct protocol_received {
        size_t len;
        unsigned nfds;
        int fd[PROTOCOL_FDS_MAX];
};

/**
 * Receives one message into buf (PROTOCOL_MESSAGE_MAX bytes). A message that is cut, too long or has too many descriptors
 * is an error (-5121; ret->len says how much of it is in buf), and whatever came with it is closed.
 * Returns  1 a message; 0 the peer has closed; -5123 an error; -5121 garbage; *ret_again (may be NULL): nothing there (MSG_DONTWAIT)
 */
int protocol_recv(int socket, uint8_t *buf, int flags, struct protocol_received *ret, bool *ret_again,
                  struct mapi_error *err);

/** Closes the descriptors from number `from` on. */
void protocol_close_fds(struct protocol_received *r, unsigned from);

/** Puts packed bytes into a sealed memfd, for Large. A descriptor, or -3075. */
int protocol_large_write(const uint8_t *bytes, size_t len, struct mapi_error *err);

/** Maps the memfd of a Large message read-only after checking size and seals (it can neither shrink nor be written). NULL: it is not what it says. */
const uint8_t *protocol_large_map(int fd, uint64_t size_bytes);
void protocol_large_unmap(const uint8_t *mem, uint64_t size_bytes);

#endif
