#include "net/http_client.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "http/chunk.h"
#include "net/conn.h"
#include "net/dial.h"

enum { WHY_SIZE = 256 };

enum phase {
    PHASE_IDLE = 0,
    PHASE_HEAD = 1,
    PHASE_BODY = 2,
    PHASE_OVER = 3, /* the answer is complete and not yet reported */
};

struct http_client {
    struct net *net;
    struct http_client_target target; /* the host is owned */
    const struct http_client_events *events;
    void *ctx;
    struct dial *dial;
    struct stream *stream;
    uv_timer_t timer; /* timeout_ms of the request */
    char *request;    /* waits for the connection */
    bool to_head;     /* the request is a HEAD: its answer has no body */
    enum phase phase;
    unsigned status;
    struct http_framing framing;
    uint64_t left; /* of a body with a length */
    uint64_t got;  /* of any body */
    struct http_chunk chunk;
    struct http_client_traffic traffic;
    unsigned reads;
    size_t scan;
    size_t head_len;
    char peer[ADDR_PORT_TEXT];
    char head[HTTP_CLIENT_HEAD_MAX];
};

static void hang_up(struct http_client *h)
{
    if (h->stream != NULL)
        stream_close(h->stream);
    h->stream = NULL;
}

static void fail(struct http_client *h, enum reason why, const char *text)
{
    hang_up(h);
    uv_timer_stop(&h->timer);
    mem_free(h->request);
    h->request = NULL;
    h->phase = PHASE_IDLE;
    h->events->failed(h->ctx, why, text);
}

static void fail_syntax(struct http_client *h, const char *detail)
{
    char text[WHY_SIZE];

    snprintf(text, sizeof(text), "the answer's head is not HTTP: %s", detail);
    fail(h, REASON_UPSTREAM_PROTOCOL, text);
}

static void fail_limit(struct http_client *h)
{
    char text[WHY_SIZE];

    snprintf(text, sizeof(text), "the answer is longer than %llu bytes",
             (unsigned long long)h->target.body_max);
    fail(h, REASON_LIMIT, text);
}

/* ---- the answer ------------------------------------------------------------------------------ */

static void expect_head(struct http_client *h)
{
    h->phase = PHASE_HEAD;
    h->head_len = 0;
    h->scan = 0;
}

static bool too_long(const struct http_client *h, uint64_t len)
{
    return h->target.body_max > 0 && len > h->target.body_max;
}

static void begin_body(struct http_client *h, struct http_head *head)
{
    if (head->status < 200) {
        expect_head(h);
        return;
    }
    h->status = head->status;
    if (http_framing_decide(head, h->to_head, &h->framing) != 0) {
        fail_syntax(h, head->why);
        return;
    }
    h->got = 0;
    h->left = h->framing.length;
    if (h->framing.kind == HTTP_BODY_LENGTH && too_long(h, h->left)) {
        fail_limit(h);
        return;
    }
    if (h->events->head != NULL)
        h->events->head(h->ctx, head);
    http_chunk_init(&h->chunk);
    h->phase = PHASE_BODY;
    if (h->framing.kind == HTTP_BODY_NONE || (h->framing.kind == HTTP_BODY_LENGTH && h->left == 0))
        h->phase = PHASE_OVER;
}

/* The take_ functions return how many bytes of `data` they used up. */
static size_t take_head(struct http_client *h, const char *data, size_t len)
{
    struct http_header headers[HTTP_HEADERS_MAX];
    struct http_head head = {.headers = headers, .max_headers = HTTP_HEADERS_MAX};
    size_t before = h->head_len;
    size_t room = sizeof(h->head) - before;
    size_t n = len < room ? len : room;
    int rc;

    memcpy(h->head + before, data, n);
    h->head_len += n;
    rc = http_response_parse(h->head, h->head_len, &h->scan, &head);
    if (rc == ERR_MORE && h->head_len < sizeof(h->head))
        return n;
    if (rc != 0) {
        fail_syntax(h, head.why ? head.why : "too long");
        return len;
    }
    begin_body(h, &head);
    return head.length - before;
}

