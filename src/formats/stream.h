/*
 * The bytes of a trace from an open descriptor: large reads into one buffer that is used again and again,
 * decompressed on the way if need be. Never waits for a pipe.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef FORMATS_STREAM_H
#define FORMATS_STREAM_H

#include "formats/codec.h"
#include "formats/format.h"

/** Read at once. Measured: smaller blocks cost system calls, larger ones leave the cache. */
#define FORMATS_BLOCK_BYTES (1u << 20)

struct formats_stream {
        struct formats_window w;           /* what is in memory; the caller's reader moves w.p */
        int fd;                            /* owned */
        int waits;                         /* reading may block: a pipe, a socket, a terminal */
        int started;                       /* the compression, if any, is known */
        int ended;                         /* 0, FORMATS_END or -code: what fill says from now on */
        int raw_eof;                       /* the descriptor is at its end */
        int codec_full;                    /* the codec may have more without more input */
        int codec_between;                 /* the compressed data may end here */
        const struct formats_codec *codec; /* NULL: none */
        void *codec_state;
        uint8_t *buf;           /* room for the tail of a record, then one block */
        uint8_t *in;            /* compressed bytes */
        size_t in_at, in_bytes; /* those not yet used: [in_at, in_bytes) */
        char why[200];          /* a sentence about the last failure */
};

/**
 * Takes the descriptor, whatever happens. Reads nothing yet.
 * Returns 0; -6155 a directory or no descriptor at all, -3084
 */
int formats_stream_open(struct formats_stream *s, int fd);

/**
 * Brings more bytes to w.end, moving what lies between w.p and w.end: earlier pointers into the window are dead.
 * need_bytes  what the caller wants in the window, at most FORMATS_RECORD_MAX; fewer may come
 * Returns > 0  there are more now
 *         0    none now, the descriptor must be polled; never for a regular file
 *         FORMATS_END, or -6155 (at the start: a compression that is not here) or -9002 (damaged, unreadable)
 */
int formats_stream_fill(struct formats_stream *s, size_t need_bytes);

/**
 * Begins anew with another descriptor, or with the same one, where it stands: a file, which never makes anybody wait.
 * Keeps the memory; the descriptor before it is not closed. Only after an open that did not fail.
 */
void formats_stream_restart(struct formats_stream *s, int fd);

/** Waits until the descriptor has something to read. 1 yes, 0 timeout. */
int formats_stream_wait(const struct formats_stream *s, int timeout_ms);

void formats_stream_close(struct formats_stream *s);

#endif
