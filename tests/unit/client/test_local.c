/*
 * The local backend against a scripted mapid: every call's request and answer, descriptors in both directions, and that neither
 * threads nor signal handlers confuse it.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "local_calls.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

/* ---- opening ------------------------------------------------------------------------------------------------------ */

static void open_fails(const char *path, const char *part)
{
        struct backend_options options = { .path = path };
        struct mapi_error err = { 0 };
        void *state = NULL;

        assert_int_equal(backend_local.open(&options, &state, &err), -MCOM_INIT_SOCKET_ERROR);
        assert_int_equal(err.code, MCOM_INIT_SOCKET_ERROR);
        assert_null(state);
        if (strstr(err.text, path) == NULL || strstr(err.text, part) == NULL)
                fail_msg("'%s' in '%s'", part, err.text);
}

static void test_nobody_there(void **unused)
{
        unsigned before = open_descriptors();
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        char dir[] = "/tmp/mapi-test-nobody-XXXXXX", path[64], group[64];
        int fd, status;
        pid_t child;

        assert_non_null(mkdtemp(dir));
        (void)snprintf(path, sizeof path, "%s/s", dir);
        open_fails(path, "there is no such socket");
        (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
        open_fails(path, "nobody listens");
        assert_int_equal(listen(fd, 1), 0);
        if (geteuid() == 0) { /* rights do not stop root */
                assert_int_equal(chmod(path, 0660), 0);
                assert_int_equal(chmod(dir, 0755), 0);
                (void)snprintf(group, sizeof group, "it belongs to group root, and this user is not in it");
                child = fork();
                if (child == 0) {
                        if (setgroups(0, NULL) == 0 && setresgid(65534, 65534, 65534) == 0 &&
                            setresuid(65534, 65534, 65534) == 0)
                                open_fails(path, group);
                        _exit(0);
                }
                assert_int_equal(waitpid(child, &status, 0), child);
                assert_int_equal(status, 0);
        }
        (void)close(fd);
        (void)unlink(path);
        (void)rmdir(dir);
        open_fails("", "cannot be the name of a socket");
        assert_int_equal(open_descriptors(), before);
}

static bool close_at_once(struct scripted *s, const Mapi__Envelope *q, struct protocol_received *r)
{
        scripted_hang_up(s);
        return true;
}

static bool say_garbage(struct scripted *s, const Mapi__Envelope *q, struct protocol_received *r)
{
        (void)!send(s->conn, "\xff\xff\xff", 3, MSG_NOSIGNAL);
        (void)!send(s->conn, "\x10\x7f", 2, MSG_NOSIGNAL); /* an id that nobody waits for */
        scripted_hang_up(s);
        return true;
}

static bool refuse_without_id(struct scripted *s, const Mapi__Envelope *q, struct protocol_received *r)
{
        scripted_send_error(s, 0, MAPI_LIMIT_ERROR, "there are too many sessions");
        return true;
}

static void test_no_agreement(void **unused)
{
        struct scripted *s = scripted_start();
        unsigned before = open_descriptors();

        s->version = 2;
        open_fails(s->path, "scripted 1.0 speaks version 2 of the protocol, this program version 1");
        s->version = PROTOCOL_VERSION;
        s->results_version++;
        open_fails(s->path, "lays out results in version 2");
        s->results_version--;
        scripted_set_hook(s, close_at_once, NULL);
        open_fails(s->path, "it closed the connection");
        scripted_set_hook(s, say_garbage, NULL);
        open_fails(s->path, "it closed the connection");
        scripted_set_hook(s, refuse_without_id, NULL);
        open_fails(s->path, "there are too many sessions");
        scripted_set_hook(s, NULL, NULL);
        scripted_await(s, "eof", 3); /* nothing hangs on */
        assert_int_equal(open_descriptors(), before);
        scripted_stop(s);
}

/* ---- every call ------------------------------------------------------------------------------------------------------ */

static void test_requests(void **unused)
{
        unsigned before = open_descriptors();
        struct scripted *s = scripted_start();
        void *state = open_state(s);
        const struct backend *b = &backend_local;
        struct mapi_value v[3] = { { .num = -3, .fd = -1 },
                                   { .str = "name", .fd = -1 },
                                   { .u64 = 1ull << 40, .fd = -1 } };
        struct backend_source source = { .driver = "trace", .name = "t.pcap", .options = "x=1" };
        struct mapi_error err = { 0 };
        struct backend_function fn, again;
        struct backend_place place;
        char name[MAPI_STR_LENGTH];

        assert_int_equal(atomic_load(b->epoch(state)), 0);
        assert_true(b->device_known(state, "eth0"));
        assert_false(b->device_known(state, "eth1"));
        assert_int_equal(b->flow_create(state, "eth0", &err), 1);
        source.fd = sealed_memory(1);
        assert_int_equal(b->flow_create_private(state, &source, &err), 2);
        source.fd = sealed_memory(1);
        assert_int_equal(b->device_create(state, &source, name, &err), 0);
        assert_string_equal(name, "dev@1");
        assert_true(b->device_known(state, "dev@1"));
        assert_int_equal(b->flow_create(state, "dev@1", &err), 3);

        assert_int_equal(b->describe(state, 1, "NOTHING", &fn, &err), -MAPI_FUNCTION_NOT_FOUND);
        assert_string_equal(err.text, "no such function");
        assert_int_equal(b->describe(state, 1, "TO_FILE", &fn, &err), 0);
        assert_string_equal(fn.name, "TO_FILE");
        assert_int_equal(fn.args[0].letter, 'i');
        assert_int_equal(fn.args[1].letter, 'w');
        assert_int_equal(fn.args[2].letter, 'l');
        assert_int_equal(fn.args[2].max, 3);
        assert_int_equal(fn.args[3].letter, 0);
        assert_int_equal(b->describe(state, 3, "TO_FILE", &again, &err), 0); /* remembered */
        assert_ptr_equal(again.args, fn.args);
        v[1].fd = sealed_memory(1);
        assert_int_equal(b->apply(state, 1, "TO_FILE", v, 3, &err), 1);
        v[0] = (struct mapi_value){ .str = "tcp", .fd = -1 };
        assert_int_equal(b->apply(state, 1, "BPF_FILTER", v, 1, &err), 2); /* not asked for before */
        v[0].str = NULL;
        assert_int_equal(b->apply(state, 1, "BPF_FILTER", v, 1, &err), 3);
        v[0] = v[1] = (struct mapi_value){ .num = 1, .fd = -1 };
        assert_int_equal(b->apply(state, 3, "STATS", v, 2, &err), 1);

        assert_int_equal(b->place(state, 1, 0, &place, &err), -MAPI_FLOW_NOT_CONNECTED);
        assert_int_equal(b->connect(state, 1, &err), 0);
        assert_int_equal(b->status_place(state, 1, &place, &err), 0);
        assert_int_equal(place.segment, 3);
        assert_int_equal(place.entry, 1);
        assert_int_equal(b->place(state, 1, 2, &place, &err), 0);
        assert_int_equal(place.fid, 3);
        assert_int_equal(place.kind, MAPI_RESULT_COUNTER);
        assert_int_equal(place.size, 8);
        assert_int_equal(place.entry, 102);
        assert_int_equal(b->place(state, 1, 3, &place, &err), -MAPI_INVALID_FID_FUNCID);
        assert_int_equal(b->place(state, 9, 0, &place, &err), -MAPI_INVALID_FLOW);

        assert_int_equal(b->device_start(state, "dev@1", &err), 0);
        assert_int_equal(b->device_start(state, "dev@2", &err), -MAPID_NO_DEVICE);
        assert_int_equal(b->device_delete(state, "dev@1", &err), 0);
        assert_int_equal(b->device_delete(state, "dev@1", &err), -MAPID_NO_DEVICE);
        assert_int_equal(b->close_flow(state, 3, &err), 0);
        assert_int_equal(b->close_flow(state, 3, &err), -MAPI_INVALID_FLOW);
        assert_int_equal(b->close_flow(state, 1, &err), 0);
        b->close(state);
        scripted_await(s, "eof", 1);
        assert_string_equal(scripted_lines(s), "hello 1-1\nrequest 12\nrequest 12\n"
                                               "create_flow eth0 wanted 0\ncreate_flow private trace 1 wanted 0\n"
                                               "create_device trace 1\ncreate_flow dev@1 wanted 0\n"
                                               "describe 1 NOTHING\ndescribe 1 TO_FILE\n"
                                               "apply 1 TO_FILE(-3, file, 1099511627776u) 1\n"
                                               "describe 1 BPF_FILTER\napply 1 BPF_FILTER('tcp') 0\n"
                                               "apply 1 BPF_FILTER(none) 0\n"
                                               "describe 3 STATS\napply 3 STATS(1, 1) 0\n"
                                               "connect 1\nstart_device dev@1\ndelete_device dev@1\n"
                                               "close_flow 3\nclose_flow 1\neof\n");
        scripted_stop(s);
        assert_int_equal(open_descriptors(), before);
}

static void test_facts(void **unused)
{
        struct scripted *s = scripted_start();
        void *state = open_state(s);
        const struct backend *b = &backend_local;
        mapi_function_info_t function;
        mapi_libfunct_info_t libfunct;
        mapi_device_info_t device;
        mapi_lib_info_t library;
        struct mapi_stat64 stat;
        mapi_flow_info_t flow;
        struct mapi_error err;

        assert_int_equal(b->flow_info(state, 6, true, &flow, &err), 0);
        assert_int_equal(flow.fd, 7);
        assert_int_equal(flow.uid, 1);
        assert_int_equal(flow.devid, 2);
        assert_string_equal(flow.device, "eth0");
        assert_int_equal(flow.num_functions, 3);
        assert_int_equal(flow.start, 4);
        assert_int_equal(flow.end, 5);
        assert_int_equal(flow.status, FLOW_FINISHED);
        assert_int_equal(b->function_info(state, 1, 5, false, &function, &err), 0);
        assert_int_equal(function.fid, 5);
        assert_string_equal(function.name, "N");
        assert_string_equal(function.libname, "L");
        assert_string_equal(function.devtype, "1");
        assert_int_equal(function.pkts, 10);
        assert_int_equal(function.passed_pkts, 9);
        assert_int_equal(function.result_size, 8);
        assert_int_equal(b->device_info(state, 3, true, &device, &err), 0);
        assert_int_equal(device.id, 4);
        assert_string_equal(device.device, "eth0");
        assert_string_equal(device.name, "replay");
        assert_string_equal(device.alias, "A");
        assert_string_equal(device.description, "D");
        assert_int_equal(device.link_speed, 2147483647);
        assert_int_equal(device.mpls, 1);
        assert_int_equal(device.vlan, 2);
        assert_int_equal(b->library_info(state, 1, &library, &err), 0);
        assert_int_equal(library.id, 1);
        assert_string_equal(library.libname, "stdflib");
        assert_int_equal(library.functs, 12);
        assert_int_equal(b->libfunct_info(state, 1, 2, &libfunct, &err), 0);
        assert_string_equal(libfunct.name, "F");
        assert_string_equal(libfunct.descr, "H");
        assert_string_equal(libfunct.argdescr, "si");
        assert_int_equal(b->stats(state, "eth9", &stat, &err), 0);
        assert_string_equal(stat.dev, "eth9");
        assert_string_equal(stat.hostname, "localhost");
        assert_int_equal(stat.seen, 100);
        assert_int_equal(b->flow_stats(state, 1, &stat, &err), 0);
        assert_int_equal(stat.delivered, 50);
        assert_int_equal(stat.filtered, 20);
        assert_int_equal(stat.dropped_interface, 12);
        assert_int_equal(stat.dropped_kernel, 9);
        assert_int_equal(stat.dropped_ring, 6);
        assert_int_equal(stat.dropped_file, 3);
        assert_int_equal(stat.down, 1);
        b->close(state);
        scripted_stop(s);
}

static void test_memory(void **unused)
{
        unsigned before = open_descriptors(), inside;
        struct scripted *s = scripted_start();
        void *state = open_state(s);
        const struct backend *b = &backend_local;
        struct backend_ring ring;
        struct mapi_error err;
        uint64_t count = 0;
        struct stat st;
        size_t size;
        int fd, event_fd;

        assert_int_equal(b->flow_create(state, "eth0", &err), 1);
        assert_int_equal(b->connect(state, 1, &err), 0);
        inside = open_descriptors();
        b->kick(state, 1); /* there is nothing to kick yet */
        fd = b->segment(state, 3, &size, &err);
        assert_int_equal(size, 8192);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, 8192);
        assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
        (void)close(fd);
        for (int i = 0; i < 3; i++) {
                assert_int_equal(b->ring(state, 1, 1, &ring, &err), 0);
                assert_int_equal(ring.size_bytes, 4096);
                assert_int_equal(ring.generation, 7);
                (void)close(ring.fd);
        }
        assert_int_equal(open_descriptors(), inside + 1); /* one to kick with */
        b->kick(state, 1);
        b->kick(state, 1);
        assert_int_equal(read(s->kick_fd, &count, sizeof count), sizeof count);
        assert_int_equal(count, 2);
        event_fd = b->event_fd(state, 1, &err);
        assert_true(event_fd >= 0);
        assert_int_equal(b->event_fd(state, 1, &err), event_fd);
        count = 5;
        assert_int_equal(write(s->event_fd, &count, sizeof count), sizeof count);
        assert_int_equal(read(event_fd, &count, sizeof count), sizeof count);
        assert_int_equal(count, 5);
        assert_int_equal(b->close_flow(state, 1, &err), 0);
        assert_int_equal(open_descriptors(), inside);
        b->close(state);
        scripted_stop(s);
        assert_int_equal(open_descriptors(), before);
}

