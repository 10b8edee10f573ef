#include "tunnel/server_session.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/client_config.h"
#include "proto/auth.h"
#include "tunnel/version.h"

enum {
    FIRST_MESSAGE_US = 10 * 1000 * 1000, /* frps gives each conn this long for its first message */
    ASKED_TIMEOUT_US = 10 * 1000 * 1000, /* work connections asked for and not come: ask again */
    POOL_SURPLUS = 10,                   /* frps: the pool holds pool_count + 10 */
    /* First messages under way beyond the work connections that were asked for. */
    FRESH_MARGIN = 64,
    NAME_SIZE = 128,
};

/* A stream whose first message has not come, or a work connection in the pool. */
struct fresh {
    struct list node;
    struct server_session *session;
    struct mux_stream *stream;
    struct frame_reader reader;
    uint64_t since_us;
};

struct server_session {
    const struct server_config *cfg;
    const uint8_t *key;
    const struct randomness *random;
    const struct server_session_events *events;
    void *ctx;
    struct mux_session *mux;
    struct control control;
    struct list fresh; /* waiting for a first message */
    struct list pool;  /* idle work connections, oldest first */
    struct list wants;
    unsigned n_fresh;
    unsigned n_pool;
    unsigned n_wants;
    unsigned asked; /* ReqWorkConn sent and not yet answered by a work connection */
    uint64_t asked_us;
    unsigned target; /* idle connections to keep ready */
    uint64_t now_us;
    int64_t wall_s;
    uint64_t heard_us; /* last control message */
    bool logged_in;
    bool mlgate;
    bool ended;
    char run_id[RUN_ID_SIZE];
    char user[NAME_SIZE];
    char hostname[NAME_SIZE];
};

static void fresh_data(void *ctx, struct mux_stream *m, const uint8_t *data, size_t len);
static void fresh_fin(void *ctx, struct mux_stream *m);
static void fresh_reset(void *ctx, struct mux_stream *m, enum reason why);
static void pool_data(void *ctx, struct mux_stream *m, const uint8_t *data, size_t len);
static void pool_fin(void *ctx, struct mux_stream *m);
static void pool_reset(void *ctx, struct mux_stream *m, enum reason why);
static void control_data(void *ctx, struct mux_stream *m, const uint8_t *data, size_t len);
static void control_fin(void *ctx, struct mux_stream *m);
static void control_reset(void *ctx, struct mux_stream *m, enum reason why);

static const struct mux_stream_events fresh_events = {
    .data = fresh_data, .fin = fresh_fin, .reset = fresh_reset};
static const struct mux_stream_events pool_events = {
    .data = pool_data, .fin = pool_fin, .reset = pool_reset};
static const struct mux_stream_events control_events = {
    .data = control_data, .fin = control_fin, .reset = control_reset};

static void end(struct server_session *s, enum reason why, const char *text)
{
    if (s->ended)
        return;
    s->ended = true;
    s->control.ended = true;
    s->events->ended(s->ctx, why, text);
}

static const char *shown(const struct server_session *s, const char *detail, const char *plain)
{
    return s->cfg->detailed_errors ? detail : plain;
}

/* ---- work connections ----------------------------------------------------------------------- */

static void ask_for_work(struct server_session *s)
{
    const struct msg m = {.type = MSG_REQ_WORK_CONN};
    unsigned needed = s->n_wants + s->target;

    while (s->n_pool + s->asked < needed) {
        if (control_send(&s->control, &m) != ERR_OK)
            return;
        if (s->asked++ == 0)
            s->asked_us = s->now_us;
    }
}

static void serve_wants(struct server_session *s)
{
    while (s->n_wants > 0 && s->n_pool > 0) {
        struct work_want *w = LIST_ENTRY(list_pop(&s->wants), struct work_want, node);
        struct fresh *f = LIST_ENTRY(list_pop(&s->pool), struct fresh, node);
        struct mux_stream *stream = f->stream;

        s->n_wants--;
        s->n_pool--;
        mem_free(f);
        w->got(w, stream);
    }
}

