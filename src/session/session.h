/*
 * One client of an engine: its flows, its offline devices, its memory. Turns what a client asks for into engine calls.
 * mapid has one for each connection, the embedded backend one for the process. Control thread only, except as marked.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include "engine/engine.h"
#include "session/limits.h"

#include <sys/types.h>
#include <time.h>

/** A function library as the embedder hands it over; ends with a NULL name. */
struct session_library {
        const char *name;
        const struct mapi_function *const *functions; /* ends with NULL */
};

struct session;

struct session_options {
        struct session_limits limits;
        uid_t uid;
        const struct session_library *libraries;
        struct quota *shared; /* what all sessions may take together; NULL: no such limit */
};

struct session *session_new(struct engine *e, const struct session_options *options);

/** Frees a session whose flows and devices are gone. */
void session_free(struct session **s);

/** In the child of a fork: closes the descriptors of results, rings and files; nothing else is touched or freed. */
void session_abandon(struct session *s);

struct segments *session_segments(struct session *s);

/* ---- functions ------------------------------------------------------------------------------------------- */

/** Finds [library:]NAME[!type]; libraries in their order. 6144. */
int session_find_function(const struct session *s, const char *name, const struct mapi_function **ret,
                          const char **ret_library, struct mapi_error *err);

const struct session_library *session_library(const struct session *s, int number);

/* ---- flows ------------------------------------------------------------------------------------------------- */

/** A flow of this session, NULL: no such number. */
struct flow *session_flow(const struct session *s, int fd);

/** The flow with the smallest number above fd. NULL: none. */
struct flow *session_next_flow(const struct session *s, int fd);

/** True if a flow of this session has the number, also one that is just being ended. */
bool session_has(const struct session *s, int fd);

/** Creates a flow, with a number that nobody else has, or 0: the next one. Returns its number or an error (9000). */
int session_create_flow(struct session *s, struct device *d, int wanted, struct mapi_error *err);

/**
 * First step of applying: finds the function, resolves references to flows of this session on the same device.
 * While a function is being applied the flow is busy: session_busy(). Takes the descriptors among the values, also when it fails.
 */
int session_apply_begin(struct session *s, int fd, const char *name, const struct mapi_value *values,
                        uint32_t nvalues, struct instance **ret, struct mapi_error *err);

/**
 * Last step. Returns the fid or the error. If the flow was closed meanwhile: 6145, and *ret_closed is the flow, to be
 * treated like one from session_close_begin(); otherwise it is NULL.
 */
int session_apply_end(struct session *s, int fd, struct instance *in, int started, struct flow **ret_closed,
                      struct mapi_error *err);

bool session_busy(const struct session *s, int fd);

/** Connects. 0, 6145, 3081, 7006 while a function is being applied. */
int session_connect(struct session *s, int fd, struct mapi_error *err);

/**
 * Closing, first step: the number is unknown from here on and the flow leaves its device's plan. *ret is the flow, to be
 * finished and freed when the device has settled (session_close_end); NULL: a function is being applied, and its
 * session_apply_end() gives the flow out.
 */
int session_close_begin(struct session *s, int fd, struct flow **ret, struct mapi_error *err);
void session_close_end(struct session *s, struct flow *f);

struct session_flow_facts {
        int fd;
        uid_t uid;
        uint32_t functions;
        time_t start, end; /* seconds since 1970 */
        int status;        /* enum mapi_flow_status */
        struct device *device;
};
void session_flow_facts(const struct session *s, const struct flow *f, struct session_flow_facts *ret);

#endif
