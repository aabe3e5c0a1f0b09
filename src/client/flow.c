/* Connecting and closing flows. SPDX-License-Identifier: BSD-2-Clause */
#include "client/client.h"

/**
 * The flow is connected; readers need its results. If mapid has gone in this very moment the flow is connected all
 * the same: it will be made anew, and its results are looked for when they are read.
 */
static int see_results(struct client_flow *f, uint32_t epoch)
{
        int r = client_flow_attach(f);

        if (r == 0 || client_epoch(f->session) == epoch)
                return r;
        atomic_store(&f->connected, CLIENT_CONNECTED_UNSEEN);
        client_clear_error();
        return 0;
}

int mapi_connect(int fd)
{
        struct mapi_error err = { 0 };
        struct client_session *s;
        struct client_flow *f;
        uint32_t epoch;
        int r = 0;

        if (!client_ready())
                return -1;
        if (fd <= 0)
                return client_fail(MAPI_INVALID_FLOW, "%d", fd);
        f = client_flow_get(fd);
        if (f == NULL)
                return -1;
        s = f->session;
        epoch = client_epoch(s);
        if (atomic_load(&f->connected) != 0)
                r = client_fail(MDLIB_FLOW_ALREADY_ACTIVE, "flow %d", fd);
        else if (s->ops->connect(s->state, f->number, &err) < 0)
                r = client_fail_with(&err);
        else
                r = see_results(f, epoch);
        client_flow_put(f);
        return r;
}

int mapi_close_flow(int fd)
{
        struct client_flow *f;

        if (!client_ready())
                return -1;
        if (fd <= 0)
                return client_fail(MAPI_INVALID_FLOW, "%d", fd);
        f = client_flow_take(fd);
        return f == NULL ? -1 : client_flow_close(f);
}

int mapi_get_scope_size(int fd)
{
        struct client_flow *f = client_flow_get(fd);

        if (f == NULL)
                return -1;
        client_flow_put(f);
        return 1;
}

int mapi_is_remote(int fd)
{
        struct client_flow *f = client_flow_get(fd);

        if (f == NULL)
                return -1;
        client_flow_put(f);
        return 0;
}
