/* MLNode's state machine as the API node sees it: a model is loaded by `up`, which takes its time,
 * and unloaded by `down` and `stop`. Proof of compute (version 2) runs inside of it, with the model
 * loaded. Pure: the time comes from the caller, in milliseconds of any steady clock. */
#ifndef TESTNODE_MODEL_H
#define TESTNODE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MODEL_NAME_MAX = 256
}; /* a hub id has at most 96 + 1 + 96 characters; paths are short too */

/* What /api/v1/inference/up/status says of the latest load. */
enum model_load {
    MODEL_NOT_STARTED = 0,
    MODEL_IN_PROGRESS = 1,
    MODEL_COMPLETED = 2,
    MODEL_FAILED = 3,
    MODEL_CANCELLED = 4,
};

struct model {
    enum model_load load;
    bool running;    /* an engine answers */
    bool generating; /* proof of compute; the engines refuse completions meanwhile */
    bool doomed;     /* the load in progress is to fail: a test asked for it */
    unsigned load_delay_ms;
    uint64_t began_ms; /* of the latest load */
    uint64_t ended_ms;
    char name[MODEL_NAME_MAX + 1]; /* loaded, being loaded, or to be loaded at the start */
};

/* STOPPED. `name` must not be longer than MODEL_NAME_MAX; it is what model_up loads without a name.
 */
int model_init(struct model *m, const char *name, unsigned load_delay_ms);
/* The engine runs from the beginning, without a load. */
void model_started(struct model *m);
/* Begins a load. ERR_NOTNOW while an engine runs or a load is in progress, ERR_LIMIT for a long
 * name. */
int model_up(struct model *m, const char *name, bool doomed, uint64_t now_ms);
/* Milliseconds until the load in progress ends; 0 when it is due. */
uint64_t model_remaining(const struct model *m, uint64_t now_ms);
/* Ends a load that is due: true when it ended now, with m->running telling how. */
bool model_tick(struct model *m, uint64_t now_ms);
/* The engine could not open its port after all. */
void model_fail(struct model *m);
/* Begins or ends proof of compute: false, and nothing happens, without an engine. */
bool model_generate(struct model *m, bool on);
/* Down and stop: true when an engine or a load was ended by it. */
bool model_down(struct model *m, uint64_t now_ms);

/* "STOPPED" or "INFERENCE": derived, as in MLNode; a load in progress is still STOPPED. */
const char *model_state(const struct model *m);
/* "IDLE", "GENERATING" or "NO_BACKENDS". */
const char *model_poc(const struct model *m);
const char *model_load_name(enum model_load load);
double model_elapsed_s(const struct model *m, uint64_t now_ms);

#endif
