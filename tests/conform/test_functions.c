/*
 * What every function promises, tried on each without a line for each: all that are in the engine, and five that exist for
 * this test only, one of each shape.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "shapes.h"
#include "world.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ENOUGH = 256 << 20, STEPS = 10000000 };

static const char *folder[2];

#define EACH_FUNCTION(def, library)                                                                               \
        for (unsigned each_i = 0; each_i != UINT32_MAX; each_i = UINT32_MAX)                                      \
                for (const char *library = NULL; library == NULL; library = "")                                   \
                        for (const struct mapi_function *def; (def = world_function(each_i, &library)) != NULL;   \
                             each_i++)

/** One run over some packets; what it showed. */
static struct world_outcome run(const struct mapi_function *def, const char *library,
                                const struct world_packets *p, unsigned width, unsigned steps)
{
        struct world_outcome o;
        struct mapi_error err = { 0 };
        struct world w;

        world_open(&w, ENOUGH);
        assert_non_null(w.session);
        world_device(&w, p, width);
        if (world_apply(&w, def, library, -1, &err) < 0)
                fail_msg("%s: %d %s", def->name, err.code, err.text);
        world_run(&w, steps);
        o = world_outcome(&w);
        world_close(&w);
        return o;
}

/** The same packets in batches of 1, 2, 63 and 64: the same outcome. Rings hold about a megabyte. */
static void same_for_every_width(const struct world_packets *p, const char *what)
{
        static const unsigned width[] = { 1, 2, 63 };

        EACH_FUNCTION(def, library)
        {
                struct world_outcome all = run(def, library, p, 64, STEPS), some;

                for (size_t i = 0; i < sizeof width / sizeof width[0]; i++) {
                        some = run(def, library, p, width[i], STEPS);
                        if (some.n != all.n || (all.n > 0 && memcmp(some.bytes, all.bytes, all.n) != 0))
                                fail_msg("%s, %s: batches of %u give another outcome than batches of 64",
                                         def->name, what, width[i]);
                        free(some.bytes);
                }
                free(all.bytes);
        }
}

/** A ring is not read in these tests: as many packets as fit. */
static void shorten(struct world_packets *p, size_t max_bytes)
{
        size_t bytes = 0;

        for (size_t i = 0; i < p->n; i++) {
                bytes += 2 * (64 + (size_t)p->pkt[i].caplen);
                if (bytes > max_bytes) {
                        for (size_t k = i; k < p->n; k++)
                                free((uint8_t *)(uintptr_t)p->pkt[k].data);
                        p->n = i;
                }
        }
}

static void every_trace(void **state)
{
        unsigned n = 0;

        (void)state;
        for (int i = 0; i < 2 && folder[i] != NULL; i++) {
                DIR *d = opendir(folder[i]);
                struct dirent *entry;

                assert_non_null(d);
                while ((entry = readdir(d)) != NULL) {
                        const char *dot = strrchr(entry->d_name, '.');
                        char path[4096];
                        struct world_packets p;

                        if (dot == NULL || (strcmp(dot, ".pcap") != 0 && strcmp(dot, ".pcapng") != 0))
                                continue;
                        (void)snprintf(path, sizeof path, "%s/%s", folder[i], entry->d_name);
                        p = world_packets_of(path);
                        shorten(&p, 400 << 10);
                        same_for_every_width(&p, entry->d_name);
                        world_packets_free(&p);
                        n++;
                }
                (void)closedir(d);
        }
        assert_true(n >= 5);
}

static void no_packet_and_one(void **state)
{
        static const uint8_t frame[60] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45 };
        struct world_packets p = { .linktype = 1 };

        (void)state;
        same_for_every_width(&p, "no packet");
        world_packets_add(&p, frame, sizeof frame, 1500, 5ull << 32);
        same_for_every_width(&p, "one packet");
        world_packets_add(&p, frame, 0, 1500, 4ull << 32);                     /* no byte, and time goes back */
        world_packets_add(&p, frame, sizeof frame, 1500, 4000000000ull << 32); /* a century later */
        same_for_every_width(&p, "odd packets");
        world_packets_free(&p);
}

