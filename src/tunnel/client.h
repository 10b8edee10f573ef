/* The tunnel client: one frp session to one server, kept for as long as the process lives.
 * tunnel/tunnel.h owns one for each server.
 *
 * It dials, logs in, registers the proxies, relays users to local services, notices a dead
 * connection (tunnel/liveness.h), and comes back (tunnel/backoff.h). */
#ifndef TUNNEL_CLIENT_H
#define TUNNEL_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/count.h"
#include "base/shed.h"
#include "config/client_config.h"
#include "net/net.h"
#include "net/stream.h"
#include "proto/cipher.h"

struct client;
struct tls_context;

/* What the clients of one configuration share. */
struct client_common {
    struct net *net;
    const struct client_config *cfg;
    struct tls_context *tls;     /* NULL: plain */
    uint8_t key[CIPHER_KEY_LEN]; /* of the work cipher */
};

struct client_events {
    /* Every proxy is confirmed / is no longer. */
    void (*ready)(void *ctx, bool ready);
    /* login_fail_exit: the first login failed and nobody tries again. The owner stops. */
    void (*gave_up)(void *ctx, enum reason why);
    /* A user of the i-th proxy. Whoever returns true owns the stream and opens it with work_open;
     * otherwise, or when this is NULL, it is joined to the proxy's local service. `ip` is printable
     * and "unknown" when the server did not say. */
    bool (*user)(void *ctx, size_t i, struct stream *work, const char *ip, uint16_t port);
    /* The memory limit is reached: the owner has all clients shed. */
    void (*crowded)(void *ctx);
    /* The address of another server that has confirmed the i-th proxy; NULL: there is none. */
    const char *(*elsewhere)(void *ctx, size_t i);
};

enum client_state {
    CLIENT_IDLE = 0,        /* not started, stopped, or given up */
    CLIENT_WAITING = 1,     /* for the next try */
    CLIENT_DIALLING = 2,    /* name, TCP and TLS */
    CLIENT_LOGGING_IN = 3,  /* connected; the login is not answered */
    CLIENT_REGISTERING = 4, /* logged in; not every proxy is confirmed */
    CLIENT_REGISTERED = 5,
    CLIENT_STATES
};

/* A static word: "idle", "waiting", "dialling", "logging-in", "registering", "registered";
 * "unknown" for values outside the enum. */
const char *client_state_name(enum client_state state);

enum { CLIENT_SENTENCE = 512 };

/* All times are monotonic microseconds (net_now_us). */
struct client_status {
    const char *address; /* host:port as configured; lives as long as the client */
    enum client_state state;
    uint64_t since_us;    /* the state's beginning */
    uint64_t next_try_us; /* when it is due; 0: none is planned */
    uint64_t
        silent_us; /* since when nothing was heard, while another way is tried; 0: it answers */
    struct {
        enum reason why; /* REASON_NONE: nothing has ended yet */
        uint64_t at_us;
        char text[CLIENT_SENTENCE]; /* as in the log, with the remedy; escaped already */
    } last_end;                     /* of a session or of a try to get one */
    uint64_t sessions;              /* logins that succeeded */
    uint64_t round_trip_us;         /* of the mux; 0: not measured */
    uint64_t streams;               /* users served now */
    uint64_t users;                 /* all that came */
    uint64_t bytes_in;              /* users to services */
    uint64_t bytes_out;
    struct reason_counts relays_ended; /* of users joined to a proxy's local service */
    struct reason_counts sessions_ended;
};

enum client_proxy_state {
    CLIENT_PROXY_WAITING = 0, /* not asked for, asked for, or taken back with its unit */
    CLIENT_PROXY_CONFIRMED = 1,
    CLIENT_PROXY_REFUSED = 2, /* by the last answer; it is asked for again */
};

struct client_proxy_status {
    enum client_proxy_state state;
    uint16_t remote_port; /* 0: the server picks one and has not said which */
    const char *error;    /* the server's words, escaped; "" unless refused. Until the next turn */
};

/* A client of the configuration's `server`-th server. With more than one server its log lines have
 * the tag frpc-1, frpc-2 ..., and the run_id of each but the first is kept in a file of its own
 * (run_id_file with -2, -3 ... behind it). `common` and `events` must outlive the client. */
struct client *client_new(const struct client_common *common, size_t server,
                          const struct client_events *events, void *ctx);
void client_start(struct client *c);
/* Every deadline is met by calling this about ten times a second, between start and stop. */
void client_tick(struct client *c);
/* Leaves in order: proxies taken back, sessions closed. Then client_free, after the loop ran dry.
 */
void client_stop(struct client *c);
void client_free(struct client *c);

/* While the pool is over its limit: resets streams whose owner has left ... */
void client_shed_left(struct client *c);
/* ... offers the users that are joined to a local service; ends one that a client offered. */
void client_offer_users(struct client *c, struct shed_list *list);
void client_shed_user(const struct shed_one *one);

/* Every proxy is confirmed. */
bool client_ready(const struct client *c);
void client_status(const struct client *c, struct client_status *out);
/* Of the configuration's i-th proxy. */
void client_proxy_status(const struct client *c, size_t i, struct client_proxy_status *out);

#endif
