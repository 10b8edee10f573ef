#include "net/conn_internal.h"

/* Chunks given to one writev: more than the kernel takes of a carrier. */
enum { FLUSH_IOV = 16 };

static void write_some(struct conn *c);

static void told_sent(struct conn *c, size_t len)
{
    if (len == 0)
        return;
    conn_tell(c, STREAM_SENT, NULL, len);
    conn_finish_if_drained(c);
}

static void written(uv_write_t *req, int status)
{
    struct conn *c = req->handle->data;
    size_t len = c->request->write_len;

    conn_drop_request(c);
    if (c->phase == PHASE_CLOSING)
        return;
    if (status < 0) {
        conn_fail(c, conn_reason_of(status));
        return;
    }
    bytes_consume(&c->out, net_pool(c->net), len);
    told_sent(c, len);
    if (c->phase != PHASE_CLOSING)
        write_some(c);
}

/* The kernel takes no more: libuv writes the first chunk when it does, and written() goes on. */
static void write_later(struct conn *c)
{
    struct request *r = conn_take_request(c);
    uv_buf_t buf;

    buf.base = (char *)(uintptr_t)bytes_peek(&c->out, &buf.len);
    r->write_len = buf.len;
    if (uv_write(&r->uv.write, (uv_stream_t *)&c->tcp, &buf, 1, written) != 0) {
        conn_drop_request(c);
        conn_fail(c, REASON_IO_ERROR);
    }
}

static size_t try_queue(struct conn *c)
{
    struct iovec iov[FLUSH_IOV];
    uv_buf_t bufs[FLUSH_IOV];
    int n = bytes_iov(&c->out, iov, FLUSH_IOV);
    int done;

    for (int i = 0; i < n; i++)
        bufs[i] = uv_buf_init(iov[i].iov_base, (unsigned)iov[i].iov_len);
    done = uv_try_write((uv_stream_t *)&c->tcp, bufs, (unsigned)n);
    if (done < 0 && done != UV_EAGAIN)
        conn_fail(c, conn_reason_of(done));
    return done > 0 ? (size_t)done : 0;
}

static void write_some(struct conn *c)
{
    size_t left;
    size_t done;

    if (c->request != NULL || c->out.len == 0 || c->failed || c->phase < PHASE_HANDSHAKE)
        return;
    left = c->out.len;
    done = try_queue(c);
    bytes_consume(&c->out, net_pool(c->net), done);
    if (c->out.len > 0 && c->failed == REASON_NONE)
        write_later(c);
    if (c->phase == PHASE_LINGERING && done > 0)
        c->linger_until_us = net_now_us() + (c->out.len ? CONN_STUCK_US : CONN_LINGER_US);
    if (left > 0)
        told_sent(c, done);
}

void conn_flush(struct conn *c)
{
    if (c->tls != NULL)
        tls_flush(c->tls);
    write_some(c);
    conn_finish_if_drained(c);
}

/* A refused handshake: OpenSSL has queued the alert that tells the peer why. It fits into an empty
 * socket buffer; nothing waits for one that does not take it. */
static void send_alert(struct conn *c)
{
    bool refused = c->failed == REASON_TLS_FAILED || c->failed == REASON_TLS_UNTRUSTED;

    if (refused && c->request == NULL && c->out.len > 0)
        try_queue(c);
}

void conn_end_of_turn(struct net_task *t)
{
    struct conn *c = LIST_ENTRY(t, struct conn, task);

    if (c->failed != REASON_NONE) {
        send_alert(c);
        conn_report_failure(c);
    } else {
        conn_flush(c);
    }
}

size_t conn_queued(const struct conn *c)
{
    return c->out.len + (c->tls ? tls_pending(c->tls) : 0);
}

size_t conn_room(const struct conn *c)
{
    size_t queued = conn_queued(c);

    if (c->phase != PHASE_OPEN || c->failed || queued >= CONN_PUSH_LIMIT)
        return 0;
    return CONN_PUSH_LIMIT - queued;
}

void conn_push(struct conn *c, const uint8_t *data, size_t len)
{
    if (c->finish || c->failed || c->phase > PHASE_OPEN)
        return;
    if (c->tls != NULL)
        tls_write(c->tls, data, len);
    else
        bytes_append(&c->out, net_pool(c->net), data, len);
    net_soon(c->net, &c->task);
}

static size_t write_now(struct conn *c, const uint8_t *data, size_t len)
{
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)data, (unsigned)len);
    int done = uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);

    if (done < 0 && done != UV_EAGAIN)
        conn_fail(c, conn_reason_of(done));
    return done > 0 ? (size_t)done : 0;
}

void conn_write(struct stream *s, const uint8_t *data, size_t len)
{
    struct conn *c = conn_of(s);
    size_t done = 0;

    if (c->finish || c->failed || c->phase > PHASE_OPEN)
        return;
    if (c->tls != NULL) {
        conn_push(c, data, len);
        return;
    }
    if (c->phase == PHASE_OPEN && c->out.len == 0 && c->request == NULL)
        done = write_now(c, data, len);
    if (done < len && c->failed == REASON_NONE) {
        bytes_append(&c->out, net_pool(c->net), data + done, len - done);
        if (c->phase == PHASE_OPEN && c->request == NULL)
            write_later(c);
    }
    told_sent(c, done);
}
