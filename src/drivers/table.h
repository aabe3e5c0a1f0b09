/*
 * The drivers that are compiled in.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef DRIVERS_TABLE_H
#define DRIVERS_TABLE_H

#include <mapi/driver.h>

extern const struct mapi_driver mapi_drv_trace;    /* pcap, pcapng and ERF, compressed or not */
extern const struct mapi_driver mapi_drv_null;     /* makes packets for benches */
extern const struct mapi_driver mapi_drv_afpacket; /* network interfaces */
extern const struct mapi_driver mapi_drv_replay;   /* traces, again and again, as if they were live */

/** Ends with NULL. */
extern const struct mapi_driver *const mapi_drivers[];

/** The driver of that name, or NULL. */
const struct mapi_driver *drivers_find(const char *name);

#endif
