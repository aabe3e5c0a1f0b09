/*
 * gzip, zstd and lz4 through their libraries; concatenated members and frames are one stream.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "formats/codec.h"

#include <stdlib.h>
#include <string.h>

#include "mapi_config.h"

#include "formats/bytes.h"

#if MAPI_HAVE_ZLIB
#include <zlib.h>

struct gzip {
        z_stream z;
        int between; /* a member has ended, another may begin */
};

static void *gzip_open(void)
{
        struct gzip *g = calloc(1, sizeof(*g));

        if (g != NULL && inflateInit2(&g->z, 15 + 16) != Z_OK) { /* the largest window; a gzip header */
                free(g);
                return NULL;
        }
        return g;
}

static int gzip_run(void *state, const uint8_t *in, size_t *in_bytes, uint8_t *out, size_t *out_bytes,
                    const char **ret_why)
{
        struct gzip *g = state;
        size_t zeros = 0, had = *in_bytes, room = *out_bytes;
        int rc;

        if (g->between) {
                while (zeros < had && in[zeros] == 0) /* tapes and some copying tools pad the file with zeros */
                        zeros++;
                *in_bytes = zeros;
                *out_bytes = 0;
                if (zeros == had)
                        return FORMATS_CODEC_BETWEEN;
                if (inflateReset(&g->z) != Z_OK) {
                        *ret_why = "cannot start anew";
                        return -1;
                }
                g->between = 0;
        }
        g->z.next_in = (Bytef *)(uintptr_t)(in + zeros); /* zlib does not write there */
        g->z.avail_in = (uInt)(had - zeros);
        g->z.next_out = out;
        g->z.avail_out = (uInt)room;
        rc = inflate(&g->z, Z_NO_FLUSH);
        *in_bytes = had - g->z.avail_in;
        *out_bytes = room - g->z.avail_out;
        if (rc == Z_STREAM_END) {
                g->between = 1;
                return FORMATS_CODEC_BETWEEN;
        }
        if (rc == Z_OK || rc == Z_BUF_ERROR)
                return FORMATS_CODEC_INSIDE;
        *ret_why = rc == Z_MEM_ERROR ? "out of memory" : g->z.msg != NULL ? g->z.msg : "unknown error";
        return -1;
}

static void gzip_close(void *state)
{
        struct gzip *g = state;

        if (g == NULL)
                return;
        (void)inflateEnd(&g->z); /* can only say that the state was not consistent */
        free(g);
}

static const struct formats_codec gzip = { "gzip", gzip_open, gzip_run, gzip_close };
#else
static const struct formats_codec gzip = { "gzip", NULL, NULL, NULL };
#endif

#if MAPI_HAVE_ZSTD
#include <zstd.h>

static void *zstd_open(void)
{
        return ZSTD_createDStream();
}

static int zstd_run(void *state, const uint8_t *in, size_t *in_bytes, uint8_t *out, size_t *out_bytes,
                    const char **ret_why)
{
        ZSTD_inBuffer from = { in, *in_bytes, 0 };
        ZSTD_outBuffer to = { out, *out_bytes, 0 };
        size_t rc = ZSTD_decompressStream(state, &to, &from);

        *in_bytes = from.pos;
        *out_bytes = to.pos;
        if (ZSTD_isError(rc)) {
                *ret_why = ZSTD_getErrorName(rc);
                return -1;
        }
        return rc == 0 ? FORMATS_CODEC_BETWEEN : FORMATS_CODEC_INSIDE;
}

static void zstd_close(void *state)
{
        (void)ZSTD_freeDStream(state); /* takes NULL and cannot fail */
}

static const struct formats_codec zstd = { "zstd", zstd_open, zstd_run, zstd_close };
#else
static const struct formats_codec zstd = { "zstd", NULL, NULL, NULL };
#endif

#if MAPI_HAVE_LZ4
#include <lz4frame.h>

static void *lz4_open(void)
{
        LZ4F_dctx *d;

        return LZ4F_isError(LZ4F_createDecompressionContext(&d, LZ4F_VERSION)) ? NULL : d;
}

static int lz4_run(void *state, const uint8_t *in, size_t *in_bytes, uint8_t *out, size_t *out_bytes,
                   const char **ret_why)
{
        size_t rc = LZ4F_decompress(state, out, out_bytes, in, in_bytes, NULL);

        if (LZ4F_isError(rc)) {
                *ret_why = LZ4F_getErrorName(rc);
                return -1;
        }
        return rc == 0 ? FORMATS_CODEC_BETWEEN : FORMATS_CODEC_INSIDE;
}

static void lz4_close(void *state)
{
        if (state != NULL)
                (void)LZ4F_freeDecompressionContext(
                        state); /* tells the state it was in, which does not matter now */
}

static const struct formats_codec lz4 = { "lz4", lz4_open, lz4_run, lz4_close };
#else
static const struct formats_codec lz4 = { "lz4", NULL, NULL, NULL };
#endif

const struct formats_codec *formats_codec_find(const uint8_t *p, size_t n)
{
        uint32_t magic;

        if (n >= 2 && p[0] == 0x1f && p[1] == 0x8b)
                return &gzip;
        if (n < sizeof(magic))
                return NULL;
        magic = formats_get32le(p);
        if (magic == 0xfd2fb528u)
                return &zstd;
        if ((magic & 0xfffffff0u) == 0x184d2a50u) /* a skippable frame, which parallel zstd tools put first */
                return &zstd;
        if (magic == 0x184d2204u)
                return &lz4;
        return NULL;
}

const char *formats_codec_foreign(const uint8_t *p, size_t n)
{
        static const struct {
                const char *name;
                uint8_t length;
                uint8_t magic[6];
        } foreign[] = {
                { "bzip2", 3, { 'B', 'Z', 'h' } }, { "xz", 6, { 0xfd, '7', 'z', 'X', 'Z', 0 } },
                { "zip", 4, { 'P', 'K', 3, 4 } },  { "the old lz4 format", 4, { 0x02, 0x21, 0x4c, 0x18 } },
                { "compress", 2, { 0x1f, 0x9d } },
        };

        for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
                if (n >= foreign[i].length && memcmp(p, foreign[i].magic, foreign[i].length) == 0)
                        return foreign[i].name;
        return NULL;
}
