/* mapi_apply_function() without its macro: all declared arguments. SPDX-License-Identifier: BSD-2-Clause */
#if PADDING
#define MAPI_NO_ARG_PADDING
#define NAME padding_declared
#else
#define MAPI_NO_ARG_TAGS
#define NAME plain_declared
#endif
#include "arguments.h"

#include <mapi/sample.h>

#ifdef mapi_apply_function
#error "the macro is still there"
#endif

void NAME(void)
{
        int fd = arguments_flow(), size, fid;

        check_ok(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, "plain.pcap", 7ull));
        check_ok(mapi_apply_function(fd, "SAMPLE", 2, PERIODIC));
        check_ok(mapi_apply_function(fd, "STR_SEARCH", "|00|", 0, 0));
        size = check_ok(mapi_apply_function(fd, "PKTINFO", 1));
        check_ok(mapi_apply_function(fd, "STATS", fd, size, "0"));
        check_ok(mapi_apply_function(fd, "TO_BUFFER", NOWAIT));
        fid = check_ok(mapi_apply_function(fd, "PKT_COUNTER"));
        check_equal(arguments_count(fd, fid), ARGUMENTS_PACKETS / 2);
        check_equal(arguments_packets("plain.pcap"), 7);
}
