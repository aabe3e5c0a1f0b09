/*
 * Link types: for every number that a file may hold, what libpcap says it is.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#include <pcap/pcap.h>

#include "formats/linktype.h"

#include "build.h"

/* libpcap knows no numbers above 300 yet; some more are there for the day when it does. */
#define LINKTYPES 400

static void as_libpcap(void **state)
{
        for (unsigned linktype = 0; linktype < LINKTYPES; linktype++) {
                char error[PCAP_ERRBUF_SIZE];
                struct build b = { 0 };
                pcap_t *p;
                FILE *f;

                build_pcap_head(&b, 0xa1b2c3d4, 4, 65535, linktype);
                f = fmemopen(b.bytes, b.n, "r");
                assert_non_null(f);
                p = pcap_fopen_offline(f, error);
                if (p == NULL)
                        fail_msg("link type %u: %s", linktype, error);
                if (formats_dlt_from_linktype((uint16_t)linktype) != pcap_datalink(p))
                        fail_msg("link type %u is %u, not %d", linktype,
                                 formats_dlt_from_linktype((uint16_t)linktype), pcap_datalink(p));
                pcap_close(p);
                build_free(&b);
        }
}

static void and_back(void **state)
{
        static const uint16_t linktypes[] = { 0, 1, 9, 50, 100, 101, 102, 103, 104, 106, 107, 113, 276 };

        for (size_t i = 0; i < sizeof(linktypes) / sizeof(linktypes[0]); i++)
                assert_int_equal(formats_linktype_from_dlt(formats_dlt_from_linktype(linktypes[i])), linktypes[i]);
        assert_int_equal(formats_linktype_from_dlt(12), 101);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(as_libpcap), cmocka_unit_test(and_back) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
