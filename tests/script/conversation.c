#include "conversation.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "proto/cipher.h"

enum {
    START_US = 1000 * 1000 * 1000, /* no field is zero by accident */
    MUX_TICKS = 10,                /* once a second */
    MAX_STREAMS = 65536,
    FIRST_PORT = 6000,
    RUN_ROUNDS = 10 * 1000 * 1000,
};

static const char *const names[] = {"client", "server"};
static const char run_id[] = "0123456789abcdef";

static enum script_side other(enum script_side side)
{
    return side == SIDE_CLIENT ? SIDE_SERVER : SIDE_CLIENT;
}

/* ---- text ----------------------------------------------------------------------------------- */

static void add_text(struct script *t, const char *text, size_t len)
{
    t->text = mem_realloc(t->text, t->text_len + len + 1);
    memcpy(t->text + t->text_len, text, len);
    t->text_len += len;
    t->text[t->text_len] = '\0';
}

static void hear_nobody(struct script *t)
{
    mem_free(t->hearing);
    t->hearing = NULL;
}

void script_note(struct script *t, const char *format, ...)
{
    va_list args;
    char *line;
    int len;

    if (t->quiet)
        return;
    hear_nobody(t);
    va_start(args, format);
    len = vasprintf(&line, format, args);
    va_end(args);
    if (len < 0)
        return;
    if (t->text_len > 0)
        add_text(t, "\n", 1);
    add_text(t, line, (size_t)len);
    mem_free(line);
}

void script_heard(struct script *t, const char *who, const uint8_t *data, size_t len)
{
    if (t->quiet)
        return;
    if (t->hearing == NULL || strcmp(t->hearing, who) != 0) {
        script_note(t, "%s hears \"\"", who);
        t->hearing = mem_strdup(who);
    }
    t->text_len--; /* the closing quote */
    for (size_t i = 0; i < len; i++) {
        char text[8];
        bool plain = data[i] >= ' ' && data[i] < 0x7f;

        snprintf(text, sizeof(text), plain ? "%c" : "\\x%02x", data[i]);
        add_text(t, text, strlen(text));
    }
    add_text(t, "\"", 1);
}

const char *script_take(struct script *t)
{
    hear_nobody(t);
    mem_free(t->said);
    t->said = t->text ? t->text : mem_strdup("");
    t->text = NULL;
    t->text_len = 0;
    return t->said;
}

/* ---- delivery ------------------------------------------------------------------------------- */

void script_send(struct script *t, enum script_side side, const void *data, size_t len)
{
    wire_send(&t->wire[side], t->now_us, data, len);
}

static void end_hears(struct script_end *e, const char *name, const uint8_t *data, size_t len)
{
    if (e->mux_failed)
        return;
    mux_time(e->mux, e->script->now_us);
    if (mux_input(e->mux, data, len) == ERR_OK)
        return;
    e->mux_failed = true;
    script_note(e->script, "%s: mux: %s", name, mux_error(e->mux));
}

size_t script_deliver(struct script *t, enum script_side side, size_t len)
{
    size_t ready = wire_due(&t->wire[side], t->now_us);
    uint8_t *data;

    if (len > ready)
        len = ready;
    if (len == 0)
        return 0;
    data = wire_take(&t->wire[side], len);
    if (t->end[side].mux != NULL)
        end_hears(&t->end[side], names[side], data, len);
    else if (t->raw_hears != NULL)
        t->raw_hears(t->raw_ctx, data, len);
    mem_free(data);
    return len;
}

/* ---- what a real end says ------------------------------------------------------------------- */

static enum script_side towards(const struct script_end *e)
{
    return e == &e->script->end[SIDE_CLIENT] ? SIDE_SERVER : SIDE_CLIENT;
}

static size_t sink_room(void *ctx)
{
    const struct script_end *e = ctx;
    size_t room = e->script->room[towards(e)];
    size_t held = wire_under_way(&e->script->wire[towards(e)]);

    return held < room ? room - held : 0;
}

static void sink_put(void *ctx, const uint8_t *data, size_t len)
{
    const struct script_end *e = ctx;

    script_send(e->script, towards(e), data, len);
}

void script_pull(struct script *t, enum script_side from)
{
    struct script_end *e = &t->end[from];
    const struct mux_sink sink = {.room = sink_room, .put = sink_put, .ctx = e};

    if (e->mux == NULL)
        return;
    mux_time(e->mux, t->now_us);
    mux_output(e->mux, &sink);
}

static bool move(struct script *t, enum script_side to)
{
    size_t most = t->step ? t->step : SIZE_MAX;
    bool moved = false;

    script_pull(t, other(to));
    while (script_deliver(t, to, most) > 0)
        moved = true;
    return moved;
}

