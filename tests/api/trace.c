/* Reading and writing pcap files for the tests. SPDX-License-Identifier: BSD-2-Clause */
#include "trace.h"

#include "api.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint32_t get32(const struct trace *t, size_t at, int swapped)
{
        uint32_t v;

        memcpy(&v, t->file + at, 4);
        return swapped ? __builtin_bswap32(v) : v;
}

static void load(const char *path, struct trace *t)
{
        FILE *f = fopen(path, "rb");
        size_t room = 1 << 16, n;

        if (f == NULL)
                fail("%s: %s", path, strerror(errno));
        t->file = malloc(room);
        while (t->file != NULL && (n = fread(t->file + t->size, 1, room - t->size, f)) > 0) {
                t->size += n;
                if (t->size == room)
                        t->file = realloc(t->file, room *= 2);
        }
        if (t->file == NULL || ferror(f) != 0)
                fail("%s cannot be read", path);
        (void)fclose(f);
}

void trace_read(const char *path, struct trace *ret)
{
        struct trace t = { 0 };
        size_t room = 1024, at = 24;
        uint64_t unit;
        uint32_t magic;
        int swapped;

        load(path, &t);
        if (t.size < 24)
                fail("%s has only %zu bytes", path, t.size);
        magic = get32(&t, 0, 0);
        swapped = magic == __builtin_bswap32(TRACE_MAGIC) || magic == __builtin_bswap32(TRACE_MAGIC_NS);
        magic = get32(&t, 0, swapped);
        if (magic != TRACE_MAGIC && magic != TRACE_MAGIC_NS)
                fail("%s is no pcap file", path);
        unit = magic == TRACE_MAGIC ? 1000 : 1;
        t.snaplen = get32(&t, 16, swapped);
        t.linktype = get32(&t, 20, swapped);
        t.packet = malloc(room * sizeof *t.packet);
        while (t.packet != NULL && at + 16 <= t.size) {
                struct trace_packet *p = &t.packet[t.n];

                p->ts = (uint64_t)get32(&t, at, swapped) << 32 |
                        ((uint64_t)get32(&t, at + 4, swapped) * unit << 32) / 1000000000u;
                p->caplen = get32(&t, at + 8, swapped);
                p->wlen = get32(&t, at + 12, swapped);
                p->data = t.file + at + 16;
                if (p->caplen > t.size - at - 16)
                        break;
                at += 16 + p->caplen;
                t.wire_bytes += p->wlen;
                if (++t.n == room)
                        t.packet = realloc(t.packet, (room *= 2) * sizeof *t.packet);
        }
        if (t.packet == NULL)
                fail("no memory");
        t.torn = t.size - at;
        *ret = t;
}

void trace_free(struct trace *t)
{
        free(t->packet);
        free(t->file);
        *t = (struct trace){ 0 };
}

size_t trace_count_text(const struct trace *t, const char *text)
{
        size_t n = 0;

        for (size_t i = 0; i < t->n; i++)
                n += memmem(t->packet[i].data, t->packet[i].caplen, text, strlen(text)) != NULL;
        return n;
}

size_t trace_count_ip4(const struct trace *t, int protocol)
{
        size_t n = 0;

        for (size_t i = 0; i < t->n; i++) {
                const uint8_t *p = t->packet[i].data;

                n += t->packet[i].caplen >= 24 && p[12] == 8 && p[13] == 0 && p[23] == protocol;
        }
        return n;
}

void trace_check_same(const struct trace *got, const struct trace *expected, size_t n)
{
        if (got->n < n || expected->n < n)
                fail("%zu packets, expected %zu of %zu", got->n, n, expected->n);
        for (size_t i = 0; i < n; i++) {
                const struct trace_packet *a = &got->packet[i], *b = &expected->packet[i];
                uint64_t apart = a->ts > b->ts ? a->ts - b->ts : b->ts - a->ts;

                if (a->caplen != b->caplen || a->wlen != b->wlen)
                        fail("packet %zu has %u of %u bytes, expected %u of %u", i, a->caplen, a->wlen, b->caplen,
                             b->wlen);
                if (apart > 4296) /* a microsecond */
                        fail("packet %zu has the time %016llx, expected %016llx", i, (unsigned long long)a->ts,
                             (unsigned long long)b->ts);
                if (memcmp(a->data, b->data, a->caplen) != 0)
                        fail("packet %zu has other bytes", i);
        }
}

static void put_words(FILE *f, const uint32_t *word, size_t n)
{
        if (fwrite(word, 4, n, f) != n)
                fail("writing a trace: %s", strerror(errno));
}

FILE *trace_create(const char *path, uint32_t magic, uint32_t snaplen, uint32_t linktype)
{
        const uint32_t head[] = { magic, 4u << 16 | 2, 0, 0, snaplen, linktype };
        FILE *f = fopen(path, "wb");

        if (f == NULL)
                fail("%s: %s", path, strerror(errno));
        put_words(f, head, 6);
        return f;
}

void trace_put(FILE *f, uint32_t seconds, uint32_t fraction, uint32_t caplen, uint32_t wlen, const void *data,
               size_t bytes)
{
        const uint32_t head[] = { seconds, fraction, caplen, wlen };

        put_words(f, head, 4);
        if (bytes > 0 && fwrite(data, 1, bytes, f) != bytes)
                fail("writing a trace: %s", strerror(errno));
}

void trace_done(FILE *f)
{
        if (fclose(f) != 0)
                fail("writing a trace: %s", strerror(errno));
}

void trace_make(const char *path, unsigned n, unsigned caplen)
{
        static const uint8_t head[42] = { 2, 0, 0, 0,  0,  1, 2, 0,  0, 0, 0, 2,  8, 0, 0x45, 0,    0,    0, 0,
                                          0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,    0x12, 0x34, 0, 53 };
        FILE *f = trace_create(path, TRACE_MAGIC, 262144, 1);
        uint8_t *frame = calloc(1, caplen + 64);
        unsigned ip = caplen - 14;

        if (frame == NULL || caplen < 60)
                fail("no memory, or no trace of packets of %u bytes", caplen);
        memcpy(frame, head, sizeof head);
        frame[16] = (uint8_t)(ip >> 8);
        frame[17] = (uint8_t)ip;
        frame[38] = (uint8_t)((ip - 20) >> 8);
        frame[39] = (uint8_t)(ip - 20);
        for (unsigned i = 0; i < n; i++) {
                memcpy(frame + 42, &i, 4);
                trace_put(f, 1700000000 + i / 1000, i % 1000 * 1000, caplen, caplen, frame, caplen);
        }
        free(frame);
        trace_done(f);
}

void file_make(const char *path, const void *data, size_t bytes)
{
        FILE *f = fopen(path, "wb");

        if (f == NULL || (bytes > 0 && fwrite(data, 1, bytes, f) != bytes))
                fail("%s: %s", path, strerror(errno));
        trace_done(f);
}
