/* The decisions of PID 1: both tables whole, and lives of containers on a fake clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "container/plan.h"

/* ---- the tables ------------------------------------------------------------------------------ */

struct expected {
    int next;
    enum plan_what what;
};

#define STAYS(state)                                                                               \
    {                                                                                              \
        (state), PLAN_NOTHING                                                                      \
    }

static void every_state_and_event_of_a_child(void **state)
{
    static const struct expected table[CHILD_STATES][CHILD_EVENTS] = {
        /* DUE, EXITED, UNWELL, END, LATE, DONE */
        [CHILD_NONE] = {STAYS(CHILD_NONE), STAYS(CHILD_NONE), STAYS(CHILD_NONE), STAYS(CHILD_NONE),
                        STAYS(CHILD_NONE), STAYS(CHILD_NONE)},
        [CHILD_PAUSED] = {{CHILD_ALIVE, PLAN_START},
                          STAYS(CHILD_PAUSED),
                          STAYS(CHILD_PAUSED),
                          {CHILD_NONE, PLAN_NOTHING},
                          STAYS(CHILD_PAUSED),
                          STAYS(CHILD_PAUSED)},
        [CHILD_ALIVE] = {STAYS(CHILD_ALIVE),
                         {CHILD_PAUSED, PLAN_NOTHING},
                         {CHILD_SICK, PLAN_KILL},
                         {CHILD_ASKED, PLAN_TERM},
                         STAYS(CHILD_ALIVE),
                         {CHILD_NONE, PLAN_NOTHING}},
        [CHILD_SICK] = {STAYS(CHILD_SICK),
                        {CHILD_PAUSED, PLAN_NOTHING},
                        STAYS(CHILD_SICK),
                        {CHILD_KILLED, PLAN_NOTHING},
                        {CHILD_SICK, PLAN_KILL},
                        STAYS(CHILD_SICK)},
        [CHILD_ASKED] = {STAYS(CHILD_ASKED),
                         {CHILD_NONE, PLAN_NOTHING},
                         STAYS(CHILD_ASKED),
                         STAYS(CHILD_ASKED),
                         {CHILD_KILLED, PLAN_KILL},
                         STAYS(CHILD_ASKED)},
        [CHILD_KILLED] = {STAYS(CHILD_KILLED),
                          {CHILD_NONE, PLAN_NOTHING},
                          STAYS(CHILD_KILLED),
                          STAYS(CHILD_KILLED),
                          {CHILD_NONE, PLAN_ABANDON},
                          STAYS(CHILD_KILLED)},
    };

    for (int s = 0; s < CHILD_STATES; s++) {
        for (int e = 0; e < CHILD_EVENTS; e++) {
            enum plan_what what;
            enum child_state next =
                plan_child_next((enum child_state)s, (enum child_event)e, &what);

            if ((int)next != table[s][e].next || what != table[s][e].what)
                fail_msg("state %d event %d: %d/%d", s, e, next, what);
        }
    }
}

static void every_phase_and_event(void **state)
{
    static const struct expected table[PHASES][PHASE_EVENTS] = {
        /* STOP, QUIET, TIME, NODE_GONE, WORKER_GONE */
        [PHASE_SERVE] = {{PHASE_DRAIN, PLAN_DRAIN},
                         STAYS(PHASE_SERVE),
                         STAYS(PHASE_SERVE),
                         STAYS(PHASE_SERVE),
                         STAYS(PHASE_SERVE)},
        [PHASE_DRAIN] = {{PHASE_CUT, PLAN_CUT},
                         {PHASE_CUT, PLAN_CUT},
                         {PHASE_CUT, PLAN_CUT},
                         STAYS(PHASE_DRAIN),
                         {PHASE_CUT, PLAN_NOTHING}},
        [PHASE_CUT] = {STAYS(PHASE_CUT),
                       STAYS(PHASE_CUT),
                       STAYS(PHASE_CUT),
                       {PHASE_LEAVE, PLAN_NOTHING},
                       STAYS(PHASE_CUT)},
        [PHASE_LEAVE] = {STAYS(PHASE_LEAVE),
                         STAYS(PHASE_LEAVE),
                         STAYS(PHASE_LEAVE),
                         STAYS(PHASE_LEAVE),
                         {PHASE_OVER, PLAN_EXIT}},
        [PHASE_OVER] = {STAYS(PHASE_OVER), STAYS(PHASE_OVER), STAYS(PHASE_OVER), STAYS(PHASE_OVER),
                        STAYS(PHASE_OVER)},
    };

    for (int s = 0; s < PHASES; s++) {
        for (int e = 0; e < PHASE_EVENTS; e++) {
            enum plan_what what;
            enum plan_phase next = plan_phase_next((enum plan_phase)s, (enum phase_event)e, &what);

            if ((int)next != table[s][e].next || what != table[s][e].what)
                fail_msg("phase %d event %d: %d/%d", s, e, next, what);
        }
    }
}

