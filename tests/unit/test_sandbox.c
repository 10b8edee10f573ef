/* The sandbox from inside: children enter it by the worker's own function and then try what nobody
 * who takes the worker over shall be able to do, and what a worker does all day. Built without
 * sanitizers whatever the rest is built with, because those change what the sandbox is. */
#include "container/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/capability.h>
#include <netdb.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "container/filter.h"
#include "container/landlock.h"

enum {
    ENOUGH_MS = 20000, /* so that nothing hangs */
    LOG_BYTES = 4096,
    STATUS_BYTES = 8192,
    NO_THREADS_FAILED = 0,
    THREADS = 8,
    NOT_ENTERED = 250, /* exit status of a child that could not make its surroundings */
};

static SSL_CTX *tls;                                   /* what a worker has made before it enters */
static const char made[] = "/tmp/mlgate-test-sandbox"; /* only where a test fails */
static struct sockaddr_un abstract = {.sun_family = AF_UNIX}; /* of this run */

/* ---- attempts -------------------------------------------------------------------------------- */

/* 0, or the errno of a system call's result. */
static int outcome(long result)
{
    return result >= 0 ? 0 : errno;
}

static int execute(void)
{
    return outcome(execl("/bin/true", "true", (char *)NULL));
}

static int execute_descriptor(void)
{
    return outcome(syscall(SYS_execveat, 0, "", NULL, NULL, 0x1000));
}

static int fork_process(void)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    return outcome(pid);
}

static int clone_hidden_flags(void)
{
    return outcome(syscall(SYS_clone3, NULL, 0));
}

static int clone_with_namespace(void)
{
    return outcome(syscall(SYS_clone, CLONE_THREAD | CLONE_VM | CLONE_SIGHAND | CLONE_NEWNET, NULL,
                           NULL, NULL, NULL));
}

