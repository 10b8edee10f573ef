#include "gateway/internal.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"

static void on_downstream(struct stream *s, enum stream_event event, const uint8_t *data,
                          size_t len);
static void run_downstream(struct net_task *t);

/* What the other end of the tunnel says is a text like any other; here it becomes part of a head,
 * where a comma would be one more hop. */
static bool is_address(const char *text)
{
    size_t len = strspn(text, "0123456789abcdefABCDEF.:");

    if (len > 0 && text[len] == '%') /* the scope of an IPv6 address */
        len += 1 + strspn(text + len + 1,
                          "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-_");
    return len > 0 && len < PEER_MAX && text[len] == '\0';
}

const char *downstream_address(const char *peer)
{
    return is_address(peer) ? peer : "unknown";
}

struct downstream *downstream_new(struct gateway *g, struct stream *s, enum gateway_role role,
                                  const char *peer, uint16_t port)
{
    struct downstream *c = mem_zalloc(sizeof(*c));

    c->gw = g;
    c->stream = s;
    c->role = role;
    c->peer = mem_strdup(downstream_address(peer));
    c->peer_port = port;
    list_init(&c->wait.node);
    net_task_init(&c->task, run_downstream);
    list_push(&g->clients, &c->node);
    g->objects++;
    g->counters.clients++;
    g->counters.clients_now++;
    s->on = on_downstream;
    s->owner = c;
    gateway_wait(g, &g->idle_clients, &c->wait, (uint64_t)GATEWAY_IDLE_S * 1000000);
    return c;
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void let_go(struct downstream *c, enum reason why)
{
    struct gateway *g = c->gw;

    c->stream = NULL;
    g->counters.clients_ended.of[why]++;
    g->counters.clients_now--;
    list_remove(&c->node);
    list_remove(&c->wait.node);
    gateway_soon(g, &c->task);
}

static void free_downstream(struct downstream *c)
{
    bytes_clear(&c->pending, c->gw->host->pool);
    c->gw->objects--;
    mem_free(c->peer);
    mem_free(c);
}

void downstream_close(struct downstream *c, enum reason why)
{
    struct stream *s = c->stream;

    if (s == NULL)
        return;
    cork_flush(c->gw);
    let_go(c, why);
    stream_close(s);
}

void downstream_reset(struct downstream *c, enum reason why)
{
    struct stream *s = c->stream;

    if (s == NULL)
        return;
    cork_drop(c->gw, s);
    let_go(c, why);
    stream_reset(s);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

void downstream_write(struct downstream *c, const char *data, size_t len)
{
    if (c->stream == NULL)
        return;
    c->queued += len;
    cork_write(c->gw, c->stream, data, len);
}

void downstream_release(struct downstream *c, size_t still_queued)
{
    size_t n = c->owed > still_queued ? c->owed - still_queued : 0;

    if (n == 0 || c->stream == NULL)
        return;
    c->owed -= n;
    stream_consumed(c->stream, n);
}

void downstream_owes(struct downstream *c, size_t len, size_t still_queued)
{
    c->owed += len;
    downstream_release(c, still_queued);
}

/* A reader that takes nothing does not get more requests served; a writer of many gets them served
 * in portions. */
static bool may_begin(const struct downstream *c)
{
    return c->exchange == NULL && c->queued < DOWNSTREAM_QUEUE_MAX && c->begun < BEGIN_AT_ONCE;
}

/* The next portion comes when the others had their turn. */
static void next_portion(struct downstream *c)
{
    if (c->begun == BEGIN_AT_ONCE && c->exchange == NULL && (c->pending.len > 0 || c->eof))
        gateway_soon(c->gw, &c->task);
}

/* Bytes of a whole head, or 0 when it is not complete yet. */
static size_t take_head(struct downstream *c, const char *data, size_t len)
{
    struct http_header slots[HTTP_HEADERS_MAX];
    struct http_head head = {.headers = slots, .max_headers = HTTP_HEADERS_MAX};
    int rc = http_request_parse(data, len, &c->scan, &head);

    if (rc == ERR_MORE)
        return 0;
    c->scan = 0;
    list_remove(&c->wait.node); /* this head's time is over; what follows has its own */
    if (rc != ERR_OK) {
        exchange_reject(c, rc == ERR_LIMIT ? 431 : 400, &head);
        return len;
    }
    c->begun++;
    stream_consumed(c->stream, head.length);
    exchange_start(c, &head);
    return head.length;
}

/* Takes what can be taken now, in order; returns how many bytes that was. */
static size_t take(struct downstream *c, const char *data, size_t len)
{
    size_t used = 0;
    size_t n = 1;

    while (n > 0 && used < len && c->stream != NULL) {
        n = 0;
        if (may_begin(c))
            n = take_head(c, data + used, len - used);
        else if (c->exchange != NULL && request_wants(c->exchange))
            n = request_take(c->exchange, data + used, len - used);
        used += n;
    }
    return used;
}

/* Which of the two limits on waiting holds now. */
static void rest(struct downstream *c)
{
    struct gateway *g = c->gw;
    bool in_head = may_begin(c) && c->pending.len > 0;

    if (c->stream == NULL)
        return;
    if (c->exchange != NULL) {
        list_remove(&c->wait.node);
    } else if (list_empty(&c->wait.node) || in_head != c->in_head) {
        list_remove(&c->wait.node);
        if (in_head)
            gateway_wait(g, &g->open_heads, &c->wait, (uint64_t)GATEWAY_HEAD_S * 1000000);
        else
            gateway_wait(g, &g->idle_clients, &c->wait, (uint64_t)GATEWAY_IDLE_S * 1000000);
    }
    c->in_head = in_head;
}

/* Nothing follows what is here: an incomplete head will not become one, a body that lacks bytes
 * will not get them, and a request that was begun only now has nobody who waits for it. */
static void no_more(struct downstream *c)
{
    struct exchange *x = c->exchange;

    if (x == NULL && may_begin(c))
        downstream_close(c, REASON_PEER_CLOSED);
    else if (x != NULL)
        exchange_client_left(x, false);
}

void downstream_resume(struct downstream *c)
{
    struct pool *pool = c->gw->host->pool;

    while (c->stream != NULL && c->pending.len > 0) {
        size_t run;
        const uint8_t *data = bytes_peek(&c->pending, &run);
        size_t used = take(c, (const char *)data, run);

        if (used > 0)
            bytes_consume(&c->pending, pool, used);
        else if (may_begin(c) && run < c->pending.len)
            bytes_gather(&c->pending, pool, 2 * run);
        else
            break;
    }
    if (c->eof)
        no_more(c);
    next_portion(c);
    rest(c);
}

void downstream_exchange_over(struct downstream *c, bool keep, enum reason why)
{
    c->exchange = NULL;
    downstream_release(c, 0);
    if (!keep || c->gw->stopping) {
        downstream_close(c, why);
        return;
    }
    if (c->pending.len > 0 || c->eof)
        gateway_soon(c->gw, &c->task);
    rest(c);
}

/* ---- events ---------------------------------------------------------------------------------- */

static void run_downstream(struct net_task *t)
{
    struct downstream *c = LIST_ENTRY(t, struct downstream, task);
    struct gateway *g = c->gw;

    c->begun = 0;
    if (c->stream != NULL)
        downstream_resume(c);
    else
        free_downstream(c);
    cork_flush(g);
}

static void got_data(struct downstream *c, const uint8_t *data, size_t len)
{
    struct pool *pool = c->gw->host->pool;

    if (c->pending.len > 0) {
        bytes_append(&c->pending, pool, data, len);
        downstream_resume(c);
        return;
    }
    size_t used = take(c, (const char *)data, len);
    if (c->stream != NULL && used < len)
        bytes_append(&c->pending, pool, data + used, len - used);
    next_portion(c);
    rest(c);
}

static void got_sent(struct downstream *c, size_t len)
{
    c->queued -= len < c->queued ? len : c->queued;
    if (c->exchange != NULL)
        answer_release(c->exchange);
    else if ((c->pending.len > 0 || c->eof) && may_begin(c))
        gateway_soon(c->gw, &c->task);
}

static void got_eof(struct downstream *c)
{
    c->eof = true;
    if (c->exchange != NULL)
        exchange_client_left(c->exchange, false);
    else
        downstream_resume(c);
}

static void got_closed(struct downstream *c)
{
    struct exchange *x = c->exchange;
    enum reason why = x != NULL ? REASON_CLIENT_LEFT : c->stream->why;

    cork_drop(c->gw, c->stream);
    c->exchange = NULL;
    let_go(c, why);
    if (x != NULL)
        exchange_client_left(x, true);
}

static void on_downstream(struct stream *s, enum stream_event event, const uint8_t *data,
                          size_t len)
{
    struct downstream *c = s->owner;
    struct gateway *g = c->gw;

    c->begun = 0;
    switch (event) {
    case STREAM_DATA:
        got_data(c, data, len);
        break;
    case STREAM_SENT:
        got_sent(c, len);
        break;
    case STREAM_EOF:
        got_eof(c);
        break;
    case STREAM_CLOSED:
        got_closed(c);
        break;
    case STREAM_OPEN:
        break;
    }
    cork_flush(g);
    gateway_mind_memory(g);
}
