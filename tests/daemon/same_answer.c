/*
 * Says everything that the library has to say about traces, for every function of every library, with arguments
 * made from the letters of its schema, right and wrong ones. Whoever runs the flows, the text must be the same;
 * same_answer.py compares.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <mapi.h>

#include <limits.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ARGS = 8, TRIED_OF_EACH = 4, TRIED_IN_ALL = 32, FILE_BYTES = 1 << 24 };

/*
 * ---- saying ----------------------------------------------------------------------------------------------------
 */

static uint64_t mix(uint64_t h, const void *bytes, size_t n)
{
        const uint8_t *p = bytes;

        for (size_t i = 0; i < n; i++)
                h = (h ^ p[i]) * 0x100000001b3u;
        return h;
}

static const uint64_t mix_start = 0xcbf29ce484222325u;

/** The thread's error, which is gone then. */
static void say_error(const char *what)
{
        char text[MAPI_ERRORSTR_LENGTH] = "";
        int code = -1;

        (void)mapi_read_error(&code, text);
        (void)printf("  %s: %d %s\n", what, code, text);
}

static void say_call(const char *what, int got)
{
        if (got < 0)
                say_error(what);
        else
                (void)printf("  %s: %d\n", what, got);
}

static void say_bytes(const char *what, const void *bytes, size_t n)
{
        const uint8_t *p = bytes;

        (void)printf("  %s: %zu bytes", what, n);
        if (n > 64)
                (void)printf(" with the sum %016llx", (unsigned long long)mix(mix_start, bytes, n));
        for (size_t i = 0; n <= 64 && i < n; i++)
                (void)printf("%s%02x", i == 0 ? ": " : "", p[i]);
        (void)printf("\n");
}

static void say_result(int fd, int fid)
{
        mapi_results_t *r = mapi_read_results(fd, fid);

        if (r == NULL)
                say_error("no result");
        else
                say_bytes("result", r->res, (size_t)r->size);
}

/** Results that are read one by one: those that come in so many reads; of others, as often the same. */
static void say_results(int fd, int fid)
{
        uint64_t sum = mix_start;
        mapi_results_t *r;
        unsigned n = 0;

        for (; n < 200 && (r = mapi_read_results(fd, fid)) != NULL; n++)
                sum = mix(sum, r->res, (size_t)r->size);
        (void)printf("  %u results with the sum %016llx\n", n, (unsigned long long)sum);
}

/** All packets that there are or will be. */
static void say_packets(int fd, int fid)
{
        const struct mapipkt *p;
        uint64_t sum = mix_start;
        unsigned n = 0;

        for (; (p = mapi_get_next_pkt(fd, fid)) != NULL; n++) {
                sum = mix(sum, &p->ts, sizeof p->ts);
                sum = mix(sum, &p->ifindex, sizeof p->ifindex);
                sum = mix(sum, &p->caplen, sizeof p->caplen);
                sum = mix(sum, &p->wlen, sizeof p->wlen);
                sum = mix(sum, &p->pkt, p->caplen);
        }
        (void)printf("  %u packets with the sum %016llx\n", n, (unsigned long long)sum);
        say_error("then");
}

static void say_file(const char *path)
{
        static uint8_t bytes[FILE_BYTES];
        FILE *f = fopen(path, "rb");
        size_t n;

        if (f == NULL)
                return;
        n = fread(bytes, 1, sizeof bytes, f);
        (void)fclose(f);
        (void)unlink(path);
        say_bytes(path, bytes, n);
}

static void say_flow(int fd)
{
        mapi_function_info_t fn;
        struct mapi_stat64 s;
        mapi_flow_info_t i;

        if (mapi_get_flow_info(fd, &i) < 0)
                say_error("flow");
        else
                (void)printf("  flow: %s, device %d, %u functions, status %d, own %d, begun %d, ended %d\n",
                             i.device, i.devid, i.num_functions, (int)i.status, i.uid == getuid() && i.fd == fd,
                             i.start != 0, i.end != 0);
        for (int fid = 0; mapi_get_next_function_info(fd, fid, &fn) == 0; fid = fn.fid)
                (void)printf("  function %d: %s of %s, type %s, %llu in, %llu out, %d bytes\n", fn.fid, fn.name,
                             fn.libname, fn.devtype, fn.pkts, fn.passed_pkts, fn.result_size);
        say_error("functions");
        memset(&s, 0, sizeof s);
        if (mapi_flow_stats64(fd, &s) < 0)
                say_error("flow statistics");
        else
                (void)printf("  packets: %llu seen, %llu delivered, %llu filtered, lost %llu %llu %llu %llu, down "
                             "%d, %s %s\n",
                             s.seen, s.delivered, s.filtered, s.dropped_interface, s.dropped_kernel,
                             s.dropped_ring, s.dropped_file, s.down, s.hostname, s.dev);
}

