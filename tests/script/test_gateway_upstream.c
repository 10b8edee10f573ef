/* Which connection a request goes to, what happens when that one is gone, and what is said when
 * nobody is there. */
#include "gateway_stage.h"

/* A connection to the engine that has carried a request and waits for the next since now. */
static struct fake_conn *pooled(struct stage *s, struct fake_conn *c)
{
    struct fake_conn *up;

    stage_say(c, GET("/v1/first"));
    HEARD(s, "5001 GET /v1/first");
    up = stage_up(s, ENGINE);
    stage_say(up, OK("1", "1"));
    ANSWER(c, 200, "1");
    return up;
}

/* ---- idle connections ------------------------------------------------------------------------ */

static void how_long_a_connection_is_good_for(void **state)
{
    static const struct {
        const char *request;
        unsigned idle_ms;
        bool used;
    } rows[] = {
        {GET("/v1/a"), 0, true},
        {GET("/v1/a"), 2999, true},
        {GET("/v1/a"), 3000, false},
        {"HEAD /v1/a HTTP/1.1\r\nHost: h\r\n\r\n", 2999, true},
        {POST("/v1/a", "1", "x"), 999, true},
        {POST("/v1/a", "1", "x"), 1000, false},
        {POST("/v1/a", "0", ""), 1000, false},
        {"DELETE /v1/a HTTP/1.1\r\nHost: h\r\n\r\n", 999, true},
        {"DELETE /v1/a HTTP/1.1\r\nHost: h\r\n\r\n", 1000, false},
        {"GET /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx", 1000, false},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct stage *s = stage_new();
        struct fake_conn *c = stage_user(s, ROLE_INFERENCE);
        struct fake_conn *up = pooled(s, c);

        fake_advance(s->h, rows[i].idle_ms * 1000);
        stage_say(c, rows[i].request);
        print_message("    row %zu\n", i);
        assert_int_equal(stage_up(s, ENGINE) == up, rows[i].used);
        stage_free(s);
    }
}

/* MLNode closes after 5.00 s: nothing stays open here for longer than 3. */
static void idle_connections_are_let_go(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *up = pooled(s, stage_user(s, ROLE_INFERENCE));

    fake_advance(s->h, 2999 * 1000);
    assert_false(up->released);
    fake_advance(s->h, 1000);
    assert_true(up->released);
    stage_free(s);
}

/* The end of an idle connection is seen where the loop has not told of it yet. */
static void a_post_looks_before_it_leaps(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);
    struct fake_conn *up = pooled(s, c);

    s->h->say_stale = true;
    stage_say(c, POST("/v1/a", "1", "x"));
    assert_true(stage_up(s, ENGINE) != up);
    assert_true(up->reset);
    HEARD(s, "5001 POST /v1/a\n5001 reset");
    stage_free(s);
}

static void an_idle_connection_ends(void **state)
{
    for (int end = 0; end < 2; end++) {
        struct stage *s = stage_new();
        struct fake_conn *c = stage_user(s, ROLE_INFERENCE);
        struct fake_conn *up = pooled(s, c);

        if (end)
            fake_end(up);
        else
            fake_fail(up, REASON_PEER_RESET);
        fake_run(s->h);
        assert_true(up->released);
        stage_say(c, POST("/v1/a", "1", "x"));
        assert_true(stage_up(s, ENGINE) != up);
        assert_int_equal(stage_counts(s).retried, 0);
        stage_free(s);
    }
}

/* Whose answer did not take the whole request may never take it: nobody waits behind that. */
static void an_upstream_with_a_full_queue_is_not_used_again(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);
    struct fake_conn *up;

    stage_say(c, "POST /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n");
    up = stage_up(s, ENGINE);
    up->room = 10;
    for (int i = 0; i < 100; i++)
        fake_say(c, "x");
    fake_run(s->h);
    stage_say(up, OK("1", "A"));
    ANSWER(c, 200, "A");
    assert_true(up->reset);
    stage_free(s);
}

/* ---- one more try ---------------------------------------------------------------------------- */

