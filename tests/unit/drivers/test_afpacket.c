/*
 * The driver of network interfaces, its packets: as many as were sent, with the same bytes, each once, from this
 * interface only; what is too much is counted. tcpdump, if it is there, sees the same.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "netns.h"

#include <pthread.h>
#include <signal.h>

#include <linux/if_tun.h>
#include <net/if_arp.h>

static uint32_t size_of(uint32_t i)
{
        return 60 + i * 37 % 1455;
}

/* Every width and every limit of bytes gives the same packets. */
static void numbers_and_bytes(void **state)
{
        uint8_t frame[2048];
        struct live l;
        struct timespec now;
        uint64_t before, last;
        uint32_t sent = 0;
        int fd = sender_open();

        netns_veth("t0", "t1", "");
        l = live_open("t0", NULL);
        assert_int_equal(l.facts.linktype, 1);
        assert_int_equal(l.facts.snaplen, 65535);
        assert_int_equal(l.facts.offline, 0);
        assert_int_equal(l.facts.link_speed, 10000); /* what veth says of itself */
        (void)clock_gettime(CLOCK_REALTIME, &now);
        before = last = mapi_ts_from_ns((uint64_t)now.tv_sec, (uint32_t)now.tv_nsec);
        for (unsigned round = 0; round < 40; round++) {
                for (uint32_t i = sent; i < sent + 100; i++) {
                        frame_make(frame, i, size_of(i));
                        sender_send(fd, "t1", frame, size_of(i));
                }
                l.most = 1 + round * 5 % MAPI_BATCH_MAX;
                l.max_bytes = round % 3 == 0 ? SIZE_MAX : 97 * round;
                for (uint32_t i = sent; i < sent + 100; i++) {
                        const struct mapi_view *v = live_next(&l);

                        frame_make(frame, i, size_of(i));
                        assert_int_equal(v->caplen, size_of(i));
                        assert_int_equal(v->wirelen, size_of(i));
                        assert_memory_equal(v->data, frame, size_of(i));
                        assert_int_equal(v->linktype, 1);
                        assert_int_equal(v->ifindex, 0);
                        assert_true(v->ts >= last);
                        last = v->ts;
                }
                sent += 100;
        }
        (void)clock_gettime(CLOCK_REALTIME, &now);
        assert_true(before < last && last <= mapi_ts_from_ns((uint64_t)now.tv_sec, (uint32_t)now.tv_nsec));
        assert_int_equal(live_stats(&l).received, sent);
        assert_int_equal(live_stats(&l).dropped, 0);
        assert_int_equal(live_stats(&l).if_dropped, 0);
        assert_int_equal(live_stats(&l).down, 0);
        close(fd);
        live_close(&l);
}

/* What this host sends itself is seen as well. */
static void outgoing(void **state)
{
        struct live l;

        netns_veth("t0", "t1", "");
        l = live_open("t0", NULL);
        sender_flood("t0", 0, 10, 100);
        sender_flood("t1", 10, 10, 100);
        for (uint32_t i = 0; i < 20; i++)
                live_expect(&l, i, 100);
        assert_null(live_wait(&l, 0));
        live_close(&l);
}

/* The kernel takes tags out of frames; the driver puts them back. */
static void vlan_tags(void **state)
{
        static const struct {
                uint8_t bytes[8];
                unsigned n;
        } tags[] = {
                { { 0x81, 0, 0x20, 5 }, 4 }, { { 0x88, 0xa8, 0xef, 0xff }, 4 },
                { { 0x81, 0, 0, 0 }, 4 },    { { 0x88, 0xa8, 0, 7, 0x81, 0, 0x60, 8 }, 8 },
                { { 0x81, 0, 0xb0, 1 }, 4 }, { { 0x81, 0, 0, 3, 0x81, 0, 0, 4 }, 8 },
        };
        uint8_t plain[200], frame[208];
        struct live l, cut, outgoing;
        int fd = sender_open();

        netns_veth("t0", "t1", "");
        l = live_open("t0", RING);
        cut = live_open("t0", RING ",snaplen=100");
        outgoing = live_open("t1", RING);
        for (unsigned i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
                unsigned bytes = (unsigned)sizeof(plain) + tags[i].n;
                const struct mapi_view *v;

                frame_make(plain, i, sizeof(plain));
                memcpy(frame, plain, 12);
                memcpy(frame + 12, tags[i].bytes, tags[i].n);
                memcpy(frame + 12 + tags[i].n, plain + 12, sizeof(plain) - 12);
                sender_send(fd, "t1", frame, bytes);
                v = live_next(&l);
                assert_int_equal(v->caplen, bytes);
                assert_int_equal(v->wirelen, bytes);
                assert_memory_equal(v->data, frame, bytes);
                v = live_next(&cut);
                assert_int_equal(v->caplen, 100);
                assert_int_equal(v->wirelen, bytes);
                assert_memory_equal(v->data, frame, 100);
                v = live_next(&outgoing);
                assert_int_equal(v->caplen, bytes);
                assert_memory_equal(v->data, frame, bytes);
        }
        close(fd);
        live_close(&l);
        live_close(&cut);
        live_close(&outgoing);
}

