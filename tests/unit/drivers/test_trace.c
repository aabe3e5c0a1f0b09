/*
 * The driver of traces: what it opens, what it refuses and how it says so, files, pipes, damage, width and byte
 * limits.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <dirent.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "drive.h"

#include "../formats/compress.h"

#define DAMAGED "the trace is damaged; everything before the damage was delivered: "
#define REFUSED "the file cannot be used: "

static unsigned open_descriptors(void)
{
        DIR *dir = opendir("/proc/self/fd");
        unsigned n = 0;

        assert_non_null(dir);
        while (readdir(dir) != NULL)
                n++;
        closedir(dir);
        return n;
}

static void facts_and_counts(void **state)
{
        struct build b = { 0 };
        struct drive d;

        build_pcap(&b, 10);
        d = drive_bytes(&b, 64, SIZE_MAX);
        assert_int_equal(d.end, MAPI_RECV_END);
        assert_int_equal(d.packets, 10);
        assert_int_equal(d.caplen, 10 * 60 + 45);
        assert_int_equal(d.wirelen, 10 * 1000 + 45);
        assert_int_equal(d.facts.linktype, 1);
        assert_int_equal(d.facts.snaplen, 65535);
        assert_int_equal(d.facts.offline, 1);
        assert_int_equal(d.facts.link_speed, 0);
        assert_int_equal(d.stats.received, 10);
        assert_int_equal(d.stats.dropped, 0);
        build_free(&b);
}

/* A trace of several blocks with records of all sizes, so that every way of lying across a border occurs. */
static void build_large(struct build *b, unsigned n)
{
        uint32_t dice = 7;

        build_pcap_head(b, 0xa1b2c3d4, 4, 0, 1);
        for (unsigned i = 0; i < n; i++) {
                uint32_t caplen;

                dice = dice * 1103515245 + 12345;
                caplen = i % 500 == 99 ? 200000 + (dice >> 16) % 62000 : (dice >> 16) % 1600;
                build_pcap_record(b, i, i, caplen, caplen + 4, (uint8_t)dice);
        }
}

static void any_width(void **state)
{
        static const unsigned mosts[] = { 1, 2, 3, 7, 31, 63 };
        static const size_t limits[] = { 0, 1, 100, 1514, 10000, 262144 };
        struct build b = { 0 };
        struct drive all, d;

        build_large(&b, 3000);
        all = drive_bytes(&b, 64, SIZE_MAX);
        assert_int_equal(all.packets, 3000);
        assert_int_equal(all.wirelen, all.caplen + 4 * 3000);
        for (size_t i = 0; i < 6; i++) {
                d = drive_bytes(&b, mosts[i], SIZE_MAX);
                assert_true(d.packets == all.packets && d.hash == all.hash && d.end == MAPI_RECV_END);
                d = drive_bytes(&b, 64, limits[i]);
                assert_true(d.packets == all.packets && d.hash == all.hash && d.end == MAPI_RECV_END);
        }
        build_free(&b);
}

static void compressed(void **state)
{
        for (int kind = 0; kind < COMPRESS_KINDS; kind++) {
                struct build b = { 0 }, file = { 0 };
                struct drive all, d;

                build_large(&b, 600);
                compress_put(&file, kind, b.bytes, b.n / 3);
                compress_put(&file, kind, b.bytes + b.n / 3, b.n - b.n / 3);
                if (compress_here[kind]) {
                        all = drive_bytes(&b, 64, SIZE_MAX);
                        d = drive_bytes(&file, 64, SIZE_MAX);
                        assert_true(d.packets == all.packets && d.hash == all.hash && d.end == MAPI_RECV_END);
                        file.n -= file.n > 10 ? 10 : file.n;
                        d = drive_bytes(&file, 64, SIZE_MAX);
                        assert_int_equal(d.end, -MAPI_TRACE_DAMAGED);
                        assert_true(d.packets > 100 && d.packets < 600);
                        assert_non_null(strstr(d.err.text, " data end too early, after "));

                        file.n = 12; /* not even the head */
                        d = drive_bytes(&file, 64, SIZE_MAX);
                        assert_int_equal(d.end, -MAPI_ERROR_FILE);
                        assert_non_null(strstr(d.err.text, " data end too early, after 0 bytes of trace"));
                }
                build_free(&b);
                build_free(&file);
        }
}

static void damage(void **state)
{
        struct build b = { 0 };
        struct drive d;

        build_pcap(&b, 3);
        b.n -= 5;
        d = drive_bytes(&b, 64, SIZE_MAX);
        assert_int_equal(d.end, -MAPI_TRACE_DAMAGED);
        assert_int_equal(d.err.code, MAPI_TRACE_DAMAGED);
        assert_int_equal(d.packets, 2);
        assert_string_equal(d.err.text,
                            DAMAGED "some.pcap: pcap record 3 at byte 177: the trace ends after 73 of its 78 "
                                    "bytes");
        build_free(&b);

        build_pcap(&b, 2);
        build_pcap_record(&b, 1, 1, 0, 5, 0);
        memcpy(b.bytes + b.n - 8, "\xff\xff\xff\xff", 4);
        d = drive_bytes(&b, 64, SIZE_MAX);
        assert_int_equal(d.end, -MAPI_TRACE_DAMAGED);
        assert_int_equal(d.packets, 2);
        assert_string_equal(d.err.text,
                            DAMAGED "some.pcap: pcap record 3 at byte 177: a captured length of 4294967295 "
                                    "bytes is impossible (at most 262144)");
        build_free(&b);
}

