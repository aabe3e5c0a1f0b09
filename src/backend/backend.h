/*
 * What libmapi wants from whoever runs the flows: one table of calls, and behind it the engine in this process, mapid, or
 * remote sensors.
 *
 * All calls may come from any thread, and from a signal handler that interrupted another of them; none is called with a
 * lock of the client held. Calls fail with a negative code and a filled error.
 *
 * A backend may go away and come back (mapid is restarted). Then it makes its flows anew, with the numbers and function ids that
 * they had. It counts its lives in one word (epoch): even while it is there, odd while it is away. Readers compare the word
 * with what it was when they mapped their results; what they have mapped stays readable until they map anew.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef BACKEND_BACKEND_H
#define BACKEND_BACKEND_H

#include <mapi.h>
#include <mapi/function.h>

#include <stdatomic.h>
#include <stdbool.h>

#define BACKEND_VERSION 2

/** What is known about a function before it is applied. Valid as long as the backend is. */
struct backend_function {
        const char *name;
        const struct mapi_arg_spec *args; /* ends with letter 0; may be NULL */
        const char *library, *help;       /* these may be NULL where nobody asks for them */
        struct mapi_result_spec result;
};

/** Where a result of a connected flow is. */
struct backend_place {
        int fid;
        enum mapi_result_kind kind;
        uint32_t size;    /* bytes */
        uint32_t segment; /* number within the session */
        uint32_t entry;   /* in its directory */
        bool nowait;      /* packets: the reader does not wait */
};

struct backend_ring {
        int fd; /* the caller closes it */
        uint64_t size_bytes;
        uint32_t generation;
};

/** A trace, or another source of an embedded flow. */
struct backend_source {
        const char *driver;  /* "trace", "null" */
        const char *name;    /* for messages and for the device's name */
        const char *options; /* of the driver, or NULL */
        int fd;              /* taken over, also on failure; -1: none */
};

struct backend_options {
        const char *path; /* local: the socket of mapid */
};

struct backend {
        unsigned version; /* BACKEND_VERSION */

        int (*open)(const struct backend_options *options, void **ret_state, struct mapi_error *err);
        /** Its lives, see above. Never NULL; an embedded engine has one that stays 0. */
        const _Atomic uint32_t *(*epoch)(void *state);
        /** While it is away: waits until the epoch changes from `seen`, timeout_ms at most (-1: for ever). Signals do not end it. */
        void (*await)(void *state, uint32_t seen, int timeout_ms);
        /** Completes files and stops threads; at the end of the process, maybe from a signal handler: waits for nothing for long. */
        void (*close)(void *state);
        /** Around fork(): everything at rest, on again, and in the child: descriptors closed, nothing else touched. */
        void (*fork_prepare)(void *state);
        void (*fork_parent)(void *state);
        void (*fork_child)(void *state);

        /** An offline device for several flows; writes its name ("path@number", MAPI_STR_LENGTH). */
        int (*device_create)(void *state, const struct backend_source *source, char *ret_name,
                             struct mapi_error *err);
        int (*device_start)(void *state, const char *name, struct mapi_error *err);
        int (*device_delete)(void *state, const char *name, struct mapi_error *err);
        bool (*device_known)(void *state, const char *name);

        /** A flow on a known device, or with a private one of its own. Returns its number. */
        int (*flow_create)(void *state, const char *device, struct mapi_error *err);
        int (*flow_create_private)(void *state, const struct backend_source *source, struct mapi_error *err);

        /** The schema of [library:]NAME[!type] for a flow. */
        int (*describe)(void *state, int fd, const char *name, struct backend_function *ret,
                        struct mapi_error *err);
        /** Values converted by that schema; descriptors among them are taken over, also on failure. Returns the fid. */
        int (*apply)(void *state, int fd, const char *name, const struct mapi_value *values, unsigned n,
                     struct mapi_error *err);
        int (*connect)(void *state, int fd, struct mapi_error *err);
        int (*close_flow)(void *state, int fd, struct mapi_error *err);

        /** Results of a connected flow: function number i, counted from 0 in the order of application. 0, or -6147 behind the last. */
        int (*place)(void *state, int fd, unsigned i, struct backend_place *ret, struct mapi_error *err);
        /** The directory entry with the flow's own status. */
        int (*status_place)(void *state, int fd, struct backend_place *ret, struct mapi_error *err);
        /** A segment, to be mapped read-only. Returns a descriptor that the caller closes, and its size. */
        int (*segment)(void *state, uint32_t segment, size_t *ret_size, struct mapi_error *err);
        int (*ring)(void *state, int fd, int fid, struct backend_ring *ret, struct mapi_error *err);

        /** A reader of this ring is about to sleep: may other full rings of the same trace grow? 0: sleep; 9001: they may not. */
        int (*waiting)(void *state, int fd, int fid, struct mapi_error *err);
        /** A reader has made room that the worker asked for. */
        void (*kick)(void *state, int fd);
        /** Why the flow's trace ended early; 0: it did not. */
        int (*trace_error)(void *state, int fd, struct mapi_error *err);
        /** Why a file of this function is not complete; 0: none, or it is. */
        int (*file_error)(void *state, int fd, int fid, struct mapi_error *err);

        int (*flow_info)(void *state, int fd, bool next, mapi_flow_info_t *ret, struct mapi_error *err);
        int (*function_info)(void *state, int fd, int fid, bool next, mapi_function_info_t *ret,
                             struct mapi_error *err);
        int (*device_info)(void *state, int id, bool next, mapi_device_info_t *ret, struct mapi_error *err);
        int (*library_info)(void *state, int library, mapi_lib_info_t *ret, struct mapi_error *err);
        int (*libfunct_info)(void *state, int library, int number, mapi_libfunct_info_t *ret,
                             struct mapi_error *err);
        int (*stats)(void *state, const char *device, struct mapi_stat64 *ret, struct mapi_error *err);
        int (*flow_stats)(void *state, int fd, struct mapi_stat64 *ret, struct mapi_error *err);
        /** A descriptor to poll (results/event.h), owned by the backend until the flow is closed; also readable when the backend goes away or is back. */
        int (*event_fd)(void *state, int fd, struct mapi_error *err);
};

/** mapid, over its Unix socket. Part of libmapi. */
extern const struct backend backend_local;

/** Exported by libmapi-engine: the engine in this process. */
extern const struct backend mapi_backend_embedded __attribute__((visibility("default")));

#endif
