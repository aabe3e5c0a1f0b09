/*
 * libmapi's own side: sessions, the table of flows, what readers have mapped, and the calling thread's error.
 *
 * Reading (mapi_read_results, mapi_get_next_pkt) takes no lock and makes no system call: a flow is found in a
 * table whose entries count their users, and is freed by the last of them. Everything else takes one lock for
 * moments, with signals blocked, and never while it calls a backend; so a signal handler may call
 * mapi_close_flow().
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include "base/arena.h"
#include "backend/backend.h"
#include "results/reader.h"
#include "results/ring_reader.h"

#include <signal.h>
#include <stdatomic.h>

/* ---- errors of the calling thread ------------------------------------------------------------------------- */

/** Stores an error for mapi_read_error(); the sentence of the list alone, or that of `err`. Returns -1. */
int client_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
int client_fail_with(const struct mapi_error *err);
void client_clear_error(void);
int client_error_code(void);

/** Says on standard error what was chosen and why, if MAPI_DEBUG=1. */
void client_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- the process ------------------------------------------------------------------------------------------- */

/** The lock of everything here that is not atomic. Held for moments only, never around a call of a backend. */
void client_lock(sigset_t *ret_mask);
void client_unlock(const sigset_t *mask);

/** True once anything has been created or asked for (the calls that may come first). Otherwise stores 6141. */
bool client_ready(void);
void client_set_ready(void);

/* ---- sessions
 * ------------------------------------------------------------------------------------------------ */

enum {
        SESSIONS_MAX = 64,   /* of mapi_session_open(), in one process */
        SEGMENTS_MAX = 4096, /* of one session */
        AWAY_LOOK_MS =
                500 /* how long a reader sleeps at most before it looks whether its backend is still there */
};

struct client_flow;
struct client_segment;

/** A backend of its own with flows and mapped results. Counts its users; the last one closes the backend and
 * frees it. */
struct client_session {
        const struct backend *ops;
        void *state;
        const _Atomic uint32_t *epoch; /* of the backend */
        bool local;                    /* mapid: it may go away and come back */
        bool free_choice;              /* nobody asked for this backend by name */
        int number;                    /* 0: the program's own */
        char refused[384];             /* embedded: why mapid does not answer, although there is a socket */
        struct arena *arena;           /* holds the session itself */
        /* under the client's lock: */
        unsigned users;
        unsigned devices; /* offline devices */
        bool closed;      /* takes no new flows */
        bool ended;       /* the process ends and has closed the backend already */
        struct client_session *next;
        struct client_flow *flows;
        struct client_segment *segment[SEGMENTS_MAX];
        struct client_segment *unused;
};

/** The session of the calling thread, opened if it is the program's own and not open yet. NULL with the
 * error stored. */
struct client_session *client_session_open(void);

/** The same if there is one already; otherwise NULL and 6141, 6145 or 9003. */
struct client_session *client_session_get(void);

/** Another choice for the program's own session: it runs embedded, is empty, and mapid may answer by now.
 * The session to use from here on; the one given is put if it is another. */
struct client_session *client_session_again(struct client_session *s);

void client_session_put(struct client_session *s);

/** Chooses and opens the backend of a new session (ops, state, epoch, local, free_choice, refused). path:
 * the socket that must be taken, or NULL. local_only: fails unless mapid answers. 0 or a negative code. */
int client_choose(struct client_session *s, const char *path, bool local_only, struct mapi_error *err);

static inline uint32_t client_epoch(const struct client_session *s)
{
        return atomic_load(s->epoch);
}

/** Is the backend away in this life? */
static inline bool client_away(uint32_t epoch)
{
        return (epoch & 1) != 0;
}

/* ---- flows ----------------------------------------------------------------------------------------------- */

/** A mapped segment; shared by the functions whose results lie in it. */
struct client_segment {
        struct results_map map;
        uint32_t number;
        uint32_t epoch; /* the life of the backend that made it */
        unsigned users;
        struct client_segment *next;
};

/** One function of a connected flow, as its one reader needs it. */
struct client_function {
        int fid;
        enum mapi_result_kind kind;
        uint32_t size; /* bytes of its result, or of a record */
        bool nowait;
        bool ring_mapped;
        uint32_t epoch; /* the life of the backend in which this was mapped */
        uint32_t told;  /* the life for which the reader has been told that there is nothing new */
        const struct results_flow *status;
        struct results_ref ref;
        mapi_results_t result; /* what mapi_read_results() returns: res is memory of this size, made once */
        struct ring_reader ring;
        struct client_segment *segment[2]; /* of ref and of status */
};

