/* Inside src/config: the state of one parse, shared by lines (config.c) and sections (sections.c).
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef CONFIG_PARSE_H
#define CONFIG_PARSE_H

#include "base/arena.h"
#include "config/config.h"

#define CONFIG_KEYS_MAX 32u /* of one section */

enum section { SECTION_GLOBAL, SECTION_DRIVER, SECTION_FORMAT, SECTION_DAG, SECTION_IPFIXFLIB, SECTION_UNKNOWN };

enum config_option {
        OPTION_RING_MB,
        OPTION_BLOCK_KB,
        OPTION_RETIRE_MS,
        OPTION_SNAPLEN,
        OPTION_PROMISC,
        OPTION_TRACE,
        OPTION_SPEED,
        OPTION_RATE,
        OPTION_LOOPS,
        OPTION_PACKETS,
        OPTION_SIZE,
        OPTION_FLOWS,
        OPTIONS
};

/** A [driver] section while it is being read. */
struct driver_entry {
        struct config_driver driver;
        const char *option[OPTIONS]; /* values as written */
};

/** What config_free() has to free: the configuration lies in its own arena. */
struct config_block {
        struct config config;
        struct arena *arena;
};

/** An array that grows in the arena. */
struct growing {
        void *items;
        size_t n, room, item_size;
};

struct parser {
        struct config *config;
        struct arena *arena;
        const char *name;
        struct mapi_error *err;
        int result; /* 0, or the error that ended it all; err is set */

        enum section section;
        unsigned line;         /* being read */
        unsigned section_line; /* where the section began */
        unsigned given
                [CONFIG_KEYS_MAX]; /* per key of the section's table: the line where it was given, 0: not yet */
        struct driver_entry driver;
        struct config_format format;

        struct growing drivers, formats, dag, ipfixflib, warnings;
        size_t warnings_left_out;
};

/** Ends the parse with "name:line: sentence"; line 0 names the file only. Returns p->result. */
int config_fail(struct parser *p, unsigned line, const char *format, ...) __attribute__((format(printf, 3, 4)));
int config_fail_memory(struct parser *p);

void config_warn(struct parser *p, unsigned line, const char *format, ...) __attribute__((format(printf, 3, 4)));

/** A place for one more item, zeroed, or NULL after config_fail_memory(). */
void *config_grow(struct parser *p, struct growing *g);

/** A copy in the arena, or NULL after config_fail_memory(). */
const char *config_keep(struct parser *p, const char *s, size_t n);

/* ---- sections.c: all return p->result ---- */

/** Begins the section of this name ("" for the keys in front of the first one) and ends the one before. */
int config_section_begin(struct parser *p, const char *name);
int config_section_end(struct parser *p);

/** One key of the current section. Both strings are the caller's, trimmed; value may be "". */
int config_section_key(struct parser *p, const char *key, const char *value);

#endif
