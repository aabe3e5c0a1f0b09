/*
 * mapid goes away and comes back: what calls say meanwhile, what is asked to make everything anew, and what is lost.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "local_calls.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

static const struct backend *const b = &backend_local;

/* ---- in the middle of every call ---------------------------------------------------------------------------------- */

static bool die(struct scripted *s, const Mapi__Envelope *q, struct protocol_received *r)
{
        const char *after = s->hook_data;

        if (q->body_case == MAPI__ENVELOPE__BODY_HELLO)
                return false;
        scripted_set_hook(s, NULL, NULL);
        if (after != NULL)
                scripted_answer(s, q, r);
        scripted_hang_up(s);
        return true;
}

/** Every call, and mapid dies of it: before it has answered, or right behind its answer. */
static void die_in_each(const char *after)
{
        for (const struct call *c = calls; c->name != NULL; c++) {
                struct scripted *s = scripted_start();
                void *state = open_state(s);
                struct mapi_error err = { 0 };
                struct backend_place place;
                uint32_t epoch;
                int r;

                prepare_calls(state);
                scripted_set_hook(s, die, (void *)(uintptr_t)after);
                (void)scripted_lines(s);
                r = c->run(state, &err);
                if (c->known_only || c->closes ? r < 0
                                               : after == NULL && (r != -MCOM_SOCKET_ERROR || err.code != -r))
                        fail_msg("%s: %d, %s", c->name, r, err.text);
                if (after != NULL && r < 0 && r != -MCOM_SOCKET_ERROR)
                        fail_msg("%s: %d, %s", c->name, r, err.text);
                scripted_await(s, c->line, 1);
                await_epoch(state, 2);
                scripted_await(s, "create_flow eth0 wanted 1", 1);
                assert_int_equal(b->place(state, 1, 0, &place, &err), -MAPI_INVALID_FID_FUNCID);
                epoch = epoch_of(state);
                assert_int_equal(epoch, 2);
                /* the flow that was closed is closed; the other call works now, or says what is true */
                r = c->run(state, &err);
                if (c->closes ? r != -MAPI_INVALID_FLOW : r == -MCOM_SOCKET_ERROR)
                        fail_msg("%s, again: %d, %s", c->name, r, err.text);
                b->close(state);
                scripted_stop(s);
        }
}

static void test_die_in_calls(void **unused)
{
        unsigned before = open_descriptors();

        die_in_each(NULL);
        die_in_each("answer");
        assert_int_equal(open_descriptors(), before);
}

/* ---- everything anew ------------------------------------------------------------------------------------------------- */

static void file_with(const char *path, const char *text)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
        (void)close(fd);
}

static off_t size_of(const char *path)
{
        struct stat st;

        return stat(path, &st) == 0 ? st.st_size : -1;
}

