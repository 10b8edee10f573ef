/* HTTP/1.1 over one accepted socket: heads and bodies in, answers out, keep-alive, and the habits
 * of uvicorn that a gateway must live with. */
#include "base/err.h"
#include "base/mem.h"
#include "testnode/node.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { WRITE_PARTS = 3 };

struct write_request {
    uv_write_t uv;
    char data[];
};

static void feed(struct conn *c, const char *data, size_t len);
static void keep_reading(struct conn *c);
static void answer_now(struct conn *c);

static void on_handle_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;
    struct testnode *node = c->owner;

    if (--c->handles > 0)
        return;
    list_remove(&c->node);
    exchange_clear(c);
    blob_clear(&c->in);
    mem_free(c);
    node_forget(node);
}

static void close_now(struct conn *c, bool reset)
{
    c->phase = CONN_CLOSED;
    uv_close((uv_handle_t *)&c->timer, on_handle_closed);
    if (!reset || uv_tcp_close_reset(&c->tcp, on_handle_closed) != 0)
        uv_close((uv_handle_t *)&c->tcp, on_handle_closed);
}

static void end_exchange(struct conn *c, bool left)
{
    if (c->phase == CONN_BODY || c->phase == CONN_ANSWER || c->phase == CONN_DRAIN)
        exchange_over(c, left);
}

void conn_cut(struct conn *c, bool left)
{
    if (c->phase == CONN_CLOSED)
        return;
    end_exchange(c, left);
    close_now(c, false);
}

void conn_reset(struct conn *c)
{
    if (c->phase == CONN_CLOSED)
        return;
    end_exchange(c, false);
    close_now(c, true);
}

size_t node_queued(const struct conn *c)
{
    return uv_stream_get_write_queue_size((const uv_stream_t *)&c->tcp);
}

static bool is_frozen(const struct conn *c)
{
    return c->engine && c->engine->state->frozen;
}

static void on_timer(uv_timer_t *timer)
{
    struct conn *c = timer->data;

    if (is_frozen(c)) {
        c->held = true;
    } else if (c->phase != CONN_ANSWER) {
        conn_cut(c, false);
    } else if (c->waiting) {
        c->waiting = false;
        answer_now(c);
    } else {
        exchange_tick(c);
    }
}

void conn_wake(struct conn *c, uint64_t ms)
{
    if (c->phase != CONN_CLOSED)
        uv_timer_start(&c->timer, on_timer, ms, 0);
}

void conn_thaw(struct conn *c)
{
    if (c->held)
        conn_wake(c, 0);
    c->held = false;
}

/* Ready for a request: the first, or the next on a kept connection. */
static void await_head(struct conn *c)
{
    c->phase = CONN_HEAD;
    c->scan = 0;
    conn_wake(c, c->fresh                     ? NODE_FRESH_TIME_MS
                 : c->engine                  ? c->owner->options.engine_idle_ms
                 : c->port == NODE_MANAGEMENT ? NODE_IDLE_MANAGEMENT_MS
                                              : NODE_IDLE_INFERENCE_MS);
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
}

/* Closing at once with unread input would reset the connection and could take the answer with it.
 */
static void linger(struct conn *c)
{
    c->phase = CONN_LINGER;
    conn_wake(c, NODE_LINGER_MS);
    if (c->ended || uv_shutdown(&c->shutdown, (uv_stream_t *)&c->tcp, on_shutdown) != 0)
        conn_cut(c, false);
}

/* The answer has left, or never waited. */
static void finish(struct conn *c)
{
    exchange_over(c, false);
    exchange_clear(c);
    if (c->close_after) {
        linger(c);
        return;
    }
    await_head(c);
    if (c->consuming)
        return;
    if (c->in.len > 0)
        feed(c, NULL, 0);
    else
        keep_reading(c);
}

static void on_written(uv_write_t *uv, int status)
{
    struct conn *c = uv->data;

    mem_free(LIST_ENTRY(uv, struct write_request, uv));
    if (c->phase == CONN_CLOSED)
        return;
    if (status != 0)
        conn_cut(c, true);
    else if (c->phase == CONN_DRAIN && node_queued(c) == 0)
        finish(c);
    else if (c->phase == CONN_ANSWER && node_queued(c) <= NODE_OUT_LOW && is_frozen(c))
        c->held = true;
    else if (c->phase == CONN_ANSWER && node_queued(c) <= NODE_OUT_LOW)
        exchange_drained(c);
}

