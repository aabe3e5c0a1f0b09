/* Devices and flows of a session come into being. SPDX-License-Identifier: BSD-2-Clause */
#include "host/internal.h"

#include "drivers/table.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- offline devices --------------------------------------------------------------------------------------- */

/** Opens the source; without the lock, for it may take its time. */
static int open_source(const struct backend_source *source, struct capture *ret, struct mapi_error *err)
{
        struct mapi_source src = { .name = source->name, .options = source->options, .fd = source->fd };
        const struct mapi_driver *driver = drivers_find(source->driver);

        if (driver == NULL || (driver->traits & MAPI_DRV_OFFLINE) == 0) {
                if (source->fd >= 0)
                        (void)close(source->fd);
                return mapi_fail(err, MAPID_NO_DRIVER, "driver %.64s", source->driver);
        }
        return capture_open(ret, driver, &src, err);
}

int host_device_create(void *state, const struct backend_source *source, char *ret_name, struct mapi_error *err)
{
        struct host_session *s = state;
        struct host_device_plan plan = {
                .name = source->name, .session = s, .source_fd = source->fd, .named = true, .wanted = true
        };
        struct host_device *d;
        struct capture c;
        sigset_t mask;
        int r;

        r = open_source(source, &c, err);
        if (r < 0)
                return r;
        siglock_take(&s->host->lock, &mask);
        r = host_device_new(s->host, &c, &plan, &d, err);
        if (r == 0)
                (void)snprintf(ret_name, MAPI_STR_LENGTH, "%s", d->name);
        siglock_give(&s->host->lock, &mask);
        if (r < 0)
                capture_close(&c);
        return r;
}

/** An offline device of this session that has not been deleted. Under the lock. */
static struct host_device *offline_device(struct host_session *s, const char *name)
{
        struct host_device *d = host_device_find(s, name);

        return d != NULL && d->session == s ? d : NULL;
}

int host_device_start(void *state, const char *name, struct mapi_error *err)
{
        struct host_session *s = state;
        struct host_device *d;
        sigset_t mask;
        int r = 0;

        siglock_take(&s->host->lock, &mask);
        d = offline_device(s, name);
        if (d != NULL) {
                engine_device_start(d->device);
                host_kick(d);
        } else {
                r = mapi_fail(err, MAPID_NO_DEVICE, "%.200s", name);
        }
        siglock_give(&s->host->lock, &mask);
        return r;
}

int host_device_delete(void *state, const char *name, struct mapi_error *err)
{
        struct host_session *s = state;
        struct host_device *d;
        sigset_t mask;

        siglock_take(&s->host->lock, &mask);
        d = offline_device(s, name);
        if (d == NULL) {
                siglock_give(&s->host->lock, &mask);
                return mapi_fail(err, MAPID_NO_DEVICE, "%.200s", name);
        }
        d->wanted = d->named = false;
        engine_device_end(d->device); /* flows that are still there finish, their results stay */
        host_kick(d);
        host_device_let_go_and_wait(d, &mask);
        return 0;
}

/** Whether a live device of this name that is open may be used by new flows. Without the lock. */
static bool offered(const struct host_world *w, const char *name)
{
        return w->offers == NULL || w->offers(w->context, name);
}

/** An open device for new flows; live ones only if they are offered. Under the lock. */
static struct host_device *usable_device(const struct host_session *s, const char *name, bool live_offered)
{
        struct host_device *d = host_device_find(s, name);

        return d != NULL && (d->session != NULL || live_offered) ? d : NULL;
}

bool host_device_known(void *state, const char *name)
{
        struct host_session *s = state;
        const struct host_world *w = &s->host->world;
        bool live_offered = offered(w, name), known;
        struct mapi_error ignored;
        struct host_live live;
        sigset_t mask;

        siglock_take(&s->host->lock, &mask);
        known = usable_device(s, name, live_offered) != NULL;
        siglock_give(&s->host->lock, &mask);
        return known || (w->find_live != NULL && w->find_live(w->context, name, &live, &ignored) == 0);
}

/* ---- flows ------------------------------------------------------------------------------------------------- */

static bool number_in_use(const struct host *h, int number)
{
        for (const struct host_session *s = h->sessions; s != NULL; s = s->next)
                if (session_has(s->session, number))
                        return true;
        return false;
}

