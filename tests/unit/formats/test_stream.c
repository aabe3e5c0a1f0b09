/*
 * The byte stream: block reads, tails that move, pipes that bring nothing, compression whole, joined, cut and
 * broken.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "formats/stream.h"

#include "compress.h"

/* A regular file without a name. */
static int file_of(const void *bytes, size_t n)
{
        int fd = memfd_create("trace", MFD_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, bytes, n), n);
        assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
        return fd;
}

/* Reads to the end, asking for `need` bytes at a time and taking them when they are there. Returns what ended
   it. */
static int read_all(struct formats_stream *s, size_t need, struct build *ret)
{
        for (;;) {
                size_t avail = formats_avail(&s->w);
                int rc;

                if (avail >= need) {
                        assert_int_equal(formats_offset(&s->w), ret->n);
                        build_put(ret, s->w.p, need);
                        s->w.p += need;
                        continue;
                }
                rc = formats_stream_fill(s, need);
                assert_int_not_equal(rc, 0);
                if (rc > 0) {
                        assert_int_equal(formats_avail(&s->w), avail + (size_t)rc);
                        continue;
                }
                assert_int_equal(formats_avail(&s->w), avail);
                build_put(ret, s->w.p, avail);
                assert_int_equal(formats_stream_fill(s, need), rc); /* says so again */
                return rc;
        }
}

/* Bytes that compress somewhat. */
static struct build sample(size_t n)
{
        struct build b = { 0 };
        uint32_t dice = 1;

        for (size_t i = 0; i < n; i++) {
                dice = dice * 1103515245 + 12345;
                build_8(&b, (uint8_t)(i % 32 < 16 ? 'x' : dice >> 20));
        }
        return b;
}

static void expect_same(const struct build *a, const struct build *b)
{
        assert_int_equal(a->n, b->n);
        assert_true(a->n == 0 || memcmp(a->bytes, b->bytes, a->n) == 0);
}

static void plain_files(void **state)
{
        static const size_t sizes[] = { 4, 5, 131072, 1048575, 1048576, 1048577, 3500000 };
        static const size_t needs[] = { 1, 7, 1000, 65536, 262160, FORMATS_RECORD_MAX - 1, FORMATS_RECORD_MAX };

        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
                struct build in = sample(sizes[i]);

                for (size_t k = 0; k < sizeof(needs) / sizeof(needs[0]); k++) {
                        struct formats_stream s;
                        struct build out = { 0 };

                        if (needs[k] < 100 && sizes[i] > 200000)
                                continue; /* slow, and nothing new */
                        assert_int_equal(formats_stream_open(&s, file_of(in.bytes, in.n)), 0);
                        assert_int_equal(s.waits, 0);
                        assert_int_equal(read_all(&s, needs[k], &out), FORMATS_END);
                        expect_same(&in, &out);
                        formats_stream_close(&s);
                        build_free(&out);
                }
                build_free(&in);
        }
}

static void compressed_files(void **state)
{
        static const size_t sizes[] = { 0, 1, 100, 131072, 3500000 };

        for (int kind = 0; kind < COMPRESS_KINDS; kind++) {
                if (!compress_here[kind])
                        continue;
                for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
                        struct build in = sample(sizes[i]), file = { 0 }, out = { 0 };
                        struct formats_stream s;

                        compress_put(&file, kind, in.bytes, in.n);
                        assert_int_equal(formats_stream_open(&s, file_of(file.bytes, file.n)), 0);
                        assert_int_equal(read_all(&s, 262160, &out), FORMATS_END);
                        assert_string_equal(s.codec->name, compress_name[kind]);
                        expect_same(&in, &out);
                        formats_stream_close(&s);
                        build_free(&in);
                        build_free(&file);
                        build_free(&out);
                }
        }
}

/* A few bytes become many blocks, and the codec still holds some when all that it wants has been read. */
static void highly_compressed(void **state)
{
        for (int i = 0; i < 2 * COMPRESS_KINDS; i++) {
                struct build in = { 0 }, file = { 0 }, out = { 0 };
                enum compress_kind kind = (enum compress_kind)(i / 2);
                struct formats_stream s;

                if (!compress_here[kind])
                        continue;
                in.n = 1000 + (4u << 20);
                in.bytes = calloc(1, in.n);
                assert_non_null(in.bytes);
                compress_checksum = i % 2;
                compress_put(&file, kind, in.bytes, 1000); /* so that blocks do not end where the buffer does */
                compress_put(&file, kind, in.bytes + 1000, in.n - 1000);
                compress_checksum = 1;
                assert_true(file.n < 30000);
                assert_int_equal(formats_stream_open(&s, file_of(file.bytes, file.n)), 0);
                assert_int_equal(read_all(&s, 1000, &out), FORMATS_END);
                expect_same(&in, &out);
                formats_stream_close(&s);
                build_free(&in);
                build_free(&file);
                build_free(&out);
        }
}

