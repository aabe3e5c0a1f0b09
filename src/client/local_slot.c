/* Requests under way: slots, waiting for answers, and handing them over. SPDX-License-Identifier: BSD-2-Clause */
#include "client/local.h"

#include "base/futex.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
        SLOT_HEAD = 4096, /* the struct, in front of its buffers */
        SLOT_BYTES = SLOT_HEAD + PROTOCOL_MESSAGE_MAX + PROTOCOL_POOL_BYTES,
        ROOM_FOR_A_BYTE = 64, /* unpacked: an empty part has two bytes, its struct and the list of it 120 */
        SEND_AGAIN_MS = 5,
        GONE_LOOKS = 20, /* the receiving thread notices at once */
        GONE_LOOK_MS = 50,
        ID_BITS = 16 /* of an id: the slot */
};

static_assert(sizeof(struct local_slot) <= SLOT_HEAD, "the buffers come behind it");

/* ---- slots ------------------------------------------------------------------------------------------------- */

static struct local_slot *slot_new(struct local *l, unsigned index)
{
        struct local_slot *expected = NULL, *s;
        uint8_t *mem =
                mmap(NULL, SLOT_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (mem == MAP_FAILED)
                return NULL;
        s = (struct local_slot *)(void *)mem;
        s->index = index;
        s->buf = mem + SLOT_HEAD;
        protocol_pool_init(&s->pool, mem + SLOT_HEAD + PROTOCOL_MESSAGE_MAX, PROTOCOL_POOL_BYTES);
        if (atomic_compare_exchange_strong(&l->slot[index], &expected, s))
                return s;
        (void)munmap(mem, SLOT_BYTES); /* another thread was faster */
        return expected;
}

/** A slot for this caller alone. If all are taken, waits for one: they are given back when answers come. */
static struct local_slot *claim(struct local *l)
{
        for (;;) {
                uint32_t freed = atomic_load(&l->freed), max = atomic_load(&l->slots_max);

                for (unsigned i = 0; i < max; i++) {
                        struct local_slot *s = atomic_load(&l->slot[i]);

                        if (s == NULL)
                                s = slot_new(l, i);
                        if (s == NULL)
                                return NULL;
                        if (atomic_exchange(&s->taken, 1) == 0)
                                return s;
                }
                atomic_fetch_add(&l->slot_waiters, 1);
                (void)futex_wait((const uint32_t *)&l->freed, freed, -1);
                atomic_fetch_sub(&l->slot_waiters, 1);
        }
}

void local_large_free(struct local_large *large)
{
        protocol_large_unmap(large->mem, large->size_bytes);
        if (large->pool != NULL)
                (void)munmap(large->pool, large->pool_bytes);
        *large = (struct local_large){ 0 };
}

void local_done(struct local_call *c)
{
        struct local_slot *s = c->slot;
        struct local *l = c->l;
        sigset_t mask;

        c->slot = NULL;
        c->answer = NULL;
        if (s == NULL)
                return;
        local_large_free(&s->large);
        if (s->received.nfds != 0) {
                siglock_take(&l->lock, &mask); /* or a child closes a number that means something else by now */
                protocol_close_fds(&s->received, 0);
                siglock_give(&l->lock, &mask);
        }
        s->closes = false;
        atomic_store(&s->state, SLOT_IDLE);
        atomic_store(&s->taken, 0);
        atomic_fetch_add(&l->freed, 1);
        if (atomic_load(&l->slot_waiters) != 0)
                futex_wake((uint32_t *)&l->freed);
}

int local_take_fd(struct local_call *c, unsigned i)
{
        struct protocol_received *r = &c->slot->received;
        sigset_t mask;
        int fd;

        siglock_take(&c->l->lock, &mask);
        fd = r->fd[i]; /* local_unpack() has looked whether it is there */
        r->nfds--;
        for (unsigned k = i; k < r->nfds; k++)
                r->fd[k] = r->fd[k + 1];
        siglock_give(&c->l->lock, &mask);
        return fd;
}

/* ---- answers -------------------------------------------------------------------------------------------------- */

unsigned local_fds_of(const Mapi__Envelope *request)
{
        switch (request->body_case) {
        case MAPI__ENVELOPE__BODY_SEGMENT:
        case MAPI__ENVELOPE__BODY_EVENT_FD:
        case MAPI__ENVELOPE__BODY_RING: /* and one to kick with, if the worker may have to wait for room */
                return 1;
        default:
                return 0;
        }
}

/** Unpacks with as much memory as any message of this length can need. */
static int unpack_roomy(struct local_large *large, const uint8_t *bytes, size_t len, Mapi__Envelope **ret,
                        struct mapi_error *err)
{
        size_t size = len * ROOM_FOR_A_BYTE + PROTOCOL_POOL_BYTES;
        struct protocol_pool pool;
        void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (mem == MAP_FAILED)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "an answer of %zu bytes", len);
        large->pool = mem;
        large->pool_bytes = size;
        protocol_pool_init(&pool, mem, size);
        return protocol_unpack(&pool, bytes, len, ret, err);
}

