/* What `mlgate register` goes by: the part of the environment contract that says which node this
 * is, its flags, and the engine's arguments. */
#ifndef CONFIG_REGISTRATION_H
#define CONFIG_REGISTRATION_H

#include "config/engine_args.h"
#include "config/env.h"

struct registration {
    struct env_config env; /* client_id, node_id, model_name and frp_config_dir of it */
    char *host;            /* by which the API node finds the FRP server's ports */
    int max_concurrent;    /* requests that the API node sends at a time */
    struct engine_args args;
    bool json;             /* print nothing but the node */
    char *send;            /* the flag's value; NULL: print only */
    struct server_addr to; /* what it says */
};

/* The variables that a registration reads, ended by NULL. */
extern const char *const registration_variables[];

/* `words` (ends with NULL): flags, then perhaps "--" and the engine's arguments. *stray as for
 * env_gateway_load. 0, or a negative error with `problems` (or stray) and *out empty. Warnings may
 * be there in both cases. */
int registration_load(char *const *environ_list, char *const *words, struct registration *out,
                      const char **stray, struct problems *problems);
void registration_free(struct registration *r);
/* The flags in words. */
void registration_help(FILE *out, bool colour);

#endif
