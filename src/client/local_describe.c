/* Schemas of functions, asked for once in the life of a mapid. SPDX-License-Identifier: BSD-2-Clause */
#include "client/local.h"

#include <string.h>

enum { HELP_MAX = 1024 }; /* bytes of a help text that are kept */

static struct local_name *find(struct local *l, const char *name)
{
        struct local_name *n = l->names;

        while (n != NULL && strcmp(n->name, name) != 0)
                n = n->next;
        return n;
}

static bool same_text(const char *a, const char *b, size_t max)
{
        return strncmp(a, b, max) == 0;
}

/** Is this what we know already? Then those who hold the old one need not notice that mapid was restarted. */
static bool same(const struct backend_function *known, const Mapi__Function *m)
{
        if (!same_text(known->name, m->name, MAPI_STR_LENGTH - 1))
                return false;
        for (size_t i = 0; i < m->n_argument; i++) {
                const struct mapi_arg_spec *a = &known->args[i];
                const Mapi__Argument *b = m->argument[i];

                if (a->letter == '\0' || (uint32_t)(unsigned char)a->letter != b->letter ||
                    (a->optional != 0) != (b->optional != 0) || a->def != b->def || a->min != b->min ||
                    a->max != b->max || !same_text(a->name, b->name, MAPI_STR_LENGTH - 1) ||
                    !same_text(a->help, b->help, HELP_MAX))
                        return false;
        }
        return known->args[m->n_argument].letter == '\0';
}

static char *copy(struct arena *a, const char *s, size_t max)
{
        return arena_strndup(a, s, strnlen(s, max));
}

/** Under the lock. */
static int keep(struct local *l, const char *name, const Mapi__Function *m, uint32_t life,
                struct backend_function *ret)
{
        struct mapi_arg_spec *args = arena_alloc(l->arena, (m->n_argument + 1) * sizeof *args);
        struct local_name *n = find(l, name);
        const char *own = copy(l->arena, m->name, MAPI_STR_LENGTH - 1);

        if (args == NULL || own == NULL)
                return -1;
        for (size_t i = 0; i < m->n_argument; i++) {
                const Mapi__Argument *a = m->argument[i];

                args[i] = (struct mapi_arg_spec){ .letter = (char)a->letter,
                                                  .optional = a->optional ? 1 : 0,
                                                  .name = copy(l->arena, a->name, MAPI_STR_LENGTH - 1),
                                                  .help = copy(l->arena, a->help, HELP_MAX),
                                                  .def = a->def,
                                                  .min = a->min,
                                                  .max = a->max };
                if (args[i].name == NULL || args[i].help == NULL)
                        return -1;
        }
        if (n == NULL) {
                n = arena_alloc(l->arena, sizeof *n);
                if (n == NULL || (n->name = arena_strndup(l->arena, name, strlen(name))) == NULL)
                        return -1;
                n->next = l->names;
                l->names = n;
        }
        l->nnames++;
        n->life = life;
        n->function = (struct backend_function){ .name = own, .args = args };
        *ret = n->function;
        return 0;
}

static int check(const Mapi__Function *m, struct mapi_error *err)
{
        if (m->n_argument > MAPI_ARGS_MAX)
                return mapi_fail(err, MCOM_UNKNOWN_ERROR, "a function with %zu arguments", m->n_argument);
        for (size_t i = 0; i < m->n_argument; i++)
                if (m->argument[i]->letter == 0 || m->argument[i]->letter > 127 ||
                    strchr("sSRicwlrf", (int)m->argument[i]->letter) == NULL)
                        return mapi_fail(err, MFUNCT_INVALID_ARGUMENT_DESCRIPTOR, "%.64s: argument %zu", m->name,
                                         i + 1);
        return 0;
}

int local_describe(void *state, int fd, const char *name, struct backend_function *ret, struct mapi_error *err)
{
        struct local *l LOCAL_CALL = local_enter(state);
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        Mapi__Describe m = MAPI__DESCRIBE__INIT;
        struct local_call c = { 0 };
        const Mapi__Function *answer;
        const struct local_flow *f;
        struct local_name *n;
        sigset_t mask;
        int r;

        siglock_take(&l->lock, &mask);
        f = local_flow_find(l, fd);
        n = l->alive && (f == NULL || !f->lost) ? find(l, name) : NULL;
        if (n != NULL && n->life == l->life)
                *ret = n->function;
        else
                n = NULL;
        siglock_give(&l->lock, &mask);
        if (n != NULL)
                return 0;

        m.flow = fd;
        m.name = (char *)(uintptr_t)name;
        LOCAL_BODY(e, DESCRIBE, describe, &m);
        r = local_ask(l, &c, &e, fd, NULL, 0, MAPI__ENVELOPE__BODY_FUNCTION, err);
        answer = r == 0 ? c.answer->function : NULL;
        if (r == 0)
                r = check(answer, err);
        if (r == 0) {
                siglock_take(&l->lock, &mask);
                n = find(l, name);
                if (n != NULL && same(&n->function, answer)) {
                        n->life = c.life;
                        *ret = n->function;
                } else if (l->nnames >= LOCAL_NAMES || keep(l, name, answer, c.life, ret) < 0) {
                        r = mapi_fail(err, MAPI_LIMIT_ERROR, "the descriptions of %u functions are kept",
                                      l->nnames);
                }
                siglock_give(&l->lock, &mask);
        }
        local_done(&c);
        return r;
}
