#include "container/plan.h"

/* ---- the two tables -------------------------------------------------------------------------- */

/* What is not in a table changes nothing: the event came too late, or cannot matter there. */
struct child_step {
    bool counts;
    enum child_state next;
    enum plan_what what;
};

static const struct child_step child_steps[CHILD_STATES][CHILD_EVENTS] = {
    [CHILD_PAUSED] = {[CHILD_DUE] = {true, CHILD_ALIVE, PLAN_START},
                      [CHILD_END] = {true, CHILD_NONE, PLAN_NOTHING}},
    [CHILD_ALIVE] = {[CHILD_EXITED] = {true, CHILD_PAUSED, PLAN_NOTHING},
                     [CHILD_UNWELL] = {true, CHILD_SICK, PLAN_KILL},
                     [CHILD_END] = {true, CHILD_ASKED, PLAN_TERM},
                     [CHILD_DONE] = {true, CHILD_NONE, PLAN_NOTHING}},
    [CHILD_SICK] = {[CHILD_EXITED] = {true, CHILD_PAUSED, PLAN_NOTHING},
                    [CHILD_END] = {true, CHILD_KILLED, PLAN_NOTHING},
                    [CHILD_LATE] = {true, CHILD_SICK, PLAN_KILL}},
    [CHILD_ASKED] = {[CHILD_EXITED] = {true, CHILD_NONE, PLAN_NOTHING},
                     [CHILD_LATE] = {true, CHILD_KILLED, PLAN_KILL}},
    [CHILD_KILLED] = {[CHILD_EXITED] = {true, CHILD_NONE, PLAN_NOTHING},
                      [CHILD_LATE] = {true, CHILD_NONE, PLAN_ABANDON}},
};

struct phase_step {
    bool counts;
    enum plan_phase next;
    enum plan_what what;
};

static const struct phase_step phase_steps[PHASES][PHASE_EVENTS] = {
    [PHASE_SERVE] = {[PHASE_STOP] = {true, PHASE_DRAIN, PLAN_DRAIN}},
    [PHASE_DRAIN] = {[PHASE_STOP] = {true, PHASE_CUT, PLAN_CUT},
                     [PHASE_QUIET] = {true, PHASE_CUT, PLAN_CUT},
                     [PHASE_TIME] = {true, PHASE_CUT, PLAN_CUT},
                     [PHASE_WORKER_GONE] = {true, PHASE_CUT, PLAN_NOTHING}},
    [PHASE_CUT] = {[PHASE_NODE_GONE] = {true, PHASE_LEAVE, PLAN_NOTHING}},
    [PHASE_LEAVE] = {[PHASE_WORKER_GONE] = {true, PHASE_OVER, PLAN_EXIT}},
};

enum child_state plan_child_next(enum child_state state, enum child_event event,
                                 enum plan_what *what)
{
    const struct child_step *step = &child_steps[state][event];

    *what = step->what;
    return step->counts ? step->next : state;
}

enum plan_phase plan_phase_next(enum plan_phase phase, enum phase_event event, enum plan_what *what)
{
    const struct phase_step *step = &phase_steps[phase][event];

    *what = step->what;
    return step->counts ? step->next : phase;
}

const char *plan_phase_name(enum plan_phase phase)
{
    static const char *const names[PHASES] = {"serving", "draining", "ending", "leaving", "over"};

    return names[phase];
}

const char *plan_child_state_name(enum child_state state)
{
    static const char *const names[CHILD_STATES] = {"absent",       "paused",       "running",
                                                    "being killed", "asked to end", "killed"};

    return names[state];
}

/* ---- actions --------------------------------------------------------------------------------- */

static struct plan_action *add(struct plan *p, enum plan_what what, enum plan_child child)
{
    struct plan_action *a = &p->actions[p->n < PLAN_ACTIONS_MAX ? p->n++ : PLAN_ACTIONS_MAX - 1];