/** The first packets of the demo, cut everywhere: nothing behind the end is read (the sanitizer sees it). */
static void cut_packets(void **state)
{
        struct world_packets whole, p = { .linktype = 1 };
        char path[4096];

        (void)state;
        (void)snprintf(path, sizeof path, "%s/demo.pcap", folder[0]);
        whole = world_packets_of(path);
        for (size_t i = 0; i < whole.n && i < 24; i++)
                for (uint32_t cut = 0; cut <= whole.pkt[i].caplen && cut <= 90; cut++)
                        world_packets_add(&p, whole.pkt[i].data, cut, whole.pkt[i].wirelen, whole.pkt[i].ts);
        world_packets_free(&whole);
        shorten(&p, 400 << 10);
        assert_true(p.n > 1000);
        same_for_every_width(&p, "cut packets");
        world_packets_free(&p);
}

static void other_link_types(void **state)
{
        static const uint16_t linktype[] = { 0, 9, 12, 104, 113, 147, 276, 65535 };
        char path[4096];

        (void)state;
        (void)snprintf(path, sizeof path, "%s/demo.pcap", folder[0]);
        for (size_t t = 0; t < sizeof linktype / sizeof linktype[0]; t++) {
                struct world_packets p = world_packets_of(path);

                shorten(&p, 40 << 10);
                p.linktype = linktype[t];
                for (size_t i = 0; i < p.n; i++)
                        p.pkt[i].linktype = linktype[t];
                EACH_FUNCTION(def, library)
                {
                        struct mapi_error err = { 0 };
                        struct world w;

                        world_open(&w, ENOUGH);
                        world_device(&w, &p, 64);
                        if (world_apply(&w, def, library, -1, &err) >= 0) {
                                world_run(&w, STEPS);
                        } else if (err.code != 1025) { /* no filter can be made for some of them */
                                fail_msg("%s on link type %u: %d %s", def->name, linktype[t], err.code, err.text);
                        }
                        world_close(&w);
                }
                world_packets_free(&p);
        }
}

static void close_in_the_middle(void **state)
{
        char path[4096];
        struct world_packets p;

        (void)state;
        (void)snprintf(path, sizeof path, "%s/demo.pcap", folder[0]);
        p = world_packets_of(path);
        shorten(&p, 400 << 10);
        for (unsigned steps = 0; steps < 4; steps++) {
                EACH_FUNCTION(def, library)
                {
                        int before = world_descriptors();
                        struct world_outcome o = run(def, library, &p, 7, steps);

                        free(o.bytes);
                        assert_int_equal(world_descriptors(), before);
                        assert_int_equal(shapes_alive, 0);
                }
        }
        world_packets_free(&p);
}

static void reset(void **state)
{
        char path[4096];
        struct world_packets p;

        (void)state;
        (void)snprintf(path, sizeof path, "%s/demo.pcap", folder[0]);
        p = world_packets_of(path);
        shorten(&p, 100 << 10);
        EACH_FUNCTION(def, library)
        {
                struct mapi_error err;
                struct instance *in;
                struct world w;

                world_open(&w, ENOUGH);
                world_device(&w, &p, 64);
                assert_true(world_apply(&w, def, library, -1, &err) > 0);
                world_run(&w, STEPS);
                in = engine_function(w.flow, w.fid, false);
                instance_snapshot(in);
                if (instance_reset(in, in->flow) == 0 && def->result.kind == MAPI_RESULT_COUNTER &&
                    def->result.combine == MAPI_COMBINE_SUM)
                        assert_int_equal(instance_u64(in), 0);
                world_close(&w);
        }
        world_packets_free(&p);
}

/** Memory runs out at every point of making a flow: an error, nothing left behind, and the next try works. */
static void failing_allocations(void **state)
{
        static const uint8_t frame[60] = { 0 };
        struct world_packets p = { .linktype = 1 };

        (void)state;
        world_packets_add(&p, frame, sizeof frame, 60, 1);
        EACH_FUNCTION(def, library)
        {
                unsigned refused = 0;
                size_t limit = 0;
                int r = -1;

                for (; r < 0; limit += 4096) {
                        int before = world_descriptors();
                        struct mapi_error err = { 0 };
                        struct world w;

                        world_open(&w, limit);
                        if (w.session == NULL) { /* not even that */
                                engine_free(&w.engine);
                                continue;
                        }
                        world_device(&w, &p, 64);
                        r = world_apply(&w, def, library, -1, &err);
                        if (r < 0) {
                                refused++;
                                if (err.code != 3084 && err.code != 3075 && err.code != 9000)
                                        fail_msg("%s with %zu bytes: %d %s", def->name, limit, err.code, err.text);
                        }
                        world_close(&w);
                        assert_int_equal(world_descriptors(), before);
                        assert_int_equal(shapes_alive, 0);
                        assert_true(limit < (64 << 20));
                }
                assert_true(refused > 0);
        }
        world_packets_free(&p);
}

