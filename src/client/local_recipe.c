/* What is needed to make devices, flows and functions anew. SPDX-License-Identifier: BSD-2-Clause */
#include "client/local.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BESIDE = 10000 }; /* files beside one another: FILE-1, FILE-2, ... */

/* ---- paths ------------------------------------------------------------------------------------------------------ */

/**
 * The absolute path under which an open file can be opened again; NULL in *ret if it has none. The program may have given
 * another name, or change its directory. -1: no memory.
 */
static int path_of(struct arena *a, int fd, char **ret)
{
        char link[32], path[LOCAL_PATH];
        struct stat there, open_file;
        ssize_t n;

        *ret = NULL;
        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        n = readlink(link, path, sizeof path);
        if (n <= 0 || n >= (ssize_t)sizeof path || path[0] != '/')
                return 0;
        path[n] = '\0';
        if (fstat(fd, &open_file) < 0 || stat(path, &there) < 0 || open_file.st_dev != there.st_dev ||
            open_file.st_ino != there.st_ino) /* deleted, or a pipe */
                return 0;
        *ret = arena_strndup(a, path, (size_t)n);
        return *ret == NULL ? -1 : 0;
}

static bool regular(int fd)
{
        struct stat st;

        return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static int source_copy(struct arena *a, struct local_source *to, const struct backend_source *from)
{
        to->driver = arena_strndup(a, from->driver, strlen(from->driver));
        to->name = arena_strndup(a, from->name, strlen(from->name));
        to->options = from->options == NULL ? NULL : arena_strndup(a, from->options, strlen(from->options));
        to->has_file = from->fd >= 0;
        if (to->driver == NULL || to->name == NULL || (from->options != NULL && to->options == NULL))
                return -1;
        if (!to->has_file || !regular(from->fd) || strcmp(from->name, "-") == 0)
                return 0; /* a pipe or standard input: what was read is gone */
        return path_of(a, from->fd, &to->path);
}

/** Writes why something cannot be opened again; a part of a sentence. */
static int because(char *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int because(char *why, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        (void)vsnprintf(why, LOCAL_WHY, format, args); /* cut if too long */
        va_end(args);
        return -1;
}

int local_source_open(const struct local_source *s, int *ret_fd, char *why)
{
        int fd = -1;

        if (s->has_file) {
                if (s->path == NULL)
                        return because(why, "%.200s cannot be read a second time", s->name);
                fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
                if (fd < 0)
                        return because(why, "%.200s: %s", s->path, strerrordesc_np(errno));
                if (!regular(fd)) {
                        (void)close(fd);
                        return because(why, "%.200s is no file any more", s->path);
                }
                (void)fcntl(fd, F_SETFL, 0);
        }
        *ret_fd = fd;
        return 0;
}

/** The first free name beside a file that is there already. */
static int open_beside(const char *path)
{
        const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
        char name[LOCAL_PATH + 16];
        int fd = -1;

        for (unsigned i = 1; i < BESIDE; i++) {
                (void)snprintf(name, sizeof name, "%s-%u", path, i);
                fd = open(name, flags, 0600);
                if (fd >= 0 || errno != EEXIST)
                        break;
        }
        return fd;
}

int local_file_open(const struct local_value *v, bool anew, int *ret_fd, char *why)
{
        const int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
        struct stat st;
        int fd;

        if (v->path == NULL)
                return because(why, "%.200s cannot be opened a second time", v->text == NULL ? "a file" : v->text);
        if (anew)
                fd = open(v->path, flags | O_TRUNC, 0600);
        else if (stat(v->path, &st) == 0 && S_ISREG(st.st_mode))
                fd = open_beside(v->path); /* what a live device gave until now stays */
        else
                fd = open(v->path, flags, 0600); /* it was moved away, or is a pipe or terminal */
        if (fd < 0)
                return because(why, "%.200s: %s", v->path, strerrordesc_np(errno));
        *ret_fd = fd;
        return 0;
}

void local_source_message(const struct local_source *s, Mapi__Source *ret)
{
        mapi__source__init(ret);
        ret->driver = s->driver;
        ret->name = s->name;
        if (s->options != NULL)
                ret->options = s->options;
}

/* ---- devices ---------------------------------------------------------------------------------------------------- */

struct local_device *local_device_new(const struct backend_source *source)
{
        struct arena *a = arena_new(NULL);
        struct local_device *d = a == NULL ? NULL : arena_alloc(a, sizeof *d);

        if (d == NULL || source_copy(a, &d->source, source) < 0) {
                arena_free(&a);
                return NULL;
        }
        d->arena = a;
        return d;
}

struct local_device *local_device_find(struct local *l, const char *name)
{
        for (struct local_device *d = l->devices; d != NULL; d = d->next)
                if (strcmp(d->name, name) == 0)
                        return d;
        return NULL;
}

void local_device_link(struct local *l, struct local_device *d, const char *server_name)
{
        (void)snprintf(d->server_name, sizeof d->server_name, "%s", server_name);
        (void)snprintf(d->name, sizeof d->name, "%s", server_name);
        /* after a restart mapid may give a name that another device of ours has had since before */
        for (unsigned i = 1; local_device_find(l, d->name) != NULL; i++)
                (void)snprintf(d->name, sizeof d->name, "%.230s.%u", server_name, i);
        d->next = l->devices;
        l->devices = d;
}

void local_device_drop(struct local_device *d)
{
        struct arena *a = d->arena; /* it lies in there itself */

        arena_free(&a);
}

void local_device_free(struct local *l, struct local_device *d)
{
        for (struct local_device **at = &l->devices; *at != NULL; at = &(*at)->next)
                if (*at == d) {
                        *at = d->next;
                        break;
                }
        local_device_drop(d);
}

const char *local_device_ours(struct local *l, const char *server_name)
{
        for (struct local_device *d = l->devices; d != NULL; d = d->next)
                if (strcmp(d->server_name, server_name) == 0)
                        return d->name;
        return server_name;
}

/* ---- flows ------------------------------------------------------------------------------------------------------- */

struct local_flow *local_flow_new(const char *device, const struct backend_source *source)
{
        struct arena *a = arena_new(NULL);
        struct local_flow *f = a == NULL ? NULL : arena_alloc(a, sizeof *f);
        bool made = f != NULL;

        if (made && device != NULL) {
                f->device_name = arena_strndup(a, device, strlen(device));
                made = f->device_name != NULL;
        } else if (made) {
                made = source_copy(a, &f->source, source) == 0;
        }
        if (!made) {
                arena_free(&a);
                return NULL;
        }
        f->arena = a;
        f->kick_fd = f->event_fd = -1;
        return f;
}

static struct local_flow **bucket_of(struct local *l, int number)
{
        return &l->bucket[(unsigned)number % LOCAL_BUCKETS];
}

struct local_flow *local_flow_find(struct local *l, int number)
{
        struct local_flow *f = *bucket_of(l, number);

        while (f != NULL && f->number != number)
                f = f->same;
        return f;
}

int local_flow_link(struct local *l, struct local_flow *f, int number)
{
        struct local_flow *before = l->last_flow, **bucket = bucket_of(l, number);

        if (local_flow_find(l, number) != NULL)
                return -1;
        f->number = number;
        f->same = *bucket;
        *bucket = f;
        while (before != NULL && before->number > number) /* numbers grow: it is nearly always the last */
                before = before->prev;
        f->prev = before;
        f->next = before == NULL ? l->flows : before->next;
        *(before == NULL ? &l->flows : &before->next) = f;
        *(f->next == NULL ? &l->last_flow : &f->next->prev) = f;
        if (f->device != NULL)
                f->device->flows++;
        return 0;
}

static void flow_unlink(struct local *l, struct local_flow *f)
{
        struct local_flow **at = bucket_of(l, f->number);

        while (*at != f)
                at = &(*at)->same;
        *at = f->same;
        *(f->prev == NULL ? &l->flows : &f->prev->next) = f->next;
        *(f->next == NULL ? &l->last_flow : &f->next->prev) = f->prev;
        if (f->device != NULL && --f->device->flows == 0 && f->device->deleted)
                local_device_free(l, f->device);
}

void local_flow_drop(struct local_flow *f)
{
        struct arena *a = f->arena;

        if (f->kick_fd >= 0)
                (void)close(f->kick_fd);
        if (f->event_fd >= 0)
                (void)close(f->event_fd);
        arena_free(&f->places);
        arena_free(&a);
}

void local_flow_free(struct local *l, struct local_flow *f)
{
        flow_unlink(l, f);
        for (struct local_function *fn = l->functions, *next; fn != NULL; fn = next) {
                next = fn->next;
                if (fn->flow == f)
                        local_function_free(l, fn);
        }
        local_flow_drop(f);
}

bool local_flow_offline(const struct local_flow *f)
{
        return f->device != NULL || f->device_name == NULL;
}

/* ---- functions ---------------------------------------------------------------------------------------------------- */

static int value_copy(struct arena *a, struct local_value *to, const struct mapi_value *from, char letter)
{
        char *path = NULL;

        *to = (struct local_value){ .letter = letter, .num = from->num, .u64 = from->u64 };
        if (strchr("sSRw", letter) == NULL || from->str == NULL)
                return 0;
        to->text = arena_strndup(a, from->str, strlen(from->str));
        if (to->text == NULL || (letter == 'w' && path_of(a, from->fd, &path) < 0))
                return -1;
        to->path = path;
        return 0;
}

struct local_function *local_function_new(const char *name, const struct mapi_value *values, unsigned n,
                                          const struct mapi_arg_spec *args)
{
        struct arena *a = arena_new(NULL);
        struct local_function *fn = a == NULL ? NULL : arena_alloc(a, sizeof *fn);
        bool made = fn != NULL && (fn->name = arena_strndup(a, name, strlen(name))) != NULL;

        for (unsigned i = 0; made && i < n; i++)
                made = value_copy(a, &fn->value[i], &values[i], args[i].letter) == 0;
        if (!made) {
                arena_free(&a);
                return NULL;
        }
        fn->n = n;
        fn->arena = a;
        return fn;
}

void local_function_link(struct local *l, struct local_flow *f, struct local_function *fn, int fid)
{
        struct local_function *behind = l->last_function;

        fn->flow = f;
        fn->fid = fid;
        for (unsigned i = 0; i < fn->n; i++)
                if (fn->value[i].letter == 'w')
                        f->files = true;
        /* Two threads may apply to one flow: the answers tell the order, not who of them is here first. */
        for (struct local_function *g = behind; g != NULL; g = g->prev)
                if (g->flow == f && g->fid > fid)
                        behind = g->prev;
                else if (g->flow == f)
                        break;
        fn->prev = behind;
        fn->next = behind == NULL ? l->functions : behind->next;
        *(behind == NULL ? &l->functions : &behind->next) = fn;
        *(fn->next == NULL ? &l->last_function : &fn->next->prev) = fn;
}

void local_function_drop(struct local_function *fn)
{
        struct arena *a = fn->arena;

        arena_free(&a);
}

void local_function_free(struct local *l, struct local_function *fn)
{
        *(fn->prev == NULL ? &l->functions : &fn->prev->next) = fn->next;
        *(fn->next == NULL ? &l->last_function : &fn->next->prev) = fn->prev;
        local_function_drop(fn);
}

void local_function_message(const struct local_function *fn, int flow, Mapi__Apply *ret, Mapi__Value *ret_values,
                            Mapi__Value **ret_pointers)
{
        mapi__apply__init(ret);
        ret->flow = flow;
        ret->name = fn->name;
        ret->n_value = fn->n;
        ret->value = ret_pointers;
        for (unsigned i = 0; i < fn->n; i++) {
                const struct local_value *v = &fn->value[i];
                Mapi__Value *m = &ret_values[i];

                mapi__value__init(m);
                ret_pointers[i] = m;
                switch (v->letter) {
                case 's':
                case 'S':
                case 'R':
                        m->is_case = v->text == NULL ? MAPI__VALUE__IS__NOT_SET : MAPI__VALUE__IS_TEXT;
                        m->text = (char *)(uintptr_t)v->text; /* is not written to */
                        break;
                case 'w':
                        m->is_case = MAPI__VALUE__IS_FILE;
                        m->file = (char *)(uintptr_t)(v->text == NULL ? "" : v->text);
                        break;
                case 'l':
                        m->is_case = MAPI__VALUE__IS_NATURAL;
                        m->natural = v->u64;
                        break;
                default:
                        m->is_case = MAPI__VALUE__IS_NUMBER;
                        m->number = v->num;
                }
        }
}

/* ---- places --------------------------------------------------------------------------------------------------------- */

static int place_of(const Mapi__Place *p, struct backend_place *ret)
{
        if (p->kind < 0 || p->kind > MAPI__RESULT_KIND__RESULT_QUEUE)
                return -1;
        *ret = (struct backend_place){ .fid = p->fid,
                                       .kind = (enum mapi_result_kind)p->kind,
                                       .size = p->size,
                                       .segment = p->segment,
                                       .entry = p->entry,
                                       .nowait = p->nowait };
        return 0;
}

int local_places_set(struct local_flow *f, const Mapi__Connected *c, struct mapi_error *err)
{
        struct backend_place status, *place;
        struct arena *a;

        if (c->n_function > LOCAL_PLACES)
                return mapi_fail(err, MCOM_UNKNOWN_ERROR, "%zu functions in one flow", c->n_function);
        a = arena_new(NULL);
        place = a == NULL ? NULL : arena_alloc(a, (c->n_function + 1) * sizeof *place);
        if (place == NULL) {
                arena_free(&a);
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "%zu functions", c->n_function);
        }
        if (place_of(c->status, &status) < 0)
                goto garbage;
        for (size_t i = 0; i < c->n_function; i++)
                if (place_of(c->function[i], &place[i]) < 0)
                        goto garbage;
        arena_free(&f->places);
        f->places = a;
        f->status = status;
        f->place = place;
        f->nplaces = (unsigned)c->n_function;
        return 0;
garbage:
        arena_free(&a);
        return mapi_fail(err, MCOM_UNKNOWN_ERROR, "a result of an unknown kind");
}
