/* The information calls, names of devices, and MAPI_DEVICE_MAP. SPDX-License-Identifier: BSD-2-Clause */
#include "api.h"

#include "trace.h"

#include <mapi/errors.h>
#include <mapi/stats.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PACKETS 2800

/* ---- libraries and their functions ------------------------------------------------------------------------------------ */

static void libraries(void)
{
        mapi_lib_info_t info, again;
        int n = 0;

        for (int id = -1; mapi_get_next_library_info(id, &info) == 0; id = info.id) {
                check_equal(info.id, n);
                check(info.libname[0] != '\0');
                check(info.functs > 0);
                check_ok(mapi_get_library_info(n, &again));
                check_equal(memcmp(&info, &again, sizeof info), 0);
                n++;
        }
        check_error(MAPI_FUNCTION_INFO_ERR);
        check(n >= 1);
        check_ok(mapi_get_library_info(0, &info));
        check(strcmp(info.libname, "stdflib") == 0);
        check(info.functs >= 11);
        check_ok(mapi_get_next_library_info(INT_MIN, &info));
        check_equal(info.id, 0);
        check_fails(mapi_get_library_info(n, &info), MAPI_FUNCTION_INFO_ERR);
        check_fails(mapi_get_library_info(-1, &info), MAPI_FUNCTION_INFO_ERR);
        check_fails(mapi_get_library_info(INT_MAX, &info), MAPI_FUNCTION_INFO_ERR);
        check_fails(mapi_get_library_info(INT_MIN, &info), MAPI_FUNCTION_INFO_ERR);
        check_fails(mapi_get_next_library_info(INT_MAX, &info), MAPI_FUNCTION_INFO_ERR);
        check_fails(mapi_get_library_info(0, NULL), MFUNCT_INVALID_ARGUMENT_2);
        check_fails(mapi_get_next_library_info(-1, NULL), MFUNCT_INVALID_ARGUMENT_2);
}

static void library_functions(void)
{
        static const struct {
                const char *name, *arguments;
                unsigned found;
        } known[] = { { "BPF_FILTER", "s", 0 },   { "PKT_COUNTER", "", 0 }, { "BYTE_COUNTER", "", 0 },
                      { "STR_SEARCH", "sii", 0 }, { "TO_BUFFER", "i", 0 },  { "SAMPLE", "ii", 0 },
                      { "HASH", "i", 0 },         { "PKTINFO", "i", 0 },    { "GAP", "", 0 },
                      { "TO_FILE", "iwl", 0 },    { "STATS", "rfs", 0 } };
        unsigned found[sizeof known / sizeof known[0]] = { 0 };
        mapi_libfunct_info_t info, again;
        mapi_lib_info_t library;

        for (int id = 0; mapi_get_library_info(id, &library) == 0; id++) {
                for (unsigned f = 0; f < library.functs; f++) {
                        check_ok(mapi_get_libfunct_info(id, (int)f, &info));
                        check(info.name[0] != '\0');
                        check(strlen(info.descr) > 10);
                        check(strlen(info.devtype) > 0);
                        check_equal(strspn(info.argdescr, "sicwlrfSR"), strlen(info.argdescr));
                        check_ok(mapi_get_next_libfunct_info(id, (int)f - 1, &again));
                        check_equal(memcmp(&info, &again, sizeof info), 0);
                        check_ok(mapi_get_libfunct_next_info(id, (int)f - 1, &again));
                        check_equal(memcmp(&info, &again, sizeof info), 0);
                        for (size_t k = 0; id == 0 && k < sizeof known / sizeof known[0]; k++)
                                if (strcmp(info.name, known[k].name) == 0) {
                                        check(strcmp(info.argdescr, known[k].arguments) == 0);
                                        found[k]++;
                                }
                }
                check_fails(mapi_get_libfunct_info(id, (int)library.functs, &info), MAPI_FUNCTION_INFO_ERR);
                check_fails(mapi_get_next_libfunct_info(id, (int)library.functs - 1, &info),
                            MAPI_FUNCTION_INFO_ERR);
                check_fails(mapi_get_libfunct_info(id, INT_MAX, &info), MAPI_FUNCTION_INFO_ERR);
                check_fails(mapi_get_next_libfunct_info(id, INT_MAX, &info), MAPI_FUNCTION_INFO_ERR);
                check_fails(mapi_get_libfunct_info(id, -1, &info), MAPI_FUNCTION_INFO_ERR);
                check_fails(mapi_get_libfunct_info(id, 0, NULL), MFUNCT_INVALID_ARGUMENT_2);
        }
        check_error(MAPI_FUNCTION_INFO_ERR);
        for (size_t k = 0; k < sizeof known / sizeof known[0]; k++)
                check_equal(found[k], 1);
        check_fails(mapi_get_libfunct_info(-1, 0, &info), MAPI_FUNCTION_INFO_ERR);
        check_fails(mapi_get_libfunct_info(4711, 0, &info), MAPI_FUNCTION_INFO_ERR);
}

