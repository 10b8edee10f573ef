#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/shed.h"
#include "tunnel/random.h"
#include "tunnel/server_internal.h"
#include "tunnel/work.h"

/* One user of a proxy: waiting for a work connection, then relayed. */
struct visit {
    struct list all;     /* server->visits */
    struct list waiting; /* proxy->waiting */
    struct server *server;
    struct proxy *proxy; /* while waiting; NULL afterwards: the proxy may go before the relay */
    struct conn *conn;   /* while waiting */
    struct work_want want;
    struct relay relay;
    struct net_task free_task;
    uint64_t since_us;
    uint64_t number; /* of the proxy */
    uint64_t counted_in;
    uint64_t counted_out;
    uint16_t port;            /* of the proxy, for the log */
    struct sockaddr_in6 from; /* either family */
};

static void free_visit(struct net_task *t)
{
    mem_free(LIST_ENTRY(t, struct visit, free_task));
}

static const char *address(const struct visit *v, char out[ADDR_PORT_TEXT])
{
    sockaddr_text_port((const struct sockaddr *)&v->from, out);
    return out;
}

/* Of whose numbers this user is part, or NULL: that one has gone. */
static struct proxy *proxy_of(const struct visit *v)
{
    struct proxy *x = v->server->ports[v->port];

    return x != NULL && x->number == v->number ? x : NULL;
}

/* What came since the last time. */
static void count_bytes(struct visit *v)
{
    struct proxy *x = proxy_of(v);
    uint64_t in = v->relay.user.received - v->counted_in;
    uint64_t out = v->relay.work.received - v->counted_out;

    v->counted_in += in;
    v->counted_out += out;
    v->server->bytes_in += in;
    v->server->bytes_out += out;
    if (x != NULL) {
        x->bytes_in += in;
        x->bytes_out += out;
    }
}

static void count_end(struct visit *v, enum reason why)
{
    struct proxy *x = proxy_of(v);

    count_bytes(v);
    v->server->users_ended.of[why]++;
    v->server->n_visits--;
    if (x != NULL)
        x->users--;
}

static void over(struct visit *v, enum reason why)
{
    struct server *s = v->server;
    char from[ADDR_PORT_TEXT];
    char more[LOG_HELD_MAX];

    address(v, from);
    count_end(v, why);
    list_remove(&v->all);
    list_remove(&v->waiting);
    if (why == REASON_NO_WORK_CONN && net_gate(s->net, &s->user_gate, s->log, more))
        log_warn(s->log, "user %s of :%u closed: the client sent no work connection in time%s",
                 from, v->port, more);
    log_debug(s->log, "user %s of :%u over: %s, %" PRIu64 " bytes in, %" PRIu64 " out", from,
              v->port, reason_name(why), v->relay.user.received, v->relay.work.received);
    net_soon(s->net, &v->free_task);
}

static void relay_done(struct relay *r)
{
    struct visit *v = r->owner;

    over(v, r->ended);
}

static void stop_waiting(struct visit *v)
{
    if (v->proxy->peer != NULL)
        server_session_unwant(v->proxy->peer->session, &v->want);
    list_remove(&v->waiting);
    v->proxy = NULL;
}

static void turn_away(struct visit *v, enum reason why)
{
    struct conn *c = v->conn;

    stop_waiting(v);
    v->conn = NULL;
    stream_close(conn_stream(c));
    over(v, why);
}

/* ---- a work connection is there -----------------------------------------------------------------
 */

static int tell_client(const struct visit *v, struct mux_stream *stream)
{
    char src[ADDR_TEXT];
    char dst[ADDR_TEXT] = "";
    struct sockaddr_storage local;
    struct msg_start_work_conn start = {.proxy_name = v->proxy->name};

    start.src_port = sockaddr_text((const struct sockaddr *)&v->from, src);
    start.src_addr = src;
    if (conn_local(v->conn, &local))
        start.dst_port = sockaddr_text((const struct sockaddr *)&local, dst);
    start.dst_addr = dst;
    return server_session_start_work(stream, &start);
}

