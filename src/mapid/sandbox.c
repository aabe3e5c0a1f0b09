/*
 * The system calls that mapid's processes are denied; see privileges.h.
 *
 * Everything else is allowed: what a C library needs for threads, memory and waiting changes with every version, while
 * what may lead out of the process is a list that can be read. A denied call fails with EPERM.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "mapid/privileges.h"
#include "mapid/sanitized.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define DENY SCMP_ACT_ERRNO(EPERM)
#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

#ifdef __s390x__ /* there clone's flags come second */
#define CLONE_FLAGS 1
#else
#define CLONE_FLAGS 0
#endif

/* Calls by name: what this machine or this libseccomp does not know is not there to be denied. */

/* For all three: other programs, other processes, the kernel itself, and ways around filters like these. */
static const char never[] = "execve execveat uselib ptrace process_vm_readv process_vm_writev process_madvise "
                            "pidfd_getfd kcmp bpf perf_event_open userfaultfd io_uring_setup io_uring_enter "
                            "io_uring_register kexec_load kexec_file_load create_module init_module finit_module "
                            "delete_module keyctl add_key request_key fanotify_init name_to_handle_at "
                            "open_by_handle_at mount umount umount2 pivot_root chroot setns unshare "
                            "mount_setattr open_tree move_mount fsopen fsconfig fsmount fspick quotactl "
                            "quotactl_fd swapon swapoff acct reboot syslog vhangup iopl ioperm modify_ldt "
                            "sethostname setdomainname settimeofday stime clock_settime clock_settime64 "
                            "clock_adjtime clock_adjtime64 adjtimex";

/* Engine process and compiler: nothing is made, changed or removed by its path. */
static const char changing_paths[] =
        "creat openat2 mknod mknodat mkdir mkdirat rmdir unlink unlinkat rename renameat "
        "renameat2 link linkat symlink symlinkat truncate truncate64 chmod fchmodat "
        "fchmodat2 chown chown32 lchown lchown32 fchownat setxattr lsetxattr removexattr "
        "lremovexattr utime utimes futimesat inotify_add_watch";

static const char processes[] = "fork vfork";
static const char opening[] = "open openat";
static const char serving[] = "listen accept accept4";

/* ---- rules: each returns 0 or -errno, and does nothing after a failure ---- */

struct filter {
        scmp_filter_ctx context;
        int result;
};

/* Argument number `arg` compared with `value`; for MASKED_EQ that is the mask, and `masked` what must be left of it. All
   64 bits are compared, so that nobody hides a number behind upper bits which the kernel ignores. */
static struct scmp_arg_cmp when(unsigned arg, enum scmp_compare how, scmp_datum_t value, scmp_datum_t masked)
{
        return (struct scmp_arg_cmp){ .arg = arg, .op = how, .datum_a = value, .datum_b = masked };
}

static void deny_if(struct filter *f, const char *name, const struct scmp_arg_cmp *compare, unsigned n)
{
        int number = seccomp_syscall_resolve_name(name);

        if (f->result == 0 && number != __NR_SCMP_ERROR)
                f->result = seccomp_rule_add_array(f->context, DENY, number, n, compare);
}

/* Each of the names in a list with blanks between them. */
static void deny_all(struct filter *f, const char *names)
{
        while (*names != '\0') {
                size_t n = strcspn(names, " ");
                char name[32];

                (void)snprintf(name, sizeof name, "%.*s", (int)n, names);
                if (!SANITIZED || strcmp(name, "ptrace") != 0) /* LeakSanitizer stops threads with it */
                        deny_if(f, name, NULL, 0);
                names += n + (names[n] != '\0');
        }
}

