/* The order of calls, and the code that each wrong call gives. SPDX-License-Identifier: BSD-2-Clause */
#include "api.h"

#include <mapi/errors.h>

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void ignore_packet(const struct mapipkt *p)
{
        (void)p;
}

/* ---- before anything was created ------------------------------------------------------------------------------- */

static void before_anything(void)
{
        static const int fds[] = { -13141, INT_MIN, -1, 0, 1, 7, INT_MAX };
        mapi_function_info_t function;
        struct mapi_stat64 stats;
        mapi_flow_info_t flow;

        check_error(0);
        for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
                int fd = fds[i];

                check_fails(mapi_connect(fd), MAPI_INIT_ERROR);
                check_fails(mapi_apply_function(fd, "PKT_COUNTER"), MAPI_INIT_ERROR);
                check_fails((mapi_apply_function)(fd, "PKT_COUNTER"), MAPI_INIT_ERROR);
                check_fails(mapi_apply_function_array(fd, "PKT_COUNTER", NULL, 0), MAPI_INIT_ERROR);
                check_null(mapi_read_results(fd, 1), MAPI_INIT_ERROR);
                check_null(mapi_get_next_pkt(fd, 1), MAPI_INIT_ERROR);
                check_fails(mapi_loop(fd, 1, 1, ignore_packet), MAPI_INIT_ERROR);
                check_fails(mapi_loop(fd, 1, 1, NULL), MAPI_INIT_ERROR);
                check_fails(mapi_close_flow(fd), MAPI_INIT_ERROR);
                check_fails(mapi_get_flow_info(fd, &flow), MAPI_INIT_ERROR);
                check_fails(mapi_get_flow_info(fd, NULL), MAPI_INIT_ERROR);
                check_fails(mapi_get_function_info(fd, 1, &function), MAPI_INIT_ERROR);
                check_fails(mapi_get_function_info(fd, 1, NULL), MAPI_INIT_ERROR);
                check_fails(mapi_get_next_function_info(fd, 0, &function), MAPI_INIT_ERROR);
                check_fails(mapi_get_scope_size(fd), MAPI_INVALID_FLOW);
                check_fails(mapi_is_remote(fd), MAPI_INVALID_FLOW);
                check_fails(mapi_set_nonblocking(fd, 1), MAPI_INIT_ERROR);
                check_fails(mapi_get_event_fd(fd), MAPI_INIT_ERROR);
                check_fails(mapi_flow_stats64(fd, &stats), MAPI_INIT_ERROR);
        }
        check_fails(mapi_session_use(1), MAPI_SESSION_ERROR);
        check_fails(mapi_session_close(0), MAPI_SESSION_ERROR);
        check_ok(mapi_session_use(0));
        check_fails(mapi_stats64(NULL, &stats), MAPI_DEVICE_INFO_ERR);
        check_fails(mapi_stats64("lo", NULL), MFUNCT_INVALID_ARGUMENT_2);
        /* Arguments that are wrong by themselves are said so and bring nothing to life. */
        check_fails(mapi_create_flow(NULL), MAPI_DEVICE_INFO_ERR);
        check_fails(mapi_create_offline_flow(NULL, MFF_PCAP), MAPI_ERROR_FILE);
        check_null(mapi_create_offline_device(NULL, MFF_PCAP), MAPI_ERROR_FILE);
        check_fails(mapi_get_next_flow_info(0, NULL), MFUNCT_INVALID_ARGUMENT_2);
        check_fails(mapi_get_library_info(0, NULL), MFUNCT_INVALID_ARGUMENT_2);
        check_fails(mapi_connect(1), MAPI_INIT_ERROR);
}

/** These initialise the library: what needs a flow then says that there is none, not that nothing was created. */
static void is_alive(void)
{
        check_fails(mapi_connect(1), MAPI_INVALID_FLOW);
        check_fails(mapi_connect(-13141), MAPI_INVALID_FLOW);
        check_null(mapi_read_results(1, 1), MAPI_INVALID_FLOW);
        check_fails(mapi_close_flow(1), MAPI_INVALID_FLOW);
}