int server_session_start_work(struct mux_stream *stream, const struct msg_start_work_conn *start)
{
    uint8_t frame[MSG_FRAME_MAX];
    struct msg m = {.type = MSG_START_WORK_CONN};
    size_t len;
    int rc;

    m.start_work_conn = *start;
    rc = msg_encode(&m, frame, sizeof(frame), &len);
    if (rc == ERR_OK)
        mux_send(stream, frame, len);
    return rc;
}

static void refuse_work(struct mux_stream *stream, const char *error)
{
    const struct msg_start_work_conn start = {.error = error};

    server_session_start_work(stream, &start);
    mux_release(stream);
}

void server_session_want(struct server_session *s, struct work_want *w)
{
    list_push(&s->wants, &w->node);
    s->n_wants++;
    serve_wants(s);
    ask_for_work(s);
}

void server_session_unwant(struct server_session *s, struct work_want *w)
{
    if (list_empty(&w->node))
        return;
    list_remove(&w->node);
    s->n_wants--;
}

static void join_pool(struct server_session *s, struct mux_stream *stream)
{
    struct fresh *f;

    if (s->asked > 0)
        s->asked--;
    if (s->n_pool >= s->target + s->n_wants + POOL_SURPLUS) {
        refuse_work(stream,
                    shown(s, "work connection pool is full, discarding", "invalid NewWorkConn"));
        return;
    }
    f = mem_zalloc(sizeof(*f));
    f->session = s;
    f->stream = stream;
    mux_attach(stream, &pool_events, f);
    list_push(&s->pool, &f->node);
    s->n_pool++;
}

static void leave_pool(struct fresh *f)
{
    list_remove(&f->node);
    f->session->n_pool--;
    mem_free(f);
}

/* frpc says nothing on an idle work connection; who does has broken the protocol. */
static void pool_data(void *ctx, struct mux_stream *m, const uint8_t *data, size_t len)
{
    leave_pool(ctx);
    mux_reset(m);
}

static void pool_fin(void *ctx, struct mux_stream *m)
{
    leave_pool(ctx);
    mux_release(m);
}

static void pool_reset(void *ctx, struct mux_stream *m, enum reason why)
{
    leave_pool(ctx);
}

/* The key that messages other than the login carry while their scope is on. */
static bool proven(const struct server_session *s, unsigned scope, const char *key,
                   int64_t timestamp)
{
    return !(s->cfg->scopes & scope) ||
           auth_verify(key, s->cfg->token, strlen(s->cfg->token), timestamp) == ERR_OK;
}

/* Only the login's own connection brings work connections: a run_id alone proves nothing. */
static void work_arrived(struct server_session *s, struct mux_stream *stream,
                         const struct msg_new_work_conn *w)
{
    char text[ERROR_SIZE];
    char safe[RUN_ID_SIZE];

    if (!proven(s, SCOPE_NEW_WORK_CONNS, w->privilege_key, w->timestamp)) {
        refuse_work(stream, shown(s, "token in NewWorkConn doesn't match token from configuration",
                                  "invalid NewWorkConn"));
    } else if (s->logged_in && strcmp(w->run_id, s->run_id) == 0) {
        join_pool(s, stream);
        serve_wants(s);
    } else {
        snprintf(text, sizeof(text), "no client control found for run id [%s]",
                 log_safe(safe, sizeof(safe), w->run_id, strlen(w->run_id)));
        refuse_work(stream, shown(s, text, "invalid NewWorkConn"));
    }
    if (!s->logged_in)
        end(s, REASON_PROTOCOL, "a work connection before a login");
}

/* ---- login ---------------------------------------------------------------------------------- */

