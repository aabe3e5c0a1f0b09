/*
 * The replay driver and files: folders, damage, files that change under way, everything it must refuse.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <errno.h>
#include <limits.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "replay_play.h"

static char folder[] = "/tmp/mapi-test-replay-XXXXXX";
static char folder_options[200];

static void put_file(const char *name, const void *bytes, size_t n)
{
        char path[400];
        int fd;

        snprintf(path, sizeof(path), "%s/%s", folder, name);
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, bytes, n), n);
        close(fd);
}

static void put_trace(const char *name, uint32_t linktype, uint32_t first_caplen, unsigned n)
{
        struct build b = { 0 };

        build_pcap_head(&b, 0xa1b2c3d4, 4, 1000 + first_caplen, linktype);
        for (unsigned i = 0; i < n; i++)
                build_pcap_record(&b, 1000 * first_caplen + 2 * i, 0, first_caplen + i, 500, 0);
        put_file(name, b.bytes, b.n);
        build_free(&b);
}

static void begin_folder(const char *more_options)
{
        strcpy(folder + strlen(folder) - 6, "XXXXXX");
        assert_non_null(mkdtemp(folder));
        snprintf(folder_options, sizeof(folder_options), "trace_dir=%s;%s", folder, more_options);
}

static void end_folder(void)
{
        DIR *dir = opendir(folder);
        const struct dirent *e;

        assert_non_null(dir);
        while ((e = readdir(dir)) != NULL)
                if (unlinkat(dirfd(dir), e->d_name, 0) < 0)
                        (void)unlinkat(dirfd(dir), e->d_name, AT_REMOVEDIR);
        closedir(dir);
        assert_int_equal(rmdir(folder), 0);
}

/* After a test that failed half-way. */
static int remove_folder(void **state)
{
        if (access(folder, F_OK) == 0)
                end_folder();
        return 0;
}

static void a_folder(void **state)
{
        unsigned before = open_descriptors();
        struct mapi_source src = { .name = "replay0", .options = folder_options, .fd = -1 };
        int fds[MAPI_SOURCE_FDS];
        struct mapi_error err;
        char path[400];
        void *st;

        begin_folder("speed=1");
        put_trace("b two, more", 101, 200, 3);
        put_trace("c", 105, 300, 1);
        put_trace("B", 113, 100, 2); /* by bytes, so before the small letters */
        put_trace("Bb none", 1, 100, 0);
        put_trace(".hidden", 1, 1000, 2);
        put_file("README", "no trace at all", 15);
        put_file("empty", "", 0);
        snprintf(path, sizeof(path), "%s/a folder", folder);
        assert_int_equal(mkdir(path, 0700), 0);
        snprintf(path, sizeof(path), "%s/a fifo", folder);
        assert_int_equal(mkfifo(path, 0600), 0);
        snprintf(path, sizeof(path), "%s/a hanging link", folder);
        assert_int_equal(symlink("nowhere", path), 0);

        assert_int_equal(mapi_drv_replay.prepare(&src, fds, &err), 6); /* files, whatever is in them */
        for (unsigned i = 0; i < 6; i++)
                close(fds[i]);
        st = open_source(&src);
        assert_int_equal(open_descriptors(), before + 4); /* three traces and the timer */
        assert_int_equal(facts.linktype, 113);
        assert_int_equal(facts.snaplen, 1300);
        for (unsigned round = 0; round < 3; round++) {
                static const unsigned caplen[] = { 100, 101, 200, 201, 202, 300 },
                                      linktype[] = { 113, 113, 12, 12, 12, 105 };

                for (unsigned i = 0; i < 6; i++) {
                        /* Between files as between rounds; a single packet stands for a second. */
                        expect_one(st, real, i == 5 ? SECOND : 2 * SECOND);
                        assert_int_equal(batch.pkt[0].caplen, caplen[i]);
                        assert_int_equal(batch.pkt[0].linktype, linktype[i]);
                }
        }
        mapi_drv_replay.close(st);
        end_folder();
        assert_int_equal(open_descriptors(), before);
}

