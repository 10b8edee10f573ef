#include "check/ask_tunnel.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "net/dial.h"
#include "net/lookup.h"
#include "net/sockaddr.h"
#include "tunnel/carrier.h"
#include "tunnel/client_session.h"
#include "tunnel/random.h"
#include "tunnel/run_id.h"

enum {
    TICK_MS = 20,
    MAX_PEER_STREAMS = 0, /* an frp server opens none */
};

struct ask_tunnel {
    struct net *net;
    const struct client_config *cfg;
    const struct server_addr *server;
    struct tls_context *tls;
    struct tunnel_facts *facts;
    void (*done)(void *ctx);
    void *ctx;
    struct lookup *lookup; /* NULL when none is under way */
    struct dial *dial;
    struct carrier *carrier;
    struct client_session *session;
    uv_timer_t timer;
    struct net_task task; /* the end, told at the end of a turn */
    uint64_t stage_ms;    /* when the stage began */
    char hostname[128];
    char run_id[RUN_ID_LEN + 1];
    bool over;
};

static void finish(struct ask_tunnel *a, enum reason why, const char *text)
{
    struct tunnel_facts *f = a->facts;

    if (a->over)
        return;
    a->over = true;
    f->why = why;
    snprintf(f->text, sizeof(f->text), "%s", text);
    uv_timer_stop(&a->timer);
    net_soon(a->net, &a->task);
}

static void enter(struct ask_tunnel *a, enum tunnel_stage stage)
{
    a->facts->stage = stage;
    a->stage_ms = uv_now(net_loop(a->net));
}

/* ---- the login ------------------------------------------------------------------------------- */

static void session_logged_in(void *ctx, const char *run_id, const char *version, bool mlgate)
{
    struct ask_tunnel *a = ctx;
    struct tunnel_facts *f = a->facts;

    f->mlgate = mlgate;
    log_safe(f->version, sizeof(f->version), version, strlen(version));
    enter(a, TUNNEL_PING);
    mux_ping(carrier_mux(a->carrier));
}

static void session_ended(void *ctx, enum reason why, const char *text)
{
    struct ask_tunnel *a = ctx;

    finish(a, why, text);
}

static void carrier_ended(void *ctx, enum reason why, const char *text)
{
    struct ask_tunnel *a = ctx;

    finish(a, why, text);
}

static const struct client_session_events session_events = {
    .logged_in = session_logged_in,
    .ended = session_ended,
};
static const struct carrier_events carrier_events = {.ended = carrier_ended};

static void stage_timed_out(struct ask_tunnel *a)
{
    finish(a, a->facts->stage == TUNNEL_LOGIN ? REASON_LOGIN_TIMEOUT : REASON_PING_TIMEOUT, "");
}

static void ticked(uv_timer_t *timer)
{
    struct ask_tunnel *a = timer->data;
    struct mux_session *mux = carrier_mux(a->carrier);
    uint64_t limit = a->facts->stage == TUNNEL_LOGIN ? ASK_LOGIN_MS : ASK_PING_MS;

    mux_time(mux, net_now_us());
    client_session_tick(a->session, net_now_us(), (int64_t)time(NULL));
    a->facts->round_trip_us = mux_round_trip_us(mux);
    if (a->facts->stage == TUNNEL_PING && a->facts->round_trip_us != 0) {
        a->facts->stage = TUNNEL_DONE;
        finish(a, REASON_NONE, "");
    } else if (uv_now(net_loop(a->net)) - a->stage_ms > limit) {
        stage_timed_out(a);
    }
}

static void log_in(struct ask_tunnel *a, struct conn *c)
{
    const struct client_identity who = {
        .hostname = a->hostname, .run_id = a->run_id, .arch = "unknown"};

    enter(a, TUNNEL_LOGIN);
    a->carrier = carrier_new(a->net, c, MUX_CLIENT, MAX_PEER_STREAMS, &carrier_events, a);
    a->session = client_session_new(a->cfg, &who, carrier_mux(a->carrier), &system_randomness,
                                    &session_events, a);
    client_session_start(a->session, net_now_us(), (int64_t)time(NULL));
    uv_timer_start(&a->timer, ticked, TICK_MS, TICK_MS);
}

/* ---- the connection -------------------------------------------------------------------------- */

