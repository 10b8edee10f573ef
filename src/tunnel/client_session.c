#include "tunnel/client_session.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "proto/auth.h"
#include "tunnel/registration.h"
#include "tunnel/version.h"

enum {
    LOGIN_TIMEOUT_US = 10 * 1000 * 1000,
    /* Idle work connections we are willing to keep; a stock server keeps at most 15, ours asks for
     * one per waiting user. */
    MAX_IDLE_WORK = 2048,
    TEXT_SIZE = 400,
};

/* A work connection that waits for StartWorkConn. */
struct idle_work {
    struct list node;
    struct client_session *session;
    struct mux_stream *stream;
    struct frame_reader reader;
};

struct client_session {
    const struct client_config *cfg;
    const struct randomness *random;
    const struct client_session_events *events;
    void *ctx;
    struct mux_session *mux;
    struct control control;
    struct client_identity who; /* strings owned */
    char run_id[64];
    uint8_t key[CIPHER_KEY_LEN];
    struct registration proxies;
    struct list idle;
    unsigned n_idle;
    unsigned owed; /* work connections asked for that could not be opened yet */
    uint64_t now_us;
    int64_t wall_s;
    uint64_t started_us;
    uint64_t ping_us; /* last Ping sent */
    uint64_t pong_us; /* last Pong */
    bool logged_in;
    bool ended;
};

static void control_data(void *ctx, struct mux_stream *m, const uint8_t *data, size_t len);
static void control_fin(void *ctx, struct mux_stream *m);
static void control_reset(void *ctx, struct mux_stream *m, enum reason why);
static void work_data(void *ctx, struct mux_stream *m, const uint8_t *data, size_t len);
static void work_fin(void *ctx, struct mux_stream *m);
static void work_reset(void *ctx, struct mux_stream *m, enum reason why);

static const struct mux_stream_events control_stream_events = {
    .data = control_data, .fin = control_fin, .reset = control_reset};
static const struct mux_stream_events work_stream_events = {
    .data = work_data, .fin = work_fin, .reset = work_reset};

static void end(struct client_session *s, enum reason why, const char *text)
{
    if (s->ended)
        return;
    s->ended = true;
    s->control.ended = true;
    s->events->ended(s->ctx, why, text);
}

/* `said` is the peer's: escaped and cut. */
static void end_saying(struct client_session *s, enum reason why, const char *ours,
                       const char *said)
{
    char safe[TEXT_SIZE / 2];
    char text[TEXT_SIZE];

    snprintf(text, sizeof(text), "%s%s", ours, log_safe(safe, sizeof(safe), said, strlen(said)));
    end(s, why, text);
}

/* ---- login ---------------------------------------------------------------------------------- */

static void send_login(struct client_session *s)
{
    const struct msg_meta metas[] = {{MLGATE_META, MLGATE_CAPABILITIES}};
    char key[AUTH_KEY_SIZE];
    struct msg m = {.type = MSG_LOGIN};

    auth_key(key, s->cfg->token, strlen(s->cfg->token), s->wall_s);
    m.login = (struct msg_login){
        .version = FRP_VERSION,
        .hostname = s->who.hostname,
        .os = "linux",
        .arch = s->who.arch,
        .user = s->cfg->user,
        .privilege_key = key,
        .timestamp = s->wall_s,
        .run_id = s->who.run_id,
        .metas = metas,
        .n_metas = 1,
        .pool_count = s->cfg->pool_count,
    };
    if (control_send(&s->control, &m) != ERR_OK)
        end(s, REASON_PROTOCOL, "the login does not fit into a message: is `user` too long?");
}

static void ask_proxies(struct client_session *s)
{
    if (registration_tick(&s->proxies, s->now_us) != ERR_OK)
        end(s, REASON_PROTOCOL, "a proxy's name is too long for a message");
}

static void login_refused(struct client_session *s, const char *error)
{
    bool token = strstr(error, "token") != NULL || strstr(error, "authorization") != NULL;

    end_saying(s, token ? REASON_AUTH_FAILED : REASON_LOGIN_REFUSED,
               "the server refused the login: ", error);
}

