#include "observe/page.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "http/edit.h"
#include "http/head.h"
#include "net/listener.h"
#include "net/sockaddr.h"

enum { TICK_MS = 1000, ANSWER_HEAD_MAX = 512 };

struct page {
    struct net *net;
    const struct page_path *paths;
    void *ctx;
    struct listener *listener;
    uv_timer_t timer;
    struct list clients; /* oldest first */
    size_t n_clients;
    bool waits; /* somebody stands before the door: listener_accept is owed */
};

struct client {
    struct page *page;
    struct list node;
    struct stream *stream;
    struct net_task done; /* the answer is with the kernel */
    uint64_t since_us;
    size_t unsent; /* of the answer */
    bool answered;
    size_t scan;
    size_t len;
    char head[PAGE_HEAD_MAX];
};

/* What is said about a request; the body is the caller's. */
struct answer {
    unsigned status;
    const char *type;
    const char *extra; /* more fields, whole lines */
    const char *body;
    size_t len;
};

static void admit(struct page *p);

/* ---- answers --------------------------------------------------------------------------------- */

static void write_answer(struct client *c, const struct answer *a, bool to_head)
{
    char head[ANSWER_HEAD_MAX];
    int n = snprintf(head, sizeof(head),
                     "HTTP/1.1 %u %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%sConnection: "
                     "close\r\n\r\n",
                     a->status, http_status_phrase(a->status), a->type, a->len, a->extra);
    size_t body = to_head ? 0 : a->len;

    c->answered = true;
    c->unsent = (size_t)n + body;
    stream_write(c->stream, (const uint8_t *)head, (size_t)n);
    if (body > 0)
        stream_write(c->stream, (const uint8_t *)a->body, body);
}

static void refuse(struct client *c, unsigned status, const char *text, bool to_head)
{
    const struct answer a = {
        .status = status,
        .type = "text/plain; charset=utf-8",
        .extra = status == 405 ? "Allow: GET, HEAD\r\n" : "",
        .body = text,
        .len = strlen(text),
    };

    write_answer(c, &a, to_head);
}

static void show(struct client *c, const struct page_path *path, bool to_head)
{
    struct answer a = {.status = 200, .type = path->type, .extra = ""};
    char *body = path->body(c->page->ctx, &a.len);

    a.body = body;
    write_answer(c, &a, to_head);
    mem_free(body);
}

/* Up to the query, which no page has a use for. */
static const struct page_path *find(const struct page *p, struct http_slice target)
{
    const char *query = memchr(target.at, '?', target.len);
    size_t len = query != NULL ? (size_t)(query - target.at) : target.len;

    for (const struct page_path *path = p->paths; path->path != NULL; path++)
        if (strlen(path->path) == len && memcmp(path->path, target.at, len) == 0)
            return path;
    return NULL;
}

static void answer(struct client *c, const struct http_head *head)
{
    const struct page_path *path = find(c->page, head->target);
    bool to_head = http_slice_is(head->method, "HEAD");

    if (path == NULL)
        refuse(c, 404, "There is no such page here.\n", to_head);
    else if (to_head || http_slice_is(head->method, "GET"))
        show(c, path, to_head);
    else
        refuse(c, 405, "This page is there to be read: GET or HEAD.\n", false);
}

/* ---- connections ----------------------------------------------------------------------------- */

static void forget(struct client *c)
{
    struct page *p = c->page;

    list_remove(&c->node);
    net_task_cancel(&c->done);
    p->n_clients--;
    mem_free(c);
    if (list_empty(&p->clients))
        uv_timer_stop(&p->timer);
    if (p->waits)
        admit(p);
}

static void drop(struct client *c)
{
    stream_reset(c->stream);
    forget(c);
}

