#include "net/conn.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"
#include "net/internal.h"
#include "net/path.h"
#include "net/sockaddr.h"

enum {
    FLUSH_IOV = 16,
    /* After our FIN a closed connection drains what the peer still sends for at most this long, so
     * that the kernel does not answer unread bytes with a reset that destroys our last ones. */
    LINGER_US = 2 * 1000 * 1000,
    /* A closed connection whose peer takes none of the queued bytes is given up after this. */
    STUCK_US = 120 * 1000 * 1000,
    /* A peer that makes TLS itself answer (key updates) and reads nothing gets no further. Our own
     * frames stop far below (CONN_PUSH_LIMIT). */
    TLS_OUT_LIMIT = 1024 * 1024,
    KEEPALIVE_S = 60, /* an owner that is gone is noticed some minutes later, not never */
};

enum phase {
    PHASE_CONNECTING = 1,
    PHASE_HANDSHAKE = 2,
    PHASE_OPEN = 3,
    PHASE_LINGERING = 4, /* the owner left; the rest of the queue and our FIN still go out */
    PHASE_CLOSING = 5,   /* uv_close asked for */
};

/* What libuv works on, one at a time: connecting, then writes, then the end. */
struct request {
    union {
        uv_connect_t connect;
        uv_write_t write;
        uv_shutdown_t shutdown;
    } uv;
    size_t write_len; /* what the write was given of the first chunk of out, pinned until then */
};

/* What a client's connection is to become once TCP is up. */
struct tls_wish {
    struct tls_context *context;
    char *name;
    bool first_byte;
};

struct conn {
    struct stream stream;
    struct net *net;
    uv_tcp_t tcp;
    struct request *request; /* while libuv works on one: an idle connection has none */
    struct net_task task;    /* end of turn: flush, or report a failure */
    struct list lingering;   /* on net->lingering */
    struct bytes out;        /* ciphertext or plain bytes the kernel did not take yet */
    size_t unconsumed;
    uint64_t linger_until_us;
    struct tls *tls;
    struct tls_wish *wish;
    enum phase phase : 8;
    enum reason failed : 8; /* waits for the end of the turn to be told */
    bool reading;
    bool finish; /* FIN after the queue */
    bool finish_sent;
    bool eof;
};

static void flush_task(struct net_task *t);
static void write_some(struct conn *c);

static struct conn *from_stream(const struct stream *s)
{
    return LIST_ENTRY(s, struct conn, stream);
}

struct conn *conn_of(struct stream *s)
{
    return from_stream(s);
}

struct stream *conn_stream(struct conn *c)
{
    return &c->stream;
}

static bool owned(const struct conn *c)
{
    return c->phase < PHASE_LINGERING;
}

static void tell(struct conn *c, enum stream_event event, const uint8_t *data, size_t len)
{
    if (owned(c) && c->stream.on != NULL)
        c->stream.on(&c->stream, event, data, len);
}

/* ---- ends ----------------------------------------------------------------------------------- */

static void drop_wish(struct conn *c)
{
    if (c->wish != NULL)
        mem_free(c->wish->name);
    mem_free(c->wish);
    c->wish = NULL;
}

static void closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;

    bytes_clear(&c->out, net_pool(c->net));
    tls_free(c->tls);
    drop_wish(c);
    mem_free(c->request);
    mem_free(c);
}

static struct request *take_request(struct conn *c)
{
    c->request = mem_alloc(sizeof(*c->request));
    return c->request;
}

static void drop_request(struct conn *c)
{
    mem_free(c->request);
    c->request = NULL;
}

static void drop(struct conn *c)
{
    if (c->phase == PHASE_CLOSING)
        return;
    c->phase = PHASE_CLOSING;
    if (c->request == NULL)
        bytes_clear(&c->out, net_pool(c->net)); /* else libuv still has the first chunk */
    net_task_cancel(&c->task);
    list_remove(&c->lingering);
    uv_close((uv_handle_t *)&c->tcp, closed);
}

/* Never told inside a call of the owner: the end of the turn does. */
static void fail(struct conn *c, enum reason why)
{
    if (c->failed != REASON_NONE || c->phase == PHASE_CLOSING)
        return;
    c->failed = why;
    net_soon(c->net, &c->task);
}

static void report_failure(struct conn *c)
{
    c->stream.why = c->failed;
    tell(c, STREAM_CLOSED, NULL, 0);
    drop(c);
}

