/*
 * The fair peer of case_live's counting program: what one would write with libpcap to count packets of an interface.
 *
 *     case_capture INTERFACE FILTER BUFFER_MB
 *
 * Says "ready", and answers each line on standard input with one of numbers: counted, received by the filter, dropped. Ends
 * with its input.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <pcap/pcap.h>
#include <pthread.h>
#include <unistd.h>

#include "common.h"

static pcap_t *capture;
static unsigned long long counted;

static volatile unsigned char looked; /* so that looking is done */

static void count(u_char *user, const struct pcap_pkthdr *h, const u_char *data)
{
        (void)user;
        looked = h->caplen > 0 ? data[0] : 0;
        __atomic_store_n(&counted, counted + 1, __ATOMIC_RELAXED);
}

static void *read_packets(void *nothing)
{
        (void)nothing;
        pcap_loop(capture, -1, count, NULL);
        bench_die("pcap_loop", pcap_geterr(capture)); /* an interface has no end */
}

static void answer(void)
{
        struct pcap_stat s;

        if (pcap_stats(capture, &s) < 0)
                bench_die("pcap_stats", pcap_geterr(capture));
        printf("%llu %u %u\n", __atomic_load_n(&counted, __ATOMIC_RELAXED), s.ps_recv, s.ps_drop);
        fflush(stdout);
}

int main(int argc, char **argv)
{
        char why[PCAP_ERRBUF_SIZE], line[16];
        struct bpf_program program;
        pthread_t thread;

        if (argc != 4)
                bench_die("case_capture", "INTERFACE FILTER BUFFER_MB");
        capture = pcap_create(argv[1], why);
        if (capture == NULL)
                bench_die(argv[1], why);
        pcap_set_snaplen(capture, 65535);
        pcap_set_promisc(capture, 1);
        pcap_set_timeout(capture, 10);
        pcap_set_buffer_size(capture, atoi(argv[3]) * 1024 * 1024);
        if (pcap_activate(capture) < 0 || pcap_compile(capture, &program, argv[2], 1, PCAP_NETMASK_UNKNOWN) < 0 ||
            pcap_setfilter(capture, &program) < 0)
                bench_die(argv[1], pcap_geterr(capture));
        if (pthread_create(&thread, NULL, read_packets, NULL) != 0)
                bench_die("a thread", "cannot be made");
        puts("ready");
        fflush(stdout);
        while (fgets(line, sizeof(line), stdin) != NULL)
                answer();
        _exit(0);
}
