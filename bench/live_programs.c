/* The programs that the live benchmark runs, and how they are asked what they have counted. SPDX-License-Identifier: BSD-2-Clause */
#include "live.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"

#define WORDS_MAX 16

static const char *programs_are_in = ".";

void programs_folder(const char *folder)
{
        programs_are_in = folder;
}

pid_t programs_spawn(const char *const *words, enum world_cpus cpus, int *ret_to, FILE **ret_from)
{
        bool ours = strcmp(words[0], "tcpdump") != 0;
        int in[2] = { -1, -1 }, out[2];
        const char *argv[WORDS_MAX] = { NULL };
        char program[4096];
        pid_t pid;

        for (int i = 0; i < WORDS_MAX - 1 && words[i] != NULL; i++)
                argv[i] = words[i];
        if (pipe2(out, O_CLOEXEC) < 0 || (ret_to != NULL && pipe2(in, O_CLOEXEC) < 0) || (pid = fork()) < 0)
                bench_die("a process", "cannot be started");
        if (pid == 0) {
                dup2(ret_to != NULL ? in[0] : open("/dev/null", O_RDONLY), STDIN_FILENO);
                dup2(out[1], ours ? STDOUT_FILENO : STDERR_FILENO); /* tcpdump speaks there */
                world_pin(cpus);
                snprintf(program, sizeof(program), "%s/%s", programs_are_in, argv[0]);
                if (ours)
                        execv(program, (char *const *)argv);
                else
                        execvp(argv[0], (char *const *)argv);
                _exit(127);
        }
        close(out[1]);
        if (ret_to != NULL) {
                close(in[0]);
                *ret_to = in[1];
        }
        *ret_from = fdopen(out[0], "r");
        return pid;
}

int programs_wait(pid_t pid)
{
        int status = -1;

        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
        return status;
}

/* ---- the sender ------------------------------------------------------------------------------------------------------- */

static bool without_xdp;

pid_t programs_send(double rate, uint64_t packets, unsigned ports, FILE **ret_from)
{
        char rate_text[24], packets_text[24], ports_text[12];
        const char *const words[] = { "sender",    "--rate", rate_text,       "--ports",    ports_text,
                                      "--seconds", "30",     LIVE_SENDER_END, packets_text, NULL };
        const char *const by_socket[] = { "sender",        "--socket",   "--rate",    rate_text,
                                          "--ports",       ports_text,   "--seconds", "30",
                                          LIVE_SENDER_END, packets_text, NULL };

        snprintf(rate_text, sizeof(rate_text), "%.0f", rate);
        snprintf(packets_text, sizeof(packets_text), "%" PRIu64, packets);
        snprintf(ports_text, sizeof(ports_text), "%u", ports);
        return programs_spawn(without_xdp ? by_socket : words, WORLD_SENDER, NULL, ret_from);
}

void programs_choose_sender(void)
{
        for (int i = 0; i < 2; i++) {
                struct world_wire before, after;
                FILE *from;
                pid_t pid;

                without_xdp = i == 1;
                world_wire(&before);
                pid = programs_send(0, 1000, 1, &from);
                if (programs_wait(pid) == 0) {
                        world_wire(&after);
                        if (after.arrived - before.arrived == 1000) {
                                fclose(from);
                                return;
                        }
                }
                fclose(from);
        }
        fputs("bench/live: skipped: packets that are sent into a veth pair do not arrive here\n", stderr);
        exit(77);
}

/* ---- those that count --------------------------------------------------------------------------------------------------- */

/* Reads lines until one has the word. */
static void expect(const struct program *p, const char *word, char *line, size_t bytes)
{
        do {
                if (fgets(line, (int)bytes, p->from) == NULL)
                        bench_die(p->kind == KIND_TCPDUMP ? "tcpdump" : "a program", "ended or said nothing");
        } while (strstr(line, word) == NULL);
}

void programs_start(struct program *p, enum kind kind, const char *filter)
{
        static char megabytes[12], kilobytes[12];
        const char *const count[] = { "case_live", "count", LIVE_DEVICE, filter, NULL };
        const char *const buffer[] = { "case_live", "buffer", LIVE_DEVICE, filter, NULL };
        const char *const capture[] = { "case_capture", LIVE_DEVICE, filter, megabytes, NULL };
        const char *const dump[] = { "tcpdump", "-n",   "-i", LIVE_DEVICE, "-B",   kilobytes,
                                     "-Z",      "root", "-w", "/dev/null", filter, NULL };
        const char *const *words[] = { NULL, count, buffer, capture, dump };
        char line[300];

        snprintf(megabytes, sizeof(megabytes), "%d", LIVE_BUFFER_MB);
        snprintf(kilobytes, sizeof(kilobytes), "%d", LIVE_BUFFER_MB * 1024);
        p->kind = kind;
        p->to = -1;
        p->pid = programs_spawn(words[kind], WORLD_MEASURED, kind == KIND_TCPDUMP ? NULL : &p->to, &p->from);
        expect(p, kind == KIND_TCPDUMP ? "listening" : "ready", line, sizeof(line));
}

/* All numbers in a line, at most 8; tcpdump puts words between them. */
static unsigned numbers(const char *line, unsigned long long *ret)
{
        unsigned n = 0;

        while (n < 8 && *(line += strcspn(line, "0123456789")) != '\0') {
                char *end;

                ret[n++] = strtoull(line, &end, 10);
                line = end;
        }
        return n;
}

void programs_ask(const struct program *p, struct counts *ret)
{
        unsigned long long v[8] = { 0 };
        char line[300];
        unsigned n;

        if (p->kind == KIND_TCPDUMP)
                kill(p->pid, SIGUSR1);
        else if (write(p->to, "\n", 1) != 1)
                bench_die("a program", "takes no question");
        expect(p, p->kind == KIND_TCPDUMP ? "captured" : " ", line, sizeof(line));
        n = numbers(line, v);
        *ret = (struct counts){ .counted = v[0], .seen = v[1] };
        if (p->kind == KIND_COUNT || p->kind == KIND_BUFFER) {
                ret->delivered = v[2];
                ret->filtered = v[3];
                ret->dropped = v[4];
                ret->device_seen = v[5];
                ret->device_delivered = v[6];
                ret->device_dropped = v[7];
        } else {
                ret->dropped = v[2];
        }
        if (n != (p->kind == KIND_COUNT || p->kind == KIND_BUFFER ? 8 : 3))
                bench_die("not understood", line);
}

void programs_stop(struct program *p)
{
        int status;

        if (p->to >= 0)
                close(p->to);
        else
                kill(p->pid, SIGTERM);
        status = programs_wait(p->pid);
        fclose(p->from);
        if (status != 0 && p->kind != KIND_TCPDUMP) {
                printf("WRONG: a program ended with wait status %#x\n", (unsigned)status);
                live_wrong++;
        }
}
