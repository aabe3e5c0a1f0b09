/* Offline devices: when they start, how they end, and what their flows see. SPDX-License-Identifier: BSD-2-Clause */
#include "api.h"

#include "trace.h"

#include <mapi/errors.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define PACKETS 2800

static char *make_device(void)
{
        return check_there(mapi_create_offline_device(api_trace("demo.pcap"), MFF_PCAP));
}

static int counting_flow(const char *device)
{
        int fd = check_ok(mapi_create_flow(device));

        check_equal(check_ok(mapi_apply_function(fd, "PKT_COUNTER")), 1);
        return fd;
}

static void names_differ(void)
{
        char *a = make_device(), *b = make_device(), *c;

        check(strcmp(a, b) != 0);
        check_ok(mapi_delete_offline_device(a));
        c = make_device();
        check(strcmp(b, c) != 0);
        check_ok(mapi_delete_offline_device(b));
        check_ok(mapi_delete_offline_device(c));
}

static void nothing_is_read_before_start(void)
{
        char *device = make_device();
        int fd = counting_flow(device);
        mapi_flow_info_t info;
        struct mapi_stat stats;

        check_fails(mapi_stats("no such device", &stats), MAPID_NO_DRIVER);
        check_ok(mapi_connect(fd));
        for (int i = 0; i < 1000; i++)
                check_equal(api_counter(fd, 1), 0);
        check_ok(mapi_get_flow_info(fd, &info));
        check_equal(info.status, FLOW_ACTIVE);
        check_equal(mapi_stats(device, &stats), 1);
        check_equal(stats.ps_recv, 0);
        check_ok(mapi_start_offline_device(device));
        api_finish(fd);
        check_equal(api_counter(fd, 1), PACKETS);
        check_equal(mapi_stats(device, &stats), 1);
        check_equal(stats.ps_recv, PACKETS);
        check_ok(mapi_close_flow(fd));
        check_ok(mapi_delete_offline_device(device));
}

static void started_twice(void)
{
        char *device = make_device();
        int fd = counting_flow(device), late;

        check_ok(mapi_connect(fd));
        check_ok(mapi_start_offline_device(device));
        check_ok(mapi_start_offline_device(device));
        api_finish(fd);
        check_ok(mapi_start_offline_device(device)); /* it is over and stays so */
        check_equal(api_counter(fd, 1), PACKETS);
        late = counting_flow(device);
        check_ok(mapi_connect(late)); /* has missed everything */
        api_finish(late);
        check_equal(api_counter(late, 1), 0);
        check_ok(mapi_close_flow(late));
        check_ok(mapi_close_flow(fd));
        check_ok(mapi_delete_offline_device(device));
}

static void many_flows_see_all(void)
{
        enum { FLOWS = 60 };
        char *device = make_device();
        int fd[FLOWS];

        for (int i = 0; i < FLOWS; i++) {
                fd[i] = counting_flow(device);
                check_ok(mapi_connect(fd[i]));
        }
        check_ok(mapi_start_offline_device(device));
        for (int i = 0; i < FLOWS; i++) {
                api_finish(fd[i]);
                check_equal(api_counter(fd[i], 1), PACKETS);
        }
        for (int i = 0; i < FLOWS; i++)
                check_ok(mapi_close_flow(fd[i * 7 % FLOWS]));
        check_ok(mapi_delete_offline_device(device));
}

/* ---- deleting ------------------------------------------------------------------------------------------------------------ */

static void deleted_with_flows(void)
{
        char *device = make_device(), name[MAPI_STR_LENGTH];
        int read = counting_flow(device), waiting = counting_flow(device), never = counting_flow(device);
        struct api_held before;
        mapi_flow_info_t info;

        check_ok(mapi_connect(read));
        check_ok(mapi_start_offline_device(device));
        api_finish(read);
        check_ok(mapi_connect(waiting));
        (void)strcpy(name, device);
        check_ok(mapi_delete_offline_device(device));
        check_fails(mapi_delete_offline_device(name), MAPID_NO_DEVICE);
        check_fails(mapi_start_offline_device(name), MAPID_NO_DEVICE);
        check_fails(mapi_create_flow(name), MAPID_NO_DRIVER);
        check_equal(api_counter(read, 1), PACKETS);
        check_ok(mapi_get_flow_info(read, &info));
        check_equal(info.status, FLOW_FINISHED);
        check(strcmp(info.device, name) == 0);
        api_finish(waiting);
        check_ok(mapi_connect(never)); /* it was created before */
        api_finish(never);
        check_equal(api_counter(never, 1), 0);
        check_ok(mapi_close_flow(read));
        check_ok(mapi_close_flow(waiting));
        check_ok(mapi_close_flow(never));

        /* Not one descriptor and not one thread more, whoever goes first. */
        before = api_count_held();
        for (int i = 0; i < 50; i++) {
                device = make_device();
                read = counting_flow(device);
                check_ok(mapi_connect(read));
                if (i % 3 != 0)
                        check_ok(mapi_start_offline_device(device));
                check_ok(mapi_delete_offline_device(device));
                api_finish(read);
                check(api_counter(read, 1) <= PACKETS);
                check_ok(mapi_close_flow(read));
        }
        check_held(&before, 12);
}

static void deleted_before_start(void)
{
        char *device = make_device();
        int fd = counting_flow(device);

        check_ok(mapi_connect(fd));
        check_ok(mapi_delete_offline_device(device));
        api_finish(fd);
        check_equal(api_counter(fd, 1), 0);
        check_ok(mapi_close_flow(fd));
}

