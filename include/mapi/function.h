/*
 * How a function is written: one descriptor, one file. docs/adding-a-function.md tells it step by step.
 *
 * A function lives as instances: one for each time that a program applies it to a flow. The graph calls the
 * hooks of an instance from one thread at a time; .start, .reset and .stop come from the control thread while no
 * packet is under way for this instance, .run, .tick and .finish from the worker. State is per instance, never static.
 * .run never blocks, allocates, locks, logs or calls the kernel.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef MAPI_FUNCTION_H
#define MAPI_FUNCTION_H

#include <mapi/errors.h>
#include <mapi/packet.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __GNUC__
#pragma GCC visibility push(default) /* the libraries are compiled with hidden names */
#endif

/** Version of everything in this file. 0: may change until the first release. */
#define MAPI_FUNCTION_ABI 0

#define MAPI_ARGS_MAX 16
#define MAPI_REFS_MAX 64

#pragma GCC visibility push(default)

struct mapi_fn;

/** Why something failed: code of <mapi/errors.h> and a sentence. Filled by mapi_fail(). */
struct mapi_error {
        int code;
        char text[512];
};

/**
 * Stores code and sentence (printf-style; the detail only, the list's sentence is put in front of it).
 * err      may be NULL
 * Returns  -code, so that a function can end with `return mapi_fail(err, 7001, "...");`
 */
