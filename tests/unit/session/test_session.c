/* session: names, limits, references, closing while something is under way; no descriptor is ever left.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "session/session.h"

#include "bench.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* Two libraries: the second has a function of the same name as one of the first. */
static const struct mapi_function second_counter = {
        .name = "PKT_COUNTER",
        .result = { .kind = MAPI_RESULT_COUNTER, .size = 8, .unit = "none", .combine = MAPI_COMBINE_SUM },
        .shape = MAPI_OBSERVER,
};
static const struct mapi_function *const second[] = { &second_counter, &shapes_none, NULL };

static struct session_library libraries[4];

static struct {
        struct engine *engine;
        struct session *session;
        struct script script[2];
        struct device *device[2];
        unsigned descriptors;
} x;

static struct session_options options(void)
{
        return (struct session_options){ .limits = { .flows = 1000,
                                                     .memory_bytes = (size_t)1 << 30,
                                                     .ring_bytes = 4096,
                                                     .sink_bytes = 4096 },
                                         .uid = 4711,
                                         .libraries = libraries };
}

static void open_session(const struct session_options *o)
{
        x.session = session_new(x.engine, o);
        assert_non_null(x.session);
}

static int setup(void **state)
{
        struct session_options o = options();
        struct rig rig;

        rig_init(&rig); /* makes the packets */
        rig_fini(&rig);
        libraries[0] = (struct session_library){ .name = "stdflib", .functions = mapi_lib_stdflib };
        libraries[1] = (struct session_library){ .name = "shapes", .functions = shapes };
        libraries[2] = (struct session_library){ .name = "second", .functions = second };
        memset(&x, 0, sizeof x);
        x.descriptors = bench_descriptors();
        x.engine = bench_engine(1);
        for (unsigned i = 0; i < 2; i++) {
                x.script[i].packets = 1000;
                x.device[i] = bench_device(x.engine, &x.script[i], true);
        }
        open_session(&o);
        return 0;
}

static int close_flow(int fd)
{
        struct mapi_error err;
        struct flow *f = NULL;
        int r = session_close_begin(x.session, fd, &f, &err);

        if (r == 0 && f != NULL) {
                engine_flow_finish(f);
                session_close_end(x.session, f);
        }
        return r;
}

static void close_session(void)
{
        struct flow *f;

        while ((f = session_next_flow(x.session, 0)) != NULL)
                assert_int_equal(close_flow(engine_flow_number(f)), 0);
        for (unsigned i = 0; i < 2; i++) {
                struct engine_device_facts facts;

                engine_device_facts(x.device[i], &facts);
                assert_int_equal(facts.flows, 0);
        }
        session_free(&x.session);
        session_free(&x.session);
}

static int teardown(void **state)
{
        close_session();
        for (unsigned i = 0; i < 2; i++)
                engine_device_remove(&x.device[i]);
        engine_free(&x.engine);
        assert_int_equal(bench_descriptors(), x.descriptors);
        assert_int_equal(shapes_alive, 0);
        return 0;
}

static int create(unsigned device)
{
        struct mapi_error err = { 0 };
        int fd = session_create_flow(x.session, x.device[device], 0, &err);

        if (fd <= 0)
                fail_msg("%s", err.text);
        return fd;
}

/** As many values as the schema has; what is not given is 0. */
static int apply(int fd, const char *name, const struct mapi_value *values, uint32_t n, struct mapi_error *err)
{
        struct mapi_value v[MAPI_ARGS_MAX] = { { 0 } };
        const struct mapi_function *def;
        struct flow *closed = (void *)&closed;
        struct instance *in;
        const char *library;
        uint32_t schema = 0;
        int r;

        if (session_find_function(x.session, name, &def, &library, err) == 0)
                while (def->args != NULL && def->args[schema].letter != 0)
                        schema++;
        for (uint32_t i = 0; i < MAPI_ARGS_MAX; i++)
                v[i] = i < n ? values[i] : NUM(0);
        r = session_apply_begin(x.session, fd, name, v, schema > n ? schema : n, &in, err);
        if (r < 0)
                return r;
        assert_true(session_busy(x.session, fd));
        r = session_apply_end(x.session, fd, in, instance_start(in, err), &closed, err);
        assert_null(closed);
        assert_false(session_busy(x.session, fd));
        return r;
}

