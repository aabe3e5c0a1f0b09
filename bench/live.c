/*
 * The live benchmark's main program: what is measured, and the table. bench/live builds and runs it:
 *
 *     measure_live BENCH_FOLDER MAPID TRACE ROUNDS [JSON_FILE]
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "live.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"

#define FIRST_ROUNDS "101"
#define MANY_FLOWS 256
#define BUSY_RATE 100000
#define CALLS 7

#define ROW(k, p, o)                                                                                              \
        {                                                                                                         \
                .kind = (k), .programs = (p), .own = (o)                                                          \
        }
#define ROWS(p)                                                                                                   \
        ROW(KIND_TCPDUMP, p, false), ROW(KIND_CAPTURE, p, false), ROW(KIND_COUNT, p, false),                      \
                ROW(KIND_BUFFER, p, false)

static struct live_row rows[] = {
        ROW(KIND_NOBODY, 0, false),
        ROWS(1),
        ROWS(4),
        ROWS(16),
        ROW(KIND_TCPDUMP, 16, true),
        ROW(KIND_CAPTURE, 16, true),
        ROW(KIND_COUNT, 16, true),
        ROW(KIND_BUFFER, 16, true),
};
#define NROWS (sizeof(rows) / sizeof(rows[0]))

static const struct {
        const char *text, *json;
} names[] = {
        [KIND_NOBODY] = { "nobody listens", "nobody" },
        [KIND_TCPDUMP] = { "tcpdump -w /dev/null", "tcpdump" },
        [KIND_CAPTURE] = { "libpcap, counting", "libpcap" },
        [KIND_COUNT] = { "MAPI, BPF_FILTER PKT_COUNTER", "mapi_count" },
        [KIND_BUFFER] = { "MAPI, BPF_FILTER TO_BUFFER", "mapi_buffer" },
};

struct series {
        const char *name, *json;
        const char *words[5];
        const char *backend;
        unsigned n;
        double seconds[LIVE_ROUNDS_MAX];
        unsigned long long packets, bytes; /* the same each time, or something is wrong */
};

struct first {
        const char *title, *json;
        const char *device, *hold;
        double median_us[CALLS], low_us[CALLS], high_us[CALLS];
        char call[CALLS][48];
        unsigned n;
};

static const char *trace, *mapid_path, *folder;
static FILE *json;
int live_wrong;

static void progress(const char *what, unsigned i, unsigned n)
{
        if (isatty(STDERR_FILENO))
                fprintf(stderr, "\r%-20s %u of %u    ", what, i, n);
}

static void wrong(const char *what)
{
        printf("WRONG: %s\n", what);
        live_wrong++;
}

static void write_values(const char *name, const double *values, unsigned n)
{
        if (json == NULL)
                return;
        fprintf(json, ", \"%s\": [", name);
        for (unsigned i = 0; i < n; i++)
                fprintf(json, "%s%.9g", i == 0 ? "" : ", ", values[i]);
        fprintf(json, "]");
}

/* ---- (a) ------------------------------------------------------------------------------------------------------------ */

static double rate_of(const struct live_row *like, enum kind kind)
{
        for (size_t i = 0; i < NROWS; i++)
                if (rows[i].kind == kind && rows[i].programs == like->programs && rows[i].own == like->own)
                        return bench_median(rows[i].rate, rows[i].n);
        return 0;
}

static void print_ratio(const struct live_row *row, enum kind peer)
{
        double other = rate_of(row, peer), own = bench_median(row->rate, row->n);

        if (row->kind == peer && own > 0)
                printf(" %9s", "1");
        else if (other > 0 && own > 0)
                printf(" %7.2f x", own / other);
        else
                printf(" %9s", "-");
}