static void a_safe_request_on_a_stale_connection_is_sent_again(void **state)
{
    for (int end = 0; end < 2; end++) {
        struct stage *s = stage_new();
        struct fake_conn *c = stage_user(s, ROLE_INFERENCE);
        struct fake_conn *up = pooled(s, c);

        stage_say(c, GET("/v1/a"));
        assert_ptr_equal(stage_up(s, ENGINE), up);
        if (end)
            fake_end(up);
        else
            fake_fail(up, REASON_PEER_RESET);
        fake_run(s->h);
        HEARD(s, end ? "5001 GET /v1/a\n5001 GET /v1/a\n5001 reset"
                     : "5001 GET /v1/a\n5001 GET /v1/a");
        up = stage_up(s, ENGINE);
        REQUEST(up, "");
        stage_say(up, OK("1", "A"));
        ANSWER(c, 200, "A");
        assert_int_equal(stage_counts(s).retried, 1);
        assert_int_equal(stage_counts(s).requests, 2);
        stage_free(s);
    }
}

/* Once; and not once a byte has come back. */
static void there_is_one_more_try_and_no_third(void **state)
{
    static const char *const heard_before[] = {"", "HTTP/1.1"};

    for (size_t i = 0; i < COUNT(heard_before); i++) {
        struct stage *s = stage_new();
        struct fake_conn *c = stage_user(s, ROLE_INFERENCE);
        struct fake_conn *up = pooled(s, c);

        stage_say(c, GET("/v1/a"));
        stage_say(up, heard_before[i]);
        fake_fail(up, REASON_PEER_RESET);
        fake_run(s->h);
        if (i == 0) {
            fake_fail(stage_up(s, ENGINE), REASON_PEER_RESET);
            fake_run(s->h);
        }
        HEARD(s, i == 0 ? "5001 GET /v1/a\n5001 GET /v1/a" : "5001 GET /v1/a");
        ERROR(c, 502, "upstream_closed");
        assert_false(c->ended);
        stage_free(s);
    }
}

static void what_was_sent_and_cannot_be_repeated_is_not(void **state)
{
    static const char *const requests[] = {
        POST("/v1/a", "1", "x"),
        POST("/v1/a", "0", ""),
        "DELETE /v1/a HTTP/1.1\r\nHost: h\r\n\r\n",
        "PUT /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nx",
        "GET /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx",
    };

    for (size_t i = 0; i < COUNT(requests); i++) {
        struct stage *s = stage_new();
        struct fake_conn *c = stage_user(s, ROLE_INFERENCE);
        struct fake_conn *up = pooled(s, c);

        stage_say(c, requests[i]);
        assert_ptr_equal(stage_up(s, ENGINE), up);
        fake_fail(up, REASON_PEER_RESET);
        fake_run(s->h);
        assert_ptr_equal(stage_up(s, ENGINE), up);
        ERROR(c, 502, "upstream_closed");
        assert_int_equal(stage_counts(s).retried, 0);
        stage_free(s);
    }
}

/* A fresh connection that ends is no stale one. */
static void a_fresh_connection_is_not_tried_twice(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

    stage_say(c, GET("/v1/a"));
    fake_fail(stage_up(s, ENGINE), REASON_PEER_RESET);
    fake_run(s->h);
    HEARD(s, "5001 GET /v1/a");
    ERROR(c, 502, "upstream_closed");
    stage_free(s);
}

/* ---- nobody there ---------------------------------------------------------------------------- */

static void three_engines(struct stage *s)
{
    stage_open(s, ENGINE + 1);
    stage_open(s, ENGINE + 2);
}

/* Each engine that refuses is out at once, and last of all 5000 is asked; a request that was never
 * sent is not lost, whatever it is. */
static void refused_requests_move_on(void **state)
{
    struct stage *s = stage_with(three_engines);
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);
    unsigned before[ENGINES];

    s->play = play_echo;
    for (uint16_t i = 0; i < ENGINES; i++) {
        fake_listen(s->h, (uint16_t)(ENGINE + i), FAKE_REFUSES, NULL, NULL);
        before[i] = fake_connects_to(s->h, (uint16_t)(ENGINE + i));
    }
    stage_say(c, POST("/v1/completions", "4", "once"));
    HEARD(s, "5000 POST /v1/completions");
    ANSWER(c, 200, "POST /v1/completions once");
    stage_say(c, GET("/v1/models"));
    HEARD(s, "5000 GET /v1/models");
    ANSWER(c, 200, "GET /v1/models -");
    assert_int_equal(stage_counts(s).direct, 0);
    for (uint16_t i = 0; i < ENGINES; i++)
        assert_int_equal(fake_connects_to(s->h, (uint16_t)(ENGINE + i)), before[i] + 1);
    stage_free(s);
}

