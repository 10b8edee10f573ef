#include "gateway/probe.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "http/chunk.h"
#include "http/head.h"

enum {
    FIRST_ROOM = 1024, /* most answers fit */
};

enum part {
    PART_HEAD = 0,
    PART_BODY = 1,
    PART_OVER = 2, /* `done` is to be called */
};

struct probe {
    const struct gateway_host *host;
    struct stream *stream; /* NULL: let go */
    char *request;         /* until the connection is open */
    void (*done)(void *ctx, unsigned status, const char *body, size_t len, enum reason why);
    void *ctx;
    uint64_t deadline_us;
    struct net_task task;
    enum part part;
    enum reason why;
    unsigned status;
    char *data; /* the head, then the decoded body; NULL while nothing came */
    size_t len;
    size_t room;
    size_t scan;
    size_t heads; /* bytes of interim heads before this one */
    struct http_framing framing;
    struct http_chunk chunk;
};

/* Tells at the end of the turn, because the stream's event is still on the stack. */
static void over(struct probe *p, unsigned status, enum reason why)
{
    p->part = PART_OVER;
    p->status = status;
    p->why = why;
    p->host->soon(p->host->ctx, &p->task);
}

static void fail(struct probe *p, enum reason why)
{
    struct stream *s = p->stream;

    p->stream = NULL;
    if (s != NULL)
        stream_reset(s);
    over(p, 0, why);
}

/* The answer is whole, so that the end of our direction cannot make MLNode drop the request. */
static void complete(struct probe *p)
{
    struct stream *s = p->stream;

    p->stream = NULL;
    if (s != NULL)
        stream_close(s);
    over(p, p->status, REASON_DONE);
}

static void append(struct probe *p, const char *data, size_t len)
{
    if (p->len + len > p->room) {
        p->room = p->room < FIRST_ROOM ? FIRST_ROOM : p->room;
        while (p->room < p->len + len)
            p->room *= 2;
        p->data = mem_realloc(p->data, p->room);
    }
    memcpy(p->data + p->len, data, len);
    p->len += len;
}

/* ---- the body -------------------------------------------------------------------------------- */

static void take_plain(struct probe *p, const char *data, size_t len)
{
    bool counted = p->framing.kind == HTTP_BODY_LENGTH;

    if (counted && len > p->framing.length - p->len)
        len = p->framing.length - p->len; /* what follows is nobody's answer */
    if (len > PROBE_BODY_MAX - p->len) {
        fail(p, REASON_LIMIT);
        return;
    }
    append(p, data, len);
    if (counted && p->len == p->framing.length)
        complete(p);
}

/* Whether more of the input is wanted. */
static bool take_chunk_event(struct probe *p, const struct http_chunk_event *event)
{
    if (event->kind == HTTP_CHUNK_BEGIN && event->size > PROBE_BODY_MAX - p->len)
        fail(p, REASON_LIMIT);
    else if (event->kind == HTTP_CHUNK_DATA)
        append(p, event->data, event->len);
    else if (event->kind == HTTP_CHUNK_DONE)
        complete(p);
    return p->part == PART_BODY;
}

static void take_chunked(struct probe *p, const char *data, size_t len)
{
    struct http_chunk_event event;
    size_t used;
    int rc;

    do {
        rc = http_chunk_next(&p->chunk, data, len, &used, &event);
        data += used;
        len -= used;
    } while (rc == 0 && take_chunk_event(p, &event));
    if (rc != 0 && rc != ERR_MORE)
        fail(p, rc == ERR_LIMIT ? REASON_LIMIT : REASON_UPSTREAM_PROTOCOL);
}

static void take_body(struct probe *p, const char *data, size_t len)
{
    if (p->framing.kind == HTTP_BODY_CHUNKED)
        take_chunked(p, data, len);
    else
        take_plain(p, data, len);
}

/* ---- the head -------------------------------------------------------------------------------- */

/* The rest of what came with a head is body, or another head: it moves to the front. */
static void begin_body(struct probe *p, size_t head_len)
{
    char *all = p->data;
    size_t len = p->len - head_len;

    p->data = NULL;
    p->len = p->room = 0;
    if (p->framing.kind == HTTP_BODY_NONE ||
        (p->framing.kind == HTTP_BODY_LENGTH && p->framing.length == 0))
        complete(p);
    else if (p->framing.kind == HTTP_BODY_LENGTH && p->framing.length > PROBE_BODY_MAX)
        fail(p, REASON_LIMIT);
    else if (len > 0)
        take_body(p, all + head_len, len);
    mem_free(all);
}

