/* STR_SEARCH: lets the packets pass that contain one of several byte strings. SPDX-License-Identifier: BSD-2-Clause */
#include "functions/stdflib/str_pattern.h"

#include <limits.h>

static int check_depth(const struct str_pattern *p, uint32_t depth, struct mapi_error *err)
{
        for (size_t i = 0; depth != 0 && i < p->n; i++) {
                if (p->lit[i].len > depth)
                        return mapi_fail(err, MDLIB_STRSEARCH_DEPTH_LESS_THAN_PTRN_ERR,
                                         "alternative %zu has %zu bytes, the depth is %u", i + 1, p->lit[i].len,
                                         depth);
        }
        return 0;
}

static int start(struct mapi_fn *fn, struct mapi_error *err)
{
        long long offset = fn->arg[1].num, depth = fn->arg[2].num;
        struct str_pattern p;
        int rc;

        if (offset < 0 || offset > INT_MAX)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_2, "STR_SEARCH cannot start at offset %lld", offset);
        if (depth < 0 || depth > INT_MAX)
                return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_3, "STR_SEARCH cannot search %lld bytes", depth);
        rc = str_pattern_init(&p, fn->arg[0].str, err);
        if (rc < 0)
                return rc;
        rc = check_depth(&p, (uint32_t)depth, err);
        if (rc == 0)
                rc = mapi_predicate_literals(fn, p.lit, p.n, (uint32_t)offset, (uint32_t)depth, err);
        str_pattern_fini(&p);
        return rc;
}

static const struct mapi_arg_spec args[] = {
        { .letter = 's', .name = "pattern", .help = "text, |hex bytes|, alternatives separated by ||" },
        { .letter = 'i',
          .optional = 1,
          .name = "offset",
          .help = "bytes from the start of the frame to the window",
          .def = 0,
          .min = 0,
          .max = INT_MAX },
        { .letter = 'i',
          .optional = 1,
          .name = "depth",
          .help = "bytes of the window, 0: all captured",
          .def = 0,
          .min = 0,
          .max = INT_MAX },
        { .letter = 0 },
};

const struct mapi_function mapi_fn_str_search = {
        .abi = MAPI_FUNCTION_ABI,
        .name = "STR_SEARCH",
        .help = "Lets the packets pass that contain a byte string or one of several.",
        .args = args,
        .shape = MAPI_PREDICATE,
        .traits = MAPI_FILTERS | MAPI_PURE,
        .start = start,
};
