/* The process-wide client: backend, table of flows, mapped segments, fork and exit. SPDX-License-Identifier: BSD-2-Clause */
#include "client/client.h"

#include "base/siglock.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
        PAGES = 4096,
        ENTRIES_PER_PAGE = 4096, /* 16 M flows in the life of a process */
        SEGMENTS = 4096
};

#define ENGINE_LIBRARY "libmapi-engine.so.0"

/** An entry outlives its flow: users are counted here, so that looking a flow up needs no lock. */
struct entry {
        _Atomic uint32_t users; /* those who read now, and 1 for the flow itself until it is closed */
        _Atomic uint32_t live;  /* the flow may be looked up */
        struct client_flow *flow;
};

/* What a process knows. After fork() the child begins with none of it. */
static struct {
        struct siglock lock;
        sigset_t fork_mask; /* of the thread that forks */
        _Atomic uint32_t ready;
        _Atomic uint32_t opened;
        struct client_backend backend;
        _Atomic(struct entry *) page[PAGES];
        struct results_map segment[SEGMENTS];
} client = { .lock = SIGLOCK_INIT };

/* ---- the backend ------------------------------------------------------------------------------------------ */

static void fork_prepare(void)
{
        sigset_t mask;

        siglock_take(&client.lock, &mask);
        client.fork_mask = mask;
        if (client.backend.ops != NULL)
                client.backend.ops->fork_prepare(client.backend.state);
}

static void fork_parent(void)
{
        sigset_t mask = client.fork_mask;

        if (client.backend.ops != NULL)
                client.backend.ops->fork_parent(client.backend.state);
        siglock_give(&client.lock, &mask);
}

/** The child has the memory but not the threads: it forgets everything. Old flows are unknown, new ones work. */
static void fork_child(void)
{
        if (client.backend.ops != NULL)
                client.backend.ops->fork_child(client.backend.state);
        client.backend = (struct client_backend){ 0 };
        atomic_store(&client.opened, 0);
        for (unsigned i = 0; i < PAGES; i++)
                atomic_store(&client.page[i],
                             NULL); /* not unmapped: a read may have been under way in this thread */
        memset(client.segment, 0, sizeof client.segment);
        (void)pthread_mutex_init(&client.lock.mutex, NULL);
        (void)pthread_sigmask(SIG_SETMASK, &client.fork_mask, NULL);
}

/** Exiting without closing: files are completed, threads end. */
__attribute__((destructor)) static void at_exit(void)
{
        struct client_backend b;
        sigset_t mask;

        siglock_take(&client.lock, &mask);
        b = client.backend;
        client.backend = (struct client_backend){ 0 };
        atomic_store(&client.opened, 0);
        siglock_give(&client.lock, &mask);
        if (b.ops != NULL)
                b.ops->close(b.state);
}

