/* Arguments of every kind to mapi_apply_function(); to be compiled in several languages. SPDX-License-Identifier: BSD-2-Clause */
#include "arguments.h"

#include <mapi/errors.h>
#include <mapi/sample.h>

#include <string.h>

/* Applies with whatever is given, then counts what comes through. */
#define COUNT_AFTER(ret, ...)                                                                                     \
        do {                                                                                                      \
                int fd_ = arguments_flow();                                                                       \
                check_ok(mapi_apply_function(fd_, __VA_ARGS__));                                                  \
                ret = arguments_count(fd_, check_ok(mapi_apply_function(fd_, "PKT_COUNTER")));                    \
        } while (0)

/* Writes a file with this number as the limit and counts its packets. */
#define CHECK_LIMIT(limit, expected)                                                                              \
        do {                                                                                                      \
                int fd_ = arguments_flow();                                                                       \
                check_ok(mapi_apply_function(fd_, "TO_FILE", MFF_PCAP, "limited.pcap", limit));                   \
                (void)arguments_count(fd_, check_ok(mapi_apply_function(fd_, "PKT_COUNTER")));                    \
                check_equal(arguments_packets("limited.pcap"), expected);                                         \
        } while (0)

#define CHECK_APPLY_FAILS(code, ...)                                                                              \
        do {                                                                                                      \
                int fd_ = arguments_flow();                                                                       \
                check_fails(mapi_apply_function(fd_, __VA_ARGS__), code);                                         \
                check_ok(mapi_close_flow(fd_));                                                                   \
        } while (0)

void BODY(declared)(void)
{
        unsigned long long limit = 7, n;
        int fd = arguments_flow(), size, stats;

        check_ok(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, "declared.pcap", limit));
        check_ok(mapi_apply_function(fd, "STR_SEARCH", "www", 0, 1500));
        size = check_ok(mapi_apply_function(fd, "PKTINFO", 1));
        stats = check_ok(mapi_apply_function(fd, "STATS", fd, size, "0"));
        check(stats > size);
        check_ok(mapi_apply_function(fd, "TO_BUFFER", NOWAIT));
        n = arguments_count(fd, check_ok(mapi_apply_function(fd, "PKT_COUNTER")));
        check_equal(n, arguments_with_text("www"));
        check_equal(arguments_packets("declared.pcap"), 7);
}

void BODY(numbers_for_64_bits)(void)
{
        short s = 4;
        unsigned char c = 5;
        int i = 6;
        long l = 8;

        CHECK_LIMIT(3, 3);
        CHECK_LIMIT(s, 4);
        CHECK_LIMIT(c, 5);
        CHECK_LIMIT(i, 6);
        CHECK_LIMIT(7u, 7);
        CHECK_LIMIT(l, 8);
        CHECK_LIMIT(9ul, 9);
        CHECK_LIMIT(10ll, 10);
        CHECK_LIMIT(11ull, 11);
        CHECK_LIMIT(12.0, 12);
        CHECK_LIMIT(13.9, 13);
        CHECK_LIMIT((float)14, 14);
        CHECK_LIMIT(15.0L, 15);
        CHECK_LIMIT((i == 6), 1); /* a truth value where the language has one */
        CHECK_LIMIT('\n', 10);
        CHECK_LIMIT(0, ARGUMENTS_PACKETS);
        CHECK_LIMIT(0x100000000ll, ARGUMENTS_PACKETS); /* its lower half is 0 */
        CHECK_LIMIT(0x100000002ull, ARGUMENTS_PACKETS);
        CHECK_LIMIT(1e30, ARGUMENTS_PACKETS);
        CHECK_APPLY_FAILS(MFUNCT_INVALID_ARGUMENT_3, "TO_FILE", MFF_PCAP, "negative.pcap", -1);
        CHECK_APPLY_FAILS(MFUNCT_INVALID_ARGUMENT_3, "TO_FILE", MFF_PCAP, "negative.pcap", -1.0);
        CHECK_APPLY_FAILS(MFUNCT_INVALID_ARGUMENT_3, "TO_FILE", MFF_PCAP, "negative.pcap", -1ll);
}

