#include "check/container.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "check/ask_http.h"
#include "check/ask_tunnel.h"
#include "check/asking.h"
#include "check/judge_config.h"
#include "check/judge_host.h"
#include "check/judge_instance.h"
#include "check/judge_ports.h"
#include "check/look_host.h"
#include "check/look_instance.h"
#include "check/look_ports.h"
#include "config/problem.h"
#include "container/bind_guard.h"

enum {
    SERVERS_MAX = FIELD_LIST_MAX,
    INNER_MAX = 8, /* spans of ports that only the tunnel should reach */
    WARNINGS_MAX = 2048,
    TLS_ERROR = 300,
};

/* What is asked over the network; lives until everything is judged. */
struct questions {
    struct asking asking;
    struct client_config cfg; /* without proxies: claims nothing */
    struct tls_context *tls;
    char tls_error[TLS_ERROR];
    char *names[SERVERS_MAX];
    struct tunnel_facts tunnels[SERVERS_MAX];
    struct ask_tunnel *tunnel_asks[SERVERS_MAX];
    struct http_facts api;
    struct http_facts management;
    struct http_facts inference;
    struct ask_http *http_asks[3];
};

/* ---- asking ---------------------------------------------------------------------------------- */

static char *name_of(const struct server_addr *a)
{
    char text[TEXT_HOST_PORT];

    return mem_strdup(text_host_port(text, a->host, a->port));
}

static void drop_proxies(struct client_config *cfg)
{
    for (size_t i = 0; i < cfg->n_proxies; i++) {
        mem_free(cfg->proxies[i].name);
        mem_free(cfg->proxies[i].local_ip);
    }
    cfg->n_proxies = 0;
    cfg->pool_count = 0; /* and no work connections are asked of us */
}

static void make_tls(struct questions *q)
{
    struct tls_client_options o = {.ca_file = q->cfg.tls.ca_file, .observe = true};

    q->tls = tls_context_client(&o, q->tls_error, sizeof(q->tls_error));
    if (q->tls != NULL)
        return;
    o.ca_file = NULL; /* the file is at fault: the rest can be looked at without it */
    q->tls = tls_context_client(&o, (char[TLS_ERROR]){0}, TLS_ERROR);
}

static void ask_servers(struct questions *q, const struct env_config *env)
{
    for (size_t i = 0; i < env->n_servers; i++) {
        q->names[i] = name_of(&env->servers[i]);
        q->tunnels[i] = (struct tunnel_facts){
            .server = q->names[i],
            .pins = (const char *const *)env->frp_tls_pins,
            .n_pins = env->n_frp_tls_pins,
            .ca_file = env->frp_tls_ca_file,
            .ca_error = q->tls_error[0] ? q->tls_error : NULL,
            .now_s = (int64_t)time(NULL),
        };
        asking_add(&q->asking);
        q->tunnel_asks[i] = ask_tunnel_start(q->asking.net, &q->cfg, &env->servers[i], q->tls,
                                             &q->tunnels[i], asking_answered, &q->asking);
    }
}

static struct http_facts question(const struct server_addr *to, const char *path)
{
    return (struct http_facts){.host = to->host, .port = to->port, .path = path};
}

static void ask_all(struct questions *q, const struct env_config *env, FILE *terminal)
{
    struct http_facts *const facts[] = {&q->api, &q->management, &q->inference};

    asking_open(&q->asking, terminal);
    env_client_config(env, &q->cfg);
    drop_proxies(&q->cfg);
    make_tls(q);
    ask_servers(q, env);
    q->api = question(&env->api_node, "/");
    q->management = question(&env->mlnode_management, "/api/v1/state");
    q->inference = question(&env->mlnode_inference, "/v1/models");
    for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
        asking_add(&q->asking);
        q->http_asks[i] = ask_http_start(q->asking.net, facts[i], asking_answered, &q->asking);
    }
    asking_wait(&q->asking);
    for (size_t i = 0; i < env->n_servers; i++)
        ask_tunnel_free(q->tunnel_asks[i]);
    for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++)
        ask_http_free(q->http_asks[i]);
}

