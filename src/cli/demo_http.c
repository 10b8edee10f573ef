#include "cli/demo_http.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "http/chunk.h"
#include "http/head.h"
#include "net/conn.h"
#include "net/dial.h"

enum { CONNECT_TIMEOUT_MS = 3000, WHY_SIZE = 256 };

enum phase {
    PHASE_IDLE = 0,
    PHASE_HEAD = 1,
    PHASE_BODY = 2,
    PHASE_OVER = 3, /* the answer is complete and not yet reported */
};

struct demo_http {
    struct net *net;
    uint16_t port;
    const struct demo_http_events *events;
    void *ctx;
    struct dial *dial;
    struct stream *stream;
    char *request; /* waits for the connection */
    enum phase phase;
    unsigned status;
    struct http_framing framing;
    uint64_t left; /* of a body with a length */
    struct http_chunk chunk;
    struct demo_http_traffic traffic;
    unsigned reads;
    size_t scan;
    size_t head_len;
    char head[DEMO_HTTP_HEAD_MAX];
};

static void hang_up(struct demo_http *h)
{
    if (h->stream != NULL)
        stream_close(h->stream);
    h->stream = NULL;
}

static void fail(struct demo_http *h, const char *why)
{
    hang_up(h);
    mem_free(h->request);
    h->request = NULL;
    h->phase = PHASE_IDLE;
    h->events->failed(h->ctx, why);
}

/* ---- the answer ------------------------------------------------------------------------------ */

static void expect_head(struct demo_http *h)
{
    h->phase = PHASE_HEAD;
    h->head_len = 0;
    h->scan = 0;
}

static void begin_body(struct demo_http *h, struct http_head *head)
{
    char why[WHY_SIZE];

    if (head->status < 200) {
        expect_head(h);
        return;
    }
    h->status = head->status;
    if (http_framing_decide(head, false, &h->framing) != 0) {
        snprintf(why, sizeof(why), "the answer's head is not HTTP: %s", head->why);
        fail(h, why);
        return;
    }
    h->left = h->framing.length;
    http_chunk_init(&h->chunk);
    h->phase = PHASE_BODY;
    if (h->framing.kind == HTTP_BODY_NONE || (h->framing.kind == HTTP_BODY_LENGTH && h->left == 0))
        h->phase = PHASE_OVER;
}

/* The take_ functions return how many bytes of `data` they used up. */
static size_t take_head(struct demo_http *h, const char *data, size_t len)
{
    struct http_header headers[HTTP_HEADERS_MAX];
    struct http_head head = {.headers = headers, .max_headers = HTTP_HEADERS_MAX};
    size_t before = h->head_len;
    size_t room = sizeof(h->head) - before;
    size_t n = len < room ? len : room;
    char why[WHY_SIZE];
    int rc;

    memcpy(h->head + before, data, n);
    h->head_len += n;
    rc = http_response_parse(h->head, h->head_len, &h->scan, &head);
    if (rc == ERR_MORE && h->head_len < sizeof(h->head))
        return n;
    if (rc != 0) {
        snprintf(why, sizeof(why), "the answer's head is not HTTP: %s",
                 head.why ? head.why : "too long");
        fail(h, why);
        return len;
    }
    begin_body(h, &head);
    return head.length - before;
}

static size_t take_chunks(struct demo_http *h, const char *data, size_t len)
{
    struct http_chunk_event e;
    size_t used;
    int rc = http_chunk_next(&h->chunk, data, len, &used, &e);

    if (rc == ERR_MORE)
        return used;
    if (rc != 0) {
        fail(h, "the answer's chunk coding is broken");
        return len;
    }
    if (e.kind == HTTP_CHUNK_DATA)
        h->events->body(h->ctx, e.data, e.len);
    else if (e.kind == HTTP_CHUNK_DONE)
        h->phase = PHASE_OVER;
    return used;
}

static size_t take_counted(struct demo_http *h, const char *data, size_t len)
{
    size_t n = len < h->left ? len : (size_t)h->left;

    h->left -= n;
    h->events->body(h->ctx, data, n);
    if (h->left == 0)
        h->phase = PHASE_OVER;
    return n;
}

