/* config: old and new files are read as they are meant, and what is odd in them is named with its line.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct config *parse(const char *text)
{
        struct config *c = NULL;
        struct mapi_error err = { 0 };

        if (config_parse(text, strlen(text), "x.conf", &c, &err) != 0)
                fail_msg("%s", err.text);
        assert_non_null(c);
        return c;
}

static void expect_warning(const struct config *c, size_t i, unsigned line, const char *text)
{
        assert_true(i < c->nwarnings);
        assert_string_equal(c->warnings[i].text, text);
        assert_int_equal(c->warnings[i].line, line);
}

static void expect_list(const struct config_list *list, const char *a, const char *b)
{
        assert_int_equal(list->n, (a != NULL) + (b != NULL));
        if (a != NULL)
                assert_string_equal(list->item[0], a);
        if (b != NULL)
                assert_string_equal(list->item[1], b);
}

/* Section 5.2 of the tutorial, as it is printed. */
static const char tutorial[] = "libpath=/usr/local/share/mapi\n"
                               "drvpath=/usr/local/share/mapi\n"
                               "libs=stdflib.so:extraflib.so\n"
                               "dimapi_port=2233\n"
                               "syslog_level=1\n"
                               "logfile=\n"
                               "[driver]\n"
                               "device=eth0\n"
                               "driver=mapinicdrv.so\n"
                               "[driver]\n"
                               "device=eth1\n"
                               "driver=mapinicdrv.so\n"
                               "[driver]\n"
                               "device=lo\n"
                               "driver=mapinicdrv.so\n"
                               "description=This is a driver for local capture\n"
                               "[format]\n"
                               "format=MFF_PCAP\n"
                               "driver=mapinicdrv.so\n"
                               "description=Offline pcap-capture\n";

static void the_tutorials_sample(void **state)
{
        static const char *const devices[] = { "eth0", "eth1", "lo" };
        struct config *c = parse(tutorial);

        assert_string_equal(c->name, "x.conf");
        assert_int_equal(c->nwarnings, 0);
        expect_list(&c->libpath, "/usr/local/share/mapi", NULL);
        assert_int_equal(c->libpath.line, 1);
        expect_list(&c->drvpath, "/usr/local/share/mapi", NULL);
        expect_list(&c->libs, "stdflib.so", "extraflib.so");
        assert_int_equal(c->libs.line, 3);
        assert_int_equal(c->dimapi_port, 2233);
        assert_int_equal(c->log_level, 1);
        assert_null(c->logfile);
        assert_int_equal(c->ndrivers, 3);
        for (unsigned i = 0; i < 3; i++) {
                assert_string_equal(c->drivers[i].device, devices[i]);
                assert_string_equal(c->drivers[i].driver, "afpacket");
                assert_string_equal(c->drivers[i].driver_file, "mapinicdrv.so");
                assert_string_equal(c->drivers[i].options, "");
                assert_null(c->drivers[i].alias);
                assert_int_equal(c->drivers[i].line, 7 + 3 * i);
                assert_int_equal(c->drivers[i].devgroup, CONFIG_DEVGROUP_NONE);
                assert_ptr_equal(config_find_driver(c, devices[i]), &c->drivers[i]);
        }
        assert_null(c->drivers[0].description);
        assert_string_equal(c->drivers[2].description, "This is a driver for local capture");
        assert_int_equal(c->nformats, 1);
        assert_string_equal(c->formats[0].format, "MFF_PCAP");
        assert_string_equal(c->formats[0].driver, "mapinicdrv.so");
        assert_string_equal(c->formats[0].description, "Offline pcap-capture");
        assert_null(config_find_driver(c, "eth2"));
        config_free(&c);
        assert_null(c);
        config_free(&c);
        config_free(NULL);
}

static void nothing_at_all(void **state)
{
        struct config *c = NULL;

        assert_int_equal(config_parse("", 0, NULL, &c, NULL), 0);
        assert_null(c->name);
        expect_list(&c->libs, "stdflib.so", NULL);
        expect_list(&c->libpath, NULL, NULL);
        assert_int_equal(c->libs.line, 0);
        assert_null(c->logfile);
        assert_null(c->socket);
        assert_string_equal(c->group, "mapi");
        assert_string_equal(c->user, "mapid");
        assert_int_equal(c->group_line + c->user_line + c->local, 0);
        assert_int_equal(c->log_level, 2);
        assert_int_equal(c->dimapi_port, 2233);
        assert_int_equal(c->max_sessions, 256);
        assert_int_equal(c->max_flows, 512);
        assert_int_equal(c->max_devices, 64);
        assert_int_equal(c->max_memory_bytes, 256 << 20);
        assert_int_equal(c->ndrivers + c->nformats + c->ndag + c->nipfixflib + c->nwarnings, 0);
        config_free(&c);
}

