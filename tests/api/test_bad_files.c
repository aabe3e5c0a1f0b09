/* TO_FILE to places that take nothing, or not everything. SPDX-License-Identifier: BSD-2-Clause */
#include "packets.h"

#include <mapi/errors.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define PACKETS 20000
#define CAPLEN 300

/* ---- places that cannot be opened ------------------------------------------------------------------------------------- */

static void unwritable_paths(void)
{
        int fd = check_ok(mapi_create_flow(api_trace("demo.pcap")));
        char name[300], deep[5000];
        struct api_held before;
        uid_t user = geteuid();

        memset(name, 'n', sizeof name - 1);
        name[sizeof name - 1] = '\0';
        memset(deep, '/', sizeof deep - 1);
        deep[sizeof deep - 1] = '\0';
        file_make("read-only", "as it was", 9);
        check_equal(chmod("read-only", 0444), 0);
        check_equal(symlink("loop", "loop"), 0);
        check_equal(mkfifo("fifo", 0600), 0);
        check_fails(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, "no/such/file", 0), MAPI_ERROR_FILE);
        before = api_count_held();
        for (int i = 0; i < 50; i++) {
                check_fails(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, "no/such/file", 0), MAPI_ERROR_FILE);
                check_fails(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, "read-only/file", 0), MAPI_ERROR_FILE);
                check_fails(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, ".", 0), MAPI_ERROR_FILE);
                check_fails(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, "loop", 0), MAPI_ERROR_FILE);
                check_fails(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, name, 0), MAPI_ERROR_FILE);
                check_fails(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, deep, 0), MAPI_ERROR_FILE);
                check_fails(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, "", 0), MAPI_ERROR_FILE);
                check_fails(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, NULL, 0), MAPI_ERROR_FILE);
                check_fails(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, "fifo", 0),
                            MAPI_ERROR_FILE); /* nobody reads it */
        }
        if (user == 0)
                check_equal(seteuid(65534), 0);
        check_fails(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, "read-only", 0), MAPI_ERROR_FILE);
        check_equal(seteuid(user), 0);
        check_held(&before, 4);
        check_ok(mapi_connect(fd));
        api_finish(fd);
        check_ok(mapi_close_flow(fd));
}

/* ---- full disks --------------------------------------------------------------------------------------------------------- */

struct full {
        struct trace whole;
        int fd, file, before, after, good;
};

/** A flow that writes to `path` and, when all is well, to "good.pcap"; and counts around it. It is read to its end. */
static void write_to(struct full *f, const char *path)
{
        trace_make("long.pcap", PACKETS, CAPLEN);
        trace_read("long.pcap", &f->whole);
        f->fd = check_ok(mapi_create_flow("long.pcap"));
        f->before = check_ok(mapi_apply_function(f->fd, "PKT_COUNTER"));
        f->file = check_ok(mapi_apply_function(f->fd, "TO_FILE", MFF_PCAP, path, 0));
        f->after = check_ok(mapi_apply_function(f->fd, "PKT_COUNTER"));
        check_ok(mapi_connect(f->fd));
        api_finish(f->fd);
}

/** All that a program can learn of a file that is not complete, and that the flow has not suffered otherwise. */
static void check_incomplete(const struct full *f, int error)
{
        char text[MAPI_ERRORSTR_LENGTH];
        mapi_results_t *r;
        int code;

        check_equal(api_counter(f->fd, f->before), PACKETS);
        check_equal(api_counter(f->fd, f->after), PACKETS);
        check_error(0);
        r = check_there(mapi_read_results(f->fd, f->file));
        check_equal(r->size, 4);
        check_equal(*(int *)r->res, -error);
        check_equal(mapi_read_error(&code, text), 0);
        check_equal(code, MAPI_ERROR_FILE);
        if (strstr(text, strerror(error)) == NULL)
                fail("'%s' does not say '%s'", text, strerror(error));
        check_equal(mapi_close_flow(f->fd), -1);
        check_equal(mapi_read_error(&code, text), 0);
        check_equal(code, MAPI_ERROR_FILE);
        if (strstr(text, strerror(error)) == NULL)
                fail("'%s' does not say '%s'", text, strerror(error));
        check_fails(mapi_close_flow(f->fd), MAPI_INVALID_FLOW); /* it is closed all the same */
}

