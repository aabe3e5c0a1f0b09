/* mapi.conf: text to lines, lines to sections and keys. SPDX-License-Identifier: BSD-2-Clause */
#include "config/parse.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int config_fail(struct parser *p, unsigned line, const char *format, ...)
{
        char text[384];
        va_list args;

        if (p->result != 0)
                return p->result;
        va_start(args, format);
        (void)vsnprintf(text, sizeof text, format, args); /* cut if too long */
        va_end(args);
        if (line > 0)
                p->result = mapi_fail(p->err, MAPI_CONFIG_ERROR, "%s:%u: %s", p->name, line, text);
        else
                p->result = mapi_fail(p->err, MAPI_CONFIG_ERROR, "%s: %s", p->name, text);
        return p->result;
}

int config_fail_memory(struct parser *p)
{
        if (p->result == 0)
                p->result = mapi_fail(p->err, MAPID_MEM_ALLOCATION_ERROR, "%s", p->name);
        return p->result;
}

void *config_grow(struct parser *p, struct growing *g)
{
        void *items;

        if (g->n == g->room) {
                size_t room = g->room > 0 ? 2 * g->room : 8;

                items = arena_alloc(p->arena, room * g->item_size);
                if (items == NULL) {
                        (void)config_fail_memory(p);
                        return NULL;
                }
                if (g->n > 0)
                        memcpy(items, g->items, g->n * g->item_size);
                g->items = items;
                g->room = room;
        }
        return (char *)g->items + g->n++ * g->item_size;
}

const char *config_keep(struct parser *p, const char *s, size_t n)
{
        const char *copy = arena_strndup(p->arena, s, n);

        if (copy == NULL)
                (void)config_fail_memory(p);
        return copy;
}

static void warn_always(struct parser *p, unsigned line, const char *text)
{
        struct config_warning *w = config_grow(p, &p->warnings);

        if (w == NULL)
                return;
        w->line = line;
        w->text = config_keep(p, text, strlen(text));
}

void config_warn(struct parser *p, unsigned line, const char *format, ...)
{
        char text[384];
        va_list args;

        if (p->warnings.n >= CONFIG_WARNINGS_MAX) {
                p->warnings_left_out++;
                return;
        }
        va_start(args, format);
        (void)vsnprintf(text, sizeof text, format, args); /* cut if too long */
        va_end(args);
        warn_always(p, line, text);
}

static int blank(char c)
{
        return c == ' ' || c == '\t';
}

/* Cuts blanks off both ends of *s..end and returns the new end. */
static char *trim(char **s, char *end)
{
        while (*s < end && blank(**s))
                ++*s;
        while (end > *s && blank(end[-1]))
                end--;
        return end;
}

static int section_line(struct parser *p, char *line, char *end)
{
        char *name = line + 1, *close = memchr(line, ']', (size_t)(end - line)), *rest;

        /* Passed over, it would let the keys below land in the section above. */
        if (close == NULL)
                return config_fail(p, p->line, "a section's name begins with '[' but no ']' ends it");
        rest = close + 1;
        end = trim(&rest, end);
        if (rest < end)
                config_warn(p, p->line, "what stands behind ']' is ignored");
        *trim(&name, close) = '\0';
        return config_section_begin(p, name);
}

/* One line in a buffer of its own, without its end; end[0] may be written. */
static int one_line(struct parser *p, char *line, char *end)
{
        char *key = line, *value, *equals, *cr;

        if (*line == '#' || *line == ';')
                return 0;
        cr = memchr(line, '\r', (size_t)(end - line));
        if (cr != NULL)
                end = cr;
        end = trim(&key, end);
        if (key == end)
                return 0;
        for (char *c = key; c < end; c++)
                if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7f)
                        return config_fail(p, p->line, "there is a control character (0x%02x)", (unsigned)*c);
        if (*key == '[')
                return section_line(p, key, end);
        equals = memchr(key, '=', (size_t)(end - key));
        if (equals == NULL) {
                config_warn(p, p->line, "the line is neither a key with '=' nor a section and is ignored");
                return 0;
        }
        value = equals + 1;
        *trim(&value, end) = '\0';
        *trim(&key, equals) = '\0';
        if (*key == '\0') {
                config_warn(p, p->line, "there is no key in front of '='; the line is ignored");
                return 0;
        }
        return config_section_key(p, key, value);
}

