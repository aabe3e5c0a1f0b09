/*
 * mapid in the background: the two forks, the word back to the shell, the pid file.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef MAPID_DAEMON_H
#define MAPID_DAEMON_H

#include <mapi/function.h>

/**
 * Goes into the background: returns in a new process with a session of its own, without a terminal, in the directory "/".
 * The process that called waits until daemon_ready() or daemon_failed() is called there or that process ends, and then exits
 * itself, 0 only after daemon_ready(); it says on standard error what went wrong. Call it before there are threads,
 * locks or sockets, and with relative paths made absolute.
 * Returns  0 and *ret_ready (for one of the two calls below), or -3084
 */
int daemon_detach(int *ret_ready, struct mapi_error *err);

/** All is up: the standard streams become /dev/null, and the process that waits exits with 0. *ready becomes -1. */
void daemon_ready(int *ready);

/** It cannot be: the process that waits prints this line and exits with 1. *ready becomes -1. */
void daemon_failed(int *ready, const char *text);

/**
 * Makes the pid file and keeps it locked; what a process left that does not live any more is taken over. Call it in the
 * process that stays: the lock is that process's alone and ends with it.
 * Returns  0 and *ret_fd, or -6155: the sentence names the process that has it, or what else is in the way
 */
int daemon_take_pid_file(const char *path, int *ret_fd, struct mapi_error *err);

/** Removes it. *fd becomes -1; -1 is fine. */
void daemon_drop_pid_file(const char *path, int *fd);

#endif
