/* mapi_apply_function() in C17. SPDX-License-Identifier: BSD-2-Clause */
#define BODY(name) c17_##name
#include "arguments_body.h"
