/*
 * A mapid that is in the test: a table of calls which serves real segments and packet rings, and goes away, comes
 * back and loses flows when the test wants it to. Every path that is a socket has one of its own behind it.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef TESTS_UNIT_CLIENT_FAKE_H
#define TESTS_UNIT_CLIENT_FAKE_H

#include "backend/backend.h"
#include "results/ring.h"
#include "results/segment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define FAKE_FOREIGN 4242 /* the flow of somebody else, whose statistics may be asked for */

enum { FAKE_FLOWS = 16, FAKE_FUNCTIONS = 4, FAKE_STATES = 128 };

struct fake_function {
        int fid;
        enum mapi_result_kind kind;
        bool nowait;
        struct segment_place place;
        struct ring ring;
        long long argument;
};

struct fake_flow {
        int number;
        bool connected, lost;
        int n;
        struct fake_function function[FAKE_FUNCTIONS];
        struct segment_place status;
        int event_fd;
};

struct fake {
        _Atomic uint32_t epoch;
        char path[108];
        bool closed;
        int next_number;
        struct segments *segments;
        struct fake_flow flow[FAKE_FLOWS];
        unsigned places, segments_asked, waited, kicked, slept; /* calls */
};

extern struct fake *fake_states[FAKE_STATES]; /* all that were opened, in this order */
extern unsigned fake_opened;

/** Called in the middle of the call of that name, if not NULL; cleared before. */
enum fake_call { FAKE_AWAIT, FAKE_WAITING, FAKE_PLACE, FAKE_SEGMENT, FAKE_RING, FAKE_CONNECT, FAKE_CALLS };
extern void (*fake_hook[FAKE_CALLS])(struct fake *s);

/** All opens fail with this sentence, until NULL. */
extern const char *fake_refuses;

/** The socket file, made in a new directory; MAPI_SOCKET names it. Removed at the end of the process. */
const char *fake_socket(void);

/** The one that was opened last. */
struct fake *fake_last(void);

struct fake_flow *fake_find(struct fake *s, int number);

/** Away, and back with everything new but the flows that are lost. again: nothing was away, but readers
 * shall look. */
void fake_away(struct fake *s);
void fake_return(struct fake *s);
void fake_again(struct fake *s);

/** A counter's value; the flow's status. */
void fake_count(struct fake *s, int number, int fid, uint64_t value);
void fake_status(struct fake *s, int number, enum mapi_flow_status status, int error);

/** Packets whose wirelen are first, first + 1 and so on. */
void fake_packets(struct fake *s, int number, int fid, unsigned first, unsigned n);
void fake_end(struct fake *s, int number, int fid);
void fake_wake(struct fake *s, int number, int fid); /* although nothing came */
void fake_grow(struct fake *s, int number, int fid);

/** The error that the calling thread has, which is cleared. */
int fake_error(void);
const char *fake_text(void);

#endif
