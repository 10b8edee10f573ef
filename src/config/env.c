#include "config/env.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "config/problem.h"
#include "config/token.h"
#include "config/value.h"

#define AT(member)    .offset = offsetof(struct env_config, member)
#define COUNT(member) .count_offset = offsetof(struct env_config, member)

const struct field env_fields[] = {
    {.name = "API_NODE",
     .kind = FIELD_ADDR,
     AT(api_node),
     .required = true,
     .example = "203.0.113.7:9000",
     .help = "The API node that this MLNode serves."},
    {.name = "FRP_SERVER",
     .kind = FIELD_ADDR_LIST,
     AT(servers),
     COUNT(n_servers),
     .required = true,
     .example = "frp.example.org:7000",
     .help = "The FRP server on the network node. A list means several doors to one network node; "
             "two API nodes must not share one MLNode."},
    {.name = "SECRET_FRP_TOKEN",
     .kind = FIELD_TOKEN,
     AT(token),
     .required = true,
     .secret = true,
     .example = "the token of frps.ini as it stands there",
     .help = "The token of the FRP server. It is read as frpc reads it from its INI file."},
    {.name = "SECRET_FRP_TOKEN_FILE",
     .kind = FIELD_TOKEN_FILE,
     AT(token),
     .example = "/run/secrets/frp_token",
     .help = "A file that holds the token, in place of SECRET_FRP_TOKEN."},
    {.name = "CLIENT_ID",
     .kind = FIELD_CLIENT_ID,
     AT(client_id),
     .required = true,
     .example = "0042",
     .help = "Which ports on the network node are ours: 1{CLIENT_ID} and 2{CLIENT_ID}."},
    {.name = "NODE_ID",
     .kind = FIELD_TEXT,
     AT(node_id),
     .max = 256,
     .rule = "must not be blank, have control characters or be longer than 256 bytes",
     .example = "node-42",
     .help = "The node's name on the API node (default: CLIENT_ID)."},
    {.name = "TENSOR_PARALLEL_SIZE",
     .kind = FIELD_INT,
     AT(tensor_parallel_size),
     .min = 1,
     .max = 4,
     .fallback = "1",
     .rule = "must be 1, 2, 3 or 4",
     .example = "2",
     .help = "How many GPUs one engine uses."},
    {.name = "MODEL_NAME",
     .kind = FIELD_TEXT,
     AT(model_name),
     .max = VALUE_PATH_MAX,
     .fallback = "Qwen/Qwen3-32B-FP8",
     .example = "Qwen/Qwen3-32B-FP8",
     .rule = "must be a repository of the model hub or a path, at most 4095 bytes",
     .help = "The model to fetch in advance."},
    {.name = "FRP_CONFIG_DIR",
     .kind = FIELD_PATH,
     AT(frp_config_dir),
     .fallback = "/etc/frp",
     .example = "/etc/frp",
     .help = "Where frpc.ini and the run id are kept; made with mode 0700 when missing."},
    {.name = "HF_HOME",
     .kind = FIELD_PATH,
     AT(hf_home),
     .fallback = "/data/hf-cache",
     .example = "/data/hf-cache",
     .help = "Where models are kept."},
    {.name = "HOST_UID",
     .kind = FIELD_INT,
     AT(host_uid),
     .max = INT32_MAX,
     .fallback = "1000",
     .rule = "must be a whole number from 0 to 2147483647 without leading zeros",
     .example = "1000",
     .help = "The user that MLNode runs as."},
    {.name = "HOST_GID",
     .kind = FIELD_INT,
     AT(host_gid),
     .max = INT32_MAX,
     .fallback = "1001",
     .rule = "must be a whole number from 0 to 2147483647 without leading zeros",
     .example = "1001",
     .help = "The group that MLNode runs as."},
    {.name = "LOG_DIR",
     .kind = FIELD_PATH,
     AT(log_dir),
     .fallback = "/tmp/logs",
     .example = "/tmp/logs",
     .help = "Where the test servers write their request logs."},
    {.name = "UBUNTU_TEST",
     .kind = FIELD_YES_NO,
     AT(ubuntu_test),
     .fallback = "off",
     .example = "true",
     .help = "Test servers without a GPU in the place of MLNode."},
    {.name = "FRP_TLS_CA_FILE",
     .kind = FIELD_PATH,
     AT(frp_tls_ca_file),
     .example = "/etc/frp/ca.pem",
     .help = "Certificates (PEM) that the FRP server's chain and name are checked against."},
    {.name = "FRP_TLS_PIN",
     .kind = FIELD_PINS,
     AT(frp_tls_pins),
     COUNT(n_frp_tls_pins),
     .example = "r/mIkG3eEpVdm+u/ko/cwxzOMo1bk4TyHIlByibiA5E=",
     .help = "Base64 SHA-256 of the FRP server's public key, as `mlgate server` prints it. A list "
             "is for changing keys."},
    {.name = "FRP_DEAD_AFTER",
     .kind = FIELD_INT,
     AT(frp_dead_after_s),
     .min = 5,
     .max = 600,
     .fallback = "30",
     .rule = "must be a whole number of seconds from 5 to 600",
     .example = "30",
     .help = "Seconds of silence after which a connection that cannot be replaced is given up."},
    {.name = "MEMORY_LIMIT",
     .kind = FIELD_SIZE,
     AT(memory_limit),
     .min = 16LL << 20,
     .max = 1LL << 40,
     .fallback = "256M",
     .rule = "must be 16M to 1024G, in bytes or with K, M or G",
     .example = "256M",
     .help = "Bytes held for streams at most; beyond it the stream that holds most is reset."},
    {.name = "LOG_LEVEL",
     .kind = FIELD_LEVEL,
     AT(log_level),
     .fallback = "info",
     .example = "info",
     .help = "How much is logged."},
    {.name = "MLNODE_MANAGEMENT",
     .kind = FIELD_ADDR,
     AT(mlnode_management),
     .fallback = "127.0.0.1:8080",
     .example = "127.0.0.1:8080",
     .help = "Where MLNode's management listens: state, models, PoC."},
    {.name = "MLNODE_INFERENCE",
     .kind = FIELD_ADDR,
     AT(mlnode_inference),
     .fallback = "127.0.0.1:5000",
     .example = "127.0.0.1:5000",
     .help = "Where MLNode's inference listens while a model is loaded."},
    {.name = "GATEWAY_LISTEN",
     .kind = FIELD_LISTEN,
     .offset = offsetof(struct env_config, gateway_listen.host),
     .count_offset = offsetof(struct env_config, gateway_listen.port),
     .fallback = "127.0.0.1:8081",
     .example = "127.0.0.1:8081",
     .help = "Where the gateway also listens for what 1{CLIENT_ID} carries (a stock frpc, "
             "diagnosis)."},
    {.name = "GATEWAY_LISTEN_POC",
     .kind = FIELD_LISTEN,
     .offset = offsetof(struct env_config, gateway_listen_poc.host),
     .count_offset = offsetof(struct env_config, gateway_listen_poc.port),
     .fallback = "127.0.0.1:5050",
     .example = "127.0.0.1:5050",
     .help = "The same for 2{CLIENT_ID}."},
    {.name = "GATEWAY_POLICY",
     .kind = FIELD_CHOICE,
     AT(gateway_policy),
     .choices = "guard|strict|open",
     .fallback = "guard",
     .rule = "must be guard, strict or open",
     .example = "strict",
     .help = "Which requests are refused: guard refuses what only an attacker sends, strict serves "
             "only what the API node sends, open passes everything."},
    {.name = "ENGINE_DIRECT",
     .kind = FIELD_CHOICE,
     AT(engine_direct),
     .choices = "auto|off",
     .fallback = "auto",
     .rule = "must be auto or off",
     .example = "off",
     .help = "auto sends inference to the engines themselves where they can be told, past MLNode's "
             "own proxy; off never does."},
    {.name = "ENGINE_PORTS",
     .kind = FIELD_PORT_SPAN,
     AT(engine_first_port),
     COUNT(engine_last_port),
     .fallback = "5001-5128",
     .rule = "must be FIRST-LAST, at most 128 ports from 1 to 65535",
     .example = "5001-5128",
     .help = "Where MLNode's engines may listen."},
};

