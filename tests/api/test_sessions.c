/* Sessions of one process, and flows that do not wait. SPDX-License-Identifier: BSD-2-Clause */
#include "packets.h"

#include <mapi/errors.h>

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define PACKETS 2800

/* ---- sessions
 * -------------------------------------------------------------------------------------------------- */

static void each_has_its_own(void)
{
        int own = counter_flow(api_trace("demo.pcap")), s = check_ok(mapi_session_open(NULL)), fd, fid;
        char *device, *other;
        struct trace t;

        trace_read(api_trace("demo.pcap"), &t);
        check_equal(mapi_session_use(s), 0);
        fd = counter_flow(api_trace("few-small.pcap")); /* number 1 of its engine */
        check(fd != own);
        device = check_there(mapi_create_offline_device(api_trace("demo.pcap"), MFF_PCAP));
        fid = check_ok(mapi_create_flow(device));
        check_equal(check_ok(mapi_apply_function(fid, "TO_BUFFER")), 1);
        check_ok(mapi_connect(fid));
        check_equal(mapi_session_use(0), s);
        check_fails(mapi_start_offline_device(device), MAPID_NO_DEVICE); /* of the other session */
        check_fails(mapi_create_flow(device), MAPID_NO_DRIVER);
        other = check_there(mapi_create_offline_device(api_trace("few-small.pcap"), MFF_PCAP));
        check_ok(mapi_delete_offline_device(other));
        check_equal(mapi_session_use(s), 0);
        check_ok(mapi_start_offline_device(device));
        check_equal(mapi_session_use(0), s);
        check_all_packets(fid, 1, &t); /* reading does not ask for the session */
        api_finish(own);
        api_finish(fd);
        check_equal(api_counter(own, 1), PACKETS);
        check_equal(api_counter(fd, 1), 120);
        check_ok(mapi_session_close(s));
        check_null(mapi_read_results(fd, 1), MAPI_INVALID_FLOW);
        check_null(mapi_get_next_pkt(fid, 1), MAPI_INVALID_FLOW);
        check_equal(api_counter(own, 1), PACKETS);
        check_fails(mapi_session_close(s), MAPI_SESSION_ERROR);
        check_ok(mapi_close_flow(own));
        trace_free(&t);
}

static void references(void)
{
        int first = counter_flow(api_trace("demo.pcap")), s = check_ok(mapi_session_open(NULL)), fd, counted,
            stats, there;
        mapi_flow_info_t info;
        char *device;

        check_equal(mapi_session_use(s), 0);
        device = check_there(mapi_create_offline_device(api_trace("few-small.pcap"), MFF_PCAP));
        fd = check_ok(mapi_create_flow(device)); /* another descriptor than its number */
        check(fd != 1 && (first == 1 || api_served()));
        check_ok(mapi_get_flow_info(fd, &info));
        check_equal(info.fd, fd);
        counted = check_ok(mapi_apply_function(fd, "PKT_COUNTER"));
        there = check_ok(mapi_create_flow(device));
        check_fails(mapi_apply_function(there, "STATS", first, 1, "0"), MFUNCT_INVALID_ARGUMENT_1);
        stats = check_ok(mapi_apply_function(there, "STATS", fd, counted, "0"));
        check_ok(mapi_connect(fd));
        check_ok(mapi_connect(there));
        check_ok(mapi_start_offline_device(device));
        api_finish(there);
        check_there(mapi_read_results(there, stats));
        check_ok(mapi_session_close(s));
        check_ok(mapi_close_flow(first));
}

/** Files of a session are complete when it has been closed. */
static void files(void)
{
        int s = check_ok(mapi_session_open(NULL)), fd;
        struct trace t, got;

        check_equal(mapi_session_use(s), 0);
        fd = check_ok(mapi_create_flow(api_trace("demo.pcap")));
        check_ok(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, "out.pcap", 0));
        check_ok(mapi_apply_function(fd, "PKT_COUNTER"));
        check_ok(mapi_connect(fd));
        api_finish(fd);
        check_ok(mapi_session_close(s));
        trace_read(api_trace("demo.pcap"), &t);
        trace_read("out.pcap", &got);
        check_equal(got.n, PACKETS);
        trace_check_same(&got, &t, PACKETS);
        trace_free(&got);
        trace_free(&t);
}

static void *reads(void *fd)
{
        check_null(mapi_get_next_pkt(*(int *)fd, 1), MAPI_INVALID_FLOW);
        return NULL;
}