    *a = (struct plan_action){.what = what, .child = child};
    return a;
}

bool plan_take(struct plan *p, struct plan_action *out)
{
    if (p->n == 0)
        return false;
    *out = p->actions[0];
    p->n--;
    for (size_t i = 0; i < p->n; i++)
        p->actions[i] = p->actions[i + 1];
    return true;
}

/* ---- one child ------------------------------------------------------------------------------- */

struct patience {
    uint64_t pause_us;
    uint64_t pause_max_us;
    uint64_t stable_us;
    uint64_t term_us;
};

static const struct patience patience_with[PLAN_CHILDREN] = {
    [PLAN_WORKER] = {PLAN_WORKER_PAUSE_US, PLAN_WORKER_PAUSE_MAX_US, PLAN_WORKER_STABLE_US,
                     PLAN_WORKER_TERM_US},
    [PLAN_NODE] = {PLAN_NODE_PAUSE_US, PLAN_NODE_PAUSE_MAX_US, PLAN_NODE_STABLE_US,
                   PLAN_NODE_TERM_US},
    [PLAN_MODEL] = {PLAN_MODEL_PAUSE_US, PLAN_MODEL_PAUSE_MAX_US, PLAN_MODEL_STABLE_US,
                    PLAN_MODEL_TERM_US},
};

static uint64_t pause_of(const struct patience *with, unsigned short_lives)
{
    uint64_t us = with->pause_us;

    for (unsigned i = 1; i < short_lives && us < with->pause_max_us; i++)
        us *= 2;
    return us < with->pause_max_us ? us : with->pause_max_us;
}

static void set_pause(struct plan *p, enum plan_child child, uint64_t now_us)
{
    struct plan_life *c = &p->child[child];
    const struct patience *with = &patience_with[child];
    uint64_t us;

    if (now_us - c->started_us >= with->stable_us)
        c->short_lives = 0;
    c->short_lives++;
    us = pause_of(with, c->short_lives);
    c->due_us = now_us + us;
    if (p->phase != PHASE_SERVE)
        return;
    add(p, PLAN_SAY_PAUSE, child)->us = us;
    p->actions[p->n - 1].count = c->short_lives;
}

static void set_started(struct plan *p, enum plan_child child, uint64_t now_us)
{
    struct plan_life *c = &p->child[child];

    c->started_us = now_us;
    c->starts++;
    if (child == PLAN_WORKER) {
        p->beat = (struct beat){0};
        p->beat_us = now_us;
    } else if (child == PLAN_NODE) {
        p->silent_us = 0;
        p->answered = false;
    }
}

static void child_step(struct plan *p, enum plan_child child, enum child_event event,
                       uint64_t now_us)
{
    struct plan_life *c = &p->child[child];
    enum child_state before = c->state;
    enum plan_what what;

    c->state = plan_child_next(before, event, &what);
    if (what != PLAN_NOTHING)
        add(p, what, child);
    switch (what) {
    case PLAN_START:
        set_started(p, child, now_us);
        break;
    case PLAN_TERM:
        c->due_us = now_us + patience_with[child].term_us;
        break;
    case PLAN_KILL:
        c->due_us = now_us + (p->phase == PHASE_SERVE ? PLAN_KILL_US : PLAN_LAST_KILL_US);
        break;
    default:
        if (c->state == CHILD_KILLED && before == CHILD_SICK)
            c->due_us = now_us + PLAN_LAST_KILL_US;
        if (c->state == CHILD_PAUSED && before != CHILD_PAUSED)
            set_pause(p, child, now_us);
        break;
    }
}

/* ---- the container --------------------------------------------------------------------------- */

/* Nobody comes back once a stop was asked for; those who run stay as long as the phase needs them.
 */
static void want_nobody_back(struct plan *p, uint64_t now_us)
{
    for (int i = 0; i < PLAN_CHILDREN; i++)
        if (p->child[i].state == CHILD_PAUSED || p->child[i].state == CHILD_SICK)
            child_step(p, (enum plan_child)i, CHILD_END, now_us);
}

