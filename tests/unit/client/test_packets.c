/* Packets while mapid is away, when it is back, and when flows were lost. SPDX-License-Identifier: BSD-2-Clause */
#include "fake.h"

#include "base/futex.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static struct fake *mapid;
static int flow;

static int packet_flow(int wait)
{
        int fd = mapi_create_flow("fake0");

        assert_true(fd > 0);
        assert_int_equal(mapi_apply_function(fd, "PACKETS", wait), 1);
        assert_int_equal(mapi_connect(fd), 0);
        mapid = fake_last();
        flow = fd;
        return fd;
}

static void next_is(int fd, unsigned wirelen)
{
        struct mapipkt *p = mapi_get_next_pkt(fd, 1);

        assert_non_null(p);
        assert_int_equal(p->wlen, wirelen);
        assert_int_equal(p->caplen, 60);
}

static void nothing(int fd, int code)
{
        assert_null(mapi_get_next_pkt(fd, 1));
        assert_int_equal(fake_error(), code);
}

/* What happens in the middle of a call that waits. */
static void puts_one(struct fake *s)
{
        fake_packets(s, flow, 1, 500, 1);
}

static void returns_with_one(struct fake *s)
{
        fake_return(s);
        fake_packets(s, flow, 1, 100, 1);
}

static void goes(struct fake *s)
{
        fake_away(s);
        fake_hook[FAKE_AWAIT] = returns_with_one;
}

static void grows(struct fake *s)
{
        fake_packets(s, flow, 1, 1, 2);
        fake_grow(s, flow, 1);
}

static void rest_is_delivered(void **unused)
{
        int fd = packet_flow(WAIT);
        struct mapipkt *p;

        fake_packets(mapid, fd, 1, 1, 3);
        next_is(fd, 1);
        p = mapi_get_next_pkt(fd, 1);
        fake_away(mapid);
        assert_int_equal(p->wlen, 2); /* what was handed out stays */
        next_is(fd, 3);
        fake_hook[FAKE_AWAIT] = returns_with_one;
        next_is(fd, 100);
        assert_int_equal(fake_error(), 0);
        fake_packets(mapid, fd, 1, 101, 2);
        next_is(fd, 101);
        next_is(fd, 102);

        /* It was away for a moment only: the old ring is read to its end, then the new one. */
        fake_packets(mapid, fd, 1, 103, 2);
        fake_away(mapid);
        fake_return(mapid);
        fake_packets(mapid, fd, 1, 200, 1);
        next_is(fd, 103);
        next_is(fd, 104);
        next_is(fd, 200);
        assert_int_equal(mapi_close_flow(fd), 0);
}

/** More packets than a ring holds, again and again, with everything that can happen in between. */
static void long_life(void **unused)
{
        int fd = packet_flow(WAIT);
        unsigned n = 0;

        for (unsigned round = 0; round < 50; round++) {
                for (unsigned i = 0; i < 40; i++, n++) {
                        fake_packets(mapid, fd, 1, n, 1);
                        next_is(fd, n);
                }
                if (round % 5 == 1) {
                        fake_away(mapid);
                        fake_return(mapid);
                } else if (round % 5 == 3) {
                        fake_again(mapid); /* this ring lives on */
                }
        }
        assert_int_equal(fake_error(), 0);
        assert_int_equal(mapi_close_flow(fd), 0);
}

static void goes_while_waiting(void **unused)
{
        int fd = packet_flow(WAIT);

        fake_hook[FAKE_WAITING] = goes;
        next_is(fd, 100);
        assert_int_equal(fake_error(), 0);
        fake_hook[FAKE_WAITING] = goes;
        fake_hook[FAKE_RING] = goes; /* in the middle of mapping it anew */
        next_is(fd, 100);
        fake_hook[FAKE_WAITING] = goes;
        fake_hook[FAKE_PLACE] = goes;
        next_is(fd, 100);
        fake_hook[FAKE_WAITING] = grows;
        next_is(fd, 1);
        next_is(fd, 2);
        assert_int_equal(mapi_close_flow(fd), 0);
}

static void *goes_while_it_sleeps(void *unused)
{
        struct ring *r = &fake_find(mapid, flow)->function[0].ring;

        (void)unused;
        while (__atomic_load_n(&r->reader->waiting, __ATOMIC_SEQ_CST) == 0)
                ;
        fake_hook[FAKE_AWAIT] = returns_with_one;
        fake_away(mapid); /* nobody wakes the reader */
        return NULL;
}

static void goes_while_asleep(void **unused)
{
        int fd = packet_flow(WAIT);
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, goes_while_it_sleeps, NULL), 0);
        next_is(fd, 100);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(mapi_close_flow(fd), 0);
}

