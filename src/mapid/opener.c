/* The process with rights. SPDX-License-Identifier: BSD-2-Clause */
#include <signal.h>
#include <sys/types.h>

#include "mapid/opener.h"

#include "host/host.h"
#include "mapid/compiler.h"
#include "mapid/link.h"
#include "mapid/log.h"
#include "mapid/notify.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { COMPILERS_MAX = 16, STOP_WAIT_MS = 12000 };

void opener_signals(sigset_t *ret)
{
        static const int all[] = { SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGCHLD };

        sigemptyset(ret);
        for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++)
                sigaddset(ret, all[i]);
}

/* ---- questions ------------------------------------------------------------------------------------------------------ */

/** The engine process speaks of another configuration than ours: it gets ours in a moment, and asks again (9005). */
static int other_configuration(const struct link_message *m, struct mapi_error *err)
{
        return mapi_fail(err, MAPI_CONFIG_ERROR, "'%.64s' is not configured so any more", m->name);
}

/** The device with this number in our own configuration, by our own options; the name only tells whether both mean the same. */
static int open_device(const struct opener_setup *s, const struct link_message *m, int *ret_fds,
                       struct mapi_error *err)
{
        const struct config *c = s->config;
        struct mapi_source src = { .name = m->name, .fd = -1 };
        const struct mapi_driver *driver;
        const char *name = "afpacket";

        if (memchr(m->name, '\0', sizeof m->name) == NULL)
                return mapi_fail(err, MAPID_NO_DRIVER, "a device without a name");
        if (m->number == 0) {
                if (strlen(m->name) >= IF_NAMESIZE || strchr(m->name, '/') != NULL)
                        return mapi_fail(err, MAPID_NO_DRIVER, "'%.64s' is no interface", m->name);
                if (c->ndrivers > 0)
                        return other_configuration(m, err);
        } else {
                const struct config_driver *e;

                if (m->number < 0 || (size_t)m->number > c->ndrivers)
                        return other_configuration(m, err);
                e = &c->drivers[m->number - 1];
                if (strcmp(e->device, m->name) != 0 || e->driver == NULL)
                        return other_configuration(m, err);
                src.options = e->options[0] == '\0' ? NULL : e->options;
                name = e->driver;
        }
        driver = host_driver(name);
        if (driver == NULL)
                return mapi_fail(err, MAPID_NO_DRIVER, "driver %.64s", name);
        return driver->prepare == NULL ? 0 : driver->prepare(&src, ret_fds, err);
}

/** All interfaces, in a memfd. */
static int list_interfaces(struct link_message *m, int *ret_fd, struct mapi_error *err)
{
        struct if_nameindex *all = if_nameindex();
        int fd = memfd_create("mapid-interfaces", MFD_CLOEXEC), n = 0;

        for (struct if_nameindex *i = all; fd >= 0 && i != NULL && i->if_index != 0; i++) {
                struct link_interface e = { .index = (int32_t)i->if_index };

                (void)snprintf(e.name, sizeof e.name, "%s", i->if_name);
                if (write(fd, &e, sizeof e) == (ssize_t)sizeof e)
                        n++;
        }
        if (all != NULL)
                if_freenameindex(all);
        if (fd < 0)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "the list of interfaces");
        m->number = n;
        *ret_fd = fd;
        return 1;
}

/** A compiler: this process once more, without anything. */
static int fork_compiler(const struct opener_setup *s, int socket, struct mapi_error *err)
{
        struct mapi_error ignored;
        sigset_t none;
        pid_t pid = fork();

        if (pid < 0)
                return mapi_fail(err, MAPI_LIMIT_ERROR, "a filter cannot be compiled: %s", strerror(errno));
        if (pid > 0)
                return 0;
        (void)prctl(PR_SET_NAME, "mapid-filter");
        (void)close(s->ask_fd);
        (void)close(s->tell_fd);
        (void)close(s->signal_fd);
        for (unsigned i = 0; i < 4; i++)
                if (s->close_in_compiler[i] >= 0)
                        (void)close(s->close_in_compiler[i]);
        sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        if (privileges_take_compiler(&s->user, &ignored) == 0)
                compiler_serve(socket);
        _exit(0);
}

static void answer(struct opener_setup *s, unsigned *compilers)
{
        int fds[MAPI_SOURCE_FDS], given[MAPI_SOURCE_FDS], n = 0;
        struct link_message m, reply;
        unsigned nfds = 0;

        if (link_recv(s->ask_fd, MSG_DONTWAIT, &m, fds, &nfds) != 1)
                return; /* SIGCHLD tells when it has ended */
        reply = (struct link_message){ .kind = m.kind };
        switch ((enum link_kind)m.kind) {
        case LINK_OPEN_DEVICE:
                n = open_device(s, &m, given, &reply.error);
                break;
        case LINK_LIST:
                n = list_interfaces(&reply, given, &reply.error);
                break;
        case LINK_COMPILE:
                if (nfds != 1)
                        n = mapi_fail(&reply.error, MCOM_UNKNOWN_ERROR, "no socket for the compiler");
                else if (*compilers >= COMPILERS_MAX)
                        n = mapi_fail(&reply.error, MAPI_LIMIT_ERROR, "%u filters are being compiled", *compilers);
                else
                        n = fork_compiler(s, fds[0], &reply.error);
                *compilers += nfds == 1 && n == 0;
                break;
        default:
                n = mapi_fail(&reply.error, MCOM_UNKNOWN_ERROR, "question %u", m.kind);
        }
        for (unsigned i = 0; i < nfds; i++)
                (void)close(fds[i]);
        (void)link_send(s->ask_fd, &reply, given, n > 0 ? (unsigned)n : 0);
        for (int i = 0; i < n; i++)
                (void)close(given[i]);
}

