/*
 * Runs the benchmark's cases in turn, several rounds of all of them, and prints one table of medians.
 *
 *     measure CASES_FOLDER TRACE ROUNDS [JSON_FILE]
 *
 * Every run is a process of its own, so that its peak memory is its own, too. A case reports the time of its reading;
 * the time of the whole process is taken here.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <fcntl.h>
#include <math.h>
#include <pcap/pcap.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"

#define ROUNDS_MAX 99

enum group { ONE_FLOW, PACKETS, MANY_FLOWS, RESULTS };

/** One row of the table. %T stands for the trace. */
struct bench_case {
        enum group group;
        const char *label;
        const char *argv[6];
        const char *peer; /* label of the row to compare with: of the same group */
        int counts;       /* its packets and bytes must be those of its peer */
        unsigned flows;
        double reading_s[ROUNDS_MAX], process_s[ROUNDS_MAX];
        unsigned runs;
        unsigned long long packets, bytes;
        long peak_kib;
        int failed;
};

#define PCAP_CASE(...)                                                                                            \
        {                                                                                                         \
                "case_pcap", __VA_ARGS__, NULL                                                                    \
        }
#define MAPI_CASE(...)                                                                                            \
        {                                                                                                         \
                "case_mapi", __VA_ARGS__, NULL                                                                    \
        }
