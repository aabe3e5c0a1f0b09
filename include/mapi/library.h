/*
 * What a function library is: a shared object with one symbol, mapi_library, that lists its functions. mapid loads those that
 * libs= names from the folders of libpath=; docs/adding-a-function.md tells how one is made outside of this tree.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef MAPI_LIBRARY_H
#define MAPI_LIBRARY_H

#include <mapi/function.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Most functions of one library, and most bytes of a name, of a library or a function. */
#define MAPI_LIBRARY_FUNCTIONS_MAX 256
#define MAPI_LIBRARY_NAME_MAX 63

struct mapi_library {
        unsigned abi; /* MAPI_FUNCTION_ABI; looked at before anything else */
        const char
                *name; /* letters, digits, - and _; what programs write in front of the colon of "name:FUNCTION" */
        const struct mapi_function *const *functions; /* ends with NULL; their order is that of their ids */
};

/** The library defines this, seen from outside also where everything else is hidden. It must stay valid and unchanged as long as
 *  the process lives. */
__attribute__((visibility("default"))) extern const struct mapi_library mapi_library;

#ifdef __cplusplus
}
#endif
#endif
