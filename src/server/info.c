/* Requests for information. SPDX-License-Identifier: BSD-2-Clause */
#include "server/internal.h"

void serve_flow_info(struct serving *v)
{
        const Mapi__FlowInfo *m = v->request->flow_info;
        Mapi__Envelope e = serving_answer(v);
        Mapi__FlowFacts facts = MAPI__FLOW_FACTS__INIT;
        mapi_flow_info_t info;

        if (v->session->ops->flow_info(v->session->state, m->flow, m->next, &info, &v->err) < 0) {
                serving_failed(v);
                return;
        }
        facts.flow = info.fd;
        facts.uid = info.uid;
        facts.device_id = info.devid;
        facts.device = info.device;
        facts.functions = info.num_functions;
        facts.start_s = info.start;
        facts.end_s = info.end;
        facts.status = (uint32_t)info.status;
        e.body_case = MAPI__ENVELOPE__BODY_FLOW_FACTS;
        e.flow_facts = &facts;
        serving_send(v, &e);
}

void serve_function_info(struct serving *v)
{
        const Mapi__FunctionInfo *m = v->request->function_info;
        Mapi__Envelope e = serving_answer(v);
        Mapi__FunctionFacts facts = MAPI__FUNCTION_FACTS__INIT;
        mapi_function_info_t info;

        if (v->session->ops->function_info(v->session->state, m->flow, m->fid, m->next, &info, &v->err) < 0) {
                serving_failed(v);
                return;
        }
        facts.fid = info.fid;
        facts.name = info.name;
        facts.library = info.libname;
        facts.device_type = info.devtype;
        facts.packets = info.pkts;
        facts.passed = info.passed_pkts;
        facts.result_size = (uint32_t)info.result_size;
        e.body_case = MAPI__ENVELOPE__BODY_FUNCTION_FACTS;
        e.function_facts = &facts;
        serving_send(v, &e);
}

void serve_device_info(struct serving *v)
{
        const Mapi__DeviceInfo *m = v->request->device_info;
        Mapi__Envelope e = serving_answer(v);
        Mapi__DeviceFacts facts = MAPI__DEVICE_FACTS__INIT;
        mapi_device_info_t info;

        if (v->session->ops->device_info(v->session->state, m->id, m->next, &info, &v->err) < 0) {
                serving_failed(v);
                return;
        }
        facts.id = info.id;
        facts.device = info.device;
        facts.driver = info.name;
        facts.alias = info.alias;
        facts.description = info.description;
        facts.link_speed_mbit = (uint32_t)info.link_speed;
        facts.mpls = (uint32_t)info.mpls;
        facts.vlan = (uint32_t)info.vlan;
        e.body_case = MAPI__ENVELOPE__BODY_DEVICE_FACTS;
        e.device_facts = &facts;
        serving_send(v, &e);
}

void serve_library_info(struct serving *v)
{
        Mapi__Envelope e = serving_answer(v);
        Mapi__LibraryFacts facts = MAPI__LIBRARY_FACTS__INIT;
        mapi_lib_info_t info;

        if (v->session->ops->library_info(v->session->state, v->request->library_info->library, &info, &v->err) <
            0) {
                serving_failed(v);
                return;
        }
        facts.name = info.libname;
        facts.functions = info.functs;
        e.body_case = MAPI__ENVELOPE__BODY_LIBRARY_FACTS;
        e.library_facts = &facts;
        serving_send(v, &e);
}

void serve_libfunct_info(struct serving *v)
{
        const Mapi__LibfunctInfo *m = v->request->libfunct_info;
        Mapi__Envelope e = serving_answer(v);
        Mapi__LibfunctFacts facts = MAPI__LIBFUNCT_FACTS__INIT;
        mapi_libfunct_info_t info;

        if (v->session->ops->libfunct_info(v->session->state, m->library, m->function, &info, &v->err) < 0) {
                serving_failed(v);
                return;
        }
        facts.name = info.name;
        facts.help = info.descr;
        facts.arguments = info.argdescr;
        facts.device_type = info.devtype;
        e.body_case = MAPI__ENVELOPE__BODY_LIBFUNCT_FACTS;
        e.libfunct_facts = &facts;
        serving_send(v, &e);
}

/** Of a device or a flow. */
void serve_account(struct serving *v)
{
        const struct backend *ops = v->session->ops;
        const Mapi__Envelope *q = v->request;
        Mapi__Envelope e = serving_answer(v);
        Mapi__Account account = MAPI__ACCOUNT__INIT;
        struct mapi_stat64 stats;
        int r;

        r = q->body_case == MAPI__ENVELOPE__BODY_FLOW_STATS
                    ? ops->flow_stats(v->session->state, q->flow_stats->flow, &stats, &v->err)
                    : ops->stats(v->session->state, q->device_stats->device, &stats, &v->err);
        if (r < 0) {
                serving_failed(v);
                return;
        }
        account.name = stats.dev;
        account.seen = stats.seen;
        account.delivered = stats.delivered;
        account.filtered = stats.filtered;
        account.dropped_interface = stats.dropped_interface;
        account.dropped_kernel = stats.dropped_kernel;
        account.dropped_ring = stats.dropped_ring;
        account.dropped_file = stats.dropped_file;
        account.down = stats.down != 0;
        e.body_case = MAPI__ENVELOPE__BODY_ACCOUNT;
        e.account = &account;
        serving_send(v, &e);
}
