/* HASHSAMP: the layout of one sample, its result. SPDX-License-Identifier: BSD-2-Clause */
#ifndef MAPI_HASHSAMP_H
#define MAPI_HASHSAMP_H

/* Bits of tcp_flags. They are HASHSAMP's own and not those of a TCP header. */
#define TCP_SYN 1
#define TCP_ACK 2
#define TCP_RST 4
#define TCP_FIN 8
#define TCP_PSH 16

/** One packet that passed; 40 bytes. */
struct sample {
        unsigned int source_ip;  /* IPv4 address in network byte order; 0 for IPv6 */
        unsigned int dest_ip;    /* likewise */
        unsigned int sourceport; /* host byte order, as everything below */
        unsigned int destport;
        unsigned int sequence;        /* TCP sequence number; 0 for UDP, and if it was not captured */
        unsigned int tcp_flags;       /* TCP_SYN and so on; 0 likewise */
        unsigned int protocol;        /* 6 TCP, 17 UDP */
        unsigned long long timestamp; /* 2^-32 seconds since 1970-01-01 UTC */
};

#endif
