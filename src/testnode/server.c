/* Start, end, and the state machine that takes the engines up and down. */
#include "base/mem.h"
#include "testnode/node.h"

#include <stdio.h>
#include <string.h>

static void wake_waiting(struct testnode *node);

void testnode_defaults(struct testnode_options *options)
{
    *options = (struct testnode_options){
        .host = {"127.0.0.1", "127.0.0.1"},
        .port = {5000, 8080},
        .request_log = {-1, -1},
        .combined_log = -1,
        .token_rate = 40,
        .tokens = 32,
        .model = "Qwen/Qwen3-32B-FP8",
        .load_delay_ms = 1000,
        .engine_port = 5001,
        .engine_idle_ms = ENGINE_IDLE_MS,
    };
}

uint64_t node_now_ms(const struct testnode *node)
{
    return uv_now(node->loop);
}

static void release(struct testnode *node)
{
    void (*closed)(void *) = node->closed;
    void *arg = node->closed_arg;

    if (!node->stopping || node->handles > 0 || node->n_conns > 0)
        return;
    mem_free(node->model_name);
    mem_free(node->engines);
    mem_free(node->engine_states);
    mem_free(node);
    if (closed)
        closed(arg);
}

void node_forget(struct testnode *node)
{
    node->n_conns--;
    release(node);
}

void node_handle_closed(struct testnode *node)
{
    node->handles--;
    release(node);
}

static void on_timer_closed(uv_handle_t *handle)
{
    node_handle_closed(handle->data);
}

static void engines_open(struct testnode *node)
{
    int rc = fleet_up(node);

    if (rc == 0) {
        log_info(node->log, "engine up, model %s, port %u", node->model.name,
                 testnode_port(node, NODE_INFERENCE));
        return;
    }
    log_error(node->log, "cannot listen for the engine: %s", uv_strerror(rc));
    model_fail(&node->model);
}

static void on_load_timer(uv_timer_t *timer)
{
    struct testnode *node = timer->data;

    if (!model_tick(&node->model, node_now_ms(node)))
        return;
    if (node->model.running)
        engines_open(node);
    wake_waiting(node);
}

static void wake_waiting(struct testnode *node)
{
    LIST_FOREACH (it, &node->conns) {
        struct conn *c = LIST_ENTRY(it, struct conn, node);

        if (c->phase == CONN_ANSWER && c->exchange.waits_for_load)
            exchange_loaded(c);
    }
}

int node_up(struct testnode *node, const char *model, bool doomed)
{
    uint64_t now;
    int rc;

    uv_update_time(node->loop);
    now = node_now_ms(node);
    rc = model_up(&node->model, model, doomed, now);
    if (rc == 0)
        uv_timer_start(&node->load_timer, on_load_timer, model_remaining(&node->model, now), 0);
    return rc;
}

void node_down(struct testnode *node)
{
    bool was_running = node->model.running;

    if (!model_down(&node->model, node_now_ms(node)))
        return;
    uv_timer_stop(&node->load_timer);
    if (was_running) {
        fleet_down(node);
        log_info(node->log, "engine down, port %u closed", testnode_port(node, NODE_INFERENCE));
    }
    wake_waiting(node);
}

bool node_generate(struct testnode *node, bool on)
{
    if (!model_generate(&node->model, on))
        return false;
    if (!on)
        return true;
    LIST_FOREACH (it, &node->conns) {
        generation_preempt(LIST_ENTRY(it, struct conn, node));
    }
    return true;
}

uint16_t testnode_port(const struct testnode *node, enum node_port port)
{
    return port_number(&node->ports[port]);
}

uint16_t testnode_engine_port(const struct testnode *node, size_t index)
{
    return node->engine_states[index].port;
}

static int open_own(struct testnode *node, enum node_port kind, char *error, size_t error_size)
{
    const char *host = node->options.host[kind];
    struct port *port = &node->ports[kind];
    int rc;

    port->node = node;
    port->kind = kind;
    rc = port_open(port, host, node->options.port[kind]);
    if (rc == 0 && kind == NODE_MANAGEMENT)
        rc = port_listen(port);
    if (rc)
        snprintf(error, error_size, "cannot listen on %s port %u: %s", host,
                 node->options.port[kind], uv_strerror(rc));
    return rc;
}

static int open_all(struct testnode *node, char *error, size_t error_size)
{
    int rc = open_own(node, NODE_MANAGEMENT, error, error_size);

    if (rc == 0)
        rc = open_own(node, NODE_INFERENCE, error, error_size);
    if (rc == 0)
        rc = fleet_open(node, error, error_size);
    if (rc || !node->options.initially_up)
        return rc;
    rc = fleet_up(node);
    if (rc)
        snprintf(error, error_size, "cannot listen for the engine: %s", uv_strerror(rc));
    else
        model_started(&node->model);
    return rc;
}

static bool options_ok(const struct testnode_options *options, char *error, size_t error_size)
{
    if (!ask_rate_ok(options->token_rate) || options->tokens < 1 ||
        options->tokens > ASK_TOKENS_MAX) {
        snprintf(error, error_size, "token rate or number of tokens is out of range");
        return false;
    }
    if (options->engines > ENGINE_MAX || options->engine_idle_ms < 1 ||
        options->engine_idle_ms > ENGINE_IDLE_MAX_MS ||
        (options->engine_port && options->engine_port + options->engines > UINT16_MAX + 1)) {
        snprintf(error, error_size, "number, ports or idle time of the engines are out of range");
        return false;
    }
    return true;
}

static struct testnode *new_node(uv_loop_t *loop, const struct testnode_options *options,
                                 struct log *log)
{
    struct testnode *node = mem_zalloc(sizeof(*node));

    node->loop = loop;
    node->log = log;
    node->options = *options;
    node->model_name = mem_strdup(options->model);
    node->options.model = node->model_name;
    list_init(&node->conns);
    uv_timer_init(loop, &node->load_timer);
    node->load_timer.data = node;
    node->handles = 1;
    return node;
}

struct testnode *testnode_start(uv_loop_t *loop, const struct testnode_options *options,
                                struct log *log, char *error, size_t error_size)
{
    struct testnode *node = new_node(loop, options, log);

    node->weights.delay_ms = options->load_delay_ms;
    if (model_init(&node->model, options->model, options->load_delay_ms) != 0)
        snprintf(error, error_size, "the model's name is empty or too long");
    else if (options_ok(options, error, error_size) && open_all(node, error, error_size) == 0)
        return node;
    testnode_stop(node, NULL, NULL);
    return NULL;
}

void testnode_stop(struct testnode *node, void (*closed)(void *arg), void *arg)
{
    node->stopping = true;
    node->closed = closed;
    node->closed_arg = arg;
    fleet_close(node);
    port_close(&node->ports[NODE_INFERENCE]);
    port_close(&node->ports[NODE_MANAGEMENT]);
    LIST_FOREACH (it, &node->conns) {
        conn_cut(LIST_ENTRY(it, struct conn, node), false);
    }
    uv_close((uv_handle_t *)&node->load_timer, on_timer_closed);
}
