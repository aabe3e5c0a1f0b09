/* MAPI_DEVICE_MAP: other names for traces. SPDX-License-Identifier: BSD-2-Clause */
#include "client/device_map.h"

#include <stdlib.h>
#include <string.h>

/** The next entry at or behind p. Returns what follows it, or NULL: there is none. */
static const char *next_entry(const char *p, struct device_map_entry *ret)
{
        while (p != NULL && *p != '\0') {
                const char *entry = p, *equals;
                size_t len = 0;

                while (p[len] != '\0' && p[len] != ',' && p[len] != '\n')
                        len++;
                equals = memchr(p, '=', len);

                p += len;
                p += *p != '\0';
                if (equals == NULL || equals == entry || equals + 1 == entry + len)
                        continue; /* not NAME=PATH */
                *ret = (struct device_map_entry){ .name = entry,
                                                  .name_len = (size_t)(equals - entry),
                                                  .path = equals + 1,
                                                  .path_len = (size_t)(entry + len - equals - 1) };
                return p;
        }
        return NULL;
}

int device_map_get(unsigned i, struct device_map_entry *ret)
{
        struct device_map_entry e;

        for (const char *p = next_entry(getenv("MAPI_DEVICE_MAP"), &e); p != NULL; p = next_entry(p, &e))
                if (i-- == 0) {
                        *ret = e;
                        return 0;
                }
        return -1;
}

int device_map_find(const char *name, struct device_map_entry *ret)
{
        struct device_map_entry e;

        for (const char *p = next_entry(getenv("MAPI_DEVICE_MAP"), &e); p != NULL; p = next_entry(p, &e))
                if (strlen(name) == e.name_len && memcmp(name, e.name, e.name_len) == 0) {
                        *ret = e;
                        return 0;
                }
        return -1;
}
