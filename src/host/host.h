/*
 * The engine in a process: the world that it needs (threads, files, clocks), and the clients that it serves.
 *
 * A host has one thread for each device and one for each file being written, all with their signals blocked. Each client is a
 * session with flows, offline devices and limits of its own; what a session asks for are the calls of struct backend, with
 * the session as their state. They may be called from any thread and wait for what takes time, never holding the
 * host's lock meanwhile. The embedded backend is a host with one session, mapid one with a session for each connection.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef HOST_HOST_H
#define HOST_HOST_H

#include "capture/capture.h"
#include "backend/backend.h"
#include "filter/filter.h"
#include "session/limits.h"

#include <sys/types.h>

/* mapid takes these from libmapi-engine, where everything else is hidden. */
#pragma GCC visibility push(default)

struct host;
struct host_session;
struct session_library;

/** A live device, as it is known before it is opened. */
struct host_live {
        int id; /* > 0; stays the same as long as the host lives */
        char device[MAPI_STR_LENGTH];
        char alias[MAPI_STR_LENGTH];
        char description[1024];
        char driver[64]; /* as it is shown */
        uint32_t link_speed_mbit;
        int mpls, vlan;
};

enum host_event { HOST_DEVICE_DOWN = 1, HOST_DEVICE_UP };

/** What the embedder knows and can do. All calls from any thread, without a lock of the host; NULL: nothing of the kind. */
struct host_world {
        void *context;
        /** The live device of this name or alias. 0, or -3200. */
        int (*find_live)(void *context, const char *name, struct host_live *ret, struct mapi_error *err);
        /** Whether new flows may use this live device, which is open; the configuration may have taken it away. NULL: they may. */
        bool (*offers)(void *context, const char *device);
        /** The live device with this id, or with the smallest one above it. 0, or -6157. */
        int (*list_live)(void *context, int id, bool next, struct host_live *ret, struct mapi_error *err);
        /** Opens it. 0, or -code. */
        int (*open_live)(void *context, const struct host_live *live, struct capture *ret, struct mapi_error *err);
        /** A device in use has stopped or begun to deliver. From its own thread: must not wait. */
        void (*event)(void *context, enum host_event event, const char *device);
        /** A flow has got this number, the highest so far. Under the lock: must not wait. */
        void (*numbered)(void *context, int flow);
};

struct host_options {
        struct host_world world;
        struct filter_compiler compiler; /* .compile NULL: filters are compiled by the calling thread */
        uint64_t seed;
        bool count_functions;
        int last_flow; /* numbers go on behind this one */
        const struct session_library *
                libraries; /* in the order of their ids, as long as the host lives; NULL: the tables in the engine */
        size_t memory_bytes; /* of all sessions together; 0: as much as they may have by themselves */
};

/** NULL: no memory. */
struct host *host_new(const struct host_options *options);

/** Frees a host whose sessions have ended. */
void host_free(struct host **h);

/** A new client. NULL: no memory. */
struct host_session *host_session_new(struct host *h, const struct session_limits *limits, uid_t uid);

/**
 * The client has gone: its flows are closed as if it had done so (files are completed, as long as that makes progress), its
 * devices deleted. Nothing can be created from here on; calls that are under way in other threads end by themselves.
 */
void host_session_end(struct host_session *s);

/** Frees a session that has ended, when no call is in it any more. */
void host_session_free(struct host_session **s);

/** The calls of struct backend, with a struct host_session as their state: all but open, close, epoch, await and those around fork. */
extern const struct backend host_calls;

struct host *host_of(struct host_session *s);

/** As flow_create and flow_create_private; wanted: the number that the flow had in an earlier life of the host. 6145: it has been given away. */
int host_return_flow(void *state, const char *device, int wanted, struct mapi_error *err);
int host_return_private(void *state, const struct backend_source *source, int wanted, struct mapi_error *err);

/** A descriptor (results/event.h) that wakes the worker of an offline device of this flow; the caller closes it. -1: there is none. */
int host_kick_fd(void *state, int fd);

/** Around fork(): everything at rest, on again, and in the child: descriptors closed, nothing else touched. */
void host_fork_prepare(struct host *h);
void host_fork_parent(struct host *h);
void host_fork_child(struct host *h);

/** A driver of the engine, or NULL; opening a source with one of them, as capture_open(). */
const struct mapi_driver *host_driver(const char *name);
int host_open_source(const char *driver, const struct mapi_source *src, struct capture *ret,
                     struct mapi_error *err);

/** filter_translate(), for a process that compiles filters. */
int host_translate_filter(const char *text, uint16_t linktype, uint32_t snaplen, struct filter_program *ret,
                          struct mapi_error *err);

/** Seeds, from MAPI_SEED or the kernel; and half of the machine's memory, in bytes. */
uint64_t host_seed(void);
size_t host_half_of_memory(void);

#pragma GCC visibility pop

#endif