static int plain(int fd, const char *name)
{
        struct mapi_error err = { 0 };
        int r = apply(fd, name, NULL, 0, &err);

        if (r <= 0)
                fail_msg("%s: %s", name, err.text);
        return r;
}

static void run(unsigned device)
{
        engine_device_start(x.device[device]);
        while (engine_step(x.device[device], 10) == ENGINE_WORKED)
                ;
}

/* ---- names -------------------------------------------------------------------------------------------------- */

static void names(void **state)
{
        static const struct {
                const char *name, *library; /* NULL: not found */
                int second;
        } rows[] = {
                { "PKT_COUNTER", "stdflib", 0 },
                { "stdflib:PKT_COUNTER", "stdflib", 0 },
                { "second:PKT_COUNTER", "second", 1 },
                { "PKT_COUNTER!1", "stdflib", 0 },
                { "second:PKT_COUNTER!1", "second", 1 },
                { "PKT_COUNTER!2", NULL, 0 },
                { "PKT_COUNTER!", NULL, 0 },
                { "PKT_COUNTER!11", NULL, 0 },
                { "PKT_COUNTER!1.5", NULL, 0 },
                { "second:PKT_COUNTER!1!1", NULL, 0 },
                { "pkt_counter", NULL, 0 },
                { "PKT_COUNTE", NULL, 0 },
                { "PKT_COUNTERS", NULL, 0 },
                { " PKT_COUNTER", NULL, 0 },
                { "PKT_COUNTER ", NULL, 0 },
                { "stdfli:PKT_COUNTER", NULL, 0 },
                { "stdflib2:PKT_COUNTER", NULL, 0 },
                { ":PKT_COUNTER", NULL, 0 },
                { "stdflib:", NULL, 0 },
                { "stdflib", NULL, 0 },
                { "shapes:PKT_COUNTER", NULL, 0 },
                { "stdflib:second:PKT_COUNTER", NULL, 0 },
                { "PKT_COUNTER!1:second", NULL, 0 },
                { "", NULL, 0 },
                { ":", NULL, 0 },
                { "!", NULL, 0 },
                { "!1", NULL, 0 },
                { ":!1", NULL, 0 },
        };

        for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                const struct mapi_function *def = NULL;
                const char *library = NULL;
                struct mapi_error err = { 0 };
                int r = session_find_function(x.session, rows[i].name, &def, &library, &err);

                if (rows[i].library == NULL) {
                        if (r != -MAPI_FUNCTION_NOT_FOUND || def != NULL || library != NULL)
                                fail_msg("'%s' gives %d", rows[i].name, r);
                        assert_int_equal(err.code, MAPI_FUNCTION_NOT_FOUND);
                        continue;
                }
                assert_int_equal(r, 0);
                assert_string_equal(library, rows[i].library);
                assert_string_equal(def->name, "PKT_COUNTER");
                assert_int_equal(def == &second_counter, rows[i].second);
        }
}

static void long_names(void **state)
{
        const struct mapi_function *def = NULL;
        struct mapi_error err = { 0 };
        char *name = malloc(100001);
        const char *library;

        assert_non_null(name);
        memset(name, 'A', 100000);
        name[100000] = '\0';
        assert_int_equal(session_find_function(x.session, name, &def, &library, &err), -MAPI_FUNCTION_NOT_FOUND);
        assert_true(strlen(err.text) < 200);
        free(name);
}

static void list_of_libraries(void **state)
{
        assert_string_equal(session_library(x.session, 0)->name, "stdflib");
        assert_string_equal(session_library(x.session, 2)->name, "second");
        assert_null(session_library(x.session, 3));
        assert_null(session_library(x.session, INT_MAX));
        assert_null(session_library(x.session, -1));
        assert_null(session_library(x.session, INT_MIN));
}