/** Its result comes through a ring. */
static inline bool client_has_ring(enum mapi_result_kind kind)
{
        return kind == MAPI_RESULT_PACKETS || kind == MAPI_RESULT_QUEUE;
}

enum client_connected {
        CLIENT_CONNECTED = 1,
        CLIENT_CONNECTED_UNSEEN = 2 /* its results could not be mapped yet: the backend went away meanwhile */
};

struct client_flow {
        int fd;     /* the program's */
        int number; /* the backend's */
        const _Atomic uint32_t *epoch;
        _Atomic uint32_t connected; /* enum client_connected, 0: no */
        _Atomic uint32_t closed;
        _Atomic uint32_t tried; /* the life in which its results could not be mapped */
        _Atomic uint32_t nonblocking;
        _Atomic uint32_t rested; /* the absence whose beginning has been cleared from event_fd */
        _Atomic int event_fd;    /* 0: nobody asked for it */
        unsigned n;
        struct client_function *function;
        struct client_session *session;
        void *entry; /* its place in the table, which outlives it */
        struct arena *arena;
        /* under the client's lock: */
        struct client_flow *next, **link; /* of the session */
        bool info_known;
        mapi_flow_info_t info; /* the last answers, for when nobody answers */
        struct client_function_info *functions;
};

struct client_function_info {
        struct client_function_info *next;
        mapi_function_info_t info;
};

/** Enters a new flow, with the backend's number as descriptor or, if that is taken, another one. The
 * descriptor, or -1 with the error stored: then the flow of the backend is closed again. */
int client_flow_add(struct client_session *s, int number);

/** Finds a flow and keeps it until client_flow_put(). NULL with 6145 stored. Lock-free. */
struct client_flow *client_flow_get(int fd);
void client_flow_put(struct client_flow *f);

/** Makes the descriptor unknown; its memory goes with the last user. NULL with 6145 stored if it is unknown
 * already. */
struct client_flow *client_flow_take(int fd);

/** Closes a flow that was taken. 0 or -1 with the error stored. */
int client_flow_close(struct client_flow *f);

/** Any flow of the session, NULL: there is none. Its descriptor is written. */
bool client_flow_any(struct client_session *s, int *ret_fd);

/** Between descriptors and the backend's numbers. What is no flow of the session is given back as it is, or
 * as INT_MAX if it would be mistaken for one. */
int client_number_of(struct client_session *s, int fd);
int client_fd_of(struct client_session *s, int number);

/** In a child: every flow is unknown. */
void client_flows_forget(void);

/* ---- what readers have mapped ------------------------------------------------------------------------------- */

/** Maps everything that readers of a connected flow need. 0 or -1 with the error stored: nothing has changed. */
int client_flow_attach(struct client_flow *f);

/** Maps one function anew, in the present life of the backend. By its one reader. 0 or -1 with the error
 * stored. */
int client_function_renew(struct client_flow *f, struct client_function *fn, uint32_t epoch);

/** Gives back what a flow has mapped. */
void client_flow_detach(struct client_flow *f);

/** Unmaps all segments of a session that nobody uses any more. */
void client_segments_free(struct client_session *s);

/** A connected flow whose results are not mapped yet gets them now. 0 or -1 with 5123 stored. */
int client_flow_see(struct client_flow *f);

/** Finds the function of a connected flow. NULL if there is none. */
static inline struct client_function *client_function(struct client_flow *f, int fid)
{
        if (fid > 0 && (unsigned)fid <= f->n && f->function[fid - 1].fid == fid)
                return &f->function[fid - 1];
        for (unsigned i = 0; i < f->n; i++)
                if (f->function[i].fid == fid)
                        return &f->function[i];
        return NULL;
}

/**
 * Takes the next record of a queue into fn->result, waiting for it as the flow is set. False: there is none; with error 0 when
 * none will come, or none has come for a flow that does not wait. If records were lost, 9006 is stored.
 */
bool client_queue_read(struct client_flow *f, struct client_function *fn);

/* ---- waiting without a thread (events.c)
 * --------------------------------------------------------------------- */

/**
 * A reader that does not wait found its ring empty in the life `epoch` of the backend: the flow's event descriptor
 * becomes silent and the reader stays announced. True: look again, something came meanwhile. Without a descriptor
 * it is not announced.
 */
bool client_event_rest(struct client_flow *f, struct client_function *fn, uint32_t epoch);

/* ---- devices ---------------------------------------------------------------------------------------------- */

/** Opens a trace for reading, as this program may: path, or "-" for standard input. Returns a descriptor or
 * -1, 6155 stored. */
int client_open_trace(const char *path);

#endif