static void test_everything_anew(void **unused)
{
        unsigned before = open_descriptors();
        struct scripted *s = scripted_start();
        void *state = open_state(s);
        struct backend_source source = { .driver = "trace", .name = "name of it", .options = "o=1" };
        char trace[128], offline[128], live[128], live1[132], live2[132], name[MAPI_STR_LENGTH];
        struct mapi_value v[2] = { { .num = 3, .fd = -1 }, { .num = 1, .fd = -1 } };
        struct pollfd p = { .events = POLLIN };
        struct backend_place place;
        struct mapi_error err;
        uint64_t count;
        int event_fd;

        (void)snprintf(trace, sizeof trace, "%s/t.pcap", s->dir);
        (void)snprintf(offline, sizeof offline, "%s/offline", s->dir);
        (void)snprintf(live, sizeof live, "%s/live", s->dir);
        (void)snprintf(live1, sizeof live1, "%s-1", live);
        (void)snprintf(live2, sizeof live2, "%s-2", live);
        file_with(trace, "trace");

        source.fd = open(trace, O_RDONLY | O_CLOEXEC);
        assert_int_equal(b->device_create(state, &source, name, &err), 0);
        source.fd = open(trace, O_RDONLY | O_CLOEXEC);
        assert_int_equal(b->flow_create_private(state, &source, &err), 1);
        assert_int_equal(b->flow_create(state, "eth0", &err), 2);
        assert_int_equal(b->flow_create(state, name, &err), 3);
        assert_int_equal(b->flow_create(state, name, &err), 4);
        assert_int_equal(b->flow_create(state, "eth0", &err), 5);
        assert_int_equal(b->close_flow(state, 5, &err), 0);
        apply_file(state, 1, offline);
        file_with(offline, "packets");
        apply_file(state, 2, live);
        file_with(live, "packets");
        assert_int_equal(b->apply(state, 4, "PKT_COUNTER", NULL, 0, &err), 1);
        v[0].num = 4;
        assert_int_equal(b->apply(state, 3, "STATS", v, 2, &err), 1); /* refers to a flow with a higher number */
        assert_int_equal(b->apply(state, 4, "PKT_COUNTER", NULL, 0, &err), 2);
        for (int i = 1; i <= 3; i++)
                assert_int_equal(b->connect(state, i, &err), 0);
        assert_int_equal(b->device_start(state, name, &err), 0);
        event_fd = b->event_fd(state, 2, &err);
        (void)scripted_lines(s);

        scripted_leave(s);
        await_epoch(state, 1);
        p.fd = event_fd;
        assert_int_equal(poll(&p, 1, -1), 1); /* readable: it has gone */
        assert_int_equal(read(event_fd, &count, sizeof count), sizeof count);
        assert_int_equal(b->place(state, 2, 0, &place, &err), -MCOM_SOCKET_ERROR);
        assert_int_equal(b->flow_create(state, "eth0", &err), -MCOM_SOCKET_ERROR);
        assert_non_null(strstr(err.text, "is away"));
        assert_true(b->device_known(state, "anything")); /* creating the flow says why not */
        b->kick(state, 2);
        assert_int_equal(b->event_fd(state, 2, &err), event_fd);

        s->next_device = 7;
        scripted_come(s);
        await_epoch(state, 2);
        assert_int_equal(poll(&p, 1, -1), 1); /* and again: it has come back */
        assert_string_equal(scripted_lines(s),
                            "hello 1-1\ncreate_device trace 1\n"
                            "create_flow private trace 1 wanted 1\ncreate_flow eth0 wanted 2\n"
                            "create_flow dev@7 wanted 3\ncreate_flow dev@7 wanted 4\n"
                            "apply 1 TO_FILE(0, file, 9u) 1\napply 2 TO_FILE(0, file, 9u) 1\n"
                            "apply 4 PKT_COUNTER() 0\napply 3 STATS(4, 1) 0\napply 4 PKT_COUNTER() 0\n"
                            "connect 1\nconnect 2\nevent_fd 2\nconnect 3\nstart_device dev@7\n");
        assert_int_equal(size_of(offline), 0); /* written anew from the start of the trace */
        assert_int_equal(size_of(live), 7);
        assert_int_equal(size_of(live1), 0);
        assert_int_equal(size_of(live2), -1);

        /* the program's names stay */
        assert_int_equal(b->place(state, 2, 0, &place, &err), 0);
        assert_true(b->device_known(state, "dev@1"));
        assert_int_equal(b->flow_create(state, "dev@1", &err), 6);
        source.fd = open(trace, O_RDONLY | O_CLOEXEC);
        s->next_device = 1;
        assert_int_equal(b->device_create(state, &source, name, &err), 0);
        assert_string_equal(name, "dev@1.1"); /* dev@1 is another one */
        assert_int_equal(b->device_delete(state, name, &err), 0);

        scripted_hang_up(s); /* once more, without being away for long */
        await_epoch(state, 4);
        assert_int_equal(size_of(live2), 0);
        assert_int_equal(b->device_delete(state, "dev@1", &err), 0); /* with flows on it */
        scripted_hang_up(s);
        await_epoch(state, 6);
        (void)scripted_lines(s);
        assert_false(b->device_known(state, "dev@1"));
        for (int i = 1; i <= 6; i++)
                assert_int_equal(b->close_flow(state, i, &err), i == 5 ? -MAPI_INVALID_FLOW : 0);
        assert_string_equal(scripted_lines(s),
                            "close_flow 1\nclose_flow 2\nclose_flow 3\nclose_flow 4\nclose_flow 6\n"
                            "delete_device dev@3\n");
        b->close(state);
        for (char **f = (char *[]){ trace, offline, live, live1, live2, NULL }; *f != NULL; f++)
                (void)unlink(*f);
        (void)snprintf(live1, sizeof live1, "%s-3", live);
        assert_int_equal(unlink(live1), 0);
        scripted_stop(s);
        assert_int_equal(open_descriptors(), before);
}

