/* The flags and variables of `mlgate server`. */
#include <string.h>

#include "base/mem.h"
#include "config/client_config.h"
#include "config/env.h"
#include "config/field.h"
#include "config/frps.h"
#include "config/problem.h"
#include "config/value.h"

enum {
    SKEW_DEFAULT_S = 900, /* design: stock logins carry a timestamp and nothing fresher */
    SECONDS_MAX = 86400 * 365,
    POOL_MAX = 10000,
};

#define AT(member)    .offset = offsetof(struct server_config, member)
#define COUNT(member) .count_offset = offsetof(struct server_config, member)

/* In step with `fields` below. */
const struct server_option server_options[] = {
    {"bind", "MLGATE_BIND", "bind_addr", "ADDRESS:PORT", "0.0.0.0:7000",
     "Where frp clients connect; :PORT means every address."},
    {"proxy-bind", "MLGATE_PROXY_BIND", "proxy_bind_addr", "ADDRESS", "127.0.0.1",
     "Where the clients' ports are opened: an address, an interface or a CIDR."},
    {"allow-ports", "MLGATE_ALLOW_PORTS", "allow_ports", "PORTS", "10001-19999,20001-29999",
     "Which ports clients may claim."},
    {"max-ports-per-client", "MLGATE_MAX_PORTS_PER_CLIENT", "max_ports_per_client", "NUMBER", "0",
     "How many ports one client may claim; 0 is no limit."},
    {"max-pool-count", "MLGATE_MAX_POOL_COUNT", "max_pool_count", "NUMBER", "5",
     "How many work connections a client may keep ready."},
    {"token-file", "SECRET_FRP_TOKEN_FILE", "token", "FILE", "SECRET_FRP_TOKEN",
     "A file that holds the shared token."},
    {"tls-cert", "MLGATE_TLS_CERT", "tls_cert_file", "FILE", "made at the first start",
     "The certificate chain (PEM)."},
    {"tls-key", "MLGATE_TLS_KEY", "tls_key_file", "FILE", "made at the first start",
     "The certificate's private key (PEM)."},
    {"tls-client-ca", "MLGATE_TLS_CLIENT_CA", "tls_trusted_ca_file", "FILE", "none",
     "Demand client certificates that one of these CAs (PEM) has signed."},
    {"allow-plain", "MLGATE_ALLOW_PLAIN", "tls_only", NULL, "off",
     "Also serve connections without TLS."},
    {"state-dir", "MLGATE_STATE_DIR", NULL, "DIRECTORY", "none",
     "Where the certificate made at the first start is kept."},
    {"user-conn-timeout", "MLGATE_USER_CONN_TIMEOUT", "user_conn_timeout", "SECONDS", "10",
     "How long a user waits for the client's work connection."},
    {"heartbeat-timeout", "MLGATE_HEARTBEAT_TIMEOUT", "heartbeat_timeout", "SECONDS", "-1",
     "End a session without frp heartbeats for so long; -1 leaves that to the mux."},
    {"mux-keepalive", "MLGATE_MUX_KEEPALIVE", "tcp_mux_keepalive_interval", "SECONDS", "30",
     "The time between two pings of the mux at most."},
    {"login-max-skew", "MLGATE_LOGIN_MAX_SKEW", NULL, "SECONDS", "900",
     "How far the clock of a login may be off; 0 takes any."},
    {"memory-limit", "MEMORY_LIMIT", NULL, "SIZE", "512M", "Bytes held for streams at most."},
    {"log-level", "LOG_LEVEL", "log_level", "LEVEL", "info", "trace, debug, info, warn or error."},
    {"log-format", "LOG_FORMAT", NULL, "FORMAT", "text",
     "text for people, json for programs: one object a line."},
    {"metrics", "MLGATE_METRICS", NULL, "[ADDRESS:]PORT", "off",
     "Where numbers for Prometheus are served (GET /metrics); a port alone means 127.0.0.1."},
};

