/*
 * The drivers that are compiled in: a new one is one line here and one in table.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "drivers/table.h"

#include <string.h>

const struct mapi_driver *const mapi_drivers[] = {
        &mapi_drv_trace, &mapi_drv_null, &mapi_drv_afpacket, &mapi_drv_replay, NULL,
};

const struct mapi_driver *drivers_find(const char *name)
{
        for (size_t i = 0; mapi_drivers[i] != NULL; i++)
                if (strcmp(mapi_drivers[i]->name, name) == 0)
                        return mapi_drivers[i];
        return NULL;
}
