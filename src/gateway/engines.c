#include "gateway/engines.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/count.h"
#include "base/mem.h"
#include "gateway/mlnode.h"
#include "gateway/probe.h"

enum {
    ASKED_AT_ONCE = 16, /* ports that a round asks in parallel */
    /* MLNode 0.2.14 asks its engines before it answers and was seen to take 8 s. */
    STATE_US = 10000000,
    /* The API node waits no longer for it: from here on it counts as silent. */
    SILENT_US = 5000000,
    /* The shortest time between two beginnings, however often somebody calls for one. */
    AGAIN_US = 250000,
    CAUSE_MAX = 64,
};

enum asking {
    ASKING_NOTHING = 0,
    ASKING_SOON = 1, /* in this round, when others are done */
    ASKING_HEALTH = 2,
    ASKING_WAITS = 3, /* is healthy; what 5000 serves is not known yet */
    ASKING_MODELS = 4,
};

/* A port of the range, whether or not somebody listens there. */
struct slot {
    struct engine engine;
    struct engines *all;
    struct probe *probe;
    uint64_t chosen; /* number of the last choice; the smallest is the longest ago */
    struct log_gate gate;
    enum asking asking : 8;
    bool known; /* was healthy once: asked in every round */
    bool never; /* is no engine, whatever answers there */
};

/* What 5000 serves, asked at most once a round and only when there is something to compare. */
enum reference {
    REFERENCE_NONE = 0,
    REFERENCE_ASKED = 1,
    REFERENCE_KNOWN = 2,
    REFERENCE_FAILED = 3,
};

struct engines {
    const struct gateway_host *host;
    struct engines_config cfg;
    void (*changed)(void *ctx);
    void *ctx;
    struct net_task task; /* tells `changed` */
    struct log_gates gates;
    struct log_gate gate; /* of lines about the state */

    struct probe *state_probe;
    uint64_t state_at_us; /* the next question, while none is asked */
    uint64_t state_began_us;
    uint64_t answered_us; /* 0: never */
    enum node_state state : 8;
    enum node_manner manner : 8; /* at the last question that is over */

    enum reference reference : 8;
    bool round;     /* is under way */
    bool scan;      /* … and asks every port */
    bool scan_next; /* the next one shall */
    unsigned rounds;
    unsigned asked_now;
    struct probe *reference_probe;
    char *models; /* REFERENCE_KNOWN */
    uint64_t round_at_us;
    uint64_t round_began_us;

    uint64_t choices;
    size_t live;
    size_t n;
    struct slot slots[];
};

static void pump(struct engines *e);

static uint64_t now_of(const struct engines *e)
{
    return e->host->now(e->host->ctx);
}

