/*
 * The engine: devices, the flows on them, and the step that moves packets. It owns no thread, no socket, no signal and no
 * clock, and there is nothing global: two engines may live in one process.
 *
 * Who calls what: all calls but engine_step() and the few marked "any thread" belong to the control thread: the embedder
 * serialises them (mapid has one control thread, the embedded backend a lock). engine_step() is called for one device by
 * one worker thread at a time, at the same time as control calls: plans are handed over by one atomic pointer.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "base/arena.h"
#include "capture/capture.h"
#include "graph/graph.h"
#include "results/segment.h"

struct engine;
struct device;
struct flow;

/** What the world provides. */
struct engine_options {
        uint64_t (*now_s)(void *context); /* seconds since 1970, for the end of a flow; any thread */
        void *context;
        uint64_t seed;                   /* of random functions; the same seed, the same run */
        bool count_functions;            /* packets in and out of every function */
        struct filter_compiler compiler; /* .compile NULL: filters are compiled by whoever applies them */
        int last_flow;                   /* flows are numbered from behind this one */
};

/** NULL: no memory. */
struct engine *engine_new(const struct engine_options *options);

/** Frees an engine that has no devices any more. */
void engine_free(struct engine **e);

/** The embedder's clock. */
uint64_t engine_now_s(const struct engine *e);

/* ---- devices ------------------------------------------------------------------------------------------- */

/** Adds an opened source as a device; the capture is moved into it. number and name are the embedder's. 0 or -3084. */
int engine_device_add(struct engine *e, const struct capture *c, int number, const char *name, struct device **ret,
                      struct mapi_error *err);

/** Takes the capture out of a device that is about to be removed unused: it is the caller's again. */
void engine_device_disown(struct device *d);

/** Reading may begin. */
void engine_device_start(struct device *d);

/** Reading ends here as if the trace did: its flows finish. */
void engine_device_end(struct device *d);

/** Closes and frees a device without flows that no worker steps any more. */
void engine_device_remove(struct device **d);

struct engine_device_facts {
        int number;
        const char *name;
        const char *driver;
        struct mapi_device_facts facts;
        struct mapi_driver_stats stats;
        bool started, finished;
        uint32_t flows;
        struct graph_facts plan;
};
void engine_device_facts(struct device *d, struct engine_device_facts *ret);

/**
 * What became of every packet, in 64 bits: seen = delivered + filtered + all that was dropped, exactly. Of a device, since
 * it was opened, or of a flow, since it was connected: the fields of struct mapi_stat64.
 */
struct engine_account {
        uint64_t seen;
        uint64_t
                delivered; /* device: handed to the plan; flow: passed all its functions (or came to its first transformer)
                               and was lost in none of its queues */
        uint64_t filtered; /* flow: a function did not let it through, and no queue before had lost it */
        uint64_t dropped_interface, dropped_kernel; /* never reached the plan */
        uint64_t dropped_ring,
                dropped_file; /* lost in a queue of the flow; counted once, where it was lost first */
        bool down;            /* the device delivers nothing at present */
        uint64_t
                emit_dropped; /* flow: what its transformers emitted beyond what they declared; not part of the sum */
};

/**
 * The device must be held and quiet (below), so that no batch is under way: then what the worker has counted is true to the
 * packet, also under full load. Who holds a device kicks its worker when he lets go.
 */
void engine_device_account(const struct device *d, struct engine_account *ret);

/** Why the trace ended early: 0, or -code and its sentence. */
int engine_device_error(const struct device *d, struct mapi_error *ret);

/** What to poll when engine_step() said IDLE, or -1. */
int engine_device_fd(const struct device *d);

/** True when no worker can still be using an older plan than the newest. Any thread. */
bool engine_device_settled(const struct device *d);

/** Frees the plans that nobody uses any more, if the device has settled. */
void engine_device_reap(struct device *d);

/* ---- the worker's call ----------------------------------------------------------------------------------- */

enum engine_state {
        ENGINE_WORKED, /* there is more to do: call again */
        ENGINE_IDLE,   /* nothing came: poll engine_device_fd(), or wait to be kicked */
        ENGINE_BLOCKED, /* a ring or a sink of a trace's flow is full, or a sink is not drained yet: wait to be kicked */
        ENGINE_FINISHED, /* the trace is over and all its flows know; a new flow is a reason for a kick */
        ENGINE_STOPPED   /* not started, or held: wait to be kicked */
};