static size_t take_body(struct demo_http *h, const char *data, size_t len)
{
    if (h->framing.kind == HTTP_BODY_CHUNKED)
        return take_chunks(h, data, len);
    if (h->framing.kind == HTTP_BODY_LENGTH)
        return take_counted(h, data, len);
    h->events->body(h->ctx, data, len);
    return len;
}

static void over(struct demo_http *h)
{
    h->phase = PHASE_IDLE;
    if (!h->framing.keep_alive)
        hang_up(h);
    h->events->done(h->ctx, h->status);
}

static void received(struct demo_http *h, const char *data, size_t len)
{
    h->traffic.received += len;
    h->reads++;
    while (len > 0 && (h->phase == PHASE_HEAD || h->phase == PHASE_BODY)) {
        size_t n = h->phase == PHASE_HEAD ? take_head(h, data, len) : take_body(h, data, len);

        data += n;
        len -= n;
    }
    if (h->phase != PHASE_OVER)
        return;
    if (len == 0)
        over(h);
    else
        fail(h, "more bytes came than the answer has");
}

/* ---- the connection -------------------------------------------------------------------------- */

static void ended(struct demo_http *h, const char *why)
{
    bool asking = h->phase != PHASE_IDLE;

    hang_up(h);
    if (h->phase == PHASE_BODY && h->framing.kind == HTTP_BODY_CLOSE)
        over(h);
    else if (asking)
        fail(h, why);
}

static void on_stream(struct stream *s, enum stream_event event, const uint8_t *data, size_t len)
{
    struct demo_http *h = s->owner;
    char why[WHY_SIZE];

    if (event == STREAM_DATA) {
        stream_consumed(s, len);
        received(h, (const char *)data, len);
    } else if (event == STREAM_EOF) {
        ended(h, "the connection was closed before the answer was complete");
    } else if (event == STREAM_CLOSED) {
        snprintf(why, sizeof(why), "the connection broke before the answer was complete (%s)",
                 reason_name(s->why));
        h->stream = NULL;
        ended(h, why);
    }
}

static void send_request(struct demo_http *h)
{
    size_t len = strlen(h->request);
    char *request = h->request;

    h->request = NULL;
    h->traffic.sent += len;
    stream_write(h->stream, (const uint8_t *)request, len);
    mem_free(request);
}

static void dialled(void *ctx, struct conn *c, enum reason why, const char *text)
{
    struct demo_http *h = ctx;

    h->dial = NULL;
    if (c == NULL) {
        fail(h, text);
        return;
    }
    h->stream = conn_stream(c);
    h->stream->on = on_stream;
    h->stream->owner = h;
    send_request(h);
}

void demo_http_send(struct demo_http *h, char *request)
{
    const struct dial_target target = {
        .host = "127.0.0.1", .port = h->port, .timeout_ms = CONNECT_TIMEOUT_MS};

    h->request = request;
    expect_head(h);
    if (h->stream != NULL)
        send_request(h);
    else
        h->dial = dial_start(h->net, &target, dialled, h);
}

void demo_http_ask(struct demo_http *h, const char *path, const char *json)
{
    char length[80] = "";

    if (json != NULL)
        snprintf(length, sizeof(length),
                 "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(json));
    demo_http_send(h, mem_printf("%s %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n%s\r\n%s",
                                 json ? "POST" : "GET", path, h->port, length, json ? json : ""));
}

struct demo_http *demo_http_new(struct net *n, uint16_t port, const struct demo_http_events *events,
                                void *ctx)
{
    struct demo_http *h = mem_zalloc(sizeof(*h));

    h->net = n;
    h->port = port;
    h->events = events;
    h->ctx = ctx;
    return h;
}

unsigned demo_http_reads(const struct demo_http *h)
{
    return h->reads;
}

struct demo_http_traffic demo_http_traffic(const struct demo_http *h)
{
    return h->traffic;
}

void demo_http_free(struct demo_http *h)
{
    if (h == NULL)
        return;
    dial_cancel(h->dial);
    hang_up(h);
    mem_free(h->request);
    mem_free(h);
}
