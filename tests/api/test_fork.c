/* fork(): the child begins anew, the parent notices nothing. SPDX-License-Identifier: BSD-2-Clause */
#include "packets.h"

#include <mapi/errors.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define PACKETS 2800

extern char **environ;

/** Runs f in a child, which must return from it. */
static void in_child(void (*f)(void *), void *context)
{
        pid_t child;
        int status;

        api_not_with_sanitizers("fork() while threads work");
        child = fork();
        if (child == 0) {
                api_leaves_open(); /* those of the parent */
                f(context);
                exit(0);
        }
        check(child > 0);
        check_equal(waitpid(child, &status, 0), child);
        check_equal(status, 0);
}

/** A whole life: everything that a new process may do. */
static void live(void *unused)
{
        char *device = check_there(mapi_create_offline_device(api_trace("demo.pcap"), MFF_PCAP)), file[64];
        int a = counter_flow(device), b = buffer_flow(api_trace("demo.pcap")),
            c = check_ok(mapi_create_flow(device));
        struct trace t, got;

        (void)unused;
        trace_read(api_trace("demo.pcap"), &t);
        (void)snprintf(file, sizeof file, "out-%d.pcap", (int)getpid());
        check_ok(mapi_apply_function(c, "TO_FILE", MFF_PCAP, file, 0));
        check_ok(mapi_connect(c));
        check_ok(mapi_start_offline_device(device));
        check_all_packets(b, 1, &t);
        api_finish(a);
        check_equal(api_counter(a, 1), PACKETS);
        check_ok(mapi_close_flow(a));
        check_ok(mapi_close_flow(b));
        check_ok(mapi_close_flow(c));
        check_ok(mapi_delete_offline_device(device));
        trace_read(file, &got);
        check_equal(got.n, PACKETS);
        trace_check_same(&got, &t, PACKETS);
        check_equal(unlink(file), 0);
        trace_free(&got);
        trace_free(&t);
}

/* ---- flows of the parent --------------------------------------------------------------------------------------------- */

struct flows {
        char *device;
        int counter, buffer, file;
        int descriptors; /* before there were any of these */
};

static void old_flows_are_unknown(void *context)
{
        const struct flows *f = context;
        const int fds[] = { f->counter, f->buffer, f->file };
        mapi_function_info_t function;
        mapi_flow_info_t info;

        check_error(0);
        for (int turn = 0; turn < 2; turn++) {
                for (int i = 0; i < 3; i++) {
                        int fd = fds[i];

                        check_null(mapi_read_results(fd, 1), MAPI_INVALID_FLOW);
                        check_null(mapi_get_next_pkt(fd, 1), MAPI_INVALID_FLOW);
                        check_fails(mapi_apply_function(fd, "PKT_COUNTER"), MAPI_INVALID_FLOW);
                        check_fails(mapi_connect(fd), MAPI_INVALID_FLOW);
                        check_fails(mapi_close_flow(fd), MAPI_INVALID_FLOW);
                        check_fails(mapi_get_scope_size(fd), MAPI_INVALID_FLOW);
                        if (api_served()) /* mapid tells of everybody's flows */
                                continue;
                        check_fails(mapi_get_flow_info(fd, &info), MAPI_INVALID_FLOW);
                        check(mapi_get_function_info(fd, 1, &function) == -1);
                }
                check(mapi_start_offline_device(f->device) == -1);
                check(mapi_delete_offline_device(f->device) == -1);
                if (!api_served()) /* mapid tells of everybody's flows */
                        check_fails(mapi_get_next_flow_info(0, &info), MAPI_INVALID_FLOW);
                check_fails(mapi_create_flow(f->device), MAPID_NO_DRIVER);
                if (turn == 0)
                        (void)mapi_create_flow("HOW CARES"); /* with a new engine, the same */
        }
}

static void descriptors_are_closed(void *context)
{
        const struct flows *f = context;

        check_equal(api_count_held().descriptors, f->descriptors);
        check_equal(api_count_held().threads, 3); /* the main thread, "." and ".." */
}

static void numbers_do_not_mix(void *context)
{
        const struct flows *f = context;

        for (int i = 0; i < 10; i++) { /* numbers may be used again, for other flows */
                int fd = check_ok(mapi_create_flow(api_trace("few-small.pcap")));

                check_ok(mapi_apply_function(fd, "PKT_COUNTER"));
                check_ok(mapi_connect(fd));
                api_finish(fd);
                check_equal(api_counter(fd, 1), 120);
                check_ok(mapi_close_flow(fd));
        }
        check_null(mapi_read_results(f->counter, 1), MAPI_INVALID_FLOW);
}

