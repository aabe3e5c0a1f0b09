/*
 * The engine inside a process: the world that it needs, one thread for each device and one for each file being written.
 * All threads have their signals blocked, so programs that sleep, poll or handle signals notice nothing of them.
 *
 * Closing a flow must work in a signal handler that interrupted malloc or anything else: the closing thread neither
 * allocates from nor frees to malloc. Drivers do, so a device is closed by its own thread, and nobody waits long for that.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef CLIENT_EMBEDDED_H
#define CLIENT_EMBEDDED_H

#include "base/siglock.h"
#include "client/backend.h"
#include "engine/engine.h"
#include "session/session.h"

#include <stdatomic.h>

struct embedded;

/** A device and its thread. Structs are used again, their memory is never given back: late readers find it mapped. */
struct embedded_device {
        struct embedded_device *next;
        struct embedded *owner;
        char name[MAPI_STR_LENGTH];
        int number;   /* negative: an offline device */
        bool deleted; /* or private: goes with its last flow */
        bool in_use;
        uint32_t users;   /* calls that wait on it without the lock */
        uint32_t holders; /* of them, those that want no step to be made */
        struct device *device;
        int wake_fd;              /* eventfd: kicks the thread */
        int source_fd;            /* the driver's descriptor, for the child of a fork */
        _Atomic uint32_t stop;    /* see embedded_device.c; a futex word too */
        _Atomic uint32_t waiters; /* on .passed */
        uint32_t passed;          /* futex word: counts steps while somebody waits */
        uint32_t gone;            /* futex word: 1 when the thread will touch nothing of this any more */
};

/** A file and its thread. */
struct embedded_writer {
        struct embedded_writer *next;
        struct embedded *owner;
        struct embedded_device *device;
        struct sink *sink;
        int flow;
        bool in_use;
        _Atomic uint32_t stop;
        uint32_t gone;
};

/** A close that is under way: the flow is unknown to the session and out of its device's plan. On the stack of who does it. */
struct embedded_closing {
        struct embedded_closing *next;
        struct flow *flow;
        struct embedded_device *device; /* kept by one of its .users */
        pthread_t thread;
        bool finished; /* its functions have said their last */
};

struct embedded {
        struct siglock lock;
        struct arena *arena;
        struct engine *engine;
        struct session *session;
        struct embedded_device *devices;
        struct embedded_writer *writers;
        struct embedded_closing *closing;
        int last_device;
        uint32_t drained; /* futex word: counts what writers have done while somebody waits */
        _Atomic uint32_t drained_waiters;
};

/** The flow, with the lock taken; NULL with the error set and the lock given back. */
struct flow *embedded_lock_flow(struct embedded *e, int fd, sigset_t *ret_mask, struct mapi_error *err);

/* ---- closing (embedded_close.c) --------------------------------------------------------------------------------- */

/** Notes a close under the lock, in which the session gave the flow up; then, without the lock, does the rest of it. */
void embedded_closing_begin(struct embedded *e, struct embedded_closing *c, struct flow *f,
                            struct embedded_device *d);
int embedded_closing_end(struct embedded *e, struct embedded_closing *c, struct mapi_error *err);

/** Calls of struct backend. */
int embedded_close_flow(void *state, int fd, struct mapi_error *err);
void embedded_close(void *state);

/* ---- information (embedded_info.c): calls of struct backend --------------------------------------------------- */

int embedded_flow_info(void *state, int fd, bool next, mapi_flow_info_t *ret, struct mapi_error *err);
int embedded_function_info(void *state, int fd, int fid, bool next, mapi_function_info_t *ret,
                           struct mapi_error *err);
int embedded_device_info(void *state, int id, bool next, mapi_device_info_t *ret, struct mapi_error *err);
int embedded_library_info(void *state, int library, mapi_lib_info_t *ret, struct mapi_error *err);
int embedded_libfunct_info(void *state, int library, int number, mapi_libfunct_info_t *ret,
                           struct mapi_error *err);
int embedded_stats(void *state, const char *device, struct mapi_stat *ret, struct mapi_error *err);

/* ---- devices (embedded_device.c) --------------------------------------------------------------------------- */

/** Adds an opened source and starts its thread, which does nothing until the device is started. Under the lock. */
int embedded_device_new(struct embedded *e, const struct capture *c, const char *name, int source_fd,
                        bool private_device, struct embedded_device **ret, struct mapi_error *err);

struct embedded_device *embedded_device_find(struct embedded *e, const char *name);
struct embedded_device *embedded_device_of(struct embedded *e, const struct device *d);

void embedded_kick(struct embedded_device *d);

/** Waits until no step uses an older plan. Without the lock; the device is kept by .users. */
void embedded_wait_settled(struct embedded_device *d);

/** Waits until no step is under way. Without the lock, the device held. */
void embedded_wait_quiet(struct embedded_device *d);

/** Lets the device go if it has no flows, no users and is not wanted any more. Under the lock. Returns true if its thread is ending. */
bool embedded_device_let_go(struct embedded_device *d);

/** Waits a moment for the thread's end. Without the lock. */
void embedded_wait_gone(struct embedded_device *d);

/* ---- writers (embedded_writer.c) ----------------------------------------------------------------------------- */

/** Starts the thread of a sink. Under the lock. */
int embedded_writer_new(struct embedded *e, struct embedded_device *d, int flow, struct sink *sink,
                        struct mapi_error *err);

/**
 * Waits until the files of a finished flow are complete, as long as that makes progress; then ends their threads. Without the lock.
 * Returns true if all threads have ended: the flow may be freed
 */
bool embedded_writers_end(struct embedded *e, struct flow *f);

/* ---- threads -------------------------------------------------------------------------------------------------- */

/** A detached thread without signals. 0 or -1100. */
int embedded_thread(void *(*run)(void *), void *argument, struct mapi_error *err);

#endif
