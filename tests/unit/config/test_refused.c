/* config: what is wrong is refused with file and line, at the limits exactly, and nothing else is changed.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static void expect_error(const char *text, size_t len, const char *sentence)
{
        struct config *untouched = (struct config *)(uintptr_t)0x5a5a, *c = untouched;
        struct mapi_error err = { 0 };

        assert_int_equal(config_parse(text, len, "y.conf", &c, &err), -MAPI_CONFIG_ERROR);
        assert_int_equal(err.code, 9005);
        assert_string_equal(err.text, sentence);
        assert_ptr_equal(c, untouched);
}

#define WRONG "the configuration is wrong: "

static void what_is_wrong_is_refused(void **state)
{
        static const struct {
                const char *text, *sentence;
        } rows[] = {
                { "\n\nlog_level=3", WRONG "y.conf:3: 'log_level' must be a number from 0 to 2, not '3'" },
                { "syslog_level=x", WRONG "y.conf:1: 'syslog_level' must be a number from 0 to 2, not 'x'" },
                { "dimapi_port=0", WRONG "y.conf:1: 'dimapi_port' must be a number from 1 to 65535, not '0'" },
                { "dimapi_port=+1", WRONG "y.conf:1: 'dimapi_port' must be a number from 1 to 65535, not '+1'" },
                { "dimapi_port=1 2", WRONG "y.conf:1: 'dimapi_port' must be a number from 1 to 65535, not '1 2'" },
                { "dimapi_port=1k", WRONG "y.conf:1: 'dimapi_port' must be a number from 1 to 65535, not '1k'" },
                { "max_flows=18446744073709551617",
                  WRONG "y.conf:1: 'max_flows' must be a number from 1 to 65536, not '18446744073709551617'" },
                { "max_memory=1",
                  WRONG "y.conf:1: 'max_memory' must be a number of bytes (k, M, G) from 1048576 to "
                        "1099511627776, not '1'" },
                { "max_memory=17179869184G",
                  WRONG "y.conf:1: 'max_memory' must be a number of bytes (k, M, G) from "
                        "1048576 to 1099511627776, not '17179869184G'" },
                { "max_memory=2T",
                  WRONG "y.conf:1: 'max_memory' must be a number of bytes (k, M, G) from 1048576 to "
                        "1099511627776, not '2T'" },
                { "max_memory=2MM",
                  WRONG "y.conf:1: 'max_memory' must be a number of bytes (k, M, G) from 1048576 to "
                        "1099511627776, not '2MM'" },
                { "socket=tmp/x",
                  WRONG "y.conf:1: 'socket' must be an absolute path, 'local' or 'global', not 'tmp/x'" },
                { "[driver]\ndescription=x\n[driver]\ndevice=a",
                  WRONG "y.conf:1: a [driver] section without 'device'" },
                { "\n[driver]", WRONG "y.conf:2: a [driver] section without 'device'" },
                { "[driver]\ndevice=", WRONG "y.conf:1: a [driver] section without 'device'" },
                { "[driver]\ndevice=a\n[driver]\n\ndevice=a",
                  WRONG "y.conf:5: the device in line 1 has the name 'a' already" },
                { "[driver]\ndevice=a\nalias=u\n[driver]\ndevice=b\nalias=u",
                  WRONG "y.conf:6: the device in line 1 has the name 'u' already" },
                { "[driver]\ndevice=a\nalias=u\n[driver]\ndevice=u",
                  WRONG "y.conf:5: the device in line 1 has the name 'u' already" },
                { "[driver]\ndevice=a\n[driver]\ndevice=b\nalias=a",
                  WRONG "y.conf:5: the device in line 1 has the name 'a' already" },
                { "[driver]\ndevice=a\nmpls=2", WRONG "y.conf:3: 'mpls' must be a number from 0 to 1, not '2'" },
                { "[driver]\ndevice=a\nlink_speed=fast",
                  WRONG "y.conf:3: 'link_speed' must be a number from 0 to 4294967295, not 'fast'" },
                { "[driver]\ndevice=a\nsnaplen=0",
                  WRONG "y.conf:3: 'snaplen' must be a number from 64 to 65535, not '0'" },
                { "[driver]\ndevice=a\ntrace=/a;rate=3",
                  WRONG "y.conf:3: the value of 'trace' may not hold a semicolon" },
                { "[driver]\ndevice=a\ntrace_dir=/a;b",
                  WRONG "y.conf:3: the value of 'trace_dir' may not hold a semicolon" },
                { "log_level=1\n[driver\ndevice=a",
                  WRONG "y.conf:2: a section's name begins with '[' but no ']' ends it" },
                { "group=a\x1b[2J", WRONG "y.conf:1: there is a control character (0x1b)" },
                { "x\x7f", WRONG "y.conf:1: there is a control character (0x7f)" },
        };

        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
                expect_error(rows[i].text, strlen(rows[i].text), rows[i].sentence);
        expect_error("a=b\n#\0\n", 7, WRONG "y.conf:2: there is a NUL byte");
        expect_error("\0", 1, WRONG "y.conf:1: there is a NUL byte");
}

/* Exactly at a limit, and one beyond. */
static void limits(void **state)
{
        size_t size = CONFIG_FILE_BYTES_MAX + 1;
        char *text = malloc(size), expected[200];
        struct config *c = NULL;
        size_t n = 0;

        if (text == NULL)
                abort();
        memset(text, '#', size);
        assert_int_equal(config_parse(text, 1023, NULL, &c, NULL), 0);
        config_free(&c);
        expect_error(text, 1024, WRONG "y.conf:1: the line has more than 1023 bytes");

        for (size_t i = 0; i < size; i += 1000)
                text[i] = '\n';
        assert_int_equal(config_parse(text, size - 1, NULL, &c, NULL), 0);
        config_free(&c);
        expect_error(text, size, WRONG "y.conf: more than 1048576 bytes");

        for (unsigned i = 0; i < 1025; i++)
                n += (size_t)sprintf(text + n, "[driver]\ndevice=d%u\n", i);
        expect_error(text, n, WRONG "y.conf:2049: there are more than 1024 devices");
        n -= strlen("[driver]\ndevice=d1024\n");
        assert_int_equal(config_parse(text, n, NULL, &c, NULL), 0);
        assert_int_equal(c->ndrivers, 1024);
        assert_string_equal(c->drivers[1023].device, "d1023");
        config_free(&c);

        n = (size_t)sprintf(text, "[ipfixflib]\n");
        for (unsigned i = 0; i < 257; i++)
                n += (size_t)sprintf(text + n, "k%u=1\n", i);
        expect_error(text, n, WRONG "y.conf:258: the section has more than 256 keys");

        n = (size_t)sprintf(text, "socket=/%0106d", 0); /* 107 bytes, as many as an address takes */
        assert_int_equal(config_parse(text, n, NULL, &c, NULL), 0);
        config_free(&c);
        (void)snprintf(expected, sizeof expected, WRONG "y.conf:1: 'socket' is longer than 107 bytes");
        n = (size_t)sprintf(text, "socket=/%0107d", 0);
        expect_error(text, n, expected);
        free(text);
}