/* ---- a container on a fake clock ------------------------------------------------------------- */

#define S(seconds) ((uint64_t)((seconds)*1e6))

struct stage {
    struct plan plan;
    uint64_t now;
    char said[4096]; /* words of what was asked for since the last `expect` */
};

static const char *const whom[] = {"worker", "node", "model"};

static void note(struct stage *s, const struct plan_action *a)
{
    static const char *const names[] = {
        [PLAN_START] = "start",         [PLAN_TERM] = "term",
        [PLAN_KILL] = "kill",           [PLAN_ABANDON] = "abandon",
        [PLAN_DRAIN] = "drain",         [PLAN_CUT] = "cut",
        [PLAN_EXIT] = "exit",           [PLAN_SAY_PAUSE] = "pause",
        [PLAN_SAY_NO_BEAT] = "no-beat", [PLAN_SAY_SILENT] = "silent",
        [PLAN_SAY_ANSWERS] = "answers", [PLAN_SAY_GIVEN_UP] = "given-up",
    };
    size_t used = strlen(s->said);
    char detail[32] = "";

    if (a->what == PLAN_EXIT)
        snprintf(detail, sizeof(detail), "=%d", a->status);
    else if (a->what == PLAN_SAY_PAUSE)
        snprintf(detail, sizeof(detail), "=%.1f", (double)a->us / 1e6);
    else if (a->what == PLAN_SAY_SILENT && a->us == 0)
        snprintf(detail, sizeof(detail), "=for-ever");
    snprintf(s->said + used, sizeof(s->said) - used, "%s%s:%s%s", used ? " " : "", whom[a->child],
             names[a->what], detail);
}

static void take(struct stage *s)
{
    struct plan_action a;

    while (plan_take(&s->plan, &a))
        note(s, &a);
}

static void expect(struct stage *s, const char *words)
{
    take(s);
    assert_string_equal(s->said, words);
    s->said[0] = '\0';
}

/* Moves the clock as init.c does: never more than a second at a time, and to what is due. */
static void pass(struct stage *s, double seconds)
{
    uint64_t end = s->now + S(seconds);

    while (s->now < end) {
        uint64_t due = plan_due(&s->plan);
        uint64_t next = s->now + S(1) < end ? s->now + S(1) : end;

        assert_true(due > s->now); /* or init.c would spin */
        s->now = due < next ? due : next;
        plan_tick(&s->plan, s->now);
        take(s);
    }
}

static void beat(struct stage *s, bool registered, enum beat_manner manner, unsigned exchanges)
{
    const struct beat b = {.magic = BEAT_MAGIC,
                           .registered = registered,
                           .manner = (uint8_t)manner,
                           .draining = s->plan.phase != PHASE_SERVE,
                           .exchanges = exchanges};

    plan_beat(&s->plan, &b, s->now);
    take(s);
}

/* Seconds with a record in each. */
static void serve(struct stage *s, int seconds, enum beat_manner manner, unsigned exchanges)
{
    for (int i = 0; i < seconds; i++) {
        beat(s, true, manner, exchanges);
        pass(s, 1);
    }
}

static void ended(struct stage *s, enum plan_child child, int status)
{
    plan_exited(&s->plan, child, status, s->now);
    take(s);
}

