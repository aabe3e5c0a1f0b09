/*
 * The driver of network interfaces, its life: what it refuses and how it says so, without rights, promiscuous mode,
 * interfaces that go down, vanish, come back, are renamed, and their own counters.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "netns.h"

#include <dirent.h>
#include <grp.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <linux/if_tun.h>

#define NOBODY 65534

static unsigned open_descriptors(void)
{
        DIR *dir = opendir("/proc/self/fd");
        unsigned n = 0;

        assert_non_null(dir);
        while (readdir(dir) != NULL)
                n++;
        closedir(dir);
        return n;
}

/* Fails, says why with `word` in it, leaves the state alone; prepare says the same where it can. */
static void refused(const struct mapi_source *src, int code, const char *word)
{
        struct mapi_device_facts facts = { .linktype = 77 };
        struct mapi_error err = { 0 };
        void *st = &facts;

        assert_int_equal(DRIVER->open(src, &facts, &st, &err), -code);
        assert_ptr_equal(st, &facts);
        assert_int_equal(facts.linktype, 77);
        assert_int_equal(err.code, code);
        if (strstr(err.text, word) == NULL)
                fail_msg("'%s' does not say '%s'", err.text, word);
}

static void no_such_interface(void **state)
{
        static const char *const names[] = { "t9", "", "lo:1", "../lo", ".", "a-name-that-is-too-long-for-one" };
        unsigned before = open_descriptors();
        int fds[MAPI_SOURCE_FDS];

        for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                struct mapi_source src = { .name = names[i], .fd = -1 };
                struct mapi_error err = { 0 };

                refused(&src, MAPID_NO_DRIVER, names[i]);
                assert_int_equal(DRIVER->prepare(&src, fds, &err), -MAPID_NO_DRIVER);
                assert_int_equal(err.code, MAPID_NO_DRIVER);
                src.fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
                refused(&src, MAPID_NO_DRIVER, names[i]);
        }
        assert_int_equal(open_descriptors(), before);
}

static void wrong_options(void **state)
{
        static const char *const wrong[][2] = {
                { "ring_mb=0", "ring_mb" },     { "ring_mb=2049", "ring_mb" },
                { "block_kb=64", "block_kb" },  { "block_kb=130", "multiple" },
                { "retire_ms=0", "retire_ms" }, { "snaplen=63", "snaplen" },
                { "snaplen=65536", "snaplen" }, { "promisc=2", "promisc" },
                { "promisc", "key=number" },    { "ring_mb=1,block_kb=1024", "two blocks" },
                { "speed=1", "speed" },
        };
        unsigned before = open_descriptors();
        int fds[MAPI_SOURCE_FDS];

        for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
                struct mapi_source src = { .name = "lo", .options = wrong[i][0], .fd = -1 };

                refused(&src, PCAP_OPEN_ERR, wrong[i][1]);
                assert_int_equal(DRIVER->prepare(&src, fds, NULL), -PCAP_OPEN_ERR);
        }
        assert_int_equal(open_descriptors(), before);
}

/* Descriptors that are something else; all of them are closed. */
static void wrong_descriptors(void **state)
{
        struct sockaddr_ll all = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
        unsigned before = open_descriptors();
        struct mapi_source src = { .name = "lo" };
        int more[5];

        for (unsigned i = 0; i < 5; i++)
                more[i] = drive_file("0\n", 2);
        src.fd = drive_file("x", 1);
        src.more = more;
        src.nmore = 5;
        refused(&src, PCAP_OPEN_ERR, "packet socket");
        assert_int_equal(open_descriptors(), before);
        src.nmore = 0;
        src.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        refused(&src, PCAP_OPEN_ERR, "packet socket");
        src.fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)); /* hears everything already */
        refused(&src, PCAP_OPEN_ERR, "hears nothing");
        src.fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(src.fd, (struct sockaddr *)&all, sizeof(all)), 0);
        refused(&src, PCAP_OPEN_ERR, "hears nothing");
        src.name = "any";
        src.fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
        refused(&src, PCAP_OPEN_ERR, "wrong type");
        assert_int_equal(open_descriptors(), before);
        DRIVER->close(NULL);
}

/* ---- without rights ------------------------------------------------------------------------------------- */

