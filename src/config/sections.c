/*
 * mapi.conf: what each section's keys mean, as tables; and what a whole entry comes to. mapi.conf(5) says it in words.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "config/parse.h"

#include <stdio.h>
#include <string.h>

enum kind {
        TEXT,   /* const char * */
        LIST,   /* struct config_list */
        NUMBER, /* uint32_t */
        BYTES,  /* uint64_t; k, M and G multiply */
        SOCKET, /* const char *, or one of the words that set .local */
        OPTION, /* const char *, goes into the driver's options */
        PACE    /* the same; "max", or a number with a point in it */
};

struct key {
        const char *name;
        enum kind kind;
        size_t at;           /* offset of the value */
        uint64_t min, max;   /* NUMBER, BYTES; OPTION with max > 0 is a number, too */
        size_t line_at;      /* offset of an unsigned for the line, 0: none */
        const char *driver;  /* whose option it becomes */
        const char *same_as; /* an older name of that key */
};

#define GLOBAL(key, what, field, ...)                                                                             \
        {                                                                                                         \
                .name = key, .kind = what, .at = offsetof(struct config, field), __VA_ARGS__                      \
        }
#define RANGE(from, to) .min = (from), .max = (to)
static const struct key global_keys[] = {
        GLOBAL("libpath", LIST, libpath),
        GLOBAL("drvpath", LIST, drvpath),
        GLOBAL("libs", LIST, libs),
        GLOBAL("dimapi_port", NUMBER, dimapi_port, RANGE(1, 65535)),
        GLOBAL("log_level", NUMBER, log_level, RANGE(0, 2)),
        GLOBAL("syslog_level", NUMBER, log_level, RANGE(0, 2), .same_as = "log_level"),
        GLOBAL("syslog", NUMBER, log_level, RANGE(0, 2), .same_as = "log_level"),
        GLOBAL("logfile", TEXT, logfile),
        GLOBAL("local", NUMBER, local, RANGE(0, 1)),
        GLOBAL("socket", SOCKET, socket),
        GLOBAL("group", TEXT, group, .line_at = offsetof(struct config, group_line)),
        GLOBAL("user", TEXT, user, .line_at = offsetof(struct config, user_line)),
        GLOBAL("max_sessions", NUMBER, max_sessions, RANGE(1, 65536)),
        GLOBAL("max_flows", NUMBER, max_flows, RANGE(1, 65536)),
        GLOBAL("max_devices", NUMBER, max_devices, RANGE(1, 4096)),
        GLOBAL("max_memory", BYTES, max_memory_bytes, RANGE(1 << 20, (uint64_t)1 << 40)),
};

#define DRIVER(key, what, field, ...)                                                                             \
        {                                                                                                         \
                .name = key, .kind = what, .at = offsetof(struct driver_entry, driver.field), __VA_ARGS__         \
        }
#define OPTION_KEY(key, number, from, to, whose)                                                                  \
        {                                                                                                         \
                .name = key, .kind = OPTION, .at = offsetof(struct driver_entry, option[number]), .min = (from),  \
                .max = (to), .driver = whose                                                                      \
        }
#define PACE_KEY(key, number, to)                                                                                 \
        {                                                                                                         \
                .name = key, .kind = PACE, .at = offsetof(struct driver_entry, option[number]), .max = (to),      \
                .driver = "replay"                                                                                \
        }
static const struct key driver_keys[] = {
        DRIVER("device", TEXT, device),
        DRIVER("driver", TEXT, driver_file),
        DRIVER("description", TEXT, description),
        DRIVER("alias", TEXT, alias),
        DRIVER("link_speed", NUMBER, link_speed, RANGE(0, UINT32_MAX)),
        DRIVER("mpls", NUMBER, mpls, RANGE(0, 1)),
        DRIVER("vlan", NUMBER, vlan, RANGE(0, 1)),
        DRIVER("trace_dir", TEXT, trace_dir, .driver = "replay"),
        DRIVER("devgroup", NUMBER, devgroup, RANGE(0, INT32_MAX)),
        OPTION_KEY("ring_mb", OPTION_RING_MB, 1, 2048, "afpacket"),
        OPTION_KEY("block_kb", OPTION_BLOCK_KB, 128, 16384, "afpacket"),
        OPTION_KEY("retire_ms", OPTION_RETIRE_MS, 1, 1000, "afpacket"),
        OPTION_KEY("snaplen", OPTION_SNAPLEN, 64, 65535, "afpacket"),
        OPTION_KEY("promisc", OPTION_PROMISC, 0, 1, "afpacket"),
        OPTION_KEY("trace", OPTION_TRACE, 0, 0, "replay"),
        PACE_KEY("speed", OPTION_SPEED, 1000000),
        PACE_KEY("rate", OPTION_RATE, 1000000000),
        OPTION_KEY("loops", OPTION_LOOPS, 0, UINT64_MAX, "replay"),
        OPTION_KEY("packets", OPTION_PACKETS, 0, UINT64_MAX, "null"),
        OPTION_KEY("size", OPTION_SIZE, 1, MAPI_CAPLEN_MAX, "null"),
        OPTION_KEY("flows", OPTION_FLOWS, 1, UINT32_MAX, "null"),
};

