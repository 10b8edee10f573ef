#include "tunnel/carrier.h"

#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"

enum {
    /* Rounds of "pull from the mux, write to the socket" before other connections get the loop. */
    PULL_ROUNDS = 4,
    TEXT_SIZE = 500,
};

struct carrier {
    struct net *net;
    struct conn *conn; /* NULL once it closed by itself */
    struct mux_session *mux;
    const struct carrier_events *events;
    void *ctx;
    struct net_task task;
    uint64_t heard_us;
    uint64_t bytes_in;
    uint64_t bytes_out;
    enum reason failed;
    bool told;
    char text[TEXT_SIZE];
};

static bool mux_opened(void *ctx, struct mux_stream *s)
{
    struct carrier *c = ctx;

    return c->events->opened != NULL && c->events->opened(c->ctx, s);
}

static void mux_wants_output(void *ctx)
{
    struct carrier *c = ctx;

    net_soon(c->net, &c->task);
}

static const struct mux_session_events mux_events = {
    .opened = mux_opened,
    .output = mux_wants_output,
};

static size_t sink_room(void *ctx)
{
    return conn_room(((struct carrier *)ctx)->conn);
}

static void sink_put(void *ctx, const uint8_t *data, size_t len)
{
    struct carrier *c = ctx;

    c->bytes_out += len;
    conn_push(c->conn, data, len);
}

static void pull(struct carrier *c)
{
    const struct mux_sink sink = {.room = sink_room, .put = sink_put, .ctx = c};

    if (c->conn == NULL)
        return;
    mux_time(c->mux, net_now_us());
    for (int i = 0; i < PULL_ROUNDS && mux_has_output(c->mux) && conn_room(c->conn) > 0; i++) {
        mux_output(c->mux, &sink);
        conn_flush(c->conn);
    }
    if (mux_has_output(c->mux) && conn_room(c->conn) > 0)
        net_soon(c->net, &c->task);
}

static void end_of_turn(struct net_task *t)
{
    struct carrier *c = LIST_ENTRY(t, struct carrier, task);
    char text[TEXT_SIZE];

    if (pool_over(net_pool(c->net)))
        c->events->crowded(c->ctx);
    pull(c);
    if (c->failed == REASON_NONE || c->told)
        return;
    c->told = true;
    snprintf(text, sizeof(text), "%s", c->text); /* the owner frees the carrier before it logs */
    c->events->ended(c->ctx, c->failed, text);
}

void carrier_fail(struct carrier *c, enum reason why, const char *text)
{
    if (c->failed != REASON_NONE)
        return;
    c->failed = why;
    snprintf(c->text, sizeof(c->text), "%s", text);
    net_soon(c->net, &c->task);
}

void carrier_input(struct carrier *c, const uint8_t *data, size_t len)
{
    c->heard_us = net_now_us();
    c->bytes_in += len;
    if (c->failed != REASON_NONE)
        return;
    mux_time(c->mux, c->heard_us);
    if (mux_input(c->mux, data, len) != ERR_OK)
        carrier_fail(c, REASON_PROTOCOL, mux_error(c->mux));
    if (pool_over(net_pool(c->net)))
        net_soon(c->net, &c->task);
}

static void conn_closed(struct carrier *c, const struct stream *s)
{
    const char *tls = conn_tls_error(c->conn);
    enum reason why = s->why;

    c->conn = NULL;
    carrier_fail(c, why, why == REASON_TLS_FAILED ? tls : reason_name(why));
}

static void on_conn(struct stream *s, enum stream_event event, const uint8_t *data, size_t len)
{
    struct carrier *c = s->owner;

    switch (event) {
    case STREAM_DATA:
        stream_consumed(s, len);
        carrier_input(c, data, len);
        break;
    case STREAM_SENT:
        if (mux_has_output(c->mux))
            net_soon(c->net, &c->task);
        break;
    case STREAM_EOF:
        carrier_fail(c, REASON_PEER_CLOSED, "the peer closed the connection");
        break;
    case STREAM_CLOSED:
        conn_closed(c, s);
        break;
    case STREAM_OPEN:
        break;
    }
}

struct carrier *carrier_new(struct net *n, struct conn *conn, enum mux_role role,
                            uint32_t max_streams, const struct carrier_events *events, void *ctx)
{
    struct carrier *c = mem_zalloc(sizeof(*c));

    c->net = n;
    c->conn = conn;
    c->events = events;
    c->ctx = ctx;
    c->heard_us = net_now_us();
    net_task_init(&c->task, end_of_turn);
    c->mux = mux_new(role, net_pool(n), max_streams, &mux_events, c);
    mux_time(c->mux, c->heard_us);
    conn_limit_unsent(conn);
    conn_stream(conn)->on = on_conn;
    conn_stream(conn)->owner = c;
    return c;
}

struct mux_session *carrier_mux(struct carrier *c)
{
    return c->mux;
}

struct conn *carrier_conn(struct carrier *c)
{
    return c->conn;
}

uint64_t carrier_heard_us(const struct carrier *c)
{
    return c->heard_us;
}

uint64_t carrier_bytes_in(const struct carrier *c)
{
    return c->bytes_in;
}

uint64_t carrier_bytes_out(const struct carrier *c)
{
    return c->bytes_out;
}

void carrier_free(struct carrier *c)
{
    if (c == NULL)
        return;
    c->told = true;
    pull(c); /* last words: refusals, proxies taken back */
    mux_close(c->mux);
    mux_free(c->mux);
    net_task_cancel(&c->task);
    if (c->conn != NULL)
        stream_close(conn_stream(c->conn));
    mem_free(c);
}
