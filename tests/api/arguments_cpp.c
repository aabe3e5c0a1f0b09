/* mapi_apply_function() in C++. SPDX-License-Identifier: BSD-2-Clause */
#define BODY(name) cpp_##name
#include "arguments_body.h"
