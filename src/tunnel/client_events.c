/* What the session says: login, answers for proxies, users. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "tunnel/client_internal.h"
#include "tunnel/random.h"

/* Whether every proxy is confirmed now. */
static void look_at_proxies(struct client *c)
{
    client_set_state(c, client_session_ready(c->session) ? CLIENT_REGISTERED : CLIENT_REGISTERING);
}

static void logged_in(void *ctx, const char *run_id, const char *version, bool mlgate)
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
    log_info(c->log, "login to server %s success (%s %s), run id %.4s...", c->address,
             mlgate ? "mlgate, frp level" : "frp",
             log_safe(safe, sizeof(safe), version, strlen(version)), run_id);
    look_at_proxies(c);
}

/* The port at the end of what the server calls the proxy's address; 0 when there is none. */
static uint16_t port_of(const char *remote_addr)
{
    const char *colon = strrchr(remote_addr, ':');
    char *end;
    unsigned long port = colon ? strtoul(colon + 1, &end, 10) : 0;

    return colon != NULL && *end == '\0' && port <= UINT16_MAX ? (uint16_t)port : 0;
}

/* Both frps and ours say "already used" or "already exists" of what somebody else holds. */
static bool taken(const char *error)
{
    return strstr(error, "already") != NULL;
}

static void say_refused(const struct client *c, size_t i)
{
    const struct proxy_config *p = &c->cfg->proxies[i];
    const char *elsewhere = c->events->elsewhere(c->ctx, i);

    if (elsewhere != NULL && taken(c->proxies[i].error))
        log_warn(c->log,
                 "[%s] the server refused remote port %u: %s; another entry of FRP_SERVER, "
                 "%s, has it: do both lead to the same server? Then leave one of them out",
                 p->name, p->remote_port, c->proxies[i].error, elsewhere);
    else
        log_warn(c->log, "[%s] the server refused remote port %u: %s%s", p->name, p->remote_port,
                 c->proxies[i].error,
                 c->cfg->fate_shared ? "; all proxies wait until every one is taken" : "");
}

static void proxy_answered(void *ctx, size_t i, const char *remote_addr, const char *error)
{
    struct client *c = ctx;
    const struct proxy_config *p = &c->cfg->proxies[i];
    char safe[CLIENT_REFUSAL];

    log_safe(c->proxies[i].error, sizeof(c->proxies[i].error), error, strlen(error));
    if (error[0] == '\0') {
        c->proxies[i].port = port_of(remote_addr);
        log_info(c->log, "[%s] start proxy success: %s on the server leads to %s:%u", p->name,
                 log_safe(safe, sizeof(safe), remote_addr, strlen(remote_addr)), p->local_ip,
                 p->local_port);
    } else {
        say_refused(c, i);
    }
    look_at_proxies(c);
}

static void work_arrived(void *ctx, struct mux_stream *s, size_t i,
                         const struct msg_start_work_conn *start, const uint8_t *early, size_t len)
{
    struct client *c = ctx;
    const struct proxy_config *p = &c->cfg->proxies[i];
    const struct work_options o = {
        .net = c->net,
        .key = p->use_encryption ? c->common->key : NULL,
        .random = &system_randomness,
        .exact_ends = c->peer_mlgate,
        .counts = &c->users,
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

static void work_refused(void *ctx, const char *error)
{
    struct client *c = ctx;
    char safe[CLIENT_REFUSAL];
    char more[LOG_HELD_MAX];

    if (net_gate(c->net, &c->refused_gate, c->log, more))
        log_warn(c->log, "the server refused a work connection: %s%s",
                 log_safe(safe, sizeof(safe), error, strlen(error)), more);
}

static void session_ended(void *ctx, enum reason why, const char *text)
{
    struct client *c = ctx;

    carrier_fail(c->carrier, why, text);
}

const struct client_session_events client_session_events = {
    .logged_in = logged_in,
    .proxy = proxy_answered,
    .work = work_arrived,
    .work_refused = work_refused,
    .ended = session_ended,
};
