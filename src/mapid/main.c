/* mapid: reads its options and its configuration, takes its places, and becomes two processes. SPDX-License-Identifier: BSD-2-Clause */
#include <signal.h>

#include "mapi_config.h"
#include "mapid/daemon.h"
#include "mapid/log.h"
#include "mapid/notify.h"
#include "mapid/opener.h"
#include "mapid/plugins.h"
#include "mapid/process.h"
#include "mapid/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OPTION_CHECK = 256, OPTION_SOCKET, OPTION_PID_FILE, DESCRIPTORS = 65536 };

struct options {
        const char *config, *socket, *pid_file;
        bool check, background, syslog;
        uint32_t devgroup;
};

static const char usage_text[] =
        "Usage: mapid [OPTION]...\n"
        "The monitoring daemon: owns the capture devices and runs the flows of all programs.\n"
        "\n"
        "  -c, --config=FILE    configuration; without it $MAPI_CONF or the installed mapi.conf, which need not "
        "exist\n"
        "      --check-config   read the configuration, say what is wrong with it, and end\n"
        "  -d, --daemon         run in the background, with a pid file\n"
        "  -s, --syslog         log to syslog, too\n"
        "  -g, --devgroup=N     offer only the devices of group N\n"
        "      --socket=PATH    listen there instead of the usual place\n"
        "      --pid-file=PATH  where -d leaves the number of the process\n"
        "  -v, --version        print the version\n"
        "  -h, --help           print this text\n"
        "\n"
        "SIGHUP reads the configuration again, SIGTERM ends mapid. The manual is mapid(8).\n";

/** Returns -1 to go on, or the exit status. */
static int read_options(int argc, char **argv, struct options *o)
{
        static const struct option all[] = { { "config", required_argument, NULL, 'c' },
                                             { "check-config", no_argument, NULL, OPTION_CHECK },
                                             { "daemon", no_argument, NULL, 'd' },
                                             { "syslog", no_argument, NULL, 's' },
                                             { "devgroup", required_argument, NULL, 'g' },
                                             { "socket", required_argument, NULL, OPTION_SOCKET },
                                             { "pid-file", required_argument, NULL, OPTION_PID_FILE },
                                             { "version", no_argument, NULL, 'v' },
                                             { "help", no_argument, NULL, 'h' },
                                             { NULL, 0, NULL, 0 } };
        unsigned long group;
        char *end;
        int c;

        while ((c = getopt_long(argc, argv, "c:dsg:vh", all, NULL)) >= 0) {
                switch (c) {
                case 'c':
                        o->config = optarg;
                        break;
                case OPTION_CHECK:
                        o->check = true;
                        break;
                case 'd':
                        o->background = true;
                        break;
                case 's':
                        o->syslog = true;
                        break;
                case 'g':
                        errno = 0;
                        group = strtoul(optarg, &end, 10);
                        if (optarg[0] < '0' || optarg[0] > '9' || *end != '\0' || errno != 0 ||
                            group > INT32_MAX) {
                                (void)fprintf(stderr, "mapid: -g wants the number of a device group, not '%s'\n",
                                              optarg);
                                return 2;
                        }
                        o->devgroup = (uint32_t)group;
                        break;
                case OPTION_SOCKET:
                        o->socket = optarg;
                        break;
                case OPTION_PID_FILE:
                        o->pid_file = optarg;
                        break;
                case 'v':
                        (void)printf("mapid: MAPI v%s\n", MAPI_VERSION);
                        return 0;
                case 'h':
                        (void)fputs(usage_text, stdout);
                        return 0;
                default:
                        (void)fputs("mapid: --help lists the options\n", stderr);
                        return 2;
                }
        }
        if (optind < argc) {
                (void)fprintf(stderr, "mapid: '%s' is no option; --help lists them\n", argv[optind]);
                return 2;
        }
        return -1;
}

