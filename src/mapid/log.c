/*
 * Messages to streams, files and syslog; see log.h.
 *
 * syslog(3) is not used: it waits for a daemon that does not read, and reconnects at moments of its own choice.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "mapid/log.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SYSLOG_PATH "/dev/log"
#define SYSLOG_LOCAL1 (17 << 3)
#define PATIENCE_MS 50 /* for a stream that takes nothing; none at all while it goes on so */
#define LOCK_TRIES 20  /* a millisecond each, for a file that another process is writing to */
#define IDENT_BYTES 32

/* The kernel's and the journal's numbers. */
enum severity { ERROR = 3, WARNING = 4, INFO = 6, DEBUG = 7 };

/* One place where messages go. */
struct target {
        int fd;
        bool journal;  /* wants "<N>" in front of a line */
        uint64_t lost; /* since it took the last one */
};

static struct {
        pthread_mutex_t lock;
        const char *ident;
        char syslog_ident[IDENT_BYTES];
        _Atomic unsigned level;
        bool streams;
        struct target out, err, info, debug, syslog;
        char syslog_path[sizeof((struct sockaddr_un *)0)->sun_path];
        _Atomic uint64_t lost;
} log_state = {
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .ident = "mapid",
        .level = 2,
        .streams = true,
        .out.fd = STDOUT_FILENO,
        .err.fd = STDERR_FILENO,
        .info.fd = -1,
        .debug.fd = -1,
        .syslog.fd = -1,
};

/* ---- one line ---- */

/* Bytes of the character at s: 1 to 4, or 0 if it must be escaped. */
static size_t plain_bytes(const unsigned char *s)
{
        static const struct {
                unsigned char first, last;
                unsigned char bytes, low, high;                                     /* bounds of the second byte */
        } leads[] = { { 0x20, 0x7e, 1, 0, 0 },       { 0xc2, 0xc2, 2, 0xa0, 0xbf }, /* C2 80-9F are controls */
                      { 0xc3, 0xdf, 2, 0x80, 0xbf }, { 0xe0, 0xe0, 3, 0xa0, 0xbf }, { 0xe1, 0xec, 3, 0x80, 0xbf },
                      { 0xed, 0xed, 3, 0x80, 0x9f }, { 0xee, 0xef, 3, 0x80, 0xbf }, { 0xf0, 0xf0, 4, 0x90, 0xbf },
                      { 0xf1, 0xf3, 4, 0x80, 0xbf }, { 0xf4, 0xf4, 4, 0x80, 0x8f } };

        for (size_t i = 0; i < sizeof leads / sizeof leads[0]; i++) {
                if (s[0] < leads[i].first || s[0] > leads[i].last)
                        continue;
                if (leads[i].bytes > 1 && (s[1] < leads[i].low || s[1] > leads[i].high))
                        return 0;
                for (size_t k = 2; k < leads[i].bytes; k++)
                        if (s[k] < 0x80 || s[k] > 0xbf)
                                return 0;
                return leads[i].bytes;
        }
        return 0;
}

size_t log_escape(const char *text, char *ret, size_t size)
{
        const unsigned char *s = (const unsigned char *)text;
        size_t n = 0, fits = 0; /* fits: where "..." still has room behind */

        while (*s != '\0') {
                size_t bytes = plain_bytes(s), wants = bytes > 0 ? bytes : 4;

                if (n + 3 < size)
                        fits = n;
                if (n + wants >= size) {
                        memcpy(ret + fits, "...", 4);
                        return fits + 3;
                }
                if (bytes > 0)
                        memcpy(ret + n, s, bytes);
                else
                        (void)snprintf(ret + n, size - n, "\\x%02x", *s);
                s += bytes > 0 ? bytes : 1;
                n += wants;
        }
        ret[n] = '\0';
        return n;
}

/* ---- targets ---- */

static void lose(struct target *t)
{
        t->lost++;
        atomic_fetch_add_explicit(&log_state.lost, 1, memory_order_relaxed);
}

/* Whether a line may be written without waiting, and without a signal because nobody reads. A pipe that can be written to
   takes at least 4 KiB. */
static bool ready(const struct target *t)
{
        struct pollfd p = { .fd = t->fd, .events = POLLOUT };

        return poll(&p, 1, t->lost > 0 ? 0 : PATIENCE_MS) == 1 && (p.revents & (POLLOUT | POLLERR)) == POLLOUT;
}

/* 0, or -1 if it was not taken as a whole. */
static int write_line(int fd, const char *line, size_t n)
{
        ssize_t r;

        do
                r = write(fd, line, n);
        while (r < 0 && errno == EINTR);
        return r == (ssize_t)n ? 0 : -1;
}