/* ---- lost flows -------------------------------------------------------------------------------------------------------- */

/** eth0 is away, until the hook is taken away; asks for other flows are answered wrongly. */
static bool some_missing(struct scripted *s, const Mapi__Envelope *q, struct protocol_received *r)
{
        Mapi__FlowNumber wrong = MAPI__FLOW_NUMBER__INIT;
        Mapi__FunctionId other = MAPI__FUNCTION_ID__INIT;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;

        if (q->body_case == MAPI__ENVELOPE__BODY_CREATE_FLOW && q->create_flow->wanted == 1) {
                scripted_send_error(s, q->id, MAPID_NO_DRIVER, "there is no eth0");
                return true;
        }
        if (q->body_case == MAPI__ENVELOPE__BODY_CREATE_FLOW && q->create_flow->wanted == 2) {
                wrong.flow = 99;
                e.body_case = MAPI__ENVELOPE__BODY_FLOW_NUMBER;
                e.flow_number = &wrong;
                scripted_send(s, q->id, &e, NULL, 0);
                return true;
        }
        if (q->body_case == MAPI__ENVELOPE__BODY_APPLY && q->apply->flow == 3) {
                other.fid = 8;
                e.body_case = MAPI__ENVELOPE__BODY_FUNCTION_ID;
                e.function_id = &other;
                scripted_send(s, q->id, &e, NULL, 0);
                return true;
        }
        return false;
}

static void test_lost_flows(void **unused)
{
        struct scripted *s = scripted_start();
        struct local_times usual = local_times;
        void *state = (local_times.retry = 1, open_state(s));
        struct backend_source source = { .driver = "trace", .name = "-" };
        struct backend_place place;
        struct mapi_error err;
        int p[2], deleted;
        char path[128];

        local_times = usual;
        (void)snprintf(path, sizeof path, "%s/deleted", s->dir);
        file_with(path, "x");
        deleted = open(path, O_RDONLY | O_CLOEXEC);
        assert_int_equal(pipe2(p, O_CLOEXEC), 0);
        for (int i = 1; i <= 3; i++) {
                assert_int_equal(b->flow_create(state, "eth0", &err), i);
                assert_int_equal(b->apply(state, i, "PKT_COUNTER", NULL, 0, &err), 1);
                assert_int_equal(b->connect(state, i, &err), 0);
        }
        source.fd = p[0];
        assert_int_equal(b->flow_create_private(state, &source, &err), 4);
        source.name = "deleted";
        source.fd = deleted;
        assert_int_equal(b->flow_create_private(state, &source, &err), 5);
        assert_int_equal(b->flow_create(state, "eth1", &err), 6); /* lives on */
        assert_int_equal(b->connect(state, 6, &err), 0);
        (void)unlink(path);
        (void)close(p[1]);
        (void)scripted_lines(s);

        scripted_set_hook(s, some_missing, NULL);
        scripted_hang_up(s);
        await_epoch(state, 2);
        assert_int_equal(b->trace_error(state, 1, &err), -MCOM_SOCKET_ERROR);
        assert_non_null(strstr(err.text, "flow 1 was lost when mapid came back: there is no eth0"));
        assert_int_equal(b->place(state, 2, 0, &place, &err), -MCOM_SOCKET_ERROR);
        assert_non_null(strstr(err.text, "its number is taken"));
        assert_int_equal(b->connect(state, 3, &err), -MCOM_SOCKET_ERROR);
        assert_non_null(strstr(err.text, "other numbers"));
        assert_int_equal(b->connect(state, 4, &err), -MCOM_SOCKET_ERROR);
        assert_non_null(strstr(err.text, "- cannot be read a second time"));
        assert_int_equal(b->connect(state, 5, &err), -MCOM_SOCKET_ERROR);
        assert_non_null(strstr(err.text, "deleted: No such file"));
        assert_int_equal(b->place(state, 6, 0, &place, &err), -MAPI_INVALID_FID_FUNCID);
        assert_int_equal(b->trace_error(state, 6, &err), 0);
        scripted_await(s, "close_flow 99", 1); /* what it gave us instead */
        scripted_await(s, "close_flow 3", 1);
        scripted_await(s, "create_flow eth0 wanted 1", 3); /* it is tried again and again */
        assert_int_equal(epoch_of(state), 2);

        scripted_set_hook(s, NULL, NULL);
        for (int i = 1; i <= 2; i++) { /* they come back, and readers look again; in one epoch or in two */
                uint32_t epoch = epoch_of(state);

                if (b->place(state, i, 0, &place, &err) < 0) {
                        b->await(state, epoch, -1);
                        i--;
                }
        }
        assert_true(epoch_of(state) == 4 || epoch_of(state) == 6);
        assert_int_equal(b->place(state, 3, 0, &place, &err),
                         -MCOM_SOCKET_ERROR); /* this mapid will not do better */
        for (int i = 1; i <= 6; i++)
                assert_int_equal(b->close_flow(state, i, &err), 0);
        assert_int_equal(b->close_flow(state, 4, &err), -MAPI_INVALID_FLOW);
        b->close(state);
        scripted_stop(s);
}

