/* Many threads: with flows of their own, on one device, on one flow, coming and going. SPDX-License-Identifier: BSD-2-Clause */
#include "packets.h"

#include <mapi/errors.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 50 };

struct job {
        pthread_t thread;
        int number, fd, fid;
        const char *device;
        unsigned seed;
};

static void run_all(struct job *jobs, int n, void *(*run)(void *))
{
        for (int i = 0; i < n; i++) {
                jobs[i].number = i;
                check_equal(pthread_create(&jobs[i].thread, NULL, run, &jobs[i]), 0);
        }
        for (int i = 0; i < n; i++)
                check_equal(pthread_join(jobs[i].thread, NULL), 0);
}

/* ---- everybody his own trace ------------------------------------------------------------------------------------------- */

static void *own_trace(void *argument)
{
        struct job *j = argument;
        unsigned packets = 1000 + 37 * (unsigned)j->number, caplen = 60 + (unsigned)j->number;
        int a, b, counter, bytes;
        struct trace t;
        char path[64];

        (void)snprintf(path, sizeof path, "trace-%d.pcap", j->number);
        trace_make(path, packets, caplen);
        trace_read(path, &t);
        a = buffer_flow(path); /* for some it is the first call of the process */
        b = check_ok(mapi_create_offline_flow(path, MFF_PCAP));
        check_ok(mapi_apply_function(b, "BPF_FILTER", "udp port 53"));
        counter = check_ok(mapi_apply_function(b, "PKT_COUNTER"));
        bytes = check_ok(mapi_apply_function(b, "BYTE_COUNTER"));
        check_ok(mapi_connect(b));
        check_all_packets(a, 1, &t);
        api_finish(b);
        check_equal(api_counter(b, counter), packets);
        check_equal(api_counter(b, bytes), (unsigned long long)packets * caplen);
        check_ok(mapi_close_flow(a));
        check_ok(mapi_close_flow(b));
        check_fails(mapi_close_flow(b), MAPI_INVALID_FLOW);
        trace_free(&t);
        return NULL;
}

static void a_trace_for_each(void)
{
        struct job jobs[THREADS] = { { 0 } };

        run_all(jobs, THREADS, own_trace);
}

/* ---- one device ------------------------------------------------------------------------------------------------------------ */

static struct trace whole;

static void *read_own_flow(void *argument)
{
        struct job *j = argument;

        check_all_packets(j->fd, 1, &whole);
        if (j->number % 2 == 0)
                check_ok(mapi_close_flow(j->fd));
        return NULL;
}

static void a_flow_for_each(void)
{
        struct job jobs[THREADS] = { { 0 } };
        char *device;

        trace_make("long.pcap", 20000, 200);
        trace_read("long.pcap", &whole);
        device = check_there(mapi_create_offline_device("long.pcap", MFF_PCAP));
        for (int i = 0; i < THREADS; i++)
                jobs[i].fd = buffer_flow(device);
        check_ok(mapi_start_offline_device(device));
        run_all(jobs, THREADS, read_own_flow);
        for (int i = 1; i < THREADS; i += 2)
                check_ok(mapi_close_flow(jobs[i].fd));
        check_ok(mapi_delete_offline_device(device));
        trace_free(&whole);
}

/* ---- one flow ---------------------------------------------------------------------------------------------------------------- */

static void *use_one_function(void *argument)
{
        struct job *j = argument;
        unsigned long long last = 0, now;
        mapi_flow_info_t info = { 0 };
        mapi_results_t *r, *first = NULL;

        if (j->number % 3 == 0) {
                check_all_packets(j->fd, j->fid, &whole);
                return NULL;
        }
        while (info.status != FLOW_FINISHED) {
                check_ok(mapi_get_flow_info(j->fd, &info));
                r = check_there(mapi_read_results(j->fd, j->fid));
                if (first == NULL)
                        first = r;
                check(r == first);
                now = *(unsigned long long *)r->res;
                check(now >= last);
                last = now;
        }
        check_equal(api_counter(j->fd, j->fid), j->number % 3 == 1 ? whole.n : whole.wire_bytes);
        return NULL;
}

static void a_function_for_each(void)
{
        enum { FUNCTIONS = 12 };
        struct job jobs[FUNCTIONS] = { { 0 } };
        static const char *const names[] = { "TO_BUFFER", "PKT_COUNTER", "BYTE_COUNTER" };
        char *device;
        int fd;

        trace_make("long.pcap", 20000, 200);
        trace_read("long.pcap", &whole);
        device = check_there(mapi_create_offline_device("long.pcap", MFF_PCAP));
        fd = check_ok(mapi_create_flow(device));
        for (int i = 0; i < FUNCTIONS; i++) {
                jobs[i].fd = fd;
                jobs[i].fid = check_ok(mapi_apply_function(fd, names[i % 3]));
        }
        check_ok(mapi_connect(fd));
        check_ok(mapi_start_offline_device(device));
        run_all(jobs, FUNCTIONS, use_one_function);
        check_ok(mapi_close_flow(fd));
        check_ok(mapi_delete_offline_device(device));
        trace_free(&whole);
}

/* ---- storms --------------------------------------------------------------------------------------------------------------------- */