static void login_answered(struct client_session *s, const struct msg_login_resp *r)
{
    if (r->error[0] != '\0') {
        login_refused(s, r->error);
        return;
    }
    if (!control_run_id_ok(r->run_id, sizeof(s->run_id))) {
        end(s, REASON_PROTOCOL, "the server gave a run_id that is too long or not printable");
        return;
    }
    memcpy(s->run_id, r->run_id, strlen(r->run_id) + 1);
    if (control_encrypt_reads(&s->control, s->key) != ERR_OK ||
        control_encrypt_writes(&s->control, s->key, s->random) != ERR_OK) {
        end(s, REASON_IO_ERROR, "the control cipher could not be set up");
        return;
    }
    s->logged_in = true;
    s->pong_us = s->now_us;
    s->events->logged_in(s->ctx, s->run_id, r->version, r->mlgate[0] != '\0');
    ask_proxies(s);
}

/* ---- work connections ----------------------------------------------------------------------- */

static void forget_work(struct idle_work *w)
{
    list_remove(&w->node);
    w->session->n_idle--;
    frame_reader_clear(&w->reader);
    mem_free(w);
}

static void send_new_work(struct client_session *s, struct mux_stream *stream)
{
    uint8_t frame[MSG_FRAME_MAX];
    char key[AUTH_KEY_SIZE];
    struct msg m = {.type = MSG_NEW_WORK_CONN};
    size_t len;

    m.new_work_conn.run_id = s->run_id;
    if (s->cfg->scopes & SCOPE_NEW_WORK_CONNS) {
        auth_key(key, s->cfg->token, strlen(s->cfg->token), s->wall_s);
        m.new_work_conn.privilege_key = key;
        m.new_work_conn.timestamp = s->wall_s;
    }
    if (msg_encode(&m, frame, sizeof(frame), &len) == ERR_OK)
        mux_send(stream, frame, len);
}

static void open_owed(struct client_session *s)
{
    while (s->owed > 0 && s->n_idle < MAX_IDLE_WORK && !s->ended) {
        struct idle_work *w = mem_zalloc(sizeof(*w));

        w->session = s;
        w->stream = mux_open(s->mux, &work_stream_events, w);
        if (w->stream == NULL) {
            mem_free(w);
            return; /* too many unanswered opens: again when answers have come */
        }
        frame_reader_init(&w->reader);
        list_push(&s->idle, &w->node);
        s->n_idle++;
        s->owed--;
        send_new_work(s, w->stream);
    }
}

static void work_asked(struct client_session *s)
{
    if (s->owed < MAX_IDLE_WORK)
        s->owed++;
    open_owed(s);
}

static void work_started(struct idle_work *w, const struct msg *m, const uint8_t *early, size_t len)
{
    struct client_session *s = w->session;
    struct mux_stream *stream = w->stream;
    size_t i = registration_of_user(&s->proxies, m->start_work_conn.proxy_name);
    bool refused = m->is_null || m->start_work_conn.error[0] != '\0';

    forget_work(w);
    if (refused && !m->is_null && !s->ended && s->events->work_refused != NULL)
        s->events->work_refused(s->ctx, m->start_work_conn.error);
    if (refused || i == s->cfg->n_proxies || s->ended)
        mux_release(stream);
    else
        s->events->work(s->ctx, stream, i, &m->start_work_conn, early, len);
    open_owed(s); /* the server's acknowledgements came before its messages */
}

static void work_data(void *ctx, struct mux_stream *m, const uint8_t *data, size_t len)
{
    struct idle_work *w = ctx;
    struct msg msg;
    size_t used;
    int rc = frame_feed(&w->reader, data, len, &used, &msg);

    mux_consumed(m, used);
    if (rc == ERR_MORE)
        return;
    if (rc == ERR_OK) {
        if (msg.type == MSG_START_WORK_CONN) {
            work_started(w, &msg, data + used, len - used);
            msg_clear(&msg);
            return;
        }
        msg_clear(&msg);
    }
    forget_work(w);
    mux_release(m);
}