/* ---- flows -------------------------------------------------------------------------------------------------- */

/* Many flows, closed in any order: each number finds its flow, and none that is closed. */
static void numbers(void **state)
{
        enum { N = 300 };
        bool open[N + 1] = { false };
        uint32_t rnd = 1;
        int next = 0;
        struct flow *f;

        for (int i = 1; i <= N; i++) {
                assert_int_equal(create((unsigned)i % 2), i);
                open[i] = true;
        }
        for (unsigned step = 0; step < 400; step++) {
                int fd;

                rnd = rnd * 1664525 + 1013904223;
                fd = 1 + (int)((rnd >> 8) % N);
                assert_int_equal(close_flow(fd), open[fd] ? 0 : -MAPI_INVALID_FLOW);
                open[fd] = false;
        }
        for (int i = 1; i <= N; i++) {
                f = session_flow(x.session, i);
                assert_int_equal(f != NULL, open[i]);
                if (f != NULL)
                        assert_int_equal(engine_flow_number(f), i);
        }
        for (int i = 1; i <= N; i++) {
                if (!open[i])
                        continue;
                f = session_next_flow(x.session, next);
                assert_int_equal(engine_flow_number(f), i);
                next = i;
        }
        assert_null(session_next_flow(x.session, next));
        assert_int_equal(create(0), N + 1);
}

static void numbers_that_are_none(void **state)
{
        static const int wrong[] = { 0, -1, 2, INT_MAX, INT_MIN };
        int fd = create(0);

        for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
                struct mapi_error err = { 0 };

                assert_null(session_flow(x.session, wrong[i]));
                assert_false(session_busy(x.session, wrong[i]));
                assert_int_equal(close_flow(wrong[i]), -MAPI_INVALID_FLOW);
                assert_int_equal(session_connect(x.session, wrong[i], &err), -MAPI_INVALID_FLOW);
                assert_int_equal(apply(wrong[i], "PKT_COUNTER", NULL, 0, &err), -MAPI_INVALID_FLOW);
                assert_int_equal(err.code, MAPI_INVALID_FLOW);
        }
        assert_int_equal(engine_flow_number(session_next_flow(x.session, INT_MIN)), fd);
        assert_null(session_next_flow(x.session, INT_MAX));
}

static void facts(void **state)
{
        int fd = create(1);
        struct flow *f = session_flow(x.session, fd);
        struct session_flow_facts a;

        plain(fd, "PKT_COUNTER");
        plain(fd, "BYTE_COUNTER");
        session_flow_facts(x.session, f, &a);
        assert_int_equal(a.fd, fd);
        assert_int_equal(a.uid, 4711);
        assert_int_equal(a.functions, 2);
        assert_int_equal(a.start, 0);
        assert_int_equal(a.end, 0);
        assert_int_equal(a.status, FLOW_INIT);
        assert_ptr_equal(a.device, x.device[1]);
        assert_int_equal(session_connect(x.session, fd, NULL), 0);
        session_flow_facts(x.session, f, &a);
        assert_int_equal(a.start, BENCH_NOW);
        assert_int_equal(a.end, 0);
        assert_int_equal(a.status, FLOW_ACTIVE);
        run(1);
        session_flow_facts(x.session, f, &a);
        assert_int_equal(a.end, BENCH_NOW);
        assert_int_equal(a.status, FLOW_FINISHED);
}

