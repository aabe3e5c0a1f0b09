/* Devices of a host and the threads that drive them. SPDX-License-Identifier: BSD-2-Clause */
#include "host/internal.h"

#include "base/futex.h"
#include "results/event.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/** What .stop says: run, come to an end, and: nobody but the thread uses the device any more. */
enum { DEVICE_RUNS = 0, DEVICE_STOPS = 1, DEVICE_LEFT = 2 };

/*
 * A live device that has just delivered is looked at again after a nap: polling would cost a wake-up for each block that the
 * kernel hands over. When it stays silent it is polled; the poll ends now and then so that time goes on for its functions.
 */
enum { STEP_BUDGET = 16, GONE_WAIT_MS = 200, PASS_WAIT_MS = 100, NAP_US = 1000, NAPS_MAX = 20, TICK_MS = 100 };

int host_thread(void *(*run)(void *), void *argument, struct mapi_error *err)
{
        pthread_attr_t attr;
        sigset_t all, mask;
        pthread_t thread;
        int r;

        sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &mask); /* inherited: no signal ever reaches our threads */
        (void)pthread_attr_init(&attr);
        (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        (void)pthread_attr_setstacksize(&attr, 256 * 1024);
        r = pthread_create(&thread, &attr, run, argument);
        (void)pthread_attr_destroy(&attr);
        (void)pthread_sigmask(SIG_SETMASK, &mask, NULL);
        return r == 0 ? 0 : mapi_fail(err, NICDRV_PTHR_ERR, "%s", strerror(r));
}

/** Sleeps until kicked or, if `fd` is there, until it has input. Returns false when time was up. */
static bool sleep_until_kicked(struct host_device *d, int fd, int timeout_ms)
{
        struct pollfd p[3] = { { .fd = d->wake_fd, .events = POLLIN },
                               { .fd = atomic_load(&d->kick_fd), .events = POLLIN },
                               { .fd = fd, .events = POLLIN } }; /* poll leaves out what is below 0 */
        uint64_t kicks;
        int n;

        n = poll(p, 3, timeout_ms);
        if ((p[0].revents & POLLIN) != 0)
                (void)!read(d->wake_fd, &kicks, sizeof kicks); /* only empties it */
        if ((p[1].revents & POLLIN) != 0)
                event_clear(p[1].fd);
        return n != 0;
}

/** The wall clock as packets have it: 32.32. */
static uint64_t now_ts(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_REALTIME, &t);
        return (uint64_t)t.tv_sec << 32 | ((uint64_t)t.tv_nsec << 32) / 1000000000u;
}

/** A live device went down or came back: says so. Looked at when it is silent only. */
static void watch(struct host_device *d, bool *down)
{
        const struct host_world *w = &d->host->world;
        struct engine_device_facts facts;

        engine_device_facts(d->device, &facts);
        if ((facts.stats.down != 0) == *down)
                return;
        *down = !*down;
        if (w->event != NULL)
                w->event(w->context, *down ? HOST_DEVICE_DOWN : HOST_DEVICE_UP, d->name);
}

static void *device_main(void *argument)
{
        struct host_device *d = argument;
        bool live = d->session == NULL, down = false;
        unsigned naps = 0;

        while (atomic_load(&d->stop) == DEVICE_RUNS) {
                enum engine_state state = engine_step(d->device, STEP_BUDGET);

                if (atomic_load(&d->waiters) != 0) {
                        __atomic_fetch_add(&d->passed, 1, __ATOMIC_SEQ_CST);
                        futex_wake(&d->passed);
                }
                if (state == ENGINE_WORKED) {
                        naps = 0;
                } else if (state != ENGINE_IDLE) {
                        (void)sleep_until_kicked(d, -1, -1);
                } else if (!live) {
                        (void)sleep_until_kicked(d, engine_device_fd(d->device), -1);
                } else if (d->naps && naps < NAPS_MAX) {
                        naps++;
                        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){ .tv_nsec = NAP_US * 1000 },
                                              NULL);
                } else if (!sleep_until_kicked(d, engine_device_fd(d->device), TICK_MS)) {
                        engine_tick(d->device, now_ts());
                        watch(d, &down);
                } else {
                        naps = 0;
                }
        }
        engine_device_remove(&d->device);
        while (atomic_load(&d->stop) !=
               DEVICE_LEFT) /* not before the one who stops us has kicked for the last time */
                (void)futex_wait((const uint32_t *)&d->stop, DEVICE_STOPS, -1);
        (void)close(d->wake_fd);
        if (atomic_load(&d->kick_fd) >= 0)
                (void)close(atomic_load(&d->kick_fd));
        __atomic_store_n(&d->gone, 1, __ATOMIC_SEQ_CST);
        futex_wake(&d->gone);
        return NULL;
}

/** A struct that nobody uses any more, or a new one. */
static struct host_device *device_struct(struct host *h)
{
        struct host_device *d;

        for (d = h->devices; d != NULL; d = d->next)
                if (!d->in_use && d->users == 0 && __atomic_load_n(&d->gone, __ATOMIC_SEQ_CST) != 0)
                        break;
        if (d == NULL) {
                d = arena_alloc(h->arena, sizeof *d);
                if (d == NULL)
                        return NULL;
                d->next = h->devices;
                d->host = h;
                h->devices = d;
        }
        d->gone = 0;
        atomic_store(&d->stop, DEVICE_RUNS);
        return d;
}

