/* The gateway's part of the environment contract, and the flags of `mlgate gateway`. */
#include <string.h>

#include "base/err.h"
#include "config/env_internal.h"
#include "config/problem.h"

/* Each flag stands for a variable and wins over it. */
static const struct {
    const char *name;
    const char *variable;
} flags[] = {
    {"listen", "GATEWAY_LISTEN"},        {"listen-poc", "GATEWAY_LISTEN_POC"},
    {"management", "MLNODE_MANAGEMENT"}, {"inference", "MLNODE_INFERENCE"},
    {"policy", "GATEWAY_POLICY"},        {"engine-direct", "ENGINE_DIRECT"},
    {"engine-ports", "ENGINE_PORTS"},    {"memory-limit", "MEMORY_LIMIT"},
    {"log-level", "LOG_LEVEL"},          {"log-format", "LOG_FORMAT"},
};
enum { FLAGS = sizeof(flags) / sizeof(flags[0]) };

static const struct field *field_of(const char *variable)
{
    const struct field *f = env_fields;

    while (strcmp(f->name, variable) != 0)
        f++;
    return f;
}

/* ---- what the settings must be together ------------------------------------------------------ */

static bool is_wildcard(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

bool env_is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
           strcmp(host, "localhost") == 0;
}

/* Whether a connection to `to` may end at a listener on `at`. Names other than localhost are not
 * looked up. */
static bool leads_to(const struct server_addr *to, const struct server_addr *at)
{
    if (to->host == NULL || at->host == NULL || to->port != at->port)
        return false;
    return strcmp(to->host, at->host) == 0 ||
           (env_is_loopback(to->host) && env_is_loopback(at->host)) ||
           (env_is_loopback(to->host) && is_wildcard(at->host)) || is_wildcard(to->host);
}

static void check_circle(const char *variable, const struct server_addr *to,
                         const struct env_config *env, struct problems *problems)
{
    if (leads_to(to, &env->gateway_listen) || leads_to(to, &env->gateway_listen_poc))
        problem_addf(problems, variable,
                     "leads back to the gateway's own listener on port %u: name MLNode's port",
                     to->port);
}

static void check_listener(const char *variable, const struct server_addr *at,
                           struct problems *problems)
{
    if (at->host != NULL && !env_is_loopback(at->host))
        problem_warn(problems, variable,
                     "%s is not a loopback address: whoever reaches port %u there reaches MLNode "
                     "past the tunnel",
                     at->host, at->port);
}

void env_gateway_check(const struct env_config *env, struct problems *problems)
{
    const struct server_addr *first = &env->gateway_listen;
    const struct server_addr *second = &env->gateway_listen_poc;

    if (leads_to(first, second) || leads_to(second, first))
        problem_addf(
            problems, "GATEWAY_LISTEN_POC",
            "is the same port as GATEWAY_LISTEN: the port tells which of the two is meant");
    check_circle("MLNODE_MANAGEMENT", &env->mlnode_management, env, problems);
    check_circle("MLNODE_INFERENCE", &env->mlnode_inference, env, problems);
    check_listener("GATEWAY_LISTEN", first, problems);
    check_listener("GATEWAY_LISTEN_POC", second, problems);
}

/* ---- flags ----------------------------------------------------------------------------------- */

/* The flag that `word` is, with *value at what follows its '=', or NULL; FLAGS: none of them. */
static size_t flag_of(const char *word, const char **value)
{
    const char *equals = strchr(word, '=');
    size_t len = equals ? (size_t)(equals - word) : strlen(word);

    *value = equals ? equals + 1 : NULL;
    for (size_t i = 0; len > 2 && strncmp(word, "--", 2) == 0 && i < FLAGS; i++)
        if (strlen(flags[i].name) == len - 2 && memcmp(flags[i].name, word + 2, len - 2) == 0)
            return i;
    return FLAGS;
}

static const char *read_flags(char *const *words, const char *values[FLAGS])
{
    for (; *words != NULL; words++) {
        const char *value;
        size_t i = flag_of(*words, &value);

        if (i == FLAGS || (value == NULL && words[1] == NULL))
            return *words;
        values[i] = value != NULL ? value : *++words;
    }
    return NULL;
}

static void set_flag(size_t i, const char *value, struct env_config *out, struct problems *problems)
{
    char where[32];

    snprintf(where, sizeof(where), "--%s", flags[i].name);
    if (strlen(value) > ENV_VALUE_MAX)
        problem_addf(problems, where, "is longer than %d bytes", ENV_VALUE_MAX);
    else
        field_set(field_of(flags[i].variable), out, value, where, problems);
}

int env_gateway_load(char *const *environ_list, char *const *words, struct env_config *out,
                     const char **stray, struct problems *problems)
{
    const char *values[FLAGS] = {NULL};
    size_t before = problems->errors;

    memset(out, 0, sizeof(*out));
    *stray = read_flags(words, values);
    if (*stray != NULL)
        return ERR_SYNTAX;
    for (size_t i = 0; i < FLAGS; i++) {
        const struct field *f = field_of(flags[i].variable);

        if (values[i] != NULL)
            set_flag(i, values[i], out, problems);
        else
            env_check_field(f, env_given(environ_list, f->name), out, problems);
    }
    env_gateway_check(out, problems);
    if (problems->errors == before)
        return 0;
    env_free(out);
    return ERR_SYNTAX;
}

void env_gateway_help(FILE *out, bool colour)
{
    fputs("usage: mlgate gateway [FLAGS]\n\n"
          "The HTTP gateway alone, in front of one MLNode. Each flag stands for a variable of\n"
          "`mlgate help env` and wins over it. All are optional.\n\n",
          out);
    for (size_t i = 0; i < FLAGS; i++) {
        const struct field *f = field_of(flags[i].variable);

        fprintf(out, "%s--%s%s VALUE  (default %s)\n    %s\n    Rule: %s. Variable: %s.\n\n",
                colour ? "\033[1m" : "", flags[i].name, colour ? "\033[0m" : "", f->fallback,
                f->help, field_rule(f), f->name);
    }
    fputs("-h, --help\n    This text.\n", out);
}