#define FORMAT(key, field)                                                                                        \
        {                                                                                                         \
                .name = key, .kind = TEXT, .at = offsetof(struct config_format, field)                            \
        }
static const struct key format_keys[] = {
        FORMAT("format", format),
        FORMAT("driver", driver),
        FORMAT("description", description),
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
_Static_assert(COUNT(global_keys) <= CONFIG_KEYS_MAX && COUNT(driver_keys) <= CONFIG_KEYS_MAX, "parser.given");

/* Where an empty value comes from, and what an entry begins with. */
static const char *const default_libs[] = { CONFIG_LIBS };
static const struct config global_defaults = {
        .libs = { default_libs, 1, 0 },
        .group = CONFIG_GROUP,
        .user = CONFIG_USER,
        .log_level = CONFIG_LOG_LEVEL,
        .dimapi_port = CONFIG_DIMAPI_PORT,
        .max_sessions = CONFIG_MAX_SESSIONS,
        .max_flows = CONFIG_MAX_FLOWS,
        .max_devices = CONFIG_MAX_DEVICES,
        .max_memory_bytes = CONFIG_MAX_MEMORY,
};
static const struct driver_entry driver_defaults = { .driver.devgroup = CONFIG_DEVGROUP_NONE };

/* Drivers by the names of their files, the historic ones too. */
static const struct {
        const char *file, *driver;
} known_drivers[] = {
        { "afpacket", "afpacket" },   { "mapinicdrv", "afpacket" }, { "replay", "replay" },
        { "mapivindrv", "replay" },   { "null", "null" },           { "mapidagdrv", NULL },
        { "mapicombo6drv", NULL },    { "mapienp2611drv", NULL },   { "mapinapatechdrv", NULL },
        { "mapinapatechxdrv", NULL },
};

static const char *const known_formats[] = { "MFF_PCAP", "MFF_RAW", "MFF_DAG_ERF", "MFF_COMBO6", "MFF_NAPATECH" };
static const char *const dag_keys[] = { "dsm_loader_bin", "disable_dsm_xml_remove", "disable_dsm" };

static int known_word(const char *const *words, size_t n, const char *word)
{
        for (size_t i = 0; i < n; i++)
                if (strcmp(words[i], word) == 0)
                        return 1;
        return 0;
}

/* ---- values ---- */

/* Decimal digits, and one letter of "kMG" if with_unit. 0 or -1. */
static int parse_number(const char *text, int with_unit, uint64_t *ret)
{
        uint64_t v = 0, unit = 1;
        const char *c = text;

        for (; *c >= '0' && *c <= '9'; c++)
                if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
                    __builtin_add_overflow(v, (uint64_t)(*c - '0'), &v))
                        return -1;
        if (c == text)
                return -1;
        if (with_unit && *c != '\0') {
                unit = *c == 'k' || *c == 'K' ? (uint64_t)1 << 10
                       : *c == 'M'            ? (uint64_t)1 << 20
                       : *c == 'G'            ? (uint64_t)1 << 30
                                              : 0;
                c++;
        }
        if (*c != '\0' || unit == 0 || __builtin_mul_overflow(v, unit, &v))
                return -1;
        *ret = v;
        return 0;
}

static int check_number(struct parser *p, const struct key *k, const char *value, uint64_t *ret)
{
        const char *units = k->kind == BYTES ? " of bytes (k, M, G)" : "";

        if (parse_number(value, k->kind == BYTES, ret) < 0 || *ret < k->min || *ret > k->max)
                return config_fail(p, p->line, "'%s' must be a number%s from %llu to %llu, not '%.64s'", k->name,
                                   units, (unsigned long long)k->min, (unsigned long long)k->max, value);
        return 0;
}

