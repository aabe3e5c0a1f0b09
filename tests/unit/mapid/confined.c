/* Children, and what they must not be able to do; see confined.h. SPDX-License-Identifier: BSD-2-Clause */
#include "confined.h"

#include "mapid/sanitized.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/swap.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <time.h>
#include <cmocka.h>

void confined_in_child(void (*body)(struct facts *), struct facts *facts)
{
        int status = -1;
        pid_t pid;

        (void)fflush(NULL);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                body(facts);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

const char *confined_path(const struct facts *f, const char *name)
{
        static char path[2][128];
        static unsigned next;

        next = !next;
        (void)snprintf(path[next], sizeof path[next], "%s/%s", f->folder, name);
        return path[next];
}

int confined_setup(void **state)
{
        struct facts *f = calloc(1, sizeof *f);
        int fd;

        assert_non_null(f);
        tzset();
        (void)snprintf(f->folder, sizeof f->folder, "/tmp/test_privileges.XXXXXX");
        assert_non_null(mkdtemp(f->folder));
        assert_int_equal(chmod(f->folder, 0777), 0); /* what fails there fails because of the role */
        f->log = open(confined_path(f, "log"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        assert_true(f->log >= 0);
        fd = open(confined_path(f, "public"), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
        assert_int_equal(write(fd, "text\n", 5), 5);
        assert_int_equal(fchmod(fd, 0666), 0);
        close(fd);
        assert_int_equal(privileges_find_user("no-such-user-of-mapi", false, &f->user, NULL), 0);
        *state = f;
        return 0;
}

int confined_teardown(void **state)
{
        struct facts *f = *state;

        (void)unlink(confined_path(f, "log"));
        (void)unlink(confined_path(f, "public"));
        (void)unlink(confined_path(f, "private"));
        close(f->log);
        assert_int_equal(rmdir(f->folder), 0);
        free(f);
        return 0;
}

/* ---- what every role is denied ---- */

void confined_never(void)
{
        static char *const nothing[] = { NULL };
        int self = open("/bin/false", O_PATH | O_CLOEXEC);

        DENIED(execve("/bin/false", nothing, nothing));
        DENIED(syscall(SYS_execveat, self >= 0 ? self : 0, "", nothing, nothing, AT_EMPTY_PATH));
        if (!SANITIZED)
                DENIED((int)ptrace(PTRACE_TRACEME, 0, NULL, NULL));
        DENIED(syscall(SYS_process_vm_readv, getpid(), NULL, 0, NULL, 0, 0));
        DENIED(mount("none", "/nowhere", "tmpfs", 0, NULL));
        DENIED(umount2("/nowhere", 0));
        DENIED(unshare(CLONE_NEWUSER));
        DENIED(chroot("/nowhere"));
        DENIED(syscall(SYS_sethostname, "", -1));
        DENIED(swapoff("/nowhere"));
        DENIED(setns(0, 0));
        DENIED(syscall(SYS_bpf, 0, NULL, 0));
        DENIED(syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0));
        DENIED(syscall(SYS_userfaultfd, 0));
        DENIED(syscall(SYS_io_uring_setup, 1, NULL));
        DENIED(syscall(SYS_kexec_load, 0, 0, NULL, 0));
        DENIED(syscall(SYS_init_module, NULL, 0, ""));
        DENIED(syscall(SYS_finit_module, 0, "", 0));
        DENIED(syscall(SYS_delete_module, "mapi", 0));
        DENIED(syscall(SYS_keyctl, 0, 0, 0, 0, 0));
        DENIED(syscall(SYS_open_by_handle_at, 0, NULL, 0));
        DENIED(syscall(SYS_pidfd_getfd, 0, 0, 0));
        if (self >= 0)
                close(self);
}

/* Engine process and compiler. */
void confined_changes_no_path(const struct facts *f)
{
        const char *path = confined_path(f, "public"), *new = confined_path(f, "new");

        DENIED(creat(new, 0600));
        DENIED(open(new, O_RDONLY | O_CREAT, 0600));
        DENIED(open(path, O_WRONLY));
        DENIED(open(path, O_RDWR));
        DENIED(open(path, O_RDONLY | O_TRUNC));
        DENIED(openat(AT_FDCWD, path, O_WRONLY | O_APPEND));
        DENIED(open(f->folder, O_TMPFILE | O_RDWR, 0600));
        DENIED(unlink(path));
        DENIED(unlinkat(AT_FDCWD, path, 0));
        DENIED(rename(path, new));
        DENIED(link(path, new));
        DENIED(symlink(path, new));
        DENIED(mkdir(new, 0700));
        DENIED(rmdir(f->folder));
        DENIED(mkfifo(new, 0600));
        DENIED(truncate(path, 0));
        DENIED(chmod(path, 0));
        DENIED(chown(path, (uid_t)-1, (gid_t)-1));
}

void confined_alone(const struct facts *f)
{
        if (!SANITIZED) {
                DENIED(fork());
                DENIED(vfork());
        }
        DENIED(kill(f->other, SIGTERM));
        DENIED(syscall(SYS_tgkill, f->other, f->other, SIGTERM));
        DENIED(syscall(SYS_rt_sigqueueinfo, f->other, SIGTERM, NULL));
        DENIED(ioctl(STDIN_FILENO, TIOCSTI, "x"));
        DENIED(socket(AF_PACKET, SOCK_RAW, 0));
        DENIED(socket(AF_VSOCK, SOCK_STREAM, 0));
        DENIED(socket(AF_ALG, SOCK_SEQPACKET, 0));
        DENIED(socket(AF_BLUETOOTH, SOCK_RAW, 0));
        DENIED(socket(AF_UNSPEC, SOCK_STREAM, 0));
}
