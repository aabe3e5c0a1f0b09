/*
 * The driver of network interfaces: packets of one of them, or of "any", from the kernel's packet socket.
 *
 * The socket is made with protocol 0, so it hears nothing until bind names interface and protocol. Only making it needs
 * a right (CAP_NET_RAW); everything else works in a process without rights that has been given the descriptors.
 * Options: ring_mb, block_kb, retire_ms (how long the kernel keeps a block that is not full), snaplen, promisc.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <mapi/driver.h>

#include "drivers/afpacket_ring.h"
#include "drivers/afpacket_socket.h"
#include "drivers/options.h"
#include "drivers/table.h"

#define ANY "any"
#define SNAPLEN_MAX 65535u
#define BLOCK_KB_STEP 64u /* a multiple of every page size there is */
#define LOOK_MS 1000u     /* how often a silent interface is looked at */
#define FOLD_CALLS 4096u  /* calls of recv after which the kernel's 32-bit counters are emptied */
#define COUNTERS DRIVERS_SOCKET_COUNTERS

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

/* One of the interface's own counters of losses: a file that holds a number. */
struct counter {
        int fd; /* -1: there is none, or not any more */
        uint64_t last;
};

struct options {
        uint64_t ring_mb, block_kb, retire_ms, snaplen, promisc;
};

struct afpacket {
        int fd;
        int index; /* of the interface we bound to last; 0: any */
        bool any, loopback, promisc;
        struct drivers_ring ring;
        uint64_t received; /* read by other threads */
        uint64_t looked_ms;
        uint32_t calls;

        pthread_mutex_t lock; /* of what follows: reading the kernel's counter empties it */
        uint64_t dropped, if_dropped;
        struct counter counters[COUNTERS];

        char name[IFNAMSIZ];
};

/* ---- what is asked for ---------------------------------------------------------------------------------- */

static int parse_options(const struct mapi_source *src, struct options *ret, struct mapi_error *err)
{
        struct options o = {
                .ring_mb = 32, .block_kb = 256, .retire_ms = 10, .snaplen = SNAPLEN_MAX, .promisc = 1
        };
        const struct drivers_option known[] = {
                { "ring_mb", 1, 2048, &o.ring_mb },     { "block_kb", 128, 16384, &o.block_kb },
                { "retire_ms", 1, 1000, &o.retire_ms }, { "snaplen", 64, SNAPLEN_MAX, &o.snaplen },
                { "promisc", 0, 1, &o.promisc },
        };
        int rc = drivers_options_parse(src, known, sizeof(known) / sizeof(known[0]), err);

        if (rc < 0)
                return rc;
        if (o.block_kb % BLOCK_KB_STEP != 0)
                return mapi_fail(err, PCAP_OPEN_ERR, "%s: option 'block_kb' must be a multiple of %u", src->name,
                                 BLOCK_KB_STEP);
        if (o.ring_mb * 1024 < 2 * o.block_kb)
                return mapi_fail(err, PCAP_OPEN_ERR, "%s: a ring of %llu MB has not even two blocks of %llu kB",
                                 src->name, (unsigned long long)o.ring_mb, (unsigned long long)o.block_kb);
        *ret = o;
        return 0;
}

/* ---- prepare: what needs rights ------------------------------------------------------------------------- */

static int no_interface(const char *name, struct mapi_error *err)
{
        return mapi_fail(err, MAPID_NO_DRIVER, "there is no network interface %s", name);
}

static int afpacket_prepare(const struct mapi_source *src, int *ret_fds, struct mapi_error *err)
{
        bool any = strcmp(src->name, ANY) == 0;
        uint16_t linktype = DRIVERS_SOCKET_COOKED;
        struct options o;
        unsigned type;
        int index = 0, fd, rc = parse_options(src, &o, err);

        if (rc < 0)
                return rc;
        if (!any) {
                /* Asked on a socket for which nobody needs a right: a missing interface is missing for everybody. */
                fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
                if (fd < 0)
                        return mapi_fail(err, PCAP_OPEN_ERR, "%s: socket: %m", src->name);
                rc = drivers_socket_valid_name(src->name) ? drivers_socket_look_up(fd, src->name, &index, &type)
                                                          : -1;
                (void)close(fd);
                if (rc < 0)
                        return no_interface(src->name, err);
                linktype = drivers_socket_linktype(type);
        }
        fd = socket(AF_PACKET, (linktype == DRIVERS_SOCKET_COOKED ? SOCK_DGRAM : SOCK_RAW) | SOCK_CLOEXEC, 0);
        if (fd < 0 && (errno == EPERM || errno == EACCES))
                return mapi_fail(
                        err, PCAP_OPEN_ERR,
                        "%s: capturing needs the right CAP_NET_RAW, which this program has not: run it as "
                        "root, or start mapid",
                        src->name);
        if (fd < 0)
                return mapi_fail(err, PCAP_OPEN_ERR, "%s: packet socket: %m", src->name);
        ret_fds[0] = fd;
        return any ? 1 : 1 + drivers_socket_open_counters(fd, src->name, index, ret_fds + 1);
}