static void expect_refused(const struct mapi_source *src, int code, const char *text)
{
        unsigned descriptors = open_descriptors() - (src->fd >= 0);
        struct drive d = drive_source(&mapi_drv_trace, src, 64, SIZE_MAX);

        assert_int_equal(d.end, -code);
        assert_string_equal(d.err.text, text);
        assert_int_equal(d.facts.linktype, 0xffff);        /* untouched */
        assert_int_equal(open_descriptors(), descriptors); /* the descriptor is gone all the same */
}

static void refused(void **state)
{
        struct mapi_source src = { .name = "x", .fd = -1 };

        src.fd = drive_file("", 0);
        expect_refused(&src, MAPI_ERROR_FILE, REFUSED "x: it is empty");
        src.fd = drive_file("\xd4\xc3\xb2\xa1\x02\x00", 6);
        expect_refused(&src, MAPI_ERROR_FILE,
                       REFUSED "x: it ends inside the file header of a pcap trace (6 of 24 bytes)");
        src.fd = drive_file("hello, world, how are you?", 26);
        expect_refused(&src, MAPI_ERROR_FILE,
                       REFUSED
                       "x: its first bytes are 68 65 6c 6c: not a trace that can be read (pcap, pcapng or ERF)");
        src.fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        expect_refused(&src, MAPI_ERROR_FILE, REFUSED "x: it is a directory");
        src.fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
        expect_refused(&src, MAPI_ERROR_FILE,
                       REFUSED
                       "x: its first bytes are 00 00 00 00: not a trace that can be read (pcap, pcapng or ERF)");
        src.fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        expect_refused(&src, MAPI_ERROR_FILE, REFUSED "x: it is empty");
        src.fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
        expect_refused(&src, MAPI_ERROR_FILE, REFUSED "x: reading failed: Bad file descriptor");
        src.fd = -1;
        src.name = "/nonexistent/trace.pcap";
        expect_refused(&src, MAPI_ERROR_FILE, REFUSED "/nonexistent/trace.pcap: No such file or directory");
        src.name = "/";
        expect_refused(&src, MAPI_ERROR_FILE, REFUSED "/: it is a directory");
}

static void wrong_options(void **state)
{
        static const struct {
                const char *options, *text;
        } wrong[] = {
                { "colour=3", "the capture device cannot be opened: x: unknown option 'colour'" },
                { "wait_ms",
                  "the capture device cannot be opened: x: option 'wait_ms' is not of the form key=number" },
                { "wait_ms=",
                  "the capture device cannot be opened: x: option 'wait_ms=' must be a number from 0 to 3600000" },
                { "wait_ms=1x", "the capture device cannot be opened: x: option 'wait_ms=1x' must be a number "
                                "from 0 to 3600000" },
                { "wait_ms=3600001", "the capture device cannot be opened: x: option 'wait_ms=3600001' must be a "
                                     "number from 0 to 3600000" },
                { "wait_ms=5,wait_ms=99999999999999999999999",
                  "the capture device cannot be opened: x: option 'wait_ms=99999999999999999999999' must be a "
                  "number from "
                  "0 to 3600000" },
        };

        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
                struct mapi_source src = { .name = "x", .options = wrong[i].options, .fd = drive_file("abc", 3) };

                expect_refused(&src, PCAP_OPEN_ERR, wrong[i].text);
        }
}

/* A pipe that brings nothing is given up; how long this takes is an option so that the test need not wait. */
static void silent_pipes(void **state)
{
        struct mapi_source src = { .name = "pipe", .options = "wait_ms=1" };
        static const char head[] = "\xd4\xc3\xb2\xa1\x02\x00\x04\x00";
        int fd[2];

        for (size_t n = 0; n <= 8; n += 4) {
                assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
                assert_int_equal(write(fd[1], head, n), n);
                src.fd = fd[0];
                expect_refused(&src, MAPI_ERROR_FILE, REFUSED "pipe: no trace has begun to come within 1 ms");
                close(fd[1]);
        }
}

static void fifo_without_writer(void **state)
{
        char path[64];
        struct mapi_source src = { .name = path, .options = "wait_ms=0", .fd = -1 };
        char text[200];

        snprintf(path, sizeof(path), "/tmp/mapi-test-trace-%ld", (long)getpid());
        assert_int_equal(mkfifo(path, 0600), 0);
        snprintf(text, sizeof(text), REFUSED "%s: no trace has begun to come within 0 ms", path);
        expect_refused(&src, MAPI_ERROR_FILE, text);
        unlink(path);
}

