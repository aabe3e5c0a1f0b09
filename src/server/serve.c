/* Requests to calls: devices, flows, results. SPDX-License-Identifier: BSD-2-Clause */
#include "server/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- answers ----------------------------------------------------------------------------------------------- */

/** An answer that is too large for the socket goes into a memfd, and a note about it over the socket. */
static int pack_large(const Mapi__Envelope *answer, size_t size, uint8_t *buf, struct serve_answer *ret)
{
        Mapi__Envelope note = MAPI__ENVELOPE__INIT;
        Mapi__Large large = MAPI__LARGE__INIT;
        struct mapi_error err;
        uint8_t *bytes;
        size_t len = 0;
        int fd;

        if (size > PROTOCOL_LARGE_MAX || ret->nfds != 0)
                return -1;
        bytes = malloc(size);
        if (bytes == NULL)
                return -1;
        fd = protocol_pack(answer, bytes, size, &len, &err) < 0 ? -1 : protocol_large_write(bytes, len, &err);
        free(bytes);
        if (fd < 0)
                return -1;
        large.size_bytes = size;
        note.version = PROTOCOL_VERSION;
        note.id = answer->id;
        note.body_case = MAPI__ENVELOPE__BODY_LARGE;
        note.large = &large;
        if (protocol_pack(&note, buf, PROTOCOL_MESSAGE_MAX, &len, &err) < 0) {
                (void)close(fd);
                return -1;
        }
        ret->len = len;
        ret->fd[ret->nfds++] = fd;
        return 0;
}

void serve_pack(const Mapi__Envelope *answer, uint8_t *buf, struct serve_answer *ret)
{
        size_t size = mapi__envelope__get_packed_size(answer);
        struct mapi_error err;

        if (size <= PROTOCOL_MESSAGE_MAX) {
                if (protocol_pack(answer, buf, PROTOCOL_MESSAGE_MAX, &ret->len, &err) == 0)
                        return;
        } else if (pack_large(answer, size, buf, ret) == 0) {
                return;
        }
        serve_error(answer->id, MAPI_LIMIT_ERROR, "the answer is too large", buf, ret);
}

void serve_error(uint64_t id, int code, const char *text, uint8_t *buf, struct serve_answer *ret)
{
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        Mapi__Error error = MAPI__ERROR__INIT;
        struct mapi_error ignored;

        error.code = code;
        error.text = (char *)(uintptr_t)text;
        e.version = PROTOCOL_VERSION;
        e.id = id;
        e.body_case = MAPI__ENVELOPE__BODY_ERROR;
        e.error = &error;
        ret->len = 0;
        (void)protocol_pack(&e, buf, PROTOCOL_MESSAGE_MAX, &ret->len, &ignored); /* it is small */
}

Mapi__Envelope serving_answer(const struct serving *v)
{
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;

        e.version = PROTOCOL_VERSION;
        e.id = v->request->id;
        return e;
}

void serving_failed(struct serving *v)
{
        serve_error(v->request->id, v->err.code, v->err.text, v->buf, v->ret);
}

void serving_refuse(struct serving *v, const char *why)
{
        (void)mapi_fail(&v->err, MCOM_UNKNOWN_ERROR, "%s", why);
        serving_failed(v);
}

void serving_send(struct serving *v, const Mapi__Envelope *answer)
{
        serve_pack(answer, v->buf, v->ret);
}

void serving_done(struct serving *v)
{
        Mapi__Envelope e = serving_answer(v);
        Mapi__Done done = MAPI__DONE__INIT;

        e.body_case = MAPI__ENVELOPE__BODY_DONE;
        e.done = &done;
        serving_send(v, &e);
}

/* ---- descriptors ------------------------------------------------------------------------------------------- */

int serving_take_fd(struct serving *v)
{
        if (v->taken >= v->received->nfds)
                return -1;
        return v->received->fd[v->taken++];
}

int serving_check_fd(int fd, bool writing, const char *name, struct mapi_error *err)
{
        struct stat st;
        int flags = fd < 0 ? -1 : fcntl(fd, F_GETFL), mode = flags & O_ACCMODE;

        if (flags < 0 || fstat(fd, &st) < 0)
                return mapi_fail(err, MAPI_ERROR_SEND_FD, "%.128s: %s", name,
                                 fd < 0 ? "none came" : strerror(errno));
        if (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode) && !S_ISCHR(st.st_mode))
                return mapi_fail(err, MAPI_ERROR_FILE, "%.128s is no file, pipe or socket", name);
        if ((flags & O_PATH) != 0 || mode == (writing ? O_RDONLY : O_WRONLY))
                return mapi_fail(err, MAPI_ERROR_FILE, "%.128s is not open for %s", name,
                                 writing ? "writing" : "reading");
        return 0;
}

