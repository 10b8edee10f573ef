/* Who may run, be asked to end, or be killed, and when: the decisions of PID 1, and nothing else.
 *
 * Pure. Events and the time go in, actions come out; two tables in plan.c are the whole of it. One
 * says what becomes of the container (enum plan_phase), the other what becomes of a child (enum
 * child_state). init.c does what is asked, and reports what happened.
 *
 *   SERVE   children run; who ends comes back, the faster the longer it had lived
 *   DRAIN   a stop was asked for: the worker refuses new requests, answers may finish; who prepares
 *           the model is asked to end, and nobody waits for it
 *   CUT     the grace is over, or nothing is left to wait for: answers are cut, the node is asked
 *           to end and killed soon after, because MLNode never ends with a live stream
 *   LEAVE   the worker leaves the server and ends
 *   OVER
 */
#ifndef CONTAINER_PLAN_H
#define CONTAINER_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "container/beat.h"

enum {
    /* The worker: tunnel and gateway are missed at once. */
    PLAN_WORKER_PAUSE_US = 100000,
    PLAN_WORKER_PAUSE_MAX_US = 10000000,
    PLAN_WORKER_STABLE_US = 10000000,
    /* The node: a start takes minutes of disk and GPU, so a storm of them costs more. */
    PLAN_NODE_PAUSE_US = 1000000,
    PLAN_NODE_PAUSE_MAX_US = 60000000,
    PLAN_NODE_STABLE_US = 120000000,
    /* Who prepares the model: it fails for what takes its time, a hub or a disk that is full. It
     * ends with 0 when there is nothing left to do, and stays away. */
    PLAN_MODEL_PAUSE_US = 30000000,
    PLAN_MODEL_PAUSE_MAX_US = 600000000,
    PLAN_MODEL_STABLE_US = 600000000,
    PLAN_STORM = 5, /* short lives in a row that are called one */

    PLAN_NO_BEAT_US = 10000000,      /* ten beats are missing */
    PLAN_NODE_SILENT_US = 120000000, /* seen: 33 s after a crash of vLLM; then it ends by itself */

    PLAN_NODE_TERM_US = 1000000,   /* from TERM to KILL */
    PLAN_MODEL_TERM_US = 2000000,  /* its shim gives what it started a second */
    PLAN_WORKER_TERM_US = 1000000, /* its last words take half of it */
    /* From KILL to the next one, or to giving up: what hangs in the kernel stays. A process that
     * holds a GPU takes its time; when the container ends, nobody waits for it. */
    PLAN_KILL_US = 5000000,
    PLAN_LAST_KILL_US = 500000,

    /* Between two ticks more than this has passed: we did not run (a paused container, a stopped
     * process), and nobody else may have. */
    PLAN_FROZEN_US = 3000000,
};

enum plan_child {
    PLAN_WORKER = 0,
    PLAN_NODE = 1,  /* MLNode or what stands in for it, under its shim */
    PLAN_MODEL = 2, /* prepares the model, under a shim too; never missed */
    PLAN_CHILDREN = 3,
};

enum child_state {
    CHILD_NONE = 0,   /* not there, and not wanted */
    CHILD_PAUSED = 1, /* will be started when its pause is over */
    CHILD_ALIVE = 2,
    CHILD_SICK = 3,   /* killed; will be started again */
    CHILD_ASKED = 4,  /* asked to end for good */
    CHILD_KILLED = 5, /* killed for good */
    CHILD_STATES = 6,
};

enum child_event {
    CHILD_DUE = 0,    /* its pause is over */
    CHILD_EXITED = 1, /* or could not be started */
    CHILD_UNWELL = 2, /* without heartbeat, or without answers */
    CHILD_END = 3,    /* it shall end and not come back */
    CHILD_LATE = 4,   /* did not end in time after TERM or KILL */
    CHILD_DONE = 5,   /* ended because there is nothing left for it to do */
    CHILD_EVENTS = 6,
};

enum plan_phase {
    PHASE_SERVE = 0,
    PHASE_DRAIN = 1,
    PHASE_CUT = 2,
    PHASE_LEAVE = 3,
    PHASE_OVER = 4,
    PHASES = 5,
};