static void enter(struct plan *p, uint64_t now_us)
{
    switch (p->phase) {
    case PHASE_DRAIN:
        p->drain_until_us = now_us + p->grace_us;
        child_step(p, PLAN_MODEL, CHILD_END, now_us);
        break;
    case PHASE_CUT:
        child_step(p, PLAN_NODE, CHILD_END, now_us);
        break;
    case PHASE_LEAVE:
        child_step(p, PLAN_WORKER, CHILD_END, now_us);
        break;
    case PHASE_SERVE:
    case PHASE_OVER:
    case PHASES:
        break;
    }
    want_nobody_back(p, now_us);
}

static void phase_step(struct plan *p, enum phase_event event, uint64_t now_us)
{
    enum plan_what what;
    enum plan_phase next = plan_phase_next(p->phase, event, &what);

    if (what != PLAN_NOTHING)
        add(p, what, PLAN_WORKER)->status = p->status;
    if (next == p->phase)
        return;
    p->phase = next;
    enter(p, now_us);
}

static bool gone(const struct plan *p, enum plan_child child)
{
    return p->child[child].state == CHILD_NONE;
}

/* What is true now may end one phase after the other. */
static void settle(struct plan *p, uint64_t now_us)
{
    enum plan_phase before;

    do {
        before = p->phase;
        if (p->phase == PHASE_SERVE)
            return;
        want_nobody_back(p, now_us);
        if (gone(p, PLAN_WORKER))
            phase_step(p, PHASE_WORKER_GONE, now_us);
        if (gone(p, PLAN_NODE))
            phase_step(p, PHASE_NODE_GONE, now_us);
        if (p->beat.draining && p->beat.exchanges == 0)
            phase_step(p, PHASE_QUIET, now_us);
        if (p->phase == PHASE_DRAIN && now_us >= p->drain_until_us)
            phase_step(p, PHASE_TIME, now_us);
    } while (p->phase != before);
}

/* ---- events ---------------------------------------------------------------------------------- */

void plan_init(struct plan *p, uint64_t grace_us, bool node, bool model, uint64_t now_us)
{
    const bool there[PLAN_CHILDREN] = {
        [PLAN_WORKER] = true, [PLAN_NODE] = node, [PLAN_MODEL] = model};

    *p = (struct plan){.grace_us = grace_us, .ticked_us = now_us};
    for (int i = 0; i < PLAN_CHILDREN; i++)
        if (there[i])
            p->child[i] = (struct plan_life){.state = CHILD_PAUSED, .due_us = now_us};
}

void plan_stop(struct plan *p, uint64_t now_us)
{
    phase_step(p, PHASE_STOP, now_us);
    settle(p, now_us);
}

void plan_exited(struct plan *p, enum plan_child child, int status, uint64_t now_us)
{
    bool unusable = child == PLAN_WORKER && status == 2 && p->child[child].starts == 1 &&
                    p->beat.magic == 0 && p->phase == PHASE_SERVE;
    bool done = child == PLAN_MODEL && status == 0 && p->child[child].state == CHILD_ALIVE;

    if (unusable) {
        p->status = 2;
        p->phase = PHASE_CUT;
        child_step(p, PLAN_MODEL, CHILD_END, now_us);
        child_step(p, PLAN_NODE, CHILD_END, now_us);
    }
    child_step(p, child, done ? CHILD_DONE : CHILD_EXITED, now_us);
    if (child == PLAN_NODE)
        p->silent_us = 0;
    settle(p, now_us);
}

