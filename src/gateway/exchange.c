#include "gateway/internal.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

enum {
    /* A pooled connection for a request that can be sent again, and for one that cannot: MLNode
     * closes after 5.00 s, and a POST that meets the end of its connection is lost. */
    REUSE_SAFE_US = 3000000,
    REUSE_POST_US = 1000000,
    /* The API node gives /health 5 s and has no second thought: the last attempt must have ended
     * before that. */
    DAMPED_BUDGET_US = 3900000,
    DAMPED_ATTEMPT_US = 1000000,
    DAMPED_PAUSE_US = 200000,
    RETRY_AFTER_S = 5,
};

static const struct http_error engine_down = {
    .status = 503,
    .type = "service_unavailable",
    .code = "engine_unavailable",
    .message = "No inference engine is running on this MLNode now.",
    .retry_after_s = RETRY_AFTER_S,
};
static const struct http_error management_down = {
    .status = 503,
    .type = "service_unavailable",
    .code = "management_unavailable",
    .message = "MLNode's management port does not answer.",
    .retry_after_s = RETRY_AFTER_S,
};
static const struct http_error stopping = {
    .status = 503,
    .type = "service_unavailable",
    .code = "stopping",
    .message = "This node is stopping and takes no new requests.",
    .retry_after_s = RETRY_AFTER_S,
};
static const struct http_error lost = {
    .status = 502,
    .type = "server_error",
    .code = "upstream_closed",
    .message = "MLNode closed the connection before it answered.",
};
static const struct http_error too_much = {
    .status = 400,
    .type = "invalid_request_error",
    .code = "bad_request",
    .message = "The Connection fields of the request name too many others.",
};
static const struct http_error not_served = {
    .status = 404,
    .type = "not_found_error",
    .code = "not_served",
    .message = "This path is not served here (GATEWAY_POLICY).",
};

/* ---- upstreams ------------------------------------------------------------------------------- */

static struct upstream_pool *pool_of_engine(struct gateway *g, struct engine *e)
{
    struct upstream_pool *p = e->pool;

    if (p == NULL) {
        p = mem_alloc(sizeof(*p));
        upstream_pool_init(p, g, &e->at, e);
        list_push(&g->pools, &p->node);
        e->pool = p;
    }
    return p;
}

static struct upstream_pool *choose_pool(struct exchange *x)
{
    struct gateway *g = x->gw;

    if (x->route.to == ROUTE_TO_MANAGEMENT)
        return &g->management;
    if (x->route.to != ROUTE_TO_ENGINE || x->n_tried == ENGINE_TRIES)
        return &g->inference;
    x->engine = engines_choose(g->engines, x->tried, x->n_tried);
    if (x->engine == NULL)
        return &g->inference;
    x->engine->in_flight++;
    x->engine->served++;
    return pool_of_engine(g, x->engine);
}

static void leave_engine(struct exchange *x)
{
    if (x->engine != NULL)
        x->engine->in_flight--;
    x->engine = NULL;
}

static void drop_upstream(struct exchange *x)
{
    struct upstream *u = x->up;

    x->up = NULL;
    list_remove(&x->wait.node);
    leave_engine(x);
    if (u == NULL)
        return;
    u->exchange = NULL;
    upstream_reset(u);
}

/* The head lies in the gateway's scratch buffer until somebody must remember it. */
static void keep_head(struct exchange *x)
{
    if (x->head.len == 0)
        bytes_append(&x->head, x->gw->host->pool, x->gw->scratch, x->head_len);
}

static void drop_head(struct exchange *x)
{
    bytes_clear(&x->head, x->gw->host->pool);
}

static bool may_be_sent_again(const struct exchange *x)
{
    return x->route.damped || (x->replayable && x->up->used);
}

static void write_kept(struct exchange *x)
{
    size_t len;
    const uint8_t *head = bytes_peek(&x->head, &len);

    upstream_write(x->up, (const char *)head, len);
}

static void send_head(struct exchange *x)
{
    x->sent = true;
    if (may_be_sent_again(x))
        keep_head(x);
    if (x->head.len > 0)
        write_kept(x);
    else
        upstream_write(x->up, x->gw->scratch, x->head_len);
    if (!may_be_sent_again(x))
        drop_head(x);
}

static void attempt(struct exchange *x)
{
    struct gateway *g = x->gw;
    struct upstream_pool *pool = choose_pool(x);
    struct upstream *u = NULL;

    x->pool = pool;
    x->sent = false;
    x->heard = false;
    if (!x->retried)
        u = upstream_take(pool, x->replayable ? REUSE_SAFE_US : REUSE_POST_US);
    if (u == NULL)
        u = upstream_connect(pool);
    u->exchange = x;
    x->up = u;
    if (u->open)
        send_head(x);
    else
        keep_head(x);
    if (x->route.damped)
        gateway_wait(g, &g->attempts, &x->wait, DAMPED_ATTEMPT_US);
    else if (!u->open)
        gateway_wait(g, &g->connecting, &x->wait, (uint64_t)GATEWAY_CONNECT_S * 1000000);
}