#define FLOWS(n)                                                                                                  \
        { .group = MANY_FLOWS,                                                                                    \
          .label = "libpcap loop, " #n " x bpf_filter",                                                           \
          .argv = PCAP_CASE("loop", "%T", #n),                                                                    \
          .flows = n },                                                                                           \
        {                                                                                                         \
                .group = MANY_FLOWS, .label = "MAPI, flows: " #n, .argv = MAPI_CASE("flows", "%T", #n),           \
                .peer = "libpcap loop, " #n " x bpf_filter", .counts = 1, .flows = n                              \
        }

static struct bench_case cases[] = {
        { .group = ONE_FLOW,
          .label = "1 MB reads, header walk (the limit)",
          .argv = PCAP_CASE("limit", "%T"),
          .peer = "libpcap loop" },
        { .group = ONE_FLOW,
          .label = "the same with bpf_filter",
          .argv = PCAP_CASE("limit_filter", "%T"),
          .peer = "libpcap loop",
          .counts = 1 },
        { .group = ONE_FLOW, .label = "libpcap loop", .argv = PCAP_CASE("loop", "%T", "1") },
        { .group = ONE_FLOW,
          .label = "tcpdump --count",
          .argv = { "tcpdump", "-n", "--count", "-r", "%T", BENCH_FILTER },
          .peer = "libpcap loop" },
        { .group = ONE_FLOW,
          .label = "MAPI, one flow",
          .argv = MAPI_CASE("flows", "%T", "1"),
          .peer = "libpcap loop",
          .counts = 1 },
        { .group = PACKETS, .label = "pcap_next_ex", .argv = PCAP_CASE("next", "%T") },
        { .group = PACKETS,
          .label = "MAPI, TO_BUFFER",
          .argv = MAPI_CASE("packets", "%T"),
          .peer = "pcap_next_ex",
          .counts = 1 },
        FLOWS(1),
        FLOWS(16),
        FLOWS(64),
        FLOWS(256),
        { .group = RESULTS, .label = "mapi_read_results", .argv = MAPI_CASE("results", "%T") },
};
#define CASES (sizeof(cases) / sizeof(cases[0]))

static const char *const titles[] = {
        "(a) one flow: filter \"" BENCH_FILTER "\", packet and byte counter",
        "(b) every packet to the program",
        "(c) flows with different filters, packet and byte counter each, in one reading",
        "(d) reading a result",
};

static const char *folder, *trace;
static int differences; /* and failures of ours */

/* ---- running ------------------------------------------------------------------------------------------------------- */

static void exec_case(const char *const *words, int out)
{
        const char *argv[8] = { NULL };
        char program[4096];
        int i, null = open("/dev/null", O_WRONLY);

        for (i = 0; i < 6 && words[i] != NULL; i++)
                argv[i] = strcmp(words[i], "%T") == 0 ? trace : words[i];
        dup2(out, STDOUT_FILENO);
        if (strcmp(words[0], "tcpdump") == 0) /* it tells what it reads; ours speak when they fail */
                dup2(null, STDERR_FILENO);
        snprintf(program, sizeof(program), "%s/%s", folder, argv[0]);
        execv(program, (char *const *)argv);
        execvp(argv[0], (char *const *)argv); /* tcpdump */
        _exit(127);
}

/* Runs a program and reads its line. Returns its wait status, or -1 if it said nothing that we understand. */
static int run(const char *const *words, double *ret_reading_s, double *ret_process_s,
               unsigned long long *ret_packets, unsigned long long *ret_bytes, long *ret_peak_kib)
{
        char line[200] = "";
        struct rusage usage;
        double start = bench_now_s();
        int ends[2], status, words_read;
        size_t have = 0;
        ssize_t n;
        pid_t pid;

        if (pipe(ends) < 0 || (pid = fork()) < 0)
                bench_die("a process", "cannot be started");
        if (pid == 0)
                exec_case(words, ends[1]);
        close(ends[1]);
        while (have < sizeof(line) - 1 && (n = read(ends[0], line + have, sizeof(line) - 1 - have)) > 0)
                have += (size_t)n;
        close(ends[0]);
        if (wait4(pid, &status, 0, &usage) < 0)
                bench_die("a process", "is lost");
        *ret_process_s = bench_now_s() - start;
        *ret_peak_kib = usage.ru_maxrss;
        words_read = sscanf(line, "%lf %llu %llu", ret_reading_s, ret_packets, ret_bytes);
        if (words_read != 3) { /* tcpdump: "123 packets" */
                *ret_reading_s = NAN;
                *ret_bytes = 0;
                if (sscanf(line, "%llu packet", ret_packets) != 1)
                        return -1;
        }
        return status;
}

static void run_case(struct bench_case *c)
{
        unsigned long long packets, bytes;
        long peak_kib;
        int status;

        if (c->failed)
                return;
        status = run(c->argv, &c->reading_s[c->runs], &c->process_s[c->runs], &packets, &bytes, &peak_kib);
        if (status != 0) {
                c->failed = 1;
                return;
        }
        if (c->runs++ > 0 && (packets != c->packets || bytes != c->bytes)) {
                printf("DIFFERENT from run to run: %s\n", c->label);
                differences++;
        }
        c->packets = packets;
        c->bytes = bytes;
        c->peak_kib = peak_kib > c->peak_kib ? peak_kib : c->peak_kib;
}

/* The wait status of a silent run: 0, or killed by SIGSYS. */
static int run_silent(const char *name, const char *argument)
{
        const char *words[6] = { "case_mapi", name, argument, NULL };
        unsigned long long packets, bytes;
        double reading_s, process_s;
        long peak_kib;

        return run(words, &reading_s, &process_s, &packets, &bytes, &peak_kib);
}

/* ---- the table ----------------------------------------------------------------------------------------------------- */

static const struct bench_case *find(enum group group, const char *label)
{
        size_t i;

        for (i = 0; label != NULL && i < CASES; i++)
                if (cases[i].group == group && strcmp(cases[i].label, label) == 0 && !cases[i].failed)
                        return &cases[i];
        return NULL;
}

static double reading(const struct bench_case *c)
{
        return bench_median(c->reading_s, c->runs);
}

static double process(const struct bench_case *c)
{
        return bench_median(c->process_s, c->runs);
}

/* How many times as fast as the peer. A case that does not say how long it read is compared as a whole process. */
static double ratio(const struct bench_case *c, const struct bench_case *peer)
{
        return isnan(reading(c)) ? process(peer) / process(c) : reading(peer) / reading(c);
}

static void check_counts(const struct bench_case *c, const struct bench_case *peer)
{
        if (!c->counts || peer == NULL || (c->packets == peer->packets && c->bytes == peer->bytes))
                return;
        printf("DIFFERENT COUNTS: %s: %llu packets, %llu bytes; %s: %llu packets, %llu bytes\n", c->label,
               c->packets, c->bytes, peer->label, peer->packets, peer->bytes);
        differences++;
}

static void print_case(const struct bench_case *c, unsigned long long packets)
{
        const struct bench_case *peer = find(c->group, c->peer);

        if (c->failed) {
                printf("  %-38s cannot be measured here\n", c->label);
                differences += strcmp(c->argv[0], "case_mapi") == 0;
                return;
        }
        printf("  %-38s", c->label);
        if (isnan(reading(c)))
                printf(" %9s %9s %9s", "-", "-", "-");
        else
                printf(" %9.3f %9.2f %9.1f", reading(c), (double)packets / reading(c) / 1e6,
                       reading(c) / (double)packets * 1e9);
        printf(" %9.3f", process(c));
        if (peer != NULL)
                printf(" %7.2f x", ratio(c, peer));
        else
                printf(" %9s", c->group == RESULTS ? "" : "1");
        printf(" %9.1f", (double)c->peak_kib / 1024);
        if (c->group == PACKETS)
                printf("  %llu arrived", c->packets);
        printf("\n");
        check_counts(c, peer);
}

static void print_results(const struct bench_case *c)
{
        int clock_silent = run_silent("silent_clock", NULL) == 0;
        int trap_works = WTERMSIG(run_silent("silent_control", NULL)) == SIGSYS;
        int status = run_silent("silent", trace);

        if (c->failed)
                printf("  mapi_read_results cannot be measured here\n");
        else
                printf("  %-38s %.1f ns each, median of %u x %llu reads\n", c->label,
                       reading(c) / (double)c->packets * 1e9, c->runs, c->packets);
        printf("  %-38s ", "system calls in a million reads");
        if (!trap_works)
                printf("unknown: this machine does not let seccomp forbid them\n");
        else if (status == 0)
                printf("none (seccomp kills the process at the first one)\n");
        else if (!clock_silent)
                printf("yes: the clock of this machine needs one\n");
        else
                printf("YES, or it failed: wait status %#x\n", (unsigned)status);
        if (trap_works && clock_silent && status != 0)
                differences++;
}

static void print_head(unsigned rounds, unsigned long long packets)
{
        char line[300], *model = NULL;
        struct utsname kernel;
        struct stat st;
        FILE *file = fopen("/proc/cpuinfo", "r");

        while (file != NULL && fgets(line, sizeof(line), file) != NULL)
                if (strncmp(line, "model name", 10) == 0 && (model = strchr(line, ':')) != NULL)
                        break;
        if (file != NULL)
                fclose(file);
        if (model != NULL)
                model[strcspn(model, "\n")] = 0;
        uname(&kernel);
        printf("machine:  %s, %ld processors, %s %s %s\n", model != NULL ? model + 2 : "?",
               sysconf(_SC_NPROCESSORS_ONLN), kernel.sysname, kernel.release, kernel.machine);
        printf("compiler: %s %s; %s\n",
#ifdef __clang__
               "clang",
#else
               "gcc",
#endif
               __VERSION__, pcap_lib_version());
        if (stat(trace, &st) == 0)
                printf("trace:    %llu packets, %.0f MB, in the page cache\n", packets, (double)st.st_size / 1e6);
        printf("medians of %u rounds, all cases in turn in each; each run is a process. reading: from the opened "
               "trace to\n"
               "its end. process: from its start to its end. ratio: of the reading times (tcpdump: of the "
               "processes)\n",
               rounds);
}

/* ---- the same for programs -------------------------------------------------------------------------------------------- */

static void write_values(FILE *file, const char *name, const double *values, unsigned n)
{
        unsigned i;

        fprintf(file, ", \"%s\": [", name);
        for (i = 0; i < n; i++)
                if (isnan(values[i]))
                        fprintf(file, "%snull", i == 0 ? "" : ", ");
                else
                        fprintf(file, "%s%.9f", i == 0 ? "" : ", ", values[i]);
        fprintf(file, "]");
}

static int write_json(const char *path, unsigned rounds, unsigned long long packets)
{
        static const char *const groups[] = { "one_flow", "packets", "many_flows", "results" };
        FILE *file = fopen(path, "w");
        size_t i;

        if (file == NULL)
                return -1;
        fprintf(file, "{\"packets\": %llu, \"rounds\": %u, \"cases\": [", packets, rounds);
        for (i = 0; i < CASES; i++) {
                const struct bench_case *c = &cases[i], *peer = find(c->group, c->peer);

                fprintf(file, "%s\n  {\"group\": \"%s\", \"name\": \"%s\", \"flows\": %u, \"failed\": %s",
                        i == 0 ? "" : ",", groups[c->group], c->label, c->flows, c->failed ? "true" : "false");
                write_values(file, "reading_s", c->reading_s, c->runs);
                write_values(file, "process_s", c->process_s, c->runs);
                if (!c->failed && peer != NULL)
                        fprintf(file, ", \"ratio\": %.4f", ratio(c, peer));
                fprintf(file, ", \"counted_packets\": %llu, \"counted_bytes\": %llu, \"peak_kib\": %ld}",
                        c->packets, c->bytes, c->peak_kib);
        }
        fprintf(file, "\n]}\n");
        return fclose(file) == 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
        unsigned rounds, round;
        unsigned long long packets;
        enum group group;
        size_t i;

        if ((argc != 4 && argc != 5) || atoi(argv[3]) < 1 || atoi(argv[3]) > ROUNDS_MAX)
                bench_die("measure", "CASES_FOLDER TRACE ROUNDS [JSON_FILE]");
        folder = argv[1];
        trace = argv[2];
        rounds = (unsigned)atoi(argv[3]);
        run_case(&cases[0]); /* brings the trace into the page cache; not counted */
        cases[0].runs = 0;
        cases[0].peak_kib = 0;
        for (round = 0; round < rounds; round++)
                for (i = 0; i < CASES; i++) {
                        if (isatty(STDERR_FILENO))
                                fprintf(stderr, "\rround %u of %u, case %zu of %zu ", round + 1, rounds, i + 1,
                                        CASES);
                        run_case(&cases[i]);
                }
        if (isatty(STDERR_FILENO))
                fprintf(stderr, "\r%40s\r", "");
        packets = find(PACKETS, "pcap_next_ex") != NULL ? find(PACKETS, "pcap_next_ex")->packets : 0;
        if (packets == 0)
                bench_die(trace, "libpcap finds no packets in it");
        print_head(rounds, packets);
        for (group = ONE_FLOW; group <= MANY_FLOWS; group++) {
                printf("\n%s\n  %-38s %9s %9s %9s %9s %9s %9s\n", titles[group], "", "reading s", "Mpkt/s",
                       "ns/packet", "process s", "ratio", "peak MB");
                for (i = 0; i < CASES; i++)
                        if (cases[i].group == group)
                                print_case(&cases[i], packets);
        }
        printf("\n%s\n", titles[RESULTS]);
        print_results(&cases[CASES - 1]);
        if (argc == 5 && write_json(argv[4], rounds, packets) < 0)
                bench_die(argv[4], "cannot be written");
        return differences == 0 ? 0 : 1;
}
