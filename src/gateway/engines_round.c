#include "gateway/engines_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "gateway/mlnode.h"

enum { ASKED_AT_ONCE = 16 /* ports that a round asks in parallel */ };

static void pump(struct engines *e);

/* A round outlives the state that it began in; while MLNode says nothing nobody is added. */
static void found(struct slot *s)
{
    s->engine.strikes = 0;
    if (s->all->state == NODE_INFERENCE)
        engines_set_live(s, true, "healthy, serves what MLNode serves");
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
    engines_set_live(s, false, cause);
}

static void round_over(struct engines *e)
{
    e->round = false;
    e->scan = false;
    e->reference = REFERENCE_NONE;
    mem_free(e->models);
    e->models = NULL;
    engines_wake(e, e->round_at_us);
}

void engines_round_cancel(struct engines *e)
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

/* Who answers for management is the way to a whole node: another gateway in this network namespace,
 * say, which is as healthy as the engines behind it and serves what they serve. Requests that went
 * there would leave this node. An engine knows no such path. */
static void on_front(void *ctx, unsigned status, const char *body, size_t len, enum reason why)
{
    struct slot *s = ctx;

    (void)body;
    (void)len;
    s->probe = NULL;
    if (status >= 400 && status < 500) {
        found(s);
    } else if (status != 0) {
        s->known = false;
        log_debug(s->all->host->log, "%s:%u is no engine: it answers for management (%u)",
                  s->engine.at.host, s->engine.at.port, status);
    } else {
        strike(s, status, why);
    }
    slot_over(s);
}

/* Serves what MLNode serves. One that is in use was asked all this before. */
static void fits(struct slot *s)
{
    if (s->engine.live) {
        found(s);
        slot_over(s);
        return;
    }
    s->asking = ASKING_FRONT;
    s->probe = engines_ask(s->all, &s->engine.at, MLNODE_STATE_PATH, ENGINES_PROBE_US, on_front, s);
}

static void on_models(void *ctx, unsigned status, const char *body, size_t len, enum reason why)
{
    struct slot *s = ctx;
    char *models = status == 200 ? mlnode_models(body, len) : NULL;

    bool told = models != NULL;
    bool same = told && strcmp(models, s->all->models) == 0;

    s->probe = NULL;
    mem_free(models);
    if (same) {
        fits(s);
        return;
    }
    if (!told)
        not_compared(s, status, why);
    else
        engines_set_live(s, false, "serves other models than MLNode");
    slot_over(s);
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
        s->probe = engines_ask(e, &s->engine.at, "/v1/models", ENGINES_PROBE_US, on_models, s);
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
    e->reference_probe =
        engines_ask(e, &e->cfg.inference, "/v1/models", ENGINES_PROBE_US, on_reference, e);
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
        s->probe = engines_ask(e, &s->engine.at, "/health", ENGINES_PROBE_US, on_health, s);
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

void engines_round(struct engines *e, uint64_t now_us)
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