static void answer_login(struct server_session *s, const char *error)
{
    struct msg m = {.type = MSG_LOGIN_RESP};

    m.login_resp.version = FRP_VERSION;
    m.login_resp.error = error;
    if (error[0] == '\0') {
        m.login_resp.run_id = s->run_id;
        m.login_resp.mlgate = MLGATE_CAPABILITIES;
    }
    control_send(&s->control, &m);
}

void server_session_dismiss(struct server_session *s, const char *why)
{
    if (s->logged_in && s->mlgate && !s->ended)
        answer_login(s, why);
}

static void refuse_login(struct server_session *s, enum reason why, const char *detail)
{
    answer_login(s, shown(s, detail, "register control error"));
    mux_finish(s->control.stream);
    end(s, why, detail);
}

/* How far a login is ahead of the server's clock. Saturates: the client may say anything. */
static int64_t skew_of(int64_t timestamp, int64_t wall_s)
{
    int64_t skew;

    if (!__builtin_sub_overflow(timestamp, wall_s, &skew) && skew != INT64_MIN)
        return skew;
    return timestamp < wall_s ? -INT64_MAX : INT64_MAX;
}

/* Stock clients prove themselves with a key over a timestamp that could be replayed for ever: only
 * a recent one is taken. The text names the skew, because a wrong clock is an honest mistake. */
static bool clock_fits(struct server_session *s, const struct msg_login *l)
{
    int64_t skew = skew_of(l->timestamp, s->wall_s);
    int64_t limit = s->cfg->login_max_skew_s;
    char text[ERROR_SIZE];

    if (limit <= 0 || (skew <= limit && skew >= -limit))
        return true;
    snprintf(text, sizeof(text),
             "the login's clock is %lld s %s the server's, more than the %d s allowed: set the "
             "clock (NTP), or raise --login-max-skew",
             (long long)(skew < 0 ? -skew : skew), skew < 0 ? "behind" : "ahead of", (int)limit);
    refuse_login(s, REASON_CLOCK_SKEW, text);
    return false;
}

static void copy_name(char *out, size_t size, const char *from)
{
    log_safe(out, size, from, strlen(from));
}

static void accept_login(struct server_session *s, const struct msg_login *l)
{
    int64_t pool = l->pool_count < s->cfg->max_pool_count ? l->pool_count : s->cfg->max_pool_count;

    s->target = pool > 0 ? (unsigned)pool : 0;
    s->logged_in = true;
    s->heard_us = s->now_us;
    s->mlgate = msg_login_meta(l, MLGATE_META) != NULL;
    answer_login(s, "");
    if (control_encrypt_writes(&s->control, s->key, s->random) != ERR_OK ||
        control_encrypt_reads(&s->control, s->key) != ERR_OK) {
        end(s, REASON_IO_ERROR, "the control cipher could not be set up");
        return;
    }
    ask_for_work(s);
}

static void login_arrived(struct server_session *s, const struct msg_login *l)
{
    char error[ERROR_SIZE] = "";

    copy_name(s->user, sizeof(s->user), l->user);
    copy_name(s->hostname, sizeof(s->hostname), l->hostname);
    if (auth_verify(l->privilege_key, s->cfg->token, strlen(s->cfg->token), l->timestamp) != ERR_OK)
        refuse_login(s, REASON_AUTH_FAILED,
                     "token in login doesn't match token from configuration");
    else if (!clock_fits(s, l))
        return;
    else if (!control_run_id_ok(l->run_id, RUN_ID_SIZE))
        refuse_login(s, REASON_LOGIN_REFUSED, "the run_id is too long or not printable");
    else if (!s->events->login(s->ctx, l, s->run_id, error))
        refuse_login(s, REASON_LOGIN_REFUSED, error);
    else
        accept_login(s, l);
}

/* ---- control messages ----------------------------------------------------------------------- */

static void ping_arrived(struct server_session *s, const struct msg_ping *p)
{
    struct msg m = {.type = MSG_PONG};

    if (!proven(s, SCOPE_HEARTBEATS, p->privilege_key, p->timestamp))
        m.pong.error =
            shown(s, "token in heartbeat doesn't match token from configuration", "invalid ping");
    control_send(&s->control, &m);
}

