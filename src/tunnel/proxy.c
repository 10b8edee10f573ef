#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "tunnel/random.h"
#include "tunnel/server_internal.h"

enum {
    /* How long a session may leave a ping unanswered before its ports go to a newcomer. */
    CLAIM_US = 1000 * 1000,
    /* How long listeners of a replaced session wait for the new one to ask for them. */
    ORPHAN_US = 10 * 1000 * 1000,
    /* Random tries for remote_port 0 before "no available port". */
    PICK_TRIES = 64,
    STICKY_MAX = 10000, /* names whose port is remembered */
    MAX_NAME = 256,
    MAX_CLAIMS = 64, /* of one client at once; more are refused at once */
};

static const char ok[] = "";

static void note_refused(struct peer *p, const char *safe_name, const char *error)
{
    char safe[ERROR_SIZE];
    char text[sizeof(((struct server_refusal *)0)->text)];

    snprintf(text, sizeof(text), "[%.90s] %.100s", safe_name,
             log_safe(safe, sizeof(safe), error, strlen(error)));
    server_note_refusal(p->server, REFUSED_PROXY, p->address, REASON_NONE, text);
}

static void answer(struct peer *p, const char *name, const char *remote_addr, const char *error)
{
    struct server *s = p->server;
    char safe_name[MAX_NAME];
    char safe_error[ERROR_SIZE];
    char more[LOG_HELD_MAX];
    bool refused = error[0] != '\0';

    log_safe(safe_name, sizeof(safe_name), name, strlen(name));
    if (!net_gate(s->net, refused ? &s->proxy_gate : &s->client_gate, s->log, more))
        log_debug(s->log, "proxy [%s] of %s %s", safe_name, p->address,
                  refused ? "refused" : "listens");
    else if (refused)
        log_warn(s->log, "proxy [%s] of %s refused: %s%s", safe_name, p->address,
                 log_safe(safe_error, sizeof(safe_error), error, strlen(error)), more);
    else
        log_info(s->log, "proxy [%s] of %s listens on %s%s", safe_name, p->address, remote_addr,
                 more);
    if (refused)
        note_refused(p, safe_name, error);
    server_session_answer(p->session, name, remote_addr, error);
}

/* ---- registered proxies ------------------------------------------------------------------------
 */

void proxy_free(struct proxy *x)
{
    struct server *s = x->server;

    visit_drop_waiting(x, REASON_PROXY_CLOSED);
    listener_close(x->listener);
    if (x->peer != NULL)
        x->peer->n_ports--;
    list_remove(&x->node);
    map_remove(&s->names, x->name);
    s->ports[x->port] = NULL;
    mem_free(x->name);
    mem_free(x);
}

static void adopt(struct proxy *x, struct peer *p, bool use_encryption)
{
    list_remove(&x->node);
    list_push(&p->proxies, &x->node);
    x->peer = p;
    x->use_encryption = use_encryption;
    p->n_ports++;
}

static void confirm(struct proxy *x)
{
    char remote[16];

    snprintf(remote, sizeof(remote), ":%u", x->port);
    answer(x->peer, x->name, remote, ok);
    visit_resume(x);
}

static struct listener *listen_on(struct server *s, uint16_t port, struct proxy *x)
{
    struct sockaddr_storage at = s->proxy_bind;
    int error;

    if (at.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)&at)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)&at)->sin_port = htons(port);
    return listener_open(s->net, (const struct sockaddr *)&at, visit_accept, x, &error);
}

static struct listener *listen_sticky(struct server *s, struct proxy *x)
{
    uint16_t port = (uint16_t)(uintptr_t)map_get(&s->sticky, x->name);

    if (port == 0 || s->ports[port] != NULL || !server_config_port_allowed(s->cfg, port))
        return NULL;
    x->port = port;
    return listen_on(s, port, x);
}

static uint16_t random_port(struct server *s)
{
    const struct server_config *cfg = s->cfg;
    struct port_range any = {1, 65535};
    const struct port_range *r = &any;
    uint32_t random[2];

    system_randomness.fill(NULL, (uint8_t *)random, sizeof(random));
    if (cfg->n_allow_ports > 0)
        r = &cfg->allow_ports[random[0] % cfg->n_allow_ports];
    return (uint16_t)(r->first + random[1] % ((unsigned)r->last - r->first + 1));
}

static struct listener *listen_random(struct server *s, struct proxy *x)
{
    struct listener *l = listen_sticky(s, x);

    for (int i = 0; l == NULL && i < PICK_TRIES; i++) {
        x->port = random_port(s);
        if (s->ports[x->port] == NULL)
            l = listen_on(s, x->port, x);
    }
    return l;
}