static void first_create_flow(void)
{
        api_leaves_open();
        check(check_ok(mapi_create_flow(api_trace("demo.pcap"))) > 0);
        check_fails(mapi_connect(-13141), MAPI_INVALID_FLOW);
}

static void first_offline_flow(void)
{
        api_leaves_open();
        check(check_ok(mapi_create_offline_flow(api_trace("demo.pcap"), MFF_PCAP)) > 0);
        check_fails(mapi_connect(-13141), MAPI_INVALID_FLOW);
}

static void first_offline_device(void)
{
        char *device = check_there(mapi_create_offline_device(api_trace("demo.pcap"), MFF_PCAP));

        is_alive();
        check_ok(mapi_delete_offline_device(device));
}

static void first_flow_info(void)
{
        mapi_flow_info_t info;

        check_fails(mapi_get_next_flow_info(0, &info), MAPI_INVALID_FLOW);
        is_alive();
}

static void first_device_info(void)
{
        mapi_device_info_t info;

        check_fails(mapi_get_device_info(0, &info), MAPI_DEVICE_INFO_ERR);
        check_fails(mapi_get_next_device_info(INT_MAX, &info), MAPI_DEVICE_INFO_ERR);
        is_alive();
}

static void first_library_info(void)
{
        mapi_lib_info_t info;

        check_ok(mapi_get_library_info(0, &info));
        check(info.functs >= 11);
        is_alive();
}

static void first_libfunct_info(void)
{
        mapi_libfunct_info_t info;

        check_ok(mapi_get_next_libfunct_info(0, -1, &info));
        check(info.name[0] != '\0');
        is_alive();
}

static void first_stats(void)
{
        struct mapi_stat stats;

        check_fails(mapi_stats("HOW CARES", &stats), MAPID_NO_DRIVER);
        is_alive();
}

/* ---- the table of states ---------------------------------------------------------------------------------------- */

static void states_before_connect(int fd)
{
        int fid = check_ok(mapi_apply_function(fd, "PKT_COUNTER"));
        int ring = check_ok(mapi_apply_function(fd, "TO_BUFFER"));
        mapi_function_info_t function;
        mapi_flow_info_t flow;

        check(fid > 0);
        check(ring > fid);
        check_null(mapi_read_results(fd, fid), MAPI_FLOW_NOT_CONNECTED);
        check_null(mapi_read_results(fd, 999), MAPI_FLOW_NOT_CONNECTED);
        check_null(mapi_get_next_pkt(fd, ring), MAPI_FLOW_NOT_CONNECTED);
        check_null(mapi_get_next_pkt(fd, 999), MAPI_FLOW_NOT_CONNECTED);
        check_fails(mapi_loop(fd, ring, 1, ignore_packet), MAPI_FLOW_NOT_CONNECTED);
        check_fails(mapi_loop(fd, ring, 1, NULL), MAPI_FLOW_NOT_CONNECTED);
        check_ok(mapi_get_flow_info(fd, &flow));
        check_equal(flow.status, FLOW_INIT);
        check_equal(flow.start, 0);
        check_equal(flow.end, 0);
        check_equal(flow.num_functions, 2);
        check_ok(mapi_get_function_info(fd, fid, &function));
        check(strcmp(function.name, "PKT_COUNTER") == 0);
        check_equal(mapi_get_scope_size(fd), 1);
        check_equal(mapi_is_remote(fd), 0);
}