/* Members and frames one behind the other are one stream, empty ones included. */
static void joined(void **state)
{
        for (int kind = 0; kind < COMPRESS_KINDS; kind++) {
                struct build in = sample(1500000), file = { 0 }, out = { 0 };
                static const size_t cuts[] = { 0, 1, 1, 70000, 1200000, 1500000 };
                struct formats_stream s;

                if (!compress_here[kind]) {
                        build_free(&in);
                        continue;
                }
                for (int i = 0; i < 5; i++)
                        compress_put(&file, kind, in.bytes + cuts[i], cuts[i + 1] - cuts[i]);
                if (kind == COMPRESS_GZIP)
                        build_put(&file, (uint8_t[300]){ 0 }, 300); /* padding */
                assert_int_equal(formats_stream_open(&s, file_of(file.bytes, file.n)), 0);
                assert_int_equal(read_all(&s, 100, &out), FORMATS_END);
                expect_same(&in, &out);
                formats_stream_close(&s);
                build_free(&in);
                build_free(&file);
                build_free(&out);
        }
}

/* zstd's parallel tools put frames first that are to be skipped. */
static void skippable_first(void **state)
{
        struct build in, file = { 0 }, out = { 0 };
        struct formats_stream s;

        if (!compress_here[COMPRESS_ZSTD])
                skip();
        in = sample(1000);
        build_32(&file, 0x184d2a50);
        build_32(&file, 4);
        build_32(&file, 12345);
        compress_put(&file, COMPRESS_ZSTD, in.bytes, in.n);
        assert_int_equal(formats_stream_open(&s, file_of(file.bytes, file.n)), 0);
        assert_int_equal(read_all(&s, 100, &out), FORMATS_END);
        expect_same(&in, &out);
        formats_stream_close(&s);
        build_free(&in);
        build_free(&file);
        build_free(&out);
}

static void expect_prefix(const struct build *in, const struct build *out)
{
        assert_true(out->n <= in->n);
        assert_true(out->n == 0 || memcmp(in->bytes, out->bytes, out->n) == 0);
}

static void cut_and_broken(void **state)
{
        for (int kind = 0; kind < COMPRESS_KINDS; kind++) {
                struct build in = sample(600000), file = { 0 }, bad = { 0 }, out = { 0 };
                struct formats_stream s;
                char text[64];
                size_t last = 0;

                if (!compress_here[kind]) {
                        build_free(&in);
                        continue;
                }
                compress_put(&file, kind, in.bytes, in.n);
                /* Cut: what came before is there, more of it the later the cut. */
                for (size_t part = 1; part <= 10; part++) {
                        size_t n = part < 10 ? file.n * part / 10 : file.n - 1;

                        assert_int_equal(formats_stream_open(&s, file_of(file.bytes, n)), 0);
                        assert_int_equal(read_all(&s, 1000, &out), -MAPI_TRACE_DAMAGED);
                        snprintf(text, sizeof(text), "the %s data end too early, after %zu bytes of trace",
                                 compress_name[kind], out.n);
                        assert_string_equal(s.why, text);
                        expect_prefix(&in, &out);
                        assert_true(out.n >= last);
                        last = out.n;
                        formats_stream_close(&s);
                        build_free(&out);
                }
                assert_true(last > in.n / 2);

                /* One wrong byte near the end: at the latest the checksum tells. */
                build_put(&bad, file.bytes, file.n);
                if (bad.n > 6)
                        bad.bytes[bad.n - 6] ^= 0x55;
                assert_int_equal(formats_stream_open(&s, file_of(bad.bytes, bad.n)), 0);
                assert_int_equal(read_all(&s, 1000, &out), -MAPI_TRACE_DAMAGED);
                snprintf(text, sizeof(text),
                         "the %s data are broken after %zu bytes of trace: ", compress_name[kind], out.n);
                assert_int_equal(strncmp(s.why, text, strlen(text)), 0);
                assert_true(out.n > in.n / 4);
                formats_stream_close(&s);
                build_free(&out);
                build_free(&bad);

                /* Something else behind the compressed data. */
                build_put(&file, "something else", 14);
                assert_int_equal(formats_stream_open(&s, file_of(file.bytes, file.n)), 0);
                assert_int_equal(read_all(&s, 1000, &out), -MAPI_TRACE_DAMAGED);
                expect_same(&in, &out);
                formats_stream_close(&s);
                build_free(&out);
                build_free(&in);
                build_free(&file);
        }
}

