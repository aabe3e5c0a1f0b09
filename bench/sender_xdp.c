/*
 * The fast way to send: XDP live frames.
 *
 * BPF_PROG_TEST_RUN with BPF_F_TEST_XDP_LIVE_FRAMES makes frames and runs a program on each; what the program redirects to
 * the interface leaves through it. One call costs some 20 ms of making and taking down, so a rate cannot be kept by
 * many small calls. Instead there is one long call, and the program itself looks at the clock: frames that are not due yet
 * are dropped, which costs next to nothing. It counts what it sends and sends no more than it was told. A timer ends the
 * call. The program is small enough to be written as instructions, so nothing but the kernel is needed.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "sender.h"

#include <errno.h>
#include <linux/bpf.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "common.h"

#define BATCH 64u         /* frames that leave together at full speed; the peer's ring has 256 places */
#define TIME_SHIFT 8      /* the program's times are in 1/256 ns, so that rates of millions are exact enough */
#define LATE_MOST 1000000 /* ns: who was held up longer than this does not catch up with a burst */
#define RUNS_MAX 4000000000u

/* What the program reads and writes: the one value of an array. */
struct state {
        uint64_t sent, limit;
        uint64_t gap;  /* between two packets, 0: none */
        uint64_t next; /* when the next one is due */
        uint64_t mask; /* of the number that is added to the port */
        uint64_t first_ns, last_ns;
};

#define AT(field) ((int16_t)offsetof(struct state, field))
#define INSN(c, d, s, o, i)                                                                                       \
        ((struct bpf_insn){ .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) })
#define LOAD(size, d, s, o) INSN(BPF_LDX | (size) | BPF_MEM, d, s, o, 0)
#define STORE(size, d, o, s) INSN(BPF_STX | (size) | BPF_MEM, d, s, o, 0)
#define MOVE(d, s) INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define MOVE_K(d, k) INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, k)
#define ALU(op, d, s) INSN(BPF_ALU64 | (op) | BPF_X, d, s, 0, 0)
#define ALU_K(op, d, k) INSN(BPF_ALU64 | (op) | BPF_K, d, 0, 0, k)
#define JUMP(op, d, s, o) INSN(BPF_JMP | (op) | BPF_X, d, s, o, 0)
#define JUMP_K(op, d, k, o) INSN(BPF_JMP | (op) | BPF_K, d, 0, o, k)
#define CALL(f) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, f)
#define RETURN INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

static int bpf(int command, union bpf_attr *attr)
{
        return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int make_map(void)
{
        union bpf_attr attr = { .map_type = BPF_MAP_TYPE_ARRAY,
                                .key_size = sizeof(uint32_t),
                                .value_size = sizeof(struct state),
                                .max_entries = 1 };

        return bpf(BPF_MAP_CREATE, &attr);
}

/* r6: context, r7: state, r8: gap, r9: how many have been sent. Jumps count the instructions they skip. */
static int load_program(int map_fd, int index)
{
        const struct bpf_insn code[] = {
                MOVE(6, 1),
                INSN(BPF_LD | BPF_DW | BPF_IMM, 7, BPF_PSEUDO_MAP_VALUE, 0, map_fd),
                INSN(0, 0, 0, 0, 0),
                LOAD(BPF_DW, 9, 7, AT(sent)),
                LOAD(BPF_DW, 2, 7, AT(limit)),
                JUMP(BPF_JGE, 9, 2, 38), /* drop: enough */
                LOAD(BPF_DW, 8, 7, AT(gap)),
                JUMP_K(BPF_JEQ, 8, 0, 10), /* send */

                CALL(BPF_FUNC_ktime_get_ns),
                ALU_K(BPF_LSH, 0, TIME_SHIFT),
                LOAD(BPF_DW, 1, 7, AT(next)),
                JUMP(BPF_JGT, 1, 0, 32), /* drop: not due */
                MOVE(2, 0),
                ALU_K(BPF_SUB, 2, LATE_MOST << TIME_SHIFT),
                JUMP(BPF_JGE, 1, 2, 1),
                MOVE(1, 2),
                ALU(BPF_ADD, 1, 8),
                STORE(BPF_DW, 7, AT(next), 1),

                /* send: the first and the last one leave their time */
                JUMP_K(BPF_JNE, 9, 0, 2),
                CALL(BPF_FUNC_ktime_get_ns),
                STORE(BPF_DW, 7, AT(first_ns), 0),
                MOVE(1, 9),
                ALU_K(BPF_ADD, 1, 1),
                LOAD(BPF_DW, 2, 7, AT(limit)),
                JUMP(BPF_JNE, 1, 2, 2),
                CALL(BPF_FUNC_ktime_get_ns),
                STORE(BPF_DW, 7, AT(last_ns), 0),

                LOAD(BPF_W, 3, 6, offsetof(struct xdp_md, data)),
                LOAD(BPF_W, 4, 6, offsetof(struct xdp_md, data_end)),
                MOVE(5, 3),
                ALU_K(BPF_ADD, 5, SENDER_PORT_AT + 2),
                JUMP(BPF_JGT, 5, 4, 12), /* drop: never */
                MOVE(2, 9),
                LOAD(BPF_DW, 5, 7, AT(mask)),
                ALU(BPF_AND, 2, 5),
                ALU_K(BPF_ADD, 2, SENDER_PORT),
                INSN(BPF_ALU | BPF_END | BPF_TO_BE, 2, 0, 0, 16),
                STORE(BPF_H, 3, SENDER_PORT_AT, 2),
                ALU_K(BPF_ADD, 9, 1),
                STORE(BPF_DW, 7, AT(sent), 9),
                MOVE_K(1, index),
                MOVE_K(2, 0),
                CALL(BPF_FUNC_redirect), /* answers XDP_REDIRECT */
                RETURN,

                MOVE_K(0, XDP_DROP), /* drop */
                RETURN,
        };
        union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_XDP,
                                .insns = (uint64_t)(uintptr_t)code,
                                .insn_cnt = sizeof(code) / sizeof(code[0]),
                                .license = (uint64_t)(uintptr_t) "Dual BSD/GPL" };

        memcpy(attr.prog_name, "mapi_sender", sizeof("mapi_sender"));
        return bpf(BPF_PROG_LOAD, &attr);
}

