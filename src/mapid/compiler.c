/* The filter compiler, both sides. SPDX-License-Identifier: BSD-2-Clause */
#include "mapid/compiler.h"

#include "host/host.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <pcap/bpf.h>

/* A few compilers at a time, so that many clients cannot take the machine; and the newest answers are kept for a moment, because
 * many flows come with the same filter (but not for long: names in it may change their addresses). */
enum { AT_ONCE = 8, WAIT_MS = 15000, KEPT = 64, KEPT_S = 10 };

struct request {
        uint32_t linktype, snaplen, len;
};

struct answer {
        int32_t error; /* 0: n instructions follow; otherwise the code, and n bytes of its detail */
        uint32_t n;
};

/* ---- the compiler's side -------------------------------------------------------------------------------------- */

static int read_all(int fd, void *to, size_t size)
{
        for (char *at = to; size > 0;) {
                ssize_t n = read(fd, at, size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return -1;
                at += n;
                size -= (size_t)n;
        }
        return 0;
}

static int write_all(int fd, const void *from, size_t size)
{
        for (const char *at = from; size > 0;) {
                ssize_t n = send(fd, at, size, MSG_NOSIGNAL);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return -1;
                at += n;
                size -= (size_t)n;
        }
        return 0;
}

void compiler_serve(int socket)
{
        static char text[FILTER_TEXT_MAX + 1]; /* this process serves one request */
        struct filter_program program = { 0 };
        struct answer a = { 0 };
        struct mapi_error err;
        struct request q;

        if (read_all(socket, &q, sizeof q) < 0 || q.len > FILTER_TEXT_MAX || read_all(socket, text, q.len) < 0)
                return;
        text[q.len] = '\0';
        if (host_translate_filter(text, (uint16_t)q.linktype, q.snaplen, &program, &err) < 0) {
                a.error = err.code;
                a.n = (uint32_t)strlen(err.text);
                if (write_all(socket, &a, sizeof a) == 0)
                        (void)write_all(socket, err.text, a.n);
                return;
        }
        a.n = program.n;
        if (write_all(socket, &a, sizeof a) == 0)
                (void)write_all(socket, program.insns, program.n * sizeof program.insns[0]);
        free(program.insns);
}

/* ---- the asking side -------------------------------------------------------------------------------------------- */

/** An answer that may be given again. */
struct kept {
        char *text;
        uint32_t linktype, snaplen, n;
        struct bpf_insn *insns;
        time_t at;
};

struct compiler {
        pthread_mutex_t lock;
        pthread_cond_t free_place;
        unsigned running;
        int (*start)(void *context, int socket, struct mapi_error *err);
        void *context;
        struct kept kept[KEPT];
        unsigned next;
};

struct compiler *compiler_new(int (*start)(void *context, int socket, struct mapi_error *err), void *context)
{
        struct compiler *c = calloc(1, sizeof *c);

        if (c == NULL)
                return NULL;
        (void)pthread_mutex_init(&c->lock, NULL);
        (void)pthread_cond_init(&c->free_place, NULL);
        c->start = start;
        c->context = context;
        return c;
}

void compiler_free(struct compiler **pc)
{
        struct compiler *c = *pc;

        *pc = NULL;
        if (c == NULL)
                return;
        for (unsigned i = 0; i < KEPT; i++) {
                free(c->kept[i].text);
                free(c->kept[i].insns);
        }
        (void)pthread_cond_destroy(&c->free_place);
        (void)pthread_mutex_destroy(&c->lock);
        free(c);
}

static time_t now_s(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec;
}

/** A copy of a program, or 0 if it was not to be had. */
static bool copy_program(const struct bpf_insn *insns, uint32_t n, struct filter_program *ret)
{
        struct bpf_insn *copy = malloc(n * sizeof *copy);

        if (copy == NULL)
                return false;
        memcpy(copy, insns, n * sizeof *copy);
        *ret = (struct filter_program){ .insns = copy, .n = n };
        return true;
}

/** Under the lock. */
static bool find_kept(struct compiler *c, const char *text, const struct request *q, struct filter_program *ret)
{
        for (unsigned i = 0; i < KEPT; i++) {
                const struct kept *k = &c->kept[i];

                if (k->text != NULL && k->linktype == q->linktype && k->snaplen == q->snaplen &&
                    now_s() - k->at <= KEPT_S && strcmp(k->text, text) == 0)
                        return copy_program(k->insns, k->n, ret);
        }
        return false;
}

/** Under the lock; nothing is lost if there is no memory for it. */
static void keep(struct compiler *c, const char *text, const struct request *q, const struct filter_program *p)
{
        struct kept *k = &c->kept[c->next];
        struct filter_program copy;
        char *name = strdup(text);

        if (name == NULL || !copy_program(p->insns, p->n, &copy)) {
                free(name);
                return;
        }
        c->next = (c->next + 1) % KEPT;
        free(k->text);
        free(k->insns);
        *k = (struct kept){ .text = name,
                            .linktype = q->linktype,
                            .snaplen = q->snaplen,
                            .n = copy.n,
                            .insns = copy.insns,
                            .at = now_s() };
}

/** All of `size` bytes before the deadline; -1: the compiler ended, or it took too long. */
static int read_until(int fd, void *to, size_t size, const struct timespec *deadline)
{
        for (char *at = to; size > 0;) {
                struct pollfd p = { .fd = fd, .events = POLLIN };
                struct timespec now;
                ssize_t n;
                long ms;

                (void)clock_gettime(CLOCK_MONOTONIC, &now);
                ms = (deadline->tv_sec - now.tv_sec) * 1000 + (deadline->tv_nsec - now.tv_nsec) / 1000000;
                if (ms <= 0)
                        return -1;
                n = poll(&p, 1, (int)ms);
                if (n < 0 && errno != EINTR)
                        return -1;
                if (n <= 0)
                        continue;
                n = read(fd, at, size);
                if (n <= 0)
                        return -1;
                at += n;
                size -= (size_t)n;
        }
        return 0;
}

static int too_much(const char *text, struct mapi_error *err)
{
        return mapi_fail(err, MAPI_LIMIT_ERROR,
                         "compiling the filter '%.64s%s' needs more than 2 s of processor time or 256 MB", text,
                         strlen(text) > 64 ? "..." : "");
}

static int receive(int fd, const char *text, const struct timespec *deadline, struct filter_program *ret,
                   struct mapi_error *err)
{
        struct bpf_insn *insns;
        char detail[512];
        struct answer a;

        if (read_until(fd, &a, sizeof a, deadline) < 0)
                return too_much(text, err);
        if (a.error != 0) {
                size_t n = a.n < sizeof detail - 1 ? a.n : sizeof detail - 1;

                if (read_until(fd, detail, n, deadline) < 0)
                        return too_much(text, err);
                detail[n] = '\0';
                if (err != NULL) {
                        err->code = a.error;
                        (void)snprintf(err->text, sizeof err->text, "%s", detail); /* the whole sentence */
                }
                return a.error > 0 ? -a.error : -MCOM_UNKNOWN_ERROR;
        }
        if (a.n == 0 || a.n > FILTER_PROGRAM_MAX)
                return mapi_fail(err, MAPI_LIMIT_ERROR,
                                 "the filter '%.64s' becomes %u instructions, the most are %u", text, a.n,
                                 FILTER_PROGRAM_MAX);
        insns = malloc(a.n * sizeof *insns);
        if (insns == NULL)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "a filter of %u instructions", a.n);
        if (read_until(fd, insns, a.n * sizeof *insns, deadline) < 0) {
                free(insns);
                return too_much(text, err);
        }
        *ret = (struct filter_program){ .insns = insns, .n = a.n };
        return 0;
}