static void folder_limits(void **state)
{
        struct mapi_source src = { .name = "replay0", .options = folder_options, .fd = -1 };
        unsigned before = open_descriptors(), sum = 0;
        int fds[MAPI_SOURCE_FDS];
        struct rlimit limit, few;
        struct mapi_error err;
        char text[400], name[20];
        void *st;

        begin_folder("rate=max;loops=1");
        snprintf(text, sizeof(text), REFUSED "replay0: %s has no file that can be read", folder);
        expect_refused(&src, MAPI_ERROR_FILE, text);
        assert_int_equal(mapi_drv_replay.prepare(&src, fds, &err), -MAPI_ERROR_FILE);
        assert_string_equal(err.text, text);

        put_file("README", "no trace at all", 15);
        snprintf(text, sizeof(text), REFUSED "replay0: %s has no trace with packets", folder);
        expect_refused(&src, MAPI_ERROR_FILE, text);
        assert_int_equal(mapi_drv_replay.prepare(&src, fds, &err), 1); /* it does not look into it */
        close(fds[0]);

        for (unsigned i = 1; i < 64; i++) {
                snprintf(name, sizeof(name), "%u", 100 - i);
                put_trace(name, 1, 100 - i, 1);
        }
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        few = limit;
        few.rlim_cur = before + 40;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        assert_int_equal(mapi_drv_replay.prepare(&src, fds, &err), -MAPI_ERROR_FILE);
        assert_non_null(strstr(err.text, ": Too many open files"));
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        assert_int_equal(open_descriptors(), before);
        st = open_source(&src);
        for (unsigned i = 1; i < 64; i++) {
                assert_int_equal(take(st), 1);
                assert_int_equal(batch.pkt[0].caplen, 36 + i);
                sum++;
        }
        assert_int_equal(take(st), 0);
        mapi_drv_replay.close(st);
        put_trace("one more", 1, 1, 1);
        snprintf(text, sizeof(text), REFUSED "replay0: %s has more than 64 files", folder);
        expect_refused(&src, MAPI_ERROR_FILE, text);
        assert_int_equal(mapi_drv_replay.prepare(&src, fds, &err), -MAPI_ERROR_FILE);
        end_folder();
        snprintf(text, sizeof(text), REFUSED "replay0: %s: No such file or directory", folder);
        expect_refused(&src, MAPI_ERROR_FILE, text);
        assert_int_equal(open_descriptors(), before);
}

/* A file that may not be read is as if it were not there; alone, it is an error. */
static void no_rights(void **state)
{
        struct mapi_source src = { .name = "replay0", .options = folder_options, .fd = -1 };
        uid_t uid = geteuid(); /* root may read everything */
        char path[400], text[400];
        int fds[MAPI_SOURCE_FDS];
        struct mapi_error err;
        unsigned n;

        begin_folder("");
        put_trace("1", 1, 100, 2);
        put_trace("2", 1, 200, 2);
        put_trace("3", 1, 200, 2);
        for (unsigned i = 1; i <= 3; i++) {
                snprintf(path, sizeof(path), "%s/%u", folder, i);
                assert_int_equal(chmod(path, i == 2 ? 0 : 0444), 0);
        }
        assert_int_equal(chmod(folder, 0755), 0);
        if (uid == 0)
                assert_int_equal(seteuid(65534), 0);
        n = (unsigned)mapi_drv_replay.prepare(&src, fds, &err);
        assert_int_equal(n, 2);
        while (n > 0)
                close(fds[--n]);
        snprintf(path, sizeof(path), "trace=%s/2", folder);
        snprintf(text, sizeof(text), REFUSED "replay0: %s/2: Permission denied", folder);
        src.options = path;
        expect_refused(&src, MAPI_ERROR_FILE, text);
        if (uid == 0)
                assert_int_equal(seteuid(0), 0);
        end_folder();
}

/* What prepare opened is all that is needed: the files are gone, and no descriptor but the timer can be had. */
static int play_without_files(struct mapi_source *src)
{
        struct rlimit limit;
        int highest = dup(0);
        void *st;

        close(highest);
        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return 1;
        limit.rlim_cur = (rlim_t)highest + 1;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                return 2;
        st = open_source(src);
        if (dup(0) >= 0) /* it could be had, so nothing is proved */
                return 3;
        for (unsigned round = 0; round < 100; round++)
                for (unsigned i = 0; i < 2; i++)
                        if (take(st) != 10 || batch.pkt[0].caplen != 100 * (i + 1))
                                return 4;
        mapi_drv_replay.close(st);
        return fcntl(src->fd, F_GETFD) >= 0 || fcntl(src->more[0], F_GETFD) >= 0 ? 5 : 0;
}