static int exchange_state(int map_fd, int command, struct state *s)
{
        uint32_t key = 0;
        union bpf_attr attr = { .map_fd = (uint32_t)map_fd,
                                .key = (uint64_t)(uintptr_t)&key,
                                .value = (uint64_t)(uintptr_t)s };

        return bpf(command, &attr);
}

/* One call: at most `runs` frames are made, then it is over; a signal ends it before. */
static int run(int program_fd, const struct sender_order *o, uint32_t runs)
{
        union bpf_attr attr = { 0 };

        attr.test.prog_fd = (uint32_t)program_fd;
        attr.test.data_in = (uint64_t)(uintptr_t)o->frame;
        attr.test.data_size_in = o->bytes;
        attr.test.repeat = runs;
        attr.test.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
        attr.test.batch_size = BATCH;
        return bpf(BPF_PROG_TEST_RUN, &attr);
}

static void on_alarm(int number)
{
        (void)number; /* ends the call, nothing else */
}

/* Ends the call when so many should have been sent. Later if the machine is slow: ending is what takes time. */
static void set_alarm(uint64_t packets, uint64_t rate)
{
        double seconds = rate != 0 ? (double)packets / (double)rate + 0.03 : 1.0;
        struct itimerval t = { .it_interval = { .tv_usec = 200000 } };
        struct sigaction a = { .sa_handler = on_alarm };

        sigaction(SIGALRM, &a, NULL);
        t.it_value.tv_sec = (time_t)seconds;
        t.it_value.tv_usec = (suseconds_t)((seconds - (double)t.it_value.tv_sec) * 1e6) + 1;
        setitimer(ITIMER_REAL, &t, NULL);
}

static int send_all(int map_fd, int program_fd, const struct sender_order *o, struct state *s)
{
        *s = (struct state){ .limit = o->packets, .mask = o->ports - 1 };
        if (o->rate != 0)
                s->gap = (uint64_t)((double)(1000000000ull << TIME_SHIFT) / (double)o->rate);
        s->next = (uint64_t)(bench_now_s() * 1e9 + 5e6) << TIME_SHIFT;
        if (exchange_state(map_fd, BPF_MAP_UPDATE_ELEM, s) < 0)
                return -1;
        do {
                uint64_t left = o->packets - s->sent;

                set_alarm(left, o->rate);
                if (run(program_fd, o, o->rate != 0 || left > RUNS_MAX ? RUNS_MAX : (uint32_t)left) < 0 &&
                    errno != EINTR)
                        return -1;
                if (exchange_state(map_fd, BPF_MAP_LOOKUP_ELEM, s) < 0)
                        return -1;
        } while (s->sent < o->packets && bench_now_s() * 1e9 < (double)o->end_ns);
        return 0;
}

int sender_xdp(const struct sender_order *o, struct sender_done *ret)
{
        struct itimerval never = { 0 };
        struct state s = { 0 };
        int map_fd = make_map(), program_fd = map_fd < 0 ? -1 : load_program(map_fd, o->index), r = -1, why;

        if (program_fd >= 0)
                r = send_all(map_fd, program_fd, o, &s);
        why = errno;
        setitimer(ITIMER_REAL, &never, NULL);
        if (program_fd >= 0)
                close(program_fd);
        if (map_fd >= 0)
                close(map_fd);
        errno = why;
        if (r < 0 && s.sent == 0)
                return -1;
        ret->packets = s.sent;
        ret->seconds = s.last_ns > s.first_ns ? (double)(s.last_ns - s.first_ns) / 1e9 : 0;
        return 0;
}