static void release(struct questions *q)
{
    asking_close(&q->asking);
    for (size_t i = 0; i < SERVERS_MAX; i++)
        mem_free(q->names[i]);
    http_facts_release(&q->api);
    http_facts_release(&q->management);
    http_facts_release(&q->inference);
    tls_context_free(q->tls);
    client_config_free(&q->cfg);
}

/* ---- what is here ---------------------------------------------------------------------------- */

static void check_disk(const struct env_config *env, struct findings *list)
{
    struct directory_facts hf_home = {.variable = "HF_HOME", .path = env->hf_home};
    struct directory_facts config = {.variable = "FRP_CONFIG_DIR", .path = env->frp_config_dir};
    struct directory_facts logs = {.variable = "LOG_DIR", .path = env->log_dir};
    struct model_facts model = {.given = env->model_given};

    look_directory(&hf_home);
    look_directory(&config);
    look_directory(&logs);
    look_model(env->hf_home, env->model_name, &model);
    judge_hf_home(list, &hf_home, &model, env->ubuntu_test);
    judge_frp_config_dir(list, &config);
    judge_log_dir(list, &logs, env->ubuntu_test);
}

static void check_listener(const struct port_table *ports, const char *variable,
                           const struct server_addr *at, bool instance, struct findings *list)
{
    char *address = name_of(at);
    struct holder_facts f = {.variable = variable, .address = address};

    look_holder(ports, at->host, at->port, &f);
    judge_gateway_listen(list, &f, instance);
    mem_free(address);
}

/* Only ports of this container count: MLNode may be somewhere else. */
static void add_inner(struct port_range *inner, size_t *n, const struct server_addr *at)
{
    if (env_is_loopback(at->host))
        inner[(*n)++] = (struct port_range){at->port, at->port};
}

/* MLNode's ports as they are by default, the engines', and what the configuration names instead. */
static size_t inner_ports(const struct env_config *env, struct port_range inner[INNER_MAX])
{
    static const struct port_range always[] = {{5000, 5128}, {8080, 8081}};
    size_t n = sizeof(always) / sizeof(always[0]);

    memcpy(inner, always, sizeof(always));
    if (env == NULL)
        return n;
    inner[n++] = (struct port_range){env->engine_first_port, env->engine_last_port};
    add_inner(inner, &n, &env->mlnode_management);
    add_inner(inner, &n, &env->mlnode_inference);
    inner[n++] = (struct port_range){env->gateway_listen.port, env->gateway_listen.port};
    inner[n++] = (struct port_range){env->gateway_listen_poc.port, env->gateway_listen_poc.port};
    return n;
}

static void check_exposure(const struct env_config *env, const struct port_table *ports,
                           const struct published *published, struct findings *list)
{
    struct port_range inner[INNER_MAX];
    size_t n_inner = inner_ports(env, inner);
    struct audit audit = {0};
    char named[LOOK_LISTENERS_MAX];
    bool readable = audit_read(&audit, "/proc", NULL, 0) == 0;

    judge_published(list, published, inner, n_inner, readable ? &audit : NULL);
    judge_listening(list, readable ? look_listeners(ports, &audit, named) : NULL);
}

