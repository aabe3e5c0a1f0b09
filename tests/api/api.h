/*
 * What the tests of libmapi's calls share: cases that run in a process of their own, checks that say what went wrong,
 * and counts of what a process holds. C17, gnu89 and C++ all may include it.
 *
 * A case starts with a fresh library in an empty working directory, which is removed afterwards. It fails by ending in
 * any way but returning, or by not ending in its time; nothing of it outlives it.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef TESTS_API_H
#define TESTS_API_H

#include <mapi.h>

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct api_case {
        const char *name;
        void (*run)(void);
        unsigned limit_s; /* more under a sanitizer; 0: 20 */
};

/** Runs all cases, or those whose names are given. Returns the exit status: 0, 1, or 77 if every case was skipped. */
int api_main(const struct api_case *cases, size_t n, int argc, char **argv);
#define API_MAIN(cases)                                                                                           \
        int main(int argc, char **argv)                                                                           \
        {                                                                                                         \
                return api_main(cases, sizeof cases / sizeof cases[0], argc, argv);                               \
        }

/** Ends the case: it cannot be tried here. */
void api_skip(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/**
 * This process will end with flows open, on purpose, or has inherited some. The library closes them after LeakSanitizer
 * would have looked, which therefore does not.
 */
void api_leaves_open(void);

/** Ends the case where a sanitizer's own locks do not bear what it does: fork with threads, or exit out of any signal. */
void api_not_with_sanitizers(const char *what);

/** Whether mapid runs the flows: the tests are run a second time that way (tests/daemon/with_mapid.py). */
int api_served(void);

/** Ends the case if mapid runs the flows: it is about what only the engine in the own process does. */
void api_only_embedded(const char *why);

/** 1, or more where everything takes longer: for limits, and as a divisor of counts. */
unsigned api_slowness(void);

/* ---- checks: any thread of the case, and processes that it forks ------------------------------------------------ */

void api_failed(const char *file, int line, const char *format, ...)
        __attribute__((noreturn, format(printf, 3, 4)));
void api_equal(const char *file, int line, const char *what, long long got, long long expected);
void api_true(const char *file, int line, const char *what, int got);

/** The call returned `got`, which must be >= 0 (or > 0 for ids). Returns it. */
int api_ok(const char *file, int line, const char *what, int got);
void *api_there(const char *file, int line, const char *what, void *got);

/** The call returned `got`, which must be -1, and mapi_read_error() must give the code once, with a sentence. */
void api_fails(const char *file, int line, const char *what, int got, int code);
void api_null(const char *file, int line, const char *what, const void *got, int code);

/** The calling thread has an error with this code (0: none), its text is a sentence, and reading it clears it. */
void api_error(const char *file, int line, const char *what, int code);

#define fail(...) api_failed(__FILE__, __LINE__, __VA_ARGS__)
#define check(condition) api_true(__FILE__, __LINE__, #condition, (condition) ? 1 : 0)
#define check_equal(got, expected) api_equal(__FILE__, __LINE__, #got, (long long)(got), (long long)(expected))
#define check_ok(call) api_ok(__FILE__, __LINE__, #call, (call))
#define check_there(call) api_there(__FILE__, __LINE__, #call, (call))
#define check_fails(call, code) api_fails(__FILE__, __LINE__, #call, (call), (code))
#define check_null(call, code) api_null(__FILE__, __LINE__, #call, (call), (code))
#define check_error(code) api_error(__FILE__, __LINE__, "mapi_read_error()", (code))

/* ---- flows ------------------------------------------------------------------------------------------------------ */

/** The result of 8 or 4 bytes; fails if there is none. */
unsigned long long api_counter(int fd, int fid);

/** Waits until the flow is FINISHED; fails after a generous time. Never sleeps. */
void api_finish(int fd);

/** Waits until the text of `file`, any file of /proc, does what `done` wants; fails with `what` after a generous time. */
void api_until(int (*done)(void *context), void *context, const char *what);

/* ---- what the process holds --------------------------------------------------------------------------------------- */

struct api_held {
        int descriptors;
        int maps; /* lines of /proc/self/maps */
        int threads;
};

struct api_held api_count_held(void);

/** As many descriptors and threads as before, and hardly more mappings; waits for threads that are about to end. */
void api_check_held(const char *file, int line, const struct api_held *before, int more_maps);
#define check_held(before, more_maps) api_check_held(__FILE__, __LINE__, (before), (more_maps))

/* ---- places -------------------------------------------------------------------------------------------------------- */

/** A trace of tests/traces; and one of MAPI_TEST_TRACES, without which the case is skipped. The thread's last four stay. */
const char *api_trace(const char *name);
const char *api_real_trace(const char *name);

/** A seed from API_SEED or the clock; it is printed. */
unsigned api_seed(void);

#ifdef __cplusplus
}
#endif

#endif