static void stop(struct stage *s)
{
    plan_stop(&s->plan, s->now);
    take(s);
}

static void begin(struct stage *s, bool node)
{
    *s = (struct stage){.now = S(1000)};
    plan_init(&s->plan, S(6), node, false, s->now);
    plan_tick(&s->plan, s->now);
    expect(s, node ? "worker:start node:start" : "worker:start");
}

static void begin_with_model(struct stage *s)
{
    *s = (struct stage){.now = S(1000)};
    plan_init(&s->plan, S(6), true, true, s->now);
    plan_tick(&s->plan, s->now);
    expect(s, "worker:start node:start model:start");
}

/* ---- serving --------------------------------------------------------------------------------- */

static void the_dead_come_back(void **state)
{
    struct stage s;

    begin(&s, true);
    serve(&s, 30, MANNER_ANSWERS, 3);
    expect(&s, "");
    ended(&s, PLAN_WORKER, 137);
    expect(&s, "worker:pause=0.1");
    pass(&s, 0.2);
    expect(&s, "worker:start");
    serve(&s, 200, MANNER_ANSWERS, 3);
    ended(&s, PLAN_NODE, 1);
    expect(&s, "node:pause=1.0");
    beat(&s, true, MANNER_ABSENT, 0);
    pass(&s, 1);
    expect(&s, "node:start");
}

static void storm_of_workers(void **state)
{
    static const double pauses[] = {0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10, 10};
    struct stage s;
    char words[64];

    begin(&s, false);
    for (size_t i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++) {
        pass(&s, 9);
        ended(&s, PLAN_WORKER, 139);
        snprintf(words, sizeof(words), "worker:pause=%.1f", pauses[i]);
        expect(&s, words);
        pass(&s, pauses[i]);
        expect(&s, "worker:start");
    }
    serve(&s, 10, MANNER_ANSWERS, 0); /* a life that counts */
    ended(&s, PLAN_WORKER, 139);
    expect(&s, "worker:pause=0.1");
}

static void storm_of_nodes(void **state)
{
    static const double pauses[] = {1, 2, 4, 8, 16, 32, 60, 60};
    struct stage s;
    char words[64];

    begin(&s, true);
    for (size_t i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++) {
        serve(&s, 119, MANNER_ANSWERS, 0);
        ended(&s, PLAN_NODE, 1);
        snprintf(words, sizeof(words), "node:pause=%.1f", pauses[i]);
        expect(&s, words);
        serve(&s, (int)pauses[i], MANNER_ABSENT, 0);
        expect(&s, "node:start");
    }
    serve(&s, 120, MANNER_ANSWERS, 0);
    ended(&s, PLAN_NODE, 1);
    expect(&s, "node:pause=1.0");
}

static void a_worker_without_heartbeat_is_killed(void **state)
{
    struct stage s;

    begin(&s, true);
    serve(&s, 5, MANNER_ANSWERS, 0);
    pass(&s, 8.9); /* the last record is a second old */
    expect(&s, "");
    pass(&s, 0.2);
    expect(&s, "worker:no-beat worker:kill");
    pass(&s, 5);
    expect(&s, "worker:kill");
    ended(&s, PLAN_WORKER, 137);
    expect(&s, "worker:pause=0.1");
    pass(&s, 0.1);
    expect(&s, "worker:start");
    pass(&s, 9.9); /* the same patience with the first record */
    expect(&s, "");
    pass(&s, 0.2);
    expect(&s, "worker:no-beat worker:kill");
}

static void our_own_freeze_is_nobodys_fault(void **state)
{
    struct stage s;

    begin(&s, true);
    serve(&s, 1, MANNER_ANSWERS, 0);
    serve(&s, 5, MANNER_SILENT, 0);
    expect(&s, "node:silent");
    s.now += S(3600);
    plan_tick(&s.plan, s.now);
    expect(&s, "");
    pass(&s, 8);
    expect(&s, "");
    pass(&s, 1.5);
    expect(&s, "worker:no-beat worker:kill");
}

