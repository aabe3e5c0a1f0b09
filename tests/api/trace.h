/*
 * Traces as the tests see them: read and written here, with nothing of the library's own code.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef TESTS_API_TRACE_H
#define TESTS_API_TRACE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct trace_packet {
        uint64_t ts; /* 32.32 */
        uint32_t caplen, wlen;
        const uint8_t *data;
};

struct trace {
        struct trace_packet *packet;
        size_t n;
        uint64_t wire_bytes;
        uint32_t snaplen, linktype;
        size_t torn; /* bytes behind the last whole packet */
        uint8_t *file;
        size_t size;
};

/** Reads a pcap file of either byte order and resolution; fails the case if it is none. */
void trace_read(const char *path, struct trace *ret);
void trace_free(struct trace *t);

/** Packets that contain the text. */
size_t trace_count_text(const struct trace *t, const char *text);

/** Packets with IPv4 and this protocol directly behind an Ethernet header; fragments with an offset count too. */
size_t trace_count_ip4(const struct trace *t, int protocol);

/** The first n packets of `got` are the first n of `expected`: times (to the microsecond), lengths, bytes. */
void trace_check_same(const struct trace *got, const struct trace *expected, size_t n);

/* Writing: every number goes into the file as given, however wrong. Little-endian. */

#define TRACE_MAGIC 0xa1b2c3d4u
#define TRACE_MAGIC_NS 0xa1b23c4du

FILE *trace_create(const char *path, uint32_t magic, uint32_t snaplen, uint32_t linktype);
void trace_put(FILE *f, uint32_t seconds, uint32_t fraction, uint32_t caplen, uint32_t wlen, const void *data,
               size_t bytes);
void trace_done(FILE *f);

/** A plain trace of n small UDP packets, one each millisecond; byte 42 on is the packet's number, 32 bits, little-endian. */
void trace_make(const char *path, unsigned n, unsigned caplen);

/** A file with these bytes. */
void file_make(const char *path, const void *data, size_t bytes);

#endif
