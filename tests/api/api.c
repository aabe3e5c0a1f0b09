/* Cases, checks and counts for the tests of libmapi's calls. SPDX-License-Identifier: BSD-2-Clause */
#include "api.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define SLOWNESS 20
#elif defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define SLOWNESS 8
#else
#define SLOWNESS 1
#endif

enum { LIMIT_S = 20, WAIT_S = 15, SKIPPED = 77 };

static const char *running = "?";

/** Some cases fork from a process with threads; ThreadSanitizer is to bear that. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
        return "die_after_fork=0";
}

static int open_at_exit;

/** LeakSanitizer asks. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
        return open_at_exit;
}

void api_leaves_open(void)
{
        open_at_exit = 1;
}

void api_not_with_sanitizers(const char *what)
{
        if (SLOWNESS > 1)
                api_skip("the sanitizer's own locks do not bear %s", what);
}

int api_served(void)
{
        return getenv("TEST_MAPID_SOCKET") != NULL;
}

void api_only_embedded(const char *why)
{
        if (api_served())
                api_skip("embedded only: %s", why);
}

unsigned api_slowness(void)
{
        return SLOWNESS;
}

static double now_s(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- checks ------------------------------------------------------------------------------------------------------ */

static const char *base_name(const char *path)
{
        const char *slash = strrchr(path, '/');

        return slash != NULL ? slash + 1 : path;
}

/** One line in one write, whatever has become of stdio. */
static void say(const char *kind, const char *where, const char *format, va_list args)
{
        char line[2048];
        int n = snprintf(line, sizeof line, "%s %s%s: ", kind, running, where), m;

        m = vsnprintf(line + n, sizeof line - (size_t)n - 1, format, args);
        n = n + m < (int)sizeof line - 2 ? n + m : (int)sizeof line - 2;
        line[n++] = '\n';
        if (write(STDERR_FILENO, line, (size_t)n) < 0)
                _exit(3);
}

void api_failed(const char *file, int line, const char *format, ...)
{
        char where[256];
        va_list args;

        (void)snprintf(where, sizeof where, ", %s:%d", base_name(file), line);
        va_start(args, format);
        say("FAILED", where, format, args);
        va_end(args);
        _exit(1);
}

void api_skip(const char *format, ...)
{
        va_list args;

        va_start(args, format);
        say("skipped", "", format, args);
        va_end(args);
        _exit(SKIPPED);
}

void api_true(const char *file, int line, const char *what, int got)
{
        if (!got)
                api_failed(file, line, "not true: %s", what);
}

void api_equal(const char *file, int line, const char *what, long long got, long long expected)
{
        if (got != expected)
                api_failed(file, line, "%s is %lld, must be %lld", what, got, expected);
}

/** What mapi_read_error() has, for messages. */
static const char *error_text(void)
{
        static _Thread_local char all[MAPI_ERRORSTR_LENGTH + 32];
        char text[MAPI_ERRORSTR_LENGTH];
        int code = -1;

        (void)mapi_read_error(&code, text);
        (void)snprintf(all, sizeof all, "%d: %s", code, text);
        return all;
}

int api_ok(const char *file, int line, const char *what, int got)
{
        if (got < 0)
                api_failed(file, line, "%s failed with %s", what, error_text());
        return got;
}

void *api_there(const char *file, int line, const char *what, void *got)
{
        if (got == NULL)
                api_failed(file, line, "%s is NULL with %s", what, error_text());
        return got;
}

void api_error(const char *file, int line, const char *what, int code)
{
        char text[MAPI_ERRORSTR_LENGTH + 8];
        int got = -1, again = -1;

        memset(text, 'x', sizeof text);
        if (mapi_read_error(&got, text) != 0)
                api_failed(file, line, "mapi_read_error() itself failed");
        if (memchr(text, 0, MAPI_ERRORSTR_LENGTH) == NULL)
                api_failed(file, line, "%s: the text of error %d has %d bytes or more", what, got,
                           MAPI_ERRORSTR_LENGTH);
        if (memcmp(text + MAPI_ERRORSTR_LENGTH, "xxxxxxxx", 8) != 0)
                api_failed(file, line, "%s: the text of error %d was written behind its end", what, got);
        if (got != code)
                api_failed(file, line, "%s: the error is %d (%s), must be %d", what, got, text, code);
        if ((code != 0) != (text[0] != '\0'))
                api_failed(file, line, "%s: error %d has the text '%s'", what, got, text);
        if (strstr(text, "unknown error") != NULL || strstr(text, "no text") != NULL)
                api_failed(file, line, "%s: error %d has no sentence of its own: '%s'", what, got, text);
        if (mapi_read_error(&again, text) != 0 || again != 0 || text[0] != '\0')
                api_failed(file, line, "%s: reading error %d did not clear it: %d '%s'", what, got, again, text);
}

