/* Who is found, kept and chosen: scenarios, whose words engines_world.h explains, with
 * engines_tick's own answers as the timer of the process. */
#include "engines_world.h"

/* ---- scenarios ------------------------------------------------------------------------------- */

static void engines_are_found(void **state)
{
    static const char *const scenarios[] = {
        /* at once, all of them, whichever ports they have */
        "state=INFERENCE 5000=a 5001=a wait=0.1 is=INFERENCE live=5001",
        "state=INFERENCE 5000=a 5001=a 5002=a 5008=a wait=0.1 live=5001,5002,5008",
        /* not one that serves another model, more, fewer, nothing, or garbage */
        ("state=INFERENCE 5000=a 5001=b 5002=ab 5003=- 5004=garbage 5005=500 5006=a wait=9 "
         "live=5006"),
        /* sets of ids: order and repetition do not matter */
        "state=INFERENCE 5000=abc 5001=cba 5002=ccabb 5003=abb wait=0.1 live=5001,5002",
        /* not one that is not healthy */
        "state=INFERENCE 5000=a 5001=503/a 5002=silent/a 5003=404/a 5004=a wait=5 live=5004",
        "state=INFERENCE 5000=a 5001=500@1/a 5002=200@1/a 5003=200@3/a wait=9 live=5002",
        /* not the way to a whole node, though it serves the same; again one when it is one */
        ("state=INFERENCE 5000=a 5001=a+200 5002=a+502 5003=a+silent 5004=a+401 wait=30 live=5004 "
         "5001=a wait=11 live=5001,5004"),
        /* not while nobody can say which models are right */
        "state=INFERENCE 5000=refuse 5001=a wait=20 live=none 5000=a wait=2 live=5001",
        "state=INFERENCE 5000=500 5001=a wait=20 live=none",
        "state=INFERENCE 5000=silent 5001=a wait=20 live=none",
        "state=INFERENCE 5000=- 5001=- wait=20 live=none",
        "state=INFERENCE 5000=garbage 5001=garbage wait=20 live=none",
        /* not unless MLNode says so */
        "5000=a 5001=a wait=20 is=UNKNOWN live=none",
        "state=STOPPED 5000=a 5001=a wait=20 is=STOPPED live=none asked=5001:0 asked=5000:0",
        "state=POW 5000=a 5001=a wait=20 is=STOPPED live=none",
        "state=TRAIN 5000=a 5001=a wait=20 is=STOPPED live=none",
        "state=inference 5000=a 5001=a wait=20 is=STOPPED live=none",
        "state=silent 5000=a 5001=a wait=20 is=UNKNOWN live=none",
        "state=lost 5000=a 5001=a wait=20 is=UNKNOWN live=none",
        "state=500 5000=a 5001=a wait=20 is=UNKNOWN live=none",
        "state=404 5000=a 5001=a wait=20 is=UNKNOWN live=none",
        "state=garbage 5000=a 5001=a wait=20 is=UNKNOWN live=none",
        "state=twice 5000=a 5001=a wait=20 is=UNKNOWN live=none",
        "state=noword 5000=a 5001=a wait=20 is=UNKNOWN live=none",
    };

    PLAY_ALL(scenarios);
}

