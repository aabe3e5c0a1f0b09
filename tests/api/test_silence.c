/* The library says nothing by itself; MAPI_DEBUG=1 makes it talk on standard error only. SPDX-License-Identifier: BSD-2-Clause */
#include "api.h"

#include "trace.h"

#include <mapi/errors.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void ignore_packet(const struct mapipkt *p)
{
        (void)p;
}

/** A bit of everything that succeeds. */
static void tour_of_successes(void)
{
        char *device = check_there(mapi_create_offline_device(api_trace("demo.pcap"), MFF_PCAP));
        int a = check_ok(mapi_create_flow(device)), b = check_ok(mapi_create_flow(api_trace("few-cut.pcap"))), fid,
            stats;
        struct mapi_stat stat;
        mapi_lib_info_t lib;

        check_ok(mapi_apply_function(a, "BPF_FILTER", "tcp"));
        fid = check_ok(mapi_apply_function(a, "PKTINFO", 1));
        stats = check_ok(mapi_apply_function(a, "STATS", a, fid, "0"));
        check_ok(mapi_apply_function(a, "TO_FILE", MFF_PCAP, "out.pcap", 10));
        check_ok(mapi_apply_function(b, "TO_BUFFER"));
        check_ok(mapi_connect(a));
        check_ok(mapi_connect(b));
        check_ok(mapi_start_offline_device(device));
        check_equal(mapi_loop(b, 1, 0, ignore_packet), -1); /* its last packet is cut */
        check_error(MAPI_TRACE_DAMAGED);
        api_finish(a);
        check_there(mapi_read_results(a, stats));
        check_ok(mapi_stats(device, &stat));
        check_ok(mapi_get_library_info(0, &lib));
        check_ok(mapi_close_flow(a));
        check_ok(mapi_close_flow(b));
        check_ok(mapi_delete_offline_device(device));
}

/** A bit of everything that fails. */
static void tour_of_failures(void)
{
        struct mapi_stat stat;
        mapi_flow_info_t info;
        int fd;

        check_fails(mapi_connect(-13141), MAPI_INIT_ERROR);
        check_fails(mapi_create_flow("HOW CARES"), MAPID_NO_DRIVER);
        check_fails(mapi_session_open("no-such-socket"), MCOM_INIT_SOCKET_ERROR);
        check_fails(mapi_create_flow("a:b"), MCOM_SOCKET_ERROR);
        file_make("garbage", "this is no trace, whatever its name may be", 40);
        check_fails(mapi_create_flow("garbage"), MAPI_ERROR_FILE);
        fd = check_ok(mapi_create_flow(api_trace("demo.pcap")));
        check_fails(mapi_apply_function(fd, "BPF_FILTER", "ip host ("), PCAP_BPF_ERR);
        check_fails(mapi_apply_function(fd, "STR_SEARCH", "|41"), MDLIB_STRSEARCH_UNTERMINATED_PIPE_ERR);
        check_fails(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, "no/such/folder/file", 0), MAPI_ERROR_FILE);
        check_ok(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, "/dev/full", 0));
        check_ok(mapi_connect(fd));
        check_null(mapi_read_results(fd, 4711), MAPI_INVALID_FID_FUNCID);
        api_finish(fd);
        check_fails(mapi_close_flow(fd), MAPI_ERROR_FILE);
        check_fails(mapi_stats("HOW CARES", &stat), MAPID_NO_DRIVER);
        check_fails(mapi_get_flow_info(fd, &info), MAPI_INVALID_FLOW);
}

static void tours(void)
{
        tour_of_failures();
        tour_of_successes();
        api_leaves_open();
        check(mapi_create_flow(api_trace("demo.pcap")) > 0); /* left open: exit closes it */
}

/** What a process that runs the tours says; checks that it comes to a good end. */
static void captured(long long *ret_out, long long *ret_err)
{
        int out = open("stdout", O_RDWR | O_CREAT | O_TRUNC, 0600),
            err = open("stderr", O_RDWR | O_CREAT | O_TRUNC, 0600);
        struct stat st;
        int status;
        pid_t child;

        check(out >= 0);
        check(err >= 0);
        child = fork();
        if (child == 0) {
                check(dup2(out, 1) == 1);
                check(dup2(err, 2) == 2);
                tours();
                exit(0);
        }
        check_equal(waitpid(child, &status, 0), child);
        if (status != 0) {
                char text[4096] = "";

                check(pread(err, text, sizeof text - 1, 0) >= 0);
                fail("the tours end with %d: %s", status, text);
        }
        check_equal(fstat(out, &st), 0);
        *ret_out = st.st_size;
        check_equal(fstat(err, &st), 0);
        *ret_err = st.st_size;
        (void)close(out);
        (void)close(err);
}

static void silent(void)
{
        static const char *const debug[] = { NULL, "", "0", "no" };
        long long out, err;

        for (size_t i = 0; i < sizeof debug / sizeof debug[0]; i++) {
                if (debug[i] != NULL)
                        check_equal(setenv("MAPI_DEBUG", debug[i], 1), 0);
                captured(&out, &err);
                check_equal(out, 0);
                check_equal(err, 0);
        }
}

static void talks_when_asked(void)
{
        long long out, err;

        check_equal(setenv("MAPI_DEBUG", "1", 1), 0);
        captured(&out, &err);
        check_equal(out, 0);
        check(err > 100);
}

/** Standard descriptors that are closed: nothing of ours may take their place and be written to by printf. */
static void without_standard_descriptors(void)
{
        struct trace t;
        int fd;

        check_equal(close(0), 0);
        check_equal(close(1), 0);
        fd = check_ok(mapi_create_flow(api_trace("demo.pcap")));
        check_ok(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, "out.pcap", 0));
        check_ok(mapi_apply_function(fd, "TO_BUFFER"));
        check_ok(mapi_connect(fd));
        check_equal(mapi_loop(fd, 2, 0, ignore_packet), 0);
        check_ok(mapi_close_flow(fd));
        trace_read("out.pcap", &t);
        check_equal(t.n, 2800);
        trace_free(&t);
}

static const struct api_case cases[] = {
        { "silent", silent, 60 },
        { "talks_when_asked", talks_when_asked, 0 },
        { "without_standard_descriptors", without_standard_descriptors, 0 },
};
API_MAIN(cases)
