/* MAPI_DEVICE_MAP: other names for traces. SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLIENT_DEVICE_MAP_H
#define CLIENT_DEVICE_MAP_H

#include <stddef.h>

/** One entry, NAME=PATH; pieces of the environment, not ended by 0. */
struct device_map_entry {
        const char *name;
        size_t name_len;
        const char *path;
        size_t path_len;
};

/** Entry number i, counted from 0; entries are separated by commas or line ends. Returns 0 or -1: there are fewer. */
int device_map_get(unsigned i, struct device_map_entry *ret);

/** The entry for a device name. Returns 0 or -1. */
int device_map_find(const char *name, struct device_map_entry *ret);

#endif