/* Other processes may log to the same file, but a stuck one does not stop us: the line goes in at once, at the end. */
static bool lock_file(int fd, short type)
{
        struct flock lock = { .l_type = type, .l_whence = SEEK_SET };

        for (int i = 0; i < LOCK_TRIES; i++) {
                if (fcntl(fd, F_SETLK, &lock) == 0)
                        return true;
                if (errno != EACCES && errno != EAGAIN && errno != EINTR)
                        return false;
                (void)poll(NULL, 0, 1);
        }
        return false;
}

static int put_file(struct target *t, const char *text)
{
        time_t now = time(NULL);
        char line[LOG_LINE_BYTES_MAX + 64];
        struct tm tm;
        bool locked;
        int n, r;

        if (localtime_r(&now, &tm) == NULL)
                return -1;
        n = snprintf(line, sizeof line, "%s at %d/%d/%d %02d:%02d:%02d\n", text, tm.tm_mday, tm.tm_mon + 1,
                     tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
        locked = lock_file(t->fd, F_WRLCK);
        r = write_line(t->fd, line, (size_t)n);
        if (locked)
                (void)lock_file(t->fd, F_UNLCK);
        return r;
}

static int put_stream(struct target *t, enum severity severity, const char *text)
{
        char line[LOG_LINE_BYTES_MAX + IDENT_BYTES + 16];
        int n;

        if (t->journal) /* it notes our name by itself */
                n = snprintf(line, sizeof line, "<%d>%s\n", severity, text);
        else
                n = snprintf(line, sizeof line, "%.*s: %s\n", IDENT_BYTES, log_state.ident, text);
        if (!ready(t))
                return -1;
        return write_line(t->fd, line, (size_t)n);
}

static int connect_syslog(int fd)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        _Static_assert(sizeof address.sun_path == sizeof log_state.syslog_path, "syslog_path");
        memcpy(address.sun_path, log_state.syslog_path, sizeof address.sun_path);
        return connect(fd, (const struct sockaddr *)&address, sizeof address);
}

static int put_syslog(struct target *t, enum severity severity, const char *text)
{
        static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
        time_t now = time(NULL);
        char line[LOG_LINE_BYTES_MAX + IDENT_BYTES + 64];
        struct tm tm;
        int n;

        if (localtime_r(&now, &tm) == NULL)
                return -1;
        n = snprintf(line, sizeof line, "<%d>%s %2d %02d:%02d:%02d %s[%d]: %s", SYSLOG_LOCAL1 | (int)severity,
                     months[tm.tm_mon % 12], tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, log_state.syslog_ident,
                     (int)getpid(), text);
        if (send(t->fd, line, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) == n)
                return 0;
        /* The daemon behind the socket may be another one by now. */
        if (errno == EAGAIN || connect_syslog(t->fd) != 0)
                return -1;
        return send(t->fd, line, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) == n ? 0 : -1;
}

static int put_once(struct target *t, enum severity severity, const char *text)
{
        if (t == &log_state.syslog)
                return put_syslog(t, severity, text);
        if (t == &log_state.info || t == &log_state.debug)
                return put_file(t, text);
        return put_stream(t, severity, text);
}

static void put(struct target *t, enum severity severity, const char *text)
{
        char told[64];

        if (t->fd < 0)
                return;
        if (t->lost > 0) {
                (void)snprintf(told, sizeof told, "%llu messages were lost here", (unsigned long long)t->lost);
                if (put_once(t, WARNING, told) == 0)
                        t->lost = 0;
        }
        if (t->lost > 0 || put_once(t, severity, text) < 0)
                lose(t);
}

/* ---- messages ---- */

static void say(enum severity severity, const char *format, va_list args)
{
        unsigned level = atomic_load_explicit(&log_state.level, memory_order_relaxed);
        int debug = severity == DEBUG, keep_errno = errno;
        char raw[LOG_LINE_BYTES_MAX + 1], text[LOG_LINE_BYTES_MAX + 1];

        if (debug && level == 0)
                return;
        if (vsnprintf(raw, sizeof raw, format, args) >= (int)sizeof raw)
                memcpy(raw + sizeof raw - 4, "...", 4);
        (void)log_escape(raw, text, sizeof text);
        pthread_mutex_lock(&log_state.lock);
        if (log_state.streams && (!debug || level == 1))
                put(debug ? &log_state.out : &log_state.err, severity, text);
        put(debug ? &log_state.debug : &log_state.info, severity, text);
        put(&log_state.syslog, severity, text);
        pthread_mutex_unlock(&log_state.lock);
        errno = keep_errno;
}

#define SAY(severity)                                                                                             \
        do {                                                                                                      \
                va_list args;                                                                                     \
                va_start(args, format);                                                                           \
                say(severity, format, args);                                                                      \
                va_end(args);                                                                                     \
        } while (0)

void log_error(const char *format, ...)
{
        SAY(ERROR);
}

void log_warning(const char *format, ...)
{
        SAY(WARNING);
}

void log_info(const char *format, ...)
{
        SAY(INFO);
}

void log_debug(const char *format, ...)
{
        SAY(DEBUG);
}