static void got_work(struct work_want *w, struct mux_stream *stream)
{
    struct visit *v = LIST_ENTRY(w, struct visit, want);
    struct peer *p = v->proxy->peer;
    const struct work_options o = {
        .net = v->server->net,
        .key = v->proxy->use_encryption ? v->server->key : NULL,
        .random = &system_randomness,
        .exact_ends = server_session_mlgate(p->session),
    };
    struct conn *c = v->conn;
    struct stream *work;

    tell_client(v, stream);
    work = work_new(stream, &o);
    if (work == NULL) {
        turn_away(v, REASON_IO_ERROR);
        return;
    }
    list_remove(&v->waiting);
    v->proxy = NULL;
    v->conn = NULL;
    relay_start(&v->relay, conn_stream(c), work, o.exact_ends, relay_done, v);
    if (v->relay.ended == REASON_NONE)
        conn_start(c);
}

static void ask(struct visit *v)
{
    server_session_want(v->proxy->peer->session, &v->want);
}

/* ---- arrivals -----------------------------------------------------------------------------------
 */

/* Nothing is read from a waiting user, so all that can come is the socket's own failure. */
static void on_waiting(struct stream *s, enum stream_event event, const uint8_t *data, size_t len)
{
    struct visit *v = s->owner;

    if (event != STREAM_CLOSED)
        return;
    stop_waiting(v);
    v->conn = NULL;
    over(v, s->why);
}

void visit_accept(struct listener *l, void *ctx)
{
    struct proxy *x = ctx;
    struct server *s = x->server;
    struct visit *v = mem_zalloc(sizeof(*v));

    v->server = s;
    v->conn = listener_accept(l, on_waiting, v);
    if (v->conn == NULL) {
        mem_free(v);
        return;
    }
    v->proxy = x;
    v->port = x->port;
    v->number = x->number;
    v->want.got = got_work;
    v->since_us = net_now_us();
    list_init(&v->want.node);
    net_task_init(&v->free_task, free_visit);
    conn_peer(v->conn, &v->from);
    list_push(&s->visits, &v->all);
    list_push(&x->waiting, &v->waiting);
    s->n_visits++;
    s->users++;
    x->users++;
    if (x->peer != NULL)
        ask(v);
}

void visit_resume(struct proxy *x)
{
    LIST_FOREACH (it, &x->waiting) {
        struct visit *v = LIST_ENTRY(it, struct visit, waiting);

        if (list_empty(&v->want.node))
            ask(v);
    }
}

void visit_drop_waiting(struct proxy *x, enum reason why)
{
    while (!list_empty(&x->waiting))
        turn_away(LIST_ENTRY(x->waiting.next, struct visit, waiting), why);
}

/* ---- time and ends ------------------------------------------------------------------------------
 */

void visit_tick(struct server *s, uint64_t now_us, bool slow)
{
    uint64_t limit = (uint64_t)s->cfg->user_conn_timeout_s * 1000 * 1000;

    if (!slow)
        return;
    LIST_FOREACH (it, &s->visits) {
        struct visit *v = LIST_ENTRY(it, struct visit, all);

        count_bytes(v);
        if (v->conn == NULL)
            relay_tick(&v->relay, now_us);
        else if (now_us - v->since_us > limit)
            turn_away(v, REASON_NO_WORK_CONN);
    }
}

static void offer_visits(void *ctx, struct shed_list *list)
{
    struct server *s = ctx;

    LIST_FOREACH (it, &s->visits) {
        struct visit *v = LIST_ENTRY(it, struct visit, all);

        if (v->conn == NULL)
            shed_offer(list, v, relay_held(&v->relay));
    }
}

static void shed_one(void *ctx, const struct shed_one *one)
{
    struct server *s = ctx;
    struct visit *v = one->who;
    char from[ADDR_PORT_TEXT];
    char more[LOG_HELD_MAX];

    if (net_gate(s->net, &s->memory_gate, s->log, more))
        log_warn(s->log,
                 "user %s of :%u is reset: %zu bytes wait for a slow reader and the memory limit "
                 "is reached (--memory-limit)%s",
                 address(v, from), v->port, one->held, more);
    relay_abort(&v->relay, REASON_MEMORY);
}

void visit_shed(struct server *s)
{
    static const struct shed_events events = {.look = offer_visits, .pay = shed_one};

    net_shed(s->net);
    LIST_FOREACH (it, &s->peers)
        if (pool_over(net_pool(s->net)))
            mux_shed(carrier_mux(LIST_ENTRY(it, struct peer, node)->carrier));
    shed(pool_excess(net_pool(s->net)), &events, s);
}

void visit_end_all(struct server *s, enum reason why)
{
    while (!list_empty(&s->visits)) {
        struct visit *v = LIST_ENTRY(s->visits.next, struct visit, all);

        if (v->conn == NULL)
            relay_abort(&v->relay, why);
        else
            turn_away(v, why);
    }
}