static int trace(void)
{
    return outcome(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int read_parents_memory(void)
{
    char byte;
    struct iovec to = {&byte, 1};
    struct iovec from = {(void *)(uintptr_t)&tls, 1};

    return outcome(process_vm_readv(getppid(), &to, 1, &from, 1, 0));
}

static int signal_parent(void)
{
    return outcome(kill(getppid(), 0));
}

static int signal_parents_thread(void)
{
    pid_t parent = getppid();

    return outcome(syscall(SYS_tgkill, parent, parent, 0));
}

static int open_for(const char *path, int flags)
{
    return outcome(open(path, flags, 0600));
}

static int open_root(void)
{
    return open_for("/root", O_RDONLY | O_DIRECTORY);
}

static int open_own_environment(void)
{
    return open_for("/proc/self/environ", O_RDONLY);
}

static int open_environment_of_1(void)
{
    return open_for("/proc/1/environ", O_RDONLY);
}

static int open_passwords(void)
{
    return open_for("/etc/shadow", O_RDONLY);
}

static int open_program(void)
{
    return open_for("/bin/sh", O_RDONLY);
}

static int open_hosts(void)
{
    return open_for("/etc/hosts", O_RDONLY);
}

static int open_resolver(void)
{
    return open_for("/etc/resolv.conf", O_RDONLY);
}

static int make_file(void)
{
    return open_for(made, O_WRONLY | O_CREAT | O_EXCL);
}

static int write_null(void)
{
    return open_for("/dev/null", O_WRONLY);
}

static int read_null(void)
{
    return open_for("/dev/null", O_RDONLY);
}

static int set_limit(void)
{
    const struct rlimit files = {16, 16};

    return outcome(setrlimit(RLIMIT_NOFILE, &files));
}

static int list_etc(void)
{
    return open_for("/etc", O_RDONLY | O_DIRECTORY);
}

static int remove_file(void)
{
    return outcome(unlink("/tmp/mlgate-test-no-such-file"));
}

static int map_code(void)
{
    void *at =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return at == MAP_FAILED ? errno : 0;
}

static int turn_into_code(void)
{
    void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return at == MAP_FAILED ? -1 : outcome(mprotect(at, 4096, PROT_READ | PROT_EXEC));
}

static int open_socket(int family, int type, int protocol)
{
    return outcome(socket(family, type, protocol));
}

static int socket_raw(void)
{
    return open_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

static int socket_raw_6(void)
{
    return open_socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6);
}

static int socket_packet(void)
{
    return open_socket(AF_PACKET, SOCK_DGRAM, 0);
}

static int socket_netlink(void)
{
    return open_socket(AF_NETLINK, SOCK_RAW, 0);
}

static int socket_unix(void)
{
    return open_socket(AF_UNIX, SOCK_STREAM, 0);
}

static int abstract_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    return fd < 0 ? -1 : outcome(connect(fd, (const struct sockaddr *)&abstract, sizeof(abstract)));
}

static int become_root(void)
{
    return outcome(setuid(0));
}

static int take_capabilities(void)
{
    return outcome(syscall(SYS_capset, NULL, NULL));
}

static int leave_namespaces(void)
{
    return outcome(unshare(CLONE_NEWUSER));
}

static int mount_something(void)
{
    return outcome(mount("none", "/mnt", "tmpfs", 0, NULL));
}

static int change_root(void)
{
    return outcome(chroot("/etc"));
}

static int load_bpf(void)
{
    return outcome(syscall(SYS_bpf, 0, NULL, 0));
}

static int use_keys(void)
{
    return outcome(syscall(SYS_keyctl, 0, 0, 0, 0, 0));
}

static int use_uring(void)
{
    return outcome(syscall(SYS_io_uring_setup, 1, NULL));
}

static int make_memory_file(void)
{
    return outcome(memfd_create("x", 0));
}

static int be_dumped(void)
{
    return outcome(prctl(PR_SET_DUMPABLE, 1));
}

#ifdef __x86_64__
static int call_as_x32(void)
{
    return outcome(syscall(0x40000000 | SYS_getpid));
}
#endif

/* ---- a worker's day -------------------------------------------------------------------------- */

static void *resolve(void *ok)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    void *memory;

    if (getaddrinfo("localhost", "80", &hints, &found) != 0)
        return NULL;
    freeaddrinfo(found);
    memory = calloc(1, 1 << 20); /* in an arena of this thread */
    free(memory);
    return memory != NULL ? ok : NULL;
}

static int names_in_threads(void)
{
    pthread_t threads[THREADS];
    void *good = NULL;
    int failed = NO_THREADS_FAILED;

    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, resolve, threads) != 0)
            return EAGAIN;
    for (int i = 0; i < THREADS; i++)
        failed += pthread_join(threads[i], &good) != 0 || good == NULL;
    return failed;
}

static int talk_tcp(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    char got[4] = "";
    int s;

    if (bind(l, (struct sockaddr *)&at, len) != 0 || listen(l, 1) != 0 ||
        getsockname(l, (struct sockaddr *)&at, &len) != 0)
        return errno;
    connect(c, (struct sockaddr *)&at, len); /* EINPROGRESS */
    s = accept4(l, NULL, NULL, SOCK_CLOEXEC);
    if (s < 0 || write(s, "yes", 3) != 3)
        return errno;
    if (poll(&(struct pollfd){.fd = c, .events = POLLIN}, 1, ENOUGH_MS) != 1 || read(c, got, 3) < 0)
        return errno;
    return strcmp(got, "yes");
}

/* Up to its first bytes: the library has all it needs. */
static int begin_tls(void)
{
    SSL *ssl = SSL_new(tls);
    BIO *in = BIO_new(BIO_s_mem());
    BIO *out = BIO_new(BIO_s_mem());

    SSL_set_bio(ssl, in, out);
    SSL_set_connect_state(ssl);
    if (SSL_do_handshake(ssl) != -1 || SSL_get_error(ssl, -1) != SSL_ERROR_WANT_READ)
        return EPROTO;
    return BIO_pending(out) > 100 ? 0 : EPROTO;
}