/* Runs `body` in a process of user nobody that cannot open one more descriptor (unless may_open). */
static pid_t without_rights(void (*body)(struct live *l, int talk), struct live *l, bool may_open, int *ret_talk)
{
        struct rlimit none = { 0, 0 };
        int talk[2];
        pid_t pid;

        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, talk), 0);
        (void)fflush(NULL);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                close(talk[0]);
                if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
                    setresuid(NOBODY, NOBODY, NOBODY) < 0 || (!may_open && setrlimit(RLIMIT_NOFILE, &none) < 0))
                        _exit(99);
                body(l, talk[1]);
                _exit(0);
        }
        close(talk[1]);
        *ret_talk = talk[0];
        return pid;
}

static void ended_well(pid_t pid)
{
        int status;

        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
}

/* In the child nothing may be asserted: cmocka would go on with the next test there. It exits with the line. */
#define MUST(x)                                                                                                   \
        do {                                                                                                      \
                if (!(x))                                                                                         \
                        _exit(1 + __LINE__ % 250);                                                                \
        } while (0)

static void refused_there(struct live *l, int talk)
{
        static const struct {
                const char *name;
                int code;
                const char *word;
        } cases[] = { { "lo", PCAP_OPEN_ERR, "CAP_NET_RAW" },
                      { "any", PCAP_OPEN_ERR, "CAP_NET_RAW" },
                      { "t9", MAPID_NO_DRIVER, "t9" } };

        for (unsigned i = 0; i < 3; i++) {
                struct mapi_source src = { .name = cases[i].name, .fd = -1 };
                struct mapi_error err = { 0 };
                int fds[MAPI_SOURCE_FDS];

                MUST(DRIVER->open(&src, &l->facts, &l->state, &err) == -cases[i].code);
                MUST(err.code == cases[i].code && strstr(err.text, cases[i].word) != NULL);
                MUST(DRIVER->prepare(&src, fds, &err) == -cases[i].code);
        }
}

static void no_rights(void **state)
{
        struct live l = { 0 };
        int talk;
        pid_t pid = without_rights(refused_there, &l, true, &talk);

        ended_well(pid);
        close(talk);
}

static struct mapi_source prepared; /* what the child opens */

static bool is_frame(const struct mapi_view *v, uint32_t i, uint32_t bytes)
{
        uint8_t frame[2048];

        frame_make(frame, i, bytes);
        return v != NULL && v->caplen == bytes && memcmp(v->data, frame, bytes) == 0;
}

static bool say_and_hear(int talk)
{
        char c = 'x';

        return send(talk, &c, 1, 0) == 1 && recv(talk, &c, 1, 0) == 1;
}

static void opens_there(struct live *l, int talk)
{
        struct mapi_driver_stats s;

        l->most = MAPI_BATCH_MAX;
        l->max_bytes = SIZE_MAX;
        MUST(DRIVER->open(&prepared, &l->facts, &l->state, NULL) == 0);
        MUST(say_and_hear(talk)); /* it sends now */
        for (uint32_t i = 0; i < 100; i++)
                MUST(is_frame(live_wait(l, NETNS_WAIT_MS), i, 200));
        MUST(say_and_hear(talk)); /* the interface goes away */
        MUST(live_wait(l, 0) == NULL);
        DRIVER->stats(l->state, &s);
        MUST(s.down == 1 && s.received == 100 && s.dropped == 0);
        MUST(say_and_hear(talk)); /* and comes back */
        do {
                MUST(live_wait(l, 100) == NULL);
                DRIVER->stats(l->state, &s);
        } while (s.down); /* the test's own limit of time ends this */
        MUST(say_and_hear(talk));
        for (uint32_t i = 100; i < 200; i++)
                MUST(is_frame(live_wait(l, NETNS_WAIT_MS), i, 200));
        DRIVER->stats(l->state, &s);
        MUST(s.received == 200 && s.dropped == 0 && s.down == 0);
        DRIVER->close(l->state);
}

static void await(int talk)
{
        char c;

        assert_int_equal(recv(talk, &c, 1, 0), 1); /* 0: the child has ended */
}

static void go_on(int talk)
{
        assert_int_equal(send(talk, "x", 1, MSG_NOSIGNAL), 1);
}

