/*
 * An engine on the bench: a device whose driver plays a script from memory, and flows on it.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef TESTS_ENGINE_BENCH_H
#define TESTS_ENGINE_BENCH_H

#include "engine/engine.h"
#include "rig.h"

#include <mapi.h>

/** What the driver does: packets from rig_packet, again and again, and something at some of them. */
struct script {
        uint64_t packets; /* how many, then the end */
        uint64_t at;      /* handed out so far */
        uint64_t idle_at; /* once, before this packet, there is nothing; 0 never */
        bool idle_done;
        uint64_t damage_at; /* here the trace is damaged; 0: nowhere */
        uint64_t long_at;   /* this packet has long_bytes; 0: none */
        uint32_t long_bytes;
        uint32_t width;         /* packets of one batch at the most; 0: as many as are asked for */
        uint32_t needs;         /* a driver that is wrong: nothing comes, and this many bytes are needed */
        uint64_t lost, if_lost; /* what the driver says it has lost */
        int down;
        void (*hook)(struct script *s); /* called in every recv */
        void *context;
        /* what happened */
        unsigned lent, closed, needed;
        uint8_t *bytes[MAPI_BATCH_MAX];
};

/** An engine, one device, and what a session would have. */
struct bench {
        struct quota quota;
        struct segments *segments;
        struct engine *engine;
        struct device *device;
        struct script script;
        struct flow_home home;
};

/** offline: a trace, otherwise a live device. */
void bench_init(struct bench *b, uint64_t packets, bool offline);
/** All flows must be gone. */
void bench_fini(struct bench *b);

/** An engine whose device is made later. */
struct engine *bench_engine(uint64_t seed);
struct device *bench_device(struct engine *e, struct script *s, bool offline);

struct flow *bench_flow(struct bench *b);
struct instance *bench_apply(struct flow *f, const struct mapi_function *def, const struct mapi_value *values,
                             uint32_t n, struct instance *const *refs, uint32_t nrefs);
struct instance *bench_plain(struct flow *f, const char *name);
struct instance *bench_filter(struct flow *f, const char *expression);
struct instance *bench_stats(struct flow *f, struct instance *of, const char *ticks);
void bench_connect(struct flow *f);

/** Detaches, finishes and frees; no worker runs. */
void bench_close(struct flow *f);

enum mapi_flow_status bench_status(const struct flow *f);

/** Steps until it says something else than WORKED. */
enum engine_state bench_run(struct bench *b);

/** A reader of a ring, for the whole test. */
void bench_map(struct ring_reader *r, const struct instance *in);

/* * Reads all that is there; checks that it is the packets [*next ..) of the device. Returns the state at the
   end. */
enum ring_state bench_read(struct ring_reader *r, uint64_t *next);

unsigned bench_descriptors(void);

/** What the engine thinks the time is. */
#define BENCH_NOW 1234567u

#endif
