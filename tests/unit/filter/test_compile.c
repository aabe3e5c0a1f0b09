/* filter/compile: what compiles and what does not, for which link type, and what is the same.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "filter/filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { ETHER = 1, RAW = 12, CHDLC = 104, SLL = 113 };

static struct arena *arena;

static const struct filter *compile_for(const char *text, uint16_t linktype, uint32_t snaplen)
{
        const struct filter *f = NULL;
        struct mapi_error err = { 0 };

        if (filter_compile(arena, NULL, text, linktype, snaplen, &f, &err) < 0)
                fail_msg("'%s' for link type %u: %s", text, linktype, err.text);
        assert_non_null(f);
        return f;
}

static const struct filter *compile(const char *text)
{
        return compile_for(text, ETHER, 65535);
}

static void faults(void **state)
{
        static const char *const wrong[] = { "portt 80",
                                             "tcp port",
                                             "host",
                                             "(tcp",
                                             "ip[99999999999999999999]",
                                             "tcp and",
                                             "port 99999999",
                                             "vlan 5000 and and",
                                             "ip host 1.2.3.4.5.6",
                                             "\377\376",
                                             "ether[0:3] = 1" };

        for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
                const struct filter *f = (const void *)&f;
                struct mapi_error err = { 0 };

                assert_int_equal(filter_compile(arena, NULL, wrong[i], ETHER, 65535, &f, &err), -PCAP_BPF_ERR);
                assert_ptr_equal(f, &f); /* untouched */
                assert_int_equal(err.code, PCAP_BPF_ERR);
                assert_non_null(strstr(err.text, wrong[i])); /* names the filter, and says what libpcap says */
                assert_true(strlen(err.text) >
                            strlen("the filter expression does not compile: ''") + strlen(wrong[i]) + 5);
                assert_int_equal(filter_compile(arena, NULL, wrong[i], ETHER, 65535, &f, NULL), -PCAP_BPF_ERR);
        }
}

static void too_long(void **state)
{
        const struct filter *f = NULL;
        struct mapi_error err = { 0 };
        char *text = malloc(FILTER_TEXT_MAX + 2);

        assert_non_null(text);
        memset(text, ' ', FILTER_TEXT_MAX + 1);
        memcpy(text, "tcp", 3);
        text[FILTER_TEXT_MAX] = '\0';
        assert_int_equal(filter_compile(arena, NULL, text, ETHER, 65535, &f, &err), 0);
        assert_true(filter_equal(f, compile("tcp")));
        text[FILTER_TEXT_MAX] = ' ';
        text[FILTER_TEXT_MAX + 1] = '\0';
        f = NULL;
        assert_int_equal(filter_compile(arena, NULL, text, ETHER, 65535, &f, &err), -MAPI_LIMIT_ERROR);
        assert_int_equal(err.code, MAPI_LIMIT_ERROR);
        assert_null(f);
        free(text);
}

/* However much memory there is: a filter, or a clean error and nothing taken beyond the limit. */
static void no_memory(void **state)
{
        unsigned failed = 0;

        for (size_t taken = 0; taken < 4096 - 128; taken += 48) {
                struct quota q = { .limit_bytes = 4096 };
                struct arena *a = arena_new(&q);
                const struct filter *f = NULL;
                struct mapi_error err = { 0 };

                assert_non_null(a);
                assert_non_null(arena_alloc(a, taken));
                if (filter_compile(a, NULL, "tcp port 80 or udp port 53", ETHER, 65535, &f, &err) < 0) {
                        assert_int_equal(err.code, MAPID_MEM_ALLOCATION_ERROR);
                        assert_null(f);
                        failed++;
                }
                assert_int_equal(q.used_bytes, 4096);
                arena_free(&a);
                assert_int_equal(q.used_bytes, 0);
        }
        assert_in_range(failed, 1, 10);
}