int mapi_fail(struct mapi_error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* ---- arguments ---------------------------------------------------------------------------------------- */

/**
 * One argument of the schema. Letters: s string, i int, c character, l unsigned 64 bit, w file to be written (the
 * client opens it and the function gets the descriptor), r flow, f function inside the preceding r, S list of functions
 * ("fid@fd,fid@fd"), R list of flows ("fd,fd"). A pair of r and f names a function whose result is one number; a list
 * may name any whose result can be read again and again (mapi_ref_count()). They are flows of the same session on the same device; if
 * something else is named, applying fails with the code of the position of r, S or R, after the ranges have been checked.
 * An integer argument with min < max is checked: outside of it, applying fails with the code of its position.
 */
struct mapi_arg_spec {
        char letter;
        char optional; /* 1: may be missing; then def (numbers) or NULL (strings) */
        const char *name;
        const char *help;
        long long def;
        long long min, max;
};

/** One argument as .start finds it in fn->arg[]; strings live as long as the instance. */
struct mapi_value {
        const char *str;        /* s, S, R and w (the path, for messages); NULL if none was given */
        long long num;          /* i, c, r, f */
        unsigned long long u64; /* l */
        int fd;                 /* w: descriptor, owned by the engine, open until .stop has returned */
};

/* ---- results ------------------------------------------------------------------------------------------ */

enum mapi_result_kind {
        MAPI_RESULT_NONE = 0,
        MAPI_RESULT_COUNTER, /* one unsigned word of 4 or 8 bytes */
        MAPI_RESULT_RECORD,  /* a struct of fixed size, read as a whole */
        MAPI_RESULT_PACKETS, /* a packet ring, read by mapi_get_next_pkt() */
        MAPI_RESULT_QUEUE /* structs of fixed size, put with mapi_queue_put(); each mapi_read_results() takes one, and waits for it */
};

/** How the results of several workers become one. */
enum mapi_combine {
        MAPI_COMBINE_SUM = 0,
        MAPI_COMBINE_MAX,
        MAPI_COMBINE_LATEST, /* that of the worker that wrote last, by packet time */
        MAPI_COMBINE_SERIAL  /* there is one only: the function runs on the device's lane */
};

/** A full queue, because its reader is slow or reads nothing. Its reader learns how many it has lost. */
enum mapi_overrun {
        MAPI_OVERRUN_OLDEST = 0, /* the oldest is overwritten */
        MAPI_OVERRUN_NEWEST      /* the new one is lost */
};

struct mapi_result_spec {
        enum mapi_result_kind kind;
        uint32_t size; /* bytes; 0 for a counter means 8. A record may have 0: then .start sets fn->result_size */
        const char *unit;
        enum mapi_combine combine;
        uint32_t depth; /* queues: how many structs are kept for the reader on a live device; a trace keeps more */
        enum mapi_overrun full; /* queues: what becomes of the one too many */
};

/**
 * Where a result is written: one per instance and worker, in memory that clients map read-only.
 * seq is odd while a record is being written. Counters are one word and need no sequence.
 */
struct mapi_slot {
        uint64_t seq;
        uint64_t base;  /* value at the last reset, taken off by the reader; counters of kind SUM only */
        uint64_t stamp; /* packet time of the last write; LATEST only */
        uint64_t unused;
        uint64_t data[]; /* result_size bytes */
};

/* ---- the instance ------------------------------------------------------------------------------------- */

struct mapi_function;

/** What is known about the device when a flow is built on it. */
struct mapi_device_facts {
        uint16_t linktype;   /* DLT_ value, of the first interface if there are several */
        uint32_t snaplen;    /* most bytes captured of a packet, at most MAPI_CAPLEN_MAX */
        int offline;         /* 1: a trace; full rings and sinks make it wait */
        uint32_t link_speed; /* Mbit/s, 0 unknown */
};

/** The public part of an instance. Functions read it and set .state (and in .start .needs and .result_size). */
struct mapi_fn {
        void *state;            /* the function's own, from mapi_fn_alloc() */
        struct mapi_slot *slot; /* where the result goes; in .start only if the descriptor fixes its size */
        const struct mapi_function *def;
        const struct mapi_value *arg; /* as many as the schema has, converted and defaulted */
        const struct mapi_device_facts *device;
        uint32_t needs; /* enum mapi_need */
        uint32_t result_size;
        uint32_t
                ahead; /* 1, set in .start: sees each packet before the functions that it reads do. For readers that do something
                           between two packets: what they read then is what the earlier packets made of it. They must let everything pass. */
        uint32_t emit_caplen; /* transformers: most bytes of one emitted packet; set in .start */
        uint32_t emit_count;  /* transformers: most packets emitted for one packet, and by one .tick or .finish */
};

/* ---- the descriptor ----------------------------------------------------------------------------------- */

/** The five shapes. */
enum mapi_shape {
        MAPI_PREDICATE =
                1, /* no .run: .start hands over a filter or patterns, the graph decides how to evaluate them */
        MAPI_OBSERVER,    /* selection in, selection out: counters and filters with code of their own */
        MAPI_TRANSFORMER, /* takes the selected packets, emits others for the rest of its own flow */
        MAPI_READER,      /* an observer that reads results of other functions, packet by packet */
        MAPI_SINK         /* an observer that writes bytes to a descriptor through a bounded queue */
};

enum mapi_trait {
        MAPI_FILTERS = 1,  /* .run may return fewer packets than it got */
        MAPI_PURE = 2,     /* same arguments, same packet: same verdict; may be run once for several flows.
                              Its results, if any, do not depend on packets before the latest. */
        MAPI_MODIFIES = 4, /* .run writes into the packets: the graph makes a private copy for this flow first */
        MAPI_KEEPS = 8,    /* copies packets: needs their bytes, not only their headers */
        MAPI_SERIAL = 16   /* its outcome depends on the order of all packets */
};

/** Why .finish is called. */
enum mapi_finish {
        MAPI_FINISH_END = 1,  /* the trace is over */
        MAPI_FINISH_CLOSE = 2 /* the flow is being closed before the end */
};

/** Bytes of queue space that one packet takes in a ring or sink: fixed, plus its caplen if with_bytes. */
struct mapi_room {
        uint32_t per_packet;
        uint32_t with_bytes;
};

struct mapi_function {
        unsigned abi;                     /* MAPI_FUNCTION_ABI */
        const char *name;                 /* upper case, as programs write it */
        const char *help;                 /* one sentence */
        const struct mapi_arg_spec *args; /* ends with letter 0; NULL: no arguments */
        struct mapi_result_spec result;
        enum mapi_shape shape;
        unsigned traits;
        unsigned needs;        /* enum mapi_need */
        struct mapi_room room; /* sinks and TO_BUFFER */

        /** Checks arguments, allocates. Returns 0 or mapi_fail(...). */
        int (*start)(struct mapi_fn *fn, struct mapi_error *err);

        /**
         * The packets of a batch: returns those that pass. Only `in` may be looked at.
         * With a packet ring or a sink all packets pass, and .run returns those that found room there (or had nothing to be
         * written): the others are counted as drops of the flow. Such a function can neither filter nor change packets.
         */
        mapi_sel (*run)(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in);

        /** Time has come to `now` (32.32) without a packet. */
        void (*tick)(struct mapi_fn *fn, uint64_t now);

        /** No more packets will come. A transformer emits what it holds; returns 1 to be called again (more to emit). */
        int (*finish)(struct mapi_fn *fn, enum mapi_finish why);

        /** Starts the result anew. NULL: cannot be reset (counters need none: the base is moved). */
        void (*reset)(struct mapi_fn *fn);

        /** Frees what mapi_fn_alloc() did not provide. NULL-safe against a half-done .start. */
        void (*stop)(struct mapi_fn *fn);

        /** Sinks: from the writer thread, after `written` bytes have reached the file; error is an errno value or 0. */
        void (*drained)(struct mapi_fn *fn, uint64_t written, int error);
};

/* ---- what the engine offers to functions (libmapi-engine) ------------------------------------------------ */

/** Zeroed memory that lives as long as the instance; 16-byte aligned. NULL: no memory (the session's limit included).
 *  Only from .start. */
void *mapi_fn_alloc(struct mapi_fn *fn, size_t size);

/** Predicates: the packets that this tcpdump expression matches. Errors 1025, 1027. Only from .start. */
int mapi_predicate_bpf(struct mapi_fn *fn, const char *expression, struct mapi_error *err);

struct mapi_literal {
        const uint8_t *bytes;
        size_t len;
};

/**
 * Predicates: packets in which one of the literals lies wholly inside the window that starts `offset` bytes into the
 * frame and is `depth` bytes long (0: to the end of the captured bytes). The literals are copied. Only from .start.
 */
int mapi_predicate_literals(struct mapi_fn *fn, const struct mapi_literal *lit, size_t n, uint32_t offset,
                            uint32_t depth, struct mapi_error *err);

/**
 * Transformers: room for one packet of caplen bytes (at most fn->emit_caplen) to fill in. The view's time stamp, wire
 * length and link type are those of `like` if it is not NULL. The caller writes caplen bytes to the returned place.
 * Returns NULL when more is emitted than the function declared: that packet is dropped and counted.
 */
uint8_t *mapi_emit(struct mapi_fn *fn, const struct mapi_view *like, uint32_t caplen, uint32_t wirelen,
                   uint64_t ts);

/**
 * Readers: how many functions this one refers to (its r/f pairs and S lists, in their order), what function that is,
 * and the newest value of one: with this packet, if its flow has a lower number or it stands in front. A function whose flow was closed stands still.
 */
unsigned mapi_ref_count(const struct mapi_fn *fn);
const struct mapi_function *mapi_ref_function(const struct mapi_fn *fn, unsigned i);
/** The newest result of one as bytes: copies at most size bytes. Returns the bytes that there are. From .start: only how many. */
size_t mapi_ref_read(const struct mapi_fn *fn, unsigned i, void *to, size_t size);
uint64_t mapi_ref_u64(const struct mapi_fn *fn, unsigned i);
/**
 * The same value as it was before any function had the current packet: what an interval ends with when this packet opens
 * the next one, wherever reader and target stand in their flows. In .tick and .finish the same as mapi_ref_u64().
 */
uint64_t mapi_ref_before(const struct mapi_fn *fn, unsigned i);
/** Starts the referred result anew, if it can be, from before the current packet on: what this packet adds counts into
 *  the new value, and mapi_ref_before() is 0 then. */
void mapi_ref_reset(struct mapi_fn *fn, unsigned i);

/** How many flows this one refers to (its R lists), and whether one of them has begun: is connected, or was. Only .run may ask. */
unsigned mapi_ref_flow_count(const struct mapi_fn *fn);
int mapi_ref_flow_begun(const struct mapi_fn *fn, unsigned i);

/** MAPI_RESULT_QUEUE: appends one struct of fn->result_size bytes. Returns 0 if it was lost. A function whose .start has set
 *  fn->result_size to 0 has no queue. */
int mapi_queue_put(struct mapi_fn *fn, const void *record);

/** Sinks: opens the queue to fn->arg[arg].fd. Only from .start. */
int mapi_sink_open(struct mapi_fn *fn, unsigned arg, struct mapi_error *err);
/** Sinks: appends one record of n bytes in up to two parts, whole or not at all. Returns 0 when there was no room, or the
 *  file has failed: .run does not return that packet, and it is a drop of this flow. The record is the unit that is never torn in the file. */
int mapi_sink_put(struct mapi_fn *fn, const void *a, size_t na, const void *b, size_t nb);
/** Sinks: bytes put so far, what .drained compares with. */
uint64_t mapi_sink_total(const struct mapi_fn *fn);

/** TO_BUFFER: appends packets to the instance's ring in the layout of struct mapipkt. Returns those that found room. */
mapi_sel mapi_ring_put(struct mapi_fn *fn, const struct mapi_batch *b, mapi_sel in);

/** Random bits, seeded per instance; the same seed (engine option) gives the same sequence. */
uint64_t mapi_random(struct mapi_fn *fn);

/** The strict time-string parser: [+]number[unit], units s ms us m, none = raw. See mapi_stdflib(3). 0 or -7000. */
int mapi_parse_time(const char *text, uint64_t *ret_ts);
/** The strict parser of absolute times: "YYYY-mm-dd HH:MM:SS", local time of this process. 0 or -7000. */
int mapi_parse_moment(const char *text, uint64_t *ret_ts);

#pragma GCC visibility pop

/* ---- writing results, from .run, .tick, .finish, .reset --------------------------------------------------- */

/** Adds to a counter. One writer per word; readers see whole values. */
static inline void mapi_result_add(struct mapi_fn *fn, uint64_t n)
{
        uint64_t *word = fn->slot->data;

        __atomic_store_n(word, __atomic_load_n(word, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

/** Sets a counter. */
static inline void mapi_result_set(struct mapi_fn *fn, uint64_t value)
{
        __atomic_store_n(fn->slot->data, value, __ATOMIC_RELAXED);
}

/** Sets a counter of 4 bytes (result.size 4). */
static inline void mapi_result_set32(struct mapi_fn *fn, uint32_t value)
{
        __atomic_store_n((uint32_t *)(void *)fn->slot->data, value, __ATOMIC_RELAXED);
}

/** MAPI_COMBINE_LATEST: the packet time of what was just set. */
static inline void mapi_result_stamp(struct mapi_fn *fn, uint64_t ts)
{
        __atomic_store_n(&fn->slot->stamp, ts, __ATOMIC_RELAXED);
}

/** Opens a record for writing: fill the returned result_size bytes, then call mapi_result_end(). */
static inline void *mapi_result_begin(struct mapi_fn *fn)
{
        __atomic_store_n(&fn->slot->seq, fn->slot->seq + 1, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_RELEASE);
        return fn->slot->data;
}

static inline void mapi_result_end(struct mapi_fn *fn)
{
        __atomic_store_n(&fn->slot->seq, fn->slot->seq + 1, __ATOMIC_RELEASE);
}

#ifdef __GNUC__
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif
#endif