static void queue_rest(struct conn *c, const uv_buf_t *parts, unsigned count, size_t skip,
                       size_t total)
{
    struct write_request *request = mem_alloc(sizeof(*request) + total - skip);
    size_t used = 0;
    uv_buf_t rest;

    for (unsigned i = 0; i < count; i++) {
        size_t off = skip < parts[i].len ? skip : parts[i].len;

        memcpy(request->data + used, parts[i].base + off, parts[i].len - off);
        used += parts[i].len - off;
        skip -= off;
    }
    rest = uv_buf_init(request->data, (unsigned)used);
    request->uv.data = c;
    if (uv_write(&request->uv, (uv_stream_t *)&c->tcp, &rest, 1, on_written) != 0) {
        mem_free(request);
        conn_cut(c, true);
    }
}

/* All parts leave in one write when the socket takes them, so that one event is one segment. */
static void write_parts(struct conn *c, uv_buf_t *parts, unsigned count)
{
    size_t total = 0;
    int sent = 0;

    if (c->phase == CONN_CLOSED)
        return;
    for (unsigned i = 0; i < count; i++)
        total += parts[i].len;
    if (node_queued(c) == 0)
        sent = uv_try_write((uv_stream_t *)&c->tcp, parts, count);
    if (sent < 0 && sent != UV_EAGAIN) {
        conn_cut(c, true);
        return;
    }
    sent = sent < 0 ? 0 : sent;
    if ((size_t)sent < total)
        queue_rest(c, parts, count, (size_t)sent, total);
}

static void write_text(struct conn *c, const char *text, size_t len)
{
    uv_buf_t part = uv_buf_init((char *)text, (unsigned)len);

    write_parts(c, &part, 1);
}

static const char *status_text(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 409:
        return "Conflict";
    case 413:
        return "Request Entity Too Large";
    case 422:
        return "Unprocessable Entity";
    case 502:
        return "Bad Gateway";
    case 503:
        return "Service Unavailable";
    default:
        return "Internal Server Error";
    }
}

static void add_identity(struct blob *out)
{
    char date[64];
    struct tm utc;
    time_t now = time(NULL);

    gmtime_r(&now, &utc);
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &utc);
    blob_printf(out, "date: %s\r\nserver: uvicorn\r\n", date);
}

/* The engine's answers reach the client through MLNode's Python proxy, which drops their length and
 * adds its own date and server to those of the engine, which `extra` has where there is an engine
 * behind us. */
void conn_answer(struct conn *c, int status, const char *type, int64_t length, const char *extra)
{
    struct blob head = {0};

    c->exchange.status = status;
    c->chunked_answer = length < 0 && c->minor == 1;
    if (length < 0 && c->minor == 0)
        c->close_after = true;
    blob_printf(&head, "HTTP/1.1 %d %s\r\n", status, status_text(status));
    add_identity(&head);
    if (exchange_plays_both(c))
        add_identity(&head);
    if (type)
        blob_printf(&head, "content-type: %s\r\n", type);
    if (length >= 0)
        blob_printf(&head, "content-length: %lld\r\n", (long long)length);
    if (c->chunked_answer)
        blob_printf(&head, "transfer-encoding: chunked\r\n");
    if (c->close_after)
        blob_printf(&head, "connection: close\r\n");
    else if (c->minor == 0)
        blob_printf(&head, "connection: keep-alive\r\n");
    blob_printf(&head, "%s\r\n", extra ? extra : "");
    write_text(c, head.data, head.len);
    blob_clear(&head);
}

void conn_body(struct conn *c, const char *data, size_t len)
{
    char size[24];
    uv_buf_t parts[WRITE_PARTS];

    if (len == 0 || c->to_head)
        return;
    c->exchange.sent += len;
    if (!c->chunked_answer) {
        write_text(c, data, len);
        return;
    }
    parts[0] = uv_buf_init(size, (unsigned)snprintf(size, sizeof(size), "%zx\r\n", len));
    parts[1] = uv_buf_init((char *)data, (unsigned)len);
    parts[2] = uv_buf_init((char *)"\r\n", 2);
    write_parts(c, parts, WRITE_PARTS);
}

