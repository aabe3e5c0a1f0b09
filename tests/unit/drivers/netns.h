/*
 * Network namespaces of a test's own, links in them, a sender of known frames, and a receiver that waits for them.
 * Nothing here reaches the network of the machine.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef TESTS_UNIT_DRIVERS_NETNS_H
#define TESTS_UNIT_DRIVERS_NETNS_H

#include "drive.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <time.h>
#include <arpa/inet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <linux/if_ether.h>
#include <linux/if_packet.h>

#define NETNS_WAIT_MS 10000 /* longer than anything takes; reaching it is a failure */

/* Runs a command of a test; it must succeed. */
static inline void __attribute__((format(printf, 1, 2))) netns_run(const char *format, ...)
{
        char command[256];
        va_list args;

        va_start(args, format);
        assert_in_range(vsnprintf(command, sizeof(command), format, args), 1, sizeof(command) - 1);
        va_end(args);
        if (system(command) != 0)
                fail_msg("failed: %s", command);
}

static inline void netns_write(const char *path, const char *text)
{
        int fd = open(path, O_WRONLY | O_CLOEXEC);

        if (fd < 0)
                return; /* a kernel without it */
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
        close(fd);
}

/** A setup of cmocka: from here on this process is in a new and empty namespace. The one before ends with its last socket. */
static inline int netns_setup(void **state)
{
        assert_int_equal(unshare(CLONE_NEWNET), 0);
        /* Nobody else may speak here. */
        netns_write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
        netns_write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
        netns_run("ip link set lo up");
        return 0;
}

/** Why tests cannot have a namespace here, or NULL. */
static inline const char *netns_missing(void)
{
        if (unshare(CLONE_NEWNET) < 0)
                return "skipped: a network namespace of its own is not permitted here";
        if (system("ip link show lo >/dev/null 2>&1") != 0)
                return "skipped: there is no command ip";
        if (system("ip link add t0 type veth peer name t1 >/dev/null 2>&1") != 0)
                return "skipped: this kernel has no veth";
        return NULL;
}

static inline struct ifreq netns_request(const char *name)
{
        struct ifreq r;

        memset(&r, 0, sizeof(r));
        (void)snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
        return r;
}

/** Waits until an interface that is up has its carrier, and the kernel has drawn all consequences. */
static inline void netns_wait_carrier(const char *name)
{
        struct ifreq r = netns_request(name);
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        for (unsigned ms = 0; ms < NETNS_WAIT_MS; ms++) {
                assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &r), 0);
                if (r.ifr_flags & IFF_RUNNING)
                        break;
                (void)poll(NULL, 0, 1); /* no event tells it to a process without netlink */
        }
        assert_true(r.ifr_flags & IFF_RUNNING);
        assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &r),
                         0); /* changes nothing, but waits for who is changing something */
        close(fd);
}

/** A pair of interfaces, up; `options` belong to the first one, as in "index 7". */
static inline void netns_veth(const char *a, const char *b, const char *options)
{
        netns_run("ip link add %s %s type veth peer name %s", a, options, b);
        netns_run("ip link set %s up && ip link set %s up", a, b);
        netns_wait_carrier(a);
        netns_wait_carrier(b);
}

/* ---- frames --------------------------------------------------------------------------------------------- */

#define FRAME_MAX 65549u

/** Frame number i: everything in it follows from number and size. At least 18 bytes. */
static inline void frame_make(uint8_t *p, uint32_t i, uint32_t bytes)
{
        static const uint8_t head[14] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5 }; /* for experiments */

        memcpy(p, head, sizeof(head));
        for (uint32_t k = sizeof(head); k < bytes; k++)
                p[k] = (uint8_t)(k * 7 + i * 13 + (k >> 8));
        for (uint32_t k = 0; k < 4; k++)
                p[14 + k] = (uint8_t)(i >> (24 - 8 * k));
}

/** A socket to send frames with. */
static inline int sender_open(void)
{
        int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        return fd;
}

static inline void sender_send(int fd, const char *name, const uint8_t *frame, uint32_t bytes)
{
        struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(name) };

        assert_int_equal(sendto(fd, frame, bytes, 0, (struct sockaddr *)&to, sizeof(to)), bytes);
}

/** Sends frames number first to first + n - 1, all of one size. */
static inline void sender_flood(const char *name, uint32_t first, uint32_t n, uint32_t bytes)
{
        uint8_t frame[2048];
        int fd = sender_open();

        assert_in_range(bytes, 18, sizeof(frame));
        for (uint32_t i = first; i < first + n; i++) {
                frame_make(frame, i, bytes);
                sender_send(fd, name, frame, bytes);
        }
        close(fd);
}

