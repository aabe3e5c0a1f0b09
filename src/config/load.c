/* mapi.conf: the file itself. SPDX-License-Identifier: BSD-2-Clause */
#include "config/config.h"

#include "mapi_config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

const char *config_installed_path(void)
{
        return MAPI_CONF_FILE;
}

/* Reads all of fd, one byte more than allowed at most. Bytes read, or -errno. */
static ssize_t read_all(int fd, char *buffer, size_t room)
{
        size_t have = 0;

        while (have < room) {
                ssize_t n = read(fd, buffer + have, room - have);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                have += (size_t)n;
        }
        return (ssize_t)have;
}

static int read_file(const char *path, int fd, struct config **ret, struct mapi_error *err)
{
        struct stat status;
        char *text;
        ssize_t n;
        int r;

        /* Anything else could keep us waiting. */
        if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
                return mapi_fail(err, MAPI_CONFIG_ERROR, "%s is not a regular file", path);
        text = malloc(CONFIG_FILE_BYTES_MAX + 1);
        if (text == NULL)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "%s", path);
        n = read_all(fd, text, CONFIG_FILE_BYTES_MAX + 1);
        if (n < 0) {
                errno = (int)-n;
                r = mapi_fail(err, MAPI_CONFIG_ERROR, "%s cannot be read: %m", path);
        } else {
                r = config_parse(text, (size_t)n, path, ret, err); /* says so if it is too large */
        }
        free(text);
        return r;
}

int config_load(const char *given, struct config **ret, struct mapi_error *err)
{
        const char *path = given != NULL ? given : secure_getenv("MAPI_CONF");
        int fd, r;

        if (path != NULL && *path == '\0' && given == NULL)
                path = NULL; /* an empty variable is none */
        fd = open(path != NULL ? path : MAPI_CONF_FILE, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0 && path == NULL && (errno == ENOENT || errno == ENOTDIR))
                return config_parse("", 0, NULL, ret, err);
        if (path == NULL)
                path = MAPI_CONF_FILE;
        if (fd < 0)
                return mapi_fail(err, MAPI_CONFIG_ERROR, "%s cannot be opened: %m", path);
        r = read_file(path, fd, ret, err);
        (void)close(fd); /* it was only read */
        return r;
}
