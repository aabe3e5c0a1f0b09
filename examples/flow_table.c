/*
 * What mapid does at this moment: its devices in use and everybody's flows, and where every packet went.
 *
 *     flow_table
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mapi.h>

static void fail(const char *what)
{
        char why[MAPI_ERRORSTR_LENGTH];
        int code;

        mapi_read_error(&code, why);
        fprintf(stderr, "flow_table: %s: %s (error %d)\n", what, why, code);
        exit(EXIT_FAILURE);
}

static unsigned long long dropped(const struct mapi_stat64 *s)
{
        return s->dropped_interface + s->dropped_kernel + s->dropped_ring + s->dropped_file;
}

/* The functions of a flow, in their order. */
static void print_functions(int fd)
{
        mapi_function_info_t function;
        int fid = 0;

        while (mapi_get_next_function_info(fd, fid, &function) == 0) {
                printf("%s%s", fid == 0 ? "" : " > ", function.name);
                fid = function.fid;
        }
        printf("\n");
}

static void print_account(const char *name, const struct mapi_stat64 *s)
{
        printf("%-14s %12llu %12llu %12llu %9llu", name, s->seen, s->delivered, s->filtered, dropped(s));
}

int main(void)
{
        mapi_device_info_t device;
        struct mapi_stat64 stats;
        mapi_flow_info_t flow;
        int id = -1, fd = 0;

        printf("%-14s %12s %12s %12s %9s\n", "device", "seen", "delivered", "filtered", "dropped");
        if (mapi_get_next_device_info(id, &device) < 0)
                fail("devices");
        do {
                id = device.id;
                if (mapi_stats64(device.device, &stats) < 0) /* not in use */
                        continue;
                print_account(device.device, &stats);
                printf("%s\n", stats.down ? "  down" : "");
        } while (mapi_get_next_device_info(id, &device) == 0);

        printf("\n%-14s %12s %12s %12s %9s  %s\n", "flow", "seen", "delivered", "filtered", "dropped",
               "functions");
        while (mapi_get_next_flow_info(fd, &flow) == 0) {
                char name[32];

                fd = flow.fd;
                if (mapi_flow_stats64(fd, &stats) < 0) /* not connected yet, or closed meanwhile */
                        continue;
                snprintf(name, sizeof(name), "%d on %.16s", fd, flow.device);
                print_account(name, &stats);
                printf("  ");
                print_functions(fd);
        }
        return EXIT_SUCCESS;
}
