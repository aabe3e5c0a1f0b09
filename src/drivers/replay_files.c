/*
 * What the replay driver plays and how: its options, and the files that they name.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "drivers/replay.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drivers/options.h"

#define SPEED_MIN (REPLAY_SPEED_ONE / 1000)
#define SPEED_MAX ((uint64_t)REPLAY_SPEED_ONE * 1000000)
#define SPEED_DIGITS 6 /* behind the point */
#define RATE_MAX 1000000000u

#define NAME_BYTES (NAME_MAX + 1)

/* Nothing waits: neither a FIFO without a writer nor a line without a carrier; both are refused later. */
#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)

static int is_text(const struct drivers_text *t, const char *text)
{
        return t->bytes == strlen(text) && memcmp(t->p, text, t->bytes) == 0;
}

/* A decimal number with at most `places` digits behind the point, times 10^places. 0 or -1. */
static int parse_decimal(const struct drivers_text *t, unsigned places, uint64_t max, uint64_t *ret)
{
        unsigned behind = 0;
        int point = 0, digits = 0;
        uint64_t v = 0;

        for (size_t i = 0; i < t->bytes; i++) {
                char c = t->p[i];

                if (c == '.' && !point) {
                        point = 1;
                        continue;
                }
                if (c < '0' || c > '9' || (point && ++behind > places))
                        return -1;
                v = v * 10 + (uint64_t)(c - '0');
                digits = 1;
                if (v > max)
                        return -1;
        }
        for (; behind < places; behind++) {
                v *= 10;
                if (v > max)
                        return -1;
        }
        if (!digits)
                return -1;
        *ret = v;
        return 0;
}

static int parse_pace(const struct mapi_source *src, const struct drivers_text *speed,
                      const struct drivers_text *rate, struct replay_options *o, struct mapi_error *err)
{
        const struct drivers_text *given = speed->p != NULL ? speed : rate;

        if (speed->p != NULL && rate->p != NULL)
                return mapi_fail(err, PCAP_OPEN_ERR, "%s: give either speed or rate", src->name);
        o->pace = REPLAY_OWN;
        o->speed_millionths = REPLAY_SPEED_ONE;
        if (given->p == NULL)
                return 0;
        if (is_text(given, "max")) {
                o->pace = REPLAY_MAX;
                return 0;
        }
        if (given == speed) {
                if (parse_decimal(speed, SPEED_DIGITS, SPEED_MAX, &o->speed_millionths) < 0 ||
                    o->speed_millionths < SPEED_MIN)
                        return mapi_fail(err, PCAP_OPEN_ERR,
                                         "%s: speed must be max or a number from 0.001 to 1000000, not '%.*s'",
                                         src->name, (int)speed->bytes, speed->p);
                return 0;
        }
        o->pace = REPLAY_RATE;
        if (parse_decimal(rate, 0, RATE_MAX, &o->rate_pps) < 0 || o->rate_pps == 0)
                return mapi_fail(err, PCAP_OPEN_ERR,
                                 "%s: rate must be max or packets per second, 1 to %u, not '%.*s'", src->name,
                                 RATE_MAX, (int)rate->bytes, rate->p);
        return 0;
}

