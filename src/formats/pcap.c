/*
 * Reads the records of pcap files: both byte orders, micro- and nanoseconds, the "modified" header of old Linux
 * kernels.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "formats/bytes.h"
#include "formats/format.h"
#include "formats/linktype.h"

#define FILE_HEADER_BYTES 24
#define RECORD_HEADER_BYTES 16
#define MODIFIED_RECORD_HEADER_BYTES 24

#define MAGIC_US 0xa1b2c3d4u
#define MAGIC_NS 0xa1b23c4du
#define MAGIC_MODIFIED 0xa1b2cd34u

/* Until version 2.3 the two lengths of a record were the other way round; in 2.3 itself it depends on the
   writer. */
enum lengths { LENGTHS_NORMAL = 0, LENGTHS_REVERSED, LENGTHS_EITHER };

/* "2 bytes of header" or "1514 bytes": what is wanted from p on, and nothing was handed out. */
static int want(struct formats_reader *r, size_t bytes)
{
        r->need_bytes = bytes;
        return 0;
}

static __attribute__((noinline, cold)) int too_long(struct formats_reader *r, const struct formats_window *w,
                                                    uint32_t caplen)
{
        return formats_damage(r, formats_offset(w), "a captured length of %u bytes is impossible (at most %u)",
                              caplen, MAPI_CAPLEN_MAX);
}

/* The one loop; its variants are compiled apart so that the usual one holds no decision about the format. */
static inline __attribute__((always_inline)) int walk(struct formats_reader *r, struct formats_window *w,
                                                      struct mapi_view *pkt, unsigned most, size_t max_bytes,
                                                      int swap, int nano, size_t header, enum lengths lengths)
{
        uint8_t *p = w->p;
        const uint32_t snaplen = r->snaplen;
        const uint16_t linktype = r->linktype;
        size_t avail = formats_avail(w), left = max_bytes;
        unsigned n = 0;
        int rc = 0;

        r->need_bytes = 0;
        r->next_caplen = 0;
        while (n < most) {
                uint32_t caplen, wirelen, kept, frac;
                struct mapi_view *v = &pkt[n];

                if (avail < header) {
                        rc = want(r, header);
                        break;
                }
                caplen = formats_get32(p + 8, swap);
                wirelen = formats_get32(p + 12, swap);
                if (lengths == LENGTHS_REVERSED || (lengths == LENGTHS_EITHER && caplen > wirelen)) {
                        uint32_t t = caplen;

                        caplen = wirelen;
                        wirelen = t;
                }
                if (__builtin_expect(caplen > MAPI_CAPLEN_MAX, 0)) {
                        w->p = p;
                        rc = n != 0 ? 0 : too_long(r, w, caplen);
                        break;
                }
                if (avail - header < caplen) {
                        rc = want(r, header + caplen);
                        break;
                }
                kept = caplen < snaplen ? caplen : snaplen;
                if (kept > left) {
                        r->next_caplen = kept;
                        break;
                }
                left -= kept;
                frac = formats_get32(p + 4, swap);
                v->ts = nano ? mapi_ts_from_ns(formats_get32(p, swap), frac)
                             : mapi_ts_from_us(formats_get32(p, swap), frac);
                v->data = p + header;
                v->caplen = kept;
                v->wirelen = wirelen;
                v->ifindex = 0;
                v->linktype = linktype;
                v->reserved = 0;
                n++;
                p += header + caplen;
                avail -= header + caplen;
        }
        w->p = p;
        r->records += n;
        return n != 0 ? (int)n : rc;
}

static int read_native_us(struct formats_reader *r, struct formats_window *w, struct mapi_view *pkt, unsigned most,
                          size_t max_bytes)
{
        return walk(r, w, pkt, most, max_bytes, 0, 0, RECORD_HEADER_BYTES, LENGTHS_NORMAL);
}

static int read_native_ns(struct formats_reader *r, struct formats_window *w, struct mapi_view *pkt, unsigned most,
                          size_t max_bytes)
{
        return walk(r, w, pkt, most, max_bytes, 0, 1, RECORD_HEADER_BYTES, LENGTHS_NORMAL);
}

/* Everything else. */
static int read_any(struct formats_reader *r, struct formats_window *w, struct mapi_view *pkt, unsigned most,
                    size_t max_bytes)
{
        int n = walk(r, w, pkt, most, max_bytes, r->swapped, r->nano, r->header_bytes, (enum lengths)r->lengths);

        if (n > 0 && r->swapped && r->linktype == FORMATS_DLT_NULL)
                formats_swap_null(pkt, (unsigned)n);
        return n;
}

int formats_pcap_open(struct formats_reader *r, struct formats_window *w, int eof)
{
        uint32_t magic, snaplen;
        uint16_t major, minor;
        int swapped;

        if (formats_avail(w) < FILE_HEADER_BYTES) {
                if (eof)
                        return formats_refuse(r,
                                              "it ends inside the file header of a pcap trace (%zu of %d bytes)",
                                              formats_avail(w), FILE_HEADER_BYTES);
                return want(r, FILE_HEADER_BYTES);
        }
        magic = formats_get32(w->p, 0);
        swapped = magic != MAGIC_US && magic != MAGIC_NS && magic != MAGIC_MODIFIED;
        magic = formats_get32(w->p, swapped);
        major = formats_get16(w->p + 4, swapped);
        minor = formats_get16(w->p + 6, swapped);
        if (major != 2)
                return formats_refuse(r, "it is a pcap trace of the unknown version %u.%u", major, minor);
        snaplen = formats_get32(w->p + 16, swapped);

        r->name = "pcap";
        r->swapped = swapped;
        r->nano = magic == MAGIC_NS;
        r->header_bytes = magic == MAGIC_MODIFIED ? MODIFIED_RECORD_HEADER_BYTES : RECORD_HEADER_BYTES;
        r->lengths = minor < 3 ? LENGTHS_REVERSED : minor == 3 ? LENGTHS_EITHER : LENGTHS_NORMAL;
        /* Like libpcap, a packet is cut at the file's snaplen, so that nobody meets a longer one than was
           announced. */
        r->snaplen = snaplen == 0 || snaplen > MAPI_CAPLEN_MAX ? MAPI_CAPLEN_MAX : snaplen;
        /* The upper half of the field speaks of checksums at the end of frames. */
        r->linktype = formats_dlt_from_linktype((uint16_t)formats_get32(w->p + 20, swapped));
        if (swapped || r->header_bytes != RECORD_HEADER_BYTES || r->lengths != LENGTHS_NORMAL)
                r->read = read_any;
        else
                r->read = r->nano ? read_native_ns : read_native_us;
        w->p += FILE_HEADER_BYTES;
        return 1;
}