static uint32_t devices_of(const struct host *h, const struct host_session *s)
{
        uint32_t n = 0;

        for (const struct host_device *d = h->devices; d != NULL; d = d->next)
                n += d->in_use && d->session == s;
        return n;
}

int host_device_new(struct host *h, const struct capture *c, const struct host_device_plan *plan,
                    struct host_device **ret, struct mapi_error *err)
{
        uint32_t max = plan->session == NULL ? SESSION_DEVICES_MAX : plan->session->devices_max;
        int number = h->last_device + 1, r;
        struct host_device *d;

        if (plan->session != NULL && plan->session->ended)
                return mapi_fail(err, MCOM_SOCKET_ERROR, "the session has ended");
        if (devices_of(h, plan->session) >= max)
                return mapi_fail(err, MAPI_LIMIT_ERROR, "%u traces and devices are open", max);
        d = device_struct(h);
        if (d == NULL)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "device %.64s", plan->name);
        if (plan->session == NULL || !plan->named)
                (void)snprintf(d->name, sizeof d->name, "%s", plan->name);
        else
                (void)snprintf(d->name, sizeof d->name, "%.230s@%d", plan->name, number);
        d->session = plan->session;
        d->number = plan->session == NULL ? plan->number : -number;
        d->wanted = plan->wanted;
        d->named = plan->named;
        d->naps = (c->driver->traits & MAPI_DRV_NAPS) != 0;
        d->source_fd = plan->source_fd;
        atomic_store(&d->kick_fd, -1);
        d->wake_fd = event_new();
        if (d->wake_fd < 0) {
                r = mapi_fail(err, NICDRV_PTHR_ERR, "%s", strerror(errno));
                goto fail;
        }
        r = engine_device_add(h->engine, c, d->number, d->name, &d->device, err);
        if (r < 0)
                goto fail;
        if (plan->session == NULL)
                engine_device_start(d->device);
        r = host_thread(device_main, d, err);
        if (r < 0) {
                engine_device_disown(d->device); /* the caller closes the source */
                engine_device_remove(&d->device);
                goto fail;
        }
        d->in_use = true;
        if (plan->session != NULL)
                h->last_device = number;
        *ret = d;
        return 0;
fail:
        if (d->wake_fd >= 0)
                (void)close(d->wake_fd);
        d->gone = 1;
        return r;
}

struct host_device *host_device_find(const struct host_session *s, const char *name)
{
        for (struct host_device *d = s->host->devices; d != NULL; d = d->next)
                if (d->in_use && d->named && (d->session == s || d->session == NULL) && strcmp(d->name, name) == 0)
                        return d;
        return NULL;
}

struct host_device *host_device_of(struct host *h, const struct device *device)
{
        for (struct host_device *d = h->devices; d != NULL; d = d->next)
                if (d->in_use && d->device == device)
                        return d;
        return NULL;
}

void host_kick(struct host_device *d)
{
        event_signal(d->wake_fd);
}

static void wait_for(struct host_device *d, bool (*done)(const struct device *))
{
        atomic_fetch_add(&d->waiters, 1);
        for (;;) {
                uint32_t seen = __atomic_load_n(&d->passed, __ATOMIC_SEQ_CST);

                if (done(d->device))
                        break;
                (void)futex_wait(&d->passed, seen, PASS_WAIT_MS);
        }
        atomic_fetch_sub(&d->waiters, 1);
}

void host_wait_settled(struct host_device *d)
{
        wait_for(d, engine_device_settled);
}

void host_wait_quiet(struct host_device *d)
{
        wait_for(d, engine_device_quiet);
}

void host_hold(struct host_device *d, sigset_t *mask)
{
        engine_device_hold(d->device, true);
        d->users++;
        d->holders++;
        siglock_give(&d->host->lock, mask);
        host_wait_quiet(d);
        siglock_take(&d->host->lock, mask);
}

void host_unhold(struct host_device *d)
{
        d->users--;
        if (--d->holders == 0)
                engine_device_hold(d->device, false);
        host_kick(d);
}

bool host_device_let_go(struct host_device *d)
{
        struct engine_device_facts facts;

        if (!d->in_use || d->wanted || d->users > 0)
                return false;
        engine_device_facts(d->device, &facts);
        if (facts.flows > 0)
                return false;
        d->in_use = false;
        atomic_store(&d->stop, DEVICE_STOPS);
        host_kick(d);
        atomic_store(&d->stop, DEVICE_LEFT);
        futex_wake((uint32_t *)&d->stop);
        return true;
}

void host_device_let_go_and_wait(struct host_device *d, const sigset_t *mask)
{
        bool ending = host_device_let_go(d);
        sigset_t ours;

        ending = ending &&
                 d->session != NULL; /* an interface may take long to close, and nobody counts its descriptors */
        if (ending)
                d->users++; /* not used again while we look at it */
        siglock_give(&d->host->lock, mask);
        if (!ending)
                return;
        host_wait_gone(d);
        siglock_take(&d->host->lock, &ours);
        d->users--;
        siglock_give(&d->host->lock, &ours);
}

void host_wait_gone(struct host_device *d)
{
        struct timespec begin, now;
        long ms = 0;

        (void)clock_gettime(CLOCK_MONOTONIC, &begin);
        while (__atomic_load_n(&d->gone, __ATOMIC_SEQ_CST) == 0 && ms < GONE_WAIT_MS) {
                (void)futex_wait(&d->gone, 0, (int)(GONE_WAIT_MS - ms));
                (void)clock_gettime(CLOCK_MONOTONIC, &now);
                ms = (now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1000000;
        }
}