static void skip_interim(struct probe *p, size_t head_len)
{
    p->heads += head_len;
    p->scan = 0;
    p->len -= head_len;
    memmove(p->data, p->data + head_len, p->len);
}

/* Whether there may be another head in what is there. */
static bool take_head(struct probe *p)
{
    struct http_header fields[HTTP_HEADERS_MAX];
    struct http_head head = {.headers = fields, .max_headers = HTTP_HEADERS_MAX};
    int rc = http_response_parse(p->data, p->len, &p->scan, &head);

    if (rc == ERR_MORE)
        return false;
    if (rc != 0 || head.status == 101 || p->heads + head.length > HTTP_HEAD_MAX ||
        http_framing_decide(&head, false, &p->framing) != 0) {
        fail(p, rc == ERR_LIMIT || p->heads + head.length > HTTP_HEAD_MAX
                    ? REASON_LIMIT
                    : REASON_UPSTREAM_PROTOCOL);
        return false;
    }
    if (head.status < 200) {
        skip_interim(p, head.length);
        return true;
    }
    p->status = head.status;
    p->part = PART_BODY;
    http_chunk_init(&p->chunk);
    begin_body(p, head.length);
    return false;
}

/* ---- the stream ------------------------------------------------------------------------------ */

static void send_request(struct probe *p)
{
    stream_write(p->stream, (const uint8_t *)p->request, strlen(p->request));
    mem_free(p->request);
    p->request = NULL;
}

static void take(struct probe *p, const char *data, size_t len)
{
    if (p->part == PART_BODY) {
        take_body(p, data, len);
        return;
    }
    append(p, data, len);
    while (take_head(p))
        ;
}

static void ended(struct probe *p)
{
    if (p->part == PART_BODY && p->framing.kind == HTTP_BODY_CLOSE)
        complete(p);
    else
        fail(p, REASON_UPSTREAM_CLOSED);
}

static void on_stream(struct stream *s, enum stream_event event, const uint8_t *data, size_t len)
{
    struct probe *p = s->owner;

    switch (event) {
    case STREAM_OPEN:
        send_request(p);
        break;
    case STREAM_DATA:
        stream_consumed(s, len);
        take(p, (const char *)data, len);
        break;
    case STREAM_SENT:
        break;
    case STREAM_EOF:
        ended(p);
        break;
    case STREAM_CLOSED:
        p->stream = NULL;
        over(p, 0, s->why);
        break;
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

static void release(struct probe *p)
{
    net_task_cancel(&p->task);
    mem_free(p->request);
    mem_free(p->data);
    mem_free(p);
}

static void report(struct net_task *t)
{
    struct probe *p = LIST_ENTRY(t, struct probe, task);
    bool whole = p->why == REASON_DONE;

    p->done(p->ctx, whole ? p->status : 0, whole && p->data ? p->data : "", whole ? p->len : 0,
            p->why);
    release(p);
}

static char *request_of(const struct endpoint *to, const char *path)
{
    bool six = strchr(to->host, ':') != NULL;

    return mem_printf("GET %s HTTP/1.1\r\nHost: %s%s%s:%u\r\nConnection: close\r\n"
                      "Accept: */*\r\n\r\n",
                      path, six ? "[" : "", to->host, six ? "]" : "", to->port);
}

struct probe *probe_start(const struct gateway_host *host, const struct endpoint *to,
                          const char *path, uint64_t deadline_us,
                          void (*done)(void *ctx, unsigned status, const char *body, size_t len,
                                       enum reason why),
                          void *ctx)
{
    struct probe *p = mem_zalloc(sizeof(*p));

    p->host = host;
    p->request = request_of(to, path);
    p->deadline_us = deadline_us;
    p->done = done;
    p->ctx = ctx;
    net_task_init(&p->task, report);
    p->stream = host->connect(host->ctx, to, on_stream, p);
    return p;
}

uint64_t probe_tick(struct probe *p, uint64_t now_us)
{
    if (p->part == PART_OVER)
        return UINT64_MAX;
    if (now_us < p->deadline_us)
        return p->deadline_us;
    fail(p, p->request != NULL ? REASON_CONNECT_TIMEOUT : REASON_UPSTREAM_TIMEOUT);
    return UINT64_MAX;
}

void probe_cancel(struct probe *p)
{
    if (p == NULL)
        return;
    if (p->stream != NULL)
        stream_reset(p->stream);
    release(p);
}
