/*
 * Tells the service manager how mapid is doing: the datagrams of sd_notify(3), without its library.
 *
 * Where $NOTIFY_SOCKET is not set, nothing happens. From the process that the manager started only. Each call waits at most
 * two seconds. Returns 1 when it was sent, 0 when nobody wants to know, -errno when it failed.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef MAPID_NOTIFY_H
#define MAPID_NOTIFY_H

/** mapid serves clients, after its start or after a reload. status is one line for people. */
int notify_ready(const char *status);

/** A reload begins; notify_ready() ends it, also when the new configuration was refused. */
int notify_reloading(void);

int notify_stopping(void);

/** One line for people. */
int notify_status(const char *status);

#endif
