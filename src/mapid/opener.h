/*
 * The opener: keeps the few rights that opening devices takes, and does nothing else. It hears signals, answers the engine process,
 * and cleans up when that has gone. It reads nothing that a client wrote.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef MAPID_OPENER_H
#define MAPID_OPENER_H

#include "config/config.h"
#include "mapid/plugins.h"
#include "mapid/privileges.h"

struct opener_setup {
        struct config *config;
        const char *config_path; /* what -c said, or NULL; read again at SIGHUP */
        bool syslog;
        struct privileges_user user;
        const struct plugins *plugins;
        pid_t engine;
        int ask_fd, tell_fd;
        int signal_fd;            /* signalfd of the signals below, which are blocked */
        int close_in_compiler[4]; /* descriptors that a compiler must not have besides ours; -1: none */
};

/** The signals that the opener listens to. */
void opener_signals(sigset_t *ret);

/** Waits for the engine process's word that it serves. 0, or -1: it has ended instead. */
int opener_wait_ready(struct opener_setup *s);

/** Serves until a signal says stop or the engine process ends. Returns the exit status of mapid. */
int opener_run(struct opener_setup *s);

/** Writes the warnings of a configuration to the log, and what it names that is not there. */
void opener_warn(const struct config *c);

#endif
