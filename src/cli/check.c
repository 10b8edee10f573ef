/* `mlgate check`: what is wrong here, all of it at once. */
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "check/container.h"
#include "check/network_node.h"
#include "check/report.h"
#include "cli/run_environment.h"
#include "cli/terminal.h"
#include "cli/verb.h"
#include "config/env.h"
#include "config/frpc.h"
#include "config/frps.h"
#include "config/problem.h"
#include "config/value.h"

struct options {
    bool json;
    bool server;
    bool terminal; /* signs and colours */
    const char *api;
    const char *public_address;
    char **rest; /* words for the server's own parser, ended by NULL */
};

static void usage(FILE *out)
{
    fputs("usage: mlgate check [--json]\n"
          "       mlgate check --server [--json] [--api HOST] [--public-address IP]\n"
          "                    [-c FILE] [FLAGS OF THE SERVER]\n\n"
          "In the GPU container: looks at the configuration, the way to each FRP server with a\n"
          "login that claims no port, the API node, MLNode, disk, GPUs, and what is open to\n"
          "strangers. Nothing that runs is disturbed, nothing is written. Works before\n"
          "`mlgate run` and beside it; as root it sees most.\n\n"
          "With --server, on the network node: looks at the configuration that `mlgate server`\n"
          "would have with the same file, flags and variables, at its ports, certificate and\n"
          "token, the API node, and what is open to strangers.\n\n"
          "  -s, --server           the network node's side\n"
          "      --api HOST         where the API node is, seen from here (127.0.0.1)\n"
          "      --public-address IP   an address by which strangers reach this machine, beside\n"
          "                         those of its interfaces\n"
          "  -j, --json             one JSON object instead of a list\n"
          "  -h, --help             this text\n\n"
          "Status: 0 nothing failed, 1 something did, 2 the configuration cannot be used.\n\n"
          "The ids of the findings:\n\n",
          out);
    for (int id = 0; id < CHECK_ID_COUNT; id++)
        fprintf(out, "  %-20s %s\n", check_id_text((enum check_id)id),
                check_id_about((enum check_id)id));
}

static void report(const struct options *o, const struct findings *list, const char *side)
{
    if (o->json)
        findings_json(list, side, stdout);
    else
        findings_text(list, o->terminal, terminal_columns(), stdout);
    fflush(stdout);
}

/* ---- the container --------------------------------------------------------------------------- */

static bool has(const char *name)
{
    const char *value = env_get(environ, name);

    return value != NULL && *value != '\0';
}

/* A running `mlgate run` has overwritten the token in its environment, and wrote it into frpc.ini
 * before, which root may read. */
static bool borrow_token(const char *directory)
{
    char *path = mem_printf("%s/frpc.ini", directory);
    struct client_config cfg;
    struct problems unsaid;
    bool borrowed = false;

    problems_init(&unsaid);
    if (access(path, R_OK) == 0 && frpc_load(path, env_lookup, environ, &cfg, &unsaid) == 0) {
        char *text = ini_encode(cfg.token);

        borrowed = text != NULL && *text != '\0' && setenv("SECRET_FRP_TOKEN", text, 1) == 0;
        mem_free_secret(text, text != NULL ? strlen(text) : 0);
        client_config_free(&cfg);
    }
    problems_free(&unsaid);
    mem_free(path);
    return borrowed;
}

static char *longer(char *said, const char *format, ...) __attribute__((format(printf, 2, 3)));

static char *longer(char *said, const char *format, ...)
{
    char more[PATH_MAX + 64];
    char *both;
    va_list args;

    va_start(args, format);
    vsnprintf(more, sizeof(more), format, args);
    va_end(args);
    both = mem_printf("%s; %s", said, more);
    mem_free(said);
    return both;
}

static const char environment[] = "/proc/1/environ";

/* The variables of a GPU node were given to the container, not to this session alone. */
static bool is_in_container(void)
{
    static const char *const ours[] = {"CLIENT_ID=", NULL};

    return getpid() != 1 && run_environment_find(environment, ours) != NULL;
}

/* What this session lacks of the variables that PID 1 has, and says so. */
static char *complete_environment(void)
{
    static const char *const published[] = {"VAST_TCP_PORT_*", "RUNPOD_TCP_PORT_*", NULL};
    char directory[PATH_MAX];
    size_t borrowed = getpid() != 1 ? run_environment_borrow(environment) : 0;
    char *said = mem_strdup("all variables can be used");

    run_environment_borrow_only(environment, published);
    run_environment_directory(directory);
    if (!has("FRP_CONFIG_DIR"))
        setenv("FRP_CONFIG_DIR", directory, 1);
    if (borrowed > 0)
        said = longer(said, "%zu that were missing here came from %s", borrowed, environment);
    if (!has("SECRET_FRP_TOKEN") && !has("SECRET_FRP_TOKEN_FILE") && borrow_token(directory))
        said = longer(said, "the token came from %s/frpc.ini", directory);
    return said;
}

