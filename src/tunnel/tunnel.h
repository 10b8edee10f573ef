/* The tunnel: a client (tunnel/client.h) for each server of the configuration, side by side. They
 * share the loop, the memory limit and the way users go on; each has its own connection, run_id,
 * back-off and proxies. One that is away is nobody else's trouble. */
#ifndef TUNNEL_TUNNEL_H
#define TUNNEL_TUNNEL_H

#include "tunnel/client.h"

struct tunnel;

struct tunnel_events {
    /* Registered with at least one server / with none any more. May be NULL. */
    void (*ready)(void *ctx, bool ready);
    /* login_fail_exit: a first login failed and nobody tries it again. The owner stops. */
    void (*gave_up)(void *ctx, enum reason why);
    /* A user of the i-th proxy, who came by the `server`-th server. Whoever returns true owns the
     * stream and opens it with work_open; otherwise, or when this is NULL, it is joined to the
     * proxy's local service. `ip` is printable and "unknown" when the server did not say. */
    bool (*user)(void *ctx, size_t server, size_t i, struct stream *work, const char *ip,
                 uint16_t port);
    /* The memory limit is reached and what nobody waits for is gone. May be NULL. */
    void (*shed)(void *ctx);
};

/* `cfg`, `events` must outlive the tunnel. NULL when the configuration cannot be used, with one
 * sentence in `error`. All files that the tunnel needs are read inside. */
struct tunnel *tunnel_new(struct net *n, const struct client_config *cfg,
                          const struct tunnel_events *events, void *ctx, char *error, size_t size);
void tunnel_start(struct tunnel *t);
/* Leaves every server in order. Then tunnel_free, after the loop ran dry. */
void tunnel_stop(struct tunnel *t);
void tunnel_free(struct tunnel *t);

/* Registered with at least one server. */
bool tunnel_ready(const struct tunnel *t);
/* Logins that succeeded, with all servers. */
uint64_t tunnel_sessions(const struct tunnel *t);
size_t tunnel_servers(const struct tunnel *t);
/* For client_status and client_proxy_status. */
const struct client *tunnel_client(const struct tunnel *t, size_t server);

#endif