/** A daemon lives in "/", so what is relative to here must be made absolute. */
static const char *absolute(const char *path)
{
        char here[PATH_MAX], *whole;

        if (path == NULL || path[0] == '/' || getcwd(here, sizeof here) == NULL)
                return path;
        return asprintf(&whole, "%s/%s", here, path) < 0 ? path : whole; /* lives as long as mapid */
}

/** Each client may come with descriptors, and each flow has some. */
static void want_descriptors(void)
{
        struct rlimit l;

        if (getrlimit(RLIMIT_NOFILE, &l) < 0)
                return;
        if (l.rlim_max != RLIM_INFINITY && l.rlim_max < DESCRIPTORS && geteuid() == 0)
                l.rlim_max = DESCRIPTORS;
        l.rlim_cur = l.rlim_max != RLIM_INFINITY && l.rlim_max < DESCRIPTORS ? l.rlim_max : DESCRIPTORS;
        (void)setrlimit(RLIMIT_NOFILE, &l); /* with fewer, fewer clients find room */
}

struct places {
        struct socket_place socket;
        char pid_file[PATH_MAX];
        int pid_fd;
};

static void leave(struct places *p)
{
        daemon_drop_pid_file(p->pid_file, &p->pid_fd);
        socket_leave(&p->socket);
}

/** The child: never returns. */
static void become_engine(const struct options *o, struct config *c, struct places *p, struct plugins *plugins,
                          const struct privileges_user *user, int ask_fd, int tell_fd)
{
        struct process_setup s = { .config = c,
                                   .plugins = plugins,
                                   .devgroup = o->devgroup,
                                   .ask_fd = ask_fd,
                                   .tell_fd = tell_fd,
                                   .listen_fd = p->socket.listen_fd,
                                   .state_fd = p->socket.state_fd,
                                   .last_flow = p->socket.last_flow,
                                   .null_fd = -1 };
        struct mapi_error err = { 0 };

        (void)prctl(PR_SET_NAME, "mapid-engine"); /* what ps and top show */
        if (p->pid_fd >= 0)
                (void)close(p->pid_fd);
        if (o->background) /* it may not open anything later */
                s.null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (privileges_become_engine(user, &err) == 0) {
                plugins_load(plugins); /* while files can still be opened, and without any rights */
                err.code = -privileges_filter_engine(&err);
        }
        if (err.code != 0) {
                log_error("%s", err.text);
                _exit(1);
        }
        _exit(process_run(&s));
}

/** Reports an error where people look before the log is there. */
static int fail(int *ready, const struct mapi_error *err)
{
        if (*ready >= 0) /* the process that waits says it on the terminal */
                log_set_streams(false);
        daemon_failed(ready, err->text);
        log_error("%s", err->text);
        return 1;
}

/** Both processes. Returns the exit status of the opener. */
static int run(const struct options *o, struct config *c, struct places *p, struct plugins *plugins, int *ready)
{
        struct opener_setup s = { .config = c, .config_path = o->config, .syslog = o->syslog, .plugins = plugins };
        int ask[2], tell[2], status;
        struct mapi_error err;
        sigset_t signals;

        if (privileges_find_user(c->user, c->user_line != 0, &s.user, &err) < 0) {
                return fail(ready, &err);
        }
        opener_signals(&signals);
        (void)sigprocmask(SIG_BLOCK, &signals, NULL);
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ask) < 0 ||
            socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, tell) < 0) {
                log_error("%s", strerror(errno));
                return 1;
        }
        s.engine = fork();
        if (s.engine < 0) {
                log_error("%s", strerror(errno));
                return 1;
        }
        if (s.engine == 0) {
                (void)close(ask[0]);
                (void)close(tell[0]);
                if (*ready >= 0) /* the command waits until nobody can say anything more */
                        (void)close(*ready);
                become_engine(o, c, p, plugins, &s.user, ask[1], tell[1]);
        }
        (void)close(ask[1]);
        (void)close(tell[1]);
        (void)close(p->socket.listen_fd); /* the engine process's alone */
        (void)close(p->socket.state_fd);
        s.ask_fd = ask[0];
        s.tell_fd = tell[0];
        s.signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
        for (unsigned i = 0; i < 4; i++)
                s.close_in_compiler[i] = i == 0 ? p->pid_fd : -1;
        err.code = 0;
        if (s.signal_fd < 0 || privileges_take_opener(&err) < 0 || opener_wait_ready(&s) < 0) {
                if (err.code == 0)
                        (void)mapi_fail(&err, MAPI_PRIVILEGES_ERROR, "the engine process did not start");
                return fail(ready, &err);
        }
        log_info("serves on %s (%s)%s%s", p->socket.path, p->socket.access,
                 s.user.change ? ", the engine runs as " : "", s.user.change ? s.user.name : "");
        (void)notify_ready("serving");
        if (o->background) {
                daemon_ready(ready);
                log_set_streams(false);
        }
        status = opener_run(&s);
        config_free(&s.config);
        return status;
}

