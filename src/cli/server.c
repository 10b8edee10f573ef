#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/metrics.h"
#include "cli/runtime.h"
#include "cli/status.h"
#include "cli/verb.h"
#include "config/frps.h"
#include "config/problem.h"
#include "gateway/status.h"
#include "observe/desk.h"
#include "observe/door.h"
#include "observe/server_document.h"
#include "observe/server_metrics.h"
#include "tunnel/server.h"

enum { SAMPLE_MS = 1000 };

struct server_run {
    const struct server_config *cfg;
    struct server *server;
    struct metrics_page metrics;
    struct door door;
    struct desk *desk;
    struct rate rate;
    uv_timer_t sample;
    int64_t started_s;
    uint64_t started_us;
};

/* ---- what it says about itself ----------------------------------------------------------------
 */

static char *status(void *ctx)
{
    const struct server_run *v = ctx;
    const struct document_who who = {
        .role = "server", .started_s = v->started_s, .uptime_us = net_now_us() - v->started_us};
    json_t *document = server_document(&who, v->server, v->cfg, &v->rate, net_now_us());
    char *text = status_text(document);

    json_decref(document);
    return text;
}

static void sample_due(uv_timer_t *timer)
{
    struct server_run *v = timer->data;
    struct server_status n;

    server_status(v->server, &n);
    rate_add(&v->rate, net_now_us(), n.bytes_in, n.bytes_out);
}

static void open_door(struct server_run *v, struct runtime *r)
{
    char *path = status_server_door(v->cfg->state_dir, server_port(v->server));
    int rc = door_open(&v->door, path);

    if (rc != 0)
        log_warn(r->log, "`mlgate status --server` will not find this one: %s: %s", path,
                 rc == -EADDRINUSE ? "another one listens there" : strerror(-rc));
    else
        v->desk = desk_new(&r->loop, v->door.fd, v->door.owner, status, v);
    mem_free(path);
    uv_timer_init(&r->loop, &v->sample);
    v->sample.data = v;
    uv_timer_start(&v->sample, sample_due, 0, SAMPLE_MS);
}

static void write_metrics(void *ctx, struct metrics *m)
{
    const struct server_run *v = ctx;

    server_metrics_write(v->server, m);
}

static void stop(void *ctx)
{
    struct server_run *v = ctx;

    metrics_page_close(&v->metrics);
    desk_close(v->desk);
    uv_close((uv_handle_t *)&v->sample, NULL);
    server_stop(v->server);
}

static int run_server(const struct server_config *cfg, struct problems *problems)
{
    struct runtime r;
    struct server_run v = {.cfg = cfg,
                           .metrics = {.write = write_metrics, .ctx = &v},
                           .door = {.fd = -1},
                           .started_s = (int64_t)time(NULL),
                           .started_us = net_now_us()};
    char error[400];

    runtime_init(&r, "frps", cfg->log_level, (enum log_format)cfg->log_format, cfg->memory_limit);
    problems_log_warnings(problems, r.log);
    v.server = server_new(r.net, cfg, error, sizeof(error));
    if (v.server != NULL) {
        metrics_page_open(&v.metrics, r.net, cfg->metrics_addr, cfg->metrics_port,
                          "--metrics, MLGATE_METRICS");
        open_door(&v, &r);
        runtime_run(&r, stop, &v);
    } else {
        log_error(r.log, "%s", error);
    }
    runtime_free(&r);
    server_free(v.server);
    desk_free(v.desk);
    door_close(&v.door);
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
        fprintf(stderr, "mlgate server: '%s' is no flag, or its value is missing\n", stray);
        cli_misused("server");
    } else {
        problems_print_all(problems, stderr);
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