static void print_row(const struct live_row *row)
{
        printf("  %-32s", names[row->kind].text);
        if (row->n == 0)
                printf(" no rate without loss was found in %u steps\n", row->steps);
        else {
                double programs = bench_median(row->programs_ns, row->n),
                       softirq = bench_median(row->softirq_ns, row->n);
                double rate = bench_median(row->rate, row->n);

                printf(" %9.3f%c %9.0f %9.0f %8.0f%%", rate / 1e6, row->searched ? '*' : ' ', programs, softirq,
                       programs * rate / 1e7);
                print_ratio(row, KIND_TCPDUMP);
                print_ratio(row, KIND_CAPTURE);
                printf(" %6u %5u\n", row->steps, row->lossy);
        }
        if (json != NULL) {
                fprintf(json,
                        "%s\n  {\"system\": \"%s\", \"programs\": %u, \"own_filter\": %s, \"searched\": %s, "
                        "\"sender\": "
                        "\"%s\", \"steps\": %u, \"lossy_steps\": %u",
                        row == rows ? "" : ",", names[row->kind].json, row->programs, row->own ? "true" : "false",
                        row->searched ? "true" : "false", row->sender, row->steps, row->lossy);
                write_values("packets_per_s", row->rate, row->n);
                write_values("programs_ns", row->programs_ns, row->n);
                write_values("softirq_ns", row->softirq_ns, row->n);
                fprintf(json, "}");
        }
}

/* What the promise of MAPI is measured by: how little each further program costs. */
static void print_scaling(void)
{
        static const enum kind kinds[] = { KIND_TCPDUMP, KIND_CAPTURE, KIND_COUNT, KIND_BUFFER };

        printf("  16 programs against 1:");
        for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
                double one = rate_of(&(struct live_row){ .programs = 1 }, kinds[i]);
                double many = rate_of(&(struct live_row){ .programs = 16 }, kinds[i]);

                if (one > 0 && many > 0)
                        printf("%s %s %.0f %%", i == 0 ? "" : ",", names[kinds[i]].text, 100 * many / one);
        }
        printf(" of the rate\n");
}

static void measure_rates(unsigned rounds)
{
        const struct live_row *last = NULL;

        pid_t mapid = world_start_mapid(mapid_path, folder, trace, WORLD_MEASURED);

        for (unsigned i = 0; i < NROWS; i++) {
                bool mapi = rows[i].kind == KIND_COUNT || rows[i].kind == KIND_BUFFER;

                progress("(a)", i + 1, NROWS);
                rates_measure(&rows[i], mapi ? mapid : 0, rounds);
        }
        world_stop(mapid);
        progress("", 0, 0);
        printf("\n(a) programs on one interface: frames of 60 bytes, highest rate at which nothing is lost (%s)\n"
               "  %-32s %10s %9s %9s %9s %9s %9s %6s %5s\n",
               rows[0].sender, "", "Mpkt/s", "programs", "softirq", "programs", "ratio to", "ratio to", "steps",
               "with");
        printf("  %-32s %10s %9s %9s %9s %9s %9s %6s %5s\n", "", "", "ns/pkt", "ns/pkt", "of a CPU", "tcpdump",
               "libpcap", "", "loss");
        if (json != NULL)
                fprintf(json, "\"rates\": [");
        for (unsigned i = 0; i < NROWS; i++) {
                const struct live_row *row = &rows[i];

                if (row->programs > 0 &&
                    (last == NULL || last->programs != row->programs || last->own != row->own))
                        printf("  %u program%s, %s\n", row->programs, row->programs == 1 ? "" : "s",
                               row->own ? "each filters its own 16th of the packets"
                                        : "each filter matches all packets");
                if (row->programs > 0)
                        last = row;
                print_row(row);
        }
        if (json != NULL)
                fprintf(json, "]");
        print_scaling();
        printf("  *: full speed was too fast, the rate was searched; otherwise it is all that the sender's CPU "
               "can send "
               "and\n     deliver. programs: user and system time of all of them, and of mapid. In every step the "
               "packets "
               "sent\n     were compared with what every program, its flow and the device account for.\n");
}

/* ---- the others: run a program, read its lines ------------------------------------------------------------------------- */

static int run_lines(const char *const *words, void (*line_of)(void *context, const char *line), void *context)
{
        char line[300];
        FILE *from;
        pid_t pid = programs_spawn(words, WORLD_ANY, NULL, &from);

        while (fgets(line, sizeof(line), from) != NULL)
                line_of(context, line);
        fclose(from);
        return programs_wait(pid);
}

struct report {
        double seconds;
        unsigned long long packets, bytes;
        bool there;
};

static void take_report(void *context, const char *line)
{
        struct report *r = context;

        r->there = sscanf(line, "%lf %llu %llu", &r->seconds, &r->packets, &r->bytes) == 3;
}