static void wait_for_end(int fd)
{
        mapi_flow_info_t i;

        while (mapi_get_flow_info(fd, &i) == 0 && i.status == FLOW_ACTIVE)
                (void)sched_yield();
}

/*
 * ---- arguments
 * --------------------------------------------------------------------------------------------------
 */

/** What there is for the letter, best first. "own", "other" and "first" become numbers of flows and functions. */
static const char *const *candidates(char letter)
{
        static const char *const text[] = { "ip or ip6", "e||a",        "+1s",
                                            "0",         "tcp port 80", "",
                                            "(",         "|zz|",        "src host 10.1.0.1 and not udp",
                                            NULL };
        static const char *const number[] = { "1",   "0",     "100",        "3",           "7",
                                              "-1",  "65536", "2147483647", "-2147483648", "99999999999",
                                              "abc", "",      NULL };
        static const char *const large[] = { "0", "1000", "1", "18446744073709551615", "-1", "x", NULL };
        static const char *const file[] = { "out", "no/such/folder/out", "", "/", NULL };
        static const char *const flow[] = { "own", "other", "4711", "0", "-1", NULL };
        static const char *const function[] = { "first", "4711", "0", "-1", NULL };

        static const char *const list[] = { "first@own", "first@other", "4711@own", "1", "", NULL };
        static const char *const flows[] = { "own", "other", "4711", ",", "", NULL };

        switch (letter) {
        case 's':
                return text;
        case 'S':
                return list;
        case 'R':
                return flows;
        case 'l':
                return large;
        case 'w':
                return file;
        case 'r':
                return flow;
        case 'f':
                return function;
        default:
                return number;
        }
}

static unsigned count(const char *const *all)
{
        unsigned n = 0;

        while (all[n] != NULL)
                n++;
        return n;
}

struct trial {
        char name[MAPI_STR_LENGTH + 32];
        const char *letters;
        unsigned n, choice[ARGS];
};

/** Applies with this choice of arguments. */
static int apply(const struct trial *t, unsigned n, int fd, int other, int first)
{
        char values[ARGS][64], *args[ARGS] = { NULL };

        for (unsigned i = 0; i < n && i < t->n; i++) {
                const char *c = candidates(t->letters[i])[t->choice[i]];

                if (strcmp(c, "own") == 0)
                        (void)snprintf(values[i], sizeof values[i], "%d", fd);
                else if (strcmp(c, "other") == 0)
                        (void)snprintf(values[i], sizeof values[i], "%d", other);
                else if (strcmp(c, "first@own") == 0 || strcmp(c, "first@other") == 0)
                        (void)snprintf(values[i], sizeof values[i], "%d@%d", first, c[7] == 'w' ? fd : other);
                else if (strcmp(c, "first") == 0)
                        (void)snprintf(values[i], sizeof values[i], "%d", first);
                else
                        (void)snprintf(values[i], sizeof values[i], "%s", c);
                args[i] = values[i];
        }
        return mapi_apply_function_array(fd, t->name, args, n);
}

static void say_trial(const struct trial *t, unsigned n)
{
        (void)printf("%s(", t->name);
        for (unsigned i = 0; i < n; i++)
                (void)printf("%s%s", i > 0 ? "; " : "",
                             i < t->n ? candidates(t->letters[i])[t->choice[i]] : "NULL");
        (void)printf(")\n");
}

/*
 * ---- one flow on one trace
 * ----------------------------------------------------------------------------------------
 */

/** With n arguments, which may be fewer than there are. True if it could be applied. */
static bool run(const struct trial *t, unsigned n, const char *trace)
{
        char *device = mapi_create_offline_device(trace, MFF_PCAP), *size[] = { (char[]){ "1" } };
        int fd, other, first, fid, last;
        bool applied;

        say_trial(t, n);
        if (device == NULL) {
                say_error("device");
                return false;
        }
        other = mapi_create_flow(device);
        fd = mapi_create_flow(device);
        first = mapi_apply_function_array(other, "PKTINFO", size, 1);
        if (mapi_apply_function_array(fd, "PKTINFO", size, 1) != first)
                say_error("the first function");
        fid = apply(t, n, fd, other, first);
        say_call("apply", fid);
        applied = fid > 0;
        if (applied) {
                (void)mapi_apply_function(fd, "PKT_COUNTER");
                (void)mapi_apply_function(fd, "BYTE_COUNTER");
                last = mapi_apply_function(fd, "TO_BUFFER");
                say_call("connect", mapi_connect(other));
                say_call("connect", mapi_connect(fd));
                say_call("start", mapi_start_offline_device(device));
                say_packets(fd, last);
                wait_for_end(fd);
                say_packets(fd, fid);
                for (int i = 1; i <= last + 1; i++)
                        say_result(fd, i);
                say_results(fd, fid);
        }
        say_flow(fd);
        say_call("close", mapi_close_flow(fd));
        say_file("out");
        say_call("close", mapi_close_flow(other));
        say_call("delete", mapi_delete_offline_device(device));
        return applied;
}