const size_t env_n_fields = sizeof(env_fields) / sizeof(env_fields[0]);

const char *env_get(char *const *environ_list, const char *name)
{
    size_t len = strlen(name);

    for (; *environ_list; environ_list++)
        if (strncmp(*environ_list, name, len) == 0 && (*environ_list)[len] == '=')
            return *environ_list + len + 1;
    return NULL;
}

const char *env_lookup(void *environ_list, const char *name)
{
    return env_get(environ_list, name);
}

/* An optional variable that is set but empty counts as unset. */
static const char *given(char *const *environ_list, const char *name)
{
    const char *value = env_get(environ_list, name);

    return value && *value ? value : NULL;
}

static void check_field(const struct field *f, const char *value, void *base,
                        struct problems *problems)
{
    if (value == NULL && f->required) {
        problem_add(problems, f->name, NULL, "is required and not set", f->example);
        return;
    }
    if (value && strlen(value) > ENV_VALUE_MAX) {
        problem_addf(problems, f->name, "is longer than %d bytes", ENV_VALUE_MAX);
        return;
    }
    if (value == NULL)
        value = f->fallback;
    if (value)
        field_set(f, base, value, f->name, problems);
}

/* The file stands in for the variable; both at once would leave open which one counts. */
static bool token_by_file(char *const *environ_list, const struct field *f)
{
    return f->kind == FIELD_TOKEN && given(environ_list, "SECRET_FRP_TOKEN") == NULL &&
           given(environ_list, "SECRET_FRP_TOKEN_FILE") != NULL;
}

