/* Whole exchanges: users who send what the input says in the pieces it says, end, stall and leave
 * at any point; MLNode and its engines, which answer well, wrongly, in part or not at all; a clock
 * that jumps. What reaches either side must be whole messages in the one right form, one user's
 * bytes are never another's, and when all is over nothing is held. The fake host checks the rules
 * of streams. */
#include "exchange_world.h"

#include <string.h>

#include "base/mem.h"
#include "gateway/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t tick(void *ctx, uint64_t now_us)
{
    return gateway_tick(ctx, now_us);
}

static size_t cut(void *ctx, size_t have)
{
    struct world *w = ctx;
    unsigned n = w->calm ? 0 : next_byte(w);

    return n == 0 ? have : n;
}

static void set_pace(struct world *w)
{
    static const size_t pieces[] = {0, 1, 2, 3, 7, 64, 1000};
    static const size_t windows[] = {FAKE_WINDOW, 64 * 1024, 2000, 300};
    unsigned b = next_byte(w);

    w->h->sent_late = b & 1;
    w->h->drain = b & 2 ? 50 : 0;
    w->h->piece = pieces[(b >> 2) % 7];
    w->h->cut = b & 0x80 ? cut : NULL;
    w->h->cut_ctx = w;
    w->h->window = windows[(b >> 5) & 3];
}

static void world_init(struct world *w, const uint8_t *data, size_t size)
{
    struct gateway_config cfg = {
        .management = {.host = "127.0.0.1", .port = MANAGEMENT},
        .inference = {.host = "127.0.0.1", .port = INFERENCE},
        .engines = {.management = {.host = "127.0.0.1", .port = MANAGEMENT},
                    .inference = {.host = "127.0.0.1", .port = INFERENCE},
                    .host = "127.0.0.1",
                    .first_port = ENGINE,
                    .last_port = ENGINE + ENGINES - 1},
        .policy = POLICY_GUARD,
    };
    unsigned how;

    w->data = data;
    w->size = size;
    w->h = fake_new();
    how = next_byte(w);
    if (how & 1)
        cfg.engines.first_port = 0;
    node_init(w);
    w->g = gateway_new(fake_gateway(w->h), &cfg);
    w->h->tick = tick;
    w->h->tick_ctx = w->g;
    w->h->tick_due = 0;
    fake_advance(w->h, how & 2 ? 0 : 3000000); /* time to find the engines */
    set_pace(w);
}

/* ---- what happens ---------------------------------------------------------------------------- */

/* Long times pass in one leap, as for a process that was stopped: the gateway's own questions of
 * five minutes would be all that an input does. */
static void let_time_pass(struct world *w)
{
    static const uint64_t steps[] = {1,       1000,    200000,   999999,
                                     1000000, 3000000, 61000000, 311000000};
    uint64_t step = steps[next_byte(w) % 8];

    if (step > 3000000)
        w->h->now_us += step;
    fake_advance(w->h, step > 3000000 ? 1 : step);
}

static void change_door(struct world *w)
{
    static const uint16_t ports[] = {MANAGEMENT, INFERENCE, ENGINE, ENGINE + 1};
    unsigned b = next_byte(w);

    if (b & 0x10)
        fake_crash(w->h, ports[b & 3]);
    else
        fake_listen(w->h, ports[b & 3], (enum fake_door)((b >> 2) & 3), &w->node, w);
    if (b & 0x20)
        w->state = b & 0x40 ? "STOPPED" : "INFERENCE";
}

static void user_acts(struct world *w, unsigned op)
{
    struct user *u = w->n_users > 0 ? &w->users[next_byte(w) % w->n_users] : user_new(w);

    switch (op) {
    case 0:
    case 1:
        user_ask(w, u);
        break;
    case 2:
        user_goes_on(w, u, 1 + next_byte(w));
        break;
    case 3:
        user_babbles(w, u);
        break;
    case 4:
        fake_end(u->c);
        break;
    case 5:
        if (next_byte(w) & 1)
            fake_fail(u->c, REASON_PEER_RESET);
        else
            fake_fail_now(u->c, REASON_PEER_GONE);
        break;
    case 6:
        u->c->room = next_byte(w);
        break;
    case 7:
        fake_take(u->c, 1 + next_byte(w) * 16);
        break;
    }
}

