/* The gateway's part of the environment contract, and the flags of `mlgate gateway`. */
#include <string.h>

#include "base/err.h"
#include "config/env_internal.h"
#include "config/problem.h"
#include "config/typo.h"

/* Each flag stands for a variable and wins over it. */
static const struct env_flag flags[] = {
    {.name = "listen", .variable = "GATEWAY_LISTEN"},
    {.name = "listen-poc", .variable = "GATEWAY_LISTEN_POC"},
    {.name = "management", .variable = "MLNODE_MANAGEMENT"},
    {.name = "inference", .variable = "MLNODE_INFERENCE"},
    {.name = "policy", .variable = "GATEWAY_POLICY"},
    {.name = "engine-direct", .variable = "ENGINE_DIRECT"},
    {.name = "engine-ports", .variable = "ENGINE_PORTS"},
    {.name = "memory-limit", .variable = "MEMORY_LIMIT"},
    {.name = "log-level", .variable = "LOG_LEVEL"},
    {.name = "log-format", .variable = "LOG_FORMAT"},
    {.name = "metrics", .variable = "METRICS_LISTEN"},
};
enum { FLAGS = sizeof(flags) / sizeof(flags[0]) };

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

int env_gateway_load(char *const *environ_list, char *const *words, struct env_config *out,
                     const char **stray, struct problems *problems)
{
    const char *values[FLAGS] = {NULL};
    size_t before = problems->errors;

    memset(out, 0, sizeof(*out));
    *stray = env_flags_read(flags, FLAGS, words, values);
    if (*stray != NULL)
        return ERR_SYNTAX;
    for (size_t i = 0; i < FLAGS; i++)
        env_flag_load(&flags[i], values[i], environ_list, out, problems);
    env_gateway_check(out, problems);
    typo_warn_contract(environ_list, problems);
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
    for (size_t i = 0; i < FLAGS; i++)
        env_flag_help(&flags[i], env_field(flags[i].variable), out, colour);
    fputs("-h, --help\n    This text.\n", out);
}
