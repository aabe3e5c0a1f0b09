/* The process: its one lock, fork and exit, and the sessions that it has. SPDX-License-Identifier: BSD-2-Clause */
#include "client/client.h"

#include "base/siglock.h"

#include <string.h>

/* What a process knows. After fork() the child begins with none of it. */
static struct {
        struct siglock life; /* while a backend is opened or closed, and around fork; taken before the other one */
        struct siglock lock;
        sigset_t life_mask, lock_mask; /* of the thread that forks */
        _Atomic uint32_t ready;
        bool forks;                 /* handlers are registered once in the life of the program */
        int last_number;            /* of a session; none is used twice */
        struct client_session *own; /* the program's own */
        struct client_session *further[SESSIONS_MAX];
        struct client_session *all; /* those, and those that are closed but still in use */
} client = { .life = SIGLOCK_INIT, .lock = SIGLOCK_INIT };

/** The session that the calling thread has chosen; 0: the program's own. */
static _Thread_local int chosen;

void client_lock(sigset_t *ret_mask)
{
        siglock_take(&client.lock, ret_mask);
}

void client_unlock(const sigset_t *mask)
{
        siglock_give(&client.lock, mask);
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

/* ---- fork and exit ------------------------------------------------------------------------------------------ */

static void fork_prepare(void)
{
        sigset_t mask;

        siglock_take(&client.life, &mask);
        client.life_mask = mask;
        siglock_take(&client.lock, &mask);
        client.lock_mask = mask;
        for (struct client_session *s = client.all; s != NULL; s = s->next)
                s->ops->fork_prepare(s->state);
}

static void fork_parent(void)
{
        sigset_t mask = client.lock_mask;

        for (struct client_session *s = client.all; s != NULL; s = s->next)
                s->ops->fork_parent(s->state);
        siglock_give(&client.lock, &mask);
        mask = client.life_mask;
        siglock_give(&client.life, &mask);
}

/** The child has the memory but not the threads: it forgets everything. Old flows are unknown, new ones work. */
static void fork_child(void)
{
        for (struct client_session *s = client.all; s != NULL; s = s->next) {
                s->ops->fork_child(s->state);
                s->ended = true; /* a call may be under way in this thread: nothing is closed or unmapped */
        }
        client.own = client.all = NULL;
        memset(client.further, 0, sizeof client.further);
        chosen = 0;
        client_flows_forget();
        (void)pthread_mutex_init(&client.lock.mutex, NULL);
        (void)pthread_mutex_init(&client.life.mutex, NULL);
        (void)pthread_sigmask(SIG_SETMASK, &client.life_mask, NULL);
}

/** Exiting without closing: files are completed, threads end. */
__attribute__((destructor)) static void at_exit(void)
{
        struct client_session *all;
        sigset_t mask;

        siglock_take(&client.lock, &mask);
        all = client.all;
        for (struct client_session *s = all; s != NULL; s = s->next)
                s->ended = true;
        client.own = client.all = NULL;
        memset(client.further, 0, sizeof client.further);
        siglock_give(&client.lock, &mask);
        for (struct client_session *s = all; s != NULL; s = s->next)
                s->ops->close(s->state);
        siglock_take(&client.life, &mask); /* who closes one just now comes to its end */
        siglock_give(&client.life, &mask);
}

/* ---- sessions
 * -------------------------------------------------------------------------------------------------- */

/** A new session with its backend. Under client.life alone. NULL with a filled error. */
static struct client_session *make(const char *path, bool local_only, struct mapi_error *err)
{
        struct arena *a = arena_new(NULL);
        struct client_session *s = a == NULL ? NULL : arena_alloc(a, sizeof *s);

        if (s == NULL) {
                arena_free(&a);
                (void)mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "a session");
                return NULL;
        }
        s->arena = a;
        if (client_choose(s, path, local_only, err) < 0) {
                arena_free(&a);
                return NULL;
        }
        s->epoch = s->ops->epoch(s->state);
        s->users = 1; /* the table */
        if (!client.forks) {
                client.forks = true;
                (void)pthread_atfork(fork_prepare, fork_parent,
                                     fork_child); /* without memory for it: a child must not
                                                                              * use MAPI */
        }
        return s;
}

/** Enters it into the list, and counts a user. Under the lock. */
static void enter(struct client_session *s)
{
        s->next = client.all;
        client.all = s;
        s->users++;
}

/** The session with this number. Under the lock. */
static struct client_session **find(int number)
{
        if (number == 0)
                return &client.own;
        for (unsigned i = 0; i < SESSIONS_MAX; i++)
                if (client.further[i] != NULL && client.further[i]->number == number)
                        return &client.further[i];
        return NULL;
}

/** The calling thread's session if it is there. Error: 0, 9003 if it is not but should be. */
static struct client_session *get(int *ret_error)
{
        struct client_session **at, *s;
        sigset_t mask;

        client_lock(&mask);
        at = find(chosen);
        s = at == NULL ? NULL : *at;
        if (s != NULL)
                s->users++;
        client_unlock(&mask);
        *ret_error = s == NULL && chosen != 0 ? MAPI_SESSION_ERROR : 0;
        return s;
}

