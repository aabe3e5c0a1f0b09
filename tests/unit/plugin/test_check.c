/* What a function library may say of itself, where it is looked for, and the life that its functions are led through.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "functions/table.h"
#include "plugin/plugin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int start(struct mapi_fn *fn, struct mapi_error *err)
{
        (void)fn;
        (void)err;
        return 0;
}

static mapi_sel run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        (void)fn;
        (void)b;
        return in;
}

static const struct mapi_function good = {
        .abi = MAPI_FUNCTION_ABI,
        .name = "GOOD_1",
        .help = "Lets all pass.",
        .result = { .kind = MAPI_RESULT_COUNTER, .unit = "packets" },
        .shape = MAPI_OBSERVER,
        .run = run,
};

#define A(...)                                                                                                    \
        {                                                                                                         \
                .name = "a", .help = "h", __VA_ARGS__                                                             \
        }
#define END                                                                                                       \
        {                                                                                                         \
                .letter = 0                                                                                       \
        }

static int check(struct plugin_set *set, const char *name, const struct mapi_function *const *functions,
                 struct mapi_error *err)
{
        const struct mapi_library l = { .abi = MAPI_FUNCTION_ABI, .name = name, .functions = functions };

        *err = (struct mapi_error){ 0 };
        return plugin_check(set, &l, err);
}

static void refused_function(const struct mapi_function *f, const char *sentence)
{
        const struct mapi_function *const functions[] = { f, NULL };
        struct plugin_set set;
        struct mapi_error err;

        plugin_set_begin(&set, NULL, 0);
        assert_int_equal(check(&set, "lib", functions, &err), -MAPI_LIBRARY_LOAD_ERR);
        if (strstr(err.text, sentence) == NULL)
                fail_msg("'%s' instead of '%s'", err.text, sentence);
}

static void descriptors(void **state)
{
        static const struct mapi_arg_spec unknown[] = { A(.letter = 'x'), END };
        static const struct mapi_arg_spec nameless[] = { { .letter = 'i', .help = "h" }, END };
        static const struct mapi_arg_spec order[] = { A(.letter = 'i', .optional = 1), A(.letter = 'i'), END };
        static const struct mapi_arg_spec lonely[] = { A(.letter = 'i'), A(.letter = 'f'), END };
        static const struct mapi_arg_spec empty[] = { A(.letter = 'i', .min = 2, .max = 1), END };
        static const struct mapi_arg_spec beside[] = { A(.letter = 'i', .optional = 1, .def = 9, .max = 8), END };
        static const struct mapi_arg_spec file[] = { A(.letter = 'w', .optional = 1), END };
        struct mapi_arg_spec many[MAPI_ARGS_MAX + 2] = { 0 };
        struct mapi_function f;

#define BAD(sentence, ...)                                                                                        \
        do {                                                                                                      \
                f = good;                                                                                         \
                __VA_ARGS__;                                                                                      \
                refused_function(&f, sentence);                                                                   \
        } while (0)
        (void)state;
        for (int i = 0; i < MAPI_ARGS_MAX + 1; i++)
                many[i] = (struct mapi_arg_spec)A(.letter = 'i');
        BAD("for version 1 of function.h", f.abi = 1);
        BAD("no name in upper case", f.name = "Good");
        BAD("no name in upper case", f.name = "1GOOD");
        BAD("no name in upper case", f.name = "A:B");
        BAD("no name in upper case", f.name = "");
        BAD("no name in upper case", f.name = NULL);
        BAD("no name in upper case", f.name = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        BAD("GOOD_1 has no help", f.help = NULL);
        BAD("the shape 0, which is none", f.shape = 0);
        BAD("the shape 6, which is none", f.shape = 6);
        BAD("GOOD_1 has no .run", f.run = NULL);
        BAD("must not have .run", f.shape = MAPI_PREDICATE; f.start = start);
        BAD("has no .start that says", f.shape = MAPI_PREDICATE; f.run = NULL);
        BAD("has no .start that opens", f.shape = MAPI_SINK);
        BAD("how much room", f.shape = MAPI_SINK; f.start = start);
        BAD("without an argument for its file", f.shape = MAPI_SINK; f.start = start; f.room.with_bytes = 1);
        BAD("how much room", f.result.kind = MAPI_RESULT_PACKETS);
        BAD("of no known kind", f.result.kind = 5);
        BAD("of no known kind", f.result.combine = 4);
        BAD("has no unit", f.result.unit = NULL);
        BAD("has 3 bytes", f.result.size = 3);
        BAD("has no bytes", f.result.kind = MAPI_RESULT_RECORD);
        BAD("the most are 1 MiB", f.result.kind = MAPI_RESULT_RECORD; f.result.size = (1u << 20) + 1);
        BAD("the letter 'x'", f.args = unknown);
        BAD("no name or no help", f.args = nameless);
        BAD("argument 2 of GOOD_1 must be optional", f.args = order);
        BAD("a function without a flow", f.args = lonely);
        BAD("a range that is empty", f.args = empty);
        BAD("the default of argument 1 of GOOD_1 is outside", f.args = beside);
        BAD("cannot be optional", f.args = file);
        BAD("more than 16 arguments", f.args = many);
}

static void libraries(void **state)
{
        static const struct mapi_function *many[MAPI_LIBRARY_FUNCTIONS_MAX + 2];
        static char names[MAPI_LIBRARY_FUNCTIONS_MAX + 1][16];
        static struct mapi_function f[MAPI_LIBRARY_FUNCTIONS_MAX + 1];
        const struct mapi_function *const none[] = { NULL }, *const one[] = { &good, NULL },
                                          *const two[] = { &good, &good, NULL };
        struct plugin_set set;
        struct mapi_error err;

        (void)state;
        plugin_set_begin(&set, NULL, 0);
        assert_string_equal(set.library[0].name, "stdflib");
        assert_ptr_equal(set.library[0].functions, mapi_lib_stdflib);
        assert_null(set.library[set.n].name);
        assert_int_equal(check(&set, "lib-1_x", one, &err), 0);
        plugin_append(&set, "lib-1_x", one);
        assert_int_equal(check(&set, "lib-1_x", one, &err), -MAPI_LIBRARY_LOAD_ERR);
        assert_non_null(strstr(err.text, "its name is lib-1_x, as that of another library"));
        assert_int_equal(check(&set, "anonflib", one, &err), -MAPI_LIBRARY_LOAD_ERR);
        assert_non_null(strstr(err.text, "MAPI's own"));
        for (const char *const *name = (const char *const[]){ "", "a:b", "a b", "a/b", "_a", NULL };; name++) {
                assert_int_equal(check(&set, *name, one, &err), -MAPI_LIBRARY_LOAD_ERR);
                assert_non_null(strstr(err.text, "it has no name"));
                if (*name == NULL)
                        break;
        }
        assert_int_equal(check(&set, "x", none, &err), -MAPI_LIBRARY_LOAD_ERR);
        assert_int_equal(check(&set, "x", NULL, &err), -MAPI_LIBRARY_LOAD_ERR);
        assert_non_null(strstr(err.text, "it has no functions"));
        assert_int_equal(check(&set, "x", two, &err), -MAPI_LIBRARY_LOAD_ERR);
        assert_non_null(strstr(err.text, "two of its functions are named GOOD_1"));
        for (int i = 0; i <= MAPI_LIBRARY_FUNCTIONS_MAX; i++) {
                (void)snprintf(names[i], sizeof names[i], "F%d", i);
                f[i] = good;
                f[i].name = names[i];
                many[i] = &f[i];
        }
        assert_int_equal(check(&set, "x", many, &err), -MAPI_LIBRARY_LOAD_ERR);
        assert_non_null(strstr(err.text, "more than 256 functions"));
        many[MAPI_LIBRARY_FUNCTIONS_MAX] = NULL;
        assert_int_equal(check(&set, "x", many, &err), 0);
        while (set.n < PLUGIN_LIBRARIES_MAX)
                plugin_append(&set, "more", one);
        assert_int_equal(check(&set, "x", one, &err), -MAPI_LIBRARY_LOAD_ERR);
        assert_non_null(strstr(err.text, "64 libraries are the most"));
}

static void finding(void **state)
{
        char folder[] = "plugin-XXXXXX", here[2048], whole[2200], file[2300],
             found[PLUGIN_PATH_BYTES] = "as it was";
        const char *folders[] = { "/nowhere", NULL, whole };
        struct mapi_error err;
        FILE *f;

        (void)state;
        assert_non_null(mkdtemp(folder));
        assert_non_null(getcwd(here, sizeof here));
        (void)snprintf(whole, sizeof whole, "%s/%s", here, folder);
        (void)snprintf(file, sizeof file, "%s/x.so", whole);
        folders[1] = folder; /* relative ones do not count */
        assert_int_equal(plugin_find("x.so", folders, 3, found, &err), -MAPI_LIBRARY_LOAD_ERR);
        assert_string_equal(found, "as it was");
        f = fopen(file, "w");
        assert_non_null(f);
        (void)fputs("no library", f);
        (void)fclose(f);
        assert_int_equal(plugin_find("x.so", folders, 2, found, &err), -MAPI_LIBRARY_LOAD_ERR);
        assert_int_equal(plugin_find("x.so", folders, 3, found, &err), 0);
        assert_string_equal(found, file);
        assert_int_equal(plugin_find("../x.so", folders, 3, found, &err), -MAPI_LIBRARY_LOAD_ERR);
        assert_non_null(strstr(err.text, "has a slash"));
        assert_int_equal(plugin_find("..", folders, 3, found, &err), -MAPI_LIBRARY_LOAD_ERR);

        struct plugin_set set;

        plugin_set_begin(&set, NULL, 0);
        assert_int_equal(plugin_load(&set, file, &err), -MAPI_LIBRARY_LOAD_ERR);
        assert_int_equal(plugin_load(&set, "x.so", &err), -MAPI_LIBRARY_LOAD_ERR);
        assert_int_equal(set.n, 1);
        (void)unlink(file);
        (void)rmdir(folder);

        assert_true(plugin_has_table("stdflib.so") && plugin_has_table("stdflib"));
        assert_false(plugin_has_table("stdflib.so.1") || plugin_has_table("stdfli") || plugin_has_table(""));
        assert_true(plugin_is_table("anonflib.so") && !plugin_has_table("anonflib.so"));
        assert_false(plugin_is_table("trackflib.so"));
}

static unsigned said;

static void say(void *context, const char *doing)
{
        (void)context;
        assert_non_null(strchr(doing, ':'));
        said++;
}

/** MAPI's own functions stand what strangers' must. */
static void lives(void **state)
{
        const struct plugin_listener listener = { .say = say };
        struct plugin_set set;
        struct mapi_error err = { 0 };

        (void)state;
        plugin_set_begin(&set, NULL, 0);
        assert_int_equal(set.n, 1);
        for (const struct mapi_function *const *f = mapi_lib_stdflib; *f != NULL; f++) {
                said = 0;
                if (plugin_live(&set, *f, &listener, &err) != 0)
                        fail_msg("%s: %s", (*f)->name, err.text);
                assert_true(said >= 10);
        }
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(descriptors),
                cmocka_unit_test(libraries),
                cmocka_unit_test(finding),
                cmocka_unit_test(lives),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
