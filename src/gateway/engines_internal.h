/* What the files of the engines share. No one else includes this.
 *
 *   engines.c        the set, the choice, life and time
 *   engines_round.c  a round of questions to the ports of the range
 *   engines_state.c  MLNode's own state */
#ifndef GATEWAY_ENGINES_INTERNAL_H
#define GATEWAY_ENGINES_INTERNAL_H

#include "base/gate.h"
#include "gateway/engines.h"
#include "gateway/probe.h"

enum {
    /* The shortest time between two beginnings, however often somebody calls for one. */
    AGAIN_US = 250000,
    CAUSE_MAX = 64, /* of a cause in the log */
};

enum asking {
    ASKING_NOTHING = 0,
    ASKING_SOON = 1, /* in this round, when others are done */
    ASKING_HEALTH = 2,
    ASKING_WAITS = 3, /* is healthy; what 5000 serves is not known yet */
    ASKING_MODELS = 4,
    ASKING_FRONT = 5, /* serves the right models; whether it is more than an engine */
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

static inline uint64_t engines_now(const struct engines *e)
{
    return e->host->now(e->host->ctx);
}

static inline uint64_t engines_later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static inline void engines_wake(const struct engines *e, uint64_t due_us)
{
    if (e->host->wake != NULL)
        e->host->wake(e->host->ctx, due_us);
}

/* engines.c */
/* `changed` will hear of it. */
void engines_note_change(struct engines *e);
/* log_gate among these gates. */
bool engines_gate(struct engines *e, struct log_gate *g, char more[LOG_HELD_MAX]);
void engines_set_live(struct slot *s, bool live, const char *cause);
/* GET `path`; `done` hears once, unless the probe is cancelled before. */
struct probe *
engines_ask(struct engines *e, const struct endpoint *to, const char *path, uint64_t patience_us,
            void (*done)(void *ctx, unsigned status, const char *body, size_t len, enum reason why),
            void *ctx);

/* engines_round.c */
/* Begins one; none is under way. */
void engines_round(struct engines *e, uint64_t now_us);
/* Ends it with nothing learned. */
void engines_round_cancel(struct engines *e);

/* engines_state.c */
/* Asks management for its state; no such question is under way. */
void engines_ask_state(struct engines *e, uint64_t now_us);

#endif