static int random_numbers(void)
{
    unsigned char bytes[64];

    return RAND_bytes(bytes, sizeof(bytes)) == 1 && RAND_priv_bytes(bytes, sizeof(bytes)) == 1
               ? 0
               : EPROTO;
}

static int read_json(void)
{
    json_t *value = json_loads("{\"a\": [1, 2.5, \"x\"]}", 0, NULL);

    return value != NULL ? 0 : EPROTO;
}

static int much_memory(void)
{
    for (size_t i = 1; i <= 64; i++) {
        char *p = malloc(i << 16);

        if (p == NULL || (p = realloc(p, i << 20)) == NULL)
            return ENOMEM;
        memset(p, 1, i << 20);
        free(p);
    }
    return 0;
}

/* ---- what comes of them ---------------------------------------------------------------------- */

enum layer { ALL, FILES, CALLS };

static const struct attempt {
    const char *name;
    int (*act)(void);
    enum layer inside;
    int expected; /* 0: works; SANDBOX_TRAPPED; else the errno */
} attempts[] = {
    {"execute a program", execute, CALLS, SANDBOX_TRAPPED},
    {"execute a descriptor", execute_descriptor, CALLS, SANDBOX_TRAPPED},
    {"fork", fork_process, CALLS, SANDBOX_TRAPPED},
    {"clone3", clone_hidden_flags, CALLS, ENOSYS},
    {"a thread in a namespace", clone_with_namespace, CALLS, ENOSYS},
    {"trace", trace, CALLS, SANDBOX_TRAPPED},
    {"read the parent's memory", read_parents_memory, CALLS, SANDBOX_TRAPPED},
    {"signal the parent", signal_parent, CALLS, ENOSYS},
    {"signal the parent's thread", signal_parents_thread, CALLS, ENOSYS},
    {"make a file", make_file, CALLS, ENOSYS},
    {"open for writing", write_null, CALLS, ENOSYS},
    {"remove a file", remove_file, CALLS, ENOSYS},
    {"map code", map_code, CALLS, ENOSYS},
    {"turn memory into code", turn_into_code, CALLS, ENOSYS},
    {"a raw socket", socket_raw, CALLS, ENOSYS},
    {"a raw socket of IPv6", socket_raw_6, CALLS, ENOSYS},
    {"a packet socket", socket_packet, CALLS, ENOSYS},
    {"a netlink socket", socket_netlink, CALLS, ENOSYS},
    {"a unix socket", socket_unix, CALLS, ENOSYS},
    {"become root", become_root, CALLS, SANDBOX_TRAPPED},
    {"take capabilities", take_capabilities, CALLS, SANDBOX_TRAPPED},
    {"leave the namespaces", leave_namespaces, CALLS, SANDBOX_TRAPPED},
    {"mount", mount_something, CALLS, SANDBOX_TRAPPED},
    {"change the root", change_root, CALLS, SANDBOX_TRAPPED},
    {"load bpf", load_bpf, CALLS, SANDBOX_TRAPPED},
    {"use keys", use_keys, CALLS, SANDBOX_TRAPPED},
    {"use io_uring", use_uring, CALLS, SANDBOX_TRAPPED},
    {"make a file in memory", make_memory_file, CALLS, ENOSYS},
    {"be dumped", be_dumped, CALLS, ENOSYS},
    {"set a limit", set_limit, CALLS, ENOSYS},
#ifdef __x86_64__
    {"a call as x32", call_as_x32, CALLS, SANDBOX_TRAPPED},
#endif

    {"open root's home", open_root, FILES, EACCES},
    {"open its own environment", open_own_environment, FILES, EACCES},
    {"open the environment of PID 1", open_environment_of_1, FILES, EACCES},
    {"open a program", open_program, FILES, EACCES},
    {"make a file", make_file, FILES, EACCES},
    {"open for writing", write_null, FILES, EACCES},
    {"list a directory", list_etc, FILES, EACCES},
    {"execute a program", execute, FILES, EACCES},
    {"open hosts", open_hosts, FILES, 0},
    {"open the resolver's file", open_resolver, FILES, 0},
    {"a spare descriptor", read_null, FILES, 0},
    {"signal the parent", signal_parent, FILES, EPERM},
    {"connect to an abstract socket", abstract_socket, FILES, EPERM},

    {"execute a program", execute, ALL, SANDBOX_TRAPPED},
    {"open root's home", open_root, ALL, EACCES},
    {"open the passwords", open_passwords, ALL, EACCES},
    {"open the environment of PID 1", open_environment_of_1, ALL, EACCES},
    {"open hosts", open_hosts, ALL, 0},
    {"open the resolver's file", open_resolver, ALL, 0},
    {"resolve names in threads", names_in_threads, ALL, 0},
    {"talk TCP", talk_tcp, ALL, 0},
    {"begin TLS", begin_tls, ALL, 0},
    {"random numbers", random_numbers, ALL, 0},
    {"read JSON", read_json, ALL, 0},
    {"much memory", much_memory, ALL, 0},
};