/* One IPv4 UDP packet, 10.0.0.1:1234 to 10.0.0.2:53, behind the header of each link type. */
static const uint8_t ip[] = { 0x45, 0, 0,  28, 0, 1, 0, 0,    64, 17, 0, 0, 10, 0,
                              0,    1, 10, 0,  0, 2, 4, 0xd2, 0,  53, 0, 8, 0,  0 };

static const struct link {
        uint16_t type;
        size_t n;
        uint8_t head[16];
} links[] = {
        { ETHER, 14, { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0 } },
        { RAW, 0, { 0 } },
        { CHDLC, 4, { 0x0f, 0, 8, 0 } },
        { SLL, 16, { 0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0 } },
};

static struct mapi_view packet_on(const struct link *l, uint8_t *buf)
{
        memcpy(buf, l->head, l->n);
        memcpy(buf + l->n, ip, sizeof ip);
        return (struct mapi_view){ .data = buf,
                                   .caplen = (uint32_t)(l->n + sizeof ip),
                                   .wirelen = (uint32_t)(l->n + sizeof ip),
                                   .linktype = l->type };
}

static void link_types(void **state)
{
        for (unsigned i = 0; i < sizeof links / sizeof links[0]; i++) {
                const struct filter *dns = compile_for("udp dst port 53 and host 10.0.0.1", links[i].type, 65535);
                const struct filter *web = compile_for("udp port 80", links[i].type, 65535);
                const struct filter *all = compile_for("", links[i].type, 65535);
                const struct filter *size = compile_for("len = 44", links[i].type, 65535); /* SLL only: 16 + 28 */

                for (unsigned k = 0; k < sizeof links / sizeof links[0]; k++) {
                        uint8_t buf[64];
                        struct mapi_view v = packet_on(&links[k], buf);

                        /* its own link type only, even for the filter that lets everything pass */
                        assert_int_equal(filter_match(dns, &v), i == k);
                        assert_int_equal(filter_match(all, &v), i == k);
                        assert_false(filter_match(web, &v));
                        assert_int_equal(filter_match(size, &v), i == k && links[k].type == SLL);
                }
        }
}

/* The captured bytes are all that is read; the wire length is what "len" means. */
static void cut_packets(void **state)
{
        const struct filter *dns = compile("udp dst port 53"), *len = compile("len = 1000"), *any = compile("");

        for (uint32_t cut = 0; cut <= 14 + sizeof ip; cut++) {
                uint8_t buf[64], *exact = malloc(cut > 0 ? cut : 1);
                struct mapi_view v = packet_on(&links[0], buf);

                assert_non_null(exact);
                memcpy(exact, buf, cut);
                v.data = exact;
                v.caplen = cut;
                v.wirelen = 1000;
                assert_int_equal(filter_match(dns, &v), cut >= 14 + 20 + 4);
                assert_true(filter_match(len, &v));
                assert_true(filter_match(any, &v));
                free(exact);
        }
}

static void equality(void **state)
{
        const struct filter *a = compile("ip"), *b = compile("ether proto 0x0800"), *c = compile("  ip  ");
        const struct filter *d = compile("ip6"), *e = compile_for("ip", SLL, 65535);
        const struct filter *all = compile(""), *all_sll = compile_for("", SLL, 65535);

        assert_true(filter_equal(a, a) && filter_equal(a, b) && filter_equal(b, a) && filter_equal(a, c));
        assert_true(filter_hash(a) == filter_hash(b) && filter_hash(a) == filter_hash(c));
        assert_false(filter_equal(a, d) || filter_equal(a, e) || filter_equal(a, all));
        assert_true(filter_hash(a) != filter_hash(d));
        assert_false(filter_equal(all, all_sll)); /* the same instructions, but for other packets */
}

static int setup(void **state)
{
        arena = arena_new(NULL);
        return arena == NULL ? -1 : 0;
}

static int teardown(void **state)
{
        arena_free(&arena);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(faults),     cmocka_unit_test(too_long),    cmocka_unit_test(no_memory),
                cmocka_unit_test(link_types), cmocka_unit_test(cut_packets), cmocka_unit_test(equality),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