/* As mapid does it: one process prepares, another one without any right opens, captures, and survives the loss of the
   interface. */
static void prepared_elsewhere(void **state)
{
        struct mapi_source src = { .name = "t0", .options = RING, .fd = -1 };
        int fds[MAPI_SOURCE_FDS], n, talk;
        struct live l = { 0 };
        pid_t pid;

        netns_veth("t0", "t1", "");
        n = DRIVER->prepare(&src, fds, NULL);
        assert_in_range(n, 1, 3);
        prepared = src;
        prepared.fd = fds[0];
        prepared.more = fds + 1;
        prepared.nmore = (unsigned)n - 1;
        pid = without_rights(opens_there, &l, false, &talk);
        for (int i = 0; i < n; i++)
                close(fds[i]);
        await(talk);
        sender_flood("t1", 0, 100, 200);
        go_on(talk);
        await(talk);
        netns_run("ip link del t0");
        go_on(talk);
        await(talk);
        netns_veth("t0", "t1", "");
        go_on(talk);
        await(talk);
        sender_flood("t1", 100, 100, 200);
        go_on(talk);
        ended_well(pid);
        close(talk);
}

/* ---- promiscuous mode ----------------------------------------------------------------------------------- */

static void promiscuity(const char *name, unsigned expected)
{
        netns_run("ip -d link show %s | grep -q 'promiscuity %u '", name, expected);
}

static void promiscuous(void **state)
{
        struct live a, b, any;

        netns_veth("t0", "t1", "");
        promiscuity("t0", 0);
        a = live_open("t0", RING);
        promiscuity("t0", 1);
        b = live_open("t0", RING ",promisc=1");
        promiscuity("t0", 2);
        live_close(&a);
        promiscuity("t0", 1);
        a = live_open("t0", RING ",promisc=0");
        any = live_open("any", RING);
        promiscuity("t0", 1);
        promiscuity("t1", 0);
        live_close(&any);
        live_close(&b);
        promiscuity("t0", 0);
        sender_flood("t1", 0, 1, 100); /* veth asks nobody for promiscuity to hand over a frame */
        live_expect(&a, 0, 100);
        live_close(&a);
}

/* ---- interfaces that change ----------------------------------------------------------------------------- */

/* Nothing comes, and the descriptor is quiet once recv has been called. */
static void expect_silence(struct live *l)
{
        assert_null(live_wait(l, 0));
        assert_int_equal(live_poll(l, 0), 0);
}

/* Calls recv until the interface is there; a second, or at once. */
static void await_return(struct live *l)
{
        for (unsigned i = 0; live_stats(l).down; i++) {
                assert_null(live_wait(l, 100));
                assert_true(i < NETNS_WAIT_MS / 100);
        }
}

static void down_and_up(void **state)
{
        struct live l;

        netns_veth("t0", "t1", "");
        l = live_open("t0", RING);
        for (uint32_t round = 0; round < 3; round++) {
                sender_flood("t1", 3 * round, 1, 100);
                live_expect(&l, 3 * round, 100);
                sender_flood("t1", 3 * round + 1, 1, 100); /* waits in the ring while the interface goes down */
                netns_run("ip link set t0 down");
                assert_int_equal(live_stats(&l).down, 1);
                live_expect(&l, 3 * round + 1, 100);
                expect_silence(&l);
                expect_silence(&l);
                netns_run("ip link set t0 up");
                netns_wait_carrier("t1");
                assert_int_equal(live_stats(&l).down, 0);
                sender_flood("t1", 3 * round + 2, 1, 100);
                live_expect(&l, 3 * round + 2, 100);
                expect_silence(&l);
        }
        assert_int_equal(live_stats(&l).received, 9);
        assert_int_equal(live_stats(&l).dropped, 0);
        live_close(&l);
}

static void opened_while_down(void **state)
{
        struct live l;

        netns_run("ip link add t0 type veth peer name t1");
        l = live_open("t0", RING);
        assert_int_equal(live_stats(&l).down, 1);
        expect_silence(&l);
        netns_run("ip link set t0 up && ip link set t1 up");
        netns_wait_carrier("t1");
        sender_flood("t1", 0, 5, 100);
        for (uint32_t i = 0; i < 5; i++)
                live_expect(&l, i, 100);
        assert_int_equal(live_stats(&l).down, 0);
        live_close(&l);
}