/* Threads, but no processes. */
static void deny_processes(struct filter *f)
{
        const struct scmp_arg_cmp no_thread[] = { when(CLONE_FLAGS, SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0) };

        if (SANITIZED) /* leaks are looked for by a process of the sanitizer's */
                return;
        deny_all(f, processes);
        deny_if(f, "clone", no_thread, 1);
        /* Its flags lie in memory, which a filter cannot see: C libraries then take clone. */
        if (f->result == 0)
                f->result = seccomp_rule_add(f->context, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

/* Signals to itself, and the question whether somebody lives; not to others of the same user. */
static void deny_signals(struct filter *f)
{
        const scmp_datum_t self = (scmp_datum_t)getpid();
        const struct scmp_arg_cmp by_number[] = { when(0, SCMP_CMP_NE, self, 0), when(1, SCMP_CMP_NE, 0, 0) };
        const struct scmp_arg_cmp thread[] = { when(0, SCMP_CMP_NE, self, 0) };
        const struct scmp_arg_cmp by_descriptor[] = { when(1, SCMP_CMP_NE, 0, 0) };

        deny_if(f, "kill", by_number, 2);
        deny_if(f, "tkill", NULL, 0);
        deny_if(f, "tgkill", thread, 1);
        deny_if(f, "rt_sigqueueinfo", thread, 1);
        deny_if(f, "rt_tgsigqueueinfo", thread, 1);
        deny_if(f, "pidfd_send_signal", by_descriptor, 1);
}

static void deny_families_but(struct filter *f, const int *families, size_t n)
{
        struct scmp_arg_cmp above;
        int most = 0;

        for (size_t i = 0; i < n; i++)
                most = families[i] > most ? families[i] : most;
        above = when(0, SCMP_CMP_GT, (scmp_datum_t)most, 0);
        for (int family = 0; family <= most; family++) {
                const struct scmp_arg_cmp is[] = { when(0, SCMP_CMP_EQ, (scmp_datum_t)family, 0) };
                bool allowed = false;

                for (size_t i = 0; i < n; i++)
                        allowed = allowed || families[i] == family;
                if (!allowed)
                        deny_if(f, "socket", is, 1);
        }
        deny_if(f, "socket", &above, 1);
}

/* Input that a terminal takes for typed is a way out as well. */
static void deny_typing(struct filter *f)
{
        const struct scmp_arg_cmp sti[] = { when(1, SCMP_CMP_MASKED_EQ, 0xffffffffu, TIOCSTI) };
        const struct scmp_arg_cmp console[] = { when(1, SCMP_CMP_MASKED_EQ, 0xffffffffu, TIOCLINUX) };

        deny_if(f, "ioctl", sti, 1);
        deny_if(f, "ioctl", console, 1);
}

static void deny_opening_but_reading(struct filter *f)
{
        static const struct {
                unsigned mask, value;
        } writing[] = { { O_ACCMODE, O_WRONLY },
                        { O_ACCMODE, O_RDWR },
                        { O_ACCMODE, O_ACCMODE },
                        { O_CREAT, O_CREAT },
                        { O_TRUNC, O_TRUNC } };

        for (size_t i = 0; i < COUNT(writing); i++) {
                const struct scmp_arg_cmp open_flags[] = { when(1, SCMP_CMP_MASKED_EQ, writing[i].mask,
                                                                writing[i].value) };
                const struct scmp_arg_cmp openat_flags[] = { when(2, SCMP_CMP_MASKED_EQ, writing[i].mask,
                                                                  writing[i].value) };

                deny_if(f, "open", open_flags, 1);
                deny_if(f, "openat", openat_flags, 1);
        }
}

/* ---- filters ---- */

static int begin(struct filter *f, struct mapi_error *err)
{
        f->result = 0;
        f->context = seccomp_init(SCMP_ACT_ALLOW);
        if (f->context == NULL)
                return mapi_fail(err, MAPI_PRIVILEGES_ERROR, "a filter of system calls cannot be made");
        deny_all(f, never);
        return 0;
}

static int install(struct filter *f, struct mapi_error *err)
{
        int r = f->result;

        if (r == 0)
                r = seccomp_load(f->context);
        seccomp_release(f->context);
        if (r < 0)
                return mapi_fail(err, MAPI_PRIVILEGES_ERROR, "the filter of system calls: %s", strerror(-r));
        return 0;
}

int privileges_filter_opener(struct mapi_error *err)
{
        struct filter f;
        int r = begin(&f, err);

        return r < 0 ? r : install(&f, err);
}

int privileges_filter_engine(struct mapi_error *err)
{
        static const int families[] = { AF_UNIX };
        struct filter f;
        int r = begin(&f, err);

        if (r < 0)
                return r;
        deny_all(&f, changing_paths);
        if (SANITIZED) /* they read /proc/self/maps */
                deny_opening_but_reading(&f);
        else
                deny_all(&f, opening);
        deny_processes(&f);
        deny_signals(&f);
        deny_families_but(&f, families, COUNT(families));
        deny_typing(&f);
        return install(&f, err);
}

int privileges_filter_compiler(struct mapi_error *err)
{
        /* Host names: the resolver's sockets, and the kernel's list of addresses. */
        static const int families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };
        struct filter f;
        int r = begin(&f, err);

        if (r < 0)
                return r;
        deny_all(&f, changing_paths);
        deny_opening_but_reading(&f);
        deny_processes(&f);
        deny_signals(&f);
        deny_families_but(&f, families, COUNT(families));
        deny_all(&f, serving);
        deny_typing(&f);
        return install(&f, err);
}
