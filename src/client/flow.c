/* Connecting and closing flows. SPDX-License-Identifier: BSD-2-Clause */
#include "client/client.h"

int mapi_connect(int fd)
{
        struct mapi_error err = { 0 };
        struct client_backend b;
        struct client_flow *f;
        int r = 0;

        if (!client_ready())
                return -1;
        if (fd <= 0)
                return client_fail(MAPI_INVALID_FLOW, "%d", fd);
        f = client_flow_get(fd);
        if (f == NULL)
                return -1;
        if (atomic_load(&f->connected) != 0)
                r = client_fail(MDLIB_FLOW_ALREADY_ACTIVE, "flow %d", fd);
        else if (client_get(&b) < 0)
                r = -1;
        else if (b.ops->connect(b.state, fd, &err) < 0)
                r = client_fail_with(&err);
        else
                r = client_flow_attach(f, &b);
        client_flow_put(f);
        return r;
}

int mapi_close_flow(int fd)
{
        struct mapi_error err = { 0 };
        struct client_backend b;
        struct client_flow *f;
        int r = 0;

        if (!client_ready())
                return -1;
        if (fd <= 0)
                return client_fail(MAPI_INVALID_FLOW, "%d", fd);
        f = client_flow_take(fd);
        if (f == NULL)
                return -1;
        if (client_get(&b) < 0)
                r = -1;
        else if (b.ops->close_flow(b.state, fd, &err) < 0)
                r = client_fail_with(&err);
        client_flow_put(f);
        return r;
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
