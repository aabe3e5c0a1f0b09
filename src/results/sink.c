/* Queues of records on their way to a file. SPDX-License-Identifier: BSD-2-Clause */
#include "results/sink.h"

#include "base/futex.h"
#include "results/memfile.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PARTS_MAX = 512, WAKE_BYTES = 256 * 1024 };

int sink_init(struct sink *s, struct mapi_fn *fn, int fd, uint64_t size_bytes, struct quota *q,
              struct mapi_error *err)
{
        uint64_t size = 4096;
        struct stat st;
        uint8_t *base;
        int mem;

        *s = (struct sink){ .fd = fd, .fn = fn, .quota = q };
        while (size < size_bytes && size < (1ull << 40))
                size *= 2;
        if (quota_take(q, size) < 0)
                return mapi_fail(err, MAPI_LIMIT_ERROR, "no memory for a file queue of %llu bytes in this session",
                                 (unsigned long long)size);
        mem = memfile_new("mapi-sink", 0, size);
        base = mmap(NULL, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (mem < 0 || base == MAP_FAILED ||
            mmap(base, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, mem, 0) == MAP_FAILED ||
            mmap(base + size, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, mem, 0) == MAP_FAILED) {
                if (base != MAP_FAILED)
                        munmap(base, 2 * size);
                if (mem >= 0)
                        close(mem);
                quota_give(q, size);
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "a file queue of %llu bytes",
                                 (unsigned long long)size);
        }
        close(mem);
        s->data = base;
        s->size = size;
        s->regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
        if (!s->regular) /* a pipe that nobody reads must not hold the writer for good */
                (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        return 0;
}

void sink_fini(struct sink *s)
{
        if (s->data == NULL)
                return;
        munmap(s->data, 2 * s->size);
        quota_give(s->quota, s->size);
        if (s->fd >= 0)
                close(s->fd);
        s->data = NULL;
        s->fd = -1;
}

uint64_t sink_room(const struct sink *s)
{
        if (__atomic_load_n(&s->error, __ATOMIC_RELAXED) != 0)
                return UINT64_MAX / 2;
        return s->size - (s->head_private - __atomic_load_n(&s->tail, __ATOMIC_ACQUIRE));
}

bool sink_put(struct sink *s, const void *a, size_t na, const void *b, size_t nb)
{
        uint64_t need = sink_record(na + nb);
        uint8_t *to = s->data + (s->head_private & (s->size - 1));
        uint32_t n = (uint32_t)(na + nb);

        if (n == 0) /* nothing to write is written */
                return true;
        if (__atomic_load_n(&s->error, __ATOMIC_RELAXED) != 0 || sink_room(s) < need) {
                __atomic_store_n(&s->dropped, s->dropped + 1, __ATOMIC_RELAXED);
                return false;
        }
        memcpy(to, &n, 4);
        memcpy(to + 4, a, na);
        if (nb > 0)
                memcpy(to + 4 + na, b, nb);
        s->head_private += need;
        s->total += na + nb;
        return true;
}

void sink_publish(struct sink *s, bool urgent)
{
        uint64_t pending;

        __atomic_store_n(&s->head, s->head_private, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&s->idle, __ATOMIC_SEQ_CST) == 0)
                return;
        pending = s->head_private - __atomic_load_n(&s->tail, __ATOMIC_RELAXED);
        if (pending >= WAKE_BYTES || pending >= s->size / 4 || (urgent && pending > 0)) {
                __atomic_store_n(&s->idle, 0, __ATOMIC_RELAXED);
                __atomic_fetch_add(&s->wake, 1, __ATOMIC_SEQ_CST);
                futex_wake(&s->wake);
        }
}

bool sink_drained(const struct sink *s)
{
        return __atomic_load_n(&s->tail, __ATOMIC_ACQUIRE) == s->head_private;
}

/** The records from tail on, as many as one writev takes. Returns the number of parts; *ret_end is the queue position behind them. */
static int gather(const struct sink *s, uint64_t tail, uint64_t head, struct iovec *part, uint64_t *ret_end)
{
        int n = 0;

        for (; n < PARTS_MAX && tail != head; n++) {
                uint8_t *record = s->data + (tail & (s->size - 1));
                uint32_t len;

                memcpy(&len, record, 4);
                part[n] = (struct iovec){ .iov_base = record + 4, .iov_len = len };
                tail += sink_record(len);
        }
        *ret_end = tail;
        return n;
}

/** The file ends with its last whole record: what came of the one that failed is taken back. */
static void cut_back(struct sink *s, int error)
{
        if (s->regular) {
                off_t end = lseek(s->fd, 0, SEEK_CUR);
                off_t whole = (off_t)s->written;

                if (end > whole && ftruncate(s->fd, whole) == 0)
                        (void)lseek(s->fd, whole, SEEK_SET);
        }
        __atomic_store_n(&s->error, error, __ATOMIC_RELEASE);
}

/** After a write that failed: true if it is to be tried again, now or when a pipe takes bytes again. */
static bool try_again(const struct sink *s)
{
        struct pollfd p = { .fd = s->fd, .events = POLLOUT };

        if (errno == EINTR)
                return true;
        if (errno != EAGAIN)
                return false;
        (void)poll(&p, 1, 100); /* for whatever reason it returns: the next write tells */
        errno = ETIMEDOUT;
        return __atomic_load_n(&s->abandon, __ATOMIC_RELAXED) == 0;
}

static int write_parts(struct sink *s, struct iovec *part, int n)
{
        size_t begun =
                0; /* bytes of the first part that are in the file already: a record counts when it is whole */

        while (n > 0) {
                ssize_t w = writev(s->fd, part, n);
                size_t left = w > 0 ? (size_t)w : 0;

                if (w < 0 && try_again(s))
                        continue;
                if (w <= 0) {
                        cut_back(s, w < 0 ? errno : EIO);
                        return -1;
                }
                for (; n > 0 && left >= part->iov_len; part++, n--) {
                        left -= part->iov_len;
                        __atomic_store_n(&s->written, s->written + begun + part->iov_len, __ATOMIC_RELAXED);
                        begun = 0;
                }
                if (left > 0) {
                        part->iov_base = (char *)part->iov_base + left;
                        part->iov_len -= left;
                        begun += left;
                }
        }
        return 0;
}

/** The records from tail to head that are not in the file: all but those that make up `written` bytes. */
static uint64_t count_lost(const struct sink *s, uint64_t tail, uint64_t head, uint64_t written)
{
        uint64_t lost = 0, bytes = 0;

        while (tail != head) {
                uint32_t len;

                memcpy(&len, s->data + (tail & (s->size - 1)), 4);
                bytes += len;
                lost += bytes > written;
                tail += sink_record(len);
        }
        return lost;
}

int sink_drain(struct sink *s)
{
        uint64_t head = __atomic_load_n(&s->head, __ATOMIC_SEQ_CST), tail = s->tail, end;
        uint64_t before = s->written;
        struct iovec part[PARTS_MAX];
        bool failed =
                s->error != 0; /* nothing more goes into this file; the worker counts what it puts from now on */
        int n;

        if (head == tail)
                return 0;
        if (!failed) {
                n = gather(s, tail, head, part, &end);
                failed = write_parts(s, part, n) < 0;
        }
        if (failed) {
                end = head;
                __atomic_store_n(&s->lost, s->lost + count_lost(s, tail, head, s->written - before),
                                 __ATOMIC_RELAXED);
        }
        if (s->fn->def->drained != NULL)
                s->fn->def->drained(s->fn, s->written, s->error);
        __atomic_store_n(&s->tail, end, __ATOMIC_SEQ_CST);
        return 1;
}