/* false: that was more than the owner wants. */
static bool hand_on(struct http_client *h, const char *data, size_t len)
{
    h->got += len;
    if (too_long(h, h->got)) {
        fail_limit(h);
        return false;
    }
    h->events->body(h->ctx, data, len);
    return true;
}

static size_t take_chunks(struct http_client *h, const char *data, size_t len)
{
    struct http_chunk_event e;
    size_t used;
    int rc = http_chunk_next(&h->chunk, data, len, &used, &e);

    if (rc == ERR_MORE)
        return used;
    if (rc != 0) {
        fail(h, REASON_UPSTREAM_PROTOCOL, "the answer's chunk coding is broken");
        return len;
    }
    if (e.kind == HTTP_CHUNK_DATA)
        hand_on(h, e.data, e.len);
    else if (e.kind == HTTP_CHUNK_DONE)
        h->phase = PHASE_OVER;
    return used;
}

static size_t take_counted(struct http_client *h, const char *data, size_t len)
{
    size_t n = len < h->left ? len : (size_t)h->left;

    h->left -= n;
    if (hand_on(h, data, n) && h->left == 0)
        h->phase = PHASE_OVER;
    return n;
}

static size_t take_body(struct http_client *h, const char *data, size_t len)
{
    if (h->framing.kind == HTTP_BODY_CHUNKED)
        return take_chunks(h, data, len);
    if (h->framing.kind == HTTP_BODY_LENGTH)
        return take_counted(h, data, len);
    hand_on(h, data, len);
    return len;
}

static void over(struct http_client *h)
{
    h->phase = PHASE_IDLE;
    uv_timer_stop(&h->timer);
    if (!h->framing.keep_alive)
        hang_up(h);
    h->events->done(h->ctx, h->status);
}

static void received(struct http_client *h, const char *data, size_t len)
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
        fail(h, REASON_UPSTREAM_PROTOCOL, "more bytes came than the answer has");
}

/* ---- the connection -------------------------------------------------------------------------- */

static void ended(struct http_client *h, enum reason why, const char *text)
{
    bool asking = h->phase != PHASE_IDLE;

    hang_up(h);
    if (h->phase == PHASE_BODY && h->framing.kind == HTTP_BODY_CLOSE)
        over(h);
    else if (asking)
        fail(h, why, text);
}

static void on_stream(struct stream *s, enum stream_event event, const uint8_t *data, size_t len)
{
    struct http_client *h = s->owner;
    char text[WHY_SIZE];

    if (event == STREAM_DATA) {
        stream_consumed(s, len);
        received(h, (const char *)data, len);
    } else if (event == STREAM_EOF) {
        ended(h, REASON_PEER_CLOSED, "the connection was closed before the answer was complete");
    } else if (event == STREAM_CLOSED) {
        h->stream = NULL;
        snprintf(text, sizeof(text), "the connection broke before the answer was complete (%s)",
                 reason_name(s->why));
        ended(h, s->why, text);
    }
}

static void send_request(struct http_client *h)
{
    size_t len = strlen(h->request);
    char *request = h->request;

    h->request = NULL;
    h->traffic.sent += len;
    stream_write(h->stream, (const uint8_t *)request, len);
    mem_free(request);
}

static void note_peer(struct http_client *h, const struct conn *c)
{
    struct sockaddr_in6 peer; /* of either family */

    h->peer[0] = '\0';
    if (conn_peer(c, &peer))
        sockaddr_text_port((const struct sockaddr *)&peer, h->peer);
}

