/* What others may know of a client. */
#include "tunnel/client_internal.h"

#include <string.h>

#include "tunnel/liveness.h"

const char *client_state_name(enum client_state state)
{
    static const char *const names[CLIENT_STATES] = {
        "idle", "waiting", "dialling", "logging-in", "registering", "registered",
    };

    return (unsigned)state < CLIENT_STATES ? names[state] : "unknown";
}

static uint64_t silent_since(const struct client *c)
{
    uint64_t heard_us = c->carrier != NULL ? carrier_heard_us(c->carrier) : 0;
    bool tries = c->carrier != NULL && c->reserve_since_us != 0;

    return tries && net_now_us() - heard_us >= LIVE_STUCK_US ? heard_us : 0;
}

bool client_ready(const struct client *c)
{
    return c->state == CLIENT_REGISTERED;
}

void client_status(const struct client *c, struct client_status *out)
{
    *out = (struct client_status){
        .address = c->address,
        .state = c->state,
        .since_us = c->since_us,
        .next_try_us = c->state == CLIENT_WAITING ? c->next_try_us : 0,
        .silent_us = silent_since(c),
        .last_end = {.why = c->last_why, .at_us = c->last_end_us},
        .sessions = c->sessions,
        .round_trip_us = c->carrier ? mux_round_trip_us(carrier_mux(c->carrier)) : 0,
        .streams = c->users.now,
        .users = c->users.all,
        .bytes_in = c->users.bytes_in,
        .bytes_out = c->users.bytes_out,
        .relays_ended = c->links.ended,
        .sessions_ended = c->sessions_ended,
    };
    memcpy(out->last_end.text, c->last_end, sizeof(out->last_end.text));
}

void client_proxy_status(const struct client *c, size_t i, struct client_proxy_status *out)
{
    const struct client_proxy *p = &c->proxies[i];
    uint16_t configured = c->cfg->proxies[i].remote_port;

    *out = (struct client_proxy_status){
        .remote_port = configured ? configured : p->port,
        .error = p->error,
    };
    if (p->error[0] != '\0')
        out->state = CLIENT_PROXY_REFUSED;
    else if (c->session != NULL && client_session_confirmed(c->session, i))
        out->state = CLIENT_PROXY_CONFIRMED;
}
