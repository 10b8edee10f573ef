#include "net/conn.h"

#include <errno.h>
#include <netinet/tcp.h>

#include "base/mem.h"
#include "net/conn_internal.h"
#include "net/path.h"
#include "net/sockaddr.h"

enum {
    KEEPALIVE_S = 60, /* an owner that is gone is noticed some minutes later, not never */
};

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

bool conn_owned(const struct conn *c)
{
    return c->phase < PHASE_LINGERING;
}

void conn_tell(struct conn *c, enum stream_event event, const uint8_t *data, size_t len)
{
    if (conn_owned(c) && c->stream.on != NULL)
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

    net_pool(c->net)->leaving -= c->out.held;
    bytes_clear(&c->out, net_pool(c->net));
    tls_free(c->tls);
    drop_wish(c);
    mem_free(c->request);
    mem_free(c);
}

struct request *conn_take_request(struct conn *c)
{
    c->request = mem_alloc(sizeof(*c->request));
    return c->request;
}

void conn_drop_request(struct conn *c)
{
    mem_free(c->request);
    c->request = NULL;
}

void conn_drop(struct conn *c)
{
    if (c->phase == PHASE_CLOSING)
        return;
    c->phase = PHASE_CLOSING;
    if (c->request == NULL)
        bytes_clear(&c->out, net_pool(c->net));
    else
        bytes_clear_rest(&c->out, net_pool(c->net)); /* libuv has the first chunk */
    net_pool(c->net)->leaving += c->out.held;
    net_task_cancel(&c->task);
    list_remove(&c->lingering);
    uv_close((uv_handle_t *)&c->tcp, closed);
}

/* Never told inside a call of the owner: the end of the turn does. */
void conn_fail(struct conn *c, enum reason why)
{
    if (c->failed != REASON_NONE || c->phase == PHASE_CLOSING)
        return;
    c->failed = why;
    net_soon(c->net, &c->task);
}

void conn_report_failure(struct conn *c)
{
    c->stream.why = c->failed;
    conn_tell(c, STREAM_CLOSED, NULL, 0);
    conn_drop(c);
}

enum reason conn_reason_of(int uv_code)
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
    conn_drop_request(req->handle->data);
}

void conn_finish_if_drained(struct conn *c)
{
    if (!c->finish || c->finish_sent || c->out.len > 0 || c->request != NULL ||
        c->phase == PHASE_CLOSING || c->phase < PHASE_OPEN)
        return;
    c->finish_sent = true;
    c->linger_until_us = net_now_us() + CONN_LINGER_US;
    if (uv_shutdown(&conn_take_request(c)->uv.shutdown, (uv_stream_t *)&c->tcp, shut_down) != 0) {
        conn_drop_request(c);
        conn_fail(c, REASON_IO_ERROR);
    } else if (c->phase == PHASE_LINGERING && c->eof) {
        conn_drop(c);
    }
}
/* ---- the stream's calls -----------------------------------------------------------------------
 */

static void op_consumed(struct stream *s, size_t len)
{
    struct conn *c = from_stream(s);

    c->unconsumed -= len < c->unconsumed ? len : c->unconsumed;
    conn_pace_reading(c);
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

    if (!conn_owned(c))
        return;
    if (c->phase != PHASE_OPEN || c->failed) {
        c->phase = PHASE_LINGERING;
        conn_drop(c);
        return;
    }
    op_finish(s);
    c->phase = PHASE_LINGERING;
    c->unconsumed = 0;
    c->linger_until_us = net_now_us() + (c->out.len ? CONN_STUCK_US : CONN_LINGER_US);
    list_push(&c->net->lingering, &c->lingering);
    net_linger_start(c->net);
    conn_pace_reading(c);
}

