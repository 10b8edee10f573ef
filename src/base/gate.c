#include "base/gate.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    /* What one line costs of the time. */
    LINE_US = 1000 * 1000,
    /* While a flood goes on its next line says the count, and shows what it is about; only when
     * none has come by then there is a line without one. */
    QUIET_US = 2 * 1000 * 1000,
};

void log_gates_init(struct log_gates *set)
{
    list_init(&set->holding);
}

static void hold(struct log_gates *set, struct log_gate *g, struct log *log, uint64_t now_us)
{
    if (g->held++ > 0)
        return;
    g->log = log;
    g->due_us = now_us + QUIET_US; /* all wait equally long, so the list is sorted by itself */
    list_init(&g->node);
    list_push(&set->holding, &g->node);
}

/* Takes the count away. */
static uint64_t release(struct log_gate *g)
{
    uint64_t held = g->held;

    if (held > 0)
        list_remove(&g->node);
    g->held = 0;
    return held;
}

static void pay(struct log_gate *g, uint64_t now_us)
{
    g->paid_us = (g->paid_us > now_us ? g->paid_us : now_us) + LINE_US;
}

bool log_gate(struct log_gates *set, struct log_gate *g, struct log *log, uint64_t now_us,
              char more[LOG_HELD_MAX])
{
    uint64_t ahead = g->burst > 1 ? (uint64_t)(g->burst - 1) * LINE_US : 0;
    uint64_t held;

    if (g->paid_us > now_us + ahead) {
        hold(set, g, log, now_us);
        return false;
    }
    pay(g, now_us);
    more[0] = '\0';
    held = release(g);
    if (held > 0)
        snprintf(more, LOG_HELD_MAX, "; %" PRIu64 " more such lines were held back", held);
    return true;
}

void log_gate_end(struct log_gate *g)
{
    struct log *log = g->log;
    uint64_t held = release(g);

    if (held > 0)
        log_write(log, g->level, "%" PRIu64 " more lines were held back: %s", held, g->what);
}

uint64_t log_gates_tick(struct log_gates *set, uint64_t now_us)
{
    while (!list_empty(&set->holding)) {
        struct log_gate *g = LIST_ENTRY(set->holding.next, struct log_gate, node);

        if (g->due_us > now_us)
            return g->due_us;
        log_gate_end(g);
        pay(g, now_us);
    }
    return UINT64_MAX;
}

void log_gates_end(struct log_gates *set)
{
    while (!list_empty(&set->holding))
        log_gate_end(LIST_ENTRY(set->holding.next, struct log_gate, node));
}