/**
 * All combinations of the best candidates; then from the first one that is good every other candidate in each
 * place.
 */
static void try_function(struct trial *t, const char *trace, bool wrong, unsigned *applied)
{
        unsigned good[ARGS] = { 0 }, at, tried = 0;
        bool found = false;

        memset(t->choice, 0, sizeof t->choice);
        do {
                if ((!found || wrong) && run(t, t->n, trace) && !found) {
                        found = true;
                        memcpy(good, t->choice, sizeof good);
                }
                for (at = 0; at < t->n; at++) {
                        unsigned most = count(candidates(t->letters[at]));

                        if (++t->choice[at] < (most < TRIED_OF_EACH ? most : TRIED_OF_EACH))
                                break;
                        t->choice[at] = 0;
                }
        } while (at < t->n && (!found || ++tried < TRIED_IN_ALL));
        *applied += found;
        if (!found)
                (void)printf("%s could never be applied\n", t->name);
        if (!found || !wrong)
                return;
        for (unsigned i = 0; i < t->n; i++)
                for (unsigned c = TRIED_OF_EACH; c < count(candidates(t->letters[i])); c++) {
                        memcpy(t->choice, good, sizeof good);
                        t->choice[i] = c;
                        (void)run(t, t->n, trace);
                }
        memcpy(t->choice, good, sizeof good);
        for (unsigned n = 0; n < t->n; n++) /* too few */
                (void)run(t, n, trace);
}

/*
 * ---- all together on one device: shared plans
 * ------------------------------------------------------------------------
 */

static void say_together(struct trial *trials, unsigned n, const char *trace)
{
        char *device = mapi_create_offline_device(trace, MFF_PCAP), *size[] = { (char[]){ "1" } };
        static int fds[256], fids[256], last[256];

        (void)printf("all together\n");
        for (unsigned i = 0; i < n; i++) {
                int first;

                fds[i] = mapi_create_flow(device);
                if (i % 2 == 1) {
                        char *filter[] = { (char[]){ "tcp" } };

                        (void)mapi_apply_function_array(fds[i], "BPF_FILTER", filter, 1);
                }
                first = mapi_apply_function_array(fds[i], "PKTINFO", size, 1);
                fids[i] = apply(&trials[i], trials[i].n, fds[i], fds[0], i == 0 ? first : 1);
                say_call(trials[i].name, fids[i]);
                (void)mapi_apply_function(fds[i], "BYTE_COUNTER");
                last[i] = i % 3 == 0 ? mapi_apply_function(fds[i], "TO_BUFFER") : 0;
                say_call("connect", mapi_connect(fds[i]));
        }
        say_call("start", mapi_start_offline_device(device));
        for (unsigned i = 0; i < n; i++)
                if (last[i] > 0)
                        say_packets(fds[i], last[i]);
        for (unsigned i = 0; i < n; i++) {
                (void)printf(" %s\n", trials[i].name);
                if (fids[i] > 0)
                        say_packets(fds[i], fids[i]);
                wait_for_end(fds[i]);
                for (int fid = 1; fid < 8; fid++)
                        say_result(fds[i], fid);
                say_flow(fds[i]);
        }
        for (unsigned i = 0; i < n; i++)
                say_call("close", mapi_close_flow(fds[i]));
        say_file("out");
        say_file("out-2");
        say_call("delete", mapi_delete_offline_device(device));
}

/*
 * ---- what is wrong without any function
 * -------------------------------------------------------------------------------
 */

static int nothing(const char *device, int format)
{
        char *name = mapi_create_offline_device(device, format);

        return name == NULL ? -1 : 0;
}

static void never(const struct mapipkt *p)
{
        (void)p;
}

