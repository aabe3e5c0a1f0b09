/*
 * The local backend against a mapid that answers wrongly: other kinds, damaged messages, descriptors that are missing or not what
 * they should be, sizes beyond all limits. Calls fail, nothing leaks, and the connection goes on.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "local_calls.h"

#include <sys/socket.h>

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

/** A good ring, but what comes to kick with is something else. */
static bool wrong_kick(struct scripted *s, const Mapi__Envelope *q, struct protocol_received *r)
{
        int saved = s->kick_fd;

        s->kick_fd = *(const int *)s->hook_data;
        scripted_answer(s, q, r);
        s->kick_fd = saved;
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
                if (*fd >= 0) {
                        scripted_set_hook(s, wrong_kick, fd);
                        assert_int_equal(b->ring(state, 1, 1, &ring, &err), -MCOM_UNKNOWN_ERROR);
                }
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

/** Is an answer still mapped? */
static bool answer_mapped(void)
{
        FILE *maps = fopen("/proc/self/maps", "r");
        char line[512];
        bool found = false;

        assert_non_null(maps);
        while (fgets(line, sizeof line, maps) != NULL)
                found = found || strstr(line, "mapi-answer") != NULL;
        (void)fclose(maps);
        return found;
}

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
        assert_false(answer_mapped());
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

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_wrong_kind),
                cmocka_unit_test(test_errors),
                cmocka_unit_test(test_wrong_descriptors),
                cmocka_unit_test(test_large),
                cmocka_unit_test(test_limits),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
