/*
 * The function libraries that libs= names: the opener tries each in a process without rights, the engine process loads those that
 * have stood it. A library that is not there or does not stand it is told of, and mapid goes on without it.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef MAPID_PLUGINS_H
#define MAPID_PLUGINS_H

#include "config/config.h"
#include "mapid/privileges.h"
#include "plugin/plugin.h"

struct plugins {
        struct plugin_set set;
        unsigned n; /* that have stood the trial, by file and path */
        char file[PLUGIN_LIBRARIES_MAX][256];
        char path[PLUGIN_LIBRARIES_MAX][PLUGIN_PATH_BYTES];
};

/** Tries them all, and logs what is refused. Before there are other processes or threads. NULL: no memory. */
struct plugins *plugins_try(const struct config *c);

/** In the engine process, after its change of user and before its filter of system calls. */
void plugins_load(struct plugins *p);

/** Another configuration: says what it wants and will not get before the next start. */
void plugins_compare(const struct plugins *p, const struct config *c);

#endif
