/* PID 1: starts the worker and the node, reaps everything, ends both in order (plan.h decides), and
 * answers `mlgate health`. Plain POSIX; after its start it allocates nothing, reads nothing that
 * came from the network, and never waits for a write. Where it is not PID 1 it is the subreaper of
 * what it started. Processes that came by `docker exec` are reaped and otherwise left alone. */
#ifndef CONTAINER_INIT_H
#define CONTAINER_INIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "container/child.h"
#include "container/model_beat.h"

struct facts;

struct init_config {
    struct child_program worker;
    int worker_keeps; /* a descriptor that every worker inherits; 0 or -1: none */
    /* Runs below the shim (shim.h), which ends every process it left behind. A NULL main: there is
     * none, and the worker serves alone. */
    struct child_program node;
    /* Prepares the model, below a shim too. A NULL main: it does not, and `model_said` has why. */
    struct child_program model;
    struct model_beat model_said;
    int grace_s;           /* for answers to finish after SIGTERM */
    const char *directory; /* for the socket of `mlgate health` */
    struct log *log;       /* writes never wait: see say.h */
    int output;            /* the same kind: the worker's standard output and error */
    bool node_is_ours;     /* the node writes there too, and not to standard output itself */
    /* Hears of every child that ended, also those of others. May be NULL. */
    void (*reaped)(void *ctx, pid_t pid);
    void *reaped_ctx;
    /* Called at least once a second. Must not wait. May be NULL. */
    void (*turned)(void *ctx, uint64_t now_us);
    void *turned_ctx;
    /* Adds to the facts for the worker (facts.h) what is not of this loop's own: listeners, the
     * model. Called after `turned`. Must not wait. May be NULL. */
    void (*facts)(void *ctx, struct facts *facts);
    void *facts_ctx;
};

/* Keeps signals for init_run: a stop that is asked for meanwhile is not lost. To be called first of
 * all. */
void init_hold_signals(void);

/* Runs until everything has ended. 0: asked to; 2: the worker found its configuration unusable
 * before it ever ran; 1: otherwise. */
int init_run(const struct init_config *cfg);

#endif
