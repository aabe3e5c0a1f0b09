/* Applying functions: from whatever the caller passed to what the function's schema wants. SPDX-License-Identifier: BSD-2-Clause */
#include "client/client.h"

#include "base/reflist.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/** Type tags, as the macro in <mapi.h> writes them. */
enum tag {
        TAG_NONE,
        TAG_INT,
        TAG_UINT,
        TAG_LONG,
        TAG_ULONG,
        TAG_LLONG,
        TAG_ULLONG,
        TAG_DOUBLE,
        TAG_STRING,
        TAG_POINTER,
        TAG_LDOUBLE
};

/** An argument as it came: a number, a string, or nothing. */
struct given {
        enum { GIVEN_NOTHING, GIVEN_NUMBER, GIVEN_UNSIGNED, GIVEN_REAL, GIVEN_STRING, GIVEN_POINTER } kind;
        long long num;
        unsigned long long u64;
        long double real;
        const char *str;
};

static int position_code(unsigned i)
{
        return i < 5    ? MFUNCT_INVALID_ARGUMENT_1 + (int)i
               : i == 5 ? MFUNCT_INVALID_ARGUMENT_6
                        : MFUNCT_INVALID_ARGUMENT;
}

/** Takes the arguments off the list by the types that the caller's tags name. */
static void take_tagged(va_list *args, unsigned long long tags, struct given *g)
{
        for (unsigned i = 0; i < MAPI_ARGS_MAX; i++, tags >>= 4) {
                switch ((enum tag)(tags & 15)) {
                case TAG_INT:
                        g[i] = (struct given){ .kind = GIVEN_NUMBER, .num = va_arg(*args, int) };
                        break;
                case TAG_UINT:
                        g[i] = (struct given){ .kind = GIVEN_UNSIGNED, .u64 = va_arg(*args, unsigned) };
                        break;
                case TAG_LONG:
                        g[i] = (struct given){ .kind = GIVEN_NUMBER, .num = va_arg(*args, long) };
                        break;
                case TAG_ULONG:
                        g[i] = (struct given){ .kind = GIVEN_UNSIGNED, .u64 = va_arg(*args, unsigned long) };
                        break;
                case TAG_LLONG:
                        g[i] = (struct given){ .kind = GIVEN_NUMBER, .num = va_arg(*args, long long) };
                        break;
                case TAG_ULLONG:
                        g[i] = (struct given){ .kind = GIVEN_UNSIGNED, .u64 = va_arg(*args, unsigned long long) };
                        break;
                case TAG_DOUBLE:
                        g[i] = (struct given){ .kind = GIVEN_REAL, .real = va_arg(*args, double) };
                        break;
                case TAG_LDOUBLE:
                        g[i] = (struct given){ .kind = GIVEN_REAL, .real = va_arg(*args, long double) };
                        break;
                case TAG_STRING:
                        g[i] = (struct given){ .kind = GIVEN_STRING, .str = va_arg(*args, const char *) };
                        break;
                case TAG_POINTER:
                        g[i] = (struct given){ .kind = GIVEN_POINTER, .str = va_arg(*args, const void *) };
                        break;
                default:
                        return; /* the first that is missing: nothing follows */
                }
        }
}

/** The plain function: every declared argument must be there, with its declared type. */
static void take_declared(va_list *args, const struct mapi_arg_spec *spec, struct given *g)
{
        for (unsigned i = 0; spec != NULL && spec[i].letter != '\0' && i < MAPI_ARGS_MAX; i++) {
                switch (spec[i].letter) {
                case 's':
                case 'S':
                case 'R':
                case 'w':
                        g[i] = (struct given){ .kind = GIVEN_STRING, .str = va_arg(*args, const char *) };
                        break;
                case 'l':
                        g[i] = (struct given){ .kind = GIVEN_UNSIGNED, .u64 = va_arg(*args, unsigned long long) };
                        break;
                default:
                        g[i] = (struct given){ .kind = GIVEN_NUMBER, .num = va_arg(*args, int) };
                }
        }
}

/** Strings to what the schema wants: numbers in decimal, a character as itself. */
static int take_array(char **args, unsigned n, const struct mapi_arg_spec *spec, const char *name, struct given *g)
{
        for (unsigned i = 0; i < n && spec != NULL && spec[i].letter != '\0' && i < MAPI_ARGS_MAX; i++) {
                const char *s = args[i];
                char *end = NULL;

                g[i] = (struct given){ .kind = GIVEN_STRING, .str = s };
                if (strchr("sSRw", spec[i].letter) != NULL)
                        continue;
                errno = 0;
                if (s == NULL || s[0] == '\0')
                        return client_fail(position_code(i), "%s: %s is missing", name, spec[i].name);
                if (spec[i].letter == 'c') {
                        g[i] = (struct given){ .kind = GIVEN_NUMBER, .num = (unsigned char)s[0] };
                        continue;
                }
                if (spec[i].letter == 'l' && s[0] != '-')
                        g[i] = (struct given){ .kind = GIVEN_UNSIGNED, .u64 = strtoull(s, &end, 10) };
                else
                        g[i] = (struct given){ .kind = GIVEN_NUMBER, .num = strtoll(s, &end, 10) };
                if (end == s || *end != '\0' || errno != 0)
                        return client_fail(position_code(i), "%s: %s is '%.64s', must be a decimal number", name,
                                           spec[i].name, s);
        }
        return 0;
}

