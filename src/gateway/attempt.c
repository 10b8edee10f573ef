#include "gateway/internal.h"

#include <stdio.h>

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
    MESSAGE_MAX = 120, /* of an error that names its reason */
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

void attempt_drop(struct exchange *x)
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

void attempt_start(struct exchange *x)
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

void attempt_connected(struct exchange *x)
{
    if (!x->route.damped)
        list_remove(&x->wait.node);
    send_head(x);
    if (x->client != NULL)
        downstream_resume(x->client);
}

/* ---- the next one, or the end ---------------------------------------------------------------- */

/* Body bytes wait while there is no open connection. An idle one is open at once, and no event will
 * tell that they can go on. */
static void attempt_again(struct exchange *x)
{
    attempt_start(x);
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

/* Nobody took the request. `why` is how the last one failed. */
static void tell_down(struct exchange *x, enum reason why)
{
    bool management = x->route.to == ROUTE_TO_MANAGEMENT;
    char message[MESSAGE_MAX];
    const struct http_error down = {
        .status = 503,
        .type = "service_unavailable",
        .code = management ? "management_unavailable" : "engine_unavailable",
        .message = message,
        .retry_after_s = RETRY_AFTER_S,
    };

    snprintf(message, sizeof(message), "%s on this MLNode now (%s).",
             management ? "The management does not answer" : "No inference engine answers",
             reason_name(why));
    exchange_fail(x, &down, REASON_UPSTREAM_DOWN);
}

void attempt_failed(struct exchange *x, enum reason why)
{
    struct engine *failed = x->engine;
    bool unsent = !x->sent;
    bool stale = x->up == NULL || x->up->used;

    attempt_drop(x);
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
        tell_down(x, why);
    } else {
        exchange_lost(x);
    }
}

void attempt_connect_timeout(struct exchange *x)
{
    attempt_failed(x, REASON_CONNECT_TIMEOUT);
}

void attempt_timeout(struct exchange *x)
{
    if (x->phase == ANSWER_HEAD)
        attempt_failed(x, REASON_UPSTREAM_TIMEOUT);
    else
        list_remove(&x->wait.node);
}

void attempt_pause_over(struct exchange *x)
{
    list_remove(&x->wait.node);
    attempt_again(x);
}

void attempt_end(struct exchange *x, bool reuse)
{
    struct upstream *u = x->up;

    if (reuse && u != NULL) {
        x->up = NULL;
        leave_engine(x);
        upstream_give_back(u);
    }
    attempt_drop(x);
    drop_head(x);
}