static enum reason reason_of(int uv_code)
{
    switch (uv_code) {
    case UV_ECONNREFUSED:
        return REASON_CONNECT_REFUSED;
    case UV_ETIMEDOUT:
        return REASON_CONNECT_TIMEOUT;
    case UV_ECONNRESET:
    case UV_EPIPE:
        return REASON_PEER_RESET;
    default:
        return REASON_IO_ERROR;
    }
}

/* An error here means that the connection is already ending another way. */
static void shut_down(uv_shutdown_t *req, int status)
{
    drop_request(req->handle->data);
}

static void finish_if_drained(struct conn *c)
{
    if (!c->finish || c->finish_sent || c->out.len > 0 || c->request != NULL ||
        c->phase == PHASE_CLOSING || c->phase < PHASE_OPEN)
        return;
    c->finish_sent = true;
    c->linger_until_us = net_now_us() + LINGER_US;
    if (uv_shutdown(&take_request(c)->uv.shutdown, (uv_stream_t *)&c->tcp, shut_down) != 0) {
        drop_request(c);
        fail(c, REASON_IO_ERROR);
    } else if (c->phase == PHASE_LINGERING && c->eof) {
        drop(c);
    }
}

/* ---- reading -------------------------------------------------------------------------------- */

/* Plain bytes of a user or service are likely to be queued for a carrier as they are. */
static void lend_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct conn *c = handle->data;

    if (c->tls == NULL) {
        struct chunk *chunk = pool_lend(net_pool(c->net));

        *buf = uv_buf_init((char *)chunk->data + chunk->start, CHUNK_MAX);
        return;
    }
    buf->base = (char *)c->net->read_buffer;
    buf->len = NET_READ_SIZE;
}

static void received(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

static void pace_reading(struct conn *c)
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
    pace_reading(c);
}

static void deliver(struct conn *c, const uint8_t *data, size_t len)
{
    if (!owned(c))
        return;
    c->unconsumed += len;
    tell(c, STREAM_DATA, data, len);
    pace_reading(c);
}

static void handshake_over(struct conn *c)
{
    if (c->phase != PHASE_HANDSHAKE || tls_state(c->tls) != TLS_OPEN)
        return;
    c->phase = PHASE_OPEN;
    tell(c, STREAM_OPEN, NULL, 0);
}

static void tls_verdict(struct conn *c)
{
    switch (tls_state(c->tls)) {
    case TLS_ENDED:
        if (c->phase == PHASE_HANDSHAKE) {
            fail(c, REASON_PEER_CLOSED);
        } else if (!c->eof) {
            c->eof = true;
            tell(c, STREAM_EOF, NULL, 0);
        }
        break;
    case TLS_FAILED:
        fail(c, REASON_TLS_FAILED);
        break;
    case TLS_UNTRUSTED:
        fail(c, REASON_TLS_UNTRUSTED);
        break;
    case TLS_HANDSHAKE:
    case TLS_OPEN:
        break;
    }
}

static void decrypt(struct conn *c, const uint8_t *data, size_t len)
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
    } while ((n > 0 || tls_state(c->tls) != before) && owned(c));
    tls_input(c->tls, NULL, 0);
    tls_verdict(c);
    if (c->out.len > TLS_OUT_LIMIT)
        fail(c, REASON_LIMIT);
    if (c->out.len > 0 && c->phase != PHASE_CLOSING)
        net_soon(c->net, &c->task); /* handshake answers and alerts */
}

static void ended(struct conn *c)
{
    if (c->phase == PHASE_HANDSHAKE) {
        fail(c, REASON_PEER_CLOSED);
        return;
    }
    pace_reading(c);
    if (c->phase == PHASE_LINGERING && c->finish_sent)
        drop(c);
    else
        tell(c, STREAM_EOF, NULL, 0);
}