/** A real number cut to an integer, kept within 64 bits; not a number is 0. */
static long long whole(long double x)
{
        if (x != x)
                return 0;
        if (x >= 9223372036854775807.0L)
                return LLONG_MAX;
        return x <= -9223372036854775808.0L ? LLONG_MIN : (long long)x;
}

static int as_number(const struct given *g, const struct mapi_arg_spec *spec, unsigned i, const char *name,
                     long long *ret)
{
        switch (g->kind) {
        case GIVEN_NUMBER:
                *ret = g->num;
                break;
        case GIVEN_UNSIGNED:
                *ret = g->u64 > LLONG_MAX ? LLONG_MAX : (long long)g->u64;
                break;
        case GIVEN_REAL:
                *ret = whole(g->real);
                break;
        default:
                if (g->str == NULL) { /* NULL for a number: 0 */
                        *ret = 0;
                        return 0;
                }
                return client_fail(position_code(i), "%s: %s must be a number", name, spec->name);
        }
        if (*ret > INT_MAX) /* the function declares an int */
                *ret = g->kind == GIVEN_UNSIGNED && g->u64 <= UINT_MAX ? (int)(unsigned)g->u64 : INT_MAX;
        else if (*ret < INT_MIN)
                *ret = INT_MIN;
        return 0;
}

static int as_u64(const struct given *g, const struct mapi_arg_spec *spec, unsigned i, const char *name,
                  unsigned long long *ret)
{
        if (g->kind == GIVEN_UNSIGNED)
                *ret = g->u64;
        else if (g->kind == GIVEN_NUMBER && g->num >= 0)
                *ret = (unsigned long long)g->num;
        else if (g->kind == GIVEN_REAL && g->real >= 0)
                *ret = (unsigned long long)whole(g->real);
        else if (g->str == NULL && (g->kind == GIVEN_STRING || g->kind == GIVEN_POINTER))
                *ret = 0;
        else
                return client_fail(position_code(i), "%s: %s must be a number that is not negative", name,
                                   spec->name);
        return 0;
}

static int as_string(const struct given *g, const struct mapi_arg_spec *spec, unsigned i, const char *name,
                     const char **ret)
{
        if (g->kind == GIVEN_STRING || g->kind == GIVEN_POINTER)
                *ret = g->str;
        else if ((g->kind == GIVEN_NUMBER && g->num == 0) || (g->kind == GIVEN_UNSIGNED && g->u64 == 0))
                *ret = NULL; /* a plain 0 meant NULL */
        else
                return client_fail(position_code(i), "%s: %s must be a string", name, spec->name);
        return 0;
}

/** A file to be written: ours to open, with the program's own rights, before anything else is looked at. */
static int open_file(const char *path, const char *name)
{
        int fd;

        if (path == NULL || path[0] == '\0')
                return client_fail(MAPI_ERROR_FILE, "%s: no file name", name);
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
        if (fd < 0) /* O_NONBLOCK: a FIFO that nobody reads must not hang us */
                return client_fail(MAPI_ERROR_FILE, "%s: %.200s: %s", name, path, strerror(errno));
        return fd;
}

static int convert_one(const struct given *g, const struct mapi_arg_spec *spec, unsigned i, const char *name,
                       struct mapi_value *ret)
{
        switch (spec->letter) {
        case 'i':
        case 'c':
        case 'r':
        case 'f':
                if (g->kind != GIVEN_NOTHING)
                        return as_number(g, spec, i, name, &ret->num);
                break;
        case 'l':
                if (g->kind != GIVEN_NOTHING)
                        return as_u64(g, spec, i, name, &ret->u64);
                break;
        case 's':
        case 'S':
        case 'R':
                return g->kind == GIVEN_NOTHING ? 0 : as_string(g, spec, i, name, &ret->str);
        case 'w':
                if (g->kind != GIVEN_NOTHING && as_string(g, spec, i, name, &ret->str) < 0)
                        return -1;
                ret->fd = open_file(ret->str, name);
                return ret->fd < 0 ? -1 : 0;
        default:
                return client_fail(MFUNCT_INVALID_ARGUMENT_DESCRIPTOR, "%s: '%c'", name, spec->letter);
        }
        if (!spec->optional)
                return client_fail(position_code(i), "%s: %s is missing", name, spec->name);
        ret->num = spec->def;
        ret->u64 = (unsigned long long)spec->def;
        return 0;
}

enum { LIST_BYTES = MAPI_REFS_MAX * sizeof "2147483647@2147483647" };

