#include "container/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "container/filter.h"
#include "container/landlock.h"
#include "container/secret.h"

#ifdef MLGATE_SANITIZED
enum { INSTRUMENTED = 1 };
#else
enum { INSTRUMENTED = 0 };
#endif

/* What was given up: 0 is nothing. */
struct given {
    bool privileges;
    bool identity;
    int landlock; /* version */
    int calls;
};

static bool give_up_privileges(struct log *log)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
        return true;
    log_warn(log, "sandbox: programs with the set-user-id bit are not barred: %s", strerror(errno));
    return false;
}

static int change_identity(void)
{
    if (setgroups(0, NULL) != 0 || setresgid(SANDBOX_ID, SANDBOX_ID, SANDBOX_ID) != 0 ||
        setresuid(SANDBOX_ID, SANDBOX_ID, SANDBOX_ID) != 0)
        return errno;
    return 0;
}

/* Possible also where the identity cannot be changed. */
static bool drop_capabilities(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

    return syscall(SYS_capset, &head, none) == 0;
}

/* A change of identity makes the kernel forget what happens when the parent ends. */
static void keep_to_parent(int number, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, number);
    if (number != 0 && getppid() != parent)
        raise(number);
}

static bool give_up_identity(struct log *log)
{
    pid_t parent = getppid();
    int when_gone = 0;
    int error;
    bool bare;

    prctl(PR_GET_PDEATHSIG, &when_gone);
    error = change_identity();
    bare = drop_capabilities();
    keep_to_parent(when_gone, parent);
    secret_close_memory();
    if (error != 0)
        log_warn(log,
                 "sandbox: the worker keeps uid %d%s: %s (CAP_SETUID or CAP_SETGID is missing, or "
                 "%d is not mapped); whoever takes it over has that user's rights",
                 (int)getuid(), bare ? ", without capabilities" : "", strerror(error), SANDBOX_ID);
    return error == 0;
}

static int give_up_files(struct log *log)
{
    int version = landlock_enter();

    if (version > 0)
        return version;
    log_warn(log, "sandbox: no Landlock here (%s): the worker may open whatever its user may",
             strerror(-version));
    return 0;
}

static int give_up_calls(struct log *log)
{
    int calls = filter_enter(SANDBOX_TRAPPED);

    if (calls > 0)
        return calls;
    log_warn(log,
             "sandbox: system calls are not filtered (seccomp: %s): a worker that is taken over "
             "may start programs and reach all of the kernel",
             strerror(-calls));
    return 0;
}

static void tell(const struct given *on, struct log *log)
{
    char identity[32] = "";
    char landlock[32] = "";
    char calls[32] = "";

    if (on->identity)
        snprintf(identity, sizeof(identity), " uid %d", SANDBOX_ID);
    if (on->landlock > 0)
        snprintf(landlock, sizeof(landlock), ", Landlock ABI %d", on->landlock);
    if (on->calls > 0)
        snprintf(calls, sizeof(calls), ", seccomp %d calls", on->calls);
    log_info(log, "sandbox:%s%s%s%s%s", identity, on->identity && on->privileges ? "," : "",
             on->privileges ? " no new privileges" : "", landlock, calls);
}

void sandbox_enter(bool off, struct log *log)
{
    struct given on = {0};

    if (off) {
        log_warn(log,
                 "SANDBOX=off: the worker, which reads what comes from the network, runs as uid "
                 "%d with everything that this container may do",
                 (int)getuid());
        return;
    }
    on.privileges = give_up_privileges(log);
    on.identity = give_up_identity(log);
    if (INSTRUMENTED) {
        log_warn(log, "sandbox: built with sanitizers, so without Landlock and without a filter "
                      "of system calls");
    } else {
        on.landlock = give_up_files(log);
        on.calls = give_up_calls(log);
    }
    tell(&on, log);
}