void exchange_connected(struct exchange *x)
{
    if (!x->route.damped)
        list_remove(&x->wait.node);
    send_head(x);
    if (x->client != NULL)
        downstream_resume(x->client);
}

/* ---- beginnings ------------------------------------------------------------------------------ */

static void free_exchange(struct net_task *t)
{
    struct exchange *x = LIST_ENTRY(t, struct exchange, task);

    bytes_clear(&x->early, x->gw->host->pool);
    drop_head(x);
    x->gw->objects--;
    if (x->orphan)
        mem_free((char *)(uintptr_t)x->peer);
    mem_free(x);
}

static struct exchange *exchange_new(struct downstream *c, const struct http_head *head,
                                     const struct http_target *target)
{
    struct gateway *g = c->gw;
    char line[LINE_MAX_BYTES];
    char path[LINE_MAX_BYTES - HTTP_METHOD_MAX - 1];
    struct exchange *x;
    size_t size;

    log_safe(path, sizeof(path), target->raw_path.at, target->raw_path.len);
    size = (size_t)snprintf(line, sizeof(line), "%.*s %s", (int)head->method.len, head->method.at,
                            path[0] ? path : "/") +
           1;
    x = mem_zalloc(sizeof(*x) + size);
    memcpy(x->line, line, size);
    x->gw = g;
    x->client = c;
    x->peer = c->peer;
    x->peer_port = c->peer_port;
    x->began_us = gateway_now(g);
    x->head_request = http_slice_is(head->method, "HEAD");
    x->old_client = head->minor == 0;
    list_init(&x->wait.node);
    net_task_init(&x->task, free_exchange);
    list_push(&g->exchanges, &x->node);
    c->exchange = x;
    g->objects++;
    g->counters.requests++;
    g->counters.exchanges_now++;
    return x;
}

static bool is_safe(struct http_slice method)
{
    return http_slice_is(method, "GET") || http_slice_is(method, "HEAD") ||
           http_slice_is(method, "OPTIONS");
}

static void answer_status(struct exchange *x)
{
    char *body = status_json(x->gw);
    size_t len = strlen(body);
    char head[256];
    int n = snprintf(head, sizeof(head),
                     "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
                     "%zu\r\nConnection: %s\r\n\r\n",
                     len, x->keep_alive && x->request_done ? "keep-alive" : "close");

    x->status = 200;
    x->keep_alive = x->keep_alive && x->request_done;
    downstream_write(x->client, head, (size_t)n);
    if (!x->head_request)
        downstream_write(x->client, body, len);
    mem_free(body);
    exchange_end(x, REASON_DONE, false);
}

static bool render(struct exchange *x, const struct http_head *head,
                   const struct http_target *target)
{
    const struct http_request_edit edit = {
        .target = target->raw,
        .peer = x->client->peer,
        .body = x->request.kind,
        .length = x->request.length,
        .drop_expect = x->old_client,
    };
    int len = http_request_render(head, &edit, x->gw->scratch);

    x->head_len = len > 0 ? (size_t)len : 0;
    return len > 0;
}

static void start(struct exchange *x, struct http_head *head, const struct http_target *target)
{
    struct gateway *g = x->gw;

    x->route = route_of(x->client->role, head->method, target);
    x->request_left = x->request.length;
    x->request_done = x->request.kind == HTTP_BODY_NONE ||
                      (x->request.kind == HTTP_BODY_LENGTH && x->request.length == 0);
    x->keep_alive = x->request.keep_alive && !g->draining;
    x->replayable = x->request_done && is_safe(head->method);
    x->expects = !x->old_client && http_header_has_token(head, "expect", "100-continue");
    if (!x->request_done)
        x->route.damped = false; /* a body goes to one upstream */
    http_chunk_init(&x->request_chunk);
    if (!policy_allows(g->cfg.policy, head->method, target)) {
        g->counters.refused++;
        exchange_fail(x, &not_served, REASON_REFUSED_POLICY);
    } else if (x->route.to == ROUTE_TO_STATUS) {
        answer_status(x);
    } else if (g->draining) {
        exchange_fail(x, &stopping, REASON_LOCAL_STOP);
    } else if (render(x, head, target)) {
        attempt(x);
    } else {
        x->keep_alive = false;
        exchange_fail(x, &too_much, REASON_BAD_REQUEST);
    }
}

