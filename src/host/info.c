/* What a host tells of devices, flows and functions. SPDX-License-Identifier: BSD-2-Clause */
#include "host/internal.h"

#include <stdio.h>
#include <string.h>

/** Anybody's flow, and in whose session it is: the one with this number, or with the smallest one above it. Under the lock. */
static struct flow *any_flow(const struct host *h, int fd, bool next, struct host_session **ret_session)
{
        struct flow *best = NULL;

        for (struct host_session *s = h->sessions; s != NULL; s = s->next) {
                struct flow *f = next ? session_next_flow(s->session, fd) : session_flow(s->session, fd);

                if (f == NULL || (best != NULL && engine_flow_number(best) < engine_flow_number(f)))
                        continue;
                best = f;
                *ret_session = s;
        }
        return best;
}

int host_flow_info(void *state, int fd, bool next, mapi_flow_info_t *ret, struct mapi_error *err)
{
        struct host_session *s = state, *owner = NULL;
        struct session_flow_facts facts;
        struct engine_device_facts device;
        sigset_t mask;
        struct flow *f;

        siglock_take(&s->host->lock, &mask);
        f = any_flow(s->host, fd, next, &owner);
        if (f != NULL) {
                session_flow_facts(owner->session, f, &facts);
                engine_device_facts(facts.device, &device);
                memset(ret, 0, sizeof *ret);
                ret->uid = facts.uid;
                ret->fd = facts.fd;
                ret->devid = device.number;
                (void)snprintf(ret->device, sizeof ret->device, "%s", device.name);
                ret->num_functions = facts.functions;
                ret->start = facts.start;
                ret->end = facts.end;
                ret->status = (enum mapi_flow_status)facts.status;
        }
        siglock_give(&s->host->lock, &mask);
        return f != NULL ? 0 : mapi_fail(err, next ? MAPI_FLOW_INFO_ERR : MAPI_INVALID_FLOW, "%d", fd);
}

int host_function_info(void *state, int fd, int fid, bool next, mapi_function_info_t *ret, struct mapi_error *err)
{
        struct host_session *s = state, *owner = NULL;
        struct instance *in = NULL;
        sigset_t mask;
        struct flow *f;

        siglock_take(&s->host->lock, &mask);
        f = any_flow(s->host, fd, false, &owner);
        if (f != NULL)
                in = engine_function(f, fid, next);
        if (in != NULL) {
                memset(ret, 0, sizeof *ret);
                ret->fid = in->fid;
                (void)snprintf(ret->name, sizeof ret->name, "%s", in->fn.def->name);
                (void)snprintf(ret->libname, sizeof ret->libname, "%s", in->library);
                (void)snprintf(ret->devtype, sizeof ret->devtype, "1");
                ret->pkts = __atomic_load_n(&in->packets, __ATOMIC_RELAXED);
                ret->passed_pkts = __atomic_load_n(&in->passed, __ATOMIC_RELAXED);
                ret->result_size = in->fn.def->result.kind == MAPI_RESULT_PACKETS ||
                                                   in->fn.def->result.kind == MAPI_RESULT_NONE
                                           ? 0
                                           : (int)in->fn.result_size;
        }
        siglock_give(&s->host->lock, &mask);
        if (f == NULL)
                return mapi_fail(err, MAPI_INVALID_FLOW, "%d", fd);
        return in != NULL ? 0 : mapi_fail(err, MAPI_FUNCTION_INFO_ERR, "flow %d, function %d", fd, fid);
}

/** Offline devices of this session that are open. Under the lock. */
static struct host_device *offline_by_number(const struct host_session *s, int id, bool next)
{
        struct host_device *best = NULL;

        for (struct host_device *d = s->host->devices; d != NULL; d = d->next)
                if (d->in_use && d->session == s &&
                    (next ? d->number > id && (best == NULL || d->number < best->number) : d->number == id))
                        best = d;
        return best;
}

/** Offline devices have negative numbers and come first; live ones are known to the embedder, open or not. */
int host_device_info(void *state, int id, bool next, mapi_device_info_t *ret, struct mapi_error *err)
{
        struct host_session *s = state;
        const struct host_world *w = &s->host->world;
        struct engine_device_facts facts;
        struct host_device *offline;
        struct host_live live;
        sigset_t mask;

        siglock_take(&s->host->lock, &mask);
        offline = offline_by_number(s, id, next);
        if (offline != NULL) {
                engine_device_facts(offline->device, &facts);
                memset(ret, 0, sizeof *ret);
                ret->id = offline->number;
                (void)snprintf(ret->device, sizeof ret->device, "%s", offline->name);
                (void)snprintf(ret->name, sizeof ret->name, "%s", facts.driver);
                (void)snprintf(ret->alias, sizeof ret->alias, "No alias");
                (void)snprintf(ret->description, sizeof ret->description, "No description");
                ret->link_speed = (int)facts.facts.link_speed;
        }
        siglock_give(&s->host->lock, &mask);
        if (offline != NULL)
                return 0;
        if (w->list_live == NULL || w->list_live(w->context, id, next, &live, err) < 0)
                return mapi_fail(err, MAPI_DEVICE_INFO_ERR, "%d", id);
        memset(ret, 0, sizeof *ret);
        ret->id = live.id;
        (void)snprintf(ret->device, sizeof ret->device, "%s", live.device);
        (void)snprintf(ret->name, sizeof ret->name, "%s", live.driver);
        (void)snprintf(ret->alias, sizeof ret->alias, "%s", live.alias[0] != '\0' ? live.alias : "No alias");
        (void)snprintf(ret->description, sizeof ret->description, "%s",
                       live.description[0] != '\0' ? live.description : "No description");
        ret->link_speed = (int)live.link_speed_mbit;
        ret->mpls = live.mpls;
        ret->vlan = live.vlan;
        return 0;
}

