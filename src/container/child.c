#include "container/child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    EXIT_NOT_STARTED = 127, /* as a shell says it */
    /* Descriptors that are closed one by one where the kernel has no close_range (before 5.9). */
    CLOSE_MAX = 65536,
};

static void close_from(int first, int last)
{
    struct rlimit limit;

    if (first > last || close_range((unsigned)first, (unsigned)last, 0) == 0)
        return;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > CLOSE_MAX)
        limit.rlim_cur = CLOSE_MAX;
    for (int fd = first; fd <= last && fd < (int)limit.rlim_cur; fd++)
        close(fd);
}

/* Both are above standard error, or not there. */
static void close_others(int one, int two)
{
    int low = one < two ? one : two;
    int high = one < two ? two : one;
    int from = STDERR_FILENO + 1;

    if (low >= from) {
        close_from(from, low - 1);
        from = low + 1;
    }
    if (high >= from) {
        close_from(from, high - 1);
        from = high + 1;
    }
    close_from(from, INT_MAX);
}

static void fresh_signals(void)
{
    sigset_t none;

    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void set_descriptors(const struct child_surroundings *around)
{
    int nothing = open("/dev/null", O_RDONLY);

    if (nothing >= 0)
        dup2(nothing, STDIN_FILENO);
    if (around->output >= 0) {
        dup2(around->output, STDOUT_FILENO);
        dup2(around->output, STDERR_FILENO);
    }
    close_others(around->link, around->keep);
}

static _Noreturn void become(const struct child_program *program,
                             const struct child_surroundings *around, pid_t parent)
{
    if (around->when_gone != 0)
        prctl(PR_SET_PDEATHSIG, around->when_gone);
    if (getppid() != parent) /* it went before the line above */
        _exit(EXIT_NOT_STARTED);
    setpgid(0, 0); /* Ctrl-C at a terminal is for PID 1, which stops the others in order */
    prctl(PR_SET_NAME, program->name);
    set_descriptors(around);
    fresh_signals();
    exit(program->main(program->ctx, around->link));
}

pid_t child_start(const struct child_program *program, const struct child_surroundings *around)
{
    pid_t parent = getpid();
    pid_t pid;

    fflush(NULL); /* what is buffered would be written twice */
    pid = fork();
    if (pid == 0)
        become(program, around, parent);
    return pid;
}

int child_status(int wait_status)
{
    return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

void child_fate(int wait_status, char *out, size_t size)
{
    if (WIFSIGNALED(wait_status))
        snprintf(out, size, "was killed by signal %d (%s)", WTERMSIG(wait_status),
                 strsignal(WTERMSIG(wait_status)));
    else
        snprintf(out, size, "ended with status %d", WEXITSTATUS(wait_status));
}