static void op_reset(struct stream *s)
{
    struct conn *c = from_stream(s);
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    uv_os_fd_t fd;

    if (!conn_owned(c))
        return;
    c->phase = PHASE_LINGERING;
    if (uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    conn_drop(c);
}

static size_t op_held(const struct stream *s)
{
    return from_stream(s)->out.held;
}

static const struct stream_ops conn_ops = {
    .write = conn_write,
    .consumed = op_consumed,
    .finish = op_finish,
    .close = op_close,
    .reset = op_reset,
    .held = op_held,
};

void net_shed(struct net *n)
{
    size_t excess = pool_excess(&n->pool);

    while (excess > 0 && !list_empty(&n->lingering)) {
        struct conn *c = LIST_ENTRY(n->lingering.next, struct conn, lingering);

        excess -= c->out.held < excess ? c->out.held : excess;
        conn_drop(c);
    }
}

void conn_drop_lingering(struct net *n)
{
    while (!list_empty(&n->lingering))
        conn_drop(LIST_ENTRY(n->lingering.next, struct conn, lingering));
}

void conn_linger_tick(struct net *n)
{
    uint64_t now = net_now_us();

    LIST_FOREACH (it, &n->lingering) {
        struct conn *c = LIST_ENTRY(it, struct conn, lingering);

        if (now >= c->linger_until_us)
            conn_drop(c);
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
    net_task_init(&c->task, conn_end_of_turn);
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
        conn_fail(c, REASON_TLS_FAILED);
}

static void connected(uv_connect_t *req, int status)
{
    static const uint8_t frp_tls_byte = 0x17;
    struct conn *c = req->handle->data;

    conn_drop_request(c);
    if (c->phase == PHASE_CLOSING)
        return;
    if (status < 0) {
        enum reason why = conn_reason_of(status);

        conn_fail(c, why == REASON_IO_ERROR ? REASON_CONNECT_FAILED : why);
        return;
    }
    set_up_socket(c);
    if (c->wish == NULL) {
        c->phase = PHASE_OPEN;
        conn_tell(c, STREAM_OPEN, NULL, 0);
    } else {
        start_tls(c, c->wish->context, c->wish->name);
        if (c->wish->first_byte)
            bytes_append(&c->out, net_pool(c->net), &frp_tls_byte, 1);
        drop_wish(c);
        if (c->tls != NULL)
            conn_decrypt(c, NULL, 0); /* no input yet: makes the ClientHello */
    }
    if (c->phase == PHASE_CLOSING)
        return; /* STREAM_OPEN may have been the owner's moment to leave */
    conn_pace_reading(c);
    net_soon(c->net, &c->task);
}

struct conn *conn_connect(struct net *n, const struct sockaddr *to,
                          void (*on)(struct stream *, enum stream_event, const uint8_t *, size_t),
                          void *owner)
{
    struct conn *c = conn_new(n, on, owner);
    int rc;

    c->phase = PHASE_CONNECTING;
    rc = uv_tcp_connect(&conn_take_request(c)->uv.connect, &c->tcp, to, connected);
    if (rc != 0) {
        conn_drop_request(c);
        conn_fail(c, REASON_CONNECT_FAILED);
    }
    return c;
}

struct conn *conn_unreachable(struct net *n, enum reason why,
                              void (*on)(struct stream *, enum stream_event, const uint8_t *,
                                         size_t),
                              void *owner)
{
    struct conn *c = conn_new(n, on, owner);

    c->phase = PHASE_CONNECTING;
    conn_fail(c, why);
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
        conn_drop(c);
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
    if (c->tls != NULL) {
        conn_fail(c, REASON_TLS_FAILED); /* TLS inside TLS is nobody's honest opening */
        return;
    }
    start_tls(c, context, NULL);
    op_consumed(&c->stream, c->unconsumed);
    if (c->tls != NULL)
        conn_decrypt(c, data, len);
}

const char *conn_tls_error(const struct conn *c)
{
    return c->tls ? tls_error(c->tls) : "";
}

bool conn_tls_peer(const struct conn *c, struct tls_peer *out)
{
    return c->tls != NULL && tls_peer(c->tls, out);
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

bool conn_quiet(const struct conn *c)
{
    char byte;

    return recv(descriptor(c), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

int conn_how_ended(const struct conn *c)
{
    char byte;
    ssize_t n = recv(descriptor(c), &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    return n < 0 && errno != EAGAIN ? uv_translate_sys_error(errno) : UV_EOF;
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
