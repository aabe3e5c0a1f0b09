/*
 * Reads ERF, the records that DAG cards write: no file header, no magic number, time stamps already in 32.32.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "formats/bytes.h"
#include "formats/format.h"
#include "formats/linktype.h"

#define HEADER_BYTES 16u
#define EXTENSION_BYTES 8u
#define MORE_EXTENSIONS 0x80u /* in the type of the record, and in the first byte of every extension header */

#define YEAR_1990 631152000u /* seconds */
#define YEAR_2100 4102444800u
#define DAY 86400u

enum frame { FRAME_SKIP = 0, FRAME_ETHERNET, FRAME_HDLC, FRAME_MC_HDLC, FRAME_IP };

/* What a record type holds. Types that are not here are passed over. */
static const uint8_t frame_of[128] = {
        [1] = FRAME_HDLC,                         /* HDLC_POS */
        [2] = FRAME_ETHERNET,                     /* ETH */
        [5] = FRAME_MC_HDLC,   [10] = FRAME_HDLC, /* COLOR_HDLC_POS */
        [11] = FRAME_ETHERNET,                    /* COLOR_ETH */
        [15] = FRAME_HDLC,                        /* DSM_COLOR_HDLC_POS */
        [16] = FRAME_ETHERNET,                    /* DSM_COLOR_ETH */
        [17] = FRAME_MC_HDLC,                     /* COLOR_MC_HDLC_POS */
        [19] = FRAME_HDLC,                        /* COLOR_HASH_POS */
        [20] = FRAME_ETHERNET,                    /* COLOR_HASH_ETH */
        [22] = FRAME_IP,                          /* IPV4 */
        [23] = FRAME_IP,                          /* IPV6 */
};

/* Bytes of the card between the extension headers and the frame. */
static const uint8_t lead_bytes[] = {
        [FRAME_ETHERNET] = 2, [FRAME_HDLC] = 0, [FRAME_MC_HDLC] = 4, [FRAME_IP] = 0
};

#define TYPE_LAST 32u /* the highest in use, but for padding */
#define TYPE_PAD 48u
#define TYPE_ETH 2u
#define TYPE_HDLC_POS 1u
#define TYPE_MC_HDLC 5u

static unsigned record_length(const uint8_t *p)
{
        return formats_get16be(p + 10);
}

/* Only these carry the loss counter; the coloured ones have their colour in its place. */
static int counts_loss(unsigned type)
{
        return type == TYPE_ETH || type == TYPE_HDLC_POS || type == TYPE_MC_HDLC;
}

/* Place of the frame in the record, or more than rlen if its headers do not fit into it. */
static size_t frame_offset(const uint8_t *p, size_t rlen, enum frame frame)
{
        size_t at = HEADER_BYTES;
        int more = p[8] & MORE_EXTENSIONS;

        while (more && at + EXTENSION_BYTES <= rlen) {
                more = p[at] & MORE_EXTENSIONS;
                at += EXTENSION_BYTES;
        }
        return more ? rlen + 1 : at + lead_bytes[frame];
}

/* Frames on serial lines do not say what they are: PPP begins with its address and control bytes. */
static uint16_t hdlc_linktype(const uint8_t *frame, size_t caplen)
{
        if (caplen >= 2 && frame[0] == 0xff && frame[1] == 0x03)
                return FORMATS_DLT_PPP_SERIAL;
        return FORMATS_DLT_C_HDLC;
}

static uint16_t frame_linktype(enum frame kind, const uint8_t *frame, size_t caplen)
{
        switch (kind) {
        case FRAME_HDLC:
        case FRAME_MC_HDLC:
                return hdlc_linktype(frame, caplen);
        case FRAME_IP:
                return FORMATS_DLT_RAW;
        default:
                return FORMATS_DLT_EN10MB;
        }
}

/* The captured bytes of a record, or NULL if it is too short for its headers. */
static const uint8_t *frame_data(const uint8_t *p, size_t rlen, enum frame frame, size_t *ret_caplen)
{
        size_t at = frame_offset(p, rlen, frame), wirelen = formats_get16be(p + 14);

        if (at > rlen)
                return NULL;
        *ret_caplen = rlen - at < wirelen ? rlen - at : wirelen; /* records are padded to 8 bytes */
        return p + at;
}

