/*
 * The cases of arguments_body.h, which is compiled as C17, gnu89 and C++. SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef TESTS_API_ARGUMENTS_H
#define TESTS_API_ARGUMENTS_H

#include "api.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ARGUMENT_CASES(X, language)                                                                               \
        X(language, declared)                                                                                     \
        X(language, numbers_for_64_bits)                                                                          \
        X(language, numbers_for_int)                                                                              \
        X(language, zero_for_a_string)                                                                            \
        X(language, missing)                                                                                      \
        X(language, surplus)                                                                                      \
        X(language, wrong_kinds)                                                                                  \
        X(language, names)                                                                                        \
        X(language, through_a_pointer)                                                                            \
        X(language, evaluated_once)

#define ARGUMENT_PROTOTYPE(language, name) void language##_##name(void);
ARGUMENT_CASES(ARGUMENT_PROTOTYPE, c17)
ARGUMENT_CASES(ARGUMENT_PROTOTYPE, gnu89)
ARGUMENT_CASES(ARGUMENT_PROTOTYPE, cpp)
void plain_declared(void);   /* MAPI_NO_ARG_TAGS */
void padding_declared(void); /* MAPI_NO_ARG_PADDING */

/** A flow on a trace of tests/traces that nobody has connected. */
int arguments_flow(void);

/** Connects the flow, reads the trace to its end, closes. Returns the packets that a PKT_COUNTER `fid` saw. */
unsigned long long arguments_count(int fd, int fid);

/** Packets in a pcap file that was just written. */
unsigned arguments_packets(const char *path);

/** Packets of the trace with this text. */
unsigned arguments_with_text(const char *text);

#define ARGUMENTS_PACKETS 2800

#ifdef __cplusplus
}
#endif

#endif
