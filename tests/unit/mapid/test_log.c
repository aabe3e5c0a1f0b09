/* mapid/log: what goes where at which level, one line each, whatever a client sends. SPDX-License-Identifier: BSD-2-Clause */
#include "mapid/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* A folder of its own, and the standard streams as files in it. */
struct world {
        char folder[64];
        int out, err; /* the real ones */
};

static const char *in(const struct world *w, const char *name)
{
        static char path[4][128];
        static unsigned next;

        next = (next + 1) % 4;
        (void)snprintf(path[next], sizeof path[next], "%s/%s", w->folder, name);
        return path[next];
}

static void redirect(const struct world *w, int fd, const char *name)
{
        int file = open(in(w, name), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

        assert_true(file >= 0);
        assert_true(dup2(file, fd) == fd);
        close(file);
}

static int setup(void **state)
{
        struct world *w = calloc(1, sizeof *w);

        assert_non_null(w);
        (void)snprintf(w->folder, sizeof w->folder, "/tmp/test_log.XXXXXX");
        assert_non_null(mkdtemp(w->folder));
        assert_int_equal(setenv("TZ", "UTC", 1), 0);
        assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
        (void)fflush(NULL);
        w->out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10);
        w->err = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
        redirect(w, STDOUT_FILENO, "out");
        redirect(w, STDERR_FILENO, "err");
        *state = w;
        return 0;
}

static void restore(const struct world *w)
{
        (void)fflush(NULL);
        (void)dup2(w->out, STDOUT_FILENO);
        (void)dup2(w->err, STDERR_FILENO);
}

static int teardown(void **state)
{
        static const char *const names[] = { "out",      "err",    "x.info", "x.debug",
                                             "x.info.1", "syslog", "fifo",   "link.info" };
        struct world *w = *state;

        log_stop();
        restore(w);
        close(w->out);
        close(w->err);
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
                (void)unlink(in(w, names[i]));
        assert_int_equal(rmdir(w->folder), 0);
        free(w);
        return 0;
}

/* The file's text; "-" if there is no file. */
static const char *text_of(const struct world *w, const char *name)
{
        static char text[4][65536];
        static unsigned next;
        int fd = open(in(w, name), O_RDONLY | O_CLOEXEC);
        ssize_t n = 0;

        next = (next + 1) % 4;
        if (fd < 0)
                return "-";
        n = read(fd, text[next], sizeof text[next] - 1);
        assert_true(n >= 0);
        text[next][n] = '\0';
        close(fd);
        return text[next];
}

/* The text without the times at the end of its lines, which must be well-formed and of today or yesterday. */
static const char *without_times(const char *text)
{
        static char result[2][65536];
        static unsigned next;
        char *r = result[next = !next];

        *r = '\0';
        while (*text != '\0') {
                const char *end = strchr(text, '\n'), *at = NULL;
                int day, month, year, hour, minute, second, n = 0;
                char again[64];

                assert_non_null(end);
                for (const char *p = text; p < end; p++)
                        if (strncmp(p, " at ", 4) == 0)
                                at = p;
                assert_non_null(at);
                assert_int_equal(
                        sscanf(at, " at %d/%d/%d %2d:%2d:%2d%n", &day, &month, &year, &hour, &minute, &second, &n),
                        6);
                assert_ptr_equal(at + n, end);
                (void)snprintf(again, sizeof again, " at %d/%d/%d %02d:%02d:%02d", day, month, year, hour, minute,
                               second);
                assert_int_equal(strlen(again), n); /* no zeros in front of day and month */
                assert_true(day >= 1 && day <= 31 && month >= 1 && month <= 12 && year >= 2024 && hour < 24);
                r += sprintf(r, "%.*s\n", (int)(at - text), text);
                text = end + 1;
        }
        return result[next];
}

static void say_all(void)
{
        log_error("e %d", 1);
        log_warning("w %s", "two");
        log_info("i");
        log_debug("d");
}

static void levels(void **state)
{
        static const struct {
                unsigned level;
                const char *out, *debug;
        } rows[] = { { 0, "", "" }, { 1, "mapid: d\n", "d\n" }, { 2, "", "d\n" } };
        struct world *w = *state;

        for (size_t i = 0; i < 3; i++) {
                struct log_fds fds = LOG_NO_FDS;

                log_start("mapid", rows[i].level);
                assert_int_equal(log_debugs(), rows[i].level > 0);
                assert_int_equal(log_open_at(in(w, "x"), NULL, &fds, NULL), 0);
                log_adopt(fds);
                say_all();
                assert_string_equal(text_of(w, "out"), rows[i].out);
                assert_string_equal(text_of(w, "err"), "mapid: e 1\nmapid: w two\nmapid: i\n");
                assert_string_equal(without_times(text_of(w, "x.info")), "e 1\nw two\ni\n");
                assert_string_equal(without_times(text_of(w, "x.debug")), rows[i].debug);
                assert_int_equal(log_lost(), 0);
                assert_int_equal(truncate(in(w, "out"), 0) + truncate(in(w, "err"), 0), 0);
                assert_int_equal(unlink(in(w, "x.info")) + unlink(in(w, "x.debug")), 0);
        }
}

