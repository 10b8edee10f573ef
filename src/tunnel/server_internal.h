/* The server's objects, shared by its files: server.c (the port for clients), peer.c (one physical
 * connection), proxy.c (ports and who holds them), visit.c (users), server_tell.c (who is
 * here), guard.c (strangers). */
#ifndef TUNNEL_SERVER_INTERNAL_H
#define TUNNEL_SERVER_INTERNAL_H

#include "base/list.h"
#include "base/map.h"
#include "net/listener.h"
#include "net/sockaddr.h"
#include "tunnel/carrier.h"
#include "tunnel/guard.h"
#include "tunnel/relay.h"
#include "tunnel/server.h"
#include "tunnel/server_session.h"

enum {
    REFUSED_KEPT = 16, /* of each kind: one screen of a status page; the log has the others */
};

struct server {
    struct net *net;
    const struct server_config *cfg;
    struct log *log;
    struct tls_context *tls;
    uint8_t key[CIPHER_KEY_LEN];
    struct listener *listener;
    struct sockaddr_storage proxy_bind; /* port 0 */
    struct guard guard;
    struct list openings; /* struct peer before its login, oldest first */
    struct list peers;    /* struct peer after it */
    struct map run_ids;   /* struct peer, logged in */
    struct map names;     /* struct proxy */
    struct map sticky;    /* name → last port, for remote_port 0 */
    struct proxy **ports; /* by number, 65536 entries */
    struct list orphans;  /* struct proxy whose client is logging in anew */
    struct list claims;   /* struct claim */
    struct list visits;   /* struct visit: every user */
    struct server_refusal refused[REFUSED_KINDS][REFUSED_KEPT];
    uint64_t n_refused[REFUSED_KINDS]; /* ever */
    uint64_t n_openings;
    uint64_t n_peers;
    uint64_t n_visits;
    uint64_t logins;
    uint64_t users;
    uint64_t last_number; /* of a proxy */
    uint64_t bytes_in;
    uint64_t bytes_out;
    struct reason_counts sessions_ended;
    struct reason_counts openings_ended;
    struct reason_counts users_ended;
    struct log_gate refused_gate; /* connections without a login */
    struct log_gate client_gate;  /* who came, who went, what is open */
    struct log_gate proxy_gate;   /* proxies refused */
    struct log_gate user_gate;    /* users without a work connection */
    struct log_gate memory_gate;  /* users reset because the memory limit is reached */
    uv_timer_t tick;
    unsigned ticks;
    bool stopping;
};

/* One physical connection: opening, then a session. */
struct peer {
    struct list node; /* server->openings or server->peers */
    struct server *server;
    struct guard_source *source; /* while opening; NULL: not tracked */
    struct conn *conn;           /* before the carrier has it */
    struct carrier *carrier;
    struct server_session *session;
    struct list proxies;
    unsigned n_ports;
    uint64_t since_us;
    bool logged_in;
    enum reason refused; /* its login was turned down; it is given a moment to leave */
    bool spoke;          /* its first bytes have come */
    bool failing;        /* already told to go, to make room */
    unsigned n_claims;
    char address[ADDR_PORT_TEXT];
};

struct proxy {
    struct list node; /* peer->proxies or server->orphans */
    struct server *server;
    struct peer *peer; /* NULL: orphaned */
    char *name;
    uint16_t port;
    bool use_encryption;
    uint64_t number; /* tells it from others that had its port; users may outlive it */
    uint64_t users;  /* connected or waiting */
    uint64_t bytes_in;
    uint64_t bytes_out;
    struct listener *listener;
    char run_id[RUN_ID_SIZE]; /* whose it was, when orphaned */
    uint64_t orphaned_us;
    struct list waiting; /* struct visit without a work connection */
};

/* A NewProxy for a name or port that another session holds: that one is asked whether it lives. */
struct claim {
    struct list node;
    struct peer *peer;  /* who wants it */
    struct peer *asked; /* whose life is in question; NULL when that one has gone */
    char *name;
    uint16_t port;
    bool use_encryption;
    uint64_t since_us; /* when `asked` was asked */
};

/* server_tell.c */
void server_note_refusal(struct server *s, enum server_refused kind, const char *address,
                         enum reason why, const char *text);
void server_proxy_tell(const struct proxy *x, struct server_proxy *out);

/* peer.c */
void peer_accept(struct listener *l, void *server);
void peer_tick(struct peer *p, uint64_t now_us);
/* Ends the connection soon, with a reason. */
void peer_fail(struct peer *p, enum reason why, const char *text);
/* Ends it now; not inside its own events. */
void peer_free(struct peer *p, enum reason why, const char *text);

/* proxy.c */
void proxy_requested(struct peer *p, const struct msg_new_proxy *m);
void proxy_close_named(struct peer *p, const char *name);
/* `handed_on`: the same run_id logs in anew; listeners stay and users wait for a moment. */
void proxy_peer_gone(struct peer *p, bool handed_on);
void proxy_free(struct proxy *x);
void proxy_tick(struct server *s, uint64_t now_us);

/* visit.c */
void visit_accept(struct listener *l, void *proxy);
/* The proxy has a (new) session: its waiting users ask for work connections. */
void visit_resume(struct proxy *x);
/* Closes the users that still wait. */
void visit_drop_waiting(struct proxy *x, enum reason why);
void visit_tick(struct server *s, uint64_t now_us, bool slow);
void visit_shed(struct server *s);
void visit_end_all(struct server *s, enum reason why);

#endif