/** What fitted can be read: whole packets, the first ones. */
static size_t check_prefix(const char *path, const struct trace *whole)
{
        struct trace got;
        size_t n;

        trace_read(path, &got);
        check_equal(got.torn, 0);
        check(got.n < whole->n);
        trace_check_same(&got, whole, got.n);
        n = got.n;
        trace_free(&got);
        return n;
}

static void dev_full(void)
{
        struct full f;

        write_to(&f, "/dev/full");
        check_incomplete(&f, ENOSPC);
        trace_free(&f.whole);
}

static void again_and_again(void)
{
        struct api_held before = { 0 };

        for (int i = 0; i < 30; i++) {
                int fd = check_ok(mapi_create_flow(api_trace("demo.pcap")));

                check_ok(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, "/dev/full", 0));
                check_ok(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, "good.pcap", 0));
                check_ok(mapi_connect(fd));
                if (i % 2 == 0)
                        api_finish(fd);
                check_fails(mapi_close_flow(fd), MAPI_ERROR_FILE);
                if (i == 3)
                        before = api_count_held();
        }
        check_held(&before, 12);
}

static void one_of_two(void)
{
        int fd = check_ok(mapi_create_flow(api_trace("demo.pcap"))), bad, good;
        struct trace t, got;

        bad = check_ok(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, "/dev/full", 0));
        good = check_ok(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, "good.pcap", 50));
        check_ok(mapi_connect(fd));
        api_finish(fd);
        check_equal((int)api_counter(fd, bad), -ENOSPC);
        check_error(MAPI_ERROR_FILE);
        check_equal(api_counter(fd, good), 0);
        check_error(0);
        check_fails(mapi_close_flow(fd), MAPI_ERROR_FILE);
        trace_read(api_trace("demo.pcap"), &t);
        trace_read("good.pcap", &got);
        check_equal(got.n, 50);
        trace_check_same(&got, &t, 50);
        trace_free(&got);
        trace_free(&t);
}

static void limit_files(rlim_t size)
{
        struct rlimit limit;

        check_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
        limit.rlim_cur = size < limit.rlim_max ? size : limit.rlim_max;
        check_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/** A limit on the size of files, and the signal that comes with it, which ends programs that do not expect it. */
static void file_size_limit(void)
{
        static const rlim_t sizes[] = { 5000000, 5000001, 24 + 16000 * (16 + CAPLEN), 6320000 };

        api_only_embedded("mapid does not write under the limits of its clients");
        check(signal(SIGXFSZ, SIG_DFL) != SIG_ERR);
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
                struct full f;

                limit_files(RLIM_INFINITY);
                trace_make("long.pcap", PACKETS, CAPLEN);
                trace_read("long.pcap", &f.whole);
                limit_files(sizes[i]);
                f.fd = check_ok(mapi_create_flow("long.pcap"));
                f.file = check_ok(mapi_apply_function(f.fd, "TO_FILE", MFF_PCAP, "limited.pcap", 0));
                f.before = f.after = check_ok(mapi_apply_function(f.fd, "PKT_COUNTER"));
                check_ok(mapi_connect(f.fd));
                api_finish(f.fd);
                check_incomplete(&f, EFBIG);
                check_equal(check_prefix("limited.pcap", &f.whole),
                            (sizes[i] - 24) / (16 + CAPLEN)); /* all that fits */
                trace_free(&f.whole);
        }
        limit_files(RLIM_INFINITY);
}

