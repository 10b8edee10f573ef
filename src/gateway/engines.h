/* The engines (vLLM) behind MLNode, and MLNode's own state: who is there, who is asked next.
 *
 * MLNode's port 5000 is a Python proxy and by far the slowest hop, so requests go past it where the
 * engines can be told: ports of the range whose /health is 200, whose /v1/models names the same
 * models as 5000's, and which know no /api/v1/state, while management's says INFERENCE. Driven by
 * engines_tick; asks by probes. One GET /api/v1/state at a time, and one round of probes at a time.
 */
#ifndef GATEWAY_ENGINES_H
#define GATEWAY_ENGINES_H

#include "gateway/host.h"

enum {
    ENGINES_NEVER_MAX = 2,      /* as many as the gateway has listeners */
    ENGINES_MAX = 128,          /* MLNode's own limit (INFERENCE_MAX_INSTANCES) */
    ENGINES_ROUND_US = 2000000, /* a round of questions this often, as MLNode's own health loop */
    ENGINES_SCAN_ROUNDS = 5,    /* every so many rounds all ports of the range, else the known */
    ENGINES_PROBE_US = 2000000, /* for one answer; MLNode allows as much */
    ENGINES_STRIKES = 2, /* failed probes that take an engine out; a refused one does so alone */
};

struct engine {
    struct endpoint at;
    unsigned in_flight; /* exchanges that use it; the exchange's to count up and down */
    unsigned strikes;   /* failed probes in a row, at most ENGINES_STRIKES */
    bool live;          /* may be chosen */
    uint64_t served;    /* the exchange's too */
    void *pool;         /* idle connections; the owner of the engines attaches and releases it */
};

enum node_state {
    NODE_UNKNOWN = 0,   /* management does not answer */
    NODE_STOPPED = 1,   /* answers, and runs no model (also POW, TRAIN) */
    NODE_INFERENCE = 2, /* a model is loaded */
};

/* How management takes the question for its state, whatever it says. */
enum node_manner {
    NODE_NOT_ASKED = 0,
    NODE_ABSENT = 1, /* nobody listens, or whoever accepts hangs up */
    NODE_SILENT = 2, /* accepts and does not answer: so after a crash of vLLM, for half a minute */
    NODE_ANSWERS = 3,
};

struct engines_config {
    struct endpoint management;
    struct endpoint inference; /* MLNode's 5000 */
    const char *host;          /* of the engines: "127.0.0.1" */
    uint16_t first_port;       /* 0: no discovery (ENGINE_DIRECT=off); the state is still asked */
    uint16_t last_port;
    /* Ports of the range that are no engine whatever answers there; 0: none. The gateway's own
     * listeners belong here: they answer as engines do, and one of them (5050) lies inside MLNode's
     * range, so that requests would go round in circles. The two ports above count anyway. */
    uint16_t never[ENGINES_NEVER_MAX];
};

struct engines;

/* Strings of `cfg` and `host` must outlive it; of a range that is longer than ENGINES_MAX the first
 * ports count. `changed` (may be NULL) hears when the set of live engines or the state changed, for
 * logs and counters; never inside a call of this module's: a task of the host's tells it. */
struct engines *engines_new(const struct gateway_host *host, const struct engines_config *cfg,
                            void (*changed)(void *ctx), void *ctx);
/* Cancels what is being asked. Engines' memory goes; nobody may hold a struct engine any more. */
void engines_free(struct engines *e);

/* Acts when something is due; returns when it wants to be called again (host's clock). What becomes
 * due sooner goes through host->wake. */
uint64_t engines_tick(struct engines *e, uint64_t now_us);
/* Something just happened that may change the set: the state is asked and all ports are looked at
 * as soon as possible, at most four times a second however often this is called. */
void engines_look_again(struct engines *e);

/* The live engine with the fewest requests in flight, the longest not chosen among equals; never
 * one in `tried` (n entries). NULL: nobody is left, ask 5000. Valid as long as the engines: an
 * engine that dies is only marked, because exchanges still count on it. */
struct engine *engines_choose(struct engines *e, struct engine *const *tried, size_t n);
/* A connection to it was refused: out of the choice until a probe says otherwise. */
void engines_refused(struct engines *e, struct engine *engine);

enum node_state engines_state(const struct engines *e);
enum node_manner engines_manner(const struct engines *e, uint64_t now_us);
/* Microseconds since management last answered; UINT64_MAX: never. */
uint64_t engines_state_age(const struct engines *e, uint64_t now_us);
size_t engines_live(const struct engines *e);
/* For status pages: the i-th engine that ever was healthy, by port; NULL beyond the last. */
const struct engine *engines_at(const struct engines *e, size_t i);

#endif
