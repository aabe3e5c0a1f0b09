/* What a user's first program does: counts the packets of a trace. Compiled by test_install.sh in several languages.
 * SPDX-License-Identifier: BSD-2-Clause */
#include <mapi.h>
#include <stdio.h>

int main(int argc, char *argv[])
{
        int code = 0, fd, counter;
        char text[MAPI_ERRORSTR_LENGTH] = "";
        mapi_flow_info_t info;
        mapi_results_t *result;

        fd = mapi_create_flow(argc > 1 ? argv[1] : "no trace given");
        if (fd < 0) {
                mapi_read_error(&code, text);
                printf("create_flow %d error %d: %s\n", fd, code, text);
                return 1;
        }
        counter = mapi_apply_function(fd, "PKT_COUNTER");
        if (counter < 0 || mapi_connect(fd) < 0) {
                mapi_read_error(&code, text);
                printf("error %d: %s\n", code, text);
                return 1;
        }
        do {
                if (mapi_get_flow_info(fd, &info) < 0)
                        return 1;
        } while (info.status != FLOW_FINISHED);
        result = mapi_read_results(fd, counter);
        if (result == NULL)
                return 1;
        printf("%llu packets\n", *(unsigned long long *)result->res);
        return mapi_close_flow(fd) == 0 ? 0 : 1;
}