static void a_node_that_falls_silent(void **state)
{
    struct stage s;

    begin(&s, true);
    serve(&s, 60, MANNER_ABSENT, 0); /* a start is no silence */
    serve(&s, 60, MANNER_ANSWERS, 0);
    expect(&s, "");
    beat(&s, true, MANNER_SILENT, 0);
    expect(&s, "node:silent"); /* at once */
    serve(&s, 33, MANNER_SILENT, 0);
    beat(&s, true, MANNER_ANSWERS, 0);
    expect(&s, "node:answers");
    serve(&s, 119, MANNER_SILENT, 0);
    expect(&s, "node:silent");
    ended(&s, PLAN_NODE, 1); /* by itself, as MLNode does */
    expect(&s, "node:pause=1.0");
    serve(&s, 1, MANNER_ABSENT, 0);
    expect(&s, "node:start");
    serve(&s, 1, MANNER_ANSWERS, 0);
    serve(&s, 120, MANNER_SILENT, 0);
    expect(&s, "node:silent node:given-up node:kill");
    serve(&s, 4, MANNER_SILENT, 0);
    expect(&s, "");
    serve(&s, 1, MANNER_SILENT, 0);
    expect(&s, "node:kill"); /* harder */
    ended(&s, PLAN_NODE, 137);
    expect(&s, "node:pause=1.0");
}

/* MLNODE_COMMAND may be something that speaks no HTTP: it cannot fall silent. What its predecessor
 * did counts for nothing. */
static void a_node_that_never_answers(void **state)
{
    struct stage s;

    begin(&s, true);
    serve(&s, 2000, MANNER_SILENT, 0);
    expect(&s, "node:silent=for-ever");
    beat(&s, true, MANNER_ANSWERS, 0);
    expect(&s, "node:answers");
    ended(&s, PLAN_NODE, 1);
    expect(&s, "node:pause=1.0");
    serve(&s, 1, MANNER_ABSENT, 0);
    expect(&s, "node:start");
    serve(&s, 2000, MANNER_SILENT, 0);
    expect(&s, "node:silent=for-ever");
    serve(&s, 1, MANNER_ANSWERS, 0);
    expect(&s, "node:answers");
    serve(&s, 120, MANNER_SILENT, 0);
    expect(&s, "node:silent node:given-up node:kill");
}

static void silence_needs_a_witness(void **state)
{
    struct stage s;

    begin(&s, true);
    serve(&s, 1, MANNER_ANSWERS, 0);
    serve(&s, 100, MANNER_SILENT, 0);
    expect(&s, "node:silent");
    ended(&s, PLAN_WORKER, 137);
    expect(&s, "worker:pause=0.1");
    pass(&s, 0.1);
    expect(&s, "worker:start");
    serve(&s, 60, MANNER_UNKNOWN, 0); /* has not asked yet */
    expect(&s, "");
    beat(&s, true, MANNER_SILENT, 0);
    plan_tick(&s.plan, s.now);
    expect(&s, "node:given-up node:kill");
}

static void records_of_the_dead_do_not_count(void **state)
{
    struct stage s;

    begin(&s, true);
    serve(&s, 20, MANNER_ANSWERS, 0);
    ended(&s, PLAN_WORKER, 1);
    beat(&s, true, MANNER_SILENT, 7);
    expect(&s, "worker:pause=0.1");
    assert_int_equal(s.plan.beat.exchanges, 0);
}

static void an_unusable_configuration_ends_all(void **state)
{
    struct stage s;

    begin(&s, true);
    ended(&s, PLAN_WORKER, 2);
    expect(&s, "node:term");
    ended(&s, PLAN_NODE, 143);
    expect(&s, "worker:exit=2");

    begin(&s, false);
    ended(&s, PLAN_WORKER, 2);
    expect(&s, "worker:exit=2");

    begin(&s, true); /* later it is a fault like any other: the model stays loaded */
    beat(&s, true, MANNER_ANSWERS, 0);
    ended(&s, PLAN_WORKER, 2);
    expect(&s, "worker:pause=0.1");
    pass(&s, 0.1);
    expect(&s, "worker:start");
    ended(&s, PLAN_WORKER, 2);
    expect(&s, "worker:pause=0.2");
}

