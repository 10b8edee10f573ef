#include "gateway/gateway.h"

#include "base/mem.h"
#include "base/shed.h"
#include "gateway/internal.h"

void gateway_wait(struct gateway *g, struct list *list, struct wait *w, uint64_t after_us)
{
    w->due_us = gateway_now(g) + after_us;
    list_remove(&w->node);
    list_push(list, &w->node);
    if (g->host->wake != NULL)
        g->host->wake(g->host->ctx, w->due_us);
}

bool gateway_gate(struct gateway *g, struct log_gate *gate, char more[LOG_HELD_MAX])
{
    bool passes = log_gate(&g->gates, gate, g->host->log, gateway_now(g), more);

    if (!passes && g->host->wake != NULL)
        g->host->wake(g->host->ctx, gate->due_us);
    return passes;
}

static void make_gates(struct gateway *g)
{
    log_gates_init(&g->gates);
    g->full_gate =
        (struct log_gate){.what = "clients refused, there are too many", .level = LOG_WARN};
    g->head_gate = (struct log_gate){
        .what = "request heads refused", .level = LOG_INFO, .burst = HEAD_LINES_BURST};
    g->memory_gate =
        (struct log_gate){.what = "clients reset by the memory limit", .level = LOG_WARN};
    g->answer_gate = (struct log_gate){.what = "answers of MLNode refused", .level = LOG_WARN};
}

void gateway_soon(struct gateway *g, struct net_task *t)
{
    g->host->soon(g->host->ctx, t);
}

void gateway_mind_memory(struct gateway *g)
{
    if (pool_over(g->host->pool) && g->host->wake != NULL)
        g->host->wake(g->host->ctx, gateway_now(g));
}

struct gateway *gateway_new(const struct gateway_host *host, const struct gateway_config *cfg)
{
    struct gateway *g = mem_zalloc(sizeof(*g));
    struct list *lists[] = {&g->pools,      &g->clients,       &g->exchanges, &g->idle_clients,
                            &g->open_heads, &g->connecting,    &g->attempts,  &g->pauses,
                            &g->discards,   &g->idle_upstreams};

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        list_init(lists[i]);
    g->host = host;
    g->cfg = *cfg;
    g->started_us = gateway_now(g);
    access_init(g);
    make_gates(g);
    upstream_pool_init(&g->management, g, &g->cfg.management, NULL);
    upstream_pool_init(&g->inference, g, &g->cfg.inference, NULL);
    g->engines = engines_new(host, &g->cfg.engines, NULL, NULL);
    return g;
}

bool gateway_serve(struct gateway *g, struct stream *s, enum gateway_role role, const char *peer,
                   uint16_t port)
{
    char more[LOG_HELD_MAX];

    if (g->stopping)
        return false;
    if (g->counters.clients_now >= GATEWAY_CLIENTS_MAX) {
        refusals_note(g, "", downstream_address(peer), "too many clients are connected");
        if (gateway_gate(g, &g->full_gate, more))
            log_warn(g->host->log,
                     "%d clients are connected, the most there may be: one more was refused%s",
                     GATEWAY_CLIENTS_MAX, more);
        return false;
    }
    downstream_new(g, s, role, peer, port);
    return true;
}

/* ---- time ------------------------------------------------------------------------------------ */

/* The first entry of a list of waits when it is due; otherwise *next learns when it will be. */
static struct wait *due(struct list *list, uint64_t now_us, uint64_t *next)
{
    struct wait *w = LIST_ENTRY(list->next, struct wait, node);

    if (list_empty(list))
        return NULL;
    if (w->due_us <= now_us)
        return w;
    if (w->due_us < *next)
        *next = w->due_us;
    return NULL;
}

static void end_old_exchanges(struct gateway *g, uint64_t now_us)
{
    const uint64_t limit = (uint64_t)GATEWAY_EXCHANGE_S * 1000000;

    while (!list_empty(&g->exchanges)) {
        struct exchange *x = LIST_ENTRY(g->exchanges.next, struct exchange, node);

        if (now_us - x->began_us < limit)
            return;
        exchange_abort(x, REASON_LIMIT);
    }
}

static void end_waiting_clients(struct gateway *g, uint64_t now_us, uint64_t *next)
{
    const struct http_head late = {.why = "the request head did not arrive in time"};
    struct wait *w;

    while ((w = due(&g->idle_clients, now_us, next)) != NULL)
        downstream_close(LIST_ENTRY(w, struct downstream, wait), REASON_IDLE);
    while ((w = due(&g->open_heads, now_us, next)) != NULL)
        exchange_reject(LIST_ENTRY(w, struct downstream, wait), 408, &late);
}

static void end_waiting_exchanges(struct gateway *g, uint64_t now_us, uint64_t *next)
{
    struct wait *w;

    while ((w = due(&g->connecting, now_us, next)) != NULL) {
        list_remove(&w->node);
        attempt_connect_timeout(LIST_ENTRY(w, struct exchange, wait));
    }
    while ((w = due(&g->attempts, now_us, next)) != NULL) {
        list_remove(&w->node);
        attempt_timeout(LIST_ENTRY(w, struct exchange, wait));
    }
    while ((w = due(&g->pauses, now_us, next)) != NULL) {
        list_remove(&w->node);
        attempt_pause_over(LIST_ENTRY(w, struct exchange, wait));
    }
    while ((w = due(&g->discards, now_us, next)) != NULL) {
        struct exchange *x = LIST_ENTRY(w, struct exchange, wait);

        exchange_abort(x, x->why);
    }
}