void exchange_start(struct downstream *c, struct http_head *head)
{
    struct http_framing framing;
    struct http_target target;
    struct exchange *x;
    int rc = http_framing_decide(head, false, &framing);

    if (rc == ERR_OK) {
        rc = http_target_read(head->target, &target);
        head->why = target.why;
    }
    if (rc != ERR_OK) {
        exchange_reject(c, rc == ERR_LIMIT ? 414 : 400, head->why,
                        http_slice_is(head->method, "HEAD"));
        return;
    }
    x = exchange_new(c, head, &target);
    x->request = framing;
    start(x, head, &target);
}

static const char *code_of_rejection(unsigned status)
{
    switch (status) {
    case 408:
        return "head_timeout";
    case 414:
        return "target_too_long";
    case 431:
        return "head_too_large";
    default:
        return "bad_request";
    }
}

void exchange_reject(struct downstream *c, unsigned status, const char *why, bool to_head)
{
    struct gateway *g = c->gw;
    char text[HTTP_ERROR_MAX];
    enum reason why_ended = status == 408 ? REASON_HEAD_TIMEOUT : REASON_BAD_REQUEST;
    const struct http_error e = {.status = status,
                                 .type = "invalid_request_error",
                                 .code = code_of_rejection(status),
                                 .message = why ? why : "malformed request"};

    g->counters.requests++;
    g->counters.answers[4]++;
    g->counters.ended.of[why_ended]++;
    log_info(g->host->log, "refused a request of %s:%u: %u, %s", c->peer, c->peer_port, e.status,
             e.message);
    downstream_write(c, text, http_error_render(&e, false, 1, to_head, text));
    downstream_close(c);
}

/* ---- failures -------------------------------------------------------------------------------- */

/* Who asked to be told whether to send the body may leave it out after any other answer than 100:
 * what comes next is a body or a request, and nobody can tell. */
static bool may_discard(const struct exchange *x)
{
    return x->keep_alive && !x->expects && x->request.kind == HTTP_BODY_LENGTH &&
           x->request_left <= DISCARD_MAX;
}

static void answer_error(struct exchange *x, const struct http_error *e, enum reason why)
{
    struct downstream *c = x->client;
    char text[HTTP_ERROR_MAX];

    x->keep_alive = x->keep_alive && (x->request_done || may_discard(x));
    x->status = e->status;
    x->phase = ANSWER_DONE;
    downstream_write(
        c, text, http_error_render(e, x->keep_alive, x->old_client ? 0 : 1, x->head_request, text));
    if (x->request_done || !x->keep_alive) {
        exchange_end(x, why, false);
        return;
    }
    x->why = why;
    x->discard = true;
    downstream_release(c, 0);
    gateway_soon(x->gw, &c->task);
}

/* What went out cannot be taken back. Where the framing tells the client that bytes are missing, an
 * orderly end delivers all that were sent; where the end is the framing, only a reset tells. */
static void cut(struct exchange *x, enum reason why)
{
    struct downstream *c = x->client;
    bool end_is_framing =
        x->phase == ANSWER_BODY && x->old_client && x->answer.kind != HTTP_BODY_LENGTH;

    x->keep_alive = false;
    if (end_is_framing && c != NULL) {
        cork_flush(x->gw);
        x->client = NULL;
        c->exchange = NULL;
        exchange_end(x, why, false);
        downstream_reset(c);
        return;
    }
    exchange_end(x, why, false);
}

void exchange_fail(struct exchange *x, const struct http_error *e, enum reason why)
{
    drop_upstream(x);
    if (x->client != NULL && x->phase == ANSWER_HEAD && !x->route.silent)
        answer_error(x, e, why);
    else
        cut(x, why);
}

void exchange_lost(struct exchange *x)
{
    exchange_fail(x, &lost, REASON_UPSTREAM_CLOSED);
}

void exchange_abort(struct exchange *x, enum reason why)
{
    drop_upstream(x);
    cut(x, why);
}

/* Body bytes wait while there is no open connection. An idle one is open at once, and no event will
 * tell that they can go on. */
static void attempt_again(struct exchange *x)
{
    attempt(x);
    if (x->sent && x->client != NULL && x->client->pending.len > 0)
        gateway_soon(x->gw, &x->client->task);
}

static void try_another_engine(struct exchange *x, struct engine *failed, enum reason why)
{
    if (why == REASON_CONNECT_REFUSED)
        engines_refused(x->gw->engines, failed);
    x->tried[x->n_tried++] = failed;
    attempt_again(x);
}

/* Whether a damped question may be asked once more, `after_us` from now. */
static bool has_time(const struct exchange *x, uint64_t after_us)
{
    uint64_t spent = gateway_now(x->gw) - x->began_us;

    return spent + after_us + DAMPED_ATTEMPT_US <= DAMPED_BUDGET_US;
}

static bool may_pause(const struct exchange *x)
{
    return x->route.damped && engines_state(x->gw->engines) == NODE_INFERENCE &&
           has_time(x, DAMPED_PAUSE_US);
}

