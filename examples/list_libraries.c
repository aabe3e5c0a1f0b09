/*
 * Tutorial 4: lists the function libraries and the functions in each, with their arguments.
 *
 *     list_libraries
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <stdio.h>
#include <stdlib.h>

#include <mapi.h>

int main(void)
{
        int id = -1, fid;
        mapi_lib_info_t info;
        mapi_libfunct_info_t finfo;

        printf("ID\tName\t# functions\n");
        while (mapi_get_next_library_info(id++, &info) == 0) {
                printf("%d\t%s\t%u\n", info.id, info.libname, info.functs);
                fid = -1;
                while (mapi_get_next_libfunct_info(info.id, fid++, &finfo) == 0)
                        printf("\t\t%s(%s)\t%s\n", finfo.name, finfo.argdescr, finfo.descr);
        }
        if (id == 0) { /* not even one */
                char why[MAPI_ERRORSTR_LENGTH];
                int code;

                mapi_read_error(&code, why);
                fprintf(stderr, "list_libraries: %s (error %d)\n", why, code);
                return EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}
