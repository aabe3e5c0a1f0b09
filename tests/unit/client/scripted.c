/* A mapid for tests, see scripted.h. SPDX-License-Identifier: BSD-2-Clause */
#include "scripted.h"

#include "results/layout.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CHECK(x)                                                                                                  \
        do {                                                                                                      \
                if (!(x)) {                                                                                       \
                        (void)fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #x, strerror(errno));        \
                        abort();                                                                                  \
                }                                                                                                 \
        } while (0)

unsigned open_descriptors(void)
{
        DIR *dir = opendir("/proc/self/fd");
        unsigned n = 0;

        CHECK(dir != NULL);
        while (readdir(dir) != NULL)
                n++;
        (void)closedir(dir);
        return n - 3; /* ., .. and the folder itself */
}

int sealed_memory(size_t size)
{
        int fd = memfd_create("scripted", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        CHECK(fd >= 0 && ftruncate(fd, (off_t)size) == 0 &&
              fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
        return fd;
}

void scripted_note(struct scripted *s, const char *format, ...)
{
        va_list args;

        (void)pthread_mutex_lock(&s->mutex);
        CHECK(s->nlog < SCRIPTED_LOG);
        va_start(args, format);
        (void)vsnprintf(s->log[s->nlog++], SCRIPTED_LINE, format, args);
        va_end(args);
        (void)pthread_cond_broadcast(&s->changed);
        (void)pthread_mutex_unlock(&s->mutex);
}

void scripted_await(struct scripted *s, const char *line, unsigned times)
{
        (void)pthread_mutex_lock(&s->mutex);
        for (;;) {
                unsigned n = 0;

                for (unsigned i = 0; i < s->nlog; i++)
                        n += strcmp(s->log[i], line) == 0;
                if (n >= times)
                        break;
                (void)pthread_cond_wait(&s->changed, &s->mutex);
        }
        (void)pthread_mutex_unlock(&s->mutex);
}

const char *scripted_lines(struct scripted *s)
{
        static char text[SCRIPTED_LOG * 40];
        size_t at = 0;

        text[0] = '\0';
        (void)pthread_mutex_lock(&s->mutex);
        for (unsigned i = 0; i < s->nlog && at < sizeof text - SCRIPTED_LINE; i++)
                at += (size_t)snprintf(text + at, sizeof text - at, "%s\n", s->log[i]);
        s->nlog = 0;
        (void)pthread_mutex_unlock(&s->mutex);
        return text;
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

void scripted_send(struct scripted *s, uint64_t id, Mapi__Envelope *e, const int *fds, unsigned nfds)
{
        size_t len;

        e->version = PROTOCOL_VERSION;
        e->id = id;
        CHECK(protocol_pack(e, s->out, sizeof s->out, &len, NULL) == 0);
        if (s->conn >= 0)
                (void)protocol_send(s->conn, s->out, len, fds, nfds, 0, NULL, NULL);
}

void scripted_send_error(struct scripted *s, uint64_t id, int code, const char *text)
{
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        Mapi__Error m = MAPI__ERROR__INIT;

        m.code = code;
        m.text = (char *)(uintptr_t)text;
        e.body_case = MAPI__ENVELOPE__BODY_ERROR;
        e.error = &m;
        scripted_send(s, id, &e, NULL, 0);
}

void scripted_send_done(struct scripted *s, uint64_t id)
{
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        Mapi__Done m = MAPI__DONE__INIT;

        e.body_case = MAPI__ENVELOPE__BODY_DONE;
        e.done = &m;
        scripted_send(s, id, &e, NULL, 0);
}

static void hang_up(struct scripted *s)
{
        if (s->conn >= 0) {
                (void)shutdown(s->conn, SHUT_RDWR); /* at once, even if the thread polls it */
                (void)close(s->conn);
        }
        s->conn = -1;
}

void scripted_hang_up(struct scripted *s)
{
        (void)pthread_mutex_lock(&s->mutex);
        hang_up(s);
        (void)pthread_mutex_unlock(&s->mutex);
}

/* ---- how a mapid answers ------------------------------------------------------------------------------------------ */

#define ANSWER(BODY, field, m)                                                                                    \
        do {                                                                                                      \
                e.body_case = MAPI__ENVELOPE__BODY_##BODY;                                                        \
                e.field = (m);                                                                                    \
                scripted_send(s, q->id, &e, fds, nfds);                                                           \
        } while (0)

static int *functions_of(struct scripted *s, int number)
{
        for (unsigned i = 0; i < SCRIPTED_FLOWS; i++)
                if (s->flow[i].number == number)
                        return &s->flow[i].functions;
        return NULL;
}

static void answer_create_flow(struct scripted *s, const Mapi__Envelope *q)
{
        const Mapi__CreateFlow *m = q->create_flow;
        int number = m->wanted != 0 ? (int)m->wanted : s->next_flow, *free_one = NULL, *fds = NULL;
        Mapi__FlowNumber answer = MAPI__FLOW_NUMBER__INIT;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        unsigned nfds = 0;

        if (number >= s->next_flow)
                s->next_flow = number + 1;
        free_one = functions_of(s, 0);
        CHECK(free_one != NULL);
        *free_one = 0;
        free_one[-1] = number;
        answer.flow = number;
        ANSWER(FLOW_NUMBER, flow_number, &answer);
}

static void answer_describe(struct scripted *s, const Mapi__Envelope *q)
{
        static const struct {
                const char *name, *letters;
        } known[] = { { "PKT_COUNTER", "" }, { "BPF_FILTER", "s" },
                      { "TO_FILE", "iwl" },  { "TO_BUFFER", "i" },
                      { "STATS", "rf" },     { "TWO_FILES", "ww" },
                      { "STRANGE", "x" },    { "MANY", "iiiiiiiiiiiiiiiii" } };
        Mapi__Function m = MAPI__FUNCTION__INIT;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        Mapi__Argument args[20], *pointers[20];
        unsigned nfds = 0;
        int *fds = NULL;

        for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++) {
                if (strcmp(known[i].name, q->describe->name) != 0)
                        continue;
                m.name = q->describe->name;
                m.n_argument = strlen(known[i].letters);
                m.argument = pointers;
                for (unsigned k = 0; k < m.n_argument; k++) {
                        mapi__argument__init(&args[k]);
                        args[k].letter = (uint32_t)known[i].letters[k];
                        args[k].name = (char *)(uintptr_t) "argument";
                        args[k].max = (int64_t)k + 1;
                        pointers[k] = &args[k];
                }
                ANSWER(FUNCTION, function, &m);
                return;
        }
        scripted_send_error(s, q->id, MAPI_FUNCTION_NOT_FOUND, "no such function");
}

static void answer_connect(struct scripted *s, const Mapi__Envelope *q)
{
        Mapi__Connected m = MAPI__CONNECTED__INIT;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        const int *n = functions_of(s, q->connect->flow);
        Mapi__Place status, place[16], *pointers[16];
        unsigned nfds = 0;
        int *fds = NULL;

        if (n == NULL || q->connect->flow <= 0) {
                scripted_send_error(s, q->id, MAPI_INVALID_FLOW, "no such flow");
                return;
        }
        mapi__place__init(&status);
        status.segment = 3;
        status.entry = (uint32_t)q->connect->flow;
        m.status = &status;
        m.n_function = (size_t)*n;
        m.function = pointers;
        for (int i = 0; i < *n; i++) {
                mapi__place__init(&place[i]);
                place[i].fid = i + 1;
                place[i].kind = MAPI__RESULT_KIND__RESULT_COUNTER;
                place[i].size = 8;
                place[i].segment = 3;
                place[i].entry = (uint32_t)i + 100;
                pointers[i] = &place[i];
        }
        ANSWER(CONNECTED, connected, &m);
}

static void forget_flow(struct scripted *s, int number)
{
        int *functions = number > 0 ? functions_of(s, number) : NULL;

        if (functions != NULL)
                functions[-1] = 0;
}

static void answer_memory(struct scripted *s, const Mapi__Envelope *q)
{
        Mapi__SegmentMemory segment = MAPI__SEGMENT_MEMORY__INIT;
        Mapi__RingMemory ring = MAPI__RING_MEMORY__INIT;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        unsigned nfds = 0;
        int fds[2];

        if (q->body_case == MAPI__ENVELOPE__BODY_SEGMENT) {
                fds[nfds++] = s->segment_fd;
                segment.size_bytes = 8192;
                ANSWER(SEGMENT_MEMORY, segment_memory, &segment);
        } else if (q->body_case == MAPI__ENVELOPE__BODY_RING) {
                fds[nfds++] = s->ring_fd;
                fds[nfds++] = s->kick_fd;
                ring.size_bytes = 4096;
                ring.generation = 7;
                ANSWER(RING_MEMORY, ring_memory, &ring);
        } else {
                Mapi__Done done = MAPI__DONE__INIT;

                fds[nfds++] = s->event_fd;
                ANSWER(DONE, done, &done);
        }
}

/** Numbers that tell which field they stand in. */
static void answer_info(struct scripted *s, const Mapi__Envelope *q)
{
        Mapi__FlowFacts flow = MAPI__FLOW_FACTS__INIT;
        Mapi__FunctionFacts function = MAPI__FUNCTION_FACTS__INIT;
        Mapi__DeviceFacts device = MAPI__DEVICE_FACTS__INIT;
        Mapi__LibraryFacts library = MAPI__LIBRARY_FACTS__INIT;
        Mapi__LibfunctFacts libfunct = MAPI__LIBFUNCT_FACTS__INIT;
        Mapi__Account account = MAPI__ACCOUNT__INIT;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        unsigned nfds = 0;
        int *fds = NULL;

        switch (q->body_case) {
        case MAPI__ENVELOPE__BODY_FLOW_INFO:
                flow.flow = q->flow_info->flow + q->flow_info->next;
                flow.uid = 1;
                flow.device_id = 2;
                flow.device = (char *)(uintptr_t) "eth0";
                flow.functions = 3;
                flow.start_s = 4;
                flow.end_s = 5;
                flow.status = 2;
                ANSWER(FLOW_FACTS, flow_facts, &flow);
                break;
        case MAPI__ENVELOPE__BODY_FUNCTION_INFO:
                function.fid = q->function_info->fid + q->function_info->next;
                function.name = (char *)(uintptr_t) "N";
                function.library = (char *)(uintptr_t) "L";
                function.device_type = (char *)(uintptr_t) "1";
                function.packets = 10;
                function.passed = 9;
                function.result_size = 8;
                ANSWER(FUNCTION_FACTS, function_facts, &function);
                break;
        case MAPI__ENVELOPE__BODY_DEVICE_INFO:
                device.id = q->device_info->id + q->device_info->next;
                device.device = (char *)(uintptr_t) "eth0";
                device.driver = (char *)(uintptr_t) "replay";
                device.alias = (char *)(uintptr_t) "A";
                device.description = (char *)(uintptr_t) "D";
                device.link_speed_mbit = 4000000000u;
                device.mpls = 1;
                device.vlan = 2;
                ANSWER(DEVICE_FACTS, device_facts, &device);
                break;
        case MAPI__ENVELOPE__BODY_LIBRARY_INFO:
                library.name = (char *)(uintptr_t) "stdflib";
                library.functions = 12;
                ANSWER(LIBRARY_FACTS, library_facts, &library);
                break;
        case MAPI__ENVELOPE__BODY_LIBFUNCT_INFO:
                libfunct.name = (char *)(uintptr_t) "F";
                libfunct.help = (char *)(uintptr_t) "H";
                libfunct.arguments = (char *)(uintptr_t) "si";
                libfunct.device_type = (char *)(uintptr_t) "1";
                ANSWER(LIBFUNCT_FACTS, libfunct_facts, &libfunct);
                break;
        default:
                account.name = q->body_case == MAPI__ENVELOPE__BODY_DEVICE_STATS ? q->device_stats->device
                                                                                 : (char *)(uintptr_t) "eth0";
                account.seen = 100;
                account.delivered = 50;
                account.filtered = 20;
                account.dropped_interface = 12;
                account.dropped_kernel = 9;
                account.dropped_ring = 6;
                account.dropped_file = 3;
                account.down = true;
                ANSWER(ACCOUNT, account, &account);
        }
}

static void answer_rest(struct scripted *s, const Mapi__Envelope *q)
{
        Mapi__DeviceName name = MAPI__DEVICE_NAME__INIT;
        Mapi__FunctionId fid = MAPI__FUNCTION_ID__INIT;
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        Mapi__Welcome welcome = MAPI__WELCOME__INIT;
        Mapi__Limits limits = MAPI__LIMITS__INIT;
        Mapi__Known known = MAPI__KNOWN__INIT;
        int *functions, *fds = NULL;
        unsigned nfds = 0;
        char text[64];

        switch (q->body_case) {
        case MAPI__ENVELOPE__BODY_HELLO:
                welcome.version = s->version;
                welcome.server = (char *)(uintptr_t) "scripted 1.0";
                welcome.results_version = s->results_version;
                limits.requests = s->requests;
                limits.string_bytes = s->string_bytes;
                welcome.limits = &limits;
                ANSWER(WELCOME, welcome, &welcome);
                break;
        case MAPI__ENVELOPE__BODY_DEVICE_KNOWN:
                known.known = strcmp(q->device_known->device, "eth0") == 0;
                ANSWER(KNOWN, known, &known);
                break;
        case MAPI__ENVELOPE__BODY_CREATE_DEVICE:
                (void)snprintf(text, sizeof text, "dev@%d", s->next_device++);
                name.device = text;
                ANSWER(DEVICE_NAME, device_name, &name);
                break;
        case MAPI__ENVELOPE__BODY_APPLY:
                functions = q->apply->flow > 0 ? functions_of(s, q->apply->flow) : NULL;
                if (functions == NULL) {
                        scripted_send_error(s, q->id, MAPI_INVALID_FLOW, "no such flow");
                        break;
                }
                fid.fid = ++*functions;
                ANSWER(FUNCTION_ID, function_id, &fid);
                break;
        default:
                if (q->body_case == MAPI__ENVELOPE__BODY_CLOSE_FLOW)
                        forget_flow(s, q->close_flow->flow);
                scripted_send_done(s, q->id);
        }
}

void scripted_answer(struct scripted *s, const Mapi__Envelope *q, struct protocol_received *received)
{
        (void)received;
        switch (q->body_case) {
        case MAPI__ENVELOPE__BODY_CREATE_FLOW:
                answer_create_flow(s, q);
                break;
        case MAPI__ENVELOPE__BODY_DESCRIBE:
                answer_describe(s, q);
                break;
        case MAPI__ENVELOPE__BODY_CONNECT:
                answer_connect(s, q);
                break;
        case MAPI__ENVELOPE__BODY_SEGMENT:
        case MAPI__ENVELOPE__BODY_RING:
        case MAPI__ENVELOPE__BODY_EVENT_FD:
                answer_memory(s, q);
                break;
        case MAPI__ENVELOPE__BODY_FLOW_INFO:
        case MAPI__ENVELOPE__BODY_FUNCTION_INFO:
        case MAPI__ENVELOPE__BODY_DEVICE_INFO:
        case MAPI__ENVELOPE__BODY_LIBRARY_INFO:
        case MAPI__ENVELOPE__BODY_LIBFUNCT_INFO:
        case MAPI__ENVELOPE__BODY_DEVICE_STATS:
        case MAPI__ENVELOPE__BODY_FLOW_STATS:
                answer_info(s, q);
                break;
        default:
                answer_rest(s, q);
        }
}

/* ---- the thread ------------------------------------------------------------------------------------------------------ */

static void listen_now(struct scripted *s)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        (void)unlink(s->path);
        (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", s->path);
        s->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        CHECK(s->listen_fd >= 0 && bind(s->listen_fd, (struct sockaddr *)&address, sizeof address) == 0 &&
              listen(s->listen_fd, 4) == 0);
}

static void serve_one(struct scripted *s)
{
        struct protocol_received received;
        struct protocol_pool pool;
        Mapi__Envelope *q;
        scripted_hook hook;
        int r, conn;

        (void)pthread_mutex_lock(&s->mutex);
        conn = s->conn;
        (void)pthread_mutex_unlock(&s->mutex);
        if (conn < 0) /* the test has hung up */
                return;
        r = protocol_recv(conn, s->in, 0, &received, NULL, NULL);
        if (r != 1) {
                scripted_hang_up(s);
                scripted_note(s, "eof");
                return;
        }
        protocol_pool_init(&pool, s->pool, sizeof s->pool);
        CHECK(protocol_unpack(&pool, s->in, received.len, &q, NULL) == 0);
        (void)pthread_mutex_lock(&s->mutex);
        hook = s->hook;
        (void)pthread_mutex_unlock(&s->mutex);
        scripted_note_request(s, q, received.nfds);
        protocol_close_fds(&received, 0); /* before the answer: who has it may count descriptors */
        if (hook == NULL || !hook(s, q, &received))
                scripted_answer(s, q, &received);
}

static void *run(void *argument)
{
        struct scripted *s = argument;
        uint64_t count;

        for (;;) {
                struct pollfd p[3] = { { .events = POLLIN }, { .events = POLLIN }, { .events = POLLIN } };

                (void)pthread_mutex_lock(&s->mutex);
                p[0].fd = s->wake_fd;
                p[1].fd = s->conn;
                p[2].fd = s->conn < 0 ? s->listen_fd : -1;
                (void)pthread_mutex_unlock(&s->mutex);
                (void)poll(p, 3, -1);
                (void)pthread_mutex_lock(&s->mutex);
                if (p[0].revents != 0) {
                        (void)!read(s->wake_fd, &count, sizeof count);
                        if (s->listen_fd < 0)
                                hang_up(s);
                        else if (s->listen_fd == 0)
                                listen_now(s);
                        (void)pthread_cond_broadcast(&s->changed);
                        if (s->stop) {
                                (void)pthread_mutex_unlock(&s->mutex);
                                return NULL;
                        }
                        (void)pthread_mutex_unlock(&s->mutex);
                        continue;
                }
                (void)pthread_mutex_unlock(&s->mutex);
                if (p[1].revents != 0) {
                        serve_one(s);
                } else if (p[2].revents != 0) {
                        (void)pthread_mutex_lock(&s->mutex);
                        if (s->listen_fd > 0)
                                s->conn = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);
                        memset(s->flow, 0, sizeof s->flow); /* a new session has none */
                        (void)pthread_mutex_unlock(&s->mutex);
                }
        }
}

static void wake(struct scripted *s)
{
        const uint64_t one = 1;

        CHECK(write(s->wake_fd, &one, sizeof one) == sizeof one);
}

struct scripted *scripted_start(void)
{
        struct scripted *s = calloc(1, sizeof *s);
        pthread_attr_t attr;

        CHECK(s != NULL);
        (void)snprintf(s->dir, sizeof s->dir, "/tmp/mapi-test-local-XXXXXX");
        CHECK(mkdtemp(s->dir) != NULL);
        (void)snprintf(s->path, sizeof s->path, "%s/mapid.sock", s->dir);
        (void)pthread_mutex_init(&s->mutex, NULL);
        (void)pthread_cond_init(&s->changed, NULL);
        s->version = PROTOCOL_VERSION;
        s->results_version = RESULTS_VERSION;
        s->next_flow = s->next_device = 1;
        s->conn = -1;
        s->wake_fd = eventfd(0, EFD_CLOEXEC);
        s->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        s->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        s->segment_fd = sealed_memory(8192);
        s->ring_fd = sealed_memory(8192);
        listen_now(s);
        (void)pthread_attr_init(&attr);
        CHECK(pthread_create(&s->thread, &attr, run, s) == 0);
        (void)pthread_attr_destroy(&attr);
        return s;
}

void scripted_leave(struct scripted *s)
{
        (void)pthread_mutex_lock(&s->mutex);
        (void)close(s->listen_fd);
        (void)unlink(s->path);
        s->listen_fd = -1;
        wake(s);
        while (s->conn >= 0)
                (void)pthread_cond_wait(&s->changed, &s->mutex);
        (void)pthread_mutex_unlock(&s->mutex);
}

void scripted_come(struct scripted *s)
{
        (void)pthread_mutex_lock(&s->mutex);
        s->listen_fd = 0; /* the thread opens it */
        wake(s);
        while (s->listen_fd == 0)
                (void)pthread_cond_wait(&s->changed, &s->mutex);
        (void)pthread_mutex_unlock(&s->mutex);
}

void scripted_set_hook(struct scripted *s, scripted_hook hook, void *data)
{
        (void)pthread_mutex_lock(&s->mutex);
        s->hook = hook;
        s->hook_data = data;
        (void)pthread_mutex_unlock(&s->mutex);
}

void scripted_stop(struct scripted *s)
{
        (void)pthread_mutex_lock(&s->mutex);
        s->stop = true;
        wake(s);
        (void)pthread_mutex_unlock(&s->mutex);
        (void)pthread_join(s->thread, NULL);
        scripted_hang_up(s);
        if (s->listen_fd >= 0)
                (void)close(s->listen_fd);
        (void)close(s->wake_fd);
        (void)close(s->event_fd);
        (void)close(s->kick_fd);
        (void)close(s->segment_fd);
        (void)close(s->ring_fd);
        (void)unlink(s->path);
        (void)rmdir(s->dir);
        free(s);
}
