/* The function libraries that are part of the engine: tables made by gen_table.py. SPDX-License-Identifier: BSD-2-Clause */
#ifndef FUNCTIONS_TABLE_H
#define FUNCTIONS_TABLE_H

#include <mapi/function.h>

/** One function library. */
struct functions_library {
        const char *name;                             /* "stdflib"; NULL ends the list */
        const struct mapi_function *const *functions; /* ends with NULL */
};

/** All of them, in the order of their ids. */
extern const struct functions_library functions_libraries[];

/** What stdflib has. */
extern const struct mapi_function *const mapi_lib_stdflib[];

#endif
