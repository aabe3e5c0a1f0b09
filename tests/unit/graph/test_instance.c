/* graph/instance: making and ending instances, arguments out of range, too little memory at any step.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static struct rig rig;

static int setup(void **state)
{
        rig_init(&rig);
        return 0;
}

static int teardown(void **state)
{
        rig_fini(&rig);
        assert_int_equal(shapes_alive, 0);
        return 0;
}

static unsigned open_descriptors(void)
{
        DIR *dir = opendir("/proc/self/fd");
        unsigned n = 0;

        assert_non_null(dir);
        while (readdir(dir) != NULL)
                n++;
        closedir(dir);
        return n;
}

static struct instance_env env_of(struct rig *r)
{
        return (struct instance_env){ .arena = r->arena,
                                      .quota = &r->quota,
                                      .segments = r->segments,
                                      .device = &r->device,
                                      .library = "test",
                                      .flow = 1,
                                      .fid = 1,
                                      .ring_bytes = 4096,
                                      .sink_bytes = 4096 };
}

/** All three steps. Returns 0 and the instance, or the error; nothing is left then. */
static int make(struct rig *r, const struct mapi_function *def, const struct mapi_value *values, uint32_t n,
                struct instance *const *refs, uint32_t nrefs, struct instance **ret, struct mapi_error *err)
{
        struct instance_env env = env_of(r);
        struct instance *in;
        int rc = instance_prepare(def, &env, values, n, refs, nrefs, &in, err);

        if (rc < 0)
                return rc;
        rc = instance_start(in, err);
        if (rc == 0)
                rc = instance_complete(in, r->segments, err);
        if (rc < 0)
                instance_free(in, r->segments);
        else
                *ret = in;
        return rc;
}

static const int position_codes[] = { MFUNCT_INVALID_ARGUMENT_1, MFUNCT_INVALID_ARGUMENT_2,
                                      MFUNCT_INVALID_ARGUMENT_3, MFUNCT_INVALID_ARGUMENT_4,
                                      MFUNCT_INVALID_ARGUMENT_5, MFUNCT_INVALID_ARGUMENT_6,
                                      MFUNCT_INVALID_ARGUMENT,   MFUNCT_INVALID_ARGUMENT };

/* Each position has its code; the limits themselves are allowed; without limits anything is. */
static void ranges(void **state)
{
        static struct mapi_arg_spec args[9];
        static const struct mapi_function def = { .name = "T_EIGHT", .args = args, .shape = MAPI_OBSERVER };
        struct mapi_value v[8];

        for (unsigned i = 0; i < 8; i++)
                args[i] = (struct mapi_arg_spec){
                        .letter = i % 2 ? 'c' : 'i', .name = "number", .min = -3, .max = 7
                };
        for (unsigned i = 0; i < 8; i++) {
                static const long long bad[] = { -4, 8, INT32_MAX, INT32_MIN }, good[] = { -3, 7, 0 };

                for (unsigned k = 0; k < 8; k++)
                        v[k] = NUM(0);
                for (unsigned b = 0; b < 4; b++) {
                        struct mapi_error err = { 0 };
                        struct instance *in = NULL;

                        v[i] = NUM(bad[b]);
                        assert_int_equal(make(&rig, &def, v, 8, NULL, 0, &in, &err), -position_codes[i]);
                        assert_int_equal(err.code, position_codes[i]);
                        assert_non_null(strstr(err.text, "T_EIGHT: number is "));
                        assert_null(in);
                }
                for (unsigned g = 0; g < 3; g++) {
                        struct instance *in = NULL;

                        v[i] = NUM(good[g]);
                        assert_int_equal(make(&rig, &def, v, 8, NULL, 0, &in, NULL), 0);
                        assert_int_equal(in->fn.arg[i].num, good[g]);
                        instance_free(in, rig.segments);
                }
                args[i].min = args[i].max = 0;
                v[i] = NUM(INT64_MIN);
                assert_int_equal(make(&rig, &def, v, 8, NULL, 0, &(struct instance *){ NULL }, NULL), 0);
                args[i].min = -3;
                args[i].max = 7;
        }
}

/* What a function is given is its own copy. */
static void arguments_are_copied(void **state)
{
        char text[] = "needle";
        struct mapi_value v = STR(text);
        struct instance *in;

        assert_int_equal(make(&rig, &shapes_has, &v, 1, NULL, 0, &in, NULL), 0);
        strcpy(text, "xxxxxx");
        v.str = NULL;
        assert_string_equal(in->fn.arg[0].str, "needle");
        assert_true(match_test(in->match, (const uint8_t *)"a needle", 8));
        instance_free(in, rig.segments);
}

