/* protocol/large: what a peer says about the memory it hands over is believed only as far as the kernel vouches for it.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "protocol/message.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

enum { SIZE = 300001 };

static uint8_t bytes[SIZE];

static int setup(void **state)
{
        for (unsigned i = 0; i < SIZE; i++)
                bytes[i] = (uint8_t)(i * 2654435761u >> 24);
        return 0;
}

static void what_is_written_is_mapped(void **state)
{
        struct mapi_error err = { 0 };
        int fd = protocol_large_write(bytes, SIZE, &err);
        const uint8_t *mem;

        assert_true(fd >= 0);
        assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
        mem = protocol_large_map(fd, SIZE);
        assert_non_null(mem);
        assert_int_equal(close(fd), 0); /* the mapping stays */
        assert_memory_equal(mem, bytes, SIZE);
        protocol_large_unmap(mem, SIZE);
        protocol_large_unmap(NULL, 0);
}

static void nobody_can_change_it(void **state)
{
        int fd = protocol_large_write(bytes, SIZE, NULL);

        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, SIZE - 1), -1);
        assert_int_equal(errno, EPERM);
        assert_int_equal(ftruncate(fd, SIZE + 1), -1);
        assert_int_equal(errno, EPERM);
        assert_int_equal(pwrite(fd, "x", 1, 0), -1);
        assert_int_equal(errno, EPERM);
        assert_ptr_equal(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
        close(fd);
}

static void the_size_must_be_right(void **state)
{
        int fd = protocol_large_write(bytes, SIZE, NULL);

        assert_true(fd >= 0);
        assert_null(protocol_large_map(fd, SIZE - 1));
        assert_null(protocol_large_map(fd, SIZE + 1));
        assert_null(protocol_large_map(fd, 0));
        assert_null(protocol_large_map(fd, UINT64_MAX));
        assert_null(protocol_large_map(fd, (uint64_t)1 << 32 | SIZE));
        close(fd);
        assert_null(protocol_large_map(fd, SIZE));
        assert_null(protocol_large_map(-1, SIZE));
}

static void answers_have_a_largest_size(void **state)
{
        uint8_t *much = calloc(1, PROTOCOL_LARGE_MAX + 1);
        struct mapi_error err = { 0 };
        const uint8_t *mem;
        int fd;

        assert_non_null(much);
        assert_int_equal(protocol_large_write(much, PROTOCOL_LARGE_MAX + 1, &err), -3075);
        assert_int_equal(protocol_large_write(much, 0, &err), -3075);
        fd = protocol_large_write(much, PROTOCOL_LARGE_MAX, &err);
        assert_true(fd >= 0);
        mem = protocol_large_map(fd, PROTOCOL_LARGE_MAX);
        assert_non_null(mem);
        protocol_large_unmap(mem, PROTOCOL_LARGE_MAX);
        close(fd);
        free(much);
        fd = memfd_create("test", MFD_ALLOW_SEALING);
        assert_int_equal(ftruncate(fd, PROTOCOL_LARGE_MAX + 1), 0);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_WRITE), 0);
        assert_null(protocol_large_map(fd, PROTOCOL_LARGE_MAX + 1));
        close(fd);
}

static const uint8_t *map_with(int seals)
{
        int fd = memfd_create("test", MFD_ALLOW_SEALING);
        const uint8_t *mem;

        assert_true(fd >= 0);
        assert_int_equal(write(fd, bytes, 5000), 5000);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
        mem = protocol_large_map(fd, 5000);
        close(fd);
        return mem;
}

static void it_must_be_sealed(void **state)
{
        const uint8_t *mem = map_with(F_SEAL_SHRINK | F_SEAL_WRITE);

        assert_non_null(mem);
        assert_memory_equal(mem, bytes, 5000);
        protocol_large_unmap(mem, 5000);
        assert_null(map_with(0));
        assert_null(map_with(F_SEAL_SHRINK));
        assert_null(map_with(F_SEAL_WRITE));
        assert_null(map_with(F_SEAL_GROW | F_SEAL_WRITE));
        assert_null(map_with(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
        assert_null(map_with(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE)); /* old mappings still write */
}

static void other_things_are_no_answers(void **state)
{
        char name[] = "/tmp/mapi-test-large.XXXXXX";
        int file = mkstemp(name), ends[2], folder = open("/", O_RDONLY), zero = open("/dev/zero", O_RDONLY);

        assert_true(file >= 0 && folder >= 0 && zero >= 0);
        assert_int_equal(unlink(name), 0);
        assert_int_equal(write(file, bytes, 5000), 5000);
        assert_int_equal(pipe(ends), 0);
        assert_null(protocol_large_map(file, 5000));
        assert_null(protocol_large_map(ends[0], 5000));
        assert_null(protocol_large_map(folder, 4096));
        assert_null(protocol_large_map(zero, 5000));
        close(file);
        close(ends[0]);
        close(ends[1]);
        close(folder);
        close(zero);
}

static void a_limit_on_files_is_an_error_and_no_signal(void **state)
{
        struct rlimit before, small;
        struct mapi_error err = { 0 };

        assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
        small = before;
        small.rlim_cur = SIZE - 1;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        assert_int_equal(protocol_large_write(bytes, SIZE, &err), -3075);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_int_equal(err.code, 3075);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_written_is_mapped),
                cmocka_unit_test(nobody_can_change_it),
                cmocka_unit_test(the_size_must_be_right),
                cmocka_unit_test(answers_have_a_largest_size),
                cmocka_unit_test(it_must_be_sealed),
                cmocka_unit_test(other_things_are_no_answers),
                cmocka_unit_test(a_limit_on_files_is_an_error_and_no_signal),
        };

        return cmocka_run_group_tests(tests, setup, NULL);
}
