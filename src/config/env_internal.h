/* What the files of the environment contract share. No one else includes this.
 *
 *   env.c          the table, and loading all of it
 *   env_gateway.c  the gateway's part, which has flags too
 *   env_tunnel.c   the tunnel that the contract asks for */
#ifndef CONFIG_ENV_INTERNAL_H
#define CONFIG_ENV_INTERNAL_H

#include "config/env.h"

/* The value of an optional variable, NULL when it is unset: set but empty counts as unset. */
const char *env_given(char *const *environ_list, const char *name);
/* Puts `value`, or the default when it is NULL, into `base`; what is wrong is added. */
void env_check_field(const struct field *f, const char *value, void *base,
                     struct problems *problems);
/* What the gateway's settings must be together. Those that were refused are left out. */
void env_gateway_check(const struct env_config *env, struct problems *problems);

#endif