static void states_after_connect(int fd)
{
        mapi_function_info_t function;
        mapi_flow_info_t flow;

        check_fails(mapi_connect(fd), MDLIB_FLOW_ALREADY_ACTIVE);
        check_fails(mapi_apply_function(fd, "PKT_COUNTER"), MFUNCT_COULD_NOT_APPLY_FUNCT);
        check_fails(mapi_apply_function(fd, "BPF_FILTER", "this is no filter ("), MFUNCT_COULD_NOT_APPLY_FUNCT);
        check_fails(mapi_apply_function(fd, "NO_SUCH_FUNCTION"), MFUNCT_COULD_NOT_APPLY_FUNCT);
        check_fails(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, "not-to-be", 0), MFUNCT_COULD_NOT_APPLY_FUNCT);
        check_fails(mapi_apply_function_array(fd, "PKT_COUNTER", NULL, 0), MFUNCT_COULD_NOT_APPLY_FUNCT);
        check_there(mapi_read_results(fd, 1));
        check_null(mapi_read_results(fd, 999), MAPI_INVALID_FID_FUNCID);
        check_null(mapi_read_results(fd, 2), MAPI_SHM_ERR); /* TO_BUFFER */
        check_null(mapi_get_next_pkt(fd, 999), MAPI_INVALID_FID_FUNCID);
        check_null(mapi_get_next_pkt(fd, 1), MAPI_INVALID_FID_FUNCID); /* PKT_COUNTER */
        check_fails(mapi_loop(fd, 2, 1, NULL), MFUNCT_INVALID_ARGUMENT_4);
        check_fails(mapi_loop(fd, 1, 1, ignore_packet), MAPI_INVALID_FID_FUNCID);
        check_ok(mapi_get_flow_info(fd, &flow));
        check(flow.status == FLOW_ACTIVE || flow.status == FLOW_FINISHED);
        check(flow.start > 0);
        check_ok(mapi_get_function_info(fd, 2, &function));
        check(strcmp(function.name, "TO_BUFFER") == 0);
        check_equal(mapi_get_scope_size(fd), 1);
        check_equal(mapi_is_remote(fd), 0);
}

static void states_after_close(int fd)
{
        mapi_function_info_t function;
        mapi_flow_info_t flow;

        check_fails(mapi_apply_function(fd, "PKT_COUNTER"), MAPI_INVALID_FLOW);
        check_fails(mapi_apply_function(fd, NULL), MFUNCT_COULD_NOT_APPLY_FUNCT);
        check_fails(mapi_apply_function_array(fd, "PKT_COUNTER", NULL, 0), MAPI_INVALID_FLOW);
        check_fails(mapi_connect(fd), MAPI_INVALID_FLOW);
        check_null(mapi_read_results(fd, 1), MAPI_INVALID_FLOW);
        check_null(mapi_get_next_pkt(fd, 2), MAPI_INVALID_FLOW);
        check_fails(mapi_loop(fd, 2, 1, ignore_packet), MAPI_INVALID_FLOW);
        check_fails(mapi_close_flow(fd), MAPI_INVALID_FLOW);
        check_fails(mapi_get_flow_info(fd, &flow), MAPI_INVALID_FLOW);
        check_fails(mapi_get_function_info(fd, 1, &function), MAPI_INIT_ERROR);
        check_fails(mapi_get_next_function_info(fd, 0, &function), MAPI_INIT_ERROR);
        check_fails(mapi_get_scope_size(fd), MAPI_INVALID_FLOW);
        check_fails(mapi_is_remote(fd), MAPI_INVALID_FLOW);
}

static void states_private(void)
{
        int fd = check_ok(mapi_create_flow(api_trace("demo.pcap")));

        states_before_connect(fd);
        check_ok(mapi_connect(fd));
        states_after_connect(fd);
        check_ok(mapi_close_flow(fd));
        states_after_close(fd);

        fd = check_ok(mapi_create_offline_flow(api_trace("demo.pcap"), MFF_RAW));
        states_before_connect(fd);
        check_ok(mapi_close_flow(fd)); /* never connected */
        states_after_close(fd);
}