/* ---- stopping -------------------------------------------------------------------------------- */

static void a_stop_in_order(void **state)
{
    struct stage s;

    begin(&s, true);
    serve(&s, 20, MANNER_ANSWERS, 2);
    stop(&s);
    expect(&s, "worker:drain");
    beat(&s, true, MANNER_ANSWERS, 1);
    pass(&s, 3);
    expect(&s, "");
    beat(&s, true, MANNER_ANSWERS, 0);
    expect(&s, "worker:cut node:term");
    ended(&s, PLAN_NODE, 143);
    expect(&s, "worker:term");
    ended(&s, PLAN_WORKER, 0);
    expect(&s, "worker:exit=0");
}

static void nobody_ends_by_himself(void **state)
{
    struct stage s;
    uint64_t began;

    begin(&s, true);
    serve(&s, 20, MANNER_ANSWERS, 200);
    began = s.now;
    stop(&s);
    pass(&s, 5.9);
    expect(&s, "worker:drain");
    pass(&s, 0.2);
    expect(&s, "worker:cut node:term");
    pass(&s, 1);
    expect(&s, "node:kill");
    pass(&s, 0.5);
    expect(&s, "node:abandon worker:term");
    pass(&s, 1);
    expect(&s, "worker:kill");
    pass(&s, 0.5);
    expect(&s, "worker:abandon worker:exit=0");
    assert_true(s.now - began < S(9.2));
}

static void impatience(void **state)
{
    struct stage s;

    begin(&s, true);
    serve(&s, 20, MANNER_ANSWERS, 2);
    stop(&s);
    stop(&s);
    expect(&s, "worker:drain worker:cut node:term");
    stop(&s); /* more is not possible */
    stop(&s);
    expect(&s, "");
}

static void a_stop_before_the_first_record(void **state)
{
    struct stage s;

    begin(&s, true);
    stop(&s);
    expect(&s, "worker:drain");
    beat(&s, false, MANNER_UNKNOWN, 0);
    expect(&s, "worker:cut node:term");
}

static void a_stop_while_the_worker_is_away(void **state)
{
    struct stage s;

    begin(&s, true);
    serve(&s, 20, MANNER_ANSWERS, 0);
    ended(&s, PLAN_WORKER, 137);
    stop(&s);
    expect(&s, "worker:pause=0.1 worker:drain node:term");
    pass(&s, 0.5); /* it does not come back */
    expect(&s, "");
    ended(&s, PLAN_NODE, 0);
    expect(&s, "worker:exit=0");
}

static void the_worker_dies_during_a_stop(void **state)
{
    struct stage s;

    begin(&s, true);
    serve(&s, 20, MANNER_ANSWERS, 9);
    stop(&s);
    expect(&s, "worker:drain");
    ended(&s, PLAN_WORKER, 139);
    expect(&s, "node:term");
    ended(&s, PLAN_NODE, 143);
    expect(&s, "worker:exit=0");
}

static void the_node_dies_during_a_stop(void **state)
{
    struct stage s;

    begin(&s, true);
    serve(&s, 20, MANNER_ANSWERS, 9);
    stop(&s);
    ended(&s, PLAN_NODE, 1);
    pass(&s, 2);
    expect(&s, "worker:drain"); /* what the worker holds may still be delivered */
    beat(&s, true, MANNER_ABSENT, 0);
    expect(&s, "worker:cut worker:term");
    ended(&s, PLAN_WORKER, 0);
    expect(&s, "worker:exit=0");
}

static void a_stop_while_both_are_being_killed(void **state)
{
    struct stage s;

    begin(&s, true);
    serve(&s, 1, MANNER_ANSWERS, 0);
    serve(&s, 119, MANNER_SILENT, 0);
    expect(&s, "node:silent");
    serve(&s, 1, MANNER_SILENT, 0);
    expect(&s, "node:given-up node:kill");
    stop(&s);
    beat(&s, true, MANNER_ABSENT, 0);
    expect(&s, "worker:drain worker:cut");
    ended(&s, PLAN_NODE, 137);
    expect(&s, "worker:term");
}

