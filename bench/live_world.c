/* Where the live benchmark takes place: name spaces, a veth pair, a mapid. SPDX-License-Identifier: BSD-2-Clause */
#include "live.h"

#include <errno.h>
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common.h"

#define MAPID_STARTS_S 10.0

/* ---- name spaces ------------------------------------------------------------------------------------------------------ */

static volatile pid_t inside;

static void on_end(int number)
{
        (void)number;
        if (inside > 0)
                kill(inside, SIGKILL); /* the first process of its name space: everybody in it goes, too */
}

__attribute__((noreturn)) static void wait_outside(const char *folder)
{
        int status = 0;

        while (waitpid(inside, &status, 0) < 0 && errno == EINTR) {
        }
        rmdir(folder);
        exit(WIFEXITED(status) ? WEXITSTATUS(status) : 130);
}

void world_enter(const char *folder)
{
        struct sigaction end = { .sa_handler = on_end };

        if (unshare(CLONE_NEWPID | CLONE_NEWNET) < 0) {
                fprintf(stderr, "bench/live: skipped: name spaces of its own cannot be made here (%s); be root\n",
                        strerror(errno));
                rmdir(folder);
                exit(77);
        }
        sigaction(SIGINT, &end, NULL);
        sigaction(SIGTERM, &end, NULL);
        sigaction(SIGHUP, &end, NULL);
        inside = fork();
        if (inside < 0)
                bench_die("a process", "cannot be started");
        if (inside > 0)
                wait_outside(folder);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGINT, SIG_IGN);
        /* /proc of our processes, /sys of our interfaces; nobody else sees these mounts. */
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("proc", "/proc", "proc", 0, NULL) < 0)
                bench_die("/proc", strerror(errno));
        (void)mount("sysfs", "/sys", "sysfs", MS_RDONLY, NULL);  /* mapid does without */
        if (mount("tmpfs", folder, "tmpfs", 0, "mode=0755") < 0) /* so that nothing is left in the real one */
                bench_die(folder, strerror(errno));
}

/* ---- interfaces ------------------------------------------------------------------------------------------------------- */

struct request {
        struct nlmsghdr h;
        struct ifinfomsg i;
        char attributes[256];
};

static struct rtattr *attribute(struct request *r, unsigned short type, const void *data, size_t bytes)
{
        struct rtattr *a = (struct rtattr *)(void *)((char *)r + NLMSG_ALIGN(r->h.nlmsg_len));

        a->rta_type = type;
        a->rta_len = (unsigned short)RTA_LENGTH(bytes);
        if (bytes > 0)
                memcpy(RTA_DATA(a), data, bytes);
        r->h.nlmsg_len = NLMSG_ALIGN(r->h.nlmsg_len) + (unsigned)RTA_ALIGN(a->rta_len);
        return a;
}

static void close_nest(const struct request *r, struct rtattr *a)
{
        a->rta_len = (unsigned short)((const char *)r + r->h.nlmsg_len - (char *)a);
}

static void make_pair(void)
{
        struct request r = { .h = { .nlmsg_type = RTM_NEWLINK,
                                    .nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK,
                                    .nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)) } };
        struct {
                struct nlmsghdr h;
                struct nlmsgerr e;
                char more[512];
        } answer;
        struct ifinfomsg peer = { 0 };
        struct rtattr *info, *data, *other;
        int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

        attribute(&r, IFLA_IFNAME, LIVE_SENDER_END, sizeof(LIVE_SENDER_END));
        info = attribute(&r, IFLA_LINKINFO, NULL, 0);
        attribute(&r, IFLA_INFO_KIND, "veth", 4);
        data = attribute(&r, IFLA_INFO_DATA, NULL, 0);
        other = attribute(&r, VETH_INFO_PEER, &peer, sizeof(peer));
        attribute(&r, IFLA_IFNAME, LIVE_DEVICE, sizeof(LIVE_DEVICE));
        close_nest(&r, other);
        close_nest(&r, data);
        close_nest(&r, info);
        if (fd < 0 || send(fd, &r, r.h.nlmsg_len, 0) < 0 || recv(fd, &answer, sizeof(answer), 0) < 0)
                bench_die("veth", strerror(errno));
        if (answer.h.nlmsg_type != NLMSG_ERROR || answer.e.error != 0) {
                fprintf(stderr, "bench/live: skipped: no veth pair can be made here (%s)\n",
                        strerror(-answer.e.error));
                exit(77);
        }
        close(fd);
}