static void the_set_follows_changes(void **state)
{
    static const char *const scenarios[] = {
        /* up: the state turns, and all ports are looked at within a round */
        "state=STOPPED 5000=refuse wait=30 state=INFERENCE 5000=a 5007=a wait=2.1 live=5007",
        /* stop and down empty the set with one answer, though the engines still answer */
        ("state=INFERENCE 5000=a 5001=a wait=1 live=5001 state=STOPPED wait=1.1 live=none "
         "is=STOPPED"),
        ("state=INFERENCE 5000=a 5001=a wait=1 state=STOPPED wait=9 state=INFERENCE wait=2 "
         "live=5001"),
        /* a crash: nobody listens any more */
        "state=INFERENCE 5000=a 5001=a 5002=a wait=1 5001=crash wait=1.1 live=5002",
        ("state=INFERENCE 5000=a 5001=a 5002=a wait=1 5001=crash wait=20 5001=a wait=2 "
         "live=5001,5002"),
        /* back with another model */
        "state=INFERENCE 5000=a 5001=a wait=1 5001=crash wait=20 5001=b wait=20 live=none",
        /* two failed probes, not one */
        "state=INFERENCE 5000=a 5001=a wait=1 5001=503/a wait=2 live=5001 wait=2 live=none",
        ("state=INFERENCE 5000=a 5001=a wait=1 5001=503/a wait=2 live=5001 5001=a wait=2 live=5001 "
         "5001=503/a wait=2 live=5001 wait=2 live=none 5001=a wait=2 live=5001"),
        "state=INFERENCE 5000=a 5001=a wait=1 5001=silent/a wait=3.1 live=5001 wait=3 live=none",
        "state=INFERENCE 5000=a 5001=a 5002=a wait=1 5001=lost wait=9 live=5002",
        /* slow, and still in time */
        "state=INFERENCE 5000=a 5001=200@1.5/a wait=3 live=5001 wait=60 live=5001",
        /* another model is noticed when all are looked at; not comparing is a failed probe */
        "state=INFERENCE 5000=a 5001=a wait=1 5001=b wait=11 live=none",
        "state=INFERENCE 5000=a 5001=a wait=1 5001=200/silent wait=9 live=5001 wait=7 live=none",
        "state=INFERENCE 5000=a 5001=a wait=1 5001=200/garbage wait=14 live=none",
        "state=INFERENCE 5000=a 5001=a wait=1 5000=b wait=11 live=none",
        /* a new one is found when all are looked at, or sooner when somebody calls for it */
        "state=INFERENCE 5000=a 5001=a wait=0.1 5002=a wait=5 live=5001 wait=6 live=5001,5002",
        "state=INFERENCE 5000=a 5001=a wait=0.5 5002=a again wait=0.1 live=5001,5002",
        "state=STOPPED 5000=a 5001=a wait=0.5 state=INFERENCE again wait=0.1 live=5001",
        "state=INFERENCE 5000=a 5001=a wait=0.5 state=STOPPED again wait=0.1 live=none",
        /* a healthy answer ends a row of failed ones, compared or not */
        ("state=INFERENCE 5000=a 5001=a wait=1 5000=refuse 5001=503/a wait=1.5 5001=a again "
         "wait=0.1 5001=503/a wait=2.2 live=5001 wait=2 live=none"),
        /* one that was healthy and could not be compared is asked again in the next round */
        "state=INFERENCE 5000=refuse 5003=a wait=0.1 live=none 5000=a wait=2 live=5003",
    };

    PLAY_ALL(scenarios);
}

static void mlnode_is_not_always_there(void **state)
{
    static const char *const scenarios[] = {
        /* 5000 does not answer: who was found stays while healthy, nobody is added */
        "state=INFERENCE 5000=a 5001=a wait=1 5000=refuse 5002=a wait=30 live=5001",
        ("state=INFERENCE 5000=a 5001=a wait=1 5000=silent 5002=a wait=30 live=5001 5001=503/a "
         "wait=9 live=none"),
        /* management freezes: the state is kept while it is being asked, and then unknown; the
         * engines that still answer stay, nobody is added, nobody comes back */
        ("state=INFERENCE 5000=a 5001=a 5002=a wait=1 state=silent wait=10 is=INFERENCE "
         "live=5001,5002 wait=2 is=UNKNOWN live=5001,5002 5002=crash wait=2.5 live=5001 5002=a "
         "wait=40 live=5001 state=INFERENCE wait=13 is=INFERENCE live=5001,5002"),
        ("state=INFERENCE 5000=a 5001=a wait=1 state=refuse wait=2 is=UNKNOWN live=5001 wait=60 "
         "live=5001 5001=503/a wait=5 live=none"),
        /* the answer of a round that began before is no reason to add somebody now */
        "state=INFERENCE 5000=a 5001=200/a@1.5 wait=1 state=refuse again wait=9 is=UNKNOWN "
        "live=none",
        "state=INFERENCE 5000=a 5001=200/a@1.5 wait=1 state=STOPPED again wait=0.1 open=0 "
        "live=none",
        /* a slow answer is an answer */
        ("state=INFERENCE@8 5000=a 5001=a wait=8.1 is=INFERENCE live=5001 wait=60 is=INFERENCE "
         "live=5001"),
        "state=INFERENCE 5000=a 5001=a wait=1 state=INFERENCE@9.5 wait=60 is=INFERENCE live=5001",
        /* a vLLM crash as MLNode shows it: STOPPED, then frozen, then gone, then a new process */
        ("state=INFERENCE 5000=a 5001=a wait=1 5001=crash 5000=502 state=STOPPED wait=7 live=none "
         "is=STOPPED state=silent 5000=refuse wait=33 is=UNKNOWN live=none state=crash wait=11 "
         "is=UNKNOWN state=STOPPED wait=3 is=STOPPED state=INFERENCE 5000=a 5001=a wait=3 "
         "live=5001"),
    };

    PLAY_ALL(scenarios);
}