/* ---- open ----------------------------------------------------------------------------------------------- */

static int make_ring(struct afpacket *a, const struct options *o, struct mapi_error *err)
{
        int version = TPACKET_V3, reserve = DRIVERS_RING_RESERVE;
        struct tpacket_req3 req = { .tp_retire_blk_tov = (unsigned)o->retire_ms };
        void *base;

        a->ring.block_bytes = (uint32_t)o->block_kb * 1024;
        a->ring.nblocks = (uint32_t)(o->ring_mb * 1024 / o->block_kb);
        req.tp_block_size = req.tp_frame_size = a->ring.block_bytes; /* frames of a fixed size are not used */
        req.tp_block_nr = req.tp_frame_nr = a->ring.nblocks;
        if (setsockopt(a->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) < 0 ||
            setsockopt(a->fd, SOL_PACKET, PACKET_RESERVE, &reserve, sizeof(reserve)) < 0)
                return mapi_fail(err, PCAP_OPEN_ERR, "%s: this kernel has no TPACKET_V3: %m", a->name);
        if (setsockopt(a->fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req)) < 0)
                return mapi_fail(err, errno == ENOMEM ? MAPID_MEM_ALLOCATION_ERROR : PCAP_OPEN_ERR,
                                 "%s: a ring of %llu MB: %m", a->name, (unsigned long long)o->ring_mb);
        base = mmap(NULL, (size_t)a->ring.block_bytes * a->ring.nblocks, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd,
                    0);
        if (base == MAP_FAILED)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "%s: mapping the ring: %m", a->name);
        a->ring.base = base;
        return 0;
}

/* Checks the socket, finds the interface, fills in facts. */
static int identify(struct afpacket *a, const struct options *o, struct mapi_device_facts *facts,
                    struct mapi_error *err)
{
        int socket_type = 0, index = 0;
        socklen_t n = sizeof(socket_type);
        unsigned type, protocol = ~0u;

        if (drivers_socket_bound(a->fd, &protocol) != 0 || protocol != 0 ||
            getsockopt(a->fd, SOL_SOCKET, SO_TYPE, &socket_type, &n) < 0)
                return mapi_fail(err, PCAP_OPEN_ERR,
                                 "%s: the descriptor is not a packet socket that hears nothing", a->name);
        a->ring.cooked = socket_type == SOCK_DGRAM;
        a->ring.numbered = a->any;
        a->ring.snaplen = (uint32_t)o->snaplen;
        a->ring.linktype = DRIVERS_SOCKET_COOKED;
        if (!a->any) {
                if (drivers_socket_look_up(a->fd, a->name, &index, &type) < 0)
                        return no_interface(a->name, err);
                a->loopback = type == ARPHRD_LOOPBACK;
                if (!a->ring.cooked)
                        a->ring.linktype = drivers_socket_linktype(type);
        }
        if (!a->ring.cooked && a->ring.linktype == DRIVERS_SOCKET_COOKED)
                return mapi_fail(err, PCAP_OPEN_ERR, "%s: the descriptor is a packet socket of the wrong type",
                                 a->name);
        a->index = index;
        a->promisc = !a->any && o->promisc != 0;
        facts->linktype = a->ring.linktype;
        facts->snaplen = a->ring.snaplen;
        facts->offline = 0;
        facts->link_speed = a->any ? 0 : drivers_socket_speed(a->fd, a->name);
        return 0;
}

static uint64_t read_counter(const struct counter *c)
{
        char text[24];
        ssize_t n = c->fd < 0 ? -1 : pread(c->fd, text, sizeof(text) - 1, 0);

        if (n <= 0) /* gone together with its interface */
                return c->last;
        text[n] = '\0';
        return strtoull(text, NULL, 10);
}

static void take_counters(struct afpacket *a, const int *fds, unsigned n)
{
        for (unsigned i = 0; i < n; i++) {
                if (i >= COUNTERS) {
                        (void)close(fds[i]); /* not ours to know, but ours to close */
                        continue;
                }
                a->counters[i].fd = fds[i];
                a->counters[i].last = 0;
                a->counters[i].last = read_counter(&a->counters[i]);
        }
}