static void two_engines(struct stage *s)
{
    stage_open(s, ENGINE + 1);
}

/* A body that waited for a connection goes on where the next engine has one already. */
static void a_body_moves_on_to_an_idle_connection(void **state)
{
    struct stage *s = stage_with(two_engines);
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

    stage_say(c, GET("/v1/a"));
    stage_say(stage_up(s, ENGINE), "HTTP/1.1 204 No\r\nConnection: close\r\n\r\n");
    ANSWER(c, 204, "");
    stage_say(c, GET("/v1/b"));
    stage_say(stage_up(s, ENGINE + 1), OK("1", "B"));
    ANSWER(c, 200, "B");
    HEARD(s, "5001 GET /v1/a\n5001 reset\n5002 GET /v1/b");
    fake_listen(s->h, ENGINE, FAKE_REFUSES, NULL, NULL);
    stage_say(c, POST("/v1/c", "5", "hello"));
    HEARD(s, "5002 POST /v1/c");
    REQUEST(stage_up(s, ENGINE + 1), "");
    REQUEST(stage_up(s, ENGINE + 1), "hello");
    stage_free(s);
}

/* A connect that nobody answers takes 3 s at most. */
static void silent_engines_are_given_up(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

    s->play = play_echo;
    fake_listen(s->h, ENGINE, FAKE_SILENT, NULL, NULL);
    stage_say(c, POST("/v1/completions", "4", "once"));
    fake_advance(s->h, 2999 * 1000);
    HEARD(s, "");
    fake_advance(s->h, 1000);
    HEARD(s, "5000 POST /v1/completions");
    ANSWER(c, 200, "POST /v1/completions once");
    stage_free(s);
}

/* The busiest is not chosen; the one that waited longest is, among equals. */
static void engines_share_the_work(void **state)
{
    struct stage *s = stage_with(three_engines);

    for (int i = 0; i < 6; i++)
        stage_say(stage_user(s, ROLE_INFERENCE), GET("/v1/a"));
    HEARD(s, "5001 GET /v1/a\n5002 GET /v1/a\n5003 GET /v1/a\n"
             "5001 GET /v1/a\n5002 GET /v1/a\n5003 GET /v1/a");
    stage_say(stage_up(s, ENGINE + 1), OK("1", "A"));
    stage_say(stage_user(s, ROLE_INFERENCE), GET("/v1/b"));
    HEARD(s, "5002 GET /v1/b");
    stage_free(s);
}

/* An engine that is gone takes the streams that it had begun and nothing else. */
static void an_engine_dies(void **state)
{
    struct stage *s = stage_with(three_engines);
    struct fake_conn *begun = stage_user(s, ROLE_INFERENCE);
    struct fake_conn *other = stage_user(s, ROLE_INFERENCE);
    struct fake_conn *next = stage_user(s, ROLE_INFERENCE);
    struct message m;

    stage_say(begun, GET("/v1/a"));
    stage_say(stage_up(s, ENGINE), CHUNKED "1\r\na\r\n");
    stage_say(other, GET("/v1/b"));
    stage_say(stage_up(s, ENGINE + 1), CHUNKED "1\r\nb\r\n");
    fake_crash(s->h, ENGINE);
    fake_run(s->h);
    assert_null(message_read(begun->got.data, begun->got.len, MESSAGE_RESPONSE, true, &m));
    assert_true(begun->ended && !m.complete);
    message_clear(&m);
    stage_say(next, POST("/v1/c", "0", ""));
    HEARD(s, "5001 GET /v1/a\n5002 GET /v1/b\n5003 POST /v1/c");
    stage_say(stage_up(s, ENGINE + 1), "0\r\n\r\n");
    ANSWER(other, 200, "b");
    stage_free(s);
}