static void work_fin(void *ctx, struct mux_stream *m)
{
    forget_work(ctx);
    mux_release(m);
}

static void work_reset(void *ctx, struct mux_stream *m, enum reason why)
{
    forget_work(ctx);
}

/* ---- control messages ----------------------------------------------------------------------- */

static void proxy_answered(struct client_session *s, const struct msg_new_proxy_resp *r)
{
    size_t i = registration_answered(&s->proxies, r, s->now_us);

    if (i < s->cfg->n_proxies)
        s->events->proxy(s->ctx, i, r->remote_addr, r->error);
}

static void pong(struct client_session *s, const struct msg_pong *p)
{
    if (p->error[0] != '\0')
        end_saying(s, REASON_AUTH_FAILED, "the server refused a heartbeat: ", p->error);
    else
        s->pong_us = s->now_us;
}

/* An mlgate server that lets a session go for another one says so with a second LoginResp, which
 * stock frpc ignores. */
static void dismissed(struct client_session *s, const struct msg_login_resp *r)
{
    if (r->error[0] != '\0')
        end_saying(s, REASON_REPLACED, "the server let this session go: ", r->error);
}

static void message(void *ctx, struct msg *m)
{
    struct client_session *s = ctx;

    if (!s->logged_in) {
        if (m->type == MSG_LOGIN_RESP && !m->is_null)
            login_answered(s, &m->login_resp);
        else
            end(s, REASON_PROTOCOL, "the server's first message is not a login answer");
        return;
    }
    if (m->is_null)
        return;
    switch (m->type) {
    case MSG_REQ_WORK_CONN:
        work_asked(s);
        break;
    case MSG_NEW_PROXY_RESP:
        proxy_answered(s, &m->new_proxy_resp);
        break;
    case MSG_PONG:
        pong(s, &m->pong);
        break;
    case MSG_LOGIN_RESP:
        dismissed(s, &m->login_resp);
        break;
    default:
        break; /* known to frp, not for a client in this state: ignored, as frpc does */
    }
}

static void broken(void *ctx, int code)
{
    struct client_session *s = ctx;

    if (code == ERR_NOTNOW)
        end(s, REASON_LIMIT, "the server reads nothing of what it is told");
    end(s, REASON_PROTOCOL,
        s->logged_in ? "control bytes that are not frp messages: do both ends use the same token?"
                     : "the answer to the login is not an frp message");
}

static void control_data(void *ctx, struct mux_stream *m, const uint8_t *data, size_t len)
{
    struct client_session *s = ctx;

    mux_consumed(m, len); /* control messages are handled at once and hold nothing */
    control_input(&s->control, data, len);
    open_owed(s);
}

static void control_fin(void *ctx, struct mux_stream *m)
{
    struct client_session *s = ctx;

    end(s, REASON_PEER_CLOSED,
        s->logged_in ? "the server closed the control connection"
                     : "the server closed the connection without answering the login: wrong "
                       "tcp_mux, TLS demanded, or not an frp server");
}

static void control_reset(void *ctx, struct mux_stream *m, enum reason why)
{
    struct client_session *s = ctx;

    s->control.stream = NULL;
    if (why == REASON_PEER_GONE)
        end(s, REASON_PEER_GONE, "the connection that carried the session ended");
    else
        end(s, why, "the server reset the control connection");
}

/* ---- time ----------------------------------------------------------------------------------- */

static void send_ping(struct client_session *s)
{
    char key[AUTH_KEY_SIZE];
    struct msg m = {.type = MSG_PING};

    s->ping_us = s->now_us;
    if (s->cfg->scopes & SCOPE_HEARTBEATS) {
        auth_key(key, s->cfg->token, strlen(s->cfg->token), s->wall_s);
        m.ping.privilege_key = key;
        m.ping.timestamp = s->wall_s;
    }
    control_send(&s->control, &m);
}