static void every_global_key(void **state)
{
        struct config *c = parse("libpath = /a::/b:\nlibs=x.so\ndrvpath=:\ndimapi_port=65535\nlog_level=0\n"
                                 "logfile=/var/log/mapid\nlocal=1\nsocket=/run/x.sock\ngroup=watchers\nuser=1234\n"
                                 "max_sessions=7\nmax_flows=65536\nmax_devices=1\nmax_memory=2G");

        assert_int_equal(c->nwarnings, 0);
        expect_list(&c->libpath, "/a", "/b");
        expect_list(&c->libs, "x.so", NULL);
        expect_list(&c->drvpath, NULL, NULL);
        assert_int_equal(c->dimapi_port, 65535);
        assert_int_equal(c->log_level, 0);
        assert_string_equal(c->logfile, "/var/log/mapid");
        assert_int_equal(c->local, 1);
        assert_string_equal(c->socket, "/run/x.sock");
        assert_string_equal(c->group, "watchers");
        assert_int_equal(c->group_line, 9);
        assert_string_equal(c->user, "1234");
        assert_int_equal(c->user_line, 10);
        assert_int_equal(c->max_sessions, 7);
        assert_int_equal(c->max_flows, 65536);
        assert_int_equal(c->max_devices, 1);
        assert_true(c->max_memory_bytes == (uint64_t)2 << 30);
        config_free(&c);
}

static void sizes_have_units(void **state)
{
        static const struct {
                const char *text;
                uint64_t bytes;
        } rows[] = { { "max_memory=1048576", 1 << 20 },         { "max_memory=2048k", 2 << 20 },
                     { "max_memory=2048K", 2 << 20 },           { "max_memory=3M", 3 << 20 },
                     { "max_memory=1024G", (uint64_t)1 << 40 }, { "max_memory=", 256 << 20 } };

        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                struct config *c = parse(rows[i].text);

                assert_true(c->max_memory_bytes == rows[i].bytes);
                config_free(&c);
        }
}

static void blanks_comments_and_ends_of_lines(void **state)
{
        struct config *c = parse("\xef\xbb\xbf# first\r\n  log_level \t=\t 1 \r\n;max_flows=9\r\n\r\n   \t \n"
                                 "logfile = a b = c \r\n [ driver ] \n\tdevice=x;y#z\r\n#device=q");

        assert_int_equal(c->nwarnings, 0);
        assert_int_equal(c->log_level, 1);
        assert_int_equal(c->max_flows, 512);
        assert_string_equal(c->logfile, "a b = c");
        assert_int_equal(c->ndrivers, 1);
        assert_string_equal(c->drivers[0].device, "x;y#z");
        assert_int_equal(c->drivers[0].line, 7);
        config_free(&c);
}

static void every_driver_key(void **state)
{
        struct config *c =
                parse("[driver]\ndevice=eth0\ndriver=afpacket\ndescription=up\nalias=wan\nlink_speed=10000\n"
                      "mpls=1\nvlan=1\ndevgroup=3\npromisc=0\nring_mb=64\nblock_kb=1024\nretire_ms=10\n"
                      "snaplen=128\n"
                      "[driver]\ndevice=demo\ndriver=replay\ntrace=/a, b.pcap\nspeed=0.5\nloops=0\n"
                      "[driver]\ndevice=gen\ndriver=null\npackets=10\nsize=60\nflows=2\n");
        const struct config_driver *d = c->drivers;

        assert_int_equal(c->nwarnings, 0);
        assert_int_equal(c->ndrivers, 3);
        assert_string_equal(d[0].options, "ring_mb=64;block_kb=1024;retire_ms=10;snaplen=128;promisc=0");
        assert_string_equal(d[0].alias, "wan");
        assert_ptr_equal(config_find_driver(c, "wan"), &d[0]);
        assert_int_equal(d[0].link_speed, 10000);
        assert_int_equal(d[0].mpls, 1);
        assert_int_equal(d[0].vlan, 1);
        assert_int_equal(d[0].devgroup, 3);
        assert_string_equal(d[1].driver, "replay");
        assert_string_equal(d[1].options, "trace=/a, b.pcap;speed=0.5;loops=0");
        assert_int_equal(d[1].mpls + d[1].vlan + d[1].link_speed, 0); /* nothing stays from the one before */
        assert_null(d[1].alias);
        assert_string_equal(d[2].driver, "null");
        assert_string_equal(d[2].options, "packets=10;size=60;flows=2");
        config_free(&c);
}