/** So small that the library's own memory does not fit, which the system counts as files: an error, not the signal. */
static void tiny_file_size_limit(void)
{
        static const rlim_t sizes[] = { 0, 10, 24, 50, 4096, 100000, 1000000, 4000000 };

        check(signal(SIGXFSZ, SIG_DFL) != SIG_ERR);
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
                int fd, code;

                limit_files(sizes[i]);
                fd = mapi_create_flow(api_trace("demo.pcap"));
                if (fd > 0 && mapi_apply_function(fd, "PKT_COUNTER") > 0 &&
                    mapi_apply_function(fd, "TO_BUFFER", NOWAIT) > 0 &&
                    mapi_apply_function(fd, "TO_FILE", MFF_PCAP, "limited.pcap", 0) > 0 && mapi_connect(fd) == 0) {
                        check_ok(fd);
                } else {
                        check_equal(mapi_read_error(&code, NULL), 0);
                        check(code != 0);
                }
                if (fd > 0)
                        (void)mapi_close_flow(fd);
        }
        limit_files(RLIM_INFINITY);
}

static void full_file_system(void)
{
        struct full f;

        if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                api_skip("no mount namespace of our own: %s", strerror(errno));
        check_equal(mkdir("small", 0755), 0);
        if (mount("none", "small", "tmpfs", 0, "size=128k") < 0)
                api_skip("no file system to fill: %s", strerror(errno));
        write_to(&f, "small/out.pcap");
        check_incomplete(&f, ENOSPC);
        check(check_prefix("small/out.pcap", &f.whole) > 300);
        check_equal(umount("small"), 0);
        trace_free(&f.whole);
}

/* ---- pipes ---------------------------------------------------------------------------------------------------------------- */

struct reading {
        const char *path;
        size_t most; /* bytes; the pipe is closed after them */
        char *data;
        size_t size;
};

static void *read_pipe(void *argument)
{
        struct reading *r = argument;
        int fd = open(r->path, O_RDONLY);
        ssize_t n = 1;

        check(fd >= 0);
        r->data = malloc(r->most);
        while (r->data != NULL && r->size < r->most && n > 0) {
                n = read(fd, r->data + r->size, r->most - r->size);
                if (n > 0)
                        r->size += (size_t)n;
        }
        (void)close(fd);
        return NULL;
}

/** Applies as soon as the reader is there. */
static int apply_to_pipe(int fd, const char *path)
{
        int code, fid;

        while ((fid = mapi_apply_function(fd, "TO_FILE", MFF_PCAP, path, 0)) < 0) {
                check_equal(mapi_read_error(&code, NULL), 0);
                check_equal(code, MAPI_ERROR_FILE);
                (void)sched_yield();
        }
        return fid;
}

static void pipe_read_to_the_end(void)
{
        struct reading r = { .path = "fifo", .most = 100000000 };
        struct trace whole;
        pthread_t thread;
        int fd;

        trace_make("long.pcap", PACKETS, CAPLEN);
        trace_read("long.pcap", &whole);
        check_equal(mkfifo("fifo", 0600), 0);
        check_equal(pthread_create(&thread, NULL, read_pipe, &r), 0);
        fd = check_ok(mapi_create_flow("long.pcap"));
        (void)apply_to_pipe(fd, "fifo");
        check_ok(mapi_connect(fd));
        api_finish(fd);
        check_ok(mapi_close_flow(fd));
        check_equal(pthread_join(thread, NULL), 0);
        check_equal(r.size, whole.size);
        check_equal(memcmp(r.data + 24, whole.file + 24, r.size - 24), 0);
        free(r.data);
        trace_free(&whole);
}

/** The reader goes away; SIGPIPE does not end the program. */
static void pipe_closed_by_its_reader(void)
{
        struct reading r = { .path = "fifo", .most = 5000 };
        struct full f = { .fd = 0 };
        pthread_t thread;

        check(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
        trace_make("long.pcap", PACKETS, CAPLEN);
        check_equal(mkfifo("fifo", 0600), 0);
        check_equal(pthread_create(&thread, NULL, read_pipe, &r), 0);
        f.fd = check_ok(mapi_create_flow("long.pcap"));
        f.file = apply_to_pipe(f.fd, "fifo");
        f.before = f.after = check_ok(mapi_apply_function(f.fd, "PKT_COUNTER"));
        check_ok(mapi_connect(f.fd));
        api_finish(f.fd);
        check_incomplete(&f, EPIPE);
        check_equal(pthread_join(thread, NULL), 0);
        check_equal(r.size, 5000);
        free(r.data);
}

/* ---- odd files ---------------------------------------------------------------------------------------------------------------- */

/** The trace that is read is the file that is written: it ends somewhere, and nothing worse. */
static void onto_its_own_trace(void)
{
        int fd, code;

        trace_make("long.pcap", PACKETS, CAPLEN);
        fd = check_ok(mapi_create_flow("long.pcap"));
        check_ok(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, "long.pcap", 0));
        check_ok(mapi_apply_function(fd, "PKT_COUNTER"));
        check_ok(mapi_connect(fd));
        api_finish(fd);
        check(api_counter(fd, 2) <= PACKETS);
        check_equal(mapi_read_error(&code, NULL), 0);
        check(code == 0 || code == MAPI_TRACE_DAMAGED);
        check_ok(mapi_close_flow(fd));
}