/* Only the form: the driver knows how many digits it takes. */
static int check_pace(struct parser *p, const struct key *k, const char *value)
{
        size_t whole = strspn(value, "0123456789"),
               part = value[whole] == '.' ? strspn(value + whole + 1, "0123456789") : 0;
        size_t n = whole + part + (value[whole] == '.');
        uint64_t number = 0;
        char digits[32];

        if (strcmp(value, "max") == 0)
                return 0;
        if (whole < sizeof digits) {
                memcpy(digits, value, whole);
                digits[whole] = '\0';
                if (value[n] == '\0' && whole + part > 0 &&
                    (whole == 0 || parse_number(digits, 0, &number) == 0) && number <= k->max &&
                    strspn(value, "0.") < n)
                        return 0;
        }
        return config_fail(p, p->line, "'%s' must be 'max' or a number above 0, at most %llu, not '%.64s'",
                           k->name, (unsigned long long)k->max, value);
}

static int set_list(struct parser *p, struct config_list *list, const char *value)
{
        struct growing items = { .item_size = sizeof(const char *) };

        for (const char *part = value, *end; *part != '\0'; part = *end == ':' ? end + 1 : end) {
                const char **item;

                end = part + strcspn(part, ":");
                if (end == part)
                        continue;
                item = config_grow(p, &items);
                if (item == NULL)
                        return p->result;
                *item = config_keep(p, part, (size_t)(end - part));
        }
        list->item = items.items;
        list->n = items.n;
        list->line = p->line;
        return p->result;
}

/* The old manual's words, or a path of ours. */
static int set_socket(struct parser *p, const char *value)
{
        struct config *c = p->config;

        if (strcmp(value, "local") == 0 || strcmp(value, "global") == 0) {
                c->local = value[0] == 'l';
                c->socket = NULL;
                return 0;
        }
        if (value[0] != '/')
                return config_fail(p, p->line,
                                   "'socket' must be an absolute path, 'local' or 'global', not '%.64s'", value);
        if (strlen(value) > CONFIG_SOCKET_BYTES_MAX)
                return config_fail(p, p->line, "'socket' is longer than %u bytes", CONFIG_SOCKET_BYTES_MAX);
        c->socket = config_keep(p, value, strlen(value));
        return p->result;
}

static size_t value_size(enum kind kind)
{
        switch (kind) {
        case LIST:
                return sizeof(struct config_list);
        case NUMBER:
                return sizeof(uint32_t);
        case BYTES:
                return sizeof(uint64_t);
        case TEXT:
        case SOCKET:
        case OPTION:
        case PACE:
                break;
        }
        return sizeof(const char *);
}

/* An empty value is a key that is not there. */
static void set_default(const struct key *k, void *base, const void *defaults)
{
        memcpy((char *)base + k->at, (const char *)defaults + k->at, value_size(k->kind));
}

static int set_value(struct parser *p, const struct key *k, void *base, const void *defaults, const char *value)
{
        void *at = (char *)base + k->at;
        uint64_t number = 0;

        if (k->line_at > 0)
                *(unsigned *)(void *)((char *)base + k->line_at) = *value != '\0' ? p->line : 0;
        if (*value == '\0') {
                set_default(k, base, defaults);
                return 0;
        }
        switch (k->kind) {
        case LIST:
                return set_list(p, at, value);
        case SOCKET:
                return set_socket(p, value);
        case NUMBER:
                if (check_number(p, k, value, &number) == 0)
                        *(uint32_t *)at = (uint32_t)number;
                return p->result;
        case BYTES:
                if (check_number(p, k, value, &number) == 0)
                        *(uint64_t *)at = number;
                return p->result;
        case PACE:
                if (check_pace(p, k, value) < 0)
                        return p->result;
                break;
        case OPTION:
                if (k->max > 0 && check_number(p, k, value, &number) < 0)
                        return p->result;
                break;
        case TEXT:
                break;
        }
        if (k->driver != NULL && strchr(value, ';') != NULL) /* it would be two options */
                return config_fail(p, p->line, "the value of '%s' may not hold a semicolon", k->name);
        *(const char **)at = config_keep(p, value, strlen(value));
        return p->result;
}

static int set_key(struct parser *p, const struct key *table, size_t n, void *base, const void *defaults,
                   const char *name, const char *value)
{
        size_t i = 0, slot;

        while (i < n && strcmp(table[i].name, name) != 0)
                i++;
        if (i == n) {
                config_warn(p, p->line, "unknown key '%.64s'", name);
                return 0;
        }
        for (slot = i; table[slot].same_as != NULL;) {
                const char *newer = table[slot].same_as;

                for (slot = 0; strcmp(table[slot].name, newer) != 0;)
                        slot++;
        }
        if (p->given[slot] > 0)
                config_warn(p, p->line, "'%s' was given in line %u already; this one counts", name,
                            p->given[slot]);
        p->given[slot] = p->line;
        return set_value(p, &table[i], base, defaults, value);
}