static void states_device(void)
{
        char *device = check_there(mapi_create_offline_device(api_trace("demo.pcap"), MFF_PCAP));
        int fd = check_ok(mapi_create_flow(device));

        states_before_connect(fd);
        check_ok(mapi_connect(fd));
        states_after_connect(fd);
        check_ok(mapi_start_offline_device(device));
        states_after_connect(fd);
        check_ok(mapi_close_flow(fd));
        states_after_close(fd);
        check_ok(mapi_delete_offline_device(device));
        states_after_close(fd);
}

/* ---- numbers that cannot be, and the order of the checks -------------------------------------------------------- */

static void wrong_numbers(void)
{
        static const int unknown[] = { 7, 12345, INT_MAX };
        static const int impossible[] = { 0, -1, -13141, INT_MIN };
        int fd = check_ok(mapi_create_flow(api_trace("demo.pcap"))),
            fid = check_ok(mapi_apply_function(fd, "TO_BUFFER"));
        mapi_function_info_t function;
        struct mapi_stat64 stats;
        mapi_flow_info_t flow;

        check_ok(mapi_connect(fd));
        for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
                int bad = unknown[i];

                check_fails(mapi_apply_function(bad, "PKT_COUNTER"), MAPI_INVALID_FLOW);
                check_fails(mapi_apply_function(bad, "NO_SUCH_FUNCTION"), MAPI_INVALID_FLOW);
                check_fails(mapi_apply_function(bad, NULL), MFUNCT_COULD_NOT_APPLY_FUNCT);
                check_fails(mapi_connect(bad), MAPI_INVALID_FLOW);
                check_null(mapi_read_results(bad, 1), MAPI_INVALID_FLOW);
                check_null(mapi_get_next_pkt(bad, 1), MAPI_INVALID_FLOW);
                check_fails(mapi_loop(bad, 1, 1, NULL), MAPI_INVALID_FLOW);
                check_fails(mapi_close_flow(bad), MAPI_INVALID_FLOW);
                check_fails(mapi_set_nonblocking(bad, 1), MAPI_INVALID_FLOW);
                check_fails(mapi_get_event_fd(bad), MAPI_INVALID_FLOW);
                check_fails(mapi_flow_stats64(bad, &stats), MAPI_INVALID_FLOW);
                check_fails(mapi_session_use(bad), MAPI_SESSION_ERROR);
                check_fails(mapi_session_close(bad), MAPI_SESSION_ERROR);
                check_fails(mapi_get_flow_info(bad, &flow), MAPI_INVALID_FLOW);
                check_fails(mapi_get_next_flow_info(bad, &flow), MAPI_INVALID_FLOW);
                check_fails(mapi_get_function_info(bad, 1, &function), MAPI_INIT_ERROR);
                check_fails(mapi_get_next_function_info(bad, 0, &function), MAPI_INIT_ERROR);
                check_fails(mapi_get_function_info(fd, bad, &function), MAPI_FUNCTION_INFO_ERR);
                check_fails(mapi_get_next_function_info(fd, bad, &function), MAPI_FUNCTION_INFO_ERR);
                check_null(mapi_read_results(fd, bad), MAPI_INVALID_FID_FUNCID);
                check_null(mapi_get_next_pkt(fd, bad), MAPI_INVALID_FID_FUNCID);
        }
        for (size_t i = 0; i < sizeof impossible / sizeof impossible[0]; i++) {
                int bad = impossible[i];

                check_fails(mapi_apply_function(bad, "PKT_COUNTER"), MAPI_INVALID_FID_FUNCID);
                check_fails(mapi_apply_function(bad, NULL), MAPI_INVALID_FID_FUNCID);
                check_fails(mapi_connect(bad), MAPI_INVALID_FLOW);
                check_null(mapi_read_results(bad, 1), MAPI_INVALID_FLOW);
                check_null(mapi_read_results(fd, bad), MAPI_INVALID_FLOW);
                check_null(mapi_get_next_pkt(bad, 1), MAPI_INVALID_FID_FUNCID);
                check_null(mapi_get_next_pkt(fd, bad), MAPI_INVALID_FID_FUNCID);
                check_fails(mapi_loop(bad, 1, 1, ignore_packet), MAPI_INVALID_FID_FUNCID);
                check_fails(mapi_loop(fd, bad, 1, NULL), MAPI_INVALID_FID_FUNCID);
                check_fails(mapi_close_flow(bad), MAPI_INVALID_FLOW);
                check_fails(mapi_get_flow_info(bad, &flow), MAPI_INVALID_FLOW);
                check_fails(mapi_get_flow_info(bad, NULL), MAPI_INVALID_FLOW);
                check_fails(mapi_get_function_info(bad, 1, NULL), MAPI_INVALID_FID_FUNCID);
                check_fails(mapi_get_function_info(fd, bad, NULL), MAPI_INVALID_FID_FUNCID);
                check_ok(mapi_get_next_flow_info(bad, &flow)); /* from the beginning */
                check_equal(flow.fd, fd);
        }
        check_fails(mapi_get_flow_info(fd, NULL), MFUNCT_INVALID_ARGUMENT_2);
        check_fails(mapi_get_next_flow_info(fd, NULL), MFUNCT_INVALID_ARGUMENT_2);
        check_fails(mapi_get_next_flow_info(fd, &flow), MAPI_FLOW_INFO_ERR); /* it is the last */
        check_fails(mapi_get_function_info(fd, fid, NULL), MFUNCT_INVALID_ARGUMENT_3);
        check_fails(mapi_get_next_function_info(fd, 0, NULL), MFUNCT_INVALID_ARGUMENT_3);
        check_fails(mapi_get_next_function_info(fd, fid, &function), MAPI_FUNCTION_INFO_ERR);
        check_fails(mapi_get_next_function_info(12375, 0, &function), MAPI_INIT_ERROR);
        check_ok(mapi_close_flow(fd));
        check_fails(mapi_get_next_flow_info(0, &flow), MAPI_INVALID_FLOW); /* no flow at all */
        check_fails(mapi_get_next_flow_info(fd, &flow), MAPI_INVALID_FLOW);
}

