/* What the library offers: the one symbol that MAPI looks for. SPDX-License-Identifier: BSD-2-Clause */
#include <mapi/library.h>

extern const struct mapi_function example_size_counter, example_peak, example_dscp, example_sighting, example_cut;

static const struct mapi_function *const functions[] = {
        &example_size_counter, &example_peak, &example_dscp, &example_sighting, &example_cut, NULL,
};

const struct mapi_library mapi_library = { .abi = MAPI_FUNCTION_ABI, .name = "example", .functions = functions };
