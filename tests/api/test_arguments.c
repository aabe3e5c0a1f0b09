/* Arguments of functions: in all languages, and as an array of strings. SPDX-License-Identifier: BSD-2-Clause */
#include "arguments.h"

#include "trace.h"

#include <mapi/errors.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int arguments_flow(void)
{
        return check_ok(mapi_create_flow(api_trace("demo.pcap")));
}

unsigned long long arguments_count(int fd, int fid)
{
        unsigned long long n;
        mapi_function_info_t info;
        int ring = 0, at = 0;

        check_ok(mapi_connect(fd));
        while (mapi_get_next_function_info(fd, at, &info) == 0) {
                at = info.fid;
                if (strcmp(info.name, "TO_BUFFER") == 0)
                        ring = at;
        }
        check_error(MAPI_FUNCTION_INFO_ERR);
        if (ring == 0)
                api_finish(fd);
        else
                for (mapi_flow_info_t flow = { 0 }; flow.status != FLOW_FINISHED;) { /* somebody must read it */
                        check_ok(mapi_get_flow_info(fd, &flow));
                        while (mapi_get_next_pkt(fd, ring) != NULL)
                                ;
                }
        n = api_counter(fd, fid);
        check_ok(mapi_close_flow(fd));
        return n;
}

unsigned arguments_packets(const char *path)
{
        struct trace t;
        unsigned n;

        trace_read(path, &t);
        check_equal(t.torn, 0);
        n = (unsigned)t.n;
        trace_free(&t);
        return n;
}

unsigned arguments_with_text(const char *text)
{
        struct trace t;
        unsigned n;

        trace_read(api_trace("demo.pcap"), &t);
        check_equal(t.n, ARGUMENTS_PACKETS);
        n = (unsigned)trace_count_text(&t, text);
        check(n > 0 && n < t.n); /* otherwise it would show nothing */
        trace_free(&t);
        return n;
}

/* ---- mapi_apply_function_array ------------------------------------------------------------------------------------ */

#define ARRAY(...) ((char *[]){ __VA_ARGS__ })

static void array(void)
{
        int fd = arguments_flow(), size, fid;
        char flow[16], function[16];

        check_ok(mapi_apply_function_array(fd, "TO_FILE", ARRAY("0", "array.pcap", "18446744073709551615"), 3));
        check_ok(mapi_apply_function_array(fd, "TO_FILE", ARRAY("0", "limit.pcap", "7"), 3));
        check_ok(mapi_apply_function_array(fd, "STR_SEARCH", ARRAY("www", "0", "1500"), 3));
        size = check_ok(mapi_apply_function_array(fd, "stdflib:PKTINFO", ARRAY("1"), 1));
        (void)snprintf(flow, sizeof flow, "%d", fd);
        (void)snprintf(function, sizeof function, "%d", size);
        check_ok(mapi_apply_function_array(fd, "STATS", ARRAY(flow, function, "0"), 3));
        check_ok(mapi_apply_function_array(fd, "STATS", ARRAY(flow, function, NULL), 3));
        check_ok(mapi_apply_function_array(fd, "GAP", NULL, 0));
        check_ok(mapi_apply_function_array(fd, "GAP", ARRAY("surplus", NULL), 2));
        fid = check_ok(mapi_apply_function_array(fd, "PKT_COUNTER", NULL, 0));
        check_equal(arguments_count(fd, fid), arguments_with_text("www"));
        check_equal(arguments_packets("array.pcap"), ARGUMENTS_PACKETS);
        check_equal(arguments_packets("limit.pcap"), 7);
}

static void array_too_few(void)
{
        int fd = arguments_flow(), size = check_ok(mapi_apply_function_array(fd, "PKTINFO", ARRAY("1"), 1));
        char flow[16], function[16];

        (void)snprintf(flow, sizeof flow, "%d", fd);
        (void)snprintf(function, sizeof function, "%d", size);
        check_fails(mapi_apply_function_array(fd, "BPF_FILTER", NULL, 0), MFUNCT_INVALID_ARGUMENT_1);
        check_fails(mapi_apply_function_array(fd, "HASH", NULL, 0), MFUNCT_INVALID_ARGUMENT_1);
        check_fails(mapi_apply_function_array(fd, "HASH", NULL, 3), MFUNCT_INVALID_ARGUMENT_1);
        check_fails(mapi_apply_function_array(fd, "HASH", ARRAY("1"), 0), MFUNCT_INVALID_ARGUMENT_1);
        check_fails(mapi_apply_function_array(fd, "STATS", ARRAY(flow), 1), MFUNCT_INVALID_ARGUMENT_2);
        check_fails(mapi_apply_function_array(fd, "TO_FILE", ARRAY("0"), 1), MAPI_ERROR_FILE);
        /* Those that may be missing: as in the variadic call. */
        check_ok(mapi_apply_function_array(fd, "STATS", ARRAY(flow, function), 2));
        check_ok(mapi_apply_function_array(fd, "STR_SEARCH", ARRAY("www"), 1));
        check_ok(mapi_apply_function_array(fd, "TO_BUFFER", NULL, 0));
        check_ok(mapi_close_flow(fd));
}

