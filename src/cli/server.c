#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/metrics.h"
#include "cli/runtime.h"
#include "cli/verb.h"
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

static int configure_and_run(char **words, struct problems *problems)
{
    struct server_config cfg;
    const char *stray;
    int status;

    if (server_config_load(environ, words, &cfg, &stray, problems) == 0) {
        status = run_server(&cfg, problems);
        server_config_free(&cfg);
        return status;
    }
    if (stray != NULL) {
        fprintf(stderr, "mlgate server: '%s' is no flag, or its value is missing\n\n", stray);
        server_help(stderr, false);
    } else {
        problems_print(problems, stderr);
    }
    return 2;
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
    status = configure_and_run(argv + 1, &problems);
    problems_free(&problems);
    return status;
}