static void leave_open(void *context)
{
        (void)context;
        api_leaves_open();
        (void)buffer_flow(api_trace("demo.pcap"));
        (void)counter_flow(api_trace("demo.pcap"));
}

static void child_and_parent(void)
{
        struct flows f = { .descriptors = 0 };
        struct trace t, got;
        int before = api_count_held().descriptors;

        trace_read(api_trace("demo.pcap"), &t);
        check_ok(mapi_close_flow(check_ok(mapi_create_flow(api_trace("demo.pcap")))));
        /* The segment with results stays, and the connection to mapid; a child has neither. */
        f.descriptors = api_served() ? before : api_count_held().descriptors - 1;
        f.device = check_there(mapi_create_offline_device(api_trace("demo.pcap"), MFF_PCAP));
        f.counter = counter_flow(f.device);
        f.buffer = buffer_flow(f.device);
        f.file = check_ok(mapi_create_flow(f.device));
        check_ok(mapi_apply_function(f.file, "TO_FILE", MFF_PCAP, "parent.pcap", 0));
        check_ok(mapi_connect(f.file));

        in_child(old_flows_are_unknown, &f);
        in_child(descriptors_are_closed, &f);
        in_child(live, NULL);
        check_ok(mapi_start_offline_device(f.device));
        check_packets(f.buffer, 1, &t, 0, 100);
        in_child(old_flows_are_unknown, &f);
        in_child(numbers_do_not_mix, &f);
        in_child(live, NULL);
        check_packets(f.buffer, 1, &t, 100, 1000);
        in_child(leave_open, NULL);
        in_child(descriptors_are_closed, &f);
        check_packets(f.buffer, 1, &t, 1100, PACKETS - 1100);
        check_null(mapi_get_next_pkt(f.buffer, 1), 0);
        api_finish(f.counter);
        check_equal(api_counter(f.counter, 1), PACKETS);
        check_ok(mapi_close_flow(f.counter));
        check_ok(mapi_close_flow(f.buffer));
        check_ok(mapi_close_flow(f.file));
        check_ok(mapi_delete_offline_device(f.device));
        trace_read("parent.pcap", &got);
        check_equal(got.n, PACKETS);
        trace_check_same(&got, &t, PACKETS);
        live(NULL);
        trace_free(&got);
        trace_free(&t);
}

/* ---- other ways to fork --------------------------------------------------------------------------------------------------- */

static void before_the_first_call(void)
{
        pid_t child[4];
        int status;

        for (int i = 0; i < 4; i++) {
                child[i] = fork();
                if (child[i] == 0) {
                        for (int k = 0; k < 5; k++)
                                live(NULL);
                        exit(0);
                }
        }
        live(NULL);
        for (int i = 0; i < 4; i++) {
                check_equal(waitpid(child[i], &status, 0), child[i]);
                check_equal(status, 0);
        }
}

static void descend(void *context)
{
        int depth = *(int *)context - 1, fd = counter_flow(api_trace("demo.pcap"));

        if (depth > 0)
                in_child(descend, &depth);
        api_finish(fd);
        check_equal(api_counter(fd, 1), PACKETS);
        check_ok(mapi_close_flow(fd));
        live(NULL);
}

static void generations(void)
{
        int depth = 6;

        descend(&depth);
}

/** As daemons do: the parent goes, with its flows open; the child stays. */
static void parent_goes(void)
{
        pid_t middle = fork();
        int status, fd[2];
        char done = 0;

        if (middle == 0) {
                api_leaves_open();
                check_equal(pipe(fd), 0);
                (void)counter_flow(api_trace("demo.pcap"));
                (void)buffer_flow(api_trace("demo.pcap"));
                if (fork() != 0) {
                        (void)close(fd[1]);
                        check_equal(read(fd[0], &done, 1), 1); /* it has begun */
                        exit(0);
                }
                check_equal(write(fd[1], "", 1), 1);
                live(NULL);
                file_make("child-is-done", "", 0);
                exit(0);
        }
        check_equal(waitpid(middle, &status, 0), middle);
        check_equal(status, 0);
}

static int is_done(void *context)
{
        (void)context;
        return access("child-is-done", F_OK) == 0;
}

static void parent_goes_first(void)
{
        api_not_with_sanitizers("fork() while threads work");
        parent_goes();
        api_until(is_done, NULL, "the child that stayed");
}