static void register_proxy(struct peer *p, const char *name, uint16_t port, bool use_encryption)
{
    struct server *s = p->server;
    struct proxy *x = mem_zalloc(sizeof(*x));

    x->server = s;
    x->name = mem_strdup(name);
    x->port = port;
    x->number = ++s->last_number;
    list_init(&x->node);
    list_init(&x->waiting);
    x->listener = port ? listen_on(s, port, x) : listen_random(s, x);
    if (x->listener == NULL) {
        answer(p, name, "", port ? "port unavailable" : "no available port");
        mem_free(x->name);
        mem_free(x);
        return;
    }
    map_put(&s->names, x->name, x);
    if (port == 0 && s->sticky.count < STICKY_MAX)
        map_put(&s->sticky, x->name, (void *)(uintptr_t)x->port);
    s->ports[x->port] = x;
    adopt(x, p, use_encryption);
    confirm(x);
}

/* ---- conflicts ---------------------------------------------------------------------------------
 */

static bool too_many_ports(const struct peer *p)
{
    int limit = p->server->cfg->max_ports_per_client;

    return limit > 0 && p->n_ports >= (unsigned)limit;
}

static struct proxy *holder(struct server *s, const char *name, uint16_t port)
{
    struct proxy *x = map_get(&s->names, name);

    return x != NULL || port == 0 ? x : s->ports[port];
}

static void refuse_taken(struct peer *p, const struct proxy *x, const char *name)
{
    char error[ERROR_SIZE];
    const char *host = x->peer ? server_session_hostname(x->peer->session) : "";

    if (strcmp(x->name, name) == 0)
        snprintf(error, sizeof(error), "proxy [%.100s] already exists: %.60s at %s is online", name,
                 host, x->peer ? x->peer->address : "nobody");
    else
        snprintf(error, sizeof(error), "port already used: %.60s at %s is online", host,
                 x->peer ? x->peer->address : "nobody");
    answer(p, name, "", error);
}

static bool claimed_already(const struct peer *p, const char *name)
{
    LIST_FOREACH (it, &p->server->claims) {
        const struct claim *c = LIST_ENTRY(it, struct claim, node);

        if (c->peer == p && strcmp(c->name, name) == 0)
            return true;
    }
    return false;
}

static void ask_holder(struct claim *c, struct peer *holding, uint64_t now_us)
{
    c->asked = holding;
    c->since_us = now_us;
    mux_time(carrier_mux(holding->carrier), now_us);
    mux_ping(carrier_mux(holding->carrier));
}

/* The answer is held until the holder has shown that it lives, or has not. */
static void hold_claim(struct peer *p, struct proxy *x, const char *name, uint16_t port,
                       bool use_encryption)
{
    struct claim *c;

    if (claimed_already(p, name))
        return;
    if (p->n_claims >= MAX_CLAIMS) {
        refuse_taken(p, x, name);
        return;
    }
    c = mem_zalloc(sizeof(*c));
    c->peer = p;
    c->name = mem_strdup(name);
    c->port = port;
    c->use_encryption = use_encryption;
    p->n_claims++;
    list_push(&p->server->claims, &c->node);
    ask_holder(c, x->peer, net_now_us());
}

static void free_claim(struct claim *c)
{
    c->peer->n_claims--;
    list_remove(&c->node);
    mem_free(c->name);
    mem_free(c);
}

static void request(struct peer *p, const char *name, uint16_t port, bool use_encryption)
{
    struct proxy *x = holder(p->server, name, port);

    if (x == NULL) {
        register_proxy(p, name, port, use_encryption);
    } else if (x->peer == p) {
        refuse_taken(p, x, name); /* also frpc's second question after a slow answer */
    } else if (x->peer != NULL) {
        hold_claim(p, x, name, port, use_encryption);
    } else if (strcmp(x->run_id, server_session_run_id(p->session)) != 0) {
        refuse_taken(p, x, name);
    } else if (strcmp(x->name, name) == 0 && (port == 0 || port == x->port)) {
        adopt(x, p, use_encryption);
        confirm(x);
    } else {
        proxy_free(x); /* its own client wants something else now */
        request(p, name, port, use_encryption);
    }
}

/* Anything heard since the question shows life, not only the answer, which may wait behind bulk. */
static bool answered(const struct claim *c)
{
    return c->asked != NULL && carrier_heard_us(c->asked->carrier) > c->since_us;
}

/* The peer that stands in the claim's way now, NULL when nobody does. */
static struct peer *in_the_way(const struct claim *c)
{
    struct proxy *x = holder(c->peer->server, c->name, c->port);

    return x != NULL && x->peer != c->peer ? x->peer : NULL;
}

/* Grants; a port limit may have been reached while the claim was held. */
static void grant(struct claim *c)
{
    struct peer *p = c->peer;
    char *name = c->name;
    uint16_t port = c->port;
    bool use_encryption = c->use_encryption;

    c->name = NULL;
    free_claim(c);
    if (too_many_ports(p))
        answer(p, name, "", "exceed the max_ports_per_client");
    else
        request(p, name, port, use_encryption);
    mem_free(name);
}

