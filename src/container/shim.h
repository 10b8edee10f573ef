/* The parent of the node's main process, and the subreaper of whatever that starts. MLNode ends on
 * purpose while its engines live on in sessions of their own and hold the GPU and their ports; so
 * when the main process ends, every descendant is ended before the shim ends itself.
 *
 *   SIGTERM   the main process is asked to end
 *   SIGUSR1   everything is killed at once
 */
#ifndef CONTAINER_SHIM_H
#define CONTAINER_SHIM_H

#include "base/log.h"
#include "container/child.h"

enum {
    SHIM_TERM_MS = 1000, /* for descendants, after their main process has ended */
    SHIM_KILL_MS = 5000, /* for the kernel to end what was killed */
};

/* Runs `program` as main process until it and all its descendants are gone. `link` is its link;
 * `output` becomes its standard output and error; -1: none; they stay. The exit status: the main
 * process's, as a shell has it. To be called in a process of its own. */
int shim_run(const struct child_program *program, int link, int output, struct log *log);

#endif