static void snaplen(void **state)
{
        struct live l;
        uint8_t frame[1000];

        netns_veth("t0", "t1", "");
        l = live_open("t0", RING ",snaplen=64");
        assert_int_equal(l.facts.snaplen, 64);
        sender_flood("t1", 0, 100, 1000);
        sender_flood("t1", 100, 1, 60);
        for (uint32_t i = 0; i < 100; i++) {
                const struct mapi_view *v = live_next(&l);

                frame_make(frame, i, 1000);
                assert_int_equal(v->caplen, 64);
                assert_int_equal(v->wirelen, 1000);
                assert_memory_equal(v->data, frame, 64);
        }
        live_expect(&l, 100, 60);
        live_close(&l);
}

static void loopback_once(void **state)
{
        struct live l = live_open("lo", NULL);

        assert_int_equal(l.facts.linktype, 1);
        sender_flood("lo", 0, 500, 333);
        for (uint32_t i = 0; i < 500; i++)
                live_expect(&l, i, 333);
        assert_null(live_wait(&l, 0));
        assert_int_equal(live_stats(&l).received, 500);
        assert_int_equal(live_stats(&l).dropped, 0);
        live_close(&l);
}

/* A frame as "any" shows it. */
static void expect_cooked(struct live *l, unsigned direction, const char *name, uint32_t i, uint32_t bytes)
{
        uint8_t frame[2048],
                cooked[16] = { 0, (uint8_t)direction, 0, 1, 0, 6, 2, 0, 0, 0, 0, 2, 0, 0, 0x88, 0xb5 };
        const struct mapi_view *v = live_next(l);

        if (strcmp(name, "lo") == 0)
                memcpy(cooked + 2, "\x03\x04", 2); /* ARPHRD_LOOPBACK */
        frame_make(frame, i, bytes);
        assert_int_equal(v->linktype, 113);
        assert_int_equal(v->caplen, bytes + 2); /* 16 bytes for 14 */
        assert_int_equal(v->wirelen, bytes + 2);
        assert_int_equal(v->ifindex, if_nametoindex(name));
        assert_memory_equal(v->data, cooked, sizeof(cooked));
        assert_memory_equal(v->data + 16, frame + 14, bytes - 14);
}

static void any(void **state)
{
        static const uint8_t cooked[] = { 0, 3, 0, 1, 0, 6, 2, 0, 0, 0, 0, 2, 0, 0, 0x81, 0, 0x20, 5, 0x88, 0xb5 };
        uint8_t plain[200], tagged[204];
        const struct mapi_view *v;
        struct live l = live_open("any", RING ",snaplen=1000");
        int fd = sender_open();

        assert_int_equal(l.facts.linktype, 113);
        assert_int_equal(l.facts.snaplen, 1000);
        netns_veth("t0", "t1", "");
        for (uint32_t i = 0; i < 50; i++) {
                frame_make(plain, i, 60 + i);
                sender_send(fd, "lo", plain, 60 + i);
        }
        for (uint32_t i = 0; i < 50; i++)
                expect_cooked(&l, PACKET_OTHERHOST, "lo", i, 60 + i);
        for (uint32_t i = 0; i < 50; i++) {
                frame_make(plain, i, 60 + i);
                sender_send(fd, "t1", plain, 60 + i);
        }
        for (uint32_t i = 0; i < 50; i++) {
                expect_cooked(&l, PACKET_OUTGOING, "t1", i, 60 + i);
                expect_cooked(&l, PACKET_OTHERHOST, "t0", i, 60 + i);
        }
        assert_null(live_wait(&l, 0));
        assert_int_equal(live_stats(&l).received, 150);
        assert_int_equal(live_stats(&l).dropped, 0);
        assert_int_equal(live_stats(&l).down, 0);

        frame_make(plain, 9, sizeof(plain));
        memcpy(tagged, plain, 12);
        memcpy(tagged + 12, "\x81\x00\x20\x05", 4);
        memcpy(tagged + 16, plain + 12, sizeof(plain) - 12);
        sender_send(fd, "t1", tagged, sizeof(tagged));
        v = live_next(&l); /* on its way out from t1 */
        assert_int_equal(v->ifindex, if_nametoindex("t1"));
        v = live_next(&l);
        assert_int_equal(v->ifindex, if_nametoindex("t0"));
        assert_int_equal(v->caplen, sizeof(tagged) + 2);
        assert_memory_equal(v->data, cooked, sizeof(cooked));
        assert_memory_equal(v->data + sizeof(cooked), plain + 14, sizeof(plain) - 14);

        sender_flood("lo", 0, 1, 1400);
        v = live_next(&l);
        assert_int_equal(v->caplen, 1000);
        assert_int_equal(v->wirelen, 1402);
        close(fd);
        live_close(&l);
}

