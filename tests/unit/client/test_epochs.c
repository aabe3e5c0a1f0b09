/* Results and information while mapid is away, when it is back, and when flows were lost.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "fake.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int counter_flow(void)
{
        int fd = mapi_create_flow("fake0");

        assert_true(fd > 0);
        assert_int_equal(mapi_apply_function(fd, "COUNTER"), 1);
        assert_int_equal(mapi_apply_function(fd, "COUNTER"), 2);
        assert_int_equal(mapi_connect(fd), 0);
        return fd;
}

static unsigned long long value(int fd, int fid)
{
        mapi_results_t *r = mapi_read_results(fd, fid);

        assert_non_null(r);
        assert_int_equal(r->size, 8);
        return *(unsigned long long *)r->res;
}

/** Mappings of segments: lines of /proc/self/maps that name their memfd. */
static unsigned mapped(void)
{
        FILE *f = fopen("/proc/self/maps", "re");
        char line[512];
        unsigned n = 0;

        assert_non_null(f);
        while (fgets(line, sizeof line, f) != NULL)
                n += strstr(line, "memfd:") != NULL && strstr(line, "r--s") != NULL;
        (void)fclose(f);
        return n;
}

static void goes_and_returns(void **unused)
{
        int fd = counter_flow();
        struct fake *s = fake_last();
        mapi_results_t *before, kept;
        unsigned places;
        void *res;

        fake_count(s, fd, 1, 7);
        fake_count(s, fd, 2, 70);
        assert_int_equal(value(fd, 1), 7);
        before = mapi_read_results(fd, 1);
        res = before->res;
        fake_count(s, fd, 1, 8); /* not read before it goes */
        fake_away(s);
        places = s->places;

        assert_int_equal(value(fd, 1), 8); /* still there */
        assert_int_equal(fake_error(), MCOM_SOCKET_ERROR);
        kept = *before;
        for (int i = 0; i < 3; i++) {
                assert_int_equal(value(fd, 1), 8);
                assert_int_equal(fake_error(), 0); /* said once for each function */
                assert_ptr_equal(mapi_read_results(fd, 1), before);
                assert_true(before->ts == kept.ts); /* when it was read */
        }
        assert_int_equal(value(fd, 2), 70); /* never read until now */
        assert_int_equal(fake_error(), MCOM_SOCKET_ERROR);
        assert_int_equal(s->places, places); /* nobody was asked */
        assert_int_equal(mapped(), 1);

        fake_return(s);
        assert_int_equal(value(fd, 1), 0); /* from the beginning */
        fake_count(s, fd, 1, 3);
        assert_int_equal(value(fd, 1), 3);
        assert_int_equal(fake_error(), 0);
        assert_ptr_equal(mapi_read_results(fd, 1), before);
        assert_ptr_equal(before->res, res);
        assert_int_equal(mapped(), 2); /* function 2 has not moved on */
        assert_int_equal(value(fd, 2), 0);
        assert_int_equal(mapped(), 1);

        fake_away(s); /* a second time: said once more */
        assert_int_equal(value(fd, 1), 3);
        assert_int_equal(fake_error(), MCOM_SOCKET_ERROR);
        fake_return(s);
        fake_away(s); /* nobody has looked in between */
        assert_int_equal(value(fd, 1), 3);
        assert_int_equal(fake_error(), MCOM_SOCKET_ERROR);
        fake_return(s);
        fake_count(s, fd, 2, 5);
        assert_int_equal(value(fd, 2), 5);
        assert_int_equal(mapi_close_flow(fd), 0);
        assert_int_equal(fake_error(), 0);
}

static void unnoticed(void **unused)
{
        int fd = counter_flow();
        struct fake *s = fake_last();

        fake_count(s, fd, 1, 7);
        assert_int_equal(value(fd, 1), 7);
        fake_away(s);
        fake_return(s);
        fake_count(s, fd, 1, 2);
        assert_int_equal(value(fd, 1), 2);
        fake_again(s); /* other flows came back: nothing of ours has changed */
        fake_count(s, fd, 1, 4);
        assert_int_equal(value(fd, 1), 4);
        assert_int_equal(fake_error(), 0);
        assert_int_equal(mapi_close_flow(fd), 0);
}