/** A program that is executed inherits nothing but what it should. */
static void executed_programs_inherit_nothing(void)
{
        char command[] = "test \"$(ls /proc/self/fd | wc -l)\" -eq 4"; /* 0, 1, 2 and that of the folder */
        char *argv[] = { (char *)"sh", (char *)"-c", command, NULL };
        int fd[5], status;
        pid_t child;

        for (int i = 3; i < 1024; i++)
                (void)fcntl(i, F_SETFD, FD_CLOEXEC); /* what the test was started with */
        for (int i = 0; i < 5; i++) {
                fd[i] = check_ok(mapi_create_flow(api_trace("demo.pcap")));
                check_ok(mapi_apply_function(fd[i], "TO_FILE", MFF_PCAP, "out.pcap", 0));
                check_ok(mapi_apply_function(fd[i], "TO_BUFFER"));
                check_ok(mapi_connect(fd[i]));
        }
        check_equal(posix_spawn(&child, "/bin/sh", NULL, NULL, argv, environ), 0);
        check_equal(waitpid(child, &status, 0), child);
        check_equal(status, 0);
        check_equal(system(command), 0);
        for (int i = 0; i < 5; i++)
                check_ok(mapi_close_flow(fd[i]));
}

/* ---- threads ------------------------------------------------------------------------------------------------------------------ */

static int stop;

static void *work(void *argument)
{
        unsigned long *rounds = argument;
        struct trace t;

        trace_read(api_trace("few-small.pcap"), &t);
        while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
                char *device = check_there(mapi_create_offline_device(api_trace("few-small.pcap"), MFF_PCAP));
                int a = counter_flow(device), b = buffer_flow(device);

                check_ok(mapi_start_offline_device(device));
                check_all_packets(b, 1, &t);
                api_finish(a);
                check_equal(api_counter(a, 1), t.n);
                check_ok(mapi_close_flow(b));
                check_ok(mapi_close_flow(a));
                check_ok(mapi_delete_offline_device(device));
                __atomic_fetch_add(rounds, 1, __ATOMIC_RELAXED);
        }
        trace_free(&t);
        return NULL;
}

static void *wait_for_nothing(void *argument)
{
        check_null(mapi_get_next_pkt(*(int *)argument, 1), MAPI_INVALID_FLOW); /* closed in the end */
        return NULL;
}

static void while_others_work(void)
{
        char *device = check_there(mapi_create_offline_device(api_trace("demo.pcap"), MFF_PCAP));
        int waiting = buffer_flow(device);
        unsigned long rounds[4] = { 0 };
        pthread_t thread[4], waiter;

        check_equal(pthread_create(&waiter, NULL, wait_for_nothing, &waiting), 0);
        for (int i = 0; i < 4; i++)
                check_equal(pthread_create(&thread[i], NULL, work, &rounds[i]), 0);
        for (unsigned i = 0; i < 150 / api_slowness() + 5; i++)
                in_child(live, NULL);
        __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
        for (int i = 0; i < 4; i++) {
                check_equal(pthread_join(thread[i], NULL), 0);
                check(rounds[i] > 0);
        }
        check_ok(mapi_close_flow(waiting));
        check_equal(pthread_join(waiter, NULL), 0);
        check_ok(mapi_delete_offline_device(device));
        live(NULL);
}

/** Two threads fork at the same time, and both children work. */
static void *fork_and_live(void *unused)
{
        (void)unused;
        for (unsigned i = 0; i < 40 / api_slowness() + 2; i++)
                in_child(live, NULL);
        return NULL;
}

static void two_threads_fork(void)
{
        pthread_t thread[2];

        api_leaves_open();
        (void)counter_flow(api_trace("demo.pcap"));
        for (int i = 0; i < 2; i++)
                check_equal(pthread_create(&thread[i], NULL, fork_and_live, NULL), 0);
        for (int i = 0; i < 2; i++)
                check_equal(pthread_join(thread[i], NULL), 0);
}

static const struct api_case cases[] = {
        { "child_and_parent", child_and_parent, 0 },
        { "before_the_first_call", before_the_first_call, 0 },
        { "generations", generations, 0 },
        { "parent_goes_first", parent_goes_first, 0 },
        { "executed_programs_inherit_nothing", executed_programs_inherit_nothing, 0 },
        { "while_others_work", while_others_work, 60 },
        { "two_threads_fork", two_threads_fork, 60 },
};
API_MAIN(cases)
