/* The environment and the gateway's flags: the input is a list of "NAME=value" with NULs between
 * them, in front of a valid one (the first of two counts), and once more as words of a command
 * line. Beyond not crashing: the answer agrees with the problems, what is taken is in range, the
 * tunnel it asks for can be written for frpc and read back with the same token, and nothing that is
 * said contains the token or anything but printable ASCII. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/env.h"
#include "config/frpc.h"
#include "config/frps.h"
#include "config/problem.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

enum { LINES_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Splits `text` (terminated) in place; files named by the input are not opened. */
static size_t split(char *text, size_t size, char **list)
{
    char *end = text + size;
    size_t n = 0;

    while (text < end && n < LINES_MAX) {
        if (strncmp(text, "SECRET_FRP_TOKEN_FILE=", 22) != 0)
            list[n++] = text;
        text += strlen(text) + 1;
    }
    return n;
}

/* Tells whether the token stands in the values that may be shown, where it is no leak of ours. */
static bool stands_elsewhere(char *const *list, const char *token)
{
    for (; *list; list++)
        if (strncmp(*list, "SECRET_FRP_TOKEN=", 17) != 0 && strstr(*list, token) != NULL)
            return true;
    return false;
}

static void check_said(char *const *list, const struct problems *problems)
{
    const char *token = env_get(list, "SECRET_FRP_TOKEN");
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    problems_print(problems, out);
    fclose(out);
    for (size_t i = 0; i < len; i++)
        CHECK(text[i] == '\n' || (text[i] >= 0x20 && text[i] < 0x7f));
    /* Short tokens are words of our own sentences. */
    if (token && strlen(token) > 12 && !stands_elsewhere(list, token)) {
        char *rules = NULL;
        size_t rules_len = 0;

        out = open_memstream(&rules, &rules_len);
        env_help(out, false);
        fclose(out);
        CHECK(strstr(rules, token) != NULL || strstr(text, token) == NULL);
        free(rules);
    }
    free(text);
}

static void check_gateway_part(const struct env_config *env)
{
    CHECK(env->memory_limit >= (size_t)16 << 20);
    CHECK(env->gateway_listen.host[0] && env->gateway_listen.port);
    CHECK(env->gateway_listen_poc.host[0] && env->gateway_listen_poc.port);
    CHECK(strcmp(env->gateway_listen.host, env->gateway_listen_poc.host) != 0 ||
          env->gateway_listen.port != env->gateway_listen_poc.port);
    CHECK(env->gateway_policy >= 0 && env->gateway_policy <= 2);
    CHECK(env->engine_direct == 0 || env->engine_direct == 1);
    CHECK(env->engine_first_port >= 1 && env->engine_first_port <= env->engine_last_port);
    CHECK(env->engine_last_port - env->engine_first_port < ENV_ENGINES_MAX);
}

static void check_env(const struct env_config *env)
{
    CHECK(env->api_node.host[0] && env->api_node.port);
    CHECK(env->n_servers >= 1 && env->token[0] && env->node_id[0]);
    CHECK(strlen(env->client_id) == 4);
    CHECK(env->client_id_number >= 1 && env->client_id_number <= 9999);
    CHECK(env->tensor_parallel_size >= 1 && env->tensor_parallel_size <= 4);
    CHECK(env->frp_config_dir[0] == '/' && env->hf_home[0] == '/' && env->log_dir[0] == '/');
    CHECK(env->host_uid >= 0 && env->host_gid >= 0);
    CHECK(env->frp_dead_after_s >= 5 && env->frp_dead_after_s <= 600);
    check_gateway_part(env);
}

static void check_tunnel(const struct env_config *env)
{
    struct client_config cfg;
    struct client_config again;
    struct problems problems;
    char *text;

    env_client_config(env, &cfg);
    problems_init(&problems);
    for (size_t i = 0; i < cfg.n_servers; i++) {
        /* Only a path of the CA file may be impossible to spell. */
        if (frpc_render(&cfg, i, &text) != 0) {
            CHECK(env->frp_tls_ca_file != NULL);
            break;
        }
        CHECK(frpc_parse("f", text, strlen(text), NULL, NULL, &again, &problems) == 0);
        CHECK(strcmp(again.token, env->token) == 0);
        CHECK(strcmp(again.servers[0].host, env->servers[i].host) == 0);
        CHECK(again.n_proxies == 2);
        client_config_free(&again);
        mem_free(text);
    }
    client_config_free(&cfg);
    problems_free(&problems);
}

static void fuzz_client(char *const *list)
{
    struct env_config env;
    struct problems problems;
    int code;

    problems_init(&problems);
    code = env_load(list, &env, &problems);
    CHECK((code == 0) == (problems.errors == 0));
    if (code == 0) {
        check_env(&env);
        check_tunnel(&env);
    } else {
        CHECK(env.token == NULL && env.servers == NULL);
    }
    check_said(list, &problems);
    env_free(&env);
    problems_free(&problems);
}

static void fuzz_gateway(char *const *words)
{
    static char *const nothing[] = {NULL};
    struct env_config env;
    struct problems problems;
    const char *stray;
    int code;

    problems_init(&problems);
    code = env_gateway_load(nothing, words, &env, &stray, &problems);
    CHECK((code == 0) == (problems.errors == 0 && stray == NULL));
    if (code == 0)
        check_gateway_part(&env);
    else
        CHECK(env.gateway_listen.host == NULL);
    check_said(words, &problems);
    env_free(&env);
    problems_free(&problems);
}

static void fuzz_server(char *const *list)
{
    struct server_config cfg;
    struct problems problems;

    problems_init(&problems);
    server_config_defaults(&cfg);
    CHECK(server_config_env(&cfg, list, &problems) == (problems.errors == 0));
    CHECK(cfg.bind_addr && cfg.bind_port && cfg.proxy_bind && cfg.token && cfg.n_allow_ports > 0);
    check_said(list, &problems);
    server_config_free(&cfg);
    problems_free(&problems);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const valid[] = {"API_NODE=a:1", "FRP_SERVER=b:7000",
                                        "SECRET_FRP_TOKEN=token", "CLIENT_ID=0042"};
    char *list[LINES_MAX + 5];
    char *text = mem_strndup((const char *)data, size);
    char *base[4];
    size_t n = split(text, size, list);

    list[n] = NULL;
    fuzz_gateway(list);
    for (size_t i = 0; i < 4; i++)
        list[n++] = base[i] = mem_strdup(valid[i]);
    list[n] = NULL;
    fuzz_client(list);
    fuzz_server(list);
    for (size_t i = 0; i < 4; i++)
        mem_free(base[i]);
    mem_free(text);
    return 0;
}