static void wrong_devices(void)
{
        char long_name[10000], unowned[] = "no such device";
        struct mapi_stat stats;
        mapi_device_info_t info;

        memset(long_name, 'x', sizeof long_name - 1);
        long_name[sizeof long_name - 1] = '\0';
        check_fails(mapi_create_flow(NULL), MAPI_DEVICE_INFO_ERR);
        check_fails(mapi_create_flow("HOW CARES"), MAPID_NO_DRIVER);
        check_fails(mapi_create_flow(""), MAPID_NO_DRIVER);
        check_fails(mapi_create_flow("nothing-here.pcap"), MAPID_NO_DRIVER);
        check_fails(mapi_create_flow("."), MAPI_ERROR_FILE);
        check_fails(mapi_create_flow(long_name), MAPID_NO_DRIVER);
        check_fails(mapi_create_flow("sensor.example:eth0"), MCOM_SOCKET_ERROR);
        check_fails(mapi_create_offline_flow(NULL, MFF_PCAP), MAPI_ERROR_FILE);
        check_fails(mapi_create_offline_flow("", MFF_PCAP), MAPI_ERROR_FILE);
        check_fails(mapi_create_offline_flow("nothing-here.pcap", MFF_PCAP), MAPI_ERROR_FILE);
        check_fails(mapi_create_offline_flow(long_name, MFF_PCAP), MAPI_ERROR_FILE);
        check_fails(mapi_create_offline_flow(api_trace("demo.pcap"), 32), MAPID_NO_DRIVER);
        check_fails(mapi_create_offline_flow(api_trace("demo.pcap"), -1), MAPID_NO_DRIVER);
        check_null(mapi_create_offline_device(NULL, MFF_PCAP), MAPI_ERROR_FILE);
        check_null(mapi_create_offline_device("nothing-here.pcap", MFF_PCAP), MAPI_ERROR_FILE);
        check_null(mapi_create_offline_device(api_trace("demo.pcap"), 32), MAPID_NO_DRIVER);
        check_fails(mapi_start_offline_device(NULL), MAPID_NO_DEVICE);
        check_fails(mapi_start_offline_device(unowned), MAPID_NO_DEVICE);
        check_fails(mapi_start_offline_device(api_trace("demo.pcap")), MAPID_NO_DEVICE);
        check_fails(mapi_delete_offline_device(NULL), MAPID_NO_DEVICE);
        check_fails(mapi_delete_offline_device(unowned), MAPID_NO_DEVICE);
        check_fails(mapi_stats(NULL, &stats), MAPI_DEVICE_INFO_ERR);
        check_fails(mapi_stats(NULL, NULL), MAPI_DEVICE_INFO_ERR);
        check_fails(mapi_stats("lo", NULL), MFUNCT_INVALID_ARGUMENT_2);
        check_fails(mapi_stats("HOW CARES", &stats), MAPID_NO_DRIVER);
        check_fails(mapi_get_device_info(1, NULL), MFUNCT_INVALID_ARGUMENT_2);
        check_fails(mapi_get_next_device_info(0, NULL), MFUNCT_INVALID_ARGUMENT_2);
        check_fails(mapi_get_device_info(1000000, &info), MAPI_DEVICE_INFO_ERR);
        check_fails(mapi_get_device_info(-4711, &info), MAPI_DEVICE_INFO_ERR);
        check_fails(mapi_get_next_device_info(INT_MAX, &info), MAPI_DEVICE_INFO_ERR);
}

