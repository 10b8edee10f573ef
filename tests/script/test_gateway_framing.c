/* Bodies in both framings and both directions, cut anywhere; answers that stop short, go on too
 * long, or are no HTTP. */
#include "gateway_stage.h"

#define CHUNKED_POST                                                                               \
    "POST /v1/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Type: a/b\r\n\r\n"

/* What this user got, in whatever state it is. */
static void look_at(struct fake_conn *c, struct message *m)
{
    assert_null(message_read(c->got.data, c->got.len, MESSAGE_RESPONSE, c->ended && !c->reset, m));
}

/* ---- requests -------------------------------------------------------------------------------- */

static const struct body {
    const char *sent;
    const char *arrives; /* framing fields and body */
} bodies[] = {
    {POST("/v1/a", "11", "hello world"), "Content-Length: 11\r\n\r\nhello world"},
    {POST("/v1/a", "0", ""), "Content-Length: 0\r\n\r\n"},
    /* the coding is written anew, chunk by chunk; extensions and trailers end here */
    {CHUNKED_POST "5\r\nhello\r\n0006;a=\"b\"\r\n world\r\n000\r\nX-T: 1\r\n\r\n",
     "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"},
    {CHUNKED_POST "0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
};

static void request_bodies_cut_anywhere(void **state)
{
    for (size_t i = 0; i < COUNT(bodies); i++) {
        for (size_t cut = 0; cut <= strlen(bodies[i].sent); cut++) {
            struct stage *s = stage_new();
            struct fake_conn *c = stage_user(s, ROLE_INFERENCE);
            const char *got;

            fake_send(c, bodies[i].sent, cut);
            fake_run(s->h);
            stage_say(c, bodies[i].sent + cut);
            got = rest_of(stage_up(s, ENGINE));
            assert_non_null(strstr(got, bodies[i].arrives));
            assert_string_equal(strstr(got, bodies[i].arrives), bodies[i].arrives);
            stage_say(stage_up(s, ENGINE), OK("2", "ok"));
            ANSWER(c, 200, "ok");
            assert_int_equal(c->consumed, c->delivered);
            assert_false(c->ended);
            stage_free(s);
        }
    }
}

/* What has arrived of a body is on its way at once, before the rest exists. */
static void request_bodies_are_not_collected(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);
    struct fake_conn *up;

    stage_say(c, "POST /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n");
    up = stage_up(s, ENGINE);
    for (size_t i = 1; i <= 10; i++) {
        size_t before = up->got.len;

        stage_say(c, "x");
        assert_int_equal(up->got.len, before + 1);
    }
    REQUEST(up, "xxxxxxxxxx");
    stage_free(s);
}

static void broken_bodies_are_refused(void **state)
{
    static const char *const broken[] = {
        "5\r\nhello!\r\n0\r\n\r\n",
        "-1\r\n",
        "0x1\r\na\r\n",
        " 1\r\na\r\n",
        "1 \r\na\r\n",
        "1\na\r\n",
        "\r\n",
        "g\r\n",
        "1\r\nab\r\n",
        "0\r\nno colon\r\n",
        "11111111111111111\r\n",
        "0\r\n a",
        "0\r\nX\r\n",
    };

    for (size_t i = 0; i < COUNT(broken); i++) {
        struct stage *s = stage_new();
        struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

        stage_say(c, CHUNKED_POST);
        stage_say(c, "2\r\nab\r\n");
        stage_say(c, broken[i]);
        ERROR(c, 400, "bad_chunk");
        assert_string_equal(stage_field(s, "Connection"), "close");
        assert_true(c->ended);
        HEARD(s, "5001 POST /v1/a\n5001 reset");
        stage_free(s);
    }
}

/* The body of a refused request, up to a MiB of it, does not cost the connection. */
static void refused_bodies_are_dropped(void **state)
{
    static const size_t sizes[] = {1, 5000, 1024 * 1024, 1024 * 1024 + 1};

    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct stage *s = stage_new();
        struct fake_conn *c = stage_user(s, ROLE_INFERENCE);
        char *head =
            mem_printf("POST /sleep HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", sizes[i]);
        char *body = mem_zalloc(sizes[i]);

        memset(body, 'G', sizes[i]);
        stage_say(c, head);
        ERROR(c, 404, "not_served");
        assert_int_equal(c->ended, sizes[i] > 1024 * 1024);
        fake_send(c, body, sizes[i]);
        fake_say(c, GET("/v1/a"));
        fake_run(s->h);
        HEARD(s, c->ended ? "" : "5001 GET /v1/a");
        mem_free(head);
        mem_free(body);
        stage_free(s);
    }
}

/* ---- answers --------------------------------------------------------------------------------- */

