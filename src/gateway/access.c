#include "gateway/internal.h"

#include <string.h>

#include "base/text.h"

/* A host of the longest legal name (253), an address (PEER_MAX), a line (LINE_MAX_BYTES), numbers.
 * JSON has the line twice, and each byte of it may need two. */
enum { ACCESS_LINE_MAX = 1024, ACCESS_JSON_MAX = 2048 };

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

static void put_text(struct line *l, const struct exchange *x, uint64_t now)
{
    put(l, x->line);
    put(l, " ");
    put_uint(l, x->status);
    put(l, ", ");
    put_uint(l, x->bytes_out);
    put(l, " bytes, first ");
    put_ms(l, (x->first_us ? x->first_us : now) - x->began_us);
    put(l, " ms, all ");
    put_ms(l, now - x->began_us);
    put(l, " ms, client ");
    put_address(l, x->peer, x->peer_port);
    put(l, ", upstream ");
    if (x->pool != NULL)
        put_address(l, x->pool->at.host, x->pool->at.port);
    else
        put(l, "-");
    put(l, ", ");
    put(l, reason_name(x->why));
    put(l, "\n");
}

/* The text is what a person looks for; the rest of the line of text has members of its own. */
static void put_json(struct line *l, const struct exchange *x, uint64_t now)
{
    size_t method = strcspn(x->line, " ");
    const char *path = x->line + method + 1;

    put_escaped(l, x->line, strlen(x->line));
    put(l, " ");
    put_uint(l, x->status);
    put(l, "\",\"method\":\"");
    put_escaped(l, x->line, method);
    put(l, "\",\"path\":\"");
    put_escaped(l, path, strlen(path));
    put(l, "\",\"status\":");
    put_uint(l, x->status);
    put(l, ",\"bytes\":");
    put_uint(l, x->bytes_out);
    put(l, ",\"first_ms\":");
    put_ms(l, (x->first_us ? x->first_us : now) - x->began_us);
    put(l, ",\"duration_ms\":");
    put_ms(l, now - x->began_us);
    put(l, ",\"client\":\"");
    put_address(l, x->peer, x->peer_port);
    put(l, "\",\"upstream\":");
    if (x->pool != NULL) {
        put(l, "\"");
        put_address(l, x->pool->at.host, x->pool->at.port);
        put(l, "\"");
    } else {
        put(l, "null");
    }
    put(l, ",\"end\":\"");
    put(l, reason_name(x->why));
    put(l, "\"}\n");
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

void access_log(const struct exchange *x)
{
    struct gateway *g = x->gw;
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
        put_json(&l, x, gateway_now(g));
    else
        put_text(&l, x, gateway_now(g));
    a->len += l.len;
    gateway_soon(g, &a->task);
}
