#include "net/dial.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "net/internal.h"
#include "net/lookup.h"
#include "net/sockaddr.h"

enum {
    MAX_ADDRESSES = 16,  /* a name with more is tried in part */
    MIN_SLICE_MS = 2000, /* one address gets at least this much of the time */
};

struct dial {
    struct net *net;
    struct dial_target target; /* strings owned */
    void (*done)(void *ctx, struct conn *c, enum reason why, const char *text);
    void *ctx;
    struct lookup *lookup; /* NULL when none is under way */
    uv_timer_t timer;
    uint64_t deadline_ms;
    struct sockaddr_in6 prefer;     /* large enough for both families; sin6_family 0: none */
    struct sockaddr_in6 *addresses; /* of both families */
    unsigned n_addresses;
    unsigned next;
    struct conn *conn; /* being tried */
    bool over;
    enum reason why;
    char text[200];
};

static void try_next(struct dial *d);

static void timer_closed(uv_handle_t *handle)
{
    struct dial *d = handle->data;

    mem_free((char *)(uintptr_t)d->target.host);
    mem_free((char *)(uintptr_t)d->target.tls_name);
    mem_free(d->addresses);
    mem_free(d);
}

static void destroy(struct dial *d)
{
    d->over = true;
    if (d->conn != NULL)
        stream_close(conn_stream(d->conn));
    d->conn = NULL;
    lookup_cancel(d->lookup);
    d->lookup = NULL;
    if (!uv_is_closing((uv_handle_t *)&d->timer))
        uv_close((uv_handle_t *)&d->timer, timer_closed);
}

void dial_cancel(struct dial *d)
{
    if (d != NULL && !d->over)
        destroy(d);
}

static void finish(struct dial *d, struct conn *c)
{
    if (d->over)
        return;
    d->conn = NULL;
    d->over = true;
    d->done(d->ctx, c, c ? REASON_NONE : d->why, d->text);
    destroy(d);
}

static void note(struct dial *d, enum reason why, const char *detail)
{
    char at[ADDR_PORT_TEXT] = "";

    if (d->next > 0)
        sockaddr_text_port((const struct sockaddr *)&d->addresses[d->next - 1], at);
    d->why = why;
    snprintf(d->text, sizeof(d->text), "%s%s%s%s%s", at, at[0] ? ": " : "", reason_name(why),
             detail[0] ? ": " : "", detail);
}

static const char *detail_of(const struct conn *c, enum reason why)
{
    if (why == REASON_TLS_FAILED || why == REASON_TLS_UNTRUSTED)
        return conn_tls_error(c);
    if (why == REASON_PEER_CLOSED || why == REASON_PEER_RESET)
        return "closed during the TLS handshake: does this port speak frp with TLS?";
    return "";
}

static void on_conn(struct stream *s, enum stream_event event, const uint8_t *data, size_t len)
{
    struct dial *d = s->owner;
    struct conn *c = d->conn;

    if (event == STREAM_OPEN) {
        finish(d, c);
    } else if (event == STREAM_CLOSED) {
        note(d, s->why, detail_of(c, s->why));
        d->conn = NULL;
        try_next(d);
    }
}

/* TCP is up, so it is TLS that nobody answers. */
static bool shakes_hands(const struct dial *d)
{
    struct sockaddr_in6 peer;

    return d->conn != NULL && conn_peer(d->conn, &peer);
}

static void timed_out(uv_timer_t *timer)
{
    struct dial *d = timer->data;

    if (d->lookup != NULL)
        note(d, REASON_RESOLVE_FAILED, "the resolver does not answer");
    else if (shakes_hands(d))
        note(d, REASON_TLS_FAILED, "connected, but nobody answers the TLS handshake");
    else
        note(d, REASON_CONNECT_TIMEOUT, "");
    if (d->conn != NULL) {
        stream_close(conn_stream(d->conn));
        d->conn = NULL;
    }
    if (d->lookup != NULL)
        finish(d, NULL);
    else
        try_next(d);
}

