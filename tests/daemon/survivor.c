/*
 * A program that must survive mapid: it does one kind of call all the time, in a thread, while kills.py kills
 * mapid and starts it again. Every answer must be one that mapi(3) allows; at the end all its flows must be there
 * again.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Usage: survivor CALLS TRACE TCP UDP      TCP, UDP: packets of that kind in the trace. Says "ready", waits for a
 * line on standard input when mapid is back, and says "ok".
 */
#include <mapi.h>
#include <mapi/errors.h>

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LIMIT_S = 50, ENOUGH = 500 };

static const char *trace, *doing;
static _Atomic bool stop, gone; /* gone: some call has said that mapid is away */
static int live, counter, buffer, private_flow, private_counter, device_flow, device_counter, silent,
        silent_buffer;
static char *device;
static unsigned long long tcp, udp, rounds;

static void fail(int line, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));
static void fail(int line, const char *format, ...)
{
        char text[512];
        va_list args;

        va_start(args, format);
        (void)vsnprintf(text, sizeof text, format, args);
        va_end(args);
        (void)printf("FAILED %s, line %d: %s\n", doing, line, text);
        (void)fflush(stdout);
        _exit(1);
}

/** What the thread's error is; it is gone then. */
static int error_is(char text[MAPI_ERRORSTR_LENGTH])
{
        int code = -1;

        (void)mapi_read_error(&code, text);
        return code;
}

/** The call may only fail because mapid is away. Returns what it returned. */
static int may_be_away(int line, const char *what, int got)
{
        char text[MAPI_ERRORSTR_LENGTH];
        int code;

        if (got >= 0)
                return got;
        code = error_is(text);
        if (code != MCOM_SOCKET_ERROR && code != MAPI_SHUTTING_DOWN) /* the latter where it could still say so */
                fail(line, "%s gave %d (%s)", what, code, text);
        gone = true;
        return got;
}

static int must(int line, const char *what, int got)
{
        char text[MAPI_ERRORSTR_LENGTH];

        if (got < 0) {
                (void)error_is(text);
                fail(line, "%s failed: %s", what, text);
        }
        return got;
}

#define MAY(call) may_be_away(__LINE__, #call, (call))
#define MUST(call) must(__LINE__, #call, (call))

static unsigned long long value(int line, const mapi_results_t *r)
{
        unsigned long long n;

        if (r == NULL || r->size != 8)
                fail(line, "there is no result any more");
        memcpy(&n, r->res, 8);
        return n;
}

/*
 * ---- calls, again and again
 * ----------------------------------------------------------------------------------------
 */

static void do_create(void)
{
        int fd = MAY(mapi_create_flow(trace));

        if (fd > 0)
                MUST(mapi_close_flow(fd));
        fd = MAY(mapi_create_flow("live"));
        if (fd > 0)
                MUST(mapi_close_flow(fd));
        fd = MAY(mapi_create_offline_flow(trace, MFF_PCAP));
        if (fd > 0)
                MUST(mapi_close_flow(fd));
}

/** With a filter over which libpcap thinks a while. */
static void do_apply(void)
{
        static char filter[8000];
        int fd = MAY(mapi_create_flow(rounds % 2 == 0 ? "live" : trace));

        for (int i = 0; filter[0] == '\0' || (i < 100 && i > 0); i++)
                (void)sprintf(filter + strlen(filter), "%shost 10.%d.%d.1", i == 0 ? "" : " or ", i, 7 * i % 250);
        if (fd < 0)
                return;
        (void)MAY(mapi_apply_function(fd, "BPF_FILTER", filter));
        (void)MAY(mapi_apply_function(fd, "STR_SEARCH", "GET", 0, 100));
        (void)MAY(mapi_apply_function(fd, "TO_BUFFER"));
        MUST(mapi_close_flow(fd));
}

static void do_connect(void)
{
        int fd = MAY(mapi_create_flow(rounds % 2 == 0 ? "live" : trace));

        if (fd < 0)
                return;
        (void)MAY(mapi_apply_function(fd, "PKT_COUNTER"));
        (void)MAY(mapi_connect(fd));
        MUST(mapi_close_flow(fd));
}

