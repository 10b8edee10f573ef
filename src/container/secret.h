/* The token's way through the processes: it is in the memory of PID 1, which needs it for the next
 * worker, and of the worker, which needs it for each login. The shims (shim.h), which are copies of
 * PID 1, have it too and execute nothing. Nobody else gets it, and it is never written to a core
 * file. */
#ifndef CONTAINER_SECRET_H
#define CONTAINER_SECRET_H

#include <sys/resource.h>

struct secret {
    struct rlimit core; /* as it was */
};

/* Overwrites SECRET_FRP_TOKEN where it stands, in the block that /proc/PID/environ shows, and takes
 * it and SECRET_FRP_TOKEN_FILE out of the environment. From now on this process and those that it
 * forks leave no core file, and only root with CAP_SYS_PTRACE reads their memory. To be called once
 * the configuration is loaded. */
void secret_hide(struct secret *s);

/* In a forked child that does not need the token: overwrites this copy of it. May be NULL. */
void secret_forget(char *token);

/* In a forked child that is to execute another program: gives back the limit of core files. */
void secret_leave(const struct secret *s);

/* Nobody attaches to this process, or reads its memory. A change of identity makes the kernel
 * forget it. Not in a build with sanitizers, whose search for leaks attaches. */
void secret_close_memory(void);

#endif
