/*
 * The local backend against a scripted mapid: every call's request and answer, descriptors in both directions, and that neither
 * wrong answers nor threads nor signal handlers confuse it.
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

/* ---- wrong answers ------------------------------------------------------------------------------------------------------ */

static bool wrong_kind(struct scripted *s, const Mapi__Envelope *q, struct protocol_received *r)
{
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        Mapi__Libraries m = MAPI__LIBRARIES__INIT;
        int fds[3] = { s->ring_fd, s->kick_fd, s->event_fd };

        e.body_case = MAPI__ENVELOPE__BODY_LIBRARIES;
        e.libraries = &m;
        scripted_send(s, q->id + (1 << 20), &e, fds, 3); /* nobody waits for this */
        scripted_send(s, q->id | 0xffff, &e, fds, 3);    /* nor for this */
        scripted_send(s, q->id, &e, fds, 3);
        scripted_send(s, q->id, &e, fds, 3); /* nor for another one */
        return true;
}

static bool an_error(struct scripted *s, const Mapi__Envelope *q, struct protocol_received *r)
{
        scripted_send_error(s, q->id, 7003, "the third");
        return true;
}

static bool no_error(struct scripted *s, const Mapi__Envelope *q, struct protocol_received *r)
{
        scripted_send_error(s, q->id, -5, "a bad number");
        return true;
}

static bool damaged(struct scripted *s, const Mapi__Envelope *q, struct protocol_received *r)
{
        uint8_t bytes[32] = { 0x08, 1, 0x10 }; /* version, id, and a body that is longer than it is */
        unsigned n = 3;
        uint64_t id;

        for (id = q->id; id >= 128; id >>= 7)
                bytes[n++] = (uint8_t)(id | 128);
        bytes[n++] = (uint8_t)id;
        bytes[n++] = 0xea; /* field 61, with a length */
        bytes[n++] = 3;
        bytes[n++] = 1;
        bytes[n++] = 0xff;
        (void)!send(s->conn, bytes, n, MSG_NOSIGNAL);
        return true;
}

/** Calls that ask: all fail with this code, nothing leaks, and the connection goes on. */
static void all_fail(scripted_hook hook, int code)
{
        struct scripted *s = scripted_start();
        void *state = open_state(s);
        struct mapi_error err;
        mapi_flow_info_t info;
        unsigned before;

        prepare_calls(state);
        before = open_descriptors();
        scripted_set_hook(s, hook, NULL);
        for (const struct call *c = calls; c->name != NULL; c++) {
                int r = c->run(state, &err);

                if (c->known_only ? r != 0 : r != -code || err.code != code)
                        fail_msg("%s: %d, %s", c->name, r, err.text);
                if (open_descriptors() != before)
                        fail_msg("%s leaks", c->name);
        }
        scripted_set_hook(s, NULL, NULL);
        assert_int_equal(backend_local.flow_info(state, 5, false, &info, &err), 0);
        assert_int_equal(info.fd, 5);
        assert_int_equal(atomic_load(backend_local.epoch(state)), 0);
        backend_local.close(state);
        scripted_stop(s);
}

static void test_wrong_kind(void **unused)
{
        all_fail(wrong_kind, MCOM_UNKNOWN_ERROR);
}

static void test_errors(void **unused)
{
        all_fail(an_error, 7003);
        all_fail(no_error, MCOM_UNKNOWN_ERROR);
        all_fail(damaged, MCOM_UNKNOWN_ERROR);
}

/** The right kind, but without descriptors, or with some that are not what they should be. */
static bool wrong_fds(struct scripted *s, const Mapi__Envelope *q, struct protocol_received *r)
{
        const int *fds = s->hook_data;
        int saved[4] = { s->segment_fd, s->ring_fd, s->kick_fd, s->event_fd };

        if (fds[0] < 0) {
                scripted_send_done(s, q->id);
                return true;
        }
        s->segment_fd = s->ring_fd = s->kick_fd = s->event_fd = fds[0];
        scripted_answer(s, q, r);
        s->segment_fd = saved[0];
        s->ring_fd = saved[1];
        s->kick_fd = saved[2];
        s->event_fd = saved[3];
        return true;
}