static void streams_and_files_by_themselves(void **state)
{
        struct world *w = *state;
        struct log_fds fds = LOG_NO_FDS;
        struct stat status;

        log_start("mapid", 1);
        say_all();
        assert_string_equal(text_of(w, "x.info"), "-");
        assert_int_equal(log_open_at(in(w, "x"), NULL, &fds, NULL), 0);
        assert_true((fcntl(fds.info, F_GETFD) & FD_CLOEXEC) && (fcntl(fds.debug, F_GETFD) & FD_CLOEXEC));
        assert_int_equal(fds.syslog, -1);
        log_adopt(fds);
        log_set_streams(false);
        log_info("only there");
        assert_null(strstr(text_of(w, "err"), "only there"));
        assert_string_equal(without_times(text_of(w, "x.info")), "only there\n");
        assert_int_equal(stat(in(w, "x.info"), &status), 0);
        assert_int_equal(status.st_mode & 07777, 0600);
        assert_int_equal(stat(in(w, "x.debug"), &status), 0);
        assert_int_equal(status.st_mode & 07777, 0600);
}

/* The file was moved away: the old one until the new ones are adopted, which are appended to. */
static void opened_anew(void **state)
{
        struct world *w = *state;
        struct log_fds fds = LOG_NO_FDS, again = LOG_NO_FDS;

        log_start("mapid", 2);
        assert_int_equal(log_open_at(in(w, "x"), NULL, &fds, NULL), 0);
        log_adopt(fds);
        log_info("one");
        assert_int_equal(rename(in(w, "x.info"), in(w, "x.info.1")), 0);
        log_info("two");
        assert_int_equal(log_open_at(in(w, "x"), NULL, &again, NULL), 0);
        log_adopt(again);
        assert_int_equal(fcntl(fds.info, F_GETFD), -1); /* closed */
        log_info("three");
        log_adopt(LOG_NO_FDS);
        log_info("four");
        assert_int_equal(log_open_at(in(w, "x"), NULL, &fds, NULL), 0);
        log_adopt(fds);
        log_info("five");
        assert_string_equal(without_times(text_of(w, "x.info.1")), "one\ntwo\n");
        assert_string_equal(without_times(text_of(w, "x.info")), "three\nfive\n");
}

static void the_journal_gets_priorities(void **state)
{
        struct world *w = *state;
        struct stat status;
        char value[64];

        assert_int_equal(fstat(STDERR_FILENO, &status), 0);
        (void)snprintf(value, sizeof value, "%llu:%llu", (unsigned long long)status.st_dev,
                       (unsigned long long)status.st_ino);
        assert_int_equal(setenv("JOURNAL_STREAM", value, 1), 0);
        log_start("mapid", 1);
        say_all();
        assert_string_equal(text_of(w, "err"), "<3>e 1\n<4>w two\n<6>i\n");
        assert_string_equal(text_of(w, "out"), "mapid: d\n"); /* another file: not the journal's */
        assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
}

static int bind_syslog(const struct world *w)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        assert_true(fd >= 0);
        (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", in(w, "syslog"));
        assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
        return fd;
}

/* The next datagram without its time, or "" if there is none. */
static const char *received(int fd)
{
        static char text[4096];
        char head[64], month[8];
        int day, hour, minute, second, n = 0;
        ssize_t got = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);

        if (got < 0)
                return "";
        text[got] = '\0';
        assert_int_equal(
                sscanf(text, "%8[<0-9>]%3s %d %2d:%2d:%2d %n", head, month, &day, &hour, &minute, &second, &n), 6);
        assert_int_equal(n, strlen(head) + strlen("Jan  1 00:00:00 "));
        memmove(text + strlen(head), text + n, strlen(text + n) + 1);
        return text;
}

static void expect_syslog(int fd, int priority, const char *text)
{
        char expected[2000];

        (void)snprintf(expected, sizeof expected, "<%d>MAPID[%d]: %s", priority, (int)getpid(), text);
        assert_string_equal(received(fd), expected);
}

