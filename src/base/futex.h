/* Waiting on and waking through one 32-bit word (futex(2)). SPDX-License-Identifier: BSD-2-Clause */
#ifndef BASE_FUTEX_H
#define BASE_FUTEX_H

#include <stdint.h>

/**
 * Sleeps while *word == expected, until woken or timeout_ms has passed (< 0: no limit). Works on memory shared between
 * processes, also where this side may only read it. Returns at once for any reason: look at your condition again.
 * Returns 0 woken or changed, -1 timeout, -2 interrupted by a signal.
 */
int futex_wait(const uint32_t *word, uint32_t expected, int timeout_ms);

/** Wakes everybody who sleeps on the word. */
void futex_wake(uint32_t *word);

#endif
