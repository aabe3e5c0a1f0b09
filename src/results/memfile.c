/* Anonymous memory with a descriptor. SPDX-License-Identifier: BSD-2-Clause */
#include "results/memfile.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

int memfile_new(const char *name, unsigned flags, uint64_t size_bytes)
{
        struct rlimit limit;
        int fd, error;

        if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
            size_bytes > limit.rlim_cur) {
                errno = EFBIG;
                return -1;
        }
        fd = memfd_create(name, MFD_CLOEXEC | flags);
        if (fd < 0 || ftruncate(fd, (off_t)size_bytes) == 0)
                return fd;
        error = errno;
        (void)close(fd);
        errno = error;
        return -1;
}