static uint64_t seconds(int s)
{
    return (uint64_t)s * 1000 * 1000;
}

static void tick_heartbeat(struct client_session *s)
{
    const struct client_config *cfg = s->cfg;

    if (cfg->heartbeat_interval_s <= 0)
        return;
    if (s->ping_us == 0 || s->now_us - s->ping_us >= seconds(cfg->heartbeat_interval_s))
        send_ping(s);
    if (cfg->heartbeat_timeout_s > 0 && s->now_us - s->pong_us > seconds(cfg->heartbeat_timeout_s))
        end(s, REASON_HEARTBEAT_TIMEOUT, "the server answers no heartbeat");
}

void client_session_tick(struct client_session *s, uint64_t now_us, int64_t wall_s)
{
    s->now_us = now_us;
    s->wall_s = wall_s;
    if (s->ended)
        return;
    if (!s->logged_in) {
        if (now_us - s->started_us > LOGIN_TIMEOUT_US)
            end(s, REASON_LOGIN_TIMEOUT, "the server does not answer the login");
        return;
    }
    ask_proxies(s);
    tick_heartbeat(s);
    open_owed(s);
}

/* ---- life ----------------------------------------------------------------------------------- */

struct client_session *client_session_new(const struct client_config *cfg,
                                          const struct client_identity *who, struct mux_session *m,
                                          const struct randomness *random,
                                          const struct client_session_events *events, void *ctx)
{
    struct client_session *s = mem_zalloc(sizeof(*s));

    s->cfg = cfg;
    s->mux = m;
    s->random = random;
    s->events = events;
    s->ctx = ctx;
    s->who.hostname = mem_strdup(who->hostname);
    s->who.run_id = mem_strdup(who->run_id);
    s->who.arch = mem_strdup(who->arch);
    list_init(&s->idle);
    control_init(&s->control, NULL, message, broken, s);
    registration_init(&s->proxies, cfg, &s->control);
    return s;
}

void client_session_start(struct client_session *s, uint64_t now_us, int64_t wall_s)
{
    s->now_us = now_us;
    s->wall_s = wall_s;
    s->started_us = now_us;
    if (cipher_key(s->key, s->cfg->token, strlen(s->cfg->token)) != ERR_OK) {
        end(s, REASON_IO_ERROR, "the control cipher's key could not be derived");
        return;
    }
    s->control.stream = mux_open(s->mux, &control_stream_events, s);
    if (s->control.stream == NULL)
        end(s, REASON_PROTOCOL, "the control stream could not be opened");
    else
        send_login(s);
}

bool client_session_logged_in(const struct client_session *s)
{
    return s->logged_in && !s->ended;
}

bool client_session_ready(const struct client_session *s)
{
    return client_session_logged_in(s) && registration_complete(&s->proxies);
}

bool client_session_confirmed(const struct client_session *s, size_t i)
{
    return client_session_logged_in(s) && registration_confirmed(&s->proxies, i);
}

void client_session_leave(struct client_session *s)
{
    if (!s->logged_in || s->ended)
        return;
    registration_withdraw(&s->proxies);
    s->ended = true; /* nobody asks again, and the end that follows is ours */
}

static void drop_idle(struct client_session *s)
{
    LIST_FOREACH (it, &s->idle) {
        struct idle_work *w = LIST_ENTRY(it, struct idle_work, node);

        mux_release(w->stream);
        forget_work(w);
    }
}

void client_session_free(struct client_session *s)
{
    if (s == NULL)
        return;
    s->ended = true;
    drop_idle(s);
    if (s->control.stream != NULL)
        mux_release(s->control.stream);
    control_clear(&s->control);
    registration_clear(&s->proxies);
    mem_free((char *)(uintptr_t)s->who.hostname);
    mem_free((char *)(uintptr_t)s->who.run_id);
    mem_free((char *)(uintptr_t)s->who.arch);
    mem_free_secret(s, sizeof(*s));
}