void BODY(numbers_for_int)(void)
{
        unsigned long long n;
        unsigned char mode = PERIODIC;

        COUNT_AFTER(n, "SAMPLE", 20, PERIODIC);
        check_equal(n, ARGUMENTS_PACKETS / 20);
        COUNT_AFTER(n, "SAMPLE", 20.0, mode);
        check_equal(n, ARGUMENTS_PACKETS / 20);
        COUNT_AFTER(n, "SAMPLE", 20.9f, 2.0);
        check_equal(n, ARGUMENTS_PACKETS / 20);
        COUNT_AFTER(n, "SAMPLE", 20.0L, 2ull);
        check_equal(n, ARGUMENTS_PACKETS / 20);
        COUNT_AFTER(n, "SAMPLE", 20ull, 2l);
        check_equal(n, ARGUMENTS_PACKETS / 20);
        COUNT_AFTER(n, "SAMPLE", -5, PERIODIC); /* less than 1 is 1 */
        check_equal(n, ARGUMENTS_PACKETS);
        COUNT_AFTER(n, "SAMPLE", 1122320333, 1342); /* no mode: periodic */
        check_equal(n, 0);
        COUNT_AFTER(n, "SAMPLE", 0x100000001ll, PERIODIC); /* too large for an int: the largest one, not 1 */
        check_equal(n, 0);
        COUNT_AFTER(n, "SAMPLE", 1e300, PERIODIC);
        check_equal(n, 0);
        COUNT_AFTER(n, "SAMPLE", 0.0 / 0.0, PERIODIC);
        check_equal(n, ARGUMENTS_PACKETS);
        CHECK_APPLY_FAILS(MFUNCT_INVALID_ARGUMENT_1, "PKTINFO", 0x100000000ll); /* not 0 */
        CHECK_APPLY_FAILS(MFUNCT_INVALID_ARGUMENT_1, "HASH", -1);
        CHECK_APPLY_FAILS(MFUNCT_INVALID_ARGUMENT_1, "HASH", 4);
        CHECK_APPLY_FAILS(MFUNCT_INVALID_ARGUMENT_1, "HASH", -1e300);
        CHECK_APPLY_FAILS(MFUNCT_INVALID_ARGUMENT_2, "STR_SEARCH", "www", 0xffffffffu,
                          0); /* an int that was unsigned */
        CHECK_APPLY_FAILS(MFUNCT_INVALID_ARGUMENT_2, "STR_SEARCH", "www", -1, 0);
        CHECK_APPLY_FAILS(MFUNCT_INVALID_ARGUMENT_3, "STR_SEARCH", "www", 0, -1);
}

void BODY(zero_for_a_string)(void)
{
        int fd = arguments_flow(), size;
        unsigned long long n;
        char *none = NULL;

        size = check_ok(mapi_apply_function(fd, "PKTINFO", 1));
        check_ok(mapi_apply_function(fd, "STATS", fd, size, 0));
        check_ok(mapi_apply_function(fd, "STATS", fd, size, NULL));
        check_ok(mapi_apply_function(fd, "STATS", fd, size, none));
        check_ok(mapi_apply_function(fd, "STATS", fd, size, (void *)0));
        check_ok(mapi_apply_function(fd, "STATS", fd, size, 0l));
        n = arguments_count(fd, check_ok(mapi_apply_function(fd, "PKT_COUNTER")));
        check_equal(n, ARGUMENTS_PACKETS);
        CHECK_APPLY_FAILS(MFUNCT_INVALID_ARGUMENT_1, "BPF_FILTER", 0);
        CHECK_APPLY_FAILS(MFUNCT_INVALID_ARGUMENT_1, "BPF_FILTER", NULL);
        CHECK_APPLY_FAILS(MFUNCT_INVALID_ARGUMENT_1, "BPF_FILTER", none);
        CHECK_APPLY_FAILS(MFUNCT_INVALID_ARGUMENT_1, "BPF_FILTER", "");
        CHECK_APPLY_FAILS(MFUNCT_INVALID_ARGUMENT_1, "STR_SEARCH", NULL, 0, 0);
        CHECK_APPLY_FAILS(MAPI_ERROR_FILE, "TO_FILE", MFF_PCAP, NULL, 0);
        CHECK_APPLY_FAILS(MAPI_ERROR_FILE, "TO_FILE", MFF_PCAP, 0, 0);
        CHECK_APPLY_FAILS(MAPI_ERROR_FILE, "TO_FILE", MFF_PCAP, "", 0);
        CHECK_APPLY_FAILS(MAPI_ERROR_FILE, "TO_FILE", 12345, NULL,
                          0); /* the file is opened before anything is judged */
        CHECK_APPLY_FAILS(MFUNCT_COULD_NOT_APPLY_FUNCT, "TO_FILE", 13242312, "format.pcap", 0);
}