/* ---- flows and functions ------------------------------------------------------------------------------------------------ */

static void flows(void)
{
        int a = check_ok(mapi_create_flow(api_trace("demo.pcap"))),
            b = check_ok(mapi_create_flow(api_trace("none.pcap")));
        mapi_device_info_t device;
        mapi_flow_info_t info;
        time_t now = time(NULL);

        check_ok(mapi_get_flow_info(a, &info));
        check_equal(info.uid, getuid());
        check_equal(info.fd, a);
        check(info.devid < 0);
        check(strcmp(info.device, api_trace("demo.pcap")) == 0);
        check_equal(info.num_functions, 0);
        check_equal(info.status, FLOW_INIT);
        check_equal(info.start, 0);
        check_equal(info.end, 0);
        check_ok(mapi_get_device_info(info.devid, &device));
        check_equal(device.id, info.devid);
        check(strcmp(device.device, info.device) == 0);

        check_ok(mapi_apply_function(a, "PKT_COUNTER"));
        check_ok(mapi_connect(a));
        check_ok(mapi_connect(b)); /* a flow without a function may be connected, and one without packets too */
        api_finish(a);
        api_finish(b);
        check_ok(mapi_get_flow_info(a, &info));
        check_equal(info.status, FLOW_FINISHED);
        check(info.start >= now && info.start <= time(NULL));
        check(info.end >= info.start && info.end <= time(NULL));
        check_equal(api_counter(a, 1), PACKETS); /* still there */

        check(b > a);
        check_ok(mapi_get_next_flow_info(0, &info));
        check_equal(info.fd, a);
        check_ok(mapi_get_next_flow_info(INT_MIN, &info));
        check_equal(info.fd, a);
        check_ok(mapi_get_next_flow_info(a, &info));
        check_equal(info.fd, b);
        check_ok(mapi_close_flow(a));
        check_ok(mapi_get_next_flow_info(a, &info)); /* the start is gone, but something follows */
        check_equal(info.fd, b);
        check_fails(mapi_get_next_flow_info(b, &info), MAPI_FLOW_INFO_ERR);
        check_fails(mapi_get_next_flow_info(INT_MAX, &info), MAPI_INVALID_FLOW);
        check_ok(mapi_close_flow(b));
}

