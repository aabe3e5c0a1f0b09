/* MAPI_DEVICE_MAP: other names for traces. SPDX-License-Identifier: BSD-2-Clause */
#include "client/device_map.h"

#include <stdlib.h>
#include <string.h>

/** The next entry at or behind p, in a text that ends at `end`. Returns what follows it, or NULL: there is none. */
static const char *next_entry(const char *p, const char *end, struct device_map_entry *ret)
{
        while (p != NULL && p < end) {
                const char *comma = memchr(p, ',', (size_t)(end - p)), *stop = comma != NULL ? comma : end;
                const char *line = memchr(p, '\n', (size_t)(stop - p)), *entry = p, *equals;

                stop = line != NULL ? line : stop;
                equals = memchr(p, '=', (size_t)(stop - p));
                p = stop < end ? stop + 1 : end;
                if (equals == NULL || equals == entry || equals + 1 == stop)
                        continue; /* not NAME=PATH */
                *ret = (struct device_map_entry){ .name = entry,
                                                  .name_len = (size_t)(equals - entry),
                                                  .path = equals + 1,
                                                  .path_len = (size_t)(stop - equals - 1) };
                return p;
        }
        return NULL;
}

/** The text of the map, and where it ends; NULL: there is none. */
static const char *map_text(const char **ret_end)
{
        const char *text = getenv("MAPI_DEVICE_MAP");

        *ret_end = text == NULL ? NULL : text + strlen(text);
        return text;
}

int device_map_get(unsigned i, struct device_map_entry *ret)
{
        struct device_map_entry e;
        const char *end, *text = map_text(&end);

        for (const char *p = next_entry(text, end, &e); p != NULL; p = next_entry(p, end, &e))
                if (i-- == 0) {
                        *ret = e;
                        return 0;
                }
        return -1;
}

int device_map_find(const char *name, struct device_map_entry *ret)
{
        struct device_map_entry e;
        const char *end, *text = map_text(&end);

        for (const char *p = next_entry(text, end, &e); p != NULL; p = next_entry(p, end, &e))
                if (strlen(name) == e.name_len && memcmp(name, e.name, e.name_len) == 0) {
                        *ret = e;
                        return 0;
                }
        return -1;
}
