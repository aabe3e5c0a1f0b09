/* Devices of the embedded engine and the threads that drive them. SPDX-License-Identifier: BSD-2-Clause */
#include "client/embedded.h"

#include "base/futex.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/** What .stop says: run, come to an end, and: nobody but the thread uses the device any more. */
enum { DEVICE_RUNS = 0, DEVICE_STOPS = 1, DEVICE_LEFT = 2 };

enum { STEP_BUDGET = 16, GONE_WAIT_MS = 200, PASS_WAIT_MS = 100 };

int embedded_thread(void *(*run)(void *), void *argument, struct mapi_error *err)
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

/** Sleeps until kicked or, if `fd` is there, until it has input. */
static void sleep_until_kicked(struct embedded_device *d, int fd)
{
        struct pollfd p[2] = { { .fd = d->wake_fd, .events = POLLIN }, { .fd = fd, .events = POLLIN } };
        uint64_t kicks;

        (void)poll(p, fd >= 0 ? 2 : 1, -1);
        if ((p[0].revents & POLLIN) != 0)
                (void)!read(d->wake_fd, &kicks, sizeof kicks); /* only empties it */
}

static void *device_main(void *argument)
{
        struct embedded_device *d = argument;

        while (atomic_load(&d->stop) == DEVICE_RUNS) {
                enum engine_state state = engine_step(d->device, STEP_BUDGET);

                if (atomic_load(&d->waiters) != 0) {
                        __atomic_fetch_add(&d->passed, 1, __ATOMIC_SEQ_CST);
                        futex_wake(&d->passed);
                }
                if (state == ENGINE_IDLE)
                        sleep_until_kicked(d, engine_device_fd(d->device));
                else if (state != ENGINE_WORKED)
                        sleep_until_kicked(d, -1);
        }
        engine_device_remove(&d->device);
        while (atomic_load(&d->stop) !=
               DEVICE_LEFT) /* not before the one who stops us has kicked for the last time */
                (void)futex_wait((const uint32_t *)&d->stop, DEVICE_STOPS, -1);
        (void)close(d->wake_fd);
        __atomic_store_n(&d->gone, 1, __ATOMIC_SEQ_CST);
        futex_wake(&d->gone);
        return NULL;
}

/** A struct that nobody uses any more, or a new one. */
static struct embedded_device *device_struct(struct embedded *e)
{
        struct embedded_device *d;

        for (d = e->devices; d != NULL; d = d->next)
                if (!d->in_use && d->users == 0 && __atomic_load_n(&d->gone, __ATOMIC_SEQ_CST) != 0)
                        break;
        if (d == NULL) {
                d = arena_alloc(e->arena, sizeof *d);
                if (d == NULL)
                        return NULL;
                d->next = e->devices;
                d->owner = e;
                e->devices = d;
        }
        d->gone = 0;
        d->deleted = false;
        atomic_store(&d->stop, DEVICE_RUNS);
        return d;
}

static uint32_t devices_in_use(const struct embedded *e)
{
        uint32_t n = 0;

        for (const struct embedded_device *d = e->devices; d != NULL; d = d->next)
                n += d->in_use;
        return n;
}

int embedded_device_new(struct embedded *e, const struct capture *c, const char *name, int source_fd,
                        bool private_device, struct embedded_device **ret, struct mapi_error *err)
{
        struct embedded_device *d;
        int number = e->last_device + 1, r;

        if (devices_in_use(e) >= SESSION_DEVICES_MAX)
                return mapi_fail(err, MAPI_LIMIT_ERROR, "%u traces and devices are open", SESSION_DEVICES_MAX);
        d = device_struct(e);
        if (d == NULL)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "device %.64s", name);
        if (private_device)
                (void)snprintf(d->name, sizeof d->name, "%s", name);
        else
                (void)snprintf(d->name, sizeof d->name, "%.230s@%d", name, number);
        d->number = -number;
        d->deleted = private_device;
        d->source_fd = source_fd;
        d->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (d->wake_fd < 0) {
                r = mapi_fail(err, NICDRV_PTHR_ERR, "%s", strerror(errno));
                goto fail;
        }
        r = engine_device_add(e->engine, c, d->number, d->name, &d->device, err);
        if (r < 0)
                goto fail;
        r = embedded_thread(device_main, d, err);
        if (r < 0) {
                engine_device_disown(d->device); /* the caller closes the source */
                engine_device_remove(&d->device);
                goto fail;
        }
        d->in_use = true;
        e->last_device = number;
        *ret = d;
        return 0;
fail:
        if (d->wake_fd >= 0)
                (void)close(d->wake_fd);
        d->gone = 1;
        return r;
}

struct embedded_device *embedded_device_find(struct embedded *e, const char *name)
{
        for (struct embedded_device *d = e->devices; d != NULL; d = d->next)
                if (d->in_use && !d->deleted && strcmp(d->name, name) == 0)
                        return d;
        return NULL;
}

struct embedded_device *embedded_device_of(struct embedded *e, const struct device *device)
{
        for (struct embedded_device *d = e->devices; d != NULL; d = d->next)
                if (d->in_use && d->device == device)
                        return d;
        return NULL;
}

void embedded_kick(struct embedded_device *d)
{
        uint64_t one = 1;

        (void)!write(d->wake_fd, &one, sizeof one); /* full counts as kicked */
}

static void wait_for(struct embedded_device *d, bool (*done)(const struct device *))
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

void embedded_wait_settled(struct embedded_device *d)
{
        wait_for(d, engine_device_settled);
}

void embedded_wait_quiet(struct embedded_device *d)
{
        wait_for(d, engine_device_quiet);
}

bool embedded_device_let_go(struct embedded_device *d)
{
        struct engine_device_facts facts;

        if (!d->in_use || !d->deleted || d->users > 0)
                return false;
        engine_device_facts(d->device, &facts);
        if (facts.flows > 0)
                return false;
        d->in_use = false;
        atomic_store(&d->stop, DEVICE_STOPS);
        embedded_kick(d);
        atomic_store(&d->stop, DEVICE_LEFT);
        futex_wake((uint32_t *)&d->stop);
        return true;
}

void embedded_wait_gone(struct embedded_device *d)
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
