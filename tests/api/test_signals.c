/*
 * Signals: handlers that close flows and end the program, at any moment, as the tutorial's do; handlers that do nothing;
 * and the one that cannot be handled.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "packets.h"

#include <mapi/errors.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FLOWS = 2, HANG_S = 30 };

/* What a program and who looks at it share. */
static struct shared {
        volatile sig_atomic_t fd[FLOWS];     /* 0: none, or not known yet */
        volatile sig_atomic_t writes;        /* TO_FILE has been applied to the first */
        volatile sig_atomic_t entered, left; /* the handler */
        volatile unsigned long long
                counted;               /* packets that its counter behind TO_FILE had seen before the close */
        volatile int closed;           /* what mapi_close_flow() of it said: 1 not called */
        volatile unsigned long rounds; /* that the program has done */
} * shared;

static struct shared *make_shared(void)
{
        void *p = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        check(p != MAP_FAILED);
        return p;
}

/* ---- the program ------------------------------------------------------------------------------------------------------------ */

static void close_all_and_exit(int number)
{
        (void)number;
        shared->entered = 1;
        if (shared->fd[0] > 0 && shared->writes) {
                mapi_results_t *r = mapi_read_results(shared->fd[0], 2);

                if (r != NULL)
                        shared->counted = *(unsigned long long *)r->res;
        }
        for (int i = 0; i < FLOWS; i++)
                if (shared->fd[i] > 0) {
                        int closed = mapi_close_flow(shared->fd[i]);

                        if (i == 0)
                                shared->closed = closed;
                }
        shared->left = 1;
        exit(0);
}

static void set_handler(int number, void (*handler)(int))
{
        struct sigaction action = { .sa_handler = handler };

        (void)sigemptyset(&action.sa_mask);
        check_equal(sigaction(number, &action, NULL), 0);
}

