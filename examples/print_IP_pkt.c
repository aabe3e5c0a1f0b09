/*
 * Tutorial, Appendix G: prints who sent a packet to whom.
 *
 * Two things are done differently from the tutorial: nothing behind caplen is read, and the headers are copied out
 * before use, since those behind the Ethernet header are not aligned in memory.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <stdio.h>
#include <string.h>

#include <mapi.h>

#include "print_IP_pkt.h"

static void print_mac(const unsigned char *mac)
{
        int i;

        for (i = 0; i < ETH_ALEN; i++)
                printf("%s%.2X", i == 0 ? "" : ":", mac[i]);
}

void print_IP_pkt(const struct mapipkt *rec)
{
        const unsigned char *p = &rec->pkt; /* the frame begins here and goes on for caplen bytes */
        struct ether_header eth;
        struct iphdr iph;
        char from[INET_ADDRSTRLEN], to[INET_ADDRSTRLEN];

        if (rec->caplen < sizeof(eth)) {
                printf("print_IP_pkt(): No Ethernet header\n");
                return;
        }
        memcpy(&eth, p, sizeof(eth));
        print_mac(eth.ether_shost);
        printf(" -> ");
        print_mac(eth.ether_dhost);
        printf("\n");

        /* make sure that this is indeed an IP packet */
        if (ntohs(eth.ether_type) != ETHERTYPE_IP || rec->caplen < sizeof(eth) + sizeof(iph)) {
                printf("print_IP_pkt(): Not an IP packet\n");
                return;
        }
        memcpy(&iph, p + sizeof(eth), sizeof(iph));
        printf("%s -> %s\n", inet_ntop(AF_INET, &iph.saddr, from, sizeof(from)),
               inet_ntop(AF_INET, &iph.daddr, to, sizeof(to)));
}
