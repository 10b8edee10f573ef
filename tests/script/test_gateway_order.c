/* One connection, many requests: kept, pipelined, of both versions; and the answers that have no
 * body, or come before the answer. */
#include "gateway_stage.h"

/* ---- requests in order ----------------------------------------------------------------------- */

static void a_connection_is_kept_on_both_sides(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);
    unsigned before = fake_connects_to(s->h, ENGINE);

    s->play = play_echo;
    for (int i = 0; i < 5; i++) {
        stage_say(c, GET("/v1/models"));
        ANSWER(c, 200, "GET /v1/models -");
        assert_string_equal(stage_field(s, "Connection"), "");
        stage_say(c, POST("/v1/completions", "2", "{}"));
        ANSWER(c, 200, "POST /v1/completions {}");
    }
    assert_int_equal(fake_connects_to(s->h, ENGINE), before + 1);
    assert_false(c->ended);
    assert_int_equal(c->consumed, c->delivered);
    stage_free(s);
}

static void pipelined_requests_go_one_by_one(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

    stage_say(c, GET("/v1/a") POST("/v1/b", "3", "abc") GET("/api/v1/c"));
    HEARD(s, "5001 GET /v1/a");
    stage_say(stage_up(s, ENGINE), OK("1", "A"));
    HEARD(s, "5001 POST /v1/b");
    ANSWER(c, 200, "A");
    SILENCE(c);
    stage_say(stage_up(s, ENGINE), OK("1", "B"));
    HEARD(s, "8080 GET /api/v1/c");
    ANSWER(c, 200, "B");
    stage_say(stage_up(s, MANAGEMENT), OK("1", "C"));
    ANSWER(c, 200, "C");
    assert_int_equal(c->consumed, c->delivered);
    stage_free(s);
}

/* Refused, answered by us, answered by MLNode: the order is the requests'. */
static void our_own_answers_keep_the_order(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_POC);

    s->play = play_echo;
    stage_say(c, GET("/v1/a") GET("/api/v1/train/x") GET("/mlgate/status")
                     POST("/sleep", "4", "body") GET("/other"));
    ANSWER(c, 200, "GET /v1/a -");
    ERROR(c, 404, "not_served");
    ANSWER(c, 200, NULL);
    assert_non_null(strstr(s->last.body, "\"refused_by_policy\":1"));
    ERROR(c, 404, "not_served");
    ANSWER(c, 200, "GET /other -");
    HEARD(s, "5001 GET /v1/a\n5000 GET /other");
    SILENCE(c);
    stage_free(s);
}

static void requests_cut_anywhere(void **state)
{
    static const char all[] = POST("/v1/b", "3", "abc")
        GET("/v1/a") "\r\n" GET("/sleep") "POST /v1/c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
                                          "chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n" GET("/v1/d");

    for (size_t cut = 0; cut < sizeof(all); cut++) {
        struct stage *s = stage_new();
        struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

        s->play = play_echo;
        fake_send(c, all, cut);
        fake_run(s->h);
        stage_say(c, all + cut);
        ANSWER(c, 200, "POST /v1/b abc");
        ANSWER(c, 200, "GET /v1/a -");
        ERROR(c, 404, "not_served");
        ANSWER(c, 200, "POST /v1/c xyz");
        ANSWER(c, 200, "GET /v1/d -");
        SILENCE(c);
        assert_int_equal(c->consumed, c->delivered);
        stage_free(s);
    }
}

/* What a user sends ahead is not read further than the window, however much he sends. */
static void a_pipeline_waits_in_bounds(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

    s->h->piece = 16 * 1024;
    for (int i = 0; i < 40000; i++)
        fake_say(c, GET("/v1/models"));
    fake_run(s->h);
    assert_in_range(c->delivered - c->consumed, 1, FAKE_WINDOW + 16 * 1024);
    HEARD(s, "5001 GET /v1/models");
    fake_fail_now(c, REASON_PEER_RESET);
    fake_run(s->h);
    HEARD(s, "5001 reset");
    stage_free(s);
}

/* ---- the end of a connection ----------------------------------------------------------------- */

/* Thousands of small requests in one read are answered in portions, and others come in between. */
static void a_long_pipeline_takes_turns(void **state)
{
    enum { LONG = 1000 };
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_POC);
    unsigned turns = 0;

    for (int i = 0; i < LONG; i++)
        fake_say(c, GET("/sleep"));
    fake_say(c, GET("/api/v1/last"));
    fake_end(c);
    while (stage_counts(s).requests < LONG) {
        uint64_t before = stage_counts(s).requests;

        fake_turn(s->h);
        assert_true(stage_counts(s).requests - before <= 100);
        assert_true(++turns <= LONG);
    }
    fake_run(s->h);
    for (int i = 0; i < LONG; i++)
        ERROR(c, 404, "not_served");
    HEARD(s, "8080 GET /api/v1/last");
    stage_say(stage_up(s, MANAGEMENT), OK("1", "L"));
    ANSWER(c, 200, "L");
    assert_true(c->ended);
    stage_free(s);
}

