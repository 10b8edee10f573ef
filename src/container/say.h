/* Standard output for processes that must never wait for its reader. `docker logs` reads the pipe;
 * when it stops doing so, lines are lost and the work goes on.
 *
 * The descriptor of standard output is shared with MLNode, which may expect to wait, so its mode is
 * left alone: a pipe or terminal is opened a second time through /proc/self/fd/1. Where that cannot
 * be (a socket, no /proc), a writer process stands in between, with a pipe that it alone waits for.
 * A file is used as it is: it makes nobody wait. */
#ifndef CONTAINER_SAY_H
#define CONTAINER_SAY_H

#include <stdbool.h>
#include <sys/types.h>

struct say {
    int fd;       /* where to write; never waits */
    pid_t writer; /* 0: none */
    int pipe_out; /* the writer's end, kept for its successor; -1: none */
};

/* Always yields something: at worst a descriptor of /dev/null, or standard output itself. */
void say_open(struct say *s);
/* A child that ended: when it was the writer, another one takes over and true is returned. */
bool say_reaped(struct say *s, pid_t pid);
/* Lets the writer deliver what it has, for a moment, and releases everything. */
void say_close(struct say *s);

#endif
