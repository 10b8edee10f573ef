#include "gateway/internal.h"

#include <string.h>

#include "base/text.h"

/* A host of the longest legal name (253), an address (PEER_MAX), a line (LINE_MAX_BYTES), numbers.
 * JSON has the line twice, and each byte of it may need two. */
enum { ACCESS_LINE_MAX = 1024, ACCESS_JSON_MAX = 2048 };

/* What a line says. */
struct entry {
    const char *line; /* "METHOD /path", printable */
    const char *peer;
    const struct upstream_pool *pool; /* NULL: none */
    const char *fault;                /* why head or answer was refused; NULL: neither was */
    const char *more;                 /* with `fault`: what its gate says */
    uint64_t bytes;
    uint64_t first_us;
    uint64_t all_us;
    unsigned status;
    uint16_t peer_port;
    enum reason why;
};

/* Formed by hand: printf would be the most expensive part of a small request. */
struct line {
    char *at;
    size_t len;
};

static void put(struct line *l, const char *text)
{
    size_t n = strlen(text);

    memcpy(l->at + l->len, text, n);
    l->len += n;
}

static void put_uint(struct line *l, uint64_t value)
{
    l->len += text_put_uint(l->at + l->len, value);
}

/* Inside the quotes of a JSON string. */
static void put_escaped(struct line *l, const char *text, size_t len)
{
    l->len += text_put_json(l->at + l->len, TEXT_JSON_UNIT_MAX * len, text, len);
}

/* Microseconds as milliseconds with three places. */
static void put_ms(struct line *l, uint64_t us)
{
    unsigned rest = (unsigned)(us % 1000);
    const char places[] = {'.', (char)('0' + rest / 100), (char)('0' + rest / 10 % 10),
                           (char)('0' + rest % 10), '\0'};

    put_uint(l, us / 1000);
    put(l, places);
}

static void put_address(struct line *l, const char *host, unsigned port)
{
    put(l, host);
    put(l, ":");
    put_uint(l, port);
}

static void put_text(struct line *l, const struct entry *e)
{
    put(l, e->line);
    put(l, " ");
    put_uint(l, e->status);
    put(l, ", ");
    put_uint(l, e->bytes);
    put(l, " bytes, first ");
    put_ms(l, e->first_us);
    put(l, " ms, all ");
    put_ms(l, e->all_us);
    put(l, " ms, client ");
    put_address(l, e->peer, e->peer_port);
    put(l, ", upstream ");
    if (e->pool != NULL)
        put_address(l, e->pool->at.host, e->pool->at.port);
    else
        put(l, "-");
    put(l, ", ");
    put(l, reason_name(e->why));
    if (e->fault != NULL) {
        put(l, ": ");
        put(l, e->fault);
        put(l, e->more);
    }
    put(l, "\n");
}

static void put_member(struct line *l, const char *name, const char *value, size_t len)
{
    put(l, ",\"");
    put(l, name);
    put(l, "\":\"");
    put_escaped(l, value, len);
    put(l, "\"");
}

/* The text is what a person looks for; the rest of the line of text has members of its own. */
static void put_json(struct line *l, const struct entry *e)
{
    size_t method = strcspn(e->line, " ");
    const char *path = e->line + method + 1;

    put_escaped(l, e->line, strlen(e->line));
    put(l, " ");
    put_uint(l, e->status);
    if (e->fault != NULL)
        put(l, e->more);
    put(l, "\"");
    put_member(l, "method", e->line, method);
    put_member(l, "path", path, strlen(path));
    put(l, ",\"status\":");
    put_uint(l, e->status);
    put(l, ",\"bytes\":");
    put_uint(l, e->bytes);
    put(l, ",\"first_ms\":");
    put_ms(l, e->first_us);
    put(l, ",\"duration_ms\":");
    put_ms(l, e->all_us);
    put(l, ",\"client\":\"");
    put_address(l, e->peer, e->peer_port);
    put(l, e->pool != NULL ? "\",\"upstream\":\"" : "\",\"upstream\":null");
    if (e->pool != NULL) {
        put_address(l, e->pool->at.host, e->pool->at.port);
        put(l, "\"");
    }
    put_member(l, "end", reason_name(e->why), strlen(reason_name(e->why)));
    if (e->fault != NULL)
        put_member(l, "fault", e->fault, strlen(e->fault));
    put(l, "}\n");
}

void access_flush(struct gateway *g)
{
    log_put(g->host->log, g->access.lines, g->access.len);
    g->access.len = 0;
    net_task_cancel(&g->access.task);
}

static void flush_task(struct net_task *t)
{
    access_flush(LIST_ENTRY(t, struct gateway, access.task));
}

void access_init(struct gateway *g)
{
    net_task_init(&g->access.task, flush_task);
}

static void add(struct gateway *g, const struct entry *e)
{
    struct access *a = &g->access;
    bool json = log_format(g->host->log) == LOG_JSON;
    struct line l;

    if (sizeof(a->lines) - a->len < (json ? ACCESS_JSON_MAX : ACCESS_LINE_MAX))
        access_flush(g);
    l = (struct line){.at = a->lines + a->len};
    l.len = log_head(g->host->log, LOG_INFO, l.at);
    if (l.len == 0)
        return;
    if (json)
        put_json(&l, e);
    else
        put_text(&l, e);
    a->len += l.len;
    gateway_soon(g, &a->task);
}

void access_log(const struct exchange *x)
{
    uint64_t now = gateway_now(x->gw);
    const struct entry e = {
        .line = x->line,
        .peer = x->peer,
        .pool = x->pool,
        .fault = x->fault,
        .more = "",
        .bytes = x->bytes_out,
        .first_us = (x->first_us ? x->first_us : now) - x->began_us,
        .all_us = now - x->began_us,
        .status = x->status,
        .peer_port = x->peer_port,
        .why = x->why,
    };

    add(x->gw, &e);
}

void access_refused(const struct downstream *c, const char *line, unsigned status, size_t bytes,
                    enum reason why, const char *fault)
{
    char more[LOG_HELD_MAX];
    const struct entry e = {
        .line = line,
        .peer = c->peer,
        .fault = fault,
        .more = more,
        .bytes = bytes,
        .status = status,
        .peer_port = c->peer_port,
        .why = why,
    };

    if (gateway_gate(c->gw, &c->gw->head_gate, more))
        add(c->gw, &e);
}