static int ask(struct compiler *c, const char *text, const struct request *q, struct filter_program *ret,
               struct mapi_error *err)
{
        struct timespec deadline;
        int pair[2], r;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return mapi_fail(err, MAPI_LIMIT_ERROR, "%s", strerror(errno));
        (void)clock_gettime(CLOCK_MONOTONIC, &deadline);
        deadline.tv_sec += WAIT_MS / 1000;
        (void)pthread_mutex_lock(&c->lock);
        r = c->start(c->context, pair[1], err);
        (void)pthread_mutex_unlock(&c->lock);
        (void)close(pair[1]);
        /* Both fit into the socket's buffer, so that nobody waits here. */
        if (r == 0 && (write_all(pair[0], q, sizeof *q) < 0 || write_all(pair[0], text, q->len) < 0))
                r = too_much(text, err);
        if (r == 0)
                r = receive(pair[0], text, &deadline, ret, err);
        (void)close(pair[0]);
        return r;
}

int compiler_compile(void *context, const char *text, uint16_t linktype, uint32_t snaplen,
                     struct filter_program *ret, struct mapi_error *err)
{
        struct compiler *c = context;
        struct request q = { .linktype = linktype, .snaplen = snaplen, .len = (uint32_t)strlen(text) };
        int r;

        (void)pthread_mutex_lock(&c->lock);
        while (c->running == AT_ONCE)
                (void)pthread_cond_wait(&c->free_place, &c->lock);
        if (find_kept(c, text, &q, ret)) {
                (void)pthread_mutex_unlock(&c->lock);
                return 0;
        }
        c->running++;
        (void)pthread_mutex_unlock(&c->lock);

        r = ask(c, text, &q, ret, err);

        (void)pthread_mutex_lock(&c->lock);
        c->running--;
        if (r == 0)
                keep(c, text, &q, ret);
        (void)pthread_cond_signal(&c->free_place);
        (void)pthread_mutex_unlock(&c->lock);
        return r;
}
