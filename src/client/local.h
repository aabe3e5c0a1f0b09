/*
 * The local backend: mapid over its Unix socket.
 *
 * One connection. A thread of ours receives everything and hands answers by their ids to those who wait, each in a slot of
 * its own. Who waits holds no lock, and nothing here allocates from malloc: a signal handler that has interrupted a call may
 * make another one, even if it has also interrupted malloc. What the state itself knows is changed under one lock, with
 * signals blocked, for moments: descriptors are received, stored and closed under it, so that fork() finds all of them.
 *
 * What is needed to make flows anew (the recipe) is kept for every device, flow and function. When mapid goes away the
 * receiving thread waits for its return and makes everything anew (local_return.c).
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef CLIENT_LOCAL_H
#define CLIENT_LOCAL_H

#include "backend/backend.h"
#include "base/arena.h"
#include "base/siglock.h"
#include "protocol/message.h"

#include <stdatomic.h>

enum {
        LOCAL_SLOTS = 256,      /* requests without an answer, at the same time */
        LOCAL_BUCKETS = 256,    /* of the table of flows */
        LOCAL_PLACES = 1 << 16, /* functions of one flow that an answer may name */
        LOCAL_NAMES = 4096,     /* schemas that are remembered */
        LOCAL_PATH = 4096,
        LOCAL_WHY = 256 /* why something was lost */
};

/** How long to wait, in milliseconds. A state takes what stands here when it is opened; only tests change it. */
struct local_times {
        int backoff_first; /* before the second try to connect; doubled for each further one */
        int backoff_max;
        int retry;    /* between tries to make lost flows of live devices anew */
        int open;     /* for mapid to accept and to greet */
        int returned; /* for flows to be made anew, in calls that come meanwhile */
        int close;    /* for each file to be completed, at the end of the process */
};
extern struct local_times local_times;

/* ---- requests under way (local_slot.c) -------------------------------------------------------------------- */

enum local_slot_state { SLOT_IDLE, SLOT_WAITING, SLOT_ANSWERED, SLOT_LOST, SLOT_GARBAGE };

/** An answer that came in a memfd, and the memory into which it was unpacked. */
struct local_large {
        const uint8_t *mem;
        uint64_t size_bytes;
        void *pool;
        size_t pool_bytes;
};

/** Slots are made when first needed, used again, and given back with the state. */
struct local_slot {
        _Atomic uint32_t taken;
        _Atomic uint32_t state; /* futex word; enum local_slot_state */
        unsigned index;
        uint64_t id;
        uint64_t serial;
        _Atomic bool closes; /* it is a CloseFlow: the end of the process waits for it */
        uint8_t *buf;        /* PROTOCOL_MESSAGE_MAX: the request, then its answer */
        struct protocol_pool pool;
        struct protocol_received received;
        struct local_large large;
};

/* ---- recipes (local_recipe.c) ------------------------------------------------------------------------------ */

/** What a device or a private flow reads. */
struct local_source {
        char *driver, *name, *options;
        bool has_file;
        char *path; /* absolute; NULL: it cannot be opened again */
};

struct local_device {
        struct local_device *next;
        struct arena *arena;               /* this lies in it */
        char name[MAPI_STR_LENGTH];        /* as the program knows it */
        char server_name[MAPI_STR_LENGTH]; /* as mapid calls it now */
        struct local_source source;
        unsigned flows;
        bool started;
        bool deleted; /* stays known as long as flows do: they are made anew on it */
        bool remade;  /* after it was deleted: to be deleted again */
        bool lost;
        char why[LOCAL_WHY];
};

struct local_value {
        char letter;
        const char *text; /* NULL: none was given */
        long long num;
        unsigned long long u64;
        const char *path; /* w: absolute; NULL: cannot be opened again */
};

struct local_function {
        struct local_function *prev, *next; /* of all flows, in the order of application */
        struct arena *arena;                /* this lies in it */
        struct local_flow *flow;
        int fid;
        char *name;
        unsigned n;
        struct local_value value[MAPI_ARGS_MAX];
};