static void refused_requests_take_out_at_once(void **state)
{
    static const char *const scenarios[] = {
        "state=INFERENCE 5000=a 5001=a 5002=a wait=1 refused=5001 live=5002 refused=5001 live=5002",
        /* a probe brings it back, models compared again */
        "state=INFERENCE 5000=a 5001=a wait=1 refused=5001 live=none wait=1.1 live=5001",
        "state=INFERENCE 5000=a 5001=a wait=1 refused=5001 5001=b wait=30 live=none",
        "state=INFERENCE 5000=a 5001=a wait=1 refused=5001 5000=refuse wait=30 live=none",
        "state=INFERENCE 5000=a 5001=a wait=1 state=refuse wait=2 refused=5001 wait=30 live=none",
    };

    PLAY_ALL(scenarios);
}

/* What it costs: known ports every round, all of them every fifth, 5000 only to compare. */
static void how_often_is_asked(void **state)
{
    static const char *const scenarios[] = {
        ("state=INFERENCE 5000=a 5001=a wait=1 asked=8080:1 asked=5000:1 asked=5001:3 asked=5002:1 "
         "wait=8 asked=8080:4 asked=5000:0 asked=5001:4 asked=5002:0 "
         "wait=2 asked=8080:1 asked=5000:1 asked=5001:2 asked=5002:1 wait=2 asked=5002:0"),
        /* one question about the state at a time */
        "state=silent wait=9.5 asked=8080:1 wait=1 asked=8080:1",
        "state=INFERENCE@3 wait=12.5 asked=8080:4",
        /* who is out is left alone while MLNode says nothing, and so is 5000 */
        ("state=INFERENCE 5000=a 5001=a 5002=a wait=1 refused=5002 state=refuse wait=2 "
         "is=UNKNOWN asked=5001:4 asked=5002:6 asked=5000:2 wait=10 asked=5001:5 asked=5002:0 "
         "asked=5000:0"),
        ("state=INFERENCE 5000=a 5001=a wait=1 state=refuse again wait=1 is=UNKNOWN asked=5000:2 "
         "wait=9 asked=5000:0"),
        /* calls for another look are bounded, and do not pile up */
        ("state=INFERENCE 5000=a 5001=a wait=0.9 asked=5002:1 again again again wait=0.05 again "
         "again "
         "wait=0.05 again asked=5002:1 asked=8080:2 wait=0.5 asked=5002:1 asked=8080:1"),
        /* a stopped node's ports are left alone */
        ("state=INFERENCE 5000=a 5001=a wait=1 state=STOPPED wait=2 asked=5001:4 wait=30 "
         "asked=5001:0 "
         "again wait=5 asked=5001:0 asked=5002:1"),
    };

    PLAY_ALL(scenarios);
}

/* ---- choice ---------------------------------------------------------------------------------- */

static uint16_t pick(struct world *w, struct engine *const *tried, size_t n)
{
    struct engine *engine = engines_choose(w->engines, tried, n);

    return engine != NULL ? engine->at.port : 0;
}

static void the_least_busy_is_chosen_and_ties_take_turns(void **state)
{
    struct world *w = world_new();
    struct engine *tried[3];

    play(w, "state=INFERENCE");
    assert_int_equal(pick(w, NULL, 0), 0);
    play(w, "5000=a 5001=a 5002=a 5004=a wait=3 live=5001,5002,5004");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pick(w, NULL, 0), 5001);
        assert_int_equal(pick(w, NULL, 0), 5002);
        assert_int_equal(pick(w, NULL, 0), 5004);
    }
    engine_at(w, 5001)->in_flight = 2;
    engine_at(w, 5002)->in_flight = 1;
    engine_at(w, 5004)->in_flight = 2;
    assert_int_equal(pick(w, NULL, 0), 5002);
    assert_int_equal(pick(w, NULL, 0), 5002);
    tried[0] = engine_at(w, 5002);
    assert_int_equal(pick(w, tried, 1), 5001);
    assert_int_equal(pick(w, tried, 1), 5004);
    tried[1] = engine_at(w, 5001);
    assert_int_equal(pick(w, tried, 2), 5004);
    tried[2] = engine_at(w, 5004);
    assert_int_equal(pick(w, tried, 3), 0);
    play(w, "refused=5002");
    assert_int_equal(pick(w, NULL, 0), 5001);
    play(w, "state=STOPPED wait=2");
    assert_int_equal(pick(w, NULL, 0), 0);
    world_free(w);
}

