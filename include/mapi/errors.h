/*
 * The one list of error codes: number, historic name, sentence. mapi_read_error() gives number and sentence.
 *
 * Public calls return -1 or NULL and leave the code for mapi_read_error(). Functions and drivers (function.h,
 * driver.h) return the same number negated, so that there is one list and nothing to translate.
 * Numbers up to 8999 are those of the original MAPI and never change; 9000-9099 are limits of a session,
 * 9100-9199 rights and TLS.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef MAPI_ERRORS_H
#define MAPI_ERRORS_H

#define MAPI_ERROR_LIST(X)                                                                                        \
        X(1025, PCAP_BPF_ERR, "the filter expression does not compile")                                           \
        X(1026, PCAP_OPEN_ERR, "the capture device cannot be opened")                                             \
        X(1027, PCAP_OPEN_DEAD_ERR, "no handle to compile a filter with")                                         \
        X(1100, NICDRV_PTHR_ERR, "the device's thread cannot be started")                                         \
        X(1200, COMBO6_OPEN_ERR, "the Combo6 device cannot be opened")                                            \
        X(1201, COMBO6_PTHR_ERR, "the Combo6 device's thread cannot be started")                                  \
        X(1202, COMBO6_GET_OPTION_ERR, "a Combo6 option cannot be read")                                          \
        X(1203, COMBO6_GET_STU_STATS, "Combo6 statistics cannot be read")                                         \
        X(1300, DAGDRV_OPEN_ERR, "the DAG device cannot be opened")                                               \
        X(1301, DAGDRV_PTHR_ERR, "the DAG device's thread cannot be started")                                     \
        X(1302, DAGDRV_MMAP_ERR, "the DAG device's memory cannot be mapped")                                      \
        X(1303, DAGDRV_START_ERR, "the DAG device does not start")                                                \
        X(1400, VINDRV_PTHR_ERR, "the replay device's thread cannot be started")                                  \
        X(1401, VINDRV_OFF_ERR, "the replay device cannot read offline")                                          \
        X(1402, VINDRV_DEVID_NOT_FOUND, "the replay device does not know this number")                            \
        X(1501, DRV_OFF_ERR, "the driver cannot read traces")                                                     \
        X(1600, NAPATECHDRV_PTHR_ERR, "the Napatech device's thread cannot be started")                           \
        X(1601, NAPATECHDRV_OPENCARD_ERR, "the Napatech card cannot be opened")                                   \
        X(1602, NAPATECHDRV_SHUTDOWN_FEEDS_ERR, "the Napatech feeds cannot be shut down")                         \
        X(3073, MDLIB_ERROR_NOT_FOUND, "there is no text for this error")                                         \
        X(3074, MDLIB_INVALID_FLID, "the daemon knows no such flow")                                              \
        X(3075, MDLIB_SHM_ERR, "shared memory for results cannot be allocated")                                   \
        X(3076, MDLIB_SEM_ERR, "a semaphore cannot be created")                                                   \
        X(3077, MDLIB_TMPF_ERR, "a temporary file cannot be created")                                             \
        X(3078, MDLIB_INVALID_FUNCID, "the daemon knows no such function instance")                               \
        X(3079, MDLIB_FUNCTION_NOT_FOUND, "the daemon knows no such function")                                    \
        X(3080, MDLIB_COULD_NOT_APPLY_FUNCT, "the function could not be applied")                                 \
        X(3081, MDLIB_FLOW_ALREADY_ACTIVE, "the flow is already connected")                                       \
        X(3082, MDLIB_NO_MODIFYING, "functions that modify packets are not supported")                            \
        X(3083, MDLIB_FILE_EXSISTS, "the file exists")                                                            \
        X(3084, MAPID_MEM_ALLOCATION_ERROR, "out of memory")                                                      \
        X(3139, MAPID_NOT_AUTHENTICATED, "the flow is not authenticated")                                         \
        X(3200, MAPID_NO_DRIVER, "no such device, or no driver for it")                                           \
        X(3201, MAPID_NO_FD, "the file descriptor did not arrive")                                                \
        X(3202, MAPID_NO_DEVICE, "no such offline device")                                                        \
        X(3500, MDLIB_ETH_DLINK_ERR, "the link type is not supported")                                            \
        X(3501, MDLIB_ETH_SYM_NOT_FOUND, "a symbol is missing")                                                   \
        X(3502, MDLIB_ETH_FILTER_ERR, "the display filter does not compile")                                      \
        X(3503, MDLIB_STRSEARCH_UNTERMINATED_PIPE_ERR, "the hex part of the search pattern is not closed")        \
        X(3504, MDLIB_STRSEARCH_DEPTH_LESS_THAN_PTRN_ERR, "the search depth is shorter than the pattern")         \
        X(3505, MDLIB_STRSEARCH_NOT_A_VALID_SEARCH_STRING, "the search pattern holds nothing to search for")      \
        X(5121, MCOM_UNKNOWN_ERROR, "unexpected answer from mapid")                                               \
        X(5122, MCOM_ERROR_ACK, "mapid refused the request")                                                      \
        X(5123, MCOM_SOCKET_ERROR, "the connection to mapid or to a sensor failed")                               \
        X(5124, MCOM_INIT_SOCKET_ERROR, "mapid cannot be reached")                                                \
        X(6140, MAPI_SHUTTING_DOWN, "mapid is shutting down")                                                     \
        X(6141, MAPI_INIT_ERROR, "no flow or device has been created yet")                                        \
        X(6142, MAPI_CONNECT, "the flow could not be connected")                                                  \
        X(6143, MAPI_FLOW_NOT_CONNECTED, "the flow is not connected")                                             \
        X(6144, MAPI_FUNCTION_NOT_FOUND, "no such function")                                                      \
        X(6145, MAPI_INVALID_FLOW, "no such flow")                                                                \
        X(6146, MAPI_SHM_ERR, "the function has no result to read")                                               \
        X(6147, MAPI_INVALID_FID_FUNCID, "no such flow or function")                                              \
        X(6148, MAPI_SEM_ERR, "waiting for a result failed")                                                      \
        X(6149, MAPI_FLOW_INFO_ERR, "there is no information on this flow, or no further flow")                   \
        X(6150, MAPI_FUNCTION_INFO_ERR, "there is no information on this function, or no further function")       \
        X(6151, MAPI_LIBRARY_LOAD_ERR, "a library cannot be loaded")                                              \
        X(6152, MAPI_ERROR_GETTING_LIBPATH, "the library path cannot be learnt")                                  \
        X(6153, MAPI_ERROR_GETTING_LIBS, "the list of libraries cannot be learnt")                                \
        X(6154, MAPI_ERROR_GETTING_PATH, "a path cannot be learnt")                                               \
        X(6155, MAPI_ERROR_FILE, "the file cannot be used")                                                       \
        X(6156, MAPI_ERROR_SEND_FD, "the file descriptor could not be passed on")                                 \
        X(6157, MAPI_DEVICE_INFO_ERR, "there is no information on this device, or no device name was given")      \
        X(7000, MFUNCT_INVALID_ARGUMENT, "an argument of the function is invalid")                                \
        X(7001, MFUNCT_INVALID_ARGUMENT_1, "argument 1 is invalid")                                               \
        X(7002, MFUNCT_INVALID_ARGUMENT_2, "argument 2 is invalid")                                               \
        X(7003, MFUNCT_INVALID_ARGUMENT_3, "argument 3 is invalid")                                               \
        X(7004, MFUNCT_INVALID_ARGUMENT_4, "argument 4 is invalid")                                               \
        X(7005, MFUNCT_INVALID_ARGUMENT_5, "argument 5 is invalid")                                               \
        X(7006, MFUNCT_COULD_NOT_APPLY_FUNCT, "the function cannot be applied")                                   \
        X(7007, MFUNCT_COULD_NOT_INIT_FUNCT, "the function cannot be initialised")                                \
        X(7008, MFUNCT_SEM_ERROR, "a semaphore operation failed")                                                 \
        X(7009, MFUNCT_NOT_SUPPORTED, "not supported")                                                            \
        X(7010, MFUNCT_INVALID_ARGUMENT_DESCRIPTOR, "the function declares an argument type that is unknown")     \
        X(7011, MFUNCT_INVALID_ARGUMENT_6, "argument 6 is invalid")                                               \
        X(8000, ADMCTRL_MEM_ERROR, "admission control: out of memory")                                            \
        X(8001, ADMCTRL_NO_AUTHDATA, "admission control: no credentials")                                         \
        X(8002, ADMCTRL_COMM_FAILURE, "admission control: no connection")                                         \
        X(8003, ADMCTRL_AUTH_FAILED, "admission control: access denied")                                          \
        X(8004, MAPI_STATS_ERROR, "no statistics: the device is not in use")                                      \
        X(9000, MAPI_LIMIT_ERROR, "a limit of this session is reached")                                           \
        X(9001, MAPI_RING_LIMIT_ERROR, "another flow's packet ring is full and may not grow further")             \
        X(9002, MAPI_TRACE_DAMAGED, "the trace is damaged; everything before the damage was delivered")           \
        X(9003, MAPI_SESSION_ERROR, "there is no such session")                                                   \
        X(9004, MAPI_CANCELLED, "the request was cancelled")                                                      \
        X(9005, MAPI_CONFIG_ERROR, "the configuration is wrong")                                                  \
        X(9006, MAPI_RESULTS_LOST, "results came faster than they were read, and some were lost")                 \
        X(9100, MAPI_PRIVILEGES_ERROR, "privileges could not be given up")

enum mapi_error_code {
        MAPI_NO_ERROR = 0,
#define MAPI_ERROR_ENUM_(code, name, sentence) name = code,
        MAPI_ERROR_LIST(MAPI_ERROR_ENUM_)
#undef MAPI_ERROR_ENUM_
                MAPI_ERROR_CODE_MAX_ = 65535
};

#endif