static void *come_and_go(void *argument)
{
        struct job *j = argument;
        unsigned rounds = 150 / api_slowness() + 5;
        char file[64];

        (void)snprintf(file, sizeof file, "out-%d.pcap", j->number);
        for (unsigned i = 0; i < rounds; i++) {
                int kind = rand_r(&j->seed) % 6, fd;
                char *device = NULL;

                if (kind == 0)
                        device = check_there(mapi_create_offline_device(api_trace("few-small.pcap"), MFF_PCAP));
                if (kind == 5) {
                        check_fails(mapi_create_flow("HOW CARES"), MAPID_NO_DRIVER);
                        continue;
                }
                fd = check_ok(mapi_create_flow(device != NULL ? device : api_trace("few-small.pcap")));
                check_ok(mapi_apply_function(fd, "BPF_FILTER", "udp or icmp or arp or ip or ip6 or len > 0"));
                check_equal(check_ok(mapi_apply_function(fd, "PKT_COUNTER")), 2);
                if (kind == 1)
                        check_ok(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, file, 0));
                if (kind == 2)
                        check_ok(mapi_apply_function(fd, "TO_BUFFER"));
                if (kind == 3)
                        check_fails(mapi_apply_function(fd, "BPF_FILTER", "no filter ("), PCAP_BPF_ERR);
                if (kind == 4) {
                        check_ok(mapi_close_flow(fd)); /* before it was connected */
                        check_fails(mapi_connect(fd), MAPI_INVALID_FLOW);
                        continue;
                }
                check_ok(mapi_connect(fd));
                if (device != NULL)
                        check_ok(mapi_start_offline_device(device));
                if (rand_r(&j->seed) % 4 != 0) {
                        if (kind == 2)
                                while (mapi_get_next_pkt(fd, 3) != NULL)
                                        ;
                        api_finish(fd);
                        check_equal(api_counter(fd, 2), 120);
                }
                check_ok(mapi_close_flow(fd));
                if (kind == 1) {
                        struct trace got;

                        trace_read(file, &got);
                        check_equal(got.torn, 0);
                        trace_free(&got);
                }
                if (device != NULL)
                        check_ok(mapi_delete_offline_device(device));
        }
        return NULL;
}

static void *look_around(void *argument)
{
        struct job *j = argument;
        unsigned rounds = 400 / api_slowness() + 5;

        for (unsigned i = 0; i < rounds; i++) {
                mapi_device_info_t device = { .id = -1000000 };
                mapi_function_info_t function;
                mapi_flow_info_t flow = { 0 };
                struct mapi_stat stats;

                while (mapi_get_next_flow_info(flow.fd, &flow) == 0) {
                        check(flow.num_functions <= 3);
                        (void)mapi_get_next_function_info(flow.fd, 0, &function);
                        (void)mapi_stats(flow.device, &stats);
                        (void)mapi_get_scope_size(flow.fd);
                }
                while (mapi_get_next_device_info(device.id, &device) == 0)
                        check(device.device[0] != '\0');
                (void)mapi_read_error(&j->fid, NULL);
        }
        return NULL;
}

static void storm(void)
{
        struct job jobs[8] = { { 0 } }, lookers[2] = { { 0 } };
        unsigned seed = api_seed();
        struct api_held before = { 0 };

        for (int round = 0; round < 3; round++) {
                for (int i = 0; i < 2; i++)
                        check_equal(pthread_create(&lookers[i].thread, NULL, look_around, &lookers[i]), 0);
                for (int i = 0; i < 8; i++)
                        jobs[i].seed = seed + (unsigned)(8 * round + i);
                run_all(jobs, 8, come_and_go);
                for (int i = 0; i < 2; i++)
                        check_equal(pthread_join(lookers[i].thread, NULL), 0);
                if (round == 0)
                        before = api_count_held();
        }
        check_held(&before, 100);
}

/** Flows come and go on a device while others read all of it: they lose nothing. */
static int stop;

static void *come_and_go_on_device(void *argument)
{
        struct job *j = argument;

        while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
                int fd = check_ok(mapi_create_flow(j->device));

                if (rand_r(&j->seed) % 2 == 0)
                        check_ok(mapi_apply_function(fd, "BPF_FILTER", "udp port 53"));
                check_ok(mapi_apply_function(fd, "PKT_COUNTER"));
                check_ok(mapi_apply_function(fd, "TO_BUFFER", NOWAIT));
                check_ok(mapi_connect(fd));
                check_ok(mapi_close_flow(fd));
        }
        return NULL;
}

static void storm_on_a_device(void)
{
        struct job jobs[4] = { { 0 } };
        int reader, counter;
        char *device;

        trace_make("long.pcap", 40000, 200);
        trace_read("long.pcap", &whole);
        device = check_there(mapi_create_offline_device("long.pcap", MFF_PCAP));
        reader = buffer_flow(device);
        counter = counter_flow(device);
        for (int i = 0; i < 4; i++) {
                jobs[i] = (struct job){ .device = device, .seed = (unsigned)i };
                check_equal(pthread_create(&jobs[i].thread, NULL, come_and_go_on_device, &jobs[i]), 0);
        }
        check_ok(mapi_start_offline_device(device));
        check_all_packets(reader, 1, &whole);
        api_finish(counter);
        check_equal(api_counter(counter, 1), whole.n);
        __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
        for (int i = 0; i < 4; i++)
                check_equal(pthread_join(jobs[i].thread, NULL), 0);
        check_ok(mapi_close_flow(reader));
        check_ok(mapi_close_flow(counter));
        check_ok(mapi_delete_offline_device(device));
        trace_free(&whole);
}

static const struct api_case cases[] = {
        { "a_trace_for_each", a_trace_for_each, 60 },       { "a_flow_for_each", a_flow_for_each, 60 },
        { "a_function_for_each", a_function_for_each, 60 }, { "storm", storm, 60 },
        { "storm_on_a_device", storm_on_a_device, 60 },
};
API_MAIN(cases)
