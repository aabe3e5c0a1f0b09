/*
 * libmapi's own side: the process-wide client, its table of flows, and the calling thread's error.
 *
 * Reading (mapi_read_results, mapi_get_next_pkt) takes no lock and makes no system call: a flow is found in a table whose
 * entries count their users, and is freed by the last of them. Everything else runs with signals blocked while it
 * holds the client's lock, so a signal handler may call mapi_close_flow().
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include "base/arena.h"
#include "client/backend.h"
#include "results/reader.h"
#include "results/ring_reader.h"

#include <stdatomic.h>

/* ---- errors of the calling thread ------------------------------------------------------------------------- */

/** Stores an error for mapi_read_error(); the sentence of the list alone, or that of `err`. Returns -1. */
int client_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
int client_fail_with(const struct mapi_error *err);
void client_clear_error(void);
int client_error_code(void);

/* ---- the client ------------------------------------------------------------------------------------------ */

/** Who runs the flows. Opened at the first use; NULL with the error stored when that fails. */
struct client_backend {
        const struct backend *ops;
        void *state;
};

/** The backend, opened if need be. 0 or -1 with the error stored. */
int client_open(struct client_backend *ret);

/** The backend if there is one already; otherwise -1 and 6141. */
int client_get(struct client_backend *ret);

/** True once anything has been created or asked for (the calls that may come first). Otherwise stores 6141. */
bool client_ready(void);
void client_set_ready(void);

/* ---- flows ----------------------------------------------------------------------------------------------- */

/** One function of a connected flow, as its readers need it. */
struct client_function {
        int fid;
        enum mapi_result_kind kind;
        bool nowait;
        struct results_ref ref;
        mapi_results_t
                result; /* what mapi_read_results() returns: res points to memory of this size, made at connect */
        struct ring_reader ring;
        bool ring_mapped;
};

struct client_flow {
        int fd;
        void *entry; /* its place in the table, which outlives it */
        struct arena *arena;
        _Atomic uint32_t connected;
        _Atomic uint32_t closed;
        struct results_ref status;
        unsigned n;
        struct client_function *function;
};

/** Enters a new flow into the table. 0 or -1 with the error stored. */
int client_flow_add(int fd);

/** Finds a flow and keeps it until client_flow_put(). NULL with 6145 stored. Lock-free. */
struct client_flow *client_flow_get(int fd);
void client_flow_put(struct client_flow *f);

/** Makes the number unknown; its memory goes with the last user. NULL with 6145 stored if it is unknown already. */
struct client_flow *client_flow_take(int fd);

/** Maps everything that readers of a connected flow need. 0 or -1 with the error stored. */
int client_flow_attach(struct client_flow *f, const struct client_backend *b);

/** The mapped segment with this number. 0 or -1 with the error stored. */
int client_segment(const struct client_backend *b, uint32_t number, struct results_map *ret);

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

/* ---- devices ---------------------------------------------------------------------------------------------- */

/** Opens a trace for reading, as this program may: path, or "-" for standard input. Returns a descriptor or -1, 6155 stored. */
int client_open_trace(const char *path);

/** Says on standard error what was chosen and why, if MAPI_DEBUG=1. */
void client_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