/* ---- several at once -------------------------------------------------------------------------------------------------- */

struct asker {
        pthread_t thread;
        void *state;
        int number, asked, wrong;
};

static void *ask_flows(void *argument)
{
        struct asker *a = argument;
        struct mapi_error err;
        mapi_flow_info_t info;

        for (int i = 0; i < a->asked; i++)
                if (backend_local.flow_info(a->state, a->number + i, false, &info, &err) != 0 ||
                    info.fd != a->number + i)
                        a->wrong++;
        return NULL;
}

/** Keeps every first request until the next one is there, and answers that one before. */
static bool swap(struct scripted *s, const Mapi__Envelope *q, struct protocol_received *r)
{
        static Mapi__FlowInfo info;
        static Mapi__Envelope kept;

        if (q->body_case != MAPI__ENVELOPE__BODY_FLOW_INFO)
                return false;
        if (kept.id == 0) {
                kept = *q;
                info = *q->flow_info;
                kept.flow_info = &info;
                return true;
        }
        scripted_answer(s, q, r);
        scripted_answer(s, &kept, r);
        kept.id = 0;
        return true;
}

static void ask_at_once(unsigned threads, int asked, unsigned requests, scripted_hook hook)
{
        struct scripted *s = scripted_start();
        struct asker a[8] = { 0 };
        void *state;

        s->requests = requests;
        state = open_state(s);
        scripted_set_hook(s, hook, NULL);
        for (unsigned i = 0; i < threads; i++) {
                a[i] = (struct asker){ .state = state, .number = (int)i * 10000 + 1, .asked = asked };
                assert_int_equal(pthread_create(&a[i].thread, NULL, ask_flows, &a[i]), 0);
        }
        for (unsigned i = 0; i < threads; i++) {
                (void)pthread_join(a[i].thread, NULL);
                assert_int_equal(a[i].wrong, 0);
        }
        backend_local.close(state);
        scripted_stop(s);
}