/** The source of an offline device; its descriptor is the caller's. */
static int take_source(struct serving *v, const Mapi__Source *s, struct backend_source *ret)
{
        int r;

        if (s == NULL || s->driver[0] == '\0' || s->name[0] == '\0')
                return mapi_fail(&v->err, MCOM_UNKNOWN_ERROR, "a source without driver or name");
        *ret = (struct backend_source){ .driver = s->driver,
                                        .name = s->name,
                                        .options = s->options[0] == '\0' ? NULL : s->options,
                                        .fd = serving_take_fd(v) };
        /* Without one the driver would open what the client names, with our rights. Drivers that need no file take none. */
        if (ret->fd < 0 && strcmp(s->driver, "null") == 0)
                return 0;
        r = serving_check_fd(ret->fd, false, s->name, &v->err);
        if (r < 0 && ret->fd >= 0)
                (void)close(ret->fd);
        return r;
}

/* ---- devices ------------------------------------------------------------------------------------------------- */

static void serve_device_known(struct serving *v)
{
        Mapi__Envelope e = serving_answer(v);
        Mapi__Known known = MAPI__KNOWN__INIT;

        known.known = v->session->ops->device_known(v->session->state, v->request->device_known->device);
        e.body_case = MAPI__ENVELOPE__BODY_KNOWN;
        e.known = &known;
        serving_send(v, &e);
}

static void serve_create_device(struct serving *v)
{
        Mapi__Envelope e = serving_answer(v);
        Mapi__DeviceName name = MAPI__DEVICE_NAME__INIT;
        char device[MAPI_STR_LENGTH] = "";
        struct backend_source source;

        if (take_source(v, v->request->create_device->source, &source) < 0 ||
            v->session->ops->device_create(v->session->state, &source, device, &v->err) < 0) {
                serving_failed(v);
                return;
        }
        name.device = device;
        e.body_case = MAPI__ENVELOPE__BODY_DEVICE_NAME;
        e.device_name = &name;
        serving_send(v, &e);
}

/** Calls with the outcome "done". */
static void finish(struct serving *v, int r)
{
        if (r < 0)
                serving_failed(v);
        else
                serving_done(v);
}

/* ---- flows --------------------------------------------------------------------------------------------------- */

static int create_flow(struct serving *v, const Mapi__CreateFlow *m)
{
        const struct serve_session *s = v->session;
        struct backend_source source;
        int wanted = m->wanted > INT32_MAX ? -1 : (int)m->wanted;
        int r;

        if (wanted != 0 && s->return_flow == NULL)
                return mapi_fail(&v->err, MCOM_UNKNOWN_ERROR, "no flow returns here");
        switch (m->on_case) {
        case MAPI__CREATE_FLOW__ON_DEVICE:
                return wanted != 0 ? s->return_flow(s->state, m->device, wanted, &v->err)
                                   : s->ops->flow_create(s->state, m->device, &v->err);
        case MAPI__CREATE_FLOW__ON_SOURCE:
                r = take_source(v, m->source, &source);
                if (r < 0)
                        return r;
                return wanted != 0 ? s->return_private(s->state, &source, wanted, &v->err)
                                   : s->ops->flow_create_private(s->state, &source, &v->err);
        default:
                return mapi_fail(&v->err, MCOM_UNKNOWN_ERROR, "a flow on nothing");
        }
}

static void serve_create_flow(struct serving *v)
{
        Mapi__Envelope e = serving_answer(v);
        Mapi__FlowNumber number = MAPI__FLOW_NUMBER__INIT;
        int r = create_flow(v, v->request->create_flow);

        if (r < 0) {
                serving_failed(v);
                return;
        }
        number.flow = r;
        e.body_case = MAPI__ENVELOPE__BODY_FLOW_NUMBER;
        e.flow_number = &number;
        serving_send(v, &e);
}

/* ---- results ------------------------------------------------------------------------------------------------- */

static void serve_segment(struct serving *v)
{
        Mapi__Envelope e = serving_answer(v);
        Mapi__SegmentMemory memory = MAPI__SEGMENT_MEMORY__INIT;
        size_t size = 0;
        int fd = v->session->ops->segment(v->session->state, v->request->segment->segment, &size, &v->err);

        if (fd < 0) {
                serving_failed(v);
                return;
        }
        memory.size_bytes = size;
        e.body_case = MAPI__ENVELOPE__BODY_SEGMENT_MEMORY;
        e.segment_memory = &memory;
        serving_send(v, &e);
        v->ret->fd[v->ret->nfds++] = fd;
}

