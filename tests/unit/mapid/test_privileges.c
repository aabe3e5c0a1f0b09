/* mapid/privileges: in each role what must fail fails with EPERM, and what is needed works. Every case is a process of its own.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "confined.h"

#include "mapid/sanitized.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/swap.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <pcap/pcap.h>
#include <cmocka.h>

/* ---- facts about a process ---- */

static uint64_t capabilities(int permitted)
{
        struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[2];

        CHECK(syscall(SYS_capget, &head, data) == 0);
        CHECK(data[0].inheritable == 0 && data[1].inheritable == 0);
        if (permitted)
                return data[0].permitted | (uint64_t)data[1].permitted << 32;
        return data[0].effective | (uint64_t)data[1].effective << 32;
}

static uint64_t bounding_set(void)
{
        uint64_t set = 0;

        for (int c = 0; c <= CAP_LAST_CAP; c++)
                if (prctl(PR_CAPBSET_READ, c, 0, 0, 0) == 1)
                        set |= (uint64_t)1 << c;
        return set;
}

static void check_confined(void)
{
        CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
        CHECK(prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2);
}

static void check_nobody(const struct facts *f, uint64_t had)
{
        uid_t r, e, s;
        gid_t group;

        check_confined();
        CHECK(capabilities(1) == 0 && capabilities(0) == 0);
        if (had & 1u << CAP_SETPCAP)
                CHECK(bounding_set() == 0);
        CHECK(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
        CHECK(getresuid(&r, &e, &s) == 0 && r == f->user.uid && e == f->user.uid && s == f->user.uid);
        CHECK(getresgid(&r, &e, &s) == 0 && r == f->user.gid && e == f->user.gid && s == f->user.gid);
        if (f->user.change)
                CHECK(getgroups(1, &group) == 0);
        if (f->user.uid != 0) {
                DENIED(setresuid(0, 0, 0));
                DENIED(setgroups(0, NULL));
        }
}

/* ---- what must work ---- */

static void *a_thread(void *arg)
{
        free(malloc(100000));
        *(int *)arg = 17;
        return NULL;
}

static volatile sig_atomic_t signalled;

static void on_signal(int number)
{
        signalled = number;
}

static void check_works(const struct facts *f)
{
        struct iovec parts[] = { { (void *)(uintptr_t) "a line", 6 }, { (void *)(uintptr_t) "\n", 1 } };
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        int value = 0, fd, pair[2], waiting = -1;
        struct epoll_event event = { .events = EPOLLIN };
        struct itimerspec soon = { .it_value.tv_nsec = 1 };
        char byte = 0;
        pthread_t thread;
        struct pollfd p;
        struct tm tm;
        time_t now = 1000000000;
        void *memory;

        CHECK(pthread_create(&thread, NULL, a_thread, &value) == 0);
        CHECK(pthread_join(thread, NULL) == 0 && value == 17);
        memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(memory != MAP_FAILED && mprotect(memory, 4096, PROT_READ) == 0 && munmap(memory, 1 << 20) == 0);
        CHECK(localtime_r(&now, &tm) != NULL && tm.tm_year == 101);

        CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
        CHECK(send(pair[0], "x", 1, MSG_NOSIGNAL) == 1 && ioctl(pair[1], FIONREAD, &waiting) == 0 && waiting == 1);
        p = (struct pollfd){ .fd = pair[1], .events = POLLIN };
        CHECK(poll(&p, 1, 0) == 1 && recv(pair[1], &byte, 1, 0) == 1 && byte == 'x');
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        CHECK(fd >= 0 && close(fd) == 0);
        fd = epoll_create1(EPOLL_CLOEXEC);
        CHECK(fd >= 0 && epoll_ctl(fd, EPOLL_CTL_ADD, pair[0], &event) == 0 && epoll_wait(fd, &event, 1, 0) == 0);
        close(fd);
        fd = eventfd(1, EFD_CLOEXEC);
        CHECK(fd >= 0 && close(fd) == 0);
        fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
        CHECK(fd >= 0 && timerfd_settime(fd, 0, &soon, NULL) == 0 && close(fd) == 0);
        fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
        CHECK(fd >= 0 && close(fd) == 0);
        CHECK(fcntl(f->log, F_SETLK, &lock) == 0);
        CHECK(kill(getpid(), 0) == 0);
        CHECK(signal(SIGUSR1, on_signal) != SIG_ERR && raise(SIGUSR1) == 0 && signalled == SIGUSR1);
        signalled = 0;
        CHECK(pthread_kill(pthread_self(), SIGUSR1) == 0 && signalled == SIGUSR1);
        fd = memfd_create("results", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        CHECK(fd >= 0);
        if (writev(f->log, parts, 2) != 7) /* the compiler writes no file at all, memory or not */
                CHECK(errno == EFBIG);
        else
                CHECK(ftruncate(fd, 4096) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
        close(fd);
}

/* ---- the roles ---- */

/* So that there is a group to leave. */
static void join_a_group(const struct facts *f)
{
        if (f->user.change)
                CHECK(setgroups(1, &(gid_t){ 7 }) == 0);
}

static void engine(struct facts *f)
{
        uint64_t had = capabilities(0);
        struct mapi_error err = { 0 };

        CHECK(f->other > 0);
        join_a_group(f);
        if (privileges_take_engine(&f->user, &err) != 0)
                dprintf(STDERR_FILENO, "%s\n", err.text);
        CHECK(err.code == 0);
        check_nobody(f, had);
        confined_never();
        confined_changes_no_path(f);
        confined_alone(f);
        if (!SANITIZED) {
                DENIED(open(confined_path(f, "public"), O_RDONLY));
                DENIED(open("/dev/null", O_RDONLY));
                DENIED(openat(AT_FDCWD, confined_path(f, "public"), O_RDONLY));
        }
        DENIED(socket(AF_INET, SOCK_STREAM, 0));
        DENIED(socket(AF_INET6, SOCK_DGRAM, 0));
        DENIED(socket(AF_NETLINK, SOCK_RAW, 0));
        check_works(f);
        CHECK(lseek(f->log, 0, SEEK_END) == 7); /* the line is there */
}

static void check_limit(__rlimit_resource_t resource, rlim_t soft, rlim_t hard)
{
        struct rlimit limit;

        CHECK(getrlimit(resource, &limit) == 0 && limit.rlim_cur == soft && limit.rlim_max == hard);
}

static void compile_filter(const char *text)
{
        pcap_t *dead = pcap_open_dead(DLT_EN10MB, 65535);
        struct bpf_program program;

        CHECK(dead != NULL && pcap_compile(dead, &program, text, 1, PCAP_NETMASK_UNKNOWN) == 0);
        CHECK(program.bf_len > 4);
        pcap_freecode(&program);
        pcap_close(dead);
}

static void compiler(struct facts *f)
{
        uint64_t had = capabilities(0);
        struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM }, *found = NULL;
        struct mapi_error err = { 0 };
        char text[16] = "";
        int fd;

        join_a_group(f);
        if (privileges_take_compiler(&f->user, &err) != 0)
                dprintf(STDERR_FILENO, "%s\n", err.text);
        CHECK(err.code == 0);
        check_nobody(f, had);
        confined_never();
        confined_changes_no_path(f);
        confined_alone(f);
        check_limit(RLIMIT_CPU, 2, 3);
        check_limit(RLIMIT_FSIZE, 0, 0);
        check_limit(RLIMIT_CORE, 0, 0);
        if (!SANITIZED) {
                check_limit(RLIMIT_AS, 256 << 20, 256 << 20);
                CHECK(mmap(NULL, 256 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED &&
                      errno == ENOMEM);
        }
        errno = 0;
        CHECK(getpriority(PRIO_PROCESS, 0) >= 10 && errno == 0);
        CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
        CHECK(write(f->log, "x", 1) == -1 && errno == EFBIG);

        fd = open(confined_path(f, "public"), O_RDONLY | O_CLOEXEC);
        CHECK(fd >= 0 && read(fd, text, sizeof text - 1) == 5 && strcmp(text, "text\n") == 0);
        close(fd);
        fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        CHECK(fd >= 0 || errno == EAFNOSUPPORT);
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(fd >= 0);
        DENIED(listen(fd, 1));
        DENIED(accept(fd, NULL, NULL));
        close(fd);
        CHECK(getaddrinfo("localhost", NULL, &hints, &found) == 0 && found != NULL);
        freeaddrinfo(found);
        compile_filter("host localhost and tcp port 80");
        compile_filter("net 10.1.0.0/16 or ip6 host ::1");
        check_works(f);
}

static void opener(struct facts *f)
{
        const uint64_t kept = 1u << CAP_NET_RAW | 1u << CAP_DAC_READ_SEARCH | 1u << CAP_SETUID | 1u << CAP_SETGID |
                              1u << CAP_KILL | 1u << CAP_CHOWN;
        uint64_t had = capabilities(1), bounding = bounding_set();
        struct mapi_error err = { 0 };
        int fd, status, ready[2];
        pid_t pid;
        char byte;

        if (privileges_take_opener(&err) != 0)
                dprintf(STDERR_FILENO, "%s\n", err.text);
        CHECK(err.code == 0);
        check_confined();
        CHECK(capabilities(1) == (had & kept) && capabilities(0) == (had & kept));
        if (had & 1u << CAP_SETPCAP)
                CHECK(bounding_set() == (bounding & kept));
        confined_never();

        /* Files are made, read and removed where the user may. */
        fd = open(confined_path(f, "private"), O_RDWR | O_CREAT | O_CLOEXEC, 0660);
        CHECK(fd >= 0);
        if (had & 1u << CAP_CHOWN)
                CHECK(fchown(fd, (uid_t)-1, f->user.gid) == 0);
        CHECK(close(fd) == 0 && unlink(confined_path(f, "private")) == 0);
        if (had & 1u << CAP_NET_RAW) {
                fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
                CHECK(fd >= 0 && close(fd) == 0);
        }

        /* Its children take the other roles, one after the other, and can be ended by it. */
        f->other = getpid();
        CHECK(pipe2(ready, O_CLOEXEC) == 0);
        pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                engine(f);
                CHECK(write(ready[1], "x", 1) == 1);
                for (;;)
                        (void)pause();
        }
        CHECK(close(ready[1]) == 0 && read(ready[0], &byte, 1) == 1); /* otherwise it has said why */
        CHECK(kill(pid, SIGTERM) == 0 && waitpid(pid, &status, 0) == pid);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
        pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                compiler(f);
                _exit(0);
        }
        CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

/* With CAP_DAC_READ_SEARCH and without CAP_DAC_OVERRIDE: files of others are read, not written. */
static void opener_reads(struct facts *f)
{
        int fd = open(confined_path(f, "private"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

        CHECK(fd >= 0 && fchown(fd, f->user.uid, f->user.gid) == 0 && close(fd) == 0);
        CHECK(privileges_take_opener(NULL) == 0);
        fd = open(confined_path(f, "private"), O_RDONLY | O_CLOEXEC);
        CHECK(fd >= 0 && close(fd) == 0);
        CHECK(open(confined_path(f, "private"), O_WRONLY | O_CLOEXEC) == -1 && errno == EACCES);
}

/* ---- tests ---- */

static void need_root(void)
{
        if (geteuid() != 0) {
                print_message("skipped: only root can change the user\n");
                skip();
        }
}

static void the_engine_process(void **state)
{
        struct facts *f = *state;

        f->other = getpid();
        confined_in_child(engine, f);
}

static void the_filter_compiler(void **state)
{
        struct facts *f = *state;

        f->other = getpid();
        confined_in_child(compiler, f);
}

static void the_opener_and_its_children(void **state)
{
        confined_in_child(opener, *state);
}

static void the_opener_reads_what_belongs_to_others(void **state)
{
        need_root();
        confined_in_child(opener_reads, *state);
}

static void become_somebody(const struct facts *f)
{
        CHECK(setgroups(0, NULL) == 0 && setresgid(f->user.gid, f->user.gid, f->user.gid) == 0);
        CHECK(setresuid(f->user.uid, f->user.uid, f->user.uid) == 0);
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static void opener_without_root(struct facts *f)
{
        struct privileges_user user;

        become_somebody(f);
        CHECK(privileges_find_user("no-such-user-of-mapi", true, &user, NULL) == 0);
        CHECK(!user.change && user.uid == f->user.uid && user.gid == f->user.gid);
        f->user = user;
        opener(f);
        CHECK(capabilities(1) == 0);
}

static void not_started_as_root(void **state)
{
        need_root();
        confined_in_child(opener_without_root, *state);
}

static void users(void **state)
{
        struct privileges_user user;
        struct mapi_error err;

        need_root();
        assert_int_equal(privileges_find_user("no-such-user-of-mapi", true, &user, &err), -MAPI_CONFIG_ERROR);
        assert_string_equal(err.text,
                            "the configuration is wrong: there is no user 'no-such-user-of-mapi' for the engine "
                            "process");
        assert_int_equal(privileges_find_user("root", true, &user, &err), -MAPI_CONFIG_ERROR);
        assert_string_equal(err.text,
                            "the configuration is wrong: the engine process may not run as 'root': that is root");
        assert_int_equal(privileges_find_user("no-such-user-of-mapi", false, &user, &err), 0);
        assert_string_equal(user.name, "nobody");
        assert_int_equal(user.uid, 65534);
        assert_true(user.change && user.gid != 0);
        assert_int_equal(privileges_find_user("daemon", true, &user, &err), 0);
        assert_string_equal(user.name, "daemon");
        assert_true(user.uid != 0 && user.uid != 65534);
}

static void no_such_user(struct facts *f)
{
        struct privileges_user user = { .uid = 0, .gid = 0, .change = true, .name = "root" };
        struct mapi_error err = { 0 };

        (void)f;
        CHECK(privileges_take_engine(&user, &err) == -MAPI_PRIVILEGES_ERROR); /* it could go back */
        CHECK(strstr(err.text, "the user root can become root again") != NULL);
}

static void rights_are_not_given_up_in_part(void **state)
{
        need_root();
        confined_in_child(no_such_user, *state);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, confined_setup, confined_teardown)
        const struct CMUnitTest tests[] = {
                TEST(users),
                TEST(the_engine_process),
                TEST(the_filter_compiler),
                TEST(the_opener_and_its_children),
                TEST(the_opener_reads_what_belongs_to_others),
                TEST(not_started_as_root),
                TEST(rights_are_not_given_up_in_part),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