void conn_end(struct conn *c)
{
    if (c->chunked_answer && !c->to_head)
        write_text(c, "0\r\n\r\n", 5);
    if (c->phase == CONN_CLOSED)
        return;
    uv_timer_stop(&c->timer);
    c->phase = CONN_DRAIN;
    if (node_queued(c) == 0)
        finish(c);
}

void conn_truncate(struct conn *c)
{
    c->chunked_answer = false;
    c->close_after = true;
    c->exchange.broken = true;
    conn_end(c);
}

/* uvicorn's answer to what it cannot read. */
static void refuse_head(struct conn *c, const char *why)
{
    static const char text[] = "Invalid HTTP request received.";
    struct node_match none = {0};

    log_debug(c->owner->log, "bad request from %s: %s", c->peer, why);
    exchange_clear(c);
    c->exchange.match = none;
    c->close_after = true;
    c->minor = 1;
    c->to_head = false;
    c->phase = CONN_ANSWER;
    snprintf(c->exchange.line, sizeof(c->exchange.line), "(invalid)");
    conn_answer(c, 400, "text/plain; charset=utf-8", (int64_t)sizeof(text) - 1, NULL);
    conn_body(c, text, sizeof(text) - 1);
    if (c->phase != CONN_CLOSED)
        conn_end(c);
}

static void begin_body(struct conn *c, const struct http_head *head)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

    c->phase = CONN_BODY;
    c->minor = head->minor;
    c->to_head = http_slice_is(head->method, "HEAD");
    c->close_after = !c->framing.keep_alive;
    c->body_left = c->framing.length;
    http_chunk_init(&c->chunk);
    uv_timer_stop(&c->timer);
    exchange_begin(c, head);
    if (c->framing.kind != HTTP_BODY_NONE && http_header_has_token(head, "expect", "100-continue"))
        write_text(c, go_on, sizeof(go_on) - 1);
}

static size_t take_head(struct conn *c, const char *data, size_t len)
{
    struct http_header slots[HTTP_HEADERS_MAX];
    struct http_head head = {.headers = slots, .max_headers = HTTP_HEADERS_MAX};
    bool first = c->scan == 0;
    int rc = http_request_parse(data, len, &c->scan, &head);

    if (rc == ERR_MORE) {
        if (first)
            conn_wake(c, NODE_HEAD_TIME_MS);
        return 0;
    }
    if (rc == 0)
        rc = http_framing_decide(&head, false, &c->framing);
    if (rc) {
        refuse_head(c, head.why);
        return len;
    }
    begin_body(c, &head);
    return head.length;
}

/* Half-closing is leaving: uvicorn drops the request and nothing comes back. Looking once more
 * before the answer begins makes that so although our answer is faster than Python's. */