struct local_flow {
        struct local_flow *prev, *next; /* in the order of their numbers */
        struct local_flow *same;        /* in the table */
        struct arena *arena;            /* this lies in it */
        int number;
        struct local_device *device; /* an offline one of ours, or NULL */
        char *device_name;           /* a device of mapid's, or NULL: private */
        struct local_source source;  /* of a private one */
        bool connected;
        bool files;   /* among its arguments */
        bool busy;    /* being made anew: nobody but the receiving thread frees it or changes its functions */
        bool closed;  /* by the program; the receiving thread has the rest to do */
        bool trying;  /* busy, and all went well so far */
        bool made;    /* busy, and mapid has it */
        bool lost;    /* mapid does not have it */
        bool hopeful; /* lost, but may be tried again while mapid lives */
        char why[LOCAL_WHY];
        struct arena *places; /* those below lie in it */
        struct backend_place status, *place;
        unsigned nplaces;
        int kick_fd;       /* -1: none */
        bool never_blocks; /* a ring of it came without a descriptor to kick: its worker does not wait for room */
        int event_fd;      /* -1: none */
};

/* ---- the state --------------------------------------------------------------------------------------------- */

/** A schema that has been asked for. */
struct local_name {
        struct local_name *next;
        char *name;
        struct backend_function function;
        uint32_t life; /* valid in this one only */
};

struct local {
        struct arena *arena;    /* this lies in it */
        _Atomic uint32_t users; /* calls inside, the thread, and 1 until closed: the last one frees it */
        struct siglock lock;
        char path[108];
        struct local_times times;

        _Atomic uint32_t epoch; /* futex word, see backend.h */
        _Atomic uint32_t stop;  /* closed */
        _Atomic uint32_t gone;  /* futex word: the thread has ended */
        int wake_fd;            /* wakes the thread */

        /* under the lock */
        int socket;         /* -1: none */
        bool alive;         /* requests may be sent */
        bool returning;     /* flows are being made anew */
        bool shutting_down; /* mapid has said so */
        uint32_t life;      /* counts connections that were lost */

        _Atomic size_t message_max; /* limits of this mapid */
        _Atomic size_t string_max;
        _Atomic uint32_t slots_max;

        _Atomic(struct local_slot *) slot[LOCAL_SLOTS];
        _Atomic uint32_t freed; /* futex word: counts slots given back while somebody waits for one */
        _Atomic uint32_t slot_waiters;

        struct local_name *names; /* under the lock; never freed before the end */
        unsigned nnames;
        struct local_device *devices;
        struct local_flow *flows, *last_flow;
        struct local_flow *bucket[LOCAL_BUCKETS];
        struct local_function *functions, *last_function;

        /* the receiving thread's own */
        struct protocol_received in;
        uint8_t *in_buf, *out_buf;
        struct protocol_pool pool;
        struct local_large large;
        uint64_t own_id; /* of its request under way */
        uint64_t own_serial;
};

/** For the time of a call: `struct local *l LOCAL_CALL = local_enter(state);` */
struct local *local_enter(void *state);
void local_leave(struct local **l);
#define LOCAL_CALL __attribute__((cleanup(local_leave)))

/** An envelope with this body: LOCAL_BODY(e, CLOSE_FLOW, close_flow, &message). */
#define LOCAL_BODY(e, BODY, field, message)                                                                       \
        do {                                                                                                      \
                (e).body_case = MAPI__ENVELOPE__BODY_##BODY;                                                      \
                (e).field = (message);                                                                            \
        } while (0)

/** A request and its answer, which is valid until local_done(). */
struct local_call {
        struct local *l;
        struct local_slot *slot;
        Mapi__Envelope *answer;
        uint32_t life; /* in which it was asked */
        bool only;     /* it means something in this life only: set both before */
        bool lost;     /* mapid was away, or went away before it had answered */
        bool closes;
        int timeout_ms; /* 0: none */
};

/**
 * Sends a request and waits for its answer. flow: not 0, the flow that it is about; if that is lost the call fails. fds are
 * borrowed. The answer has the body `wanted`, and as many descriptors as that one brings.
 * Returns  0; -5123, -5121, -9000, -6140 or what mapid says. local_done() in any case.
 */
