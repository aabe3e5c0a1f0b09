/* The calls of struct backend that a host serves; their state is a struct host_session. SPDX-License-Identifier: BSD-2-Clause */
#ifndef HOST_CALLS_H
#define HOST_CALLS_H

#include "backend/backend.h"

int host_device_create(void *state, const struct backend_source *source, char *ret_name, struct mapi_error *err);
int host_device_start(void *state, const char *name, struct mapi_error *err);
int host_device_delete(void *state, const char *name, struct mapi_error *err);
bool host_device_known(void *state, const char *name);
int host_flow_create(void *state, const char *device, struct mapi_error *err);
int host_flow_create_private(void *state, const struct backend_source *source, struct mapi_error *err);
int host_close_flow(void *state, int fd, struct mapi_error *err);
int host_flow_info(void *state, int fd, bool next, mapi_flow_info_t *ret, struct mapi_error *err);
int host_function_info(void *state, int fd, int fid, bool next, mapi_function_info_t *ret, struct mapi_error *err);
int host_device_info(void *state, int id, bool next, mapi_device_info_t *ret, struct mapi_error *err);
int host_library_info(void *state, int library, mapi_lib_info_t *ret, struct mapi_error *err);
int host_libfunct_info(void *state, int library, int number, mapi_libfunct_info_t *ret, struct mapi_error *err);
int host_stats(void *state, const char *device, struct mapi_stat64 *ret, struct mapi_error *err);
int host_flow_stats(void *state, int fd, struct mapi_stat64 *ret, struct mapi_error *err);
int host_describe(void *state, int fd, const char *name, struct backend_function *ret, struct mapi_error *err);
int host_apply(void *state, int fd, const char *name, const struct mapi_value *values, unsigned n,
               struct mapi_error *err);
int host_connect(void *state, int fd, struct mapi_error *err);
int host_place(void *state, int fd, unsigned i, struct backend_place *ret, struct mapi_error *err);
int host_status_place(void *state, int fd, struct backend_place *ret, struct mapi_error *err);
int host_segment(void *state, uint32_t segment, size_t *ret_size, struct mapi_error *err);
int host_ring(void *state, int fd, int fid, struct backend_ring *ret, struct mapi_error *err);
int host_waiting(void *state, int fd, int fid, struct mapi_error *err);
void host_kick_flow(void *state, int fd);
int host_trace_error(void *state, int fd, struct mapi_error *err);
int host_file_error(void *state, int fd, int fid, struct mapi_error *err);
int host_event_fd(void *state, int fd, struct mapi_error *err);

/** The entries of a table of struct backend that are served here. */
#define HOST_CALLS                                                                                                \
        .device_create = host_device_create, .device_start = host_device_start,                                   \
        .device_delete = host_device_delete, .device_known = host_device_known, .flow_create = host_flow_create,  \
        .flow_create_private = host_flow_create_private, .describe = host_describe, .apply = host_apply,          \
        .connect = host_connect, .close_flow = host_close_flow, .place = host_place,                              \
        .status_place = host_status_place, .segment = host_segment, .ring = host_ring, .waiting = host_waiting,   \
        .kick = host_kick_flow, .trace_error = host_trace_error, .file_error = host_file_error,                   \
        .flow_info = host_flow_info, .function_info = host_function_info, .device_info = host_device_info,        \
        .library_info = host_library_info, .libfunct_info = host_libfunct_info, .stats = host_stats,              \
        .flow_stats = host_flow_stats, .event_fd = host_event_fd

#endif
