/* `mlgate run`: the container. Checks the environment, writes frpc.ini, and hands over to PID 1
 * (container/init.h), which starts the worker and MLNode, or what stands in for it. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/client.h"
#include "cli/run_environment.h"
#include "cli/run_model.h"
#include "cli/run_node.h"
#include "cli/verb.h"
#include "cli/worker.h"
#include "container/facts.h"
#include "container/init.h"
#include "container/listeners.h"
#include "container/say.h"
#include "container/secret.h"

struct container {
    struct env_config env;
    struct say say;
    struct door door; /* of `mlgate status` */
    struct worker_seed seed;
    struct log *log;
    struct secret secret;
    struct run_node node;
    struct child_program program; /* what run_node chose */
    struct model_settings model;
    struct child_program model_program; /* what run_model chose */
    struct listeners listeners;
    struct audit_span expected[1]; /* the page of the metrics, where it is meant for others */
};

static void usage(FILE *out)
{
    fputs(
        "usage: mlgate run\n\n"
        "The entry point of the image: tunnel, gateway and MLNode under one supervisor, as the\n"
        "environment says (mlgate help env). Made to be PID 1, and works below another one: there\n"
        "it takes the variables it lacks from PID 1's environment.\n\n"
        "SIGTERM and SIGINT stop in order; a second one cuts the answers that are under way.\n"
        "Status: 0 stopped on request, 2 the configuration cannot be used, 1 otherwise.\n",
        out);
}

static void say_reaped_child(void *say, pid_t pid)
{
    say_reaped(say, pid);
}

/* The node's process and the model's: nothing of the secret goes there. */
static void leave_secret(struct container *c)
{
    secret_forget(c->env.token);
    secret_leave(&c->secret);
}

static int run_without_secret(void *ctx, int link)
{
    struct container *c = ctx;

    leave_secret(c);
    return c->program.main(c->program.ctx, link);
}

static int prepare_without_secret(void *ctx, int link)
{
    struct container *c = ctx;

    leave_secret(c);
    return c->model_program.main(c->model_program.ctx, link);
}

static struct child_program choose_node(struct container *c)
{
    c->program = run_node(&c->node, &c->env, c->log);
    if (c->program.main == NULL)
        return c->program;
    return (struct child_program){.name = c->program.name, .main = run_without_secret, .ctx = c};
}

static struct child_program choose_model(struct container *c, struct model_beat *said)
{
    c->model_program = run_model(&c->model, &c->env, c->program.main != NULL, said, c->log);
    if (c->model_program.main == NULL)
        return c->model_program;
    return (struct child_program){
        .name = c->model_program.name, .main = prepare_without_secret, .ctx = c};
}

static void write_files(const struct container *c)
{
    struct log *log =
        log_new(c->say.fd, "frpc", c->env.log_level, (enum log_format)c->env.log_format);
    struct client_config cfg;

    env_client_config(&c->env, &cfg);
    client_write_files(&cfg, c->env.frp_config_dir, log);
    client_config_free(&cfg);
    log_free(log);
}

/* The gateway's own listeners are named as any other: on a wide address they are the way past the
 * tunnel. Who opened the page of the metrics to others wants it read. */
static void prepare_audit(struct container *c)
{
    const struct server_addr *page = &c->env.metrics_listen;
    size_t n = 0;

    if (page->host != NULL && !env_is_loopback(page->host))
        c->expected[n++] = (struct audit_span){page->port, page->port};
    c->listeners = (struct listeners){
        .log = c->log, .proc = "/proc", .expected = c->expected, .n_expected = n};
}

static void turned(void *listeners, uint64_t now_us)
{
    listeners_tick(listeners, now_us);
}

static void add_facts(void *listeners, struct facts *facts)
{
    const struct listeners *l = listeners;

    if (l->looked)
        facts_audited(facts, &l->said);
    else if (l->unreadable_said)
        facts->audit = FACTS_AUDIT_UNREADABLE;
}

/* PID 1 only holds it, so that it outlives each worker: who comes between two of them waits. */
static void open_door(struct container *c)
{
    char *path = mem_printf("%s/status.sock", c->env.frp_config_dir);
    int rc = door_open(&c->door, path);

    if (rc != 0)
        log_warn(c->log, "`mlgate status` will not find this container: %s: %s", path,
                 rc == -EADDRINUSE ? "another one listens there" : strerror(-rc));
    c->seed = (struct worker_seed){.env = &c->env, .door = &c->door};
    mem_free(path);
}

static int supervise(struct container *c, size_t borrowed, const struct problems *problems)
{
    struct init_config cfg = {
        .worker = {.name = "mlgate-worker", .main = worker_main, .ctx = &c->seed},
        .grace_s = c->env.stop_grace_s,
        .directory = c->env.frp_config_dir,
        .reaped = say_reaped_child,
        .reaped_ctx = &c->say,
        .turned = turned,
        .turned_ctx = &c->listeners,
        .facts = add_facts,
        .facts_ctx = &c->listeners,
    };
    int status;

    say_open(&c->say);
    c->log = log_new(c->say.fd, "mlgate", c->env.log_level, (enum log_format)c->env.log_format);
    problems_log_warnings(problems, c->log);
    if (borrowed > 0)
        log_info(c->log, "%zu variables that were missing here came from /proc/1/environ",
                 borrowed);
    write_files(c);
    cfg.log = c->log;
    cfg.output = c->say.fd;
    cfg.node = choose_node(c);
    cfg.model = choose_model(c, &cfg.model_said);
    prepare_audit(c);
    open_door(c);
    cfg.worker_keeps = c->door.fd;
    cfg.node_is_ours = c->env.ubuntu_test;
    status = init_run(&cfg);
    door_close(&c->door);
    run_node_free(&c->node);
    log_free(c->log);
    say_close(&c->say);
    return status;
}

static int load_and_run(void)
{
    size_t borrowed = getpid() != 1 ? run_environment_borrow("/proc/1/environ") : 0;
    struct container c = {0};
    struct problems problems;
    int status = 2;

    problems_init(&problems);
    if (env_load(environ, &c.env, &problems) == 0) {
        secret_hide(&c.secret);
        status = supervise(&c, borrowed, &problems);
        env_free(&c.env);
    } else {
        problems_print_all(&problems, stderr);
    }
    problems_free(&problems);
    return status;
}

int cli_run(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
    int opt = getopt_long(argc, argv, "h", options, NULL);

    if (opt == 'h') {
        usage(stdout);
        return 0;
    }
    if (opt != -1 || optind < argc) {
        if (opt == -1)
            fprintf(stderr, "mlgate run: unexpected argument '%s'\n", argv[optind]);
        usage(stderr);
        return 2;
    }
    init_hold_signals();
    return load_and_run();
}