static void drivers_by_their_old_names(void **state)
{
        static const struct {
                const char *file, *driver, *warning;
        } rows[] = {
                { "mapinicdrv.so", "afpacket", NULL },
                { "mapinicdrv", "afpacket", NULL },
                { "/usr/share/mapi/mapinicdrv.so", "afpacket", NULL },
                { "mapidagdrv.so:mapinicdrv.so", "afpacket", NULL },
                { "mapivindrv.so", "replay", NULL },
                { "afpacket.so", "afpacket", NULL },
                { "mapidagdrv.so", NULL,
                  "this version of mapid has no driver 'mapidagdrv.so'; the device 'd' is skipped" },
                { "mapinapatechdrv.so", NULL,
                  "this version of mapid has no driver 'mapinapatechdrv.so'; the device 'd' is skipped" },
                { "mydrv.so", NULL, "unknown driver 'mydrv.so'; the device 'd' is skipped" },
                { ".so", NULL, "unknown driver '.so'; the device 'd' is skipped" },
                { "mapinicdrv.so.bak", NULL, "unknown driver 'mapinicdrv.so.bak'; the device 'd' is skipped" },
        };

        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                char text[200];
                struct config *c;

                (void)snprintf(text, sizeof text, "[driver]\ndevice=d\n%s\ndriver=%s",
                               rows[i].driver != NULL && rows[i].driver[0] == 'r' ? "trace_dir=/t" : "",
                               rows[i].file);
                c = parse(text);
                assert_int_equal(c->ndrivers, 1);
                if (rows[i].driver != NULL)
                        assert_string_equal(c->drivers[0].driver, rows[i].driver);
                else
                        assert_null(c->drivers[0].driver);
                assert_int_equal(c->nwarnings, rows[i].warning != NULL);
                if (rows[i].warning != NULL)
                        expect_warning(c, 0, 4, rows[i].warning);
                config_free(&c);
        }
}

static void a_driver_that_is_not_named(void **state)
{
        struct config *c = parse("[driver]\ndevice=eth0\n[driver]\ndevice=d\ntrace_dir=/t\n[driver]\ndevice=e\n"
                                 "driver=replay\ntrace_dir=/dir\ntrace=/file");

        assert_string_equal(c->drivers[0].driver, "afpacket");
        assert_string_equal(c->drivers[1].driver, "replay");
        assert_string_equal(c->drivers[1].trace_dir, "/t");
        assert_string_equal(c->drivers[1].options, "trace_dir=/t");
        assert_string_equal(c->drivers[2].options, "trace=/file");
        assert_int_equal(c->nwarnings, 1);
        expect_warning(c, 0, 9, "'trace_dir' is not used beside 'trace'");
        config_free(&c);
}

static void paces_of_a_replay(void **state)
{
        static const struct {
                const char *line;
                int good;
        } rows[] = { { "speed=1", 1 },       { "speed=0.001", 1 },     { "speed=.5", 1 },
                     { "speed=2.", 1 },      { "speed=max", 1 },       { "speed=1000000", 1 },
                     { "speed=1000001", 0 }, { "speed=0", 0 },         { "speed=0.0", 0 },
                     { "speed=.", 0 },       { "speed=1.2.3", 0 },     { "speed=-1", 0 },
                     { "speed=1e3", 0 },     { "speed=fast", 0 },      { "speed=99999999999999999999", 0 },
                     { "rate=1", 1 },        { "rate=1000000000", 1 }, { "rate=1000000001", 0 },
                     { "rate=max", 1 },      { "rate=0", 0 },          { "rate=1\nspeed=1", 0 },
                     { "speed=", 2 },        { "loops=3", 1 },         { "loops=max", 0 } };

        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                char text[200], options[200];
                struct config *c = NULL;
                int n = snprintf(text, sizeof text, "[driver]\ndevice=d\ntrace=/t\n%s\n", rows[i].line);

                assert_int_equal(config_parse(text, (size_t)n, NULL, &c, NULL), rows[i].good ? 0 : -9005);
                if (!rows[i].good)
                        continue;
                (void)snprintf(options, sizeof options, rows[i].good == 2 ? "trace=/t" : "trace=/t;%s",
                               rows[i].line);
                assert_string_equal(c->drivers[0].options, options);
                config_free(&c);
        }
}