static void test_wrong_descriptors(void **unused)
{
        struct scripted *s = scripted_start();
        void *state = open_state(s);
        const struct backend *b = &backend_local;
        int small = sealed_memory(100), null = open("/dev/null", O_RDWR | O_CLOEXEC), none = -1, p[2];
        struct backend_ring ring;
        struct mapi_error err;
        unsigned before;
        size_t size;

        assert_int_equal(pipe2(p, O_CLOEXEC), 0);
        (void)close(p[0]); /* writing into it would end the program */
        prepare_calls(state);
        before = open_descriptors();
        for (int *fd = (int[]){ small, null, p[1], none, -2 }; *fd != -2; fd++) {
                scripted_set_hook(s, wrong_fds, fd);
                assert_int_equal(b->segment(state, 3, &size, &err), -MCOM_UNKNOWN_ERROR);
                assert_int_equal(b->ring(state, 1, 1, &ring, &err), -MCOM_UNKNOWN_ERROR);
                assert_int_equal(b->event_fd(state, 1, &err), -MCOM_UNKNOWN_ERROR);
                assert_int_equal(open_descriptors(), before);
        }
        scripted_set_hook(s, NULL, NULL);
        b->close(state);
        (void)close(small);
        (void)close(null);
        (void)close(p[1]);
        scripted_stop(s);
}

static bool strange_places(struct scripted *s, const Mapi__Envelope *q, struct protocol_received *r)
{
        Mapi__Connected m = MAPI__CONNECTED__INIT;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        Mapi__Place status = MAPI__PLACE__INIT, place = MAPI__PLACE__INIT;
        static Mapi__Place *many[LOCAL_PLACES + 1];
        bool kind = *(bool *)s->hook_data;
        Mapi__Large large = MAPI__LARGE__INIT;
        uint8_t *bytes;
        size_t len;
        int fd;

        if (q->body_case != MAPI__ENVELOPE__BODY_CONNECT)
                return false;
        place.kind = kind ? 17 : 0;
        m.status = &status;
        m.n_function = kind ? 1 : LOCAL_PLACES + 1;
        m.function = many;
        for (size_t i = 0; i < m.n_function; i++)
                many[i] = &place;
        e.body_case = MAPI__ENVELOPE__BODY_CONNECTED;
        e.connected = &m;
        e.version = 1;
        e.id = q->id;
        bytes = malloc(PROTOCOL_LARGE_MAX);
        assert_int_equal(protocol_pack(&e, bytes, PROTOCOL_LARGE_MAX, &len, NULL), 0);
        fd = protocol_large_write(bytes, len, NULL);
        free(bytes);
        large.size_bytes = len;
        e = (Mapi__Envelope)MAPI__ENVELOPE__INIT;
        e.body_case = MAPI__ENVELOPE__BODY_LARGE;
        e.large = &large;
        scripted_send(s, q->id, &e, &fd, 1);
        (void)close(fd);
        return true;
}

static bool large_places(struct scripted *s, const Mapi__Envelope *q, struct protocol_received *r);

static void test_large(void **unused)
{
        struct scripted *s = scripted_start();
        void *state = open_state(s);
        const struct backend *b = &backend_local;
        struct backend_place place;
        struct mapi_error err;
        unsigned before;
        bool kind = true;

        assert_int_equal(b->flow_create(state, "eth0", &err), 1);
        before = open_descriptors();
        scripted_set_hook(s, strange_places, &kind);
        assert_int_equal(b->connect(state, 1, &err), -MCOM_UNKNOWN_ERROR);
        assert_non_null(strstr(err.text, "of an unknown kind"));
        kind = false;
        assert_int_equal(b->connect(state, 1, &err), -MCOM_UNKNOWN_ERROR);
        assert_non_null(strstr(err.text, "65537 functions"));
        scripted_set_hook(s, large_places, NULL);
        assert_int_equal(b->connect(state, 1, &err), 0);
        assert_int_equal(b->place(state, 1, 29999, &place, &err), 0);
        assert_int_equal(place.fid, 30000);
        assert_int_equal(b->place(state, 1, 30000, &place, &err), -MAPI_INVALID_FID_FUNCID);
        assert_int_equal(open_descriptors(), before);
        b->close(state);
        scripted_stop(s);
}