static void afpacket_close(void *state)
{
        struct afpacket *a = state;

        if (a == NULL)
                return;
        if (a->ring.base != NULL)
                (void)munmap(a->ring.base, (size_t)a->ring.block_bytes * a->ring.nblocks);
        if (a->fd >= 0)
                (void)close(a->fd); /* membership and ring end with it */
        for (unsigned i = 0; i < COUNTERS; i++)
                if (a->counters[i].fd >= 0)
                        (void)close(a->counters[i].fd);
        (void)pthread_mutex_destroy(&a->lock);
        free(a);
}

/* Makes a socket that hears nothing one that fills our ring. Bound last: no packet may come before all is set. */
static int start(struct afpacket *a, const struct options *o, struct mapi_device_facts *facts,
                 struct mapi_error *err)
{
        uint32_t front;
        int one = 1, rc = identify(a, o, facts, err);

        if (rc < 0)
                return rc;
        front = a->ring.cooked ? DRIVERS_RING_COOKED_BYTES : 0; /* is in snaplen, but not the kernel's to copy */
        if (drivers_socket_filter(a->fd, a->ring.snaplen - front) < 0)
                return mapi_fail(err, PCAP_OPEN_ERR, "%s: filter: %m", a->name);
        rc = make_ring(a, o, err);
        if (rc < 0)
                return rc;
        if (a->promisc && drivers_socket_promisc(a->fd, PACKET_ADD_MEMBERSHIP, a->index) < 0)
                return mapi_fail(err, PCAP_OPEN_ERR, "%s: promiscuous mode: %m (option promisc=0 does without)",
                                 a->name);
        if (a->loopback) /* cheaper than the filter, which is enough if this fails */
                (void)setsockopt(a->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one));
        if (drivers_socket_bind(a->fd, a->index) < 0)
                return mapi_fail(err, errno == ENODEV ? MAPID_NO_DRIVER : PCAP_OPEN_ERR, "%s: bind: %m", a->name);
        return 0;
}

static int afpacket_open(const struct mapi_source *src, struct mapi_device_facts *facts, void **ret_state,
                         struct mapi_error *err)
{
        int fds[1 + COUNTERS], fd = src->fd, rc;
        const int *more = src->more;
        unsigned nmore = src->nmore;
        struct mapi_device_facts found = { 0 };
        struct afpacket *a = NULL;
        struct options o;

        if (fd < 0) {
                rc = afpacket_prepare(src, fds, err);
                if (rc < 0)
                        goto fail;
                fd = fds[0];
                more = fds + 1;
                nmore = (unsigned)rc - 1;
        }
        rc = parse_options(src, &o, err);
        if (rc == 0 && !drivers_socket_valid_name(src->name))
                rc = no_interface(src->name, err);
        if (rc < 0)
                goto fail;
        a = calloc(1, sizeof(*a));
        if (a == NULL) {
                rc = mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "%s", src->name);
                goto fail;
        }
        (void)pthread_mutex_init(&a->lock, NULL); /* cannot fail without attributes */
        memcpy(a->name, src->name, strlen(src->name));
        a->any = strcmp(a->name, ANY) == 0;
        a->fd = fd;
        for (unsigned i = 0; i < COUNTERS; i++)
                a->counters[i].fd = -1;
        take_counters(a, more, nmore);
        fd = -1; /* what is open is in *a now */
        nmore = 0;
        rc = start(a, &o, &found, err);
        if (rc < 0)
                goto fail;
        *facts = found;
        *ret_state = a;
        return 0;
fail:
        afpacket_close(a);
        if (fd >= 0)
                (void)close(fd);
        for (unsigned i = 0; i < nmore; i++)
                (void)close(more[i]);
        return rc;
}

/* ---- counting ------------------------------------------------------------------------------------------- */

/* Adds what the kernel has counted since it was last asked. Under the lock. */
static void fold(struct afpacket *a)
{
        struct tpacket_stats_v3 s = { 0 };
        socklen_t n = sizeof(s);

        if (getsockopt(a->fd, SOL_PACKET, PACKET_STATISTICS, &s, &n) == 0)
                a->dropped += s.tp_drops; /* .tp_packets has them, too, and what waits in the ring */
        for (unsigned i = 0; i < COUNTERS; i++) {
                uint64_t now = read_counter(&a->counters[i]);

                /* A smaller number is a counter that began anew. */
                a->if_dropped += now >= a->counters[i].last ? now - a->counters[i].last : now;
                a->counters[i].last = now;
        }
}

