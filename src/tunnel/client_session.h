/* The client's half of one frp session over one mux: login, proxies, heartbeats, work connections.
 *
 * Sans I/O and without a clock: bytes come and go through the mux, time through
 * client_session_tick, unpredictable bytes through `random`. What happens is told by events; the
 * session itself never retries a login: its end is final, and a new one is made for the next. */
#ifndef TUNNEL_CLIENT_SESSION_H
#define TUNNEL_CLIENT_SESSION_H

#include <stdbool.h>

#include "base/reason.h"
#include "config/client_config.h"
#include "mux/session.h"
#include "proto/msg.h"
#include "tunnel/control.h"

struct client_session;

struct client_session_events {
    /* The server took us in. `mlgate` is true when it is one of ours. */
    void (*logged_in)(void *ctx, const char *run_id, const char *version, bool mlgate);
    /* The server answered for proxy `index` of the configuration; `error` is "" when it listens. */
    void (*proxy)(void *ctx, size_t index, const char *remote_addr, const char *error);
    /* A user arrived. `s` is the owner's from here on: it attaches (mux_attach) or releases at
     * once. Bytes of the user follow as its data, and `early` bytes (valid during the call) came
     * already. The server's strings are unchecked. */
    void (*work)(void *ctx, struct mux_stream *s, size_t index,
                 const struct msg_start_work_conn *start, const uint8_t *early, size_t len);
    /* The server turned a work connection down; its words, unchecked. May be NULL. */
    void (*work_refused)(void *ctx, const char *error);
    /* Over, told once; `text` is one sentence with the server's words escaped. */
    void (*ended)(void *ctx, enum reason why, const char *text);
};

struct client_identity {
    const char *hostname;
    const char *run_id; /* "" or what an earlier login was given */
    const char *arch;   /* as Go names it */
};

/* `cfg`, `random`, `events` and the mux must outlive the session. Key is derived from the token. */
struct client_session *client_session_new(const struct client_config *cfg,
                                          const struct client_identity *who, struct mux_session *m,
                                          const struct randomness *random,
                                          const struct client_session_events *events, void *ctx);
/* Opens the control stream and sends the login. `wall_s`: Unix time, for the privilege key. */
void client_session_start(struct client_session *s, uint64_t now_us, int64_t wall_s);
/* Every deadline is met by calling this about ten times a second. */
void client_session_tick(struct client_session *s, uint64_t now_us, int64_t wall_s);
/* True when the server has confirmed every proxy. */
bool client_session_ready(const struct client_session *s);
/* ... this one, by its index in the configuration. */
bool client_session_confirmed(const struct client_session *s, size_t i);
bool client_session_logged_in(const struct client_session *s);
/* Takes the proxies back (CloseProxy), for a stop in order. */
void client_session_leave(struct client_session *s);
/* Not inside its events. The mux must still be there. */
void client_session_free(struct client_session *s);

#endif
