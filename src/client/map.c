/*
 * What readers have mapped: segments, results, packet rings; and how they are mapped anew when the backend has
 * been away.
 *
 * Every function remembers the life of the backend (its epoch) in which it was mapped. Its one reader compares,
 * and maps it anew when there is another life. A segment is unmapped when the last function has moved on.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "client/client.h"

#include <sys/mman.h>
#include <unistd.h>

/* ---- segments ----------------------------------------------------------------------------------------------- */

/** Under the lock. */
static void segment_free(struct client_session *s, struct client_segment *seg)
{
        (void)munmap((void *)(uintptr_t)seg->map.mem, seg->map.size);
        *seg = (struct client_segment){ .next = s->unused };
        s->unused = seg;
}

static void segment_put(struct client_session *s, struct client_segment *seg)
{
        sigset_t mask;

        if (seg == NULL)
                return;
        client_lock(&mask);
        if (--seg->users == 0 && (s->segment[seg->number] != seg || seg->epoch != client_epoch(s))) {
                if (s->segment[seg->number] == seg)
                        s->segment[seg->number] = NULL;
                segment_free(s, seg);
        }
        client_unlock(&mask);
}

/** The segment if it is mapped in this life. Under the lock. */
static struct client_segment *segment_find(struct client_session *s, uint32_t number, uint32_t epoch)
{
        struct client_segment *seg = s->segment[number];

        return seg != NULL && seg->epoch == epoch ? seg : NULL;
}

/** Asks the backend for a segment and maps it. 0 or a negative code. */
static int segment_map(struct client_session *s, uint32_t number, struct results_map *ret, struct mapi_error *err)
{
        struct results_map map = { 0 };
        int fd = s->ops->segment(s->state, number, &map.size, err);
        void *mem;

        if (fd < 0)
                return fd;
        mem = mmap(NULL, map.size, PROT_READ, MAP_SHARED, fd, 0);
        (void)close(fd);
        if (mem == MAP_FAILED)
                return mapi_fail(err, MAPI_SHM_ERR, "segment %u cannot be mapped", number);
        map.mem = mem;
        if (results_check(&map) < 0) {
                (void)munmap(mem, map.size);
                return mapi_fail(err, MAPI_SHM_ERR, "segment %u is none of this version", number);
        }
        *ret = map;
        return 0;
}

/** Enters a mapped segment, unless another thread was faster. Under the lock. NULL: no memory. */
static struct client_segment *segment_enter(struct client_session *s, uint32_t number, uint32_t epoch,
                                            const struct results_map *map)
{
        struct client_segment *seg = segment_find(s, number, epoch), *old = s->segment[number];

        if (seg != NULL) {
                (void)munmap((void *)(uintptr_t)map->mem, map->size);
                return seg;
        }
        seg = s->unused;
        if (seg != NULL)
                s->unused = seg->next;
        else
                seg = arena_alloc(s->arena, sizeof *seg);
        if (seg == NULL) {
                (void)munmap((void *)(uintptr_t)map->mem, map->size);
                return NULL;
        }
        *seg = (struct client_segment){ .map = *map, .number = number, .epoch = epoch };
        s->segment[number] = seg;
        if (old != NULL && old->users == 0) /* otherwise with its last user */
                segment_free(s, old);
        return seg;
}

/** A segment of this life of the backend, mapped and counted. 0 or a negative code. */
static int segment_get(struct client_session *s, uint32_t number, uint32_t epoch, struct client_segment **ret,
                       struct mapi_error *err)
{
        struct results_map map = { 0 };
        struct client_segment *seg;
        sigset_t mask;
        int r;

        if (number >= SEGMENTS_MAX)
                return mapi_fail(err, MAPI_SHM_ERR, "segment %u", number);
        client_lock(&mask);
        seg = segment_find(s, number, epoch);
        if (seg != NULL)
                seg->users++;
        client_unlock(&mask);
        if (seg == NULL) {
                r = segment_map(s, number, &map, err);
                if (r < 0)
                        return r;
                client_lock(&mask);
                seg = segment_enter(s, number, epoch, &map);
                if (seg != NULL)
                        seg->users++;
                client_unlock(&mask);
        }
        if (seg == NULL)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "segment %u", number);
        *ret = seg;
        return 0;
}