/** The engine where the loader finds it (LD_LIBRARY_PATH, our own run path), or beside libmapi itself. */
static void *load_engine(void)
{
        void *library = dlopen(ENGINE_LIBRARY, RTLD_NOW | RTLD_LOCAL);
        char path[4096];
        const char *slash;
        Dl_info ours;

        if (library != NULL || dladdr(&client, &ours) == 0 || ours.dli_fname == NULL)
                return library;
        slash = strrchr(ours.dli_fname, '/');
        if (slash == NULL || slash - ours.dli_fname > (ptrdiff_t)(sizeof path - sizeof ENGINE_LIBRARY - 2))
                return NULL;
        (void)snprintf(path, sizeof path, "%.*s%s", (int)(slash - ours.dli_fname + 1), ours.dli_fname,
                       ENGINE_LIBRARY);
        return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

/** Loads the engine and starts it. Under the lock. */
static int open_embedded(struct client_backend *ret, struct mapi_error *err)
{
        static bool forks; /* handlers are registered once in the life of the program */
        void *library = load_engine();
        int r;

        if (library == NULL)
                return mapi_fail(err, MAPI_LIBRARY_LOAD_ERR, "the engine for flows inside this process, %s: %s",
                                 ENGINE_LIBRARY, dlerror());
        ret->ops = dlsym(library, "mapi_backend_embedded");
        if (ret->ops == NULL || ret->ops->version != BACKEND_VERSION) {
                ret->ops = NULL;
                return mapi_fail(err, MAPI_LIBRARY_LOAD_ERR, "%s is of another version than libmapi",
                                 ENGINE_LIBRARY);
        }
        r = ret->ops->open(&ret->state, err);
        if (r < 0) {
                ret->ops = NULL;
                return r;
        }
        if (!forks) {
                forks = true;
                (void)pthread_atfork(fork_prepare, fork_parent,
                                     fork_child); /* without memory for it: a child must not use MAPI */
        }
        return 0;
}

static int choose(struct client_backend *ret, struct mapi_error *err)
{
        const char *wanted = getenv("MAPI_BACKEND");

        if (wanted != NULL && wanted[0] != '\0' && strcmp(wanted, "embedded") != 0) {
                if (strcmp(wanted, "local") == 0)
                        return mapi_fail(err, MCOM_INIT_SOCKET_ERROR,
                                         "MAPI_BACKEND=local, but this version has no mapid yet: unset it, or set "
                                         "it to embedded");
                return mapi_fail(err, MCOM_INIT_SOCKET_ERROR, "MAPI_BACKEND is '%.64s', must be local or embedded",
                                 wanted);
        }
        return open_embedded(ret, err);
}

int client_open(struct client_backend *ret)
{
        struct mapi_error err = { 0 };
        sigset_t mask;
        int r = 0;

        siglock_take(&client.lock, &mask);
        if (client.backend.ops == NULL) {
                struct client_backend b = { 0 };

                r = choose(&b, &err);
                if (r == 0) {
                        client.backend = b;
                        atomic_store(&client.opened, 1);
                }
        }
        *ret = client.backend;
        siglock_give(&client.lock, &mask);
        if (r < 0)
                return client_fail_with(&err);
        client_debug("flows run embedded, in this process");
        client_set_ready();
        return 0;
}

bool client_ready(void)
{
        if (atomic_load_explicit(&client.ready, memory_order_relaxed) != 0)
                return true;
        (void)client_fail(MAPI_INIT_ERROR, NULL);
        return false;
}

void client_set_ready(void)
{
        atomic_store_explicit(&client.ready, 1, memory_order_relaxed);
}

int client_get(struct client_backend *ret)
{
        sigset_t mask;

        if (!client_ready())
                return -1;
        siglock_take(&client.lock, &mask);
        *ret = client.backend;
        siglock_give(&client.lock, &mask);
        return ret->ops != NULL ? 0 : client_fail(MAPI_INVALID_FLOW, "no flow has been created in this process");
}

/* ---- the table of flows ----------------------------------------------------------------------------------- */

static struct entry *entry_of(int fd)
{
        struct entry *page;

        if (fd <= 0 || fd >= PAGES * ENTRIES_PER_PAGE)
                return NULL;
        page = atomic_load_explicit(&client.page[fd / ENTRIES_PER_PAGE], memory_order_acquire);
        return page == NULL ? NULL : &page[fd % ENTRIES_PER_PAGE];
}

/** The page for this number, made if need be. */
static struct entry *page_for(int fd)
{
        _Atomic(struct entry *) *at = &client.page[fd / ENTRIES_PER_PAGE];
        struct entry *page = atomic_load(at), *expected = NULL;

        if (page != NULL)
                return page;
        page = mmap(NULL, ENTRIES_PER_PAGE * sizeof *page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                    0);
        if (page == MAP_FAILED)
                return NULL;
        if (!atomic_compare_exchange_strong(at, &expected, page)) {
                (void)munmap(page, ENTRIES_PER_PAGE * sizeof *page);
                return expected;
        }
        return page;
}

int client_flow_add(int fd)
{
        struct arena *a = arena_new(NULL);
        struct client_flow *f = a == NULL ? NULL : arena_alloc(a, sizeof *f);
        struct entry *page = fd > 0 && fd < PAGES * ENTRIES_PER_PAGE ? page_for(fd) : NULL, *e;

        if (f == NULL || page == NULL) {
                arena_free(&a);
                return client_fail(MAPI_LIMIT_ERROR, "no memory for flow %d", fd);
        }
        f->fd = fd;
        f->arena = a;
        e = &page[fd % ENTRIES_PER_PAGE];
        e->flow = f;
        f->entry = e;
        atomic_store(&e->users, 1);
        atomic_store(&e->live, 1);
        return 0;
}

static void flow_free(struct client_flow *f)
{
        struct arena *a = f->arena;

        for (unsigned i = 0; i < f->n; i++)
                if (f->function[i].ring_mapped)
                        ring_reader_unmap(&f->function[i].ring);
        arena_free(&a);
}

struct client_flow *client_flow_get(int fd)
{
        struct entry *e = entry_of(fd);

        if (e != NULL && atomic_load_explicit(&e->live, memory_order_acquire) != 0) {
                uint32_t users = atomic_load_explicit(&e->users, memory_order_relaxed);

                while (users != 0) /* 0: closed meanwhile and freed */
                        if (atomic_compare_exchange_weak_explicit(&e->users, &users, users + 1,
                                                                  memory_order_acquire, memory_order_relaxed))
                                return e->flow;
        }
        (void)client_fail(MAPI_INVALID_FLOW, "%d", fd);
        return NULL;
}

void client_flow_put(struct client_flow *f)
{
        struct entry *e = f->entry;

        if (atomic_fetch_sub_explicit(&e->users, 1, memory_order_acq_rel) == 1)
                flow_free(f);
}

struct client_flow *client_flow_take(int fd)
{
        struct entry *e = entry_of(fd);

        if (e == NULL || atomic_exchange(&e->live, 0) == 0) {
                (void)client_fail(MAPI_INVALID_FLOW, "%d", fd);
                return NULL;
        }
        atomic_store(&e->flow->closed, 1);
        return e->flow;
}

/* ---- mapped results --------------------------------------------------------------------------------------- */

int client_segment(const struct client_backend *b, uint32_t number, struct results_map *ret)
{
        struct mapi_error err = { 0 };
        struct results_map map;
        sigset_t mask;
        size_t size;
        void *mem;
        int fd;

        if (number >= SEGMENTS)
                return client_fail(MAPI_SHM_ERR, "segment %u", number);
        siglock_take(&client.lock, &mask);
        map = client.segment[number];
        if (map.mem == NULL) {
                fd = b->ops->segment(b->state, number, &size, &err);
                mem = fd < 0 ? MAP_FAILED : mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
                if (fd >= 0)
                        (void)close(fd);
                map = (struct results_map){ .mem = mem, .size = size };
                if (mem == MAP_FAILED) {
                        map.mem = NULL;
                } else if (results_check(&map) < 0) {
                        (void)munmap(mem, size);
                        map.mem = NULL;
                } else {
                        client.segment[number] = map;
                }
        }
        siglock_give(&client.lock, &mask);
        if (map.mem == NULL)
                return client_fail(MAPI_SHM_ERR, "segment %u cannot be mapped", number);
        *ret = map;
        return 0;
}

static int attach_one(struct client_flow *f, const struct client_backend *b, const struct backend_place *p,
                      struct client_function *fn)
{
        struct mapi_error err = { 0 };
        struct backend_ring ring;
        struct results_map map;
        int r;

        *fn = (struct client_function){ .fid = p->fid, .kind = p->kind, .nowait = p->nowait };
        if (p->kind == MAPI_RESULT_NONE)
                return 0;
        if (client_segment(b, p->segment, &map) < 0)
                return -1;
        if (results_find(&map, p->entry, f->fd, p->fid, &fn->ref) < 0)
                return client_fail(MAPI_SHM_ERR, "function %d of flow %d", p->fid, f->fd);
        if (p->kind != MAPI_RESULT_PACKETS) {
                fn->result.size = (int)fn->ref.size;
                fn->result.res = arena_alloc(f->arena, fn->ref.size);
                return fn->result.res != NULL
                               ? 0
                               : client_fail(MAPID_MEM_ALLOCATION_ERROR, "result of %u bytes", fn->ref.size);
        }
        fn->ring.shared = (const struct results_ring *)fn->ref.slot;
        r = b->ops->ring(b->state, f->fd, p->fid, &ring, &err);
        if (r < 0)
                return client_fail_with(&err);
        r = ring_reader_map(&fn->ring, ring.fd, ring.size_bytes, ring.generation);
        (void)close(ring.fd);
        if (r < 0)
                return client_fail(MAPI_SHM_ERR, "packet ring of flow %d", f->fd);
        fn->ring_mapped = true;
        return 0;
}

int client_flow_attach(struct client_flow *f, const struct client_backend *b)
{
        struct mapi_error err = { 0 };
        struct backend_place p;
        struct results_map map;
        unsigned n = 0;

        if (b->ops->status_place(b->state, f->fd, &p, &err) < 0)
                return client_fail_with(&err);
        if (client_segment(b, p.segment, &map) < 0)
                return -1;
        if (results_find(&map, p.entry, f->fd, 0, &f->status) < 0)
                return client_fail(MAPI_SHM_ERR, "flow %d", f->fd);
        while (b->ops->place(b->state, f->fd, n, &p, &err) == 0)
                n++;
        f->function = arena_alloc(f->arena, (n + 1) * sizeof *f->function);
        if (f->function == NULL)
                return client_fail(MAPID_MEM_ALLOCATION_ERROR, "%u functions", n);
        for (unsigned i = 0; i < n; i++) {
                if (b->ops->place(b->state, f->fd, i, &p, &err) < 0)
                        return client_fail_with(&err);
                if (attach_one(f, b, &p, &f->function[i]) < 0)
                        return -1;
                f->n = i + 1;
        }
        atomic_store(&f->connected, 1);
        return 0;
}