/* As offload makes them: 64 KB in one frame. */
static void large_frames(void **state)
{
        static uint8_t frame[FRAME_MAX];
        const struct mapi_view *v;
        struct live l, lo = live_open("lo", RING);
        int fd = sender_open();

        netns_run("ip link set lo mtu 65536");
        netns_veth("t0", "t1", "");
        netns_run("ip link set t0 mtu 65535 && ip link set t1 mtu 65535");
        l = live_open("t0", RING);
        for (uint32_t i = 0; i < 30; i++) { /* once and again around the ring */
                frame_make(frame, i, FRAME_MAX);
                sender_send(fd, "lo", frame, 65535);
                sender_send(fd, "t1", frame, 65535);
                live_expect(&lo, i, 65535);
                live_expect(&l, i, 65535);
        }
        frame_make(frame, 99, FRAME_MAX);
        sender_send(fd, "t1", frame, FRAME_MAX);
        v = live_next(&l);
        assert_int_equal(v->caplen, 65535);
        assert_int_equal(v->wirelen, FRAME_MAX);
        assert_memory_equal(v->data, frame, 65535);
        assert_int_equal(live_stats(&l).dropped, 0);
        close(fd);
        live_close(&l);
        live_close(&lo);
}

static void *ask_stats(void *arg)
{
        struct live *l = arg;
        struct mapi_driver_stats s = { 0 }, last = { 0 };

        for (unsigned i = 0; i < 20000; i++, last = s) {
                s = live_stats(l);
                if (s.received < last.received || s.dropped < last.dropped || s.down)
                        return "numbers went back";
        }
        return NULL;
}

static uint32_t last_seen;

/* In order, none twice. */
static void look(const struct mapi_view *v)
{
        const uint8_t *p = v->data + 14;
        uint32_t i = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];

        assert_true(i > last_seen);
        last_seen = i;
}

/* Nobody reads, then somebody does, while others ask for the numbers: each packet is received or dropped. */
static void overload(void **state)
{
        struct mapi_driver_stats s = { 0 };
        struct live l;
        uint32_t sent = 0;
        pthread_t asking[2];
        void *fault;

        netns_veth("t0", "t1", "");
        l = live_open("t0", RING_SMALL);
        last_seen = 0;
        for (unsigned i = 0; i < 2; i++)
                assert_int_equal(pthread_create(&asking[i], NULL, ask_stats, &l), 0);
        for (unsigned round = 0; round < 4; round++) {
                sender_flood("t1", 1 + sent, 3000, 1000);
                sent += 3000;
                s = live_drain(&l, sent, look);
                assert_int_equal(s.received + s.dropped, sent);
        }
        for (unsigned i = 0; i < 2; i++) {
                assert_int_equal(pthread_join(asking[i], &fault), 0);
                assert_null(fault);
        }
        assert_true(s.dropped > 4 * 1500 && s.received > 0); /* the ring has room for some 900 */
        sender_flood("t1", 1 + sent, 1, 1000);
        live_expect(&l, 1 + sent, 1000);
        assert_int_equal(live_stats(&l).received, s.received + 1);
        assert_int_equal(live_stats(&l).dropped, s.dropped);
        live_close(&l);
}

/* What the "any" of other programs sees must not be in ours: on a socket just made, between its steps, at any time. */
static int flooding;

static void *flood(void *arg)
{
        while (__atomic_load_n(&flooding, __ATOMIC_RELAXED))
                sender_flood("t2", 0, 100, 99);
        return NULL;
}

