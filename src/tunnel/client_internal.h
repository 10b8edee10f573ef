/* What the client's files share. No one else includes this.
 *
 * client.c: from start to stop, from one session to the next. client_events.c: what a session says.
 * client_alive.c: whether the connection lives, and the reserve beside it. client_status.c: what
 * others may know. */
#ifndef TUNNEL_CLIENT_INTERNAL_H
#define TUNNEL_CLIENT_INTERNAL_H

#include "base/text.h"
#include "net/dial.h"
#include "net/sockaddr.h"
#include "tunnel/backoff.h"
#include "tunnel/carrier.h"
#include "tunnel/client.h"
#include "tunnel/client_session.h"
#include "tunnel/link.h"
#include "tunnel/run_id.h"
#include "tunnel/work.h"

enum { CLIENT_REFUSAL = 400 }; /* of the server's words this much is kept */

/* What the server said of one proxy. */
struct client_proxy {
    uint16_t port; /* granted; 0: none yet */
    char error[CLIENT_REFUSAL];
};

struct client {
    const struct client_common *common;
    struct net *net;                  /* the common one, and so is */
    const struct client_config *cfg;  /* ... this */
    const struct server_addr *server; /* one of cfg->servers, and its text for the log */
    char address[TEXT_HOST_PORT];
    const struct client_events *events;
    void *ctx;
    struct log *log;
    char tag[24];        /* of `own_log` */
    struct log *own_log; /* NULL: the net's is used */
    struct run_id run_id;
    char last_run_id[80]; /* what the server calls us; sent with the next login */
    char hostname[128];
    char arch[65];

    enum client_state state;
    uint64_t since_us; /* of the state */
    struct dial *dial;
    struct carrier *carrier;
    struct client_session *session;
    struct client_proxy *proxies; /* by the index of the configuration */

    struct dial *reserve_dial;
    struct conn *reserve;
    uint64_t reserve_since_us;
    uint64_t reserve_up_us;
    uint64_t acked; /* what TCP had acknowledged when we last looked */
    uint64_t progress_us;

    struct backoff backoff;
    uint64_t next_try_us;
    uv_timer_t retry;
    unsigned ticks;
    struct sockaddr_in6 last_good; /* of either family; sin6_family 0: none yet */

    struct links links;
    struct work_counts users;
    struct log_gate refused_gate;
    uint64_t sessions;
    uint64_t login_us;        /* of this session; 0: not logged in */
    uint64_t sessions_before; /* `sessions` when the present connection began */
    struct reason_counts sessions_ended;
    enum reason last_why;
    uint64_t last_end_us;
    char last_end[CLIENT_SENTENCE];
    bool was_logged_in; /* ever: login_fail_exit speaks of the first only */
    bool peer_mlgate;
    bool stopping;
};

/* client.c */
/* Tells the owner when readiness changes with it. */
void client_set_state(struct client *c, enum client_state state);
/* To the client's server, by the way that worked last. */
struct dial *client_dial(struct client *c,
                         void (*done)(void *, struct conn *, enum reason, const char *));
int64_t client_wall_seconds(void);

/* client_events.c */
extern const struct client_session_events client_session_events;

/* client_alive.c */
/* A connection begins: nothing is known of it. */
void client_alive_begin(struct client *c);
/* Judges the connection of a session that is logged in; may end it. */
void client_alive_tick(struct client *c, uint64_t now_us);
/* The reserve, proven open, which is the caller's from here on; NULL when there is none. */
struct conn *client_take_reserve(struct client *c);
void client_drop_reserve(struct client *c);

#endif