static bool has_left(const struct conn *c)
{
    uv_os_fd_t fd;
    char byte;

    return uv_fileno((const uv_handle_t *)&c->tcp, &fd) == 0 &&
           recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static void answer_now(struct conn *c)
{
    if (has_left(c))
        conn_cut(c, true);
    else
        exchange_run(c);
}

/* Half-closing is leaving: uvicorn drops the request and nothing comes back. It is slow enough to
 * see the end of a client that sends one request and shuts; to be as reliable, the first answer of
 * a connection waits a moment. So does that of a slow engine, and that of a frozen one for ever. */
static void run(struct conn *c)
{
    uint64_t wait = (c->fresh ? NODE_GRACE_MS : 0) + (c->engine ? c->engine->state->delay_ms : 0);

    c->phase = CONN_ANSWER;
    c->fresh = false;
    if (wait == 0 && !is_frozen(c)) {
        answer_now(c);
        return;
    }
    c->waiting = true;
    uv_update_time(c->owner->loop);
    conn_wake(c, wait);
}

static size_t take_chunked(struct conn *c, const char *data, size_t len)
{
    struct http_chunk_event event;
    size_t total = 0;
    size_t used;
    int rc;

    do {
        rc = http_chunk_next(&c->chunk, data + total, len - total, &used, &event);
        total += used;
        if (rc == 0 && event.kind == HTTP_CHUNK_DATA)
            exchange_take(c, event.data, event.len);
    } while (rc == 0 && event.kind != HTTP_CHUNK_DONE);
    if (rc == 0) {
        run(c);
    } else if (rc != ERR_MORE) {
        refuse_head(c, "bad chunk");
        return len;
    }
    return total;
}

static size_t take_body(struct conn *c, const char *data, size_t len)
{
    size_t n = c->body_left < len ? (size_t)c->body_left : len;

    if (c->framing.kind == HTTP_BODY_CHUNKED)
        return take_chunked(c, data, len);
    c->body_left -= n;
    if (n > 0)
        exchange_take(c, data, n);
    if (c->body_left == 0)
        run(c);
    return n;
}

/* Takes as much as the phases allow; returns how much. Does not touch c->in, where data may lie. */
static size_t consume(struct conn *c, const char *data, size_t len)
{
    enum conn_phase before;
    size_t used = 0;
    size_t n;

    c->consuming = true;
    do {
        before = c->phase;
        n = 0;
        if (before == CONN_HEAD && used < len)
            n = take_head(c, data + used, len - used);
        else if (before == CONN_BODY)
            n = take_body(c, data + used, len - used);
        else if (before == CONN_LINGER)
            n = len - used;
        used += n;
    } while (n > 0 || c->phase != before);
    c->consuming = false;
    return used;
}

static void alloc_buf(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct conn *c = handle->data;

    *buf = uv_buf_init(c->owner->read_buf, sizeof(c->owner->read_buf));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct conn *c = stream->data;

    if (n > 0) {
        feed(c, buf->base, (size_t)n);
    } else if (n < 0 && n == UV_EOF && c->phase == CONN_DRAIN) {
        /* complete and on its way: it may still be read */
        c->close_after = true;
        c->ended = true;
    } else if (n < 0) {
        conn_cut(c, true);
    }
}

/* Reads on while answering, because that is how a client that leaves is noticed; stops only when it
 * has pipelined more than we hold. */
static void keep_reading(struct conn *c)
{
    bool want = c->phase == CONN_BODY   ? !proxy_is_full(c)
                : c->phase == CONN_HEAD ? true
                                        : c->in.len < NODE_IN_MAX;

    if (c->phase == CONN_CLOSED || c->ended || want == c->reading)
        return;
    c->reading = want;
    if (want)
        uv_read_start((uv_stream_t *)&c->tcp, alloc_buf, on_read);
    else
        uv_read_stop((uv_stream_t *)&c->tcp);
}

void conn_read_on(struct conn *c)
{
    keep_reading(c);
}

static void feed(struct conn *c, const char *data, size_t len)
{
    bool held = c->in.len > 0;
    size_t used;

    if (held) {
        blob_add(&c->in, data, len);
        used = consume(c, c->in.data, c->in.len);
        blob_drop(&c->in, used);
    } else {
        used = consume(c, data, len);
        blob_add(&c->in, data + used, len - used);
    }
    if (c->in.len == 0)
        blob_clear(&c->in);
    keep_reading(c);
}

static void name_peer(struct conn *c)
{
    struct sockaddr_storage addr;
    int len = sizeof(addr);
    char host[INET6_ADDRSTRLEN] = "?";
    unsigned port = 0;

    if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&addr, &len) == 0) {
        if (addr.ss_family == AF_INET6) {
            uv_ip6_name((struct sockaddr_in6 *)&addr, host, sizeof(host));
            port = ntohs(((struct sockaddr_in6 *)&addr)->sin6_port);
        } else {
            uv_ip4_name((struct sockaddr_in *)&addr, host, sizeof(host));
            port = ntohs(((struct sockaddr_in *)&addr)->sin_port);
        }
    }
    snprintf(c->peer, sizeof(c->peer), "%s:%u", host, port);
}

void node_accept(struct port *port, uv_stream_t *listener)
{
    struct conn *c = mem_zalloc(sizeof(*c));
    struct testnode *node = port->node;

    c->owner = node;
    c->port = port->kind;
    c->engine = port->engine;
    c->fresh = true;
    c->tcp.data = c;
    c->timer.data = c;
    c->handles = 2;
    list_init(&c->node);
    list_push(&node->conns, &c->node);
    node->n_conns++;
    uv_timer_init(node->loop, &c->timer);
    uv_tcp_init(node->loop, &c->tcp);
    if (uv_accept(listener, (uv_stream_t *)&c->tcp) != 0 || node->n_conns > NODE_CONNS_MAX) {
        close_now(c, false);
        return;
    }
    uv_tcp_nodelay(&c->tcp, 1);
    name_peer(c);
    await_head(c);
    keep_reading(c);
}
