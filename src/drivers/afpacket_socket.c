/*
 * Questions and orders of the driver of network interfaces to the kernel; see afpacket_socket.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "drivers/afpacket_socket.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/ethtool.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/sockios.h>

enum { DLT_EN10MB = 1, DLT_RAW = 12, DLT_C_HDLC = 104 };
enum { DLT_IEEE802_11 = 105, DLT_PRISM_HEADER = 119, DLT_IEEE802_11_RADIO = 127 };

static const char *const counter_files[DRIVERS_SOCKET_COUNTERS] = { "statistics/rx_missed_errors",
                                                                    "statistics/rx_fifo_errors" };

/* The ioctls that ask about an interface take any socket and cut a name at a colon (old aliases). */
bool drivers_socket_valid_name(const char *name)
{
        return name[0] != '\0' && strlen(name) < IFNAMSIZ && strpbrk(name, "/:") == NULL &&
               strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static struct ifreq request(const char *name)
{
        struct ifreq r;

        memset(&r, 0, sizeof(r));
        memcpy(r.ifr_name, name, strlen(name)); /* shorter than IFNAMSIZ */
        return r;
}

int drivers_socket_look_up(int fd, const char *name, int *ret_index, unsigned *ret_type)
{
        struct ifreq index = request(name), type = request(name);

        if (ioctl(fd, SIOCGIFINDEX, &index) < 0 || ioctl(fd, SIOCGIFHWADDR, &type) < 0)
                return -1;
        *ret_index = index.ifr_ifindex;
        *ret_type = type.ifr_hwaddr.sa_family;
        return 0;
}

uint16_t drivers_socket_linktype(unsigned type)
{
        switch (type) {
        case ARPHRD_ETHER:
        case ARPHRD_LOOPBACK:
        case ARPHRD_METRICOM:
                return DLT_EN10MB;
        case ARPHRD_NONE:
        case ARPHRD_TUNNEL:
        case ARPHRD_SIT:
        case ARPHRD_SLIP:
        case ARPHRD_CSLIP:
        case ARPHRD_SLIP6:
        case ARPHRD_CSLIP6:
        case ARPHRD_ADAPT:
        case ARPHRD_RAWHDLC:
        case ARPHRD_DLCI:
                return DLT_RAW;
        case ARPHRD_CISCO:
                return DLT_C_HDLC;
        case ARPHRD_IEEE80211:
                return DLT_IEEE802_11;
        case ARPHRD_IEEE80211_PRISM:
                return DLT_PRISM_HEADER;
        case ARPHRD_IEEE80211_RADIOTAP:
                return DLT_IEEE802_11_RADIO;
        default: /* also PPP, whose header is there or not */
                return DRIVERS_SOCKET_COOKED;
        }
}

static int open_file(const char *name, const char *file)
{
        char path[64];

        (void)snprintf(path, sizeof(path), "/sys/class/net/%s/%s", name, file);
        return open(path, O_RDONLY | O_CLOEXEC);
}

static bool file_says(const char *name, const char *file, const char *expected)
{
        char text[32];
        int fd = open_file(name, file);
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

        if (fd >= 0)
                (void)close(fd);
        if (n <= 0)
                return false;
        text[n] = '\0';
        return strcmp(text, expected) == 0;
}

/* /sys may be that of another network namespace than ours, with another interface under this name: it has another
   number or address then. */
static bool files_are_ours(int fd, const char *name, int index)
{
        struct ifreq r = request(name);
        char number[16], address[24];
        uint8_t a[6];

        if (ioctl(fd, SIOCGIFHWADDR, &r) < 0)
                return false;
        memcpy(a, r.ifr_hwaddr.sa_data, sizeof(a));
        (void)snprintf(number, sizeof(number), "%d\n", index);
        (void)snprintf(address, sizeof(address), "%02x:%02x:%02x:%02x:%02x:%02x\n", a[0], a[1], a[2], a[3], a[4],
                       a[5]);
        return file_says(name, "ifindex", number) && file_says(name, "address", address);
}

int drivers_socket_open_counters(int fd, const char *name, int index, int *ret_fds)
{
        int n = 0;

        if (!files_are_ours(fd, name, index))
                return 0;
        for (unsigned i = 0; i < DRIVERS_SOCKET_COUNTERS; i++) {
                int file = open_file(name, counter_files[i]);

                if (file >= 0)
                        ret_fds[n++] = file;
        }
        return n;
}

int drivers_socket_bound(int fd, unsigned *ret_protocol)
{
        struct sockaddr_ll a = { 0 };
        socklen_t n = sizeof(a);

        if (getsockname(fd, (struct sockaddr *)&a, &n) < 0 || a.sll_family != AF_PACKET)
                return -1;
        *ret_protocol = ntohs(a.sll_protocol);
        return a.sll_ifindex;
}

int drivers_socket_promisc(int fd, int option, int index)
{
        struct packet_mreq m = { .mr_ifindex = index, .mr_type = PACKET_MR_PROMISC };

        return setsockopt(fd, SOL_PACKET, option, &m, sizeof(m));
}

int drivers_socket_bind(int fd, int index)
{
        struct sockaddr_ll a = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = index };

        return bind(fd, (struct sockaddr *)&a, sizeof(a));
}

int drivers_socket_filter(int fd, uint32_t bytes)
{
        struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)SKF_AD_OFF + SKF_AD_PKTTYPE),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 0, 3),
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)SKF_AD_OFF + SKF_AD_HATYPE),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARPHRD_LOOPBACK, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, 0),
                BPF_STMT(BPF_RET | BPF_K, bytes),
        };
        struct sock_fprog program = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

        return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

uint32_t drivers_socket_speed(int fd, const char *name)
{
        union {
                struct ethtool_link_settings s;
                uint32_t room[sizeof(struct ethtool_link_settings) / 4 + 3 * INT8_MAX]; /* three masks behind it */
        } e;
        struct ifreq r = request(name);

        memset(&e, 0, sizeof(e));
        e.s.cmd = ETHTOOL_GLINKSETTINGS;
        r.ifr_data = (char *)&e;
        /* The first call says, as a negative number, how many words a mask has here. */
        if (ioctl(fd, SIOCETHTOOL, &r) < 0 || e.s.link_mode_masks_nwords >= 0)
                return 0;
        e.s.link_mode_masks_nwords = (int8_t)-e.s.link_mode_masks_nwords;
        e.s.cmd = ETHTOOL_GLINKSETTINGS;
        if (ioctl(fd, SIOCETHTOOL, &r) < 0 || e.s.speed == (uint32_t)SPEED_UNKNOWN)
                return 0;
        return e.s.speed;
}

bool drivers_socket_is_up(int fd)
{
        unsigned protocol;
        struct ifreq r;

        memset(&r, 0, sizeof(r));
        r.ifr_ifindex = drivers_socket_bound(fd, &protocol);
        return r.ifr_ifindex > 0 && ioctl(fd, SIOCGIFNAME, &r) == 0 && ioctl(fd, SIOCGIFFLAGS, &r) == 0 &&
               (r.ifr_flags & IFF_UP) != 0;
}
