/* Both real ends, joined by a wire of any whim: portions, delays, frozen and cut for a while; users
 * that come, speak and leave at any moment; ends that are killed and come back under their run_id.
 * The input is a program: two bytes of configuration, then steps of two bytes.
 *
 * Two good peers never break the protocol for each other; nobody is served twice or after leaving;
 * when the wire is good again, every user that still waits is served; no memory is left. */
#include <stdlib.h>
#include <string.h>

#include "../script/conversation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

enum {
    MAX_STEPS = 600,
    MAX_USERS = 600,
    /* A question for work connections that got lost is asked again after 10 s. */
    SETTLE_S = 25,
    RETRY_S = 65, /* a refused port waits a minute at most */
};

static void begin(struct script *t)
{
    script_rewire(t);
    t->wire[SIDE_CLIENT].cut = t->wire[SIDE_SERVER].cut = false;
    script_begin(t, SIDE_SERVER);
    script_begin(t, SIDE_CLIENT);
}

/* As the owners do when the connection is lost: users that wait, wait for the next session. */
static void reconnect(struct script *t, bool client_first)
{
    script_drop(t, client_first ? SIDE_CLIENT : SIDE_SERVER);
    script_drop(t, client_first ? SIDE_SERVER : SIDE_CLIENT);
    t->identity.run_id = "0123456789abcdef";
    begin(t);
    for (unsigned i = 0; i < t->n_users; i++)
        if (t->users[i].wanted)
            server_session_want(t->server, &t->users[i].want);
}

static void users_come(struct script *t, unsigned n)
{
    while (n-- > 0 && t->n_users < MAX_USERS)
        script_user(t);
}

static void user_does(struct script *t, uint8_t what, unsigned user)
{
    if (t->n_users == 0)
        return;
    user %= t->n_users;
    if (what == 0)
        script_user_leaves(t, user);
    else if (what == 1)
        script_user_says(t, user, "question");
    else
        script_user_ends(t, user);
}

static void service_does(struct script *t, bool says, unsigned work)
{
    if (t->n_works == 0)
        return;
    work %= t->n_works < SCRIPT_USERS ? t->n_works : SCRIPT_USERS;
    if (says)
        script_service_says(t, work, "an answer that is longer than the question");
    else
        script_service_ends(t, work);
}

static void bend_wire(struct script *t, uint8_t how)
{
    struct wire *w = &t->wire[how & 1];

    switch (how >> 1 & 3) {
    case 0:
        w->frozen = how & 8;
        break;
    case 1:
        w->delay_us = (uint64_t)(how >> 3) * 20 * 1000;
        break;
    case 2:
        t->room[how & 1] = how & 8 ? SIZE_MAX : (size_t)(how >> 4) * 16 + 1;
        break;
    default:
        t->step = how >> 3;
        break;
    }
}

static void step(struct script *t, uint8_t what, uint8_t arg)
{
    switch (what % 14) {
    case 0:
    case 1:
        script_pull(t, what % 14 ? SIDE_CLIENT : SIDE_SERVER);
        script_deliver(t, what % 14 ? SIDE_SERVER : SIDE_CLIENT, arg);
        break;
    case 2:
        script_run(t);
        break;
    case 3:
        script_advance(t, (uint64_t)arg * 10);
        break;
    case 4:
        users_come(t, 1 + arg % 40);
        break;
    case 5:
    case 6:
    case 7:
        user_does(t, (uint8_t)(what % 14 - 5), arg);
        break;
    case 8:
    case 9:
        service_does(t, what % 14 == 8, arg);
        break;
    case 10:
        bend_wire(t, arg);
        break;
    case 11:
        mux_ping(t->end[arg & 1].mux);
        break;
    case 12:
        t->proxy_refusal[arg & 1] = arg & 2 ? "port already used" : NULL;
        break;
    default:
        reconnect(t, arg & 1);
        break;
    }
}

/* Slowness may end a session, disagreement may not. */
static bool acceptable(enum reason why)
{
    return why != REASON_PROTOCOL && why != REASON_AUTH_FAILED && why != REASON_LOGIN_REFUSED &&
           why != REASON_CLOCK_SKEW && why != REASON_LIMIT && why != REASON_IO_ERROR;
}

static void check(const struct script *t)
{
    CHECK(t->faults == 0);
    for (int side = SIDE_CLIENT; side <= SIDE_SERVER; side++) {
        CHECK(!t->end[side].mux_failed);
        CHECK(!t->end[side].ended || acceptable(t->end[side].why));
    }
}

static bool all_served(const struct script *t)
{
    for (unsigned i = 0; i < t->n_users; i++)
        if (t->users[i].wanted)
            return false;
    return true;
}

/* Time in coarse ticks: there is much of it. */
static void wait(struct script *t, unsigned seconds)
{
    for (unsigned i = 0; i < 2 * seconds; i++) {
        script_tick(t, 500);
        script_run(t);
    }
}

/* The wire is good again: who is alive must get ready and serve everybody. */
static void settle(struct script *t)
{
    for (int side = SIDE_CLIENT; side <= SIDE_SERVER; side++) {
        t->wire[side].frozen = false;
        t->wire[side].delay_us = 0;
        t->room[side] = SIZE_MAX;
        t->proxy_refusal[side] = NULL;
    }
    t->step = 0;
    script_run(t);
    if (t->end[SIDE_CLIENT].ended || t->end[SIDE_SERVER].ended)
        reconnect(t, false);
    wait(t, SETTLE_S);
    check(t);
    if (t->end[SIDE_CLIENT].ended || t->end[SIDE_SERVER].ended)
        return;
    CHECK(all_served(t));
    wait(t, RETRY_S);
    CHECK(client_session_ready(t->client));
    for (size_t i = 0; i < t->client_cfg.n_proxies; i++)
        CHECK(t->taken[i]);
}

static void configure(struct script *t, uint8_t bits, uint8_t more)
{
    t->quiet = true;
    t->server_cfg.login_max_skew_s = 0;
    t->client_cfg.n_proxies = 1 + (bits & 1);
    t->client_cfg.fate_shared = bits & 2;
    t->client_cfg.pool_count = bits >> 2 & 7;
    t->client_cfg.scopes = t->server_cfg.scopes = bits >> 5 & 3;
    if (bits & 128) {
        t->client_cfg.heartbeat_interval_s = 10;
        t->client_cfg.heartbeat_timeout_s = 30;
        t->server_cfg.heartbeat_timeout_s = 30;
    }
    t->step = more & 15;
    t->room[SIDE_CLIENT] = more & 16 ? 100 : SIZE_MAX;
    t->room[SIDE_SERVER] = more & 32 ? 100 : SIZE_MAX;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct script t;

    if (size < 2)
        return 0;
    script_init(&t);
    configure(&t, data[0], data[1]);
    begin(&t);
    for (size_t at = 2; at + 1 < size && at < 2 * MAX_STEPS; at += 2) {
        step(&t, data[at], data[at + 1]);
        check(&t);
    }
    settle(&t);
    CHECK(script_free(&t));
    return 0;
}