static void node_acts(struct world *w, unsigned op)
{
    struct fake_conn *c = node_conn(w, next_byte(w) % 8);

    if (c == NULL)
        return;
    switch (op) {
    case 0:
    case 1:
        node_goes_on(w, c, 1 + next_byte(w));
        break;
    case 2:
        fake_end(c);
        break;
    case 3:
        fake_fail_now(c, REASON_PEER_RESET);
        break;
    case 4:
        c->room = next_byte(w);
        break;
    case 5:
        fake_take(c, 1 + next_byte(w) * 16);
        break;
    }
}

static void shed(struct world *w)
{
    w->h->pool.limit = 2000 * (next_byte(w) % 8);
    gateway_shed(w->g);
    w->h->pool.limit = 0;
}

/* Before a stop, which itself comes at the end of every input. */
static void wind_up(struct world *w)
{
    if (next_byte(w) & 1)
        gateway_cut(w->g);
    else
        gateway_drain(w->g);
}

static void act(struct world *w)
{
    unsigned op = next_byte(w) % 32;

    if (op < 12)
        user_acts(w, op % 8);
    else if (op < 18)
        node_acts(w, op - 12);
    else if (op == 18)
        user_new(w);
    else if (op == 19)
        let_time_pass(w);
    else if (op == 20)
        change_door(w);
    else if (op == 21)
        set_pace(w);
    else if (op == 22)
        shed(w);
    else if (op == 23)
        wind_up(w);
    else if (op < 26)
        fake_turn(w->h);
    else
        fake_run(w->h);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void no_more_limits(struct world *w)
{
    w->calm = true;
    w->h->cut = NULL;
    w->h->piece = 0;
    w->h->drain = 0;
    w->h->window = FAKE_WINDOW;
    for (struct fake_conn *c = w->h->conns; c != NULL; c = c->next)
        c->room = SIZE_MAX;
}

/* Users end their side and upstreams answer or go: nobody may be left waiting for anything. */
static void everybody_goes(struct world *w)
{
    struct gateway_counters n;

    no_more_limits(w);
    fake_run(w->h);
    for (unsigned i = 0; i < w->n_users; i++)
        fake_end(w->users[i].c);
    fake_run(w->h);
    for (struct fake_conn *c = w->h->conns; c != NULL; c = c->next)
        if (c->port != 0)
            fake_fail(c, REASON_PEER_RESET);
    w->state = "STOPPED";
    fake_crash(w->h, MANAGEMENT);
    fake_crash(w->h, INFERENCE);
    fake_crash(w->h, ENGINE);
    fake_crash(w->h, ENGINE + 1);
    fake_advance(w->h, 5000000);
    gateway_counters(w->g, &n);
    MUST(n.exchanges_now == 0);
    MUST(n.clients_now == 0);
    MUST(n.upstreams_now == 0);
}

static void check_counters(struct world *w)
{
    struct gateway_counters n;

    gateway_counters(w->g, &n);
    MUST(n.exchanges_now == 0 && n.clients_now == 0 && n.upstreams_now == 0);
    MUST(w->g->objects == 0 && w->g->n_orphans == 0);
    MUST(n.clients == w->n_users);
    MUST(w->forwarded <= n.requests + n.retried);
}

static void world_free(struct world *w)
{
    gateway_stop(w->g);
    w->h->tick = NULL;
    fake_run(w->h);
    check_counters(w);
    for (unsigned i = 0; i < w->n_users; i++) {
        user_check(w, &w->users[i]);
        mem_free(w->users[i].rest.data);
    }
    for (unsigned i = 0; i <= CONNS_MAX; i++)
        mem_free(w->far[i].plan.data);
    gateway_free(w->g);
    fake_free(w->h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world *w = mem_zalloc(sizeof(*w));

    world_init(w, data, size);
    while (w->size > 0 && (w->h->conns == NULL || w->h->conns->id < CONNS_MAX - CONNS_MARGIN))
        act(w);
    if (size == 0 || data[0] & 4)
        everybody_goes(w);
    world_free(w);
    mem_free(w);
    return 0;
}