void client_segments_free(struct client_session *s)
{
        sigset_t mask;

        client_lock(&mask);
        for (unsigned i = 0; i < SEGMENTS_MAX; i++)
                if (s->segment[i] != NULL) {
                        segment_free(s, s->segment[i]);
                        s->segment[i] = NULL;
                }
        client_unlock(&mask);
}

/* ---- one function ------------------------------------------------------------------------------------------ */

static void function_unmap(struct client_session *s, struct client_function *fn)
{
        if (fn->ring_mapped)
                ring_reader_unmap(&fn->ring);
        fn->ring_mapped = false;
        segment_put(s, fn->segment[0]);
        segment_put(s, fn->segment[1]);
        fn->segment[0] = fn->segment[1] = NULL;
}

static int map_ring(const struct client_flow *f, struct client_function *fn, struct mapi_error *err)
{
        struct client_session *s = f->session;
        struct backend_ring ring;
        int r;

        fn->ring.shared = (const struct results_ring *)fn->ref.slot;
        r = s->ops->ring(s->state, f->number, fn->fid, &ring, err);
        if (r < 0)
                return r;
        /* A flow may have lived through it that others were lost and made anew: then this is the ring that
         * we know. */
        if (pread(ring.fd, &fn->ring.next, sizeof fn->ring.next, offsetof(struct results_ring_reader, tail)) !=
            (ssize_t)sizeof fn->ring.next)
                fn->ring.next = 0;
        r = ring_reader_map(&fn->ring, ring.fd, ring.size_bytes, ring.generation);
        (void)close(ring.fd);
        if (r < 0)
                return mapi_fail(err, MAPI_SHM_ERR, "packet ring of flow %d", f->fd);
        fn->ring_mapped = true;
        return 0;
}

/** Maps function number i of a flow as it is in this life of the backend. 0 or a negative code: nothing is
 * left mapped. */
static int map_function(const struct client_flow *f, unsigned i, uint32_t epoch, struct client_function *ret,
                        struct mapi_error *err)
{
        struct client_function fn = { .epoch = epoch, .told = epoch };
        struct client_session *s = f->session;
        struct backend_place p, status;
        struct results_ref ref;
        int r;

        r = s->ops->place(s->state, f->number, i, &p, err);
        if (r < 0)
                return r;
        fn.fid = p.fid;
        fn.kind = p.kind;
        fn.nowait = p.nowait;
        if (p.kind == MAPI_RESULT_QUEUE && p.size == 0) /* it has none this time */
                fn.kind = p.kind = MAPI_RESULT_NONE;
        if (p.kind == MAPI_RESULT_NONE) {
                *ret = fn;
                return 0;
        }
        r = s->ops->status_place(s->state, f->number, &status, err);
        if (r == 0)
                r = segment_get(s, p.segment, epoch, &fn.segment[0], err);
        if (r == 0)
                r = segment_get(s, status.segment, epoch, &fn.segment[1], err);
        if (r == 0 &&
            (results_find(&fn.segment[1]->map, status.entry, f->number, 0, &ref) < 0 || ref.kind != RESULTS_FLOW))
                r = mapi_fail(err, MAPI_SHM_ERR, "flow %d", f->fd);
        if (r == 0)
                fn.status = (const struct results_flow *)ref.slot;
        if (r == 0 && (results_find(&fn.segment[0]->map, p.entry, f->number, p.fid, &fn.ref) < 0 ||
                       client_has_ring(p.kind) != (fn.ref.kind == RESULTS_RING)))
                r = mapi_fail(err, MAPI_SHM_ERR, "function %d of flow %d", p.fid, f->fd);
        fn.size = p.kind == MAPI_RESULT_QUEUE ? p.size : fn.ref.size;
        if (r == 0 && client_has_ring(p.kind))
                r = map_ring(f, &fn, err);
        if (r < 0) {
                function_unmap(s, &fn);
                return r;
        }
        *ret = fn;
        return 0;
}

/* ---- a flow
 * --------------------------------------------------------------------------------------------------- */

/** Memory of the flow for a result; the same in all lives of the backend, so that what a program has been
 * given stays. */