static void nobody_listens(void **state)
{
    static const struct {
        const char *request;
        enum gateway_role role;
        const char *code; /* NULL: closed without an answer */
    } rows[] = {
        {GET("/v1/models"), ROLE_INFERENCE, "engine_unavailable"},
        {POST("/v1/completions", "2", "{}"), ROLE_INFERENCE, "engine_unavailable"},
        {POST("/v1/completions", "2", "{}"), ROLE_POC, "engine_unavailable"},
        {GET("/other"), ROLE_POC, "engine_unavailable"},
        {GET("/api/v1/state"), ROLE_POC, "management_unavailable"},
        {GET("/health"), ROLE_POC, "management_unavailable"},
        {POST("/api/v1/pow/init", "2", "{}"), ROLE_POC, "management_unavailable"},
        {POST("/api/v1/inference/down", "2", "{}"), ROLE_POC, "management_unavailable"},
        /* the API node takes any answer to these for success */
        {POST("/api/v1/stop", "2", "{}"), ROLE_POC, NULL},
        {POST("/v3.0.8/api/v1/inference/up", "2", "{}"), ROLE_POC, NULL},
        {POST("/api/v1/stop/", "0", ""), ROLE_INFERENCE, NULL},
    };
    static const enum fake_door doors[] = {FAKE_REFUSES, FAKE_FAILS, FAKE_SILENT};

    for (size_t i = 0; i < COUNT(rows) * COUNT(doors); i++) {
        size_t k = i / COUNT(doors);
        enum fake_door door = doors[i % COUNT(doors)];
        struct stage *s = stage_new();
        struct fake_conn *c = stage_user(s, rows[k].role);

        fake_crash(s->h, ENGINE);
        fake_advance(s->h, 5 * SECOND_US);
        fake_listen(s->h, MANAGEMENT, door, NULL, NULL);
        fake_listen(s->h, INFERENCE, door, NULL, NULL);
        stage_say(c, rows[k].request);
        fake_advance(s->h, door == FAKE_SILENT ? 3 * SECOND_US : 0);
        if (rows[k].code == NULL) {
            SILENCE(c);
            assert_true(c->ended);
            assert_int_equal(stage_counts(s).answers[0], 1);
        } else {
            ERROR(c, 503, rows[k].code);
            assert_string_equal(stage_field(s, "Retry-After"), "5");
            assert_false(c->ended);
            assert_int_equal(stage_counts(s).answers[5], 1);
        }
        assert_int_equal(stage_counts(s).ended.of[REASON_UPSTREAM_DOWN], 1);
        stage_free(s);
    }
}

/* What MLNode did answer to them is passed on; an answer that broke is not made up. */
static void silent_routes(void **state)
{
    static const struct {
        const char *answer;
        unsigned status; /* 0: closed */
    } rows[] = {{OK("2", "{}"), 200},
                {"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", 500},
                {"nonsense\r\n\r\n", 0},
                {NULL, 0}};

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct stage *s = stage_new();
        struct fake_conn *c = stage_user(s, ROLE_POC);

        stage_say(c, POST("/api/v1/inference/up", "2", "{}"));
        if (rows[i].answer != NULL)
            fake_say(stage_up(s, MANAGEMENT), rows[i].answer);
        else
            fake_fail(stage_up(s, MANAGEMENT), REASON_PEER_RESET);
        fake_run(s->h);
        if (rows[i].status != 0)
            ANSWER(c, rows[i].status, NULL);
        SILENCE(c);
        assert_int_equal(c->ended, rows[i].status == 0);
        stage_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(how_long_a_connection_is_good_for),
        cmocka_unit_test(idle_connections_are_let_go),
        cmocka_unit_test(a_post_looks_before_it_leaps),
        cmocka_unit_test(an_idle_connection_ends),
        cmocka_unit_test(an_upstream_with_a_full_queue_is_not_used_again),
        cmocka_unit_test(a_safe_request_on_a_stale_connection_is_sent_again),
        cmocka_unit_test(there_is_one_more_try_and_no_third),
        cmocka_unit_test(what_was_sent_and_cannot_be_repeated_is_not),
        cmocka_unit_test(a_fresh_connection_is_not_tried_twice),
        cmocka_unit_test(refused_requests_move_on),
        cmocka_unit_test(a_body_moves_on_to_an_idle_connection),
        cmocka_unit_test(silent_engines_are_given_up),
        cmocka_unit_test(engines_share_the_work),
        cmocka_unit_test(an_engine_dies),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(silent_routes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