static int set_pair(struct parser *p, struct growing *g, const char *key, const char *value)
{
        struct config_pair *pair = NULL, *pairs = g->items;

        for (size_t i = 0; i < g->n; i++)
                if (strcmp(pairs[i].key, key) == 0)
                        pair = &pairs[i];
        if (pair != NULL) {
                config_warn(p, p->line, "'%.64s' was given in line %u already; this one counts", key, pair->line);
        } else {
                if (g->n == CONFIG_PAIRS_MAX)
                        return config_fail(p, p->line, "the section has more than %u keys", CONFIG_PAIRS_MAX);
                pair = config_grow(p, g);
                if (pair == NULL)
                        return p->result;
                pair->key = config_keep(p, key, strlen(key));
        }
        pair->value = config_keep(p, value, strlen(value));
        pair->line = p->line;
        return p->result;
}

int config_section_key(struct parser *p, const char *key, const char *value)
{
        switch (p->section) {
        case SECTION_GLOBAL:
                return set_key(p, global_keys, COUNT(global_keys), p->config, &global_defaults, key, value);
        case SECTION_DRIVER:
                return set_key(p, driver_keys, COUNT(driver_keys), &p->driver, &driver_defaults, key, value);
        case SECTION_FORMAT:
                return set_key(p, format_keys, COUNT(format_keys), &p->format, &(struct config_format){ 0 }, key,
                               value);
        case SECTION_DAG:
                if (!known_word(dag_keys, COUNT(dag_keys), key))
                        config_warn(p, p->line, "unknown key '%.64s'", key);
                return set_pair(p, &p->dag, key, value);
        case SECTION_IPFIXFLIB:
                return set_pair(p, &p->ipfixflib, key, value);
        case SECTION_UNKNOWN:
                break;
        }
        return 0; /* the section was warned about */
}

/* ---- entries ---- */

static unsigned line_of(const struct parser *p, const char *key)
{
        for (size_t i = 0; i < COUNT(driver_keys); i++)
                if (strcmp(driver_keys[i].name, key) == 0 && p->given[i] > 0)
                        return p->given[i];
        return p->section_line;
}

/* The file's name without its folder and ".so", against the table. -1 unknown, 0 not available, 1 and *ret. */
static int map_candidate(const char *file, size_t n, const char **ret)
{
        const char *slash = memrchr(file, '/', n);

        if (slash != NULL) {
                n -= (size_t)(slash + 1 - file);
                file = slash + 1;
        }
        if (n > 3 && memcmp(file + n - 3, ".so", 3) == 0)
                n -= 3;
        for (size_t i = 0; i < COUNT(known_drivers); i++)
                if (strlen(known_drivers[i].file) == n && memcmp(known_drivers[i].file, file, n) == 0) {
                        *ret = known_drivers[i].driver;
                        return *ret != NULL;
                }
        return -1;
}

/* A driver may be a list of files to be tried: the first that we have is taken. */
static void map_driver(struct parser *p, struct driver_entry *e)
{
        const char *name = NULL;
        int known = -1;

        if (e->driver.driver_file == NULL) {
                e->driver.driver =
                        e->option[OPTION_TRACE] != NULL || e->driver.trace_dir != NULL ? "replay" : "afpacket";
                return;
        }
        for (const char *part = e->driver.driver_file, *end; *part != '\0' && known < 1;
             part = *end == ':' ? end + 1 : end) {
                int found;

                end = part + strcspn(part, ":");
                found = map_candidate(part, (size_t)(end - part), &name);
                known = found > known ? found : known;
        }
        if (known == 1)
                e->driver.driver = name;
        else
                config_warn(p, line_of(p, "driver"), "%s driver '%.64s'; the device '%.64s' is skipped",
                            known == 0 ? "this version of mapid has no" : "unknown", e->driver.driver_file,
                            e->driver.device);
}

/* One trace or a folder of them, one pace. */
static void check_replay(struct parser *p, struct driver_entry *e)
{
        if (e->option[OPTION_SPEED] != NULL && e->option[OPTION_RATE] != NULL)
                (void)config_fail(p, line_of(p, "rate"), "give either 'speed' or 'rate'");
        if (e->option[OPTION_TRACE] != NULL && e->driver.trace_dir != NULL) {
                config_warn(p, line_of(p, "trace_dir"), "'trace_dir' is not used beside 'trace'");
                e->driver.trace_dir = NULL;
        }
        if (e->option[OPTION_TRACE] == NULL && e->driver.trace_dir == NULL)
                config_warn(p, p->section_line, "the device '%.64s' has no trace to replay: 'trace' is missing",
                            e->driver.device);
}