void server_session_answer(struct server_session *s, const char *proxy_name,
                           const char *remote_addr, const char *error)
{
    char plain[ERROR_SIZE];
    struct msg m = {.type = MSG_NEW_PROXY_RESP};

    m.new_proxy_resp.proxy_name = proxy_name;
    m.new_proxy_resp.remote_addr = remote_addr;
    m.new_proxy_resp.error = error;
    if (error[0] != '\0' && !s->cfg->detailed_errors) {
        snprintf(plain, sizeof(plain), "new proxy [%.100s] error", proxy_name);
        m.new_proxy_resp.error = plain;
    }
    control_send(&s->control, &m);
}

static void message(void *ctx, struct msg *m)
{
    struct server_session *s = ctx;

    s->heard_us = s->now_us;
    if (m->is_null)
        return;
    switch (m->type) {
    case MSG_NEW_PROXY:
        s->events->new_proxy(s->ctx, &m->new_proxy);
        break;
    case MSG_CLOSE_PROXY:
        s->events->close_proxy(s->ctx, m->close_proxy.proxy_name);
        break;
    case MSG_PING:
        ping_arrived(s, &m->ping);
        break;
    default:
        break; /* known to frp, nothing we serve: ignored, as frps does */
    }
}

static void broken(void *ctx, int code)
{
    if (code == ERR_NOTNOW)
        end(ctx, REASON_LIMIT, "the client reads none of the answers to its messages");
    end(ctx, REASON_PROTOCOL, "control bytes that are not frp messages");
}

static void control_data(void *ctx, struct mux_stream *m, const uint8_t *data, size_t len)
{
    struct server_session *s = ctx;

    mux_consumed(m, len);
    control_input(&s->control, data, len);
}

static void control_fin(void *ctx, struct mux_stream *m)
{
    end(ctx, REASON_PEER_CLOSED, "the client closed its control connection");
}

static void control_reset(void *ctx, struct mux_stream *m, enum reason why)
{
    struct server_session *s = ctx;

    s->control.stream = NULL;
    end(s, why == REASON_PEER_GONE ? REASON_PEER_GONE : REASON_PEER_RESET,
        "the client's control connection ended");
}

/* ---- first messages ------------------------------------------------------------------------- */

static void forget_fresh(struct fresh *f)
{
    list_remove(&f->node);
    f->session->n_fresh--;
    frame_reader_clear(&f->reader);
    mem_free(f);
}

static bool first_is_login(const struct server_session *s, const struct msg *m)
{
    return m->type == MSG_LOGIN && !m->is_null && s->control.stream == NULL && !s->ended;
}

static void first_message(struct fresh *f, struct msg *m, const uint8_t *rest, size_t len)
{
    struct server_session *s = f->session;
    struct mux_stream *stream = f->stream;

    forget_fresh(f);
    if (first_is_login(s, m)) {
        control_init(&s->control, stream, message, broken, s);
        mux_attach(stream, &control_events, s);
        login_arrived(s, &m->login);
        if (!s->ended)
            control_input(&s->control, rest, len);
    } else if (m->type == MSG_NEW_WORK_CONN && !m->is_null && len == 0 && !s->ended) {
        work_arrived(s, stream, &m->new_work_conn);
    } else {
        mux_release(stream);
        if (!s->logged_in)
            end(s, REASON_PROTOCOL, "the first message is not a login");
    }
}

static void fresh_data(void *ctx, struct mux_stream *m, const uint8_t *data, size_t len)
{
    struct fresh *f = ctx;
    struct server_session *s = f->session;
    struct msg msg;
    size_t used;
    int rc = frame_feed(&f->reader, data, len, &used, &msg);

    mux_consumed(m, len);
    if (rc == ERR_MORE)
        return;
    if (rc == ERR_OK) {
        first_message(f, &msg, data + used, len - used);
        msg_clear(&msg);
        return;
    }
    forget_fresh(f);
    mux_release(m);
    if (!s->logged_in)
        end(s, REASON_PROTOCOL, "the first bytes are not an frp message");
}

