/* A node as the API node's admin interface takes it, and how it gets there. */
#ifndef CLI_REGISTER_NODE_H
#define CLI_REGISTER_NODE_H

#include <stdbool.h>

#include "config/registration.h"

/* The node's JSON, the caller's to mem_free: in one line, or in lines for people. */
char *register_node_json(const struct registration *r, bool one_line);
/* The command that sends `json` (in one line) from the network node's shell; the caller's. */
char *register_node_command(const char *json);

/* register_send.c: POSTs `json` to r->to and says on standard error what came of it. Refuses where
 * that would be a mistake: in a rented container, and towards an address that strangers reach. The
 * exit status. */
int register_node_send(const struct registration *r, const char *json);

#endif
