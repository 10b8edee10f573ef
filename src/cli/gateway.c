#include "cli/gateway.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/metrics.h"
#include "cli/runtime.h"
#include "cli/verb.h"
#include "config/problem.h"
#include "observe/client_metrics.h"

struct wire *cli_gateway_new(struct net *n, struct log *log, const struct env_config *env)
{
    const struct endpoint management = {env->mlnode_management.host, env->mlnode_management.port};
    const struct endpoint inference = {env->mlnode_inference.host, env->mlnode_inference.port};
    bool direct = env->engine_direct == 0;
    const struct gateway_config cfg = {
        .management = management,
        .inference = inference,
        .policy = (enum policy)env->gateway_policy,
        .engines = {.management = management,
                    .inference = inference,
                    .host = inference.host,
                    .first_port = direct ? env->engine_first_port : 0,
                    .last_port = direct ? env->engine_last_port : 0,
                    .never = {env->gateway_listen.port, env->gateway_listen_poc.port}},
    };

    log_info(log, "policy %s, management %s:%u, inference %s:%u, engines %s",
             policy_name(cfg.policy), management.host, management.port, inference.host,
             inference.port, direct ? "directly where they can be told" : "through inference");
    return wire_new(n, log, &cfg);
}

static bool listen_on(struct wire *w, struct log *log, enum gateway_role role, const char *variable,
                      const struct server_addr *at)
{
    int rc = wire_listen(w, role, at->host, at->port);

    if (rc == 0)
        log_info(log, "listening on %s:%u (%s)", at->host, at->port, variable);
    else
        log_error(log, "cannot listen on %s:%u: %s; choose another address with %s", at->host,
                  at->port, uv_strerror(rc), variable);
    return rc == 0;
}

bool cli_gateway_listen(struct wire *w, struct log *log, const struct env_config *env)
{
    bool first = listen_on(w, log, ROLE_INFERENCE, "GATEWAY_LISTEN", &env->gateway_listen);

    return listen_on(w, log, ROLE_POC, "GATEWAY_LISTEN_POC", &env->gateway_listen_poc) && first;
}

/* ---- the verb -------------------------------------------------------------------------------- */

struct gateway_run {
    struct wire *wire;
    struct metrics_page metrics;
};

static void write_metrics(void *ctx, struct metrics *m)
{
    struct gateway_run *v = ctx;
    const struct client_metrics what = {.gateway = wire_gateway(v->wire)};

    client_metrics_write(&what, m);
}

static void stop(void *ctx)
{
    struct gateway_run *v = ctx;

    metrics_page_close(&v->metrics);
    wire_stop(v->wire);
}

static void say_the_end(const struct gateway_run *v, struct log *log)
{
    struct gateway_counters n;
    char ended[400];

    gateway_counters(wire_gateway(v->wire), &n);
    reason_counts_text(&n.ended, ended, sizeof(ended));
    log_info(log, "stopped; %" PRIu64 " requests: %s", n.requests, ended);
}

static int run_gateway(const struct env_config *env, const struct problems *problems)
{
    struct runtime r;
    struct gateway_run v = {.metrics = {.write = write_metrics, .ctx = &v}};
    int status = 1;

    runtime_init(&r, "gateway", env->log_level, (enum log_format)env->log_format,
                 env->memory_limit);
    problems_log_warnings(problems, r.log);
    v.wire = cli_gateway_new(r.net, r.log, env);
    if (cli_gateway_listen(v.wire, r.log, env)) {
        metrics_page_open(&v.metrics, r.net, env->metrics_listen.host, env->metrics_listen.port,
                          "--metrics, METRICS_LISTEN");
        runtime_run(&r, stop, &v);
        status = 0;
    }
    wire_stop(v.wire);
    say_the_end(&v, r.log);
    runtime_free(&r);
    wire_free(v.wire);
    return status;
}

static int configure_and_run(char **words, struct problems *problems)
{
    struct env_config env;
    const char *stray;
    int status;

    if (env_gateway_load(environ, words, &env, &stray, problems) == 0) {
        status = run_gateway(&env, problems);
        env_free(&env);
        return status;
    }
    if (stray != NULL) {
        fprintf(stderr, "mlgate gateway: '%s' is no flag, or its value is missing\n", stray);
        cli_misused("gateway");
    }
    problems_print_all(problems, stderr);
    return 2;
}

int cli_gateway(int argc, char **argv)
{
    struct problems problems;
    int status;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0) {
            env_gateway_help(stdout, isatty(STDOUT_FILENO));
            return 0;
        }
    }
    problems_init(&problems);
    status = configure_and_run(argv + 1, &problems);
    problems_free(&problems);
    return status;
}
