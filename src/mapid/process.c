/* The engine process and its control thread. SPDX-License-Identifier: BSD-2-Clause */
#include "mapid/process.h"

#include "mapi_config.h"
#include "mapid/clients.h"
#include "mapid/compiler.h"
#include "mapid/devices.h"
#include "mapid/link.h"
#include "mapid/log.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
        ASK_WAIT_S = 20,           /* for the opener's answer; an interface is opened in milliseconds */
        STOP_WAIT_S = 8,           /* for clients' files, when mapid ends */
        LIVE_RING_BYTES = 4 << 20, /* a packet ring of a flow: some 12,000 packets of 330 bytes */
};

struct process {
        struct process_setup *setup;
        struct event_base *base;
        struct host *host;
        struct devices *devices;
        struct compiler *compiler;
        struct clients *clients;
        struct event *told, *deadline;
        pthread_mutex_t asking;
        bool stopping;
};

/* ---- questions to the opener -------------------------------------------------------------------------------------- */

static int ask(void *context, struct link_message *m, int *ret_fds, unsigned *ret_nfds, struct mapi_error *err)
{
        struct process *p = context;
        int r;

        (void)pthread_mutex_lock(&p->asking);
        r = link_send(p->setup->ask_fd, m, NULL, 0);
        if (r == 0)
                r = link_recv(p->setup->ask_fd, 0, m, ret_fds, ret_nfds) == 1 ? 0 : -1;
        (void)pthread_mutex_unlock(&p->asking);
        if (r < 0)
                return mapi_fail(err, MAPI_SHUTTING_DOWN, "the opener of mapid does not answer");
        if (m->error.code == 0)
                return 0;
        if (err != NULL)
                *err = m->error;
        return -m->error.code;
}

static int start_compiler(void *context, int socket, struct mapi_error *err)
{
        struct process *p = context;
        struct link_message m = { .kind = LINK_COMPILE };
        int fds[MAPI_SOURCE_FDS], r;
        unsigned nfds = 0;

        (void)pthread_mutex_lock(&p->asking);
        r = link_send(p->setup->ask_fd, &m, &socket, 1);
        if (r == 0)
                r = link_recv(p->setup->ask_fd, 0, &m, fds, &nfds) == 1 ? 0 : -1;
        (void)pthread_mutex_unlock(&p->asking);
        if (r < 0)
                return mapi_fail(err, MAPI_SHUTTING_DOWN, "the opener of mapid does not answer");
        if (m.error.code != 0 && err != NULL)
                *err = m.error;
        return -m.error.code;
}

/* ---- what the host wants ------------------------------------------------------------------------------------------ */

static int find_live(void *context, const char *name, struct host_live *ret, struct mapi_error *err)
{
        return devices_find(((struct process *)context)->devices, name, ret, err);
}

static bool offers_live(void *context, const char *device)
{
        return devices_offers(((struct process *)context)->devices, device);
}

static int list_live(void *context, int id, bool next, struct host_live *ret, struct mapi_error *err)
{
        return devices_list(((struct process *)context)->devices, id, next, ret, err);
}

static int open_live(void *context, const struct host_live *live, struct capture *ret, struct mapi_error *err)
{
        int r = devices_open(((struct process *)context)->devices, live, ret, err);

        if (r < 0)
                log_warning("device %s cannot be opened: %s", live->device, err->text);
        else
                log_info("device %s is open", live->device);
        return r;
}

static void device_event(void *context, enum host_event event, const char *device)
{
        clients_tell(((struct process *)context)->clients, event, device);
}

/** The highest number goes into a file, so that the next mapid goes on behind it and clients can return to theirs. */
static void numbered(void *context, int flow)
{
        struct process *p = context;
        char text[16];
        int n;

        if (p->setup->state_fd < 0)
                return;
        n = snprintf(text, sizeof text, "%d\n", flow);
        (void)!pwrite(p->setup->state_fd, text, (size_t)n,
                      0); /* a memory file system; without it numbers begin anew */
}

/* ---- configuration ------------------------------------------------------------------------------------------------ */

static struct clients_limits limits_of(const struct config *c)
{
        struct clients_limits l = {
                .sessions = c->max_sessions,
                .session = { .flows = c->max_flows,
                             .devices = c->max_devices,
                             .memory_bytes = (size_t)c->max_memory_bytes,
                             .ring_bytes = LIVE_RING_BYTES,
                             .sink_bytes = SESSION_SINK_BYTES },
        };

        return l;
}

/** The opener has read the new file without an error. */
static void configure(struct process *p, const struct link_message *m, int fd)
{
        size_t size = m->number > 0 ? (size_t)m->number : 0;
        char *text = size == 0 ? NULL : mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
        struct config *c = NULL;
        struct clients_limits l;
        struct mapi_error err;

        if (text == MAP_FAILED || config_parse(text == NULL ? "" : text, size, m->name, &c, &err) < 0) {
                log_error("the new configuration did not arrive: nothing has changed");
        } else {
                l = limits_of(c);
                devices_configure(p->devices, c, p->setup->devgroup);
                clients_set_limits(p->clients, &l);
                log_set_level(c->log_level);
                config_free(&p->setup->config);
                p->setup->config = c;
                log_info("the new configuration is in force");
        }
        if (text != NULL && text != MAP_FAILED)
                (void)munmap(text, size);
}