int local_ask(struct local *l, struct local_call *c, Mapi__Envelope *e, int flow, const int *fds, unsigned nfds,
              Mapi__Envelope__BodyCase wanted, struct mapi_error *err);
void local_done(struct local_call *c);

/** While flows are being made anew: waits for it, times.returned at most. Returns with the lock taken. */
void local_settle(struct local *l, sigset_t *ret_mask);

/** A descriptor of the answer, taken out of it; those behind it move up. */
int local_take_fd(struct local_call *c, unsigned i);

/**
 * Unpacks what came, maps it first if it is large, and looks whether it is the answer that was wanted with as many
 * descriptors. 0, or the code, err filled.
 */
int local_unpack(struct protocol_pool *pool, struct local_large *large, const uint8_t *buf,
                 const struct protocol_received *r, Mapi__Envelope__BodyCase wanted, unsigned nfds,
                 Mapi__Envelope **ret, struct mapi_error *err);
void local_large_free(struct local_large *large);
/** How many descriptors the answer to a request must bring. */
unsigned local_fds_of(const Mapi__Envelope *request);

/** Under the lock: gives what came to whom it belongs. 1: it is the thread's own; 0; -1: nobody can say whose it is. */
int local_dispatch(struct local *l, int received);
/** Under the lock: all who wait are told that nothing will come. */
void local_slots_lost(struct local *l);
/** Waits until the answers to all CloseFlow under way are there, times.close at most. */
void local_slots_await_closes(struct local *l);
void local_slots_free(struct local *l);
/** fork: closes what has been received. */
void local_slots_abandon(struct local *l);

/* ---- the connection (local_socket.c) ------------------------------------------------------------------------- */

/** Connects and greets; *ret_again (may be NULL): mapid lives, but is too busy to accept. 0 or -5124. */
int local_dial(struct local *l, bool *ret_again, struct mapi_error *err);
/**
 * The receiving thread's requests. Meanwhile everybody else gets his answers.
 * Returns  0 and an answer of this kind, valid until the next request; 1: mapid refuses, see err; -5123: the connection is gone,
 *          or we are to stop
 */
int local_own(struct local *l, Mapi__Envelope *e, const int *fds, unsigned nfds, Mapi__Envelope__BodyCase wanted,
              int timeout_ms, Mapi__Envelope **ret, struct mapi_error *err);
/** Nothing is there any more: closes the socket. Under the lock. */
void local_hang_up(struct local *l);
/** Sleeps until told to stop; false: the time is over. */
bool local_nap(struct local *l, int timeout_ms);
void *local_thread(void *state);
void local_wake_word(_Atomic uint32_t *word);
uint64_t local_now_ms(void);

/* ---- recipes: all under the lock but for ..._new -------------------------------------------------------------- */

struct local_device *local_device_new(const struct backend_source *source);
struct local_device *local_device_find(struct local *l, const char *name);
/** Enters it under a name of its own, which is the server's unless that one is taken. */
void local_device_link(struct local *l, struct local_device *d, const char *server_name);
void local_device_free(struct local *l, struct local_device *d);
/** One that was never entered. Without the lock. */
void local_device_drop(struct local_device *d);
/** The name by which the program knows a device of this server's name. */
const char *local_device_ours(struct local *l, const char *server_name);

struct local_flow *local_flow_new(const char *device, const struct backend_source *source);
struct local_flow *local_flow_find(struct local *l, int number);
/** -1: there is one of this number. */
int local_flow_link(struct local *l, struct local_flow *f, int number);
/** With all functions and descriptors. A deleted device of ours that has no flow any more goes with it. */
void local_flow_free(struct local *l, struct local_flow *f);
void local_flow_drop(struct local_flow *f);
/** Everything about a flow whose source is a trace, so that it is read again from its start. */
bool local_flow_offline(const struct local_flow *f);

struct local_function *local_function_new(const char *name, const struct mapi_value *values, unsigned n,
                                          const struct mapi_arg_spec *args);