static void write_file(const char *path, const char *text)
{
        FILE *file = fopen(path, "w");

        assert_non_null(file);
        assert_true(fputs(text, file) >= 0);
        assert_int_equal(fclose(file), 0);
}

static void load_fails(const char *path, const char *why)
{
        struct config *c = NULL;
        struct mapi_error err;

        assert_int_equal(config_load(path, &c, &err), -MAPI_CONFIG_ERROR);
        if (strstr(err.text, why) == NULL)
                fail_msg("%s does not say %s", err.text, why);
        assert_null(c);
}

static void files(void **state)
{
        char folder[] = "/tmp/test_config.XXXXXX", path[64], fifo[64];
        struct config *c = NULL;

        assert_non_null(mkdtemp(folder));
        (void)snprintf(path, sizeof path, "%s/mapi.conf", folder);
        (void)snprintf(fifo, sizeof fifo, "%s/fifo", folder);
        load_fails(path, "mapi.conf cannot be opened: No such file");
        load_fails(folder, " is not a regular file");
        assert_int_equal(mkfifo(fifo, 0600), 0);
        load_fails(fifo, " is not a regular file");
        load_fails("/dev/zero", "/dev/zero is not a regular file");
        load_fails("", "cannot be opened");

        write_file(path, "max_flows=3\n");
        assert_int_equal(config_load(path, &c, NULL), 0);
        assert_int_equal(c->max_flows, 3);
        assert_string_equal(c->name, path);
        config_free(&c);
        write_file(path, "max_flows=0\n");
        load_fails(path, "mapi.conf:1: 'max_flows'");
        assert_int_equal(truncate(path, 5000000), 0);
        load_fails(path, "mapi.conf: more than 1048576 bytes");

        write_file(path, "max_flows=4\n");
        assert_int_equal(setenv("MAPI_CONF", path, 1), 0);
        assert_int_equal(config_load(NULL, &c, NULL), 0);
        assert_int_equal(c->max_flows, 4);
        config_free(&c);
        assert_int_equal(unlink(path), 0);
        load_fails(NULL, path); /* what was named must be there */
        assert_int_equal(unsetenv("MAPI_CONF"), 0);
        assert_string_equal(strrchr(config_installed_path(), '/'), "/mapi.conf");
        if (access(config_installed_path(), F_OK) != 0) { /* an installed one may say anything */
                assert_int_equal(config_load(NULL, &c, NULL), 0);
                assert_null(c->name);
                config_free(&c);
        }
        assert_int_equal(unlink(fifo), 0);
        assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_wrong_is_refused),
                cmocka_unit_test(limits),
                cmocka_unit_test(files),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
