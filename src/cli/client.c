#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "cli/account.h"
#include "cli/client.h"
#include "cli/gateway.h"
#include "cli/verb.h"
#include "config/frpc.h"
#include "observe/client_metrics.h"
#include "tunnel/work.h"

static void usage(FILE *out)
{
    fputs(
        "usage: mlgate client [-c FILE] [--metrics [ADDRESS:]PORT]\n\n"
        "  -c, --config FILE   a legacy frpc.ini, as for `frpc -c FILE`\n"
        "  --metrics ADDRESS   numbers for Prometheus, as METRICS_LISTEN says\n"
        "  -h, --help          this text\n\n"
        "Without -c the environment contract counts (mlgate help env): tunnel and gateway run in\n"
        "one process, and remote ports 1{CLIENT_ID} and 2{CLIENT_ID} lead to MLNode through it.\n",
        out);
}

static bool load_file(struct client_run *run, const char *file, struct problems *problems)
{
    if (frpc_load(file, env_lookup, environ, &run->cfg, problems) != 0)
        return false;
    if (env_client_overrides(environ, &run->cfg, problems))
        return true;
    client_config_free(&run->cfg);
    return false;
}

static bool load_environment(struct client_run *run, struct problems *problems)
{
    if (env_load(environ, &run->env, problems) != 0)
        return false;
    run->from_env = true;
    env_client_config(&run->env, &run->cfg);
    return true;
}

static void unload(struct client_run *run)
{
    client_config_free(&run->cfg);
    if (run->from_env)
        env_free(&run->env);
}

static bool load(struct client_run *run, const char *file, const char *metrics,
                 struct problems *problems)
{
    if (file != NULL ? !load_file(run, file, problems) : !load_environment(run, problems))
        return false;
    if (metrics == NULL || env_client_metrics(metrics, &run->cfg, problems))
        return true;
    unload(run);
    return false;
}

void client_write_files(const struct client_config *cfg, const char *dir, struct log *log)
{
    for (size_t i = 0; i < cfg->n_servers; i++) {
        const struct server_addr *to = &cfg->servers[i];
        char address[TEXT_HOST_PORT];
        char name[32] = "frpc.ini";
        char why[300];

        if (i > 0)
            snprintf(name, sizeof(name), "frpc-%zu.ini", i + 1);
        log_info(log, "Writing %s/%s for server %s...", dir, name,
                 text_host_port(address, to->host, to->port));
        if (frpc_write(cfg, i, dir, name, why, sizeof(why)) != 0)
            log_warn(log, "%s/%s could not be written (%s); going on from memory", dir, name, why);
        log_info(log, "Starting frpc with config %s/%s...", dir, name);
    }
}

static void stop(void *ctx)
{
    struct client_run *run = ctx;

    metrics_page_close(&run->metrics);
    account_close(run->account);
    tunnel_stop(run->tunnel);
    if (run->gateway != NULL)
        wire_stop(run->gateway);
    if (run->owner != NULL)
        run->owner->stopping(run);
}

static void ready(void *ctx, bool ready)
{
    struct client_run *run = ctx;

    if (run->owner != NULL)
        run->owner->ready(run);
}

static void gave_up(void *ctx, enum reason why)
{
    struct client_run *run = ctx;

    run->status = 1;
    runtime_stop(&run->runtime);
}

/* The first proxy is 1{CLIENT_ID}, the second 2{CLIENT_ID} (env_client_config). */
static bool user_to_gateway(void *ctx, size_t server, size_t i, struct stream *work, const char *ip,
                            uint16_t port)
{
    struct client_run *run = ctx;
    enum gateway_role role = i == 0 ? ROLE_INFERENCE : ROLE_POC;

    if (run->gateway == NULL)
        return false;
    if (gateway_serve(wire_gateway(run->gateway), work, role, ip, port))
        work_open(work, work->on, work->owner);
    else
        stream_reset(work);
    return true;
}

static void shed_clients(void *ctx)
{
    struct client_run *run = ctx;

    if (run->gateway != NULL)
        gateway_shed(wire_gateway(run->gateway));
}

/* Listeners that cannot be opened are no reason to leave the tunnel without a gateway. */
static void start_gateway(struct client_run *run)
{
    struct runtime *r = &run->runtime;

    run->gateway_log = log_child(r->log, "gateway");
    run->gateway = cli_gateway_new(r->net, run->gateway_log, &run->env);
    if (!cli_gateway_listen(run->gateway, run->gateway_log, &run->env))
        log_warn(run->gateway_log, "going on: what the tunnel carries needs no listener");
}

