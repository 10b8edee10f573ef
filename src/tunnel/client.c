#include "tunnel/client.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/dial.h"
#include "net/sockaddr.h"
#include "tunnel/backoff.h"
#include "tunnel/carrier.h"
#include "tunnel/client_session.h"
#include "tunnel/link.h"
#include "tunnel/liveness.h"
#include "tunnel/random.h"
#include "tunnel/run_id.h"
#include "tunnel/work.h"

enum {
    TICK_MS = 100,
    SLOW_TICKS = 10,      /* once a second */
    MAX_PEER_STREAMS = 0, /* an frp server opens none */
    ERROR_TEXT = 400,
};

enum client_state {
    CLIENT_IDLE = 0,    /* not started, or stopped */
    CLIENT_WAITING = 1, /* for the next try */
    CLIENT_DIALLING = 2,
    CLIENT_SESSION = 3,
};

struct client {
    struct net *net;
    const struct client_config *cfg;
    const struct client_events *events;
    void *ctx;
    struct log *log;
    struct tls_context *tls;
    uint8_t key[CIPHER_KEY_LEN];
    struct run_id run_id;
    char last_run_id[80]; /* what the server calls us; sent with the next login */
    char hostname[128];
    char arch[65];
    enum client_state state;
    struct dial *dial;
    struct carrier *carrier;
    struct client_session *session;
    struct dial *reserve_dial;
    struct conn *reserve;
    uint64_t reserve_since_us;
    uint64_t reserve_up_us;
    uint64_t acked; /* what TCP had acknowledged when we last looked */
    uint64_t progress_us;
    struct backoff backoff;
    struct links links;
    uv_timer_t tick;
    uv_timer_t retry;
    unsigned ticks;
    struct sockaddr_in6 last_good; /* of either family; sin6_family 0: none yet */
    struct log_gate refused_gate;
    uint64_t sessions;
    uint64_t login_us;        /* of this session; 0: not logged in */
    uint64_t sessions_before; /* `sessions` when the present connection began */
    struct reason_counts sessions_ended;
    bool ready;
    bool was_logged_in; /* ever: login_fail_exit speaks of the first only */
    bool peer_mlgate;
    bool stopping;
};

static void try_login(struct client *c);
static void begin_session(struct client *c, struct conn *conn);

static const struct server_addr *server(const struct client *c)
{
    return &c->cfg->servers[0];
}

static int64_t wall_seconds(void)
{
    return (int64_t)time(NULL);
}

static void set_ready(struct client *c, bool ready)
{
    if (c->ready == ready)
        return;
    c->ready = ready;
    if (c->events->ready != NULL)
        c->events->ready(c->ctx, ready);
}

/* ---- the reserve ------------------------------------------------------------------------------
 */

static void drop_reserve(struct client *c)
{
    dial_cancel(c->reserve_dial);
    c->reserve_dial = NULL;
    if (c->reserve != NULL)
        stream_close(conn_stream(c->reserve));
    c->reserve = NULL;
}

static void on_reserve(struct stream *s, enum stream_event event, const uint8_t *data, size_t len)
{
    struct client *c = s->owner;

    if (event == STREAM_DATA)
        stream_consumed(s, len);
    if (event == STREAM_EOF)
        stream_close(s);
    if (event == STREAM_EOF || event == STREAM_CLOSED) {
        c->reserve = NULL;
        c->reserve_since_us = net_now_us();
    }
}

static void reserve_dialled(void *ctx, struct conn *conn, enum reason why, const char *text)
{
    struct client *c = ctx;

    c->reserve_dial = NULL;
    if (conn == NULL) {
        c->reserve_since_us = net_now_us(); /* the time of the failure: when to try again */
        log_debug(c->log, "reserve connection failed: %s", text);
        return;
    }
    c->reserve = conn;
    c->reserve_up_us = net_now_us();
    conn_stream(conn)->on = on_reserve;
    conn_stream(conn)->owner = c;
}