/* Deleted and made again: with another number, with the same one, seen to be away in between or not. */
static void gone_and_back(void **state)
{
        static const char *const options[] = { "", "index 77", "index 77", "", "index 77" };
        struct live l = { 0 };

        for (uint32_t round = 0; round < 5; round++) {
                netns_veth("t0", "t1", options[round]);
                if (round == 0)
                        l = live_open("t0", RING);
                await_return(&l);
                promiscuity("t0", 1);
                sender_flood("t1", 2 * round, 2, 100);
                live_expect(&l, 2 * round, 100);
                netns_run("ip link del t0"); /* the second packet waits in the ring */
                assert_int_equal(live_stats(&l).down, 1);
                live_expect(&l, 2 * round + 1, 100);
                assert_int_equal(live_stats(&l).received, 2 * round + 2);
                if (round % 2 == 0)
                        expect_silence(&l);
        }
        expect_silence(&l);
        assert_int_equal(live_stats(&l).received, 10);
        assert_int_equal(live_stats(&l).dropped, 0);
        live_close(&l);
}

/* What was dropped before stays dropped. */
static void counts_on(void **state)
{
        struct mapi_driver_stats s;
        struct live l;

        netns_veth("t0", "t1", "");
        l = live_open("t0", RING_SMALL);
        sender_flood("t1", 0, 3000, 1000);
        netns_run("ip link del t0");
        netns_veth("t0", "t1", "");
        s = live_drain(&l, 3000, NULL);
        await_return(&l);
        assert_true(s.dropped > 1500 && s.received > 0);
        assert_int_equal(s.received + s.dropped, 3000);
        sender_flood("t1", 0, 50, 1000);
        for (uint32_t i = 0; i < 50; i++)
                live_expect(&l, i, 1000);
        assert_int_equal(live_stats(&l).received, s.received + 50);
        assert_int_equal(live_stats(&l).dropped, s.dropped);
        live_close(&l);
}

/* A new name changes nothing, until the old one belongs to somebody else. */
static void renamed(void **state)
{
        struct live l;

        netns_veth("t0", "t1", "");
        netns_veth("t2", "t3", "");
        l = live_open("t0", RING);
        netns_run("ip link set t0 down && ip link set t0 name t8 && ip link set t8 up");
        netns_wait_carrier("t1");
        expect_silence(&l);
        assert_int_equal(live_stats(&l).down, 0);
        sender_flood("t1", 0, 1, 100);
        live_expect(&l, 0, 100);
        promiscuity("t8", 1);
        netns_run("ip link set t2 down && ip link set t2 name t0 && ip link set t0 up");
        netns_wait_carrier("t3");
        netns_run("ip link set t8 down"); /* is told at once; otherwise it would take a second */
        expect_silence(&l);
        assert_int_equal(live_stats(&l).down, 0);
        promiscuity("t8", 0);
        promiscuity("t0", 1);
        sender_flood("t3", 1, 1, 100);
        live_expect(&l, 1, 100);
        live_close(&l);
        promiscuity("t0", 0);
}

/* What comes back under the name is of another kind: its packets would not be what the flows were made for. */
static void other_kind(void **state)
{
        struct ifreq r = netns_request("t0");
        static const uint8_t packet[20] = { 0x45, 0, 0, 20 };
        int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
        struct live l;

        netns_veth("t0", "t1", "");
        l = live_open("t0", RING);
        netns_run("ip link del t0");
        r.ifr_flags = IFF_TUN | IFF_NO_PI;
        if (tun < 0 || ioctl(tun, TUNSETIFF, &r) < 0) {
                live_close(&l);
                skip();
        }
        netns_run("ip link set t0 up");
        expect_silence(&l);
        assert_int_equal(write(tun, packet, sizeof(packet)), sizeof(packet));
        expect_silence(&l);
        assert_int_equal(live_stats(&l).down, 1);
        close(tun);
        netns_veth("t0", "t1", "");
        await_return(&l);
        sender_flood("t1", 0, 1, 100);
        live_expect(&l, 0, 100);
        live_close(&l);
}

static void put_number(int fd, const char *text)
{
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, text, strlen(text), 0), strlen(text));
}

