/* One request while it is served, inside src/server. SPDX-License-Identifier: BSD-2-Clause */
#ifndef SERVER_INTERNAL_H
#define SERVER_INTERNAL_H

#include "server/serve.h"

/** A request, and where its answer goes. */
struct serving {
        const struct serve_session *session;
        const Mapi__Envelope *request;
        struct protocol_received *received; /* descriptors that nobody has taken yet */
        unsigned taken;                     /* of them, from the front */
        uint8_t *buf;
        struct serve_answer *ret;
        struct mapi_error err;
};

/** An empty answer to this request, to be filled in. */
Mapi__Envelope serving_answer(const struct serving *v);

/** The call failed with -code and v->err. */
void serving_failed(struct serving *v);
/** The request makes no sense: 5121 and why. */
void serving_refuse(struct serving *v, const char *why);
void serving_done(struct serving *v);
void serving_send(struct serving *v, const Mapi__Envelope *answer);

/** The next descriptor beside the request, or -1: there is none. Its owner is the caller. */
int serving_take_fd(struct serving *v);

/** Checks what a client has handed over with fstat: a file, pipe, socket or character device, open for reading or for writing. 0 or -6155. */
int serving_check_fd(int fd, bool writing, const char *name, struct mapi_error *err);

void serve_apply(struct serving *v);
void serve_connect(struct serving *v);
void serve_catalogue(struct serving *v);
void serve_describe(struct serving *v);
void serve_flow_info(struct serving *v);
void serve_function_info(struct serving *v);
void serve_device_info(struct serving *v);
void serve_library_info(struct serving *v);
void serve_libfunct_info(struct serving *v);
void serve_account(struct serving *v);

#endif
