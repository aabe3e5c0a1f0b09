/*
 * Tutorial 6.3: prints the packets that carry the signature of the Slapper worm, for ever or to the end of a trace.
 *
 *     worm_detection [DEVICE [COUNT]]        DEVICE: an interface or a trace file; eth0   COUNT: packets to wait for
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <mapi.h>

#include "print_IP_pkt.h"

static int fd;

static void fail(const char *what)
{
        char why[MAPI_ERRORSTR_LENGTH];
        int code;

        mapi_read_error(&code, why);
        fprintf(stderr, "worm_detection: %s: %s (error %d)\n", what, why, code);
        exit(EXIT_FAILURE);
}

static void terminate(int signal_number)
{
        (void)signal_number;
        mapi_close_flow(fd);
        exit(EXIT_SUCCESS);
}

int main(int argc, char **argv)
{
        const char *device = argc > 1 ? argv[1] : "eth0";
        long count = argc > 2 ? atol(argv[2]) : -1;
        struct mapipkt *pkt = NULL;
        int fid, code;
        char why[MAPI_ERRORSTR_LENGTH];

        fd = mapi_create_flow(device);
        if (fd < 0)
                fail(device);
        signal(SIGINT, terminate);
        signal(SIGQUIT, terminate);
        signal(SIGTERM, terminate);

        /* the bpf part of the signature */
        if (mapi_apply_function(fd, "BPF_FILTER", "udp and src port 2002 and dst net 139.91.23 and dst port 80") <
            0)
                fail("BPF_FILTER");

        /* the content search part: within the first 100 bytes of the packet */
        if (mapi_apply_function(fd, "STR_SEARCH", "|00 00|E|00 00|E|00 00|@|00|", 0, 100) < 0)
                fail("STR_SEARCH");

        /* we want the packets themselves */
        fid = mapi_apply_function(fd, "TO_BUFFER");
        if (fid < 0)
                fail("TO_BUFFER");
        if (mapi_connect(fd) < 0)
                fail("connect");

        while (count-- != 0 && (pkt = mapi_get_next_pkt(fd, fid)) != NULL) {
                printf("\nSlapper worm packet!\n");
                print_IP_pkt(pkt);
                fflush(stdout);
        }

        /* no packet and no error: the trace is over */
        if (pkt == NULL && mapi_read_error(&code, why) == 0 && code != 0) {
                fprintf(stderr, "worm_detection: %s (error %d)\n", why, code);
                mapi_close_flow(fd);
                return EXIT_FAILURE;
        }
        mapi_close_flow(fd);
        return EXIT_SUCCESS;
}
