/* What mapid tells of devices, flows and functions. SPDX-License-Identifier: BSD-2-Clause */
#include "client/local.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static int as_int(uint32_t n)
{
        return n > INT_MAX ? INT_MAX : (int)n;
}

int local_trace_error(void *state, int fd, struct mapi_error *err)
{
        struct local *l LOCAL_CALL = local_enter(state);
        Mapi__TraceError m = MAPI__TRACE_ERROR__INIT;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        struct local_call c = { 0 };
        int r;

        m.flow = fd;
        LOCAL_BODY(e, TRACE_ERROR, trace_error, &m);
        r = local_ask(l, &c, &e, fd, NULL, 0, MAPI__ENVELOPE__BODY_DONE, err);
        local_done(&c);
        return r;
}

int local_file_error(void *state, int fd, int fid, struct mapi_error *err)
{
        struct local *l LOCAL_CALL = local_enter(state);
        Mapi__FileError m = MAPI__FILE_ERROR__INIT;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        struct local_call c = { 0 };
        int r;

        m.flow = fd;
        m.fid = fid;
        LOCAL_BODY(e, FILE_ERROR, file_error, &m);
        r = local_ask(l, &c, &e, fd, NULL, 0, MAPI__ENVELOPE__BODY_DONE, err);
        local_done(&c);
        return r;
}

/** A device as the program knows it. */
static void device_name(struct local *l, const char *server_name, char *ret)
{
        sigset_t mask;

        siglock_take(&l->lock, &mask);
        (void)snprintf(ret, MAPI_STR_LENGTH, "%s", local_device_ours(l, server_name));
        siglock_give(&l->lock, &mask);
}

int local_flow_info(void *state, int fd, bool next, mapi_flow_info_t *ret, struct mapi_error *err)
{
        struct local *l LOCAL_CALL = local_enter(state);
        Mapi__FlowInfo m = MAPI__FLOW_INFO__INIT;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        struct local_call c = { 0 };
        const Mapi__FlowFacts *f;
        int r;

        m.flow = fd;
        m.next = next;
        LOCAL_BODY(e, FLOW_INFO, flow_info, &m);
        r = local_ask(l, &c, &e, next ? 0 : fd, NULL, 0, MAPI__ENVELOPE__BODY_FLOW_FACTS, err);
        if (r == 0) {
                f = c.answer->flow_facts;
                memset(ret, 0, sizeof *ret);
                ret->uid = f->uid;
                ret->fd = f->flow;
                ret->devid = f->device_id;
                device_name(l, f->device, ret->device);
                ret->num_functions = f->functions;
                ret->start = (time_t)f->start_s;
                ret->end = (time_t)f->end_s;
                ret->status = (enum mapi_flow_status)(f->status <= FLOW_CLOSED ? f->status : FLOW_CLOSED);
        }
        local_done(&c);
        return r;
}

int local_function_info(void *state, int fd, int fid, bool next, mapi_function_info_t *ret, struct mapi_error *err)
{
        struct local *l LOCAL_CALL = local_enter(state);
        Mapi__FunctionInfo m = MAPI__FUNCTION_INFO__INIT;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        const Mapi__FunctionFacts *f;
        struct local_call c = { 0 };
        int r;

        m.flow = fd;
        m.fid = fid;
        m.next = next;
        LOCAL_BODY(e, FUNCTION_INFO, function_info, &m);
        r = local_ask(l, &c, &e, fd, NULL, 0, MAPI__ENVELOPE__BODY_FUNCTION_FACTS, err);
        if (r == 0) {
                f = c.answer->function_facts;
                memset(ret, 0, sizeof *ret);
                ret->fid = f->fid;
                (void)snprintf(ret->name, sizeof ret->name, "%s", f->name);
                (void)snprintf(ret->libname, sizeof ret->libname, "%s", f->library);
                (void)snprintf(ret->devtype, sizeof ret->devtype, "%s", f->device_type);
                ret->pkts = f->packets;
                ret->passed_pkts = f->passed;
                ret->result_size = as_int(f->result_size);
        }
        local_done(&c);
        return r;
}

int local_device_info(void *state, int id, bool next, mapi_device_info_t *ret, struct mapi_error *err)
{
        struct local *l LOCAL_CALL = local_enter(state);
        Mapi__DeviceInfo m = MAPI__DEVICE_INFO__INIT;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        const Mapi__DeviceFacts *f;
        struct local_call c = { 0 };
        int r;

        m.id = id;
        m.next = next;
        LOCAL_BODY(e, DEVICE_INFO, device_info, &m);
        r = local_ask(l, &c, &e, 0, NULL, 0, MAPI__ENVELOPE__BODY_DEVICE_FACTS, err);
        if (r == 0) {
                f = c.answer->device_facts;
                memset(ret, 0, sizeof *ret);
                ret->id = f->id;
                device_name(l, f->device, ret->device);
                (void)snprintf(ret->name, sizeof ret->name, "%s", f->driver);
                (void)snprintf(ret->alias, sizeof ret->alias, "%s", f->alias);
                (void)snprintf(ret->description, sizeof ret->description, "%s", f->description);
                ret->link_speed = as_int(f->link_speed_mbit);
                ret->mpls = as_int(f->mpls);
                ret->vlan = as_int(f->vlan);
        }
        local_done(&c);
        return r;
}