void script_run(struct script *t)
{
    for (int i = 0; i < RUN_ROUNDS; i++) {
        bool up = move(t, SIDE_SERVER);

        if (!move(t, SIDE_CLIENT) && !up)
            return;
    }
    script_note(t, "script: the two never come to rest");
}

/* ---- streams of users ----------------------------------------------------------------------- */

static void forget_work(struct script *t, const struct mux_stream *s)
{
    for (unsigned i = 0; i < t->n_works; i++)
        if (t->works[i] == s)
            t->works[i] = NULL;
}

static void work_data(void *ctx, struct mux_stream *s, const uint8_t *data, size_t len)
{
    char who[32];

    mux_consumed(s, len);
    snprintf(who, sizeof(who), "client: s%u", mux_stream_id(s));
    script_heard(ctx, who, data, len);
}

static void work_fin(void *ctx, struct mux_stream *s)
{
    script_note(ctx, "client: s%u fin", mux_stream_id(s));
    forget_work(ctx, s);
    mux_release(s);
}

static void work_reset(void *ctx, struct mux_stream *s, enum reason why)
{
    script_note(ctx, "client: s%u reset %s", mux_stream_id(s), reason_name(why));
    forget_work(ctx, s);
}

static const struct mux_stream_events work_events = {
    .data = work_data, .fin = work_fin, .reset = work_reset};

static void user_data(void *ctx, struct mux_stream *s, const uint8_t *data, size_t len)
{
    struct script_user *u = ctx;
    char who[32];

    mux_consumed(s, len);
    snprintf(who, sizeof(who), "server: user %u", (unsigned)(u - u->script->users));
    script_heard(u->script, who, data, len);
}

static void user_fin(void *ctx, struct mux_stream *s)
{
    struct script_user *u = ctx;

    script_note(u->script, "server: user %u fin", (unsigned)(u - u->script->users));
    u->stream = NULL;
    mux_release(s);
}

static void user_reset(void *ctx, struct mux_stream *s, enum reason why)
{
    struct script_user *u = ctx;

    script_note(u->script, "server: user %u reset %s", (unsigned)(u - u->script->users),
                reason_name(why));
    u->stream = NULL;
}

static const struct mux_stream_events user_events = {
    .data = user_data, .fin = user_fin, .reset = user_reset};

static void got(struct work_want *w, struct mux_stream *s)
{
    struct script_user *u = LIST_ENTRY(w, struct script_user, want);
    const struct msg_start_work_conn start = {.proxy_name = "t1",
                                              .src_addr = "192.0.2.7",
                                              .dst_addr = "198.51.100.1",
                                              .src_port = 40000,
                                              .dst_port = FIRST_PORT};
    struct script *t = u->script;

    t->faults += !u->wanted;
    u->served++;
    u->wanted = false;
    u->stream = s;
    mux_attach(s, &user_events, u);
    script_note(t, "server: user %u gets s%u", (unsigned)(u - t->users), mux_stream_id(s));
    server_session_start_work(s, &start);
    if (t->served != NULL)
        t->served(t, (unsigned)(u - t->users));
}

unsigned script_user(struct script *t)
{
    unsigned number = t->n_users++;
    struct script_user *u = &t->users[number % SCRIPT_USERS];

    *u = (struct script_user){.script = t, .want.got = got, .wanted = true};
    list_init(&u->want.node);
    server_session_want(t->server, &u->want);
    return number;
}

void script_user_leaves(struct script *t, unsigned user)
{
    t->users[user].wanted = false;
    if (t->server != NULL)
        server_session_unwant(t->server, &t->users[user].want);
}

void script_user_says(struct script *t, unsigned user, const char *text)
{
    if (t->users[user].stream != NULL)
        mux_send(t->users[user].stream, (const uint8_t *)text, strlen(text));
}

void script_service_says(struct script *t, unsigned work, const char *text)
{
    if (t->works[work] != NULL)
        mux_send(t->works[work], (const uint8_t *)text, strlen(text));
}

void script_user_ends(struct script *t, unsigned user)
{
    if (t->users[user].stream != NULL)
        mux_release(t->users[user].stream);
    t->users[user].stream = NULL;
}

void script_service_ends(struct script *t, unsigned work)
{
    if (t->works[work] != NULL)
        mux_release(t->works[work]);
    t->works[work] = NULL;
}

/* ---- what the client says ------------------------------------------------------------------- */

/* An end that is over has nothing more to say. */
static void speaks(struct script *t, enum script_side side)
{
    t->faults += t->end[side].ended;
}

static void client_logged_in(void *ctx, const char *given, const char *version, bool mlgate)
{
    speaks(ctx, SIDE_CLIENT);
    script_note(ctx, "client: logged in as %s at %s, %s", given, version,
                mlgate ? "mlgate" : "stock");
}