static void say_wrong(const char *trace)
{
        static const int numbers[] = { INT_MIN, -1, 0, 4711, INT_MAX };
        static const char *const devices[] = {
                "", ".", "no such device", "no/such/trace", "x=y", "1.2.3.4:eth0", "/dev/null", ""
        };
        static const char *const names[] = { "",
                                             "pkt_counter",
                                             "NO_SUCH",
                                             "stdflib:PKT_COUNTER",
                                             "stdflib:NO_SUCH",
                                             "nolib:PKT_COUNTER",
                                             ":PKT_COUNTER",
                                             "stdflib:",
                                             "%s%n" };
        int fd = mapi_create_flow(trace), fid;
        char *device;

        (void)printf("wrong calls\n");
        for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
                say_call(names[i], mapi_apply_function_array(fd, names[i], NULL, 0));
        fid = mapi_apply_function(fd, "PKT_COUNTER");
        say_call("too many", mapi_apply_function_array(fd, "PKT_COUNTER", (char *[]){ (char[]){ "1" } }, 1));
        say_call("NULL", mapi_apply_function_array(fd, NULL, NULL, 0));
        say_call("NULL argument", mapi_apply_function_array(fd, "BPF_FILTER", (char *[]){ NULL }, 1));
        say_result(fd, fid);
        say_packets(fd, fid);
        for (unsigned i = 0; i < sizeof devices / sizeof devices[0]; i++) {
                say_call("create flow", mapi_create_flow(devices[i]));
                say_call("create offline flow", mapi_create_offline_flow(devices[i], MFF_PCAP));
                say_call("create offline device", nothing(devices[i], MFF_PCAP));
                say_call("start", mapi_start_offline_device(devices[i]));
        }
        for (unsigned i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
                int n = numbers[i];

                say_call("format", nothing(trace, n == 0 ? 17 : n));
                say_call("connect", mapi_connect(n));
                say_call("close", mapi_close_flow(n));
                say_result(n, 1);
                say_result(fd, n);
                say_packets(n, 1);
                say_packets(fd, n);
                say_call("loop", mapi_loop(fd, n, 1, never));
                say_call("apply", mapi_apply_function(n, "PKT_COUNTER"));
                say_flow(n);
                say_call("scope", mapi_get_scope_size(n));
                say_call("remote", mapi_is_remote(n));
                say_call("event", mapi_get_event_fd(n));
                say_call("nonblocking", mapi_set_nonblocking(n, 1));
        }
        say_call("loop", mapi_loop(fd, fid, 1, NULL));
        say_call("event", mapi_get_event_fd(fd));
        say_call("connect", mapi_connect(fd));
        say_call("connect", mapi_connect(fd));
        say_call("apply", mapi_apply_function(fd, "PKT_COUNTER"));
        say_call("event", mapi_get_event_fd(fd) < 0 ? -1 : 0);
        wait_for_end(fd);
        say_result(fd, fid);
        say_call("close", mapi_close_flow(fd));
        say_result(fd, fid);
        device = mapi_create_offline_device(trace, MFF_PCAP);
        if (device != NULL) {
                (void)printf("%s\n", device + strlen(trace));
                fd = mapi_create_flow(device);
                say_call("start", mapi_start_offline_device(device));
                say_call("start", mapi_start_offline_device(device));
                say_call("delete", mapi_delete_offline_device(device));
                say_call("close", mapi_close_flow(fd));
        }
}

/*
 * ---- the catalogue
 * ------------------------------------------------------------------------------------------------------
 */

int main(int argc, char **argv)
{
        static struct trial trials[256];
        static char letters[256][MAPI_STR_LENGTH];
        mapi_lib_info_t library;
        unsigned n = 0;

        for (int id = -1; mapi_get_next_library_info(id, &library) == 0; id = library.id) {
                mapi_libfunct_info_t fn;

                (void)printf("library %d: %s, %u functions\n", library.id, library.libname, library.functs);
                for (int f = 0; mapi_get_libfunct_info(library.id, f, &fn) == 0 && n < 256; f++, n++) {
                        (void)printf("%s(%s) %s: %s\n", fn.name, fn.argdescr, fn.devtype, fn.descr);
                        (void)snprintf(letters[n], sizeof letters[n], "%s", fn.argdescr);
                        (void)snprintf(trials[n].name, sizeof trials[n].name, "%.30s:%.200s", library.libname,
                                       fn.name);
                        trials[n].letters = letters[n];
                        trials[n].n = (unsigned)strlen(fn.argdescr);
                }
        }
        for (int i = 1; i < argc; i++) {
                bool wrong = i == 1; /* all of it once is enough */
                unsigned applied = 0;

                (void)printf("==== %s\n", argv[i]);
                for (unsigned k = 0; k < n; k++)
                        try_function(&trials[k], argv[i], wrong, &applied);
                (void)printf("%u of %u functions applied\n", applied, n);
                for (unsigned k = 0; k < n; k++)
                        memset(trials[k].choice, 0, sizeof trials[k].choice);
                say_together(trials, n, argv[i]);
                if (wrong)
                        say_wrong(argv[i]);
        }
        return 0;
}