static struct dial *dial_server(struct client *c,
                                void (*done)(void *, struct conn *, enum reason, const char *))
{
    const struct tls_client_config *tls = &c->cfg->tls;
    const struct dial_target to = {
        .host = server(c)->host,
        .port = server(c)->port,
        .timeout_ms = (unsigned)c->cfg->dial_timeout_s * 1000,
        .prefer = c->last_good.sin6_family ? (const struct sockaddr *)&c->last_good : NULL,
        .tls = c->tls,
        .tls_name = tls->server_name,
        .custom_first_byte = tls->custom_first_byte,
    };

    return dial_start(c->net, &to, done, c);
}

static void dial_reserve(struct client *c)
{
    if (c->reserve_since_us == 0)
        log_info(c->log, "the server is silent; trying a second connection to learn whether the "
                         "path works");
    c->reserve_since_us = net_now_us();
    c->reserve_dial = dial_server(c, reserve_dialled);
}

/* ---- the end of a session ---------------------------------------------------------------------
 */

static void retry_due(uv_timer_t *timer)
{
    try_login(timer->data);
}

static void end_session(struct client *c)
{
    if (c->login_us != 0)
        backoff_session_lived(&c->backoff, net_now_us() - c->login_us);
    c->login_us = 0;
    client_session_free(c->session);
    c->session = NULL;
    carrier_free(c->carrier); /* ends the relays, so before links are looked at again */
    c->carrier = NULL;
    links_end(&c->links, REASON_PEER_GONE); /* those that were still dialling their service */
    set_ready(c, false);
}

static const char *remedy(enum reason why)
{
    switch (why) {
    case REASON_AUTH_FAILED:
        return ": the token here and on the server differ (SECRET_FRP_TOKEN, token)";
    case REASON_TLS_UNTRUSTED:
        return ": check FRP_TLS_CA_FILE / FRP_TLS_PIN (tls_trusted_ca_file), or someone is in "
               "between";
    case REASON_TLS_FAILED:
        return ": does the server speak TLS on this port?";
    case REASON_RESOLVE_FAILED:
        return ": check the name and the container's DNS";
    case REASON_CONNECT_REFUSED:
        return ": nothing listens there; is the server started and the port right?";
    case REASON_CONNECT_TIMEOUT:
        return ": a firewall in between, or the wrong address";
    case REASON_REPLACED:
        return ": a second client uses the same run_id (a copied disk?); only one of them can "
               "have the ports";
    default:
        return "";
    }
}

static void schedule_retry(struct client *c, enum reason why, const char *text)
{
    uint32_t random;
    uint64_t delay;

    system_randomness.fill(NULL, (uint8_t *)&random, sizeof(random));
    delay = backoff_next(&c->backoff, why, net_now_us(), random);
    log_warn(c->log, "server %s:%u: %s%s; next try in %" PRIu64 ".%" PRIu64 " s", server(c)->host,
             server(c)->port, text, remedy(why), delay / 1000000, delay / 100000 % 10);
    c->state = CLIENT_WAITING;
    uv_timer_start(&c->retry, retry_due, delay / 1000, 0);
}

static void failed(struct client *c, enum reason why, const char *text)
{
    c->sessions_ended.of[why]++;
    if (c->stopping)
        return;
    if (c->cfg->login_fail_exit && !c->was_logged_in) {
        log_error(c->log, "server %s:%u: %s%s; the first login failed and login_fail_exit is on",
                  server(c)->host, server(c)->port, text, remedy(why));
        c->state = CLIENT_IDLE;
        c->events->gave_up(c->ctx, why);
        return;
    }
    schedule_retry(c, why, text);
}

/* frps answers a login that it cannot read, such as a plain one where it demands TLS, by hanging
 * up. */
static bool hung_up(enum reason why)
{
    return why == REASON_PEER_CLOSED || why == REASON_PEER_RESET;
}

static void carrier_ended(void *ctx, enum reason why, const char *text)
{
    struct client *c = ctx;
    bool was_ready = c->ready;

    if (hung_up(why) && c->sessions_before == c->sessions)
        text = "the server hung up instead of answering the login: TLS demanded, wrong tcp_mux, or "
               "not an frp server";
    end_session(c);
    if (was_ready)
        log_warn(c->log, "session lost: %s (%s)", text, reason_name(why));
    if (c->reserve != NULL && !c->stopping) {
        struct conn *conn = c->reserve; /* proven open: no need to dial again */

        c->sessions_ended.of[why]++;
        c->reserve = NULL;
        begin_session(c, conn);
        return;
    }
    drop_reserve(c);
    failed(c, why, text);
}

