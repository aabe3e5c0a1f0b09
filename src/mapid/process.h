/*
 * The engine process: no rights, no files, no programs; the host, its devices and its clients.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef MAPID_PROCESS_H
#define MAPID_PROCESS_H

#include "config/config.h"
#include "mapid/plugins.h"

/** What main() and the opener have prepared. */
struct process_setup {
        struct config *config; /* as read before the processes parted; each has its own */
        uint32_t devgroup;
        const struct plugins *plugins; /* loaded */
        int ask_fd;                    /* questions to the opener */
        int tell_fd;                   /* the opener tells; its end is our end */
        int listen_fd;                 /* of the Unix socket */
        int state_fd;                  /* the file with the highest flow number, locked by us; -1: none */
        int last_flow;
        int null_fd; /* in the background: /dev/null, to take the place of the standard streams; -1: keep them */
};

/** Serves until the opener says stop or is gone. Returns the exit status of the process. */
int process_run(struct process_setup *s);

#endif
