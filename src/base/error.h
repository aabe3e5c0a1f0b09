/* The sentences of <mapi/errors.h>. mapi_fail() of <mapi/function.h> is implemented beside it.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

/** The sentence of a code; "unknown error" for a number that is not in the list. Never NULL. */
const char *error_sentence(int code);

/** The historic name of a code, NULL if it is not in the list. */
const char *error_name(int code);

#endif