static void client_proxy(void *ctx, size_t i, const char *remote_addr, const char *error)
{
    speaks(ctx, SIDE_CLIENT);
    script_note(ctx, "client: proxy %zu %s%s%s", i, remote_addr, *error ? "refused: " : "", error);
}

static void client_work(void *ctx, struct mux_stream *s, size_t i,
                        const struct msg_start_work_conn *start, const uint8_t *early, size_t len)
{
    struct script *t = ctx;

    speaks(t, SIDE_CLIENT);
    script_note(t, "client: s%u is a user of %zu, %s:%u to %s:%u", mux_stream_id(s), i,
                start->src_addr, start->src_port, start->dst_addr, start->dst_port);
    mux_attach(s, &work_events, t);
    t->works[t->n_works++ % SCRIPT_USERS] = s;
    if (len > 0)
        work_data(t, s, early, len);
}

static void client_work_refused(void *ctx, const char *error)
{
    speaks(ctx, SIDE_CLIENT);
    script_note(ctx, "client: work connection turned down: %s", error);
}

static void ended(struct script *t, enum script_side side, enum reason why, const char *text)
{
    speaks(t, side);
    script_note(t, "%s: ended%s, %s: %s", names[side], t->end[side].ended ? " again" : "",
                reason_name(why), text);
    t->end[side].ended = true;
    t->end[side].why = why;
}

static void client_ended(void *ctx, enum reason why, const char *text)
{
    ended(ctx, SIDE_CLIENT, why, text);
}

static const struct client_session_events client_events = {
    .logged_in = client_logged_in,
    .proxy = client_proxy,
    .work = client_work,
    .work_refused = client_work_refused,
    .ended = client_ended,
};

/* ---- what the server's owner decides -------------------------------------------------------- */

static bool server_login(void *ctx, const struct msg_login *login, char given[RUN_ID_SIZE],
                         char error[ERROR_SIZE])
{
    struct script *t = ctx;

    speaks(t, SIDE_SERVER);
    script_note(t, "server: login of %s, user \"%s\", run_id \"%s\", %s", login->hostname,
                login->user, login->run_id, msg_login_meta(login, "mlgate") ? "mlgate" : "stock");
    snprintf(error, ERROR_SIZE, "%s", t->login_refusal ? t->login_refusal : "");
    snprintf(given, RUN_ID_SIZE, "%s", login->run_id[0] ? login->run_id : run_id);
    return t->login_refusal == NULL;
}

/* The owner's answer: "" takes the port. Strings live as long as the script's settings. */
static const char *judge(struct script *t, int64_t index)
{
    const char *error = "";

    if (index < 0 || index >= SCRIPT_PROXIES)
        return error;
    error = t->proxy_refusal[index] ? t->proxy_refusal[index] : error;
    error = t->taken[index] ? "proxy already exists" : error;
    t->taken[index] |= *error == '\0';
    return error;
}

static void server_new_proxy(void *ctx, const struct msg_new_proxy *p)
{
    struct script *t = ctx;
    char address[32];
    const char *error;

    speaks(t, SIDE_SERVER);
    script_note(t, "server: asked for %s %s on %lld", p->proxy_type, p->proxy_name,
                (long long)p->remote_port);
    if (t->hold_answers)
        return;
    error = judge(t, p->remote_port - FIRST_PORT);
    snprintf(address, sizeof(address), ":%lld", (long long)p->remote_port);
    server_session_answer(t->server, p->proxy_name, *error ? "" : address, error);
}

static void server_close_proxy(void *ctx, const char *name)
{
    struct script *t = ctx;

    speaks(t, SIDE_SERVER);
    script_note(t, "server: %s is taken back", name);
    for (size_t i = 0; i < SCRIPT_PROXIES; i++)
        if (strcmp(t->proxies[i].name, name) == 0)
            t->taken[i] = false;
}

static void server_ended(void *ctx, enum reason why, const char *text)
{
    ended(ctx, SIDE_SERVER, why, text);
}

static const struct server_session_events server_events = {
    .login = server_login,
    .new_proxy = server_new_proxy,
    .close_proxy = server_close_proxy,
    .ended = server_ended,
};

static bool mux_opened(void *ctx, struct mux_stream *s)
{
    struct script_end *e = ctx;

    return e->script->server != NULL && server_session_opened(e->script->server, s);
}

static void mux_wants_output(void *ctx)
{
}

static const struct mux_session_events mux_events = {
    .opened = mux_opened,
    .output = mux_wants_output,
};

/* ---- time ----------------------------------------------------------------------------------- */

static int64_t wall(const struct script *t)
{
    return SCRIPT_WALL_S + (int64_t)((t->now_us - START_US) / 1000000);
}