/* Once more on a fresh connection: the kept one may have been stale. */
static bool may_try_afresh(const struct exchange *x, bool stale, bool unsent)
{
    return stale && x->replayable && !unsent && !x->retried && x->head.len > 0 &&
           (!x->route.damped || has_time(x, 0));
}

/* A request that never left can go anywhere; a question about health may be asked of all. */
static bool may_move_on(const struct exchange *x, bool unsent)
{
    if (x->n_tried == ENGINE_TRIES)
        return false;
    return x->route.damped ? has_time(x, 0) : unsent;
}

static void pause_before_next(struct exchange *x)
{
    struct gateway *g = x->gw;

    x->n_tried = 0;
    x->retried = false;
    engines_look_again(g->engines);
    gateway_wait(g, &g->pauses, &x->wait, DAMPED_PAUSE_US);
}

void exchange_attempt_failed(struct exchange *x, enum reason why)
{
    struct engine *failed = x->engine;
    bool unsent = !x->sent;
    bool stale = x->up == NULL || x->up->used;

    drop_upstream(x);
    bytes_clear(&x->early, x->gw->host->pool);
    x->scan = 0;
    x->interim = 0;
    if (failed != NULL && may_move_on(x, unsent)) {
        try_another_engine(x, failed, why);
    } else if (may_try_afresh(x, stale, unsent)) {
        x->retried = true;
        x->gw->counters.retried++;
        attempt_again(x);
    } else if (may_pause(x)) {
        pause_before_next(x);
    } else if (unsent || x->route.damped) {
        exchange_fail(x, x->route.to == ROUTE_TO_MANAGEMENT ? &management_down : &engine_down,
                      REASON_UPSTREAM_DOWN);
    } else {
        exchange_lost(x);
    }
}

void exchange_connect_timeout(struct exchange *x)
{
    exchange_attempt_failed(x, REASON_CONNECT_TIMEOUT);
}

void exchange_attempt_timeout(struct exchange *x)
{
    if (x->phase == ANSWER_HEAD)
        exchange_attempt_failed(x, REASON_UPSTREAM_TIMEOUT);
    else
        list_remove(&x->wait.node);
}

void exchange_pause_over(struct exchange *x)
{
    list_remove(&x->wait.node);
    attempt_again(x);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static struct exchange *oldest_orphan(struct gateway *g)
{
    LIST_FOREACH (it, &g->exchanges) {
        struct exchange *x = LIST_ENTRY(it, struct exchange, node);

        if (x->orphan)
            return x;
    }
    return NULL;
}

static void go_on_alone(struct exchange *x)
{
    struct gateway *g = x->gw;

    x->orphan = true;
    x->peer = mem_strdup(x->peer);
    if (++g->n_orphans > GATEWAY_ORPHANS_MAX)
        exchange_abort(oldest_orphan(g), REASON_LIMIT);
    answer_release(x);
}

/* As far as can be told: the body waits for its upstream, and downstream.c comes back. */
static bool rest_is_here(const struct exchange *x)
{
    size_t waits = x->client->pending.len;

    return waits > 0 && (x->request.kind != HTTP_BODY_LENGTH || waits >= x->request_left);
}

void exchange_client_left(struct exchange *x, bool gone)
{
    bool to_the_end = x->route.run_to_end && x->request_done && !x->discard;

    if (!gone && x->route.to == ROUTE_TO_MANAGEMENT && (x->request_done || rest_is_here(x)))
        return; /* it may still be reading */
    if (gone)
        x->client = NULL;
    if (gone && to_the_end)
        go_on_alone(x);
    else
        exchange_abort(x, x->discard ? x->why : REASON_CLIENT_LEFT);
}

static void count(struct exchange *x)
{
    struct gateway *g = x->gw;

    g->counters.exchanges_now--;
    g->counters.answers[x->status / 100]++;
    g->counters.ended.of[x->why]++;
    g->counters.direct += x->sent && x->pool != NULL && x->pool->engine != NULL;
    g->n_orphans -= x->orphan;
}

void exchange_end(struct exchange *x, enum reason why, bool reuse)
{
    struct downstream *c = x->client;
    struct upstream *u = x->up;

    if (x->over)
        return;
    x->over = true;
    x->why = why;
    access_log(x);
    count(x);
    if (reuse && u != NULL) {
        x->up = NULL;
        leave_engine(x);
        upstream_give_back(u);
    }
    drop_upstream(x);
    drop_head(x);
    list_remove(&x->node);
    if (x->route.changes)
        engines_look_again(x->gw->engines);
    x->client = NULL;
    gateway_soon(x->gw, &x->task);
    if (c != NULL)
        downstream_exchange_over(c, x->keep_alive);
}
