/* The engines together: their ports, the inference port in front of them, and what a test does to
 * one of them. */
#include "base/err.h"
#include "base/mem.h"
#include "testnode/node.h"

#include <stdio.h>

static int open_engine(struct testnode *node, size_t i)
{
    struct engine *e = &node->engines[i];
    unsigned first = node->options.engine_port;
    int rc;

    e->state = &node->engine_states[i];
    e->port = (struct port){.node = node, .kind = NODE_INFERENCE, .engine = e};
    rc = port_open(&e->port, node->options.host[NODE_INFERENCE], (uint16_t)(first ? first + i : 0));
    e->state->port = port_number(&e->port);
    return rc;
}

int fleet_open(struct testnode *node, char *error, size_t error_size)
{
    size_t count = node->options.engines;
    int rc = 0;

    if (count == 0)
        return 0;
    node->engines = mem_zalloc(count * sizeof(*node->engines));
    node->engine_states = mem_zalloc(count * sizeof(*node->engine_states));
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = open_engine(node, i);
        if (rc)
            snprintf(error, error_size, "cannot bind the port of engine %zu (%u): %s", i + 1,
                     node->engine_states[i].port, uv_strerror(rc));
    }
    return rc;
}

static void shut(struct testnode *node, struct port *port)
{
    int rc = port_shut(port);

    if (rc)
        log_error(node->log, "cannot keep port %u: %s", port_number(port), uv_strerror(rc));
}

static void shut_all(struct testnode *node)
{
    for (size_t i = 0; i < node->options.engines; i++) {
        node->engines[i].state->alive = false;
        node->engines[i].state->frozen = false;
        shut(node, &node->engines[i].port);
    }
    shut(node, &node->ports[NODE_INFERENCE]);
}

int fleet_up(struct testnode *node)
{
    int rc = 0;

    for (size_t i = 0; i < node->options.engines && rc == 0; i++) {
        rc = port_listen(&node->engines[i].port);
        node->engines[i].state->alive = rc == 0;
    }
    if (rc == 0)
        rc = port_listen(&node->ports[NODE_INFERENCE]);
    if (rc)
        shut_all(node);
    return rc;
}

/* Everything that an engine serves ends with it. What the management port passes on ends by itself,
 * with a 502 or broken off, because that port stays. */
void fleet_down(struct testnode *node)
{
    shut_all(node);
    LIST_FOREACH (it, &node->conns) {
        struct conn *c = LIST_ENTRY(it, struct conn, node);

        if (c->port == NODE_INFERENCE ||
            (c->phase == CONN_ANSWER && c->exchange.match.engine && c->exchange.relay == NULL))
            conn_cut(c, false);
    }
}

void fleet_close(struct testnode *node)
{
    if (node->engines == NULL)
        return;
    for (size_t i = 0; i < node->options.engines; i++)
        port_close(&node->engines[i].port);
}

/* Without an engine MLNode tears its port down. What is under way there ends by itself, because
 * its engine has gone. */
static void shut_proxy(struct testnode *node)
{
    shut(node, &node->ports[NODE_INFERENCE]);
    LIST_FOREACH (it, &node->conns) {
        struct conn *c = LIST_ENTRY(it, struct conn, node);

        c->close_after |= c->port == NODE_INFERENCE && c->engine == NULL;
        if (c->port == NODE_INFERENCE && c->engine == NULL && c->phase == CONN_HEAD)
            conn_cut(c, false);
    }
}

static void crash(struct testnode *node, struct engine *e)
{
    e->state->alive = false;
    e->state->frozen = false;
    shut(node, &e->port);
    LIST_FOREACH (it, &node->conns) {
        struct conn *c = LIST_ENTRY(it, struct conn, node);

        if (c->engine == e)
            conn_reset(c);
    }
    if (!engine_any_alive(node->engine_states, node->options.engines))
        shut_proxy(node);
}

static void thaw(struct testnode *node, struct engine *e)
{
    e->state->frozen = false;
    LIST_FOREACH (it, &node->conns) {
        struct conn *c = LIST_ENTRY(it, struct conn, node);

        if (c->engine == e)
            conn_thaw(c);
    }
}

static void bring_back(struct testnode *node, struct engine *e)
{
    struct port *proxy = &node->ports[NODE_INFERENCE];
    int rc = 0;

    if (e->state->alive) {
        thaw(node, e);
        return;
    }
    rc = port_listen(&e->port);
    e->state->alive = rc == 0;
    if (rc == 0 && !proxy->listening)
        rc = port_listen(proxy);
    if (rc)
        log_error(node->log, "engine on port %u is not back: %s", e->state->port, uv_strerror(rc));
}

static void apply(struct testnode *node, struct engine *e, const struct engine_control *control)
{
    switch (control->what) {
    case ENGINE_CRASH:
        crash(node, e);
        break;
    case ENGINE_BACK:
        bring_back(node, e);
        break;
    case ENGINE_SLOW:
        e->state->delay_ms = control->delay_ms;
        break;
    case ENGINE_SICK:
    case ENGINE_WELL:
        e->state->sick = control->what == ENGINE_SICK;
        break;
    case ENGINE_FREEZE:
        e->state->frozen = true;
        break;
    }
}

int fleet_control(struct testnode *node, const struct engine_control *control, const char **why)
{
    struct engine_state *states = node->engine_states;
    struct engine_state *state = engine_find(states, node->options.engines, control->port);
    int rc;

    *why = "no engine has that port";
    if (state == NULL)
        return ERR_NOTFOUND;
    rc = engine_allows(state, control, node->model.running, why);
    if (rc == 0)
        apply(node, &node->engines[state - states], control);
    return rc;
}
