/* Descriptors for poll: readable whenever there may be something to read, silent after NULL.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "fake.h"

#include <poll.h>
#include <unistd.h>

static struct fake *mapid;
static int flow;

static bool readable(int fd)
{
        struct pollfd p = { .fd = fd, .events = POLLIN };

        return poll(&p, 1, 0) == 1;
}

static int event_flow(int rings)
{
        int fd = mapi_create_flow("fake0");

        for (int i = 1; i <= rings; i++)
                assert_int_equal(mapi_apply_function(fd, "PACKETS", WAIT), i);
        assert_int_equal(mapi_get_event_fd(fd), -1);
        assert_int_equal(fake_error(), MAPI_FLOW_NOT_CONNECTED);
        assert_int_equal(mapi_connect(fd), 0);
        assert_int_equal(mapi_set_nonblocking(fd, 1), 0);
        mapid = fake_last();
        flow = fd;
        return fd;
}

static unsigned read_all(int fd, int fid, int code)
{
        unsigned n = 0;

        while (mapi_get_next_pkt(fd, fid) != NULL)
                n++;
        assert_int_equal(fake_error(), code);
        return n;
}

static void puts_two(struct fake *s)
{
        fake_packets(s, flow, 1, 1, 2);
}

static void wakes(struct fake *s)
{
        fake_wake(s, flow, 1);
}

static void one_ring(void **unused)
{
        int fd = event_flow(1), event;

        fake_packets(mapid, fd, 1, 1, 1); /* before anybody asked */
        event = mapi_get_event_fd(fd);
        assert_true(event > 2);
        assert_int_equal(mapi_get_event_fd(fd), event);
        assert_true(readable(event));
        assert_int_equal(read_all(fd, 1, 0), 1);
        assert_false(readable(event));
        for (unsigned i = 0; i < 100; i++) {
                fake_packets(mapid, fd, 1, i, 1);
                assert_true(readable(event));
                fake_packets(mapid, fd, 1, i, i % 3);
                assert_int_equal(read_all(fd, 1, 0), 1 + i % 3);
                assert_false(readable(event));
                assert_int_equal(read_all(fd, 1, 0), 0);
                assert_false(readable(event));
        }
        fake_hook[FAKE_WAITING] =
                wakes; /* the worker wants readers to look: that is cleared, and announced anew */
        assert_int_equal(read_all(fd, 1, 0), 0);
        assert_false(readable(event));
        fake_packets(mapid, fd, 1, 1, 1);
        assert_true(readable(event));
        assert_int_equal(read_all(fd, 1, 0), 1);
        fake_hook[FAKE_WAITING] = puts_two; /* while the reader is about to say that there is nothing */
        assert_int_equal(read_all(fd, 1, 0), 2);
        assert_false(readable(event));
        fake_packets(mapid, fd, 1, 1, 1);
        assert_true(readable(event));
        assert_int_equal(mapi_close_flow(fd), 0);
        assert_int_equal(mapi_get_event_fd(fd), -1);
        assert_int_equal(fake_error(), MAPI_INVALID_FLOW);
        assert_int_equal(mapi_get_event_fd(-1), -1);
        assert_int_equal(fake_error(), MAPI_INVALID_FLOW);
}

/** One descriptor for several rings: what one reader clears may have been about the other. */
static void two_rings(void **unused)
{
        int fd = event_flow(2), event = mapi_get_event_fd(fd);

        assert_int_equal(read_all(fd, 1, 0) + read_all(fd, 2, 0), 0);
        assert_false(readable(event));
        fake_packets(mapid, fd, 1, 1, 1);
        fake_packets(mapid, fd, 2, 1, 1);
        assert_int_equal(read_all(fd, 1, 0), 1);
        assert_true(readable(event)); /* the second */
        assert_int_equal(read_all(fd, 2, 0), 1);
        assert_false(readable(event));
        fake_packets(mapid, fd, 2, 1, 1);
        assert_true(readable(event));
        assert_int_equal(read_all(fd, 1, 0), 0);
        assert_true(readable(event));
        assert_int_equal(read_all(fd, 2, 0), 1);
        assert_false(readable(event));
        assert_int_equal(mapi_close_flow(fd), 0);
}

static void goes_and_returns(void **unused)
{
        int fd = event_flow(1), event = mapi_get_event_fd(fd);

        assert_int_equal(read_all(fd, 1, 0), 0);
        fake_packets(mapid, fd, 1, 1, 1);
        fake_away(mapid);
        assert_true(readable(event));
        assert_int_equal(read_all(fd, 1, MCOM_SOCKET_ERROR), 1);
        assert_false(readable(event));
        assert_int_equal(read_all(fd, 1, MCOM_SOCKET_ERROR), 0);
        assert_false(readable(event));
        fake_return(mapid);
        assert_true(readable(event));
        assert_int_equal(read_all(fd, 1, 0), 0);
        assert_false(readable(event));
        fake_packets(mapid, fd, 1, 1, 2);
        assert_true(readable(event));
        assert_int_equal(read_all(fd, 1, 0), 2);

        /* It goes while the reader is about to say that there is nothing: the reader says that it has gone. */
        fake_hook[FAKE_WAITING] = fake_away;
        assert_int_equal(read_all(fd, 1, MCOM_SOCKET_ERROR), 0);
        assert_false(readable(event));
        /* Its return is signalled before it can be seen: that is not cleared. */
        assert_int_equal(mapi_set_nonblocking(fd, 1), 0);
        (void)!write(event, &(uint64_t){ 1 }, 8);
        assert_int_equal(read_all(fd, 1, MCOM_SOCKET_ERROR), 0);
        assert_true(readable(event));
        fake_return(mapid);
        assert_int_equal(read_all(fd, 1, 0), 0);
        assert_false(readable(event));
        fake_again(mapid); /* the same ring, still announced */
        fake_packets(mapid, fd, 1, 1, 2);
        assert_true(readable(event));
        assert_int_equal(read_all(fd, 1, 0), 2);
        fake_again(mapid);
        assert_int_equal(read_all(fd, 1, 0), 0);
        assert_false(readable(event));
        fake_packets(mapid, fd, 1, 1, 1);
        assert_true(readable(event));
        assert_int_equal(mapi_close_flow(fd), 0);
}

static void stays_readable_at_the_end(void **unused)
{
        int fd = event_flow(1), event = mapi_get_event_fd(fd);

        fake_status(mapid, fd, FLOW_FINISHED, 0);
        fake_end(mapid, fd, 1);
        assert_int_equal(read_all(fd, 1, 0), 0);
        assert_true(readable(event));
        assert_int_equal(mapi_close_flow(fd), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(one_ring),
                cmocka_unit_test(two_rings),
                cmocka_unit_test(goes_and_returns),
                cmocka_unit_test(stays_readable_at_the_end),
        };

        (void)fake_socket();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