static void check_bind_guard(struct findings *list)
{
    char path[BIND_GUARD_PATH_MAX];
    char why[400];
    char text[BIND_GUARD_PATH_MAX + 64];
    int rc = bind_guard_look(bind_guard_dirs, path, why, sizeof(why));

    snprintf(text, sizeof(text), rc == 0 ? "it is at %s" : "it would be written to %s", path);
    judge_bind_guard(list, rc == 0 || rc == ERR_NOTFOUND ? text : NULL, why);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static void skip_unconfigured(struct findings *list)
{
    static const enum check_id needing[] = {CHECK_INSTANCE,
                                            CHECK_DNS,
                                            CHECK_TCP,
                                            CHECK_TLS,
                                            CHECK_LOGIN,
                                            CHECK_API_TCP,
                                            CHECK_API_HTTP,
                                            CHECK_CLOCK_API,
                                            CHECK_MLNODE_MANAGEMENT,
                                            CHECK_MLNODE_INFERENCE,
                                            CHECK_GATEWAY_LISTEN,
                                            CHECK_DISK_HF_HOME,
                                            CHECK_DISK_FRP_CONFIG_DIR,
                                            CHECK_DISK_LOG_DIR,
                                            CHECK_SHM,
                                            CHECK_GPU,
                                            CHECK_PORTS_CLIENT_ID};

    for (size_t i = 0; i < sizeof(needing) / sizeof(needing[0]); i++)
        finding_skip(list, needing[i], NULL, CHECK_CONFIG);
}

static void judge_answers(const struct container_check *c, const struct questions *q,
                          const struct instance_facts *instance, struct findings *list)
{
    judge_instance(list, instance);
    for (size_t i = 0; i < c->env->n_servers; i++)
        judge_tunnel(list, &q->tunnels[i]);
    judge_same_servers(list, q->tunnels, c->env->n_servers);
    judge_api(list, &q->api);
    judge_mlnode(list, &q->management, &q->inference, instance);
}

static void check_here(const struct env_config *env, const struct port_table *ports,
                       const struct instance_facts *instance, struct host_facts *host,
                       struct findings *list)
{
    bool here = instance->here || instance->client;

    check_listener(ports, "GATEWAY_LISTEN", &env->gateway_listen, here, list);
    check_listener(ports, "GATEWAY_LISTEN_POC", &env->gateway_listen_poc, here, list);
    if (env->metrics_listen.host != NULL)
        check_listener(ports, "METRICS_LISTEN", &env->metrics_listen, here, list);
    check_disk(env, list);
    host->test = env->ubuntu_test;
    host->tensor_parallel_size = env->tensor_parallel_size;
    judge_shm(list, host);
    judge_gpu(list, host);
}

static void look_instance(const struct container_check *c, struct instance_facts *f)
{
    const char *directory = c->env->frp_config_dir;

    instance_facts_set(f, health_ask(directory, &f->health));
    f->expected = c->expected;
    if (f->answer == 0 && f->health.registered != 1)
        look_refused(directory, f);
    else if (f->answer == -ENOENT || f->answer == -ECONNREFUSED)
        look_others(directory, f);
}

void check_container(const struct container_check *c, struct findings *list)
{
    struct questions *q = mem_zalloc(sizeof(*q));
    struct instance_facts instance = {0};
    struct host_facts host = {0};
    struct port_table ports;
    struct published published;
    char warnings[WARNINGS_MAX] = "";
    const struct config_words words = {.fine = c->source, .help = "mlgate help env"};
    bool off = c->env != NULL && c->env->sandbox != 0;

    published_find(&published, environ);
    if (!off)
        look_sandbox(warnings, sizeof(warnings)); /* while there is one thread */
    look_host("/dev", "/proc", &host);
    port_table_read(&ports, "/proc");
    judge_config(list, c->problems, &words);
    if (c->env != NULL) {
        look_instance(c, &instance);
        ask_all(q, c->env, c->terminal);
        judge_answers(c, q, &instance, list);
        release(q);
        check_here(c->env, &ports, &instance, &host, list);
    } else {
        skip_unconfigured(list);
    }
    judge_open_files(list, host.open_files, CHECK_CLIENT_FILES);
    if (c->env != NULL)
        judge_client_id(list, c->env->client_id, c->env->client_id_number);
    check_exposure(c->env, &ports, &published, list);
    port_table_free(&ports);
    check_bind_guard(list);
    judge_sandbox(list, warnings, off);
    mem_free(q);
}
