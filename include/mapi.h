/*
 * MAPI, the Monitoring API: flows on network devices, functions applied to them, results read from them.
 * mapi(3) is the manual; mapi_stdflib(3) describes the functions.
 *
 * Works in C (gnu89 to C17) and C++. All calls may be used from any thread; two threads may use different flows,
 * or read different functions of one flow, at the same time. Errors: -1 or NULL, then mapi_read_error().
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef MAPI_H
#define MAPI_H

#include <sys/types.h>
#include <sys/ipc.h>
#include <syslog.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __GNUC__
#pragma GCC visibility push(default) /* the libraries are compiled with hidden names */
#endif

#ifndef TRUE
#define TRUE 1
#endif
#ifndef FALSE
#define FALSE 0
#endif
#ifndef MAPI_UNUSED
#if defined(__GNUC__)
#define MAPI_UNUSED __attribute__((__unused__))
#else
#define MAPI_UNUSED
#endif
#endif

#define MAPI_STR_LENGTH 256      /* bytes of most strings in the structs below, with the final 0 */
#define MAPI_ERRORSTR_LENGTH 512 /* bytes that mapi_read_error() may write, with the final 0 */
#ifndef DEFAULT_DIMAPI_PORT
#define DEFAULT_DIMAPI_PORT 2233
#endif

#define MFF_PCAP_STR "MFF_PCAP"
#define MFF_DAG_ERF_STR "MFF_DAG_ERF"
#define MFF_NAPATECH_STR "MFF_NAPATECH"

typedef int boolean_t;
typedef unsigned char mapiFunctArg;

/** Formats of trace files. Reading with MFF_PCAP or MFF_RAW takes whatever the file is: pcap, pcapng or ERF. */
enum mapi_file_formats { MFF_PCAP = 0, MFF_RAW = 1, MFF_DAG_ERF = 2, MFF_COMBO6 = 3, MFF_NAPATECH = 4 };

/** Third argument of an older mapi_read_results(); unused. */
enum mapi_read_result_method { MAPI_COPY = 0, MAPI_REF = 1 };

#ifndef CLIENT_SIDE
/** COOKING: the side whose received data is wanted. */
enum cooking_direction { CLIENT_SIDE = 1, SERVER_SIDE = 2, BOTH_SIDE = 3 };
#endif

#ifndef WAIT
/** TO_BUFFER: what mapi_get_next_pkt() does while there is no packet. */
enum toba_flg { WAIT = 0, NOWAIT = 1 };
#endif

typedef enum mapi_offline_device_status {
        DEVICE_ONLINE = 0,
        DEVICE_SETUP = 1,
        DEVICE_READING = 2,
        DEVICE_FINISHED = 3,
        DEVICE_DELETED = 4
} mapi_offline_device_status_t;

/** A flow is INIT until mapi_connect(), then ACTIVE; FINISHED when its trace has been read to the end. */
enum mapi_flow_status { FLOW_INIT = 0, FLOW_ACTIVE = 1, FLOW_FINISHED = 2, FLOW_CLOSED = 3 };

typedef struct mapi_flow_info {
        uid_t uid;                    /* owner */
        int fd;                       /* flow descriptor */
        int devid;                    /* device under the flow; negative: an offline device */
        char device[MAPI_STR_LENGTH]; /* its name */
        unsigned num_functions;       /* functions applied */
        time_t start;                 /* when it was connected, 0 before */
        time_t end;                   /* when its trace ended, 0 before */
        enum mapi_flow_status status;
} mapi_flow_info_t;

typedef struct mapi_function_info {
        int fid;
        char name[MAPI_STR_LENGTH];     /* PKT_COUNTER */
        char libname[MAPI_STR_LENGTH];  /* stdflib */
        char devtype[MAPI_STR_LENGTH];  /* device type of this implementation: "1" is any */
        unsigned long long pkts;        /* packets given to it; 0 unless built with function statistics */
        unsigned long long passed_pkts; /* packets it let through; likewise */
        int result_size;                /* bytes of its result */
} mapi_function_info_t;

