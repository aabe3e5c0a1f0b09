/*
 * The oracle's own reader of pcap and pcapng files. It shares nothing with src/: what both say has been said twice.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef TESTS_ORACLE_READER_H
#define TESTS_ORACLE_READER_H

#include <stddef.h>
#include <stdint.h>

#define READER_CAPLEN_MAX 262144u
#define READER_INTERFACES_MAX 64u

struct reader {
        const uint8_t *file; /* the whole file in memory */
        size_t size, at;
        int swapped, ng;
        unsigned record_head;                      /* pcap: bytes in front of a packet */
        unsigned interfaces;                       /* pcapng: described so far in this section */
        uint16_t linktypes[READER_INTERFACES_MAX]; /* DLT_ values; pcap: the first */
        uint32_t snaplens[READER_INTERFACES_MAX];
        const char *damage; /* why the trace ended before its end, or NULL */
};

struct packet {
        const uint8_t *data;
        uint32_t caplen, wirelen;
        uint16_t linktype;
};

/** Reads the file's head. Returns 0 or -1 with a reason in r->damage. */
int reader_open(struct reader *r, const uint8_t *file, size_t size);

/** Returns 1 and a packet, or 0: the end, see r->damage. */
int reader_next(struct reader *r, struct packet *ret);

#endif
