/* MLNode's proxy: a request on the inference port, or below /v1 on the management port, goes to an
 * engine over a connection of its own. */
#include "base/err.h"
#include "base/mem.h"
#include "testnode/node.h"

#include <stdio.h>
#include <string.h>

enum { CHUNK_FRAME_MAX = 24 }; /* a size in hex and two line ends */

struct relay {
    struct conn *c; /* the client; NULL once the exchange has let go */
    struct testnode *node;
    struct engine_state *engine;
    uv_tcp_t tcp;
    uv_connect_t connect;
    bool connected;
    bool complete; /* the request has gone; the answer is awaited */
    bool reading;
    bool has_head;
    struct blob in; /* until the head of the answer is complete */
    size_t scan;
    struct http_framing framing;
    struct http_chunk chunk;
    uint64_t left;
};

struct relay_write {
    uv_write_t uv;
    char data[];
};

static const char crlf[] = "\r\n";

static void on_closed(uv_handle_t *handle)
{
    struct relay *r = handle->data;
    struct testnode *node = r->node;

    blob_clear(&r->in);
    mem_free(r);
    node_handle_closed(node);
}

static void let_go(struct relay *r)
{
    r->c->exchange.relay = NULL;
    r->c = NULL;
    r->engine->relays--;
    uv_close((uv_handle_t *)&r->tcp, on_closed);
}

void proxy_drop(struct conn *c)
{
    if (c->exchange.relay)
        let_go(c->exchange.relay);
}

static void refuse(struct conn *c)
{
    int status = c->exchange.refusal;

    exchange_refuse(c, status,
                    status == 405   ? "Method Not Allowed"
                    : status == 503 ? "no backend is available"
                                    : "the backend did not answer");
}

/* The engine went away. What the client has of the answer already stays all it gets. */
static void fail(struct relay *r)
{
    struct conn *c = r->c;
    bool complete = r->complete;

    let_go(r);
    if (c->exchange.status != 0) {
        conn_truncate(c);
        return;
    }
    c->exchange.refusal = 502;
    if (complete)
        refuse(c);
    else
        conn_read_on(c);
}

static size_t queued(const struct relay *r)
{
    return uv_stream_get_write_queue_size((const uv_stream_t *)&r->tcp);
}

bool proxy_is_full(const struct conn *c)
{
    return c->exchange.relay && queued(c->exchange.relay) >= NODE_OUT_HIGH;
}

static void on_written(uv_write_t *uv, int status)
{
    struct relay *r = uv->data;

    mem_free(LIST_ENTRY(uv, struct relay_write, uv));
    if (r->c == NULL)
        return;
    if (status != 0)
        fail(r);
    else if (queued(r) <= NODE_OUT_LOW)
        conn_read_on(r->c);
}

/* Takes all three parts; what cannot leave yet, as before the connection stands, is queued. */
static void send_parts(struct relay *r, const struct http_slice parts[3])
{
    size_t total = parts[0].len + parts[1].len + parts[2].len;
    struct relay_write *request = mem_alloc(sizeof(*request) + total);
    uv_buf_t buf = uv_buf_init(request->data, (unsigned)total);
    size_t used = 0;

    for (int i = 0; i < 3; i++) {
        memcpy(request->data + used, parts[i].at, parts[i].len);
        used += parts[i].len;
    }
    request->uv.data = r;
    if (uv_write(&request->uv, (uv_stream_t *)&r->tcp, &buf, 1, on_written) != 0) {
        mem_free(request);
        fail(r);
    }
}

static void send_bytes(struct relay *r, const char *data, size_t len)
{
    send_parts(r, (struct http_slice[3]){{data, len}, {"", 0}, {"", 0}});
}

static bool is_one_of(struct http_slice name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (http_slice_is(name, names[i]))
            return true;
    return false;
}

static void add_headers(const struct http_head *head, bool request, struct blob *out)
{
    /* those of an answer come first: MLNode drops no others */
    static const char *const names[] = {
        "content-length", "transfer-encoding", "connection", "keep-alive", "expect",
        "upgrade",        "http2-settings",    "te",         "trailer"};
    size_t count = request ? sizeof(names) / sizeof(names[0]) : 3;

    for (size_t i = 0; i < head->n_headers; i++) {
        const struct http_header *h = &head->headers[i];

        if (is_one_of(h->name, names, count))
            continue;
        blob_add(out, h->name.at, h->name.len);
        blob_add(out, ": ", 2);
        blob_add(out, h->value.at, h->value.len);
        blob_add(out, crlf, 2);
    }
}

/* A request without a body leaves MLNode with an empty chunked one. */
static void send_head(struct relay *r, const struct http_head *head)
{
    const struct http_framing *framing = &r->c->framing;
    struct blob out = {0};

    blob_add(&out, head->method.at, head->method.len);
    blob_add(&out, " ", 1);
    blob_add(&out, head->target.at, head->target.len);
    blob_printf(&out, " HTTP/1.1\r\n");
    add_headers(head, true, &out);
    if (http_header_find(head, "host", 0) == NULL)
        blob_printf(&out, "host: 127.0.0.1:%u\r\n", r->engine->port);
    if (framing->kind == HTTP_BODY_LENGTH)
        blob_printf(&out, "content-length: %llu\r\n\r\n", (unsigned long long)framing->length);
    else
        blob_printf(&out, "transfer-encoding: chunked\r\n\r\n");
    send_bytes(r, out.data, out.len);
    blob_clear(&out);
}

static void pass_head(struct relay *r, const struct http_head *head)
{
    struct blob lines = {0};

    add_headers(head, false, &lines);
    blob_add(&lines, "", 1);
    conn_answer(r->c, (int)head->status, NULL, -1, lines.data);
    blob_clear(&lines);
}