static int check_here(const struct options *o)
{
    char *source = complete_environment();
    struct container_check c = {.source = source,
                                .expected = is_in_container(),
                                .terminal = o->terminal && !o->json ? stdout : NULL};
    struct findings list = {0};
    struct env_config env;
    struct problems problems;
    bool usable;
    int status;

    problems_init(&problems);
    usable = env_load(environ, &env, &problems) == 0;
    c.env = usable ? &env : NULL;
    c.problems = &problems;
    check_container(&c, &list);
    report(o, &list, "container");
    status = usable ? findings_status(&list) : 2;
    if (usable)
        env_free(&env);
    problems_free(&problems);
    findings_free(&list);
    mem_free(source);
    return status;
}

/* ---- the network node ------------------------------------------------------------------------ */

/* The file that the token came from, in the order in which the server looks. */
static const char *token_file(char *const *words)
{
    static const char flag[] = "--token-file";
    const char *found = NULL;

    for (char *const *word = words; *word != NULL; word++) {
        if (strncmp(*word, flag, strlen(flag)) == 0 && (*word)[strlen(flag)] == '=')
            found = *word + strlen(flag) + 1;
        else if (strcmp(*word, flag) == 0 && word[1] != NULL)
            found = word[1];
    }
    if (found != NULL)
        return found;
    if (has("SECRET_FRP_TOKEN"))
        return NULL;
    return has("SECRET_FRP_TOKEN_FILE") ? env_get(environ, "SECRET_FRP_TOKEN_FILE")
                                        : server_config_file(words);
}

static int check_server(const struct options *o)
{
    struct network_node_check c = {.token_file = token_file(o->rest),
                                   .api = o->api,
                                   .public_address = o->public_address,
                                   .terminal = o->terminal && !o->json ? stdout : NULL};
    struct findings list = {0};
    struct server_config cfg;
    struct problems problems;
    const char *stray;
    bool usable;
    int status = 2;

    problems_init(&problems);
    usable = server_config_load(environ, o->rest, &cfg, &stray, &problems) == 0;
    if (stray != NULL) {
        fprintf(stderr, "mlgate check: '%s' is no flag, or its value is missing\n", stray);
        problems_free(&problems);
        return cli_misused("check");
    }
    c.cfg = usable ? &cfg : NULL;
    c.problems = &problems;
    check_network_node(&c, &list);
    report(o, &list, "network-node");
    if (usable)
        status = findings_status(&list);
    if (usable)
        server_config_free(&cfg);
    problems_free(&problems);
    findings_free(&list);
    return status;
}

/* ---- the words ------------------------------------------------------------------------------- */

/* The value of --NAME at words[*i], behind '=' or in the next word, which is then skipped; NULL:
 * another word, or no value. */
static const char *value_of(char **words, int *i, const char *name)
{
    size_t len = strlen(name);

    if (strncmp(words[*i], "--", 2) != 0 || strncmp(words[*i] + 2, name, len) != 0)
        return NULL;
    if (words[*i][2 + len] == '=')
        return words[*i] + 2 + len + 1;
    return words[*i][2 + len] == '\0' && words[*i + 1] != NULL ? words[++*i] : NULL;
}

static bool is_either(const char *word, const char *one, const char *other)
{
    return strcmp(word, one) == 0 || strcmp(word, other) == 0;
}

/* What is not ours is the server's: o->rest, which has room for all words. */
static void take_words(struct options *o, char **words)
{
    size_t n = 0;

    for (int i = 0; words[i] != NULL; i++) {
        const char *value;

        if (is_either(words[i], "-j", "--json"))
            o->json = true;
        else if (is_either(words[i], "-s", "--server"))
            o->server = true;
        else if ((value = value_of(words, &i, "api")) != NULL)
            o->api = value;
        else if ((value = value_of(words, &i, "public-address")) != NULL)
            o->public_address = value;
        else
            o->rest[n++] = words[i];
    }
    o->rest[n] = NULL;
}

static bool is_usable(const struct options *o)
{
    if (!o->server && o->rest[0] != NULL && is_either(o->rest[0], "-c", "--config"))
        fputs("mlgate check: -c goes with --server: a client that runs from an frpc.ini is not "
              "checked; `mlgate status -c FILE` says how it is\n",
              stderr);
    else if (!o->server && o->rest[0] != NULL)
        fprintf(stderr, "mlgate check: unexpected argument '%s'\n", o->rest[0]);
    else if (!o->server && (o->public_address != NULL || o->api != NULL))
        fputs("mlgate check: --api and --public-address go with --server\n", stderr);
    else if (o->api != NULL && !value_host(o->api))
        fputs("mlgate check: --api takes a host name or an address\n", stderr);
    else if (o->public_address != NULL && !value_is_ip(o->public_address))
        fputs("mlgate check: --public-address takes an IP address\n", stderr);
    else
        return true;
    return false;
}

int cli_check(int argc, char **argv)
{
    struct options o = {.terminal = terminal_colour(),
                        .rest = mem_array(NULL, (size_t)argc + 1, sizeof(char *))};
    int status = 2;

    for (int i = 1; i < argc; i++) {
        if (is_either(argv[i], "-h", "--help")) {
            usage(stdout);
            mem_free(o.rest);
            return 0;
        }
    }
    take_words(&o, argv + 1);
    signal(SIGPIPE, SIG_IGN);
    if (!is_usable(&o)) {
        cli_misused("check");
    } else if (o.server) {
        if (o.api == NULL)
            o.api = "127.0.0.1";
        status = check_server(&o);
    } else {
        status = check_here(&o);
    }
    mem_free(o.rest);
    return status;
}
