/* Every call of the local backend that asks mapid something, as a table for tests. SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_UNIT_CLIENT_LOCAL_CALLS_H
#define TESTS_UNIT_CLIENT_LOCAL_CALLS_H

#include "client/local.h"
#include "scripted.h"

#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/** prepare_calls() has made the device dev@1 and the flows 1, which is connected, and 2. */
struct call {
        const char *name;
        int (*run)(void *state, struct mapi_error *err); /* 0 or a negative code */
        const char *line;                                /* what is asked */
        bool known_only;                                 /* device_known: true or false */
        bool closes;
};

static inline void *open_state(struct scripted *s)
{
        struct backend_options options = { .path = s->path };
        struct mapi_error err = { 0 };
        void *state = NULL;

        if (local_times.backoff_first == 100)
                local_times.backoff_first = local_times.backoff_max = 1;
        if (backend_local.open(&options, &state, &err) < 0)
                fail_msg("%s", err.text);
        return state;
}

static inline void prepare_calls(void *state)
{
        struct backend_source source = { .driver = "null", .name = "null", .fd = -1 };
        struct backend_function fn;
        char name[MAPI_STR_LENGTH];
        struct mapi_error err;

        assert_int_equal(backend_local.device_create(state, &source, name, &err), 0);
        assert_int_equal(backend_local.flow_create(state, "eth0", &err), 1);
        assert_int_equal(backend_local.flow_create(state, "eth0", &err), 2);
        assert_int_equal(backend_local.connect(state, 1, &err), 0);
        assert_int_equal(backend_local.describe(state, 2, "TWO_FILES", &fn, &err), 0);
}

static int call_known(void *state, struct mapi_error *err)
{
        return backend_local.device_known(state, "eth0") ? 1 : 0;
}

static int call_device_create(void *state, struct mapi_error *err)
{
        struct backend_source source = { .driver = "trace", .name = "x", .fd = sealed_memory(1) };
        char name[MAPI_STR_LENGTH];

        return backend_local.device_create(state, &source, name, err);
}

static int call_device_start(void *state, struct mapi_error *err)
{
        return backend_local.device_start(state, "dev@1", err);
}

static int call_device_delete(void *state, struct mapi_error *err)
{
        return backend_local.device_delete(state, "dev@1", err);
}

static int call_create(void *state, struct mapi_error *err)
{
        return backend_local.flow_create(state, "eth0", err);
}

static int call_private(void *state, struct mapi_error *err)
{
        struct backend_source source = { .driver = "trace", .name = "x", .fd = sealed_memory(1) };

        return backend_local.flow_create_private(state, &source, err);
}

static int call_describe(void *state, struct mapi_error *err)
{
        struct backend_function fn;

        return backend_local.describe(state, 2, "PKT_COUNTER", &fn, err);
}

static int call_apply(void *state, struct mapi_error *err)
{
        struct mapi_value v[2] = { { .str = "a", .fd = open("/dev/null", O_WRONLY | O_CLOEXEC) },
                                   { .str = "b", .fd = open("/dev/null", O_WRONLY | O_CLOEXEC) } };

        return backend_local.apply(state, 2, "TWO_FILES", v, 2, err);
}

static int call_connect(void *state, struct mapi_error *err)
{
        return backend_local.connect(state, 2, err);
}

static int call_segment(void *state, struct mapi_error *err)
{
        size_t size;
        int fd = backend_local.segment(state, 3, &size, err);

        if (fd >= 0)
                (void)close(fd);
        return fd;
}

static int call_ring(void *state, struct mapi_error *err)
{
        struct backend_ring ring;
        int r = backend_local.ring(state, 1, 1, &ring, err);

        if (r == 0)
                (void)close(ring.fd);
        return r;
}

static int call_waiting(void *state, struct mapi_error *err)
{
        return backend_local.waiting(state, 1, 1, err);
}

static int call_event_fd(void *state, struct mapi_error *err)
{
        return backend_local.event_fd(state, 1, err);
}

static int call_trace_error(void *state, struct mapi_error *err)
{
        return backend_local.trace_error(state, 1, err);
}

static int call_file_error(void *state, struct mapi_error *err)
{
        return backend_local.file_error(state, 1, 1, err);
}

