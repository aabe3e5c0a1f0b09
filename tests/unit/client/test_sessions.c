/* Sessions: backends of their own, numbers that meet, closing. SPDX-License-Identifier: BSD-2-Clause */
#include "fake.h"

#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int counter_flow(void)
{
        int fd = mapi_create_flow("fake0");

        assert_true(fd > 0);
        assert_int_equal(mapi_apply_function(fd, "COUNTER"), 1);
        assert_int_equal(mapi_connect(fd), 0);
        return fd;
}

static unsigned long long value(int fd)
{
        mapi_results_t *r = mapi_read_results(fd, 1);

        assert_non_null(r);
        return *(unsigned long long *)r->res;
}

static struct fake *own(void)
{
        return fake_states[0];
}

static void before_anything(void **unused)
{
        assert_int_equal(mapi_session_use(0), 0);
        assert_int_equal(mapi_session_use(1), -1);
        assert_int_equal(fake_error(), MAPI_SESSION_ERROR);
        assert_int_equal(mapi_session_close(0), -1);
        assert_int_equal(fake_error(), MAPI_SESSION_ERROR);
        assert_int_equal(mapi_session_close(-1), -1);
        assert_int_equal(mapi_connect(1), -1);
        assert_int_equal(fake_error(), MAPI_INIT_ERROR);
}

static void numbers(void **unused)
{
        int first, second, a[3], b[3], s;
        mapi_flow_info_t info;

        a[0] = counter_flow(); /* opens the program's own */
        assert_int_equal(a[0], 1);
        s = mapi_session_open(fake_socket());
        assert_true(s > 0);
        assert_int_equal(fake_opened, 2);
        assert_int_equal(mapi_session_use(s), 0);
        b[0] = counter_flow();
        assert_int_equal(fake_states[1]->next_number, 1);
        assert_true(b[0] > 1000000); /* 1 is taken */
        b[1] = counter_flow();
        assert_int_equal(b[1], 2); /* is free */
        assert_int_equal(mapi_session_use(0), s);
        a[1] = counter_flow();
        assert_int_equal(own()->next_number, 2);
        assert_int_equal(a[1], b[0] + 1);
        a[2] = counter_flow();
        assert_int_equal(a[2], 3);

        fake_count(own(), 1, 1, 11);
        fake_count(own(), 2, 1, 12);
        fake_count(fake_states[1], 1, 1, 21);
        fake_count(fake_states[1], 2, 1, 22);
        assert_int_equal(value(a[0]), 11); /* whatever the session in use */
        assert_int_equal(value(a[1]), 12);
        assert_int_equal(value(b[0]), 21);
        assert_int_equal(value(b[1]), 22);

        /* Information has the program's descriptors. */
        assert_int_equal(mapi_get_flow_info(a[1], &info), 0);
        assert_int_equal(info.fd, a[1]);
        assert_int_equal(mapi_get_next_flow_info(0, &info), 0);
        assert_int_equal(info.fd, a[0]);
        assert_int_equal(mapi_get_next_flow_info(info.fd, &info), 0);
        assert_int_equal(info.fd, a[1]);
        assert_int_equal(mapi_get_next_flow_info(info.fd, &info), 0);
        assert_int_equal(info.fd, a[2]);
        assert_int_equal(mapi_get_next_flow_info(info.fd, &info), -1);
        assert_int_equal(fake_error(), MAPI_FLOW_INFO_ERR);

        /* So have arguments that name flows. */
        first = mapi_create_flow("fake0");
        assert_int_equal(mapi_apply_function(first, "READER", a[1]), 1);
        assert_int_equal(fake_find(own(), 4)->function[0].argument, 2);
        assert_int_equal(mapi_apply_function(first, "READER", a[0]), 2);
        assert_int_equal(fake_find(own(), 4)->function[1].argument, 1);
        assert_int_equal(mapi_apply_function(first, "READER", b[1]), 3); /* of another session: unknown */
        assert_int_equal(fake_find(own(), 4)->function[2].argument, 0x7fffffff);
        assert_int_equal(mapi_apply_function(first, "READER", 77), 4);
        assert_int_equal(fake_find(own(), 4)->function[3].argument, 77);

        /* One session goes away, the other stays; a descriptor is never used twice. */
        fake_away(fake_states[1]);
        assert_int_equal(value(b[1]), 22);
        assert_int_equal(fake_error(), MCOM_SOCKET_ERROR);
        assert_int_equal(value(a[2]), 0);
        assert_int_equal(fake_error(), 0);
        fake_return(fake_states[1]);
        assert_int_equal(mapi_close_flow(b[1]), 0);
        assert_int_equal(mapi_session_close(s), 0);
        assert_true(fake_states[1]->closed);
        assert_null(mapi_read_results(b[0], 1));
        assert_int_equal(fake_error(), MAPI_INVALID_FLOW);
        assert_int_equal(mapi_session_close(s), -1);
        assert_int_equal(fake_error(), MAPI_SESSION_ERROR);
        assert_int_equal(mapi_session_use(s), -1);
        assert_int_equal(fake_error(), MAPI_SESSION_ERROR);
        second = mapi_session_open(fake_socket());
        assert_true(second > s);
        assert_int_equal(mapi_session_use(second), 0);
        b[2] = counter_flow();
        assert_true(b[2] > a[1]);
        assert_int_equal(mapi_session_use(0), second);
        assert_int_equal(mapi_session_close(second), 0);
        assert_int_equal(value(a[1]), 12);
        for (int i = 0; i < 3; i++)
                assert_int_equal(mapi_close_flow(a[i]), 0);
        assert_int_equal(mapi_close_flow(first), 0);
        assert_false(own()->closed);
}