static void prepared(void **state)
{
        struct mapi_source src = { .name = "replay0", .options = folder_options, .fd = -1 };
        unsigned before = open_descriptors();
        int fds[MAPI_SOURCE_FDS], status;
        struct mapi_error err;
        pid_t child;

        begin_folder("rate=max");
        put_trace("1", 1, 100, 10);
        put_trace("2", 1, 200, 10);
        assert_int_equal(mapi_drv_replay.prepare(&src, fds, &err), 2);
        for (unsigned i = 0; i < 2; i++)
                assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
        end_folder();
        src.fd = fds[0];
        src.more = fds + 1;
        src.nmore = 1;
        child = fork();
        assert_true(child >= 0);
        if (child == 0)
                _exit(play_without_files(&src));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        close(fds[0]);
        close(fds[1]);
        assert_int_equal(open_descriptors(), before);
}

/* The damaged tail of a file is left out, in every round. */
static void damage(void **state)
{
        struct build b = { 0 }, ng = { 0 };
        void *st;

        build_pcap(&b, 4);
        b.n -= 5;
        st = open_bytes(&b, "trace=x");
        for (unsigned round = 0; round < 3; round++) {
                expect_one(st, real, SECOND + 1000);
                expect_one(st, real, SECOND + 1000);
                expect_one(st, real, SECOND + 1000); /* the mean of two distances */
        }
        mapi_drv_replay.close(st);
        build_free(&b);

        build_ng_section(&ng);
        build_ng_interface(&ng, 1, 96, 9, 0);
        build_ng_packet(&ng, 0, 5, 60, 60, 1);
        build_ng_interface(&ng, 101, 0, 6, 0);
        build_ng_packet(&ng, 1, 5, 61, 61, 1);
        build_ng_packet(&ng, 2, 5, 62, 62, 1); /* of an interface that is not there */
        st = open_bytes(&ng, "trace=x;speed=max");
        for (unsigned round = 0; round < 3; round++) {
                assert_int_equal(take(st), 2);
                assert_int_equal(batch.pkt[0].linktype, 1);
                assert_int_equal(batch.pkt[1].linktype, 12);
                assert_int_equal(batch.pkt[1].ifindex, 1);
        }
        mapi_drv_replay.close(st);
        build_free(&ng);
}

/* All files are emptied while they are played: no busy waiting, and on they go when there are packets again. */
static void emptied(void **state)
{
        static const char *const options[] = { "trace=x", "trace=x;rate=5", "trace=x;rate=max" };
        struct build b = { 0 };

        build_pcap(&b, 3);
        for (unsigned i = 0; i < 3; i++) {
                struct mapi_source src = { .name = "x", .options = options[i], .fd = drive_file(b.bytes, b.n) };
                int fd = dup(src.fd);
                void *st = open_source(&src);
                size_t needed;

                for (unsigned k = 0; k < 3; k++) {
                        assert_int_equal(take_some(st, 1, SIZE_MAX, &needed), 1);
                        pass(SECOND + 1000);
                }
                assert_int_equal(ftruncate(fd, 0), 0);
                for (unsigned k = 0; k < 3; k++) {
                        assert_int_equal(take(st), 0);
                        if (armed != mono + SECOND) /* the round that was under way has had packets */
                                assert_int_equal(take(st), 0);
                        assert_int_equal(armed, mono + SECOND);
                        pass(SECOND - 1);
                        mono_reads = 0;
                        assert_int_equal(take(st), 0);
                        assert_int_equal(mono_reads, 1);
                        pass(1);
                }
                assert_int_equal(pwrite(fd, b.bytes, b.n, 0), b.n);
                assert_int_equal(take_some(st, 1, SIZE_MAX, &needed), 1);
                assert_int_equal(batch.pkt[0].ts, ts_of(real));
                assert_int_equal(batch.pkt[0].caplen, 60);
                mapi_drv_replay.close(st);
                close(fd);
        }
        build_free(&b);
}