static bool enter(enum layer inside)
{
    if (inside == ALL) {
        sandbox_enter(false, NULL);
        return true;
    }
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return inside == FILES ? landlock_enter() > 0 : filter_enter(SANDBOX_TRAPPED) > 0;
}

/* The exit status of a child that acts. What it says to standard error comes to `said`. */
static int try(int (*act)(void), enum layer inside, char said[LOG_BYTES])
{
    int ends[2];
    int status;
    ssize_t n;
    pid_t pid;

    assert_int_equal(pipe(ends), 0);
    pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        alarm(ENOUGH_MS / 1000);
        _exit(enter(inside) ? act() : NOT_ENTERED);
    }
    close(ends[1]);
    n = read(ends[0], said, LOG_BYTES - 1);
    said[n > 0 ? n : 0] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Which Landlock: 0 where the kernel has none. */
static int landlock_version(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, 1);

    return version > 0 ? (int)version : 0;
}

/* What this kernel cannot refuse is left out, and said. */
static bool possible(const struct attempt *a)
{
    bool scoped = a->act == signal_parent || a->act == abstract_socket;

    if (a->inside != FILES || landlock_version() >= (scoped ? 6 : 1))
        return true;
    print_message("skipped: %s (Landlock of this kernel: %d)\n", a->name, landlock_version());
    return false;
}

static void test_attempts(void **state)
{
    char said[LOG_BYTES];
    int wrong = 0;

    for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
        const struct attempt *a = &attempts[i];
        int got = possible(a) ? try(a->act, a->inside, said) : a->expected;

        if (got != a->expected)
            print_error("%s (%d): %d, not %d\n", a->name, a->inside, got, a->expected);
        wrong += got != a->expected;
    }
    assert_int_equal(wrong, 0);
}

static void test_a_trap_names_the_call(void **state)
{
    char said[LOG_BYTES];
    char expected[64];

    assert_int_equal(try(trace, ALL, said), SANDBOX_TRAPPED);
    snprintf(expected, sizeof(expected), "forbidden system call %d (ptrace)\n", SYS_ptrace);
    assert_non_null(strstr(said, expected));
    assert_null(strchr(strchr(said, '\n') + 1, '\n')); /* one line */
}

static int give_up(void)
{
    abort();
}

static void test_abort_still_ends(void **state)
{
    char said[LOG_BYTES];

    assert_int_equal(try(give_up, ALL, said), -SIGABRT);
}

/* ---- from outside ---------------------------------------------------------------------------- */

/* A child that stays inside until its standard input ends. */
struct inside {
    pid_t pid;
    int hold;
    char log[LOG_BYTES];
    char status[STATUS_BYTES]; /* of /proc */
    uid_t owner;               /* of what /proc shows: root's when it cannot be dumped */
};

