/* The frp server: one port for clients, one for each proxy they register.
 *
 * Serves stock frpc 0.65 to 0.70 and mlgate clients. One object per loop, nothing static. */
#ifndef TUNNEL_SERVER_H
#define TUNNEL_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/count.h"
#include "config/server_config.h"
#include "net/net.h"

struct server;

/* Bytes are counted at the end of a user and once a second before. */
struct server_status {
    uint64_t clients;  /* logged in */
    uint64_t logins;   /* that were accepted */
    uint64_t openings; /* connections that have not logged in yet */
    uint64_t proxies;
    uint64_t users;     /* connected or waiting */
    uint64_t all_users; /* that ever came */
    uint64_t bytes_in;  /* users to services */
    uint64_t bytes_out;
    struct reason_counts sessions_ended;
    struct reason_counts openings_ended; /* without a login, or with one that was refused */
    struct reason_counts users_ended;
};

/* A proxy that is registered now. */
struct server_proxy {
    const char *name; /* its client's word, any bytes; valid until the next turn */
    uint16_t port;
    uint64_t users; /* connected or waiting */
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t round_trip_us; /* of its client's mux; 0: not measured, or the client is away */
};

/* Reads certificates, listens. `cfg` must outlive it. NULL with one sentence in `error`. */
struct server *server_new(struct net *n, const struct server_config *cfg, char *error, size_t size);
/* The real port, for bind_port 0. */
uint16_t server_port(const struct server *s);
/* Closes everything. Then server_free, after the loop ran dry. */
void server_stop(struct server *s);
void server_status(const struct server *s, struct server_status *out);
/* The registered proxy on the lowest port from `port` on; false when there is none. */
bool server_proxy_from(const struct server *s, unsigned port, struct server_proxy *out);
void server_free(struct server *s);

#endif