/* ---- closing and asking meanwhile ---------------------------------------------------------------------------------------- */

static void test_close_while_away(void **unused)
{
        struct scripted *s = scripted_start();
        void *state = open_state(s);
        struct mapi_error err;
        char path[128];

        (void)snprintf(path, sizeof path, "%s/file", s->dir);
        for (int i = 1; i <= 3; i++)
                assert_int_equal(b->flow_create(state, "eth0", &err), i);
        apply_file(state, 2, path);
        assert_int_equal(b->connect(state, 2, &err), 0);
        scripted_leave(s);
        await_epoch(state, 1);
        assert_int_equal(b->close_flow(state, 1, &err), 0);
        assert_int_equal(b->close_flow(state, 1, &err), -MAPI_INVALID_FLOW);
        assert_int_equal(b->close_flow(state, 2, &err), -MAPI_ERROR_FILE); /* closed, but not complete */
        assert_int_equal(b->close_flow(state, 2, &err), -MAPI_INVALID_FLOW);
        (void)scripted_lines(s);
        scripted_come(s);
        await_epoch(state, 2);
        assert_string_equal(scripted_lines(s), "hello 1-1\ncreate_flow eth0 wanted 3\n");
        b->close(state);
        (void)unlink(path);
        scripted_stop(s);
}

/** Stops in the middle of making flows anew. */
static bool hold_connect(struct scripted *s, const Mapi__Envelope *q, struct protocol_received *r)
{
        if (q->body_case == MAPI__ENVELOPE__BODY_CONNECT && q->connect->flow == 2) {
                gate_set(&gate.there);
                gate_wait(&gate.go);
        }
        return false;
}

static void *ask_flow_4(void *state)
{
        struct mapi_error err;

        return (void *)(intptr_t)b->trace_error(state, 4, &err);
}

static void *create_one(void *state)
{
        struct mapi_error err;

        return (void *)(intptr_t)b->flow_create(state, "eth0", &err);
}

static void test_close_while_returning(void **unused)
{
        struct scripted *s = scripted_start();
        void *state = open_state(s), *asked, *created;
        pthread_t asker, creator;
        struct mapi_error err;

        for (int i = 1; i <= 4; i++) {
                assert_int_equal(b->flow_create(state, "eth0", &err), i);
                assert_int_equal(b->connect(state, i, &err), 0);
        }
        (void)scripted_lines(s);
        scripted_set_hook(s, hold_connect, NULL);
        scripted_hang_up(s);
        gate_wait(&gate.there);
        for (int i = 1; i <= 3; i++) { /* connected already, under way, and to come */
                assert_int_equal(b->close_flow(state, i, &err), 0);
                assert_true(b->close_flow(state, i, &err) == 0);
        }
        assert_int_equal(pthread_create(&asker, NULL, ask_flow_4, state), 0); /* these wait for the return */
        assert_int_equal(pthread_create(&creator, NULL, create_one, state), 0);
        gate_set(&gate.go);
        (void)pthread_join(asker, &asked);
        (void)pthread_join(creator, &created);
        assert_int_equal((intptr_t)asked, 0);
        assert_int_equal((intptr_t)created, 5);
        assert_int_equal(epoch_of(state), 2);
        for (int i = 1; i <= 3; i++)
                assert_int_equal(b->close_flow(state, i, &err), -MAPI_INVALID_FLOW);
        scripted_await(s, "close_flow 1", 1);
        scripted_await(s, "close_flow 2", 1);
        scripted_await(s, "close_flow 3", 1);
        scripted_await(s, "connect 4", 1);
        b->close(state);
        scripted_stop(s);
}