static void fresh_fin(void *ctx, struct mux_stream *m)
{
    forget_fresh(ctx);
    mux_release(m);
}

static void fresh_reset(void *ctx, struct mux_stream *m, enum reason why)
{
    forget_fresh(ctx);
}

bool server_session_opened(struct server_session *s, struct mux_stream *stream)
{
    struct fresh *f;

    if (s->ended ||
        s->n_fresh >= (s->logged_in ? s->asked + FRESH_MARGIN : MAX_STREAMS_BEFORE_LOGIN))
        return false;
    f = mem_zalloc(sizeof(*f));
    f->session = s;
    f->stream = stream;
    f->since_us = s->now_us;
    frame_reader_init(&f->reader);
    list_push(&s->fresh, &f->node);
    s->n_fresh++;
    mux_attach(stream, &fresh_events, f);
    return true;
}

/* ---- time and life -------------------------------------------------------------------------- */

static void tick_fresh(struct server_session *s)
{
    while (!list_empty(&s->fresh)) {
        struct fresh *f = LIST_ENTRY(s->fresh.next, struct fresh, node);

        if (s->now_us - f->since_us <= FIRST_MESSAGE_US)
            return;
        mux_release(f->stream);
        forget_fresh(f);
    }
}

static void tick_work(struct server_session *s)
{
    if (s->asked > 0 && s->now_us - s->asked_us > ASKED_TIMEOUT_US)
        s->asked = 0; /* lost or refused by the client: ask anew */
    ask_for_work(s);
}

void server_session_tick(struct server_session *s, uint64_t now_us, int64_t wall_s)
{
    int limit = s->cfg->heartbeat_timeout_s;

    s->now_us = now_us;
    s->wall_s = wall_s;
    if (s->ended)
        return;
    tick_fresh(s);
    if (!s->logged_in)
        return;
    tick_work(s);
    if (limit > 0 && now_us - s->heard_us > (uint64_t)limit * 1000 * 1000)
        end(s, REASON_HEARTBEAT_TIMEOUT, "the client sends no heartbeat");
}

struct server_session *server_session_new(const struct server_config *cfg,
                                          const uint8_t key[CIPHER_KEY_LEN], struct mux_session *m,
                                          const struct randomness *random,
                                          const struct server_session_events *events, void *ctx)
{
    struct server_session *s = mem_zalloc(sizeof(*s));

    s->cfg = cfg;
    s->key = key;
    s->mux = m;
    s->random = random;
    s->events = events;
    s->ctx = ctx;
    list_init(&s->fresh);
    list_init(&s->pool);
    list_init(&s->wants);
    return s;
}

bool server_session_logged_in(const struct server_session *s)
{
    return s->logged_in && !s->ended;
}

const char *server_session_run_id(const struct server_session *s)
{
    return s->run_id;
}

const char *server_session_user(const struct server_session *s)
{
    return s->user;
}

const char *server_session_hostname(const struct server_session *s)
{
    return s->hostname;
}

bool server_session_mlgate(const struct server_session *s)
{
    return s->mlgate;
}

void server_session_free(struct server_session *s)
{
    if (s == NULL)
        return;
    s->ended = true;
    LIST_FOREACH (it, &s->fresh) {
        struct fresh *f = LIST_ENTRY(it, struct fresh, node);

        mux_release(f->stream);
        forget_fresh(f);
    }
    LIST_FOREACH (it, &s->pool) {
        struct fresh *f = LIST_ENTRY(it, struct fresh, node);

        mux_release(f->stream);
        leave_pool(f);
    }
    while (list_pop(&s->wants) != NULL)
        ;
    if (s->control.stream != NULL)
        mux_release(s->control.stream);
    control_clear(&s->control);
    mem_free(s);
}