static void functions(void)
{
        int fd = check_ok(mapi_create_flow(api_trace("demo.pcap"))), at = 0;
        static const struct {
                const char *name;
                int size;
        } expected[] = { { "PKT_COUNTER", 8 },         { "BYTE_COUNTER", 8 }, { "PKTINFO", 8 },
                         { "STATS", sizeof(stats_t) }, { "HASH", 4 },         { "GAP", 8 },
                         { "TO_BUFFER", 0 },           { "TO_FILE", 4 },      { "SAMPLE", 0 },
                         { "BPF_FILTER", 0 },          { "STR_SEARCH", 0 } };
        mapi_function_info_t info, again;

        check_ok(mapi_apply_function(fd, "PKT_COUNTER"));
        check_ok(mapi_apply_function(fd, "BYTE_COUNTER"));
        check_ok(mapi_apply_function(fd, "PKTINFO", 0));
        check_ok(mapi_apply_function(fd, "STATS", fd, 3, "0"));
        check_ok(mapi_apply_function(fd, "HASH", 0));
        check_ok(mapi_apply_function(fd, "GAP"));
        check_ok(mapi_apply_function(fd, "TO_BUFFER", NOWAIT));
        check_ok(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, "f.pcap", 0));
        check_ok(mapi_apply_function(fd, "SAMPLE", 2));
        check_ok(mapi_apply_function(fd, "BPF_FILTER", "ip"));
        check_ok(mapi_apply_function(fd, "STR_SEARCH", "www"));
        for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
                check_ok(mapi_get_next_function_info(fd, at, &info));
                check(info.fid > at);
                at = info.fid;
                if (strcmp(info.name, expected[i].name) != 0 || info.result_size != expected[i].size)
                        fail("function %d is %s with a result of %d bytes, must be %s with %d", at, info.name,
                             info.result_size, expected[i].name, expected[i].size);
                check(strcmp(info.libname, "stdflib") == 0);
                check(strcmp(info.devtype, "1") == 0);
                check_equal(info.pkts, 0);
                check_equal(info.passed_pkts, 0);
                check_ok(mapi_get_function_info(fd, at, &again));
                check_equal(memcmp(&info, &again, sizeof info), 0);
        }
        check_fails(mapi_get_next_function_info(fd, at, &info), MAPI_FUNCTION_INFO_ERR);
        check_fails(mapi_get_next_function_info(fd, INT_MAX, &info), MAPI_FUNCTION_INFO_ERR);
        check_fails(mapi_get_next_function_info(fd, -1, &info), MAPI_INVALID_FID_FUNCID);
        check_ok(mapi_close_flow(fd));
}

/* ---- MAPI_DEVICE_MAP -------------------------------------------------------------------------------------------------- */

static unsigned long long count_on(const char *device)
{
        int fd = check_ok(mapi_create_flow(device)), fid = check_ok(mapi_apply_function(fd, "PKT_COUNTER"));
        unsigned long long n;
        mapi_flow_info_t info;

        check_ok(mapi_get_flow_info(fd, &info));
        check(strcmp(info.device, device) == 0);
        check_ok(mapi_connect(fd));
        api_finish(fd);
        n = api_counter(fd, fid);
        check_ok(mapi_close_flow(fd));
        return n;
}

/** How many devices the information counts before those of the backend: mapid's own come first, a program's names are not its. */
static int mapped(int n)
{
        return api_served() ? 0 : n;
}

static void set_map(const char *map)
{
        check_equal(setenv("MAPI_DEVICE_MAP", map, 1), 0);
}

/** Behind the n entries of the map come the interfaces of this machine, and "any". */
static void check_behind_map(int n)
{
        mapi_device_info_t info, same;
        int id = n, any = 0;

        for (; mapi_get_next_device_info(id, &info) == 0; id = info.id) {
                check(info.id > id);
                check_ok(mapi_get_device_info(info.id, &same));
                check_equal(same.id, info.id);
                check(strcmp(same.device, info.device) == 0);
                any += strcmp(info.device, "any") == 0;
        }
        check_error(MAPI_DEVICE_INFO_ERR);
        check_equal(any, 1);
}