static void not_readable(void **state)
{
        static const struct {
                const char *bytes, *why;
        } foreign[] = {
                { "BZh91AY&SY", "it is compressed with bzip2, which cannot be read" },
                { "\3757zXZ\0\0", "it is compressed with xz, which cannot be read" },
                { "PK\3\4xxxx", "it is compressed with zip, which cannot be read" },
                { "\x02\x21\x4c\x18xxxx", "it is compressed with the old lz4 format, which cannot be read" },
#if !MAPI_HAVE_ZLIB
                { "\x1f\x8b\x08xxxxx", "it is compressed with gzip, which this build of MAPI cannot read" },
#endif
#if !MAPI_HAVE_ZSTD
                { "\x28\xb5\x2f\xfdxxxx", "it is compressed with zstd, which this build of MAPI cannot read" },
#endif
#if !MAPI_HAVE_LZ4
                { "\x04\x22\x4d\x18xxxx", "it is compressed with lz4, which this build of MAPI cannot read" },
#endif
        };
        struct formats_stream s;

        for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
                assert_int_equal(formats_stream_open(&s, file_of(foreign[i].bytes, 8)), 0);
                assert_int_equal(formats_stream_fill(&s, 4), -MAPI_ERROR_FILE);
                assert_string_equal(s.why, foreign[i].why);
                assert_int_equal(formats_stream_fill(&s, 4), -MAPI_ERROR_FILE);
                formats_stream_close(&s);
        }
        assert_int_equal(formats_stream_open(&s, open(".", O_RDONLY)), -MAPI_ERROR_FILE);
        assert_string_equal(s.why, "it is a directory");
        formats_stream_close(&s);
        assert_int_equal(formats_stream_open(&s, -1), -MAPI_ERROR_FILE);
        assert_string_equal(s.why, "Bad file descriptor");
        formats_stream_close(&s);
        assert_int_equal(formats_stream_open(&s, open("/dev/null", O_WRONLY)), 0);
        assert_int_equal(formats_stream_fill(&s, 4), -MAPI_ERROR_FILE);
        assert_string_equal(s.why, "reading failed: Bad file descriptor");
        formats_stream_close(&s);
}

/* A pipe never makes anybody wait, and what it brings in drops is put together. */
static void pipes(void **state)
{
        struct build in = sample(3000), file = { 0 };

        for (int kind = -1; kind < COMPRESS_KINDS; kind++) {
                struct formats_stream s;
                struct build out = { 0 };
                int fd[2], rc;

                if (kind >= 0 && !compress_here[kind])
                        continue;
                build_free(&file);
                if (kind < 0)
                        build_put(&file, in.bytes, in.n);
                else
                        compress_put(&file, kind, in.bytes, in.n);
                assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
                assert_int_equal(formats_stream_open(&s, fd[0]), 0);
                assert_int_equal(s.waits, 1);
                assert_int_equal(formats_stream_wait(&s, 0), 0);
                assert_int_equal(formats_stream_fill(&s, 1), 0);
                for (size_t i = 0; i < file.n; i++) {
                        assert_int_equal(write(fd[1], file.bytes + i, 1), 1);
                        assert_int_equal(formats_stream_wait(&s, 1000), 1);
                        while ((rc = formats_stream_fill(&s, FORMATS_RECORD_MAX)) > 0)
                                ;
                        assert_int_equal(rc, 0);
                }
                build_put(&out, s.w.p, formats_avail(&s.w));
                expect_same(&in, &out);
                assert_int_equal(fcntl(fd[0], F_GETFL) & O_NONBLOCK, 0); /* others may share it */
                close(fd[1]);
                assert_int_equal(formats_stream_fill(&s, FORMATS_RECORD_MAX), FORMATS_END);
                formats_stream_close(&s);
                build_free(&out);
        }
        build_free(&file);
        build_free(&in);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(plain_files),     cmocka_unit_test(compressed_files),
                cmocka_unit_test(joined),          cmocka_unit_test(highly_compressed),
                cmocka_unit_test(skippable_first), cmocka_unit_test(cut_and_broken),
                cmocka_unit_test(not_readable),    cmocka_unit_test(pipes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