/* Who pays, in this order: connections that only deliver their last bytes, streams whose owner has
 * left, then the user that holds most. */
static void shed(struct client *c)
{
    net_shed(c->net);
    if (pool_over(net_pool(c->net)) && c->carrier != NULL)
        mux_shed(carrier_mux(c->carrier));
    if (c->events->shed != NULL)
        c->events->shed(c->ctx);
    links_shed(&c->links);
}

static void carrier_crowded(void *ctx)
{
    shed(ctx);
}

static const struct carrier_events carrier_events = {
    .crowded = carrier_crowded,
    .ended = carrier_ended,
};

/* ---- what the session says --------------------------------------------------------------------
 */

static void session_logged_in(void *ctx, const char *run_id, const char *version, bool mlgate)
{
    struct client *c = ctx;
    char safe[80];

    c->sessions++;
    c->login_us = net_now_us();
    c->was_logged_in = true;
    c->peer_mlgate = mlgate;
    snprintf(c->last_run_id, sizeof(c->last_run_id), "%s", run_id);
    backoff_reset(&c->backoff);
    conn_peer(carrier_conn(c->carrier), &c->last_good);
    log_info(c->log, "login to server %s:%u success (%s %s), run id %.4s...", server(c)->host,
             server(c)->port, mlgate ? "mlgate, frp level" : "frp",
             log_safe(safe, sizeof(safe), version, strlen(version)), run_id);
}

static void session_proxy(void *ctx, size_t i, const char *remote_addr, const char *error)
{
    struct client *c = ctx;
    const struct proxy_config *p = &c->cfg->proxies[i];
    char safe[ERROR_TEXT];

    if (error[0] == '\0')
        log_info(c->log, "[%s] start proxy success: %s on the server leads to %s:%u", p->name,
                 log_safe(safe, sizeof(safe), remote_addr, strlen(remote_addr)), p->local_ip,
                 p->local_port);
    else
        log_warn(c->log, "[%s] the server refused remote port %u: %s%s", p->name, p->remote_port,
                 log_safe(safe, sizeof(safe), error, strlen(error)),
                 c->cfg->fate_shared ? "; all proxies wait until every one is taken" : "");
    set_ready(c, client_session_ready(c->session));
}

static void session_work(void *ctx, struct mux_stream *s, size_t i,
                         const struct msg_start_work_conn *start, const uint8_t *early, size_t len)
{
    struct client *c = ctx;
    const struct proxy_config *p = &c->cfg->proxies[i];
    const struct work_options o = {
        .net = c->net,
        .key = p->use_encryption ? c->key : NULL,
        .random = &system_randomness,
        .exact_ends = c->peer_mlgate,
    };
    struct stream *work = work_new(s, &o);
    char safe[48];
    char user[64];

    if (work == NULL)
        return;
    work_early(work, early, len);
    log_safe(safe, sizeof(safe), start->src_addr, strlen(start->src_addr));
    if (safe[0] == '\0')
        snprintf(safe, sizeof(safe), "unknown");
    if (c->events->user != NULL && c->events->user(c->ctx, i, work, safe, start->src_port))
        return;
    snprintf(user, sizeof(user), "%s:%u", safe, start->src_port);
    link_start(&c->links, p, work, c->peer_mlgate, user);
}

static void session_work_refused(void *ctx, const char *error)
{
    struct client *c = ctx;
    char safe[ERROR_TEXT];
    uint64_t held;

    if (log_gate(&c->refused_gate, net_now_us(), &held))
        log_warn(c->log, "the server refused a work connection: %s%s",
                 log_safe(safe, sizeof(safe), error, strlen(error)),
                 held ? "; more such lines were held back" : "");
}

static void session_ended(void *ctx, enum reason why, const char *text)
{
    struct client *c = ctx;

    carrier_fail(c->carrier, why, text);
}

static const struct client_session_events session_events = {
    .logged_in = session_logged_in,
    .proxy = session_proxy,
    .work = session_work,
    .work_refused = session_work_refused,
    .ended = session_ended,
};

