/* The preparation of the model, as a process of its own below a shim (model_link.h). What is done
 * when is model.h's; this does it: asks MLNode on its management port, starts a tool in MLNode's
 * environment, looks at the disk once a second, and says how far it is. It ends with what it
 * started when it gets SIGTERM. */
#ifndef CONTAINER_MODEL_RUN_H
#define CONTAINER_MODEL_RUN_H

#include "base/log.h"
#include "container/mlnode.h"

enum {
    /* Of progress in a log; a terminal has a bar. The first comes early, because it tells for the
     * first time how long it will take. */
    MODEL_LINE_EVERY_MS = 30000,
    MODEL_LINE_FIRST_MS = 5000,
};

struct model_settings {
    const char *name;              /* MODEL_NAME */
    struct mlnode_settings mlnode; /* where its management is, and its environment */
    enum log_level log_level;
};

/* A child_program's main; `settings` is a struct model_settings, `link` a socket of records: struct
 * model_beat to PID 1, names of models (BEAT_MODEL_MAX bytes, ended by NUL) from there. 0: nothing
 * is left to do; 1: it failed in a way that another start may mend. */
int model_main(void *settings, int link);

#endif