struct client_session *client_session_get(void)
{
        struct client_session *s;
        int error;

        if (!client_ready())
                return NULL;
        s = get(&error);
        if (s == NULL && error != 0)
                (void)client_fail(error, "%d", chosen);
        else if (s == NULL)
                (void)client_fail(MAPI_INVALID_FLOW, "no flow has been created in this process");
        return s;
}

struct client_session *client_session_open(void)
{
        struct mapi_error err = { 0 };
        struct client_session *s;
        sigset_t life, mask;
        int error;

        s = get(&error);
        if (s == NULL && error != 0) {
                (void)client_fail(error, "%d", chosen);
                return NULL;
        }
        if (s == NULL) {
                siglock_take(&client.life, &life);
                s = get(&error); /* another thread may have been faster */
                if (s == NULL) {
                        s = make(NULL, false, &err);
                        if (s != NULL) {
                                client_lock(&mask);
                                client.own = s;
                                enter(s);
                                client_unlock(&mask);
                        }
                }
                siglock_give(&client.life, &life);
        }
        if (s == NULL)
                (void)client_fail_with(&err);
        else
                client_set_ready();
        return s;
}

/** Nothing has been created in the program's own session, and nobody else is about to. Under the lock. */
static bool unused(const struct client_session *s)
{
        return client.own == s && s->users == 2 && s->flows == NULL && s->devices == 0;
}

struct client_session *client_session_again(struct client_session *s)
{
        struct client_session *other = NULL;
        struct mapi_error err;
        sigset_t life, mask;
        bool swap;

        if (s->local || !s->free_choice || s->number != 0)
                return s;
        siglock_take(&client.life, &life);
        client_lock(&mask);
        swap = unused(s);
        client_unlock(&mask);
        if (swap)
                other = make(NULL, true, &err);
        if (other != NULL) {
                client_lock(&mask);
                enter(other);
                swap = unused(s); /* still */
                if (swap) {
                        client.own = other;
                        s->closed = true;
                } else {
                        other->users--; /* not the table's */
                }
                client_unlock(&mask);
        }
        siglock_give(&client.life, &life);
        if (other == NULL)
                return s;
        if (!swap) {
                client_session_put(other);
                return s;
        }
        client_session_put(s); /* the table's */
        client_session_put(s); /* ours */
        return other;
}

/** Takes it out of the list. Under the lock. */
static void leave(struct client_session *s)
{
        for (struct client_session **at = &client.all; *at != NULL; at = &(*at)->next)
                if (*at == s) {
                        *at = s->next;
                        return;
                }
}

void client_session_put(struct client_session *s)
{
        sigset_t life, mask;
        struct arena *a;
        bool last;

        client_lock(&mask);
        last = s->users == 1;
        if (!last)
                s->users--;
        client_unlock(&mask);
        if (!last)
                return;
        siglock_take(&client.life, &life); /* fork() sees it whole or not at all */
        client_lock(&mask);
        last = --s->users == 0 && !s->ended;
        if (last)
                leave(s);
        client_unlock(&mask);
        if (last) {
                s->ops->close(s->state);
                client_segments_free(s);
                a = s->arena;
                arena_free(&a);
        }
        siglock_give(&client.life, &life);
}

int mapi_session_open(const char *path)
{
        struct mapi_error err = { 0 };
        struct client_session *s = NULL;
        sigset_t life, mask;
        unsigned i = 0;
        int number = -1;

        siglock_take(&client.life, &life);
        while (i < SESSIONS_MAX && client.further[i] != NULL) /* slots are taken under client.life only */
                i++;
        if (i == SESSIONS_MAX)
                (void)mapi_fail(&err, MAPI_LIMIT_ERROR, "%d sessions in one process", SESSIONS_MAX);
        else
                s = make(path, false, &err);
        if (s != NULL) {
                client_lock(&mask);
                s->number = number = ++client.last_number;
                client.further[i] = s;
                enter(s);
                s->users--; /* nobody's but the table's */
                client_unlock(&mask);
        }
        siglock_give(&client.life, &life);
        if (s == NULL)
                return client_fail_with(&err);
        client_set_ready();
        return number;
}

int mapi_session_use(int session)
{
        int before = chosen;
        sigset_t mask;
        bool known;

        client_lock(&mask);
        known = session >= 0 && find(session) != NULL;
        client_unlock(&mask);
        if (!known)
                return client_fail(MAPI_SESSION_ERROR, "%d", session);
        chosen = session;
        return before;
}

int mapi_session_close(int session)
{
        struct client_session **at, *s = NULL;
        struct client_flow *f;
        sigset_t mask;
        int fd;

        client_lock(&mask);
        at = session > 0 ? find(session) : NULL;
        if (at != NULL) {
                s = *at;
                *at = NULL;
                s->closed = true;
        }
        client_unlock(&mask);
        if (s == NULL)
                return client_fail(MAPI_SESSION_ERROR, "%d", session);
        while (client_flow_any(s, &fd)) {
                f = client_flow_take(fd);
                if (f != NULL)
                        (void)client_flow_close(f); /* files that are not complete: nobody asked for them */
        }
        client_session_put(s);
        return 0;
}
