#include "gateway/engines_internal.h"

#include <string.h>

#include "base/mem.h"

void engines_note_change(struct engines *e)
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

bool engines_gate(struct engines *e, struct log_gate *g, char more[LOG_HELD_MAX])
{
    bool passes = log_gate(&e->gates, g, e->host->log, engines_now(e), more);

    if (!passes)
        engines_wake(e, g->due_us);
    return passes;
}

void engines_set_live(struct slot *s, bool live, const char *cause)
{
    struct engines *e = s->all;
    char more[LOG_HELD_MAX];

    if (s->engine.live == live)
        return;
    s->engine.live = live;
    e->live = live ? e->live + 1 : e->live - 1;
    if (engines_gate(e, &s->gate, more))
        log_info(e->host->log, "engine %s:%u %s: %s; %zu in use%s", s->engine.at.host,
                 s->engine.at.port, live ? "found" : "lost", cause, e->live, more);
    engines_note_change(e);
}

void engines_refused(struct engines *e, struct engine *engine)
{
    struct slot *s = LIST_ENTRY(engine, struct slot, engine);

    s->engine.strikes = ENGINES_STRIKES;
    engines_set_live(s, false, reason_name(REASON_CONNECT_REFUSED));
}

struct probe *
engines_ask(struct engines *e, const struct endpoint *to, const char *path, uint64_t patience_us,
            void (*done)(void *ctx, unsigned status, const char *body, size_t len, enum reason why),
            void *ctx)
{
    return probe_start(e->host, to, path, engines_now(e) + patience_us, done, ctx);
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
        engines_ask_state(e, now_us);
    if (!e->round && now_us >= e->round_at_us)
        engines_round(e, now_us);
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
    uint64_t now = engines_now(e);

    e->scan_next = true;
    e->state_at_us = engines_later(now, e->state_began_us + AGAIN_US);
    e->round_at_us = engines_later(now, e->round_began_us + AGAIN_US);
    engines_wake(e, e->state_at_us);
    engines_wake(e, e->round_at_us);
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
    engines_round_cancel(e);
    net_task_cancel(&e->task);
    log_gates_end(&e->gates);
    mem_free(e);
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
