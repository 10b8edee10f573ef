/* The two ports and what opens and closes the inference one. */
#include "base/mem.h"
#include "testnode/node.h"

#include <stdio.h>
#include <string.h>

enum { BACKLOG = 2048 }; /* uvicorn's */

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
    mem_free(node);
    if (closed)
        closed(arg);
}

void node_forget(struct testnode *node)
{
    node->n_conns--;
    release(node);
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct listener *listener = handle->data;
    struct testnode *node = listener->node;

    mem_free(listener);
    node->handles--;
    release(node);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct testnode *node = handle->data;

    node->handles--;
    release(node);
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct listener *listener = stream->data;

    if (status == 0)
        node_accept(listener->node, listener->port, stream);
}

/* Takes the port without listening: connections are refused, and nobody else gets it. */
static int bind_port(struct testnode *node, enum node_port port)
{
    struct listener *listener = mem_zalloc(sizeof(*listener));
    int len = sizeof(node->addr[port]);
    int rc;

    listener->node = node;
    listener->port = port;
    listener->tcp.data = listener;
    uv_tcp_init(node->loop, &listener->tcp);
    node->handles++;
    node->listeners[port] = listener;
    rc = uv_tcp_bind(&listener->tcp, (struct sockaddr *)&node->addr[port], 0);
    if (rc == 0)
        rc = uv_tcp_getsockname(&listener->tcp, (struct sockaddr *)&node->addr[port], &len);
    return rc;
}

static int listen_port(struct testnode *node, enum node_port port)
{
    return uv_listen((uv_stream_t *)&node->listeners[port]->tcp, BACKLOG, on_connection);
}

static void close_port(struct testnode *node, enum node_port port)
{
    struct listener *listener = node->listeners[port];

    node->listeners[port] = NULL;
    if (listener)
        uv_close((uv_handle_t *)&listener->tcp, on_listener_closed);
}

/* Everything that an engine serves ends with it. */
static void cut_engine(struct testnode *node)
{
    LIST_FOREACH (it, &node->conns) {
        struct conn *c = LIST_ENTRY(it, struct conn, node);

        if (c->port == NODE_INFERENCE || (c->phase == CONN_ANSWER && c->exchange.match.engine))
            conn_cut(c, false);
    }
}

static void engine_opens(struct testnode *node)
{
    int rc = listen_port(node, NODE_INFERENCE);

    if (rc == 0) {
        log_info(node->log, "engine up, model %s, port %u", node->model.name,
                 testnode_port(node, NODE_INFERENCE));
        return;
    }
    log_error(node->log, "port %u: %s", testnode_port(node, NODE_INFERENCE), uv_strerror(rc));
    model_fail(&node->model);
}

static void on_load_timer(uv_timer_t *timer)
{
    struct testnode *node = timer->data;

    if (!model_tick(&node->model, node_now_ms(node)))
        return;
    if (node->model.running)
        engine_opens(node);
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
    int rc = 0;

    if (!model_down(&node->model, node_now_ms(node)))
        return;
    uv_timer_stop(&node->load_timer);
    if (was_running) {
        close_port(node, NODE_INFERENCE);
        cut_engine(node);
        rc = bind_port(node, NODE_INFERENCE);
        log_info(node->log, "engine down, port %u closed", testnode_port(node, NODE_INFERENCE));
    }
    if (rc)
        log_error(node->log, "cannot keep port %u: %s", testnode_port(node, NODE_INFERENCE),
                  uv_strerror(rc));
    wake_waiting(node);
}

uint16_t testnode_port(const struct testnode *node, enum node_port port)
{
    const struct sockaddr_storage *addr = &node->addr[port];

    return ntohs(addr->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)addr)->sin6_port
                                             : ((const struct sockaddr_in *)addr)->sin_port);
}

static int open_port(struct testnode *node, enum node_port port, bool listening, char *error,
                     size_t error_size)
{
    const char *host = node->options.host[port];
    int number = node->options.port[port];
    int rc = uv_ip4_addr(host, number, (struct sockaddr_in *)&node->addr[port]);

    if (rc != 0)
        rc = uv_ip6_addr(host, number, (struct sockaddr_in6 *)&node->addr[port]);
    if (rc == 0)
        rc = bind_port(node, port);
    if (rc == 0 && listening)
        rc = listen_port(node, port);
    if (rc)
        snprintf(error, error_size, "cannot listen on %s port %d: %s", host, number,
                 uv_strerror(rc));
    return rc;
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
    bool up = options->initially_up;

    if (model_init(&node->model, options->model, options->load_delay_ms) != 0) {
        snprintf(error, error_size, "the model's name is empty or too long");
        goto fail;
    }
    if (!ask_rate_ok(options->token_rate) || options->tokens < 1 ||
        options->tokens > ASK_TOKENS_MAX) {
        snprintf(error, error_size, "token rate or number of tokens is out of range");
        goto fail;
    }
    if (open_port(node, NODE_MANAGEMENT, true, error, error_size) != 0 ||
        open_port(node, NODE_INFERENCE, up, error, error_size) != 0)
        goto fail;
    if (up)
        model_started(&node->model);
    return node;
fail:
    testnode_stop(node, NULL, NULL);
    return NULL;
}

void testnode_stop(struct testnode *node, void (*closed)(void *arg), void *arg)
{
    node->stopping = true;
    node->closed = closed;
    node->closed_arg = arg;
    close_port(node, NODE_INFERENCE);
    close_port(node, NODE_MANAGEMENT);
    LIST_FOREACH (it, &node->conns) {
        conn_cut(LIST_ENTRY(it, struct conn, node), false);
    }
    uv_close((uv_handle_t *)&node->load_timer, on_timer_closed);
}