static void no_foreign_packets(void **state)
{
        struct mapi_source src = { .name = "t0", .options = RING, .fd = -1 };
        pthread_t other;

        netns_veth("t0", "t1", "");
        netns_veth("t2", "t3", "");
        flooding = 1;
        assert_int_equal(pthread_create(&other, NULL, flood, NULL), 0);
        for (unsigned round = 0; round < 20; round++) {
                struct live l = { .most = MAPI_BATCH_MAX, .max_bytes = SIZE_MAX };
                int fds[MAPI_SOURCE_FDS], n = DRIVER->prepare(&src, fds, NULL);
                struct mapi_source prepared = src;

                assert_in_range(n, 1, 3);
                sender_flood("t1", 1000, 10, 100); /* before open: not ours yet */
                prepared.fd = fds[0];
                prepared.more = fds + 1;
                prepared.nmore = (unsigned)n - 1;
                assert_int_equal(DRIVER->open(&prepared, &l.facts, &l.state, NULL), 0);
                sender_flood("t1", 0, 10, 100);
                for (uint32_t i = 0; i < 10; i++)
                        live_expect(&l, i, 100);
                assert_null(live_wait(&l, 0));
                assert_int_equal(live_stats(&l).received, 10);
                live_close(&l);
        }
        __atomic_store_n(&flooding, 0, __ATOMIC_RELAXED);
        assert_int_equal(pthread_join(other, NULL), 0);
}

/* Starts tcpdump for n packets of an interface (link type NULL: its own choice); its trace comes into *ret_trace. Returns when it listens. */
static pid_t tcpdump_start(const char *name, const char *type, unsigned n, int *ret_trace)
{
        int trace = memfd_create("tcpdump", 0), talk[2];
        char count[16], said[512] = "";
        size_t have = 0;
        pid_t pid;

        (void)snprintf(count, sizeof(count), "%u", n);
        assert_true(trace >= 0);
        assert_int_equal(pipe2(talk, O_CLOEXEC), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                (void)dup2(trace, 1);
                (void)dup2(talk[1], 2);
                execlp("tcpdump", "tcpdump", "--immediate-mode", "-i", name, "-U", "-w", "-", "-c", count, "-s",
                       "1000", type == NULL ? NULL : "-y", type, NULL);
                _exit(127);
        }
        close(talk[1]);
        while (strstr(said, "listening on") == NULL) {
                ssize_t got = read(talk[0], said + have, sizeof(said) - 1 - have);

                if (got <= 0)
                        fail_msg("tcpdump: %s", said);
                have += (size_t)got;
                said[have] = '\0';
        }
        *ret_trace = trace;
        /* It goes on to write its counts there: the pipe must stay open. It ends with the process. */
        return pid;
}

/* tcpdump's packets must be `n` and ours, which have been taken into *ours without their times. */
static void tcpdump_compare(pid_t pid, int trace, const struct drive *ours)
{
        struct mapi_source src = { .name = "tcpdump", .fd = trace };
        struct live l = { .most = 1, .max_bytes = SIZE_MAX };
        struct drive theirs = { 0 };
        size_t needed;
        int status;

        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_int_equal(lseek(trace, 0, SEEK_SET), 0);
        assert_int_equal(mapi_drv_trace.open(&src, &l.facts, &l.state, NULL), 0);
        assert_int_equal(l.facts.linktype, ours->facts.linktype);
        while (mapi_drv_trace.recv(l.state, &l.b, 1, SIZE_MAX, &needed, NULL) == 1) {
                l.b.pkt[0].ts = l.b.pkt[0].ifindex = 0;
                drive_take(&theirs, &l.b.pkt[0]);
        }
        mapi_drv_trace.close(l.state);
        assert_int_equal(theirs.packets, ours->packets);
        assert_int_equal(theirs.caplen, ours->caplen);
        assert_int_equal(theirs.wirelen, ours->wirelen);
        assert_true(theirs.hash == ours->hash);
}

static void take(struct live *l, unsigned n, bool numbered, struct drive *d)
{
        d->facts = l->facts;
        while (n-- > 0) {
                struct mapi_view v = *live_next(l);

                assert_int_equal(v.ifindex != 0, numbered);
                v.ts = v.ifindex = 0;
                drive_take(d, &v);
        }
}

