/* One client's flows. SPDX-License-Identifier: BSD-2-Clause */
#include "session/session.h"

#include "base/reflist.h"

#include <mapi.h>

#include <string.h>
#include <unistd.h>

/** A flow as its owner sees it. */
struct entry {
        int fd;
        struct flow *flow;
        uint64_t start_s;
        bool busy;   /* a function is being applied */
        bool doomed; /* closed meanwhile */
};

struct session {
        struct arena *arena;
        struct engine *engine;
        struct session_options options;
        struct quota quota;
        struct segments *segments;
        struct entry *entry; /* by number, ascending */
        uint32_t n, max;
        struct arena *entries_arena;
};

struct session *session_new(struct engine *e, const struct session_options *options)
{
        struct arena *a = arena_new(NULL);
        struct session *s = a == NULL ? NULL : arena_alloc(a, sizeof *s);

        if (s == NULL) {
                arena_free(&a);
                return NULL;
        }
        s->arena = a;
        s->engine = e;
        s->options = *options;
        s->quota.limit_bytes = options->limits.memory_bytes;
        s->quota.shared = options->shared;
        s->segments = segments_new(&s->quota);
        if (s->segments == NULL)
                arena_free(&a);
        return a == NULL ? NULL : s;
}

void session_free(struct session **ps)
{
        struct session *s = *ps;
        struct arena *a;

        *ps = NULL;
        if (s == NULL)
                return;
        segments_free(&s->segments);
        arena_free(&s->entries_arena);
        a = s->arena;
        arena_free(&a);
}

void session_abandon(struct session *s)
{
        struct instance *in;
        size_t size;
        int fd;

        for (uint32_t i = 0; i < s->n; i++)
                for (int fid = 0; (in = engine_function(s->entry[i].flow, fid, true)) != NULL; fid = in->fid) {
                        if (in->ring != NULL)
                                (void)close(in->ring->fd);
                        if (in->sink != NULL)
                                (void)close(in->sink->fd);
                }
        for (uint32_t i = 0; (fd = segments_fd(s->segments, i, &size)) >= 0; i++)
                (void)close(fd);
}

struct segments *session_segments(struct session *s)
{
        return s->segments;
}

/* ---- functions ------------------------------------------------------------------------------------------- */

const struct session_library *session_library(const struct session *s, int number)
{
        const struct session_library *l = s->options.libraries;

        for (; l->name != NULL && number > 0; l++)
                number--;
        return l->name == NULL || number < 0 ? NULL : l;
}

/** Our functions are of device type "1", any: a wanted type must be that one. */
static bool type_fits(const char *type)
{
        return type == NULL || strcmp(type, "1") == 0;
}

int session_find_function(const struct session *s, const char *name, const struct mapi_function **ret,
                          const char **ret_library, struct mapi_error *err)
{
        const char *colon = strchr(name, ':'), *bang = strchr(name, '!');
        const char *start = colon != NULL && (bang == NULL || colon < bang) ? colon + 1 : name;
        size_t len = bang != NULL ? (size_t)(bang - start) : strlen(start);
        size_t library_len = start == name ? 0 : (size_t)(start - 1 - name);

        if (!type_fits(bang != NULL ? bang + 1 : NULL))
                return mapi_fail(err, MAPI_FUNCTION_NOT_FOUND, "'%.64s': no implementation for this device type",
                                 name);
        for (const struct session_library *l = s->options.libraries; l->name != NULL; l++) {
                if (start != name && (strlen(l->name) != library_len || strncmp(l->name, name, library_len) != 0))
                        continue;
                for (const struct mapi_function *const *f = l->functions; *f != NULL; f++)
                        if (strlen((*f)->name) == len && strncmp((*f)->name, start, len) == 0) {
                                *ret = *f;
                                *ret_library = l->name;
                                return 0;
                        }
        }
        return mapi_fail(err, MAPI_FUNCTION_NOT_FOUND, "'%.64s'", name);
}

/* ---- flows ------------------------------------------------------------------------------------------------- */

