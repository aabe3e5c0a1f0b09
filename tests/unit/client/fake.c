/* A mapid that is in the test, see fake.h. SPDX-License-Identifier: BSD-2-Clause */
#include "fake.h"

#include "base/futex.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct fake *fake_states[FAKE_STATES];
unsigned fake_opened;
void (*fake_hook[FAKE_CALLS])(struct fake *s);
const char *fake_refuses;
static char directory[] = "/tmp/mapi-unit-client-XXXXXX", socket_path[64];

static void call_hook(enum fake_call call, struct fake *s)
{
        void (*hook)(struct fake *) = fake_hook[call];

        fake_hook[call] = NULL;
        if (hook != NULL)
                hook(s);
}

static void remove_socket(void)
{
        (void)unlink(socket_path);
        (void)rmdir(directory);
}

const char *fake_socket(void)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd;

        if (socket_path[0] != '\0')
                return socket_path;
        assert_non_null(mkdtemp(directory));
        (void)snprintf(socket_path, sizeof socket_path, "%s/mapid.sock", directory);
        (void)atexit(remove_socket);
        memcpy(address.sun_path, socket_path, strlen(socket_path) + 1);
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
        (void)close(fd);
        assert_int_equal(setenv("MAPI_SOCKET", socket_path, 1), 0);
        return socket_path;
}

struct fake *fake_last(void)
{
        assert_true(fake_opened > 0);
        return fake_states[fake_opened - 1];
}

struct fake_flow *fake_find(struct fake *s, int number)
{
        for (unsigned i = 0; i < FAKE_FLOWS; i++)
                if (s->flow[i].number == number)
                        return &s->flow[i];
        return NULL;
}

static struct fake_function *function_of(struct fake *s, int number, int fid)
{
        struct fake_flow *f = fake_find(s, number);

        assert_non_null(f);
        assert_true(fid > 0 && fid <= f->n);
        return &f->function[fid - 1];
}

/* ---- lives
 * ------------------------------------------------------------------------------------------------------- */

static int away(struct mapi_error *err)
{
        return mapi_fail(err, MCOM_SOCKET_ERROR, "the fake is away");
}

static bool is_away(struct fake *s)
{
        return (atomic_load(&s->epoch) & 1) != 0;
}

static void build(struct fake *s, struct fake_flow *f)
{
        struct results_flow *status;

        assert_int_equal(segments_alloc(s->segments, RESULTS_FLOW, f->number, 0, sizeof(struct results_flow), 1,
                                        MAPI_COMBINE_SERIAL, &f->status, NULL),
                         0);
        status = f->status.mem;
        status->status = FLOW_ACTIVE;
        for (int i = 0; i < f->n; i++) {
                struct fake_function *fn = &f->function[i];

                memset(&fn->place, 0, sizeof fn->place);
                if (fn->kind == MAPI_RESULT_COUNTER)
                        assert_int_equal(segments_alloc(s->segments, RESULTS_COUNTER, f->number, fn->fid, 8, 1,
                                                        MAPI_COMBINE_SUM, &fn->place, NULL),
                                         0);
                if (fn->kind != MAPI_RESULT_PACKETS)
                        continue;
                assert_int_equal(segments_alloc(s->segments, RESULTS_RING, f->number, fn->fid,
                                                sizeof(struct results_ring), 1, MAPI_COMBINE_SERIAL, &fn->place,
                                                NULL),
                                 0);
                assert_int_equal(ring_init(&fn->ring, 4096, fn->place.mem, NULL, NULL), 0);
                fn->ring.event_fd = f->event_fd > 0 ? f->event_fd : -1;
        }
}

static void tear(struct fake_flow *f)
{
        for (int i = 0; i < f->n; i++)
                if (f->function[i].ring.data != NULL)
                        ring_fini(&f->function[i].ring);
}

