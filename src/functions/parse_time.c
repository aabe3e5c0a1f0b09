/* mapi_parse_time() and mapi_parse_moment() of <mapi/function.h>. SPDX-License-Identifier: BSD-2-Clause */
#include "base/moment.h"
#include "base/timestr.h"

#include <mapi/function.h>

int mapi_parse_time(const char *text, uint64_t *ret_ts)
{
        return timestr_parse(text, ret_ts) == 0 ? 0 : -MFUNCT_INVALID_ARGUMENT;
}

int mapi_parse_moment(const char *text, uint64_t *ret_ts)
{
        return moment_parse(text, ret_ts) == 0 ? 0 : -MFUNCT_INVALID_ARGUMENT;
}
