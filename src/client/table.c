/* The table of flows: descriptors to flows without a lock, and to the numbers of their backends.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "client/client.h"

#include <limits.h>
#include <sys/mman.h>

enum {
        PAGES = 4096,
        ENTRIES_PER_PAGE = 4096,
        ENTRIES = PAGES * ENTRIES_PER_PAGE, /* 16 M flows in the life of a process */
        OTHERS = ENTRIES / 2                /* from here on: descriptors of flows whose number is taken */
};

/** An entry outlives its flow: users are counted here, so that looking a flow up needs no lock. */
struct entry {
        _Atomic uint32_t users; /* those who read now, and 1 for the flow itself until it is closed */
        _Atomic uint16_t live;  /* the flow may be looked up */
        uint16_t used;          /* there has been one with this descriptor */
        struct client_flow *flow;
};

static _Atomic(struct entry *) pages[PAGES];
static int next_other = OTHERS; /* under the lock */

static struct entry *entry_of(int fd)
{
        struct entry *page;

        if (fd <= 0 || fd >= ENTRIES)
                return NULL;
        page = atomic_load_explicit(&pages[fd / ENTRIES_PER_PAGE], memory_order_acquire);
        return page == NULL ? NULL : &page[fd % ENTRIES_PER_PAGE];
}

/** The entry with this descriptor, its page made if need be. Under the lock. NULL: no such descriptor, or no
 * memory. */
static struct entry *entry_for(int fd)
{
        struct entry *page;

        if (fd <= 0 || fd >= ENTRIES)
                return NULL;
        page = atomic_load(&pages[fd / ENTRIES_PER_PAGE]);
        if (page == NULL) {
                page = mmap(NULL, ENTRIES_PER_PAGE * sizeof *page, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                if (page == MAP_FAILED)
                        return NULL;
                atomic_store_explicit(&pages[fd / ENTRIES_PER_PAGE], page, memory_order_release);
        }
        return &page[fd % ENTRIES_PER_PAGE];
}

/** The descriptor for a flow with this number: the same if it has never been used, otherwise one that the
 * backends do not come to. Under the lock. 0: none. */
static int free_fd(int number)
{
        struct entry *e = number < OTHERS ? entry_for(number) : NULL;

        if (e != NULL && e->used == 0)
                return number;
        if (next_other >= ENTRIES || entry_for(next_other) == NULL)
                return 0;
        return next_other++;
}

int client_flow_add(struct client_session *s, int number)
{
        struct arena *a = arena_new(NULL);
        struct client_flow *f = a == NULL ? NULL : arena_alloc(a, sizeof *f);
        struct mapi_error ignored = { 0 };
        bool closed = false;
        struct entry *e;
        sigset_t mask;
        int fd = 0;

        client_lock(&mask);
        if (f != NULL && !s->closed)
                fd = free_fd(number);
        if (fd != 0) {
                *f = (struct client_flow){ .fd = fd,
                                           .number = number,
                                           .epoch = s->epoch,
                                           .tried = UINT32_MAX,
                                           .session = s,
                                           .arena = a };
                e = entry_for(fd);
                f->entry = e;
                f->next = s->flows;
                f->link = &s->flows;
                if (f->next != NULL)
                        f->next->link = &f->next;
                s->flows = f;
                s->users++;
                e->used = 1;
                e->flow = f;
                atomic_store(&e->users, 1);
                atomic_store(&e->live, 1);
        } else {
                closed = s->closed;
        }
        client_unlock(&mask);
        if (fd != 0)
                return fd;
        arena_free(&a);
        (void)s->ops->close_flow(s->state, number, &ignored); /* the first error is the one to tell */
        return closed ? client_fail(MAPI_SESSION_ERROR, "it was closed meanwhile")
                      : client_fail(MAPI_LIMIT_ERROR, "no memory or no descriptor for flow %d", number);
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

static void flow_free(struct client_flow *f)
{
        struct client_session *s = f->session;
        struct arena *a = f->arena;

        client_flow_detach(f);
        arena_free(&a);
        client_session_put(s);
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
        struct client_flow *f = NULL;
        sigset_t mask;

        client_lock(&mask);
        if (e != NULL && atomic_exchange(&e->live, 0) != 0) {
                f = e->flow;
                atomic_store(&f->closed, 1);
                *f->link = f->next;
                if (f->next != NULL)
                        f->next->link = f->link;
        }
        client_unlock(&mask);
        if (f == NULL)
                (void)client_fail(MAPI_INVALID_FLOW, "%d", fd);
        return f;
}

int client_flow_close(struct client_flow *f)
{
        struct client_session *s = f->session;
        struct mapi_error err = { 0 };
        int r = s->ops->close_flow(s->state, f->number, &err);

        client_flow_put(f);
        return r < 0 ? client_fail_with(&err) : 0;
}

bool client_flow_any(struct client_session *s, int *ret_fd)
{
        sigset_t mask;
        bool any;

        client_lock(&mask);
        any = s->flows != NULL;
        if (any)
                *ret_fd = s->flows->fd;
        client_unlock(&mask);
        return any;
}

/* ---- numbers
 * ------------------------------------------------------------------------------------------------------- */

int client_number_of(struct client_session *s, int fd)
{
        struct entry *e = entry_of(fd);
        int number = fd;
        sigset_t mask;

        client_lock(&mask);
        if (e != NULL && atomic_load(&e->live) != 0) {
                number = e->flow->session == s ? e->flow->number : INT_MAX;
        } else {
                for (const struct client_flow *f = s->flows; f != NULL; f = f->next)
                        if (f->number == fd)
                                number = INT_MAX; /* of ours, but with another descriptor */
        }
        client_unlock(&mask);
        return number;
}

int client_fd_of(struct client_session *s, int number)
{
        struct entry *e = entry_of(number);
        int fd = number;
        sigset_t mask;

        client_lock(&mask);
        if (e == NULL || atomic_load(&e->live) == 0 || e->flow->session != s || e->flow->number != number)
                for (const struct client_flow *f = s->flows; f != NULL; f = f->next)
                        if (f->number == number)
                                fd = f->fd;
        client_unlock(&mask);
        return fd;
}

/** Nothing is unmapped: a read may have been under way in this thread. */
void client_flows_forget(void)
{
        for (unsigned i = 0; i < PAGES; i++)
                atomic_store(&pages[i], NULL);
        next_other = OTHERS;
}