static void serve_ring(struct serving *v)
{
        const Mapi__Ring *m = v->request->ring;
        Mapi__Envelope e = serving_answer(v);
        Mapi__RingMemory memory = MAPI__RING_MEMORY__INIT;
        struct backend_ring ring;
        int kick_fd;

        if (v->session->ops->ring(v->session->state, m->flow, m->fid, &ring, &v->err) < 0) {
                serving_failed(v);
                return;
        }
        memory.size_bytes = ring.size_bytes;
        memory.generation = ring.generation;
        e.body_case = MAPI__ENVELOPE__BODY_RING_MEMORY;
        e.ring_memory = &memory;
        serving_send(v, &e);
        v->ret->fd[v->ret->nfds++] = ring.fd;
        kick_fd = v->session->kick_fd == NULL ? -1 : v->session->kick_fd(v->session->state, m->flow);
        if (kick_fd >= 0)
                v->ret->fd[v->ret->nfds++] = kick_fd;
}

static void serve_event_fd(struct serving *v)
{
        int fd = v->session->ops->event_fd(v->session->state, v->request->event_fd->flow, &v->err);

        if (fd >= 0)
                fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (fd < 0) {
                if (v->err.code == 0)
                        (void)mapi_fail(&v->err, MAPI_LIMIT_ERROR, "%s", strerror(errno));
                serving_failed(v);
                return;
        }
        serving_done(v);
        v->ret->fd[v->ret->nfds++] = fd;
}

/* ---- all ------------------------------------------------------------------------------------------------------- */

static void serve(struct serving *v)
{
        const struct backend *ops = v->session->ops;
        void *state = v->session->state;
        const Mapi__Envelope *q = v->request;

        switch (q->body_case) {
        case MAPI__ENVELOPE__BODY_CATALOGUE:
                serve_catalogue(v);
                break;
        case MAPI__ENVELOPE__BODY_DEVICE_KNOWN:
                serve_device_known(v);
                break;
        case MAPI__ENVELOPE__BODY_CREATE_DEVICE:
                serve_create_device(v);
                break;
        case MAPI__ENVELOPE__BODY_START_DEVICE:
                finish(v, ops->device_start(state, q->start_device->device, &v->err));
                break;
        case MAPI__ENVELOPE__BODY_DELETE_DEVICE:
                finish(v, ops->device_delete(state, q->delete_device->device, &v->err));
                break;
        case MAPI__ENVELOPE__BODY_CREATE_FLOW:
                serve_create_flow(v);
                break;
        case MAPI__ENVELOPE__BODY_DESCRIBE:
                serve_describe(v);
                break;
        case MAPI__ENVELOPE__BODY_APPLY:
                serve_apply(v);
                break;
        case MAPI__ENVELOPE__BODY_CONNECT:
                serve_connect(v);
                break;
        case MAPI__ENVELOPE__BODY_CLOSE_FLOW:
                finish(v, ops->close_flow(state, q->close_flow->flow, &v->err));
                break;
        case MAPI__ENVELOPE__BODY_SEGMENT:
                serve_segment(v);
                break;
        case MAPI__ENVELOPE__BODY_RING:
                serve_ring(v);
                break;
        case MAPI__ENVELOPE__BODY_WAITING:
                finish(v, ops->waiting(state, q->waiting->flow, q->waiting->fid, &v->err));
                break;
        case MAPI__ENVELOPE__BODY_EVENT_FD:
                serve_event_fd(v);
                break;
        case MAPI__ENVELOPE__BODY_TRACE_ERROR:
                finish(v, ops->trace_error(state, q->trace_error->flow, &v->err));
                break;
        case MAPI__ENVELOPE__BODY_FILE_ERROR:
                finish(v, ops->file_error(state, q->file_error->flow, q->file_error->fid, &v->err));
                break;
        case MAPI__ENVELOPE__BODY_FLOW_INFO:
                serve_flow_info(v);
                break;
        case MAPI__ENVELOPE__BODY_FUNCTION_INFO:
                serve_function_info(v);
                break;
        case MAPI__ENVELOPE__BODY_DEVICE_INFO:
                serve_device_info(v);
                break;
        case MAPI__ENVELOPE__BODY_LIBRARY_INFO:
                serve_library_info(v);
                break;
        case MAPI__ENVELOPE__BODY_LIBFUNCT_INFO:
                serve_libfunct_info(v);
                break;
        case MAPI__ENVELOPE__BODY_DEVICE_STATS:
        case MAPI__ENVELOPE__BODY_FLOW_STATS:
                serve_account(v);
                break;
        default:
                serving_refuse(v, "a request that is unknown here");
        }
}

void serve_request(const struct serve_session *s, const Mapi__Envelope *request,
                   struct protocol_received *received, uint8_t *buf, struct serve_answer *ret)
{
        struct serving v = { .session = s,
                             .request = request,
                             .received = received,
                             .buf = buf,
                             .ret = ret,
                             .err = { .code = 0 } };

        *ret = (struct serve_answer){ 0 };
        serve(&v);
        protocol_close_fds(received, v.taken); /* what nobody asked for */
        received->nfds = 0;
}
