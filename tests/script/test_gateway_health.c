/* GET /health of the engine: asked again before it is called down, inside the API node's patience,
 * and never called well without an engine. */
#include "gateway_stage.h"

enum { BUDGET_US = 4 * SECOND_US };

static const char health[] = GET("/health");

static void two_engines(struct stage *s)
{
    stage_open(s, ENGINE + 1);
}

/* Asks, and waits for the answer to come, at most as long as the API node does. */
static void ask(struct stage *s, struct fake_conn *c)
{
    size_t before = c->got.len;

    stage_say(c, health);
    for (uint64_t us = 0; us < BUDGET_US && c->got.len == before; us += 50 * 1000)
        fake_advance(s->h, 50 * 1000);
    assert_true(c->got.len > before);
}

static void the_engine_says_so_itself(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

    s->play = play_echo;
    ask(s, c);
    ANSWER(c, 200, "GET /health -");
    HEARD(s, "5001 GET /health");
    ask(s, stage_user(s, ROLE_POC));
    HEARD(s, "8080 GET /health");
    stage_free(s);
}

static void answer_500(struct fake_conn *c, const struct message *m)
{
    fake_answer(c, c->port == ENGINE ? 503 : 200, "", "x");
}

static void one_bad_engine_is_not_the_node(void **state)
{
    static const enum fake_door doors[] = {FAKE_ACCEPTS, FAKE_REFUSES, FAKE_SILENT};

    for (size_t i = 0; i < COUNT(doors); i++) {
        struct stage *s = stage_with(two_engines);
        struct fake_conn *c = stage_user(s, ROLE_INFERENCE);
        uint64_t began;

        s->play = answer_500;
        if (doors[i] != FAKE_ACCEPTS)
            fake_listen(s->h, ENGINE, doors[i], NULL, NULL);
        began = s->h->now_us;
        ask(s, c);
        ANSWER(c, 200, "x");
        assert_true(s->h->now_us - began <= SECOND_US + 50 * 1000);
        stage_free(s);
    }
}

/* Every way of not answering, in every place: never longer than the budget, and 503 at its end. */
static void all_are_silent_or_gone(void **state)
{
    static const enum fake_door doors[] = {FAKE_ACCEPTS, FAKE_REFUSES, FAKE_SILENT, FAKE_FAILS};

    for (size_t i = 0; i < COUNT(doors) * COUNT(doors) * COUNT(doors); i++) {
        const enum fake_door at[] = {doors[i % 4], doors[i / 4 % 4], doors[i / 16]};
        static const uint16_t ports[] = {ENGINE, ENGINE + 1, INFERENCE};
        struct stage *s = stage_with(two_engines);
        struct fake_conn *c = stage_user(s, ROLE_INFERENCE);
        uint64_t began;

        for (size_t k = 0; k < COUNT(ports); k++)
            fake_listen(s->h, ports[k], at[k], at[k] == FAKE_ACCEPTS ? &s->node : NULL, s);
        began = s->h->now_us;
        ask(s, c);
        ERROR(c, 503, "engine_unavailable");
        assert_string_equal(stage_field(s, "Retry-After"), "5");
        assert_true(s->h->now_us - began < BUDGET_US);
        stage_free(s);
    }
}

static void no_engine(struct stage *s)
{
    fake_listen(s->h, ENGINE, FAKE_REFUSES, NULL, NULL);
}

/* MLNode freezes: what it was connected to stays connected. Each of the kept connections, and the
 * fresh one that follows it, costs patience as well. */
static void kept_connections_to_a_frozen_node(void **state)
{
    struct stage *s = stage_with(no_engine);
    struct fake_conn *kept[6];
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

    for (size_t i = 0; i < COUNT(kept); i++) {
        stage_say(stage_user(s, ROLE_INFERENCE), GET("/v1/a"));
        kept[i] = stage_up(s, INFERENCE);
    }
    for (size_t i = 0; i < COUNT(kept); i++)
        stage_say(kept[i], OK("1", "A"));
    ask(s, c);
    ERROR(c, 503, "engine_unavailable");
    assert_true(stage_counts(s).retried > 0);
    stage_free(s);
}

static void answer_all_500(struct fake_conn *c, const struct message *m)
{
    fake_answer(c, 500, "", "x");
}

/* MLNode says that a model runs: the engine is asked again and again until the time is over. */
static void asked_again_while_a_model_is_loaded(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);
    unsigned before = fake_connects_to(s->h, ENGINE);

    s->play = answer_all_500;
    ask(s, c);
    ERROR(c, 503, "engine_unavailable");
    assert_true(fake_connects_to(s->h, ENGINE) > before + 8);
    stage_free(s);
}

