/* The calling thread's last error. SPDX-License-Identifier: BSD-2-Clause */
#include "client/client.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local struct mapi_error last;

int client_fail(int code, const char *format, ...)
{
        char detail[384] = "";
        va_list args;

        if (format != NULL) {
                va_start(args, format);
                (void)vsnprintf(detail, sizeof detail, format, args); /* cut if too long */
                va_end(args);
        }
        (void)mapi_fail(&last, code, detail[0] == '\0' ? NULL : "%s", detail);
        client_debug("error %d: %s", last.code, last.text);
        return -1;
}

int client_fail_with(const struct mapi_error *err)
{
        last = *err;
        client_debug("error %d: %s", last.code, last.text);
        return -1;
}

void client_clear_error(void)
{
        last.code = 0;
        last.text[0] = '\0';
}

int client_error_code(void)
{
        return last.code;
}

int mapi_read_error(int *err_no, char *errorstr)
{
        if (err_no == NULL && errorstr == NULL)
                return -1;
        if (err_no != NULL)
                *err_no = last.code;
        if (errorstr != NULL) {
                size_t n = strnlen(last.text, MAPI_ERRORSTR_LENGTH - 1);

                memcpy(errorstr, last.text, n);
                errorstr[n] = '\0';
        }
        client_clear_error();
        return 0;
}

void client_debug(const char *format, ...)
{
        const char *debug = getenv("MAPI_DEBUG");
        char line[640] = "mapi: ";
        va_list args;

        if (debug == NULL || strcmp(debug, "1") != 0)
                return;
        va_start(args, format);
        (void)vsnprintf(line + 6, sizeof line - 6, format, args);
        va_end(args);
        (void)fprintf(stderr, "%s\n", line);
}