static void replaced_and_removed(void)
{
        struct trace t, got;
        int fd;

        trace_read(api_trace("demo.pcap"), &t);
        file_make("out.pcap", "something that was there before, and longer than a header of a trace", 68);
        fd = check_ok(mapi_create_flow(api_trace("demo.pcap")));
        check_ok(mapi_apply_function(fd, "BPF_FILTER", "len > 100000"));
        check_ok(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, "out.pcap", 0));
        check_ok(mapi_connect(fd));
        api_finish(fd);
        check_ok(mapi_close_flow(fd));
        trace_read("out.pcap", &got); /* no packet: a header and nothing else */
        check_equal(got.size, 24);
        trace_free(&got);

        fd = check_ok(mapi_create_flow(api_trace("demo.pcap")));
        check_ok(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, "out.pcap", 0));
        check_equal(rename("out.pcap", "moved.pcap"), 0);
        check_ok(mapi_connect(fd));
        api_finish(fd);
        check_ok(mapi_close_flow(fd));
        trace_read("moved.pcap", &got);
        check_equal(got.n, t.n);
        trace_check_same(&got, &t, t.n);
        trace_free(&got);

        fd = check_ok(mapi_create_flow(api_trace("demo.pcap"))); /* never connected: a file without packets */
        check_ok(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, "never.pcap", 0));
        check_ok(mapi_close_flow(fd));
        trace_read("never.pcap", &got);
        check_equal(got.size, 24);
        trace_free(&got);
        trace_free(&t);
}

/** Complete right after close, without any wait for the end; many times. */
static void complete_after_close(void)
{
        unsigned rounds = 200 / api_slowness() + 10;
        struct trace t, got;
        struct stat st;

        trace_read(api_trace("demo.pcap"), &t);
        for (unsigned i = 0; i < rounds; i++) {
                int fd = check_ok(mapi_create_flow(api_trace("demo.pcap")));
                unsigned long long seen;

                check_ok(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, "out.pcap", 0));
                check_ok(mapi_apply_function(fd, "PKT_COUNTER"));
                check_ok(mapi_connect(fd));
                if (i % 4 == 0)
                        api_finish(fd);
                seen = api_counter(fd, 2);
                check_ok(mapi_close_flow(fd));
                trace_read("out.pcap", &got);
                check_equal(got.torn, 0);
                check(got.n >= seen);
                trace_check_same(&got, &t, got.n);
                trace_free(&got);
        }
        check_equal(stat("out.pcap", &st), 0);
        check_equal(st.st_mode & 0777, 0600);
        trace_free(&t);
}

static const struct api_case cases[] = {
        { "unwritable_paths", unwritable_paths, 0 },
        { "dev_full", dev_full, 0 },
        { "again_and_again", again_and_again, 0 },
        { "one_of_two", one_of_two, 0 },
        { "file_size_limit", file_size_limit, 0 },
        { "tiny_file_size_limit", tiny_file_size_limit, 0 },
        { "full_file_system", full_file_system, 0 },
        { "pipe_read_to_the_end", pipe_read_to_the_end, 0 },
        { "pipe_closed_by_its_reader", pipe_closed_by_its_reader, 0 },
        { "onto_its_own_trace", onto_its_own_trace, 0 },
        { "replaced_and_removed", replaced_and_removed, 0 },
        { "complete_after_close", complete_after_close, 60 },
};
API_MAIN(cases)