static void check_together(char *const *environ_list, const struct env_config *env,
                           struct problems *problems)
{
    if (given(environ_list, "SECRET_FRP_TOKEN") && given(environ_list, "SECRET_FRP_TOKEN_FILE"))
        problem_addf(problems, "SECRET_FRP_TOKEN_FILE",
                     "is set together with SECRET_FRP_TOKEN: give one of them");
    if (env->n_servers > 1)
        problem_warn(problems, "FRP_SERVER",
                     "%zu servers are named; for now only the first is served (%s, port %u)",
                     env->n_servers, env->servers[0].host, env->servers[0].port);
}

/* ---- the gateway's part ---------------------------------------------------------------------- */

static const struct {
    const char *flag;
    const char *variable;
} gateway_flags[] = {
    {"listen", "GATEWAY_LISTEN"},        {"listen-poc", "GATEWAY_LISTEN_POC"},
    {"management", "MLNODE_MANAGEMENT"}, {"inference", "MLNODE_INFERENCE"},
    {"policy", "GATEWAY_POLICY"},        {"engine-direct", "ENGINE_DIRECT"},
    {"engine-ports", "ENGINE_PORTS"},    {"memory-limit", "MEMORY_LIMIT"},
    {"log-level", "LOG_LEVEL"},
};
enum { GATEWAY_FLAGS = sizeof(gateway_flags) / sizeof(gateway_flags[0]) };

static const struct field *field_of(const char *variable)
{
    const struct field *f = env_fields;

    while (strcmp(f->name, variable) != 0)
        f++;
    return f;
}

static void check_engine_ports(const struct env_config *env, struct problems *problems)
{
    const struct field *f = field_of("ENGINE_PORTS");

    if (env->engine_last_port - env->engine_first_port >= ENV_ENGINES_MAX)
        problem_add(problems, f->name, NULL, f->rule, f->example);
}

int env_gateway_load(char *const *environ_list, struct env_config *out, struct problems *problems)
{
    size_t before = problems->errors;

    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < GATEWAY_FLAGS; i++) {
        const struct field *f = field_of(gateway_flags[i].variable);

        check_field(f, given(environ_list, f->name), out, problems);
    }
    check_engine_ports(out, problems);
    if (problems->errors == before)
        return 0;
    env_free(out);
    return ERR_SYNTAX;
}

bool env_gateway_set(struct env_config *env, const char *flag, const char *value,
                     struct problems *problems)
{
    for (size_t i = 0; i < GATEWAY_FLAGS; i++) {
        char where[32];

        if (strcmp(gateway_flags[i].flag, flag) != 0)
            continue;
        snprintf(where, sizeof(where), "--%s", flag);
        if (field_set(field_of(gateway_flags[i].variable), env, value, where, problems))
            check_engine_ports(env, problems);
        return true;
    }
    return false;
}

void env_gateway_help(FILE *out, bool colour)
{
    fputs("usage: mlgate gateway [FLAGS]\n\nThe HTTP gateway alone, in front of one MLNode. Each "
          "flag stands for a variable (mlgate help\nenv), which counts where the flag is not "
          "given.\n\n",
          out);
    for (size_t i = 0; i < GATEWAY_FLAGS; i++) {
        const struct field *f = field_of(gateway_flags[i].variable);

        fprintf(out, "  %s--%s VALUE%s  (%s, default %s)\n      %s\n", colour ? "\033[1m" : "",
                gateway_flags[i].flag, colour ? "\033[0m" : "", f->name, f->fallback, f->help);
    }
    fputs("  -h, --help\n      this text\n", out);
}