static bool run_report(const char *const *words, struct report *ret)
{
        *ret = (struct report){ 0 };
        return run_lines(words, take_report, ret) == 0 && ret->there;
}

/* ---- (b) ------------------------------------------------------------------------------------------------------------ */

static void measure_to_buffer(unsigned rounds)
{
        struct series s[] = {
                { .name = "pcap_next_ex", .json = "pcap_next_ex", .words = { "case_pcap", "next", trace } },
                { .name = "MAPI, embedded",
                  .json = "embedded",
                  .words = { "case_mapi", "packets", trace },
                  .backend = "embedded" },
                { .name = "MAPI, through mapid",
                  .json = "mapid",
                  .words = { "case_mapi", "packets", trace },
                  .backend = "local" },
        };
        size_t n = sizeof(s) / sizeof(s[0]);

        for (unsigned round = 0; round < rounds; round++)
                for (size_t i = 0; i < n; i++) {
                        struct report r;

                        progress("(b)", round + 1, rounds);
                        if (s[i].backend != NULL)
                                setenv("MAPI_BACKEND", s[i].backend, 1);
                        if (!run_report(s[i].words, &r)) {
                                wrong(s[i].name);
                                continue;
                        }
                        if (s[i].n > 0 && (r.packets != s[i].packets || r.bytes != s[i].bytes))
                                wrong("other counts than before");
                        s[i].packets = r.packets;
                        s[i].bytes = r.bytes;
                        s[i].seconds[s[i].n++] = r.seconds;
                }
        setenv("MAPI_BACKEND", "local", 1);
        progress("", 0, 0);
        printf("\n(b) every packet of a trace to the program\n  %-32s %10s %9s %9s\n", "", "Mpkt/s", "ns/pkt",
               "ratio");
        if (json != NULL)
                fprintf(json, ",\n\"to_buffer\": [");
        for (size_t i = 0; i < n; i++) {
                double t = bench_median(s[i].seconds, s[i].n);

                printf("  %-32s %10.3f %9.1f %7.2f x  %llu arrived\n", s[i].name, (double)s[i].packets / t / 1e6,
                       t / (double)s[i].packets * 1e9, bench_median(s[0].seconds, s[0].n) / t, s[i].packets);
                if (s[i].packets != s[0].packets || s[i].bytes != s[0].bytes)
                        wrong("not all packets arrived");
                if (json != NULL)
                        fprintf(json, "%s\n  {\"system\": \"%s\", \"packets\": %llu", i == 0 ? "" : ",", s[i].json,
                                s[i].packets);
                write_values("seconds", s[i].seconds, s[i].n);
                if (json != NULL)
                        fprintf(json, "}");
        }
        if (json != NULL)
                fprintf(json, "]");
}

/* ---- (c) ------------------------------------------------------------------------------------------------------------ */

static void take_call(void *context, const char *line)
{
        struct first *f = context;

        if (f->n < CALLS && sscanf(line, "%lf %lf %lf %47[^\n]", &f->median_us[f->n], &f->low_us[f->n],
                                   &f->high_us[f->n], f->call[f->n]) == 4)
                f->n++;
}