static void signal_events(struct fake *s)
{
        for (unsigned i = 0; i < FAKE_FLOWS; i++)
                if (s->flow[i].number != 0 && s->flow[i].event_fd > 0)
                        (void)!write(s->flow[i].event_fd, &(uint64_t){ 1 }, 8);
}

/** As a mapid that is killed: nothing is told to anybody but through the epoch. */
void fake_away(struct fake *s)
{
        for (unsigned i = 0; i < FAKE_FLOWS; i++)
                if (s->flow[i].connected)
                        tear(&s->flow[i]);
        segments_free(&s->segments);
        atomic_fetch_add(&s->epoch, 1); /* from here on a reader in another thread may go on */
        signal_events(s);
}

void fake_return(struct fake *s)
{
        s->segments = segments_new(NULL);
        for (unsigned i = 0; i < FAKE_FLOWS; i++)
                if (s->flow[i].connected && !s->flow[i].lost)
                        build(s, &s->flow[i]);
        signal_events(s); /* before the epoch, as the real one may */
        atomic_fetch_add(&s->epoch, 1);
        futex_wake((uint32_t *)&s->epoch);
}

void fake_again(struct fake *s)
{
        atomic_fetch_add(&s->epoch, 2);
}

/* ---- what a worker does
 * -------------------------------------------------------------------------------------------- */

void fake_count(struct fake *s, int number, int fid, uint64_t value)
{
        struct mapi_slot *slot = function_of(s, number, fid)->place.mem;

        __atomic_store_n(slot->data, value, __ATOMIC_RELAXED);
}

void fake_status(struct fake *s, int number, enum mapi_flow_status status, int error)
{
        struct results_flow *shared = fake_find(s, number)->status.mem;

        shared->error = error;
        __atomic_store_n(&shared->status, status, __ATOMIC_RELEASE);
}

void fake_packets(struct fake *s, int number, int fid, unsigned first, unsigned n)
{
        struct fake_function *fn = function_of(s, number, fid);
        static const uint8_t bytes[64];

        for (unsigned i = 0; i < n; i++) {
                struct mapi_view v = { .data = bytes, .caplen = 60, .wirelen = first + i };

                assert_true(ring_put(&fn->ring, &v));
        }
        ring_publish(&fn->ring, true);
}

void fake_wake(struct fake *s, int number, int fid)
{
        ring_wake(&function_of(s, number, fid)->ring);
}

void fake_end(struct fake *s, int number, int fid)
{
        ring_finish(&function_of(s, number, fid)->ring);
}

void fake_grow(struct fake *s, int number, int fid)
{
        assert_int_equal(ring_grow(&function_of(s, number, fid)->ring, NULL), 0);
}

int fake_error(void)
{
        int code;

        assert_int_equal(mapi_read_error(&code, NULL), 0);
        return code;
}

const char *fake_text(void)
{
        static char text[MAPI_ERRORSTR_LENGTH];

        assert_int_equal(mapi_read_error(NULL, text), 0);
        return text;
}

/* ---- the table
 * ------------------------------------------------------------------------------------------------------- */

static int fake_open(const struct backend_options *options, void **ret_state, struct mapi_error *err)
{
        struct fake *s;

        if (fake_refuses != NULL)
                return mapi_fail(err, MCOM_INIT_SOCKET_ERROR, "%s", fake_refuses);
        assert_true(fake_opened < FAKE_STATES);
        s = calloc(1, sizeof *s);
        assert_non_null(s);
        (void)snprintf(s->path, sizeof s->path, "%s", options->path);
        s->segments = segments_new(NULL);
        fake_states[fake_opened++] = s;
        *ret_state = s;
        return 0;
}

static const _Atomic uint32_t *fake_epoch(void *state)
{
        return &((struct fake *)state)->epoch;
}

static void fake_await(void *state, uint32_t seen, int timeout_ms)
{
        struct fake *s = state;

        s->slept++;
        call_hook(FAKE_AWAIT, s);
        (void)futex_wait((uint32_t *)&s->epoch, seen, timeout_ms);
}

