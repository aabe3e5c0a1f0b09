/* Requests about functions: schemas, applying, connecting. SPDX-License-Identifier: BSD-2-Clause */
#include "server/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int bad_value(struct serving *v, const struct backend_function *fn, unsigned i, const char *why)
{
        return mapi_fail(&v->err, MCOM_UNKNOWN_ERROR, "value %u of %s %s", i + 1, fn->name, why);
}

/** One value by the schema's letter. A descriptor in *ret is ours from here on. */
static int take_value(struct serving *v, const struct backend_function *fn, unsigned i, const Mapi__Value *m,
                      struct mapi_value *ret)
{
        char letter = fn->args[i].letter;

        *ret = (struct mapi_value){ .fd = -1 };
        switch (m->is_case) {
        case MAPI__VALUE__IS__NOT_SET:
                return strchr("sSR", letter) != NULL ? 0 : bad_value(v, fn, i, "is missing");
        case MAPI__VALUE__IS_TEXT:
                if (strchr("sSR", letter) == NULL)
                        return bad_value(v, fn, i, "is a text, and should not be");
                if (strlen(m->text) > v->session->string_bytes)
                        return mapi_fail(&v->err, MAPI_LIMIT_ERROR, "value %u of %s has more than %u bytes", i + 1,
                                         fn->name, v->session->string_bytes);
                ret->str = m->text;
                return 0;
        case MAPI__VALUE__IS_NUMBER:
                if (strchr("icrf", letter) == NULL)
                        return bad_value(v, fn, i, "is a number, and should not be");
                if (m->number < INT32_MIN || m->number > INT32_MAX)
                        return bad_value(v, fn, i, "is no number of 32 bits");
                ret->num = m->number;
                return 0;
        case MAPI__VALUE__IS_NATURAL:
                if (letter != 'l')
                        return bad_value(v, fn, i, "is a natural number, and should not be");
                ret->u64 = m->natural;
                return 0;
        case MAPI__VALUE__IS_FILE:
                if (letter != 'w')
                        return bad_value(v, fn, i, "is a file, and should not be");
                ret->str = m->file;
                ret->fd = serving_take_fd(v);
                return serving_check_fd(ret->fd, true, m->file, &v->err);
        default:
                return bad_value(v, fn, i, "is of an unknown kind");
        }
}

static int take_values(struct serving *v, const struct backend_function *fn, struct mapi_value *values,
                       unsigned *ret_n)
{
        const Mapi__Apply *m = v->request->apply;
        unsigned n = 0, taken = 0;
        int r = 0;

        while (fn->args != NULL && fn->args[n].letter != '\0' && n < MAPI_ARGS_MAX)
                n++;
        if (m->n_value != n)
                return mapi_fail(&v->err, MCOM_UNKNOWN_ERROR, "%s has %u arguments, %zu came", fn->name, n,
                                 m->n_value);
        for (; r == 0 && taken < n; taken++)
                r = take_value(v, fn, taken, m->value[taken], &values[taken]);
        while (r < 0 && taken-- > 0)
                if (values[taken].fd >= 0)
                        (void)close(values[taken].fd);
        *ret_n = n;
        return r;
}

void serve_apply(struct serving *v)
{
        const struct serve_session *s = v->session;
        const Mapi__Apply *m = v->request->apply;
        Mapi__Envelope e = serving_answer(v);
        Mapi__FunctionId id = MAPI__FUNCTION_ID__INIT;
        struct mapi_value values[MAPI_ARGS_MAX];
        struct backend_function fn;
        unsigned n = 0;
        int r;

        r = s->ops->describe(s->state, m->flow, m->name, &fn, &v->err);
        if (r == 0)
                r = take_values(v, &fn, values, &n);
        if (r == 0)
                r = s->ops->apply(s->state, m->flow, m->name, values, n, &v->err);
        if (r < 0) {
                serving_failed(v);
                return;
        }
        id.fid = r;
        e.body_case = MAPI__ENVELOPE__BODY_FUNCTION_ID;
        e.function_id = &id;
        serving_send(v, &e);
}

/* ---- connecting ------------------------------------------------------------------------------------------------ */

static Mapi__ResultKind kind_of(enum mapi_result_kind kind)
{
        switch (kind) {
        case MAPI_RESULT_COUNTER:
                return MAPI__RESULT_KIND__RESULT_COUNTER;
        case MAPI_RESULT_RECORD:
                return MAPI__RESULT_KIND__RESULT_RECORD;
        case MAPI_RESULT_PACKETS:
                return MAPI__RESULT_KIND__RESULT_PACKETS;
        case MAPI_RESULT_QUEUE:
                return MAPI__RESULT_KIND__RESULT_QUEUE;
        default:
                return MAPI__RESULT_KIND__RESULT_NONE;
        }
}

static void fill_place(const struct backend_place *p, Mapi__Place *ret)
{
        mapi__place__init(ret);
        ret->fid = p->fid;
        ret->kind = kind_of(p->kind);
        ret->size = p->size;
        ret->segment = p->segment;
        ret->entry = p->entry;
        ret->nowait = p->nowait;
}

