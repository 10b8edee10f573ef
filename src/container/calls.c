#include "container/calls.h"

#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define CALL(which) .number = SCMP_SYS(which), .name = #which

enum {
    SOCKET_KIND =
        0xf, /* of socket's second argument; above it are SOCK_CLOEXEC and SOCK_NONBLOCK */
    NOT_FOR_READING = O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY),
};

/* With CLONE_THREAD the kernel demands CLONE_VM and CLONE_SIGHAND. */
#define NAMESPACES                                                                                 \
    (CLONE_NEWNS | CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC |     \
     CLONE_NEWCGROUP)

const struct call calls_allowed[] = {
    /* memory that is never code */
    {CALL(brk)},
    {CALL(munmap)},
    {CALL(mremap)},
    {CALL(madvise)},
    {CALL(mmap), .only = {{2, PROT_EXEC, 0}}},
    {CALL(mprotect), .only = {{2, PROT_EXEC, 0}}},

    /* threads that resolve names; clone3 hides its flags behind a pointer, and
     * the C library goes back to clone without it */
    {CALL(clone), .only = {{0, CLONE_THREAD | NAMESPACES, CLONE_THREAD}}},
    {CALL(futex)},
    {CALL(rseq)},
    {CALL(set_robust_list)},
    {CALL(sched_getaffinity)}, /* how many arenas malloc makes */
    {CALL(sched_yield)},
    {CALL(gettid)},
    {CALL(getpid)},
    {CALL(prlimit64), .only = {{2, UINT64_MAX, 0}}}, /* a stack's limit is read, none is set */
    {CALL(exit)},
    {CALL(exit_group)},

    /* signals; tgkill for abort is in filter.c, because it names the process */
    {CALL(rt_sigaction)},
    {CALL(rt_sigprocmask)},
    {CALL(rt_sigreturn)},
    {CALL(restart_syscall)}, /* after a SIGSTOP */

    /* the time, where the kernel does not offer it without a call */
    {CALL(clock_gettime)},
    {CALL(clock_nanosleep)},
    {CALL(gettimeofday)},
    {CALL(time)},
    {CALL(nanosleep)},

    /* the event loop */
    {CALL(epoll_create1)},
    {CALL(epoll_ctl)},
    {CALL(epoll_wait)},
    {CALL(epoll_pwait)},
    {CALL(eventfd2)},
    {CALL(pipe2)},
    {CALL(poll)},
    {CALL(ppoll)},

    /* descriptors that are open; the log is one */
    {CALL(read)},
    {CALL(readv)},
    {CALL(write)},
    {CALL(writev)},
    {CALL(close)},
    {CALL(lseek)},
    {CALL(fcntl)},
    {CALL(fstat)},
    {CALL(ioctl), .only = {{1, UINT32_MAX, FIONBIO}}},
    {CALL(ioctl), .only = {{1, UINT32_MAX, FIONREAD}}},

    /* the resolver's files, for reading (Landlock says which) */
    {CALL(open), .only = {{1, NOT_FOR_READING, O_RDONLY}}},
    {CALL(openat), .only = {{2, NOT_FOR_READING, O_RDONLY}}},
    {CALL(stat)},
    {CALL(newfstatat)},
    {CALL(access)},
    {CALL(uname)},

    /* TCP, and UDP for names; no raw, netlink or unix sockets */
    {CALL(socket), .only = {{0, UINT32_MAX, AF_INET}, {1, SOCKET_KIND, SOCK_STREAM}}},
    {CALL(socket), .only = {{0, UINT32_MAX, AF_INET}, {1, SOCKET_KIND, SOCK_DGRAM}}},
    {CALL(socket), .only = {{0, UINT32_MAX, AF_INET6}, {1, SOCKET_KIND, SOCK_STREAM}}},
    {CALL(socket), .only = {{0, UINT32_MAX, AF_INET6}, {1, SOCKET_KIND, SOCK_DGRAM}}},
    {CALL(bind)},
    {CALL(listen)},
    {CALL(accept)},
    {CALL(accept4)},
    {CALL(connect)},
    {CALL(getsockname)},
    {CALL(getpeername)},
    {CALL(getsockopt)},
    {CALL(setsockopt)},
    {CALL(shutdown)},
    {CALL(sendto)},
    {CALL(sendmsg)},
    {CALL(sendmmsg)},
    {CALL(recvfrom)},
    {CALL(recvmsg)},

    /* numbers: random ones, and how much memory there is (qsort asks) */
    {CALL(getrandom)},
    {CALL(sysinfo)},
};
const size_t calls_n_allowed = sizeof(calls_allowed) / sizeof(calls_allowed[0]);

const struct call calls_trapped[] = {
    /* another program, another process */
    {CALL(execve)},
    {CALL(execveat)},
    {CALL(fork)},
    {CALL(vfork)},
    {CALL(clone), .only = {{0, CLONE_THREAD, 0}}},

    /* into other processes */
    {CALL(ptrace)},
    {CALL(process_vm_readv)},
    {CALL(process_vm_writev)},
    {CALL(pidfd_open)},
    {CALL(pidfd_getfd)},
    {CALL(kcmp)},

    /* another identity */
    {CALL(setuid)},
    {CALL(setreuid)},
    {CALL(setresuid)},
    {CALL(setgid)},
    {CALL(setregid)},
    {CALL(setresgid)},
    {CALL(setgroups)},
    {CALL(capset)},

    /* another view of the machine */
    {CALL(unshare)},
    {CALL(setns)},
    {CALL(chroot)},
    {CALL(pivot_root)},
    {CALL(mount)},
    {CALL(umount2)},
    {CALL(open_tree)},
    {CALL(move_mount)},
    {CALL(fsopen)},
    {CALL(fsmount)},
    {CALL(mount_setattr)},
    {CALL(open_by_handle_at)},

    /* the kernel itself, and its parts with a history */
    {CALL(init_module)},
    {CALL(finit_module)},
    {CALL(delete_module)},
    {CALL(kexec_load)},
    {CALL(kexec_file_load)},
    {CALL(reboot)},
    {CALL(iopl)},
    {CALL(ioperm)},
    {CALL(bpf)},
    {CALL(perf_event_open)},
    {CALL(userfaultfd)},
    {CALL(io_uring_setup)},
    {CALL(add_key)},
    {CALL(request_key)},
    {CALL(keyctl)},
};
const size_t calls_n_trapped = sizeof(calls_trapped) / sizeof(calls_trapped[0]);
