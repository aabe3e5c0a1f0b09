/* Devices and flows as src/engine sees them. SPDX-License-Identifier: BSD-2-Clause */
#ifndef ENGINE_INTERNAL_H
#define ENGINE_INTERNAL_H

#include "engine/engine.h"

#include <stdatomic.h>

enum { FUNCTIONS_PER_FLOW_MAX = 256 };

struct engine {
        struct arena *arena;
        struct engine_options options;
        int last_flow;
};

struct device {
        /* handed from control to worker */
        _Atomic(struct graph *) plan;
        _Atomic uint64_t plan_number; /* counts publications */
        _Atomic uint32_t started;
        _Atomic uint32_t held;
        _Atomic uint32_t end_wanted; /* reading stops, the flows finish */
        /* handed from worker to control */
        _Alignas(64) _Atomic uint32_t busy; /* inside engine_step() */
        _Atomic uint64_t seen_number;       /* the publication that it runs */
        _Atomic uint32_t blocked;
        _Atomic uint32_t finished;
        /* the worker's */
        _Alignas(64) uint64_t running; /* generation of the plan it has taken up */
        bool ended;                    /* recv has said END or damage */
        bool waiting_for_room;
        struct mapi_error error;         /* written before .finished is */
        struct mapi_driver_stats at_end; /* likewise: what is lost after the end of reading is nobody's affair */
        struct capture capture;
        struct mapi_batch batch;
        /* control */
        struct engine *engine;
        struct arena *arena;
        int number;
        char *name;
        struct flow *flows;    /* connected ones, by number */
        uint32_t nflows;       /* all of them */
        struct graph *retired; /* plans that were replaced and may still be in use */
        uint64_t generations;
};

enum flow_state { FLOW_NEW, FLOW_CONNECTED, FLOW_DETACHED, FLOW_ZOMBIE };

struct flow {
        struct flow *next; /* in device.flows */
        struct device *device;
        struct arena *arena;
        struct flow_home home;
        int number;
        int last_fid;
        enum flow_state state;
        struct segment_place place; /* struct results_flow */
        struct instance *fn[FUNCTIONS_PER_FLOW_MAX];
        uint32_t n;
        struct flow_mark *mark;
        int event_fd; /* owned; -1: none */
        /* account: the worker's, and read while the device is held and quiet */
        struct flow_account account;
        bool taken_up;                        /* a plan with this flow has run */
        uint64_t packets_before;              /* of the device, when it was taken up */
        struct mapi_driver_stats lost_before; /* control: when it was connected */
};

/** What the driver has received and lost; the latter stands still from the end of reading on. Any thread. */
void device_stats(const struct device *d, struct mapi_driver_stats *ret);

/** Compiles the plan of the connected flows and publishes it. */
int device_publish(struct device *d, struct mapi_error *err);

#endif
