/* Time strings such as "100ms", exactly. SPDX-License-Identifier: BSD-2-Clause */
#ifndef BASE_TIMESTR_H
#define BASE_TIMESTR_H

#include <stdint.h>

/**
 * Parses [+]number[unit]: a decimal number (digits, perhaps a point and more digits), then s, ms, us, m (minutes) or
 * nothing, which means units of 2^-32 s. Nothing else is accepted: no blanks, no sign but +, no exponent.
 * Returns  0 and *ret_ts in units of 2^-32 s, rounded down as time stamps of packets are; -1: not a time string, or
 *          more than 64 bits hold. text may be NULL: -1
 */
int timestr_parse(const char *text, uint64_t *ret_ts);

#endif
