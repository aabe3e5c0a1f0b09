/* Anonymous memory with a descriptor. SPDX-License-Identifier: BSD-2-Clause */
#ifndef RESULTS_MEMFILE_H
#define RESULTS_MEMFILE_H

#include <stdint.h>

/**
 * Makes a memfd of this size. The system counts it as a file: with a limit on the size of files (setrlimit(2)) below it,
 * this fails with EFBIG, and the signal that would end the program is not sent.
 * flags: MFD_ALLOW_SEALING or 0
 * Returns a descriptor, closed on exec, or -1 with errno set
 */
int memfile_new(const char *name, unsigned flags, uint64_t size_bytes);

#endif