bool log_debugs(void)
{
        return atomic_load_explicit(&log_state.level, memory_order_relaxed) > 0;
}

uint64_t log_lost(void)
{
        return atomic_load_explicit(&log_state.lost, memory_order_relaxed);
}

/* ---- opening ---- */

/* The variable names the stream's device and inode, so that it means nothing once the stream is redirected. */
static bool is_journal(int fd)
{
        const char *stream = getenv("JOURNAL_STREAM");
        unsigned long long device, inode;
        struct stat status;

        return stream != NULL && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(fd, &status) == 0 &&
               status.st_dev == device && status.st_ino == inode;
}

void log_start(const char *ident, unsigned level)
{
        size_t n = 0;

        tzset();
        pthread_mutex_lock(&log_state.lock);
        log_state.ident = ident;
        for (; ident[n] != '\0' && n + 1 < sizeof log_state.syslog_ident; n++)
                log_state.syslog_ident[n] = (char)toupper((unsigned char)ident[n]);
        log_state.syslog_ident[n] = '\0';
        log_state.out = (struct target){ .fd = STDOUT_FILENO, .journal = is_journal(STDOUT_FILENO) };
        log_state.err = (struct target){ .fd = STDERR_FILENO, .journal = is_journal(STDERR_FILENO) };
        pthread_mutex_unlock(&log_state.lock);
        log_set_level(level);
        atomic_store(&log_state.lost, 0);
}

void log_set_level(unsigned level)
{
        atomic_store_explicit(&log_state.level, level, memory_order_relaxed);
}

void log_set_streams(bool on)
{
        pthread_mutex_lock(&log_state.lock);
        log_state.streams = on;
        pthread_mutex_unlock(&log_state.lock);
}

static int open_file(const char *logfile, const char *kind, struct mapi_error *err)
{
        struct stat status;
        char *path = NULL;
        int fd, r;

        if (asprintf(&path, "%s.%s", logfile, kind) < 0)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "%s.%s", logfile, kind);
        fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW, 0600);
        if (fd < 0) {
                r = mapi_fail(err, MAPI_ERROR_FILE, "%s: %m", path);
        } else if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
                r = mapi_fail(err, MAPI_ERROR_FILE, "%s is not a regular file", path);
                (void)close(fd); /* nothing was written */
        } else {
                r = fd;
        }
        free(path);
        return r;
}

static int open_syslog(const char *path, struct mapi_error *err)
{
        int fd;

        if (strlen(path) >= sizeof log_state.syslog_path)
                return mapi_fail(err, MAPI_ERROR_FILE, "%s is too long", path);
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return mapi_fail(err, MAPI_ERROR_FILE, "%s: %m", path);
        pthread_mutex_lock(&log_state.lock);
        memset(log_state.syslog_path, 0, sizeof log_state.syslog_path);
        memcpy(log_state.syslog_path, path, strlen(path));
        pthread_mutex_unlock(&log_state.lock);
        /* Nobody there is no reason not to start: messages are sent as soon as somebody is. */
        if (connect_syslog(fd) != 0 && errno != ENOENT && errno != ECONNREFUSED) {
                int r = mapi_fail(err, MAPI_ERROR_FILE, "%s: %m", path);

                (void)close(fd);
                return r;
        }
        return fd;
}

static void close_fds(struct log_fds *fds)
{
        int all[] = { fds->info, fds->debug, fds->syslog };

        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
                if (all[i] > STDERR_FILENO)
                        (void)close(all[i]); /* a lost last line could not be told anyway */
        *fds = LOG_NO_FDS;
}

int log_open_at(const char *logfile, const char *syslog_path, struct log_fds *ret, struct mapi_error *err)
{
        struct log_fds fds = LOG_NO_FDS;
        int r = 0;

        if (logfile != NULL) {
                r = fds.info = open_file(logfile, "info", err);
                if (r >= 0)
                        r = fds.debug = open_file(logfile, "debug", err);
        }
        if (r >= 0 && syslog_path != NULL)
                r = fds.syslog = open_syslog(syslog_path, err);
        if (r < 0) {
                close_fds(&fds);
                return r;
        }
        *ret = fds;
        return 0;
}

int log_open(const char *logfile, bool syslog, struct log_fds *ret, struct mapi_error *err)
{
        return log_open_at(logfile, syslog ? SYSLOG_PATH : NULL, ret, err);
}

void log_adopt(struct log_fds fds)
{
        struct log_fds old;

        pthread_mutex_lock(&log_state.lock);
        old = (struct log_fds){ log_state.info.fd, log_state.debug.fd, log_state.syslog.fd };
        log_state.info = (struct target){ .fd = fds.info };
        log_state.debug = (struct target){ .fd = fds.debug };
        log_state.syslog = (struct target){ .fd = fds.syslog };
        pthread_mutex_unlock(&log_state.lock);
        close_fds(&old);
}

void log_stop(void)
{
        log_adopt(LOG_NO_FDS);
        log_set_streams(true);
}
