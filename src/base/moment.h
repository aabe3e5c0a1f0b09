/* Absolute times such as "2026-11-24 08:30:00", local time. SPDX-License-Identifier: BSD-2-Clause */
#ifndef BASE_MOMENT_H
#define BASE_MOMENT_H

#include <stdint.h>

/**
 * Parses "YYYY-mm-dd HH:MM:SS", all digits, one blank, nothing in front or behind: years 1970 to 2105, days that the
 * month has, seconds 00 to 59. It is taken as local time of this process; where clocks are changed, mktime(3) decides.
 * Returns  0 and *ret_ts in units of 2^-32 s since 1970-01-01 UTC; -1: not such a time, or one before 1970 UTC or
 *          beyond 32 bits of seconds. text may be NULL: -1
 */
int moment_parse(const char *text, uint64_t *ret_ts);

#endif
