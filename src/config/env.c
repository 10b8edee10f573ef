#include "config/env.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "config/env_internal.h"
#include "config/problem.h"
#include "config/token.h"
#include "config/typo.h"
#include "config/value.h"
#include "config/words.h"

#define AT(member)    .offset = offsetof(struct env_config, member)
#define COUNT(member) .count_offset = offsetof(struct env_config, member)

const struct field env_fields[] = {
    {.name = "API_NODE",
     .kind = FIELD_ADDR,
     AT(api_node),
     .required = true,
     .example = "203.0.113.7:8000",
     .help = "The API node that this MLNode serves."},
    {.name = "FRP_SERVER",
     .kind = FIELD_ADDR_LIST,
     AT(servers),
     COUNT(n_servers),
     .required = true,
     .example = "frp.example.org:7000",
     .help =
         "The FRP server on the network node. With a list, all doors to one network node, there "
         "is a session to each at the same time; two API nodes must not share one MLNode."},
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
     .kind = FIELD_NAME,
     AT(node_id),
     .max = 256,
     .rule = "must be UTF-8, not blank, without control characters, at most 256 bytes",
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
     .kind = FIELD_NAME,
     AT(model_name),
     .max = VALUE_PATH_MAX,
     .fallback = "Qwen/Qwen3-32B-FP8",
     .example = "Qwen/Qwen3-32B-FP8",
     .rule = "must be a repository of the model hub or a path, in UTF-8, at most 4095 bytes",
     .help = "The model that this node is meant for. When it is set, `mlgate run` has it fetched "
             "into HF_HOME once MLNode is up (MODEL_PREFETCH); of a path it is checked that it is "
             "there. Not set, nothing is fetched in advance. The test servers say that they serve "
             "it."},
    {.name = "MODEL_PREFETCH",
     .kind = FIELD_CHOICE,
     AT(model_prefetch),
     .choices = "auto|off",
     .fallback = "auto",
     .rule = "must be auto or off",
     .example = "off",
     .help =
         "auto: MODEL_NAME, when it is set, is fetched in advance by MLNode itself or by a tool "
         "of its image, with HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE as they are; a fifth of "
         "the disk stays free. With UBUNTU_TEST only when it is set to auto. off: never."},
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
     .help = "Passed on to MLNode, whose entry point makes a user with it."},
    {.name = "HOST_GID",
     .kind = FIELD_INT,
     AT(host_gid),
     .max = INT32_MAX,
     .fallback = "1001",
     .rule = "must be a whole number from 0 to 2147483647 without leading zeros",
     .example = "1001",
     .help = "Passed on to MLNode, whose entry point makes a group with it."},
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
    {.name = "LOG_FORMAT",
     .kind = FIELD_CHOICE,
     AT(log_format),
     .choices = "text|json",
     .fallback = "text",
     .rule = "must be text or json",
     .example = "json",
     .help = "How log lines look: text for people, json for programs, one object a line. What "
             "MLNode prints itself stays as it is."},
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
    {.name = "BIND_GUARD_PORTS",
     .kind = FIELD_PORTS,
     AT(bind_guard_ports),
     COUNT(n_bind_guard_ports),
     .fallback = "5000-5128,8080",
     .example = "5000-5128,8080",
     .help =
         "Ports on which MLNode and what it starts listen on loopback only, also where they ask "
         "for every address."},
    {.name = "GATEWAY_LISTEN",
     .kind = FIELD_LISTEN,
     .offset = offsetof(struct env_config, gateway_listen.host),
     .count_offset = offsetof(struct env_config, gateway_listen.port),
     .fallback = "127.0.0.1:8081",
     .example = "127.0.0.1:8081",
     .help = "Where the gateway also listens for what 1{CLIENT_ID} carries, beside the tunnel: for "
             "a stock frpc and for diagnosis. Keep it on loopback."},
    {.name = "GATEWAY_LISTEN_POC",
     .kind = FIELD_LISTEN,
     .offset = offsetof(struct env_config, gateway_listen_poc.host),
     .count_offset = offsetof(struct env_config, gateway_listen_poc.port),
     .fallback = "127.0.0.1:5050",
     .example = "127.0.0.1:5050",
     .help = "The same for 2{CLIENT_ID}."},
    {.name = "METRICS_LISTEN",
     .kind = FIELD_PAGE,
     .offset = offsetof(struct env_config, metrics_listen.host),
     .count_offset = offsetof(struct env_config, metrics_listen.port),
     .fallback = "off",
     .example = "127.0.0.1:9180",
     .help = "Where numbers for Prometheus are served (GET /metrics). A port alone means "
             "127.0.0.1: whoever reaches it reads them."},
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
     .max = ENV_ENGINES_MAX,
     .rule = "must be FIRST-LAST or one port, at most 128 ports from 1 to 65535",
     .example = "5001-5128",
     .help = "Where MLNode's engines may listen, on the host of MLNODE_INFERENCE."},
    {.name = "STOP_GRACE",
     .kind = FIELD_INT,
     AT(stop_grace_s),
     .max = 3600,
     .fallback = "6",
     .rule = "must be a whole number of seconds from 0 to 3600",
     .example = "6",
     .help = "Seconds that answers under way may go on after SIGTERM. The rest of a stop takes up "
             "to 3 s more; Docker kills after 10 s unless told otherwise (docker stop -t)."},
    {.name = "MLNODE_COMMAND",
     .kind = FIELD_TEXT,
     AT(mlnode_command),
     .max = ENV_VALUE_MAX,
     .rule = "must be words as in a shell's line, with quotes that are closed; no shell reads them",
     .example = "/opt/server --host 127.0.0.1 --port 8080",
     .help = "What `mlgate run` starts in the place of MLNode: a program and its arguments, "
             "between blanks; '...' and \"...\" keep blanks together. Nothing is expanded."},
    {.name = "SANDBOX",
     .kind = FIELD_CHOICE,
     AT(sandbox),
     .choices = "auto|off",
     .fallback = "auto",
     .rule = "must be auto or off",
     .example = "off",
     .help = "auto: in `mlgate run` the process that hears from the network runs without root, "
             "files and most system calls, as far as the container allows; off: with everything."},
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