/* One of several is emptied: it is as if it were not there, also in time. */
static void one_emptied(void **state)
{
        struct mapi_source src = { .name = "replay0", .options = folder_options, .fd = -1 };
        char path[400];
        void *st;

        begin_folder("speed=2");
        put_trace("1", 1, 100, 2);
        put_trace("2", 1, 200, 2);
        snprintf(path, sizeof(path), "%s/2", folder);
        st = open_source(&src);
        for (unsigned i = 0; i < 6; i++) {
                if (i == 3)
                        assert_int_equal(truncate(path, 0), 0); /* it is in memory already */
                expect_one(st, real, SECOND);
                assert_int_equal(batch.pkt[0].caplen, (i / 2 == 1 ? 200 : 100) + i % 2);
        }
        for (unsigned i = 0; i < 6; i++) {
                expect_one(st, real, SECOND);
                assert_int_equal(batch.pkt[0].caplen, 100 + i % 2);
        }
        mapi_drv_replay.close(st);
        end_folder();
}

static void refused(void **state)
{
        struct mapi_source src = { .name = "replay0", .options = "trace=x" };
        struct build b = { 0 };
        char path[64], options[80], text[200];
        int fd[2], more[MAPI_SOURCE_FDS];

        build_pcap(&b, 0);
        src.fd = drive_file(b.bytes, b.n);
        expect_refused(&src, MAPI_ERROR_FILE, REFUSED "replay0: x: it has no packets");
        build_pcap_record(&b, 1, 1, 60, 60, 0);
        src.fd = drive_file(b.bytes, b.n - 1);
        expect_refused(&src, MAPI_ERROR_FILE,
                       REFUSED "replay0: x: pcap record 1 at byte 24: the trace ends after 75 of its 76 bytes");
        src.fd = drive_file("", 0);
        expect_refused(&src, MAPI_ERROR_FILE, REFUSED "replay0: x: it is empty");
        src.fd = drive_file(b.bytes, 7);
        expect_refused(&src, MAPI_ERROR_FILE,
                       REFUSED "replay0: x: it ends inside the file header of a pcap trace (7 of 24 bytes)");
        src.fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        expect_refused(&src, MAPI_ERROR_FILE, REFUSED "replay0: x: it is a directory");

        assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
        assert_int_equal(write(fd[1], b.bytes, b.n), b.n);
        src.fd = fd[0];
        expect_refused(&src, MAPI_ERROR_FILE, REFUSED "replay0: x: it is not a file, which could be played again");
        close(fd[1]);
        src.fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
        expect_refused(&src, MAPI_ERROR_FILE, REFUSED "replay0: x: it is not a file, which could be played again");

        for (unsigned i = 0; i < MAPI_SOURCE_FDS; i++)
                more[i] = drive_file(b.bytes, b.n);
        src.fd = drive_file(b.bytes, b.n);
        src.more = more;
        src.nmore = MAPI_SOURCE_FDS;
        expect_refused(&src, PCAP_OPEN_ERR, NOT_OPENED "replay0: more than 64 descriptors");

        src = (struct mapi_source){ .name = "replay0", .options = options, .fd = -1 };
        snprintf(path, sizeof(path), "/tmp/mapi-test, replay %ld", (long)getpid());
        snprintf(options, sizeof(options), "speed=3;trace=%s", path);
        snprintf(text, sizeof(text), REFUSED "replay0: %s: No such file or directory", path);
        expect_refused(&src, MAPI_ERROR_FILE, text);
        assert_int_equal(mkfifo(path, 0600), 0);
        snprintf(text, sizeof(text), REFUSED "replay0: %s: it is not a file, which could be played again", path);
        expect_refused(&src, MAPI_ERROR_FILE, text);
        unlink(path);
        src.options = "trace_dir=/dev/null";
        expect_refused(&src, MAPI_ERROR_FILE, REFUSED "replay0: /dev/null: Not a directory");
        build_free(&b);
}

