/* The tunnel client: one frp session to one server, kept for as long as the process lives.
 *
 * It dials, logs in, registers the proxies, relays users to local services, notices a dead
 * connection (tunnel/liveness.h), and comes back (tunnel/backoff.h). */
#ifndef TUNNEL_CLIENT_H
#define TUNNEL_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/count.h"
#include "config/client_config.h"
#include "net/net.h"
#include "net/stream.h"

struct client;

struct client_events {
    /* Every proxy is confirmed / is no longer. May be NULL. */
    void (*ready)(void *ctx, bool ready);
    /* login_fail_exit: the first login failed and nobody tries again. The owner stops. */
    void (*gave_up)(void *ctx, enum reason why);
    /* A user of the i-th proxy. Whoever returns true owns the stream and opens it with work_open;
     * otherwise, or when this is NULL, it is joined to the proxy's local service. `ip` is printable
     * and "unknown" when the server did not say. */
    bool (*user)(void *ctx, size_t i, struct stream *work, const char *ip, uint16_t port);
    /* The memory limit is reached and the tunnel itself holds no more. May be NULL. */
    void (*shed)(void *ctx);
};

struct client_status {
    bool ready;
    bool logged_in;
    uint64_t sessions;      /* logins that succeeded */
    uint64_t round_trip_us; /* of the mux; 0: not measured */
    uint64_t streams;       /* relays alive */
    uint64_t bytes_in;      /* users to services */
    uint64_t bytes_out;
    struct reason_counts relays_ended;
    struct reason_counts sessions_ended;
};

/* `cfg`, `events` must outlive the client. NULL when the configuration cannot be used, with one
 * sentence in `error`. */
struct client *client_new(struct net *n, const struct client_config *cfg,
                          const struct client_events *events, void *ctx, char *error, size_t size);
void client_start(struct client *c);
/* Leaves in order: proxies taken back, sessions closed. Then client_free, after the loop ran dry.
 */
void client_stop(struct client *c);
void client_status(const struct client *c, struct client_status *out);
void client_free(struct client *c);

#endif
