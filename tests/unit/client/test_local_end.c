/*
 * The end of the local backend: files are completed, nobody waits for ever, and the child of a fork holds nothing.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "local_calls.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/wait.h>

static const struct backend *const b = &backend_local;

/* ---- the end ------------------------------------------------------------------------------------------------------------- */

static bool never_answer(struct scripted *s, const Mapi__Envelope *q, struct protocol_received *r)
{
        return true;
}

static void *close_flow_1(void *state)
{
        struct mapi_error err;

        return (void *)(intptr_t)b->close_flow(state, 1, &err);
}

/** Keeps the request to close flow 1; answers it when flow 2 is to be closed. */
static bool close_late(struct scripted *s, const Mapi__Envelope *q, struct protocol_received *r)
{
        struct pollfd p = { .fd = s->conn, .events = POLLIN };
        static uint64_t kept;

        if (q->body_case != MAPI__ENVELOPE__BODY_CLOSE_FLOW)
                return false;
        if (q->close_flow->flow == 1) {
                kept = q->id;
                gate_set(&gate.there);
        } else {
                scripted_answer(s, q, r);
                if (poll(&p, 1, 30) != 0) /* who does not wait for flow 1 is gone by now */
                        scripted_note(s, "gone too early");
                scripted_send_error(s, kept, MAPI_ERROR_FILE, "not complete");
        }
        return true;
}

static void test_close_completes_files(void **unused)
{
        struct scripted *s = scripted_start();
        void *state = open_state(s), *closed;
        struct mapi_error err;
        pthread_t closer;
        char path[128];

        (void)snprintf(path, sizeof path, "%s/file", s->dir);
        for (int i = 1; i <= 3; i++)
                assert_int_equal(b->flow_create(state, "eth0", &err), i);
        apply_file(state, 1, path);
        apply_file(state, 2, path);
        (void)scripted_lines(s);
        scripted_set_hook(s, close_late, NULL);
        assert_int_equal(pthread_create(&closer, NULL, close_flow_1, state), 0);
        gate_wait(&gate.there);
        b->close(state); /* closes flow 2, and waits for flow 1 */
        (void)pthread_join(closer, &closed);
        assert_int_equal((intptr_t)closed, -MAPI_ERROR_FILE);
        scripted_await(s, "eof", 1);
        assert_string_equal(scripted_lines(s), "close_flow 1\nclose_flow 2\neof\n");

        local_times.close = 20;
        state = open_state(s); /* this one hangs: the end does not */
        assert_int_equal(b->flow_create(state, "eth0", &err), 4);
        apply_file(state, 4, path);
        scripted_set_hook(s, never_answer, NULL);
        b->close(state);
        local_times.close = 6000;
        scripted_await(s, "eof", 1);
        (void)unlink(path);
        scripted_stop(s);
}

static void *wait_for_life(void *state)
{
        b->await(state, 1, -1);
        gate_set(&gate.there);
        return NULL;
}

static void test_close_while_away_for_good(void **unused)
{
        unsigned before = open_descriptors();
        struct scripted *s = scripted_start();
        struct local_times usual = local_times;
        void *state = (local_times.backoff_first = 1000000, open_state(s));
        pthread_t waiter;

        local_times = usual;
        scripted_leave(s);
        await_epoch(state, 1);
        b->await(state, 1, 1); /* nothing happens, and it returns */
        b->await(state, 0, -1);
        assert_int_equal(pthread_create(&waiter, NULL, wait_for_life, state), 0);
        while (atomic_load(&((struct local *)state)->users) < 3) /* it is inside */
                (void)sched_yield();
        b->close(state); /* at once, and who waits is told */
        gate_wait(&gate.there);
        (void)pthread_join(waiter, NULL);
        scripted_stop(s);
        assert_int_equal(open_descriptors(), before);
}

static void test_fork(void **unused)
{
        struct scripted *s = scripted_start();
        unsigned before = open_descriptors(), left;
        struct backend_ring ring;
        int p[2], status;
        struct mapi_error err;
        void *state;
        pid_t child;
        char c = 0;

        state = open_state(s);
        assert_int_equal(b->flow_create(state, "eth0", &err), 1);
        assert_int_equal(b->connect(state, 1, &err), 0);
        assert_int_equal(b->ring(state, 1, 1, &ring, &err), 0);
        (void)close(ring.fd);
        assert_true(b->event_fd(state, 1, &err) >= 0);
        assert_int_equal(pipe2(p, O_CLOEXEC), 0);
        b->fork_prepare(state);
        child = fork();
        if (child == 0) {
                b->fork_child(state);
                (void)close(p[1]);
                left = open_descriptors() - 1 - (s->conn >= 0); /* one end of the pipe, and mapid's own end */
                (void)!read(p[0], &c, 1); /* lives until the parent has seen what it wants to see */
                _exit(left == before ? 0 : 1);
        }
        b->fork_parent(state);
        (void)close(p[0]);
        assert_int_equal(b->trace_error(state, 1, &err), 0); /* the session is still there */
        b->close(state);
        scripted_await(s, "eof", 1); /* although the child lives */
        (void)close(p[1]);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        scripted_stop(s);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_close_completes_files),
                cmocka_unit_test(test_close_while_away_for_good),
                cmocka_unit_test(test_fork),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