/** The last result stays; 5123 once. */
static void do_read(void)
{
        static unsigned long long last;
        static bool away;
        char text[MAPI_ERRORSTR_LENGTH];
        unsigned long long now = value(__LINE__, mapi_read_results(live, counter));
        int code = error_is(text);

        if (code == MCOM_SOCKET_ERROR) {
                if (away && now == last)
                        fail(__LINE__, "5123 twice for one function");
                away = true;
                gone = true;
        } else if (code != 0) {
                fail(__LINE__, "%s", text);
        } else if (away && now != last) {
                away = false; /* it is back */
        } else if (!away && now < last) {
                fail(__LINE__, "the counter went from %llu to %llu, without 5123", last, now);
        }
        last = now;
        now = value(__LINE__, mapi_read_results(private_flow, private_counter));
        code = error_is(text);
        if (now > tcp || (code != 0 && code != MCOM_SOCKET_ERROR))
                fail(__LINE__, "%llu packets; %s", now, text);
}

static void do_packet(void)
{
        char text[MAPI_ERRORSTR_LENGTH];
        const struct mapipkt *p = mapi_get_next_pkt(live, buffer);

        if (p == NULL) {
                (void)error_is(text);
                fail(__LINE__, "no packet: %s", text);
        }
        if (p->caplen > p->wlen || p->caplen > 65535)
                fail(__LINE__, "a packet of %u bytes", p->caplen);
}

static void count_one(const struct mapipkt *p)
{
        (void)p;
}

static void do_loop(void)
{
        MUST(mapi_loop(live, buffer, 50, count_one));
}

static void do_nonblocking(void)
{
        char text[MAPI_ERRORSTR_LENGTH];
        int code;

        MUST(mapi_set_nonblocking(live, 1));
        if (mapi_get_next_pkt(live, buffer) == NULL) {
                code = error_is(text);
                if (code != 0 && code != MCOM_SOCKET_ERROR)
                        fail(__LINE__, "%s", text);
                gone = gone || code != 0;
        }
        MUST(mapi_set_nonblocking(live, 0));
}

static void do_event(void)
{
        int fd = mapi_get_event_fd(live);
        struct pollfd p = { .fd = fd, .events = POLLIN };

        if (MAY(fd) < 0)
                return;
        (void)poll(&p, 1, 20);
        if ((p.revents & POLLNVAL) != 0)
                fail(__LINE__, "the descriptor %d is closed", fd);
        do_nonblocking();
}

static void do_close(void)
{
        int fd[8], n = 0;

        for (; n < 8; n++) {
                fd[n] = MAY(mapi_create_flow(n % 2 == 0 ? "live" : trace));
                if (fd[n] < 0)
                        break;
                (void)MAY(mapi_apply_function(fd[n], "TO_BUFFER"));
                (void)MAY(mapi_connect(fd[n]));
        }
        while (n-- > 0)
                MUST(mapi_close_flow(fd[n]));
}

static void do_info(void)
{
        mapi_libfunct_info_t libfunct;
        mapi_function_info_t function;
        mapi_device_info_t info;
        mapi_lib_info_t library;
        struct mapi_stat64 stats;
        mapi_flow_info_t flow;

        MUST(mapi_get_flow_info(live, &flow)); /* the last answer, at least */
        if (flow.fd != live || strcmp(flow.device, "live") != 0)
                fail(__LINE__, "information on flow %d of %s", flow.fd, flow.device);
        MUST(mapi_get_function_info(live, counter, &function));
        if (strcmp(function.name, "PKT_COUNTER") != 0)
                fail(__LINE__, "function %s", function.name);
        (void)MAY(mapi_get_next_device_info(0, &info));
        (void)MAY(mapi_get_library_info(0, &library));
        (void)MAY(mapi_get_libfunct_info(0, 0, &libfunct));
        (void)MAY(mapi_get_next_flow_info(0, &flow));
        (void)MAY(mapi_flow_stats64(live, &stats));
        if (mapi_stats64("live", &stats) < 0) { /* at first nobody uses the device of the next mapid */
                char text[MAPI_ERRORSTR_LENGTH];
                int code = error_is(text);

                if (code != MCOM_SOCKET_ERROR && code != MAPI_STATS_ERROR)
                        fail(__LINE__, "%s", text);
        }
}