static void sections_for_others(void **state)
{
        struct config *c =
                parse("[ipfixflib]\nobservationDomain=100\nminFlowPkts=\n[dag]\ndsm_loader_bin=/d\nfoo=1\n"
                      "[ipfixflib]\nobservationDomain=7\n");

        assert_int_equal(c->nipfixflib, 2);
        assert_string_equal(config_find_pair(c->ipfixflib, c->nipfixflib, "observationDomain"), "7");
        assert_int_equal(c->ipfixflib[0].line, 8);
        assert_string_equal(config_find_pair(c->ipfixflib, c->nipfixflib, "minFlowPkts"), "");
        assert_null(config_find_pair(c->ipfixflib, c->nipfixflib, "x"));
        assert_string_equal(config_find_pair(c->dag, c->ndag, "dsm_loader_bin"), "/d");
        assert_int_equal(c->nwarnings, 2);
        expect_warning(c, 0, 6, "unknown key 'foo'");
        expect_warning(c, 1, 8, "'observationDomain' was given in line 2 already; this one counts");
        config_free(&c);
}

static void what_is_odd_is_warned_about(void **state)
{
        struct config *c = parse("speling=1\nhello\n=x\nlog_level=0\nsyslog_level=1\n[weird]\na=b\nc\n"
                                 "[format]\nformat=MFF_XYZ\n[format]\ndriver=a\n[driver] and more\n"
                                 "device=a\ndevice=eth9\ntrace=/t\nloops=1\ndriver=afpacket\nring_mb=3\n"
                                 "[driver]\ndevice=r\ndriver=replay\nlogfile=/x\n");
        size_t i = 0;

        assert_int_equal(c->log_level, 1);
        assert_int_equal(c->ndrivers, 2);
        assert_int_equal(c->nformats, 0);
        assert_null(c->logfile);
        assert_string_equal(c->drivers[0].device, "eth9");
        assert_string_equal(c->drivers[0].options, "ring_mb=3");
        expect_warning(c, i++, 1, "unknown key 'speling'");
        expect_warning(c, i++, 2, "the line is neither a key with '=' nor a section and is ignored");
        expect_warning(c, i++, 3, "there is no key in front of '='; the line is ignored");
        expect_warning(c, i++, 5, "'syslog_level' was given in line 4 already; this one counts");
        expect_warning(c, i++, 6, "unknown section [weird]; its keys are ignored");
        expect_warning(c, i++, 8, "the line is neither a key with '=' nor a section and is ignored");
        expect_warning(c, i++, 9, "unknown format 'MFF_XYZ'");
        expect_warning(c, i++, 13, "what stands behind ']' is ignored");
        expect_warning(c, i++, 11, "a [format] section without 'format' is ignored");
        expect_warning(c, i++, 15, "'device' was given in line 14 already; this one counts");
        expect_warning(c, i++, 16, "'trace' means nothing to the driver afpacket");
        expect_warning(c, i++, 17, "'loops' means nothing to the driver afpacket");
        expect_warning(c, i++, 23, "unknown key 'logfile'");
        expect_warning(c, i++, 20, "the device 'r' has no trace to replay: 'trace' is missing");
        assert_int_equal(c->nwarnings, i);
        config_free(&c);
}

static void an_empty_value_is_no_value(void **state)
{
        struct config *c = parse(
                "logfile=/a\nlogfile=\ndimapi_port=1\ndimapi_port=\nlibs=a\nlibs=\ngroup=g\ngroup= \n"
                "socket=/s\nsocket=\n[driver]\ndevice=d\ndevgroup=1\ndevgroup=\nalias=\nring_mb=5\nring_mb=");

        assert_null(c->logfile);
        assert_int_equal(c->dimapi_port, 2233);
        expect_list(&c->libs, "stdflib.so", NULL);
        assert_string_equal(c->group, "mapi");
        assert_int_equal(c->group_line, 0);
        assert_null(c->socket);
        assert_int_equal(c->drivers[0].devgroup, CONFIG_DEVGROUP_NONE);
        assert_null(c->drivers[0].alias);
        assert_string_equal(c->drivers[0].options, "");
        assert_int_equal(c->nwarnings, 7);
        config_free(&c);
}