/** An answer in a memfd. */
static int unpack_large(struct local_large *large, const Mapi__Envelope *e, const struct protocol_received *r,
                        Mapi__Envelope **ret, struct mapi_error *err)
{
        uint64_t size = e->large->size_bytes;

        large->mem = r->nfds == 0 ? NULL : protocol_large_map(r->fd[0], size);
        if (large->mem == NULL)
                return mapi_fail(err, MCOM_UNKNOWN_ERROR, "a large answer without its memory");
        large->size_bytes = size;
        return unpack_roomy(large, large->mem, (size_t)size, ret, err);
}

int local_unpack(struct protocol_pool *pool, struct local_large *large, const uint8_t *buf,
                 const struct protocol_received *r, Mapi__Envelope__BodyCase wanted, unsigned nfds,
                 Mapi__Envelope **ret, struct mapi_error *err)
{
        Mapi__Envelope *e;
        int code;

        code = protocol_unpack(pool, buf, r->len, &e, err);
        if (code == -MAPI_LIMIT_ERROR) /* many small parts */
                code = unpack_roomy(large, buf, r->len, &e, err);
        else if (code == 0 && e->body_case == MAPI__ENVELOPE__BODY_LARGE)
                code = unpack_large(large, e, r, &e, err);
        if (code < 0)
                return code;
        if (e->body_case == MAPI__ENVELOPE__BODY_ERROR) {
                if (e->error->code <= 0 || e->error->code > MAPI_ERROR_CODE_MAX_)
                        return mapi_fail(err, MCOM_UNKNOWN_ERROR, "an error with the number %d", e->error->code);
                if (err != NULL) { /* mapid has made the whole sentence */
                        size_t n = strnlen(e->error->text, sizeof err->text - 1);

                        err->code = e->error->code;
                        memcpy(err->text, e->error->text, n);
                        err->text[n] = '\0';
                }
                return -e->error->code;
        }
        if (e->body_case != wanted)
                return mapi_fail(err, MCOM_UNKNOWN_ERROR, "kind %d instead of %d", (int)e->body_case, (int)wanted);
        if (r->nfds < nfds)
                return mapi_fail(err, MCOM_UNKNOWN_ERROR, "%u descriptors instead of %u", r->nfds, nfds);
        *ret = e;
        return 0;
}

/** Under the lock. */
static void event(struct local *l, const Mapi__Event *e)
{
        if (e->kind == MAPI__EVENT__KIND__SHUTTING_DOWN)
                l->shutting_down = true;
        /* a device that is down is told by the information calls */
}

/** Something that answers nothing. Under the lock. Returns 1 if it is for the thread all the same. */
static int without_id(struct local *l)
{
        Mapi__Envelope *e;

        if (protocol_unpack(&l->pool, l->in_buf, l->in.len, &e, NULL) < 0)
                return 0;
        if (e->body_case == MAPI__ENVELOPE__BODY_EVENT)
                event(l, e->event);
        /* who is refused before he could say anything reads this as the answer to his greeting */
        return e->body_case == MAPI__ENVELOPE__BODY_ERROR && !l->alive && l->own_id != 0;
}

int local_dispatch(struct local *l, int received)
{
        uint64_t id = l->in.len <= PROTOCOL_MESSAGE_MAX ? protocol_peek_id(l->in_buf, l->in.len) : 0;
        unsigned index = (unsigned)(id & ((1u << ID_BITS) - 1));
        struct local_slot *s = index < LOCAL_SLOTS ? atomic_load(&l->slot[index]) : NULL;
        int own = 0;

        if (id == 0 && received < 0)
                return -1;
        if (id == 0)
                own = without_id(l);
        else if (id == l->own_id)
                own = 1;
        if (own != 0)
                return 1;
        if (id != 0 && s != NULL && atomic_load(&s->state) == SLOT_WAITING && s->id == id) {
                if (received > 0) {
                        memcpy(s->buf, l->in_buf, l->in.len);
                        s->received = l->in;
                        l->in.nfds = 0;
                }
                atomic_store(&s->state, received > 0 ? SLOT_ANSWERED : SLOT_GARBAGE);
                futex_wake((uint32_t *)&s->state);
        }
        protocol_close_fds(&l->in, 0); /* nobody has asked for it, or not any more */
        return 0;
}