/* A result that is reset begins at 0; one that cannot be is left alone. */
static void values_and_resets(void **state)
{
        struct instance *counter = rig_plain(&rig, rig_flow(&rig), "PKT_COUNTER"), *info, *hash, *tally, *filter;
        uint32_t f = rig_flow(&rig);

        info = rig_plain(&rig, f, "PKTINFO");
        hash = rig_plain(&rig, f, "HASH");
        tally = rig_apply(&rig, f, &shapes_tally, NULL, 0, NULL, 0);
        filter = rig_filter(&rig, f, "ip");
        mapi_result_add(&counter->fn, 5);
        instance_snapshot(counter);
        mapi_result_add(&counter->fn, 2);
        assert_int_equal(instance_u64(counter), 7);
        assert_int_equal(instance_u64_before(counter, 1), 5);
        assert_int_equal(instance_reset(counter, 1), 0);
        assert_int_equal(instance_u64(counter), 2); /* from before the current packet on */
        assert_int_equal(instance_u64_before(counter, 1), 0);
        mapi_result_set(&info->fn, 99);
        assert_int_equal(instance_reset(info, 2), -1);
        assert_int_equal(instance_u64(info), 99);
        mapi_result_set32(&hash->fn, 0x80000001);
        assert_int_equal(instance_u64(hash), 0x80000001);
        assert_int_equal(instance_reset(hash, 2), -1);
        assert_int_equal(instance_reset(tally, 2), 0); /* its own hook */
        assert_int_equal(instance_reset(filter, 2), -1);
        assert_int_equal(instance_u64(filter), 0);
}

static void references_are_counted(void **state)
{
        struct instance *counter = rig_plain(&rig, rig_flow(&rig), "PKT_COUNTER"), *refs[2] = { counter, counter },
                        *in;
        struct mapi_value v[4] = { NUM(1), NUM(1), NUM(1), NUM(1) };

        assert_int_equal(counter->readers, 0);
        assert_int_equal(make(&rig, &shapes_watch, v, 4, refs, 2, &in, NULL), 0);
        assert_int_equal(counter->readers, 2);
        instance_free(in, rig.segments);
        assert_int_equal(counter->readers, 0);
        assert_int_equal(make(&rig, &shapes_watch, v, 4, refs, 1, &in, NULL), -MFUNCT_INVALID_ARGUMENT_1);
        assert_int_equal(counter->readers, 0);
}

static void predicate_without_anything(void **state)
{
        struct mapi_error err = { 0 };
        struct instance *in;

        assert_int_equal(make(&rig, &shapes_none, NULL, 0, NULL, 0, &in, &err), -MFUNCT_COULD_NOT_APPLY_FUNCT);
        assert_non_null(strstr(err.text, "T_NONE"));
}

/* The descriptor among the values belongs to the instance from the beginning, whatever comes of it. */
static void descriptors(void **state)
{
        static const struct mapi_arg_spec args[] = { { .letter = 'w', .name = "path" }, { 0 } };
        static const struct mapi_function unused = { .name = "T_UNUSED", .args = args, .shape = MAPI_OBSERVER };
        unsigned before;
        struct mapi_value v[2] = { { .str = "a", .fd = memfd_create("a", MFD_CLOEXEC) }, NUM(0) };
        struct instance *in;
        int fd = v[0].fd;

        rig_plain(&rig, rig_flow(&rig), "PKT_COUNTER"); /* the segment of results stays */
        before = open_descriptors() - 1;
        assert_int_equal(make(&rig, &shapes_lines, v, 1, NULL, 0, &in, NULL), 0);
        assert_int_equal(in->sink->fd, fd);
        assert_true(open_descriptors() > before);
        instance_free(in, rig.segments);
        assert_int_equal(fcntl(fd, F_GETFD), -1);
        assert_int_equal(make(&rig, &shapes_lines, &STR("no file"), 1, NULL, 0, &in, NULL), -MAPI_ERROR_FILE);
        v[0].fd = memfd_create("a", MFD_CLOEXEC); /* a function that does not use it */
        assert_int_equal(make(&rig, &unused, v, 1, NULL, 0, &in, NULL), 0);
        instance_free(in, rig.segments);
        assert_int_equal(open_descriptors(), before);
}

/* A transformer may not declare packets that are longer than any packet. */
static void too_long_to_emit(void **state)
{
        struct mapi_value v[2] = { NUM(1), NUM(MAPI_CAPLEN_MAX) };
        struct mapi_error err = { 0 };
        struct instance *in;

        assert_int_equal(make(&rig, &shapes_flood, v, 2, NULL, 0, &in, &err), 0);
        instance_free(in, rig.segments);
        v[1].num++;
        assert_int_equal(make(&rig, &shapes_flood, v, 2, NULL, 0, &in, &err), -MFUNCT_COULD_NOT_INIT_FUNCT);
        assert_non_null(strstr(err.text, "T_FLOOD"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
                TEST(ranges),
                TEST(arguments_are_copied),
                TEST(values_and_resets),
                TEST(references_are_counted),
                TEST(predicate_without_anything),
                TEST(descriptors),
                TEST(too_long_to_emit),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