/** Does up to `budget` batches of work. The one loop. */
enum engine_state engine_step(struct device *d, unsigned budget);

/** Time has come to `now` (32.32) on a silent live device. The worker's. */
void engine_tick(struct device *d, uint64_t now);

/* ---- flows --------------------------------------------------------------------------------------------- */

/** What a flow takes its memory from; must outlive it. */
struct flow_home {
        struct quota *quota;
        struct segments *segments;
        uint64_t ring_bytes; /* size of a packet ring to begin with */
        uint64_t sink_bytes;
        void *owner; /* the session; for finding flows of the same owner */
        int number;  /* that the flow is to have, and that no other has; 0: the next one */
};

/** A new flow on a device, not connected. Numbers rise over all devices of the engine. */
int engine_flow_new(struct engine *e, struct device *d, const struct flow_home *home, struct flow **ret,
                    struct mapi_error *err);

int engine_flow_number(const struct flow *f);
struct device *engine_flow_device(const struct flow *f);

/**
 * Applying a function, in the three steps of graph/instance.h: begin and end are control calls, instance_start() may run
 * between them without holding up anybody. refs: the instances that the r/f pairs and the lists name.
 */
int engine_apply_begin(struct flow *f, const struct mapi_function *def, const char *library,
                       const struct mapi_value *values, uint32_t nvalues, struct instance *const *refs,
                       uint32_t nrefs, struct instance **ret, struct mapi_error *err);

/** started: what instance_start() said. Returns the fid, or the error; then the instance is gone. */
int engine_apply_end(struct flow *f, struct instance *in, int started, struct mapi_error *err);

/** What tells others that a flow has begun. */
struct flow_mark *engine_flow_mark(struct flow *f);

/** The function with this id, or the next one above it. NULL: none. */
struct instance *engine_function(const struct flow *f, int fid, bool next);
uint32_t engine_flow_functions(const struct flow *f);

/**
 * Puts the flow into its device's plan. The flow sees what comes after engine_device_settled(). A private device is started.
 * Returns 0, -3081 or -3084.
 */
int engine_flow_connect(struct flow *f, struct mapi_error *err);
bool engine_flow_connected(const struct flow *f);

/** The slot with the flow's status. */
const struct segment_place *engine_flow_place(const struct flow *f);

/**
 * Its account; the device must be held and quiet, as for engine_device_account(). All 0 before it is connected; stands still
 * when it is FINISHED; means nothing any more after engine_flow_detach().
 *
 * Packets count from the batch on with which the worker takes up the flow, what the driver loses from engine_flow_connect() on:
 * no packet and no loss after mapi_connect() has returned is missing, and none before it was called is counted.
 */
void engine_flow_account(const struct flow *f, struct engine_account *ret);

/**
 * Attaches a descriptor (results/event.h) that is signalled whenever a reader that waits for one of the flow's rings is to look
 * again, and when the flow is FINISHED or closed, also if it has no rings; and now, as there may be something already.
 * The device must be held and quiet. The flow owns fd from now on and closes it when it is freed.
 * Returns  0, or -1: it has one already, and fd is still the caller's
 */
int engine_flow_event(struct flow *f, int fd);

/** The descriptor (borrowed), or -1: none. */
int engine_flow_event_fd(const struct flow *f);

/** Takes the flow out of the plan; from engine_device_settled() on no worker touches it. */
int engine_flow_detach(struct flow *f, struct mapi_error *err);

/** After detaching and settling: ends its functions and hands the rest of its files to the writer. */
void engine_flow_finish(struct flow *f);

/** True when its sinks are drained; *ret_error: errno of a file that is not complete, else 0. */
bool engine_flow_drained(const struct flow *f, int *ret_error);

/** Frees the flow, or, while other flows refer to its functions, leaves them a result that stands still. */
void engine_flow_free(struct flow **f);

/* ---- full rings ------------------------------------------------------------------------------------------ */

/** True while the worker waits for room. Any thread. */
bool engine_device_blocked(const struct device *d);

/** No step does anything while a device is held; wait for engine_device_quiet() before touching rings. */
void engine_device_hold(struct device *d, bool yes);
bool engine_device_quiet(const struct device *d);

/**
 * The owner of `waiting` sleeps on one of its rings while others of its rings are full: doubles those. The device must be held and quiet.
 * Returns  how many were enlarged, or -9001 naming the flow whose ring may not grow
 */
int engine_grow_rings(struct flow *waiting, const struct ring *but, struct mapi_error *err);

#endif