static void fake_close(void *state)
{
        struct fake *s = state;

        assert_false(s->closed);
        s->closed = true;
}

static void fake_nothing(void *state)
{
        (void)state;
}

static int fake_device_create(void *state, const struct backend_source *source, char *ret_name,
                              struct mapi_error *err)
{
        (void)state;
        (void)err;
        (void)close(source->fd);
        (void)snprintf(ret_name, MAPI_STR_LENGTH, "trace@1");
        return 0;
}

static int fake_device_call(void *state, const char *name, struct mapi_error *err)
{
        (void)state;
        return strcmp(name, "trace@1") == 0 ? 0 : mapi_fail(err, MAPID_NO_DEVICE, "%s", name);
}

static bool fake_device_known(void *state, const char *name)
{
        return !is_away(state) && strcmp(name, "fake0") == 0;
}

static int fake_flow_create(void *state, const char *device, struct mapi_error *err)
{
        struct fake *s = state;
        struct fake_flow *f = fake_find(s, 0);

        if (is_away(s))
                return away(err);
        assert_string_equal(device, "fake0");
        assert_non_null(f);
        memset(f, 0, sizeof *f);
        f->number = ++s->next_number;
        return f->number;
}

static int fake_flow_create_private(void *state, const struct backend_source *source, struct mapi_error *err)
{
        if (source->fd >= 0)
                (void)close(source->fd);
        return fake_flow_create(state, "fake0", err);
}

static int fake_describe(void *state, int fd, const char *name, struct backend_function *ret,
                         struct mapi_error *err)
{
        static const struct mapi_arg_spec none[] = { { .letter = 0 } },
                                          wait[] = { { .letter = 'i', .optional = 1, .name = "wait" },
                                                     { .letter = 0 } },
                                          ref[] = { { .letter = 'r', .name = "flow" }, { .letter = 0 } };

        if (is_away(state))
                return away(err);
        assert_non_null(fake_find(state, fd));
        if (strcmp(name, "COUNTER") == 0)
                *ret = (struct backend_function){ .name = "COUNTER", .args = none };
        else if (strcmp(name, "PACKETS") == 0)
                *ret = (struct backend_function){ .name = "PACKETS", .args = wait };
        else if (strcmp(name, "READER") == 0)
                *ret = (struct backend_function){ .name = "READER", .args = ref };
        else
                return mapi_fail(err, MAPI_FUNCTION_NOT_FOUND, "%s", name);
        return 0;
}

static int fake_apply(void *state, int fd, const char *name, const struct mapi_value *values, unsigned n,
                      struct mapi_error *err)
{
        struct fake_flow *f = fake_find(state, fd);
        struct fake_function *fn;

        if (is_away(state))
                return away(err);
        assert_non_null(f);
        assert_true(f->n < FAKE_FUNCTIONS);
        fn = &f->function[f->n++];
        fn->fid = f->n;
        fn->kind = strcmp(name, "PACKETS") == 0 ? MAPI_RESULT_PACKETS : MAPI_RESULT_COUNTER;
        fn->nowait = fn->kind == MAPI_RESULT_PACKETS && values[0].num == NOWAIT;
        fn->argument = n > 0 ? values[0].num : 0;
        return fn->fid;
}

static int fake_connect(void *state, int fd, struct mapi_error *err)
{
        struct fake *s = state;
        struct fake_flow *f = fake_find(s, fd);

        if (is_away(s))
                return away(err);
        assert_non_null(f);
        f->connected = true;
        build(s, f);
        call_hook(FAKE_CONNECT, s);
        return 0;
}

