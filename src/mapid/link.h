/*
 * What the two processes of mapid say to each other. The opener answers one question at a time and otherwise only tells; both are
 * the same program, so structs travel. No text of a client ever does: a device is named by its number, and a filter goes
 * from the engine process to the compiler through a socketpair that the opener passes on unread.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef MAPID_LINK_H
#define MAPID_LINK_H

#include <mapi.h>
#include <mapi/driver.h>
#include <mapi/errors.h>

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

enum link_kind {
        /* questions of the engine process, answered on the same socket */
        LINK_OPEN_DEVICE = 1, /* .number: of the device; the answer brings its descriptors, or .error */
        LINK_LIST, /* the machine's interfaces: the answer brings a memfd with .number records of struct link_interface */
        LINK_COMPILE, /* beside it: the compiler's end of a socketpair. A process is forked for it */
        /* the opener tells, on the other socket */
        LINK_CONFIG, /* beside it: a memfd with the text of a new configuration, .number bytes; log descriptors follow */
        LINK_STOP /* the end */
};

struct link_message {
        uint32_t kind;
        int32_t number;
        char name[MAPI_STR_LENGTH];              /* LINK_OPEN_DEVICE without a configured device: the interface */
        int32_t has_info, has_debug, has_syslog; /* LINK_CONFIG: which log descriptors follow */
        struct mapi_error error;
};

struct link_interface {
        int32_t index;
        char name[IF_NAMESIZE];
};

/** Sends one message with descriptors (borrowed). 0 or -1. */
int link_send(int socket, const struct link_message *m, const int *fds, unsigned nfds);

/** Receives one; the descriptors are the caller's. 1, 0: the other side is gone, -1: an error, or nothing there (MSG_DONTWAIT). */
int link_recv(int socket, int flags, struct link_message *ret, int *ret_fds, unsigned *ret_nfds);

#endif
