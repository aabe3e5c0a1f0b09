/*
 * Recognises a trace by its first bytes and hands it to the reader of its format.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "formats/format.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "formats/bytes.h"

#define MAGIC_BYTES 4

enum kind { KIND_UNKNOWN = 0, KIND_PCAP, KIND_PCAPNG };

static enum kind kind_by_magic(uint32_t magic)
{
        switch (magic) {
        case 0xa1b2c3d4:
        case 0xd4c3b2a1:
        case 0xa1b23c4d:
        case 0x4d3cb2a1:
        case 0xa1b2cd34:
        case 0x34cdb2a1:
                return KIND_PCAP;
        case 0x0a0d0d0a:
                return KIND_PCAPNG;
        default:
                return KIND_UNKNOWN;
        }
}

int formats_open(struct formats_reader *r, struct formats_window *w, int eof)
{
        size_t avail = formats_avail(w);
        enum kind kind;
        int plausible;

        if (r->read != NULL) /* called again: this reader is on its way to the end of its head */
                return formats_pcapng_open(r, w, eof);
        if (avail == 0 && eof)
                return formats_refuse(r, "it is empty");
        if (avail < MAGIC_BYTES) {
                if (eof)
                        return formats_refuse(r, "%zu byte%s cannot be a trace", avail, avail == 1 ? "" : "s");
                r->need_bytes = MAGIC_BYTES;
                return 0;
        }
        kind = kind_by_magic(formats_get32(w->p, 0));
        if (kind == KIND_PCAP)
                return formats_pcap_open(r, w, eof);
        if (kind == KIND_PCAPNG)
                return formats_pcapng_open(r, w, eof);
        plausible = formats_erf_plausible(w, eof, &r->need_bytes);
        if (plausible < 0)
                return 0;
        if (plausible)
                return formats_erf_open(r, w, eof);
        return formats_refuse(r,
                              "its first bytes are %02x %02x %02x %02x: not a trace that can be read "
                              "(pcap, pcapng or ERF)",
                              w->p[0], w->p[1], w->p[2], w->p[3]);
}

int formats_at_end(struct formats_reader *r, const struct formats_window *w)
{
        size_t avail = formats_avail(w);

        if (r->skip_total != 0)
                return formats_damage(r, formats_offset(w), "the trace ends inside a block of %u bytes",
                                      r->skip_total);
        if (avail == 0)
                return FORMATS_END;
        return formats_damage(r, formats_offset(w), "the trace ends after %zu of its %zu bytes%s", avail,
                              r->need_bytes, r->need_bytes <= r->header_bytes ? " of header" : "");
}

void formats_close(struct formats_reader *r)
{
        free(r->interface);
        r->interface = NULL;
}

int formats_damage(struct formats_reader *r, uint64_t offset, const char *format, ...)
{
        va_list ap;
        int n;

        n = snprintf(r->why, sizeof(r->why), "%s record %llu at byte %llu: ", r->name,
                     (unsigned long long)r->records + 1, (unsigned long long)offset);
        va_start(ap, format);
        (void)vsnprintf(r->why + n, sizeof(r->why) - (size_t)n, format,
                        ap); /* n is far below the size; cutting is fine */
        va_end(ap);
        return -MAPI_TRACE_DAMAGED;
}

int formats_refuse(struct formats_reader *r, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(r->why, sizeof(r->why), format, ap);
        va_end(ap);
        return -MAPI_ERROR_FILE;
}

void formats_swap_null(struct mapi_view *pkt, unsigned n)
{
        for (unsigned i = 0; i < n; i++) {
                uint8_t *data = (uint8_t *)(uintptr_t)pkt[i].data; /* the window is the reader's to write */
                uint32_t family;

                if (pkt[i].caplen < sizeof(family))
                        continue;
                family = formats_get32(data, 1);
                memcpy(data, &family, sizeof(family));
        }
}