static void write_metrics(void *ctx, struct metrics *m)
{
    struct client_run *run = ctx;
    const struct client_metrics what = {
        .tunnel = run->tunnel,
        .n_proxies = run->cfg.n_proxies,
        .gateway = run->gateway != NULL ? wire_gateway(run->gateway) : NULL,
    };

    client_metrics_write(&what, m);
    if (run->owner != NULL)
        run->owner->metrics(run, m);
}

static void start_metrics(struct client_run *run)
{
    const struct server_addr *at = &run->cfg.metrics_listen;

    run->metrics = (struct metrics_page){.write = write_metrics, .ctx = run};
    metrics_page_open(&run->metrics, run->runtime.net, at->host, at->port,
                      "METRICS_LISTEN, --metrics");
}

static struct account *new_account(struct client_run *run)
{
    const struct account_of of = {
        .loop = &run->runtime.loop,
        .cfg = &run->cfg,
        .tunnel = run->tunnel,
        .gateway = run->gateway,
        .facts = run->facts,
        .client_id = run->from_env ? run->env.client_id : NULL,
        .node_id = run->from_env ? run->env.node_id : NULL,
        .metrics_error = run->metrics.error,
        .door = &run->door,
    };

    return account_new(&of);
}

/* Everything but the files, from the runtime to the memory. */
static void serve(struct client_run *run)
{
    static const struct tunnel_events events = {
        .ready = ready, .gave_up = gave_up, .user = user_to_gateway, .shed = shed_clients};
    struct runtime *r = &run->runtime;
    char error[300];

    run->tunnel = tunnel_new(r->net, &run->cfg, &events, run, error, sizeof(error));
    if (run->tunnel == NULL) {
        log_error(r->log, "%s", error);
        run->status = 2;
    } else {
        if (run->owner != NULL)
            run->owner->loaded(run);
        if (run->from_env)
            start_gateway(run);
        start_metrics(run);
        if (run->owner != NULL)
            run->owner->starting(run);
        run->account = new_account(run);
        tunnel_start(run->tunnel);
        runtime_run(r, stop, run);
    }
    runtime_free(r);
    tunnel_free(run->tunnel);
    wire_free(run->gateway);
    account_free(run->account);
    log_free(run->gateway_log);
}

/* `file`: with -c; NULL: the environment. */
static void open_door(struct client_run *run, const char *file)
{
    char *path = file != NULL ? mem_printf("%s.sock", file)
                              : mem_printf("%s/status.sock", run->env.frp_config_dir);
    int rc = door_open(&run->door, path);

    if (rc == -EADDRINUSE)
        log_warn(run->runtime.log, "another client listens on %s: `mlgate status` asks that one",
                 path);
    else if (rc != 0)
        log_warn(run->runtime.log, "`mlgate status` will find nobody: %s: %s", path, strerror(-rc));
    mem_free(path);
}

static void run_client(struct client_run *run, const char *file, struct problems *problems)
{
    struct runtime *r = &run->runtime;

    runtime_init(r, "frpc", run->cfg.log_level, (enum log_format)run->cfg.log_format,
                 run->cfg.memory_limit);
    problems_log_warnings(problems, r->log);
    if (run->from_env)
        client_write_files(&run->cfg, run->env.frp_config_dir, r->log);
    open_door(run, file);
    serve(run);
    door_close(&run->door);
}

int client_serve(const struct env_config *env, const struct client_owner *owner, void *ctx)
{
    struct client_run run = {
        .env = *env, .from_env = true, .owner = owner, .owner_ctx = ctx, .door = {.fd = -1}};

    env_client_config(env, &run.cfg);
    runtime_init(&run.runtime, "frpc", run.cfg.log_level, (enum log_format)run.cfg.log_format,
                 run.cfg.memory_limit);
    serve(&run);
    client_config_free(&run.cfg);
    return run.status;
}

int cli_client(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"metrics", required_argument, NULL, 'm'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct client_run run = {0};
    struct problems problems;
    const char *file = NULL;
    const char *metrics = NULL;
    int opt;

    while ((opt = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        if (opt == 'c') {
            file = optarg;
        } else if (opt == 'm') {
            metrics = optarg;
        } else {
            usage(opt == 'h' ? stdout : stderr);
            return opt == 'h' ? 0 : 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "mlgate client: unexpected argument '%s'\n", argv[optind]);
        usage(stderr);
        return 2;
    }
    problems_init(&problems);
    if (load(&run, file, metrics, &problems)) {
        run_client(&run, file, &problems);
        unload(&run);
    } else {
        problems_print_all(&problems, stderr);
        run.status = 2;
    }
    problems_free(&problems);
    return run.status;
}
