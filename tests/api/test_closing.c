/* Closing flows: while rings are full, while somebody waits, in any order. SPDX-License-Identifier: BSD-2-Clause */
#include "packets.h"

#include <mapi/errors.h>

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Many times what a ring takes to begin with. */
#define PACKETS 30000
#define CAPLEN 300

static struct trace whole;

static char *full_device(void)
{
        trace_make("long.pcap", PACKETS, CAPLEN);
        trace_read("long.pcap", &whole);
        return check_there(mapi_create_offline_device("long.pcap", MFF_PCAP));
}

static int has_filled(void *context)
{
        struct mapi_stat stats;

        check_equal(mapi_stats(context, &stats), 1);
        check(stats.ps_recv < PACKETS);
        return stats.ps_recv >= 3000; /* of 320 bytes: nearly the megabyte of a ring */
}

/** Nobody reads: the device comes to a stand. */
static void wait_until_full(const char *device)
{
        api_until(has_filled, (void *)(uintptr_t)device, "a full ring that stops its trace");
}

/* ---- while rings are full ----------------------------------------------------------------------------------------------- */

/** Every one of five flows with full or empty rings is closed first, the others then in turn. */
static void any_first(void)
{
        for (int first = 0; first < 5; first++) {
                char *device = full_device();
                int fd[5];

                fd[0] = buffer_flow(device);
                fd[1] = counter_flow(device);
                fd[2] = buffer_flow(device);
                fd[3] = check_ok(mapi_create_flow(device));
                check_ok(mapi_apply_function(fd[3], "TO_FILE", MFF_PCAP, "out.pcap", 0));
                check_ok(mapi_connect(fd[3]));
                fd[4] = check_ok(mapi_create_flow(device)); /* not connected */
                check_ok(mapi_apply_function(fd[4], "TO_BUFFER"));
                check_ok(mapi_start_offline_device(device));
                wait_until_full(device);
                check(api_counter(fd[1], 1) < PACKETS);
                for (int i = 0; i < 5; i++)
                        check_ok(mapi_close_flow(fd[(first + i) % 5]));
                check_ok(mapi_delete_offline_device(device));
                trace_free(&whole);
        }
}

/** When the flow that held it up is gone, the trace goes on and the others have all of it. */
static void the_others_go_on(void)
{
        char *device = full_device();
        int full = buffer_flow(device), counter = counter_flow(device), reader = buffer_flow(device), late;

        check_ok(mapi_start_offline_device(device));
        wait_until_full(device);
        late = counter_flow(device); /* a flow may come while it stands */
        check_ok(mapi_close_flow(full));
        check_all_packets(reader, 1, &whole);
        api_finish(counter);
        api_finish(late);
        check_equal(api_counter(counter, 1), PACKETS);
        check(api_counter(late, 1) > 0 && api_counter(late, 1) < PACKETS);
        check_ok(mapi_close_flow(counter));
        check_ok(mapi_close_flow(reader));
        check_ok(mapi_close_flow(late));
        check_ok(mapi_delete_offline_device(device));
        trace_free(&whole);
}

static void private_flows(void)
{
        struct api_held before = { 0 };
        int fd[8];

        trace_make("long.pcap", PACKETS, CAPLEN);
        for (int round = 0; round < 6; round++) {
                if (round == 2)
                        before = api_count_held();
                for (int i = 0; i < 8; i++) {
                        fd[i] = buffer_flow("long.pcap");
                        for (int k = 0; k < i; k++)
                                check_there(mapi_get_next_pkt(fd[i], 1));
                }
                for (int i = 0; i < 8; i++)
                        check_ok(mapi_close_flow(fd[(i * 3 + round) % 8]));
        }
        check_held(&before, 16);
}

/** Calls of all kinds return while the device stands. */
static void calls_while_full(void)
{
        char *device = full_device(), *another;
        int full = buffer_flow(device), counter = counter_flow(device), fd;
        unsigned long long n;
        mapi_flow_info_t info;

        check_ok(mapi_start_offline_device(device));
        wait_until_full(device);
        n = api_counter(counter, 1);
        for (int i = 0; i < 20; i++) {
                fd = check_ok(mapi_create_flow(device));
                check_ok(mapi_apply_function(fd, "BPF_FILTER", "udp"));
                check_ok(mapi_apply_function(fd, "TO_BUFFER"));
                check_ok(mapi_connect(fd));
                check_ok(mapi_get_flow_info(fd, &info));
                check_equal(info.status, FLOW_ACTIVE);
                check_ok(mapi_start_offline_device(device));
                check_ok(mapi_close_flow(fd));
        }
        check(api_counter(counter, 1) >= n && api_counter(counter, 1) < PACKETS);
        another = check_there(mapi_create_offline_device("long.pcap", MFF_PCAP));
        check_ok(mapi_delete_offline_device(another));
        check_ok(mapi_delete_offline_device(device));
        api_finish(full);
        api_finish(counter);
        check_ok(mapi_close_flow(full));
        check_ok(mapi_close_flow(counter));
        trace_free(&whole);
}

