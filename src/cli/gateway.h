/* The gateway as the verbs start it. */
#ifndef CLI_GATEWAY_H
#define CLI_GATEWAY_H

#include "config/env.h"
#include "gateway/wire.h"

/* The gateway that `env` describes, on its own log; `env` must outlive it. */
struct wire *cli_gateway_new(struct net *n, struct log *log, const struct env_config *env);
/* Opens both listeners; false, with a line in the log for each that could not be opened. */
bool cli_gateway_listen(struct wire *w, struct log *log, const struct env_config *env);

#endif