static void write_text(const char *path, const char *text)
{
        int fd = open(path, O_WRONLY | O_CLOEXEC);

        if (fd >= 0) {
                (void)!write(fd, text, strlen(text));
                close(fd);
        }
}

static void raise_interface(int fd, const char *name)
{
        struct ethtool_value gro = { .cmd = ETHTOOL_SGRO, .data = 1 };
        struct ifreq r = { 0 };
        char path[100];

        /* Nobody speaks here but the sender. */
        snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
        write_text(path, "1");
        snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
        r.ifr_flags = IFF_UP | IFF_NOARP;
        if (ioctl(fd, SIOCSIFFLAGS, &r) < 0)
                bench_die(name, strerror(errno));
        /* One end of a veth pair takes frames from XDP if the other one gets NAPI while it is up, and GRO brings that. */
        r.ifr_data = (char *)&gro;
        (void)ioctl(fd, SIOCETHTOOL, &r); /* without it there are still packet sockets */
}

void world_make_veth(void)
{
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        make_pair();
        raise_interface(fd, LIVE_SENDER_END);
        raise_interface(fd, LIVE_DEVICE);
        close(fd);
}

void world_wire(struct world_wire *ret)
{
        unsigned long long v[12];
        char line[400], name[32];
        FILE *file = fopen("/proc/net/dev", "r");

        *ret = (struct world_wire){ 0, 0 };
        while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
                if (sscanf(line, " %31[^:]: %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu", name,
                           &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7], &v[8], &v[9], &v[10],
                           &v[11]) != 13)
                        continue;
                if (strcmp(name, LIVE_DEVICE) == 0) {
                        ret->arrived = v[1];
                        ret->lost += v[3];
                } else if (strcmp(name, LIVE_SENDER_END) == 0) {
                        ret->lost += v[11];
                }
        }
        if (file != NULL)
                fclose(file);
}

/* ---- processes -------------------------------------------------------------------------------------------------------- */

void world_pin(enum world_cpus cpus)
{
        long n = sysconf(_SC_NPROCESSORS_ONLN);
        cpu_set_t set;

        if (n < 2 || cpus == WORLD_ANY)
                return;
        CPU_ZERO(&set);
        for (int i = 0; i < n && i < CPU_SETSIZE; i++)
                if ((i == 0) == (cpus == WORLD_SENDER))
                        CPU_SET(i, &set);
        (void)sched_setaffinity(0, sizeof(set), &set);
}

static bool answers(const char *path)
{
        struct sockaddr_un to = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        bool yes;

        if (strlen(path) < sizeof(to.sun_path))
                memcpy(to.sun_path, path, strlen(path));
        yes = connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0;
        close(fd);
        return yes;
}