/* ---- beginning --------------------------------------------------------------------------------
 */

static void begin_session(struct client *c, struct conn *conn)
{
    const struct client_identity who = {
        .hostname = c->hostname, .run_id = c->last_run_id, .arch = c->arch};

    c->state = CLIENT_SESSION;
    c->sessions_before = c->sessions;
    c->reserve_since_us = 0;
    c->acked = 0;
    c->progress_us = net_now_us();
    c->carrier = carrier_new(c->net, conn, MUX_CLIENT, MAX_PEER_STREAMS, &carrier_events, c);
    c->session = client_session_new(c->cfg, &who, carrier_mux(c->carrier), &system_randomness,
                                    &session_events, c);
    client_session_start(c->session, net_now_us(), wall_seconds());
}

static void dialled(void *ctx, struct conn *conn, enum reason why, const char *text)
{
    struct client *c = ctx;

    c->dial = NULL;
    if (conn != NULL)
        begin_session(c, conn);
    else
        failed(c, why, text);
}

static void try_login(struct client *c)
{
    c->state = CLIENT_DIALLING;
    log_debug(c->log, "dialling server %s:%u", server(c)->host, server(c)->port);
    c->dial = dial_server(c, dialled);
}

/* ---- time -------------------------------------------------------------------------------------
 */

static void look_at_path(struct client *c, struct live_facts *f)
{
    struct tcp_path path;

    f->rto_us = LIVE_RTO_MAX_US;
    if (carrier_heard_us(c->carrier) > c->progress_us)
        c->progress_us = carrier_heard_us(c->carrier);
    if (carrier_conn(c->carrier) == NULL || !conn_path(carrier_conn(c->carrier), &path))
        return;
    f->rto_us = path.rto_us;
    if (path.acked == c->acked)
        return;
    c->acked = path.acked;
    c->progress_us = f->now_us;
}

static void judge(struct client *c, uint64_t now)
{
    struct live_facts f = {
        .now_us = now,
        .heard_us = carrier_heard_us(c->carrier),
        .ping_us = mux_ping_since(carrier_mux(c->carrier)),
        .dead_after_us = (uint64_t)c->cfg->dead_after_s * 1000 * 1000,
        .reserve = c->reserve ? RESERVE_UP : (c->reserve_dial ? RESERVE_DIALLING : RESERVE_NONE),
        .reserve_since_us = c->reserve_since_us,
        .reserve_up_us = c->reserve_up_us,
    };

    look_at_path(c, &f);
    f.progress_us = c->progress_us;
    switch (live_judge(&f)) {
    case LIVE_PING:
        mux_time(carrier_mux(c->carrier), now);
        mux_ping(carrier_mux(c->carrier));
        break;
    case LIVE_DIAL:
        dial_reserve(c);
        break;
    case LIVE_DROP_RESERVE:
        log_info(c->log, "the server answers again; the session goes on");
        drop_reserve(c);
        c->reserve_since_us = 0;
        break;
    case LIVE_SWITCH:
        carrier_fail(c->carrier, REASON_PING_TIMEOUT,
                     "no answer on the old connection while a new one works");
        break;
    case LIVE_DEAD:
        carrier_fail(c->carrier, REASON_PING_TIMEOUT, "no answer, and no new connection either");
        break;
    case LIVE_WAIT:
        break;
    }
}

static void ticked(uv_timer_t *timer)
{
    struct client *c = timer->data;
    uint64_t now = net_now_us();

    if (pool_over(net_pool(c->net)))
        shed(c);
    if (++c->ticks % SLOW_TICKS == 0) {
        links_tick(&c->links, now);
        pool_trim(net_pool(c->net));
    }
    if (c->state != CLIENT_SESSION || c->carrier == NULL)
        return;
    mux_time(carrier_mux(c->carrier), now);
    if (c->ticks % SLOW_TICKS == 0)
        mux_tick(carrier_mux(c->carrier));
    if (mux_going_away(carrier_mux(c->carrier)))
        carrier_fail(c->carrier, REASON_GO_AWAY, "the server takes no further streams");
    client_session_tick(c->session, now, wall_seconds());
    if (client_session_logged_in(c->session))
        judge(c, now);
}

/* ---- life -------------------------------------------------------------------------------------
 */