/** A socket without mapid behind it: live devices say so, traces do not need it. */
static void refusing_socket(void)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "stale.sock" };
        char text[MAPI_ERRORSTR_LENGTH];
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), code;

        check_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
        check_equal(close(fd), 0);
        check_equal(setenv("MAPI_SOCKET", "stale.sock", 1), 0);
        check_equal(unsetenv("MAPI_BACKEND"), 0);
        check_ok(mapi_close_flow(check_ok(mapi_create_flow(api_trace("demo.pcap")))));
        check_equal(mapi_create_flow("lo"), -1);
        check_equal(mapi_read_error(&code, text), 0);
        check_equal(code, MCOM_INIT_SOCKET_ERROR);
        check(strstr(text, "stale.sock") != NULL);
        check_fails(mapi_create_flow("any"), MCOM_INIT_SOCKET_ERROR);
        check_fails(mapi_create_flow("HOW CARES"), MAPID_NO_DRIVER);
        check_fails(mapi_session_open("stale.sock"), MCOM_INIT_SOCKET_ERROR);
        check_equal(unlink("stale.sock"), 0);
}

static void wrong_backend(void)
{
        char text[MAPI_ERRORSTR_LENGTH];
        int code;

        check_equal(setenv("MAPI_SOCKET", "/nonexistent/mapid.sock", 1), 0);
        check_equal(setenv("MAPI_BACKEND", "local", 1), 0);
        check_fails(mapi_create_flow(api_trace("demo.pcap")), MCOM_INIT_SOCKET_ERROR);
        check_equal(setenv("MAPI_BACKEND", "nonsense", 1), 0);
        check_equal(mapi_create_offline_flow(api_trace("demo.pcap"), MFF_PCAP), -1);
        check_equal(mapi_read_error(&code, text), 0);
        check_equal(code, MCOM_INIT_SOCKET_ERROR);
        check(strstr(text, "nonsense") != NULL);
        check_equal(setenv("MAPI_BACKEND", "embedded", 1), 0);
        check_ok(mapi_close_flow(check_ok(mapi_create_flow(api_trace("demo.pcap")))));
}

