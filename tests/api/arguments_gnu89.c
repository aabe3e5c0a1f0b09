/* mapi_apply_function() in gnu89. SPDX-License-Identifier: BSD-2-Clause */
#define BODY(name) gnu89_##name
#include "arguments_body.h"
