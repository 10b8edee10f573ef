/* What the files of the environment contract share. No one else includes this.
 *
 *   env.c          the table, and loading all of it
 *   env_flags.c    flags that stand for a part of it
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
/* node_id, where it is not given, and the number of a client_id that was read. */
void env_name_client(struct env_config *env);

/* A flag of a verb. */
struct env_flag {
    const char *name;     /* without dashes */
    const char *variable; /* the setting of the contract that it stands for; NULL: another one */
    bool alone;           /* takes no value */
};

/* The contract's entry for a variable that exists. */
const struct field *env_field(const char *variable);
/* Reads "--name VALUE" and "--name=VALUE" into `values`, one for each flag ("" for one that is
 * alone); what is not given stays. The first word that is no flag or lacks its value, or NULL. */
const char *env_flags_read(const struct env_flag *flags, size_t n, char *const *words,
                           const char **values);
/* Sets the variable that the flag stands for: by the flag's `value`, or when that is NULL by the
 * environment. */
void env_flag_load(const struct env_flag *flag, const char *value, char *const *environ_list,
                   void *base, struct problems *problems);
void env_flag_help(const struct env_flag *flag, const struct field *f, FILE *out, bool colour);

/* What the gateway's settings must be together. Those that were refused are left out. */
void env_gateway_check(const struct env_config *env, struct problems *problems);

#endif