/** Exit with everything open and full; files are complete. */
static void exit_while_full(void)
{
        struct trace got;
        int status;
        pid_t child;

        trace_make("long.pcap", PACKETS, CAPLEN);
        child = fork();
        if (child == 0) {
                char *device;
                int fd;

                api_leaves_open();
                device = check_there(mapi_create_offline_device("long.pcap", MFF_PCAP));
                fd = check_ok(mapi_create_flow(device));

                check_ok(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, "out.pcap", 0));
                check_ok(mapi_apply_function(fd, "PKT_COUNTER"));
                check_ok(mapi_connect(fd));
                (void)buffer_flow(device);
                check_ok(mapi_start_offline_device(device));
                wait_until_full(device);
                exit((int)(api_counter(fd, 2) / 200));
        }
        check_equal(waitpid(child, &status, 0), child);
        check(WIFEXITED(status));
        check(WEXITSTATUS(status) > 1);
        trace_read("out.pcap", &got);
        trace_read("long.pcap", &whole);
        check_equal(got.torn, 0);
        check((int)(got.n / 200) >= WEXITSTATUS(status)); /* all that it had counted, and what came after */
        check(got.n < PACKETS);
        trace_check_same(&got, &whole, got.n);
        trace_free(&got);
        trace_free(&whole);
}

/* ---- while somebody waits ---------------------------------------------------------------------------------------------------- */

struct waiter {
        int fd;
        int loops; /* in mapi_loop() */
        sem_t ready;
        unsigned long long packets;
};

static void count_nothing(const struct mapipkt *p)
{
        (void)p;
}

static void *wait_for_packets(void *argument)
{
        struct waiter *w = argument;

        check_equal(sem_post(&w->ready), 0);
        if (w->loops) {
                check_fails(mapi_loop(w->fd, 1, -1, count_nothing), MAPI_INVALID_FLOW);
                return NULL;
        }
        while (mapi_get_next_pkt(w->fd, 1) != NULL)
                w->packets++;
        check_error(MAPI_INVALID_FLOW);
        return NULL;
}

/** From another thread, at a moment when the reader is about to wait, or waits, or reads. */
static void from_another_thread(void)
{
        unsigned seed = api_seed(), rounds = 400 / api_slowness() + 20;
        struct api_held before = { 0 };

        trace_make("short.pcap", 2000, 100);
        for (unsigned i = 0; i < rounds; i++) {
                struct waiter w = { .loops = i % 4 == 3 };
                pthread_t thread;
                char *device;

                if (i == 10)
                        before = api_count_held();
                device = check_there(mapi_create_offline_device("short.pcap", MFF_PCAP));
                w.fd = buffer_flow(device);
                check_equal(sem_init(&w.ready, 0, 0), 0);
                check_equal(pthread_create(&thread, NULL, wait_for_packets, &w), 0);
                check_equal(sem_wait(&w.ready), 0);
                for (unsigned k = (unsigned)rand_r(&seed) % 20000; k > 0; k--)
                        __asm__ volatile("");
                check_ok(mapi_close_flow(w.fd));
                check_equal(pthread_join(thread, NULL), 0);
                check_equal(w.packets, 0); /* nothing was started */
                check_ok(mapi_delete_offline_device(device));
        }
        check_held(&before, 16);
}

static void *read_until_closed(void *argument)
{
        struct waiter *w = argument;
        const struct mapipkt *p;
        int code;

        while ((p = mapi_get_next_pkt(w->fd, 1)) != NULL)
                w->packets++;
        check_equal(mapi_read_error(&code, NULL), 0);
        if (code != MAPI_INVALID_FLOW && !(code == 0 && w->packets == PACKETS))
                fail("error %d after %llu packets", code, w->packets);
        return NULL;
}

/** A reader in full run. It does not look at its packet after the close, as the manual wants it. */
static void from_another_thread_in_full_run(void)
{
        unsigned seed = api_seed(), rounds = 200 / api_slowness() + 10;

        trace_make("long.pcap", PACKETS, CAPLEN);
        for (unsigned i = 0; i < rounds; i++) {
                struct waiter w = { .fd = buffer_flow("long.pcap") };
                pthread_t thread;

                check_equal(pthread_create(&thread, NULL, read_until_closed, &w), 0);
                for (unsigned k = (unsigned)rand_r(&seed) % 3000000; k > 0; k--)
                        __asm__ volatile("");
                check_ok(mapi_close_flow(w.fd));
                check_equal(pthread_join(thread, NULL), 0);
        }
}