void local_slots_lost(struct local *l)
{
        for (unsigned i = 0; i < LOCAL_SLOTS; i++) {
                struct local_slot *s = atomic_load(&l->slot[i]);
                uint32_t waiting = SLOT_WAITING;

                if (s != NULL && atomic_compare_exchange_strong(&s->state, &waiting, SLOT_LOST))
                        futex_wake((uint32_t *)&s->state);
        }
}

void local_slots_await_closes(struct local *l)
{
        for (unsigned i = 0; i < LOCAL_SLOTS; i++) {
                struct local_slot *s = atomic_load(&l->slot[i]);
                uint64_t end = local_now_ms() + (uint64_t)l->times.close, now;

                while (s != NULL && atomic_load(&s->closes) && atomic_load(&s->state) == SLOT_WAITING &&
                       (now = local_now_ms()) < end)
                        (void)futex_wait((const uint32_t *)&s->state, SLOT_WAITING, (int)(end - now));
        }
}

void local_slots_abandon(struct local *l)
{
        for (unsigned i = 0; i < LOCAL_SLOTS; i++) {
                struct local_slot *s = atomic_load(&l->slot[i]);

                if (s != NULL)
                        protocol_close_fds(&s->received, 0);
        }
        protocol_close_fds(&l->in, 0);
}

void local_slots_free(struct local *l)
{
        for (unsigned i = 0; i < LOCAL_SLOTS; i++) {
                struct local_slot *s = atomic_load(&l->slot[i]);

                if (s != NULL) {
                        protocol_close_fds(&s->received, 0);
                        local_large_free(&s->large);
                        (void)munmap((void *)s, SLOT_BYTES);
                }
        }
}

/* ---- asking ---------------------------------------------------------------------------------------------------- */

/** Under the lock. 0: send; 1: flows are being made anew, wait for it; or why nothing can be sent. */
static int may_send(struct local *l, struct local_call *c, const Mapi__Envelope *e, int flow,
                    struct mapi_error *err)
{
        const struct local_flow *f = flow != 0 ? local_flow_find(l, flow) : NULL;

        if (l->returning && atomic_load(&l->stop) == 0)
                return 1;
        if (!l->alive || (c->only && c->life != l->life) || atomic_load(&l->stop) != 0) {
                c->lost = true;
                return mapi_fail(err, MCOM_SOCKET_ERROR, "mapid at %s is away", l->path);
        }
        if (f != NULL && f->lost && e->body_case != MAPI__ENVELOPE__BODY_CLOSE_FLOW)
                return mapi_fail(err, MCOM_SOCKET_ERROR, "flow %d was lost when mapid came back: %s", flow,
                                 f->why);
        if (l->shutting_down && (e->body_case == MAPI__ENVELOPE__BODY_CREATE_DEVICE ||
                                 e->body_case == MAPI__ENVELOPE__BODY_CREATE_FLOW))
                return mapi_fail(err, MAPI_SHUTTING_DOWN, "%s", l->path);
        return 0;
}

