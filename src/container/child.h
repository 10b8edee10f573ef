/* A child process of PID 1: this very program, forked and not executed again, so that neither /proc
 * nor the file on disk is needed to bring a dead worker back. */
#ifndef CONTAINER_CHILD_H
#define CONTAINER_CHILD_H

#include <sys/types.h>

/* What a child does. */
struct child_program {
    const char *name; /* static, at most 15 letters: the name of the process too */
    /* Runs in the child, with signals as a fresh process has them; its result is the exit status.
     * It may also execute something else. `link` is what child_surroundings names. */
    int (*main)(void *ctx, int link);
    void *ctx;
};

struct child_surroundings {
    int link;   /* stays open in the child, whose main gets it; -1: none */
    int keep;   /* one more that stays open, and that the program knows of; 0: none */
    int output; /* becomes standard output and error; -1: those of PID 1 */
    /* The signal it gets when its parent ends; 0: none. The kernel forgets it when the child
     * changes its user id: then it is to be set again. */
    int when_gone;
};

/* The process id, or -1 with errno. In the child: standard input is empty, no descriptor is open
 * but those above, it leads a process group of its own. */
pid_t child_start(const struct child_program *program, const struct child_surroundings *around);

/* A wait status as a shell has it: the exit status, or 128 and the signal. */
int child_status(int wait_status);
/* "ended with status 1", "was killed by signal 9 (Killed)". */
void child_fate(int wait_status, char *out, size_t size);

#endif
