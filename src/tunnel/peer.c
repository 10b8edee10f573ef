#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "tunnel/random.h"
#include "tunnel/server_internal.h"

enum {
    TLS_CLIENT_HELLO = 0x16, /* a TLS handshake record, since frp 0.50 */
    TLS_FRP_BYTE = 0x17,     /* frp's own mark before it; not part of TLS */
    MUX_VERSION = 0x00,      /* what a plain mux client says first */
    /* Streams one client may have open: users at once, and those waiting. */
    MAX_CLIENT_STREAMS = 65536,
    PING_ANSWER_US = 10 * 1000 * 1000, /* frp's connection write timeout */
    OPENING_RUN_ID_BYTES = 8,
    REFUSED_US = 1000 * 1000, /* what a refused client has to read the answer and leave */
};

static void on_opening(struct stream *s, enum stream_event event, const uint8_t *data, size_t len);

/* ---- ends -------------------------------------------------------------------------------------
 */

/* What an honest client may run into does not count against its address. */
static bool is_failure(const struct peer *p, enum reason why)
{
    switch (why) {
    case REASON_SLOW_OPENING: /* a reserve connection waits behind TLS without a login */
        return p->carrier == NULL;
    case REASON_NONE:
    case REASON_LOCAL_STOP:
    case REASON_PEER_CLOSED: /* a reserve connection that was not needed */
    case REASON_PEER_RESET:
    case REASON_PEER_GONE:
    case REASON_CLOCK_SKEW:
    case REASON_LIMIT:
        return false;
    default:
        return true;
    }
}

static void log_end(struct peer *p, enum reason why, const char *text)
{
    struct server *s = p->server;
    char more[LOG_HELD_MAX];

    if (p->logged_in) {
        s->sessions_ended.of[why]++;
        if (net_gate(s->net, &s->client_gate, s->log, more))
            log_info(s->log, "client %s (%s, run id %.4s...) gone: %s (%s)%s",
                     server_session_hostname(p->session), p->address,
                     server_session_run_id(p->session), text, reason_name(why), more);
        return;
    }
    s->openings_ended.of[why]++;
    if (!is_failure(p, why)) {
        log_debug(s->log, "connection from %s ended before a login: %s (%s)", p->address, text,
                  reason_name(why));
        return;
    }
    if (net_gate(s->net, &s->refused_gate, s->log, more))
        log_warn(s->log, "connection from %s refused: %s (%s)%s", p->address, text,
                 reason_name(why), more);
}

void peer_free(struct peer *p, enum reason why, const char *text)
{
    struct server *s = p->server;

    if (p->refused != REASON_NONE)
        why = p->refused; /* said when it happened */
    else
        log_end(p, why, text);
    if (p->refused == REASON_NONE && !p->logged_in)
        server_note_refusal(s, REFUSED_OPENING, p->address, why, text);
    if (why == REASON_REPLACED || why == REASON_DISPLACED)
        server_session_dismiss(p->session, text);
    list_remove(&p->node);
    if (p->logged_in) {
        s->n_peers--;
        if (map_get(&s->run_ids, server_session_run_id(p->session)) == p)
            map_remove(&s->run_ids, server_session_run_id(p->session));
    } else {
        s->n_openings--;
        guard_close(&s->guard, p->source, is_failure(p, why), net_now_us());
    }
    proxy_peer_gone(p, why == REASON_REPLACED);
    if (p->conn != NULL)
        stream_close(conn_stream(p->conn));
    server_session_free(p->session);
    carrier_free(p->carrier);
    mem_free(p);
}

void peer_fail(struct peer *p, enum reason why, const char *text)
{
    if (p->carrier != NULL)
        carrier_fail(p->carrier, why, text);
    else
        peer_free(p, why, text);
}

/* ---- the session ------------------------------------------------------------------------------
 */

static void make_run_id(char out[RUN_ID_SIZE])
{
    uint8_t bits[OPENING_RUN_ID_BYTES];

    system_randomness.fill(NULL, bits, sizeof(bits));
    text_hex(out, bits, sizeof(bits));
}

/* The same run_id is the same client: its old session goes at once, its listeners wait for it. The
 * old one's own events are not on the stack: it is another connection's. */
static void replace(struct server *s, const char *run_id)
{
    struct peer *old = map_get(&s->run_ids, run_id);

    if (old != NULL)
        peer_free(old, REASON_REPLACED, "another login with the same run_id took over");
}