static void be_inside(bool off, void (*before)(void), int told, int held)
{
    struct log *log = log_new(told, "test", LOG_INFO, LOG_TEXT);
    char byte;

    if (before != NULL)
        before();
    sandbox_enter(off, log);
    close(told);
    _exit(read(held, &byte, 1) == 0 ? 0 : 1);
}

static void read_whole(int fd, char *out, size_t size)
{
    size_t len = 0;
    ssize_t n;

    while (len < size - 1 && (n = read(fd, out + len, size - 1 - len)) > 0)
        len += (size_t)n;
    out[len] = '\0';
    close(fd);
}

static void look(struct inside *in)
{
    char path[64];
    struct stat st;

    snprintf(path, sizeof(path), "/proc/%d/status", in->pid);
    read_whole(open(path, O_RDONLY), in->status, sizeof(in->status));
    snprintf(path, sizeof(path), "/proc/%d/environ", in->pid);
    assert_int_equal(stat(path, &st), 0);
    in->owner = st.st_uid;
}

static void start(struct inside *in, bool off, void (*before)(void))
{
    int told[2];
    int held[2];

    assert_int_equal(pipe(told), 0);
    assert_int_equal(pipe(held), 0);
    in->pid = fork();
    if (in->pid == 0) {
        close(told[0]);
        close(held[1]);
        be_inside(off, before, told[1], held[0]);
    }
    close(told[1]);
    close(held[0]);
    in->hold = held[1];
    read_whole(told[0], in->log, sizeof(in->log)); /* its end: the child is inside */
    look(in);
}

static void finish(struct inside *in)
{
    int status;

    close(in->hold);
    assert_int_equal(waitpid(in->pid, &status, 0), in->pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void assert_field(const struct inside *in, const char *name, const char *value)
{
    char line[256];

    snprintf(line, sizeof(line), "\n%s:\t%s\n", name, value);
    if (strstr(in->status, line) == NULL)
        fail_msg("no%s in %s", line, in->status);
}

static void assert_said(const struct inside *in, const char *text, bool expected)
{
    if ((strstr(in->log, text) != NULL) != expected)
        fail_msg("'%s' %s in %s", text, expected ? "is not" : "is", in->log);
}

static unsigned lines_of(const char *text)
{
    unsigned n = 0;

    while ((text = strchr(text, '\n')) != NULL) {
        text++;
        n++;
    }
    return n;
}

static void test_from_outside(void **state)
{
    struct inside in;

    start(&in, false, NULL);
    assert_field(&in, "Uid", "64973\t64973\t64973\t64973");
    assert_field(&in, "Gid", "64973\t64973\t64973\t64973");
    assert_field(&in, "Groups", " ");
    assert_field(&in, "CapPrm", "0000000000000000");
    assert_field(&in, "CapEff", "0000000000000000");
    assert_field(&in, "NoNewPrivs", "1");
    assert_field(&in, "Seccomp", "2");
    assert_int_equal(in.owner, 0);
    assert_said(&in, "[I] [test] sandbox: uid 64973, no new privileges", true);
    assert_said(&in, ", seccomp ", true);
    if (landlock_version() > 0)
        assert_int_equal(lines_of(in.log), 1);
    finish(&in);
}

static void test_off(void **state)
{
    struct inside in;

    start(&in, true, NULL);
    assert_field(&in, "Uid", "0\t0\t0\t0");
    assert_field(&in, "NoNewPrivs", "0");
    assert_field(&in, "Seccomp", "0");
    assert_said(&in, "[W] [test] SANDBOX=off: ", true);
    assert_int_equal(lines_of(in.log), 1);
    finish(&in);
}

/* ---- surroundings that deny ------------------------------------------------------------------ */

static void lose_setuid(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];
    const uint32_t lost = (1u << CAP_SETUID) | (1u << CAP_SETGID);

    if (syscall(SYS_capget, &head, caps) != 0)
        _exit(NOT_ENTERED);
    caps[0].effective &= ~lost;
    caps[0].permitted &= ~lost;
    if (syscall(SYS_capset, &head, caps) != 0)
        _exit(NOT_ENTERED);
}

static void test_without_setuid(void **state)
{
    struct inside in;

    start(&in, false, lose_setuid);
    assert_said(&in, "[W] [test] sandbox: the worker keeps uid 0, without capabilities: ", true);
    assert_said(&in, "[I] [test] sandbox: no new privileges", true);
    assert_field(&in, "Uid", "0\t0\t0\t0");
    assert_field(&in, "CapEff", "0000000000000000");
    assert_field(&in, "Seccomp", "2");
    assert_int_equal(in.owner, 0);
    finish(&in);
}

/* As a container's own filter may. */
static void deny(const int *calls, size_t n)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

    seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0);
    for (size_t i = 0; i < n; i++)
        if (calls[i] == SCMP_SYS(prctl))
            seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), calls[i], 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, UINT32_MAX, PR_SET_SECCOMP));
        else
            seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), calls[i], 0);
    if (seccomp_load(filter) != 0)
        _exit(NOT_ENTERED);
    seccomp_release(filter);
}