/** Several threads close one flow: one of them does it. */
static void *close_it(void *argument)
{
        struct waiter *w = argument;
        int code;

        check_equal(sem_wait(&w->ready), 0);
        if (mapi_close_flow(w->fd) == 0) {
                __atomic_fetch_add(&w->packets, 1, __ATOMIC_RELAXED);
        } else {
                check_equal(mapi_read_error(&code, NULL), 0);
                check_equal(code, MAPI_INVALID_FLOW);
        }
        return NULL;
}

static void closed_by_four(void)
{
        unsigned rounds = 200 / api_slowness() + 10;

        for (unsigned i = 0; i < rounds; i++) {
                struct waiter w = { .fd = counter_flow(api_trace("demo.pcap")) };
                pthread_t thread[4];

                check_equal(sem_init(&w.ready, 0, 0), 0);
                for (int k = 0; k < 4; k++)
                        check_equal(pthread_create(&thread[k], NULL, close_it, &w), 0);
                for (int k = 0; k < 4; k++)
                        check_equal(sem_post(&w.ready), 0);
                for (int k = 0; k < 4; k++)
                        check_equal(pthread_join(thread[k], NULL), 0);
                check_equal(w.packets, 1);
        }
}

/** One thread polls a flow's result and information as another closes it. */
static void *poll_it(void *argument)
{
        struct waiter *w = argument;
        mapi_results_t *r;
        mapi_flow_info_t info;
        int code;

        check_equal(sem_post(&w->ready), 0);
        while ((r = mapi_read_results(w->fd, 1)) != NULL)
                if (mapi_get_flow_info(w->fd, &info) < 0)
                        break;
        check_equal(mapi_read_error(&code, NULL), 0);
        check_equal(code, MAPI_INVALID_FLOW);
        return NULL;
}

static void closed_while_polled(void)
{
        unsigned seed = api_seed(), rounds = 200 / api_slowness() + 10;

        for (unsigned i = 0; i < rounds; i++) {
                struct waiter w = { .fd = counter_flow(api_trace("demo.pcap")) };
                pthread_t thread;

                check_equal(sem_init(&w.ready, 0, 0), 0);
                check_equal(pthread_create(&thread, NULL, poll_it, &w), 0);
                check_equal(sem_wait(&w.ready), 0);
                for (unsigned k = (unsigned)rand_r(&seed) % 100000; k > 0; k--)
                        __asm__ volatile("");
                check_ok(mapi_close_flow(w.fd));
                check_equal(pthread_join(thread, NULL), 0);
        }
}

/* ---- flows that refer to one another ------------------------------------------------------------------------------------------- */

static void what_others_read(void)
{
        for (int order = 0; order < 2; order++) {
                char *device = check_there(mapi_create_offline_device(api_trace("demo.pcap"), MFF_PCAP));
                int a = check_ok(mapi_create_flow(device)), b = check_ok(mapi_create_flow(device)), size, stats;
                mapi_results_t *r;

                size = check_ok(mapi_apply_function(a, "PKTINFO", 1));
                stats = check_ok(mapi_apply_function(b, "STATS", a, size, "0"));
                check_ok(mapi_connect(a));
                check_ok(mapi_connect(b));
                if (order == 1)
                        check_ok(mapi_close_flow(a)); /* before it has begun */
                check_ok(mapi_start_offline_device(device));
                api_finish(b);
                r = check_there(mapi_read_results(b, stats));
                check(*(unsigned long long *)r->res <= 2800);
                if (order == 0)
                        check_equal(*(unsigned long long *)r->res, 2800);
                if (order == 0)
                        check_ok(mapi_close_flow(a));
                check_there(mapi_read_results(b, stats));
                check_ok(mapi_close_flow(b));
                check_ok(mapi_delete_offline_device(device));
        }
}

static const struct api_case cases[] = {
        { "any_first", any_first, 60 },
        { "the_others_go_on", the_others_go_on, 60 },
        { "private_flows", private_flows, 60 },
        { "calls_while_full", calls_while_full, 60 },
        { "exit_while_full", exit_while_full, 60 },
        { "from_another_thread", from_another_thread, 60 },
        { "from_another_thread_in_full_run", from_another_thread_in_full_run, 60 },
        { "closed_by_four", closed_by_four, 60 },
        { "closed_while_polled", closed_while_polled, 60 },
        { "what_others_read", what_others_read, 0 },
};
API_MAIN(cases)