static bool session_login(void *ctx, const struct msg_login *login, char run_id[RUN_ID_SIZE],
                          char error[ERROR_SIZE])
{
    struct peer *p = ctx;
    struct server *s = p->server;
    char more[LOG_HELD_MAX];

    if (login->run_id[0] != '\0')
        snprintf(run_id, RUN_ID_SIZE, "%s", login->run_id);
    else
        make_run_id(run_id);
    replace(s, run_id);
    map_put(&s->run_ids, run_id, p);
    list_remove(&p->node);
    list_push(&s->peers, &p->node);
    guard_close(&s->guard, p->source, false, net_now_us());
    p->source = NULL;
    s->n_openings--;
    s->n_peers++;
    s->logins++;
    p->logged_in = true;
    mux_set_max_streams(carrier_mux(p->carrier), MAX_CLIENT_STREAMS);
    if (net_gate(s->net, &s->client_gate, s->log, more))
        log_info(s->log, "client login: %s from %s, %s, run id %.4s...%s",
                 server_session_hostname(p->session), p->address,
                 msg_login_meta(login, "mlgate") ? "mlgate" : "frpc", run_id, more);
    return true;
}

static void session_new_proxy(void *ctx, const struct msg_new_proxy *m)
{
    proxy_requested(ctx, m);
}

static void session_close_proxy(void *ctx, const char *name)
{
    proxy_close_named(ctx, name);
}

/* A refused login: frps leaves the connection to the client, and Go's yamux may lose an answer
 * whose connection ends right behind it, so that frpc could not say why. It gets a moment to go. */
static void refused_login(struct peer *p, enum reason why, const char *text)
{
    log_end(p, why, text);
    server_note_refusal(p->server, REFUSED_LOGIN, p->address, why, text);
    p->refused = why;
    p->since_us = net_now_us();
}

static void session_ended(void *ctx, enum reason why, const char *text)
{
    struct peer *p = ctx;

    if (!p->logged_in &&
        (why == REASON_AUTH_FAILED || why == REASON_LOGIN_REFUSED || why == REASON_CLOCK_SKEW))
        refused_login(p, why, text);
    else
        carrier_fail(p->carrier, why, text);
}

static const struct server_session_events session_events = {
    .login = session_login,
    .new_proxy = session_new_proxy,
    .close_proxy = session_close_proxy,
    .ended = session_ended,
};

static bool carrier_opened(void *ctx, struct mux_stream *stream)
{
    struct peer *p = ctx;

    return server_session_opened(p->session, stream);
}

static void carrier_ended(void *ctx, enum reason why, const char *text)
{
    peer_free(ctx, why, text);
}

static void carrier_crowded(void *ctx)
{
    visit_shed(((struct peer *)ctx)->server);
}

static const struct carrier_events carrier_events = {
    .opened = carrier_opened,
    .crowded = carrier_crowded,
    .ended = carrier_ended,
};

static void begin_session(struct peer *p)
{
    struct server *s = p->server;
    struct conn *conn = p->conn;

    p->conn = NULL;
    p->carrier =
        carrier_new(s->net, conn, MUX_SERVER, MAX_STREAMS_BEFORE_LOGIN, &carrier_events, p);
    p->session = server_session_new(s->cfg, s->key, carrier_mux(p->carrier), &system_randomness,
                                    &session_events, p);
    server_session_tick(p->session, net_now_us(), (int64_t)time(NULL));
}

/* ---- opening ----------------------------------------------------------------------------------
 */

static void begin_plain(struct peer *p, const uint8_t *data, size_t len)
{
    if (!p->server->cfg->allow_plain || p->server->cfg->tls_client_ca != NULL) {
        peer_free(p, REASON_TLS_REQUIRED,
                  data[0] == MUX_VERSION ? "a client without TLS (tls_enable = false there; "
                                           "--allow-plain here would admit it)"
                                         : "not an frp client (HTTP, a scanner, or frp without "
                                           "TLS and mux)");
        return;
    }
    if (data[0] != MUX_VERSION) {
        peer_free(p, REASON_PROTOCOL, "not an frp client with tcp_mux");
        return;
    }
    begin_session(p);
    carrier_input(p->carrier, data, len);
}

static void first_bytes(struct peer *p, const uint8_t *data, size_t len)
{
    struct conn *c = p->conn;
    size_t skip = data[0] == TLS_FRP_BYTE ? 1 : 0;

    p->spoke = true;
    stream_consumed(conn_stream(c), len);
    if (skip || data[0] == TLS_CLIENT_HELLO)
        conn_use_tls_server(c, p->server->tls, data + skip, len - skip);
    else
        begin_plain(p, data, len);
}