/* An engine that left is the same struct when it comes back: exchanges count on it meanwhile. */
static void an_engine_stays_where_it_is(void **state)
{
    struct world *w = world_new();
    struct engine *before;

    play(w, "state=INFERENCE 5000=a 5003=a wait=1");
    before = engines_choose(w->engines, NULL, 0);
    before->in_flight = 3;
    play(w, "state=STOPPED wait=5 live=none state=INFERENCE wait=5 live=5003");
    assert_ptr_equal(engine_at(w, 5003), before);
    assert_int_equal(before->in_flight, 3);
    assert_null(engines_at(w->engines, 1));
    world_free(w);
}

/* ---- reports --------------------------------------------------------------------------------- */

static size_t lines_with(const struct world *w, const char *text)
{
    char *log = fake_log(w->h);
    size_t n = 0;

    for (const char *at = log; (at = strstr(at, text)) != NULL; at++)
        n++;
    mem_free(log);
    return n;
}

static void changes_are_told_and_logged_once(void **state)
{
    struct world *w = world_new();

    play(w, "wait=3");
    assert_int_equal(w->changed, 0);
    play(w, "state=INFERENCE 5000=a 5001=a 5002=a wait=10");
    assert_int_equal(lines_with(w, "MLNode says INFERENCE"), 1);
    assert_int_equal(lines_with(w, "engine 127.0.0.1:5001 found"), 1);
    assert_int_equal(lines_with(w, "engine 127.0.0.1:5002 found"), 1);
    assert_in_range(w->changed, 1, 3);
    w->changed = 0;
    play(w, "refused=5002");
    assert_int_equal(w->changed, 0); /* not inside the call */
    play(w, "wait=0 5002=crash wait=20");
    assert_int_equal(w->changed, 1);
    assert_int_equal(lines_with(w, "engine 127.0.0.1:5002 lost: connect-refused; 1 in use"), 1);
    play(w, "5001=503/a wait=20");
    assert_int_equal(lines_with(w, "engine 127.0.0.1:5001 lost: answers 503; 0 in use"), 1);
    play(w, "5001=a wait=3 5001=b wait=11");
    assert_int_equal(lines_with(w, "engine 127.0.0.1:5001 lost: serves other models"), 1);
    play(w, "5001=a wait=3 state=POW wait=3");
    assert_int_equal(lines_with(w, "engine 127.0.0.1:5001 lost: MLNode says POW"), 1);
    play(w, "state=503 wait=3");
    assert_int_equal(lines_with(w, "nothing about its state (answer 503)"), 1);
    world_free(w);
}

static void flapping_does_not_flood_the_log(void **state)
{
    struct world *w = world_new();

    play(w, "state=INFERENCE 5000=a 5001=a wait=1");
    fake_log_clear(w->h);
    for (int i = 0; i < 40; i++)
        play(w, "refused=5001 again wait=0.25 live=5001");
    assert_in_range(lines_with(w, "engine 127.0.0.1:5001"), 5, 11);
    assert_true(lines_with(w, "held back") > 0);
    world_free(w);
}

static void the_age_of_the_state_is_known(void **state)
{
    struct world *w = world_new();

    assert_true(engines_state_age(w->engines, w->h->now_us) == UINT64_MAX);
    play(w, "state=500 wait=1");
    assert_true(engines_state_age(w->engines, w->h->now_us) == UINT64_MAX);
    play(w, "state=STOPPED wait=1.5");
    assert_true(engines_state_age(w->engines, w->h->now_us) == SECOND_US / 2);
    play(w, "state=silent wait=60");
    assert_true(engines_state_age(w->engines, w->h->now_us) == 60 * SECOND_US + SECOND_US / 2);
    world_free(w);
}