static void calls_in_the_wrong_order(void **state)
{
        struct mapi_error err = { 0 };
        int fd = create(0);

        assert_int_equal(apply(fd, "NO_SUCH", NULL, 0, &err), -MAPI_FUNCTION_NOT_FOUND);
        plain(fd, "PKT_COUNTER");
        assert_int_equal(session_connect(x.session, fd, &err), 0);
        assert_int_equal(session_connect(x.session, fd, &err), -MDLIB_FLOW_ALREADY_ACTIVE);
        assert_int_equal(apply(fd, "PKT_COUNTER", NULL, 0, &err), -MFUNCT_COULD_NOT_APPLY_FUNCT);
        run(0);
        assert_int_equal(apply(fd, "PKT_COUNTER", NULL, 0, &err), -MFUNCT_COULD_NOT_APPLY_FUNCT);
        assert_int_equal(close_flow(fd), 0);
        assert_int_equal(close_flow(fd), -MAPI_INVALID_FLOW);
}

/* ---- references --------------------------------------------------------------------------------------------- */

static int stats(int fd, long long flow, long long function, struct mapi_error *err)
{
        return apply(fd, "STATS", (struct mapi_value[]){ NUM(flow), NUM(function), STR("0") }, 3, err);
}

static void references(void **state)
{
        static const long long wrong[] = {
                0, -1, 4711, INT_MAX, (long long)INT_MAX + 1, ((long long)1 << 32) + 1, LLONG_MIN
        };
        int a = create(0), b = create(0), other = create(1), counter, filter, record, foreign;
        struct mapi_error err = { 0 };

        counter = plain(a, "PKT_COUNTER");
        filter = apply(a, "BPF_FILTER", &STR("tcp"), 1, &err);
        record = plain(a, "T_TALLY");
        foreign = plain(other, "PKT_COUNTER");
        assert_true(stats(a, a, counter, &err) > 0);
        assert_true(stats(b, a, counter, &err) > 0);
        for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
                assert_int_equal(stats(b, wrong[i], counter, &err), -MFUNCT_INVALID_ARGUMENT_1);
                assert_int_equal(err.code, MFUNCT_INVALID_ARGUMENT_1);
                assert_int_equal(stats(b, a, wrong[i], &err), -MFUNCT_INVALID_ARGUMENT_1);
        }
        assert_int_equal(stats(b, other, foreign, &err), -MFUNCT_INVALID_ARGUMENT_1);
        assert_non_null(strstr(err.text, "another device"));
        assert_int_equal(stats(b, a, filter, &err), -MFUNCT_INVALID_ARGUMENT_1);
        assert_non_null(strstr(err.text, "BPF_FILTER has no number"));
        assert_int_equal(stats(b, a, record, &err), -MFUNCT_INVALID_ARGUMENT_1);
        /* the second pair has the code of its own position */
        assert_int_equal(
                apply(b, "T_WATCH", (struct mapi_value[]){ NUM(a), NUM(counter), NUM(a), NUM(99) }, 4, &err),
                -MFUNCT_INVALID_ARGUMENT_3);
        assert_true(apply(b, "T_WATCH", (struct mapi_value[]){ NUM(a), NUM(counter), NUM(a), NUM(counter) }, 4,
                          &err) > 0);
        assert_int_equal(close_flow(a), 0);
        assert_int_equal(stats(b, a, counter, &err),
                         -MFUNCT_INVALID_ARGUMENT_1); /* closed, although it is still read */
}

/* A flow that others read is closed first: its value stands still, and the session closes as any other. */
static void read_after_close(void **state)
{
        int a = create(0), b = create(0), fid;
        struct mapi_error err = { 0 };
        struct instance *in;

        assert_int_equal(plain(a, "PKT_COUNTER"), 1);
        fid = stats(b, a, 1, &err);
        assert_true(fid > 0);
        in = engine_function(session_flow(x.session, b), fid, false);
        assert_int_equal(session_connect(x.session, a, &err), 0);
        assert_int_equal(session_connect(x.session, b, &err), 0);
        engine_device_start(x.device[0]);
        assert_int_equal(engine_step(x.device[0], 1), ENGINE_WORKED);
        assert_int_equal(close_flow(a), 0);
        run(0);
        assert_int_equal(rig_stats_of(in).count, 1000);
        assert_true(rig_stats_of(in).max == 64);
        assert_true(rig_stats_of(in).sum == 64 * 65 / 2 + (1000 - 64) * 64);
}

