#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/metrics.h"
#include "cli/runtime.h"
#include "cli/verb.h"
#include "config/env.h"
#include "config/frps.h"
#include "config/problem.h"
#include "observe/server_metrics.h"
#include "tunnel/server.h"

struct server_run {
    struct server *server;
    struct metrics_page metrics;
};

static void write_metrics(void *ctx, struct metrics *m)
{
    const struct server_run *v = ctx;

    server_metrics_write(v->server, m);
}

static void stop(void *ctx)
{
    struct server_run *v = ctx;

    metrics_page_close(&v->metrics);
    server_stop(v->server);
}

static int run_server(const struct server_config *cfg, struct problems *problems)
{
    struct runtime r;
    struct server_run v = {.metrics = {.write = write_metrics, .ctx = &v}};
    char error[400];

    runtime_init(&r, "frps", cfg->log_level, (enum log_format)cfg->log_format, cfg->memory_limit);
    problems_log_warnings(problems, r.log);
    v.server = server_new(r.net, cfg, error, sizeof(error));
    if (v.server != NULL) {
        metrics_page_open(&v.metrics, r.net, cfg->metrics_addr, cfg->metrics_port,
                          "--metrics, MLGATE_METRICS");
        runtime_run(&r, stop, &v);
    } else {
        log_error(r.log, "%s", error);
    }
    runtime_free(&r);
    server_free(v.server);
    return v.server ? 0 : 1;
}

/* One flag of the table at argv[i]; returns how many words it took, 0 when it is none. */
static int take_flag(struct server_config *cfg, int argc, char **argv, int i,
                     struct problems *problems)
{
    const struct server_option *o;
    const char *equals;
    char name[64];
    size_t len;

    if (strncmp(argv[i], "--", 2) != 0)
        return 0;
    equals = strchr(argv[i], '=');
    len = equals ? (size_t)(equals - argv[i] - 2) : strlen(argv[i] + 2);
    if (len >= sizeof(name))
        return 0;
    memcpy(name, argv[i] + 2, len);
    name[len] = '\0';
    o = server_option_find(name);
    if (o == NULL || (o->value_name == NULL && equals != NULL))
        return 0;
    if (o->value_name == NULL || equals != NULL) {
        server_config_set(cfg, name, equals ? equals + 1 : NULL, problems);
        return 1;
    }
    if (i + 1 >= argc)
        return 0;
    server_config_set(cfg, name, argv[i + 1], problems);
    return 2;
}

static bool is_config(const char *word)
{
    return strcmp(word, "-c") == 0 || strcmp(word, "--config") == 0;
}

static const char *config_file(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i++)
        if (is_config(argv[i]))
            return argv[i + 1];
    return NULL;
}

/* false: a word that is no flag, said on stderr. */
static bool take_flags(struct server_config *cfg, int argc, char **argv, struct problems *problems)
{
    int i = 1;

    while (i < argc) {
        int took = is_config(argv[i]) && i + 1 < argc ? 2 : take_flag(cfg, argc, argv, i, problems);

        if (took == 0) {
            fprintf(stderr, "mlgate server: '%s' is no flag, or its value is missing\n\n", argv[i]);
            server_help(stderr, false);
            return false;
        }
        i += took;
    }
    return true;
}

static int configure_and_run(int argc, char **argv, struct problems *problems)
{
    struct server_config cfg;
    const char *file = config_file(argc, argv);
    bool good;
    int status = 2;

    if (file == NULL)
        server_config_defaults(&cfg);
    else if (frps_load(file, env_lookup, environ, &cfg, problems) != 0) {
        problems_print(problems, stderr);
        return 2;
    }
    server_config_env(&cfg, environ, problems);
    good = take_flags(&cfg, argc, argv, problems);
    if (good) {
        server_config_check(&cfg, file != NULL, problems);
        if (problems->errors > 0)
            problems_print(problems, stderr);
        else
            status = run_server(&cfg, problems);
    }
    server_config_free(&cfg);
    return status;
}

int cli_server(int argc, char **argv)
{
    struct problems problems;
    int status;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0) {
            server_help(stdout, isatty(STDOUT_FILENO));
            return 0;
        }
    }
    problems_init(&problems);
    status = configure_and_run(argc, argv, &problems);
    problems_free(&problems);
    return status;
}
