/* A client of any behaviour against the server's session, with users that come and go. The input is
 * a program: two bytes of configuration, then steps, as in fuzz_client_session.
 *
 * Whatever the client says, the session ends at most once and does nothing afterwards, lets in only
 * who knows the token, serves each user at most once and nobody who left, keeps to the windows it
 * was granted, and holds bounded memory and none in the end. */
#include <stdlib.h>
#include <string.h>

#include "../script/raw_peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

enum {
    MAX_STEPS = 400,
    MAX_USERS = 300,
    MAX_HELD = 8 * 1024 * 1024,
};

struct input {
    const uint8_t *at;
    const uint8_t *end;
};

/* The script first: the owner of `got` finds the rest behind it. */
struct owner {
    struct script script;
    struct input *in;
};

static uint8_t take(struct input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

static const uint8_t *take_bytes(struct input *in, size_t most, size_t *len)
{
    const uint8_t *bytes;

    *len = take(in);
    bytes = in->at;
    if (*len > most)
        *len = most;
    if (*len > (size_t)(in->end - in->at))
        *len = (size_t)(in->end - in->at);
    in->at += *len;
    return bytes;
}

static uint32_t take_stream(struct input *in)
{
    return 1 + 2 * (uint32_t)(take(in) % 16);
}

/* ---- users ---------------------------------------------------------------------------------- */

static void come(struct script *t)
{
    if (t->n_users < MAX_USERS)
        script_user(t);
}

/* Owners may do all of this while they are handed a work connection. */
static void served(struct script *t, unsigned user)
{
    struct owner *o = (struct owner *)(void *)t;
    uint8_t how = take(o->in);

    if (how % 8 == 1)
        come(t);
    else if (how % 8 == 2)
        script_user_leaves(t, how % t->n_users);
    else if (how % 8 == 3)
        script_user_ends(t, user);
    else if (how % 8 == 4)
        script_user_says(t, user, "hello");
}

static void use_users(struct script *t, struct input *in)
{
    uint8_t how = take(in);
    unsigned user = t->n_users ? take(in) % t->n_users : 0;

    switch (how % 6) {
    case 0:
    case 1:
        come(t);
        break;
    case 2:
        if (t->n_users > 0)
            script_user_leaves(t, user);
        break;
    case 3:
        if (t->n_users > 0)
            script_user_ends(t, user);
        break;
    case 4:
        if (t->n_users > 0)
            script_user_says(t, user, "question");
        break;
    default:
        for (int i = 0; i < 20; i++)
            come(t);
        break;
    }
}

/* ---- what the client says ------------------------------------------------------------------- */

static void say_login(struct raw *r, uint32_t id, uint8_t which)
{
    static const char *const more[] = {
        "",
        ",\"pool_count\":1",
        ",\"pool_count\":5,\"run_id\":\"mine\"",
        ",\"pool_count\":-9223372036854775808,\"user\":\"u\"",
        ",\"pool_count\":100,\"metas\":{\"mlgate\":\"1 half-close\"}",
        ",\"timestamp\":5",
    };
    char json[256] = "{\"hostname\":\"h\",\"timestamp\":1700000000,\"privilege_key\":\"22bd6333f840"
                     "eeeee03ad14f75fd96ac\"";

    strncat(json, more[which % 6], sizeof(json) - strlen(json) - 2);
    strncat(json, "}", 2);
    raw_say(r, id, 'o', json);
}

static void say_work(struct raw *r, uint32_t id, uint8_t which)
{
    static const char proven[] =
        "{\"run_id\":\"0123456789abcdef\",\"privilege_key\":\"22bd6333f840eeeee03ad14f75fd96ac\","
        "\"timestamp\":1700000000}";
    static const char *const table[] = {
        "{\"run_id\":\"0123456789abcdef\"}", "{\"run_id\":\"mine\"}", proven, "{}", "null",
    };

    raw_open(r, id);
    raw_say(r, id, 'w', table[which % 5]);
}

static void say_known(struct raw *r, uint8_t which)
{
    static const struct {
        char type;
        const char *json;
    } table[] = {
        {'p', "{\"proxy_name\":\"t1\",\"proxy_type\":\"tcp\",\"remote_port\":6000}"},
        {'p', "{\"proxy_name\":\"t2\",\"proxy_type\":\"udp\",\"remote_port\":-1}"},
        {'p', "{}"},
        {'c', "{\"proxy_name\":\"t1\"}"},
        {'h', "{}"},
        {'h', "{\"privilege_key\":\"22bd6333f840eeeee03ad14f75fd96ac\",\"timestamp\":1700000000}"},
        {'p', "null"},
        {'o', "{}"},
        {'r', "{}"},
    };
    size_t i = which % (sizeof(table) / sizeof(table[0]));

    raw_say(r, 1, table[i].type, table[i].json);
}

static void say_anything(struct raw *r, uint32_t id, struct input *in)
{
    uint8_t frame[9 + 256] = {take(in)};
    size_t len;
    const uint8_t *body = take_bytes(in, 255, &len);

    frame[8] = (uint8_t)len;
    memcpy(frame + 9, body, len);
    raw_bytes(r, id, frame, 9 + len);
}

static void move_stream(struct raw *r, struct input *in)
{
    uint32_t id = take_stream(in);

    switch (take(in) % 5) {
    case 0:
        raw_fin(r, id);
        break;
    case 1:
        raw_rst(r, id);
        break;
    case 2:
        raw_grant(r, id, (uint32_t)take(in) << 12);
        break;
    case 3:
        raw_open(r, id);
        break;
    default:
        raw_go_away(r, 0);
        break;
    }
}

/* ---- steps ---------------------------------------------------------------------------------- */

static void answer(struct script *t, struct input *in)
{
    static const char *const errors[] = {"", "port already used"};

    if (server_session_logged_in(t->server))
        server_session_answer(t->server, "t1", ":6000", errors[take(in) % 2]);
}

static void pass_time(struct script *t, struct input *in)
{
    uint8_t how = take(in);

    if (how < 200)
        script_tick(t, how % 20 * SCRIPT_TICK_MS);
    else
        script_tick(t, (uint64_t)(how - 199) * 1000);
}

static void say_bytes(struct raw *r, struct input *in, bool framed)
{
    uint32_t id = take_stream(in);
    size_t len;
    const uint8_t *bytes = take_bytes(in, 255, &len);

    if (framed)
        raw_bytes(r, id, bytes, len);
    else
        raw_wire(r, bytes, len);
}

static void step(struct raw *r, struct input *in)
{
    struct script *t = r->t;
    uint8_t what = take(in) % 12;
    uint32_t id = what >= 2 && what <= 4 ? take_stream(in) : 0;

    switch (what) {
    case 0:
    case 1:
        say_bytes(r, in, what);
        break;
    case 2:
        say_login(r, id, take(in));
        break;
    case 3:
        say_work(r, id, take(in));
        break;
    case 4:
        say_anything(r, id, in);
        break;
    case 5:
        say_known(r, take(in));
        break;
    case 6:
        move_stream(r, in);
        break;
    case 7:
        pass_time(t, in);
        break;
    case 8:
    case 9:
        use_users(t, in);
        break;
    case 10:
        answer(t, in);
        break;
    default:
        script_pull(t, SIDE_SERVER);
        script_deliver(t, take(in) % 2 ? SIDE_CLIENT : SIDE_SERVER, take(in));
        break;
    }
}

/* ---- the whole ------------------------------------------------------------------------------ */

static void configure(struct script *t, uint8_t bits, uint8_t more)
{
    t->quiet = true;
    t->served = served;
    t->server_cfg.scopes = bits & 3;
    t->server_cfg.heartbeat_timeout_s = bits & 4 ? 20 : -1;
    t->server_cfg.max_pool_count = bits & 8 ? 5 : 50;
    t->server_cfg.login_max_skew_s = bits & 16 ? 900 : 0;
    t->server_cfg.detailed_errors = bits & 32;
    t->hold_answers = bits & 64;
    t->login_refusal = bits & 128 ? "no" : NULL;
    t->step = more & 7;
    t->room[SIDE_CLIENT] = more & 8 ? 64 : SIZE_MAX;
}

static void check(const struct script *t)
{
    const struct script_end *e = &t->end[SIDE_SERVER];

    CHECK(t->faults == 0);
    CHECK(e->pool.peak < MAX_HELD);
    CHECK(!server_session_logged_in(t->server) || !e->ended);
    CHECK(strlen(server_session_run_id(t->server)) < RUN_ID_SIZE);
    CHECK(t->login_refusal == NULL || !server_session_logged_in(t->server));
    for (unsigned i = 0; i < t->n_users; i++)
        CHECK(t->users[i].served <= 1);
}

/* An end that was only refused has nothing left in its lists: whoever waits can be withdrawn. */
static void leave_all(struct script *t)
{
    for (unsigned i = 0; i < t->n_users; i++)
        script_user_leaves(t, i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {.at = data, .end = data + size};
    static struct owner o;
    struct script *t = &o.script;
    struct raw r;
    uint8_t bits = take(&in);
    uint8_t more = take(&in);

    script_init(t);
    o.in = &in;
    raw_init(&r, t, SIDE_CLIENT);
    configure(t, bits, more);
    script_begin(t, SIDE_SERVER);
    raw_open(&r, 1);
    for (int i = 0; i < MAX_STEPS && in.at < in.end && !t->end[SIDE_SERVER].mux_failed; i++) {
        step(&r, &in);
        check(t);
        if (i % 4 == 3)
            script_run(t);
    }
    script_run(t);
    check(t);
    if (more & 16)
        leave_all(t);
    CHECK(script_free(t));
    raw_free(&r);
    return 0;
}