int host_library_info(void *state, int library, mapi_lib_info_t *ret, struct mapi_error *err)
{
        struct host_session *s = state;
        const struct session_library *l = session_library(s->session, library);

        if (l == NULL)
                return mapi_fail(err, MAPI_FUNCTION_INFO_ERR, "there is no function library %d", library);
        memset(ret, 0, sizeof *ret);
        ret->id = library;
        (void)snprintf(ret->libname, sizeof ret->libname, "%s", l->name);
        while (l->functions[ret->functs] != NULL)
                ret->functs++;
        return 0;
}

int host_libfunct_info(void *state, int library, int number, mapi_libfunct_info_t *ret, struct mapi_error *err)
{
        struct host_session *s = state;
        const struct session_library *l = session_library(s->session, library);
        const struct mapi_function *def;
        size_t n = 0;

        if (l == NULL)
                return mapi_fail(err, MAPI_FUNCTION_INFO_ERR, "there is no function library %d", library);
        for (int i = 0; i < number && l->functions[i] != NULL; i++)
                if (l->functions[i + 1] == NULL)
                        return mapi_fail(err, MAPI_FUNCTION_INFO_ERR, "%s has no function %d", l->name, number);
        if (number < 0 || l->functions[0] == NULL)
                return mapi_fail(err, MAPI_FUNCTION_INFO_ERR, "%s has no function %d", l->name, number);
        def = l->functions[number];
        memset(ret, 0, sizeof *ret);
        (void)snprintf(ret->name, sizeof ret->name, "%s", def->name);
        (void)snprintf(ret->descr, sizeof ret->descr, "%s", def->help);
        (void)snprintf(ret->devtype, sizeof ret->devtype, "1");
        for (; def->args != NULL && def->args[n].letter != '\0' && n + 1 < sizeof ret->argdescr; n++)
                ret->argdescr[n] = def->args[n].letter;
        return 0;
}

/** The newest of private devices of one name; or a live one. Under the lock. */
static struct host_device *by_name(const struct host_session *s, const char *name)
{
        struct host_device *best = NULL;

        for (struct host_device *d = s->host->devices; d != NULL; d = d->next)
                if (d->in_use && (d->session == s || d->session == NULL) && strcmp(d->name, name) == 0 &&
                    (best == NULL || d->number < best->number))
                        best = d;
        return best;
}

static void tell(const struct engine_account *a, const char *device, struct mapi_stat64 *ret)
{
        *ret = (struct mapi_stat64){ .seen = a->seen,
                                     .delivered = a->delivered,
                                     .filtered = a->filtered,
                                     .dropped_interface = a->dropped_interface,
                                     .dropped_kernel = a->dropped_kernel,
                                     .dropped_ring = a->dropped_ring,
                                     .dropped_file = a->dropped_file,
                                     .down = a->down };
        (void)snprintf(ret->hostname, sizeof ret->hostname, "localhost");
        (void)snprintf(ret->dev, sizeof ret->dev, "%s", device);
}

int host_stats(void *state, const char *device, struct mapi_stat64 *ret, struct mapi_error *err)
{
        struct host_session *s = state;
        const struct host_world *w = &s->host->world;
        struct engine_device_facts facts;
        struct engine_account account;
        struct mapi_error ignored;
        struct host_device *d;
        struct host_live live;
        sigset_t mask;
        bool used = false, known;

        known = w->find_live != NULL && w->find_live(w->context, device, &live, &ignored) == 0;
        siglock_take(&s->host->lock, &mask);
        d = by_name(s, known ? live.device : device);
        if (d != NULL) {
                host_hold(d, &mask);
                engine_device_facts(d->device, &facts);
                used = facts.flows > 0 || facts.started;
                if (used) {
                        engine_device_account(d->device, &account);
                        tell(&account, d->name, ret);
                }
                host_unhold(d);
                (void)host_device_let_go(d);
        }
        siglock_give(&s->host->lock, &mask);
        if (used)
                return 0;
        return mapi_fail(err, d != NULL || known ? MAPI_STATS_ERROR : MAPID_NO_DRIVER, "%.200s", device);
}

/** Of anybody's flow: like all information, it is open to all clients. */
int host_flow_stats(void *state, int fd, struct mapi_stat64 *ret, struct mapi_error *err)
{
        struct host_session *s = state, *owner = NULL;
        struct engine_account account;
        struct host_device *d;
        bool connected = false;
        struct flow *f;
        sigset_t mask;

        siglock_take(&s->host->lock, &mask);
        f = any_flow(s->host, fd, false, &owner);
        if (f == NULL) {
                siglock_give(&s->host->lock, &mask);
                return mapi_fail(err, MAPI_INVALID_FLOW, "%d", fd);
        }
        d = host_device_of(s->host, engine_flow_device(f));
        host_hold(d, &mask);
        f = any_flow(s->host, fd, false, &owner); /* it may have been closed while we waited */
        connected = f != NULL && engine_flow_connected(f);
        if (connected) {
                engine_flow_account(f, &account);
                tell(&account, d->name, ret);
        }
        host_unhold(d);
        (void)host_device_let_go(d);
        siglock_give(&s->host->lock, &mask);
        return connected ? 0 : mapi_fail(err, MAPI_FLOW_NOT_CONNECTED, "%d", fd);
}