/* "key=value;key=value" of the keys that are this driver's. */
static void make_options(struct parser *p, struct driver_entry *e)
{
        char text[OPTIONS * 32 + CONFIG_LINE_BYTES_MAX * 2];
        size_t n = 0;

        e->driver.options = "";
        if (e->driver.driver == NULL)
                return;
        if (strcmp(e->driver.driver, "replay") == 0)
                check_replay(p, e);
        for (size_t i = 0; i < COUNT(driver_keys); i++) {
                const struct key *k = &driver_keys[i];
                const char *value;

                if (k->driver == NULL)
                        continue;
                value = *(const char **)(void *)((char *)e + k->at);
                if (value == NULL)
                        continue;
                if (strcmp(k->driver, e->driver.driver) != 0) {
                        config_warn(p, p->given[i], "'%s' means nothing to the driver %s", k->name,
                                    e->driver.driver);
                        continue;
                }
                if (n + strlen(k->name) + strlen(value) + 3 > sizeof text) {
                        (void)config_fail(p, p->section_line, "the options of this device are too long");
                        return;
                }
                n += (size_t)sprintf(text + n, "%s%s=%s", n > 0 ? ";" : "", k->name, value);
        }
        if (n > 0)
                e->driver.options = config_keep(p, text, n);
}

/* A name must lead to one device. */
static int check_name(struct parser *p, const char *key, const char *name)
{
        const struct config_driver *drivers = p->drivers.items;

        for (size_t i = 0; name != NULL && i < p->drivers.n; i++) {
                const struct config_driver *d = &drivers[i];

                if (strcmp(d->device, name) == 0 || (d->alias != NULL && strcmp(d->alias, name) == 0))
                        return config_fail(p, line_of(p, key),
                                           "the device in line %u has the name '%.64s' already", d->line, name);
        }
        return 0;
}

static int end_driver(struct parser *p)
{
        struct driver_entry *e = &p->driver;
        struct config_driver *d;

        if (e->driver.device == NULL)
                return config_fail(p, p->section_line, "a [driver] section without 'device'");
        if (check_name(p, "device", e->driver.device) < 0 || check_name(p, "alias", e->driver.alias) < 0)
                return p->result;
        if (p->drivers.n == CONFIG_DEVICES_MAX)
                return config_fail(p, p->section_line, "there are more than %u devices", CONFIG_DEVICES_MAX);
        map_driver(p, e);
        make_options(p, e);
        if (p->result != 0)
                return p->result;
        e->driver.line = p->section_line;
        d = config_grow(p, &p->drivers);
        if (d != NULL)
                *d = e->driver;
        return p->result;
}

static int end_format(struct parser *p)
{
        struct config_format *f;

        if (p->format.format == NULL) {
                config_warn(p, p->section_line, "a [format] section without 'format' is ignored");
                return 0;
        }
        if (!known_word(known_formats, COUNT(known_formats), p->format.format)) {
                config_warn(p, p->section_line, "unknown format '%.64s'", p->format.format);
                return 0;
        }
        p->format.line = p->section_line;
        f = config_grow(p, &p->formats);
        if (f != NULL)
                *f = p->format;
        return p->result;
}

int config_section_end(struct parser *p)
{
        if (p->result != 0)
                return p->result;
        if (p->section == SECTION_DRIVER)
                return end_driver(p);
        if (p->section == SECTION_FORMAT)
                return end_format(p);
        return 0;
}

int config_section_begin(struct parser *p, const char *name)
{
        static const struct {
                const char *name;
                enum section section;
        } sections[] = {
                { "driver", SECTION_DRIVER },
                { "format", SECTION_FORMAT },
                { "dag", SECTION_DAG },
                { "ipfixflib", SECTION_IPFIXFLIB },
        };
        int first = p->section_line == 0;

        if (first) { /* the keys in front of the first section */
                const char *file = p->config->name;

                *p->config = global_defaults;
                p->config->name = file;
        } else if (config_section_end(p) != 0) {
                return p->result;
        }
        p->section = first ? SECTION_GLOBAL : SECTION_UNKNOWN;
        p->section_line = p->line;
        p->driver = driver_defaults;
        p->format = (struct config_format){ 0 };
        memset(p->given, 0, sizeof p->given);
        for (size_t i = 0; i < COUNT(sections) && !first; i++)
                if (strcmp(sections[i].name, name) == 0)
                        p->section = sections[i].section;
        if (p->section == SECTION_UNKNOWN)
                config_warn(p, p->line, "unknown section [%.64s]; its keys are ignored", name);
        return p->result;
}