static const struct field fields[] = {
    {.kind = FIELD_LISTEN, AT(bind_addr), COUNT(bind_port), .example = "0.0.0.0:7000"},
    {.kind = FIELD_SCOPE, AT(proxy_bind), .example = "127.0.0.1, docker0 or 172.16.0.0/12"},
    {.kind = FIELD_PORTS, AT(allow_ports), COUNT(n_allow_ports), .example = "10001-19999,3000"},
    {.kind = FIELD_INT,
     AT(max_ports_per_client),
     .max = UINT16_MAX,
     .rule = "must be a whole number from 0 to 65535"},
    {.kind = FIELD_INT,
     AT(max_pool_count),
     .max = POOL_MAX,
     .rule = "must be a whole number from 0 to 10000"},
    {.kind = FIELD_TOKEN_FILE, AT(token), .example = "/run/secrets/frp_token"},
    {.kind = FIELD_FILE, AT(tls_cert_file)},
    {.kind = FIELD_FILE, AT(tls_key_file)},
    {.kind = FIELD_FILE, AT(tls_client_ca)},
    {.kind = FIELD_YES_NO, AT(allow_plain)},
    {.kind = FIELD_FILE, AT(state_dir), .example = "/var/lib/mlgate"},
    {.kind = FIELD_INT,
     AT(user_conn_timeout_s),
     .min = 1,
     .max = SECONDS_MAX,
     .rule = "must be a whole number of seconds, at least 1"},
    {.kind = FIELD_INT,
     AT(heartbeat_timeout_s),
     .min = -1,
     .max = SECONDS_MAX,
     .rule = "must be a whole number of seconds, or -1"},
    {.kind = FIELD_INT,
     AT(mux_keepalive_s),
     .min = 1,
     .max = SECONDS_MAX,
     .rule = "must be a whole number of seconds, at least 1"},
    {.kind = FIELD_INT,
     AT(login_max_skew_s),
     .max = SECONDS_MAX,
     .rule = "must be a whole number of seconds, 0 or more"},
    {.kind = FIELD_SIZE,
     AT(memory_limit),
     .min = 16LL << 20,
     .max = 1LL << 40,
     .rule = "must be 16M to 1024G, in bytes or with K, M or G",
     .example = "512M"},
    {.kind = FIELD_LEVEL, AT(log_level), .example = "info"},
    {.kind = FIELD_CHOICE,
     AT(log_format),
     .choices = "text|json",
     .rule = "must be text or json",
     .example = "json"},
    {.kind = FIELD_PAGE, AT(metrics_addr), COUNT(metrics_port), .example = "127.0.0.1:9180"},
};

const size_t server_n_options = sizeof(server_options) / sizeof(server_options[0]);

_Static_assert(sizeof(server_options) / sizeof(server_options[0]) ==
                   sizeof(fields) / sizeof(fields[0]),
               "each option has its field");

static const struct field token_field = {
    .name = "SECRET_FRP_TOKEN", .kind = FIELD_TOKEN, AT(token), .secret = true};

void server_config_defaults(struct server_config *cfg)
{
    *cfg = (struct server_config){
        .bind_addr = mem_strdup("0.0.0.0"),
        .bind_port = 7000,
        .proxy_bind = mem_strdup("127.0.0.1"),
        .token = mem_strdup(""),
        .max_pool_count = 5,
        .user_conn_timeout_s = 10,
        .heartbeat_timeout_s = -1,
        .mux_keepalive_s = 30,
        .login_max_skew_s = SKEW_DEFAULT_S,
        .detailed_errors = true,
        .memory_limit = (size_t)512 << 20,
        .log_level = LOG_INFO,
    };
    value_port_ranges("10001-19999,20001-29999", &cfg->allow_ports, &cfg->n_allow_ports);
}

const struct server_option *server_option_find(const char *flag)
{
    for (size_t i = 0; i < server_n_options; i++)
        if (strcmp(server_options[i].flag, flag) == 0)
            return &server_options[i];
    return NULL;
}