static const struct answer {
    const char *sent;
    const char *arrives; /* NULL: the same */
    const char *body;
    bool ends; /* with the connection */
} answers[] = {
    {"HTTP/1.1 200 OK\r\nA: 1\r\nA: 2\r\nContent-Length: 5\r\n\r\nhello", NULL, "hello", false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", NULL, "", false},
    {"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx", "HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\nx",
     "x", false},
    /* as it came, extensions and trailers with it */
    {CHUNKED "3\r\nabc\r\n002;x=y\r\nde\r\n0\r\nX-T: 1\r\n\r\n", NULL, "abcde", false},
    {CHUNKED "0\r\n\r\n", NULL, "", false},
    {"HTTP/1.1 200 OK\r\n\r\nhello", NULL, "hello", true},
    {"HTTP/1.0 200 OK\r\n\r\n", NULL, "", true},
    {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
     "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", "x", true},
};

static void answers_cut_anywhere(void **state)
{
    for (size_t i = 0; i < COUNT(answers); i++) {
        for (size_t cut = 0; cut <= strlen(answers[i].sent); cut++) {
            const char *want = answers[i].arrives ? answers[i].arrives : answers[i].sent;
            struct stage *s = stage_new();
            struct fake_conn *c = stage_user(s, ROLE_INFERENCE);
            struct fake_conn *up;

            stage_say(c, GET("/v1/a"));
            up = stage_up(s, ENGINE);
            fake_send(up, answers[i].sent, cut);
            fake_run(s->h);
            fake_say(up, answers[i].sent + cut);
            if (answers[i].ends)
                fake_end(up);
            fake_run(s->h);
            if (!answers[i].ends)
                assert_string_equal(c->got.data, want);
            ANSWER(c, 200, answers[i].body);
            SILENCE(c);
            assert_false(c->ended);
            assert_int_equal(up->reset, answers[i].ends);
            if (!up->reset)
                assert_int_equal(up->consumed, up->delivered);
            stage_free(s);
        }
    }
}

/* One event of the engine is one piece of the answer, in the turn in which it came. */
static void events_stay_apart(void **state)
{
    static const char *const events[] = {"d\r\ndata: {\"a\"}\n\n\r\n", "c\r\ndata: [DONE]\r\n"};
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

    stage_say(c, GET("/v1/a"));
    stage_say(stage_up(s, ENGINE), CHUNKED);
    assert_string_equal(c->got.data, CHUNKED);
    for (size_t i = 0; i < COUNT(events); i++) {
        size_t before = c->got.len;

        stage_say(stage_up(s, ENGINE), events[i]);
        assert_string_equal(c->got.data + before, events[i]);
    }
    stage_free(s);
}

/* ---- answers that stop short ----------------------------------------------------------------- */

enum stop { STOP_END, STOP_RESET };

/* A user of HTTP/1.`minor` gets what there was, and can tell that it was not all. */
static void stops_short(const char *answer, unsigned minor, enum stop how)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);
    struct message m;

    stage_say(c, minor ? GET("/v1/a") : "GET /v1/a HTTP/1.0\r\n\r\n");
    fake_say(stage_up(s, ENGINE), answer);
    fake_run(s->h);
    if (how == STOP_END)
        fake_end(stage_up(s, ENGINE));
    else
        fake_fail(stage_up(s, ENGINE), REASON_PEER_RESET);
    fake_run(s->h);
    assert_true(c->released);
    look_at(c, &m);
    assert_true(m.has_head);
    assert_int_equal(m.head.status, 200);
    assert_string_equal(m.body, "hello");
    assert_false(m.complete);
    message_clear(&m);
    assert_int_equal(stage_counts(s).ended.of[REASON_UPSTREAM_CLOSED], 1);
    stage_free(s);
}

static void truncated_answers_stay_truncated(void **state)
{
    static const char *const short_ones[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
        CHUNKED "5\r\nhello",
        CHUNKED "6\r\nhello",
        CHUNKED "5\r\nhello\r\n",
        CHUNKED "5\r\nhello\r\n0\r\n",
        CHUNKED "5\r\nhello\r\n0\r\nX-T: 1\r\n",
    };

    for (size_t i = 0; i < COUNT(short_ones); i++) {
        stops_short(short_ones[i], 1, STOP_END);
        stops_short(short_ones[i], 1, STOP_RESET);
        stops_short(short_ones[i], 0, STOP_END);
        stops_short(short_ones[i], 0, STOP_RESET);
    }
    stops_short("HTTP/1.1 200 OK\r\n\r\nhello", 1, STOP_RESET);
    stops_short("HTTP/1.1 200 OK\r\n\r\nhello", 0, STOP_RESET);
}

/* Before the answer's head was complete nothing went out: an error can still be told. */
static void nothing_sent_yet(void **state)
{
    static const char *const beginnings[] = {"", "HTTP/1.1 200 OK\r\nContent-Le",
                                             "HTTP/1.1 100 Continue\r\n\r\n"};

    for (size_t i = 0; i < COUNT(beginnings); i++) {
        for (int end = 0; end < 2; end++) {
            struct stage *s = stage_new();
            struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

            stage_say(c, POST("/v1/a", "1", "x"));
            stage_say(stage_up(s, ENGINE), beginnings[i]);
            if (end)
                fake_end(stage_up(s, ENGINE));
            else
                fake_fail(stage_up(s, ENGINE), REASON_PEER_RESET);
            fake_run(s->h);
            if (i == 2)
                ANSWER(c, 100, "");
            ERROR(c, 502, "upstream_closed");
            assert_false(c->ended);
            HEARD(s, end ? "5001 POST /v1/a\n5001 reset" : "5001 POST /v1/a");
            stage_free(s);
        }
    }
}