static void map_devices(void)
{
        mapi_device_info_t info;
        struct mapi_stat stats;
        int fd, id = 0;

        trace_make("a.pcap", 5, 60);
        trace_make("b with blanks.pcap", 6, 60);
        trace_make("c:d.pcap", 7, 60);
        trace_make("e=f.pcap", 8, 60);
        set_map("eth0=a.pcap,eth 1=b with "
                "blanks.pcap\nsensor:eth2=c:d.pcap,eth3=e=f.pcap,eth4=no/such.pcap,eth5=null:packets=9");
        check_equal(count_on("eth0"), 5);
        check_equal(count_on("eth 1"), 6);
        check_equal(count_on("sensor:eth2"), 7); /* known names come before scopes */
        check_equal(count_on("eth3"), 8);
        check_equal(count_on("eth5"), 9);
        check_fails(mapi_create_flow("eth4"), MAPI_ERROR_FILE);
        check_fails(mapi_create_flow("eth"), MAPID_NO_DRIVER);
        check_fails(mapi_create_flow("ETH0"), MAPID_NO_DRIVER);
        check_fails(mapi_create_flow("eth0=a.pcap"), MAPID_NO_DRIVER);
        for (; id < mapped(6); id = info.id) {
                check_ok(mapi_get_next_device_info(id, &info));
                check_equal(info.id, id + 1);
                check(strcmp(info.alias, "No alias") == 0);
        }
        check_behind_map(mapped(6));
        if (!api_served()) {
                check_ok(mapi_get_device_info(2, &info));
                check(strcmp(info.device, "eth 1") == 0);
                check(strcmp(info.description, "b with blanks.pcap") == 0);
        }
        check_fails(mapi_get_device_info(0, &info), MAPI_DEVICE_INFO_ERR);
        check_fails(mapi_get_next_device_info(INT_MAX, &info), MAPI_DEVICE_INFO_ERR);

        check_fails(mapi_stats("eth0", &stats), MAPI_STATS_ERROR); /* known, and nobody uses it */
        fd = check_ok(mapi_create_flow("eth0"));
        check_ok(mapi_get_next_device_info(INT_MIN, &info)); /* the open device comes first: its id is negative */
        check(info.id < 0);
        check(strcmp(info.device, "eth0") == 0);
        check_ok(mapi_get_next_device_info(info.id, &info));
        check_equal(info.id, 1);
        check_ok(mapi_connect(fd));
        api_finish(fd);
        check_equal(mapi_stats("eth0", &stats), 1);
        check_equal(stats.ps_recv, 5);
        check_equal(stats.ps_drop, 0);
        check_equal(stats.ps_ifdrop, 0);
        check(strcmp(stats.hostname, "localhost") == 0);
        check(strcmp(stats.dev, "eth0") == 0);
        check_ok(mapi_close_flow(fd));
}

static void map_grammar(void)
{
        mapi_device_info_t info;

        trace_make("a.pcap", 5, 60);
        trace_make("b.pcap", 6, 60);
        set_map("");
        check_fails(mapi_create_flow("x"), MAPID_NO_DRIVER);
        set_map(",,\n,=,x=,=a.pcap,noequals,,x=a.pcap,x=b.pcap,\n");
        check_equal(count_on("x"), 5); /* the first that says something */
        check_fails(mapi_create_flow("noequals"), MAPID_NO_DRIVER);
        check_fails(mapi_create_flow(""), MAPID_NO_DRIVER);
        if (!api_served())
                check_ok(mapi_get_device_info(2, &info));
        check_behind_map(mapped(2));
        set_map("b.pcap=a.pcap"); /* a name in the map comes before a file of that name */
        check_equal(count_on("b.pcap"), 5);
        check_equal(unsetenv("MAPI_DEVICE_MAP"), 0);
        check_equal(count_on("b.pcap"), 6);
        set_map("lo=a.pcap"); /* and before an interface */
        check_equal(count_on("lo"), 5);
        set_map("x=null:packets=3\ny=null:packets=x\nz=null:nonsense=3\n");
        check_equal(count_on("x"), 3);
        check_fails(mapi_create_flow("y"), PCAP_OPEN_ERR);
        check_fails(mapi_create_flow("z"), PCAP_OPEN_ERR);
}