static void on_opening(struct stream *s, enum stream_event event, const uint8_t *data, size_t len)
{
    struct peer *p = s->owner;

    switch (event) {
    case STREAM_OPEN:
        begin_session(p);
        break;
    case STREAM_DATA:
        first_bytes(p, data, len);
        break;
    case STREAM_EOF:
        peer_free(p, REASON_PEER_CLOSED, "closed before saying anything");
        break;
    case STREAM_CLOSED: {
        char text[200];

        snprintf(text, sizeof(text), "%s",
                 s->why == REASON_TLS_FAILED ? conn_tls_error(p->conn) : reason_name(s->why));
        p->conn = NULL;
        peer_free(p, s->why, text);
        break;
    }
    case STREAM_SENT:
        break;
    }
}

/* How far an opening has come; what has come least far goes first, so that a handshake under way
 * has time to become a login while strangers who hold sockets make room. */
enum stage {
    STAGE_SILENT = 0,
    STAGE_HANDSHAKE = 1,
    STAGE_LOGIN = 2,
    STAGES = 3,
};

static enum stage stage_of(const struct peer *p)
{
    if (p->carrier != NULL)
        return STAGE_LOGIN;
    return p->spoke ? STAGE_HANDSHAKE : STAGE_SILENT;
}

/* The oldest opening at `stage`; of one source, or of all when that is NULL. */
static struct peer *oldest_at(struct server *s, enum stage stage, const struct guard_source *source)
{
    LIST_FOREACH (it, &s->openings) {
        struct peer *p = LIST_ENTRY(it, struct peer, node);

        if (!p->failing && stage_of(p) == stage && (source == NULL || p->source == source))
            return p;
    }
    return NULL;
}

static void make_room(struct server *s, const struct guard_source *source)
{
    bool all = guard_full(&s->guard);
    struct peer *p = NULL;

    if (!all && !guard_source_full(source))
        return;
    for (int stage = 0; stage < STAGES && p == NULL; stage++)
        p = oldest_at(s, (enum stage)stage, all ? NULL : source);
    if (p == NULL)
        return;
    p->failing = true;
    peer_fail(p, REASON_LIMIT, "too many connections without a login at once");
}

void peer_accept(struct listener *l, void *ctx)
{
    struct server *s = ctx;
    struct peer *p = mem_zalloc(sizeof(*p));
    struct sockaddr_in6 from = {0};
    char host[ADDR_TEXT];

    p->server = s;
    list_init(&p->node);
    list_init(&p->proxies);
    p->conn = listener_accept(l, on_opening, p);
    if (p->conn == NULL) {
        mem_free(p);
        return;
    }
    conn_peer(p->conn, &from);
    sockaddr_text_port((const struct sockaddr *)&from, p->address);
    sockaddr_to_network(&from);
    sockaddr_text((const struct sockaddr *)&from, host);
    p->since_us = net_now_us();
    p->source = guard_open(&s->guard, host, p->since_us);
    make_room(s, p->source); /* before it is on the list: never the newest */
    list_push(&s->openings, &p->node);
    s->n_openings++;
    conn_start(p->conn);
}

/* ---- time -------------------------------------------------------------------------------------
 */

static void keep_alive(struct peer *p, uint64_t now_us)
{
    struct mux_session *m = carrier_mux(p->carrier);
    uint64_t every = (uint64_t)p->server->cfg->mux_keepalive_s * 1000 * 1000;
    uint64_t asked = mux_ping_since(m);

    mux_time(m, now_us);
    mux_tick(m);
    if (asked != 0 && now_us - asked > PING_ANSWER_US)
        peer_fail(p, REASON_PING_TIMEOUT, "the client answers no ping");
    else if (asked == 0 && every > 0 && now_us - carrier_heard_us(p->carrier) >= every)
        mux_ping(m);
}

static bool refused_long_ago(const struct peer *p, uint64_t now_us)
{
    return p->refused != REASON_NONE && now_us > p->since_us && now_us - p->since_us > REFUSED_US;
}

void peer_tick(struct peer *p, uint64_t now_us)
{
    if (refused_long_ago(p, now_us)) {
        peer_fail(p, p->refused, "the refused client stayed");
        return;
    }
    if (!p->logged_in && now_us - p->since_us > GUARD_LOGIN_US) {
        peer_fail(p, REASON_SLOW_OPENING, "no complete login within 10 s");
        return;
    }
    if (p->session == NULL)
        return;
    server_session_tick(p->session, now_us, (int64_t)time(NULL));
    if (p->logged_in)
        keep_alive(p, now_us);
}