static void measure_first(void)
{
        struct first f[] = {
                { .title = "trace, new", .json = "replay_unused", .device = LIVE_REPLAY, .hold = "0" },
                { .title = "trace, in use", .json = "replay_in_use", .device = LIVE_REPLAY, .hold = "1" },
                { .title = "veth, new", .json = "veth_unused", .device = LIVE_DEVICE, .hold = "0" },
                { .title = "veth, in use", .json = "veth_in_use", .device = LIVE_DEVICE, .hold = "1" },
        };
        size_t n = sizeof(f) / sizeof(f[0]);
        pid_t sender = 0;
        FILE *from = NULL;

        for (size_t i = 0; i < n; i++) {
                const char *const words[] = { "case_live", "first", f[i].device, FIRST_ROUNDS, f[i].hold, NULL };

                progress("(c)", (unsigned)i + 1, (unsigned)n);
                if (sender == 0 && strcmp(f[i].device, LIVE_DEVICE) == 0)
                        sender = programs_send(BUSY_RATE, 3000000, 1, &from);
                if (run_lines(words, take_call, &f[i]) != 0 || f[i].n != CALLS)
                        wrong(f[i].title);
        }
        kill(sender, SIGTERM);
        programs_wait(sender);
        fclose(from);
        progress("", 0, 0);
        printf("\n(c) from mapi_create_flow to the first counted packet: microseconds, medians of " FIRST_ROUNDS
               " flows (9 of 10 below)\n  %-32s",
               "");
        for (size_t i = 0; i < n; i++)
                printf(" %18s", f[i].title);
        printf("\n");
        for (unsigned c = 0; c < CALLS; c++) {
                printf("  %-32s", f[0].call[c]);
                for (size_t i = 0; i < n; i++)
                        printf(" %8.1f (%7.1f)", f[i].median_us[c], f[i].high_us[c]);
                printf("\n");
        }
        printf("  trace: played as fast as it goes; veth: %d packets/s, the kernel hands them over every 10 ms at "
               "the latest. "
               "new:\n  nobody else uses the device, so that it is opened and closed each time\n",
               BUSY_RATE);
        if (json == NULL)
                return;
        fprintf(json, ",\n\"first_packet_us\": [");
        for (size_t i = 0; i < n; i++)
                for (unsigned c = 0; c < f[i].n; c++)
                        fprintf(json,
                                "%s\n  {\"device\": \"%s\", \"call\": \"%s\", \"median\": %.3f, \"p10\": %.3f, "
                                "\"p90\": %.3f}",
                                i + c == 0 ? "" : ",", f[i].json, f[i].call[c], f[i].median_us[c], f[i].low_us[c],
                                f[i].high_us[c]);
        fprintf(json, "]");
}

/* ---- (d) ------------------------------------------------------------------------------------------------------------ */

static const char *silence(void)
{
        const char *const silent[] = { "case_live", "silent", LIVE_REPLAY, NULL };
        const char *const clock[] = { "case_mapi", "silent_clock", NULL };
        const char *const control[] = { "case_mapi", "silent_control", NULL };
        struct report r;
        int status = run_lines(control, take_report, &r);

        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
                return "unknown: this machine does not let seccomp forbid them";
        if (run_lines(silent, take_report, &r) == 0)
                return "none (seccomp kills the process at the first one)";
        if (run_lines(clock, take_report, &r) != 0)
                return "yes: the clock of this machine needs one";
        wrong("mapi_read_results makes system calls, or failed");
        return "YES, or it failed";
}

static void measure_results(unsigned rounds)
{
        const char *const words[] = { "case_live", "results", LIVE_REPLAY, NULL };
        double ns[LIVE_ROUNDS_MAX], busy[LIVE_ROUNDS_MAX];
        const char *silent;
        unsigned n = 0;

        for (unsigned i = 0; i < rounds; i++) {
                struct report r;

                progress("(d)", i + 1, rounds);
                if (!run_report(words, &r) || r.bytes == 0) {
                        wrong("reading results of a busy device");
                        continue;
                }
                ns[n] = r.seconds / (double)r.packets * 1e9;
                busy[n++] = (double)r.bytes / r.seconds;
        }
        silent = silence();
        progress("", 0, 0);
        printf("\n(d) reading a result through mapid while the worker counts\n  %-32s %10.1f ns each, while it "
               "counted "
               "%.1f M packets/s\n  %-32s %10s %s\n",
               "mapi_read_results", bench_median(ns, n), bench_median(busy, n) / 1e6,
               "system calls in a million reads", "", silent);
        if (json == NULL)
                return;
        fprintf(json, ",\n\"read_results\": {\"system_calls\": \"%s\"", silent);
        write_values("ns", ns, n);
        write_values("counted_per_s", busy, n);
        fprintf(json, "}");
}

/* ---- (e) ------------------------------------------------------------------------------------------------------------ */

enum { FILTER, CONNECT, OPEN, CLOSE, PARTS };

struct many {
        double us[PARTS][MANY_FLOWS];
        unsigned n;
};

static void take_flow(void *context, const char *line)
{
        struct many *m = context;

        if (m->n < MANY_FLOWS && sscanf(line, "%lf %lf %lf %lf", &m->us[FILTER][m->n], &m->us[CONNECT][m->n],
                                        &m->us[OPEN][m->n], &m->us[CLOSE][m->n]) == PARTS)
                m->n++;
}