void api_fails(const char *file, int line, const char *what, int got, int code)
{
        if (got != -1)
                api_failed(file, line, "%s is %d, must be -1 with error %d", what, got, code);
        api_error(file, line, what, code);
}

void api_null(const char *file, int line, const char *what, const void *got, int code)
{
        if (got != NULL)
                api_failed(file, line, "%s is not NULL, must be with error %d", what, code);
        api_error(file, line, what, code);
}

/* ---- flows ------------------------------------------------------------------------------------------------------- */

unsigned long long api_counter(int fd, int fid)
{
        mapi_results_t *r = mapi_read_results(fd, fid);
        unsigned long long value = 0;

        if (r == NULL)
                fail("function %d of flow %d has no result: %s", fid, fd, error_text());
        if (r->res == NULL || (r->size != 4 && r->size != 8))
                fail("function %d of flow %d has a result of %d bytes", fid, fd, r->size);
        memcpy(&value, r->res, (size_t)r->size); /* little-endian, as everything here */
        return value;
}

void api_until(int (*done)(void *context), void *context, const char *what)
{
        double limit = now_s() + WAIT_S * SLOWNESS;

        while (!done(context)) {
                if (now_s() > limit)
                        fail("waited %d s for nothing: %s", WAIT_S * SLOWNESS, what);
                (void)sched_yield();
        }
}

static int is_finished(void *context)
{
        mapi_flow_info_t info;
        int fd = *(int *)context;

        if (mapi_get_flow_info(fd, &info) < 0)
                fail("flow %d has no information: %s", fd, error_text());
        return info.status == FLOW_FINISHED;
}

void api_finish(int fd)
{
        api_until(is_finished, &fd, "the end of a flow's trace");
}

/* ---- what the process holds ---------------------------------------------------------------------------------------- */

static int entries(const char *folder)
{
        DIR *d = opendir(folder);
        int n = 0;

        if (d == NULL)
                fail("%s: %s", folder, strerror(errno));
        while (readdir(d) != NULL)
                n++;
        (void)closedir(d);
        return n;
}

struct api_held api_count_held(void)
{
        struct api_held h = { .descriptors = entries("/proc/self/fd"), .threads = entries("/proc/self/task") };
        FILE *f = fopen("/proc/self/maps", "r");
        int c;

        while (f != NULL && (c = getc(f)) != EOF)
                h.maps += c == '\n';
        if (f != NULL)
                (void)fclose(f);
        return h;
}

static int is_let_go(void *context)
{
        const struct api_held *before = (const struct api_held *)context;
        struct api_held now = api_count_held();

        return now.threads <= before->threads && now.descriptors <= before->descriptors;
}

void api_check_held(const char *file, int line, const struct api_held *before, int more_maps)
{
        double limit = now_s() + WAIT_S * SLOWNESS;
        struct api_held now;

        /* A device's thread may still be ending when mapi_close_flow() has returned. */
        while (!is_let_go((void *)(uintptr_t)before)) {
                now = api_count_held();
                if (now_s() > limit)
                        api_failed(file, line, "descriptors: %d, before %d; threads: %d, before %d",
                                   now.descriptors, before->descriptors, now.threads, before->threads);
                (void)sched_yield();
        }
        now = api_count_held();
        if (now.descriptors < before->descriptors)
                api_failed(file, line, "%d descriptors, before %d: one was closed that is not the library's",
                           now.descriptors, before->descriptors);
        if (SLOWNESS == 1 && now.maps > before->maps + more_maps) /* a sanitizer maps as it likes */
                api_failed(file, line, "%d mappings, before %d", now.maps, before->maps);
}

/* ---- places --------------------------------------------------------------------------------------------------------- */

const char *api_trace(const char *name)
{
        static _Thread_local char paths[4][4096];
        static _Thread_local unsigned next;
        char *path = paths[next++ % 4];

        (void)snprintf(path, sizeof paths[0], "%s/%s", TRACES, name);
        if (access(path, R_OK) < 0)
                fail("%s: %s", path, strerror(errno));
        return path;
}

const char *api_real_trace(const char *name)
{
        const char *folder = getenv("MAPI_TEST_TRACES");
        static _Thread_local char paths[4][4096];
        static _Thread_local unsigned next;
        char *path = paths[next++ % 4];

        (void)snprintf(path, sizeof paths[0], "%s/%s", folder != NULL ? folder : "", name);
        if (folder == NULL || access(path, R_OK) < 0)
                api_skip("no %s in MAPI_TEST_TRACES", name);
        return path;
}

unsigned api_seed(void)
{
        const char *wanted = getenv("API_SEED");
        struct timespec t;
        unsigned seed;

        (void)clock_gettime(CLOCK_REALTIME, &t);
        seed = wanted != NULL ? (unsigned)strtoul(wanted, NULL, 10)
                              : (unsigned)t.tv_sec * 2654435761u ^ (unsigned)t.tv_nsec;
        (void)dprintf(STDOUT_FILENO, "%s: API_SEED=%u\n", running, seed);
        return seed;
}