/** Dies at the n-th request of every return. */
static bool die_at(struct scripted *s, const Mapi__Envelope *q, struct protocol_received *r)
{
        int *left = s->hook_data;

        if ((*left)-- != 0)
                return false;
        scripted_set_hook(s, NULL, NULL);
        scripted_hang_up(s);
        return true;
}

static void test_die_in_return(void **unused)
{
        for (int n = 0; n < 8; n++) { /* hello, device, 2 flows, function, connect, event_fd, start */
                struct scripted *s = scripted_start();
                void *state = open_state(s);
                struct backend_source source = { .driver = "null", .name = "null", .fd = -1 };
                char name[MAPI_STR_LENGTH];
                struct mapi_error err;
                int left = n;

                assert_int_equal(b->device_create(state, &source, name, &err), 0);
                assert_int_equal(b->device_start(state, name, &err), 0);
                assert_int_equal(b->flow_create(state, name, &err), 1);
                assert_int_equal(b->flow_create(state, "eth0", &err), 2);
                assert_int_equal(b->apply(state, 1, "PKT_COUNTER", NULL, 0, &err), 1);
                assert_int_equal(b->connect(state, 1, &err), 0);
                assert_true(b->event_fd(state, 1, &err) >= 0);
                scripted_set_hook(s, die_at, &left);
                scripted_hang_up(s);
                await_epoch(state, 2);
                assert_int_equal(left, -1);
                assert_int_equal(b->trace_error(state, 1, &err), 0);
                assert_int_equal(b->trace_error(state, 2, &err), 0);
                assert_int_equal(b->close_flow(state, 1, &err), 0);
                b->close(state);
                scripted_stop(s);
        }
}

static bool shut_down(struct scripted *s, const Mapi__Envelope *q, struct protocol_received *r)
{
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        Mapi__Event m = MAPI__EVENT__INIT;
        int fds[2] = { s->kick_fd, s->ring_fd };

        scripted_set_hook(s, NULL, NULL);
        m.kind = MAPI__EVENT__KIND__SHUTTING_DOWN;
        e.body_case = MAPI__ENVELOPE__BODY_EVENT;
        e.event = &m;
        scripted_send(s, 0, &e, fds, 2); /* nobody wants these */
        return false;
}

static void test_shutting_down(void **unused)
{
        struct scripted *s = scripted_start();
        void *state = open_state(s);
        struct mapi_error err;
        unsigned before = open_descriptors();

        assert_int_equal(b->flow_create(state, "eth0", &err), 1);
        scripted_set_hook(s, shut_down, NULL);
        assert_int_equal(b->trace_error(state, 1, &err), 0);
        assert_int_equal(b->flow_create(state, "eth0", &err), -MAPI_SHUTTING_DOWN);
        assert_int_equal(call_private(state, &err), -MAPI_SHUTTING_DOWN);
        assert_int_equal(call_device_create(state, &err), -MAPI_SHUTTING_DOWN);
        assert_int_equal(b->trace_error(state, 1, &err), 0); /* the rest goes on */
        assert_int_equal(open_descriptors(), before);
        scripted_hang_up(s);
        await_epoch(state, 2);
        assert_int_equal(b->flow_create(state, "eth0", &err), 2);
        b->close(state);
        scripted_stop(s);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_die_in_calls),
                cmocka_unit_test(test_everything_anew),
                cmocka_unit_test(test_lost_flows),
                cmocka_unit_test(test_close_while_away),
                cmocka_unit_test(test_close_while_returning),
                cmocka_unit_test(test_die_in_return),
                cmocka_unit_test(test_shutting_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