int env_load(char *const *environ_list, struct env_config *out, struct problems *problems)
{
    size_t before = problems->errors;

    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < env_n_fields; i++) {
        const struct field *f = &env_fields[i];

        if (!token_by_file(environ_list, f))
            check_field(f, given(environ_list, f->name), out, problems);
    }
    check_together(environ_list, out, problems);
    check_engine_ports(out, problems);
    if (problems->errors != before) {
        env_free(out);
        return ERR_SYNTAX;
    }
    for (const char *digit = out->client_id; *digit; digit++)
        out->client_id_number = out->client_id_number * 10 + (unsigned)(*digit - '0');
    if (out->node_id == NULL)
        out->node_id = mem_strdup(out->client_id);
    return 0;
}

void env_free(struct env_config *env)
{
    mem_free(env->api_node.host);
    for (size_t i = 0; i < env->n_servers; i++)
        mem_free(env->servers[i].host);
    mem_free(env->servers);
    token_free(env->token);
    mem_free(env->node_id);
    mem_free(env->model_name);
    mem_free(env->frp_config_dir);
    mem_free(env->hf_home);
    mem_free(env->log_dir);
    mem_free(env->frp_tls_ca_file);
    for (size_t i = 0; i < env->n_frp_tls_pins; i++)
        mem_free(env->frp_tls_pins[i]);
    mem_free(env->frp_tls_pins);
    mem_free(env->mlnode_management.host);
    mem_free(env->mlnode_inference.host);
    mem_free(env->gateway_listen.host);
    mem_free(env->gateway_listen_poc.host);
    memset(env, 0, sizeof(*env));
}

/* ---- the tunnel's part ------------------------------------------------------------------------
 */

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

static struct proxy_config proxy(const struct env_config *env, const char *role, unsigned first,
                                 const struct server_addr *local)
{
    enum { PER_LEADING_DIGIT = 10000 };

    return (struct proxy_config){
        .name = mem_printf("client-mlnode-%s-%s", env->client_id, role),
        .local_ip = mem_strdup(local->host),
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
    };
    copy_servers(env, out);
    copy_tls(env, &out->tls);
    out->proxies = mem_array(NULL, PROXIES, sizeof(*out->proxies));
    out->n_proxies = PROXIES;
    out->proxies[0] = proxy(env, "inference", 1, &env->gateway_listen);
    out->proxies[1] = proxy(env, "poc", 2, &env->gateway_listen_poc);
}

bool env_client_overrides(char *const *environ_list, struct client_config *cfg,
                          struct problems *problems)
{
    static const struct {
        const char *name;
        size_t offset;
        size_t count_offset;
    } moved[] = {
        {"FRP_TLS_PIN", offsetof(struct client_config, tls.pins),
         offsetof(struct client_config, tls.n_pins)},
        {"FRP_DEAD_AFTER", offsetof(struct client_config, dead_after_s), 0},
        {"MEMORY_LIMIT", offsetof(struct client_config, memory_limit), 0},
    };
    size_t before = problems->errors;

    for (size_t i = 0; i < env_n_fields; i++)
        for (size_t k = 0; k < sizeof(moved) / sizeof(moved[0]); k++) {
            struct field f = env_fields[i];
            const char *value = given(environ_list, f.name);

            if (strcmp(f.name, moved[k].name) != 0 || value == NULL)
                continue;
            f.offset = moved[k].offset;
            f.count_offset = moved[k].count_offset;
            check_field(&f, value, cfg, problems);
        }
    return problems->errors == before;
}

static void help_field(const struct field *f, FILE *out, bool colour)
{
    fprintf(out, "%s%s%s", colour ? "\033[1m" : "", f->name, colour ? "\033[0m" : "");
    if (f->required)
        fputs(f->kind == FIELD_TOKEN ? "  (required, or SECRET_FRP_TOKEN_FILE)" : "  (required)",
              out);
    if (f->fallback)
        fprintf(out, "  (default %s)", f->fallback);
    fprintf(out, "\n    %s\n    Rule: %s.\n", f->help, field_rule(f));
    if (f->example && !f->secret)
        fprintf(out, "    Example: %s=%s\n", f->name, f->example);
    fputc('\n', out);
}

void env_help(FILE *out, bool colour)
{
    fputs("The environment that `mlgate client` (without -c) reads. A variable that "
          "is\nset but empty counts as not set. Every problem is reported at once, and nothing is "
          "started\nor written while there is one.\n\n",
          out);
    for (size_t i = 0; i < env_n_fields; i++)
        help_field(&env_fields[i], out, colour);
}