static void lost(void **unused)
{
        int fd = counter_flow(), other = counter_flow();
        struct fake *s = fake_last();
        unsigned places;

        fake_count(s, fd, 1, 7);
        fake_find(s, fd)->lost = true;
        fake_away(s);
        fake_return(s);
        assert_int_equal(value(fd, 1), 7);
        assert_int_equal(fake_error(), MCOM_SOCKET_ERROR);
        places = s->places;
        assert_int_equal(value(fd, 1), 7);
        assert_non_null(strstr(fake_text(), "lost"));
        assert_int_equal(s->places, places); /* not asked for again */
        fake_count(s, other, 1, 9);
        assert_int_equal(value(other, 1), 9);
        assert_int_equal(fake_error(), 0);

        fake_away(s); /* made anew after all */
        fake_find(s, fd)->lost = false;
        fake_return(s);
        fake_count(s, fd, 1, 1);
        assert_int_equal(value(fd, 1), 1);
        assert_int_equal(fake_error(), 0);
        fake_find(s, fd)->lost = true;
        fake_away(s);
        fake_return(s);
        assert_int_equal(mapi_close_flow(fd), 0);
        assert_int_equal(mapi_close_flow(other), 0);
}

/** It goes in the middle of mapping anew. */
static void at_every_point(void **unused)
{
        static const enum fake_call points[] = { FAKE_PLACE, FAKE_SEGMENT };

        for (unsigned i = 0; i < sizeof points / sizeof points[0]; i++) {
                int fd = counter_flow();
                struct fake *s = fake_last();

                fake_count(s, fd, 1, 7);
                assert_int_equal(value(fd, 1), 7);
                fake_away(s);
                fake_return(s);
                fake_count(s, fd, 1, 1);
                fake_hook[points[i]] = fake_away;
                assert_int_equal(value(fd, 1), 7);
                assert_int_equal(fake_error(), MCOM_SOCKET_ERROR);
                fake_return(s);
                fake_count(s, fd, 1, 2);
                assert_int_equal(value(fd, 1), 2);
                assert_int_equal(fake_error(), 0);
                assert_int_equal(mapi_close_flow(fd), 0);
        }
}

/** It goes while a flow is being connected. */
static void while_connecting(void **unused)
{
        static const enum fake_call points[] = { FAKE_CONNECT, FAKE_PLACE, FAKE_SEGMENT, FAKE_RING };

        for (unsigned i = 0; i < sizeof points / sizeof points[0]; i++) {
                int fd = mapi_create_flow("fake0");
                struct fake *s = fake_last();
                unsigned places;

                assert_int_equal(mapi_apply_function(fd, "COUNTER"), 1);
                assert_int_equal(mapi_apply_function(fd, "PACKETS", 0), 2);
                fake_hook[points[i]] = fake_away;
                assert_int_equal(mapi_connect(fd), 0);
                assert_int_equal(fake_error(), 0);
                assert_null(mapi_read_results(fd, 1)); /* never a result */
                assert_int_equal(fake_error(), MCOM_SOCKET_ERROR);
                assert_int_equal(mapi_connect(fd), -1);
                assert_int_equal(fake_error(), MDLIB_FLOW_ALREADY_ACTIVE);
                fake_find(s, fd)->lost = i == 1;
                fake_return(s);
                if (i == 1) {
                        assert_null(mapi_read_results(fd, 1));
                        assert_int_equal(fake_error(), MCOM_SOCKET_ERROR);
                        places = s->places;
                        assert_null(mapi_get_next_pkt(fd, 2));
                        assert_int_equal(fake_error(), MCOM_SOCKET_ERROR);
                        assert_int_equal(s->places, places);
                } else {
                        fake_count(s, fd, 1, 4);
                        assert_int_equal(value(fd, 1), 4);
                        assert_int_equal(fake_error(), 0);
                }
                assert_int_equal(mapi_close_flow(fd), 0);
        }
        assert_int_equal(mapped(), 1);
}

static void errors_while_away(void **unused)
{
        int fd = counter_flow(), unconnected = mapi_create_flow("fake0");
        struct fake *s = fake_last();
        struct mapi_stat64 stats;

        fake_away(s);
        assert_int_equal(mapi_create_flow("fake0"), -1);
        assert_int_equal(fake_error(), MCOM_SOCKET_ERROR);
        assert_int_equal(mapi_create_flow("lo"), -1); /* not: mapid does not offer it */
        assert_int_equal(fake_error(), MCOM_SOCKET_ERROR);
        assert_int_equal(mapi_apply_function(unconnected, "COUNTER"), -1);
        assert_int_equal(fake_error(), MCOM_SOCKET_ERROR);
        assert_int_equal(mapi_connect(unconnected), -1);
        assert_int_equal(fake_error(), MCOM_SOCKET_ERROR);
        assert_int_equal(mapi_flow_stats64(fd, &stats), -1);
        assert_int_equal(fake_error(), MCOM_SOCKET_ERROR);
        assert_int_equal(mapi_close_flow(unconnected), 0);
        assert_int_equal(mapped(), 1);
        assert_int_equal(mapi_close_flow(fd), 0);
        assert_int_equal(mapped(), 0); /* nobody will ask for it again */
        assert_null(mapi_read_results(fd, 1));
        assert_int_equal(fake_error(), MAPI_INVALID_FLOW);
        fake_return(s);
}

