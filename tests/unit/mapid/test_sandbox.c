/* mapid/sandbox: the filters of system calls by themselves, without the change of user that says no as well.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "confined.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* The filter by itself: for root with all capabilities nothing else says no. */
static void filter_alone(struct facts *f)
{
        (void)f;
        CHECK(privileges_filter_opener(NULL) == 0);
        confined_never();
}

static void engine_filter_alone(struct facts *f)
{
        CHECK(privileges_filter_engine(NULL) == 0);
        confined_changes_no_path(f);
        confined_alone(f);
}

static void compiler_filter_alone(struct facts *f)
{
        CHECK(privileges_filter_compiler(NULL) == 0);
        confined_changes_no_path(f);
        confined_alone(f);
}

static void filters_alone(void **state)
{
        struct facts *f = *state;

        f->other = getpid();
        confined_in_child(filter_alone, f);
        confined_in_child(engine_filter_alone, f);
        confined_in_child(compiler_filter_alone, f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(filters_alone, confined_setup, confined_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
