/* The tunnel that the environment contract asks for. */
#include <stddef.h>
#include <string.h>

#include "base/mem.h"
#include "config/env_internal.h"
#include "config/problem.h"
#include "config/typo.h"

static char *copy(const char *text)
{
    return text ? mem_strdup(text) : NULL;
}

static void copy_tls(const struct env_config *env, struct tls_client_config *tls)
{
    tls->enable = true;
    tls->ca_file = copy(env->frp_tls_ca_file);
    tls->pins = mem_array(NULL, env->n_frp_tls_pins, sizeof(*tls->pins));
    tls->n_pins = env->n_frp_tls_pins;
    for (size_t i = 0; i < tls->n_pins; i++)
        tls->pins[i] = mem_strdup(env->frp_tls_pins[i]);
}

static void copy_servers(const struct env_config *env, struct client_config *out)
{
    out->servers = mem_array(NULL, env->n_servers, sizeof(*out->servers));
    out->n_servers = env->n_servers;
    for (size_t i = 0; i < env->n_servers; i++)
        out->servers[i] = (struct server_addr){.host = mem_strdup(env->servers[i].host),
                                               .port = env->servers[i].port};
}

/* What a local client dials to reach a listener on that address. */
static const char *dialled(const char *host)
{
    if (strcmp(host, "0.0.0.0") == 0)
        return "127.0.0.1";
    return strcmp(host, "::") == 0 ? "::1" : host;
}

static struct proxy_config proxy(const struct env_config *env, const char *role, unsigned first,
                                 const struct server_addr *local)
{
    enum { PER_LEADING_DIGIT = 10000 };

    return (struct proxy_config){
        .name = mem_printf("client-mlnode-%s-%s", env->client_id, role),
        .local_ip = mem_strdup(dialled(local->host)),
        .local_port = local->port,
        .remote_port = (uint16_t)(first * PER_LEADING_DIGIT + env->client_id_number),
    };
}

void env_client_config(const struct env_config *env, struct client_config *out)
{
    enum { PROXIES = 2, POOL = 5 };

    *out = (struct client_config){
        .token = mem_strdup(env->token),
        .user = mem_strdup(""),
        .pool_count = POOL,
        .heartbeat_interval_s = -1,
        .heartbeat_timeout_s = -1,
        .mux_keepalive_s = 30,
        .dial_timeout_s = 10,
        .fate_shared = true,
        .run_id_file = mem_printf("%s/run_id", env->frp_config_dir),
        .dead_after_s = env->frp_dead_after_s,
        .memory_limit = env->memory_limit,
        .log_level = env->log_level,
        .log_format = env->log_format,
        .metrics_listen = {.host = copy(env->metrics_listen.host),
                           .port = env->metrics_listen.port},
    };
    copy_servers(env, out);
    copy_tls(env, &out->tls);
    out->proxies = mem_array(NULL, PROXIES, sizeof(*out->proxies));
    out->n_proxies = PROXIES;
    out->proxies[0] = proxy(env, "inference", 1, &env->gateway_listen);
    out->proxies[1] = proxy(env, "poc", 2, &env->gateway_listen_poc);
}

/* Members of a client_config that have a variable and no key in frp's files. */
static const struct {
    const char *name;
    size_t offset;
    size_t count_offset;
} moved[] = {
    {"METRICS_LISTEN", offsetof(struct client_config, metrics_listen.host),
     offsetof(struct client_config, metrics_listen.port)},
    {"FRP_TLS_PIN", offsetof(struct client_config, tls.pins),
     offsetof(struct client_config, tls.n_pins)},
    {"FRP_DEAD_AFTER", offsetof(struct client_config, dead_after_s), 0},
    {"MEMORY_LIMIT", offsetof(struct client_config, memory_limit), 0},
    {"LOG_FORMAT", offsetof(struct client_config, log_format), 0},
};

static struct field moved_field(size_t i)
{
    struct field out = *env_field(moved[i].name);

    out.offset = moved[i].offset;
    out.count_offset = moved[i].count_offset;
    return out;
}

bool env_client_overrides(char *const *environ_list, struct client_config *cfg,
                          struct problems *problems)
{
    size_t before = problems->errors;

    for (size_t i = 0; i < sizeof(moved) / sizeof(moved[0]); i++) {
        struct field f = moved_field(i);
        const char *value = env_given(environ_list, f.name);

        if (value != NULL)
            env_check_field(&f, value, cfg, problems);
    }
    typo_warn_contract(environ_list, problems);
    return problems->errors == before;
}

bool env_client_metrics(const char *value, struct client_config *cfg, struct problems *problems)
{
    struct field f = moved_field(0);

    return field_set(&f, cfg, value, "--metrics", problems);
}
