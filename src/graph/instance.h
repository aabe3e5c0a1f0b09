/*
 * Instances of functions: what the engine holds behind the public struct mapi_fn, and the two ways to make and end one.
 * Control thread, except where a field says otherwise.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef GRAPH_INSTANCE_H
#define GRAPH_INSTANCE_H

#include "base/arena.h"
#include "filter/filter.h"
#include "graph/account.h"
#include "match/match.h"
#include "results/ring.h"
#include "results/segment.h"
#include "results/sink.h"

#include <mapi/function.h>

struct emitter;

/** What is left of a flow for those that wait for its beginning. Counts its users, of which the flow is one; control thread. */
struct flow_mark {
        uint32_t users;
        bool begun; /* the worker's, once the flow has been taken up; then control's */
};

struct instance {
        struct mapi_fn fn; /* first: functions see only this */
        int flow;          /* number of its flow */
        int fid;
        const char *library;
        struct arena *arena; /* of its flow */
        struct quota *quota;
        struct mapi_value *values;
        uint32_t nvalues;
        struct segment_place place;      /* its result */
        uint32_t place_size;             /* bytes allocated for it */
        uint64_t ring_bytes, sink_bytes; /* wanted sizes */
        const struct filter_compiler *compiler;
        /* what a predicate asked for */
        const struct filter *filter;
        const struct match *match;
        /* readers */
        uint32_t nrefs;
        struct instance **ref;
        uint32_t readers; /* how many instances refer to this one */
        uint32_t nmarks;
        struct flow_mark **mark; /* of the flows it refers to */
        /* its raw value before any function had the current packet, kept while it is read: of the packets that reach
           this part of its own flow, which may be emitted ones; and of the device's, for the readers in other flows */
        uint64_t before, before_device;
        /* queues */
        struct ring *ring;
        struct sink *sink;
        uint32_t room_packets; /* packets that may reach this queue for one packet of the device */
        uint32_t room_bytes;   /* bytes of queue for each of them at the most; 0: fixed part plus its own caplen */
        struct flow_account
                *account; /* of its flow, which learns what found no room; NULL: its packets are emitted ones */
        bool first_queue; /* no other queue before it in its flow */
        /* the worker's */
        struct emitter *emitter; /* transformers: of the plan in force */
        uint32_t wishes;         /* for room, see graph_want_room() */
        uint64_t wanted;         /* bytes of room that the newest wish is for */
        uint64_t random;
        /* function statistics: packets given, and let through. With a ring or a sink always: packets given, and those that
           found room; otherwise if the plan counts them. Anybody reads them (relaxed) */
        uint64_t packets, passed;
        uint64_t emit_dropped; /* packets emitted beyond what the function declared */
        bool started;
        bool ended;   /* .finish has said its last */
        void *zombie; /* its flow, closed but still read by others */
};

/** It puts packets into a ring or a file. */
static inline bool instance_has_queue(const struct instance *in)
{
        return (in->ring != NULL && in->ring->record == 0) || in->sink != NULL;
}

/** It puts records into a queue. */
static inline bool instance_has_records(const struct instance *in)
{
        return in->ring != NULL && in->ring->record != 0;
}

static inline struct instance *instance_of(const struct mapi_fn *fn)
{
        return (struct instance *)(uintptr_t)fn;
}

/** Everything that making an instance needs from its flow. */
struct instance_env {
        struct arena *arena;
        struct quota *quota; /* for rings and queues */
        struct segments *segments;
        const struct mapi_device_facts *device;
        const struct filter_compiler *compiler; /* NULL: filters are compiled here */
        const char *library;
        int flow, fid;
        uint64_t seed;
        uint64_t ring_bytes; /* wanted size of a packet ring */
        uint64_t sink_bytes;
};

/**
 * Making an instance has three steps, because the middle one may take its time (a filter is compiled, the name service is
 * asked) and must not hold up anybody: prepare and complete belong to the control thread, start touches nothing but the
 * flow's own arena and the instance.
 *
 * refs     the targets of its r/f pairs and lists, resolved by the caller
 * values   converted already (strings, numbers, descriptors), in schema order; copied. Descriptors are taken: they
 *          are closed with the instance, or by this call when it fails
 * Returns  0 or an error; after a failing start or complete the caller calls instance_free()
 */
int instance_prepare(const struct mapi_function *def, const struct instance_env *env,
                     const struct mapi_value *values, uint32_t nvalues, struct instance *const *refs,
                     uint32_t nrefs, struct instance **ret, struct mapi_error *err);

/** Between prepare and start: the flows that its lists name. 0 or -3084. */
int instance_watch(struct instance *in, struct flow_mark *const *marks, uint32_t n, struct mapi_error *err);

/** Numbers outside of the ranges that the schema names. */
int instance_check_ranges(const struct mapi_function *def, const struct mapi_value *values, uint32_t n,
                          struct mapi_error *err);
int instance_start(struct instance *in, struct mapi_error *err);
int instance_complete(struct instance *in, struct segments *segments, struct mapi_error *err);

/** Stops the function and gives back what is not in the flow's arena. No worker may be using it. NULL-safe. */
void instance_free(struct instance *in, struct segments *segments);

/** The value another function would read now: its first word, less what was reset; and as it was before the current
 *  packet, for a function of that flow. */
uint64_t instance_u64(const struct instance *in);
uint64_t instance_u64_before(const struct instance *in, int flow);

/** The current packet begins: what is there now is "before". */
void instance_snapshot(struct instance *in);

void flow_mark_put(struct flow_mark *m);
/** The same for a packet that its own flow has emitted. */
void instance_snapshot_own(struct instance *in);

/** Starts the result anew, from before the current packet of a function of that flow on: the base is moved (counters), or the function does it.
 *  0, or -1: cannot be reset. */
int instance_reset(struct instance *in, int flow);

#endif