/* ---- cases ------------------------------------------------------------------------------------------------------------ */

static void remove_tree(const char *path)
{
        struct dirent *e;
        DIR *d = opendir(path);

        while (d != NULL && (e = readdir(d)) != NULL) {
                char inner[8192];

                if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
                        continue;
                (void)snprintf(inner, sizeof inner, "%s/%s", path, e->d_name);
                if (unlink(inner) < 0)
                        remove_tree(inner);
        }
        if (d != NULL)
                (void)closedir(d);
        (void)rmdir(path);
}

static void say_line(const char *kind, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say_line(const char *kind, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        say(kind, "", format, args);
        va_end(args);
}

/** Where the threads of a case that does not end are. */
static void say_where(pid_t child)
{
        char path[64], line[512];
        struct dirent *e;
        DIR *d;

        (void)snprintf(path, sizeof path, "/proc/%d/task", (int)child);
        d = opendir(path);
        while (d != NULL && (e = readdir(d)) != NULL) {
                FILE *f;

                if (e->d_name[0] == '.')
                        continue;
                (void)snprintf(line, sizeof line, "/proc/%d/task/%s/syscall", (int)child, e->d_name);
                f = fopen(line, "r");
                if (f != NULL && fgets(line, sizeof line, f) != NULL)
                        say_line("  thread of", "%s in system call %s", e->d_name, line);
                if (f != NULL)
                        (void)fclose(f);
        }
        if (d != NULL)
                (void)closedir(d);
}

/** 0, 1 or SKIPPED. */
static int run_case(const struct api_case *c, const char *place)
{
        int limit_s = (int)(c->limit_s != 0 ? c->limit_s : LIMIT_S) * SLOWNESS, status = 0;
        double start = now_s();
        struct pollfd p;
        pid_t child;

        running = c->name;
        (void)fflush(NULL);
        child = fork();
        if (child < 0) {
                say_line("FAILED", "fork: %s", strerror(errno));
                return 1;
        }
        if (child == 0) {
                (void)setpgid(0, 0);
                if (mkdir(place, 0755) < 0 || chdir(place) < 0)
                        fail("%s: %s", place, strerror(errno));
                c->run();
                exit(0);
        }
        (void)setpgid(child, child);
        p = (struct pollfd){ .fd = (int)syscall(SYS_pidfd_open, child, 0), .events = POLLIN };
        if (poll(&p, 1, limit_s * 1000) == 0) {
                say_line("FAILED", "not over after %d s", limit_s);
                say_where(child);
                (void)kill(-child, SIGKILL);
                (void)waitpid(child, &status, 0);
                status = 1 << 8;
        } else {
                (void)waitpid(child, &status, 0);
                if (WIFSIGNALED(status))
                        say_line("FAILED", "ended by signal %d (%s)", WTERMSIG(status),
                                 strsignal(WTERMSIG(status)));
                else if (WEXITSTATUS(status) > 1 && WEXITSTATUS(status) != SKIPPED)
                        say_line("FAILED", "exit status %d", WEXITSTATUS(status));
        }
        (void)close(p.fd);
        (void)kill(-child, SIGKILL); /* processes that it left */
        remove_tree(place);
        if (status == 0)
                (void)printf("ok %s (%.1f s)\n", c->name, now_s() - start);
        (void)fflush(stdout);
        return status == 0 ? 0 : WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED ? SKIPPED : 1;
}

int api_main(const struct api_case *cases, size_t n, int argc, char **argv)
{
        const char *tmp = getenv("TMPDIR");
        char folder[4096], place[4200];
        int failed = 0, skipped = 0, run = 0;

        (void)unsetenv("MAPI_DEBUG");
        (void)unsetenv("MAPI_DEVICE_MAP");
        if (!api_served())
                (void)unsetenv("MAPI_BACKEND");
        (void)unsetenv("MAPI_MEMORY_MAX");
        (void)signal(SIGPIPE, SIG_IGN);
        (void)snprintf(folder, sizeof folder, "%s/mapi-api.XXXXXX", tmp != NULL ? tmp : "/tmp");
        if (mkdtemp(folder) == NULL) {
                say_line("FAILED", "%s: %s", folder, strerror(errno));
                return 1;
        }
        for (size_t i = 0; i < n; i++) {
                int wanted = argc <= 1, r;

                for (int k = 1; k < argc; k++)
                        wanted |= strcmp(argv[k], cases[i].name) == 0;
                if (!wanted)
                        continue;
                (void)snprintf(place, sizeof place, "%s/%s", folder, cases[i].name);
                r = run_case(&cases[i], place);
                run++;
                failed += r == 1;
                skipped += r == SKIPPED;
        }
        remove_tree(folder);
        (void)printf("%d cases, %d failed, %d skipped\n", run, failed, skipped);
        return failed > 0 || run == 0 ? 1 : skipped == run ? SKIPPED : 0;
}
