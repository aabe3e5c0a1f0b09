/*
 * A program with libmapi that does what it is told: one line on standard input is one call, fields separated by tabs; one line
 * on standard output is its answer, "ok" and values, or "error", code and sentence. Tests in Python make it do things.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <mapi.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WORDS = 16 };

static void answer_error(void)
{
        char text[MAPI_ERRORSTR_LENGTH];
        int code = 0;

        (void)mapi_read_error(&code, text);
        (void)printf("error\t%d\t%s\n", code, text);
}

static void answer_number(int r)
{
        if (r < 0)
                answer_error();
        else
                (void)printf("ok\t%d\n", r);
}

static void answer_stats(int r, const struct mapi_stat64 *s)
{
        if (r < 0)
                answer_error();
        else
                (void)printf("ok\t%llu\t%llu\t%llu\t%llu\t%llu\t%llu\t%llu\t%d\n", s->seen, s->delivered,
                             s->filtered, s->dropped_interface, s->dropped_kernel, s->dropped_ring,
                             s->dropped_file, s->down);
}

static void read_result(int fd, int fid)
{
        const mapi_results_t *r = mapi_read_results(fd, fid);

        if (r == NULL)
                answer_error();
        else if (r->size == 4)
                (void)printf("ok\t%d\n", *(const int *)r->res);
        else
                (void)printf("ok\t%llu\n", *(const unsigned long long *)r->res);
}

static void take_packets(int fd, int fid, unsigned long most)
{
        unsigned long long packets = 0, bytes = 0, ts = 0;
        const struct mapipkt *p;
        char text[MAPI_ERRORSTR_LENGTH];
        int code = 0;

        (void)mapi_read_error(&code, text);
        while ((most == 0 || packets < most) && (p = mapi_get_next_pkt(fd, fid)) != NULL) {
                packets++;
                bytes += p->caplen;
                if (p->ts < ts) {
                        (void)printf("error\t-1\ttime goes back\n");
                        return;
                }
                ts = p->ts;
        }
        (void)mapi_read_error(&code, text);
        if (code != 0)
                (void)printf("error\t%d\t%s\n", code, text);
        else
                (void)printf("ok\t%llu\t%llu\n", packets, bytes);
}

/** How many flows there are that are connected, of all programs. */
static void count_active(void)
{
        mapi_flow_info_t info = { .fd = 0 };
        int active = 0;

        for (int fd = 0; mapi_get_next_flow_info(fd, &info) == 0; fd = info.fd)
                active += info.status == FLOW_ACTIVE;
        (void)printf("ok\t%d\n", active);
}

/** A child that has all our descriptors and of which libmapi knows nothing. It ends by a signal only. */
static void fork_holder(void)
{
        long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

        if (pid == 0)
                for (;;)
                        (void)pause();
        (void)printf("ok\t%ld\n", pid);
}

/** Creates flows for ever, n at a time; a byte on standard output for each call that has returned, 'x' for one that failed. */
static void storm(const char *device, int n, const char *folder)
{
        static int fd[1024];
        int file = 0;

        for (;;) {
                for (int i = 0; i < n; i++) {
                        char path[512];
                        int fid = 0;

                        fd[i] = mapi_create_flow(device);
                        (void)putchar(fd[i] > 0 ? 'c' : 'x');
                        if (i % 5 == 1)
                                fid = mapi_apply_function(fd[i], "BPF_FILTER", "udp");
                        if (i % 10 == 3) {
                                (void)snprintf(path, sizeof path, "%s/%d-%d.pcap", folder, (int)getpid(), file++);
                                fid = mapi_apply_function(fd[i], "TO_FILE", MFF_PCAP, path, 0ull);
                        } else if (i % 10 == 4) {
                                fid = mapi_apply_function(fd[i], "TO_BUFFER", NOWAIT);
                        } else {
                                fid = mapi_apply_function(fd[i], "PKT_COUNTER");
                        }
                        (void)putchar(fid > 0 ? 'a' : 'x');
                        (void)putchar(mapi_connect(fd[i]) == 0 ? 'n' : 'x');
                        (void)fflush(stdout);
                }
                for (int i = 0; i < n; i++) {
                        (void)putchar(mapi_close_flow(fd[i]) == 0 ? 'd' : 'x');
                        (void)fflush(stdout);
                }
        }
}

static void serve(char *line)
{
        char *word[WORDS + 1] = { NULL };
        struct mapi_stat64 stats;
        struct mapi_stat old;
        unsigned n = 0;
        int a, b;

        for (char *rest = line; n < WORDS && (word[n] = strsep(&rest, "\t")) != NULL;)
                n++;
        a = n > 1 ? atoi(word[1]) : 0;
        b = n > 2 ? atoi(word[2]) : 0;
        if (strcmp(word[0], "flow") == 0) {
                answer_number(mapi_create_flow(word[1]));
        } else if (strcmp(word[0], "apply") == 0) {
                answer_number(mapi_apply_function_array(a, word[2], &word[3], n - 3));
        } else if (strcmp(word[0], "connect") == 0) {
                answer_number(mapi_connect(a));
        } else if (strcmp(word[0], "read") == 0) {
                read_result(a, b);
        } else if (strcmp(word[0], "stats") == 0) {
                a = mapi_flow_stats64(a, &stats);
                answer_stats(a, &stats);
        } else if (strcmp(word[0], "device") == 0) {
                a = mapi_stats64(word[1], &stats);
                answer_stats(a, &stats);
        } else if (strcmp(word[0], "oldstats") == 0) {
                a = mapi_stats(word[1], &old);
                if (a < 0)
                        answer_error();
                else
                        (void)printf("ok\t%u\t%u\t%u\n", old.ps_recv, old.ps_drop, old.ps_ifdrop);
        } else if (strcmp(word[0], "take") == 0) {
                take_packets(a, b, n > 3 ? strtoul(word[3], NULL, 10) : 0);
        } else if (strcmp(word[0], "close") == 0) {
                answer_number(mapi_close_flow(a));
        } else if (strcmp(word[0], "active") == 0) {
                count_active();
        } else if (strcmp(word[0], "fork") == 0) {
                fork_holder();
        } else if (strcmp(word[0], "storm") == 0) {
                storm(word[1], b, word[3]);
        } else {
                (void)printf("error\t-1\tunknown call %s\n", word[0]);
        }
        (void)fflush(stdout);
}

int main(void)
{
        size_t size = 0;
        char *line = NULL;
        ssize_t n;

        while ((n = getline(&line, &size, stdin)) > 0) {
                line[n - 1] = '\0';
                serve(line);
        }
        free(line);
        return 0;
}