static int result_memory(struct client_flow *f, struct client_function *fn)
{
        sigset_t mask;

        if (fn->kind == MAPI_RESULT_NONE || fn->kind == MAPI_RESULT_PACKETS)
                return 0;
        client_lock(&mask);
        fn->result.res = arena_alloc(f->arena, fn->size);
        client_unlock(&mask);
        fn->result.size = (int)fn->size;
        return fn->result.res != NULL ? 0
                                      : client_fail(MAPID_MEM_ALLOCATION_ERROR, "result of %u bytes", fn->size);
}

static int count_functions(const struct client_flow *f, unsigned *ret_n, struct mapi_error *err)
{
        struct backend_place p;
        unsigned n = 0;
        int r;

        while ((r = f->session->ops->place(f->session->state, f->number, n, &p, err)) == 0)
                n++;
        if (r != -MAPI_INVALID_FID_FUNCID) /* not the end, but a failure */
                return r;
        *ret_n = n;
        return 0;
}

int client_flow_attach(struct client_flow *f)
{
        struct client_function *function = NULL;
        uint32_t epoch = client_epoch(f->session);
        unsigned n = 0, mapped = 0;
        struct mapi_error err = { 0 };
        sigset_t mask;
        int r;

        if (count_functions(f, &n, &err) < 0)
                return client_fail_with(&err);
        client_lock(&mask);
        function = arena_alloc(f->arena, (n + 1) * sizeof *function);
        client_unlock(&mask);
        if (function == NULL)
                return client_fail(MAPID_MEM_ALLOCATION_ERROR, "%u functions", n);
        for (r = 0; r == 0 && mapped < n; mapped += r == 0) {
                r = map_function(f, mapped, epoch, &function[mapped], &err);
                if (r < 0) {
                        (void)client_fail_with(&err);
                } else if (result_memory(f, &function[mapped]) < 0) {
                        function_unmap(f->session, &function[mapped]);
                        r = -1;
                }
        }
        if (r == 0 && client_epoch(f->session) != epoch)
                r = client_fail(MCOM_SOCKET_ERROR, "mapid was restarted meanwhile");
        if (r == 0) {
                client_lock(&mask);
                if (f->function == NULL) {
                        f->n = n;
                        f->function = function;
                        function = NULL;
                        atomic_store(&f->connected, CLIENT_CONNECTED);
                }
                client_unlock(&mask);
        }
        if (function != NULL) /* it failed, or another thread was faster */
                while (mapped > 0)
                        function_unmap(f->session, &function[--mapped]);
        return r;
}

int client_flow_see(struct client_flow *f)
{
        for (;;) {
                uint32_t epoch = client_epoch(f->session);

                if (client_away(epoch))
                        return client_fail(MCOM_SOCKET_ERROR, "mapid is away, and flow %d has no results yet",
                                           f->fd);
                if (atomic_load(&f->tried) != epoch && client_flow_attach(f) == 0)
                        return 0;
                if (client_epoch(f->session) != epoch)
                        continue;
                atomic_store(&f->tried, epoch); /* once in a life: the answer would be the same */
                return client_fail(MCOM_SOCKET_ERROR, "flow %d was lost when mapid went away", f->fd);
        }
}

int client_function_renew(struct client_flow *f, struct client_function *fn, uint32_t epoch)
{
        struct client_session *s = f->session;
        struct mapi_error err = { 0 };
        struct client_function fresh, old;
        sigset_t mask;

        if (map_function(f, (unsigned)(fn - f->function), epoch, &fresh, &err) < 0)
                return client_fail(MCOM_SOCKET_ERROR, "flow %d was lost when mapid went away: %.300s", f->fd,
                                   err.text);
        if (client_epoch(s) != epoch || fresh.fid != fn->fid || fresh.kind != fn->kind ||
            (fn->result.res != NULL && (uint32_t)fn->result.size != fresh.size)) {
                function_unmap(s, &fresh);
                return client_fail(MCOM_SOCKET_ERROR, "flow %d is another one since mapid is back", f->fd);
        }
        fresh.result = fn->result;
        fresh.ring.sleeps = fn->ring.sleeps; /* none twice in one ring */
        client_lock(&mask);
        old = *fn;
        *fn = fresh;
        client_unlock(&mask);
        function_unmap(s, &old);
        return 0;
}

void client_flow_detach(struct client_flow *f)
{
        for (unsigned i = 0; i < f->n; i++)
                function_unmap(f->session, &f->function[i]);
}
