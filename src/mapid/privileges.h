/*
 * What each of mapid's processes may do. A role is taken once, for good, by a process with one thread.
 *
 *                   user          capabilities                seccomp
 *   opener          as started    those listed in the .c      no new programs, no debugging, no kernel features
 *   engine process  mapid/nobody  none                        nothing by path, no programs, no processes, sockets AF_UNIX only
 *   filter compiler mapid/nobody  none                        files read only, no programs; name look-ups may use sockets
 *   trial of a lib. mapid/nobody  none                        as the filter compiler
 *
 * What is denied fails with EPERM; nothing is killed for it. Where mapid was not started as root the users stay as they
 * are and the rest applies. No role can gain anything by running a program (no_new_privs).
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef MAPID_PRIVILEGES_H
#define MAPID_PRIVILEGES_H

#include <mapi/function.h>

#include <stdbool.h>
#include <sys/types.h>

struct privileges_user {
        uid_t uid;
        gid_t gid;
        char name[64]; /* for messages */
        bool change;   /* false: not started as root, everybody stays who he is */
};

#define PRIVILEGES_COMPILER_CPU_S 2u
#define PRIVILEGES_COMPILER_MEMORY ((size_t)256 << 20)

/**
 * Whom the engine process and the compilers run as. Reads the user database, so call it in the opener before the roles.
 * name       from the configuration
 * must_exist true if somebody wrote it there; otherwise "nobody" is taken when there is no such user
 * Returns    0, or -9005: no such user, or root
 */
int privileges_find_user(const char *name, bool must_exist, struct privileges_user *ret, struct mapi_error *err);

/**
 * Each takes the role in the calling process. Call it after fork, before threads start and before the first byte from a
 * client is read; the time zone must have been read (log_start() does). On failure the process must end: it may have
 * given up part of its rights.
 * The user's change also undoes prctl(PR_SET_PDEATHSIG): ask for that afterwards.
 * Returns  0, or -9100 with a sentence
 */
int privileges_take_opener(struct mapi_error *err);
int privileges_take_engine(const struct privileges_user *user, struct mapi_error *err);
/** The first half of the engine's role: all but the filter of system calls, so that libraries can be loaded. */
int privileges_become_engine(const struct privileges_user *user, struct mapi_error *err);
/** A process that tries a function library; it has set its limits already (plugin/probe.c). */
int privileges_take_trial(const struct privileges_user *user, struct mapi_error *err);
int privileges_take_compiler(const struct privileges_user *user, struct mapi_error *err);

/** The second half of the engine's role. */
int privileges_filter_engine(struct mapi_error *err);

/* ---- inside: sandbox.c ---- */

int privileges_filter_opener(struct mapi_error *err);
int privileges_filter_compiler(struct mapi_error *err);

#endif
