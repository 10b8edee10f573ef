#include "tunnel/server.h"

#include <stdio.h>

#include "tunnel/server_internal.h"

void server_status(const struct server *s, struct server_status *out)
{
    *out = (struct server_status){
        .clients = s->n_peers,
        .logins = s->logins,
        .openings = s->n_openings,
        .proxies = s->names.count,
        .users = s->n_visits,
        .all_users = s->users,
        .bytes_in = s->bytes_in,
        .bytes_out = s->bytes_out,
        .sessions_ended = s->sessions_ended,
        .openings_ended = s->openings_ended,
        .users_ended = s->users_ended,
    };
}

/* ---- proxies --------------------------------------------------------------------------------- */

void server_proxy_tell(const struct proxy *x, struct server_proxy *out)
{
    *out = (struct server_proxy){
        .name = x->name,
        .port = x->port,
        .users = x->users,
        .bytes_in = x->bytes_in,
        .bytes_out = x->bytes_out,
        .round_trip_us = x->peer != NULL ? mux_round_trip_us(carrier_mux(x->peer->carrier)) : 0,
    };
}

bool server_proxy_from(const struct server *s, unsigned port, struct server_proxy *out)
{
    const struct proxy *x = NULL;

    for (; port <= UINT16_MAX && x == NULL; port++)
        x = s->ports[port];
    if (x == NULL)
        return false;
    server_proxy_tell(x, out);
    return true;
}

/* ---- clients --------------------------------------------------------------------------------- */

static void tell_client(const struct peer *p, const struct server_listener *l, void *ctx)
{
    const struct server_client c = {
        .hostname = server_session_hostname(p->session),
        .address = p->address,
        .run_id = server_session_run_id(p->session),
        .mlgate = server_session_mlgate(p->session),
        .since_us = p->since_us,
        .round_trip_us = mux_round_trip_us(carrier_mux(p->carrier)),
    };

    l->client(ctx, &c);
    LIST_FOREACH (it, &p->proxies) {
        struct server_proxy told;

        server_proxy_tell(LIST_ENTRY(it, struct proxy, node), &told);
        l->proxy(ctx, &told);
    }
}

void server_tell_clients(const struct server *s, const struct server_listener *l, void *ctx)
{
    LIST_FOREACH (it, &s->peers)
        tell_client(LIST_ENTRY(it, struct peer, node), l, ctx);
}

/* ---- refusals -------------------------------------------------------------------------------- */

void server_note_refusal(struct server *s, enum server_refused kind, const char *address,
                         enum reason why, const char *text)
{
    struct server_refusal *r = &s->refused[kind][s->n_refused[kind]++ % REFUSED_KEPT];

    r->at_us = net_now_us();
    r->why = why;
    snprintf(r->address, sizeof(r->address), "%s", address);
    snprintf(r->text, sizeof(r->text), "%s", text);
}

const struct server_refusal *server_refusal_at(const struct server *s, enum server_refused kind,
                                               size_t i)
{
    if (i >= REFUSED_KEPT || i >= s->n_refused[kind])
        return NULL;
    return &s->refused[kind][(s->n_refused[kind] - 1 - i) % REFUSED_KEPT];
}