/** A packet. The frame starts, link header first, at pkt and continues behind the struct for caplen bytes. */
struct mapipkt {
        unsigned long long ts;  /* seconds since 1970 in the upper, 2^-32 s in the lower 32 bits */
        unsigned short ifindex; /* capture interface */
        unsigned caplen;        /* bytes captured */
        unsigned wlen;          /* bytes on the wire */
        unsigned char pkt;      /* the first byte */
};

typedef struct mapi_results {
        void *res;             /* the function's result; its layout is the function's */
        unsigned long long ts; /* when it was read: microseconds since 1970 */
        int size;              /* bytes at res */
} mapi_results_t;

typedef struct mapi_device_info {
        int id;
        char device[MAPI_STR_LENGTH]; /* what mapi_create_flow() takes */
        char name[MAPI_STR_LENGTH];   /* the driver */
        char alias[MAPI_STR_LENGTH];
        char description[1024];
        int link_speed; /* Mbit/s, 0 unknown */
        int mpls;
        int vlan;
} mapi_device_info_t;

typedef struct mapi_lib_info {
        int id;
        char libname[MAPI_STR_LENGTH];
        unsigned functs; /* how many functions it has */
} mapi_lib_info_t;

typedef struct mapi_libfunct_info {
        char name[MAPI_STR_LENGTH];
        char descr[1024];
        char argdescr[MAPI_STR_LENGTH]; /* one letter for each argument */
        char devtype[MAPI_STR_LENGTH];
} mapi_libfunct_info_t;

/** Packets of a device since it was opened. 32 bits wide for history's sake: they wrap. */
struct mapi_stat {
        unsigned ps_recv;               /* received */
        unsigned ps_drop;               /* lost before we could look at them */
        unsigned ps_ifdrop;             /* lost by the interface */
        char hostname[MAPI_STR_LENGTH]; /* sensor, "localhost" for this machine */
        char dev[MAPI_STR_LENGTH];
};

/**
 * What became of every packet, in 64 bits: of a device since it was opened, or of a flow since it was connected.
 * seen = delivered + filtered + the sum of all dropped_..., exactly.
 */
struct mapi_stat64 {
        unsigned long long seen;              /* by the device, or by the device while the flow was connected */
        unsigned long long delivered;         /* device: handed to the flows. Flow: passed all its functions */
        unsigned long long filtered;          /* flow: a function did not let them through. Device: 0 */
        unsigned long long dropped_interface; /* lost by the interface */
        unsigned long long dropped_kernel;    /* lost in front of the engine: the capture ring was full */
        unsigned long long dropped_ring;      /* flow: its TO_BUFFER ring was full */
        unsigned long long dropped_file;     /* flow: the queue of its file was full, or writing the file failed */
        unsigned long long dropped_other[5]; /* 0; for reasons to come */
        int down;                       /* 1: the device delivers nothing at present (interface down or gone) */
        char hostname[MAPI_STR_LENGTH]; /* sensor, "localhost" for this machine */
        char dev[MAPI_STR_LENGTH];
};

typedef void (*mapi_handler)(const struct mapipkt *);

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

/**
 * Creates a flow on a device, a trace file (its own private device) or a scope of remote sensors.
 * Returns  a descriptor > 0, or -1: 6157 no name, 3200 no such device, 6155 unreadable trace, 5124 no mapid
 * Blocks   for a trace: until its head has been read
 */
int mapi_create_flow(const char *dev);

/**
 * Registers a trace as a device that several flows can share; it is read from mapi_start_offline_device() on.
 * Returns  its name, to be given to mapi_create_flow(); owned by the caller until mapi_delete_offline_device()
 *          frees it. NULL: 6155 the file cannot be used, 3200 unknown format
 */