/** A flow on this device, with the number that it had in an earlier life, or 0: the next one. Under the lock. */
static int new_flow(struct host_session *s, struct host_device *d, int wanted, struct mapi_error *err)
{
        struct host *h = s->host;
        int r;

        if (s->ended)
                return mapi_fail(err, MCOM_SOCKET_ERROR, "the session has ended");
        if (wanted != 0 && (wanted < 0 || wanted > h->last_flow || number_in_use(h, wanted)))
                return mapi_fail(err, MAPI_INVALID_FLOW, "%d is not a number to return to", wanted);
        r = session_create_flow(s->session, d->device, wanted, err);
        if (r > h->last_flow) {
                h->last_flow = r;
                if (h->world.numbered != NULL)
                        h->world.numbered(h->world.context, r);
        }
        return r;
}

/** A flow on a live device that is not open yet, or has just been opened by another thread. Under .opening, without the lock. */
static int open_live(struct host_session *s, const struct host_live *live, int wanted, struct mapi_error *err)
{
        struct host_device_plan plan = {
                .name = live->device, .number = live->id, .source_fd = -1, .named = true
        };
        struct host *h = s->host;
        struct host_device *d;
        struct capture c;
        sigset_t mask;
        int r;

        siglock_take(&h->lock, &mask);
        d = host_device_find(s, live->device);
        if (d != NULL) {
                r = new_flow(s, d, wanted, err);
                siglock_give(&h->lock, &mask);
                return r;
        }
        siglock_give(&h->lock, &mask);

        r = h->world.open_live(h->world.context, live, &c, err);
        if (r < 0)
                return r;
        c.facts.link_speed = live->link_speed_mbit != 0 ? live->link_speed_mbit : c.facts.link_speed;
        siglock_take(&h->lock, &mask);
        r = host_device_new(h, &c, &plan, &d, err);
        if (r < 0) {
                siglock_give(&h->lock, &mask);
                capture_close(&c);
                return r;
        }
        r = new_flow(s, d, wanted, err);
        if (r < 0)
                (void)host_device_let_go(d);
        siglock_give(&h->lock, &mask);
        return r;
}

static int create_flow(struct host_session *s, const char *device, int wanted, struct mapi_error *err)
{
        const struct host_world *w = &s->host->world;
        bool live_offered = offered(w, device);
        struct host_device *d;
        struct host_live live;
        sigset_t mask;
        int r;

        siglock_take(&s->host->lock, &mask);
        d = usable_device(s, device, live_offered);
        r = d == NULL ? 0 : new_flow(s, d, wanted, err);
        siglock_give(&s->host->lock, &mask);
        if (r != 0)
                return r;
        if (w->find_live == NULL)
                return mapi_fail(err, MAPID_NO_DRIVER, "%.200s", device);
        r = w->find_live(w->context, device, &live, err);
        if (r < 0)
                return r;
        siglock_take(&s->host->opening, &mask);
        r = open_live(s, &live, wanted, err);
        siglock_give(&s->host->opening, &mask);
        return r;
}

static int create_private(struct host_session *s, const struct backend_source *source, int wanted,
                          struct mapi_error *err)
{
        struct host_device_plan plan = { .name = source->name, .session = s, .source_fd = source->fd };
        struct host_device *d;
        struct capture c;
        sigset_t mask;
        int r;

        r = open_source(source, &c, err);
        if (r < 0)
                return r;
        siglock_take(&s->host->lock, &mask);
        r = host_device_new(s->host, &c, &plan, &d, err);
        if (r < 0) {
                siglock_give(&s->host->lock, &mask);
                capture_close(&c);
                return r;
        }
        r = new_flow(s, d, wanted, err);
        if (r < 0)
                (void)host_device_let_go(d);
        siglock_give(&s->host->lock, &mask);
        return r;
}

int host_flow_create(void *state, const char *device, struct mapi_error *err)
{
        return create_flow(state, device, 0, err);
}

int host_flow_create_private(void *state, const struct backend_source *source, struct mapi_error *err)
{
        return create_private(state, source, 0, err);
}

int host_return_flow(void *state, const char *device, int wanted, struct mapi_error *err)
{
        return create_flow(state, device, wanted, err);
}

int host_return_private(void *state, const struct backend_source *source, int wanted, struct mapi_error *err)
{
        return create_private(state, source, wanted, err);
}
