/*
 * Inside of the replay driver: its options, its files, and the clock that tests put in place of the real one.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef DRIVERS_REPLAY_H
#define DRIVERS_REPLAY_H

#include <limits.h>

#include <mapi/driver.h>

enum replay_pace { REPLAY_OWN = 0, REPLAY_RATE, REPLAY_MAX };

#define REPLAY_SPEED_ONE 1000000u /* the trace's own speed, in millionths of it */

struct replay_options {
        char path[PATH_MAX];       /* of the trace or of the folder */
        int folder;                /* 1: path is a folder */
        enum replay_pace pace;     /* what decides when a packet is due */
        uint64_t speed_millionths; /* REPLAY_OWN: at most 10^12, at least 1000 */
        uint64_t rate_pps;         /* REPLAY_RATE: packets per second, 1 to 10^9 */
        uint64_t loops;            /* rounds to play, 0: for ever */
};

/** Returns 0, or -1026 with a sentence; *ret is complete only with 0. */
int drivers_replay_parse(const struct mapi_source *src, struct replay_options *ret, struct mapi_error *err);

/**
 * Opens the trace, or all files of the folder in the order of their names; those that we may not read are left out.
 * Reads nothing. Returns how many descriptors it put into ret_fds[0..MAPI_SOURCE_FDS), or -6155 with a sentence.
 */
int drivers_replay_files(const struct mapi_source *src, const struct replay_options *options, int *ret_fds,
                         struct mapi_error *err);

/** The time as the driver sees it. */
struct replay_clock {
        uint64_t (*mono_ns)(void);                  /* goes on evenly, whatever is done to the other one */
        uint64_t (*real_ns)(void);                  /* since 1970 */
        void (*arm)(int timer_fd, uint64_t due_ns); /* makes it readable at that mono_ns; 0: never */
};

/** For tests: another clock for an open device, before its first recv. It must outlive the device. */
void drivers_replay_set_clock(void *state, const struct replay_clock *clock);

#endif
