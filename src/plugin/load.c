/* Finding and loading function libraries, see plugin.h. SPDX-License-Identifier: BSD-2-Clause */
#include "plugin/plugin.h"

#include "base/error.h"
#include "functions/table.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const struct mapi_function *const no_functions[] = { NULL };

/** Every table that the engine has in one version or another. */
static const char *const tables[] = { "stdflib", "extraflib", "anonflib", "ipfixflib", "dagflib", "napatechflib" };

static bool stands_for(const char *file, const char *table)
{
        size_t n = strlen(table);

        return strncmp(file, table, n) == 0 && (file[n] == '\0' || strcmp(file + n, ".so") == 0);
}

bool plugin_is_table(const char *file)
{
        for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
                if (stands_for(file, tables[i]))
                        return true;
        return plugin_has_table(file);
}

bool plugin_has_table(const char *file)
{
        for (const struct functions_library *l = functions_libraries; l->name != NULL; l++)
                if (stands_for(file, l->name))
                        return true;
        return false;
}

static bool has(const struct plugin_set *set, const char *name)
{
        for (unsigned i = 0; i < set->n; i++)
                if (strcmp(set->library[i].name, name) == 0)
                        return true;
        return false;
}

void plugin_append(struct plugin_set *set, const char *name, const struct mapi_function *const *functions)
{
        (void)snprintf(set->name[set->n], sizeof set->name[0], "%s", name);
        set->library[set->n].name = set->name[set->n];
        set->library[set->n].functions = functions == NULL ? no_functions : functions;
        set->n++;
        set->library[set->n] = (struct session_library){ 0 };
}

void plugin_set_begin(struct plugin_set *set, const char *const *files, size_t n)
{
        memset(set, 0, sizeof *set);
        for (size_t i = 0; i < n; i++)
                for (const struct functions_library *l = functions_libraries; l->name != NULL; l++)
                        if (stands_for(files[i], l->name) && !has(set, l->name))
                                plugin_append(set, l->name, l->functions);
        for (const struct functions_library *l = functions_libraries; l->name != NULL; l++)
                if (!has(set, l->name))
                        plugin_append(set, l->name, l->functions);
}

int plugin_find(const char *file, const char *const *folder, size_t nfolders, char ret[PLUGIN_PATH_BYTES],
                struct mapi_error *err)
{
        char path[PLUGIN_PATH_BYTES];
        struct stat st;

        if (strchr(file, '/') != NULL)
                return mapi_fail(
                        err, MAPI_LIBRARY_LOAD_ERR,
                        "'%.200s' has a slash; libs= wants names of files in the folders of libpath=", file);
        for (size_t i = 0; i < nfolders; i++) {
                int len = snprintf(path, sizeof path, "%s/%s", folder[i], file);

                if (folder[i][0] != '/' || len < 0 || (size_t)len >= sizeof path || stat(path, &st) < 0 ||
                    !S_ISREG(st.st_mode))
                        continue;
                (void)memcpy(ret, path, (size_t)len + 1);
                return 0;
        }
        if (nfolders == 0)
                return mapi_fail(err, MAPI_LIBRARY_LOAD_ERR, "there is no libpath= to find %.200s in", file);
        return mapi_fail(err, MAPI_LIBRARY_LOAD_ERR, "there is no %.200s in the folders of libpath=", file);
}

/* ---- what a library says ------------------------------------------------------------------------------------- */

/** Letters of the kind, digits, and of `more`; bounded, since nothing is known about the string. */
static bool name_fits(const char *name, bool upper)
{
        size_t n = 0;

        if (name == NULL)
                return false;
        for (; n <= MAPI_LIBRARY_NAME_MAX && name[n] != '\0'; n++) {
                bool big = name[n] >= 'A' && name[n] <= 'Z', small = name[n] >= 'a' && name[n] <= 'z';
                bool digit = name[n] >= '0' && name[n] <= '9';

                if (upper ? !big && (n == 0 || (!digit && name[n] != '_'))
                          : !big && !small && !digit && (n == 0 || (name[n] != '_' && name[n] != '-')))
                        return false;
        }
        return n > 0 && n <= MAPI_LIBRARY_NAME_MAX;
}