static void as_tcpdump(void **state)
{
        static const char *const where[] = { "t0", "lo", "any" };
        uint8_t frame[2048];
        int fd = sender_open();

        if (system("tcpdump --version >/dev/null 2>&1") != 0)
                skip();
        netns_veth("t0", "t1", "");
        for (unsigned k = 0; k < 3; k++) {
                struct live l = live_open(where[k], "snaplen=1000");
                struct drive ours = { 0 };
                unsigned n = k == 2 ? 600 : 300; /* "any" sees both ends of a pair */
                int trace;
                pid_t pid = tcpdump_start(where[k], k == 2 ? "LINUX_SLL" : NULL, n, &trace);

                for (uint32_t i = 0; i < 300; i++) {
                        frame_make(frame, i, size_of(i));
                        if (i % 3 == 0) /* some have a tag */
                                memcpy(frame + 12, "\x81\x00\x20\x07\x08\x00", 6);
                        sender_send(fd, k == 1 ? "lo" : "t1", frame, size_of(i));
                }
                take(&l, n, k == 2, &ours);
                assert_null(live_wait(&l, 0));
                tcpdump_compare(pid, trace, &ours);
                live_close(&l);
        }
        close(fd);
}

/* Opens the user's end of a tunnel interface that claims to be of some ARPHRD_ type. -1: this kernel has none. */
static int tunnel(const char *name, int type)
{
        struct ifreq r = netns_request(name);
        int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

        r.ifr_flags = IFF_TUN | IFF_NO_PI;
        if (fd < 0 || ioctl(fd, TUNSETIFF, &r) < 0)
                return -1;
        assert_int_equal(ioctl(fd, TUNSETLINK, type), 0);
        netns_run("ip link set %s up", name);
        return fd;
}

/* Interfaces without Ethernet: bytes and link type are those that tcpdump writes. */
static void other_kinds(void **state)
{
        static const struct {
                int type;
                uint16_t linktype;
        } kinds[] = {
                { ARPHRD_NONE, 12 },        { ARPHRD_TUNNEL, 12 },           { ARPHRD_SIT, 12 },
                { ARPHRD_SLIP, 12 },        { ARPHRD_RAWHDLC, 12 },          { ARPHRD_PPP, 113 },
                { ARPHRD_CISCO, 104 },      { ARPHRD_IPGRE, 113 },           { ARPHRD_TUNNEL6, 113 },
                { ARPHRD_IEEE80211, 105 },  { ARPHRD_IEEE80211_PRISM, 119 }, { ARPHRD_IEEE80211_RADIOTAP, 127 },
                { ARPHRD_INFINIBAND, 113 },
        };
        uint8_t packet[28] = { 0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0, 0, 10,
                               0,    0, 1, 10, 0, 0, 2,    0, 9,  0,  9, 0, 8 };
        bool judge = system("tcpdump --version >/dev/null 2>&1") == 0;

        for (unsigned k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
                struct drive ours = { 0 };
                int fd = tunnel("t4", kinds[k].type), trace = -1;
                pid_t pid = -1;
                struct live l;

                if (fd < 0)
                        skip();
                l = live_open("t4", RING);
                assert_int_equal(l.facts.linktype, kinds[k].linktype);
                if (judge)
                        pid = tcpdump_start("t4", NULL, 20, &trace);
                for (uint8_t i = 0; i < 20; i++) {
                        packet[27] = i;
                        assert_int_equal(write(fd, packet, sizeof(packet)), sizeof(packet));
                }
                take(&l, 20, false, &ours);
                assert_int_equal(ours.caplen, 20 * (sizeof(packet) + (l.facts.linktype == 113 ? 16 : 0)));
                if (judge)
                        tcpdump_compare(pid, trace, &ours);
                live_close(&l);
                close(fd);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(numbers_and_bytes, netns_setup),
                cmocka_unit_test_setup(outgoing, netns_setup),
                cmocka_unit_test_setup(vlan_tags, netns_setup),
                cmocka_unit_test_setup(snaplen, netns_setup),
                cmocka_unit_test_setup(loopback_once, netns_setup),
                cmocka_unit_test_setup(any, netns_setup),
                cmocka_unit_test_setup(large_frames, netns_setup),
                cmocka_unit_test_setup(overload, netns_setup),
                cmocka_unit_test_setup(no_foreign_packets, netns_setup),
                cmocka_unit_test_setup(as_tcpdump, netns_setup),
                cmocka_unit_test_setup(other_kinds, netns_setup),
        };
        const char *missing = netns_missing();

        if (missing != NULL) {
                puts(missing);
                return 77;
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
