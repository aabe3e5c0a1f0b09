/* For tests of what a process may not do: each case in a child, the denials that roles have in common.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef CONFINED_H
#define CONFINED_H

#include "mapid/privileges.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* cmocka's assertions are for the parent; a child tells its line and ends. */
#define CHECK(truth)                                                                                              \
        do {                                                                                                      \
                if (!(truth)) {                                                                                   \
                        dprintf(STDERR_FILENO, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #truth, errno);      \
                        _exit(1);                                                                                 \
                }                                                                                                 \
        } while (0)

/* A call of the C library or of the kernel that must be denied. */
#define DENIED(call)                                                                                              \
        do {                                                                                                      \
                errno = 0;                                                                                        \
                CHECK((call) == -1 && errno == EPERM);                                                            \
        } while (0)

struct facts {
        struct privileges_user user;
        char folder[64];
        int log;     /* open for writing since before the role */
        pid_t other; /* another process of the same user */
};

/** Runs body in a process of its own, which must end with status 0. */
void confined_in_child(void (*body)(struct facts *), struct facts *facts);

/** The path of a file in the test's folder: "log", "public", "private" or a new one. Two are valid at a time. */
const char *confined_path(const struct facts *f, const char *name);

/** Each test's; *state is a struct facts. */
int confined_setup(void **state);
int confined_teardown(void **state);

/** What every role is denied; what the engine process and the compiler are denied besides. End the process if they are not. */
void confined_never(void);
void confined_changes_no_path(const struct facts *f);
void confined_alone(const struct facts *f);

#endif
