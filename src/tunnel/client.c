#include "tunnel/client.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "tunnel/client_internal.h"
#include "tunnel/random.h"

enum {
    SLOW_TICKS = 10,      /* once a second */
    MAX_PEER_STREAMS = 0, /* an frp server opens none */
};

static void try_login(struct client *c);
static void begin_session(struct client *c, struct conn *conn);

int64_t client_wall_seconds(void)
{
    return (int64_t)time(NULL);
}

void client_set_state(struct client *c, enum client_state state)
{
    bool was_ready = client_ready(c);

    if (c->state == state)
        return;
    c->state = state;
    c->since_us = net_now_us();
    if (client_ready(c) != was_ready)
        c->events->ready(c->ctx, client_ready(c));
}

struct dial *client_dial(struct client *c,
                         void (*done)(void *, struct conn *, enum reason, const char *))
{
    const struct tls_client_config *tls = &c->cfg->tls;
    const struct dial_target to = {
        .host = c->server->host,
        .port = c->server->port,
        .timeout_ms = (unsigned)c->cfg->dial_timeout_s * 1000,
        .prefer = c->last_good.sin6_family ? (const struct sockaddr *)&c->last_good : NULL,
        .tls = c->common->tls,
        .tls_name = tls->server_name,
        .custom_first_byte = tls->custom_first_byte,
    };

    return dial_start(c->net, &to, done, c);
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
    client_set_state(c, CLIENT_IDLE);
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

/* Kept as it is logged. */
static void note_end(struct client *c, enum reason why, const char *text)
{
    c->sessions_ended.of[why]++;
    c->last_why = why;
    c->last_end_us = net_now_us();
    snprintf(c->last_end, sizeof(c->last_end), "%s%s", text, remedy(why));
}

static void schedule_retry(struct client *c, enum reason why)
{
    uint64_t now = net_now_us();
    uint32_t random;
    uint64_t delay;

    system_randomness.fill(NULL, (uint8_t *)&random, sizeof(random));
    delay = backoff_next(&c->backoff, why, now, random);
    log_warn(c->log, "server %s: %s; next try in %" PRIu64 ".%" PRIu64 " s", c->address,
             c->last_end, delay / 1000000, delay / 100000 % 10);
    c->next_try_us = now + delay;
    client_set_state(c, CLIENT_WAITING);
    uv_timer_start(&c->retry, retry_due, delay / 1000, 0);
}

static void failed(struct client *c, enum reason why, const char *text)
{
    note_end(c, why, text);
    if (c->stopping)
        return;
    if (c->cfg->login_fail_exit && !c->was_logged_in) {
        log_error(c->log, "server %s: %s; the first login failed and login_fail_exit is on",
                  c->address, c->last_end);
        client_set_state(c, CLIENT_IDLE);
        c->events->gave_up(c->ctx, why);
        return;
    }
    schedule_retry(c, why);
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
    bool was_ready = client_ready(c);

    if (hung_up(why) && c->sessions_before == c->sessions)
        text = "the server hung up instead of answering the login: TLS demanded, wrong tcp_mux, or "
               "not an frp server";
    end_session(c);
    if (was_ready)
        log_warn(c->log, "session lost: %s (%s)", text, reason_name(why));
    if (c->reserve != NULL && !c->stopping) { /* proven open: no need to dial again */
        note_end(c, why, text);
        begin_session(c, client_take_reserve(c));
        return;
    }
    client_drop_reserve(c);
    failed(c, why, text);
}

static void carrier_crowded(void *ctx)
{
    struct client *c = ctx;

    c->events->crowded(c->ctx);
}

static const struct carrier_events carrier_events = {
    .crowded = carrier_crowded,
    .ended = carrier_ended,
};

void client_shed_left(struct client *c)
{
    if (pool_over(net_pool(c->net)) && c->carrier != NULL)
        mux_shed(carrier_mux(c->carrier));
}

void client_offer_users(struct client *c, struct shed_list *list)
{
    links_offer(&c->links, list);
}

void client_shed_user(const struct shed_one *one)
{
    links_shed_one(one);
}

/* ---- beginning --------------------------------------------------------------------------------
 */

static void begin_session(struct client *c, struct conn *conn)
{
    const struct client_identity who = {
        .hostname = c->hostname, .run_id = c->last_run_id, .arch = c->arch};

    c->sessions_before = c->sessions;
    memset(c->proxies, 0, c->cfg->n_proxies * sizeof(c->proxies[0]));
    client_alive_begin(c);
    c->carrier = carrier_new(c->net, conn, MUX_CLIENT, MAX_PEER_STREAMS, &carrier_events, c);
    c->session = client_session_new(c->cfg, &who, carrier_mux(c->carrier), &system_randomness,
                                    &client_session_events, c);
    client_set_state(c, CLIENT_LOGGING_IN);
    client_session_start(c->session, net_now_us(), client_wall_seconds());
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
    client_set_state(c, CLIENT_DIALLING);
    log_debug(c->log, "dialling server %s", c->address);
    c->dial = client_dial(c, dialled);
}

/* ---- time -------------------------------------------------------------------------------------
 */

void client_tick(struct client *c)
{
    uint64_t now = net_now_us();

    if (++c->ticks % SLOW_TICKS == 0)
        links_tick(&c->links, now);
    if (c->carrier == NULL)
        return;
    mux_time(carrier_mux(c->carrier), now);
    if (c->ticks % SLOW_TICKS == 0)
        mux_tick(carrier_mux(c->carrier));
    if (mux_going_away(carrier_mux(c->carrier)))
        carrier_fail(c->carrier, REASON_GO_AWAY, "the server takes no further streams");
    client_session_tick(c->session, now, client_wall_seconds());
    if (client_session_logged_in(c->session))
        client_alive_tick(c, now);
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

/* Log and run_id, told apart by the server's place in the list where there is a list. */
static void name_yourself(struct client *c, size_t server)
{
    char *file = c->cfg->run_id_file ? mem_strdup(c->cfg->run_id_file) : NULL;

    c->log = net_log(c->net);
    if (c->cfg->n_servers > 1) {
        snprintf(c->tag, sizeof(c->tag), "frpc-%zu", server + 1);
        c->own_log = log_child(c->log, c->tag);
        c->log = c->own_log;
    }
    if (file != NULL && server > 0) {
        mem_free(file);
        file = mem_printf("%s-%zu", c->cfg->run_id_file, server + 1);
    }
    run_id_load(&c->run_id, file, c->log);
    mem_free(file);
    snprintf(c->last_run_id, sizeof(c->last_run_id), "%s", c->run_id.text);
}

struct client *client_new(const struct client_common *common, size_t server,
                          const struct client_events *events, void *ctx)
{
    struct client *c = mem_zalloc(sizeof(*c));

    c->common = common;
    c->net = common->net;
    c->cfg = common->cfg;
    c->server = &c->cfg->servers[server];
    text_host_port(c->address, c->server->host, c->server->port);
    c->events = events;
    c->ctx = ctx;
    c->since_us = net_now_us();
    c->refused_gate =
        (struct log_gate){.what = "work connections the server refused", .level = LOG_WARN};
    c->proxies = mem_zalloc(c->cfg->n_proxies * sizeof(c->proxies[0]));
    identify(c);
    name_yourself(c, server);
    links_init(&c->links, c->net, c->log);
    uv_timer_init(net_loop(c->net), &c->retry);
    c->retry.data = c;
    return c;
}

void client_start(struct client *c)
{
    try_login(c);
}

void client_stop(struct client *c)
{
    char ended[400];

    if (c->stopping)
        return;
    c->stopping = true;
    uv_close((uv_handle_t *)&c->retry, NULL);
    dial_cancel(c->dial);
    c->dial = NULL;
    client_drop_reserve(c);
    if (c->session != NULL) {
        client_session_leave(c->session);
        links_end(&c->links, REASON_LOCAL_STOP);
        c->sessions_ended.of[REASON_LOCAL_STOP]++;
        end_session(c);
    }
    client_set_state(c, CLIENT_IDLE);
    reason_counts_text(&c->links.ended, ended, sizeof(ended));
    log_info(c->log, "stopped; %" PRIu64 " sessions; users: %s", c->sessions, ended);
}

void client_free(struct client *c)
{
    if (c == NULL)
        return;
    run_id_release(&c->run_id);
    links_free(&c->links);
    log_gate_end(&c->refused_gate);
    log_free(c->own_log);
    mem_free(c->proxies);
    mem_free_secret(c, sizeof(*c));
}
