/* The server's half of frp over one mux: the login and its proofs, proxies asked for and answered,
 * heartbeats, the pool of work connections.
 *
 * Sans I/O and without a clock, like client_session. One object per physical connection; it becomes
 * a session with the first good login and ends with its control stream. Policy that reaches beyond
 * one connection (run_id, ports, other sessions) is the owner's, asked through events. */
#ifndef TUNNEL_SERVER_SESSION_H
#define TUNNEL_SERVER_SESSION_H

#include <stdbool.h>

#include "base/list.h"
#include "base/reason.h"
#include "config/server_config.h"
#include "mux/session.h"
#include "proto/msg.h"
#include "tunnel/control.h"

struct server_session;

enum {
    RUN_ID_SIZE = 65, /* the longest run_id we take from a client, terminated */
    ERROR_SIZE = 256, /* texts of refusals */
    /* A client needs one stream to log in. frpc opens no second one before the answer. */
    MAX_STREAMS_BEFORE_LOGIN = 4,
};

struct server_session_events {
    /* A login whose token is right. The owner accepts (true, and run_id filled: the client's own or
     * a new one) or refuses with a text for the client. Displacing others happens in here, so that
     * the answer leaves when their ports are free. */
    bool (*login)(void *ctx, const struct msg_login *login, char run_id[RUN_ID_SIZE],
                  char error[ERROR_SIZE]);
    /* Answer with server_session_answer, at once or later. Strings are valid during the call. */
    void (*new_proxy)(void *ctx, const struct msg_new_proxy *p);
    void (*close_proxy)(void *ctx, const char *name);
    /* Over, told once. A connection that never logged in says so too. `text` is one sentence. */
    void (*ended)(void *ctx, enum reason why, const char *text);
};

/* A user waiting for a work connection. Embedded in the owner's object. */
struct work_want {
    struct list node;
    /* The stream is the owner's now: it must attach (mux_attach) before returning. May be called
     * inside server_session_want. */
    void (*got)(struct work_want *w, struct mux_stream *s);
};

/* All pointers must outlive the session. `key` is cipher_key of the token. */
struct server_session *server_session_new(const struct server_config *cfg,
                                          const uint8_t key[CIPHER_KEY_LEN], struct mux_session *m,
                                          const struct randomness *random,
                                          const struct server_session_events *events, void *ctx);
/* For the mux's `opened` event: takes the new stream in. */
bool server_session_opened(struct server_session *s, struct mux_stream *stream);
/* Call at least once a second. `wall_s` is Unix time. */
void server_session_tick(struct server_session *s, uint64_t now_us, int64_t wall_s);

bool server_session_logged_in(const struct server_session *s);
/* Empty before the login. */
const char *server_session_run_id(const struct server_session *s);
const char *server_session_user(const struct server_session *s);
const char *server_session_hostname(const struct server_session *s);
/* The client is one of ours: it keeps half-closes and resets. */
bool server_session_mlgate(const struct server_session *s);

/* Tells an mlgate client why its session ends now; a stock one learns nothing, as from frps. */
void server_session_dismiss(struct server_session *s, const char *why);
/* error "" confirms. With detailed_errors off the client is told less (as frps). */
void server_session_answer(struct server_session *s, const char *proxy_name,
                           const char *remote_addr, const char *error);
void server_session_want(struct server_session *s, struct work_want *w);
/* Idempotent; the node must have been list_init'ed once. */
void server_session_unwant(struct server_session *s, struct work_want *w);

/* Sends StartWorkConn on a stream got from server_session_want. */
int server_session_start_work(struct mux_stream *stream, const struct msg_start_work_conn *start);
/* Not inside its events. The mux must still be there. */
void server_session_free(struct server_session *s);

#endif