static void bytes_by_the_pipe(int to, int from)
{
        struct mapi_source src = { .name = "pipe", .fd = from };
        struct build b = { 0 };
        struct mapi_device_facts facts;
        struct mapi_batch batch;
        struct mapi_error err;
        size_t needed = 1, at = 24;
        void *state;
        unsigned n = 0;
        int rc;

        build_pcap(&b, 3);
        assert_int_equal(write(to, b.bytes, 24), 24);
        assert_int_equal(mapi_drv_trace.open(&src, &facts, &state, &err), 0);
        assert_int_equal(mapi_drv_trace.fd(state), from);
        for (; at < b.n; at++) { /* byte by byte: a packet comes with its last one */
                rc = mapi_drv_trace.recv(state, &batch, 64, SIZE_MAX, &needed, &err);
                assert_int_equal(rc, at == 24 + 76 || at == 24 + 76 + 77 ? 1 : 0);
                assert_int_equal(needed, 0);
                if (rc > 0) {
                        assert_int_equal(batch.pkt[0].caplen, 60 + n);
                        assert_int_equal(batch.pkt[0].data[5], 5 + n);
                        n++;
                        mapi_drv_trace.release(state, &batch);
                }
                assert_int_equal(write(to, b.bytes + at, 1), 1);
        }
        assert_int_equal(mapi_drv_trace.recv(state, &batch, 64, 61, &needed, &err), 0);
        assert_int_equal(needed, 62);
        assert_int_equal(mapi_drv_trace.recv(state, &batch, 64, 62, &needed, &err), 1);
        assert_int_equal(mapi_drv_trace.recv(state, &batch, 64, 62, &needed, &err), 0);
        assert_int_equal(needed, 0);
        assert_int_equal(mapi_drv_trace.recv(state, &batch, 0, 62, &needed, &err), 0); /* nothing is asked for */
        close(to);
        assert_int_equal(mapi_drv_trace.recv(state, &batch, 64, 62, &needed, &err), MAPI_RECV_END);
        assert_int_equal(fcntl(from, F_GETFL) & O_NONBLOCK, 0);
        mapi_drv_trace.close(state);
        assert_int_equal(fcntl(from, F_GETFD), -1);
        build_free(&b);
}

static void pipes(void **state)
{
        int fd[2];

        assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
        bytes_by_the_pipe(fd[1], fd[0]);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
        bytes_by_the_pipe(fd[1], fd[0]);
}

static void by_name(void **state)
{
        char path[] = "/tmp/mapi-test-trace-XXXXXX";
        struct mapi_source src = { .name = path, .fd = -1 };
        struct build b = { 0 };
        struct drive d;
        int fd = mkstemp(path);

        assert_true(fd >= 0);
        build_pcap(&b, 4);
        assert_int_equal(write(fd, b.bytes, b.n), b.n);
        close(fd);
        d = drive_source(&mapi_drv_trace, &src, 64, SIZE_MAX);
        assert_int_equal(d.packets, 4);
        assert_int_equal(d.end, MAPI_RECV_END);
        unlink(path);
        build_free(&b);
}

static void other_formats(void **state)
{
        struct build b = { 0 }, lead = { 0 };
        struct drive d;

        build_ng_section(&b);
        build_ng_interface(&b, 113, 96, 9, 0);
        build_ng_interface(&b, 1, 96, 6, 0);
        build_ng_packet(&b, 1, 5, 60, 60, 1);
        d = drive_bytes(&b, 64, SIZE_MAX);
        assert_int_equal(d.end, MAPI_RECV_END);
        assert_int_equal(d.packets, 1);
        assert_int_equal(d.facts.linktype, 113);
        assert_int_equal(d.facts.snaplen, MAPI_CAPLEN_MAX);
        build_free(&b);

        build_put(&lead, "\0\0", 2);
        build_erf(&b, 2, 0, 0x5f5e100000000000, 3, &lead, 60, 64, 1);
        build_erf(&b, 2, 0, 0x5f5e100100000000, 4, &lead, 60, 64, 1);
        d = drive_bytes(&b, 64, SIZE_MAX);
        assert_int_equal(d.end, MAPI_RECV_END);
        assert_int_equal(d.packets, 2);
        assert_int_equal(d.wirelen, 128);
        assert_int_equal(d.stats.received, 2);
        assert_int_equal(d.stats.dropped, 7); /* what the card says it lost */
        assert_int_equal(d.facts.snaplen, 65535);
        build_free(&b);
        build_free(&lead);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(facts_and_counts),
                cmocka_unit_test(any_width),
                cmocka_unit_test(compressed),
                cmocka_unit_test(damage),
                cmocka_unit_test(refused),
                cmocka_unit_test(wrong_options),
                cmocka_unit_test(silent_pipes),
                cmocka_unit_test(fifo_without_writer),
                cmocka_unit_test(pipes),
                cmocka_unit_test(by_name),
                cmocka_unit_test(other_formats),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
