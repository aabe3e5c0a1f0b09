/* Answers that are too long for the socket, in sealed memory. SPDX-License-Identifier: BSD-2-Clause */
#include "protocol/message.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_all(int fd, const uint8_t *bytes, size_t len)
{
        struct rlimit limit;
        ssize_t n;

        /* The system counts this memory as a file, and would end the program with a signal. */
        if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && len > limit.rlim_cur) {
                errno = EFBIG;
                return -1;
        }
        while (len > 0) {
                n = write(fd, bytes, len);
                if (n < 0 && errno != EINTR)
                        return -1;
                if (n > 0) {
                        bytes += n;
                        len -= (size_t)n;
                }
        }
        return 0;
}

int protocol_large_write(const uint8_t *bytes, size_t len, struct mapi_error *err)
{
        int fd, error;

        if (len == 0 || len > PROTOCOL_LARGE_MAX)
                return mapi_fail(err, MDLIB_SHM_ERR, "an answer of %zu bytes", len);
        fd = memfd_create("mapi-answer", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd >= 0 && write_all(fd, bytes, len) == 0 &&
            fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0)
                return fd;
        error = errno;
        if (fd >= 0)
                (void)close(fd);
        return mapi_fail(err, MDLIB_SHM_ERR, "an answer of %zu bytes (errno %d)", len, error);
}

const uint8_t *protocol_large_map(int fd, uint64_t size_bytes)
{
        const int wanted = F_SEAL_SHRINK | F_SEAL_WRITE;
        struct stat st;
        void *mem;
        int seals;

        if (size_bytes == 0 || size_bytes > PROTOCOL_LARGE_MAX || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
            st.st_size < 0 || (uint64_t)st.st_size != size_bytes)
                return NULL;
        seals = fcntl(fd, F_GET_SEALS);
        if (seals < 0 || (seals & wanted) != wanted)
                return NULL;
        /* private: a shared mapping could be made writable later, which the seal does not allow */
        mem = mmap(NULL, (size_t)size_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        return mem == MAP_FAILED ? NULL : mem;
}

void protocol_large_unmap(const uint8_t *mem, uint64_t size_bytes)
{
        if (mem != NULL)
                (void)munmap((void *)(uintptr_t)mem, (size_t)size_bytes);
}