static void closed_under_a_reader(void)
{
        int s = check_ok(mapi_session_open(NULL)), fd;
        pthread_t thread;
        char *device;

        check_equal(mapi_session_use(s), 0);
        device = check_there(mapi_create_offline_device(api_trace("demo.pcap"), MFF_PCAP)); /* never started */
        fd = buffer_flow(device);
        check_equal(pthread_create(&thread, NULL, reads, &fd), 0);
        check_ok(mapi_session_close(s));
        check_equal(pthread_join(thread, NULL), 0);
}

static void many(void)
{
        int s[64], fd[64];

        api_leaves_open();
        for (int i = 0; i < 64; i++) {
                s[i] = check_ok(mapi_session_open(NULL));
                check_ok(mapi_session_use(s[i]));
                fd[i] = counter_flow(api_trace("few-small.pcap"));
        }
        check_fails(mapi_session_open(NULL), MAPI_LIMIT_ERROR);
        for (int i = 0; i < 64; i++) {
                api_finish(fd[i]);
                check_equal(api_counter(fd[i], 1), 120);
                if (i % 2 == 0)
                        check_ok(mapi_session_close(s[i]));
        }
}

/* ---- without waiting
 * ----------------------------------------------------------------------------------------------- */

static void nonblocking(void)
{
        char *device = check_there(mapi_create_offline_device(api_trace("demo.pcap"), MFF_PCAP));
        int fd = check_ok(mapi_create_flow(device));
        struct mapipkt *p;
        struct trace t;
        size_t n = 0;

        trace_read(api_trace("demo.pcap"), &t);
        check_equal(check_ok(mapi_apply_function(fd, "TO_BUFFER")), 1);
        check_ok(mapi_set_nonblocking(fd, 1)); /* before or behind connect */
        check_ok(mapi_connect(fd));
        for (int i = 0; i < 3; i++)
                check_null(mapi_get_next_pkt(fd, 1), 0);
        check_equal(mapi_loop(fd, 1, 0, (mapi_handler)abort), 0);
        check_ok(mapi_start_offline_device(device));
        while (n < t.n) {
                p = mapi_get_next_pkt(fd, 1);
                if (p != NULL)
                        check_packet(p, &t, n++);
                else
                        check_error(0);
        }
        check_ok(mapi_set_nonblocking(fd, 0));
        check_null(mapi_get_next_pkt(fd, 1), 0); /* waits for the end */
        check_ok(mapi_close_flow(fd));
        check_ok(mapi_delete_offline_device(device));
        trace_free(&t);
}

/** Every packet arrives although the program only ever waits in poll(). */
static void event_fd(void)
{
        char *device = check_there(mapi_create_offline_device(api_trace("demo.pcap"), MFF_PCAP));
        int fd = check_ok(mapi_create_flow(device)), event;
        struct pollfd poller = { .events = POLLIN };
        mapi_flow_info_t info;
        struct mapipkt *p;
        struct trace t;
        size_t n = 0;

        trace_read(api_trace("demo.pcap"), &t);
        check_equal(check_ok(mapi_apply_function(fd, "TO_BUFFER")), 1);
        check_fails(mapi_get_event_fd(fd), MAPI_FLOW_NOT_CONNECTED);
        check_ok(mapi_connect(fd));
        check_ok(mapi_set_nonblocking(fd, 1));
        event = mapi_get_event_fd(fd);
        if (event < 0)
                api_skip("this engine has no event descriptors");
        check_equal(mapi_get_event_fd(fd), event);
        check_null(mapi_get_next_pkt(fd, 1), 0);
        poller.fd = event;
        check_equal(poll(&poller, 1, 0), 0);
        check_ok(mapi_start_offline_device(device));
        do {
                check_equal(poll(&poller, 1, 20000), 1);
                check_ok(
                        mapi_get_flow_info(fd, &info)); /* before we look: FINISHED and nothing there is the end */
                while ((p = mapi_get_next_pkt(fd, 1)) != NULL)
                        check_packet(p, &t, n++);
                check_error(0);
        } while (info.status != FLOW_FINISHED);
        check_equal(n, t.n);
        check_ok(mapi_close_flow(fd));
        check(poll(&poller, 1, 0) == 1 && (poller.revents & POLLNVAL) != 0); /* it ended with the flow */
        check_ok(mapi_delete_offline_device(device));
        trace_free(&t);
}

static const struct api_case cases[] = {
        { "each_has_its_own", each_has_its_own, 0 },
        { "references", references, 0 },
        { "files", files, 0 },
        { "closed_under_a_reader", closed_under_a_reader, 0 },
        { "many", many, 60 },
        { "nonblocking", nonblocking, 0 },
        { "event_fd", event_fd, 0 },
};
API_MAIN(cases)