void BODY(missing)(void)
{
        int fd = arguments_flow(), size;
        unsigned long long n;

        size = check_ok(mapi_apply_function(fd, "PKTINFO", 1));
        check_ok(mapi_apply_function(fd, "STATS", fd, size));
        check_ok(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, "missing.pcap"));
        (void)arguments_count(fd, check_ok(mapi_apply_function(fd, "PKT_COUNTER")));
        check_equal(arguments_packets("missing.pcap"), ARGUMENTS_PACKETS);
        COUNT_AFTER(n, "STR_SEARCH", "www");
        check_equal(n, arguments_with_text("www"));
        COUNT_AFTER(n, "STR_SEARCH", "www", 0);
        check_equal(n, arguments_with_text("www"));
        COUNT_AFTER(n, "SAMPLE", 20);
        check_equal(n, ARGUMENTS_PACKETS / 20);

        fd = arguments_flow();
        check_ok(mapi_apply_function(fd, "TO_BUFFER")); /* WAIT */
        check_ok(mapi_connect(fd));
        for (n = 0; mapi_get_next_pkt(fd, 1) != NULL; n++)
                ;
        check_error(0);
        check_equal(n, ARGUMENTS_PACKETS);
        check_ok(mapi_close_flow(fd));

        CHECK_APPLY_FAILS(MFUNCT_INVALID_ARGUMENT_1, "BPF_FILTER");
        CHECK_APPLY_FAILS(MFUNCT_INVALID_ARGUMENT_1, "STR_SEARCH");
        CHECK_APPLY_FAILS(MFUNCT_INVALID_ARGUMENT_1, "PKTINFO");
        CHECK_APPLY_FAILS(MFUNCT_INVALID_ARGUMENT_1, "HASH");
        CHECK_APPLY_FAILS(MFUNCT_INVALID_ARGUMENT_1, "SAMPLE");
        CHECK_APPLY_FAILS(MFUNCT_INVALID_ARGUMENT_1, "STATS");
        CHECK_APPLY_FAILS(MFUNCT_INVALID_ARGUMENT_2, "STATS", 1);
        CHECK_APPLY_FAILS(MFUNCT_INVALID_ARGUMENT_1, "TO_FILE");
        CHECK_APPLY_FAILS(MAPI_ERROR_FILE, "TO_FILE", MFF_PCAP);
}