static void dialled(void *ctx, struct conn *c, enum reason why, const char *text)
{
    struct ask_tunnel *a = ctx;
    struct tunnel_facts *f = a->facts;
    struct sockaddr_in6 peer;

    a->dial = NULL;
    if (c == NULL) {
        finish(a, why, text);
        return;
    }
    f->tls = conn_tls_peer(c, &f->peer);
    if (conn_peer(c, &peer))
        sockaddr_text_port((const struct sockaddr *)&peer, f->peer_address);
    if (tunnel_trusts(f)) {
        log_in(a, c);
        return;
    }
    f->stopped = true;
    stream_close(conn_stream(c));
    finish(a, REASON_TLS_UNTRUSTED, "");
}

static void dial_server(struct ask_tunnel *a)
{
    const struct dial_target to = {
        .host = a->server->host,
        .port = a->server->port,
        .timeout_ms = ASK_DIAL_MS,
        .tls = a->tls,
    };

    enter(a, TUNNEL_DIALLING);
    a->dial = dial_start(a->net, &to, dialled, a);
}

/* ---- the name -------------------------------------------------------------------------------- */

static void note_addresses(struct tunnel_facts *f, const struct addrinfo *list)
{
    size_t len = 0;

    for (; list != NULL && len + ADDR_TEXT + 2 < sizeof(f->addresses); list = list->ai_next) {
        char text[ADDR_TEXT];

        sockaddr_text(list->ai_addr, text);
        len += (size_t)snprintf(f->addresses + len, sizeof(f->addresses) - len, "%s%s",
                                len > 0 ? ", " : "", text);
    }
}

static void looked_up(void *ctx, const char *why, const struct addrinfo *found)
{
    struct ask_tunnel *a = ctx;

    a->lookup = NULL;
    note_addresses(a->facts, found);
    if (why == NULL)
        dial_server(a);
    else
        finish(a, REASON_RESOLVE_FAILED, why);
}

static void look_up(uv_timer_t *timer)
{
    struct ask_tunnel *a = timer->data;
    struct sockaddr_storage literal;

    if (sockaddr_from_text(&literal, a->server->host, a->server->port)) {
        snprintf(a->facts->addresses, sizeof(a->facts->addresses), "%s is an address",
                 a->server->host);
        dial_server(a);
        return;
    }
    a->lookup = lookup_start(a->net, a->server->host, looked_up, a);
    if (a->lookup == NULL)
        finish(a, REASON_RESOLVE_FAILED, "the resolver cannot be asked");
}

/* ---- life ------------------------------------------------------------------------------------ */

static void drop_connection(struct ask_tunnel *a)
{
    client_session_free(a->session);
    a->session = NULL;
    if (a->carrier != NULL)
        carrier_free(a->carrier);
    a->carrier = NULL;
}

static void told(struct net_task *task)
{
    struct ask_tunnel *a = LIST_ENTRY(task, struct ask_tunnel, task);

    drop_connection(a);
    a->done(a->ctx);
}

/* Named so that an operator who sees it in the server's log knows what it was. */
static void identify(struct ask_tunnel *a)
{
    char name[64] = "";
    uint8_t bits[RUN_ID_LEN / 2];

    gethostname(name, sizeof(name) - 1);
    snprintf(a->hostname, sizeof(a->hostname), "%s (mlgate check)", name);
    system_randomness.fill(NULL, bits, sizeof(bits));
    text_hex(a->run_id, bits, sizeof(bits));
}

struct ask_tunnel *ask_tunnel_start(struct net *n, const struct client_config *cfg,
                                    const struct server_addr *server, struct tls_context *tls,
                                    struct tunnel_facts *facts, void (*done)(void *ctx), void *ctx)
{
    struct ask_tunnel *a = mem_zalloc(sizeof(*a));

    a->net = n;
    a->cfg = cfg;
    a->server = server;
    a->tls = tls;
    a->facts = facts;
    a->done = done;
    a->ctx = ctx;
    identify(a);
    net_task_init(&a->task, told);
    uv_timer_init(net_loop(n), &a->timer);
    a->timer.data = a;
    enter(a, TUNNEL_RESOLVING);
    uv_timer_start(&a->timer, look_up, 0, 0);
    return a;
}

static void closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void ask_tunnel_free(struct ask_tunnel *a)
{
    if (a == NULL)
        return;
    net_task_cancel(&a->task);
    lookup_cancel(a->lookup);
    dial_cancel(a->dial);
    drop_connection(a);
    uv_close((uv_handle_t *)&a->timer, closed);
}
