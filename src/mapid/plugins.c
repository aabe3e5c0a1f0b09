/* Function libraries of strangers, see plugins.h. SPDX-License-Identifier: BSD-2-Clause */
#include "mapid/plugins.h"

#include "mapid/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void warn(const struct config *c, const char *text)
{
        if (c->libs.line != 0)
                log_warning("%s:%u: %s", c->name, c->libs.line, text);
        else
                log_warning("%s", text);
}

/** There is nothing to load: a table of the engine, or nothing of this name, which is told. */
static bool no_file(const struct config *c, const char *file)
{
        char text[400], path[PLUGIN_PATH_BYTES];

        if (plugin_has_table(file))
                return true;
        if (!plugin_is_table(file) &&
            (strchr(file, '/') != NULL || plugin_find(file, c->libpath.item, c->libpath.n, path, NULL) == 0))
                return false;
        (void)snprintf(text, sizeof text, "there is no function library %.200s; its functions are missing", file);
        warn(c, text);
        return true;
}

static int drop(void *context, struct mapi_error *err)
{
        return privileges_take_trial(context, err);
}

static int try_one(struct plugins *p, const struct config *c, const char *file, struct privileges_user *user,
                   struct mapi_error *err)
{
        const struct plugin_probe how = { .context = user, .drop = drop };
        int r = 0;

        for (unsigned i = 0; i < p->n; i++)
                if (strcmp(p->file[i], file) == 0) /* named twice */
                        return 0;
        if (strlen(file) >= sizeof p->file[0] || p->n == PLUGIN_LIBRARIES_MAX)
                return mapi_fail(err, MAPI_LIBRARY_LOAD_ERR, "%.200s: its name is too long, or there are too many",
                                 file);
        r = plugin_find(file, c->libpath.item, c->libpath.n, p->path[p->n], err);
        if (r == 0 && user->name[0] == '\0')
                r = privileges_find_user(c->user, c->user_line != 0, user, err);
        if (r == 0)
                r = plugin_try(&p->set, p->path[p->n], &how, err);
        if (r < 0)
                return r;
        (void)snprintf(p->file[p->n], sizeof p->file[0], "%s", file);
        p->n++;
        return 0;
}

struct plugins *plugins_try(const struct config *c)
{
        struct plugins *p = calloc(1, sizeof *p);
        struct privileges_user user = { 0 };

        if (p == NULL)
                return NULL;
        plugin_set_begin(&p->set, c->libs.item, c->libs.n);
        for (size_t i = 0; i < c->libs.n; i++) {
                const char *file = c->libs.item[i];
                struct mapi_error err;

                if (!no_file(c, file) && try_one(p, c, file, &user, &err) < 0)
                        warn(c, err.text);
        }
        return p;
}

void plugins_load(struct plugins *p)
{
        unsigned tables = p->set.n - p->n;

        p->set.n = tables; /* now with their code */
        for (unsigned i = 0; i < p->n; i++) {
                struct mapi_error err;

                if (plugin_load(&p->set, p->path[i], &err) < 0)
                        log_warning("%s", err.text);
                else
                        log_info("the function library %s is %s", p->set.library[p->set.n - 1].name, p->path[i]);
        }
}

void plugins_compare(const struct plugins *p, const struct config *c)
{
        for (size_t i = 0; i < c->libs.n; i++) {
                bool loaded = false;
                char text[400];

                if (no_file(c, c->libs.item[i]))
                        continue;
                for (unsigned k = 0; k < p->n; k++)
                        loaded = loaded || strcmp(p->file[k], c->libs.item[i]) == 0;
                if (loaded)
                        continue;
                (void)snprintf(text, sizeof text,
                               "%.200s is not loaded: mapid loads function libraries when it starts",
                               c->libs.item[i]);
                warn(c, text);
        }
}