static int erf_read(struct formats_reader *r, struct formats_window *w, struct mapi_view *pkt, unsigned most,
                    size_t max_bytes)
{
        size_t left = max_bytes;
        unsigned n = 0;
        int rc = 0;

        r->need_bytes = 0;
        r->next_caplen = 0;
        while (n < most) {
                const uint8_t *p = w->p, *data;
                size_t avail = formats_avail(w), rlen, caplen;
                struct mapi_view *v = &pkt[n];
                enum frame frame;
                unsigned type;

                if (avail < HEADER_BYTES) {
                        r->need_bytes = HEADER_BYTES;
                        break;
                }
                type = p[8] & ~MORE_EXTENSIONS;
                rlen = record_length(p);
                if (rlen < HEADER_BYTES) {
                        rc = formats_damage(r, formats_offset(w), "a record length of %zu bytes is impossible",
                                            rlen);
                        break;
                }
                if (avail < rlen) {
                        r->need_bytes = rlen;
                        break;
                }
                frame = (enum frame)frame_of[type];
                if (frame == FRAME_SKIP) {
                        w->p += rlen;
                        r->skipped++;
                        continue;
                }
                data = frame_data(p, rlen, frame, &caplen);
                if (data == NULL) {
                        rc = formats_damage(r, formats_offset(w),
                                            "a record of %zu bytes is too short for its headers", rlen);
                        break;
                }
                if (caplen > left) {
                        r->next_caplen = caplen;
                        break;
                }
                left -= caplen;
                v->data = data;
                v->ts = formats_get64le(p);
                v->caplen = (uint32_t)caplen;
                v->wirelen = formats_get16be(p + 14);
                v->ifindex = p[9] & 3;
                v->linktype = frame_linktype(frame, data, caplen);
                v->reserved = 0;
                if (counts_loss(type))
                        r->lost += formats_get16be(p + 12);
                w->p += rlen;
                r->records++;
                n++;
        }
        return n != 0 ? (int)n : rc;
}

static uint32_t seconds_of(const uint8_t *p)
{
        return formats_get32le(p + 4);
}

static int plausible_header(const uint8_t *p)
{
        unsigned type = p[8] & ~MORE_EXTENSIONS;
        size_t rlen = record_length(p), wirelen = formats_get16be(p + 14);

        if (type == 0 || (type > TYPE_LAST && type != TYPE_PAD) || rlen < HEADER_BYTES)
                return 0;
        if (frame_of[type] == FRAME_SKIP)
                return 1;
        /* A frame is not captured much longer than it was, and not captured without its headers. */
        return rlen >= HEADER_BYTES + lead_bytes[frame_of[type]] && wirelen != 0 &&
               rlen <= HEADER_BYTES + 16 * EXTENSION_BYTES + wirelen;
}

/* Whether one record alone is enough evidence: what text and other files hold by chance does not pass. */
static int certain_record(const uint8_t *p, size_t avail)
{
        enum frame frame = (enum frame)frame_of[p[8] & ~MORE_EXTENSIONS];
        size_t rlen = record_length(p), at = frame_offset(p, avail < rlen ? avail : rlen, frame);

        if (seconds_of(p) < YEAR_1990 || seconds_of(p) >= YEAR_2100 || formats_get16be(p + 12) != 0 ||
            at + 2 > avail)
                return 0;
        switch (frame) {
        case FRAME_ETHERNET:
                return formats_get16be(p + at - 2) == 0;
        case FRAME_HDLC:
        case FRAME_MC_HDLC:
                return formats_get16be(p + at) == 0xff03 || formats_get16be(p + at) == 0x0f00 ||
                       formats_get16be(p + at) == 0x8f00;
        default:
                return 0;
        }
}

int formats_erf_plausible(const struct formats_window *w, int eof, size_t *ret_need)
{
        size_t avail = formats_avail(w), rlen;
        const uint8_t *p = w->p;
        uint32_t apart;

        if (avail < HEADER_BYTES) {
                *ret_need = HEADER_BYTES;
                return eof ? 0 : -1;
        }
        if (!plausible_header(p))
                return 0;
        rlen = record_length(p);
        if ((avail == rlen && eof) || certain_record(p, avail))
                return 1;
        if (avail < rlen + HEADER_BYTES) {
                *ret_need = rlen + HEADER_BYTES;
                return eof ? 0 : -1;
        }
        apart = seconds_of(p + rlen) - seconds_of(p);
        return plausible_header(p + rlen) && (apart <= DAY || apart >= 0u - DAY);
}

/* The link type of the device is that of its first frame, which may stand behind other records. */
int formats_erf_open(struct formats_reader *r, struct formats_window *w, int eof)
{
        size_t avail = formats_avail(w), at = 0, wanted = HEADER_BYTES;

        r->linktype = FORMATS_DLT_EN10MB;
        while (wanted <= FORMATS_RECORD_MAX) {
                const uint8_t *p = w->p + at;
                enum frame frame;
                size_t rlen, caplen;

                if (avail >= wanted) {
                        rlen = record_length(p);
                        if (rlen < HEADER_BYTES)
                                break;
                        wanted = at + rlen;
                        if (wanted > FORMATS_RECORD_MAX)
                                break;
                }
                if (avail < wanted) {
                        if (eof)
                                break;
                        r->need_bytes = wanted;
                        return 0;
                }
                frame = (enum frame)frame_of[p[8] & ~MORE_EXTENSIONS];
                if (frame != FRAME_SKIP) {
                        const uint8_t *data = frame_data(p, rlen, frame, &caplen);

                        if (data != NULL)
                                r->linktype = frame_linktype(frame, data, caplen);
                        break;
                }
                at += rlen;
                wanted = at + HEADER_BYTES;
        }
        r->name = "ERF";
        r->header_bytes = HEADER_BYTES;
        r->snaplen = 65535;
        r->read = erf_read;
        return 1;
}