const char *env_given(char *const *environ_list, const char *name)
{
    const char *value = env_get(environ_list, name);

    return value && *value ? value : NULL;
}

void env_check_field(const struct field *f, const char *value, void *base,
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
    return f->kind == FIELD_TOKEN && env_given(environ_list, "SECRET_FRP_TOKEN") == NULL &&
           env_given(environ_list, "SECRET_FRP_TOKEN_FILE") != NULL;
}

static void check_command(const struct env_config *env, struct problems *problems)
{
    char **words = env->mlnode_command != NULL ? words_split(env->mlnode_command) : NULL;

    if (env->mlnode_command != NULL && words == NULL)
        problem_add(problems, "MLNODE_COMMAND", env->mlnode_command,
                    "must be words, and each quote must be closed", NULL);
    mem_free(words);
}

static void check_together(char *const *environ_list, const struct env_config *env,
                           struct problems *problems)
{
    if (env_given(environ_list, "SECRET_FRP_TOKEN") &&
        env_given(environ_list, "SECRET_FRP_TOKEN_FILE"))
        problem_addf(problems, "SECRET_FRP_TOKEN_FILE",
                     "is set together with SECRET_FRP_TOKEN: give one of them");
    check_command(env, problems);
    if (env->ubuntu_test && env->mlnode_command != NULL)
        problem_warn(problems, "MLNODE_COMMAND",
                     "is not run: UBUNTU_TEST has the test servers run");
}

void env_name_client(struct env_config *env)
{
    env->client_id_number = 0;
    for (const char *digit = env->client_id; *digit; digit++)
        env->client_id_number = env->client_id_number * 10 + (unsigned)(*digit - '0');
    if (env->node_id == NULL)
        env->node_id = mem_strdup(env->client_id);
}

int env_load(char *const *environ_list, struct env_config *out, struct problems *problems)
{
    size_t before = problems->errors;

    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < env_n_fields; i++) {
        const struct field *f = &env_fields[i];

        if (!token_by_file(environ_list, f))
            env_check_field(f, env_given(environ_list, f->name), out, problems);
    }
    check_together(environ_list, out, problems);
    env_gateway_check(out, problems);
    typo_warn_contract(environ_list, problems);
    if (problems->errors != before) {
        env_free(out);
        return ERR_SYNTAX;
    }
    out->model_given = env_given(environ_list, "MODEL_NAME") != NULL;
    out->model_prefetch_given = env_given(environ_list, "MODEL_PREFETCH") != NULL;
    env_name_client(out);
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
    mem_free(env->mlnode_command);
    for (size_t i = 0; i < env->n_frp_tls_pins; i++)
        mem_free(env->frp_tls_pins[i]);
    mem_free(env->frp_tls_pins);
    mem_free(env->mlnode_management.host);
    mem_free(env->mlnode_inference.host);
    mem_free(env->bind_guard_ports);
    mem_free(env->gateway_listen.host);
    mem_free(env->gateway_listen_poc.host);
    mem_free(env->metrics_listen.host);
    memset(env, 0, sizeof(*env));
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
    fputs(
        "The environment that `mlgate run` and `mlgate client` (without -c) read. A variable that "
        "is\nset but empty counts as not set. Every problem is reported at once, and nothing is "
        "started\nor written while there is one.\n\n",
        out);
    for (size_t i = 0; i < env_n_fields; i++)
        help_field(&env_fields[i], out, colour);
}