void serve_connect(struct serving *v)
{
        const struct serve_session *s = v->session;
        int flow = v->request->connect->flow;
        Mapi__Envelope e = serving_answer(v);
        Mapi__Connected connected = MAPI__CONNECTED__INIT;
        Mapi__Place status, *place = NULL, **list = NULL;
        struct mapi_error behind = { 0 };
        struct backend_place p;
        size_t n = 0;

        if (s->ops->connect(s->state, flow, &v->err) < 0 ||
            s->ops->status_place(s->state, flow, &p, &v->err) < 0) {
                serving_failed(v);
                return;
        }
        fill_place(&p, &status);
        while (s->ops->place(s->state, flow, (unsigned)n, &p, &behind) == 0)
                n++;
        place = calloc(n + 1, sizeof *place);
        list = calloc(n + 1, sizeof *list);
        if (place == NULL || list == NULL) {
                (void)mapi_fail(&v->err, MAPID_MEM_ALLOCATION_ERROR,
                                "flow %d is connected, but has too many functions", flow);
                serving_failed(v);
                goto out;
        }
        for (size_t i = 0; i < n && s->ops->place(s->state, flow, (unsigned)i, &p, &behind) == 0; i++) {
                fill_place(&p, &place[i]);
                list[i] = &place[i];
                connected.n_function = i + 1;
        }
        connected.status = &status;
        connected.function = list;
        e.body_case = MAPI__ENVELOPE__BODY_CONNECTED;
        e.connected = &connected;
        serving_send(v, &e);
out:
        free(list);
        free(place);
}

/* ---- schemas --------------------------------------------------------------------------------------------------- */

/** The schema of one function, in memory of the caller. */
struct described {
        Mapi__Function function;
        Mapi__Argument argument[MAPI_ARGS_MAX];
        Mapi__Argument *list[MAPI_ARGS_MAX];
};

static char *text(const char *s)
{
        return (char *)(uintptr_t)(s == NULL ? "" : s);
}

static void describe(const struct backend_function *fn, struct described *d)
{
        mapi__function__init(&d->function);
        d->function.name = text(fn->name);
        d->function.library = text(fn->library);
        d->function.help = text(fn->help);
        d->function.device_type = text("1");
        d->function.result_kind = kind_of(fn->result.kind);
        d->function.result_size =
                fn->result.kind == MAPI_RESULT_COUNTER && fn->result.size == 0 ? 8 : fn->result.size;
        d->function.unit = text(fn->result.unit);
        d->function.argument = d->list;
        for (unsigned i = 0; fn->args != NULL && i < MAPI_ARGS_MAX && fn->args[i].letter != '\0'; i++) {
                const struct mapi_arg_spec *spec = &fn->args[i];
                Mapi__Argument *a = d->list[i] = &d->argument[i];

                mapi__argument__init(a);
                a->letter = (uint8_t)spec->letter;
                a->optional = spec->optional != 0;
                a->name = text(spec->name);
                a->help = text(spec->help);
                a->def = spec->def;
                a->min = spec->min;
                a->max = spec->max;
                d->function.n_argument = i + 1;
        }
}

void serve_describe(struct serving *v)
{
        const Mapi__Describe *m = v->request->describe;
        Mapi__Envelope e = serving_answer(v);
        struct backend_function fn;
        struct described d;

        if (v->session->ops->describe(v->session->state, m->flow, m->name, &fn, &v->err) < 0) {
                serving_failed(v);
                return;
        }
        describe(&fn, &d);
        e.body_case = MAPI__ENVELOPE__BODY_FUNCTION;
        e.function = &d.function;
        serving_send(v, &e);
}

/** All functions of one library; freed with free_library(). 0 or -1. */
static int fill_library(const struct serve_session *s, int number, const mapi_lib_info_t *info, Mapi__Library *ret)
{
        unsigned n = info->functs;
        struct described *all = calloc(n + 1, sizeof *all);

        mapi__library__init(ret);
        ret->function = calloc(n + 1, sizeof *ret->function);
        ret->name = strdup(info->libname);
        if (all == NULL || ret->function == NULL || ret->name == NULL) {
                free(all);
                return -1;
        }
        ret->function[0] = &all[0].function; /* the block begins there: this is what is freed */
        for (unsigned i = 0; i < n; i++) {
                char name[2 * MAPI_STR_LENGTH + 2];
                mapi_libfunct_info_t function;
                struct backend_function fn;
                struct mapi_error err;

                if (s->ops->libfunct_info(s->state, number, (int)i, &function, &err) < 0)
                        break;
                (void)snprintf(name, sizeof name, "%s:%s", info->libname, function.name);
                if (s->ops->describe(s->state, 0, name, &fn, &err) < 0)
                        break;
                describe(&fn, &all[i]);
                ret->function[i] = &all[i].function;
                ret->n_function = i + 1;
        }
        return 0;
}

static void free_library(Mapi__Library *l)
{
        if (l->function != NULL)
                free(l->function[0]); /* struct described begins with it */
        free(l->function);
        if (l->name != protobuf_c_empty_string)
                free(l->name);
}

enum { LIBRARIES_MAX = 64 };

void serve_catalogue(struct serving *v)
{
        const struct serve_session *s = v->session;
        Mapi__Envelope e = serving_answer(v);
        Mapi__Libraries libraries = MAPI__LIBRARIES__INIT;
        Mapi__Library library[LIBRARIES_MAX], *list[LIBRARIES_MAX];
        mapi_lib_info_t info;
        size_t n = 0;
        int r = 0;

        for (; r == 0 && n < LIBRARIES_MAX; n++) {
                if (s->ops->library_info(s->state, (int)n, &info, &v->err) < 0)
                        break;
                r = fill_library(s, (int)n, &info, &library[n]);
                list[n] = &library[n];
        }
        libraries.n_library = n;
        libraries.library = list;
        e.body_case = MAPI__ENVELOPE__BODY_LIBRARIES;
        e.libraries = &libraries;
        if (r == 0) {
                serving_send(v, &e);
        } else {
                (void)mapi_fail(&v->err, MAPID_MEM_ALLOCATION_ERROR, "the catalogue");
                serving_failed(v);
        }
        while (n-- > 0)
                free_library(&library[n]);
}