static void array_bad_numbers(void)
{
        static const char *const bad[] = {
                "", " ", "x", "1x", "0x1", "1.0", "1 ", "one", "--1", "1e3", "99999999999999999999999"
        };
        int fd = arguments_flow();

        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
                char *text = strdup(bad[i]);

                check_fails(mapi_apply_function_array(fd, "HASH", &text, 1), MFUNCT_INVALID_ARGUMENT_1);
                check_fails(mapi_apply_function_array(fd, "SAMPLE", ARRAY("20", text), 2),
                            MFUNCT_INVALID_ARGUMENT_2);
                check_fails(mapi_apply_function_array(fd, "TO_FILE", ARRAY("0", "f", text), 3),
                            MFUNCT_INVALID_ARGUMENT_3);
                check_fails(mapi_apply_function_array(fd, "STATS", ARRAY(text, "1", "0"), 3),
                            MFUNCT_INVALID_ARGUMENT_1);
                free(text);
        }
        check_fails(mapi_apply_function_array(fd, "HASH", ARRAY(NULL), 1), MFUNCT_INVALID_ARGUMENT_1);
        check_fails(mapi_apply_function_array(fd, "TO_FILE", ARRAY("0", "f", "-1"), 3), MFUNCT_INVALID_ARGUMENT_3);
        check_fails(mapi_apply_function_array(fd, "TO_FILE", ARRAY("0", "f", "18446744073709551616"), 3),
                    MFUNCT_INVALID_ARGUMENT_3);
        check_fails(mapi_apply_function_array(fd, "TO_FILE", ARRAY("0", NULL, "0"), 3), MAPI_ERROR_FILE);
        check_fails(mapi_apply_function_array(fd, "HASH", ARRAY("4294967296"), 1), MFUNCT_INVALID_ARGUMENT_1);
        check_fails(mapi_apply_function_array(fd, "HASH", ARRAY("-1"), 1), MFUNCT_INVALID_ARGUMENT_1);
        check_fails(mapi_apply_function_array(fd, "BPF_FILTER", ARRAY("ip host ("), 1), PCAP_BPF_ERR);
        check_fails(mapi_apply_function_array(fd, "NO_SUCH", ARRAY("1"), 1), MAPI_FUNCTION_NOT_FOUND);
        check_fails(mapi_apply_function_array(fd, NULL, NULL, 0), MFUNCT_COULD_NOT_APPLY_FUNCT);
        check_fails(mapi_apply_function_array(0, "PKT_COUNTER", NULL, 0), MAPI_INVALID_FID_FUNCID);
        check_ok(mapi_close_flow(fd));
}

/* ---- nothing is left of what could not be applied ------------------------------------------------------------------ */

static void failures_hold_nothing(void)
{
        struct api_held before;
        int fd = arguments_flow();

        check_fails(mapi_apply_function(fd, "BPF_FILTER", "ip host ("), PCAP_BPF_ERR);
        before = api_count_held();
        for (int i = 0; i < 200; i++) {
                check_fails(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, "held.pcap", -1),
                            MFUNCT_INVALID_ARGUMENT_3);
                check_fails(mapi_apply_function(fd, "TO_FILE", 13242312, "held.pcap", 0),
                            MFUNCT_COULD_NOT_APPLY_FUNCT);
                check_fails(mapi_apply_function(fd, "BPF_FILTER", "ip host ("), PCAP_BPF_ERR);
                check_fails(mapi_apply_function(fd, "STR_SEARCH", "|41", 0, 0),
                            MDLIB_STRSEARCH_UNTERMINATED_PIPE_ERR);
                check_fails(mapi_apply_function(fd, "STATS", 4711, 1, "0"), MFUNCT_INVALID_ARGUMENT_1);
        }
        check_held(&before, 20);
        check_ok(mapi_close_flow(fd));
}

#define CASE(language, name) { #language "_" #name, language##_##name, 0 },

static const struct api_case cases[] = {
        ARGUMENT_CASES(CASE, c17) ARGUMENT_CASES(CASE, gnu89)
#ifdef HAVE_CPP
                ARGUMENT_CASES(CASE, cpp)
#endif
                        { "plain_declared", plain_declared, 0 },
        { "padding_declared", padding_declared, 0 },
        { "array", array, 0 },
        { "array_too_few", array_too_few, 0 },
        { "array_bad_numbers", array_bad_numbers, 0 },
        { "failures_hold_nothing", failures_hold_nothing, 60 },
};
API_MAIN(cases)
