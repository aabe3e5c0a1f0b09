/* Error codes to sentences, and the one way to report a failure. SPDX-License-Identifier: BSD-2-Clause */
#include "base/error.h"

#include <mapi/function.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *error_sentence(int code)
{
        switch (code) {
        case 0:
                return "no error";
#define ERROR_CASE(number, name, sentence)                                                                        \
        case number:                                                                                              \
                return sentence;
                MAPI_ERROR_LIST(ERROR_CASE)
#undef ERROR_CASE
        default:
                return "unknown error";
        }
}

const char *error_name(int code)
{
        switch (code) {
#define ERROR_CASE(number, name, sentence)                                                                        \
        case number:                                                                                              \
                return #name;
                MAPI_ERROR_LIST(ERROR_CASE)
#undef ERROR_CASE
        default:
                return NULL;
        }
}

int mapi_fail(struct mapi_error *err, int code, const char *format, ...)
{
        va_list args;
        int n;

        if (err == NULL)
                return -code;
        err->code = code;
        n = snprintf(err->text, sizeof err->text, "%s", error_sentence(code));
        if (format != NULL && format[0] != '\0' && n >= 0 && (size_t)n + 2 < sizeof err->text) {
                memcpy(err->text + n, ": ", 3);
                va_start(args, format);
                (void)vsnprintf(err->text + n + 2, sizeof err->text - (size_t)n - 2, format,
                                args); /* cut if too long */
                va_end(args);
        }
        return -code;
}
