/* The worker of `mlgate run`: tunnel and gateway, with a line to PID 1 (container/beat.h). */
#ifndef CLI_WORKER_H
#define CLI_WORKER_H

/* A child_program's main; `env` is a struct env_config. */
int worker_main(void *env, int link);

#endif