static bool large_places(struct scripted *s, const Mapi__Envelope *q, struct protocol_received *r)
{
        enum { N = 30000 };
        Mapi__Connected m = MAPI__CONNECTED__INIT;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        Mapi__Place status = MAPI__PLACE__INIT, *place = calloc(N, sizeof *place),
                    **many = calloc(N, sizeof *many);
        Mapi__Large large = MAPI__LARGE__INIT;
        uint8_t *bytes = malloc(PROTOCOL_LARGE_MAX);
        size_t len;
        int fd;

        for (int i = 0; i < N; i++) {
                mapi__place__init(&place[i]);
                place[i].fid = i + 1;
                many[i] = &place[i];
        }
        m.status = &status;
        m.n_function = N;
        m.function = many;
        e.body_case = MAPI__ENVELOPE__BODY_CONNECTED;
        e.connected = &m;
        e.version = 1;
        e.id = q->id;
        assert_int_equal(protocol_pack(&e, bytes, PROTOCOL_LARGE_MAX, &len, NULL), 0);
        fd = protocol_large_write(bytes, len, NULL);
        large.size_bytes = len;
        e = (Mapi__Envelope)MAPI__ENVELOPE__INIT;
        e.body_case = MAPI__ENVELOPE__BODY_LARGE;
        e.large = &large;
        scripted_send(s, q->id, &e, &fd, 1);
        (void)close(fd);
        free(bytes);
        free(place);
        free(many);
        return true;
}

static void test_limits(void **unused)
{
        struct scripted *s = scripted_start();
        const struct backend *b = &backend_local;
        struct mapi_value v = { .fd = -1 };
        struct backend_function fn;
        struct mapi_error err;
        char *text = calloc(1, PROTOCOL_MESSAGE_MAX + 1);
        unsigned before;
        void *state;

        s->string_bytes = 1000;
        state = open_state(s);
        assert_int_equal(b->flow_create(state, "eth0", &err), 1);
        before = open_descriptors();
        memset(text, 'x', 1000);
        v.str = text;
        assert_int_equal(b->apply(state, 1, "BPF_FILTER", &v, 1, &err), 1);
        text[1000] = 'x';
        assert_int_equal(b->apply(state, 1, "BPF_FILTER", &v, 1, &err), -MAPI_LIMIT_ERROR);
        memset(text, 'x', PROTOCOL_MESSAGE_MAX);
        assert_int_equal(b->flow_create(state, text, &err), -MAPI_LIMIT_ERROR);
        assert_int_equal(b->describe(state, 1, "STRANGE", &fn, &err), -MFUNCT_INVALID_ARGUMENT_DESCRIPTOR);
        assert_int_equal(b->describe(state, 1, "MANY", &fn, &err), -MCOM_UNKNOWN_ERROR);
        v.fd = sealed_memory(1); /* surplus: closed all the same */
        v.str = NULL;
        assert_int_equal(b->apply(state, 1, "PKT_COUNTER", &v, 1, &err), -MFUNCT_INVALID_ARGUMENT);
        assert_int_equal(open_descriptors(), before);
        b->close(state);
        scripted_stop(s);
        free(text);
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
                cmocka_unit_test(test_nobody_there),   cmocka_unit_test(test_no_agreement),
                cmocka_unit_test(test_requests),       cmocka_unit_test(test_facts),
                cmocka_unit_test(test_memory),         cmocka_unit_test(test_wrong_kind),
                cmocka_unit_test(test_errors),         cmocka_unit_test(test_wrong_descriptors),
                cmocka_unit_test(test_large),          cmocka_unit_test(test_limits),
                cmocka_unit_test(test_out_of_order),   cmocka_unit_test(test_threads),
                cmocka_unit_test(test_signal_handler),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