/* The engine comes back while the question waits. */
static void back_in_time(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

    s->play = play_echo;
    fake_crash(s->h, ENGINE);
    fake_listen(s->h, INFERENCE, FAKE_REFUSES, NULL, NULL);
    stage_say(c, health);
    fake_advance(s->h, SECOND_US);
    SILENCE(c);
    stage_open(s, INFERENCE);
    stage_open(s, ENGINE);
    fake_advance(s->h, SECOND_US);
    ANSWER(c, 200, "GET /health -");
    stage_free(s);
}

/* Without a model there is nothing to wait for. */
static void down_at_once_without_a_model(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

    s->state = "STOPPED";
    stage_settle(s);
    fake_listen(s->h, INFERENCE, FAKE_REFUSES, NULL, NULL);
    stage_say(c, health);
    ERROR(c, 503, "engine_unavailable");
    HEARD(s, "");
    stage_free(s);
}

/* The answer's beginning ends the patience; its rest may take its time. */
static void a_slow_body_is_no_failure(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

    stage_say(c, health);
    stage_say(stage_up(s, ENGINE), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na");
    fake_advance(s->h, 20 * SECOND_US);
    stage_say(stage_up(s, ENGINE), "b");
    ANSWER(c, 200, "ab");
    HEARD(s, "5001 GET /health");
    stage_free(s);
}

/* Half an answer, in pieces, then another engine: nothing of the first is left. */
static void half_an_answer_is_forgotten(void **state)
{
    static const char *const halves[] = {
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 503 Busy\r\nContent-Length: 3\r\n\r\nabc",
    };

    for (size_t i = 0; i < COUNT(halves); i++) {
        struct stage *s = stage_with(two_engines);
        struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

        s->h->piece = 7;
        stage_say(c, health);
        fake_say(stage_up(s, ENGINE), halves[i]);
        fake_end(stage_up(s, ENGINE));
        fake_run(s->h);
        HEARD(s, "5001 GET /health\n5002 GET /health\n5001 reset");
        stage_say(stage_up(s, ENGINE + 1), OK("1", "B"));
        ANSWER(c, 200, "B");
        SILENCE(c);
        stage_free(s);
    }
}

/* With a body it is no question that can be asked twice: the second upstream would wait for bytes
 * that the first has taken, and take the next user's. */
static void a_question_with_a_body_is_asked_once(void **state)
{
    struct stage *s = stage_with(two_engines);
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

    stage_say(c, "GET /health HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab");
    fake_advance(s->h, 2 * SECOND_US);
    fake_fail(stage_up(s, ENGINE), REASON_PEER_RESET);
    fake_run(s->h);
    HEARD(s, "5001 GET /health");
    ERROR(c, 502, "upstream_closed");
    stage_free(s);
}

static void the_asker_leaves(void **state)
{
    static const unsigned when_ms[] = {0, 500, 1100, 2250, 3500};

    for (size_t i = 0; i < COUNT(when_ms); i++) {
        struct stage *s = stage_new();
        struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

        fake_listen(s->h, ENGINE, i % 2 ? FAKE_SILENT : FAKE_REFUSES, NULL, NULL);
        fake_listen(s->h, INFERENCE, FAKE_SILENT, NULL, NULL);
        stage_say(c, health);
        fake_advance(s->h, when_ms[i] * 1000);
        fake_fail_now(c, REASON_PEER_RESET);
        fake_run(s->h);
        assert_int_equal(stage_counts(s).exchanges_now, 0);
        assert_int_equal(stage_counts(s).upstreams_now, 0);
        fake_advance(s->h, 10 * SECOND_US);
        stage_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_engine_says_so_itself),
        cmocka_unit_test(one_bad_engine_is_not_the_node),
        cmocka_unit_test(all_are_silent_or_gone),
        cmocka_unit_test(kept_connections_to_a_frozen_node),
        cmocka_unit_test(asked_again_while_a_model_is_loaded),
        cmocka_unit_test(back_in_time),
        cmocka_unit_test(down_at_once_without_a_model),
        cmocka_unit_test(a_slow_body_is_no_failure),
        cmocka_unit_test(half_an_answer_is_forgotten),
        cmocka_unit_test(a_question_with_a_body_is_asked_once),
        cmocka_unit_test(the_asker_leaves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