/* ---- the end ------------------------------------------------------------------------------------------------------ */

static void all_gone(void *context)
{
        (void)event_base_loopbreak(((struct process *)context)->base);
}

static void too_late(evutil_socket_t fd, short what, void *context)
{
        struct process *p = context;

        (void)fd;
        (void)what;
        log_warning("%u clients have files that do not come to an end", clients_count(p->clients));
        (void)event_base_loopbreak(p->base);
}

static void stop(struct process *p)
{
        static const struct timeval wait = { .tv_sec = STOP_WAIT_S };

        if (p->stopping)
                return;
        p->stopping = true;
        if (p->setup->state_fd >= 0) /* the next mapid may begin */
                (void)flock(p->setup->state_fd, LOCK_UN);
        (void)evtimer_add(p->deadline, &wait);
        clients_stop(p->clients, all_gone, p);
}

static void told(evutil_socket_t fd, short what, void *context)
{
        struct process *p = context;
        int fds[MAPI_SOURCE_FDS];
        struct link_message m;
        struct log_fds log;
        unsigned nfds = 0, next = 1;
        int got;

        (void)what;
        got = link_recv(fd, MSG_DONTWAIT, &m, fds, &nfds);
        if (got < 0)
                return;
        if (got == 0 || m.kind == LINK_STOP) { /* without the opener there is nobody who could open anything */
                if (got == 0) {
                        log_error("the opener is gone: mapid ends");
                        (void)event_del(p->told);
                }
                stop(p);
                return;
        }
        if (m.kind != LINK_CONFIG || nfds == 0)
                return;
        configure(p, &m, fds[0]);
        (void)close(fds[0]);
        log.info = m.has_info && next < nfds ? fds[next++] : -1;
        log.debug = m.has_debug && next < nfds ? fds[next++] : -1;
        log.syslog = m.has_syslog && next < nfds ? fds[next++] : -1;
        log_adopt(log);
}

/** Programs that started us wait for the end of our output, and the terminal is not ours any more. */
static void leave_streams(int null_fd)
{
        log_set_streams(false);
        for (int fd = 0; fd <= STDERR_FILENO; fd++)
                (void)dup2(null_fd, fd);
        if (null_fd > STDERR_FILENO)
                (void)close(null_fd);
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

static int prepare(struct process *p)
{
        struct clients_limits limits = limits_of(p->setup->config);
        struct host_options options = {
                .world = { .context = p,
                           .find_live = find_live,
                           .offers = offers_live,
                           .list_live = list_live,
                           .open_live = open_live,
                           .event = device_event,
                           .numbered = numbered },
                .seed = host_seed(),
                .count_functions = MAPI_FUNCSTATS,
                .last_flow = p->setup->last_flow,
                .libraries = p->setup->plugins->set.library,
                .memory_bytes = host_half_of_memory(),
        };

        (void)pthread_mutex_init(&p->asking, NULL);
        p->devices = devices_new(ask, p);
        p->compiler = compiler_new(start_compiler, p);
        if (p->devices == NULL || p->compiler == NULL)
                return -1;
        options.compiler = (struct filter_compiler){ .compile = compiler_compile, .context = p->compiler };
        devices_configure(p->devices, p->setup->config, p->setup->devgroup);
        p->host = host_new(&options);
        p->base = event_base_new();
        if (p->host == NULL || p->base == NULL)
                return -1;
        p->clients = clients_new(p->base, p->host, p->setup->listen_fd, &limits);
        p->told = event_new(p->base, p->setup->tell_fd, EV_READ | EV_PERSIST, told, p);
        p->deadline = evtimer_new(p->base, too_late, p);
        if (p->clients == NULL || p->told == NULL || p->deadline == NULL || event_add(p->told, NULL) < 0)
                return -1;
        return 0;
}

int process_run(struct process_setup *setup)
{
        struct process p = { .setup = setup };
        struct timeval patience = { .tv_sec = ASK_WAIT_S };
        struct link_message ready = { .kind = LINK_STOP };
        sigset_t all;

        sigfillset(&all); /* the opener hears signals and tells us what to do */
        (void)sigprocmask(SIG_SETMASK, &all, NULL);
        (void)setsockopt(setup->ask_fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        if (prepare(&p) < 0) {
                log_error("no memory for the engine");
                return 1;
        }
        if (link_send(setup->tell_fd, &ready, NULL, 0) < 0) /* the opener waits for any word of us */
                return 1;
        if (setup->null_fd >= 0)
                leave_streams(setup->null_fd);
        (void)event_base_dispatch(p.base);
        if (clients_count(p.clients) > 0)
                return 0; /* threads of theirs still write; the process ends anyway */
        clients_free(&p.clients);
        event_free(p.told);
        event_free(p.deadline);
        event_base_free(p.base);
        devices_free(&p.devices);
        compiler_free(&p.compiler);
        host_free(&p.host);
        config_free(&setup->config);
        return 0;
}
