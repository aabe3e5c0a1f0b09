/* BPF_FILTER: lets the packets pass that a tcpdump expression matches. SPDX-License-Identifier: BSD-2-Clause */
#include <mapi/function.h>

static int start(struct mapi_fn *fn, struct mapi_error *err)
{
        const char *expression = fn->arg[0].str;

        if (expression == NULL || expression[0] == '\0')
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_1, "BPF_FILTER needs a filter expression");
        return mapi_predicate_bpf(fn, expression, err);
}

static const struct mapi_arg_spec args[] = {
        { .letter = 's', .name = "expression", .help = "filter in the language of pcap-filter(7)" },
        { .letter = 0 },
};

const struct mapi_function mapi_fn_bpf_filter = {
        .abi = MAPI_FUNCTION_ABI,
        .name = "BPF_FILTER",
        .help = "Lets the packets pass that a tcpdump expression matches.",
        .args = args,
        .shape = MAPI_PREDICATE,
        .traits = MAPI_FILTERS | MAPI_PURE,
        .start = start,
};
