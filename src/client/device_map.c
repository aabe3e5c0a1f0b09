/* MAPI_DEVICE_MAP: other names for traces. SPDX-License-Identifier: BSD-2-Clause */
#include "client/device_map.h"

#include <stdlib.h>
#include <string.h>

int device_map_get(unsigned i, struct device_map_entry *ret)
{
        const char *p = getenv("MAPI_DEVICE_MAP");

        while (p != NULL && *p != '\0') {
                size_t len = strcspn(p, ",\n");
                const char *equals = memchr(p, '=', len);

                if (equals != NULL && equals > p && equals + 1 < p + len && i-- == 0) {
                        *ret = (struct device_map_entry){ .name = p,
                                                          .name_len = (size_t)(equals - p),
                                                          .path = equals + 1,
                                                          .path_len = (size_t)(p + len - equals - 1) };
                        return 0;
                }
                p += len;
                p += *p != '\0';
        }
        return -1;
}

int device_map_find(const char *name, struct device_map_entry *ret)
{
        struct device_map_entry e;

        for (unsigned i = 0; device_map_get(i, &e) == 0; i++)
                if (strlen(name) == e.name_len && memcmp(name, e.name, e.name_len) == 0) {
                        *ret = e;
                        return 0;
                }
        return -1;
}