/** Each argument wrong in its turn: the code of its position, and nothing is left behind. */
static void wrong_arguments(void **state)
{
        struct world_packets p = { .linktype = 1 };
        unsigned tried = 0;

        (void)state;
        EACH_FUNCTION(def, library)
        {
                for (int i = 0; def->args != NULL && def->args[i].letter != '\0'; i++) {
                        const struct mapi_arg_spec *s = &def->args[i];
                        int before = world_descriptors(), want = 7001 + i, r;
                        struct mapi_error err = { 0 };
                        struct world w;

                        if ((strchr("ic", s->letter) != NULL && s->min >= s->max) || s->letter == 'l' ||
                            (s->letter == 's' && s->optional))
                                continue; /* everything is right */
                        if (s->letter == 'f')
                                want = 7000 + i; /* told of the flow in front of it */
                        if (s->letter == 'w')
                                want = 6155;
                        else if (i == 5)
                                want = 7011; /* the codes between are taken */
                        world_open(&w, ENOUGH);
                        world_device(&w, &p, 64);
                        r = world_apply(&w, def, library, i, &err);
                        /* "some argument": what some functions always said of their strings */
                        if (r != -want && (r != -7000 || s->letter != 's'))
                                fail_msg("%s, argument %d wrong: %d %s", def->name, i + 1, r, err.text);
                        assert_true(err.text[0] != '\0');
                        world_close(&w);
                        assert_int_equal(world_descriptors(), before);
                        tried++;
                }
        }
        assert_true(tried >= 8);
}

/** What a descriptor itself must hold. */
static void descriptors(void **state)
{
        unsigned shape[6] = { 0 };

        (void)state;
        EACH_FUNCTION(def, library)
        {
                assert_int_equal(def->abi, MAPI_FUNCTION_ABI);
                assert_true(def->name[0] >= 'A' && def->name[0] <= 'Z');
                assert_true(strlen(def->help) > 10);
                assert_in_range(def->shape, MAPI_PREDICATE, MAPI_SINK);
                shape[def->shape]++;
                assert_true((def->shape == MAPI_PREDICATE) == (def->run == NULL));
                if (def->result.kind == MAPI_RESULT_RECORD)
                        assert_true(def->result.size > 0 || def->start != NULL);
                if (def->result.kind != MAPI_RESULT_NONE)
                        assert_non_null(def->result.unit);
                if (def->shape == MAPI_SINK)
                        assert_true(def->room.per_packet > 0 || def->room.with_bytes);
                for (int i = 0; def->args != NULL && def->args[i].letter != '\0'; i++) {
                        assert_non_null(strchr("siclwrfSR", def->args[i].letter));
                        assert_non_null(def->args[i].name);
                        assert_non_null(def->args[i].help);
                        assert_true(i < MAPI_ARGS_MAX);
                }
        }
        for (int s = MAPI_PREDICATE; s <= MAPI_SINK; s++)
                assert_true(shape[s] > 0);
}

int main(int argc, char **argv)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(descriptors),
                cmocka_unit_test(no_packet_and_one),
                cmocka_unit_test(every_trace),
                cmocka_unit_test(cut_packets),
                cmocka_unit_test(other_link_types),
                cmocka_unit_test(close_in_the_middle),
                cmocka_unit_test(reset),
                cmocka_unit_test(failing_allocations),
                cmocka_unit_test(wrong_arguments),
        };
        const char *more = getenv("MAPI_TEST_TRACES");
        DIR *d;

        if (argc != 2)
                return 2;
        folder[0] = argv[1];
        d = more == NULL ? NULL : opendir(more);
        if (d != NULL) {
                folder[1] = more;
                (void)closedir(d);
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