/** Index of the first entry whose number is at least fd. */
static uint32_t lower_bound(const struct session *s, int fd)
{
        uint32_t low = 0, high = s->n;

        while (low < high) {
                uint32_t mid = low + (high - low) / 2;

                if (s->entry[mid].fd < fd)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low;
}

static struct entry *entry_of(const struct session *s, int fd)
{
        uint32_t i = lower_bound(s, fd);

        return i < s->n && s->entry[i].fd == fd && !s->entry[i].doomed ? &s->entry[i] : NULL;
}

static int no_flow(int fd, struct mapi_error *err)
{
        return mapi_fail(err, MAPI_INVALID_FLOW, "%d", fd);
}

struct flow *session_flow(const struct session *s, int fd)
{
        struct entry *e = entry_of(s, fd);

        return e == NULL ? NULL : e->flow;
}

struct flow *session_next_flow(const struct session *s, int fd)
{
        for (uint32_t i = lower_bound(s, fd); i < s->n; i++)
                if (s->entry[i].fd > fd && !s->entry[i].doomed)
                        return s->entry[i].flow;
        return NULL;
}

/** Room for one more entry; the table moves to an arena of twice the size. */
static int entries_grow(struct session *s)
{
        uint32_t max = s->max == 0 ? 64 : 2 * s->max;
        struct arena *a = arena_new(&s->quota);
        struct entry *larger = a == NULL ? NULL : arena_alloc(a, max * sizeof *larger);

        if (larger == NULL) {
                arena_free(&a);
                return -1;
        }
        if (s->n > 0)
                memcpy(larger, s->entry, s->n * sizeof *larger);
        arena_free(&s->entries_arena);
        s->entries_arena = a;
        s->entry = larger;
        s->max = max;
        return 0;
}

bool session_has(const struct session *s, int fd)
{
        uint32_t i = lower_bound(s, fd);

        return i < s->n && s->entry[i].fd == fd;
}

int session_create_flow(struct session *s, struct device *d, int wanted, struct mapi_error *err)
{
        struct flow_home home = {
                .quota = &s->quota,
                .segments = s->segments,
                .ring_bytes = s->options.limits.ring_bytes,
                .sink_bytes = s->options.limits.sink_bytes,
                .owner = s,
                .number = wanted,
        };
        struct flow *f;
        uint32_t at;
        int r;

        if (s->n >= s->options.limits.flows)
                return mapi_fail(err, MAPI_LIMIT_ERROR, "%u flows", s->options.limits.flows);
        if (s->n == s->max && entries_grow(s) < 0)
                return mapi_fail(err, MAPI_LIMIT_ERROR, "no memory for another flow in this session");
        r = engine_flow_new(s->engine, d, &home, &f, err);
        if (r < 0)
                return r;
        at = lower_bound(s, engine_flow_number(f)); /* at the end, unless it returns to a number */
        memmove(&s->entry[at + 1], &s->entry[at], (s->n - at) * sizeof s->entry[0]);
        s->entry[at] = (struct entry){ .fd = engine_flow_number(f), .flow = f };
        s->n++;
        return engine_flow_number(f);
}

static int position_code(uint32_t i)
{
        return i < 5    ? MFUNCT_INVALID_ARGUMENT_1 + (int)i
               : i == 5 ? MFUNCT_INVALID_ARGUMENT_6
                        : MFUNCT_INVALID_ARGUMENT;
}

/** What the references of a function have been resolved to. */
struct refs {
        uint32_t n, nmarks;
        struct instance *ref[MAPI_REFS_MAX];
        struct flow_mark *mark[MAPI_REFS_MAX];
};

/** A flow that argument i names: of this session, on the same device. */
static int find_flow(const struct session *s, const struct flow *f, const struct mapi_function *def, uint32_t i,
                     long long number, struct flow **ret, struct mapi_error *err)
{
        const struct entry *e = number > 0 && number <= INT32_MAX ? entry_of(s, (int)number) : NULL;

        if (e == NULL)
                return mapi_fail(err, position_code(i), "%s: there is no flow %lld", def->name, number);
        if (engine_flow_device(e->flow) != engine_flow_device(f))
                return mapi_fail(err, position_code(i), "%s: flow %lld is on another device", def->name, number);
        *ret = e->flow;
        return 0;
}

/** A function that argument i names. Its result can be read as often as one likes; number: it is one. */
static int find_function(const struct session *s, const struct flow *f, const struct mapi_function *def,
                         uint32_t i, long long flow, long long fid, bool number, struct refs *refs,
                         struct mapi_error *err)
{
        enum mapi_result_kind kind;
        struct instance *in;
        struct flow *home;
        int r = find_flow(s, f, def, i, flow, &home, err);

        if (r < 0)
                return r;
        in = fid > 0 && fid <= INT32_MAX ? engine_function(home, (int)fid, false) : NULL;
        if (in == NULL)
                return mapi_fail(err, position_code(i), "%s: flow %lld has no function %lld", def->name, flow,
                                 fid);
        kind = in->fn.def->result.kind;
        if (kind != MAPI_RESULT_COUNTER && (number || kind != MAPI_RESULT_RECORD))
                return mapi_fail(err, position_code(i), "%s: %s has no %s to read", def->name, in->fn.def->name,
                                 number ? "number" : "result");
        if (refs->n == MAPI_REFS_MAX)
                return mapi_fail(err, position_code(i), "%s: more than %d references", def->name, MAPI_REFS_MAX);
        refs->ref[refs->n++] = in;
        return 0;
}

/** What a list names. */
static int find_listed(const struct session *s, const struct flow *f, const struct mapi_function *def, uint32_t i,
                       const char *text, struct refs *refs, struct mapi_error *err)
{
        bool functions = def->args[i].letter == 'S';
        struct reflist_item item[MAPI_REFS_MAX];
        int n = reflist_parse(text, functions, item, MAPI_REFS_MAX), r = 0;
        struct flow *home;

        if (n < 0)
                return mapi_fail(err, position_code(i), "%s: '%.100s' is not a list such as \"%s\"", def->name,
                                 text == NULL ? "" : text, functions ? "1@3,2@3" : "3,4");
        for (int k = 0; k < n && r == 0; k++) {
                if (functions) {
                        r = find_function(s, f, def, i, item[k].flow, item[k].fid, false, refs, err);
                        continue;
                }
                r = find_flow(s, f, def, i, item[k].flow, &home, err);
                if (r == 0 && refs->nmarks == MAPI_REFS_MAX)
                        r = mapi_fail(err, position_code(i), "%s: more than %d flows", def->name, MAPI_REFS_MAX);
                if (r == 0)
                        refs->mark[refs->nmarks++] = engine_flow_mark(home);
        }
        return r;
}

/** Everything that the arguments refer to. */
static int resolve(const struct session *s, const struct flow *f, const struct mapi_function *def,
                   const struct mapi_value *values, uint32_t nvalues, struct refs *ret, struct mapi_error *err)
{
        int r = 0;

        ret->n = ret->nmarks = 0;
        for (uint32_t i = 0; i < nvalues && r == 0; i++) {
                char letter = def->args[i].letter;

                if (letter == 'r' && i + 1 < nvalues && def->args[i + 1].letter == 'f')
                        r = find_function(s, f, def, i, values[i].num, values[i + 1].num, true, ret, err);
                else if (letter == 'S' || letter == 'R')
                        r = find_listed(s, f, def, i, values[i].str, ret, err);
        }
        return r;
}

/** Everything that is checked before the instance takes the values over. */
static int check_apply(const struct session *s, int fd, const char *name, const struct mapi_value *values,
                       uint32_t nvalues, struct entry **ret_entry, const struct mapi_function **ret_def,
                       const char **ret_library, struct refs *ret_refs, struct mapi_error *err)
{
        struct entry *e = entry_of(s, fd);
        int r;

        if (e == NULL)
                return no_flow(fd, err);
        if (engine_flow_connected(e->flow))
                return mapi_fail(err, MFUNCT_COULD_NOT_APPLY_FUNCT, "flow %d is connected already", fd);
        if (e->busy)
                return mapi_fail(err, MFUNCT_COULD_NOT_APPLY_FUNCT, "another function is being applied to flow %d",
                                 fd);
        r = session_find_function(s, name, ret_def, ret_library, err);
        if (r == 0) /* before the references: the historic order */
                r = instance_check_ranges(*ret_def, values, nvalues, err);
        if (r == 0)
                r = resolve(s, e->flow, *ret_def, values, nvalues, ret_refs, err);
        *ret_entry = e;
        return r;
}

int session_apply_begin(struct session *s, int fd, const char *name, const struct mapi_value *values,
                        uint32_t nvalues, struct instance **ret, struct mapi_error *err)
{
        const struct mapi_function *def;
        const char *library;
        struct entry *e = NULL;
        struct refs refs;
        int r;

        r = check_apply(s, fd, name, values, nvalues, &e, &def, &library, &refs, err);
        if (r < 0) {
                for (uint32_t i = 0; i < nvalues; i++)
                        if (values[i].fd >= 0)
                                close(values[i].fd);
                return r;
        }
        r = engine_apply_begin(e->flow, def, library, values, nvalues, refs.ref, refs.n, ret, err);
        if (r == 0 && refs.nmarks > 0 && instance_watch(*ret, refs.mark, refs.nmarks, err) < 0)
                r = engine_apply_end(e->flow, *ret, -MAPID_MEM_ALLOCATION_ERROR, err);
        if (r == 0)
                e->busy = true;
        return r;
}

static void entry_remove(struct session *s, uint32_t i)
{
        s->n--;
        memmove(&s->entry[i], &s->entry[i + 1], (s->n - i) * sizeof s->entry[0]);
}

int session_apply_end(struct session *s, int fd, struct instance *in, int started, struct flow **ret_closed,
                      struct mapi_error *err)
{
        uint32_t i = lower_bound(s, fd);
        struct entry *e = &s->entry[i]; /* it is there: a busy flow is only marked when it is closed */
        int r;

        r = engine_apply_end(e->flow, in, started, err);
        e->busy = false;
        *ret_closed = NULL;
        if (!e->doomed)
                return r;
        *ret_closed = e->flow;
        entry_remove(s, i);
        return no_flow(fd, err);
}

bool session_busy(const struct session *s, int fd)
{
        const struct entry *e = entry_of(s, fd);

        return e != NULL && e->busy;
}

int session_connect(struct session *s, int fd, struct mapi_error *err)
{
        struct entry *e = entry_of(s, fd);
        int r;

        if (e == NULL)
                return no_flow(fd, err);
        if (e->busy)
                return mapi_fail(err, MFUNCT_COULD_NOT_APPLY_FUNCT, "a function is being applied to flow %d", fd);
        r = engine_flow_connect(e->flow, err);
        if (r == 0)
                e->start_s = engine_now_s(s->engine);
        return r;
}

int session_close_begin(struct session *s, int fd, struct flow **ret, struct mapi_error *err)
{
        struct entry *e = entry_of(s, fd);
        int r;

        if (e == NULL)
                return no_flow(fd, err);
        if (e->busy) {
                e->doomed = true;
                *ret = NULL;
                return 0;
        }
        r = engine_flow_detach(e->flow, err);
        if (r < 0)
                return r;
        *ret = e->flow;
        entry_remove(s, (uint32_t)(e - s->entry));
        return 0;
}

void session_close_end(struct session *s, struct flow *f)
{
        (void)s;
        engine_flow_free(&f);
}

void session_flow_facts(const struct session *s, const struct flow *f, struct session_flow_facts *ret)
{
        const struct entry *e = entry_of(s, engine_flow_number(f));
        const struct results_flow *status = engine_flow_place(f)->mem;

        *ret = (struct session_flow_facts){
                .fd = engine_flow_number(f),
                .uid = s->options.uid,
                .functions = engine_flow_functions(f),
                .start = e == NULL ? 0 : (time_t)e->start_s,
                .status = (int)__atomic_load_n(&status->status, __ATOMIC_ACQUIRE),
                .device = engine_flow_device(f),
        };
        if (ret->status == FLOW_FINISHED)
                ret->end = (time_t)status->end_s;
}