/* ---- the error itself ------------------------------------------------------------------------------------------- */

static void read_error(void)
{
        char text[MAPI_ERRORSTR_LENGTH] = "before";
        int code = 4711;

        check_equal(mapi_read_error(NULL, NULL), -1);
        check_equal(mapi_read_error(&code, text), 0);
        check_equal(code, 0);
        check(text[0] == '\0');

        check_equal(mapi_connect(1), -1);
        check_equal(mapi_read_error(NULL, NULL), -1); /* takes nothing away */
        check_error(MAPI_INIT_ERROR);
        check_equal(mapi_connect(1), -1);
        check_equal(mapi_read_error(&code, NULL), 0);
        check_equal(code, MAPI_INIT_ERROR);
        check_error(0);
        check_equal(mapi_connect(1), -1);
        check_equal(mapi_read_error(NULL, text), 0);
        check(text[0] != '\0');
        check_error(0);
        /* The newest counts. */
        check_equal(mapi_connect(1), -1);
        check_equal(mapi_create_flow("HOW CARES"), -1);
        check_error(MAPID_NO_DRIVER);
}

static void *other_thread(void *unused)
{
        (void)unused;
        check_error(0);
        check_fails(mapi_create_flow("HOW CARES"), MAPID_NO_DRIVER);
        check_equal(mapi_create_flow(NULL), -1); /* left unread */
        return NULL;
}

static void error_per_thread(void)
{
        pthread_t thread;

        check_equal(mapi_connect(1), -1);
        check_equal(pthread_create(&thread, NULL, other_thread, NULL), 0);
        check_equal(pthread_join(thread, NULL), 0);
        check_error(MAPI_INIT_ERROR);
}

/** Long and odd names end up in sentences, cut where they must be. */
static void long_texts(void)
{
        char name[70000];
        int fd = check_ok(mapi_create_flow(api_trace("demo.pcap")));

        memset(name, '%', sizeof name - 1);
        name[sizeof name - 1] = '\0';
        check_fails(mapi_apply_function(fd, name), MAPI_FUNCTION_NOT_FOUND);
        check_fails(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, name, 0), MAPI_ERROR_FILE);
        check_fails(mapi_apply_function(fd, "STATS", fd, 1, name),
                    api_served() ? MAPI_LIMIT_ERROR : MFUNCT_INVALID_ARGUMENT_1); /* mapid takes no such string */
        check_fails(mapi_start_offline_device(name), MAPID_NO_DEVICE);
        memset(name, '(', sizeof name - 1);
        check(mapi_apply_function(fd, "BPF_FILTER", name) == -1);
        check(mapi_apply_function(fd, "STR_SEARCH", name, 0, 3) == -1);
        check_error(api_served() ? MAPI_LIMIT_ERROR : MDLIB_STRSEARCH_DEPTH_LESS_THAN_PTRN_ERR);
        check_ok(mapi_close_flow(fd));
}

static const struct api_case cases[] = {
        { "before_anything", before_anything, 0 },
        { "first_create_flow", first_create_flow, 0 },
        { "first_offline_flow", first_offline_flow, 0 },
        { "first_offline_device", first_offline_device, 0 },
        { "first_flow_info", first_flow_info, 0 },
        { "first_device_info", first_device_info, 0 },
        { "first_library_info", first_library_info, 0 },
        { "first_libfunct_info", first_libfunct_info, 0 },
        { "first_stats", first_stats, 0 },
        { "states_private", states_private, 0 },
        { "states_device", states_device, 0 },
        { "wrong_numbers", wrong_numbers, 0 },
        { "wrong_devices", wrong_devices, 0 },
        { "refusing_socket", refusing_socket, 0 },
        { "wrong_backend", wrong_backend, 0 },
        { "read_error", read_error, 0 },
        { "error_per_thread", error_per_thread, 0 },
        { "long_texts", long_texts, 0 },
};
API_MAIN(cases)