static void finish(struct relay *r)
{
    struct conn *c = r->c;

    let_go(r);
    conn_end(c);
}

static void take_chunks(struct relay *r, const char *data, size_t len)
{
    struct http_chunk_event event;
    size_t used;
    int rc;

    do {
        rc = http_chunk_next(&r->chunk, data, len, &used, &event);
        data += used;
        len -= used;
        if (rc == 0 && event.kind == HTTP_CHUNK_DATA)
            conn_body(r->c, event.data, event.len);
        if (r->c == NULL)
            return;
    } while (rc == 0 && event.kind != HTTP_CHUNK_DONE);
    if (rc == 0)
        finish(r);
    else if (rc != ERR_MORE)
        fail(r);
}

static void take_length(struct relay *r, const char *data, size_t len)
{
    size_t n = r->left < len ? (size_t)r->left : len;

    conn_body(r->c, data, n);
    r->left -= n;
    if (r->c && r->left == 0)
        finish(r);
}

static void take_body(struct relay *r, const char *data, size_t len)
{
    switch (r->framing.kind) {
    case HTTP_BODY_CHUNKED:
        take_chunks(r, data, len);
        break;
    case HTTP_BODY_CLOSE:
        conn_body(r->c, data, len);
        break;
    case HTTP_BODY_NONE:
    case HTTP_BODY_LENGTH:
        take_length(r, data, len);
        break;
    }
}

static void take_head(struct relay *r, const char *data, size_t len)
{
    struct http_header slots[HTTP_HEADERS_MAX];
    struct http_head head = {.headers = slots, .max_headers = HTTP_HEADERS_MAX};
    int rc;

    blob_add(&r->in, data, len);
    rc = http_response_parse(r->in.data, r->in.len, &r->scan, &head);
    if (rc == ERR_MORE)
        return;
    if (rc == 0)
        rc = http_framing_decide(&head, false, &r->framing);
    if (rc || head.status < 200) { /* nobody asks an engine for a 100: that comes from us */
        fail(r);
        return;
    }
    r->has_head = true;
    r->left = r->framing.kind == HTTP_BODY_LENGTH ? r->framing.length : 0;
    http_chunk_init(&r->chunk);
    pass_head(r, &head);
    if (r->c)
        take_body(r, r->in.data + head.length, r->in.len - head.length);
    blob_clear(&r->in);
}

static void alloc_buf(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct relay *r = handle->data;

    *buf = uv_buf_init(r->node->read_buf, sizeof(r->node->read_buf));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct relay *r = stream->data;

    if (n < 0) {
        if (n == UV_EOF && r->has_head && r->framing.kind == HTTP_BODY_CLOSE)
            finish(r);
        else
            fail(r);
        return;
    }
    if (r->has_head)
        take_body(r, buf->base, (size_t)n);
    else
        take_head(r, buf->base, (size_t)n);
    if (r->c && node_queued(r->c) >= NODE_OUT_HIGH) {
        r->reading = false;
        uv_read_stop(stream);
    }
}

static void read_answer(struct relay *r)
{
    if (r->reading || !r->connected || !r->complete)
        return;
    r->reading = true;
    uv_read_start((uv_stream_t *)&r->tcp, alloc_buf, on_read);
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct relay *r = connect->data;

    if (r->c == NULL)
        return;
    if (status != 0) {
        fail(r);
        return;
    }
    r->connected = true;
    read_answer(r);
}

static void dial(struct conn *c, struct engine_state *engine)
{
    struct testnode *node = c->owner;
    const struct port *port = &node->engines[engine - node->engine_states].port;
    struct relay *r = mem_zalloc(sizeof(*r));

    *r = (struct relay){.c = c, .node = node, .engine = engine};
    c->exchange.relay = r;
    engine->relays++;
    node->handles++;
    r->tcp.data = r;
    r->connect.data = r;
    uv_tcp_init(node->loop, &r->tcp);
    uv_tcp_nodelay(&r->tcp, 1);
    if (uv_tcp_connect(&r->connect, &r->tcp, (const struct sockaddr *)&port->addr, on_connected) !=
        0)
        fail(r);
}

static bool is_known_method(struct http_slice method)
{
    static const char *const names[] = {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"};

    return is_one_of(method, names, sizeof(names) / sizeof(names[0]));
}

void proxy_begin(struct conn *c, const struct http_head *head)
{
    struct testnode *node = c->owner;
    struct engine_state *engine = engine_pick(node->engine_states, node->options.engines);

    if (!is_known_method(head->method)) {
        c->exchange.refusal = 405;
    } else if (engine == NULL) {
        c->exchange.refusal = 503;
    } else {
        dial(c, engine);
        if (c->exchange.relay)
            send_head(c->exchange.relay, head);
    }
}

void proxy_take(struct conn *c, const char *data, size_t len)
{
    struct relay *r = c->exchange.relay;
    char size[CHUNK_FRAME_MAX];
    int n;

    if (r == NULL)
        return;
    if (c->framing.kind == HTTP_BODY_LENGTH) {
        send_bytes(r, data, len);
        return;
    }
    n = snprintf(size, sizeof(size), "%zx\r\n", len);
    send_parts(r, (struct http_slice[3]){{size, (size_t)n}, {data, len}, {crlf, 2}});
}

void proxy_run(struct conn *c)
{
    struct relay *r = c->exchange.relay;

    if (r && c->framing.kind != HTTP_BODY_LENGTH)
        send_bytes(r, "0\r\n\r\n", 5);
    r = c->exchange.relay;
    if (r == NULL) {
        refuse(c);
        return;
    }
    r->complete = true;
    read_answer(r);
}

void proxy_drained(struct conn *c)
{
    if (c->exchange.relay)
        read_answer(c->exchange.relay);
}
