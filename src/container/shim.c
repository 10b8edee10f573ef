#include "container/shim.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "container/descend.h"

enum {
    /* A descendant of a descendant sends no SIGCHLD here until its own parent is gone. */
    LOOK_AGAIN_MS = 20,
};

struct shim {
    struct log *log;
    sigset_t signals;
    pid_t main;     /* 0: reaped */
    int status;     /* of the main process */
    bool none_left; /* no child, so no descendant: orphans come to their subreaper */
    bool hurry;     /* SIGUSR1 */
};

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void reap(struct shim *s)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != s->main)
            continue;
        s->main = 0;
        s->status = child_status(status);
    }
    s->none_left = pid < 0 && errno == ECHILD;
}

/* The next signal, or nothing within `ms` (negative: without limit). */
static void wait_signal(struct shim *s, int ms)
{
    const struct timespec limit = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    int number = ms < 0 ? sigwaitinfo(&s->signals, NULL) : sigtimedwait(&s->signals, NULL, &limit);

    if (number == SIGUSR1)
        s->hurry = true;
    else if (number == SIGTERM && s->main > 0)
        kill(s->main, SIGTERM);
    reap(s);
}

/* Until nobody is left or `ms` have passed. KILL goes out again and again, because some fork
 * meanwhile; TERM once, because it is to be handled. */
static void end_descendants(struct shim *s, int number, int ms, bool until_hurry)
{
    uint64_t until = now_ms() + (uint64_t)ms;
    bool send = true;

    while (!s->none_left && now_ms() < until && !(until_hurry && s->hurry)) {
        if (send)
            descend_signal(getpid(), number);
        send = number == SIGKILL;
        reap(s);
        if (!s->none_left)
            wait_signal(s, LOOK_AGAIN_MS);
    }
}

static void end_the_rest(struct shim *s, pid_t group)
{
    if (s->none_left)
        return;
    if (!descend_possible()) {
        log_warn(s->log, "no /proc: only the group of the main process can be ended");
        kill(-group, SIGKILL);
        for (int i = 0; i < SHIM_TERM_MS / LOOK_AGAIN_MS && !s->none_left; i++)
            wait_signal(s, LOOK_AGAIN_MS);
        return;
    }
    if (!s->hurry) {
        log_info(s->log, "its main process has ended; ending what it left behind");
        end_descendants(s, SIGTERM, SHIM_TERM_MS, true);
    }
    end_descendants(s, SIGKILL, SHIM_KILL_MS, false);
    if (!s->none_left)
        log_error(s->log, "%u processes do not end although they were killed",
                  descend_signal(getpid(), 0));
}

static void block(struct shim *s)
{
    sigemptyset(&s->signals);
    sigaddset(&s->signals, SIGTERM);
    sigaddset(&s->signals, SIGUSR1);
    sigaddset(&s->signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &s->signals, NULL);
}

int shim_run(const struct child_program *program, int link, int output, struct log *log)
{
    const struct child_surroundings around = {.link = link, .output = output, .when_gone = SIGKILL};
    struct shim s = {.log = log};
    pid_t group;

    block(&s);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    s.main = group = child_start(program, &around);
    if (group < 0) {
        log_error(log, "no process for it: %m");
        return 1;
    }
    while (s.main > 0 && !s.hurry)
        wait_signal(&s, -1);
    end_the_rest(&s, group);
    return s.main > 0 ? 128 + SIGKILL : s.status;
}