static int fake_close_flow(void *state, int fd, struct mapi_error *err)
{
        struct fake *s = state;
        struct fake_flow *f = fake_find(s, fd);

        (void)err;
        assert_non_null(f);
        if (f->connected && !is_away(s) && !f->lost) {
                for (int i = 0; i < f->n; i++)
                        if (f->function[i].ring.data != NULL)
                                ring_finish(&f->function[i].ring);
                tear(f);
        }
        if (f->event_fd > 0)
                (void)close(f->event_fd);
        memset(f, 0, sizeof *f);
        return 0;
}

static int fake_place(void *state, int fd, unsigned i, struct backend_place *ret, struct mapi_error *err)
{
        struct fake *s = state;
        struct fake_flow *f = fake_find(s, fd);

        s->places++;
        if (is_away(s))
                return away(err);
        assert_non_null(f);
        if (f->lost)
                return mapi_fail(err, MCOM_SOCKET_ERROR, "it could not be made anew");
        if ((int)i >= f->n)
                return mapi_fail(err, MAPI_INVALID_FID_FUNCID, "%u", i);
        *ret = (struct backend_place){ .fid = f->function[i].fid,
                                       .kind = f->function[i].kind,
                                       .size = 8,
                                       .segment = f->function[i].place.segment,
                                       .entry = f->function[i].place.entry,
                                       .nowait = f->function[i].nowait };
        call_hook(FAKE_PLACE, s);
        return 0;
}

static int fake_status_place(void *state, int fd, struct backend_place *ret, struct mapi_error *err)
{
        struct fake_flow *f = fake_find(state, fd);

        if (is_away(state))
                return away(err);
        assert_non_null(f);
        *ret = (struct backend_place){ .segment = f->status.segment, .entry = f->status.entry };
        return 0;
}

static int fake_segment(void *state, uint32_t segment, size_t *ret_size, struct mapi_error *err)
{
        struct fake *s = state;
        int fd;

        s->segments_asked++;
        if (is_away(s))
                return away(err);
        fd = fcntl(segments_fd(s->segments, segment, ret_size), F_DUPFD_CLOEXEC, 3);
        call_hook(FAKE_SEGMENT, s);
        return fd;
}

static int fake_ring(void *state, int fd, int fid, struct backend_ring *ret, struct mapi_error *err)
{
        struct fake *s = state;
        struct ring *r;

        if (is_away(s))
                return away(err);
        r = &function_of(s, fd, fid)->ring;
        *ret = (struct backend_ring){ .fd = fcntl(r->fd, F_DUPFD_CLOEXEC, 3),
                                      .size_bytes = r->size,
                                      .generation = r->generation };
        call_hook(FAKE_RING, s);
        return 0;
}

static int fake_waiting(void *state, int fd, int fid, struct mapi_error *err)
{
        struct fake *s = state;

        (void)fd;
        (void)fid;
        s->waited++;
        if (is_away(s))
                return away(err);
        call_hook(FAKE_WAITING, s);
        return 0;
}

static void fake_kick(void *state, int fd)
{
        (void)fd;
        ((struct fake *)state)->kicked++;
}

static int fake_trace_error(void *state, int fd, struct mapi_error *err)
{
        (void)fd;
        return is_away(state) ? away(err) : mapi_fail(err, MAPI_TRACE_DAMAGED, "by the fake");
}

static int fake_file_error(void *state, int fd, int fid, struct mapi_error *err)
{
        (void)fd;
        (void)fid;
        (void)err;
        return 0;
}

static int fake_flow_info(void *state, int fd, bool next, mapi_flow_info_t *ret, struct mapi_error *err)
{
        struct fake *s = state;
        struct fake_flow *best = NULL;

        if (is_away(s))
                return away(err);
        for (unsigned i = 0; i < FAKE_FLOWS; i++) {
                struct fake_flow *f = &s->flow[i];

                if (f->number != 0 &&
                    (next ? f->number > fd && (best == NULL || f->number < best->number) : f->number == fd))
                        best = f;
        }
        if (best == NULL)
                return mapi_fail(err, MAPI_FLOW_INFO_ERR, "%d", fd);
        *ret = (mapi_flow_info_t){ .fd = best->number, .num_functions = (unsigned)best->n, .status = FLOW_ACTIVE };
        return 0;
}