static void do_device(void)
{
        char *name = mapi_create_offline_device(trace, MFF_PCAP);
        int fd;

        if (name == NULL) {
                (void)MAY(-1);
                return;
        }
        fd = MAY(mapi_create_flow(name));
        if (fd > 0) {
                (void)MAY(mapi_apply_function(fd, "PKT_COUNTER"));
                (void)MAY(mapi_connect(fd));
        }
        (void)MAY(mapi_start_offline_device(name));
        if (fd > 0)
                MUST(mapi_close_flow(fd));
        while (MAY(mapi_delete_offline_device(name)) <
               0) /* refused while mapid is away: it is there again afterwards */
                (void)sched_yield();
}

static void do_session(void)
{
        char text[MAPI_ERRORSTR_LENGTH];
        int s = mapi_session_open(NULL), fd;

        if (s < 0) {
                int code = error_is(text);

                if (code != MCOM_INIT_SOCKET_ERROR)
                        fail(__LINE__, "%d %s", code, text);
                gone = true;
                return;
        }
        MUST(mapi_session_use(s));
        fd = MAY(mapi_create_flow("live"));
        if (fd > 0)
                (void)MAY(mapi_apply_function(fd, "PKT_COUNTER"));
        MUST(mapi_session_use(0));
        MUST(mapi_session_close(s));
}

/** Waits for a packet that never comes, before and after; until the flow is closed by somebody else. */
static void do_silence(void)
{
        char text[MAPI_ERRORSTR_LENGTH];

        if (mapi_get_next_pkt(silent, silent_buffer) != NULL)
                fail(__LINE__, "a packet from nowhere");
        if (error_is(text) != MAPI_INVALID_FLOW || !stop)
                fail(__LINE__, "waiting ended with %s", text);
}

static const struct {
        const char *name;
        void (*run)(void);
} calls[] = { { "create", do_create },
              { "apply", do_apply },
              { "connect", do_connect },
              { "read", do_read },
              { "packet", do_packet },
              { "loop", do_loop },
              { "nonblocking", do_nonblocking },
              { "event", do_event },
              { "close", do_close },
              { "info", do_info },
              { "device", do_device },
              { "session", do_session },
              { "silence", do_silence } };

static void *all_the_time(void *run)
{
        while (!stop) {
                (*(void (**)(void))run)();
                rounds++;
        }
        return NULL;
}

/*
 * ---- before and after
 * ------------------------------------------------------------------------------------------------
 */

/** Waits until the counter is there with at least this value. */
static void await_value(int fd, int fid, unsigned long long least)
{
        char text[MAPI_ERRORSTR_LENGTH];

        while (value(__LINE__, mapi_read_results(fd, fid)) < least || error_is(text) != 0)
                (void)sched_yield();
}

static void prepare(void)
{
        mapi_function_info_t function;
        mapi_flow_info_t flow;

        live = MUST(mapi_create_flow("live"));
        counter = MUST(mapi_apply_function(live, "PKT_COUNTER"));
        buffer = MUST(mapi_apply_function(live, "TO_BUFFER"));
        private_flow = MUST(mapi_create_flow(trace));
        MUST(mapi_apply_function(private_flow, "BPF_FILTER", "tcp"));
        private_counter = MUST(mapi_apply_function(private_flow, "PKT_COUNTER"));
        device = mapi_create_offline_device(trace, MFF_PCAP);
        if (device == NULL)
                MUST(-1);
        device_flow = MUST(mapi_create_flow(device));
        MUST(mapi_apply_function(device_flow, "BPF_FILTER", "udp"));
        device_counter = MUST(mapi_apply_function(device_flow, "PKT_COUNTER"));
        MUST(mapi_get_flow_info(live, &flow)); /* the answers that are given while mapid is away */
        MUST(mapi_get_function_info(live, counter, &function));
        silent = MUST(mapi_create_flow("live"));
        MUST(mapi_apply_function(silent, "BPF_FILTER", "host 1.2.3.4 and host 4.3.2.1"));
        silent_buffer = MUST(mapi_apply_function(silent, "TO_BUFFER"));
        MUST(mapi_connect(live));
        MUST(mapi_connect(private_flow));
        MUST(mapi_connect(device_flow));
        MUST(mapi_connect(silent));
        MUST(mapi_start_offline_device(device));
        await_value(private_flow, private_counter, tcp);
        await_value(device_flow, device_counter, udp);
        await_value(live, counter, ENOUGH);
}