/* ---- answers that are none ------------------------------------------------------------------- */

static const char *const no_answers[] = {
    "SSH-2.0-x\r\n\r\n",
    "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "HTTP/2 200\r\n\r\n",
    "HTTP/1.1 099 No\r\n\r\n",
    "HTTP/1.1 600 No\r\n\r\n",
    "HTTP/1.1 200 OK\r\n A: b\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx",
    "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
};

static void what_is_no_answer_is_a_502(void **state)
{
    for (size_t i = 0; i < COUNT(no_answers); i++) {
        struct stage *s = stage_new();
        struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

        stage_say(c, GET("/v1/a"));
        s->h->piece = i % 3;
        stage_say(stage_up(s, ENGINE), no_answers[i]);
        ERROR(c, 502, "upstream_protocol");
        SILENCE(c);
        assert_false(c->ended);
        HEARD(s, "5001 GET /v1/a\n5001 reset");
        assert_int_equal(stage_counts(s).ended.of[REASON_UPSTREAM_PROTOCOL], 1);
        stage_free(s);
    }
}

static void heads_without_end(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

    stage_say(c, GET("/v1/a"));
    fake_say(stage_up(s, ENGINE), "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 20000 && !stage_up(s, ENGINE)->reset; i++)
        stage_say(stage_up(s, ENGINE), "A: 0123456789012345678901234567890123456789\r\n");
    ERROR(c, 502, "upstream_protocol");
    assert_in_range(stage_up(s, ENGINE)->delivered, HTTP_HEAD_MAX, HTTP_HEAD_MAX + 100);
    stage_free(s);
}

static void a_broken_coding_ends_what_began(void **state)
{
    static const char *const broken[] = {"5\r\nhello!\r\n", "x\r\n", "0\r\nno colon\r\n\r\n"};

    for (size_t i = 0; i < COUNT(broken); i++) {
        struct stage *s = stage_new();
        struct fake_conn *c = stage_user(s, ROLE_INFERENCE);
        struct message m;

        stage_say(c, GET("/v1/a"));
        stage_say(stage_up(s, ENGINE), CHUNKED "2\r\nab\r\n");
        stage_say(stage_up(s, ENGINE), broken[i]);
        assert_true(c->ended);
        assert_null(message_read(c->got.data, c->got.len, MESSAGE_RESPONSE, true, &m));
        assert_false(m.complete);
        assert_memory_equal(m.body, "ab", 2);
        message_clear(&m);
        HEARD(s, "5001 GET /v1/a\n5001 reset");
        stage_free(s);
    }
}

/* An upstream that says more than it announced is not asked again on that connection, and nobody
 * hears the rest. */
static void bytes_after_the_answer(void **state)
{
    static const char *const rows[] = {OK("1", "A"), CHUNKED "1\r\nA\r\n0\r\n\r\n",
                                       "HTTP/1.1 204 No\r\n\r\n",
                                       "HTTP/1.1 304 Same\r\nContent-Length: 3\r\n\r\n"};

    for (size_t i = 0; i < COUNT(rows); i++) {
        for (int late = 0; late < 2; late++) {
            struct stage *s = stage_new();
            struct fake_conn *c = stage_user(s, ROLE_INFERENCE);
            struct fake_conn *up;

            stage_say(c, GET("/v1/a"));
            up = stage_up(s, ENGINE);
            fake_say(up, rows[i]);
            if (late)
                fake_run(s->h);
            stage_say(up, OK("9", "poisoned!"));
            assert_true(up->reset);
            ANSWER(c, i < 2 ? 200 : i == 2 ? 204 : 304, NULL);
            SILENCE(c);
            stage_say(c, GET("/v1/b"));
            stage_say(stage_up(s, ENGINE), OK("1", "B"));
            ANSWER(c, 200, "B");
            HEARD(s, "5001 GET /v1/a\n5001 reset\n5001 GET /v1/b");
            stage_free(s);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_bodies_cut_anywhere),
        cmocka_unit_test(request_bodies_are_not_collected),
        cmocka_unit_test(broken_bodies_are_refused),
        cmocka_unit_test(refused_bodies_are_dropped),
        cmocka_unit_test(answers_cut_anywhere),
        cmocka_unit_test(events_stay_apart),
        cmocka_unit_test(truncated_answers_stay_truncated),
        cmocka_unit_test(nothing_sent_yet),
        cmocka_unit_test(what_is_no_answer_is_a_502),
        cmocka_unit_test(heads_without_end),
        cmocka_unit_test(a_broken_coding_ends_what_began),
        cmocka_unit_test(bytes_after_the_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