static void dialled(void *ctx, struct conn *c, enum reason why, const char *text)
{
    struct http_client *h = ctx;

    h->dial = NULL;
    if (c == NULL) {
        fail(h, why, text);
        return;
    }
    note_peer(h, c);
    h->stream = conn_stream(c);
    h->stream->on = on_stream;
    h->stream->owner = h;
    send_request(h);
}

/* What is missing when the time is over. */
static void timed_out(uv_timer_t *timer)
{
    struct http_client *h = timer->data;
    const char *missing = h->phase == PHASE_HEAD ? "no answer" : "no complete answer";
    bool connected = h->dial == NULL;
    char text[WHY_SIZE];

    dial_cancel(h->dial);
    h->dial = NULL;
    snprintf(text, sizeof(text), "%s within %u ms", connected ? missing : "no connection",
             h->target.timeout_ms);
    fail(h, connected ? REASON_UPSTREAM_TIMEOUT : REASON_CONNECT_TIMEOUT, text);
}

void http_client_send(struct http_client *h, char *request)
{
    unsigned limit = h->target.timeout_ms;
    const struct dial_target target = {.host = h->target.host,
                                       .port = h->target.port,
                                       .timeout_ms = limit ? limit : HTTP_CLIENT_CONNECT_MS};

    h->request = request;
    h->to_head = strncmp(request, "HEAD ", 5) == 0;
    expect_head(h);
    if (h->stream != NULL)
        send_request(h);
    else
        h->dial = dial_start(h->net, &target, dialled, h);
    if (limit > 0) /* after the dial, whose own words for it come first */
        uv_timer_start(&h->timer, timed_out, limit, 0);
}

bool http_client_sendable(const struct http_ask *ask)
{
    const char *c = ask->method ? ask->method : "GET";

    if (*c == '\0' || ask->path[0] != '/')
        return false;
    for (; *c; c++)
        if (!http_is_token_byte((unsigned char)*c))
            return false;
    for (c = ask->path; *c; c++)
        if (*c <= ' ' || *c > '~')
            return false;
    return true;
}

void http_client_ask(struct http_client *h, const struct http_ask *ask)
{
    const char *host = h->target.host;
    bool literal6 = strchr(host, ':') != NULL;
    const char *method = ask->method ? ask->method : ask->json ? "POST" : "GET";
    char length[80] = "";

    if (ask->json != NULL)
        snprintf(length, sizeof(length),
                 "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(ask->json));
    else if (strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0)
        snprintf(length, sizeof(length), "Content-Length: 0\r\n");
    http_client_send(h, mem_printf("%s %s HTTP/1.1\r\nHost: %s%s%s:%u\r\n%s%s\r\n%s", method,
                                   ask->path, literal6 ? "[" : "", host, literal6 ? "]" : "",
                                   h->target.port, ask->last ? "Connection: close\r\n" : "", length,
                                   ask->json ? ask->json : ""));
}

struct http_client *http_client_new(struct net *n, const struct http_client_target *target,
                                    const struct http_client_events *events, void *ctx)
{
    struct http_client *h = mem_zalloc(sizeof(*h));

    h->net = n;
    h->target = *target;
    h->target.host = mem_strdup(target->host);
    h->events = events;
    h->ctx = ctx;
    uv_timer_init(net_loop(n), &h->timer);
    h->timer.data = h;
    return h;
}

unsigned http_client_reads(const struct http_client *h)
{
    return h->reads;
}

struct http_client_traffic http_client_traffic(const struct http_client *h)
{
    return h->traffic;
}

const char *http_client_peer(const struct http_client *h)
{
    return h->peer;
}

static void timer_closed(uv_handle_t *handle)
{
    struct http_client *h = handle->data;

    mem_free((char *)(uintptr_t)h->target.host);
    mem_free(h);
}

void http_client_free(struct http_client *h)
{
    if (h == NULL)
        return;
    dial_cancel(h->dial);
    hang_up(h);
    mem_free(h->request);
    uv_close((uv_handle_t *)&h->timer, timer_closed);
}