char *mapi_create_offline_device(const char *path, int format);

/** Starts reading. Flows connected before see every packet. 0 or -1: 3202 no such device. */
int mapi_start_offline_device(const char *dev);

/** Ends the device and frees the string, which must be the one that was returned. 0 or -1: 3202. */
int mapi_delete_offline_device(char *dev);

/** A flow with a private trace: mapi_connect() starts it, mapi_close_flow() ends it. Errors as for the device. */
int mapi_create_offline_flow(const char *path, int format);

/**
 * Appends a function to a flow that is not connected yet. Missing arguments take their defaults, surplus ones are
 * ignored. In C and C++ this name is wrapped below so that count and types of the arguments are known; called through a
 * pointer or with MAPI_NO_ARG_TAGS defined it must be given every declared argument with its declared type.
 * Returns  a function id > 0, or -1: 6141 6147 7006 6145 6144 70xx and what the function says
 * Blocks   BPF_FILTER may ask the name service
 */
int mapi_apply_function(int fd, const char *funct, ...);

/** The same with one type tag of 4 bits for each argument; written by the macro below. */
int mapi_apply_function_tagged(int fd, unsigned long long tags, const char *funct, ...);

/** The same with all arguments as strings; numbers in decimal. args may be NULL if nargs is 0. */
int mapi_apply_function_array(int fd, const char *funct, char **args, unsigned nargs);

/** Starts the flow: packets that arrive after the return are seen. 0 or -1: 6141 6145 3081. */
int mapi_connect(int fd);

/**
 * The next packet of a TO_BUFFER function.
 * Result   in the flow's ring, writable; valid until the next call for the same fid or mapi_close_flow()
 * Returns  NULL with error 0: the trace is over, or NOWAIT and no packet. NULL otherwise: 6141 6147 6145 6143,
 *          9001 waiting would never end because another ring of the same trace is full, 9002 the trace is damaged
 * Blocks   until a packet comes, unless NOWAIT. Signals do not end it.
 */
struct mapipkt *mapi_get_next_pkt(int fd, int fid);

/** Calls `callback` for each of the next cnt packets, cnt <= 0: until the trace is over.
 *  Returns 0, or -1: as mapi_get_next_pkt(), 7004 no callback. */
int mapi_loop(int fd, int fid, int cnt, mapi_handler callback);

/**
 * Reads the newest result of a function.
 * Result   owned by the library, one struct for each sensor of the scope; overwritten by the next read of the same fid,
 *          freed by mapi_close_flow()
 * Returns  NULL: 6141 6145 (also fd or fid <= 0) 6143 6147 no such function, 6146 the function has no result
 * Blocks   only for results that come one by one from a queue: each call takes the next one; NULL with error 0 when none will come.
 *          If some were lost before they were read, 9006 is left with the next one
 */
mapi_results_t *mapi_read_results(int fd, int fid);

/** Ends a flow and frees all it had; its files are complete on return. 0 or -1: 6141 6145, 6155 a file is not complete
 *  (the flow is closed all the same). May be called from a signal handler. */
int mapi_close_flow(int fd);

/** Fetches and clears the calling thread's last error. errorstr: MAPI_ERRORSTR_LENGTH bytes. Either may be NULL;
 *  -1 if both are. Code 0 and an empty text if there was none. */
int mapi_read_error(int *err_no, char *errorstr);

/** Information. "next" gives the entry with the smallest id above the one named. 0 or -1. */
int mapi_get_device_info(int devid, mapi_device_info_t *info);
int mapi_get_next_device_info(int devid, mapi_device_info_t *info);
int mapi_get_library_info(int libnum, mapi_lib_info_t *info);
int mapi_get_next_library_info(int libnum, mapi_lib_info_t *info);
int mapi_get_libfunct_info(int libnum, int fnum, mapi_libfunct_info_t *info);
int mapi_get_next_libfunct_info(int libnum, int fnum, mapi_libfunct_info_t *info);
int mapi_get_libfunct_next_info(int libnum, int fnum, mapi_libfunct_info_t *info); /* the tutorial's name */
int mapi_get_flow_info(int fd, mapi_flow_info_t *info);
int mapi_get_next_flow_info(int fd, mapi_flow_info_t *info);
int mapi_get_function_info(int fd, int fid, mapi_function_info_t *info);
int mapi_get_next_function_info(int fd, int fid, mapi_function_info_t *info);

