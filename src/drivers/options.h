/*
 * The option string of a source: "key=number,key=number", or with texts "key=text;key=number".
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

/** A key whose value is a text. */
struct drivers_text {
        const char *key;
        int comma; /* 1: a comma ends it as well; 0: only the next ';' does, so that it may have commas in it */
        const char *p; /* its first byte, inside src->options; NULL: not given */
        size_t bytes;  /* at least 1 if it is given */
};

/** Parses src->options (NULL: none) into the values of options[0..n). Returns 0, or -1026 with a sentence. */
int drivers_options_parse(const struct mapi_source *src, const struct drivers_option *options, size_t n,
                          struct mapi_error *err);

/** The same with keys of both kinds. texts[i].p must be NULL before; each may be given once. */
int drivers_options_parse_texts(const struct mapi_source *src, const struct drivers_option *options, size_t n,
                                struct drivers_text *texts, size_t ntexts, struct mapi_error *err);

#endif