static void long_map(void)
{
        enum { ENTRIES = 800 };
        static char map[ENTRIES * 5000];
        char *at = map, name[32];
        mapi_device_info_t info;

        trace_make("a.pcap", 5, 60);
        for (int i = 0; i < ENTRIES; i++) {
                at += sprintf(at, "dev%d=", i);
                memset(at, 'x', 4900); /* longer than a path can be */
                at += i == 777 ? sprintf(at, "a.pcap") : 4900;
                *at++ = ',';
        }
        *at = '\0';
        set_map(map);
        for (int i = 0; i < ENTRIES; i += 7) {
                (void)snprintf(name, sizeof name, "dev%d", i);
                if (i == 777)
                        check_equal(count_on(name), 5);
                else
                        check_equal(mapi_create_flow(name), -1);
        }
        if (api_served())
                return;
        check_ok(mapi_get_device_info(ENTRIES, &info));
        check_equal(strlen(info.description), sizeof info.description - 1);
}

/* ---- names of traces ---------------------------------------------------------------------------------------------------- */

static void trace_names(void)
{
        static const char *const names[] = { "with blanks.pcap",
                                             "with:colon.pcap",
                                             "host:2233:eth0",
                                             ":",
                                             "a,b:c",
                                             " ",
                                             "@1",
                                             "%s%n",
                                             "\xc3\xa4\xff.pcap",
                                             "x=y" };
        char deep[3000], *device;
        struct mapi_stat stats;
        mapi_flow_info_t info;
        int fd;

        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
                trace_make(names[i], (unsigned)i + 3, 60);
                check_equal(count_on(names[i]), i + 3);
                device = check_there(mapi_create_offline_device(names[i], MFF_PCAP));
                check(strncmp(device, names[i], strlen(names[i])) == 0);
                check(strcmp(device, names[i]) != 0);
                fd = check_ok(mapi_create_flow(device));
                check_ok(mapi_apply_function(fd, "PKT_COUNTER"));
                check_ok(mapi_connect(fd));
                check_ok(mapi_start_offline_device(device));
                api_finish(fd);
                check_equal(api_counter(fd, 1), i + 3);
                check_equal(mapi_stats(device, &stats), 1);
                check_equal(stats.ps_recv, i + 3);
                check_ok(mapi_close_flow(fd));
                check_ok(mapi_delete_offline_device(device));
        }
        /* A path of 2,000 characters: longer than the name in the information, not than a path may be. */
        deep[0] = '\0';
        for (int i = 0; i < 10; i++) {
                size_t n = strlen(deep);

                memset(deep + n, 'a' + i, 199);
                deep[n + 199] = '\0';
                check_equal(mkdir(deep, 0755), 0);
                deep[n + 199] = '/';
                deep[n + 200] = '\0';
        }
        (void)strcat(deep, "t.pcap");
        trace_make(deep, 4, 60);
        fd = check_ok(mapi_create_flow(deep));
        check_ok(mapi_get_flow_info(fd, &info));
        check_equal(strlen(info.device), MAPI_STR_LENGTH - 1);
        check_equal(strncmp(info.device, deep, MAPI_STR_LENGTH - 1), 0);
        check_ok(mapi_close_flow(fd));
        device = check_there(mapi_create_offline_device(deep, MFF_PCAP));
        fd = check_ok(mapi_create_flow(device));
        check_ok(mapi_close_flow(fd));
        check_ok(mapi_delete_offline_device(device));
}

static void standard_input(void)
{
        trace_make("in.pcap", 12, 60);
        check(freopen("in.pcap", "rb", stdin) != NULL);
        check_equal(count_on("-"), 12);
}

static const struct api_case cases[] = {
        { "libraries", libraries, 0 },
        { "library_functions", library_functions, 0 },
        { "flows", flows, 0 },
        { "functions", functions, 0 },
        { "map_devices", map_devices, 0 },
        { "map_grammar", map_grammar, 0 },
        { "long_map", long_map, 0 },
        { "trace_names", trace_names, 0 },
        { "standard_input", standard_input, 0 },
};
API_MAIN(cases)
