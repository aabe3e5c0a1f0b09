/*
 * The compressions that traces come in, behind one small table each.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef FORMATS_CODEC_H
#define FORMATS_CODEC_H

#include <stddef.h>
#include <stdint.h>

/** What run says besides -1 for broken data. */
enum formats_codec_state {
        FORMATS_CODEC_INSIDE = 0, /* the compressed data must go on */
        FORMATS_CODEC_BETWEEN = 1 /* they may end here */
};

struct formats_codec {
        const char *name;

        /** NULL: this build does not have it. Returns the state or NULL without memory. */
        void *(*open)(void);

        /**
         * Decompresses from in to out. The two lengths hold the room on entry and what was used on return.
         * Returns enum formats_codec_state, or -1 and *ret_why (a constant) for broken data.
         */
        int (*run)(void *state, const uint8_t *in, size_t *in_bytes, uint8_t *out, size_t *out_bytes,
                   const char **ret_why);

        void (*close)(void *state);
};

/** The compression that these first bytes stand for, or NULL. */
const struct formats_codec *formats_codec_find(const uint8_t *p, size_t n);

/** The name of a compression that we recognise but never read, or NULL. */
const char *formats_codec_foreign(const uint8_t *p, size_t n);

#endif