/** Statistics of a device in use. Returns the number of entries filled (1, or the scope's size) or -1: 6157 7002 3200 8004. */
int mapi_stats(const char *dev, struct mapi_stat *stats);

/** The same in 64 bits, and where every packet went. */
int mapi_stats64(const char *dev, struct mapi_stat64 *stats);

/** What became of the packets of a flow, one's own or another program's, since it was connected. Returns the number of entries filled (1, or the scope's
 *  size) or -1: 6141 6145 6143 7002. */
int mapi_flow_stats64(int fd, struct mapi_stat64 *stats);

/**
 * A descriptor for poll, select or epoll: readable when the flow may have something to read (a packet, the end of its trace) or
 * mapid has gone. Read until NULL, then poll: one wake-up may stand for many packets.
 * Owned by the library; ends with mapi_close_flow(). Do not read it yourself.
 * Returns  the descriptor or -1: 6141 6145 6143 9000
 */
int mapi_get_event_fd(int fd);

/**
 * on not 0: calls that wait for packets or queues return NULL with error 0 instead when there is nothing yet, and NULL with
 * error 5123 while mapid is away. 0: they wait again (the default; TO_BUFFER's own NOWAIT stays in force). 0 or -1: 6141 6145.
 */
int mapi_set_nonblocking(int fd, int on);

/**
 * Opens a further session: a connection to mapid of its own, with its own limits. path: the socket of mapid, or NULL: where
 * this program would look for it. Flows belong to the session in which they were created.
 * Returns  a number > 0, or -1: 5124 9000
 */
int mapi_session_open(const char *path);

/** The session in which the calling thread creates devices and flows and asks for information from now on; 0: the program's own.
 *  Returns the one that it used until now, or -1: 9003 no such session. */
int mapi_session_use(int session);

/** Closes a session with all its flows. 0 or -1: 9003. */
int mapi_session_close(int session);

/** Sensors of a flow: 1 for a local one. -1: 6145. */
int mapi_get_scope_size(int fd);

/** 1 for a remote flow, 0 for a local one. -1: 6145. */
int mapi_is_remote(int fd);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif

#if !defined(MAPI_NO_ARG_TAGS) && !defined(MAPI_NO_ARG_PADDING)

/* One tag for each argument, 4 bits, first argument lowest: 0 none, 1 int, 2 unsigned, 3 long, 4 unsigned long,
 * 5 long long, 6 unsigned long long, 7 double, 8 pointer to characters, 9 other pointer, 10 long double. */

#if !defined(__cplusplus) && defined(__GNUC__)

struct mapi_no_arg_;
#define MAPI_TAG_(a)                                                                                              \
        _Generic((a), struct mapi_no_arg_ * : 0ULL, _Bool : 1ULL, char : 1ULL, signed char : 1ULL,                \
                 unsigned char : 1ULL, short : 1ULL, unsigned short : 1ULL, int : 1ULL, unsigned : 2ULL,          \
                 long : 3ULL, unsigned long : 4ULL, long long : 5ULL, unsigned long long : 6ULL, float : 7ULL,    \
                 double : 7ULL, long double : 10ULL, char * : 8ULL, const char * : 8ULL, unsigned char * : 8ULL,  \
                 const unsigned char * : 8ULL, signed char * : 8ULL, const signed char * : 8ULL, default : 9ULL)
