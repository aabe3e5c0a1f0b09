/*
 * Tutorial 6.1: counts the packets to a web server, for ten seconds or to the end of a trace.
 *
 *     packet_count [DEVICE [SECONDS]]        DEVICE: an interface or a trace file; eth0
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <mapi.h>

static void fail(const char *what)
{
        char why[MAPI_ERRORSTR_LENGTH];
        int code;

        mapi_read_error(&code, why);
        fprintf(stderr, "packet_count: %s: %s (error %d)\n", what, why, code);
        exit(EXIT_FAILURE);
}

/* A trace ends, an interface does not. */
static int finished(int fd)
{
        mapi_flow_info_t info;

        return mapi_get_flow_info(fd, &info) == 0 && info.status == FLOW_FINISHED;
}

int main(int argc, char **argv)
{
        const char *device = argc > 1 ? argv[1] : "eth0";
        double seconds = argc > 2 ? atof(argv[2]) : 10, waited;
        int fd, fid;
        mapi_results_t *result;

        /* the flow: all packets of the device */
        fd = mapi_create_flow(device);
        if (fd < 0)
                fail(device);

        /* keep only the packets directed to the web server */
        if (mapi_apply_function(fd, "BPF_FILTER", "tcp and dst port 80") < 0)
                fail("BPF_FILTER");

        /* and just count them */
        fid = mapi_apply_function(fd, "PKT_COUNTER");
        if (fid < 0)
                fail("PKT_COUNTER");

        /* from here on packets are seen */
        if (mapi_connect(fd) < 0)
                fail("connect");
        for (waited = 0; waited < seconds && !finished(fd); waited += 0.05)
                usleep(50000);

        result = mapi_read_results(fd, fid);
        if (result == NULL)
                fail("PKT_COUNTER");
        printf("pkts: %llu\n", *(unsigned long long *)result->res);

        mapi_close_flow(fd);
        return EXIT_SUCCESS;
}