bool server_config_set(struct server_config *cfg, const char *flag, const char *value,
                       struct problems *problems)
{
    const struct server_option *option = server_option_find(flag);
    char *where = mem_printf("--%s", flag);
    bool ok = false;

    if (option == NULL)
        problem_addf(problems, where, "is not known: see mlgate help server");
    else if ((option->value_name == NULL) != (value == NULL))
        problem_addf(problems, where, option->value_name ? "needs a value" : "takes no value");
    else
        ok = field_set(&fields[option - server_options], cfg, value ? value : "yes", where,
                       problems);
    mem_free(where);
    return ok;
}

static void set_from_env(struct server_config *cfg, const struct field *f, const char *name,
                         char *const *environ_list, struct problems *problems)
{
    const char *value = env_get(environ_list, name);

    if (value == NULL || *value == '\0')
        return;
    if (strlen(value) > ENV_VALUE_MAX)
        problem_addf(problems, name, "is longer than %d bytes", ENV_VALUE_MAX);
    else
        field_set(f, cfg, value, name, problems);
}

bool server_config_env(struct server_config *cfg, char *const *environ_list,
                       struct problems *problems)
{
    const char *token = env_get(environ_list, "SECRET_FRP_TOKEN");
    const char *file = env_get(environ_list, "SECRET_FRP_TOKEN_FILE");
    size_t before = problems->errors;

    if (token && *token && file && *file)
        problem_addf(problems, "SECRET_FRP_TOKEN_FILE",
                     "is set together with SECRET_FRP_TOKEN: give one of them");
    set_from_env(cfg, &token_field, token_field.name, environ_list, problems);
    for (size_t i = 0; i < server_n_options; i++)
        set_from_env(cfg, &fields[i], server_options[i].env, environ_list, problems);
    return problems->errors == before;
}

/* A token that was meant and could not be read is said once. */
static bool token_is_faulted(const struct problems *problems)
{
    return problems_find(problems, "--token-file") != NULL ||
           problems_find(problems, "SECRET_FRP_TOKEN_FILE") != NULL ||
           problems_find(problems, token_field.name) != NULL;
}

bool server_config_check(const struct server_config *cfg, bool token_optional,
                         struct problems *problems)
{
    size_t before = problems->errors;

    if ((cfg->tls_cert_file == NULL) != (cfg->tls_key_file == NULL))
        problem_add(problems, cfg->tls_cert_file ? "--tls-key" : "--tls-cert", NULL,
                    "is missing: a certificate and its key go together", NULL);
    if (cfg->token[0] != '\0' || token_is_faulted(problems))
        return problems->errors == before;
    if (!token_optional)
        problem_add(problems, "SECRET_FRP_TOKEN", NULL,
                    "is required, or --token-file: without a token anyone may claim the ports",
                    "--token-file /run/secrets/frp_token");
    else
        problem_advise(problems, "token", "token", "--token-file /run/secrets/frp_token",
                       "is empty: anyone who reaches the server may claim ports");
    return problems->errors == before;
}

void server_help(FILE *out, bool colour)
{
    fputs("usage: mlgate server [-c FILE] [FLAGS]\n\n"
          "-c FILE, --config FILE\n"
          "    A legacy frps.ini, read with frp's meaning and defaults. Variables and flags count "
          "on\n"
          "    top of it. Without it the defaults below hold, which are safer than frp's.\n\n",
          out);
    for (size_t i = 0; i < server_n_options; i++) {
        const struct server_option *o = &server_options[i];

        fprintf(out, "%s--%s%s%s%s\n    %s\n", colour ? "\033[1m" : "", o->flag,
                colour ? "\033[0m" : "", o->value_name ? " " : "",
                o->value_name ? o->value_name : "", o->help);
        fprintf(out, "    Rule: %s.\n    Default: %s. Variable: %s.\n\n", field_rule(&fields[i]),
                o->fallback, o->env);
    }
}
