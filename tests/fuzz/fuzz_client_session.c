/* A server of any behaviour against the client's session. The input is a program: two bytes of
 * configuration, then steps. Most are bytes, messages and stream ends as a server may send them,
 * right and wrong; the others let time pass or deliver a few bytes only.
 *
 * Whatever it says, the client ends at most once, does nothing afterwards, keeps to the windows it
 * was granted, and holds bounded memory and none in the end. */
#include <stdlib.h>

#include "../script/raw_peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

enum {
    MAX_STEPS = 400,
    /* The control queue's limit and what a few thousand work connections hold. */
    MAX_HELD = 8 * 1024 * 1024,
    MAX_STREAMS = 2048 + 256 + 2,
};

struct input {
    const uint8_t *at;
    const uint8_t *end;
};

static uint8_t take(struct input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

/* A run of input bytes, at most `most` of them. */
static const uint8_t *take_bytes(struct input *in, size_t most, size_t *len)
{
    const uint8_t *bytes = in->at;

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
    return 1 + 2 * (uint32_t)(take(in) % 8);
}

/* ---- steps ---------------------------------------------------------------------------------- */

static void say_known(struct raw *r, uint8_t which)
{
    static const struct {
        char type;
        const char *json;
    } table[] = {
        {'1', "{\"version\":\"0.70.1\",\"run_id\":\"0123456789abcdef\"}"},
        {'1', "{\"version\":\"0.70.1\",\"run_id\":\"x\",\"mlgate\":\"1 half-close\"}"},
        {'1', "{\"error\":\"token in login doesn't match\"}"},
        {'r', "{}"},
        {'2', "{\"proxy_name\":\"t1\",\"remote_addr\":\":6000\"}"},
        {'2', "{\"proxy_name\":\"t2\",\"remote_addr\":\":6001\"}"},
        {'2', "{\"proxy_name\":\"t1\",\"error\":\"port already used\"}"},
        {'2', "{\"proxy_name\":\"t2\",\"error\":\"port already used\"}"},
        {'2', "{\"proxy_name\":\"u.t3\"}"},
        {'4', "{}"},
        {'4', "{\"error\":\"token in heartbeat doesn't match\"}"},
        {'4', "null"},
        {'r', "null"},
        {'p', "{}"},
    };
    size_t i = which % (sizeof(table) / sizeof(table[0]));

    raw_say(r, 1, table[i].type, table[i].json);
}

static void say_start(struct raw *r, uint32_t id, uint8_t which)
{
    static const char *const table[] = {
        "{\"proxy_name\":\"t1\",\"src_addr\":\"192.0.2.7\",\"src_port\":40000}",
        "{\"proxy_name\":\"t2\"}",
        "{\"proxy_name\":\"u.t1\"}",
        "{\"proxy_name\":\"t1\",\"error\":\"no\"}",
        "null",
    };

    raw_say(r, id, 's', table[which % 5]);
}

/* A message with any type and any body. */
static void say_anything(struct raw *r, uint32_t id, struct input *in)
{
    uint8_t frame[9 + 256] = {take(in)};
    size_t len;
    const uint8_t *body = take_bytes(in, 255, &len);

    frame[8] = (uint8_t)len;
    for (size_t i = 0; i < len; i++)
        frame[9 + i] = body[i];
    raw_bytes(r, id, frame, 9 + len);
}

static void move_stream(struct raw *r, struct input *in)
{
    uint32_t id = take_stream(in);

    switch (take(in) % 6) {
    case 0:
        raw_fin(r, id);
        break;
    case 1:
        raw_rst(r, id);
        break;
    case 2:
        raw_ack(r, id);
        break;
    case 3:
        raw_grant(r, id, (uint32_t)take(in) << 12);
        break;
    case 4:
        raw_open(r, id);
        break;
    default:
        raw_ping(r, id);
        break;
    }
}

static void pass_time(struct script *t, struct input *in)
{
    uint8_t how = take(in);

    if (how < 200)
        script_tick(t, how % 20 * SCRIPT_TICK_MS);
    else
        script_tick(t, (uint64_t)(how - 199) * 1000);
}

static void use_client(struct script *t, struct input *in)
{
    uint8_t how = take(in);

    if (how == 0)
        client_session_leave(t->client);
    else if (t->n_works > 0 && how % 2)
        script_service_says(t, how % t->n_works % SCRIPT_USERS, "answer");
    else if (t->n_works > 0)
        script_service_ends(t, how % t->n_works % SCRIPT_USERS);
}

static void step(struct raw *r, struct input *in)
{
    struct script *t = r->t;
    const uint8_t *bytes;
    uint32_t id;
    size_t len;

    switch (take(in) % 10) {
    case 0:
        bytes = take_bytes(in, 255, &len);
        raw_wire(r, bytes, len);
        break;
    case 1:
        id = take_stream(in);
        say_anything(r, id, in);
        break;
    case 2:
    case 3:
        say_known(r, take(in));
        break;
    case 4:
        id = take_stream(in);
        say_start(r, id, take(in));
        break;
    case 5:
        id = take_stream(in);
        bytes = take_bytes(in, 255, &len);
        raw_bytes(r, id, bytes, len);
        break;
    case 6:
        move_stream(r, in);
        break;
    case 7:
        pass_time(t, in);
        break;
    case 8:
        use_client(t, in);
        break;
    default:
        script_pull(t, SIDE_CLIENT);
        script_deliver(t, take(in) % 2 ? SIDE_CLIENT : SIDE_SERVER, take(in));
        break;
    }
}

/* ---- the whole ------------------------------------------------------------------------------ */

static void configure(struct script *t, uint8_t bits, uint8_t more)
{
    t->quiet = true;
    t->client_cfg.n_proxies = bits % 4;
    t->client_cfg.fate_shared = bits & 4;
    t->client_cfg.scopes = bits >> 3 & 3;
    t->client_cfg.heartbeat_interval_s = bits & 32 ? 5 : -1;
    t->client_cfg.heartbeat_timeout_s = bits & 64 ? 15 : -1;
    t->client_cfg.user = (char *)(uintptr_t)(bits & 128 ? "u" : "");
    t->step = more & 7;
    t->room[SIDE_SERVER] = more & 8 ? 64 : SIZE_MAX;
}

static void check(const struct script *t)
{
    const struct script_end *e = &t->end[SIDE_CLIENT];

    CHECK(t->faults == 0);
    CHECK(e->pool.peak < MAX_HELD);
    CHECK(mux_stream_count(e->mux) <= MAX_STREAMS);
    CHECK(!client_session_ready(t->client) || client_session_logged_in(t->client));
    CHECK(!client_session_logged_in(t->client) || !e->ended);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {.at = data, .end = data + size};
    static struct script t;
    struct raw r;
    uint8_t bits = take(&in);

    script_init(&t);
    raw_init(&r, &t, SIDE_SERVER);
    configure(&t, bits, take(&in));
    script_begin(&t, SIDE_CLIENT);
    for (int i = 0; i < MAX_STEPS && in.at < in.end && !t.end[SIDE_CLIENT].mux_failed; i++) {
        step(&r, &in);
        check(&t);
        if (i % 4 == 3)
            script_run(&t);
    }
    script_run(&t);
    check(&t);
    CHECK(script_free(&t));
    raw_free(&r);
    return 0;
}