static void to_syslog(void **state)
{
        struct world *w = *state;
        struct log_fds fds = LOG_NO_FDS;
        int fd = bind_syslog(w);

        log_start("mapid", 2);
        log_set_streams(false);
        assert_int_equal(log_open_at(NULL, in(w, "syslog"), &fds, NULL), 0);
        assert_int_equal(fds.info & fds.debug, -1);
        log_adopt(fds);
        say_all();
        expect_syslog(fd, 17 * 8 + 3, "e 1"); /* local1 */
        expect_syslog(fd, 17 * 8 + 4, "w two");
        expect_syslog(fd, 17 * 8 + 6, "i");
        expect_syslog(fd, 17 * 8 + 7, "d");
        assert_string_equal(received(fd), "");

        /* Its daemon goes, what is said meanwhile is lost, and another one comes. */
        close(fd);
        assert_int_equal(unlink(in(w, "syslog")), 0);
        log_info("lost 1");
        log_info("lost 2");
        assert_int_equal(log_lost(), 2);
        fd = bind_syslog(w);
        log_info("back");
        expect_syslog(fd, 17 * 8 + 4, "2 messages were lost here");
        expect_syslog(fd, 17 * 8 + 6, "back");
        assert_int_equal(log_lost(), 2);
        close(fd);
}

/* A daemon that does not read: nothing waits, and what did not get through is told. */
static void a_syslog_that_does_not_read(void **state)
{
        struct world *w = *state;
        struct log_fds fds = LOG_NO_FDS;
        int fd = bind_syslog(w);
        unsigned said = 0, got = 0;
        char told[64];

        log_start("mapid", 2);
        log_set_streams(false);
        assert_int_equal(log_open_at(NULL, in(w, "syslog"), &fds, NULL), 0);
        log_adopt(fds);
        while (log_lost() < 5 && said < 1000000) {
                log_info("%u", said);
                said++;
        }
        assert_int_equal(log_lost(), 5);
        for (; got < said - 5; got++) {
                char number[16];

                (void)snprintf(number, sizeof number, "%u", got);
                expect_syslog(fd, 17 * 8 + 6, number);
        }
        assert_string_equal(received(fd), "");
        log_info("on");
        (void)snprintf(told, sizeof told, "%u messages were lost here", 5);
        expect_syslog(fd, 17 * 8 + 4, told);
        expect_syslog(fd, 17 * 8 + 6, "on");
        close(fd);
}

/* The same with a pipe that is full, and with one that nobody reads any more. */
static void a_stream_that_takes_nothing(void **state)
{
        struct world *w = *state;
        char drain[65536], filler[4096];
        int ends[2];

        memset(filler, 'x', sizeof filler);
        assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
        while (write(ends[1], filler, sizeof filler) > 0)
                ;
        while (write(ends[1], filler, 1) > 0)
                ;
        assert_int_equal(errno, EAGAIN);
        assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0); /* from now on a write would wait for ever */
        assert_true(dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
        close(ends[1]);
        log_start("mapid", 2);
        for (int i = 0; i < 200; i++)
                log_info("lost");
        assert_int_equal(log_lost(), 200);
        while (read(ends[0], drain, sizeof drain) > 0)
                ;
        log_info("there");
        memset(drain, 0, sizeof drain);
        assert_true(read(ends[0], drain, sizeof drain - 1) > 0);
        assert_string_equal(drain, "mapid: 200 messages were lost here\nmapid: there\n");
        close(ends[0]);
        log_info("nobody"); /* no SIGPIPE */
        assert_int_equal(log_lost(), 201);
        restore(w);
}

static void what_clients_send_is_one_line(void **state)
{
        static const struct {
                const char *text, *line;
        } rows[] = {
                { "plain ~ text", "plain ~ text" },
                { "a\nmapid: forged", "a\\x0amapid: forged" },
                { "\r\t\x1b[2J\x7f", "\\x0d\\x09\\x1b[2J\\x7f" },
                { "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x8d", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x8d" },
                { "\xc2\x9b"
                  "31m",
                  "\\xc2\\x9b31m" }, /* a control character in UTF-8 */
                { "\xc2\xa0", "\xc2\xa0" },
                { "\xff\xc3", "\\xff\\xc3" },
                { "\xc0\xaf \xe0\x80\xaf", "\\xc0\\xaf \\xe0\\x80\\xaf" }, /* longer than need be */
                { "\xed\xa0\x80", "\\xed\\xa0\\x80" },                     /* half a surrogate */
                { "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" },            /* beyond Unicode */
                { "\xe2\x82", "\\xe2\\x82" },
        };
        struct world *w = *state;
        char line[256];

        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                assert_int_equal(log_escape(rows[i].text, line, sizeof line), strlen(rows[i].line));
                assert_string_equal(line, rows[i].line);
        }
        log_start("mapid", 2);
        log_info("from %s", "x\ny");
        assert_string_equal(text_of(w, "err"), "mapid: from x\\x0ay\n");
}