static void no_node_at_all(void **state)
{
    struct stage s;

    begin(&s, false);
    serve(&s, 20, MANNER_ABSENT, 0);
    stop(&s);
    beat(&s, true, MANNER_ABSENT, 0);
    expect(&s, "worker:drain worker:cut worker:term");
    ended(&s, PLAN_WORKER, 0);
    expect(&s, "worker:exit=0");
}

/* ---- the model ------------------------------------------------------------------------------- */

static void who_prepared_the_model_stays_away(void **state)
{
    struct stage s;

    begin_with_model(&s);
    serve(&s, 60, MANNER_ANSWERS, 0);
    ended(&s, PLAN_MODEL, 0);
    serve(&s, 2000, MANNER_ANSWERS, 0);
    expect(&s, "");
    assert_int_equal(s.plan.phase, PHASE_SERVE);
    stop(&s);
    expect(&s, "worker:drain");
}

static void what_fails_is_tried_again_later(void **state)
{
    static const int pauses[] = {30, 60, 120, 240, 480, 600, 600};
    struct stage s;
    char words[64];

    begin_with_model(&s);
    for (size_t i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++) {
        serve(&s, 20, MANNER_ANSWERS, 0);
        ended(&s, PLAN_MODEL, 1);
        snprintf(words, sizeof(words), "model:pause=%d.0", pauses[i]);
        expect(&s, words);
        serve(&s, pauses[i] - 1, MANNER_ANSWERS, 0);
        expect(&s, "");
        serve(&s, 1, MANNER_ANSWERS, 0);
        expect(&s, "model:start");
    }
    serve(&s, 600, MANNER_ANSWERS, 0); /* hours of downloading are no short life */
    ended(&s, PLAN_MODEL, 137);
    expect(&s, "model:pause=30.0");
}

/* It is asked at once, killed when it does not listen, and nobody waits for it. */
static void a_stop_does_not_wait_for_the_model(void **state)
{
    struct stage s;

    begin_with_model(&s);
    serve(&s, 20, MANNER_ANSWERS, 1);
    stop(&s);
    expect(&s, "worker:drain model:term");
    beat(&s, true, MANNER_ANSWERS, 0);
    ended(&s, PLAN_NODE, 0);
    ended(&s, PLAN_WORKER, 0);
    expect(&s, "worker:cut node:term worker:term worker:exit=0");
    assert_true(plan_due(&s.plan) == UINT64_MAX);

    begin_with_model(&s);
    serve(&s, 20, MANNER_ANSWERS, 1);
    stop(&s);
    pass(&s, 2);
    expect(&s, "worker:drain model:term model:kill");
    pass(&s, 0.5);
    expect(&s, "model:abandon");
    pass(&s, 4);
    expect(&s, "worker:cut node:term");

    begin_with_model(&s); /* stopped in a pause: it does not come back */
    ended(&s, PLAN_MODEL, 1);
    expect(&s, "model:pause=30.0");
    stop(&s);
    pass(&s, 5);
    expect(&s, "worker:drain");
}

static void an_unusable_configuration_ends_the_model_too(void **state)
{
    struct stage s;

    begin_with_model(&s);
    ended(&s, PLAN_WORKER, 2);
    expect(&s, "model:term node:term");
    ended(&s, PLAN_NODE, 143);
    expect(&s, "worker:exit=2");
}

/* ---- anything at any time -------------------------------------------------------------------- */

/* Whatever comes in whatever order: actions never pile up, an exit comes once and after a stop in
 * bounded time, nobody is started in between. */
