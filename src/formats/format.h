/*
 * What every trace format is to the rest: bytes in, packet views out. Readers touch no file and no clock, so that
 * a fuzzer can feed them; they are told what is in memory by a window and say how much more they need.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef FORMATS_FORMAT_H
#define FORMATS_FORMAT_H

#include <mapi/errors.h>
#include <mapi/packet.h>

/** A result besides counts: no byte is left. Anything below is -code of <mapi/errors.h>, the sentence in .why. */
#define FORMATS_END (-1)

/** No reader needs more than this many bytes in memory at once. */
#define FORMATS_RECORD_MAX (1u << 20)

/** The bytes of the trace that are in memory: [p, end). Readers advance p over what they have dealt with. */
struct formats_window {
        uint8_t *p;
        uint8_t *end;
        uint64_t end_offset; /* place of `end` in the (decompressed) trace, bytes */
};

static inline size_t formats_avail(const struct formats_window *w)
{
        return (size_t)(w->end - w->p);
}

static inline uint64_t formats_offset(const struct formats_window *w)
{
        return w->end_offset - formats_avail(w);
}

struct formats_interface; /* of pcapng, private to its reader */

/** One trace being read. Zero it before formats_open. */
struct formats_reader {
        const char *name;  /* of the format, for messages */
        uint16_t linktype; /* DLT_ value of the first interface */
        uint32_t snaplen;  /* no packet has more bytes than this */

        size_t need_bytes;  /* why read returned 0: the window must hold that many bytes from p on */
        size_t next_caplen; /* if not 0, instead: that many has the next packet, more than max_bytes */
        uint64_t records;   /* packets handed out */
        uint64_t skipped;   /* records that hold no packet we understand */
        uint64_t lost;      /* packets that the capturing card says it lost (ERF) */

        int (*read)(struct formats_reader *r, struct formats_window *w, struct mapi_view *pkt, unsigned most,
                    size_t max_bytes);

        int swapped; /* numbers are in the other byte order than this machine's (pcapng: of this section) */
        uint32_t header_bytes; /* size of a record header (pcapng: the least of a block) */
        int lengths;           /* pcap: enum in pcap.c, which of the two lengths comes first */
        int nano;              /* pcap: 1 if time stamps are in nanoseconds */

        struct formats_interface *interface; /* pcapng: those of this section */
        uint32_t interfaces;                 /* how many */
        uint32_t interface_base;             /* how many in the sections before */
        uint32_t skip_total;                 /* pcapng: total length of the block being skipped, 0 if none */
        uint32_t skip_left; /* bytes of it still to be passed over, without the length at its end */

        char why[240]; /* a sentence about the last failure */
};

/**
 * Recognises the format by the bytes at w->p and reads the file header, advancing w->p.
 * eof      1: no byte will follow w->end
 * Returns  1 opened; 0 more bytes are needed (need_bytes; never with eof, call again with the same reader);
 *          -6155 not a trace that we read; -3084
 */
int formats_open(struct formats_reader *r, struct formats_window *w, int eof);

/**
 * Fills up to `most` views whose caplen add up to at most max_bytes. Their bytes are those of the window.
 * Returns  > 0 views; 0 see need_bytes and next_caplen; -9002 damaged here (after everything before was handed
 * out)
 */
static inline int formats_read(struct formats_reader *r, struct formats_window *w, struct mapi_view *pkt,
                               unsigned most, size_t max_bytes)
{
        return r->read(r, w, pkt, most, max_bytes);
}

/** What it means that the bytes end at w->end while read wants more: FORMATS_END, or -9002 inside a record. */
int formats_at_end(struct formats_reader *r, const struct formats_window *w);

/** Makes it ready for another formats_open, keeping its memory. */
static inline void formats_rewind(struct formats_reader *r)
{
        *r = (struct formats_reader){ .interface = r->interface };
}

void formats_close(struct formats_reader *r);

/* ---- for the readers ----------------------------------------------------------------------------------- */

int formats_pcap_open(struct formats_reader *r, struct formats_window *w, int eof);
int formats_pcapng_open(struct formats_reader *r, struct formats_window *w, int eof);
int formats_erf_open(struct formats_reader *r, struct formats_window *w, int eof);

/** 1 if the bytes begin like an ERF record, 0 if not, -1 if more are needed to tell (then *ret_need). */
int formats_erf_plausible(const struct formats_window *w, int eof, size_t *ret_need);

/** Says in .why what is wrong with the record that begins at byte `offset` of the trace. Returns -9002. */
int formats_damage(struct formats_reader *r, uint64_t offset, const char *format, ...)
        __attribute__((format(printf, 3, 4), cold));

/** Says in .why why this is no trace. Returns -6155. */
int formats_refuse(struct formats_reader *r, const char *format, ...) __attribute__((format(printf, 2, 3), cold));

/** Packets of DLT_NULL begin with a number in the writer's byte order; filters expect this machine's. */
void formats_swap_null(struct mapi_view *pkt, unsigned n);

#endif
