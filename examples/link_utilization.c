/*
 * Tutorial 6.2: reports once a second how much traffic a host receives and sends.
 *
 *     link_utilization [DEVICE [HOST [SECONDS]]]   DEVICE: an interface or a trace file; eth0
 *                                                  HOST: 139.91.145.84   SECONDS: until interrupted
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <mapi.h>

static int in_fd, out_fd;

static void fail(const char *what)
{
        char why[MAPI_ERRORSTR_LENGTH];
        int code;

        mapi_read_error(&code, why);
        fprintf(stderr, "link_utilization: %s: %s (error %d)\n", what, why, code);
        exit(EXIT_FAILURE);
}

static void terminate(int signal_number)
{
        (void)signal_number;
        mapi_close_flow(in_fd);
        mapi_close_flow(out_fd);
        exit(EXIT_SUCCESS);
}

/* A flow of the packets that the filter lets through; its bytes are counted. */
static int count_bytes(const char *device, const char *direction, const char *host, int *fid)
{
        char filter[300];
        int fd = mapi_create_flow(device);

        if (fd < 0)
                fail(device);
        snprintf(filter, sizeof(filter), "%s host %s", direction, host);
        if (mapi_apply_function(fd, "BPF_FILTER", filter) < 0)
                fail(filter);
        *fid = mapi_apply_function(fd, "BYTE_COUNTER");
        if (*fid < 0)
                fail("BYTE_COUNTER");
        return fd;
}

static unsigned long long read_bytes(int fd, int fid)
{
        mapi_results_t *result = mapi_read_results(fd, fid);

        if (result == NULL)
                fail("BYTE_COUNTER");
        return *(unsigned long long *)result->res;
}

static void report(const char *name, unsigned long long bytes)
{
        printf("%s: %.2f Mbit/s (%llu bytes)\n", name, (double)bytes * 8 / 1e6, bytes);
}

static int finished(int fd)
{
        mapi_flow_info_t info;

        return mapi_get_flow_info(fd, &info) == 0 && info.status == FLOW_FINISHED;
}

int main(int argc, char **argv)
{
        const char *device = argc > 1 ? argv[1] : "eth0";
        const char *host = argc > 2 ? argv[2] : "139.91.145.84";
        long seconds = argc > 3 ? atol(argv[3]) : -1;
        unsigned long long in_prev = 0, out_prev = 0, in_now, out_now;
        int in_fid, out_fid, end = 0;

        in_fd = count_bytes(device, "dst", host, &in_fid);
        out_fd = count_bytes(device, "src", host, &out_fid);
        signal(SIGINT, terminate);
        signal(SIGQUIT, terminate);
        signal(SIGTERM, terminate);

        if (mapi_connect(in_fd) < 0 || mapi_connect(out_fd) < 0)
                fail("connect");

        while (seconds-- != 0 && !end) {
                int tenths;

                for (tenths = 0; tenths < 10 && !end; tenths++) {
                        end = finished(in_fd) && finished(out_fd); /* a trace: what is read now is all */
                        if (!end)
                                usleep(100000);
                }
                in_now = read_bytes(in_fd, in_fid);
                out_now = read_bytes(out_fd, out_fid);
                report("incoming", in_now - in_prev);
                report("outgoing", out_now - out_prev);
                printf("\n");
                fflush(stdout);
                in_prev = in_now;
                out_prev = out_now;
        }
        mapi_close_flow(in_fd);
        mapi_close_flow(out_fd);
        return EXIT_SUCCESS;
}