#define MAPI_NO_ARG_ ((struct mapi_no_arg_ *)0)
#define MAPI_TAGS_(name, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ...)                                     \
        (__extension__(MAPI_TAG_(a) | MAPI_TAG_(b) << 4 | MAPI_TAG_(c) << 8 | MAPI_TAG_(d) << 12 |                \
                       MAPI_TAG_(e) << 16 | MAPI_TAG_(f) << 20 | MAPI_TAG_(g) << 24 | MAPI_TAG_(h) << 28 |        \
                       MAPI_TAG_(i) << 32 | MAPI_TAG_(j) << 36 | MAPI_TAG_(k) << 40 | MAPI_TAG_(l) << 44 |        \
                       MAPI_TAG_(m) << 48 | MAPI_TAG_(n) << 52 | MAPI_TAG_(o) << 56 | MAPI_TAG_(p) << 60))
#define MAPI_TAGS_OF_(...)                                                                                        \
        MAPI_TAGS_(__VA_ARGS__, MAPI_NO_ARG_, MAPI_NO_ARG_, MAPI_NO_ARG_, MAPI_NO_ARG_, MAPI_NO_ARG_,             \
                   MAPI_NO_ARG_, MAPI_NO_ARG_, MAPI_NO_ARG_, MAPI_NO_ARG_, MAPI_NO_ARG_, MAPI_NO_ARG_,            \
                   MAPI_NO_ARG_, MAPI_NO_ARG_, MAPI_NO_ARG_, MAPI_NO_ARG_, MAPI_NO_ARG_, MAPI_NO_ARG_)
#define mapi_apply_function(fd, ...) mapi_apply_function_tagged((fd), MAPI_TAGS_OF_(__VA_ARGS__), __VA_ARGS__)

#elif defined(__cplusplus) && __cplusplus >= 201103L

namespace mapi_detail
{
template <class T> struct tag {
        static constexpr unsigned long long value = 1;
};
template <> struct tag<unsigned> {
        static constexpr unsigned long long value = 2;
};
template <> struct tag<long> {
        static constexpr unsigned long long value = 3;
};
template <> struct tag<unsigned long> {
        static constexpr unsigned long long value = 4;
};
template <> struct tag<long long> {
        static constexpr unsigned long long value = 5;
};
template <> struct tag<unsigned long long> {
        static constexpr unsigned long long value = 6;
};
template <> struct tag<float> {
        static constexpr unsigned long long value = 7;
};
template <> struct tag<double> {
        static constexpr unsigned long long value = 7;
};
template <> struct tag<long double> {
        static constexpr unsigned long long value = 10;
};
template <> struct tag<decltype(nullptr)> {
        static constexpr unsigned long long value = 9;
};
template <class T> struct tag<T *> {
        static constexpr unsigned long long value = 9;
};
template <> struct tag<char *> {
        static constexpr unsigned long long value = 8;
};
template <> struct tag<const char *> {
        static constexpr unsigned long long value = 8;
};
template <> struct tag<unsigned char *> {
        static constexpr unsigned long long value = 8;
};
template <> struct tag<const unsigned char *> {
        static constexpr unsigned long long value = 8;
};
template <class... A> struct all;
template <> struct all<> {
        static constexpr unsigned long long at(unsigned)
        {
                return 0;
        }
};
template <class T, class... R> struct all<T, R...> {
        static constexpr unsigned long long at(unsigned shift)
        {
                return shift > 60 ? 0 : (tag<T>::value << shift) | all<R...>::at(shift + 4);
        }
};
} // namespace mapi_detail

template <class... A> inline int mapi_apply_(int fd, const char *funct, A... args)
{
        return mapi_apply_function_tagged(fd, mapi_detail::all<A...>::at(0), funct, args...);
}
/* Not an overload: without arguments that would be the plain function, which wants all declared ones. */
#define mapi_apply_function(fd, ...) mapi_apply_((fd), __VA_ARGS__)

#endif
#endif
#endif
