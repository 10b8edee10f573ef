/* All of `mlgate check --server` on the network node. It claims no port, writes no file, and starts
 * and stops nothing. */
#ifndef CHECK_NETWORK_NODE_H
#define CHECK_NETWORK_NODE_H

#include <stdio.h>

#include "check/finding.h"
#include "config/server_config.h"

struct problems;

struct network_node_check {
    const struct server_config *cfg; /* NULL: the configuration cannot be used */
    const struct problems *problems;
    const char *token_file;     /* that the token came from; NULL: a variable */
    const char *api;            /* the API node's host, seen from here */
    const char *public_address; /* NULL: only what the interfaces say */
    FILE *terminal;             /* where to show that answers are waited for; NULL: nowhere */
};

/* As check_container. */
void check_network_node(const struct network_node_check *c, struct findings *list);

#endif