static int call_flow_info(void *state, struct mapi_error *err)
{
        mapi_flow_info_t info;

        return backend_local.flow_info(state, 1, false, &info, err);
}

static int call_function_info(void *state, struct mapi_error *err)
{
        mapi_function_info_t info;

        return backend_local.function_info(state, 1, 1, true, &info, err);
}

static int call_device_info(void *state, struct mapi_error *err)
{
        mapi_device_info_t info;

        return backend_local.device_info(state, 1, false, &info, err);
}

static int call_library_info(void *state, struct mapi_error *err)
{
        mapi_lib_info_t info;

        return backend_local.library_info(state, 0, &info, err);
}

static int call_libfunct_info(void *state, struct mapi_error *err)
{
        mapi_libfunct_info_t info;

        return backend_local.libfunct_info(state, 0, 0, &info, err);
}

static int call_stats(void *state, struct mapi_error *err)
{
        struct mapi_stat64 stat;

        return backend_local.stats(state, "eth0", &stat, err);
}

static int call_flow_stats(void *state, struct mapi_error *err)
{
        struct mapi_stat64 stat;

        return backend_local.flow_stats(state, 1, &stat, err);
}

static int call_close(void *state, struct mapi_error *err)
{
        return backend_local.close_flow(state, 2, err);
}

static const struct call calls[] = {
        { "device_known", call_known, "request 12", true, false },
        { "device_create", call_device_create, "create_device trace 1", false, false },
        { "device_start", call_device_start, "start_device dev@1", false, false },
        { "device_delete", call_device_delete, "delete_device dev@1", false, false },
        { "flow_create", call_create, "create_flow eth0 wanted 0", false, false },
        { "flow_create_private", call_private, "create_flow private trace 1 wanted 0", false, false },
        { "describe", call_describe, "describe 2 PKT_COUNTER", false, false },
        { "apply", call_apply, "apply 2 TWO_FILES(file, file) 2", false, false },
        { "connect", call_connect, "connect 2", false, false },
        { "segment", call_segment, "request 21", false, false },
        { "ring", call_ring, "request 22", false, false },
        { "waiting", call_waiting, "request 23", false, false },
        { "event_fd", call_event_fd, "event_fd 1", false, false },
        { "trace_error", call_trace_error, "request 25", false, false },
        { "file_error", call_file_error, "request 26", false, false },
        { "flow_info", call_flow_info, "request 27", false, false },
        { "function_info", call_function_info, "request 28", false, false },
        { "device_info", call_device_info, "request 29", false, false },
        { "library_info", call_library_info, "request 30", false, false },
        { "libfunct_info", call_libfunct_info, "request 31", false, false },
        { "stats", call_stats, "request 32", false, false },
        { "flow_stats", call_flow_stats, "request 33", false, false },
        { "close_flow", call_close, "close_flow 2", false, true },
        { NULL, NULL, NULL, false, false },
};

/* ---- what several tests do ------------------------------------------------------------------------------------- */

static inline uint32_t epoch_of(void *state)
{
        return atomic_load(backend_local.epoch(state));
}

/** Waits until there is another life with this number. */
static inline void await_epoch(void *state, uint32_t wanted)
{
        uint32_t now;

        while ((now = epoch_of(state)) != wanted)
                backend_local.await(state, now, -1);
}

static __attribute__((unused)) struct {
        pthread_mutex_t mutex;
        pthread_cond_t changed;
        bool go, there;
} gate = { .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static inline void gate_set(bool *what)
{
        (void)pthread_mutex_lock(&gate.mutex);
        *what = true;
        (void)pthread_cond_broadcast(&gate.changed);
        (void)pthread_mutex_unlock(&gate.mutex);
}

static inline void gate_wait(bool *what)
{
        (void)pthread_mutex_lock(&gate.mutex);
        while (!*what)
                (void)pthread_cond_wait(&gate.changed, &gate.mutex);
        *what = false;
        (void)pthread_mutex_unlock(&gate.mutex);
}

static inline void apply_file(void *state, int flow, const char *path)
{
        struct mapi_value v[3] = { { .num = 0, .fd = -1 }, { .str = "out", .fd = -1 }, { .u64 = 9, .fd = -1 } };
        struct mapi_error err;

        v[1].fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(backend_local.apply(state, flow, "TO_FILE", v, 3, &err), 1);
}

#endif