#define REFUSE(...) mapi_fail(err, MAPI_LIBRARY_LOAD_ERR, __VA_ARGS__)

static int check_schema(const struct mapi_function *f, struct mapi_error *err)
{
        bool optional = false, file = false;
        int i = 0;

        for (; f->args != NULL && f->args[i].letter != '\0'; i++) {
                const struct mapi_arg_spec *a = &f->args[i];

                if (i == MAPI_ARGS_MAX)
                        return REFUSE("%s has more than %d arguments, or no end of them", f->name, MAPI_ARGS_MAX);
                if (strchr("siclwrfSR", a->letter) == NULL)
                        return REFUSE("argument %d of %s has the letter '%c', which is none", i + 1, f->name,
                                      a->letter >= ' ' && a->letter <= '~' ? a->letter : '?');
                if (a->name == NULL || a->name[0] == '\0' || a->help == NULL)
                        return REFUSE("argument %d of %s has no name or no help", i + 1, f->name);
                if (optional && !a->optional)
                        return REFUSE("argument %d of %s must be optional, as one before it is", i + 1, f->name);
                if (a->optional && strchr("wrf", a->letter) != NULL)
                        return REFUSE("argument %d of %s names a file or a function and cannot be optional", i + 1,
                                      f->name);
                if (a->letter == 'f' && (i == 0 || f->args[i - 1].letter != 'r'))
                        return REFUSE("argument %d of %s is a function without a flow in front of it", i + 1,
                                      f->name);
                if (a->min > a->max)
                        return REFUSE("argument %d of %s has a range that is empty", i + 1, f->name);
                if (a->optional && a->min < a->max && strchr("ic", a->letter) != NULL &&
                    (a->def < a->min || a->def > a->max))
                        return REFUSE("the default of argument %d of %s is outside of its range", i + 1, f->name);
                optional = a->optional != 0;
                file = file || a->letter == 'w';
        }
        if (f->shape == MAPI_SINK && !file)
                return REFUSE("%s is a sink without an argument for its file", f->name);
        return 0;
}

static int check_result(const struct mapi_function *f, struct mapi_error *err)
{
        const struct mapi_result_spec *r = &f->result;

        if ((unsigned)r->kind > MAPI_RESULT_QUEUE || (unsigned)r->combine > MAPI_COMBINE_SERIAL ||
            (unsigned)r->full > MAPI_OVERRUN_NEWEST)
                return REFUSE("the result of %s is of no known kind", f->name);
        if (r->kind != MAPI_RESULT_NONE && r->unit == NULL)
                return REFUSE("the result of %s has no unit", f->name);
        if (r->kind == MAPI_RESULT_COUNTER && r->size != 0 && r->size != 4 && r->size != 8)
                return REFUSE("the counter of %s has %u bytes, it can have 4 or 8", f->name, r->size);
        if ((r->kind == MAPI_RESULT_RECORD || r->kind == MAPI_RESULT_QUEUE) && r->size == 0 && f->start == NULL)
                return REFUSE("the record of %s has no bytes, and there is no .start to say how many", f->name);
        if (r->size > 1u << 20)
                return REFUSE("the result of %s has %u bytes, the most are 1 MiB", f->name, r->size);
        return 0;
}

static int check_function(const struct mapi_function *f, struct mapi_error *err)
{
        int r;

        if (f->abi != MAPI_FUNCTION_ABI)
                return REFUSE("a function is made for version %u of function.h, this is version %d", f->abi,
                              MAPI_FUNCTION_ABI);
        if (!name_fits(f->name, true))
                return REFUSE("a function has no name in upper case (letters, digits and _, at most %d)",
                              MAPI_LIBRARY_NAME_MAX);
        if (f->help == NULL || f->help[0] == '\0')
                return REFUSE("%s has no help", f->name);
        if (f->shape < MAPI_PREDICATE || f->shape > MAPI_SINK)
                return REFUSE("%s has the shape %u, which is none", f->name, (unsigned)f->shape);
        if (f->shape == MAPI_PREDICATE && f->run != NULL)
                return REFUSE("%s is a predicate and must not have .run", f->name);
        if (f->shape == MAPI_PREDICATE && f->start == NULL)
                return REFUSE("%s is a predicate and has no .start that says what it looks for", f->name);
        if (f->shape != MAPI_PREDICATE && f->run == NULL)
                return REFUSE("%s has no .run", f->name);
        if (f->shape == MAPI_SINK && f->start == NULL)
                return REFUSE("%s is a sink and has no .start that opens its file", f->name);
        if ((f->shape == MAPI_SINK || f->result.kind == MAPI_RESULT_PACKETS) && f->room.per_packet == 0 &&
            f->room.with_bytes == 0)
                return REFUSE("%s has a queue and does not say how much room a packet takes", f->name);
        r = check_schema(f, err);
        return r < 0 ? r : check_result(f, err);
}

