/* What the worker gives up before it hears from the network, for good: its identity, new
 * privileges, other files than the resolver's, other system calls than its own.
 *
 * PID 1 keeps everything, so that the next worker begins like the first. */
#ifndef CONTAINER_SANDBOX_H
#define CONTAINER_SANDBOX_H

#include <stdbool.h>

#include "base/log.h"

enum {
    /* User and group of the worker: nobody's in Debian and Ubuntu, and among the 65,536 that a
     * container with a user namespace usually has. */
    SANDBOX_ID = 64973,
    /* The worker's exit status after a forbidden system call, as a shell has SIGSYS. */
    SANDBOX_TRAPPED = 159,
};

/* To be called with one thread, when all files that are needed have been read, and before anything
 * that may start a thread. What cannot be given up here (no CAP_SETUID, no Landlock, a filter that
 * the container's own one denies) is one warning each that says what it means, and the worker goes
 * on; one line tells what is on. `off` gives up nothing, loudly. A parent that has ended meanwhile
 * ends this process. A build with sanitizers has neither filter nor Landlock. */
void sandbox_enter(bool off, struct log *log);

#endif
