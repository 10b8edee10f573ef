/* What `mlgate run` starts beside the worker: MLNode, or what stands in its place. */
#ifndef CLI_RUN_NODE_H
#define CLI_RUN_NODE_H

#include "base/log.h"
#include "config/env.h"
#include "container/bind_guard.h"
#include "container/child.h"
#include "container/mlnode.h"

/* Lives as long as the program that run_node returned. */
struct run_node {
    struct mlnode_settings settings;
    char **command; /* MLNODE_COMMAND in words; NULL: none was given */
    char *guard_ports;
    char guard[BIND_GUARD_PATH_MAX];
};

/* Chooses, puts the bind guard in place where MLNode is to load it, and says what is wrong. A NULL
 * main: there is nothing to start here. */
struct child_program run_node(struct run_node *node, struct env_config *env, struct log *log);
void run_node_free(struct run_node *node);

#endif
