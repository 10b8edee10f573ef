/* PID 1's decisions under any events, among them raw records of a worker that somebody else
 * controls. First byte: whether there is a node, and a model to prepare; then events of one byte,
 * each with what it needs behind it. Whatever comes: actions fit, nobody starts once a stop was
 * asked for, a child that is asked for something exists, the plan never asks to be woken in the
 * past, and a stop ends in bounded time. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "container/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

enum {
    GRACE_US = 6000000,
    AT_MOST_US = GRACE_US + 3100000, /* of a stop; doc/DESIGN.md */
    TURN_US = 1000000,
};

struct stage {
    struct plan plan;
    uint64_t now;
    uint64_t stopped; /* when a stop was asked for; 0: not yet */
    unsigned exits;
    bool there[PLAN_CHILDREN];
};

static void take(struct stage *s)
{
    struct plan_action a;

    CHECK(s->plan.n < PLAN_ACTIONS_MAX);
    while (plan_take(&s->plan, &a)) {
        CHECK(a.child < PLAN_CHILDREN);
        if (a.what == PLAN_START) {
            CHECK(s->stopped == 0 && !s->there[a.child]);
            s->there[a.child] = true;
        } else if (a.what == PLAN_TERM || a.what == PLAN_KILL || a.what == PLAN_ABANDON) {
            CHECK(s->there[a.child]);
        }
        if (a.what == PLAN_ABANDON)
            s->there[a.child] = false;
        s->exits += a.what == PLAN_EXIT;
    }
    CHECK(s->exits <= 1 && (s->exits == 1) == (s->plan.phase == PHASE_OVER));
}

static void pass(struct stage *s, uint64_t us)
{
    uint64_t end = s->now + us;

    while (s->now < end && s->exits == 0) {
        uint64_t next = s->now + TURN_US < end ? s->now + TURN_US : end;
        uint64_t due = plan_due(&s->plan);

        s->now = due < next && due > s->now ? due : next;
        plan_tick(&s->plan, s->now);
        take(s);
        CHECK(plan_due(&s->plan) > s->now);
    }
}

static void end_child(struct stage *s, uint8_t what)
{
    enum plan_child child = (enum plan_child)(what % PLAN_CHILDREN);

    if (!s->there[child])
        return;
    s->there[child] = false;
    plan_exited(&s->plan, child, what / PLAN_CHILDREN, s->now);
    if (s->plan.phase != PHASE_SERVE && s->stopped == 0)
        s->stopped = s->now; /* its configuration was unusable */
}

/* How many bytes the event took. */
static size_t event(struct stage *s, const uint8_t *data, size_t size)
{
    struct beat beat;

    switch (data[0] % 4) {
    case 0:
        pass(s, (uint64_t)(data[0] / 4) * (data[0] & 64 ? 2000000 : 40000));
        return 1;
    case 1:
        end_child(s, size > 1 ? data[1] : 0);
        return 2;
    case 2:
        if (s->stopped == 0)
            s->stopped = s->now;
        plan_stop(&s->plan, s->now);
        return 1;
    default:
        if (size > sizeof(beat) && beat_read(data + 1, sizeof(beat), &beat))
            plan_beat(&s->plan, &beat, s->now);
        return 1 + sizeof(beat);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stage s = {.now = 1000000000};

    if (size == 0)
        return 0;
    plan_init(&s.plan, GRACE_US, data[0] & 1, data[0] & 2, s.now);
    for (size_t at = 1; at < size && s.exits == 0;) {
        at += event(&s, data + at, size - at);
        take(&s);
    }
    if (s.stopped == 0) {
        s.stopped = s.now;
        plan_stop(&s.plan, s.now);
        take(&s);
    }
    pass(&s, AT_MOST_US);
    CHECK(s.exits == 1 && s.now - s.stopped <= AT_MOST_US);
    return 0;
}
