/* What the embedded backend tells of devices, flows and functions. SPDX-License-Identifier: BSD-2-Clause */
#include "client/embedded.h"

#include <stdio.h>
#include <string.h>

int embedded_flow_info(void *state, int fd, bool next, mapi_flow_info_t *ret, struct mapi_error *err)
{
        struct embedded *e = state;
        struct session_flow_facts facts;
        struct engine_device_facts device;
        sigset_t mask;
        struct flow *f;

        siglock_take(&e->lock, &mask);
        f = next ? session_next_flow(e->session, fd) : session_flow(e->session, fd);
        if (f != NULL) {
                session_flow_facts(e->session, f, &facts);
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
        siglock_give(&e->lock, &mask);
        return f != NULL ? 0 : mapi_fail(err, next ? MAPI_FLOW_INFO_ERR : MAPI_INVALID_FLOW, "%d", fd);
}

int embedded_function_info(void *state, int fd, int fid, bool next, mapi_function_info_t *ret,
                           struct mapi_error *err)
{
        struct embedded *e = state;
        struct instance *in;
        sigset_t mask;
        struct flow *f = embedded_lock_flow(e, fd, &mask, err);

        if (f == NULL)
                return -MAPI_INVALID_FLOW;
        in = engine_function(f, fid, next);
        if (in != NULL) {
                memset(ret, 0, sizeof *ret);
                ret->fid = in->fid;
                (void)snprintf(ret->name, sizeof ret->name, "%s", in->fn.def->name);
                (void)snprintf(ret->libname, sizeof ret->libname, "%s", in->library);
                (void)snprintf(ret->devtype, sizeof ret->devtype, "1");
                ret->pkts = __atomic_load_n(&in->packets, __ATOMIC_RELAXED);
                ret->passed_pkts = __atomic_load_n(&in->passed, __ATOMIC_RELAXED);
                ret->result_size = in->fn.def->result.kind == MAPI_RESULT_PACKETS ? 0 : (int)in->fn.result_size;
        }
        siglock_give(&e->lock, &mask);
        return in != NULL ? 0 : mapi_fail(err, MAPI_FUNCTION_INFO_ERR, "flow %d, function %d", fd, fid);
}

int embedded_device_info(void *state, int id, bool next, mapi_device_info_t *ret, struct mapi_error *err)
{
        struct embedded *e = state;
        struct embedded_device *best = NULL;
        struct engine_device_facts facts;
        sigset_t mask;

        siglock_take(&e->lock, &mask);
        for (struct embedded_device *d = e->devices; d != NULL; d = d->next)
                if (d->in_use &&
                    (next ? d->number > id && (best == NULL || d->number < best->number) : d->number == id))
                        best = d;
        if (best != NULL) {
                engine_device_facts(best->device, &facts);
                memset(ret, 0, sizeof *ret);
                ret->id = best->number;
                (void)snprintf(ret->device, sizeof ret->device, "%s", best->name);
                (void)snprintf(ret->name, sizeof ret->name, "%s", facts.driver);
                (void)snprintf(ret->alias, sizeof ret->alias, "No alias");
                (void)snprintf(ret->description, sizeof ret->description, "No description");
                ret->link_speed = (int)facts.facts.link_speed;
        }
        siglock_give(&e->lock, &mask);
        return best != NULL ? 0 : mapi_fail(err, MAPI_DEVICE_INFO_ERR, "%d", id);
}

int embedded_library_info(void *state, int library, mapi_lib_info_t *ret, struct mapi_error *err)
{
        struct embedded *e = state;
        const struct session_library *l = session_library(e->session, library);

        if (l == NULL)
                return mapi_fail(err, MAPI_FUNCTION_INFO_ERR, "there is no function library %d", library);
        memset(ret, 0, sizeof *ret);
        ret->id = library;
        (void)snprintf(ret->libname, sizeof ret->libname, "%s", l->name);
        while (l->functions[ret->functs] != NULL)
                ret->functs++;
        return 0;
}

int embedded_libfunct_info(void *state, int library, int number, mapi_libfunct_info_t *ret, struct mapi_error *err)
{
        struct embedded *e = state;
        const struct session_library *l = session_library(e->session, library);
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

int embedded_stats(void *state, const char *device, struct mapi_stat *ret, struct mapi_error *err)
{
        struct embedded *e = state;
        struct embedded_device *best = NULL;
        struct engine_device_facts facts;
        sigset_t mask;
        int r = 0;

        siglock_take(&e->lock, &mask);
        for (struct embedded_device *d = e->devices; d != NULL;
             d = d->next) /* the newest of private devices of one name */
                if (d->in_use && strcmp(d->name, device) == 0 && (best == NULL || d->number < best->number))
                        best = d;
        if (best == NULL) {
                r = mapi_fail(err, MAPID_NO_DRIVER, "%.200s", device);
        } else {
                engine_device_facts(best->device, &facts);
                if (facts.flows == 0 && !facts.started) {
                        r = mapi_fail(err, MAPI_STATS_ERROR, "%.200s", device);
                } else {
                        memset(ret, 0, sizeof *ret);
                        ret->ps_recv = (unsigned)facts.stats.received;
                        ret->ps_drop = (unsigned)facts.stats.dropped;
                        ret->ps_ifdrop = (unsigned)facts.stats.if_dropped;
                        (void)snprintf(ret->hostname, sizeof ret->hostname, "localhost");
                        (void)snprintf(ret->dev, sizeof ret->dev, "%s", best->name);
                }
        }
        siglock_give(&e->lock, &mask);
        return r;
}