static void note_manner(struct plan *p, enum beat_manner manner, uint64_t now_us)
{
    p->answered = p->answered || manner == MANNER_ANSWERS;
    if (manner == MANNER_SILENT && p->silent_us == 0) {
        p->silent_us = now_us;
        add(p, PLAN_SAY_SILENT, PLAN_NODE)->us = p->answered ? PLAN_NODE_SILENT_US : 0;
    } else if (manner == MANNER_ANSWERS && p->silent_us != 0) {
        add(p, PLAN_SAY_ANSWERS, PLAN_NODE)->us = now_us - p->silent_us;
        p->silent_us = 0;
    } else if (manner == MANNER_ABSENT) {
        p->silent_us = 0; /* it ended, or is about to */
    }
}

void plan_beat(struct plan *p, const struct beat *b, uint64_t now_us)
{
    if (p->child[PLAN_WORKER].state == CHILD_NONE || p->child[PLAN_WORKER].state == CHILD_PAUSED)
        return; /* its last words, read after its end was noticed */
    p->beat = *b;
    p->beat_us = now_us;
    if (p->child[PLAN_NODE].state == CHILD_ALIVE)
        note_manner(p, (enum beat_manner)b->manner, now_us);
    settle(p, now_us);
}

static void thaw(struct plan *p, uint64_t now_us)
{
    uint64_t lost = now_us - p->ticked_us;

    if (lost <= PLAN_FROZEN_US)
        return;
    p->beat_us += lost;
    if (p->silent_us != 0)
        p->silent_us += lost;
}

/* Only a worker that says so now counts: one that just came back has not asked yet. And only a node
 * that answered before has fallen silent: MLNODE_COMMAND may be something that speaks no HTTP
 * there, and nothing gets better when it is killed. */
static bool counts_silence(const struct plan *p)
{
    return p->child[PLAN_NODE].state == CHILD_ALIVE && p->silent_us != 0 && p->answered &&
           p->beat.manner == MANNER_SILENT;
}

static void tick_health(struct plan *p, uint64_t now_us)
{
    if (p->child[PLAN_WORKER].state == CHILD_ALIVE && now_us >= p->beat_us + PLAN_NO_BEAT_US) {
        add(p, PLAN_SAY_NO_BEAT, PLAN_WORKER)->us = now_us - p->beat_us;
        child_step(p, PLAN_WORKER, CHILD_UNWELL, now_us);
    }
    if (counts_silence(p) && now_us >= p->silent_us + PLAN_NODE_SILENT_US) {
        add(p, PLAN_SAY_GIVEN_UP, PLAN_NODE)->us = now_us - p->silent_us;
        child_step(p, PLAN_NODE, CHILD_UNWELL, now_us);
    }
}

void plan_tick(struct plan *p, uint64_t now_us)
{
    thaw(p, now_us);
    p->ticked_us = now_us;
    tick_health(p, now_us);
    for (int i = 0; i < PLAN_CHILDREN; i++) {
        enum child_state state = p->child[i].state;

        if (state == CHILD_NONE || state == CHILD_ALIVE || now_us < p->child[i].due_us)
            continue;
        child_step(p, (enum plan_child)i, state == CHILD_PAUSED ? CHILD_DUE : CHILD_LATE, now_us);
    }
    settle(p, now_us);
}

static void sooner(uint64_t *due, uint64_t at)
{
    if (at < *due)
        *due = at;
}

uint64_t plan_due(const struct plan *p)
{
    uint64_t due = UINT64_MAX;

    if (p->phase == PHASE_OVER)
        return due; /* who prepares the model may still be ending */
    for (int i = 0; i < PLAN_CHILDREN; i++)
        if (p->child[i].state != CHILD_NONE && p->child[i].state != CHILD_ALIVE)
            sooner(&due, p->child[i].due_us);
    if (p->child[PLAN_WORKER].state == CHILD_ALIVE)
        sooner(&due, p->beat_us + PLAN_NO_BEAT_US);
    if (counts_silence(p))
        sooner(&due, p->silent_us + PLAN_NODE_SILENT_US);
    if (p->phase == PHASE_DRAIN)
        sooner(&due, p->drain_until_us);
    return due;
}