/* ---- bounds ---------------------------------------------------------------------------------- */

/* All 128 are found, and never more than 16 of them, 5000 and management are asked at once. */
static void the_whole_range_in_bounds(void **state)
{
    struct world *w = world_new_range(5001, 5128, 0);

    play(w, "state=INFERENCE 5000=abcdef");
    for (uint16_t port = 5001; port <= 5128; port++)
        set_place(w, port, "fedcba");
    play(w, "wait=0.1");
    assert_int_equal(engines_live(w->engines), 128);
    assert_in_range(w->h->most_open, 16, 18);
    for (uint16_t port = 5001; port <= 5128; port++)
        set_place(w, port, port % 2 != 0 ? "silent/a" : "lost");
    play(w, "wait=40 live=none");
    assert_in_range(w->h->most_open, 16, 18);
    world_free(w);
}

static void ranges_of_every_size(void **state)
{
    struct world *w = world_new_range(0, 0, 0);

    play(w, "state=INFERENCE 5000=a 5001=a wait=20 is=INFERENCE asked=5000:0 asked=5001:0");
    assert_int_equal(engines_live(w->engines), 0);
    assert_null(engines_choose(w->engines, NULL, 0));
    world_free(w);

    w = world_new_range(5002, 5001, 0);
    play(w, "state=INFERENCE 5000=a 5001=a wait=20 asked=5001:0");
    world_free(w);

    w = world_new_range(5002, 5002, 0);
    play(w, "state=INFERENCE 5000=a 5001=a 5002=a 5003=a wait=20 live=5002");
    world_free(w);

    w = world_new_range(5001, 65535, 0);
    play(w, "state=INFERENCE 5000=a 5128=a wait=20 live=5128");
    assert_int_equal(fake_connects_to(w->h, 5129), 0);
    world_free(w);
}

/* The gateway's own listener answers as an engine does, and so does 5000 itself. */
static void some_ports_are_no_engines(void **state)
{
    struct world *w = world_new_range(5000, 5010, 5002);

    play(w, "state=INFERENCE 5000=a 5001=a 5002=a 5003=a wait=0.1 live=5001,5003 asked=5002:0 "
            "asked=5000:1 again wait=20 live=5001,5003 asked=5002:0");
    world_free(w);
}

/* Ended at any moment: nothing is left behind, nothing follows. */
static void freed_in_the_middle(void **state)
{
    for (unsigned turns = 0; turns < 60; turns++) {
        struct world *w = world_new();

        play(w, "state=INFERENCE 5000=a 5001=a 5002=a 5003=503/a 5004=silent/a");
        w->h->piece = 7;
        tick(w, w->h->now_us);
        for (unsigned i = 0; i < turns; i++)
            fake_turn(w->h);
        engines_look_again(w->engines);
        engines_free(w->engines);
        w->engines = NULL;
        w->h->tick = NULL;
        fake_advance(w->h, 60 * SECOND_US);
        world_free(w);
    }
}

/* Bytes in any portions, STREAM_SENT late: the same outcome. */
static void portions_change_nothing(void **state)
{
    for (size_t piece = 1; piece < 40; piece += 6) {
        struct world *w = world_new();

        w->h->piece = piece;
        w->h->sent_late = piece % 4 == 1;
        play(w,
             "state=INFERENCE 5000=ab 5001=ba 5002=a wait=9 live=5001 5001=crash wait=2 live=none "
             "state=STOPPED wait=2 is=STOPPED");
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(engines_are_found),
        cmocka_unit_test(the_set_follows_changes),
        cmocka_unit_test(mlnode_is_not_always_there),
        cmocka_unit_test(refused_requests_take_out_at_once),
        cmocka_unit_test(how_often_is_asked),
        cmocka_unit_test(the_least_busy_is_chosen_and_ties_take_turns),
        cmocka_unit_test(an_engine_stays_where_it_is),
        cmocka_unit_test(changes_are_told_and_logged_once),
        cmocka_unit_test(flapping_does_not_flood_the_log),
        cmocka_unit_test(the_age_of_the_state_is_known),
        cmocka_unit_test(the_whole_range_in_bounds),
        cmocka_unit_test(ranges_of_every_size),
        cmocka_unit_test(some_ports_are_no_engines),
        cmocka_unit_test(freed_in_the_middle),
        cmocka_unit_test(portions_change_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
