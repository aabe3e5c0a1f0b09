/*
 * What the driver of network interfaces asks the kernel: names, numbers and kinds of interfaces, and what a packet
 * socket is told. All of it on a socket that is there already, so no right is needed.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef DRIVERS_AFPACKET_SOCKET_H
#define DRIVERS_AFPACKET_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/if_packet.h>

/** The DLT_ of packets to which we give a cooked header. */
#define DRIVERS_SOCKET_COOKED 113

/** The interface's own counters of losses: how many files there are. */
#define DRIVERS_SOCKET_COUNTERS 2u

/** Could this be the name of an interface? To be asked before all functions here. */
bool drivers_socket_valid_name(const char *name);

/** Number and ARPHRD_ type of an interface, asked on any socket. 0 or -1. */
int drivers_socket_look_up(int fd, const char *name, int *ret_index, unsigned *ret_type);

/** How packets of an ARPHRD_ type begin: a DLT_. As libpcap says it, so that traces of both look alike. */
uint16_t drivers_socket_linktype(unsigned type);

/**
 * Opens those counters of an Ethernet interface that can be opened; fd is any socket of its namespace.
 * Returns how many, at most DRIVERS_SOCKET_COUNTERS
 */
int drivers_socket_open_counters(int fd, const char *name, int index, int *ret_fds);

/** The interface that a packet socket is bound to: 0 all of them, -1 none (any more). *ret_protocol unless it is -1. */
int drivers_socket_bound(int fd, unsigned *ret_protocol);

/** Hears everything of an interface (0: of all) from now on. 0, or -1 and errno. */
int drivers_socket_bind(int fd, int index);

/** Joins (PACKET_ADD_MEMBERSHIP) those who want an interface promiscuous, or leaves. 0, or -1 and errno. */
int drivers_socket_promisc(int fd, int option, int index);

/**
 * Lets the kernel copy `bytes` of every packet, and of what goes out on a loopback device nothing: it comes in there,
 * too. What the kernel's filter rejects is neither received nor dropped. 0, or -1 and errno.
 */
int drivers_socket_filter(int fd, uint32_t bytes);

/** Is the interface that the socket is bound to there and up? Asked by its number: it may have been renamed. */
bool drivers_socket_is_up(int fd);

/** Mbit/s, 0 if the interface does not say. */
uint32_t drivers_socket_speed(int fd, const char *name);

#endif