void local_function_link(struct local *l, struct local_flow *f, struct local_function *fn, int fid);
void local_function_free(struct local *l, struct local_function *fn);
void local_function_drop(struct local_function *fn);

/** Fills the message that applies it. ret_values, ret_pointers: MAPI_ARGS_MAX. */
void local_function_message(const struct local_function *fn, int flow, Mapi__Apply *ret, Mapi__Value *ret_values,
                            Mapi__Value **ret_pointers);
void local_source_message(const struct local_source *s, Mapi__Source *ret);

/** Where a flow's results are. 0, -5121 or -3084; f unchanged then. */
int local_places_set(struct local_flow *f, const Mapi__Connected *c, struct mapi_error *err);

/** Opens a source again; *ret_fd is -1 if it needs none. 0, or -1: why (LOCAL_WHY bytes) says why not. */
int local_source_open(const struct local_source *s, int *ret_fd, char *why);
/** Opens a file argument again: anew for a trace, a new file beside it otherwise. Likewise. */
int local_file_open(const struct local_value *v, bool anew, int *ret_fd, char *why);

/* ---- flows (local_flow.c) ------------------------------------------------------------------------------------------ */

/** A request that closes a flow. */
int local_ask_close(struct local *l, struct local_call *c, int number, struct mapi_error *err);
int local_went_away(const struct local *l, struct mapi_error *err);

int local_flow_create(void *state, const char *device, struct mapi_error *err);
int local_flow_create_private(void *state, const struct backend_source *source, struct mapi_error *err);
int local_apply(void *state, int fd, const char *name, const struct mapi_value *values, unsigned n,
                struct mapi_error *err);
int local_connect(void *state, int fd, struct mapi_error *err);
int local_close_flow(void *state, int fd, struct mapi_error *err);
int local_place(void *state, int fd, unsigned i, struct backend_place *ret, struct mapi_error *err);
int local_status_place(void *state, int fd, struct backend_place *ret, struct mapi_error *err);
int local_segment(void *state, uint32_t segment, size_t *ret_size, struct mapi_error *err);
int local_ring(void *state, int fd, int fid, struct backend_ring *ret, struct mapi_error *err);
int local_waiting(void *state, int fd, int fid, struct mapi_error *err);
void local_kick(void *state, int fd);
int local_event_fd(void *state, int fd, struct mapi_error *err);

/* ---- schemas (local_describe.c) ---------------------------------------------------------------------------------- */

int local_describe(void *state, int fd, const char *name, struct backend_function *ret, struct mapi_error *err);

/* ---- going away and coming back (local_return.c) ------------------------------------------------------------------ */

/** The connection is lost. */
void local_away(struct local *l);
/** Connected again: makes everything anew. -1: the connection was lost again. */
int local_return(struct local *l);
/** Tries the lost flows of live devices once more. -1: the connection is lost. */
int local_retry(struct local *l);
/** Is there a flow that could be tried again? */
bool local_hopeful(struct local *l);
/** A descriptor of results/event.h, or one like it: nothing else, and never waiting. */
bool local_event_check(int fd);

/* ---- information (local_info.c) ------------------------------------------------------------------------------------ */

int local_trace_error(void *state, int fd, struct mapi_error *err);
int local_file_error(void *state, int fd, int fid, struct mapi_error *err);
int local_flow_info(void *state, int fd, bool next, mapi_flow_info_t *ret, struct mapi_error *err);
int local_function_info(void *state, int fd, int fid, bool next, mapi_function_info_t *ret,
                        struct mapi_error *err);
int local_device_info(void *state, int id, bool next, mapi_device_info_t *ret, struct mapi_error *err);
int local_library_info(void *state, int library, mapi_lib_info_t *ret, struct mapi_error *err);
int local_libfunct_info(void *state, int library, int number, mapi_libfunct_info_t *ret, struct mapi_error *err);
int local_stats(void *state, const char *device, struct mapi_stat64 *ret, struct mapi_error *err);
int local_flow_stats(void *state, int fd, struct mapi_stat64 *ret, struct mapi_error *err);

#endif
