/* The worker of `mlgate run`: tunnel and gateway, with a line to PID 1 (container/beat.h). */
#ifndef CLI_WORKER_H
#define CLI_WORKER_H

#include "config/env.h"
#include "observe/door.h"

struct worker_seed {
    const struct env_config *env;
    const struct door *door; /* of `mlgate status`: PID 1 opened it, the worker answers there */
};

/* A child_program's main; `seed` is a struct worker_seed. */
int worker_main(void *seed, int link);

#endif