static void afpacket_stats(void *state, struct mapi_driver_stats *ret)
{
        struct afpacket *a = state;

        (void)pthread_mutex_lock(&a->lock);
        fold(a);
        *ret = (struct mapi_driver_stats){
                .received = __atomic_load_n(&a->received, __ATOMIC_RELAXED),
                .dropped = a->dropped + __atomic_load_n(&a->ring.lost, __ATOMIC_RELAXED),
                .if_dropped = a->if_dropped,
        };
        (void)pthread_mutex_unlock(&a->lock);
        ret->down = !a->any && !drivers_socket_is_up(a->fd);
}

/* ---- the way of the packets ----------------------------------------------------------------------------- */

static uint64_t now_ms(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail with this clock */
        return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* The name has another interface than ours: an interface came back, or came under this name. Ours from now on, if it
   is of the same kind; whatever fails here is tried again in a second. */
static void follow_name(struct afpacket *a)
{
        unsigned protocol, type;
        int index, bound = drivers_socket_bound(a->fd, &protocol), fds[COUNTERS], n;

        if (drivers_socket_look_up(a->fd, a->name, &index, &type) < 0 || index == bound)
                return;
        if (!a->ring.cooked && drivers_socket_linktype(type) != a->ring.linktype)
                return;
        if (a->promisc) {
                /* Kept where it is, if the first one went away with its interface. */
                (void)drivers_socket_promisc(a->fd, PACKET_DROP_MEMBERSHIP, a->index);
                if (drivers_socket_promisc(a->fd, PACKET_ADD_MEMBERSHIP, index) < 0)
                        return;
        }
        a->index = index;
        if (drivers_socket_bind(a->fd, index) < 0)
                return;
        n = drivers_socket_open_counters(a->fd, a->name, index,
                                         fds); /* none in a process that may not open files */
        (void)pthread_mutex_lock(&a->lock);
        fold(a);
        for (unsigned i = 0; i < COUNTERS; i++) {
                if (a->counters[i].fd >= 0)
                        (void)close(a->counters[i].fd);
                a->counters[i].fd = -1;
        }
        take_counters(a, fds, (unsigned)n);
        (void)pthread_mutex_unlock(&a->lock);
}

/* Nothing came. Going down leaves an error on the socket, for which poll would wake us again and again: take it. */
static void when_silent(struct afpacket *a)
{
        uint64_t now = now_ms();
        socklen_t n = sizeof(int);
        int error = 0;

        (void)getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &error, &n);
        if (a->any || (error == 0 && now - a->looked_ms < LOOK_MS))
                return;
        a->looked_ms = now;
        follow_name(a);
}

static void afpacket_release(void *state, struct mapi_batch *b)
{
        struct afpacket *a = state;

        (void)b;
        drivers_ring_release(&a->ring);
}

static int afpacket_recv(void *state, struct mapi_batch *b, unsigned most, size_t max_bytes,
                         size_t *ret_needed_bytes, struct mapi_error *err)
{
        struct afpacket *a = state;
        unsigned n;

        (void)err; /* an interface has no end and no damage */
        drivers_ring_release(&a->ring);
        if (++a->calls % FOLD_CALLS == 0) {
                (void)pthread_mutex_lock(&a->lock);
                fold(a);
                (void)pthread_mutex_unlock(&a->lock);
        }
        n = drivers_ring_recv(&a->ring, b->pkt, most < MAPI_BATCH_MAX ? most : MAPI_BATCH_MAX, max_bytes,
                              ret_needed_bytes);
        if (n != 0)
                __atomic_store_n(&a->received, a->received + n, __ATOMIC_RELAXED);
        else if (*ret_needed_bytes == 0 && most != 0)
                when_silent(a);
        return (int)n;
}

static int afpacket_fd(void *state)
{
        const struct afpacket *a = state;

        return a->fd;
}

const struct mapi_driver mapi_drv_afpacket = {
        .abi = MAPI_DRIVER_ABI,
        .name = "afpacket",
        .help = "Captures from a network interface or from any; options ring_mb, block_kb, retire_ms, snaplen, "
                "promisc.",
        .traits = MAPI_DRV_NAPS,
        .prepare = afpacket_prepare,
        .open = afpacket_open,
        .recv = afpacket_recv,
        .release = afpacket_release,
        .stats = afpacket_stats,
        .fd = afpacket_fd,
        .close = afpacket_close,
};
