/* Devices, writers and sessions of a host, as src/host sees them. SPDX-License-Identifier: BSD-2-Clause */
#ifndef HOST_INTERNAL_H
#define HOST_INTERNAL_H

#include "host/calls.h"
#include "host/host.h"

#include "base/siglock.h"
#include "engine/engine.h"
#include "session/session.h"

#include <stdatomic.h>

/** A device and its thread. Structs are used again, their memory is never given back: late readers find it mapped. */
struct host_device {
        struct host_device *next;
        struct host *host;
        struct host_session *session; /* whose; NULL: everybody's, a live one */
        char name[MAPI_STR_LENGTH];
        int number;  /* negative: an offline device */
        bool wanted; /* stays without flows, until it is deleted */
        bool named;  /* flows can be created on it by its name */
        bool naps;   /* MAPI_DRV_NAPS */
        bool in_use;
        uint32_t users;   /* calls that wait on it without the lock */
        uint32_t holders; /* of them, those that want no step to be made */
        struct device *device;
        int wake_fd; /* results/event.h: kicks the thread */
        _Atomic int
                kick_fd; /* so does this one, which the client has, too, and may do anything with; -1: none yet */
        int source_fd;   /* the driver's descriptor, for the child of a fork */
        _Atomic uint32_t stop;    /* see device.c; a futex word too */
        _Atomic uint32_t waiters; /* on .passed */
        uint32_t passed;          /* futex word: counts steps while somebody waits */
        uint32_t gone;            /* futex word: 1 when the thread will touch nothing of this any more */
};

/** A file and its thread. */
struct host_writer {
        struct host_writer *next;
        struct host *host;
        struct host_device *device;
        struct sink *sink;
        int flow;
        bool in_use;
        _Atomic uint32_t stop;
        uint32_t gone;
};

/** A close that is under way: the flow is unknown to its session and out of its device's plan. In the memory of who does it. */
struct host_closing {
        struct host_closing *next;
        struct host_session *session;
        struct flow *flow;
        struct host_device *device; /* kept by one of its .users */
        pthread_t thread;
        bool finished; /* its functions have said their last */
};

/** A closed flow whose file hangs in the kernel: it is freed when that ends. In the arena of its session. */
struct host_stuck {
        struct host_stuck *next;
        struct flow *flow;
        struct host_device *device;
};

/** One client. */
struct host_session {
        struct host *host;
        struct host_session *next;
        struct arena *arena;
        struct session *session;
        uint32_t devices_max;
        uint32_t stuck; /* closed flows whose file hangs in the kernel */
        struct host_stuck *stuck_flows;
        bool left; /* nobody needs it but those */
        bool ended;
};

struct host {
        struct siglock lock;
        struct siglock opening; /* of live devices, one after the other */
        struct arena *arena;
        struct engine *engine;
        struct host_world world;
        const struct session_library *libraries;
        struct quota quota;
        struct host_session *sessions;
        struct host_device *devices;
        struct host_writer *writers;
        struct host_closing *closing;
        int last_device; /* offline ones */
        int last_flow;
        uint32_t drained; /* futex word: counts what writers have done while somebody waits */
        _Atomic uint32_t drained_waiters;
};

/** The flow of this session, with the lock taken; NULL with the error set and the lock given back. */
struct flow *host_lock_flow(struct host_session *s, int fd, sigset_t *ret_mask, struct mapi_error *err);

/* ---- closing (close.c) --------------------------------------------------------------------------------------- */

/** Notes a close under the lock, in which the session gave the flow up; then, without the lock, does the rest of it. */
void host_closing_begin(struct host_closing *c, struct host_session *s, struct flow *f, struct host_device *d);
int host_closing_end(struct host_closing *c, long stuck_ms, struct mapi_error *err);

/** Frees a session that has ended but for its arena, where it lies itself: that is returned. Under the lock. */
struct arena *host_session_unlink(struct host_session *s);

/** Frees the flows whose files hang no more, and the sessions that were waiting for that. */
void host_reclaim(struct host *h);

/** How long a file may make no progress before a close gives up on it. */
enum { HOST_STUCK_MS = 5000 };

/* ---- devices (device.c) -------------------------------------------------------------------------------------- */

/** What a new device is to be. */
struct host_device_plan {
        const char *name;
        struct host_session *session; /* NULL: a live one */
        int number;                   /* of a live one; 0: the next offline one */
        int source_fd;
        bool named, wanted;
};

/** Adds an opened source and starts its thread; an offline one does nothing until it is started. Under the lock. */
int host_device_new(struct host *h, const struct capture *c, const struct host_device_plan *plan,
                    struct host_device **ret, struct mapi_error *err);

/** One on which this session may create a flow; one of everybody's that is open. Under the lock. */
struct host_device *host_device_find(const struct host_session *s, const char *name);
struct host_device *host_device_of(struct host *h, const struct device *d);

void host_kick(struct host_device *d);

/** Waits until no step uses an older plan. Without the lock; the device is kept by .users. */
void host_wait_settled(struct host_device *d);

/** Waits until no step is under way. Without the lock, the device held. */
void host_wait_quiet(struct host_device *d);

/** Between these two no step is made: the lock is taken by both and held in between; .users keeps the device while waiting. */
void host_hold(struct host_device *d, sigset_t *mask);
void host_unhold(struct host_device *d);

/** Lets the device go if it has no flows, no users and is not wanted any more. Under the lock. Returns true if its thread is ending. */
bool host_device_let_go(struct host_device *d);

/** The same, and waits a moment for the thread's end. Gives the lock back. */
void host_device_let_go_and_wait(struct host_device *d, const sigset_t *mask);

/** Waits a moment for the thread's end. Without the lock. */
void host_wait_gone(struct host_device *d);

/* ---- writers (writer.c) ---------------------------------------------------------------------------------------- */

/** Starts the thread of a sink. Under the lock. */
int host_writer_new(struct host *h, struct host_device *d, int flow, struct sink *sink, struct mapi_error *err);

/**
 * Waits until the files of a finished flow are complete, as long as there is progress every stuck_ms; then ends their threads. Without
 * the lock.
 * Returns true if all threads have ended: the flow may be freed
 */
bool host_writers_end(struct host *h, struct flow *f, long stuck_ms);

/** Whether the threads that write a closed flow's files have ended; then they are forgotten. Under the lock. */
bool host_writers_gone(struct host *h, const struct flow *f);

/* ---- threads -------------------------------------------------------------------------------------------------- */

/** A detached thread without signals. 0 or -1100. */
int host_thread(void *(*run)(void *), void *argument, struct mapi_error *err);

#endif
