/* The parts of the live benchmark: its world, the programs in it, the search for the highest rate. SPDX-License-Identifier: BSD-2-Clause */
#ifndef BENCH_LIVE_H
#define BENCH_LIVE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define LIVE_SENDER_END "bench0" /* the veth pair: what goes in here ... */
#define LIVE_DEVICE "bench1"     /* ... comes out here */
#define LIVE_REPLAY "trace"      /* the other device of our mapid: a trace round after round, as fast as it can */
#define LIVE_BUFFER_MB 32        /* of every capture ring, mapid's own and the peers' */
#define LIVE_PROGRAMS_MAX 16
#define LIVE_ROUNDS_MAX 9

/** Wrong counts, lost packets that nobody owns up to, failures of ours. The benchmark fails if it is not 0. */
extern int live_wrong;

/* ---- live_world.c: namespaces, interfaces, mapid ------------------------------------------------------------------- */

/**
 * From here on this process is the first one of name spaces of its own: processes, mounts and network end with it, whatever
 * happens. The process that called stays outside, waits, removes `folder` and ends with our status.
 */
void world_enter(const char *folder);

/** Makes the veth pair, up, without IPv6, ready for XDP frames. */
void world_make_veth(void);

struct world_wire {
        uint64_t arrived; /* at LIVE_DEVICE */
        uint64_t lost;    /* between the two ends, or dropped by LIVE_DEVICE */
};

void world_wire(struct world_wire *ret);

/** CPUs for what is measured: all but the sender's. With only one CPU nothing is pinned. */
enum world_cpus { WORLD_ANY, WORLD_SENDER, WORLD_MEASURED };

void world_pin(enum world_cpus cpus);

/** Starts a mapid with LIVE_DEVICE and LIVE_REPLAY on a socket in the folder; MAPI_SOCKET names it. Returns its pid. */
pid_t world_start_mapid(const char *mapid, const char *folder, const char *trace, enum world_cpus cpus);

void world_stop(pid_t pid);

/** CPU seconds of a process and its children. */
double world_cpu_s(pid_t pid);

/** Seconds that the machine spent in softirqs. */
double world_softirq_s(void);

/* ---- live_programs.c: what counts packets ---------------------------------------------------------------------------- */

enum kind { KIND_NOBODY, KIND_COUNT, KIND_BUFFER, KIND_CAPTURE, KIND_TCPDUMP };

struct counts {
        uint64_t counted; /* by the program itself */
        uint64_t seen, delivered, filtered,
                dropped; /* of its flow, or of its socket: seen = what passed the filter */
        uint64_t device_seen, device_delivered, device_dropped;
};

struct program {
        enum kind kind;
        pid_t pid;
        int to;     /* its input, -1: it is asked by signal */
        FILE *from; /* its answers */
};

/** Sets where our programs are. */
void programs_folder(const char *folder);

/** Runs a program of ours (or tcpdump) with its output in a pipe. `words` ends with NULL. */
pid_t programs_spawn(const char *const *words, enum world_cpus cpus, int *ret_to, FILE **ret_from);

/** Waits for a program that was spawned; returns its wait status. */
int programs_wait(pid_t pid);

/** Starts the sender: so many packets at a rate (0: full speed), to `ports` ports in turn. */
pid_t programs_send(double rate, uint64_t packets, unsigned ports, FILE **ret_from);

/** Finds out in which way the sender's packets arrive. */
void programs_choose_sender(void);

void programs_start(struct program *p, enum kind kind, const char *filter);
void programs_ask(const struct program *p, struct counts *ret);
void programs_stop(struct program *p);

/* ---- live_rates.c: the highest rate without loss --------------------------------------------------------------------- */

struct live_row {
        enum kind kind;
        unsigned programs;
        bool own; /* each program has its own 16th of the packets; otherwise all count all */

        unsigned n; /* of the values */
        double rate[LIVE_ROUNDS_MAX];
        double programs_ns[LIVE_ROUNDS_MAX], softirq_ns[LIVE_ROUNDS_MAX]; /* CPU for a packet sent, at that rate */
        unsigned steps, lossy;
        bool searched; /* the rate was searched because full speed lost packets; otherwise full speed it is */
        char sender[16];
};

/** Fills in the row. mapid: whose CPU time counts, too, or 0. */
void rates_measure(struct live_row *row, pid_t mapid, unsigned rounds);

#endif