void BODY(surplus)(void)
{
        unsigned long long n;

        COUNT_AFTER(n, "BYTE_COUNTER", NULL, "ANOTHER1", 453);
        check_equal(n, ARGUMENTS_PACKETS);
        COUNT_AFTER(n, "BPF_FILTER", "ip or not ip", 1, 2.0, "three", 4ull);
        check_equal(n, ARGUMENTS_PACKETS);
        COUNT_AFTER(n, "SAMPLE", 20, PERIODIC, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
        check_equal(n, ARGUMENTS_PACKETS / 20);
        COUNT_AFTER(n, "SAMPLE", 20, PERIODIC, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, "16", 17.0);
        check_equal(n, ARGUMENTS_PACKETS / 20);
        COUNT_AFTER(n, "SAMPLE", 20, PERIODIC, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
                    21);
        check_equal(n, ARGUMENTS_PACKETS / 20);
}

void BODY(wrong_kinds)(void)
{
        static const unsigned char bytes[] = "www";
        char array[16] = "www";
        const char *text = "www";
        signed char *same = (signed char *)array;
        void *any = array;
        unsigned long long n;

        COUNT_AFTER(n, "STR_SEARCH", bytes);
        check_equal(n, arguments_with_text("www"));
        COUNT_AFTER(n, "STR_SEARCH", array);
        check_equal(n, arguments_with_text("www"));
        COUNT_AFTER(n, "STR_SEARCH", text + 1);
        check_equal(n, arguments_with_text("ww"));
        COUNT_AFTER(n, "STR_SEARCH", same);
        check_equal(n, arguments_with_text("www"));
        COUNT_AFTER(n, "STR_SEARCH", any);
        check_equal(n, arguments_with_text("www"));
        CHECK_APPLY_FAILS(MFUNCT_INVALID_ARGUMENT_1, "STR_SEARCH", 17, 0, 0);
        CHECK_APPLY_FAILS(MFUNCT_INVALID_ARGUMENT_1, "STR_SEARCH", 1.5, 0, 0);
        CHECK_APPLY_FAILS(MFUNCT_INVALID_ARGUMENT_2, "STR_SEARCH", "www", "www", 0);
        CHECK_APPLY_FAILS(MFUNCT_INVALID_ARGUMENT_3, "STR_SEARCH", "www", 0, array);
        CHECK_APPLY_FAILS(MFUNCT_INVALID_ARGUMENT_1, "SAMPLE", "20", PERIODIC);
        CHECK_APPLY_FAILS(MFUNCT_INVALID_ARGUMENT_2, "TO_FILE", MFF_PCAP, 4711, 0);
        CHECK_APPLY_FAILS(MFUNCT_INVALID_ARGUMENT_3, "TO_FILE", MFF_PCAP, "kinds.pcap", "0");
}

void BODY(names)(void)
{
        char name[] = "PKT_COUNTER";
        int fd = arguments_flow();

        check_equal(check_ok(mapi_apply_function(fd, "stdflib:BYTE_COUNTER")), 1);
        check_ok(mapi_apply_function(fd, "PKT_COUNTER!1"));
        check_ok(mapi_apply_function(fd, "stdflib:SAMPLE!1", 2, PERIODIC));
        check_ok(mapi_apply_function(fd, fd > 0 ? "GAP" : "HASH"));
        check_equal(check_ok(mapi_apply_function(fd, name)), 5);
        check_fails(mapi_apply_function(fd, "extraflib:PKT_COUNTER"), MAPI_FUNCTION_NOT_FOUND);
        check_fails(mapi_apply_function(fd, "PKT_COUNTER!1.9.9"), MAPI_FUNCTION_NOT_FOUND);
        check_fails(mapi_apply_function(fd, "stdflib:"), MAPI_FUNCTION_NOT_FOUND);
        check_fails(mapi_apply_function(fd, ":PKT_COUNTER"), MAPI_FUNCTION_NOT_FOUND);
        check_fails(mapi_apply_function(fd, "pkt_counter"), MAPI_FUNCTION_NOT_FOUND);
        check_fails(mapi_apply_function(fd, "PKT_COUNTE"), MAPI_FUNCTION_NOT_FOUND);
        check_fails(mapi_apply_function(fd, "PKT_COUNTERS"), MAPI_FUNCTION_NOT_FOUND);
        check_fails(mapi_apply_function(fd, ""), MAPI_FUNCTION_NOT_FOUND);
        check_fails(mapi_apply_function(fd, NULL), MFUNCT_COULD_NOT_APPLY_FUNCT);
        check_fails(mapi_apply_function(fd, "NO_SUCH", 1, "two", 3.0), MAPI_FUNCTION_NOT_FOUND);
        check_equal(arguments_count(fd, 5), ARGUMENTS_PACKETS / 2);
}

void BODY(through_a_pointer)(void)
{
        int (*apply)(int, const char *, ...) = mapi_apply_function;
        int fd = arguments_flow(), fid;

        check_ok(apply(fd, "STR_SEARCH", "www", 0, 0));
        check_ok(apply(fd, "TO_FILE", MFF_PCAP, "pointer.pcap", 0x100000000ull));
        check_ok((mapi_apply_function)(fd, "SAMPLE", 1, PERIODIC));
        check_ok((apply)(fd, "TO_BUFFER", NOWAIT));
        fid = check_ok((mapi_apply_function)(fd, "PKT_COUNTER"));
        check_fails(apply(fd, "NO_SUCH"), MAPI_FUNCTION_NOT_FOUND);
        check_fails(apply(fd, "BPF_FILTER", (char *)NULL), MFUNCT_INVALID_ARGUMENT_1);
        check_fails(apply(-1, "PKT_COUNTER"), MAPI_INVALID_FID_FUNCID);
        check_equal(arguments_count(fd, fid), arguments_with_text("www"));
        check_equal(arguments_packets("pointer.pcap"), arguments_with_text("www"));
}

static int BODY(calls);
static const char *BODY(pattern)(void)
{
        BODY(calls)++;
        return "www";
}

void BODY(evaluated_once)(void)
{
        int fd = arguments_flow(), *p = &fd, fid = 0, every = 1;

        check_ok(mapi_apply_function(*p, "SAMPLE", every++, PERIODIC));
        check_equal(every, 2);
        check_ok(mapi_apply_function(fd, "STR_SEARCH", BODY(pattern)(), 0, 0));
        check_equal(BODY(calls), 1);
        if (mapi_apply_function(fd, "GAP") < 0 || (fid = mapi_apply_function(fd, "PKT_COUNTER")) < 0)
                fail("an expression with two calls");
        check_equal(arguments_count(fd, fid), arguments_with_text("www"));
}