/* ---- the driver ----------------------------------------------------------------------------------------- */

#define DRIVER (&mapi_drv_afpacket)

/*
 * After retire_ms the kernel hands over a block with a single packet in it, and one that is not read in time is missing
 * in the ring: a reader may be late by blocks times retire_ms. Tests that must lose nothing take many blocks.
 */
#define RING "ring_mb=16,block_kb=128"
#define RING_SMALL "ring_mb=1,block_kb=128"

/** An open driver and the batch under way. */
struct live {
        void *state;
        struct mapi_device_facts facts;
        struct mapi_batch b;
        unsigned at; /* next view of the batch */
        unsigned most;
        size_t max_bytes;
};

static inline struct live live_open(const char *name, const char *options)
{
        struct mapi_source src = { .name = name, .options = options, .fd = -1 };
        struct live l = { .most = MAPI_BATCH_MAX, .max_bytes = SIZE_MAX };
        struct mapi_error err = { 0 };

        if (DRIVER->open(&src, &l.facts, &l.state, &err) != 0)
                fail_msg("open: %d %s", err.code, err.text);
        return l;
}

/** Polls once and says what for. */
static inline int live_poll(struct live *l, int timeout_ms)
{
        struct pollfd p = { .fd = DRIVER->fd(l->state), .events = POLLIN };

        return poll(&p, 1, timeout_ms) > 0 ? p.revents : 0;
}

/** One call of recv; the batch before it is released. Returns how many views. */
static inline int live_recv(struct live *l, size_t max_bytes, size_t *ret_needed_bytes)
{
        struct mapi_error err = { 0 };
        int n;

        if (l->b.n != 0)
                DRIVER->release(l->state, &l->b);
        l->at = l->b.n = 0;
        n = DRIVER->recv(l->state, &l->b, l->most, max_bytes, ret_needed_bytes, &err);
        assert_in_range(n, 0, l->most);
        l->b.n = (uint32_t)n;
        return n;
}

/** The next packet, waited for up to timeout_ms; NULL if none comes. It lives until the next call. */
static inline const struct mapi_view *live_wait(struct live *l, int timeout_ms)
{
        struct timespec start, now;
        size_t needed = 0;

        (void)clock_gettime(CLOCK_MONOTONIC, &start);
        while (l->at == l->b.n) {
                int n = live_recv(l, needed > l->max_bytes ? needed : l->max_bytes, &needed);
                size_t sum = 0;

                for (int i = 0; i < n; i++)
                        sum += l->b.pkt[i].caplen;
                assert_true(n <= 1 || sum <= l->max_bytes);
                if (n != 0 || needed != 0)
                        continue;
                (void)clock_gettime(CLOCK_MONOTONIC, &now);
                if ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 >= timeout_ms)
                        return NULL;
                (void)live_poll(l, 100);
        }
        return &l->b.pkt[l->at++];
}

static inline const struct mapi_view *live_next(struct live *l)
{
        const struct mapi_view *v = live_wait(l, NETNS_WAIT_MS);

        assert_non_null(v);
        return v;
}

/** The next packet must be frame number i of that size. */
static inline void live_expect(struct live *l, uint32_t i, uint32_t bytes)
{
        static uint8_t frame[FRAME_MAX];
        const struct mapi_view *v = live_next(l);

        frame_make(frame, i, bytes);
        assert_int_equal(v->caplen, bytes);
        assert_int_equal(v->wirelen, bytes);
        assert_memory_equal(v->data, frame, bytes);
}

static inline struct mapi_driver_stats live_stats(struct live *l)
{
        struct mapi_driver_stats s;

        DRIVER->stats(l->state, &s);
        return s;
}

/** Reads until every packet sent has been received or dropped. Returns the numbers. */
static inline struct mapi_driver_stats live_drain(struct live *l, uint64_t sent,
                                                  void (*look)(const struct mapi_view *))
{
        struct mapi_driver_stats s = live_stats(l);

        for (unsigned i = 0; s.received + s.dropped < sent && i < NETNS_WAIT_MS / 100; i++) {
                const struct mapi_view *v;

                while ((v = live_wait(l, 100)) != NULL)
                        if (look != NULL)
                                look(v);
                s = live_stats(l);
        }
        return s;
}

static inline void live_close(struct live *l)
{
        DRIVER->close(l->state);
        l->state = NULL;
}

#endif