static void closed_in_use(void **unused)
{
        int s = mapi_session_open(fake_socket());

        assert_int_equal(mapi_session_use(s), 0);
        (void)counter_flow();
        assert_int_equal(mapi_session_close(s), 0);
        assert_true(fake_last()->closed);
        assert_int_equal(mapi_create_flow("fake0"), -1);
        assert_int_equal(fake_error(), MAPI_SESSION_ERROR);
        assert_null(mapi_create_offline_device("/dev/null", MFF_PCAP));
        assert_int_equal(fake_error(), MAPI_SESSION_ERROR);
        assert_int_equal(mapi_start_offline_device("trace@1"), -1);
        assert_int_equal(fake_error(), MAPI_SESSION_ERROR);
        assert_int_equal(mapi_session_use(0), s);
}

static int session;

static void closes(struct fake *s)
{
        assert_int_equal(mapi_session_close(session), 0);
        assert_false(s->closed); /* a reader is in it */
}

static void closed_while_reading(void **unused)
{
        int fd;

        session = mapi_session_open(fake_socket());
        assert_int_equal(mapi_session_use(session), 0);
        fd = mapi_create_flow("fake0");
        assert_int_equal(mapi_apply_function(fd, "PACKETS", WAIT), 1);
        assert_int_equal(mapi_connect(fd), 0);
        fake_hook[FAKE_WAITING] = closes;
        assert_null(mapi_get_next_pkt(fd, 1));
        assert_int_equal(fake_error(), MAPI_INVALID_FLOW);
        assert_true(fake_last()->closed); /* by its last user */
        assert_int_equal(mapi_session_use(0), session);
}

static void limit(void **unused)
{
        int numbers[64];

        for (int i = 0; i < 64; i++) {
                numbers[i] = mapi_session_open(fake_socket());
                assert_true(numbers[i] > 0);
        }
        assert_int_equal(mapi_session_open(fake_socket()), -1);
        assert_int_equal(fake_error(), MAPI_LIMIT_ERROR);
        assert_int_equal(mapi_session_close(numbers[7]), 0);
        numbers[7] = mapi_session_open(fake_socket());
        assert_true(numbers[7] > numbers[63]);
        for (int i = 0; i < 64; i++)
                assert_int_equal(mapi_session_close(numbers[i]), 0);
}

static sem_t asked, answered;

static void *other_thread(void *s)
{
        int fd = counter_flow();

        assert_non_null(fake_find(own(), fd)); /* the choice is each thread's own */
        assert_int_equal(mapi_session_use(*(int *)s), 0);
        assert_int_equal(sem_post(&asked), 0);
        assert_int_equal(sem_wait(&answered), 0);
        assert_int_equal(mapi_session_use(0), *(int *)s);
        assert_int_equal(mapi_close_flow(fd), 0);
        return NULL;
}

static void per_thread(void **unused)
{
        int s = mapi_session_open(fake_socket()), before = own()->next_number, fd;
        pthread_t thread;

        assert_int_equal(sem_init(&asked, 0, 0), 0);
        assert_int_equal(sem_init(&answered, 0, 0), 0);
        assert_int_equal(mapi_session_use(s), 0);
        assert_int_equal(pthread_create(&thread, NULL, other_thread, &s), 0);
        assert_int_equal(sem_wait(&asked), 0);
        assert_int_equal(mapi_session_use(0), s);
        fd = counter_flow();
        assert_int_equal(own()->next_number, before + 2);
        assert_int_equal(mapi_close_flow(fd), 0);
        assert_int_equal(sem_post(&answered), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(mapi_session_close(s), 0);
}

static void after_fork(void **unused)
{
        int s = mapi_session_open(fake_socket()), fd, status;
        unsigned opened;
        pid_t child;

        assert_int_equal(mapi_session_use(s), 0);
        fd = counter_flow();
        opened = fake_opened;
        child = fork();
        if (child == 0) {
                bool good = mapi_read_results(fd, 1) == NULL && fake_error() == MAPI_INVALID_FLOW &&
                            mapi_session_use(s) == -1 && mapi_session_close(s) == -1 && mapi_session_use(0) == 0 &&
                            counter_flow() == 1 && fake_opened == opened + 1;

                _exit(good ? 0 : 1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_int_equal(value(fd), 0);
        assert_int_equal(mapi_session_use(0), s);
        assert_int_equal(mapi_session_close(s), 0);
}

static void devices(void **unused)
{
        int s = mapi_session_open(fake_socket());
        char *name;

        assert_int_equal(mapi_session_use(s), 0);
        name = mapi_create_offline_device("/dev/null", MFF_PCAP);
        assert_string_equal(name, "trace@1");
        assert_int_equal(mapi_start_offline_device(name), 0);
        assert_int_equal(mapi_start_offline_device("trace@2"), -1);
        assert_int_equal(fake_error(), MAPID_NO_DEVICE);
        assert_int_equal(mapi_delete_offline_device(name), 0);
        assert_int_equal(mapi_session_use(0), s);
        assert_int_equal(mapi_session_close(s), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(before_anything), cmocka_unit_test(numbers),
                cmocka_unit_test(closed_in_use),   cmocka_unit_test(closed_while_reading),
                cmocka_unit_test(per_thread),      cmocka_unit_test(after_fork),
                cmocka_unit_test(devices),         cmocka_unit_test(limit),
        };

        (void)fake_socket();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
