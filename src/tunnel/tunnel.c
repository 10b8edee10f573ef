#include "tunnel/tunnel.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/shed.h"
#include "net/tls.h"

enum {
    TICK_MS = 100,
    SLOW_TICKS = 10, /* once a second */
};

/* One server of the list. */
struct door {
    struct tunnel *tunnel;
    struct client *client;
};

struct tunnel {
    struct client_common common;
    const struct tunnel_events *events;
    void *ctx;
    uv_timer_t tick;
    unsigned ticks;
    struct door *doors; /* by the index of the server */
    size_t registered;  /* servers that have confirmed every proxy */
};

static size_t index_of(const struct door *d)
{
    return (size_t)(d - d->tunnel->doors);
}

/* ---- what a client says -----------------------------------------------------------------------
 */

static void door_ready(void *ctx, bool ready)
{
    struct tunnel *t = ((struct door *)ctx)->tunnel;
    bool was_ready = tunnel_ready(t);

    t->registered = ready ? t->registered + 1 : t->registered - 1;
    if (tunnel_ready(t) != was_ready && t->events->ready != NULL)
        t->events->ready(t->ctx, !was_ready);
}

static void door_gave_up(void *ctx, enum reason why)
{
    struct tunnel *t = ((struct door *)ctx)->tunnel;

    t->events->gave_up(t->ctx, why);
}

static bool door_user(void *ctx, size_t i, struct stream *work, const char *ip, uint16_t port)
{
    const struct door *d = ctx;
    const struct tunnel_events *events = d->tunnel->events;

    return events->user != NULL && events->user(d->tunnel->ctx, index_of(d), i, work, ip, port);
}

static void offer_users(void *ctx, struct shed_list *list)
{
    struct tunnel *t = ctx;

    for (size_t i = 0; i < tunnel_servers(t); i++)
        client_offer_users(t->doors[i].client, list);
}

static void shed_user(void *ctx, const struct shed_one *one)
{
    client_shed_user(one);
}

/* Who pays, in this order: connections that only deliver their last bytes, streams whose owner has
 * left, then the users that hold most; whichever server they came by. */
static void shed_all(struct tunnel *t)
{
    static const struct shed_events users = {.look = offer_users, .pay = shed_user};

    net_shed(t->common.net);
    for (size_t i = 0; i < tunnel_servers(t); i++)
        client_shed_left(t->doors[i].client);
    if (t->events->shed != NULL)
        t->events->shed(t->ctx);
    shed(pool_excess(net_pool(t->common.net)), &users, t);
}

static void door_crowded(void *ctx)
{
    shed_all(((struct door *)ctx)->tunnel);
}

static const char *door_elsewhere(void *ctx, size_t i)
{
    const struct door *asking = ctx;
    const struct tunnel *t = asking->tunnel;

    for (size_t k = 0; k < tunnel_servers(t); k++) {
        struct client_proxy_status there;
        struct client_status status;

        client_proxy_status(t->doors[k].client, i, &there);
        client_status(t->doors[k].client, &status);
        if (k != index_of(asking) && there.state == CLIENT_PROXY_CONFIRMED)
            return status.address;
    }
    return NULL;
}

static const struct client_events door_events = {
    .ready = door_ready,
    .gave_up = door_gave_up,
    .user = door_user,
    .crowded = door_crowded,
    .elsewhere = door_elsewhere,
};

static void ticked(uv_timer_t *timer)
{
    struct tunnel *t = timer->data;

    if (pool_over(net_pool(t->common.net)))
        shed_all(t);
    if (++t->ticks % SLOW_TICKS == 0)
        pool_trim(net_pool(t->common.net));
    for (size_t i = 0; i < tunnel_servers(t); i++)
        client_tick(t->doors[i].client);
}

/* ---- life -------------------------------------------------------------------------------------
 */

static bool make_tls(struct tunnel *t, char *error, size_t size)
{
    const struct tls_client_config *tls = &t->common.cfg->tls;
    const struct tls_client_options o = {
        .ca_file = tls->ca_file,
        .cert_file = tls->cert_file,
        .key_file = tls->key_file,
        .pins = (const char *const *)tls->pins,
        .n_pins = tls->n_pins,
    };

    if (!tls->enable) {
        log_warn(net_log(t->common.net),
                 "TLS is off (tls_enable = false): everything but the control "
                 "messages crosses the network in clear");
        return true;
    }
    t->common.tls = tls_context_client(&o, error, size);
    if (t->common.tls != NULL && tls->ca_file == NULL && tls->n_pins == 0)
        log_warn(net_log(t->common.net),
                 "the server's certificate is not verified: set FRP_TLS_PIN or "
                 "FRP_TLS_CA_FILE (tls_trusted_ca_file)");
    return t->common.tls != NULL;
}

static bool make_key(struct tunnel *t, char *error, size_t size)
{
    const char *token = t->common.cfg->token;

    if (cipher_key(t->common.key, token, strlen(token)) == 0)
        return true;
    snprintf(error, size, "no cipher key could be derived from the token");
    return false;
}

static void make_doors(struct tunnel *t)
{
    size_t n = tunnel_servers(t);

    t->doors = mem_array(NULL, n, sizeof(t->doors[0]));
    for (size_t i = 0; i < n; i++) {
        t->doors[i].tunnel = t;
        t->doors[i].client = client_new(&t->common, i, &door_events, &t->doors[i]);
    }
}

struct tunnel *tunnel_new(struct net *n, const struct client_config *cfg,
                          const struct tunnel_events *events, void *ctx, char *error, size_t size)
{
    struct tunnel *t = mem_zalloc(sizeof(*t));

    t->common.net = n;
    t->common.cfg = cfg;
    t->events = events;
    t->ctx = ctx;
    if (!make_tls(t, error, size) || !make_key(t, error, size)) {
        tunnel_free(t);
        return NULL;
    }
    make_doors(t);
    uv_timer_init(net_loop(n), &t->tick);
    t->tick.data = t;
    return t;
}

void tunnel_start(struct tunnel *t)
{
    uv_timer_start(&t->tick, ticked, TICK_MS, TICK_MS);
    for (size_t i = 0; i < tunnel_servers(t); i++)
        client_start(t->doors[i].client);
}

void tunnel_stop(struct tunnel *t)
{
    uv_close((uv_handle_t *)&t->tick, NULL);
    for (size_t i = 0; i < tunnel_servers(t); i++)
        client_stop(t->doors[i].client);
}

void tunnel_free(struct tunnel *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; t->doors != NULL && i < tunnel_servers(t); i++)
        client_free(t->doors[i].client);
    mem_free(t->doors);
    tls_context_free(t->common.tls);
    mem_free_secret(t, sizeof(*t));
}

/* ---- for others -------------------------------------------------------------------------------
 */

bool tunnel_ready(const struct tunnel *t)
{
    return t->registered > 0;
}

uint64_t tunnel_sessions(const struct tunnel *t)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < tunnel_servers(t); i++) {
        struct client_status s;

        client_status(t->doors[i].client, &s);
        sum += s.sessions;
    }
    return sum;
}

size_t tunnel_servers(const struct tunnel *t)
{
    return t->common.cfg->n_servers;
}

const struct client *tunnel_client(const struct tunnel *t, size_t server)
{
    return t->doors[server].client;
}