static void take_head(struct client *c)
{
    struct http_header slots[HTTP_HEADERS_MAX];
    struct http_head head = {.headers = slots, .max_headers = HTTP_HEADERS_MAX};
    int rc = http_request_parse(c->head, c->len, &c->scan, &head);

    if (rc == ERR_OK)
        answer(c, &head);
    else if (rc == ERR_LIMIT || (rc == ERR_MORE && c->len == sizeof(c->head)))
        refuse(c, 431, "The head of the request is too long.\n", false);
    else if (rc != ERR_MORE)
        refuse(c, 400, "This is no request of HTTP/1.1 or 1.0.\n", false);
}

/* What follows the head is dropped: an answer has one request. */
static void take(struct client *c, const uint8_t *data, size_t len)
{
    size_t n = sizeof(c->head) - c->len;

    stream_consumed(c->stream, len);
    if (c->answered)
        return;
    n = len < n ? len : n;
    memcpy(c->head + c->len, data, n);
    c->len += n;
    take_head(c);
}

/* net/conn.h sees the connection to its end. */
static void done(struct net_task *t)
{
    struct client *c = LIST_ENTRY(t, struct client, done);

    stream_close(c->stream);
    forget(c);
}

/* Also inside stream_write, so the client goes later. */
static void sent(struct client *c, size_t len)
{
    c->unsent -= len < c->unsent ? len : c->unsent;
    if (c->unsent == 0)
        net_soon(c->page->net, &c->done);
}

static void on_client(struct stream *s, enum stream_event event, const uint8_t *data, size_t len)
{
    struct client *c = s->owner;

    switch (event) {
    case STREAM_DATA:
        take(c, data, len);
        break;
    case STREAM_SENT:
        sent(c, len);
        break;
    case STREAM_EOF: /* who only said that it has no more to ask still reads */
        if (!c->answered)
            drop(c);
        break;
    case STREAM_CLOSED:
        forget(c);
        break;
    case STREAM_OPEN:
        break;
    }
}

static void ticked(uv_timer_t *timer)
{
    struct page *p = timer->data;
    uint64_t now = net_now_us();

    while (!list_empty(&p->clients)) {
        struct client *c = LIST_ENTRY(p->clients.next, struct client, node);

        if (now - c->since_us < (uint64_t)PAGE_CLIENT_S * 1000000)
            break;
        drop(c);
    }
}

static void admit(struct page *p)
{
    struct client *c = mem_zalloc(sizeof(*c));
    struct conn *conn = listener_accept(p->listener, on_client, c);

    p->waits = false;
    if (conn == NULL) { /* it left meanwhile */
        mem_free(c);
        return;
    }
    c->page = p;
    c->stream = conn_stream(conn);
    c->since_us = net_now_us();
    net_task_init(&c->done, done);
    if (list_empty(&p->clients))
        uv_timer_start(&p->timer, ticked, TICK_MS, TICK_MS);
    list_push(&p->clients, &c->node);
    p->n_clients++;
    conn_start(conn);
}

static void accepted(struct listener *l, void *ctx)
{
    struct page *p = ctx;

    p->waits = true;
    if (p->n_clients < PAGE_CLIENTS_MAX)
        admit(p);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

struct page *page_open(struct net *n, const char *host, uint16_t port,
                       const struct page_path *paths, void *ctx, int *error)
{
    struct page *p = mem_zalloc(sizeof(*p));
    struct sockaddr_storage at;

    *error = UV_EINVAL;
    p->net = n;
    p->paths = paths;
    p->ctx = ctx;
    list_init(&p->clients);
    if (sockaddr_from_text(&at, host, port))
        p->listener = listener_open(n, (const struct sockaddr *)&at, accepted, p, error);
    if (p->listener == NULL) {
        mem_free(p);
        return NULL;
    }
    uv_timer_init(net_loop(n), &p->timer);
    p->timer.data = p;
    return p;
}

uint16_t page_port(const struct page *p)
{
    return listener_port(p->listener);
}

void page_close(struct page *p)
{
    if (p == NULL)
        return;
    p->waits = false;
    listener_close(p->listener);
    while (!list_empty(&p->clients))
        drop(LIST_ENTRY(p->clients.next, struct client, node));
    uv_close((uv_handle_t *)&p->timer, closed);
}