/** Packets that are in the ring already can be read, then it is over. */
static void deleted_while_full(void)
{
        char *device;
        struct mapipkt *p;
        int fd, n = 0;
        uint32_t number;

        trace_make("long.pcap", 20000, 200); /* more than a ring takes */
        device = check_there(mapi_create_offline_device("long.pcap", MFF_PCAP));
        fd = check_ok(mapi_create_flow(device));
        check_ok(mapi_apply_function(fd, "TO_BUFFER"));
        check_ok(mapi_connect(fd));
        check_ok(mapi_start_offline_device(device));
        check_there(mapi_get_next_pkt(fd, 1));
        check_ok(mapi_delete_offline_device(device));
        api_finish(fd);
        while ((p = mapi_get_next_pkt(fd, 1)) != NULL) {
                n++;
                memcpy(&number, &p->pkt + 42, 4);
                check_equal(number, n);
        }
        check_error(0);
        check(n > 0);
        check(n < 19999);
        check_ok(mapi_close_flow(fd));
}

static void *read_all(void *argument)
{
        int fd = *(int *)argument;

        while (mapi_get_next_pkt(fd, 1) != NULL)
                ;
        check_error(0);
        return NULL;
}

static void deleted_while_read(void)
{
        for (int i = 0; i < 20; i++) {
                char *device = make_device();
                int fd = check_ok(mapi_create_flow(device));
                pthread_t reader;

                check_ok(mapi_apply_function(fd, "TO_BUFFER"));
                check_ok(mapi_connect(fd));
                check_equal(pthread_create(&reader, NULL, read_all, &fd), 0); /* waits, for nothing was started */
                if (i % 2 == 0)
                        check_ok(mapi_start_offline_device(device));
                check_ok(mapi_delete_offline_device(device));
                check_equal(pthread_join(reader, NULL), 0);
                check_ok(mapi_close_flow(fd));
        }
}

/* ---- strings ------------------------------------------------------------------------------------------------------------- */

static void literals(void)
{
        char *device = make_device(), copy[MAPI_STR_LENGTH];

        check_fails(mapi_delete_offline_device((char *)(uintptr_t) "a literal"), MAPID_NO_DEVICE);
        check_fails(mapi_delete_offline_device((char *)(uintptr_t) ""), MAPID_NO_DEVICE);
        check_fails(mapi_start_offline_device("a literal"), MAPID_NO_DEVICE);
        (void)strcpy(copy, device);
        check_ok(mapi_start_offline_device(copy));  /* the name counts, not the pointer */
        check_ok(mapi_delete_offline_device(copy)); /* is not freed: it is ours */
        check_fails(mapi_delete_offline_device(copy), MAPID_NO_DEVICE);
        free(device); /* nobody else did it */
}

/* ---- as many as there may be --------------------------------------------------------------------------------------------- */

static void out_of_descriptors(void)
{
        struct rlimit limit = { .rlim_cur = 100, .rlim_max = 100 };
        char *device[100] = { NULL };
        struct api_held before;
        int fd[200], n = 0, flows = 0;

        api_only_embedded("the descriptors are mapid's");
        check_ok(mapi_close_flow(check_ok(mapi_create_flow(api_trace("demo.pcap")))));
        before = api_count_held();
        check_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        while (n < 100 && (device[n] = mapi_create_offline_device(api_trace("demo.pcap"), MFF_PCAP)) != NULL)
                n++;
        check(n > 10 && n < 100);
        check(mapi_create_offline_device(api_trace("demo.pcap"), MFF_PCAP) == NULL);
        check(mapi_create_flow(api_trace("demo.pcap")) == -1);
        /* Rings need descriptors as well. */
        for (int i = 0; i < 2; i++) {
                check_ok(mapi_delete_offline_device(device[--n]));
                device[n] = NULL;
        }
        while (flows < 200) {
                fd[flows] = mapi_create_flow(device[0]);
                if (fd[flows] < 0)
                        break;
                flows++;
                if (mapi_apply_function(fd[flows - 1], "TO_BUFFER") < 0 || mapi_connect(fd[flows - 1]) < 0)
                        break;
        }
        check(flows >= 1 && flows < 100);
        check(mapi_read_error(&n, NULL) == 0 && n != 0);
        while (flows > 0)
                check_ok(mapi_close_flow(fd[--flows]));
        for (n = 0; device[n] != NULL && mapi_delete_offline_device(device[n]) == 0; n++)
                ;
        check_held(&before, 1000);
        fd[0] = counting_flow(api_trace("demo.pcap"));
        check_ok(mapi_connect(fd[0]));
        api_finish(fd[0]);
        check_equal(api_counter(fd[0], 1), PACKETS);
        check_ok(mapi_close_flow(fd[0]));
}

static const struct api_case cases[] = {
        { "names_differ", names_differ, 0 },
        { "nothing_is_read_before_start", nothing_is_read_before_start, 0 },
        { "started_twice", started_twice, 0 },
        { "many_flows_see_all", many_flows_see_all, 0 },
        { "deleted_with_flows", deleted_with_flows, 0 },
        { "deleted_before_start", deleted_before_start, 0 },
        { "deleted_while_full", deleted_while_full, 0 },
        { "deleted_while_read", deleted_while_read, 0 },
        { "literals", literals, 0 },
        { "out_of_descriptors", out_of_descriptors, 0 },
};
API_MAIN(cases)
