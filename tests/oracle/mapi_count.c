/*
 * What the oracle says, said by libmapi: packets, wire bytes and captured bytes that each filter of a list lets
 * through.
 *
 *     mapi_count [-1] TRACE FILTERS      -1: the trace is read anew for each filter; otherwise once for all
 *
 * Prints what oracle prints; captured bytes are 0, no function of MAPI counts them.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mapi.h>

#define FILTERS_MAX 256

struct filter {
        char *text;
        int fd, packets_fid, bytes_fid;
        int code; /* why it was refused, or 0 */
        char refused[MAPI_ERRORSTR_LENGTH];
};

static struct filter filters[FILTERS_MAX];
static int filter_count;

static void fail(const char *what)
{
        char why[MAPI_ERRORSTR_LENGTH] = "";
        int code = 0;

        mapi_read_error(&code, why);
        fprintf(stderr, "mapi_count: %s: %d %s\n", what, code, why);
        exit(2);
}

static void read_filters(const char *path)
{
        FILE *file = fopen(path, "r");
        char line[4096];

        if (file == NULL)
                fail("no list of filters");
        while (fgets(line, sizeof(line), file) != NULL) {
                line[strcspn(line, "\n")] = 0;
                if (filter_count == FILTERS_MAX)
                        fail("too many filters");
                filters[filter_count++].text = strdup(line);
        }
        fclose(file);
}

/* Puts filter and counters on a new flow and connects it. A filter that is refused leaves no flow. */
static void prepare(struct filter *f, int fd)
{
        if (fd < 0)
                fail("flow");
        if (f->text[0] != 0 && mapi_apply_function(fd, "BPF_FILTER", f->text) < 0) {
                if (mapi_read_error(&f->code, f->refused) < 0 || f->code == 0)
                        fail("a filter refused without an error");
                if (mapi_close_flow(fd) < 0)
                        fail("close");
                return;
        }
        f->fd = fd;
        f->packets_fid = mapi_apply_function(fd, "PKT_COUNTER");
        f->bytes_fid = mapi_apply_function(fd, "BYTE_COUNTER");
        if (f->packets_fid < 0 || f->bytes_fid < 0)
                fail("counters");
        if (mapi_connect(fd) < 0)
                fail("connect");
}

static void wait_for_end(int fd)
{
        mapi_flow_info_t info;

        do {
                if (mapi_get_flow_info(fd, &info) < 0)
                        fail("flow info");
                usleep(200);
        } while (info.status != FLOW_FINISHED);
}

static unsigned long long read_counter(int fd, int fid)
{
        mapi_results_t *result = mapi_read_results(fd, fid);

        if (result == NULL || result->size != sizeof(unsigned long long))
                fail("result");
        return *(unsigned long long *)result->res;
}

static void report(struct filter *f)
{
        if (f->code != 0) {
                printf("refused %d %s\n", f->code, f->refused);
                return;
        }
        printf("%llu %llu 0\n", read_counter(f->fd, f->packets_fid), read_counter(f->fd, f->bytes_fid));
        if (mapi_close_flow(f->fd) < 0)
                fail("close");
}

static void all_at_once(const char *trace)
{
        char *device = mapi_create_offline_device(trace, MFF_PCAP);
        int i;

        if (device == NULL)
                fail("device");
        for (i = 0; i < filter_count; i++)
                prepare(&filters[i], mapi_create_flow(device));
        if (mapi_start_offline_device(device) < 0)
                fail("start");
        for (i = 0; i < filter_count; i++)
                if (filters[i].code == 0)
                        wait_for_end(filters[i].fd);
        for (i = 0; i < filter_count; i++)
                report(&filters[i]);
        if (mapi_delete_offline_device(device) < 0)
                fail("delete");
}

static void one_by_one(const char *trace)
{
        int i;

        for (i = 0; i < filter_count; i++) {
                prepare(&filters[i], mapi_create_offline_flow(trace, MFF_PCAP));
                if (filters[i].code == 0)
                        wait_for_end(filters[i].fd);
                report(&filters[i]);
        }
}

int main(int argc, char **argv)
{
        int alone = argc == 4 && strcmp(argv[1], "-1") == 0;

        if (argc != 3 && !alone)
                fail("usage: mapi_count [-1] TRACE FILTERS");
        read_filters(argv[argc - 1]);
        if (alone)
                one_by_one(argv[2]);
        else
                all_at_once(argv[1]);
        printf("end\n");
        return 0;
}
