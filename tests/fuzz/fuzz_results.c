/*
 * The reader of results against a hostile writer: any bytes as a segment and as a packet ring. It may say what it likes,
 * but it reads nothing outside of what it was given, and it comes to an end.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "results/reader.h"
#include "results/ring.h"
#include "results/ring_reader.h"

#include <stdlib.h>
#include <string.h>

/** A record whose writer is for ever inside would be waited for: that is tested elsewhere. */
static bool endless(const struct results_ref *ref)
{
        for (uint32_t w = 0; ref->kind == RESULTS_RECORD && w < ref->workers; w++)
                if ((ref->slot[(size_t)w * ref->stride] & 1) != 0)
                        return true;
        return false;
}

/** All directory entries, each with the numbers that it names itself, so that those are found, and with others. */
static void read_segment(const uint8_t *data, size_t size)
{
        uint64_t *copy = malloc(size + 8); /* exact but for the alignment that a mapping has */
        struct results_map map = { .mem = (const uint8_t *)copy, .size = size };
        struct results_ref ref;

        if (copy == NULL)
                abort();
        memcpy(copy, data, size);
        if (size >= sizeof(struct results_header) &&
            (data[size - 1] & 1) != 0) { /* else the header is random, too */
                struct results_header *h = (struct results_header *)copy;

                h->magic = RESULTS_MAGIC;
                h->version = RESULTS_VERSION;
                h->size_bytes = size;
                h->entries_offset = RESULTS_LINE;
        }
        if (results_check(&map) == 0) {
                for (uint32_t i = 0; i < 40; i++) {
                        const struct results_entry *e =
                                (const void *)(map.mem + RESULTS_LINE + (size_t)i * sizeof *e);
                        bool there = RESULTS_LINE + ((size_t)i + 1) * sizeof *e <= size;
                        int flow = there ? e->flow : 1, fid = there ? e->fid : 1;
                        void *value;

                        if (results_find(&map, i, flow, fid, &ref) < 0)
                                continue;
                        if (!there || ref.slot < map.mem || ref.size > size)
                                abort();
                        value = malloc(ref.size); /* as large as the reader says, and no larger */
                        if (value == NULL)
                                abort();
                        if (!endless(&ref))
                                (void)results_read(&ref, value);
                        free(value);
                }
        }
        free(copy);
}

/** A ring whose public side and whose records are what the input says. */
static void read_ring(const uint8_t *data, size_t size)
{
        enum { RING = 4096 };
        static uint8_t memory[RESULTS_PAGE + 2 * RING + 8] __attribute__((aligned(64)));
        struct results_ring shared = { 0 };
        struct ring_reader r = { .shared = &shared,
                                 .mine = (struct results_ring_reader *)memory,
                                 .data = memory + RESULTS_PAGE,
                                 .size = RING };
        void *record;

        memset(memory, 0, sizeof memory);
        memcpy(&shared, data, size < sizeof shared ? size : sizeof shared);
        if (size > sizeof shared) {
                size_t n = size - sizeof shared < RING ? size - sizeof shared : RING;

                memcpy(r.data, data + sizeof shared, n);
                memcpy(r.data + RING, data + sizeof shared, n); /* mapped twice in a row */
        }
        r.generation = shared.generation & 1 ? shared.generation : 0;
        for (int i = 0; i < 1000; i++) {
                enum ring_state state = ring_reader_next(&r, &record);
                uint32_t caplen;

                if (state != RING_PACKET)
                        break;
                memcpy(&caplen, (uint8_t *)record + 12, 4);
                if ((uint8_t *)record < r.data ||
                    (uint8_t *)record + RING_RECORD_HEAD + caplen > r.data + 2 * RING)
                        abort();
                if (caplen > 0)
                        ((volatile uint8_t *)
                                 record)[RING_RECORD_HEAD + caplen - 1]; /* may be read by the program */
                if (i % 3 == 0)
                        shared.head += 24; /* the writer goes on */
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size < 2)
                return 0;
        if (data[0] & 1)
                read_ring(data + 1, size - 1);
        else
                read_segment(data + 1, size - 1);
        return 0;
}
