/* protocol: whatever it does, it never asks for memory, so that a signal handler may talk while malloc is interrupted.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "samples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

/* These take the place of the C library's, in libprotobuf-c, too. A sanitizer has taken it already. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OTHERS_COUNT 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define OTHERS_COUNT 1
#endif
#endif

#ifndef OTHERS_COUNT
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *mem, size_t size);
void __libc_free(void *mem);

static volatile unsigned calls;

void *malloc(size_t size)
{
        calls++;
        return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
        calls++;
        return __libc_calloc(n, size);
}

void *realloc(void *mem, size_t size)
{
        calls++;
        return __libc_realloc(mem, size);
}

void free(void *mem)
{
        calls++;
        __libc_free(mem);
}

static _Alignas(16) uint8_t memory[PROTOCOL_POOL_BYTES];
static uint8_t bytes[PROTOCOL_MESSAGE_MAX], received[PROTOCOL_MESSAGE_MAX];

static void nothing_is_allocated(void **state)
{
        unsigned before, failures = 0, wrong = 0;
        void *volatile seen = malloc(1);
        struct protocol_received r;
        struct protocol_pool pool;
        uint64_t random = 7;
        int ends[2];

        assert_true(calls != 0); /* the counting works */
        free(seen);
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
        protocol_pool_init(&pool, memory, sizeof memory);
        before = calls;
        for (unsigned n = 0; n < 5000; n++) {
                Mapi__Envelope *e = samples_make(n % samples_kinds(), 0);
                struct mapi_error err;
                const uint8_t *mem;
                size_t len;
                int fd;

                wrong += protocol_pack(e, bytes, sizeof bytes, &len, &err) != 0;
                fd = protocol_large_write(bytes, len, &err);
                wrong += fd < 0;
                if (n >= samples_kinds())
                        len = samples_mutate(&random, bytes, len, sizeof bytes);
                wrong += len != 0 && protocol_send(ends[0], bytes, len, &fd, 1, 0, NULL, &err) != 0;
                (void)close(fd);
                if (len == 0)
                        continue;
                wrong += protocol_recv(ends[1], received, 0, &r, NULL, &err) != 1 || r.nfds != 1;
                mem = protocol_large_map(r.fd[0], r.len);
                protocol_large_unmap(mem, r.len);
                protocol_close_fds(&r, 0);
                (void)protocol_peek_id(received, r.len);
                failures += protocol_unpack(&pool, received, r.len, &e, &err) < 0;
        }
        assert_int_equal(calls, before);
        assert_int_equal(wrong, 0);
        assert_true(failures > 1000 && failures < 4900);
        close(ends[0]);
        close(ends[1]);
}
#else
static void nothing_is_allocated(void **state)
{
        skip();
}
#endif

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(nothing_is_allocated),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
