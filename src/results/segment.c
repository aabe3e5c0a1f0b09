/* Segments of results: sealed memfds and the slots in them. SPDX-License-Identifier: BSD-2-Clause */
#include "results/segment.h"

#include "results/memfile.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
        SEGMENT_BYTES = 256 * 1024, /* pages are only taken when written */
        SEGMENTS_MAX = 4096,
        LINES_PER_ENTRY = 3 /* on average a slot takes one or two lines, and one is its entry */
};

struct segment {
        int fd;
        uint8_t *mem;
        size_t size;
        struct results_entry *entry;
        uint32_t entries;
        uint32_t lines; /* behind lines_offset */
        uint32_t lines_offset;
        uint32_t free_lines;
        uint32_t *generation; /* ours: what the directory says is for readers */
        uint8_t *taken;       /* one byte for each line */
};

struct segments {
        struct arena *arena;
        struct quota *quota;
        struct segment *list[SEGMENTS_MAX];
        uint32_t n;
};

struct segments *segments_new(struct quota *q)
{
        struct arena *a = arena_new(q);
        struct segments *s = a == NULL ? NULL : arena_alloc(a, sizeof *s);

        if (s == NULL) {
                arena_free(&a);
                return NULL;
        }
        s->arena = a;
        s->quota = q;
        return s;
}

static void segment_drop(struct segments *s, struct segment *g)
{
        if (g->mem != NULL)
                munmap(g->mem, g->size);
        if (g->fd >= 0)
                close(g->fd);
        quota_give(s->quota, g->size);
}

void segments_free(struct segments **ps)
{
        struct segments *s = *ps;
        struct arena *a;

        *ps = NULL;
        if (s == NULL)
                return;
        for (uint32_t i = 0; i < s->n; i++)
                segment_drop(s, s->list[i]);
        a = s->arena;
        arena_free(&a);
}

/** Makes the memfd: of fixed size, writable only through our own mapping from here on. */
static int segment_map(struct segment *g, size_t size)
{
        g->fd = memfile_new("mapi-results", MFD_ALLOW_SEALING, size);
        if (g->fd < 0)
                return -1;
        g->mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, g->fd, 0);
        if (g->mem == MAP_FAILED) {
                g->mem = NULL;
                return -1;
        }
        return fcntl(g->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
}

static struct segment *segment_new(struct segments *s, size_t need_lines, struct mapi_error *err)
{
        size_t size = SEGMENT_BYTES;
        uint32_t entries = SEGMENT_BYTES / RESULTS_LINE / LINES_PER_ENTRY;
        struct results_header *h;
        struct segment *g;

        if (need_lines + entries + 1 > size / RESULTS_LINE) { /* one large result: a segment of its own */
                entries = 4;
                size = (need_lines + entries + 1) * RESULTS_LINE;
                size = (size + RESULTS_PAGE - 1) / RESULTS_PAGE * RESULTS_PAGE;
        }
        if (s->n == SEGMENTS_MAX || quota_take(s->quota, size) < 0) {
                (void)mapi_fail(err, MAPI_LIMIT_ERROR, "no more memory for results in this session");
                return NULL;
        }
        g = arena_alloc(s->arena, sizeof *g);
        if (g != NULL) {
                g->fd = -1;
                g->size = size;
                g->entries = entries;
                g->lines_offset = (entries + 1) * RESULTS_LINE;
                g->lines = (uint32_t)((size - g->lines_offset) / RESULTS_LINE);
                g->free_lines = g->lines;
                g->taken = arena_alloc(s->arena, g->lines);
                g->generation = arena_alloc(s->arena, entries * sizeof *g->generation);
        }
        if (g == NULL || g->taken == NULL || g->generation == NULL || segment_map(g, size) < 0) {
                if (g != NULL)
                        segment_drop(s, g);
                else
                        quota_give(s->quota, size);
                (void)mapi_fail(err, MDLIB_SHM_ERR, "%zu bytes", size);
                return NULL;
        }
        h = (struct results_header *)g->mem;
        h->version = RESULTS_VERSION;
        h->size_bytes = size;
        h->entries = entries;
        h->entries_offset = RESULTS_LINE;
        h->lines_offset = g->lines_offset;
        h->magic = RESULTS_MAGIC;
        g->entry = (struct results_entry *)(g->mem + RESULTS_LINE);
        s->list[s->n++] = g;
        return g;
}

