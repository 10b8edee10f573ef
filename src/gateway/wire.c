#include "gateway/wire.h"

#include <netinet/in.h>
#include <string.h>

#include "base/mem.h"
#include "net/conn.h"
#include "net/listener.h"
#include "net/name.h"
#include "net/sockaddr.h"

struct door {
    struct wire *wire;
    struct listener *listener; /* NULL: not open */
    enum gateway_role role;
};

struct wire {
    struct net *net;
    struct gateway_host host;
    struct gateway *gateway;
    const char *management_host;
    struct name *management;
    struct name *inference; /* the engines' too */
    struct door doors[GATEWAY_ROLES];
    uv_timer_t timer;
    uint64_t due_us; /* what the timer is set to */
    bool stopped;
};

/* ---- the gateway's host ---------------------------------------------------------------------- */

static uint64_t host_now(void *ctx)
{
    return net_now_us();
}

static struct name *name_of(struct wire *w, const struct endpoint *to)
{
    return strcmp(to->host, w->management_host) == 0 ? w->management : w->inference;
}

static struct stream *
host_connect(void *ctx, const struct endpoint *to,
             void (*on)(struct stream *, enum stream_event, const uint8_t *, size_t), void *owner)
{
    struct wire *w = ctx;
    const struct sockaddr *address = name_address(name_of(w, to));
    struct sockaddr_in6 at = {0}; /* of either family: the port has the same place in both */

    if (address == NULL)
        return conn_stream(conn_unreachable(w->net, REASON_RESOLVE_FAILED, on, owner));
    memcpy(&at, address, sockaddr_len(address));
    at.sin6_port = htons(to->port);
    return conn_stream(conn_connect(w->net, (const struct sockaddr *)&at, on, owner));
}

static bool host_stale(void *ctx, struct stream *s)
{
    return !conn_quiet(conn_of(s));
}

static void host_soon(void *ctx, struct net_task *t)
{
    struct wire *w = ctx;

    net_soon(w->net, t);
}

static void ticked(uv_timer_t *timer);

static void host_wake(void *ctx, uint64_t due_us)
{
    struct wire *w = ctx;
    uint64_t now = net_now_us();

    if (w->stopped || due_us >= w->due_us)
        return;
    w->due_us = due_us;
    uv_update_time(net_loop(w->net));
    uv_timer_start(&w->timer, ticked, due_us > now ? (due_us - now) / 1000 + 1 : 0, 0);
}

static void ticked(uv_timer_t *timer)
{
    struct wire *w = timer->data;
    uint64_t next;

    w->due_us = UINT64_MAX;
    if (pool_over(net_pool(w->net))) {
        net_shed(w->net);
        gateway_shed(w->gateway);
    }
    pool_trim(net_pool(w->net));
    next = gateway_tick(w->gateway, net_now_us());
    if (next != UINT64_MAX)
        host_wake(w, next);
}

/* ---- clients --------------------------------------------------------------------------------- */

static void accepted(struct listener *l, void *ctx)
{
    struct door *d = ctx;
    struct conn *c = listener_accept(l, NULL, NULL);
    struct sockaddr_in6 peer;
    char ip[ADDR_TEXT];
    uint16_t port;

    if (c == NULL)
        return;
    if (!conn_peer(c, &peer)) { /* it left between two questions */
        stream_reset(conn_stream(c));
        return;
    }
    port = sockaddr_text((const struct sockaddr *)&peer, ip);
    if (gateway_serve(d->wire->gateway, conn_stream(c), d->role, ip, port))
        conn_start(c);
    else
        stream_reset(conn_stream(c));
}

int wire_listen(struct wire *w, enum gateway_role role, const char *ip, uint16_t port)
{
    struct door *d = &w->doors[role];
    struct sockaddr_storage at;
    int error = UV_EINVAL;

    if (sockaddr_from_text(&at, ip, port))
        d->listener = listener_open(w->net, (const struct sockaddr *)&at, accepted, d, &error);
    return d->listener ? 0 : error;
}

/* ---- life ------------------------------------------------------------------------------------ */

struct wire *wire_new(struct net *n, struct log *log, const struct gateway_config *cfg)
{
    struct wire *w = mem_zalloc(sizeof(*w));

    w->net = n;
    w->host = (struct gateway_host){
        .ctx = w,
        .log = log,
        .pool = net_pool(n),
        .now = host_now,
        .connect = host_connect,
        .stale = host_stale,
        .wake = host_wake,
        .soon = host_soon,
    };
    w->management_host = cfg->management.host;
    w->management = name_new(n, cfg->management.host);
    w->inference = name_new(n, cfg->inference.host);
    for (int i = 0; i < GATEWAY_ROLES; i++)
        w->doors[i] = (struct door){.wire = w, .role = (enum gateway_role)i};
    w->due_us = UINT64_MAX;
    uv_timer_init(net_loop(n), &w->timer);
    w->timer.data = w;
    w->gateway = gateway_new(&w->host, cfg);
    host_wake(w, net_now_us());
    return w;
}

struct gateway *wire_gateway(struct wire *w)
{
    return w->gateway;
}

void wire_stop(struct wire *w)
{
    if (w->stopped)
        return;
    w->stopped = true;
    for (int i = 0; i < GATEWAY_ROLES; i++)
        if (w->doors[i].listener != NULL)
            listener_close(w->doors[i].listener);
    gateway_stop(w->gateway);
    uv_close((uv_handle_t *)&w->timer, NULL);
    name_free(w->management);
    name_free(w->inference);
}

void wire_free(struct wire *w)
{
    if (w == NULL)
        return;
    gateway_free(w->gateway);
    mem_free(w);
}