static void the_old_manuals_socket(void **state)
{
        struct config *c = parse("socket=local\n");

        assert_int_equal(c->local, 1);
        assert_null(c->socket);
        config_free(&c);
        c = parse("local=1\nsocket=global\n");
        assert_int_equal(c->local, 0);
        config_free(&c);
}

static void warnings_are_bounded(void **state)
{
        char text[3001] = "";
        struct config *c;

        for (unsigned i = 0; i < 1500; i++)
                memcpy(text + 2 * i, "x\n", 2);
        c = parse(text);
        assert_int_equal(c->nwarnings, 101);
        expect_warning(c, 99, 100, "the line is neither a key with '=' nor a section and is ignored");
        assert_string_equal(c->warnings[100].text, "1400 further warnings are left out");
        config_free(&c);
}

/* The sample as it is says nothing; with every key in force it is a good configuration that uses each of them. */
static const char *sample_path;

static void the_installed_sample(void **state)
{
        struct mapi_error err = { 0 };
        struct config *c = NULL;
        char text[16384], *to = text;
        FILE *file;

        assert_non_null(sample_path);
        if (config_load(sample_path, &c, &err) != 0)
                fail_msg("%s", err.text);
        assert_int_equal(c->nwarnings + c->ndrivers + c->nformats, 0);
        config_free(&c);

        file = fopen(sample_path, "r");
        assert_non_null(file);
        while (fgets(to, (int)(text + sizeof text - to), file) != NULL)
                if (to[0] == '#' && to[1] != ' ' && to[1] != '\n') {
                        memmove(to, to + 1, strlen(to));
                        to += strlen(to);
                }
        assert_int_equal(fclose(file), 0);
        *to = '\0';
        c = parse(text);
        for (size_t i = 0; i < c->nwarnings; i++)
                fail_msg("%s", c->warnings[i].text);
        assert_int_equal(c->ndrivers, 3);
        assert_string_equal(c->drivers[0].options, "ring_mb=32;block_kb=256;retire_ms=10;snaplen=65535;promisc=1");
        assert_string_equal(c->drivers[1].options, "trace=/usr/local/share/mapi/demo.pcap;speed=1;loops=0");
        assert_string_equal(c->drivers[2].options, "trace_dir=/var/lib/traces;rate=10000");
        assert_int_equal(c->max_sessions, CONFIG_MAX_SESSIONS);
        assert_int_equal(c->max_flows, CONFIG_MAX_FLOWS);
        assert_int_equal(c->max_devices, CONFIG_MAX_DEVICES);
        assert_true(c->max_memory_bytes == CONFIG_MAX_MEMORY);
        assert_int_equal(c->log_level, CONFIG_LOG_LEVEL);
        assert_int_equal(c->dimapi_port, CONFIG_DIMAPI_PORT);
        assert_string_equal(c->group, CONFIG_GROUP);
        assert_string_equal(c->user, CONFIG_USER);
        expect_list(&c->libs, CONFIG_LIBS, NULL);
        config_free(&c);
}

int main(int argc, char *argv[])
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_tutorials_sample),
                cmocka_unit_test(nothing_at_all),
                cmocka_unit_test(every_global_key),
                cmocka_unit_test(sizes_have_units),
                cmocka_unit_test(blanks_comments_and_ends_of_lines),
                cmocka_unit_test(every_driver_key),
                cmocka_unit_test(drivers_by_their_old_names),
                cmocka_unit_test(a_driver_that_is_not_named),
                cmocka_unit_test(paces_of_a_replay),
                cmocka_unit_test(sections_for_others),
                cmocka_unit_test(what_is_odd_is_warned_about),
                cmocka_unit_test(an_empty_value_is_no_value),
                cmocka_unit_test(the_old_manuals_socket),
                cmocka_unit_test(warnings_are_bounded),
                cmocka_unit_test(the_installed_sample),
        };

        sample_path = argc > 1 ? argv[1] : NULL;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