/** First fit; segments are small and this is the cold path. */
static int find_lines(const struct segment *g, uint32_t need, uint32_t *ret_line)
{
        uint32_t run = 0;

        if (need > g->free_lines)
                return -1;
        for (uint32_t i = 0; i < g->lines; i++) {
                run = g->taken[i] ? 0 : run + 1;
                if (run == need) {
                        *ret_line = i + 1 - need;
                        return 0;
                }
        }
        return -1;
}

static int find_entry(const struct segment *g, uint32_t *ret_entry)
{
        for (uint32_t i = 0; i < g->entries; i++)
                if (g->entry[i].kind == RESULTS_FREE) {
                        *ret_entry = i;
                        return 0;
                }
        return -1;
}

int segments_alloc(struct segments *s, enum results_kind kind, int flow, int fid, uint32_t size, uint32_t workers,
                   enum mapi_combine combine, struct segment_place *ret, struct mapi_error *err)
{
        uint32_t head = kind == RESULTS_COUNTER || kind == RESULTS_RECORD ? (uint32_t)sizeof(struct mapi_slot) : 0;
        uint64_t slot_lines = ((uint64_t)head + size + RESULTS_LINE - 1) / RESULTS_LINE;
        uint64_t need = slot_lines * workers;
        uint32_t line = 0, entry = 0, at;
        struct results_entry *e;
        struct segment *g = NULL;

        if (size == 0 || workers == 0 || need > (64u << 20) / RESULTS_LINE)
                return mapi_fail(err, MAPI_LIMIT_ERROR, "a result of %u bytes is too large", size);
        for (at = 0; at < s->n; at++) {
                g = s->list[at];
                if (find_lines(g, (uint32_t)need, &line) == 0 && find_entry(g, &entry) == 0)
                        break;
        }
        if (at == s->n) {
                g = segment_new(s, (size_t)need, err);
                if (g == NULL)
                        return err != NULL ? -err->code : -MDLIB_SHM_ERR;
                line = 0;
                entry = 0;
        }
        memset(g->taken + line, 1, (size_t)need);
        g->free_lines -= (uint32_t)need;
        e = &g->entry[entry];
        e->flow = flow;
        e->fid = fid;
        e->size = size;
        e->offset = g->lines_offset + line * RESULTS_LINE;
        e->stride = (uint32_t)slot_lines * RESULTS_LINE;
        e->workers = workers;
        e->combine = combine;
        e->generation = ++g->generation[entry];
        memset(g->mem + e->offset, 0, (size_t)need * RESULTS_LINE);
        __atomic_store_n(&e->kind, kind, __ATOMIC_RELEASE);
        *ret = (struct segment_place){
                .segment = at, .entry = entry, .generation = e->generation, .mem = g->mem + e->offset
        };
        return 0;
}

void segments_release(struct segments *s, struct segment_place *place)
{
        struct segment *g;
        struct results_entry *e;
        uint32_t line, lines;

        if (place->mem == NULL)
                return;
        g = s->list[place->segment];
        e = &g->entry[place->entry];
        line = (e->offset - g->lines_offset) / RESULTS_LINE;
        lines = e->stride / RESULTS_LINE * e->workers;
        __atomic_store_n(&e->kind, RESULTS_FREE, __ATOMIC_RELEASE);
        memset(g->taken + line, 0, lines);
        g->free_lines += lines;
        *place = (struct segment_place){ 0 };
}

int segments_fd(const struct segments *s, uint32_t segment, size_t *ret_size)
{
        if (segment >= s->n)
                return -1;
        *ret_size = s->list[segment]->size;
        return s->list[segment]->fd;
}