static void close_is_obeyed_and_told(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

    s->play = play_echo;
    stage_say(c, "GET /v1/a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" GET("/v1/b"));
    ANSWER(c, 200, "GET /v1/a -");
    assert_string_equal(stage_field(s, "Connection"), "close");
    SILENCE(c);
    assert_true(c->ended);
    HEARD(s, "5001 GET /v1/a");
    stage_free(s);
}

static void an_upstream_that_closes_costs_nobody_anything(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);
    unsigned before = fake_connects_to(s->h, ENGINE);

    for (int i = 0; i < 3; i++) {
        stage_say(c, GET("/v1/a"));
        stage_say(stage_up(s, ENGINE), "HTTP/1.1 200 OK\r\nConnection: close\r\n"
                                       "Content-Length: 1\r\n\r\nA");
        ANSWER(c, 200, "A");
        assert_string_equal(stage_field(s, "Connection"), "");
    }
    assert_int_equal(fake_connects_to(s->h, ENGINE), before + 3);
    stage_free(s);
}

/* The end of the requests, after the last whole one: all answers still come. */
static void an_end_between_requests(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_POC);

    s->play = play_echo;
    fake_say(c, GET("/api/v1/a"));
    fake_end(c);
    fake_run(s->h);
    ANSWER(c, 200, "GET /api/v1/a -");
    assert_true(c->ended);
    c = stage_user(s, ROLE_POC);
    fake_say(c, "GET /api/v1/a HT");
    fake_end(c);
    fake_run(s->h);
    SILENCE(c);
    assert_true(c->ended);
    HEARD(s, "8080 GET /api/v1/a");
    stage_free(s);
}

/* A reader that has not taken his last answer yet, and ends his side. */
static void an_end_behind_a_full_queue(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);
    char *body = mem_zalloc(100001);

    memset(body, 'x', 100000);
    c->room = 10;
    stage_say(c, GET("/v1/a"));
    fake_answer(stage_up(s, ENGINE), 200, "", body);
    fake_run(s->h);
    fake_end(c);
    fake_run(s->h);
    fake_take(c, SIZE_MAX);
    fake_run(s->h);
    ANSWER(c, 200, body);
    assert_true(c->ended);
    mem_free(body);
    stage_free(s);
}

/* ---- HTTP/1.0 -------------------------------------------------------------------------------- */

static void old_clients(void **state)
{
    static const struct {
        const char *request;
        const char *answer;
        const char *body;
        const char *connection;
        bool ends;
    } rows[] = {
        {"GET /v1/a HTTP/1.0\r\n\r\n", OK("1", "A"), "A", "close", true},
        {"GET /v1/a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", OK("1", "A"), "A", "keep-alive",
         false},
        /* no coding for those who do not know it: the end of the body is the connection's */
        {"GET /v1/a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
         CHUNKED "2\r\nAB\r\n1;x=y\r\nC\r\n0\r\nT: 1\r\n\r\n", "ABC", "close", true},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct stage *s = stage_new();
        struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

        stage_say(c, rows[i].request);
        REQUEST(stage_up(s, ENGINE), "");
        assert_int_equal(s->last.head.minor, 1);
        stage_say(stage_up(s, ENGINE), rows[i].answer);
        assert_int_equal(c->ended, rows[i].ends);
        ANSWER(c, 200, rows[i].body);
        assert_string_equal(stage_field(s, "Connection"), rows[i].connection);
        assert_string_equal(stage_field(s, "Transfer-Encoding"), "");
        stage_free(s);
    }
}

/* ---- answers without a body ------------------------------------------------------------------ */

