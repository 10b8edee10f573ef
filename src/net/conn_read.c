#include "net/conn_internal.h"

enum {
    /* A peer that makes TLS itself answer (key updates) and reads nothing gets no further. Our own
     * frames stop far below (CONN_PUSH_LIMIT). */
    TLS_OUT_LIMIT = 1024 * 1024,
};

/* One read a turn. libuv would go on for as long as each read fills its buffer, up to 32 times, and
 * tokens that wait on other sockets would wait for megabytes of bulk; without a buffer it stops
 * (UV_ENOBUFS), and the socket is still readable in the next turn.
 * Plain bytes of a user or service are likely to be queued for a carrier as they are. */
static void lend_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct conn *c = handle->data;

    *buf = uv_buf_init(NULL, 0);
    if (c->read_in_turn == c->net->turn)
        return;
    c->read_in_turn = c->net->turn;
    if (c->tls == NULL) {
        struct chunk *chunk = pool_lend(net_pool(c->net));

        *buf = uv_buf_init((char *)chunk->data + chunk->start, CHUNK_MAX);
        return;
    }
    buf->base = (char *)c->net->read_buffer;
    buf->len = NET_READ_SIZE;
}

static void received(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

void conn_pace_reading(struct conn *c)
{
    size_t limit = c->reading ? CONN_READ_WINDOW : CONN_READ_WINDOW / 2;
    bool want = c->phase <= PHASE_LINGERING && !c->eof && c->unconsumed < limit;

    if (want == c->reading || c->phase == PHASE_CONNECTING || c->phase == PHASE_CLOSING)
        return;
    c->reading = want;
    if (want)
        uv_read_start((uv_stream_t *)&c->tcp, lend_buffer, received);
    else
        uv_read_stop((uv_stream_t *)&c->tcp);
}

void conn_start(struct conn *c)
{
    conn_pace_reading(c);
}

static void deliver(struct conn *c, const uint8_t *data, size_t len)
{
    if (!conn_owned(c))
        return;
    c->unconsumed += len;
    conn_tell(c, STREAM_DATA, data, len);
    conn_pace_reading(c);
}

static void handshake_over(struct conn *c)
{
    if (c->phase != PHASE_HANDSHAKE || tls_state(c->tls) != TLS_OPEN)
        return;
    c->phase = PHASE_OPEN;
    conn_tell(c, STREAM_OPEN, NULL, 0);
}

static void tls_verdict(struct conn *c)
{
    switch (tls_state(c->tls)) {
    case TLS_ENDED:
        if (c->phase == PHASE_HANDSHAKE) {
            conn_fail(c, REASON_PEER_CLOSED);
        } else if (!c->eof) {
            c->eof = true;
            conn_tell(c, STREAM_EOF, NULL, 0);
        }
        break;
    case TLS_FAILED:
        conn_fail(c, REASON_TLS_FAILED);
        break;
    case TLS_UNTRUSTED:
        conn_fail(c, REASON_TLS_UNTRUSTED);
        break;
    case TLS_HANDSHAKE:
    case TLS_OPEN:
        break;
    }
}

void conn_decrypt(struct conn *c, const uint8_t *data, size_t len)
{
    enum tls_state before;
    size_t n;

    tls_input(c->tls, data, len);
    do {
        before = tls_state(c->tls);
        n = tls_read(c->tls, c->net->plain_buffer, NET_PLAIN_SIZE);
        handshake_over(c);
        if (n > 0)
            deliver(c, c->net->plain_buffer, n);
    } while ((n > 0 || tls_state(c->tls) != before) && conn_owned(c));
    tls_input(c->tls, NULL, 0);
    tls_verdict(c);
    if (c->out.len > TLS_OUT_LIMIT)
        conn_fail(c, REASON_LIMIT);
    if (c->out.len > 0 && c->phase != PHASE_CLOSING)
        net_soon(c->net, &c->task); /* handshake answers and alerts */
}

static void ended(struct conn *c)
{
    if (c->phase == PHASE_HANDSHAKE) {
        conn_fail(c, REASON_PEER_CLOSED);
        return;
    }
    conn_pace_reading(c);
    if (c->phase == PHASE_LINGERING && c->finish_sent)
        conn_drop(c);
    else
        conn_tell(c, STREAM_EOF, NULL, 0);
}

static void take_in(struct conn *c, ssize_t n, const uv_buf_t *buf)
{
    if (n == 0 || n == UV_ENOBUFS || c->phase == PHASE_CLOSING || c->failed != REASON_NONE)
        return;
    /* libuv tells an end where data and a reset came in one piece, and it read the data first. */
    if (n == UV_EOF && !c->eof)
        n = conn_how_ended(c);
    if (n == UV_EOF) {
        if (c->eof)
            return;
        c->eof = true;
        ended(c);
    } else if (n < 0) {
        conn_fail(c, conn_reason_of((int)n));
    } else if (c->phase == PHASE_LINGERING) {
        return; /* dropped on purpose */
    } else if (c->tls != NULL) {
        conn_decrypt(c, (const uint8_t *)buf->base, (size_t)n);
    } else {
        deliver(c, (const uint8_t *)buf->base, (size_t)n);
    }
}

static void received(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct conn *c = stream->data;

    take_in(c, n, buf);
    pool_end_loan(net_pool(c->net));
}