uint64_t gateway_tick(struct gateway *g, uint64_t now_us)
{
    uint64_t next = UINT64_MAX;
    uint64_t held;
    struct wait *w;

    if (g->stopping)
        return next;
    next = engines_tick(g->engines, now_us);
    held = log_gates_tick(&g->gates, now_us);
    next = held < next ? held : next;
    while ((w = due(&g->idle_upstreams, now_us, &next)) != NULL)
        upstream_reset(LIST_ENTRY(w, struct upstream, wait));
    end_waiting_clients(g, now_us, &next);
    end_waiting_exchanges(g, now_us, &next);
    end_old_exchanges(g, now_us);
    cork_flush(g);
    return next;
}

/* ---- memory ---------------------------------------------------------------------------------- */

static size_t held_by(const struct downstream *c)
{
    const struct exchange *x = c->exchange;
    size_t held = c->pending.held + stream_held(c->stream);

    if (x != NULL)
        held += x->early.held + x->head.held +
                (x->up && x->up->stream ? stream_held(x->up->stream) : 0);
    return held;
}

static void offer_clients(void *ctx, struct shed_list *list)
{
    struct gateway *g = ctx;

    LIST_FOREACH (it, &g->clients) {
        struct downstream *c = LIST_ENTRY(it, struct downstream, node);

        shed_offer(list, c, held_by(c));
    }
}

static void shed_client(void *ctx, const struct shed_one *one)
{
    struct gateway *g = ctx;
    struct downstream *c = one->who;
    struct exchange *x = c->exchange;
    char more[LOG_HELD_MAX];

    if (gateway_gate(g, &g->memory_gate, more))
        log_warn(g->host->log,
                 "client %s:%u is reset: %zu bytes wait for a slow reader and the memory limit is "
                 "reached (MEMORY_LIMIT)%s",
                 c->peer, c->peer_port, one->held, more);
    c->exchange = NULL;
    bytes_clear(&c->pending, g->host->pool); /* now, lest others go for it too */
    downstream_reset(c, REASON_MEMORY);
    if (x != NULL) {
        bytes_clear(&x->early, g->host->pool);
        x->client = NULL;
        exchange_abort(x, REASON_MEMORY);
    }
}

void gateway_shed(struct gateway *g)
{
    static const struct shed_events events = {.look = offer_clients, .pay = shed_client};

    shed(pool_excess(g->host->pool), &events, g);
}

/* ---- life ------------------------------------------------------------------------------------ */

const char *gateway_asked_model(const struct gateway *g)
{
    return g->asked.name;
}

enum node_manner gateway_node_manner(const struct gateway *g)
{
    return g->engines != NULL ? engines_manner(g->engines, gateway_now(g)) : NODE_NOT_ASKED;
}

enum node_state gateway_node_state(const struct gateway *g)
{
    return g->engines != NULL ? engines_state(g->engines) : NODE_UNKNOWN;
}

uint64_t gateway_node_age_us(const struct gateway *g)
{
    return g->engines != NULL ? engines_state_age(g->engines, gateway_now(g)) : UINT64_MAX;
}

const struct engine *gateway_engine(const struct gateway *g, size_t i)
{
    return g->engines != NULL ? engines_at(g->engines, i) : NULL;
}

void gateway_counters(const struct gateway *g, struct gateway_counters *out)
{
    *out = g->counters;
}

const struct histogram *gateway_first_byte(const struct gateway *g, enum route_class class)
{
    return &g->first_byte[class];
}

void gateway_set_document(struct gateway *g, struct json_t *(*document)(void *ctx), void *ctx)
{
    g->document = document;
    g->document_ctx = ctx;
}

void gateway_drain(struct gateway *g)
{
    g->draining = true;
    LIST_FOREACH (it, &g->exchanges)
        LIST_ENTRY(it, struct exchange, node)->keep_alive = false;
}

static void end_exchanges(struct gateway *g)
{
    while (!list_empty(&g->exchanges))
        exchange_abort(LIST_ENTRY(g->exchanges.next, struct exchange, node), REASON_LOCAL_STOP);
}

void gateway_cut(struct gateway *g)
{
    end_exchanges(g);
    cork_flush(g);
}

void gateway_stop(struct gateway *g)
{
    if (g->stopping)
        return;
    g->stopping = true;
    end_exchanges(g);
    while (!list_empty(&g->clients))
        downstream_close(LIST_ENTRY(g->clients.next, struct downstream, node), REASON_LOCAL_STOP);
    upstream_pool_clear(&g->management);
    upstream_pool_clear(&g->inference);
    LIST_FOREACH (it, &g->pools)
        upstream_pool_clear(LIST_ENTRY(it, struct upstream_pool, node));
    cork_flush(g);
    access_flush(g);
    log_gates_end(&g->gates);
    engines_free(g->engines);
    g->engines = NULL;
}

void gateway_free(struct gateway *g)
{
    struct list *node;

    if (g == NULL)
        return;
    while ((node = list_pop(&g->pools)) != NULL)
        mem_free(LIST_ENTRY(node, struct upstream_pool, node));
    asked_leave(&g->asked, g->asked.by);
    mem_free(g);
}
