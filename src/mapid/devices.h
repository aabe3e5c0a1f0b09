/*
 * The live devices of mapid: those that the configuration names, or, when it names none, the interfaces of the machine. Opening
 * one is asked of the opener.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef MAPID_DEVICES_H
#define MAPID_DEVICES_H

#include "config/config.h"
#include "host/host.h"

struct devices;

/** A question to the opener: sends, and waits for the answer. 0 or -code; may be called from any thread. */
struct link_message;
typedef int (*devices_ask)(void *context, struct link_message *m, int *ret_fds, unsigned *ret_nfds,
                           struct mapi_error *err);

/** NULL: no memory. */
struct devices *devices_new(devices_ask ask, void *context);
void devices_free(struct devices **d);

/**
 * A configuration takes the place of the one before it, which is not used any more when this returns. Devices keep their numbers
 * by name. devgroup: only those of this group, or CONFIG_DEVGROUP_NONE.
 */
void devices_configure(struct devices *d, const struct config *c, uint32_t devgroup);

/** How many the configuration offers; 0: it names none, all interfaces are offered. */
unsigned devices_count(struct devices *d);

/** For struct host_world, context a struct devices. */
int devices_find(void *context, const char *name, struct host_live *ret, struct mapi_error *err);
bool devices_offers(void *context, const char *device);
int devices_list(void *context, int id, bool next, struct host_live *ret, struct mapi_error *err);
int devices_open(void *context, const struct host_live *live, struct capture *ret, struct mapi_error *err);

#endif