static void wrong_options(void **state)
{
#define SPEED(v) NOT_OPENED "x: speed must be max or a number from 0.001 to 1000000, not '" v "'"
#define RATE(v) NOT_OPENED "x: rate must be max or packets per second, 1 to 1000000000, not '" v "'"
#define WHICH NOT_OPENED "x: give either trace=FILE or trace_dir=DIRECTORY"
        static const struct {
                const char *options, *text;
        } wrong[] = {
                { NULL, WHICH },
                { "", WHICH },
                { "speed=1", WHICH },
                { "trace=a;trace_dir=b", WHICH },
                { "trace=a;trace=b", NOT_OPENED "x: option 'trace' is given twice" },
                { "trace=;speed=1", NOT_OPENED "x: option 'trace' has no value" },
                { "trace", NOT_OPENED "x: option 'trace' is not of the form key=value" },
                { "trac=x", NOT_OPENED "x: unknown option 'trac'" },
                { "=x", NOT_OPENED "x: unknown option ''" },
                { "trace=x;loops=-1",
                  NOT_OPENED "x: option 'loops=-1' must be a number from 0 to 18446744073709551615" },
                { "trace=x;speed=1;rate=1", NOT_OPENED "x: give either speed or rate" },
                { "trace=x;speed=max;rate=max", NOT_OPENED "x: give either speed or rate" },
                { "trace=x;speed=0", SPEED("0") },
                { "trace=x;speed=0.0009", SPEED("0.0009") },
                { "trace=x;speed=1000000.000001", SPEED("1000000.000001") },
                { "trace=x;speed=0.0010001", SPEED("0.0010001") },
                { "trace=x;speed=-1", SPEED("-1") },
                { "trace=x;speed=.", SPEED(".") },
                { "trace=x;speed=1.2.3", SPEED("1.2.3") },
                { "trace=x;speed=1e3", SPEED("1e3") },
                { "trace=x;speed=inf", SPEED("inf") },
                { "trace=x;speed=maxi", SPEED("maxi") },
                { "trace=x;speed= 1", SPEED(" 1") },
                { "trace=x;speed=99999999999999999999999999999999999999",
                  SPEED("99999999999999999999999999999999999999") },
                { "trace=x;rate=0", RATE("0") },
                { "trace=x;rate=1.5", RATE("1.5") },
                { "trace=x;rate=1000000001", RATE("1000000001") },
                { "trace=x;rate=18446744073709551617", RATE("18446744073709551617") },
                { "trace=x;rate=Max", RATE("Max") },
        };
        char *long_path = malloc(PATH_MAX + 20);
        struct mapi_source src = { .name = "x", .options = long_path };
        int fds[MAPI_SOURCE_FDS];
        struct mapi_error err;

        assert_non_null(long_path);
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
                struct mapi_source other = { .name = "x",
                                             .options = wrong[i].options,
                                             .fd = drive_file("abc", 3) };

                expect_refused(&other, PCAP_OPEN_ERR, wrong[i].text);
                other.fd = -1;
                assert_int_equal(mapi_drv_replay.prepare(&other, fds, &err), -PCAP_OPEN_ERR);
                assert_string_equal(err.text, wrong[i].text);
        }
        memset(long_path, '/', PATH_MAX + 19);
        memcpy(long_path, "trace=", 6);
        long_path[6 + PATH_MAX] = '\0';
        src.fd = drive_file("abc", 3);
        expect_refused(&src, PCAP_OPEN_ERR, NOT_OPENED "x: a path of 4096 bytes is too long");
        long_path[5 + PATH_MAX] = '\0';
        src.fd = -1;
        assert_int_equal(mapi_drv_replay.prepare(&src, fds, &err), 1); /* the root folder: no matter for prepare */
        close(fds[0]);
        free(long_path);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_teardown(a_folder, remove_folder),
                cmocka_unit_test_teardown(folder_limits, remove_folder),
                cmocka_unit_test_teardown(no_rights, remove_folder),
                cmocka_unit_test_teardown(prepared, remove_folder),
                cmocka_unit_test(damage),
                cmocka_unit_test(emptied),
                cmocka_unit_test_teardown(one_emptied, remove_folder),
                cmocka_unit_test(refused),
                cmocka_unit_test(wrong_options),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
