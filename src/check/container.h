/* All of `mlgate check` in the GPU container. It claims no port, writes no file, and starts and
 * stops nothing: a login that claims nothing, some questions over HTTP, and looks at the kernel. */
#ifndef CHECK_CONTAINER_H
#define CHECK_CONTAINER_H

#include <stdbool.h>
#include <stdio.h>

#include "check/finding.h"
#include "config/env.h"

struct problems;

struct container_check {
    const struct env_config *env; /* NULL: the configuration cannot be used */
    const struct problems *problems;
    const char *source; /* where the variables came from, in words */
    bool expected;      /* PID 1 has the variables of a container of ours */
    FILE *terminal;     /* where to show that answers are waited for; NULL: nowhere */
};

/* Adds all findings, in the order of their ids. With one thread and SIGPIPE ignored. */
void check_container(const struct container_check *c, struct findings *list);

#endif