static int all_lines(struct parser *p, const char *text, size_t len)
{
        const char *at = text, *end = text + len;
        char line[CONFIG_LINE_BYTES_MAX + 1];

        if (len > CONFIG_FILE_BYTES_MAX)
                return config_fail(p, 0, "more than %u bytes", CONFIG_FILE_BYTES_MAX);
        if (len >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0) /* an editor's mark for UTF-8 */
                at += 3;
        (void)config_section_begin(p, "");
        for (; at < end && p->result == 0; p->line++) {
                const char *newline = memchr(at, '\n', (size_t)(end - at)),
                           *stop = newline != NULL ? newline : end;
                size_t n = (size_t)(stop - at);

                if (n > CONFIG_LINE_BYTES_MAX)
                        return config_fail(p, p->line, "the line has more than %u bytes", CONFIG_LINE_BYTES_MAX);
                if (memchr(at, '\0', n) != NULL)
                        return config_fail(p, p->line, "there is a NUL byte");
                memcpy(line, at, n);
                line[n] = '\0';
                (void)one_line(p, line, line + n);
                at = newline != NULL ? newline + 1 : end;
        }
        return config_section_end(p);
}

static void hand_over(struct parser *p)
{
        struct config *c = p->config;
        char text[80];

        if (p->warnings_left_out > 0) {
                (void)snprintf(text, sizeof text, "%zu further warnings are left out", p->warnings_left_out);
                warn_always(p, p->line, text);
        }
        c->drivers = p->drivers.items;
        c->ndrivers = p->drivers.n;
        c->formats = p->formats.items;
        c->nformats = p->formats.n;
        c->dag = p->dag.items;
        c->ndag = p->dag.n;
        c->ipfixflib = p->ipfixflib.items;
        c->nipfixflib = p->ipfixflib.n;
        c->warnings = p->warnings.items;
        c->nwarnings = p->warnings.n;
}

int config_parse(const char *text, size_t len, const char *name, struct config **ret, struct mapi_error *err)
{
        struct parser p = {
                .name = name != NULL ? name : "configuration",
                .err = err,
                .line = 1,
                .drivers = { .item_size = sizeof(struct config_driver) },
                .formats = { .item_size = sizeof(struct config_format) },
                .dag = { .item_size = sizeof(struct config_pair) },
                .ipfixflib = { .item_size = sizeof(struct config_pair) },
                .warnings = { .item_size = sizeof(struct config_warning) },
        };
        struct config_block *block = NULL;

        p.arena = arena_new(NULL);
        if (p.arena != NULL)
                block = arena_alloc(p.arena, sizeof *block);
        if (block == NULL) {
                arena_free(&p.arena);
                return config_fail_memory(&p);
        }
        block->arena = p.arena;
        p.config = &block->config;
        if (name != NULL)
                p.config->name = config_keep(&p, name, strlen(name));
        (void)all_lines(&p, text, len);
        if (p.result == 0)
                hand_over(&p);
        if (p.result != 0) {
                arena_free(&p.arena);
                return p.result;
        }
        *ret = p.config;
        return 0;
}

void config_free(struct config **c)
{
        struct arena *arena;

        if (c == NULL || *c == NULL)
                return;
        arena = ((struct config_block *)*c)->arena; /* the arena goes with all that lies in it, the block too */
        *c = NULL;
        arena_free(&arena);
}

const struct config_driver *config_find_driver(const struct config *c, const char *name)
{
        for (size_t i = 0; i < c->ndrivers; i++)
                if (strcmp(c->drivers[i].device, name) == 0 ||
                    (c->drivers[i].alias != NULL && strcmp(c->drivers[i].alias, name) == 0))
                        return &c->drivers[i];
        return NULL;
}

const char *config_find_pair(const struct config_pair *pairs, size_t n, const char *key)
{
        for (size_t i = 0; i < n; i++)
                if (strcmp(pairs[i].key, key) == 0)
                        return pairs[i].value;
        return NULL;
}