static void not_waiting(void **unused)
{
        int fd = packet_flow(NOWAIT), other;

        mapid->slept = 0;
        nothing(fd, 0);
        fake_packets(mapid, fd, 1, 1, 1);
        fake_away(mapid);
        next_is(fd, 1);
        nothing(fd, 0);
        fake_return(mapid);
        nothing(fd, 0);
        fake_packets(mapid, fd, 1, 2, 1);
        next_is(fd, 2);
        assert_int_equal(mapi_set_nonblocking(fd, 1), 0);
        nothing(fd, 0);
        fake_away(mapid);
        nothing(fd, MCOM_SOCKET_ERROR);
        nothing(fd, MCOM_SOCKET_ERROR);
        assert_int_equal(mapi_loop(fd, 1, 0, (mapi_handler)abort), -1);
        assert_int_equal(fake_error(), MCOM_SOCKET_ERROR);
        assert_int_equal(mapi_set_nonblocking(fd, 0), 0);
        nothing(fd, 0); /* its NOWAIT stays in force */
        fake_return(mapid);
        assert_int_equal(mapid->slept, 0);
        assert_int_equal(mapi_close_flow(fd), 0);

        other = packet_flow(WAIT);
        mapid->slept = 0;
        assert_int_equal(mapi_set_nonblocking(other, 4711), 0);
        nothing(other, 0);
        fake_away(mapid);
        nothing(other, MCOM_SOCKET_ERROR);
        assert_int_equal(mapid->slept, 0);
        assert_int_equal(mapi_set_nonblocking(other, 0), 0);
        fake_hook[FAKE_AWAIT] = returns_with_one;
        next_is(other, 100);
        assert_int_equal(mapid->slept, 1);
        fake_hook[FAKE_WAITING] = puts_one;
        next_is(other, 500);
        assert_int_equal(mapi_close_flow(other), 0);
        assert_int_equal(mapi_set_nonblocking(other, 1), -1);
        assert_int_equal(fake_error(), MAPI_INVALID_FLOW);
        assert_int_equal(mapi_set_nonblocking(0, 1), -1);
        assert_int_equal(fake_error(), MAPI_INVALID_FLOW);
}

static void returns_lost(struct fake *s)
{
        fake_find(s, flow)->lost = true;
        fake_return(s);
}

static void lost(void **unused)
{
        int fd = packet_flow(WAIT);
        unsigned places;

        fake_packets(mapid, fd, 1, 1, 2);
        fake_away(mapid);
        next_is(fd, 1);
        next_is(fd, 2);
        fake_hook[FAKE_AWAIT] = returns_lost;
        nothing(fd, MCOM_SOCKET_ERROR);
        places = mapid->places;
        nothing(fd, MCOM_SOCKET_ERROR);
        assert_int_equal(mapid->places, places);
        fake_find(mapid, fd)->lost = false;
        fake_away(mapid);
        fake_hook[FAKE_AWAIT] = returns_with_one;
        next_is(fd, 100);
        assert_int_equal(mapi_close_flow(fd), 0);
}

static void ends(void **unused)
{
        int fd = packet_flow(WAIT);

        fake_packets(mapid, fd, 1, 1, 1);
        fake_status(mapid, fd, FLOW_FINISHED, 0);
        fake_end(mapid, fd, 1);
        fake_away(mapid);
        next_is(fd, 1);
        nothing(fd, 0); /* it was over before */
        fake_return(mapid);
        nothing(fd, 0);
        assert_int_equal(mapi_close_flow(fd), 0);

        fd = packet_flow(WAIT);
        fake_status(mapid, fd, FLOW_FINISHED, MAPI_TRACE_DAMAGED);
        fake_end(mapid, fd, 1);
        nothing(fd, MAPI_TRACE_DAMAGED);
        fake_away(mapid);
        nothing(fd, MAPI_TRACE_DAMAGED); /* nobody can be asked why */
        fake_return(mapid);
        assert_int_equal(mapi_close_flow(fd), 0);

        /* mapid closes all flows when it ends: that is not the end of a trace. */
        fd = packet_flow(WAIT);
        fake_status(mapid, fd, FLOW_CLOSED, 0);
        fake_end(mapid, fd, 1);
        fake_hook[FAKE_AWAIT] = goes;
        next_is(fd, 100);
        assert_int_equal(mapi_close_flow(fd), 0);
}

static void closes(struct fake *s)
{
        (void)s;
        assert_int_equal(mapi_close_flow(flow), 0);
}

static void closed_while_away(void **unused)
{
        int fd = packet_flow(WAIT);

        fake_away(mapid);
        fake_hook[FAKE_AWAIT] = closes;
        nothing(fd, MAPI_INVALID_FLOW);
        fake_return(mapid);

        /* Never mapped: connected in the moment when it went. */
        flow = fd = mapi_create_flow("fake0");
        assert_int_equal(mapi_apply_function(fd, "PACKETS", WAIT), 1);
        fake_hook[FAKE_CONNECT] = fake_away;
        assert_int_equal(mapi_connect(fd), 0);
        fake_hook[FAKE_AWAIT] = closes;
        nothing(fd, MAPI_INVALID_FLOW);
        fake_return(mapid);

        flow = fd = mapi_create_flow("fake0");
        assert_int_equal(mapi_apply_function(fd, "PACKETS", WAIT), 1);
        fake_hook[FAKE_CONNECT] = fake_away;
        assert_int_equal(mapi_connect(fd), 0);
        fake_hook[FAKE_AWAIT] = returns_with_one;
        next_is(fd, 100);
        assert_int_equal(mapi_close_flow(fd), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(rest_is_delivered),
                cmocka_unit_test(long_life),
                cmocka_unit_test(goes_while_waiting),
                cmocka_unit_test(goes_while_asleep),
                cmocka_unit_test(not_waiting),
                cmocka_unit_test(lost),
                cmocka_unit_test(ends),
                cmocka_unit_test(closed_while_away),
        };

        (void)fake_socket();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