static void information(void **unused)
{
        int fd = counter_flow();
        struct fake *s = fake_last();
        mapi_function_info_t function;
        mapi_flow_info_t flow;

        assert_int_equal(mapi_get_function_info(fd, 1, &function), 0);
        fake_away(s);
        assert_int_equal(mapi_get_flow_info(fd, &flow), -1); /* never answered */
        assert_int_equal(fake_error(), MCOM_SOCKET_ERROR);
        fake_return(s);
        assert_int_equal(mapi_get_flow_info(fd, &flow), 0);
        assert_int_equal(fake_error(), 0);
        fake_away(s);
        memset(&flow, 0, sizeof flow);
        assert_int_equal(mapi_get_flow_info(fd, &flow), 0); /* the last answer */
        assert_int_equal(fake_error(), MCOM_SOCKET_ERROR);
        assert_int_equal(flow.fd, fd);
        assert_int_equal(flow.num_functions, 2);
        assert_int_equal(flow.status, FLOW_ACTIVE);
        memset(&function, 0, sizeof function);
        assert_int_equal(mapi_get_next_function_info(fd, 0, &function), 0);
        assert_int_equal(fake_error(), MCOM_SOCKET_ERROR);
        assert_int_equal(function.fid, 1);
        assert_int_equal(mapi_get_function_info(fd, 2, &function), -1); /* never answered */
        assert_int_equal(fake_error(), MCOM_SOCKET_ERROR);
        assert_int_equal(mapi_get_next_function_info(fd, 1, &function), -1);
        assert_int_equal(mapi_get_flow_info(fd + 1000, &flow), -1);
        assert_int_equal(fake_error(), MCOM_SOCKET_ERROR);
        fake_return(s);
        assert_int_equal(mapi_close_flow(fd), 0);
}

static void statistics(void **unused)
{
        int fd = counter_flow(), unconnected = mapi_create_flow("fake0");
        struct mapi_stat64 wide;
        struct mapi_stat stat;

        assert_int_equal(mapi_stats("fake0", &stat), 1);
        assert_int_equal(stat.ps_recv, 95); /* as pcap_stats(3PCAP): with those that the kernel dropped */
        assert_int_equal(stat.ps_drop, 25);
        assert_int_equal(stat.ps_ifdrop, 5);
        assert_int_equal(mapi_stats64("fake0", &wide), 1);
        assert_int_equal(wide.delivered, 70);
        assert_int_equal(mapi_flow_stats64(fd, &wide), 1);
        assert_int_equal(wide.seen, fd);
        assert_int_equal(mapi_flow_stats64(fd, NULL), -1);
        assert_int_equal(fake_error(), MFUNCT_INVALID_ARGUMENT_2);
        assert_int_equal(mapi_flow_stats64(unconnected, &wide), -1);
        assert_int_equal(fake_error(), MAPI_FLOW_NOT_CONNECTED);
        assert_int_equal(mapi_flow_stats64(0, &wide), -1);
        assert_int_equal(fake_error(), MAPI_INVALID_FLOW);
        assert_int_equal(mapi_flow_stats64(FAKE_FOREIGN, &wide), 1);
        assert_int_equal(wide.seen, 4711);
        assert_int_equal(mapi_close_flow(fd), 0);
        assert_int_equal(mapi_flow_stats64(fd, &wide), -1);
        assert_int_equal(fake_error(), MAPI_INVALID_FLOW);
        assert_int_equal(mapi_close_flow(unconnected), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(goes_and_returns),
                cmocka_unit_test(unnoticed),
                cmocka_unit_test(lost),
                cmocka_unit_test(at_every_point),
                cmocka_unit_test(while_connecting),
                cmocka_unit_test(errors_while_away),
                cmocka_unit_test(information),
                cmocka_unit_test(statistics),
        };

        (void)fake_socket();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