static void test_out_of_order(void **unused)
{
        ask_at_once(2, 50, 0, swap);
}

static void test_threads(void **unused)
{
        ask_at_once(8, 200, 0, NULL);
        ask_at_once(8, 50, 3, NULL); /* two slots: they wait for one another */
}

/* ---- a signal handler ---------------------------------------------------------------------------------------------------- */

static struct {
        void *state;
        pthread_t thread;
        int closed, info;
        Mapi__Envelope kept;
} handling;

static void handler(int number)
{
        struct mapi_error err;
        mapi_flow_info_t info;

        handling.info = backend_local.flow_info(handling.state, 77, false, &info, &err) == 0 ? info.fd : -1;
        handling.closed = backend_local.close_flow(handling.state, 1, &err);
}

/** The first request is interrupted while it waits for its answer, which comes when the handler has had its own. */
static bool interrupt(struct scripted *s, const Mapi__Envelope *q, struct protocol_received *r)
{
        if (q->body_case == MAPI__ENVELOPE__BODY_TRACE_ERROR) {
                handling.kept = *q;
                (void)pthread_kill(handling.thread, SIGUSR1);
                return true;
        }
        scripted_answer(s, q, r);
        if (q->body_case == MAPI__ENVELOPE__BODY_CLOSE_FLOW)
                scripted_send_error(s, handling.kept.id, MAPI_TRACE_DAMAGED, "damaged");
        return true;
}

static void test_signal_handler(void **unused)
{
        struct scripted *s = scripted_start();
        struct sigaction action = { .sa_handler = handler }, old;
        struct mapi_error err;

        assert_int_equal(sigaction(SIGUSR1, &action, &old), 0);
        handling.state = open_state(s);
        handling.thread = pthread_self();
        assert_int_equal(backend_local.flow_create(handling.state, "eth0", &err), 1);
        assert_int_equal(backend_local.flow_create(handling.state, "eth0", &err), 2);
        scripted_set_hook(s, interrupt, NULL);
        assert_int_equal(backend_local.trace_error(handling.state, 2, &err), -MAPI_TRACE_DAMAGED);
        assert_int_equal(handling.info, 77);
        assert_int_equal(handling.closed, 0);
        backend_local.close(handling.state);
        (void)sigaction(SIGUSR1, &old, NULL);
        scripted_stop(s);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_nobody_there), cmocka_unit_test(test_no_agreement),
                cmocka_unit_test(test_requests),     cmocka_unit_test(test_facts),
                cmocka_unit_test(test_memory),       cmocka_unit_test(test_out_of_order),
                cmocka_unit_test(test_threads),      cmocka_unit_test(test_signal_handler),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