static void check_function(int fd, int fid, const char *name)
{
        mapi_function_info_t i;

        MUST(mapi_get_function_info(fd, fid, &i));
        if (i.fid != fid || strcmp(i.name, name) != 0)
                fail(__LINE__, "function %d of flow %d is %d, %s", fid, fd, i.fid, i.name);
}

static void finished(int fd)
{
        mapi_flow_info_t i;

        do
                MUST(mapi_get_flow_info(fd, &i));
        while (i.status == FLOW_ACTIVE);
        if (i.fd != fd || i.status != FLOW_FINISHED)
                fail(__LINE__, "flow %d has status %d", i.fd, (int)i.status);
}

/** Everything is there again, with the numbers that it had, and has begun anew. */
static void check_back(void)
{
        struct mapi_stat64 s;
        unsigned long long now;
        mapi_device_info_t info;
        int more;

        while (MAY(mapi_get_next_device_info(0, &info)) < 0) /* the library tries again every now and then */
                (void)sched_yield();
        await_value(live, counter, 1);
        now = value(__LINE__, mapi_read_results(live, counter));
        if (mapi_stats64("live", &s) != 1)
                MUST(-1);
        if (now > s.seen)
                fail(__LINE__, "%llu packets counted, of %llu", now, s.seen);
        await_value(private_flow, private_counter, tcp);
        await_value(device_flow, device_counter, udp);
        finished(private_flow);
        finished(device_flow);
        if (value(__LINE__, mapi_read_results(private_flow, private_counter)) != tcp ||
            value(__LINE__, mapi_read_results(device_flow, device_counter)) != udp)
                fail(__LINE__, "other numbers than before");
        check_function(live, counter, "PKT_COUNTER");
        check_function(live, buffer, "TO_BUFFER");
        check_function(private_flow, private_counter, "PKT_COUNTER");
        check_function(device_flow, device_counter - 1, "BPF_FILTER");
        if (strcmp(doing, "silence") != 0)
                do_packet();
        more = MUST(mapi_create_flow("live"));
        if (more <= silent)
                fail(__LINE__, "the next flow is %d, behind %d", more, silent);
        MUST(mapi_close_flow(more));
        MUST(mapi_close_flow(live));
        MUST(mapi_close_flow(private_flow));
        MUST(mapi_close_flow(device_flow));
        MUST(mapi_delete_offline_device(device));
}

int main(int argc, char **argv)
{
        unsigned i = 0;
        pthread_t thread;
        char line[16];

        if (argc != 5)
                return 2;
        doing = argv[1];
        trace = argv[2];
        tcp = strtoull(argv[3], NULL, 10);
        udp = strtoull(argv[4], NULL, 10);
        while (i < sizeof calls / sizeof calls[0] && strcmp(calls[i].name, doing) != 0)
                i++;
        if (i == sizeof calls / sizeof calls[0])
                return 2;
        (void)alarm(LIMIT_S);
        prepare();
        if (pthread_create(&thread, NULL, all_the_time, (void *)(uintptr_t)&calls[i].run) != 0)
                return 2;
        (void)printf("ready\n");
        (void)fflush(stdout);
        while (fgets(line, sizeof line, stdin) != NULL && line[0] != 'b')
                ;
        stop = true;
        if (strcmp(doing, "silence") == 0) {
                check_back();
                MUST(mapi_close_flow(silent));
        }
        (void)pthread_join(thread, NULL);
        if (strcmp(doing, "silence") != 0) {
                check_back();
                MUST(mapi_close_flow(silent));
        }
        (void)printf("ok %s: %llu rounds%s\n", doing, rounds, gone ? ", saw mapid away" : "");
        return 0;
}