int local_library_info(void *state, int library, mapi_lib_info_t *ret, struct mapi_error *err)
{
        struct local *l LOCAL_CALL = local_enter(state);
        Mapi__LibraryInfo m = MAPI__LIBRARY_INFO__INIT;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        struct local_call c = { 0 };
        int r;

        m.library = library;
        LOCAL_BODY(e, LIBRARY_INFO, library_info, &m);
        r = local_ask(l, &c, &e, 0, NULL, 0, MAPI__ENVELOPE__BODY_LIBRARY_FACTS, err);
        if (r == 0) {
                memset(ret, 0, sizeof *ret);
                ret->id = library;
                (void)snprintf(ret->libname, sizeof ret->libname, "%s", c.answer->library_facts->name);
                ret->functs = c.answer->library_facts->functions;
        }
        local_done(&c);
        return r;
}

int local_libfunct_info(void *state, int library, int number, mapi_libfunct_info_t *ret, struct mapi_error *err)
{
        struct local *l LOCAL_CALL = local_enter(state);
        Mapi__LibfunctInfo m = MAPI__LIBFUNCT_INFO__INIT;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        const Mapi__LibfunctFacts *f;
        struct local_call c = { 0 };
        int r;

        m.library = library;
        m.function = number;
        LOCAL_BODY(e, LIBFUNCT_INFO, libfunct_info, &m);
        r = local_ask(l, &c, &e, 0, NULL, 0, MAPI__ENVELOPE__BODY_LIBFUNCT_FACTS, err);
        if (r == 0) {
                f = c.answer->libfunct_facts;
                memset(ret, 0, sizeof *ret);
                (void)snprintf(ret->name, sizeof ret->name, "%s", f->name);
                (void)snprintf(ret->descr, sizeof ret->descr, "%s", f->help);
                (void)snprintf(ret->argdescr, sizeof ret->argdescr, "%s", f->arguments);
                (void)snprintf(ret->devtype, sizeof ret->devtype, "%s", f->device_type);
        }
        local_done(&c);
        return r;
}

static void account(struct local *l, const Mapi__Account *a, struct mapi_stat64 *ret)
{
        memset(ret, 0, sizeof *ret);
        ret->seen = a->seen;
        ret->delivered = a->delivered;
        ret->filtered = a->filtered;
        ret->dropped_interface = a->dropped_interface;
        ret->dropped_kernel = a->dropped_kernel;
        ret->dropped_ring = a->dropped_ring;
        ret->dropped_file = a->dropped_file;
        ret->down = a->down ? 1 : 0;
        (void)snprintf(ret->hostname, sizeof ret->hostname, "localhost");
        device_name(l, a->name, ret->dev);
}

int local_stats(void *state, const char *device, struct mapi_stat64 *ret, struct mapi_error *err)
{
        struct local *l LOCAL_CALL = local_enter(state);
        Mapi__DeviceStats m = MAPI__DEVICE_STATS__INIT;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        struct local_call c = { 0 };
        char theirs[MAPI_STR_LENGTH];
        const struct local_device *d;
        sigset_t mask;
        int r;

        local_settle(l, &mask);
        d = local_device_find(l, device);
        (void)snprintf(theirs, sizeof theirs, "%s", d == NULL ? "" : d->server_name);
        c.life = l->life;
        c.only = d != NULL;
        siglock_give(&l->lock, &mask);
        m.device = d == NULL ? (char *)(uintptr_t)device : theirs;
        LOCAL_BODY(e, DEVICE_STATS, device_stats, &m);
        r = local_ask(l, &c, &e, 0, NULL, 0, MAPI__ENVELOPE__BODY_ACCOUNT, err);
        if (r == 0)
                account(l, c.answer->account, ret);
        local_done(&c);
        return r;
}

int local_flow_stats(void *state, int fd, struct mapi_stat64 *ret, struct mapi_error *err)
{
        struct local *l LOCAL_CALL = local_enter(state);
        Mapi__FlowStats m = MAPI__FLOW_STATS__INIT;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        struct local_call c = { 0 };
        int r;

        m.flow = fd;
        LOCAL_BODY(e, FLOW_STATS, flow_stats, &m);
        r = local_ask(l, &c, &e, fd, NULL, 0, MAPI__ENVELOPE__BODY_ACCOUNT, err);
        if (r == 0)
                account(l, c.answer->account, ret);
        local_done(&c);
        return r;
}