static int fake_function_info(void *state, int fd, int fid, bool next, mapi_function_info_t *ret,
                              struct mapi_error *err)
{
        struct fake_flow *f = fake_find(state, fd);

        if (is_away(state))
                return away(err);
        fid += next;
        if (f == NULL || fid < 1 || fid > f->n)
                return mapi_fail(err, MAPI_FUNCTION_INFO_ERR, "%d", fid);
        *ret = (mapi_function_info_t){ .fid = fid };
        return 0;
}

static int fake_device_info(void *state, int id, bool next, mapi_device_info_t *ret, struct mapi_error *err)
{
        return mapi_fail(err, MAPI_DEVICE_INFO_ERR, "%d", id);
}

static int fake_library_info(void *state, int library, mapi_lib_info_t *ret, struct mapi_error *err)
{
        (void)state;
        if (library != 0)
                return mapi_fail(err, MAPI_FUNCTION_INFO_ERR, "%d", library);
        *ret = (mapi_lib_info_t){ .libname = "fakelib" };
        return 0;
}

static int fake_libfunct_info(void *state, int library, int number, mapi_libfunct_info_t *ret,
                              struct mapi_error *err)
{
        return mapi_fail(err, MAPI_FUNCTION_INFO_ERR, "%d", number);
}

static int fake_stats(void *state, const char *device, struct mapi_stat64 *ret, struct mapi_error *err)
{
        (void)device;
        if (is_away(state))
                return away(err);
        *ret = (struct mapi_stat64){ .seen = 100, .delivered = 70, .dropped_kernel = 25, .dropped_interface = 5 };
        return 0;
}

static int fake_flow_stats(void *state, int fd, struct mapi_stat64 *ret, struct mapi_error *err)
{
        if (is_away(state))
                return away(err);
        if (fd == FAKE_FOREIGN) { /* of another client */
                *ret = (struct mapi_stat64){ .seen = 4711 };
                return 0;
        }
        if (fake_find(state, fd) == NULL)
                return mapi_fail(err, MAPI_INVALID_FLOW, "%d", fd);
        *ret = (struct mapi_stat64){ .seen = (unsigned)fd };
        return 0;
}

static int fake_event_fd(void *state, int fd, struct mapi_error *err)
{
        struct fake_flow *f = fake_find(state, fd);

        if (is_away(state))
                return away(err);
        if (f->event_fd == 0)
                f->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        for (int i = 0; i < f->n; i++)
                f->function[i].ring.event_fd = f->event_fd;
        return f->event_fd;
}

const struct backend backend_local = {
        .version = BACKEND_VERSION,
        .open = fake_open,
        .epoch = fake_epoch,
        .await = fake_await,
        .close = fake_close,
        .fork_prepare = fake_nothing,
        .fork_parent = fake_nothing,
        .fork_child = fake_nothing,
        .device_create = fake_device_create,
        .device_start = fake_device_call,
        .device_delete = fake_device_call,
        .device_known = fake_device_known,
        .flow_create = fake_flow_create,
        .flow_create_private = fake_flow_create_private,
        .describe = fake_describe,
        .apply = fake_apply,
        .connect = fake_connect,
        .close_flow = fake_close_flow,
        .place = fake_place,
        .status_place = fake_status_place,
        .segment = fake_segment,
        .ring = fake_ring,
        .waiting = fake_waiting,
        .kick = fake_kick,
        .trace_error = fake_trace_error,
        .file_error = fake_file_error,
        .flow_info = fake_flow_info,
        .function_info = fake_function_info,
        .device_info = fake_device_info,
        .library_info = fake_library_info,
        .libfunct_info = fake_libfunct_info,
        .stats = fake_stats,
        .flow_stats = fake_flow_stats,
        .event_fd = fake_event_fd,
};