static void identify(struct client *c)
{
    struct utsname u;

    if (gethostname(c->hostname, sizeof(c->hostname) - 1) != 0)
        c->hostname[0] = '\0';
    snprintf(c->arch, sizeof(c->arch), "unknown");
    if (uname(&u) != 0)
        return;
    if (strcmp(u.machine, "x86_64") == 0)
        snprintf(c->arch, sizeof(c->arch), "amd64");
    else if (strcmp(u.machine, "aarch64") == 0)
        snprintf(c->arch, sizeof(c->arch), "arm64");
    else
        snprintf(c->arch, sizeof(c->arch), "%.64s", u.machine);
}

static bool make_tls(struct client *c, char *error, size_t size)
{
    const struct tls_client_config *t = &c->cfg->tls;
    const struct tls_client_options o = {
        .ca_file = t->ca_file,
        .cert_file = t->cert_file,
        .key_file = t->key_file,
        .pins = (const char *const *)t->pins,
        .n_pins = t->n_pins,
    };

    if (!t->enable) {
        log_warn(c->log, "TLS is off (tls_enable = false): everything but the control messages "
                         "crosses the network in clear");
        return true;
    }
    c->tls = tls_context_client(&o, error, size);
    if (c->tls != NULL && t->ca_file == NULL && t->n_pins == 0)
        log_warn(c->log, "the server's certificate is not verified: set FRP_TLS_PIN or "
                         "FRP_TLS_CA_FILE (tls_trusted_ca_file)");
    return c->tls != NULL;
}

struct client *client_new(struct net *n, const struct client_config *cfg,
                          const struct client_events *events, void *ctx, char *error, size_t size)
{
    struct client *c = mem_zalloc(sizeof(*c));

    c->net = n;
    c->cfg = cfg;
    c->events = events;
    c->ctx = ctx;
    c->log = net_log(n);
    c->run_id.fd = -1;
    identify(c);
    links_init(&c->links, n);
    if (!make_tls(c, error, size) || cipher_key(c->key, cfg->token, strlen(cfg->token)) != 0) {
        mem_free_secret(c, sizeof(*c));
        return NULL;
    }
    run_id_load(&c->run_id, cfg->run_id_file, c->log);
    snprintf(c->last_run_id, sizeof(c->last_run_id), "%s", c->run_id.text);
    uv_timer_init(net_loop(n), &c->tick);
    uv_timer_init(net_loop(n), &c->retry);
    c->tick.data = c;
    c->retry.data = c;
    return c;
}

void client_start(struct client *c)
{
    uv_timer_start(&c->tick, ticked, TICK_MS, TICK_MS);
    try_login(c);
}

void client_stop(struct client *c)
{
    char ended[400];

    if (c->stopping)
        return;
    c->stopping = true;
    uv_close((uv_handle_t *)&c->tick, NULL);
    uv_close((uv_handle_t *)&c->retry, NULL);
    dial_cancel(c->dial);
    c->dial = NULL;
    drop_reserve(c);
    if (c->session != NULL) {
        client_session_leave(c->session);
        links_end(&c->links, REASON_LOCAL_STOP);
        c->sessions_ended.of[REASON_LOCAL_STOP]++;
        end_session(c);
    }
    c->state = CLIENT_IDLE;
    reason_counts_text(&c->links.ended, ended, sizeof(ended));
    log_info(c->log, "stopped; %" PRIu64 " sessions; users: %s", c->sessions, ended);
}

void client_status(const struct client *c, struct client_status *out)
{
    *out = (struct client_status){
        .ready = c->ready,
        .logged_in = c->session != NULL && client_session_logged_in(c->session),
        .sessions = c->sessions,
        .round_trip_us = c->carrier ? mux_round_trip_us(carrier_mux(c->carrier)) : 0,
        .streams = c->links.count,
        .relays_ended = c->links.ended,
        .sessions_ended = c->sessions_ended,
    };
    links_totals(&c->links, &out->bytes_in, &out->bytes_out);
}

void client_free(struct client *c)
{
    if (c == NULL)
        return;
    run_id_release(&c->run_id);
    tls_context_free(c->tls);
    mem_free_secret(c, sizeof(*c));
}
