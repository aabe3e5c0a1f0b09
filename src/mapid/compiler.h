/*
 * Filters compiled in a process of their own, with limits on time and memory: libpcap takes half a minute and gigabytes for some
 * hundred hosts, and what it reads comes from strangers.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef MAPID_COMPILER_H
#define MAPID_COMPILER_H

#include "filter/filter.h"

/** In the forked process, rights dropped and limits set: reads one request, answers, and returns. */
void compiler_serve(int socket);

struct compiler;

/**
 * The engine process's side. start: forks a compiler that serves this descriptor (borrowed); 0 or -code; called by one thread at a time.
 * NULL: no memory
 */
struct compiler *compiler_new(int (*start)(void *context, int socket, struct mapi_error *err), void *context);
void compiler_free(struct compiler **c);

/** Of struct filter_compiler, context a struct compiler: waits for the process, never longer than 15 seconds. 9000: it needed too much. */
int compiler_compile(void *context, const char *text, uint16_t linktype, uint32_t snaplen,
                     struct filter_program *ret, struct mapi_error *err);

#endif