static void arm(struct dial *d)
{
    uint64_t now = uv_now(d->net->loop);
    uint64_t left = d->deadline_ms > now ? d->deadline_ms - now : 0;
    unsigned waiting = d->n_addresses > d->next ? d->n_addresses - d->next : 1;
    uint64_t slice = left / waiting;

    if (slice < MIN_SLICE_MS)
        slice = left < MIN_SLICE_MS ? left : MIN_SLICE_MS;
    uv_timer_start(&d->timer, timed_out, slice, 0);
}

static void try_next(struct dial *d)
{
    const struct sockaddr *to;

    if (d->over)
        return;
    if (d->next >= d->n_addresses || uv_now(d->net->loop) >= d->deadline_ms) {
        finish(d, NULL);
        return;
    }
    arm(d);
    to = (const struct sockaddr *)&d->addresses[d->next++];
    d->conn = conn_connect(d->net, to, on_conn, d);
    if (d->target.tls != NULL)
        conn_use_tls_client(d->conn, d->target.tls,
                            d->target.tls_name ? d->target.tls_name : d->target.host,
                            d->target.custom_first_byte);
}

static void add_address(struct dial *d, const struct sockaddr *a)
{
    if (d->n_addresses == MAX_ADDRESSES || (a->sa_family != AF_INET && a->sa_family != AF_INET6))
        return;
    d->addresses = mem_array(d->addresses, d->n_addresses + 1, sizeof(d->addresses[0]));
    memcpy(&d->addresses[d->n_addresses++], a, sockaddr_len(a));
}

static void prefer_first(struct dial *d)
{
    if (d->prefer.sin6_family == 0)
        return;
    for (unsigned i = 1; i < d->n_addresses; i++) {
        if (sockaddr_same_host((const struct sockaddr *)&d->addresses[i],
                               (const struct sockaddr *)&d->prefer)) {
            struct sockaddr_in6 first = d->addresses[0];

            d->addresses[0] = d->addresses[i];
            d->addresses[i] = first;
            return;
        }
    }
}

static void set_port(struct sockaddr_in6 *a, uint16_t port)
{
    if (a->sin6_family == AF_INET)
        ((struct sockaddr_in *)(void *)a)->sin_port = htons(port);
    else
        a->sin6_port = htons(port);
}

static void looked_up(void *ctx, const char *why, const struct addrinfo *found)
{
    struct dial *d = ctx;

    d->lookup = NULL;
    for (const struct addrinfo *a = found; a != NULL; a = a->ai_next)
        add_address(d, a->ai_addr);
    for (unsigned i = 0; i < d->n_addresses; i++)
        set_port(&d->addresses[i], d->target.port);
    if (d->n_addresses == 0)
        note(d, REASON_RESOLVE_FAILED, why ? why : "the name has no address");
    prefer_first(d);
    try_next(d);
}

static void begin(uv_timer_t *timer)
{
    try_next(timer->data);
}

static void look_up(struct dial *d)
{
    struct sockaddr_storage literal;

    if (sockaddr_from_text(&literal, d->target.host, d->target.port)) {
        add_address(d, (const struct sockaddr *)&literal);
        uv_timer_start(&d->timer, begin, 0, 0);
        return;
    }
    uv_timer_start(&d->timer, timed_out, d->target.timeout_ms, 0);
    d->lookup = lookup_start(d->net, d->target.host, looked_up, d);
    if (d->lookup != NULL)
        return;
    note(d, REASON_RESOLVE_FAILED, "there is no thread to ask the resolver");
    uv_timer_start(&d->timer, begin, 0, 0);
}

struct dial *dial_start(struct net *n, const struct dial_target *target,
                        void (*done)(void *ctx, struct conn *c, enum reason why, const char *text),
                        void *ctx)
{
    struct dial *d = mem_zalloc(sizeof(*d));

    d->net = n;
    d->target = *target;
    d->target.host = mem_strdup(target->host);
    d->target.tls_name = target->tls_name ? mem_strdup(target->tls_name) : NULL;
    if (target->prefer != NULL)
        memcpy(&d->prefer, target->prefer, sockaddr_len(target->prefer));
    d->target.prefer = NULL;
    d->done = done;
    d->ctx = ctx;
    uv_timer_init(n->loop, &d->timer);
    d->timer.data = d;
    d->deadline_ms = uv_now(n->loop) + target->timeout_ms;
    look_up(d);
    return d;
}
