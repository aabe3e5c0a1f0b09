/* Hosts and their sessions. SPDX-License-Identifier: BSD-2-Clause */
#include "host/internal.h"

#include "drivers/table.h"
#include "functions/table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static_assert(sizeof(struct session_library) == sizeof(struct functions_library),
              "one is handed over as the other");

enum { LAST_LOOKS = 25 /* of 200 ms */ };

static uint64_t now_s(void *context)
{
        (void)context;
        return (uint64_t)time(NULL);
}

size_t host_half_of_memory(void)
{
        long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);

        return pages > 0 && page > 0 ? (size_t)pages / 2 * (size_t)page : (size_t)1 << 30;
}

uint64_t host_seed(void)
{
        const char *wanted = getenv("MAPI_SEED");
        uint64_t s = 0;

        if (wanted != NULL)
                return strtoull(wanted, NULL, 10);
        if (getrandom(&s, sizeof s, GRND_NONBLOCK) != (ssize_t)sizeof s)
                s = (uint64_t)time(NULL);
        return s;
}

const struct mapi_driver *host_driver(const char *name)
{
        return drivers_find(name);
}

int host_open_source(const char *driver, const struct mapi_source *src, struct capture *ret,
                     struct mapi_error *err)
{
        const struct mapi_driver *d = drivers_find(driver);

        if (d != NULL)
                return capture_open(ret, d, src, err);
        if (src->fd >= 0)
                (void)close(src->fd);
        for (unsigned i = 0; i < src->nmore; i++)
                (void)close(src->more[i]);
        return mapi_fail(err, MAPID_NO_DRIVER, "driver %.64s", driver);
}

int host_translate_filter(const char *text, uint16_t linktype, uint32_t snaplen, struct filter_program *ret,
                          struct mapi_error *err)
{
        return filter_translate(text, linktype, snaplen, ret, err);
}

struct host *host_new(const struct host_options *options)
{
        struct engine_options engine = { .now_s = now_s,
                                         .seed = options->seed,
                                         .count_functions = options->count_functions,
                                         .compiler = options->compiler,
                                         .last_flow = options->last_flow };
        struct arena *a = arena_new(NULL);
        struct host *h = a == NULL ? NULL : arena_alloc(a, sizeof *h);

        if (h != NULL) {
                h->arena = a;
                h->world = options->world;
                h->libraries = options->libraries != NULL ? options->libraries
                                                          : (const struct session_library *)functions_libraries;
                h->last_flow = options->last_flow;
                h->quota.limit_bytes = options->memory_bytes != 0 ? options->memory_bytes : SIZE_MAX;
                (void)pthread_mutex_init(&h->lock.mutex, NULL);
                (void)pthread_mutex_init(&h->opening.mutex, NULL);
                h->engine = engine_new(&engine);
                if (h->engine != NULL)
                        return h;
        }
        arena_free(&a);
        return NULL;
}

/** The threads of devices that were let go use the host's memory until they say that they are gone. */
static bool threads_gone(const struct host *h)
{
        for (struct host_device *d = h->devices; d != NULL; d = d->next)
                for (int i = 0; __atomic_load_n(&d->gone, __ATOMIC_SEQ_CST) == 0; i++) {
                        if (d->in_use || i == LAST_LOOKS)
                                return false;
                        host_wait_gone(d);
                }
        return true;
}

void host_free(struct host **ph)
{
        struct host *h = *ph;
        struct arena *a;

        *ph = NULL;
        if (h == NULL || !threads_gone(h)) /* a source that does not close keeps its memory */
                return;
        engine_free(&h->engine);
        a = h->arena;
        arena_free(&a);
}

struct host_session *host_session_new(struct host *h, const struct session_limits *limits, uid_t uid)
{
        struct session_options options = {
                .limits = *limits,
                .uid = uid,
                .libraries = h->libraries,
                .shared = &h->quota,
        };
        struct arena *a = arena_new(NULL);
        struct host_session *s = a == NULL ? NULL : arena_alloc(a, sizeof *s);
        sigset_t mask;

        host_reclaim(h);
        if (s == NULL)
                goto fail;
        s->session = session_new(h->engine, &options);
        if (s->session == NULL)
                goto fail;
        s->arena = a;
        s->host = h;
        s->devices_max = limits->devices;
        siglock_take(&h->lock, &mask);
        s->next = h->sessions;
        h->sessions = s;
        siglock_give(&h->lock, &mask);
        return s;
fail:
        arena_free(&a);
        return NULL;
}

struct host *host_of(struct host_session *s)
{
        return s->host;
}

struct arena *host_session_unlink(struct host_session *s)
{
        struct host_session **at = &s->host->sessions;

        while (*at != s)
                at = &(*at)->next;
        *at = s->next;
        session_free(&s->session);
        return s->arena;
}

void host_session_free(struct host_session **ps)
{
        struct host_session *s = *ps;
        struct arena *a;
        sigset_t mask;

        *ps = NULL;
        if (s == NULL)
                return;
        siglock_take(&s->host->lock, &mask);
        s->left = true;
        if (s->stuck > 0) { /* a thread is still in the kernel with its memory */
                siglock_give(&s->host->lock, &mask);
                return;
        }
        a = host_session_unlink(s);
        siglock_give(&s->host->lock, &mask);
        arena_free(&a);
}

/* ---- fork ------------------------------------------------------------------------------------------------ */

void host_fork_prepare(struct host *h)
{
        (void)pthread_mutex_lock(&h->lock.mutex); /* the client has blocked signals already */
}

void host_fork_parent(struct host *h)
{
        (void)pthread_mutex_unlock(&h->lock.mutex);
}

/** The threads are not here: nothing can be ended properly. Descriptors are closed, memory stays as it is. */
void host_fork_child(struct host *h)
{
        for (struct host_device *d = h->devices; d != NULL; d = d->next) {
                if (!d->in_use)
                        continue;
                (void)close(d->wake_fd);
                if (atomic_load(&d->kick_fd) >= 0)
                        (void)close(atomic_load(&d->kick_fd));
                if (d->source_fd >= 0)
                        (void)close(d->source_fd);
        }
        for (struct host_session *s = h->sessions; s != NULL; s = s->next)
                session_abandon(s->session);
}
