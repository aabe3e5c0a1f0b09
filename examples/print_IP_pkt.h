/* Tutorial, Appendix G: prints who sent a packet to whom. SPDX-License-Identifier: BSD-2-Clause */
#ifndef PRINT_IP_PKT_H
#define PRINT_IP_PKT_H

struct mapipkt;

/** Prints MAC and IPv4 addresses of an Ethernet packet on stdout. */
void print_IP_pkt(const struct mapipkt *rec);

#endif
