/*
 * mapi.conf as data: what the administrator said, checked, with defaults filled in. mapi.conf(5) explains every key.
 *
 * A configuration is read as a whole or not at all: an error names file and line, what is merely odd becomes a warning.
 * Nothing here looks at the machine: whether a device, a library, a user or a group exists is for the caller to see.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <mapi/function.h>

#include <stddef.h>
#include <stdint.h>

#define CONFIG_FILE_BYTES_MAX (1u << 20)
#define CONFIG_LINE_BYTES_MAX 1023u
#define CONFIG_DEVICES_MAX 1024u
#define CONFIG_SOCKET_BYTES_MAX 107u /* what sun_path takes */
#define CONFIG_PAIRS_MAX 256u        /* keys of a section that is kept raw */
#define CONFIG_WARNINGS_MAX 100u     /* one more then says how many were left out */
#define CONFIG_DEVGROUP_NONE 0xffffffffu

/* What holds when the file does not say otherwise. */
#define CONFIG_DIMAPI_PORT 2233u
#define CONFIG_LOG_LEVEL 2u
#define CONFIG_LIBS "stdflib.so"
#define CONFIG_GROUP "mapi"
#define CONFIG_USER "mapid"
#define CONFIG_MAX_SESSIONS 256u
#define CONFIG_MAX_FLOWS 512u                   /* of one session */
#define CONFIG_MAX_DEVICES 64u                  /* offline devices of one session */
#define CONFIG_MAX_MEMORY ((uint64_t)256 << 20) /* of one session */

/** A colon-separated value; empty parts are left out. */
struct config_list {
        const char *const *item;
        size_t n;
        unsigned line; /* 0: the default */
};

/** One device. Strings are NULL when not given. */
struct config_driver {
        const char *device; /* never NULL; no other entry has it as device or alias */
        const char
                *driver; /* our name for it: "afpacket", "replay", "null"; NULL: not available, skip the device */
        const char *driver_file; /* as written */
        const char *description;
        const char *alias;
        const char *trace_dir;
        const char *options; /* "key=value;key=value" for the driver; "" when there is none */
        uint32_t link_speed; /* Mbit/s, 0 unknown */
        uint32_t devgroup;   /* CONFIG_DEVGROUP_NONE when not given */
        uint32_t mpls, vlan; /* 0 or 1 */
        unsigned line;       /* of [driver] */
};

/** One trace format; kept for those who ask, traces are recognised by their content. */
struct config_format {
        const char *format; /* "MFF_PCAP" ...; never NULL */
        const char *driver;
        const char *description;
        unsigned line;
};

/** A key of a section that somebody else understands. */
struct config_pair {
        const char *key, *value;
        unsigned line;
};

struct config_warning {
        unsigned line;
        const char *text; /* one sentence without file and line; control characters in it are shown as '?' */
};

struct config {
        const char *name; /* of the file, for messages; NULL: there is none, all is default */

        struct config_list libpath, drvpath, libs;
        const char *logfile;            /* base path, .info and .debug are appended; NULL: none */
        const char *socket;             /* absolute path; NULL: the usual place */
        const char *group;              /* whose members may open the socket */
        const char *user;               /* whom the engine process runs as */
        unsigned group_line, user_line; /* 0: the default, which need not exist */
        uint32_t local;                 /* 1: a socket for the calling user only */
        uint32_t log_level;             /* 0, 1, 2 */
        uint32_t dimapi_port;

        uint32_t max_sessions;
        uint32_t max_flows; /* from here on: of one session */
        uint32_t max_devices;
        uint64_t max_memory_bytes;

        const struct config_driver
                *drivers; /* in the order of the file; their index + 1 is the historic device number */
        size_t ndrivers;
        const struct config_format *formats;
        size_t nformats;
        const struct config_pair *dag, *ipfixflib; /* each key once */
        size_t ndag, nipfixflib;

        const struct config_warning *warnings; /* in the order of the file */
        size_t nwarnings;
};

/**
 * Parses the text of a configuration; nothing is kept of `text`. len 0 gives the defaults.
 * name     for messages, may be NULL
 * Returns  0 and *ret, to be freed with config_free(), or -9005 with "name:line: sentence", -3084
 * Threads  any; a configuration is never changed once it is returned
 */
int config_parse(const char *text, size_t len, const char *name, struct config **ret, struct mapi_error *err);

/**
 * Reads a file. given: the argument of -c, or NULL: then $MAPI_CONF, and without it the installed place
 * (config_installed_path), where a missing file is no error: *ret then has the defaults and a NULL name.
 * Returns  as config_parse(); -9005 also for what cannot be read, is no regular file or has more than 1 MiB
 */
int config_load(const char *given, struct config **ret, struct mapi_error *err);

const char *config_installed_path(void);

/** Frees it; *c becomes NULL. NULL and a NULL in it are fine. */
void config_free(struct config **c);

/** The entry whose device or alias this is, or NULL. */
const struct config_driver *config_find_driver(const struct config *c, const char *name);

/** The value of a raw key, or NULL. */
const char *config_find_pair(const struct config_pair *pairs, size_t n, const char *key);

#endif
