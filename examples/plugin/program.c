/* Applies the functions of the example library to a trace: program TRACE. SPDX-License-Identifier: BSD-2-Clause */
#include "example.h"

#include <mapi.h>

#include <stdio.h>
#include <stdlib.h>

/** Ends the program with MAPI's sentence if r is an error. */
static int must(int r)
{
        char text[MAPI_ERRORSTR_LENGTH];
        int code = 0;

        if (r >= 0)
                return r;
        (void)mapi_read_error(&code, text);
        (void)printf("error %d: %s\n", code, text);
        exit(1);
}

static const void *result(int fd, int fid)
{
        const mapi_results_t *r = mapi_read_results(fd, fid);

        if (r == NULL)
                (void)must(-1);
        return r->res;
}

/** Until the trace is over. */
static void finish(int fd)
{
        mapi_flow_info_t info;

        do
                (void)must(mapi_get_flow_info(fd, &info));
        while (info.status != FLOW_FINISHED);
}

static void count(const char *trace)
{
        int fd = must(mapi_create_flow(trace)), large, small, dscp;
        const struct example_peak *p;
        int peak;

        large = must(mapi_apply_function(fd, "example:SIZE_COUNTER"));
        peak = must(mapi_apply_function(fd, "PEAK", "1s"));
        (void)must(mapi_apply_function(fd, "DSCP", 0));
        dscp = must(mapi_apply_function(fd, "PKT_COUNTER"));
        small = must(mapi_apply_function(fd, "SIZE_COUNTER!1", 0));
        (void)must(mapi_connect(fd));
        finish(fd);
        (void)printf("SIZE_COUNTER: %llu packets of 1514 bytes and more\n",
                     *(const unsigned long long *)result(fd, large));
        p = result(fd, peak);
        (void)printf("PEAK: %llu periods, %llu packets in the busiest\n", p->periods, p->packets);
        (void)printf("DSCP 0: %llu packets, ", *(const unsigned long long *)result(fd, dscp));
        (void)printf("%llu of any size\n", *(const unsigned long long *)result(fd, small));
        (void)mapi_close_flow(fd);
}

static void cut(const char *trace)
{
        int fd = must(mapi_create_flow(trace)), buffer;
        unsigned packets = 0, most = 0;
        const struct mapipkt *p;

        (void)must(mapi_apply_function(fd, "CUT", 40));
        buffer = must(mapi_apply_function(fd, "TO_BUFFER"));
        (void)must(mapi_connect(fd));
        while ((p = mapi_get_next_pkt(fd, buffer)) != NULL) {
                packets++;
                most = p->caplen > most ? p->caplen : most;
        }
        (void)printf("CUT: %u packets of at most %u bytes\n", packets, most);
        (void)mapi_close_flow(fd);
}

static void sight(const char *trace)
{
        int fd = must(mapi_create_flow(trace)), fid;
        const mapi_results_t *r;
        unsigned n = 0, last = 0;

        fid = must(mapi_apply_function(fd, "SIGHTING", 1000));
        (void)must(mapi_connect(fd));
        while ((r = mapi_read_results(fd, fid)) != NULL) { /* waits for the next one */
                const struct example_sighting *s = r->res;

                n++;
                last = s->number;
        }
        (void)printf("SIGHTING: %u packets, the last is number %u\n", n, last);
        (void)mapi_close_flow(fd);
}

int main(int argc, char **argv)
{
        if (argc != 2) {
                (void)fprintf(stderr, "usage: program TRACE\n");
                return 2;
        }
        count(argv[1]);
        cut(argv[1]);
        sight(argv[1]);
        return 0;
}
