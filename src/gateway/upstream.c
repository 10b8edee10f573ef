#include "gateway/internal.h"

#include "base/mem.h"

enum {
    /* MLNode's 8080 and vLLM close idle connections after 5.00 s; 5000 after 300 s. */
    UPSTREAM_IDLE_US = 3000000,
    /* More than this many idle ones are not kept: a burst is over by then. */
    UPSTREAM_IDLE_MAX = 512,
};

static void on_upstream(struct stream *s, enum stream_event event, const uint8_t *data, size_t len);

void upstream_pool_init(struct upstream_pool *p, struct gateway *g, const struct endpoint *at,
                        struct engine *engine)
{
    *p = (struct upstream_pool){.gw = g, .at = *at, .engine = engine};
    list_init(&p->idle);
    list_init(&p->node);
}

static void free_upstream(struct net_task *t)
{
    struct upstream *u = LIST_ENTRY(t, struct upstream, task);

    u->pool->gw->objects--;
    mem_free(u);
}

static void leave_idle(struct upstream *u)
{
    if (list_empty(&u->node))
        return;
    list_remove(&u->node);
    list_remove(&u->wait.node);
    u->pool->n_idle--;
}

/* From here on nobody may touch u->stream; the memory goes after the events on the stack. */
static void let_go(struct upstream *u)
{
    struct gateway *g = u->pool->gw;

    u->stream = NULL;
    u->exchange = NULL;
    g->counters.upstreams_now--;
    leave_idle(u);
    gateway_soon(g, &u->task);
}

void upstream_reset(struct upstream *u)
{
    struct stream *s = u->stream;

    if (s == NULL)
        return;
    cork_drop(u->pool->gw, s);
    let_go(u);
    stream_reset(s);
}

struct upstream *upstream_connect(struct upstream_pool *p)
{
    const struct gateway_host *h = p->gw->host;
    struct upstream *u = mem_zalloc(sizeof(*u));

    u->pool = p;
    list_init(&u->node);
    list_init(&u->wait.node);
    net_task_init(&u->task, free_upstream);
    p->gw->objects++;
    p->gw->counters.upstreams_now++;
    u->stream = h->connect(h->ctx, &p->at, on_upstream, u);
    return u;
}

struct upstream *upstream_take(struct upstream_pool *p, uint64_t max_idle_us)
{
    const struct gateway_host *h = p->gw->host;
    uint64_t now = gateway_now(p->gw);

    while (!list_empty(&p->idle)) {
        struct upstream *u = LIST_ENTRY(p->idle.prev, struct upstream, node);

        if (now - u->idle_since_us >= max_idle_us)
            return NULL; /* the others have been idle for longer */
        leave_idle(u);
        if (!h->stale(h->ctx, u->stream))
            return u;
        upstream_reset(u);
    }
    return NULL;
}

void upstream_give_back(struct upstream *u)
{
    struct upstream_pool *p = u->pool;

    u->exchange = NULL;
    u->used = true;
    if (u->owed > 0)
        stream_consumed(u->stream, u->owed);
    u->owed = 0;
    u->idle_since_us = gateway_now(p->gw);
    list_push(&p->idle, &u->node);
    gateway_wait(p->gw, &p->gw->idle_upstreams, &u->wait, UPSTREAM_IDLE_US);
    if (++p->n_idle > UPSTREAM_IDLE_MAX)
        upstream_reset(LIST_ENTRY(p->idle.next, struct upstream, node));
}

void upstream_write(struct upstream *u, const char *data, size_t len)
{
    u->queued += len;
    cork_write(u->pool->gw, u->stream, data, len);
}

void upstream_pool_clear(struct upstream_pool *p)
{
    while (!list_empty(&p->idle))
        upstream_reset(LIST_ENTRY(p->idle.next, struct upstream, node));
}

static void got_data(struct upstream *u, const uint8_t *data, size_t len)
{
    if (u->exchange == NULL) {
        upstream_reset(u); /* nobody asked: a server that is out of step */
        return;
    }
    u->owed += len;
    answer_take(u->exchange, (const char *)data, len);
}

static void got_sent(struct upstream *u, size_t len)
{
    u->queued -= len < u->queued ? len : u->queued;
    if (u->exchange != NULL && u->exchange->client != NULL)
        downstream_release(u->exchange->client, u->queued);
}

static void got_end(struct upstream *u, bool gone, enum reason why)
{
    struct exchange *x = u->exchange;

    if (gone) {
        cork_drop(u->pool->gw, u->stream);
        let_go(u);
        if (x != NULL)
            x->up = NULL;
    } else if (x == NULL) {
        upstream_reset(u);
    }
    if (x != NULL)
        answer_ended(x, gone, why);
}

static void on_upstream(struct stream *s, enum stream_event event, const uint8_t *data, size_t len)
{
    struct upstream *u = s->owner;
    struct gateway *g = u->pool->gw;

    switch (event) {
    case STREAM_OPEN:
        u->open = true;
        attempt_connected(u->exchange);
        break;
    case STREAM_DATA:
        got_data(u, data, len);
        break;
    case STREAM_SENT:
        got_sent(u, len);
        break;
    case STREAM_EOF:
        got_end(u, false, REASON_UPSTREAM_CLOSED);
        break;
    case STREAM_CLOSED:
        got_end(u, true, s->why);
        break;
    }
    cork_flush(g);
    gateway_mind_memory(g);
}