/* ---- closing while a function is being applied -------------------------------------------------------------- */

static void busy(void **state)
{
        int fd = create(0), other = create(0);
        struct mapi_error err = { 0 };
        struct flow *closed = NULL, *f;
        struct instance *in;
        struct mapi_value v = { .str = "file", .fd = memfd_create("file", MFD_CLOEXEC) };

        assert_int_equal(session_apply_begin(x.session, fd, "T_LINES", &v, 1, &in, &err), 0);
        assert_true(session_busy(x.session, fd));
        assert_false(session_busy(x.session, other));
        assert_int_equal(apply(fd, "PKT_COUNTER", NULL, 0, &err), -MFUNCT_COULD_NOT_APPLY_FUNCT);
        assert_int_equal(session_connect(x.session, fd, &err), -MFUNCT_COULD_NOT_APPLY_FUNCT);
        assert_int_equal(stats(other, fd, 1, &err), -MFUNCT_INVALID_ARGUMENT_1); /* it is not there yet */
        assert_int_equal(session_apply_end(x.session, fd, in, instance_start(in, &err), &closed, &err), 1);
        assert_null(closed);
        assert_int_equal(session_connect(x.session, fd, &err), 0);
        f = session_flow(x.session, fd);
        assert_int_equal(engine_flow_functions(f), 1);
}

static void closed_while_busy(void **state)
{
        for (unsigned fails = 0; fails < 2; fails++) {
                int before = create(0), fd = create(0), after = create(0);
                struct flow *closed = NULL, *f = (void *)&closed, *then = session_flow(x.session, fd);
                struct mapi_value v = { .str = "file", .fd = memfd_create("file", MFD_CLOEXEC) };
                struct mapi_error err = { 0 };
                struct instance *in;
                int started;

                plain(fd, "PKT_COUNTER");
                assert_int_equal(session_apply_begin(x.session, fd, "T_LINES", &v, 1, &in, &err), 0);
                assert_int_equal(session_close_begin(x.session, fd, &f, &err), 0);
                assert_null(f); /* whoever applies closes it */
                assert_null(session_flow(x.session, fd));
                assert_int_equal(session_close_begin(x.session, fd, &f, &err), -MAPI_INVALID_FLOW);
                assert_ptr_equal(session_next_flow(x.session, before), session_flow(x.session, after));
                assert_int_equal(apply(fd, "PKT_COUNTER", NULL, 0, &err), -MAPI_INVALID_FLOW);
                started = fails ? -MAPI_ERROR_FILE : instance_start(in, &err);
                assert_int_equal(session_apply_end(x.session, fd, in, started, &closed, &err), -MAPI_INVALID_FLOW);
                assert_ptr_equal(closed, then);
                engine_flow_finish(closed);
                session_close_end(x.session, closed);
                assert_non_null(session_flow(x.session, before));
                assert_non_null(session_flow(x.session, after));
        }
}

/* ---- limits ------------------------------------------------------------------------------------------------- */

static void limit_of_flows(void **state)
{
        struct session_options o = options();
        struct mapi_error err = { 0 };

        close_session();
        o.limits.flows = 3;
        open_session(&o);
        for (unsigned i = 0; i < 3; i++)
                assert_true(create(0) > 0);
        assert_int_equal(session_create_flow(x.session, x.device[0], 0, &err), -MAPI_LIMIT_ERROR);
        assert_int_equal(err.code, MAPI_LIMIT_ERROR);
        assert_non_null(strstr(err.text, "3 flows"));
        assert_int_equal(close_flow(2), 0);
        assert_true(create(0) > 0);
        assert_int_equal(session_create_flow(x.session, x.device[0], 0, &err), -MAPI_LIMIT_ERROR);
}

/* Whatever the limit of memory: flows until it is reached, a clean error then, and room again when some are
   closed. */
