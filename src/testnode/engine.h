/* What the stand-in knows of one engine (a vLLM instance behind MLNode), what a test may do to it,
 * and which one the proxy on the inference port chooses. Pure. */
#ifndef TESTNODE_ENGINE_H
#define TESTNODE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/head.h"
#include "testnode/blob.h"

enum {
    ENGINE_MAX = 128, /* MLNode's INFERENCE_MAX_INSTANCES */
    ENGINE_DELAY_MAX_MS = 3600 * 1000,
    ENGINE_IDLE_MS = 5000, /* vLLM's keep-alive limit, uvicorn's default */
    ENGINE_IDLE_MAX_MS = 3600 * 1000,
};

/* Counts leave out probes (GET /health and GET /v1/models), which a gateway sends by itself. */
struct engine_state {
    uint16_t port;
    bool alive;        /* its process runs and its port listens */
    bool sick;         /* /health says 500; outlives down and up */
    bool frozen;       /* accepts and reads, and says nothing */
    unsigned delay_ms; /* before each answer; outlives down and up */
    size_t relays;     /* requests of the proxy that are at this engine */
    size_t active;
    size_t max_active;
    uint64_t requests; /* begun, however they ended */
    uint64_t aborted;  /* the client left before the end */
    uint64_t probes;
};

enum engine_do {
    ENGINE_CRASH = 1, /* the port and every connection are reset */
    ENGINE_BACK = 2,  /* ends crash and freeze */
    ENGINE_SLOW = 3,
    ENGINE_SICK = 4,
    ENGINE_WELL = 5,
    ENGINE_FREEZE = 6,
};

struct engine_control {
    enum engine_do what;
    uint16_t port;
    unsigned delay_ms; /* ENGINE_SLOW */
};

/* Reads "?port=P&do=WORD[&delay_ms=N]" of a request target. 0 or ERR_SYNTAX with *why, static. */
int engine_control_parse(struct http_slice target, struct engine_control *out, const char **why);
/* Whether that can be done now: 0, or ERR_NOTNOW with *why. `running`: the model is up. */
int engine_allows(const struct engine_state *e, const struct engine_control *control, bool running,
                  const char **why);
/* The engine on that port; NULL when there is none. */
struct engine_state *engine_find(struct engine_state *engines, size_t n, uint16_t port);
/* MLNode's choice: of those that are alive and healthy the first with the fewest of MLNode's own
 * requests. NULL when there is none. */
struct engine_state *engine_pick(struct engine_state *engines, size_t n);
bool engine_any_alive(const struct engine_state *engines, size_t n);
void engine_begin(struct engine_state *e, bool probe);
void engine_end(struct engine_state *e, bool probe, bool aborted);
/* {"proxied":N,"engines":[{"port":P,...},...]} */
void engine_report(const struct engine_state *engines, size_t n, uint64_t proxied,
                   struct blob *out);

#endif
