/* BINOP: values of its first argument, the operation. SPDX-License-Identifier: BSD-2-Clause */
#ifndef MAPI_BINOP_H
#define MAPI_BINOP_H

#define BINOP_ADD 0 /* first + second */
#define BINOP_SUB 1 /* first - second */

#endif
