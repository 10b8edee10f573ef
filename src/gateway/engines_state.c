#include "gateway/engines_internal.h"

#include <stdio.h>
#include <string.h>

#include "gateway/mlnode.h"

enum {
    /* MLNode 0.2.14 asks its engines before it answers and was seen to take 8 s. */
    STATE_US = 10000000,
    /* The API node waits no longer for it: from here on it counts as silent. */
    SILENT_US = 5000000,
};

static void empty_set(struct engines *e, const char *word)
{
    char cause[CAUSE_MAX];

    snprintf(cause, sizeof(cause), "MLNode says %s", word);
    if (e->round)
        engines_round_cancel(e);
    for (size_t i = 0; i < e->n; i++)
        engines_set_live(&e->slots[i], false, cause);
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
    if (engines_gate(e, &e->gate, more))
        log_info(e->host->log, "MLNode says %s%s", word, more);
    if (state == NODE_INFERENCE) {
        e->scan_next = true;
        e->round_at_us = engines_now(e);
        engines_wake(e, e->round_at_us);
    }
    engines_note_change(e);
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
    e->state_at_us = engines_later(e->state_at_us, engines_now(e) + AGAIN_US);
    engines_wake(e, e->state_at_us);
    e->manner = manner_of(status, why);
    if (status == 200 && mlnode_state(body, len, word)) {
        e->answered_us = engines_now(e);
        set_state(e, strcmp(word, "INFERENCE") == 0 ? NODE_INFERENCE : NODE_STOPPED, word);
        return;
    }
    if (status != 0)
        snprintf(cause, sizeof(cause), "nothing about its state (answer %u)", status);
    else
        snprintf(cause, sizeof(cause), "nothing about its state (%s)", reason_name(why));
    set_state(e, NODE_UNKNOWN, cause);
}

void engines_ask_state(struct engines *e, uint64_t now_us)
{
    e->state_began_us = now_us;
    e->state_at_us = now_us + ENGINES_ROUND_US;
    e->state_probe = engines_ask(e, &e->cfg.management, MLNODE_STATE_PATH, STATE_US, on_state, e);
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