/* The interface's own losses: only those since open, and never fewer. */
static void interface_counters(void **state)
{
        struct live l = { .most = MAPI_BATCH_MAX, .max_bytes = SIZE_MAX };
        int more[3] = { drive_file("5\n", 2), drive_file("18446744073709551000\n", 21), drive_file("9\n", 2) };
        int a = dup(more[0]), b = dup(more[1]);
        struct mapi_source src = { .name = "lo",
                                   .options = RING,
                                   .fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0),
                                   .more = more,
                                   .nmore = 3 };

        assert_int_equal(DRIVER->open(&src, &l.facts, &l.state, NULL), 0);
        assert_int_equal(fcntl(more[2], F_GETFD), -1); /* one more than it knows: closed */
        assert_int_equal(live_stats(&l).if_dropped, 0);
        put_number(a, "12\n");
        assert_int_equal(live_stats(&l).if_dropped, 7);
        put_number(b, "18446744073709551001\n");
        assert_int_equal(live_stats(&l).if_dropped, 8);
        put_number(a, "3\n"); /* began anew */
        assert_int_equal(live_stats(&l).if_dropped, 11);
        put_number(a, ""); /* cannot be read */
        assert_int_equal(live_stats(&l).if_dropped, 11);
        put_number(a, "4\n");
        assert_int_equal(live_stats(&l).if_dropped, 12);
        live_close(&l);
        close(a);
        close(b);
}

static int prepare_t0(void)
{
        struct mapi_source src = { .name = "t0", .fd = -1 };
        int fds[MAPI_SOURCE_FDS], n = DRIVER->prepare(&src, fds, NULL);

        for (int i = 0; i < n; i++)
                close(fds[i]);
        return n;
}

/* Counters come from files, which may be those of another namespace: then they are not taken. */
static void counter_files(void **state)
{
        pid_t pid;

        netns_veth("t0", "t1", "");
        assert_int_equal(prepare_t0(), 1); /* /sys has the machine's interfaces */
        (void)fflush(NULL);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                MUST(unshare(CLONE_NEWNS) == 0);
                MUST(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
                MUST(mount("none", "/sys", "sysfs", MS_RDONLY, NULL) == 0);
                MUST(prepare_t0() == 3);
                MUST(system("ip link set t0 address 02:00:00:00:00:07") == 0);
                MUST(prepare_t0() == 3);
                MUST(unshare(CLONE_NEWNET) == 0);
                MUST(system("ip link add t0 type veth peer name t1") == 0);
                MUST(prepare_t0() == 1); /* the same name and number, but not the same interface */
                _exit(0);
        }
        ended_well(pid);
}

/* Opened, used and closed many times, with a batch lent or not: nothing stays behind. */
static void no_leaks(void **state)
{
        unsigned before = open_descriptors();

        for (uint32_t i = 0; i < 20; i++) {
                struct live l = live_open(i % 2 == 0 ? "lo" : "any", RING);

                sender_flood("lo", i, 3, 100);
                (void)live_next(&l);
                live_close(&l);
        }
        assert_int_equal(open_descriptors(), before);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(no_such_interface, netns_setup),
                cmocka_unit_test_setup(wrong_options, netns_setup),
                cmocka_unit_test_setup(wrong_descriptors, netns_setup),
                cmocka_unit_test_setup(no_rights, netns_setup),
                cmocka_unit_test_setup(prepared_elsewhere, netns_setup),
                cmocka_unit_test_setup(promiscuous, netns_setup),
                cmocka_unit_test_setup(down_and_up, netns_setup),
                cmocka_unit_test_setup(opened_while_down, netns_setup),
                cmocka_unit_test_setup(gone_and_back, netns_setup),
                cmocka_unit_test_setup(counts_on, netns_setup),
                cmocka_unit_test_setup(renamed, netns_setup),
                cmocka_unit_test_setup(other_kind, netns_setup),
                cmocka_unit_test_setup(interface_counters, netns_setup),
                cmocka_unit_test_setup(counter_files, netns_setup),
                cmocka_unit_test_setup(no_leaks, netns_setup),
        };
        const char *missing = netns_missing();

        if (missing != NULL) {
                puts(missing);
                return 77;
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
