/*
 * Compresses bytes with the libraries that are there.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef TESTS_UNIT_FORMATS_COMPRESS_H
#define TESTS_UNIT_FORMATS_COMPRESS_H

#include "mapi_config.h"

#include "build.h"

#if MAPI_HAVE_ZLIB
#include <zlib.h>
#endif
#if MAPI_HAVE_ZSTD
#include <zstd.h>
#endif
#if MAPI_HAVE_LZ4
#include <lz4frame.h>
#endif

enum compress_kind { COMPRESS_GZIP = 0, COMPRESS_ZSTD, COMPRESS_LZ4, COMPRESS_KINDS };

static const char *const compress_name[COMPRESS_KINDS] = { "gzip", "zstd", "lz4" };
static const int compress_here[COMPRESS_KINDS] = { MAPI_HAVE_ZLIB, MAPI_HAVE_ZSTD, MAPI_HAVE_LZ4 };

/* zstd and lz4: 0 leaves the checksum out. */
static int compress_checksum = 1;

/** Appends n bytes to b as one member or frame. */
static inline void compress_put(struct build *b, enum compress_kind kind, const uint8_t *bytes, size_t n)
{
        size_t room = n + n / 8 + 1024, made = 0;
        uint8_t *out = malloc(room);

        if (out == NULL)
                abort();
        (void)kind; /* unless there is a library */
        (void)compress_checksum;
        (void)bytes;
#if MAPI_HAVE_ZLIB
        if (kind == COMPRESS_GZIP) {
                z_stream z = { 0 };

                if (deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
                        abort();
                z.next_in = (Bytef *)(uintptr_t)bytes;
                z.avail_in = (uInt)n;
                z.next_out = out;
                z.avail_out = (uInt)room;
                if (deflate(&z, Z_FINISH) != Z_STREAM_END)
                        abort();
                made = room - z.avail_out;
                deflateEnd(&z);
        }
#endif
#if MAPI_HAVE_ZSTD
        if (kind == COMPRESS_ZSTD) {
                ZSTD_CCtx *c = ZSTD_createCCtx();

                ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, compress_checksum);
                made = ZSTD_compress2(c, out, room, bytes, n);
                if (ZSTD_isError(made))
                        abort();
                ZSTD_freeCCtx(c);
        }
#endif
#if MAPI_HAVE_LZ4
        if (kind == COMPRESS_LZ4) {
                LZ4F_preferences_t p = { .frameInfo = { .contentChecksumFlag = compress_checksum } };

                made = LZ4F_compressFrame(out, room, bytes, n, &p);
                if (LZ4F_isError(made))
                        abort();
        }
#endif
        build_put(b, out, made);
        free(out);
}

#endif