/** A list with the backend's numbers, in buf. What is no list stays as it is: who knows the function says what is wrong. */
static const char *translate_list(struct client_session *s, const char *text, bool functions, char *buf)
{
        struct reflist_item item[MAPI_REFS_MAX];
        int n = reflist_parse(text, functions, item, MAPI_REFS_MAX), used = 0;

        if (n < 0)
                return text;
        for (int i = 0; i < n; i++) {
                if (functions)
                        used += snprintf(buf + used, LIST_BYTES - (size_t)used, "%d@", item[i].fid);
                used += snprintf(buf + used, LIST_BYTES - (size_t)used, "%d%s", client_number_of(s, item[i].flow),
                                 i + 1 < n ? "," : "");
        }
        return buf;
}

/** Descriptors that are arguments become numbers of the backend. list: room for one list, used by one argument. */
static int translate(struct client_session *s, const struct mapi_arg_spec *spec, struct mapi_value *value,
                     char *list, bool *list_used)
{
        if (spec->letter == 'r' && value->num > 0 && value->num <= INT_MAX)
                value->num = client_number_of(s, (int)value->num);
        if (spec->letter != 'S' && spec->letter != 'R')
                return 0;
        if (*list_used)
                return client_fail(MFUNCT_INVALID_ARGUMENT_DESCRIPTOR, "a function with more than one list");
        *list_used = true;
        value->str = translate_list(s, value->str, spec->letter == 'S', list);
        return 0;
}

/** Converts and applies. Surplus arguments are ignored. */
static int apply(struct client_flow *f, const char *funct, const struct backend_function *fn,
                 const struct given *g)
{
        struct client_session *s = f->session;
        struct mapi_value values[MAPI_ARGS_MAX];
        char list[LIST_BYTES];
        bool list_used = false;
        struct mapi_error err = { 0 };
        unsigned n = 0;
        int r;

        for (; fn->args != NULL && fn->args[n].letter != '\0' && n < MAPI_ARGS_MAX; n++) {
                values[n] = (struct mapi_value){ .fd = -1 };
                if (convert_one(&g[n], &fn->args[n], n, fn->name, &values[n]) < 0 ||
                    translate(s, &fn->args[n], &values[n], list, &list_used) < 0) {
                        do
                                if (values[n].fd >= 0)
                                        (void)close(values[n].fd);
                        while (n-- > 0);
                        return -1;
                }
        }
        r = s->ops->apply(s->state, f->number, funct, values, n, &err);
        return r < 0 ? client_fail_with(&err) : r;
}

/** The checks that come before the arguments, in the order of spec and tests. NULL with the error stored. */
static struct client_flow *begin(int fd, const char *funct, struct backend_function *ret_fn)
{
        struct mapi_error err = { 0 };
        struct client_flow *f;

        if (!client_ready())
                return NULL;
        if (fd <= 0) {
                (void)client_fail(MAPI_INVALID_FID_FUNCID, "flow %d", fd);
                return NULL;
        }
        if (funct == NULL) {
                (void)client_fail(MFUNCT_COULD_NOT_APPLY_FUNCT, "no function name");
                return NULL;
        }
        f = client_flow_get(fd);
        if (f == NULL)
                return NULL;
        if (atomic_load(&f->connected) != 0)
                (void)client_fail(MFUNCT_COULD_NOT_APPLY_FUNCT, "flow %d is connected already", fd);
        else if (f->session->ops->describe(f->session->state, f->number, funct, ret_fn, &err) < 0)
                (void)client_fail_with(&err);
        else
                return f;
        client_flow_put(f);
        return NULL;
}

int mapi_apply_function_tagged(int fd, unsigned long long tags, const char *funct, ...)
{
        struct given g[MAPI_ARGS_MAX] = { 0 };
        struct backend_function fn;
        struct client_flow *f;
        va_list args;
        int r;

        f = begin(fd, funct, &fn);
        if (f == NULL)
                return -1;
        va_start(args, funct);
        take_tagged(&args, tags, g);
        va_end(args);
        r = apply(f, funct, &fn, g);
        client_flow_put(f);
        return r;
}

int(mapi_apply_function)(int fd, const char *funct, ...)
{
        struct given g[MAPI_ARGS_MAX] = { 0 };
        struct backend_function fn;
        struct client_flow *f;
        va_list args;
        int r;

        f = begin(fd, funct, &fn);
        if (f == NULL)
                return -1;
        va_start(args, funct);
        take_declared(&args, fn.args, g);
        va_end(args);
        r = apply(f, funct, &fn, g);
        client_flow_put(f);
        return r;
}

int mapi_apply_function_array(int fd, const char *funct, char **args, unsigned nargs)
{
        struct given g[MAPI_ARGS_MAX] = { 0 };
        struct backend_function fn;
        struct client_flow *f;
        int r = 0;

        f = begin(fd, funct, &fn);
        if (f == NULL)
                return -1;
        if (args != NULL)
                r = take_array(args, nargs, fn.args, fn.name, g);
        if (r == 0)
                r = apply(f, funct, &fn, g);
        client_flow_put(f);
        return r;
}