static void tick_sessions(struct script *t)
{
    if (t->client != NULL)
        client_session_tick(t->client, t->now_us, wall(t) + t->client_skew_s);
    if (t->server != NULL)
        server_session_tick(t->server, t->now_us, wall(t));
}

void script_tick(struct script *t, uint64_t ms)
{
    bool slow = ++t->ticks % MUX_TICKS == 0;

    t->now_us += ms * 1000;
    for (int side = SIDE_CLIENT; side <= SIDE_SERVER; side++) {
        if (t->end[side].mux == NULL)
            continue;
        mux_time(t->end[side].mux, t->now_us);
        if (slow)
            mux_tick(t->end[side].mux);
    }
    tick_sessions(t);
}

void script_advance(struct script *t, uint64_t ms)
{
    while (ms > 0) {
        uint64_t step = ms < SCRIPT_TICK_MS ? ms : SCRIPT_TICK_MS;

        ms -= step;
        script_tick(t, step);
        script_run(t);
    }
}

/* ---- life ----------------------------------------------------------------------------------- */

static void fill(void *ctx, uint8_t *out, size_t len)
{
    struct script *t = ctx;

    for (size_t i = 0; i < len; i++)
        out[i] = t->next_random++;
}

static void default_configs(struct script *t)
{
    static const char *const proxy_names[SCRIPT_PROXIES] = {"t1", "t2", "t3", "t4"};

    for (int i = 0; i < SCRIPT_PROXIES; i++)
        t->proxies[i] = (struct proxy_config){.name = (char *)(uintptr_t)proxy_names[i],
                                              .remote_port = (uint16_t)(FIRST_PORT + i)};
    t->client_cfg = (struct client_config){.token = (char *)(uintptr_t) "abc",
                                           .user = (char *)(uintptr_t) "",
                                           .pool_count = 1,
                                           .heartbeat_interval_s = -1,
                                           .heartbeat_timeout_s = -1,
                                           .proxies = t->proxies,
                                           .n_proxies = 1};
    t->server_cfg = (struct server_config){.token = (char *)(uintptr_t) "abc",
                                           .max_pool_count = 5,
                                           .user_conn_timeout_s = 10,
                                           .heartbeat_timeout_s = -1,
                                           .login_max_skew_s = 900,
                                           .detailed_errors = true};
    t->identity = (struct client_identity){.hostname = "h", .run_id = "", .arch = "amd64"};
}

void script_init(struct script *t)
{
    *t = (struct script){.now_us = START_US, .random = {.fill = fill, .ctx = t}};
    default_configs(t);
    for (int side = SIDE_CLIENT; side <= SIDE_SERVER; side++)
        t->room[side] = SIZE_MAX;
}

void script_begin(struct script *t, enum script_side side)
{
    struct script_end *e = &t->end[side];

    *e = (struct script_end){.script = t};
    pool_init(&e->pool, 0);
    e->mux = mux_new(side == SIDE_CLIENT ? MUX_CLIENT : MUX_SERVER, &e->pool,
                     side == SIDE_CLIENT ? 0 : MAX_STREAMS, &mux_events, e);
    mux_time(e->mux, t->now_us);
    if (side == SIDE_SERVER) {
        cipher_key(t->key, t->server_cfg.token, strlen(t->server_cfg.token));
        t->server =
            server_session_new(&t->server_cfg, t->key, e->mux, &t->random, &server_events, t);
        server_session_tick(t->server, t->now_us, wall(t));
        return;
    }
    t->client =
        client_session_new(&t->client_cfg, &t->identity, e->mux, &t->random, &client_events, t);
    client_session_start(t->client, t->now_us, wall(t) + t->client_skew_s);
}

void script_drop(struct script *t, enum script_side side)
{
    struct script_end *e = &t->end[side];

    if (e->mux == NULL)
        return;
    if (side == SIDE_CLIENT) {
        client_session_free(t->client);
        t->client = NULL;
    } else {
        server_session_free(t->server);
        t->server = NULL;
        memset(t->taken, 0, sizeof(t->taken));
    }
    mux_close(e->mux);
    mux_free(e->mux);
    e->mux = NULL;
    t->leaked += e->pool.held;
    pool_clear(&e->pool);
}

void script_rewire(struct script *t)
{
    for (int side = SIDE_CLIENT; side <= SIDE_SERVER; side++)
        wire_clear(&t->wire[side]);
}

bool script_free(struct script *t)
{
    bool clean;

    for (int side = SIDE_CLIENT; side <= SIDE_SERVER; side++)
        script_drop(t, (enum script_side)side);
    script_rewire(t);
    clean = t->leaked == 0 && t->faults == 0;
    mem_free(t->text);
    mem_free(t->said);
    mem_free(t->hearing);
    *t = (struct script){0};
    return clean;
}