int main(int argc, char **argv)
{
        struct options o = { .devgroup = CONFIG_DEVGROUP_NONE };
        struct log_fds log = LOG_NO_FDS;
        struct places p = { .pid_fd = -1 };
        struct plugins *plugins;
        struct config *c = NULL;
        struct mapi_error err = { 0 };
        char path[108];
        int ready = -1, status = read_options(argc, argv, &o);

        if (status >= 0)
                return status;
        o.config = absolute(o.config);
        o.socket = absolute(o.socket);
        o.pid_file = absolute(o.pid_file);
        log_start("mapid", CONFIG_LOG_LEVEL);
        if (config_load(o.config, &c, &err) < 0)
                return fail(&ready, &err);
        log_set_level(c->log_level);
        if (o.check) {
                opener_warn(c);
                plugins = plugins_try(c);
                free(plugins);
                (void)printf("%s: %zu devices, %zu warnings, no errors\n",
                             c->name != NULL ? c->name : "no configuration file", c->ndrivers, c->nwarnings);
                config_free(&c);
                return 0;
        }
        if (socket_choose(o.socket, c->socket, c->local != 0, path, sizeof path, &err) < 0 ||
            (o.background && daemon_detach(&ready, &err) < 0))
                return fail(&ready, &err);
        want_descriptors();
        if (log_open(c->logfile, o.syslog, &log, &err) < 0)
                return fail(&ready, &err);
        log_adopt(log);
        opener_warn(c);
        plugins = plugins_try(c);
        if (plugins == NULL) {
                (void)mapi_fail(&err, MAPID_MEM_ALLOCATION_ERROR, "the list of function libraries");
                return fail(&ready, &err);
        }
        if (socket_take(path, c->local != 0 || geteuid() != 0 ? NULL : c->group, &p.socket, &err) < 0)
                return fail(&ready, &err);
        if (o.background || o.pid_file != NULL) {
                (void)snprintf(p.pid_file, sizeof p.pid_file, "%s", o.pid_file != NULL ? o.pid_file : "");
                if (o.pid_file == NULL && geteuid() == 0 && o.socket == NULL)
                        (void)snprintf(p.pid_file, sizeof p.pid_file, "/var/run/mapid.pid");
                else if (o.pid_file == NULL)
                        (void)snprintf(p.pid_file, sizeof p.pid_file, "%s.pid", path);
                if (daemon_take_pid_file(p.pid_file, &p.pid_fd, &err) < 0) {
                        socket_leave(&p.socket);
                        return fail(&ready, &err);
                }
        }
        log_info("MAPI v%s begins%s", MAPI_VERSION, o.background ? " as a daemon" : "");
        status = run(&o, c, &p, plugins, &ready);
        leave(&p);
        free(plugins);
        log_info("has ended");
        log_stop();
        return status;
}
