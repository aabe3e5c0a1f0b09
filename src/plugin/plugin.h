/*
 * Function libraries of strangers: finding them, trying them in a process of their own, loading them.
 *
 * A set is filled once, before there are threads or clients, and lives as long as the process: a library is never unloaded.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef PLUGIN_PLUGIN_H
#define PLUGIN_PLUGIN_H

#include "session/session.h"

#include <mapi/library.h>

/* mapid takes these from libmapi-engine, where everything else is hidden. */
#pragma GCC visibility push(default)

#define PLUGIN_LIBRARIES_MAX 64u
#define PLUGIN_PATH_BYTES 4096u

struct plugin_set {
        struct session_library library[PLUGIN_LIBRARIES_MAX + 1]; /* ends with a NULL name */
        char name[PLUGIN_LIBRARIES_MAX][MAPI_LIBRARY_NAME_MAX + 1];
        unsigned n;
};

/** The tables in the engine: first those that the n files of libs= name, in their order, then the others. */
void plugin_set_begin(struct plugin_set *set, const char *const *files, size_t n);

/** True if the file of libs= stands for a table in the engine, of this version or another: nothing is loaded for it. */
bool plugin_is_table(const char *file);

/** True if the table that it stands for is in this engine. */
bool plugin_has_table(const char *file);

/** The path of a file in the first of the folders that has it. 0, or -6151: not there, or it is no plain name. */
int plugin_find(const char *file, const char *const *folder, size_t nfolders, char ret[PLUGIN_PATH_BYTES],
                struct mapi_error *err);

/** Loads a library and appends it. 0, or -6151, -3501 with one sentence that names the path. */
int plugin_load(struct plugin_set *set, const char *path, struct mapi_error *err);

/** How a library is tried. */
struct plugin_probe {
        void *context;
        /** In the child, before the library is loaded: gives up rights. NULL: nothing of the kind. 0, or -code. */
        int (*drop)(void *context, struct mapi_error *err);
        unsigned wait_ms;       /* 0: 10 seconds */
        unsigned cpu_s;         /* 0: 5 seconds */
        unsigned long as_bytes; /* 0: 1 GB */
};

/**
 * Tries a library in a child process: loads it and takes each of its functions through its life. Appends it to the set by its name
 * alone, without functions: the process that calls never has its code.
 * Returns  0, or -6151, -3501 with one sentence that names the path, and the function that was being tried
 * Threads  none besides the caller, which must not have SIGCHLD ignored
 */
int plugin_try(struct plugin_set *set, const char *path, const struct plugin_probe *how, struct mapi_error *err);

#pragma GCC visibility pop

/* ---- inside ---- */

/** Checks what the symbol says, and each descriptor. */
int plugin_check(const struct plugin_set *set, const struct mapi_library *l, struct mapi_error *err);

/** Appends; there must be room. */
void plugin_append(struct plugin_set *set, const char *name, const struct mapi_function *const *functions);

/** Who hears what is being done with which function, so that a crash has a name. */
struct plugin_listener {
        void *context;
        void (*say)(void *context, const char *doing);
};

/** The life of a function of the last library of the set, in engines of its own. 0, or -6151 when it breaks a rule. */
int plugin_live(const struct plugin_set *set, const struct mapi_function *def,
                const struct plugin_listener *listener, struct mapi_error *err);

#endif
