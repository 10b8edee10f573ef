#include "gateway/internal.h"

#include <inttypes.h>
#include <stdio.h>

enum { MS = 1000 };

static const char *upstream_text(const struct exchange *x, char out[80])
{
    if (x->up != NULL)
        snprintf(out, 80, "%s:%u", x->up->pool->at.host, x->up->pool->at.port);
    else
        snprintf(out, 80, "-");
    return out;
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

/* One line a request: what was asked, what became of it, how long each part took. */
void access_log(const struct exchange *x)
{
    struct gateway *g = x->gw;
    struct access *a = &g->access;
    const struct downstream *c = x->client;
    uint64_t now = gateway_now(g);
    uint64_t first = x->first_us ? x->first_us - x->began_us : now - x->began_us;
    uint64_t total = now - x->began_us;
    char upstream[80];

    if (sizeof(a->lines) - a->len < LOG_LINE_MAX)
        access_flush(g);
    a->len += log_format(g->host->log, LOG_INFO, a->lines + a->len, sizeof(a->lines) - a->len,
                         "%s %u, %" PRIu64 " bytes, first %" PRIu64 ".%03" PRIu64
                         " ms, all %" PRIu64 ".%03" PRIu64 " ms, client %s:%u, upstream %s, %s",
                         x->line, x->status, x->bytes_out, first / MS, first % MS, total / MS,
                         total % MS, c ? c->peer : "gone", c ? c->peer_port : 0,
                         upstream_text(x, upstream), reason_name(x->why));
    gateway_soon(g, &a->task);
}