/* False when it has to wait on. Otherwise the claim is gone or its holder is, and others may be. */
static bool settled(struct claim *c, uint64_t now_us)
{
    struct peer *holding = in_the_way(c);

    if (holding == NULL) {
        grant(c);
        return true;
    }
    if (holding != c->asked) {
        ask_holder(c, holding, now_us); /* another one has come to hold it */
        return false;
    }
    if (answered(c)) {
        refuse_taken(c->peer, holder(c->peer->server, c->name, c->port), c->name);
        free_claim(c);
        return true;
    }
    if (now_us < c->since_us || now_us - c->since_us < CLAIM_US)
        return false;
    peer_free(holding, REASON_DISPLACED,
              "it answers no ping while another client asks for its ports");
    return true; /* the claim is granted on the next look */
}

static bool settle_one(struct server *s, uint64_t now_us)
{
    LIST_FOREACH (it, &s->claims)
        if (settled(LIST_ENTRY(it, struct claim, node), now_us))
            return true;
    return false;
}

/* ---- requests ----------------------------------------------------------------------------------
 */

static const char *unsupported(const struct peer *p, const struct msg_new_proxy *m, char *text,
                               size_t size)
{
    const struct server_config *cfg = p->server->cfg;

    if (m->proxy_type[0] != '\0' && strcmp(m->proxy_type, "tcp") != 0) {
        snprintf(text, size, "unknown proxy type: %.40s (this server serves tcp)", m->proxy_type);
        return text;
    }
    if (m->use_compression)
        return "use_compression is not served here: switch it off for this proxy";
    if (m->group[0] != '\0')
        return "load balancing groups are not served here";
    if (m->bandwidth_limit[0] != '\0' && strcmp(m->bandwidth_limit_mode, "server") == 0)
        return "bandwidth limits on the server side are not served here";
    if (m->proxy_name[0] == '\0' || strlen(m->proxy_name) >= MAX_NAME)
        return "a proxy needs a name of 1 to 255 bytes";
    if (m->remote_port < 0 || m->remote_port > 65535)
        return "port not allowed";
    if (m->remote_port != 0 && !server_config_port_allowed(cfg, (uint16_t)m->remote_port))
        return "port not allowed";
    if (too_many_ports(p))
        return "exceed the max_ports_per_client";
    return NULL;
}

void proxy_requested(struct peer *p, const struct msg_new_proxy *m)
{
    char text[ERROR_SIZE];
    const char *error = unsupported(p, m, text, sizeof(text));

    if (error != NULL)
        answer(p, m->proxy_name, "", error);
    else
        request(p, m->proxy_name, (uint16_t)m->remote_port, m->use_encryption);
}

static void withdraw_claim(struct peer *p, const char *name)
{
    LIST_FOREACH (it, &p->server->claims) {
        struct claim *c = LIST_ENTRY(it, struct claim, node);

        if (c->peer == p && strcmp(c->name, name) == 0)
            free_claim(c);
    }
}

void proxy_close_named(struct peer *p, const char *name)
{
    struct server *s = p->server;
    struct proxy *x = map_get(&s->names, name);
    char more[LOG_HELD_MAX];

    withdraw_claim(p, name);
    if (x == NULL || x->peer != p)
        return; /* unknown names are ignored, as frps does */
    if (net_gate(s->net, &s->client_gate, s->log, more))
        log_info(s->log, "proxy on :%u closed by its client %s%s", x->port, p->address, more);
    proxy_free(x);
}

static void orphan(struct proxy *x)
{
    struct server *s = x->server;

    snprintf(x->run_id, sizeof(x->run_id), "%s", server_session_run_id(x->peer->session));
    x->peer->n_ports--;
    x->peer = NULL;
    x->orphaned_us = net_now_us();
    list_remove(&x->node);
    list_push(&s->orphans, &x->node);
}

void proxy_peer_gone(struct peer *p, bool handed_on)
{
    LIST_FOREACH (it, &p->server->claims) {
        struct claim *c = LIST_ENTRY(it, struct claim, node);

        if (c->asked == p)
            c->asked = NULL;
        if (c->peer == p)
            free_claim(c);
    }
    while (!list_empty(&p->proxies)) {
        struct proxy *x = LIST_ENTRY(p->proxies.next, struct proxy, node);

        if (handed_on)
            orphan(x);
        else
            proxy_free(x);
    }
}

void proxy_tick(struct server *s, uint64_t now_us)
{
    while (!list_empty(&s->orphans)) {
        struct proxy *x = LIST_ENTRY(s->orphans.next, struct proxy, node);

        if (now_us - x->orphaned_us < ORPHAN_US)
            break;
        proxy_free(x);
    }
    while (settle_one(s, now_us))
        ;
}