pid_t world_start_mapid(const char *mapid, const char *folder, const char *trace, enum world_cpus cpus)
{
        char config[200], path[200], option[220], log[200];
        double end = bench_now_s() + MAPID_STARTS_S;
        struct timespec nap = { .tv_nsec = 5000000 };
        FILE *file;
        pid_t pid;

        snprintf(config, sizeof(config), "%s/mapi.conf", folder);
        snprintf(path, sizeof(path), "%s/mapid.sock", folder);
        snprintf(option, sizeof(option), "--socket=%s", path);
        snprintf(log, sizeof(log), "%s/mapid.log", folder);
        file = fopen(config, "w");
        if (file == NULL)
                bench_die(config, strerror(errno));
        fprintf(file, "logfile=%s\n[driver]\ndevice=%s\ndriver=afpacket\nring_mb=%d\n", log, LIVE_DEVICE,
                LIVE_BUFFER_MB);
        fprintf(file, "[driver]\ndevice=%s\ndriver=replay\ntrace=%s\nspeed=max\n", LIVE_REPLAY, trace);
        fclose(file);
        pid = fork();
        if (pid == 0) {
                int null = open("/dev/null", O_RDWR);

                dup2(null, STDIN_FILENO);
                dup2(null, STDOUT_FILENO);
                dup2(null, STDERR_FILENO); /* it has its log */
                world_pin(cpus);
                execl(mapid, "mapid", "-c", config, option, (char *)NULL);
                _exit(127);
        }
        while (!answers(path)) {
                if (bench_now_s() > end || waitpid(pid, NULL, WNOHANG) != 0) {
                        char line[300];

                        file = fopen(log, "r");
                        while (file != NULL && fgets(line, sizeof(line), file) != NULL)
                                fputs(line, stderr);
                        bench_die(mapid, "does not start");
                }
                nanosleep(&nap, NULL);
        }
        setenv("MAPI_SOCKET", path, 1);
        return pid;
}

void world_stop(pid_t pid)
{
        int status;

        kill(pid, SIGTERM);
        if (waitpid(pid, &status, 0) != pid || status != 0) {
                printf("WRONG: mapid ended with wait status %#x\n", (unsigned)status);
                live_wrong++;
        }
}

/* ---- CPU time --------------------------------------------------------------------------------------------------------- */

static int parent_of(const char *name)
{
        char path[64], line[1024];
        const char *p = NULL;
        int parent = -1;
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%.20s/stat", name);
        file = fopen(path, "r");
        if (file == NULL)
                return -1;
        if (fgets(line, sizeof(line), file) != NULL)
                p = strrchr(line, ')');
        fclose(file);
        return p != NULL && sscanf(p, ") %*c %d", &parent) == 1 ? parent : -1;
}

/* User and system time of the threads of one process. Not from "stat": that has hundredths of a second, too coarse for what
   sixteen programs each use in half a second. */
static double process_s(const char *name)
{
        char path[300];
        struct dirent *e;
        double sum = 0;
        DIR *d;

        snprintf(path, sizeof(path), "/proc/%.20s/task", name);
        d = opendir(path);
        while (d != NULL && (e = readdir(d)) != NULL) {
                unsigned long long ns;
                FILE *file;

                snprintf(path, sizeof(path), "/proc/%.20s/task/%.20s/schedstat", name, e->d_name);
                file = e->d_name[0] == '.' ? NULL : fopen(path, "r");
                if (file == NULL)
                        continue;
                if (fscanf(file, "%llu", &ns) == 1)
                        sum += (double)ns / 1e9;
                fclose(file);
        }
        if (d != NULL)
                closedir(d);
        return sum;
}

double world_cpu_s(pid_t pid)
{
        DIR *d = opendir("/proc");
        struct dirent *e;
        double sum = 0;

        while (d != NULL && (e = readdir(d)) != NULL)
                if (isdigit((unsigned char)e->d_name[0]) &&
                    (atoi(e->d_name) == pid || parent_of(e->d_name) == pid))
                        sum += process_s(e->d_name);
        if (d != NULL)
                closedir(d);
        return sum;
}

double world_softirq_s(void)
{
        unsigned long long softirq = 0;
        FILE *file = fopen("/proc/stat", "r");

        if (file != NULL) {
                if (fscanf(file, "cpu %*u %*u %*u %*u %*u %*u %llu", &softirq) != 1)
                        softirq = 0;
                fclose(file);
        }
        return (double)softirq / (double)sysconf(_SC_CLK_TCK);
}