enum phase_event {
    PHASE_STOP = 0,        /* asked from outside; a second time: no more patience */
    PHASE_QUIET = 1,       /* no request is under way any more */
    PHASE_TIME = 2,        /* the grace is over */
    PHASE_NODE_GONE = 3,   /* and will not come back */
    PHASE_WORKER_GONE = 4, /* the same */
    PHASE_EVENTS = 5,
};

enum plan_what {
    PLAN_NOTHING = 0,
    PLAN_START = 1,   /* child; plan_exited when it cannot be started */
    PLAN_TERM = 2,    /* child */
    PLAN_KILL = 3,    /* child; the second time in a row: harder */
    PLAN_ABANDON = 4, /* child: it was killed and is still there */
    PLAN_DRAIN = 5,   /* the worker refuses new requests */
    PLAN_CUT = 6,     /* the worker ends those that are under way */
    PLAN_EXIT = 7,    /* with `status` */
    /* To be said, and nothing else. */
    PLAN_SAY_PAUSE = 8,   /* child ended; it starts again after `us`; `count` short lives so far */
    PLAN_SAY_NO_BEAT = 9, /* the worker; for `us` */
    /* The node accepts and does not answer. It is killed after `us`; 0: it never answered, and is
     * left alone. */
    PLAN_SAY_SILENT = 10,
    PLAN_SAY_ANSWERS = 11,  /* the node, which was silent for `us` */
    PLAN_SAY_GIVEN_UP = 12, /* the node was silent for `us`: killed now */
};

struct plan_action {
    enum plan_what what;
    enum plan_child child;
    uint64_t us;
    unsigned count;
    int status;
};

/* More never come from one call; init.c takes them all before the next. */
enum { PLAN_ACTIONS_MAX = 16 };

struct plan_life {
    enum child_state state;
    uint64_t due_us;     /* PAUSED: the start; SICK, ASKED, KILLED: patience ends */
    uint64_t started_us; /* the last time */
    unsigned short_lives;
    unsigned starts;
};

struct plan {
    enum plan_phase phase;
    struct plan_life child[PLAN_CHILDREN];
    struct beat beat; /* the last one of this worker; zero: none */
    uint64_t grace_us;
    uint64_t drain_until_us;
    uint64_t beat_us;   /* the last sign of life, or its start */
    uint64_t silent_us; /* since when the node accepts and does not answer; 0: it does */
    bool answered;      /* the node that runs now, once */
    uint64_t ticked_us;
    int status;
    size_t n;
    struct plan_action actions[PLAN_ACTIONS_MAX];
};

/* `node`, `model`: whether there is one to run. All children are due at once. */
void plan_init(struct plan *p, uint64_t grace_us, bool node, bool model, uint64_t now_us);

void plan_stop(struct plan *p, uint64_t now_us);
/* The child ended, or could not be started. `status` as a shell has it. A worker that ends with 2
 * before its first record found its configuration unusable: everything ends, with that status.
 * Who prepares the model is done when it ends with 0. */
void plan_exited(struct plan *p, enum plan_child child, int status, uint64_t now_us);
/* A record that beat_read has passed. */
void plan_beat(struct plan *p, const struct beat *b, uint64_t now_us);
/* Acts on what is due. Records that wait are to be read before, so that time that we lost
 * ourselves is not held against the worker. */
void plan_tick(struct plan *p, uint64_t now_us);
/* When plan_tick is wanted next; UINT64_MAX: not at all. */
uint64_t plan_due(const struct plan *p);

/* The next action, in order; false: none is left. */
bool plan_take(struct plan *p, struct plan_action *out);

/* The tables, for tests: what follows on an event, and the action (PLAN_NOTHING: none). */
enum child_state plan_child_next(enum child_state state, enum child_event event,
                                 enum plan_what *what);
enum plan_phase plan_phase_next(enum plan_phase phase, enum phase_event event,
                                enum plan_what *what);

const char *plan_phase_name(enum plan_phase phase);
const char *plan_child_state_name(enum child_state state);

#endif
