/*
 * The option string of a source: "key=number,key=number".
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef DRIVERS_OPTIONS_H
#define DRIVERS_OPTIONS_H

#include <mapi/driver.h>

/** A key that a driver knows, with its bounds and where its value goes (holding the default before). */
struct drivers_option {
        const char *key;
        uint64_t min, max;
        uint64_t *value;
};

/** Parses src->options (NULL: none) into the values of options[0..n). Returns 0, or -1026 with a sentence. */
int drivers_options_parse(const struct mapi_source *src, const struct drivers_option *options, size_t n,
                          struct mapi_error *err);

#endif