int drivers_replay_parse(const struct mapi_source *src, struct replay_options *ret, struct mapi_error *err)
{
        enum { TRACE = 0, FOLDER, SPEED, RATE, TEXTS };
        struct drivers_text texts[TEXTS] = {
                [TRACE] = { .key = "trace" },
                [FOLDER] = { .key = "trace_dir" },
                [SPEED] = { .key = "speed", .comma = 1 },
                [RATE] = { .key = "rate", .comma = 1 },
        };
        const struct drivers_option numbers[] = { { "loops", 0, UINT64_MAX, &ret->loops } };
        const struct drivers_text *path;
        int rc;

        ret->loops = 0;
        rc = drivers_options_parse_texts(src, numbers, 1, texts, TEXTS, err);
        if (rc < 0)
                return rc;
        if ((texts[TRACE].p != NULL) == (texts[FOLDER].p != NULL))
                return mapi_fail(err, PCAP_OPEN_ERR, "%s: give either trace=FILE or trace_dir=DIRECTORY",
                                 src->name);
        ret->folder = texts[FOLDER].p != NULL;
        path = &texts[ret->folder ? FOLDER : TRACE];
        if (path->bytes >= sizeof(ret->path))
                return mapi_fail(err, PCAP_OPEN_ERR, "%s: a path of %zu bytes is too long", src->name,
                                 path->bytes);
        memcpy(ret->path, path->p, path->bytes);
        ret->path[path->bytes] = '\0';
        return parse_pace(src, &texts[SPEED], &texts[RATE], ret, err);
}

static int by_name(const void *a, const void *b)
{
        return strcmp(a, b);
}

/* The names of the files in a folder, sorted; hidden ones and what is no file are passed over. How many, or -6155. */
static int list_files(const struct mapi_source *src, const char *path, DIR *dir,
                      char names[MAPI_SOURCE_FDS][NAME_BYTES], struct mapi_error *err)
{
        const struct dirent *e;
        unsigned n = 0;
        struct stat st;

        for (;;) {
                errno = 0;
                e = readdir(dir);
                if (e == NULL)
                        break;
                if (e->d_name[0] == '.' || strlen(e->d_name) >= NAME_BYTES ||
                    fstatat(dirfd(dir), e->d_name, &st, 0) < 0 || !S_ISREG(st.st_mode))
                        continue;
                if (n == MAPI_SOURCE_FDS)
                        return mapi_fail(err, MAPI_ERROR_FILE, "%s: %s has more than %u files", src->name, path,
                                         (unsigned)MAPI_SOURCE_FDS);
                strcpy(names[n++], e->d_name);
        }
        if (errno != 0)
                return mapi_fail(err, MAPI_ERROR_FILE, "%s: %s: %m", src->name, path);
        qsort(names, n, NAME_BYTES, by_name);
        return (int)n;
}

static int open_folder(const struct mapi_source *src, const char *path, int *ret_fds, struct mapi_error *err)
{
        char names[MAPI_SOURCE_FDS][NAME_BYTES];
        DIR *dir = opendir(path);
        int files, n = 0, rc;

        if (dir == NULL)
                return mapi_fail(err, MAPI_ERROR_FILE, "%s: %s: %m", src->name, path);
        files = rc = list_files(src, path, dir, names, err);
        for (int i = 0; i < files; i++) {
                int fd = openat(dirfd(dir), names[i], OPEN_FLAGS);

                if (fd >= 0) {
                        ret_fds[n++] = fd;
                } else if (errno != EACCES && errno != EPERM && errno != ENOENT) {
                        rc = mapi_fail(err, MAPI_ERROR_FILE, "%s: %s/%s: %m", src->name, path, names[i]);
                        break;
                }
        }
        if (rc >= 0 && n == 0)
                rc = mapi_fail(err, MAPI_ERROR_FILE, "%s: %s has no file that can be read", src->name, path);
        if (rc < 0) {
                while (n > 0)
                        (void)close(ret_fds[--n]); /* nothing was written to it */
        }
        (void)closedir(dir); /* only read from */
        return rc < 0 ? rc : n;
}

int drivers_replay_files(const struct mapi_source *src, const struct replay_options *options, int *ret_fds,
                         struct mapi_error *err)
{
        int fd;

        if (options->folder)
                return open_folder(src, options->path, ret_fds, err);
        fd = open(options->path, OPEN_FLAGS);
        if (fd < 0)
                return mapi_fail(err, MAPI_ERROR_FILE, "%s: %s: %m", src->name, options->path);
        ret_fds[0] = fd;
        return 1;
}
