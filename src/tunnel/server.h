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

/* A client that is logged in. Strings are printable and valid during the call that tells. */
struct server_client {
    const char *hostname; /* its own word */
    const char *address;  /* with the port */
    const char *run_id;   /* a proof of who it is: not to be shown whole */
    bool mlgate;          /* else a stock frpc */
    uint64_t since_us;    /* its connection, monotonic */
    uint64_t round_trip_us;
};

/* Who went without what he came for. */
enum server_refused {
    REFUSED_LOGIN = 0,
    REFUSED_PROXY = 1,   /* of a client that is logged in */
    REFUSED_OPENING = 2, /* a connection that ended before a login, whoever ended it */
    REFUSED_KINDS = 3,
};

struct server_refusal {
    uint64_t at_us;
    enum reason why;
    char address[64]; /* with the port */
    char text[200];   /* one sentence, printable; cut where it is longer */
};

/* Who is told of clients and their proxies: each client, and behind it its proxies. */
struct server_listener {
    void (*client)(void *ctx, const struct server_client *c);
    void (*proxy)(void *ctx, const struct server_proxy *p);
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
/* All clients, the oldest login first, with their proxies. */
void server_tell_clients(const struct server *s, const struct server_listener *l, void *ctx);
/* The i-th of the last of a kind, the latest first; NULL beyond the last. */
const struct server_refusal *server_refusal_at(const struct server *s, enum server_refused kind,
                                               size_t i);
void server_free(struct server *s);

#endif