static void signal_after_us(unsigned us)
{
        struct itimerval timer = { .it_value = { .tv_sec = us / 1000000, .tv_usec = us % 1000000 + 1 } };

        check_equal(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

/** Allocates and prints as programs do, so that signals find locks of libc taken. */
static void be_busy(unsigned *seed)
{
        void *p[8];

        for (int i = 0; i < 8; i++)
                p[i] = malloc((size_t)rand_r(seed) % 3000 + 1);
        (void)printf("%p %s %d\n", p[0], "a line of output", rand_r(seed));
        for (int i = 0; i < 8; i++)
                free(p[i]);
}

static void use_flows(const char *trace, const char *file, unsigned *seed)
{
        char *device = NULL;

        if (rand_r(seed) % 2 == 0) {
                device = mapi_create_offline_device(trace, MFF_PCAP);
                shared->fd[0] = mapi_create_flow(device);
        } else {
                shared->fd[0] = mapi_create_flow(trace);
        }
        shared->fd[1] = device != NULL ? mapi_create_flow(device) : mapi_create_offline_flow(trace, MFF_PCAP);
        check(shared->fd[0] > 0 && shared->fd[1] > 0);
        check_equal(check_ok(mapi_apply_function(shared->fd[0], "TO_FILE", MFF_PCAP, file, 0)), 1);
        check_equal(check_ok(mapi_apply_function(shared->fd[0], "PKT_COUNTER")), 2);
        shared->writes = 1;
        be_busy(seed);
        check_ok(mapi_apply_function(shared->fd[1], "BPF_FILTER", "tcp or udp"));
        check_equal(check_ok(mapi_apply_function(shared->fd[1], "TO_BUFFER")), 2);
        check_ok(mapi_connect(shared->fd[0]));
        check_ok(mapi_connect(shared->fd[1]));
        if (device != NULL)
                check_ok(mapi_start_offline_device(device));
        be_busy(seed);
        check_there(mapi_read_results(shared->fd[0], 2));
        for (int i = rand_r(seed) % 200; i > 0; i--)
                check_there(mapi_get_next_pkt(shared->fd[1], 2));
        check(mapi_get_next_pkt(shared->fd[1], 1) == NULL);
        shared->counted = api_counter(shared->fd[0], 2); /* what the file must have when it has been closed */
        for (int i = 0; i < FLOWS; i++) {
                int fd = shared->fd[i];

                check_ok(mapi_close_flow(fd));
                shared->fd[i] = 0;
        }
        if (device != NULL)
                check_ok(mapi_delete_offline_device(device));
        be_busy(seed);
        shared->counted = 0;
        shared->writes = 0;
        shared->rounds++;
}

static void program(const char *trace, unsigned seed)
{
        int out = open("/dev/null", O_WRONLY);
        unsigned after_us;
        char file[64];
        unsigned long late;

        api_leaves_open();
        (void)dup2(out, STDOUT_FILENO);
        (void)close(out);
        set_handler(SIGALRM, close_all_and_exit);
        /* Most of them in the first round, where everything is made; some behind it, however slow the machine is. */
        late = rand_r(&seed) % 8 == 0;
        after_us = (unsigned)rand_r(&seed) % 2500 * api_slowness();
        for (unsigned long i = 0;; i++) {
                if (i == late)
                        signal_after_us(after_us);
                (void)snprintf(file, sizeof file, "out-%d-%lu.pcap", (int)getpid(), i % 2);
                use_flows(trace, file, &seed);
        }
}

/* ---- who looks at it ---------------------------------------------------------------------------------------------------------- */

/** The child ends in time; its status, or -1. */
static int end_of(pid_t child)
{
        struct pollfd p = { .fd = (int)syscall(SYS_pidfd_open, child, 0), .events = POLLIN };
        int status = -1;

        if (poll(&p, 1, HANG_S * 1000 * (api_slowness() > 1 ? 4 : 1)) > 0)
                check_equal(waitpid(child, &status, 0), child);
        (void)close(p.fd);
        return status;
}

/** A file of the program: whole packets, the first ones of the trace. Returns how many; -1 if there is no file. */
static long check_file(const char *path, const struct trace *t)
{
        struct trace got;
        struct stat st;
        long n;

        if (stat(path, &st) < 0)
                return -1;
        if (st.st_size < 24)
                fail("%s has %ld bytes; rounds %lu, the handler's close said %d", path, (long)st.st_size,
                     shared->rounds, shared->closed);
        trace_read(path, &got);
        if (got.torn != 0)
                fail("%s ends with %zu bytes that are no packet", path, got.torn);
        trace_check_same(&got, t, got.n);
        n = (long)got.n;
        trace_free(&got);
        return n;
}

static void check_files(pid_t child, const struct trace *t, unsigned i, unsigned seed)
{
        char path[64];

        for (unsigned long k = 0; k < 2; k++) {
                long n;

                (void)snprintf(path, sizeof path, "out-%d-%lu.pcap", (int)child, k);
                if (shared->rounds % 2 == k) {
                        if (!shared->writes) { /* not applied yet: the file may be there, and empty */
                                (void)unlink(path);
                                continue;
                        }
                        n = check_file(path, t);
                        if (n < (long)shared->counted)
                                fail("run %u, seed %u: the file has %ld packets, the flow had seen %llu when it "
                                     "was closed (%d)",
                                     i, seed, n, shared->counted, shared->closed);
                } else {
                        (void)check_file(path, t); /* of a flow that was closed as usual */
                }
                (void)unlink(path);
        }
}

static void run_programs(unsigned runs, unsigned seed)
{
        const char *path = api_trace("demo.pcap");
        unsigned fired_late = 0, fired_closed = 0;
        struct trace t;

        trace_read(path, &t);
        for (unsigned i = 0; i < runs; i++) {
                unsigned one = seed + i * 2654435761u;
                pid_t child;
                int status;

                *shared = (struct shared){ .closed = 1 };
                child = fork();
                if (child == 0)
                        program(path, one);
                status = end_of(child);
                if (status == -1)
                        fail("run %u, seed %u: it hangs; the handler was %s, after %lu rounds", i, one,
                             shared->left      ? "left"
                             : shared->entered ? "entered"
                                               : "not entered",
                             shared->rounds);
                if (status != 0)
                        fail("run %u, seed %u: ended with %#x; the handler was %s, after %lu rounds", i, one,
                             (unsigned)status,
                             shared->left      ? "left"
                             : shared->entered ? "entered"
                                               : "not entered",
                             shared->rounds);
                fired_late += shared->rounds > 0;
                fired_closed += shared->closed == 0;
                check_files(child, &t, i, one);
        }
        (void)printf("%u runs: %u after the first round, %u closed a flow that writes\n", runs, fired_late,
                     fired_closed);
        if (runs >= 1000)
                check(fired_late > 0 && fired_closed > 0);
        trace_free(&t);
}

/** The library is loaded already, so that a run is short: 10,000 of them, in two processes. */
static void close_and_exit(void)
{
        unsigned seed = api_seed(),
                 runs = (api_served() ? 1500 : 5000) / (api_slowness() * api_slowness() / 8 + 1);
        mapi_lib_info_t info;
        pid_t other;
        int status;

        api_not_with_sanitizers("exit() in a handler that interrupts malloc()");
        check_ok(mapi_get_library_info(0, &info));
        other = fork();
        shared = make_shared();
        run_programs(runs, seed + (other == 0 ? 77 : 0));
        if (other == 0)
                exit(0);
        check_equal(waitpid(other, &status, 0), other);
        check_equal(status, 0);
}

/** The signal also finds the library being loaded. */
static void close_and_exit_from_the_start(void)
{
        api_not_with_sanitizers("exit() in a handler that interrupts malloc()");
        shared = make_shared();
        run_programs(400 / api_slowness(), api_seed());
}

/* ---- handlers that return ------------------------------------------------------------------------------------------------------- */

static _Atomic int signals;

static void count_signal(int number)
{
        (void)number;
        signals++;
}

struct reader {
        int fd;
        int over;
        struct trace t;
};

static void *read_all(void *argument)
{
        struct reader *r = argument;

        check_all_packets(r->fd, 1, &r->t);
        __atomic_store_n(&r->over, 1, __ATOMIC_RELAXED);
        return NULL;
}

static int has_signals(void *context)
{
        pthread_t *thread = context;
        static int sent;

        if (sent <= signals) {
                sent = signals + 1;
                check_equal(pthread_kill(*thread, SIGUSR1), 0);
        }
        return signals >= 50;
}

/** A reader that waits goes on waiting. */
static void signals_do_not_end_the_waiting(void)
{
        char *device = check_there(mapi_create_offline_device(api_trace("demo.pcap"), MFF_PCAP));
        struct reader r = { .fd = buffer_flow(device) };
        pthread_t thread;

        trace_read(api_trace("demo.pcap"), &r.t);
        set_handler(SIGUSR1, count_signal);
        check_equal(pthread_create(&thread, NULL, read_all, &r), 0);
        api_until(has_signals, &thread, "50 signals");
        check_equal(__atomic_load_n(&r.over, __ATOMIC_RELAXED), 0);
        check_ok(mapi_start_offline_device(device));
        check_equal(pthread_join(thread, NULL), 0);
        check_equal(r.over, 1);
        check_ok(mapi_close_flow(r.fd));
        check_ok(mapi_delete_offline_device(device));
        trace_free(&r.t);
}

/** A timer all the time, in every call. */
static void signals_disturb_nothing(void)
{
        struct itimerval timer = { .it_value = { .tv_usec = 100 }, .it_interval = { .tv_usec = 100 } };
        struct trace t, got;

        trace_read(api_trace("demo.pcap"), &t);
        set_handler(SIGALRM, count_signal);
        check_equal(setitimer(ITIMER_REAL, &timer, NULL), 0);
        for (int i = 0; i < 100 || signals < 500; i++) {
                char *device = check_there(mapi_create_offline_device(api_trace("demo.pcap"), MFF_PCAP));
                int a = buffer_flow(device), b = check_ok(mapi_create_flow(device));

                check_ok(mapi_apply_function(b, "TO_FILE", MFF_PCAP, "out.pcap", 0));
                check_ok(mapi_apply_function(b, "PKT_COUNTER"));
                check_ok(mapi_connect(b));
                check_ok(mapi_start_offline_device(device));
                check_all_packets(a, 1, &t);
                api_finish(b);
                check_equal(api_counter(b, 2), t.n);
                check_ok(mapi_close_flow(a));
                check_ok(mapi_close_flow(b));
                check_ok(mapi_delete_offline_device(device));
                trace_read("out.pcap", &got);
                check_equal(got.n, t.n);
                trace_check_same(&got, &t, t.n);
                trace_free(&got);
        }
        timer = (struct itimerval){ 0 };
        check_equal(setitimer(ITIMER_REAL, &timer, NULL), 0);
        trace_free(&t);
}

/** No thread of the library ever runs a handler of the program. */
static volatile sig_atomic_t wrong_thread;
static pid_t main_thread;

static void which_thread(int number)
{
        (void)number;
        signals++;
        wrong_thread |= (pid_t)syscall(SYS_gettid) != main_thread;
}

static void only_our_threads_get_signals(void)
{
        int fd[5];

        main_thread = (pid_t)syscall(SYS_gettid);
        set_handler(SIGUSR2, which_thread);
        for (int i = 0; i < 5; i++) {
                fd[i] = check_ok(mapi_create_flow(api_trace("demo.pcap")));
                check_ok(mapi_apply_function(fd[i], "TO_FILE", MFF_PCAP, "out.pcap", 0));
                check_ok(mapi_connect(fd[i]));
        }
        for (int i = 0; i < 500; i++)
                check_equal(kill(getpid(), SIGUSR2), 0);
        check_equal(signals, 500);
        check_equal(wrong_thread, 0);
        for (int i = 0; i < 5; i++)
                check_ok(mapi_close_flow(fd[i]));
}

/* ---- a handler that closes another flow, or the same, while one is being closed -------------------------------------------------- */

static volatile sig_atomic_t close_this, close_result, close_error;

static void close_one(int number)
{
        int code = 0;

        (void)number;
        if (close_this <= 0)
                return;
        close_result = mapi_close_flow(close_this);
        (void)mapi_read_error(&code, NULL);
        close_error = code;
        close_this = 0;
        signals++;
}

static int has_closed(void *context)
{
        (void)context;
        return close_this == 0;
}

static void handler_interrupts_close(void)
{
        unsigned seed = api_seed(), rounds = 700 / api_slowness();
        unsigned inside = 0;
        struct api_held before = { 0 };

        set_handler(SIGALRM, close_one);
        for (unsigned i = 0; i < rounds; i++) {
                int a = counter_flow(api_trace("demo.pcap")),
                    b = i % 2 == 0 ? a : buffer_flow(api_trace("demo.pcap")), r, code;

                signals = 0;
                close_this = b;
                signal_after_us((unsigned)rand_r(&seed) % 300);
                r = mapi_close_flow(a);
                check_equal(mapi_read_error(&code, NULL), 0);
                if (close_this == 0)
                        inside++;
                api_until(has_closed, NULL, "the handler that closes a flow");
                if (a == b) { /* one of the two has done it */
                        check_equal(r + close_result, -1);
                        if (r == -1)
                                check(code == MAPI_INVALID_FLOW ||
                                      code == 0); /* the handler may have fetched it */
                        else
                                check_equal(close_error, MAPI_INVALID_FLOW);
                } else {
                        check_equal(r, 0);
                        check_equal(close_result, 0);
                }
                if (i == 20)
                        before = api_count_held();
        }
        (void)printf("%u of %u handlers ran before the close returned\n", inside, rounds);
        if (rounds > 50)
                check_held(&before, 16);
}

/* ---- SIGKILL ----------------------------------------------------------------------------------------------------------------------- */

static unsigned entries(const char *folder)
{
        DIR *d = opendir(folder);
        struct dirent *e;
        unsigned n = 0;

        while (d != NULL && (e = readdir(d)) != NULL)
                n += strstr(e->d_name, "mapi") != NULL;
        if (d != NULL)
                (void)closedir(d);
        return n;
}

static void killed(void)
{
        unsigned seed = api_seed(), shm = entries("/dev/shm"), tmp = entries("/tmp"), runs = 300 / api_slowness();
        const char *path = api_trace("demo.pcap");
        struct trace t, got;

        trace_read(path, &t);
        shared = make_shared();
        for (unsigned i = 0; i < runs; i++) {
                struct timespec wait = { .tv_nsec = rand_r(&seed) % 6000000 };
                char file[64];
                pid_t child;
                int status;

                *shared = (struct shared){ .closed = 1 };
                child = fork();
                if (child == 0) {
                        unsigned own = seed;
                        int out = open("/dev/null", O_WRONLY);

                        (void)dup2(out, STDOUT_FILENO);
                        for (;;) {
                                (void)snprintf(file, sizeof file, "out-%d.pcap", (int)getpid());
                                use_flows(path, file, &own);
                        }
                }
                (void)nanosleep(&wait, NULL); /* a random moment, not a wait for anything */
                check_equal(kill(child, SIGKILL), 0);
                status = end_of(child);
                check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
                (void)snprintf(file, sizeof file, "out-%d.pcap", (int)child);
                if (access(file, F_OK) == 0) { /* there was no time to complete it, but what is there is right */
                        FILE *f = fopen(file, "rb");

                        check(f != NULL);
                        if (fseek(f, 0, SEEK_END) == 0 && ftell(f) >= 24) {
                                trace_read(file, &got);
                                trace_check_same(&got, &t, got.n);
                                trace_free(&got);
                        }
                        (void)fclose(f);
                        check_equal(unlink(file), 0);
                }
        }
        /* Others may work here at the same time, so a few names come and go; but not one for each of ours. */
        check(entries("/dev/shm") < shm + runs / 4);
        check(entries("/tmp") < tmp + runs / 4);
        check_equal(entries("."), 0);
        trace_free(&t);
}

static const struct api_case cases[] = {
        { "close_and_exit", close_and_exit, 150 },
        { "close_and_exit_from_the_start", close_and_exit_from_the_start, 60 },
        { "signals_do_not_end_the_waiting", signals_do_not_end_the_waiting, 0 },
        { "signals_disturb_nothing", signals_disturb_nothing, 60 },
        { "only_our_threads_get_signals", only_our_threads_get_signals, 0 },
        { "handler_interrupts_close", handler_interrupts_close, 60 },
        { "killed", killed, 60 },
};
API_MAIN(cases)
