/* The environment contract of `mlgate run` and of `mlgate client` without -c. */
#ifndef CONFIG_ENV_H
#define CONFIG_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "config/client_config.h"
#include "config/field.h"
#include "config/server_config.h"

struct problems;

/* A megabyte in a variable is an accident; the longest honest value is a list of servers. */
enum { ENV_VALUE_MAX = 8192 };
/* MLNode starts no more engines than this (INFERENCE_MAX_INSTANCES). */
enum { ENV_ENGINES_MAX = 128 };

/* MODEL_PREFETCH's choices. */
enum model_prefetch { MODEL_PREFETCH_AUTO = 0, MODEL_PREFETCH_OFF = 1 };

struct env_config {
    struct server_addr api_node;
    struct server_addr *servers; /* FRP_SERVER: at least one, none twice */
    size_t n_servers;
    char *token;       /* secret */
    char client_id[5]; /* four digits as given */
    unsigned client_id_number;
    char *node_id;
    int tensor_parallel_size;
    char *model_name;
    bool model_given;   /* MODEL_NAME is set, and not the default */
    int model_prefetch; /* enum model_prefetch */
    bool model_prefetch_given;
    char *frp_config_dir;
    char *hf_home;
    int host_uid;
    int host_gid;
    char *log_dir;
    bool ubuntu_test;
    char *frp_tls_ca_file; /* NULL: not verified */
    char **frp_tls_pins;
    size_t n_frp_tls_pins;
    int frp_dead_after_s;
    size_t memory_limit;
    enum log_level log_level;
    int log_format; /* enum log_format */
    struct server_addr mlnode_management;
    struct server_addr mlnode_inference;
    struct port_range *bind_guard_ports;
    size_t n_bind_guard_ports;
    struct server_addr gateway_listen;     /* role inference: 1{CLIENT_ID} */
    struct server_addr gateway_listen_poc; /* role POC: 2{CLIENT_ID} */
    struct server_addr metrics_listen;     /* host NULL: off */
    int gateway_policy;                    /* index into GATEWAY_POLICY's choices */
    int engine_direct;                     /* 0 auto, 1 off */
    uint16_t engine_first_port;
    uint16_t engine_last_port;
    int stop_grace_s;
    char *mlnode_command; /* NULL: MLNode as it is found in the image */
    int sandbox;          /* 0 auto, 1 off */
};

/* The contract: one entry a variable, in the order of the help. */
extern const struct field env_fields[];
extern const size_t env_n_fields;

/* The value of NAME in a list of "NAME=value" that ends with NULL (the first one counts, as for
 * getenv), or NULL. Fits ini_getenv's shape through env_lookup with the list as context. */
const char *env_get(char *const *environ_list, const char *name);
const char *env_lookup(void *environ_list, const char *name);

/* Checks every variable and fills *out, whose strings are released by env_free. When the answer is
 * negative, `problems` has every error and *out is empty. Warnings may be there in both cases. */
int env_load(char *const *environ_list, struct env_config *out, struct problems *problems);
/* Whether a listener there is out of strangers' reach. A name other than localhost is not looked
 * up, and counts as reachable. */
bool env_is_loopback(const char *host);
/* Overwrites the token. */
void env_free(struct env_config *env);

/* The part of it that a gateway alone reads, for `mlgate gateway`. `words` (ends with NULL) are its
 * flags, "--listen VALUE" or "--listen=VALUE", each of which stands for a variable that is then not
 * looked at. *stray is the first word that is no flag or lacks its value, else NULL; it is one of
 * `words`. Otherwise as env_load. */
int env_gateway_load(char *const *environ_list, char *const *words, struct env_config *out,
                     const char **stray, struct problems *problems);
/* The flags in words. */
void env_gateway_help(FILE *out, bool colour);

/* The tunnel that the contract asks for: remote 1{CLIENT_ID} to GATEWAY_LISTEN and 2{CLIENT_ID} to
 * GATEWAY_LISTEN_POC, sharing their fate. The gateway of the same process serves both without a
 * socket; the addresses are for a stock frpc that runs with the file. *out owns copies of all. */
void env_client_config(const struct env_config *env, struct client_config *out);

/* What of the contract also counts beside an frpc.ini, because frp has no key for it: FRP_TLS_PIN,
 * FRP_DEAD_AFTER, MEMORY_LIMIT, LOG_FORMAT, METRICS_LISTEN. false when one of them is wrong. */
bool env_client_overrides(char *const *environ_list, struct client_config *cfg,
                          struct problems *problems);
/* `mlgate client --metrics VALUE`, which wins over METRICS_LISTEN. false when it is wrong. */
bool env_client_metrics(const char *value, struct client_config *cfg, struct problems *problems);

/* The contract in words, for `mlgate help env`. `colour` allows terminal sequences. */
void env_help(FILE *out, bool colour);

#endif
