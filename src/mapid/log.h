/*
 * What mapid tells its administrator: to the standard streams, to files and to syslog.
 *
 * There are messages (errors, warnings, information) and debug messages. The level says which are wanted, as in the tutorial:
 *   0  messages only
 *   1  both; debug messages also on standard output
 *   2  both; debug messages not on standard output
 * Messages go to standard error, PATH.info and syslog, debug messages to PATH.debug and syslog. A message is one line;
 * control characters in it are shown as \xNN, so that no client can forge lines or speak to a terminal.
 *
 * One log for each process. All calls from any thread, none from a signal handler. Nothing waits long: what a stream or
 * syslog does not take within moments is lost and counted, and the count is told as soon as something gets through again.
 * (A file is written to at once; it should not lie on a file system that hangs.)
 * The opener opens files; the engine process, which cannot, is given the descriptors.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef MAPID_LOG_H
#define MAPID_LOG_H

#include <mapi/function.h>

#include <stdbool.h>
#include <stdint.h>

#define LOG_LINE_BYTES_MAX 1024u /* of one message as it is written, without time and end; longer ones are cut */

/** Where messages go besides the standard streams; -1: not there. */
struct log_fds {
        int info, debug, syslog;
};

#define LOG_NO_FDS ((struct log_fds){ -1, -1, -1 })

/**
 * Begins. ident is what lines on the standard streams begin with ("mapid"; in capitals for syslog), borrowed for ever.
 * Reads $JOURNAL_STREAM and the time zone: both are needed before rights are given up.
 */
void log_start(const char *ident, unsigned level);

void log_set_level(unsigned level);

/** Whether the standard streams are used; a daemon in the background has none. At first they are. */
void log_set_streams(bool on);

/**
 * Opens what is wanted; nothing is used yet. Files are appended to, made with mode 0600, and must be regular files.
 * logfile  the path without .info and .debug, or NULL
 * syslog   true, or false: not
 * Returns  0 and *ret, or -6155 naming the file or the socket; nothing stays open then
 */
int log_open(const char *logfile, bool syslog, struct log_fds *ret, struct mapi_error *err);

/** Messages go there from now on. The descriptors are the log's; what it had before is closed. */
void log_adopt(struct log_fds fds);

/** Closes the descriptors; the standard streams are used again. */
void log_stop(void);

/** Messages that some target did not take, since log_start(). */
uint64_t log_lost(void);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** True if debug messages go anywhere: for what is costly to say. */
bool log_debugs(void);

/**
 * The text as one line: control characters, broken UTF-8 and what would reach beyond `size` - 1 bytes are shown as \xNN or
 * cut with "...". size at least 8. Returns the length.
 */
size_t log_escape(const char *text, char *ret, size_t size);

/** log_open() with another syslog socket; for tests. NULL: none. */
int log_open_at(const char *logfile, const char *syslog_path, struct log_fds *ret, struct mapi_error *err);

#endif