/* ---- configuration ---------------------------------------------------------------------------------------------------- */

void opener_warn(const struct config *c)
{
        for (size_t i = 0; i < c->nwarnings; i++)
                log_warning("%s:%u: %s", c->name, c->warnings[i].line, c->warnings[i].text);
        for (size_t i = 0; i < c->ndrivers; i++)
                if (c->drivers[i].driver != NULL && strcmp(c->drivers[i].driver, "afpacket") == 0 &&
                    strcmp(c->drivers[i].device, "any") != 0 && if_nametoindex(c->drivers[i].device) == 0)
                        log_warning("%s:%u: there is no interface %s at present", c->name, c->drivers[i].line,
                                    c->drivers[i].device);
}

/** The text of the file as it was read, for the engine process. */
static int text_of(const char *path, struct link_message *m)
{
        char buf[4096];
        FILE *f = path == NULL ? NULL : fopen(path, "re");
        int fd = memfd_create("mapi.conf", MFD_CLOEXEC);
        size_t n, total = 0;

        while (fd >= 0 && f != NULL && total < CONFIG_FILE_BYTES_MAX && (n = fread(buf, 1, sizeof buf, f)) > 0) {
                if (write(fd, buf, n) != (ssize_t)n)
                        break;
                total += n;
        }
        if (f != NULL)
                (void)fclose(f);
        m->number = (int32_t)total;
        return fd;
}

static void reload(struct opener_setup *s)
{
        struct link_message m = { .kind = LINK_CONFIG };
        struct log_fds log = LOG_NO_FDS;
        struct config *c = NULL;
        struct mapi_error err;
        int fds[4];
        unsigned n = 1;

        (void)notify_reloading();
        if (config_load(s->config_path, &c, &err) < 0) {
                log_error("%s; everything stays as it was", err.text);
                (void)notify_ready("the new configuration was refused");
                return;
        }
        if (log_open(c->logfile, s->syslog, &log, &err) < 0)
                log_warning("%s; the log stays as it was", err.text);
        fds[0] = text_of(c->name, &m);
        (void)snprintf(m.name, sizeof m.name, "%s", c->name != NULL ? c->name : "defaults");
        if (fds[0] >= 0) {
                m.has_info = log.info >= 0;
                m.has_debug = log.debug >= 0;
                m.has_syslog = log.syslog >= 0;
                if (log.info >= 0)
                        fds[n++] = log.info;
                if (log.debug >= 0)
                        fds[n++] = log.debug;
                if (log.syslog >= 0)
                        fds[n++] = log.syslog;
                (void)link_send(s->tell_fd, &m, fds, n);
                (void)close(fds[0]);
        }
        config_free(&s->config);
        s->config = c;
        log_set_level(c->log_level);
        log_adopt(log);
        opener_warn(c);
        plugins_compare(s->plugins, c);
        (void)notify_ready("serving");
}

/* ---- life -------------------------------------------------------------------------------------------------------------- */

/** Reaps what has ended. Returns false, with its status, if that was the engine process. */
static bool reap(struct opener_setup *s, unsigned *compilers, int *ret_status)
{
        int status;
        pid_t pid;

        while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
                if (pid == s->engine) {
                        *ret_status = status;
                        return false;
                }
                if (*compilers > 0)
                        --*compilers;
        }
        return true;
}

static void begin_stop(struct opener_setup *s, uint32_t signal)
{
        struct link_message m = { .kind = LINK_STOP };

        log_info("ends (%s)", strsignal((int)signal));
        (void)notify_stopping();
        (void)link_send(s->tell_fd, &m, NULL, 0);
}

int opener_wait_ready(struct opener_setup *s)
{
        int fds[MAPI_SOURCE_FDS];
        struct link_message m;
        unsigned nfds = 0;

        return link_recv(s->tell_fd, 0, &m, fds, &nfds) == 1 ? 0 : -1;
}

static int64_t now_ms(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int opener_run(struct opener_setup *s)
{
        struct pollfd p[2] = { { .fd = s->signal_fd, .events = POLLIN }, { .fd = s->ask_fd, .events = POLLIN } };
        unsigned compilers = 0;
        int64_t deadline = 0;
        int status = 0;

        for (;;) {
                struct signalfd_siginfo info;
                int64_t left = deadline == 0 ? -1 : deadline - now_ms();

                if (deadline != 0 && left <= 0) {
                        log_warning("the engine process does not end: it is killed");
                        (void)kill(s->engine, SIGKILL);
                        deadline = now_ms() + STOP_WAIT_MS;
                        continue;
                }
                (void)poll(p, 2, (int)left);
                if ((p[0].revents & POLLIN) != 0 &&
                    read(s->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
                        if (info.ssi_signo == SIGHUP && deadline == 0)
                                reload(s);
                        else if (info.ssi_signo != SIGCHLD && info.ssi_signo != SIGHUP && deadline == 0) {
                                begin_stop(s, info.ssi_signo);
                                deadline = now_ms() + STOP_WAIT_MS;
                        }
                        if (!reap(s, &compilers, &status))
                                break;
                }
                if ((p[1].revents & POLLIN) != 0)
                        answer(s, &compilers);
                else if ((p[1].revents & (POLLHUP | POLLERR)) != 0)
                        p[1].fd = -1; /* SIGCHLD comes */
        }
        if (deadline != 0)
                return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
        if (WIFSIGNALED(status))
                log_error("the engine process was ended by signal %d (%s)", WTERMSIG(status),
                          strsignal(WTERMSIG(status)));
        else
                log_error("the engine process has ended with status %d", WEXITSTATUS(status));
        return 1;
}