/** 0: it is on its way, and the slot waits for the answer. */
static int send_request(struct local *l, struct local_call *c, const Mapi__Envelope *e, int flow, size_t len,
                        const int *fds, unsigned nfds, struct mapi_error *err)
{
        uint64_t end = local_now_ms() + (uint64_t)l->times.returned, now;
        struct local_slot *s = c->slot;

        for (;;) {
                bool again = false;
                uint32_t epoch;
                sigset_t mask;
                int r;

                siglock_take(&l->lock, &mask);
                r = may_send(l, c, e, flow, err);
                epoch = atomic_load(&l->epoch);
                if (r == 0) {
                        r = protocol_send(l->socket, s->buf, len, fds, nfds, MSG_DONTWAIT, &again, err);
                        c->life = l->life;
                        c->lost = r < 0 && !again;
                        if (r == 0) {
                                atomic_store(&s->closes, c->closes);
                                atomic_store(&s->state, SLOT_WAITING); /* what comes is looked at under the lock */
                        }
                }
                siglock_give(&l->lock, &mask);
                /* Nobody is told that mapid has gone before the epoch says so: a reader would not know that it is to wait. */
                for (int i = 0; c->lost && (epoch & 1) == 0 && atomic_load(&l->epoch) == epoch && i < GONE_LOOKS;
                     i++)
                        (void)futex_wait((const uint32_t *)&l->epoch, epoch, GONE_LOOK_MS);
                if (r <= 0 && !again)
                        return r;
                now = local_now_ms();
                if (again) { /* mapid does not read; nobody wakes us when it does, and this is rare */
                        (void)futex_wait((const uint32_t *)&s->state, SLOT_IDLE, SEND_AGAIN_MS);
                        if (c->timeout_ms == 0 || now < end)
                                continue;
                        return mapi_fail(err, MCOM_SOCKET_ERROR, "mapid at %s does not answer", l->path);
                }
                if (now >= end) {
                        c->lost = true;
                        return mapi_fail(err, MCOM_SOCKET_ERROR, "mapid at %s is coming back", l->path);
                }
                (void)futex_wait((const uint32_t *)&l->epoch, epoch, (int)(end - now));
        }
}

void local_settle(struct local *l, sigset_t *ret_mask)
{
        uint64_t end = local_now_ms() + (uint64_t)l->times.returned, now;

        siglock_take(&l->lock, ret_mask);
        while (l->returning && atomic_load(&l->stop) == 0 && (now = local_now_ms()) < end) {
                uint32_t epoch = atomic_load(&l->epoch);

                siglock_give(&l->lock, ret_mask);
                (void)futex_wait((const uint32_t *)&l->epoch, epoch, (int)(end - now));
                siglock_take(&l->lock, ret_mask);
        }
}

/** Sleeps until the answer is there. The lock is not held, and a signal handler may do the same in a slot of its own. */
static uint32_t await_answer(struct local *l, struct local_call *c)
{
        uint64_t end = local_now_ms() + (uint64_t)c->timeout_ms, now = 0;
        struct local_slot *s = c->slot;
        uint32_t state;
        sigset_t mask;

        while ((state = atomic_load(&s->state)) == SLOT_WAITING) {
                if (c->timeout_ms != 0 && (now = local_now_ms()) >= end) {
                        siglock_take(&l->lock, &mask);
                        state = atomic_load(&s->state);
                        if (state == SLOT_WAITING)
                                atomic_store(&s->state, SLOT_IDLE);
                        siglock_give(&l->lock, &mask);
                        return state;
                }
                (void)futex_wait((const uint32_t *)&s->state, SLOT_WAITING,
                                 c->timeout_ms == 0 ? -1 : (int)(end - now));
        }
        return state;
}

int local_ask(struct local *l, struct local_call *c, Mapi__Envelope *e, int flow, const int *fds, unsigned nfds,
              Mapi__Envelope__BodyCase wanted, struct mapi_error *err)
{
        int saved = errno, r;
        struct local_slot *s;
        size_t len;

        c->l = l;
        c->answer = NULL;
        c->lost = false;
        s = c->slot = claim(l);
        if (s == NULL)
                return mapi_fail(err, MAPI_LIMIT_ERROR, "no memory for a request");
        s->id = ++s->serial << ID_BITS | s->index;
        e->version = PROTOCOL_VERSION;
        e->id = s->id;
        r = protocol_pack(e, s->buf, atomic_load(&l->message_max), &len, err);
        if (r == 0)
                r = send_request(l, c, e, flow, len, fds, nfds, err);
        if (r == 0) {
                switch (await_answer(l, c)) {
                case SLOT_ANSWERED:
                        r = local_unpack(&s->pool, &s->large, s->buf, &s->received, wanted, local_fds_of(e),
                                         &c->answer, err);
                        break;
                case SLOT_LOST:
                        c->lost = true;
                        r = mapi_fail(err, MCOM_SOCKET_ERROR, "mapid at %s went away", l->path);
                        break;
                case SLOT_GARBAGE: /* or this process may not have more descriptors */
                        r = mapi_fail(err, MCOM_UNKNOWN_ERROR, "the answer is damaged or could not be received");
                        break;
                default:
                        r = mapi_fail(err, MCOM_SOCKET_ERROR, "mapid at %s does not answer", l->path);
                }
        }
        errno = saved; /* a signal handler may have been here */
        return r;
}