static uint64_t later_of(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void wake(const struct engines *e, uint64_t due_us)
{
    if (e->host->wake != NULL)
        e->host->wake(e->host->ctx, due_us);
}

static void note_change(struct engines *e)
{
    if (e->changed != NULL)
        e->host->soon(e->host->ctx, &e->task);
}

static void tell_change(struct net_task *t)
{
    struct engines *e = LIST_ENTRY(t, struct engines, task);

    e->changed(e->ctx);
}

/* ---- the set --------------------------------------------------------------------------------- */

static bool gate(struct engines *e, struct log_gate *g, char more[LOG_HELD_MAX])
{
    bool passes = log_gate(&e->gates, g, e->host->log, now_of(e), more);

    if (!passes)
        wake(e, g->due_us);
    return passes;
}

static void set_live(struct slot *s, bool live, const char *cause)
{
    struct engines *e = s->all;
    char more[LOG_HELD_MAX];

    if (s->engine.live == live)
        return;
    s->engine.live = live;
    e->live = live ? e->live + 1 : e->live - 1;
    if (gate(e, &s->gate, more))
        log_info(e->host->log, "engine %s:%u %s: %s; %zu in use%s", s->engine.at.host,
                 s->engine.at.port, live ? "found" : "lost", cause, e->live, more);
    note_change(e);
}

/* A round outlives the state that it began in; while MLNode says nothing nobody is added. */
static void found(struct slot *s)
{
    s->engine.strikes = 0;
    if (s->all->state == NODE_INFERENCE)
        set_live(s, true, "healthy, serves what MLNode serves");
}

/* One failed probe. Nobody listening is not a matter of patience. */
static void strike(struct slot *s, unsigned status, enum reason why)
{
    char cause[CAUSE_MAX];

    if (s->engine.strikes < ENGINES_STRIKES)
        s->engine.strikes++;
    if (s->engine.strikes < ENGINES_STRIKES && why != REASON_CONNECT_REFUSED)
        return;
    if (status != 0)
        snprintf(cause, sizeof(cause), "answers %u", status);
    else
        snprintf(cause, sizeof(cause), "%s", reason_name(why));
    set_live(s, false, cause);
}

void engines_refused(struct engines *e, struct engine *engine)
{
    struct slot *s = LIST_ENTRY(engine, struct slot, engine);

    s->engine.strikes = ENGINES_STRIKES;
    set_live(s, false, reason_name(REASON_CONNECT_REFUSED));
}

/* ---- a round --------------------------------------------------------------------------------- */

static void round_over(struct engines *e)
{
    e->round = false;
    e->scan = false;
    e->reference = REFERENCE_NONE;
    mem_free(e->models);
    e->models = NULL;
    wake(e, e->round_at_us);
}

static void round_cancel(struct engines *e)
{
    for (size_t i = 0; i < e->n; i++) {
        probe_cancel(e->slots[i].probe);
        e->slots[i].probe = NULL;
        e->slots[i].asking = ASKING_NOTHING;
    }
    probe_cancel(e->reference_probe);
    e->reference_probe = NULL;
    e->asked_now = 0;
    round_over(e);
}

static void slot_over(struct slot *s)
{
    s->asking = ASKING_NOTHING;
    s->all->asked_now--;
    pump(s->all);
}

/* Says that it is healthy and does not say what it serves: a live one is asked again in the next
 * round, where a second failure takes it out. */
static void not_compared(struct slot *s, unsigned status, enum reason why)
{
    s->all->scan_next |= s->engine.live;
    strike(s, status, why);
}

static void on_models(void *ctx, unsigned status, const char *body, size_t len, enum reason why)
{
    struct slot *s = ctx;
    char *models = status == 200 ? mlnode_models(body, len) : NULL;

    s->probe = NULL;
    if (models == NULL)
        not_compared(s, status, why);
    else if (strcmp(models, s->all->models) == 0)
        found(s);
    else
        set_live(s, false, "serves other models than MLNode");
    mem_free(models);
    slot_over(s);
}

static struct probe *
ask(struct engines *e, const struct endpoint *to, const char *path, uint64_t patience_us,
    void (*done)(void *ctx, unsigned status, const char *body, size_t len, enum reason why),
    void *ctx)
{
    return probe_start(e->host, to, path, now_of(e) + patience_us, done, ctx);
}

/* Goes on with an engine that is healthy, as soon as it is known what 5000 serves. Without that
 * answer nobody is added, and nobody goes who is healthy. */
static void compare(struct slot *s)
{
    struct engines *e = s->all;

    if (e->reference == REFERENCE_ASKED) {
        s->asking = ASKING_WAITS;
    } else if (e->reference == REFERENCE_KNOWN) {
        s->asking = ASKING_MODELS;
        s->probe = ask(e, &s->engine.at, "/v1/models", ENGINES_PROBE_US, on_models, s);
    } else {
        s->engine.strikes = 0;
        slot_over(s);
    }
}

static void on_reference(void *ctx, unsigned status, const char *body, size_t len, enum reason why)
{
    struct engines *e = ctx;

    e->reference_probe = NULL;
    e->models = status == 200 ? mlnode_models(body, len) : NULL;
    e->reference = e->models != NULL ? REFERENCE_KNOWN : REFERENCE_FAILED;
    if (e->models == NULL)
        log_debug(e->host->log, "engines are not compared: MLNode's models: %u %s", status,
                  reason_name(why));
    for (size_t i = 0; i < e->n; i++)
        if (e->slots[i].asking == ASKING_WAITS)
            compare(&e->slots[i]);
}

static void ask_reference(struct engines *e)
{
    if (e->reference != REFERENCE_NONE)
        return;
    e->reference = REFERENCE_ASKED;
    e->reference_probe = ask(e, &e->cfg.inference, "/v1/models", ENGINES_PROBE_US, on_reference, e);
}

static void on_health(void *ctx, unsigned status, const char *body, size_t len, enum reason why)
{
    struct slot *s = ctx;
    struct engines *e = s->all;

    s->probe = NULL;
    if (status != 200) {
        strike(s, status, why);
        slot_over(s);
        return;
    }
    s->known = true;
    if (e->scan || !s->engine.live) {
        ask_reference(e);
        compare(s);
        return;
    }
    s->engine.strikes = 0;
    slot_over(s);
}

/* Starts what the round still has to ask; ends it when that is nothing. */
static void pump(struct engines *e)
{
    for (size_t i = 0; i < e->n && e->asked_now < ASKED_AT_ONCE; i++) {
        struct slot *s = &e->slots[i];

        if (s->asking != ASKING_SOON)
            continue;
        s->asking = ASKING_HEALTH;
        e->asked_now++;
        s->probe = ask(e, &s->engine.at, "/health", ENGINES_PROBE_US, on_health, s);
    }
    if (e->asked_now == 0 && e->round)
        round_over(e);
}

/* Which ports a round asks: while MLNode does not say that a model runs, only those in use. */
static bool wanted(const struct engines *e, const struct slot *s)
{
    if (e->state == NODE_INFERENCE)
        return (e->scan || s->known) && !s->never;
    return s->engine.live;
}

static void begin_round(struct engines *e, uint64_t now_us)
{
    e->round = true;
    e->round_began_us = now_us;
    e->round_at_us = now_us + ENGINES_ROUND_US;
    if (e->state == NODE_INFERENCE) {
        e->scan = e->scan_next || ++e->rounds >= ENGINES_SCAN_ROUNDS;
        e->rounds = e->scan ? 0 : e->rounds;
        e->scan_next = false;
    }
    for (size_t i = 0; i < e->n; i++)
        e->slots[i].asking = wanted(e, &e->slots[i]) ? ASKING_SOON : ASKING_NOTHING;
    pump(e);
}

/* ---- the state ------------------------------------------------------------------------------- */

static void empty_set(struct engines *e, const char *word)
{
    char cause[CAUSE_MAX];

    snprintf(cause, sizeof(cause), "MLNode says %s", word);
    if (e->round)
        round_cancel(e);
    for (size_t i = 0; i < e->n; i++)
        set_live(&e->slots[i], false, cause);
}

static void set_state(struct engines *e, enum node_state state, const char *word)
{
    enum node_state before = e->state;
    char more[LOG_HELD_MAX];

    e->state = state;
    if (state == NODE_STOPPED)
        empty_set(e, word);
    if (state == before)
        return;
    if (gate(e, &e->gate, more))
        log_info(e->host->log, "MLNode says %s%s", word, more);
    if (state == NODE_INFERENCE) {
        e->scan_next = true;
        e->round_at_us = now_of(e);
        wake(e, e->round_at_us);
    }
    note_change(e);
}

static enum node_manner manner_of(unsigned status, enum reason why)
{
    if (status != 0)
        return NODE_ANSWERS;
    return why == REASON_UPSTREAM_TIMEOUT || why == REASON_CONNECT_TIMEOUT ? NODE_SILENT
                                                                           : NODE_ABSENT;
}

static void on_state(void *ctx, unsigned status, const char *body, size_t len, enum reason why)
{
    struct engines *e = ctx;
    char word[MLNODE_STATE_MAX];
    char cause[CAUSE_MAX];

    e->state_probe = NULL;
    e->state_at_us = later_of(e->state_at_us, now_of(e) + AGAIN_US);
    wake(e, e->state_at_us);
    e->manner = manner_of(status, why);
    if (status == 200 && mlnode_state(body, len, word)) {
        e->answered_us = now_of(e);
        set_state(e, strcmp(word, "INFERENCE") == 0 ? NODE_INFERENCE : NODE_STOPPED, word);
        return;
    }
    if (status != 0)
        snprintf(cause, sizeof(cause), "nothing about its state (answer %u)", status);
    else
        snprintf(cause, sizeof(cause), "nothing about its state (%s)", reason_name(why));
    set_state(e, NODE_UNKNOWN, cause);
}

static void ask_state(struct engines *e, uint64_t now_us)
{
    e->state_began_us = now_us;
    e->state_at_us = now_us + ENGINES_ROUND_US;
    e->state_probe = ask(e, &e->cfg.management, "/api/v1/state", STATE_US, on_state, e);
}

/* ---- time ------------------------------------------------------------------------------------ */

static void tick_probe(struct probe *p, uint64_t now_us, uint64_t *due)
{
    uint64_t next = p != NULL ? probe_tick(p, now_us) : UINT64_MAX;

    if (next < *due)
        *due = next;
}

/* A probe that follows another one later has a later deadline than that, so that the timer set for
 * the first is soon enough for the second. */
uint64_t engines_tick(struct engines *e, uint64_t now_us)
{
    uint64_t due = log_gates_tick(&e->gates, now_us);

    if (e->state_probe == NULL && now_us >= e->state_at_us)
        ask_state(e, now_us);
    if (!e->round && now_us >= e->round_at_us)
        begin_round(e, now_us);
    tick_probe(e->state_probe, now_us, &due);
    tick_probe(e->reference_probe, now_us, &due);
    for (size_t i = 0; i < e->n; i++)
        tick_probe(e->slots[i].probe, now_us, &due);
    if (e->state_probe == NULL && e->state_at_us < due)
        due = e->state_at_us;
    if (!e->round && e->round_at_us < due)
        due = e->round_at_us;
    return due;
}

void engines_look_again(struct engines *e)
{
    uint64_t now = now_of(e);

    e->scan_next = true;
    e->state_at_us = later_of(now, e->state_began_us + AGAIN_US);
    e->round_at_us = later_of(now, e->round_began_us + AGAIN_US);
    wake(e, e->state_at_us);
    wake(e, e->round_at_us);
}

/* ---- choice ---------------------------------------------------------------------------------- */

static bool is_among(const struct engine *engine, struct engine *const *tried, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (tried[i] == engine)
            return true;
    return false;
}

static bool better(const struct slot *a, const struct slot *b)
{
    if (b == NULL || a->engine.in_flight != b->engine.in_flight)
        return b == NULL || a->engine.in_flight < b->engine.in_flight;
    return a->chosen < b->chosen;
}

struct engine *engines_choose(struct engines *e, struct engine *const *tried, size_t n)
{
    struct slot *best = NULL;

    for (size_t i = 0, left = e->live; left > 0; i++) {
        struct slot *s = &e->slots[i];

        if (!s->engine.live)
            continue;
        left--;
        if (better(s, best) && !is_among(&s->engine, tried, n))
            best = s;
    }
    if (best == NULL)
        return NULL;
    best->chosen = ++e->choices;
    return &best->engine;
}

/* ---- life and questions ---------------------------------------------------------------------- */

static size_t ports_of(const struct engines_config *cfg)
{
    size_t n;

    if (cfg->first_port == 0 || cfg->last_port < cfg->first_port)
        return 0;
    n = (size_t)cfg->last_port - cfg->first_port + 1;
    return n < ENGINES_MAX ? n : ENGINES_MAX;
}

static bool is_never(const struct engines_config *cfg, uint16_t port)
{
    for (size_t i = 0; i < ENGINES_NEVER_MAX; i++)
        if (cfg->never[i] == port)
            return true;
    return port == cfg->management.port || port == cfg->inference.port;
}

struct engines *engines_new(const struct gateway_host *host, const struct engines_config *cfg,
                            void (*changed)(void *ctx), void *ctx)
{
    size_t n = ports_of(cfg);
    struct engines *e = mem_zalloc(sizeof(*e) + n * sizeof(e->slots[0]));

    e->host = host;
    e->cfg = *cfg;
    e->changed = changed;
    e->ctx = ctx;
    e->n = n;
    log_gates_init(&e->gates);
    e->gate = (struct log_gate){.what = "changes of MLNode's state", .level = LOG_INFO};
    net_task_init(&e->task, tell_change);
    for (size_t i = 0; i < n; i++) {
        e->slots[i].all = e;
        e->slots[i].gate = (struct log_gate){.what = "an engine found and lost", .level = LOG_INFO};
        e->slots[i].engine.at.host = cfg->host;
        e->slots[i].engine.at.port = (uint16_t)(cfg->first_port + i);
        e->slots[i].never = is_never(cfg, e->slots[i].engine.at.port);
    }
    return e;
}

void engines_free(struct engines *e)
{
    if (e == NULL)
        return;
    probe_cancel(e->state_probe);
    round_cancel(e);
    net_task_cancel(&e->task);
    log_gates_end(&e->gates);
    mem_free(e);
}

enum node_state engines_state(const struct engines *e)
{
    return e->state;
}

enum node_manner engines_manner(const struct engines *e, uint64_t now_us)
{
    if (e->state_probe != NULL && now_us - e->state_began_us >= SILENT_US)
        return NODE_SILENT;
    return e->manner;
}

uint64_t engines_state_age(const struct engines *e, uint64_t now_us)
{
    return e->answered_us == 0 ? UINT64_MAX : now_us - e->answered_us;
}

size_t engines_live(const struct engines *e)
{
    return e->live;
}

const struct engine *engines_at(const struct engines *e, size_t i)
{
    for (size_t k = 0; k < e->n; k++)
        if (e->slots[k].known && i-- == 0)
            return &e->slots[k].engine;
    return NULL;
}