static void lose_seccomp(void)
{
    static const int calls[] = {SCMP_SYS(prctl), SCMP_SYS(seccomp)};

    deny(calls, 2);
}

static void test_without_seccomp(void **state)
{
    struct inside in;

    start(&in, false, lose_seccomp);
    assert_said(&in, "system calls are not filtered (seccomp: Operation not permitted)", true);
    assert_said(&in, "[I] [test] sandbox: uid 64973, no new privileges", true);
    assert_said(&in, ", seccomp ", false);
    finish(&in);
}

static void lose_landlock(void)
{
    static const int calls[] = {SYS_landlock_create_ruleset};

    deny(calls, 1);
}

static void test_without_landlock(void **state)
{
    struct inside in;

    start(&in, false, lose_landlock);
    assert_said(&in, "[W] [test] sandbox: no Landlock here (", true);
    assert_said(&in, ", Landlock ABI", false);
    assert_said(&in, ", seccomp ", true);
    finish(&in);
}

/* ---- the parent ------------------------------------------------------------------------------ */

/* The change of identity forgets the signal; the sandbox sets it again. */
static void test_ends_with_its_parent(void **state)
{
    int ends[2];
    char byte;
    pid_t parent;

    assert_int_equal(pipe(ends), 0);
    parent = fork();
    if (parent == 0) {
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            sandbox_enter(false, NULL);
            if (write(ends[1], "i", 1) != 1)
                _exit(1);
            poll(NULL, 0, 2 * ENOUGH_MS);
        }
        close(ends[1]);
        pause();
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    kill(parent, SIGKILL);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    assert_int_equal(poll(&(struct pollfd){.fd = ends[0], .events = POLLIN}, 1, ENOUGH_MS), 1);
    assert_int_equal(read(ends[0], &byte, 1), 0); /* nobody holds the other end any more */
    close(ends[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attempts),
        cmocka_unit_test(test_a_trap_names_the_call),
        cmocka_unit_test(test_abort_still_ends),
        cmocka_unit_test(test_from_outside),
        cmocka_unit_test(test_off),
        cmocka_unit_test(test_without_setuid),
        cmocka_unit_test(test_without_seccomp),
        cmocka_unit_test(test_without_landlock),
        cmocka_unit_test(test_ends_with_its_parent),
    };

    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (geteuid() != 0) {
        print_message("skipped: not root, so nothing can be given up\n");
        return 77;
    }
    unlink(made);
    snprintf(abstract.sun_path + 1, sizeof(abstract.sun_path) - 1, "mlgate-test-%d", getpid());
    if (bind(listener, (const struct sockaddr *)&abstract, sizeof(abstract)) != 0 ||
        listen(listener, 1) != 0)
        return 1;
    tls = SSL_CTX_new(TLS_client_method());
    json_object_seed(0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