static void measure_many(void)
{
        static const char *const parts[PARTS] = { "BPF_FILTER", "connect", "in all", "close" };
        static const unsigned from[] = { 2, 9, 57, 121, 241 }, to[] = { 4, 16, 64, 128, 256 };
        const char *const words[] = { "case_live", "many", LIVE_REPLAY, "256", NULL };
        static struct many m;

        progress("(e)", 1, 1);
        if (run_lines(words, take_flow, &m) != 0 || m.n != MANY_FLOWS)
                wrong("many flows");
        progress("", 0, 0);
        printf("\n(e) the n-th flow of one program on a busy device, with a filter of its own and a counter: "
               "microseconds\n"
               "  %-32s",
               "");
        for (unsigned i = 0; i < PARTS; i++)
                printf(" %10s", parts[i]);
        printf("\n");
        for (size_t i = 0; i < sizeof(from) / sizeof(from[0]) && to[i] <= m.n; i++) {
                char name[40];

                snprintf(name, sizeof(name), "flows %u to %u", from[i], to[i]);
                printf("  %-32s", name);
                for (unsigned p = 0; p < PARTS; p++)
                        printf(" %10.1f", bench_median(m.us[p] + from[i] - 1, to[i] - from[i] + 1));
                printf("\n");
        }
        if (json == NULL)
                return;
        fprintf(json, ",\n\"many_flows_us\": {\"flows\": %u", m.n);
        for (unsigned p = 0; p < PARTS; p++)
                write_values(parts[p], m.us[p], m.n);
        fprintf(json, "}");
}

/* ---- main ----------------------------------------------------------------------------------------------------------- */

static void print_head(unsigned rounds)
{
        char line[300], *model = NULL;
        FILE *file = fopen("/proc/cpuinfo", "r");
        struct utsname kernel;

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
        printf("medians of %u rounds. In (a) the sender, and with it the kernel's receiving side, has the first "
               "CPU, "
               "everything\nelse the others; all capture rings have %d MB\n",
               rounds, LIVE_BUFFER_MB);
}

/* Bytes of the trace come into the page cache, so that no case pays for that. */
static void warm_up(void)
{
        static char block[1 << 20];
        FILE *file = fopen(trace, "r");

        if (file == NULL)
                bench_die(trace, "cannot be read");
        while (fread(block, 1, sizeof(block), file) == sizeof(block)) {
        }
        fclose(file);
}

int main(int argc, char **argv)
{
        static char path[] = "/tmp/mapi-bench-live-XXXXXX";
        unsigned rounds = argc > 4 ? (unsigned)atoi(argv[4]) : 0;
        pid_t mapid;

        if ((argc != 5 && argc != 6) || rounds < 1 || rounds > LIVE_ROUNDS_MAX)
                bench_die("measure_live", "BENCH_FOLDER MAPID TRACE ROUNDS [JSON_FILE]");
        programs_folder(argv[1]);
        mapid_path = argv[2];
        trace = argv[3];
        folder = mkdtemp(path);
        if (folder == NULL)
                bench_die(path, "cannot be made");
        if (argc == 6 && (json = fopen(argv[5], "w")) == NULL)
                bench_die(argv[5], "cannot be written");
        world_enter(folder);
        world_make_veth();
        programs_choose_sender();
        setenv("MAPI_BACKEND", "local", 1);
        signal(SIGPIPE, SIG_IGN);
        setvbuf(stdout, NULL, _IOLBF, 0);
        warm_up();
        print_head(rounds);
        if (json != NULL)
                fprintf(json, "{\"rounds\": %u,\n", rounds);
        measure_rates(rounds);
        mapid = world_start_mapid(mapid_path, folder, trace, WORLD_ANY);
        measure_to_buffer(rounds);
        measure_first();
        measure_results(rounds);
        measure_many();
        world_stop(mapid);
        if (json != NULL && (fprintf(json, ",\n\"wrong\": %d}\n", live_wrong) < 0 || fclose(json) != 0))
                bench_die(argv[5], "cannot be written");
        if (live_wrong > 0)
                printf("\n%d things were WRONG, see above\n", live_wrong);
        return live_wrong > 0 ? 1 : 0;
}
