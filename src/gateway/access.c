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

/* One line a request: what was asked, what became of it, how long each part took. */
void access_log(const struct exchange *x)
{
    const struct downstream *c = x->client;
    uint64_t now = gateway_now(x->gw);
    uint64_t first = x->first_us ? x->first_us - x->began_us : now - x->began_us;
    uint64_t total = now - x->began_us;
    char upstream[80];

    log_info(x->gw->host->log,
             "%s %u, %" PRIu64 " bytes, first %" PRIu64 ".%03" PRIu64 " ms, all %" PRIu64
             ".%03" PRIu64 " ms, client %s:%u, upstream %s, %s",
             x->line, x->status, x->bytes_out, first / MS, first % MS, total / MS, total % MS,
             c ? c->peer : "gone", c ? c->peer_port : 0, upstream_text(x, upstream),
             reason_name(x->why));
}