static void take_in(struct conn *c, ssize_t n, const uv_buf_t *buf)
{
    if (n == 0 || c->phase == PHASE_CLOSING || c->failed != REASON_NONE)
        return;
    if (n == UV_EOF) {
        if (c->eof)
            return;
        c->eof = true;
        ended(c);
    } else if (n < 0) {
        fail(c, reason_of((int)n));
    } else if (c->phase == PHASE_LINGERING) {
        return; /* dropped on purpose */
    } else if (c->tls != NULL) {
        decrypt(c, (const uint8_t *)buf->base, (size_t)n);
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

/* ---- writing -------------------------------------------------------------------------------- */

static void told_sent(struct conn *c, size_t len)
{
    if (len == 0)
        return;
    tell(c, STREAM_SENT, NULL, len);
    finish_if_drained(c);
}

static void written(uv_write_t *req, int status)
{
    struct conn *c = req->handle->data;
    size_t len = c->request->write_len;

    drop_request(c);
    if (c->phase == PHASE_CLOSING)
        return;
    if (status < 0) {
        fail(c, reason_of(status));
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
    struct request *r = take_request(c);
    uv_buf_t buf;

    buf.base = (char *)(uintptr_t)bytes_peek(&c->out, &buf.len);
    r->write_len = buf.len;
    if (uv_write(&r->uv.write, (uv_stream_t *)&c->tcp, &buf, 1, written) != 0) {
        drop_request(c);
        fail(c, REASON_IO_ERROR);
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
        fail(c, reason_of(done));
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
        c->linger_until_us = net_now_us() + (c->out.len ? STUCK_US : LINGER_US);
    if (left > 0)
        told_sent(c, done);
}

void conn_flush(struct conn *c)
{
    if (c->tls != NULL)
        tls_flush(c->tls);
    write_some(c);
    finish_if_drained(c);
}

/* A refused handshake: OpenSSL has queued the alert that tells the peer why. It fits into an empty
 * socket buffer; nothing waits for one that does not take it. */
static void send_alert(struct conn *c)
{
    bool refused = c->failed == REASON_TLS_FAILED || c->failed == REASON_TLS_UNTRUSTED;

    if (refused && c->request == NULL && c->out.len > 0)
        try_queue(c);
}

static void flush_task(struct net_task *t)
{
    struct conn *c = LIST_ENTRY(t, struct conn, task);

    if (c->failed != REASON_NONE) {
        send_alert(c);
        report_failure(c);
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
        fail(c, reason_of(done));
    return done > 0 ? (size_t)done : 0;
}

static void op_write(struct stream *s, const uint8_t *data, size_t len)
{
    struct conn *c = from_stream(s);
    size_t done = 0;

    if (c->finish || c->failed)
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

static void op_consumed(struct stream *s, size_t len)
{
    struct conn *c = from_stream(s);

    c->unconsumed -= len < c->unconsumed ? len : c->unconsumed;
    pace_reading(c);
}

static void op_finish(struct stream *s)
{
    struct conn *c = from_stream(s);

    if (c->finish)
        return;
    if (c->tls != NULL)
        tls_finish(c->tls);
    c->finish = true;
    net_soon(c->net, &c->task);
}

static void op_close(struct stream *s)
{
    struct conn *c = from_stream(s);

    if (!owned(c))
        return;
    if (c->phase != PHASE_OPEN || c->failed) {
        c->phase = PHASE_LINGERING;
        drop(c);
        return;
    }
    op_finish(s);
    c->phase = PHASE_LINGERING;
    c->unconsumed = 0;
    c->linger_until_us = net_now_us() + (c->out.len ? STUCK_US : LINGER_US);
    list_push(&c->net->lingering, &c->lingering);
    net_linger_start(c->net);
    pace_reading(c);
}

static void op_reset(struct stream *s)
{
    struct conn *c = from_stream(s);
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    uv_os_fd_t fd;

    if (!owned(c))
        return;
    c->phase = PHASE_LINGERING;
    if (uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    drop(c);
}

static size_t op_held(const struct stream *s)
{
    return from_stream(s)->out.held;
}

static const struct stream_ops conn_ops = {
    .write = op_write,
    .consumed = op_consumed,
    .finish = op_finish,
    .close = op_close,
    .reset = op_reset,
    .held = op_held,
};

void net_shed(struct net *n)
{
    while (pool_over(&n->pool) && !list_empty(&n->lingering))
        drop(LIST_ENTRY(n->lingering.next, struct conn, lingering));
}

void conn_drop_lingering(struct net *n)
{
    while (!list_empty(&n->lingering))
        drop(LIST_ENTRY(n->lingering.next, struct conn, lingering));
}

void conn_linger_tick(struct net *n)
{
    uint64_t now = net_now_us();

    LIST_FOREACH (it, &n->lingering) {
        struct conn *c = LIST_ENTRY(it, struct conn, lingering);

        if (now >= c->linger_until_us)
            drop(c);
    }
}

/* ---- beginnings ----------------------------------------------------------------------------- */

static struct conn *
conn_new(struct net *n, void (*on)(struct stream *, enum stream_event, const uint8_t *, size_t),
         void *owner)
{
    struct conn *c = mem_zalloc(sizeof(*c));

    c->stream.ops = &conn_ops;
    c->stream.on = on;
    c->stream.owner = owner;
    c->net = n;
    net_task_init(&c->task, flush_task);
    list_init(&c->lingering);
    uv_tcp_init(n->loop, &c->tcp);
    c->tcp.data = c;
    return c;
}

static void set_up_socket(struct conn *c)
{
    uv_tcp_nodelay(&c->tcp, 1);
    uv_tcp_keepalive(&c->tcp, 1, KEEPALIVE_S);
}

static void start_tls(struct conn *c, struct tls_context *context, const char *name)
{
    c->phase = PHASE_HANDSHAKE;
    c->tls = tls_new(context, name, &c->out, net_pool(c->net));
    if (c->tls == NULL)
        fail(c, REASON_TLS_FAILED);
}

static void connected(uv_connect_t *req, int status)
{
    static const uint8_t frp_tls_byte = 0x17;
    struct conn *c = req->handle->data;

    drop_request(c);
    if (c->phase == PHASE_CLOSING)
        return;
    if (status < 0) {
        enum reason why = reason_of(status);

        fail(c, why == REASON_IO_ERROR ? REASON_CONNECT_FAILED : why);
        return;
    }
    set_up_socket(c);
    if (c->wish == NULL) {
        c->phase = PHASE_OPEN;
        tell(c, STREAM_OPEN, NULL, 0);
    } else {
        start_tls(c, c->wish->context, c->wish->name);
        if (c->wish->first_byte)
            bytes_append(&c->out, net_pool(c->net), &frp_tls_byte, 1);
        drop_wish(c);
        if (c->tls != NULL)
            decrypt(c, NULL, 0); /* no input yet: makes the ClientHello */
    }
    if (c->phase == PHASE_CLOSING)
        return; /* STREAM_OPEN may have been the owner's moment to leave */
    pace_reading(c);
    net_soon(c->net, &c->task);
}

struct conn *conn_connect(struct net *n, const struct sockaddr *to,
                          void (*on)(struct stream *, enum stream_event, const uint8_t *, size_t),
                          void *owner)
{
    struct conn *c = conn_new(n, on, owner);
    int rc;

    c->phase = PHASE_CONNECTING;
    rc = uv_tcp_connect(&take_request(c)->uv.connect, &c->tcp, to, connected);
    if (rc != 0) {
        drop_request(c);
        fail(c, REASON_CONNECT_FAILED);
    }
    return c;
}

struct conn *conn_accept(struct net *n, uv_stream_t *server,
                         void (*on)(struct stream *, enum stream_event, const uint8_t *, size_t),
                         void *owner)
{
    struct conn *c = conn_new(n, on, owner);
    struct sockaddr_in6 peer;

    c->phase = PHASE_OPEN;
    if (uv_accept(server, (uv_stream_t *)&c->tcp) != 0 || !conn_peer(c, &peer)) {
        c->phase = PHASE_LINGERING;
        drop(c);
        return NULL;
    }
    set_up_socket(c);
    return c;
}

void conn_use_tls_client(struct conn *c, struct tls_context *context, const char *server_name,
                         bool custom_first_byte)
{
    c->wish = mem_alloc(sizeof(*c->wish));
    c->wish->context = context;
    c->wish->name = mem_strdup(server_name);
    c->wish->first_byte = custom_first_byte;
}

void conn_use_tls_server(struct conn *c, struct tls_context *context, const uint8_t *data,
                         size_t len)
{
    start_tls(c, context, NULL);
    op_consumed(&c->stream, c->unconsumed);
    if (c->tls != NULL)
        decrypt(c, data, len);
}

const char *conn_tls_error(const struct conn *c)
{
    return c->tls ? tls_error(c->tls) : "";
}

/* ---- questions ------------------------------------------------------------------------------ */

static int descriptor(const struct conn *c)
{
    uv_os_fd_t fd;

    return uv_fileno((const uv_handle_t *)&c->tcp, &fd) == 0 ? fd : -1;
}

void conn_limit_unsent(struct conn *c)
{
    int lowat = CONN_NOTSENT_LOWAT;

    setsockopt(descriptor(c), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof(lowat));
}

bool conn_path(const struct conn *c, struct tcp_path *out)
{
    return path_read(descriptor(c), out);
}

bool conn_peer(const struct conn *c, struct sockaddr_in6 *out)
{
    int len = sizeof(*out);

    return uv_tcp_getpeername(&c->tcp, (struct sockaddr *)out, &len) == 0;
}

bool conn_local(const struct conn *c, struct sockaddr_storage *out)
{
    int len = sizeof(*out);

    return uv_tcp_getsockname(&c->tcp, (struct sockaddr *)out, &len) == 0;
}