static void chance(unsigned seed)
{
    struct stage s;
    unsigned exits = 0;

    srandom(seed);
    if (seed % 3 == 0)
        begin_with_model(&s);
    else
        begin(&s, seed % 2);
    for (int i = 0; i < 400 && exits == 0; i++) {
        enum plan_child child = (enum plan_child)(random() % PLAN_CHILDREN);
        enum child_state before = s.plan.child[child].state;

        switch (random() % 5) {
        case 0:
            if (before != CHILD_NONE && before != CHILD_PAUSED)
                plan_exited(&s.plan, child, (int)(random() % 4), s.now);
            break;
        case 1:
            if (i > 200)
                plan_stop(&s.plan, s.now);
            break;
        default:
            pass(&s, (double)(random() % 3000) / 1000);
            beat(&s, random() % 2, (enum beat_manner)(random() % MANNERS), (unsigned)random() % 3);
            break;
        }
        assert_true(s.plan.n < PLAN_ACTIONS_MAX);
        take(&s);
        if (s.plan.phase != PHASE_SERVE)
            assert_null(strstr(s.said, ":start"));
        exits = strstr(s.said, ":exit") != NULL;
        s.said[0] = '\0';
    }
    if (exits == 0) {
        stop(&s);
        pass(&s, 9.5);
        assert_non_null(strstr(s.said, ":exit=0"));
    }
    assert_int_equal(s.plan.phase, PHASE_OVER);
    assert_true(plan_due(&s.plan) == UINT64_MAX);
}

static void anything_at_any_time(void **state)
{
    for (unsigned seed = 0; seed < 2000; seed++)
        chance(seed);
}

/* ---- records --------------------------------------------------------------------------------- */

static void only_records_are_believed(void **state)
{
    const struct beat good = {.magic = BEAT_MAGIC, .registered = 1, .manner = MANNER_ANSWERS};
    struct beat out;
    struct beat bad;

    assert_true(beat_read(&good, sizeof(good), &out));
    assert_memory_equal(&good, &out, sizeof(good));
    assert_false(beat_read(&good, sizeof(good) - 1, &out));
    assert_false(beat_read(&good, 0, &out));
    for (size_t i = 0; i < offsetof(struct beat, exchanges); i++) {
        bad = good;
        ((uint8_t *)&bad)[i] ^= 0x80;
        assert_false(beat_read(&bad, sizeof(bad), &out));
    }
    bad = good;
    bad.manner = MANNERS;
    assert_false(beat_read(&bad, sizeof(bad), &out));
    bad = good;
    memcpy(bad.asked_model, "org/\033[1m", 8);
    assert_false(beat_read(&bad, sizeof(bad), &out));
    memset(bad.asked_model, 'a', sizeof(bad.asked_model));
    assert_false(beat_read(&bad, sizeof(bad), &out)); /* no end */
    bad.asked_model[BEAT_MODEL_MAX - 1] = '\0';
    assert_true(beat_read(&bad, sizeof(bad), &out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_and_event_of_a_child),
        cmocka_unit_test(every_phase_and_event),
        cmocka_unit_test(the_dead_come_back),
        cmocka_unit_test(storm_of_workers),
        cmocka_unit_test(storm_of_nodes),
        cmocka_unit_test(a_worker_without_heartbeat_is_killed),
        cmocka_unit_test(our_own_freeze_is_nobodys_fault),
        cmocka_unit_test(a_node_that_falls_silent),
        cmocka_unit_test(a_node_that_never_answers),
        cmocka_unit_test(silence_needs_a_witness),
        cmocka_unit_test(records_of_the_dead_do_not_count),
        cmocka_unit_test(an_unusable_configuration_ends_all),
        cmocka_unit_test(a_stop_in_order),
        cmocka_unit_test(nobody_ends_by_himself),
        cmocka_unit_test(impatience),
        cmocka_unit_test(a_stop_before_the_first_record),
        cmocka_unit_test(a_stop_while_the_worker_is_away),
        cmocka_unit_test(the_worker_dies_during_a_stop),
        cmocka_unit_test(the_node_dies_during_a_stop),
        cmocka_unit_test(a_stop_while_both_are_being_killed),
        cmocka_unit_test(no_node_at_all),
        cmocka_unit_test(who_prepared_the_model_stays_away),
        cmocka_unit_test(what_fails_is_tried_again_later),
        cmocka_unit_test(a_stop_does_not_wait_for_the_model),
        cmocka_unit_test(an_unusable_configuration_ends_the_model_too),
        cmocka_unit_test(only_records_are_believed),
        cmocka_unit_test(anything_at_any_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