static void long_lines_are_cut(void **state)
{
        struct world *w = *state;
        char text[3000], line[16], expected[1200] = "mapid: ";

        assert_int_equal(log_escape("123456789012345", line, sizeof line), 15);
        assert_string_equal(line, "123456789012345");
        assert_int_equal(log_escape("1234567890123456", line, sizeof line), 15);
        assert_string_equal(line, "123456789012...");
        assert_int_equal(log_escape("12345678901\x01", line, sizeof line), 15);
        assert_string_equal(line, "12345678901\\x01");
        assert_int_equal(log_escape("1234567890\x01\x01", line, sizeof line), 13);
        assert_string_equal(line, "1234567890...");
        assert_int_equal(log_escape("\n\n\n", line, 8), 7);
        assert_string_equal(line, "\\x0a...");

        memset(text, 'y', sizeof text);
        text[sizeof text - 1] = '\0';
        log_start("mapid", 2);
        log_info("%s", text);
        memset(expected + 7, 'y', 1021);
        memcpy(expected + 7 + 1021, "...\n", 5);
        assert_string_equal(text_of(w, "err"), expected);
}

static void what_cannot_be_opened(void **state)
{
        struct world *w = *state;
        struct log_fds fds = { -7, -7, -7 };
        struct mapi_error err;
        int before = open("/dev/null", O_RDONLY), after;

        assert_int_equal(log_open_at("/nowhere/x", NULL, &fds, &err), -MAPI_ERROR_FILE);
        assert_string_equal(err.text, "the file cannot be used: /nowhere/x.info: No such file or directory");
        assert_int_equal(mkfifo(in(w, "fifo"), 0600), 0);
        assert_int_equal(rename(in(w, "fifo"), in(w, "x.debug")), 0);
        assert_int_equal(log_open_at(in(w, "x"), NULL, &fds, &err), -MAPI_ERROR_FILE);
        assert_int_equal(symlink("/dev/null", in(w, "link.info")), 0);
        assert_int_equal(log_open_at(in(w, "link"), NULL, &fds, &err), -MAPI_ERROR_FILE);
        assert_int_equal(log_open_at(NULL, in(w, "out"), &fds, &err), 0); /* nobody there yet, so to say */
        close(fds.syslog);
        after = open("/dev/null", O_RDONLY);
        assert_int_equal(after, before + 1); /* nothing was left open */
        close(after);
        close(before);
}

/* Another process that keeps the file locked does not stop us. */
static void a_lock_that_stays(void **state)
{
        struct world *w = *state;
        struct log_fds fds = LOG_NO_FDS;
        int to[2], from[2], status;
        char byte;
        pid_t pid;

        log_start("mapid", 2);
        log_set_streams(false);
        assert_int_equal(log_open_at(in(w, "x"), NULL, &fds, NULL), 0);
        log_adopt(fds);
        assert_int_equal(pipe2(to, O_CLOEXEC) + pipe2(from, O_CLOEXEC), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

                if (fcntl(fds.info, F_SETLK, &lock) != 0 || write(from[1], "x", 1) != 1)
                        _exit(1);
                close(to[1]);
                _exit(read(to[0], &byte, 1) != 0); /* until the parent closes its end */
        }
        assert_int_equal(read(from[0], &byte, 1), 1);
        log_info("all the same");
        assert_int_equal(log_lost(), 0);
        assert_string_equal(without_times(text_of(w, "x.info")), "all the same\n");
        close(to[1]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        close(to[0]);
        close(from[0]);
        close(from[1]);
}

/* Lines of threads do not mix. */
static void *many_lines(void *arg)
{
        for (int i = 0; i < 200; i++)
                log_info("%s", (const char *)arg);
        return NULL;
}

static void threads(void **state)
{
        static const char *const texts[] = { "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb", "cccccccccccccccc" };
        struct world *w = *state;
        struct log_fds fds = LOG_NO_FDS;
        pthread_t thread[3];
        unsigned lines = 0;

        log_start("mapid", 2);
        log_set_streams(false);
        assert_int_equal(log_open_at(in(w, "x"), NULL, &fds, NULL), 0);
        log_adopt(fds);
        for (int i = 0; i < 3; i++)
                assert_int_equal(pthread_create(&thread[i], NULL, many_lines, (void *)(uintptr_t)texts[i]), 0);
        for (int i = 0; i < 3; i++)
                assert_int_equal(pthread_join(thread[i], NULL), 0);
        for (const char *p = without_times(text_of(w, "x.info")); *p != '\0'; p += 17, lines++)
                assert_true(strncmp(p, texts[p[0] - 'a'], 16) == 0 && p[16] == '\n');
        assert_int_equal(lines, 600);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(levels),
                TEST(streams_and_files_by_themselves),
                TEST(opened_anew),
                TEST(the_journal_gets_priorities),
                TEST(to_syslog),
                TEST(a_syslog_that_does_not_read),
                TEST(a_stream_that_takes_nothing),
                TEST(what_clients_send_is_one_line),
                TEST(long_lines_are_cut),
                TEST(what_cannot_be_opened),
                TEST(a_lock_that_stays),
                TEST(threads),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