static void no_body_where_none_belongs(void **state)
{
    static const struct {
        const char *method;
        const char *answer;
        unsigned status;
        const char *length;
    } rows[] = {
        {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n", 200, "12"},
        {"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, ""},
        {"HEAD", "HTTP/1.1 200 OK\r\n\r\n", 200, ""},
        {"HEAD", "HTTP/1.1 404 No\r\nContent-Length: 7\r\n\r\n", 404, "7"},
        {"GET", "HTTP/1.1 204 No\r\n\r\n", 204, ""},
        {"GET", "HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", 204, ""},
        {"GET", "HTTP/1.1 304 Same\r\nContent-Length: 12\r\n\r\n", 304, "12"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct stage *s = stage_new();
        struct fake_conn *c = stage_user(s, ROLE_INFERENCE);
        char *request = mem_printf("%s /v1/a HTTP/1.1\r\nHost: h\r\n\r\n", rows[i].method);

        stage_say(c, request);
        stage_say(stage_up(s, ENGINE), rows[i].answer);
        ANSWER_TO_HEAD(c, rows[i].status);
        assert_string_equal(stage_field(s, "Content-Length"), rows[i].length);
        assert_string_equal(stage_field(s, "Transfer-Encoding"), "");
        SILENCE(c);
        stage_say(c, GET("/v1/b")); /* both connections are good for another one */
        stage_say(stage_up(s, ENGINE), OK("1", "B"));
        ANSWER(c, 200, "B");
        HEARD(s, rows[i].method[0] == 'H' ? "5001 HEAD /v1/a\n5001 GET /v1/b"
                                          : "5001 GET /v1/a\n5001 GET /v1/b");
        mem_free(request);
        stage_free(s);
    }
}

static void our_errors_to_head_have_no_body(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

    stage_say(c, "HEAD /sleep HTTP/1.1\r\nHost: h\r\n\r\n");
    ANSWER_TO_HEAD(c, 404);
    assert_true(strlen(stage_field(s, "Content-Length")) > 1); /* of the body that is left out */
    SILENCE(c);
    stage_say(c, "HEAD /v1//a HTTP/1.1\r\nHost: h\r\n\r\n");
    ANSWER_TO_HEAD(c, 400);
    SILENCE(c);
    c = stage_user(s, ROLE_INFERENCE);
    stage_say(c, "HEAD /v1/a HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n");
    ANSWER_TO_HEAD(c, 400);
    SILENCE(c);
    stage_free(s);
}

/* ---- interim answers ------------------------------------------------------------------------- */

static const char expecting[] = "POST /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n"
                                "Expect: 100-continue\r\n\r\n";

static void continue_is_the_upstreams_to_say(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

    stage_say(c, expecting);
    HEARD(s, "5001 POST /v1/a");
    SILENCE(c);
    stage_say(stage_up(s, ENGINE), "HTTP/1.1 100 Continue\r\n\r\n");
    ANSWER(c, 100, "");
    stage_say(c, "ab");
    REQUEST(stage_up(s, ENGINE), "ab");
    assert_string_equal(stage_field(s, "Expect"), "100-continue");
    stage_say(stage_up(s, ENGINE), "HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" OK("1", "A"));
    ANSWER(c, 103, "");
    assert_string_equal(stage_field(s, "Link"), "x");
    ANSWER(c, 200, "A");
    stage_say(c, GET("/v1/b"));
    HEARD(s, "5001 GET /v1/b");
    stage_free(s);
}

/* The client need not send a body that nobody wants: what follows may be the body or another
 * request, so that the connection ends. */
static void a_refusal_without_continue_ends_the_connection(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

    stage_say(c, expecting);
    stage_say(stage_up(s, ENGINE), "HTTP/1.1 413 Big\r\nContent-Length: 0\r\n\r\n");
    ANSWER(c, 413, "");
    assert_string_equal(stage_field(s, "Connection"), "close");
    assert_true(c->ended);
    HEARD(s, "5001 POST /v1/a\n5001 reset");

    c = stage_user(s, ROLE_INFERENCE);
    stage_say(c, "POST /sleep HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n"
                 "Expect: 100-continue\r\n\r\n");
    ERROR(c, 404, "not_served");
    assert_string_equal(stage_field(s, "Connection"), "close");
    assert_true(c->ended);
    HEARD(s, "");
    stage_free(s);
}

static void old_clients_know_no_interim_answers(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

    stage_say(c, "POST /v1/a HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nab");
    REQUEST(stage_up(s, ENGINE), "ab");
    assert_string_equal(stage_field(s, "Expect"), "");
    stage_say(stage_up(s, ENGINE), "HTTP/1.1 100 Continue\r\n\r\n" OK("1", "A"));
    ANSWER(c, 200, "A");
    stage_free(s);
}

static void interim_answers_have_an_end(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

    stage_say(c, GET("/v1/a"));
    stage_say(stage_up(s, ENGINE), "HTTP/1.1 101 Switch\r\nUpgrade: x\r\n\r\n");
    ERROR(c, 502, "upstream_protocol");
    stage_say(c, GET("/v1/a"));
    for (int i = 0; i < 16; i++) {
        stage_say(stage_up(s, ENGINE), "HTTP/1.1 103 Hints\r\n\r\n");
        ANSWER(c, 103, "");
    }
    stage_say(stage_up(s, ENGINE), "HTTP/1.1 103 Hints\r\n\r\n");
    ERROR(c, 502, "upstream_protocol");
    HEARD(s, "5001 GET /v1/a\n5001 reset\n5001 GET /v1/a\n5001 reset");
    stage_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_is_kept_on_both_sides),
        cmocka_unit_test(pipelined_requests_go_one_by_one),
        cmocka_unit_test(our_own_answers_keep_the_order),
        cmocka_unit_test(requests_cut_anywhere),
        cmocka_unit_test(a_pipeline_waits_in_bounds),
        cmocka_unit_test(a_long_pipeline_takes_turns),
        cmocka_unit_test(close_is_obeyed_and_told),
        cmocka_unit_test(an_upstream_that_closes_costs_nobody_anything),
        cmocka_unit_test(an_end_between_requests),
        cmocka_unit_test(an_end_behind_a_full_queue),
        cmocka_unit_test(old_clients),
        cmocka_unit_test(no_body_where_none_belongs),
        cmocka_unit_test(our_errors_to_head_have_no_body),
        cmocka_unit_test(continue_is_the_upstreams_to_say),
        cmocka_unit_test(a_refusal_without_continue_ends_the_connection),
        cmocka_unit_test(old_clients_know_no_interim_answers),
        cmocka_unit_test(interim_answers_have_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