int plugin_check(const struct plugin_set *set, const struct mapi_library *l, struct mapi_error *err)
{
        int n = 0;

        if (l->abi != MAPI_FUNCTION_ABI)
                return REFUSE("it is made for version %u of function.h, this is version %d", l->abi,
                              MAPI_FUNCTION_ABI);
        if (!name_fits(l->name, false))
                return REFUSE("it has no name (letters, digits, - and _, at most %d)", MAPI_LIBRARY_NAME_MAX);
        if (plugin_is_table(l->name))
                return REFUSE("its name is %s, which is MAPI's own", l->name);
        if (has(set, l->name))
                return REFUSE("its name is %s, as that of another library", l->name);
        if (set->n == PLUGIN_LIBRARIES_MAX)
                return REFUSE("%u libraries are the most", PLUGIN_LIBRARIES_MAX);
        if (l->functions == NULL || l->functions[0] == NULL)
                return REFUSE("it has no functions");
        for (; l->functions[n] != NULL; n++) {
                int r;

                if (n == MAPI_LIBRARY_FUNCTIONS_MAX)
                        return REFUSE("it has more than %d functions, or no end of them",
                                      MAPI_LIBRARY_FUNCTIONS_MAX);
                r = check_function(l->functions[n], err);
                if (r < 0)
                        return r;
                for (int i = 0; i < n; i++)
                        if (strcmp(l->functions[i]->name, l->functions[n]->name) == 0)
                                return REFUSE("two of its functions are named %s", l->functions[n]->name);
        }
        return 0;
}

/* ---- loading --------------------------------------------------------------------------------------------------- */

/** The sentence behind the path; that of the code is said once, in front of it. */
static int with_path(const char *path, const struct mapi_error *why, struct mapi_error *err)
{
        const char *sentence = error_sentence(why->code), *text = why->text;
        size_t n = strlen(sentence);

        if (strncmp(text, sentence, n) == 0 && strncmp(text + n, ": ", 2) == 0)
                text += n + 2;
        return mapi_fail(err, why->code, "%.200s: %.280s", path, text);
}

int plugin_load(struct plugin_set *set, const char *path, struct mapi_error *err)
{
        const struct mapi_library *l;
        struct mapi_error why;
        void *handle;
        int r;

        if (path[0] != '/') /* the loader would look in places of its own */
                return mapi_fail(err, MAPI_LIBRARY_LOAD_ERR, "%.200s: not an absolute path", path);
        handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (handle == NULL) {
                const char *text = dlerror();
                size_t n = strlen(path);

                if (text == NULL)
                        text = "it cannot be loaded";
                else if (strncmp(text, path, n) == 0 && strncmp(text + n, ": ", 2) == 0)
                        text += n + 2; /* it will be said in front */
                return mapi_fail(err, MAPI_LIBRARY_LOAD_ERR, "%.200s: %.280s", path, text);
        }
        l = dlsym(handle, "mapi_library");
        if (l == NULL)
                r = mapi_fail(&why, MDLIB_ETH_SYM_NOT_FOUND,
                              "there is no mapi_library in it, so it is no function library");
        else
                r = plugin_check(set, l, &why);
        if (r < 0) {
                r = with_path(path, &why, err);
                (void)dlclose(handle);
                return r;
        }
        plugin_append(set, l->name, l->functions);
        return 0;
}