static void limit_of_memory(void **state)
{
        unsigned most = 0;

        close_session();
        for (size_t limit = 0; limit < (4u << 20); limit += 150000) {
                struct session_options o = options();
                struct mapi_error err = { 0 };
                unsigned n = 0;
                int r, last = 0;

                o.limits.memory_bytes = limit;
                x.session = session_new(x.engine, &o);
                if (x.session == NULL)
                        continue;
                while ((r = session_create_flow(x.session, x.device[0], 0, &err)) > 0) {
                        last = r;
                        n++;
                        if ((r = apply(r, "TO_BUFFER", NULL, 0, &err)) < 0)
                                break;
                }
                assert_true(r == -MAPI_LIMIT_ERROR || r == -MDLIB_SHM_ERR || r == -MAPID_MEM_ALLOCATION_ERROR);
                assert_int_equal(r, -err.code);
                if (n > 1) { /* one goes, one comes */
                        assert_int_equal(close_flow(last - 1), 0);
                        assert_true(session_create_flow(x.session, x.device[0], 0, &err) > 0);
                }
                most = n > most ? n : most;
                close_session();
                assert_int_equal(bench_descriptors(), x.descriptors);
        }
        assert_in_range(most, 2, 8); /* each has a ring of 1 MiB: two of the longest packets must fit */
        {
                struct session_options o = options();

                open_session(&o);
        }
}

/* ---- descriptors -------------------------------------------------------------------------------------------- */

/* The descriptor that comes with a request is the session's, on every path that fails. */
static void descriptors(void **state)
{
        static const char *const names[] = { "TO_FILE", "NO_SUCH", "stdflib:TO_FILE!2" };
        int connected = create(0), fresh = create(0), applying = create(0);
        int targets[] = { connected, fresh, applying, 4711, -1, 0 };
        struct mapi_error err = { 0 };
        struct flow *closed;
        struct instance *in;
        unsigned before;

        assert_int_equal(session_connect(x.session, connected, &err), 0);
        assert_int_equal(session_apply_begin(x.session, applying, "PKT_COUNTER", NULL, 0, &in, &err), 0);
        before = bench_descriptors();
        for (unsigned t = 0; t < sizeof targets / sizeof targets[0]; t++)
                for (unsigned i = 0; i < 3; i++) {
                        struct mapi_value v[3] = { NUM(77), STR("file"), NUM(0) }; /* there is no format 77 */

                        v[1].fd = memfd_create("f", MFD_CLOEXEC);
                        assert_true(v[1].fd >= 0);
                        assert_true(apply(targets[t], names[i], v, 3, &err) < 0);
                        assert_int_equal(bench_descriptors(), before);
                }
        assert_int_equal(session_apply_end(x.session, applying, in, instance_start(in, &err), &closed, &err), 1);
        assert_int_equal(bench_descriptors(), before);
}

/* In the child of a fork: everything that the session had open is closed there, nothing is disturbed here. */
static void abandoned_after_fork(void **state)
{
        int fd = create(0), status;
        struct mapi_error err = { 0 };
        struct mapi_value v = { .str = "file", .fd = memfd_create("file", MFD_CLOEXEC) };
        pid_t child;

        plain(fd, "PKT_COUNTER");
        plain(fd, "TO_BUFFER");
        assert_true(apply(fd, "T_LINES", &v, 1, &err) > 0);
        assert_int_equal(session_connect(x.session, fd, &err), 0);
        assert_true(bench_descriptors() >= x.descriptors + 3);
        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
                session_abandon(x.session);
                _exit(bench_descriptors() == x.descriptors ? 0 : 1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        assert_true(bench_descriptors() >= x.descriptors + 3);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
                TEST(names),
                TEST(long_names),
                TEST(list_of_libraries),
                TEST(numbers),
                TEST(numbers_that_are_none),
                TEST(facts),
                TEST(calls_in_the_wrong_order),
                TEST(references),
                TEST(read_after_close),
                TEST(busy),
                TEST(closed_while_busy),
                TEST(limit_of_flows),
                TEST(limit_of_memory),
                TEST(descriptors),
                TEST(abandoned_after_fork),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
