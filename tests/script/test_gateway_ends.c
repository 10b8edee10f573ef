/* How exchanges end before their time: the client leaves, time is over, the gateway stops. */
#include "gateway_stage.h"

#include "gateway/internal.h"

/* ---- the client leaves ----------------------------------------------------------------------- */

enum leaving { LEAVES_BY_FIN, LEAVES_BY_RESET };

static void leave(struct fake_conn *c, enum leaving how)
{
    if (how == LEAVES_BY_FIN)
        fake_end(c);
    else
        fake_fail_now(c, REASON_PEER_RESET);
    fake_run(c->host);
}

/* The engine hears of it in the same turn, wherever the answer is. */
static void inference_is_cancelled_at_once(void **state)
{
    static const char *const so_far[] = {"", "HTTP/1.1 200 OK\r\nTra", CHUNKED,
                                         CHUNKED "5\r\nhello\r\n", CHUNKED "5\r\nhe"};

    for (size_t i = 0; i < COUNT(so_far); i++) {
        for (int how = LEAVES_BY_FIN; how <= LEAVES_BY_RESET; how++) {
            struct stage *s = stage_new();
            struct fake_conn *c = stage_user(s, ROLE_INFERENCE);
            struct fake_conn *up;

            stage_say(c, POST("/v1/chat/completions", "2", "{}"));
            up = stage_up(s, ENGINE);
            stage_say(up, so_far[i]);
            if (how == LEAVES_BY_FIN)
                fake_end(c);
            else
                fake_fail_now(c, REASON_PEER_RESET);
            fake_turn(s->h);
            assert_true(up->reset);
            fake_run(s->h);
            assert_true(c->released);
            assert_int_equal(stage_counts(s).ended.of[REASON_CLIENT_LEFT], 1);
            HEARD(s, "5001 POST /v1/chat/completions\n5001 reset");
            stage_free(s);
        }
    }
}

/* A request for tokens behind one that the client may still be reading the answer of, and behind it
 * the end: by the time it is begun its client has left. */
static void begun_after_the_end_is_cancelled_too(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_POC);

    fake_say(c, GET("/api/v1/a") GET("/v1/b"));
    fake_end(c);
    fake_run(s->h);
    HEARD(s, "8080 GET /api/v1/a");
    stage_say(stage_up(s, MANAGEMENT), OK("1", "A"));
    ANSWER(c, 200, "A");
    assert_true(c->ended);
    assert_int_equal(stage_counts(s).exchanges_now, 0);
    assert_int_equal(stage_counts(s).ended.of[REASON_CLIENT_LEFT], 1);
    stage_free(s);
}

/* Half a request, or one that is still being connected for, is nobody's. */
static void unfinished_requests_go_with_their_client(void **state)
{
    static const char *const requests[] = {
        "POST /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab",
        "POST /api/v1/pow/init HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab",
        "POST /api/v1/pow/init HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na",
    };

    for (size_t i = 0; i < COUNT(requests); i++) {
        for (int how = LEAVES_BY_FIN; how <= LEAVES_BY_RESET; how++) {
            struct stage *s = stage_new();
            struct fake_conn *c = stage_user(s, ROLE_POC);
            bool late = i % 2;

            if (late) {
                fake_listen(s->h, MANAGEMENT, FAKE_SILENT, NULL, NULL);
                fake_listen(s->h, ENGINE, FAKE_SILENT, NULL, NULL);
            }
            stage_say(c, requests[i]);
            leave(c, (enum leaving)how);
            assert_true(c->released);
            assert_int_equal(stage_counts(s).exchanges_now, 0);
            assert_int_equal(stage_counts(s).ended.of[REASON_CLIENT_LEFT], 1);
            stage_free(s);
        }
    }
}

/* The end of the requests' direction alone: MLNode's management answers, and the client hears it.
 */
static void management_is_heard_out(void **state)
{
    static const char *const requests[] = {GET("/api/v1/state"), POST("/api/v1/stop", "2", "{}")};

    for (size_t i = 0; i < COUNT(requests); i++) {
        struct stage *s = stage_new();
        struct fake_conn *c = stage_user(s, ROLE_POC);

        stage_say(c, requests[i]);
        leave(c, LEAVES_BY_FIN);
        assert_false(c->released);
        stage_say(stage_up(s, MANAGEMENT), OK("2", "ok"));
        ANSWER(c, 200, "ok");
        assert_string_equal(stage_field(s, "Connection"), "close");
        assert_true(c->ended);
        stage_free(s);
    }
}

/* What MLNode was told to do is done, though nobody waits; what was merely asked is not. */
static void orders_run_to_their_end(void **state)
{
    static const struct {
        const char *request;
        bool runs;
    } rows[] = {
        {POST("/api/v1/inference/up", "2", "{}"), true},
        {POST("/api/v1/pow/init/generate", "2", "{}"), true},
        {POST("/api/v1/models/download", "2", "{}"), true},
        {"DELETE /api/v1/tasks/1 HTTP/1.1\r\nHost: h\r\n\r\n", true},
        {GET("/api/v1/state"), false},
        {"HEAD /api/v1/state HTTP/1.1\r\nHost: h\r\n\r\n", false},
        {"OPTIONS /api/v1/state HTTP/1.1\r\nHost: h\r\n\r\n", false},
        {POST("/v1/chat/completions", "2", "{}"), false},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct stage *s = stage_new();
        struct fake_conn *c = stage_user(s, ROLE_POC);
        struct fake_conn *up;

        stage_say(c, rows[i].request);
        up = s->h->conns;
        leave(c, LEAVES_BY_RESET);
        print_message("    row %zu\n", i);
        assert_int_equal(up->reset, !rows[i].runs);
        if (rows[i].runs) {
            fake_advance(s->h, 600 * (uint64_t)SECOND_US);
            assert_int_equal(stage_counts(s).exchanges_now, 1);
            up->host->window = 1000;
            for (int k = 0; k < 100; k++)
                fake_say(up, k == 0 ? CHUNKED
                                    : "64\r\n"
                                      "0123456789012345678901234567890123456789012345678"
                                      "9012345678901234567890123456789012345678901234567"
                                      "89\r\n");
            fake_run(s->h);
            assert_int_equal(up->consumed, up->delivered);
            assert_int_equal(fake_pending(up), 0);
            stage_say(up, "0\r\n\r\n");
            assert_int_equal(stage_counts(s).ended.of[REASON_DONE], 1);
            assert_false(up->reset); /* good for another request */
        }
        stage_free(s);
    }
}

/* An orphan whose client left while the window was full goes on. */
static void an_orphan_behind_a_full_window(void **state)
{
    for (int crowd = 0; crowd < 2; crowd++) {
        struct stage *s = stage_new();
        struct fake_conn *c;
        struct fake_conn *up;

        s->h->window = 1000;
        s->h->piece = 500;
        for (int i = 0; i < (crowd ? GATEWAY_ORPHANS_MAX : 0); i++) {
            c = stage_user(s, ROLE_POC);
            stage_say(c, POST("/api/v1/pow/x", "0", ""));
            leave(c, LEAVES_BY_RESET);
        }
        c = stage_user(s, ROLE_POC);
        c->room = 0;
        stage_say(c, POST("/api/v1/pow/last", "0", ""));
        up = stage_up(s, MANAGEMENT);
        fake_say(up, "HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n");
        for (int i = 0; i < 300; i++)
            fake_say(up, "0123456789");
        fake_run(s->h);
        assert_true(fake_pending(up) > 0);
        leave(c, LEAVES_BY_RESET);
        assert_int_equal(fake_pending(up), 0);
        assert_int_equal(stage_counts(s).ended.of[REASON_DONE], 1);
        assert_int_equal(stage_counts(s).ended.of[REASON_LIMIT], crowd);
        stage_free(s);
    }
}

/* At most GATEWAY_ORPHANS_MAX: the oldest makes room. */
static void orphans_are_bounded(void **state)
{
    struct stage *s = stage_new();

    for (int i = 0; i < GATEWAY_ORPHANS_MAX + 10; i++) {
        struct fake_conn *c = stage_user(s, ROLE_POC);

        stage_say(c, POST("/api/v1/pow/init", "0", ""));
        leave(c, LEAVES_BY_RESET);
    }
    assert_int_equal(stage_counts(s).exchanges_now, GATEWAY_ORPHANS_MAX);
    assert_int_equal(stage_counts(s).ended.of[REASON_LIMIT], 10);
    stage_say(stage_up(s, MANAGEMENT), OK("0", "")); /* the newest is among those that live */
    assert_int_equal(stage_counts(s).ended.of[REASON_DONE], 1);
    stage_free(s);
}

/* ---- time ------------------------------------------------------------------------------------ */

static void a_head_takes_60_s_at_most(void **state)
{
    static const char *const parts[] = {"G", "GET /v1/a HTTP/1.1\r\nHost: h\r\n"};

    for (size_t i = 0; i < COUNT(parts); i++) {
        struct stage *s = stage_new();
        struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

        stage_say(c, parts[i]);
        for (int k = 0; k < 59; k++) { /* bytes that keep coming give no more time */
            fake_advance(s->h, SECOND_US);
            stage_say(c, i ? "A: b\r\n" : "E");
        }
        SILENCE(c);
        fake_advance(s->h, SECOND_US);
        ERROR(c, 408, "head_timeout");
        assert_true(c->ended);
        stage_free(s);
    }
}

/* The time for the next head does not run while the reader of the last answer is slow. */
static void a_slow_reader_with_more_requests(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);
    char *body = mem_zalloc(100001);

    memset(body, 'x', 100000);
    c->room = 0;
    stage_say(c, GET("/v1/a") GET("/v1/b"));
    fake_answer(stage_up(s, ENGINE), 200, "", body);
    fake_advance(s->h, 100 * SECOND_US);
    HEARD(s, "5001 GET /v1/a\n5001 reset");
    fake_take(c, SIZE_MAX);
    fake_run(s->h);
    HEARD(s, "5001 GET /v1/b");
    stage_say(stage_up(s, ENGINE), OK("1", "B"));
    ANSWER(c, 200, body);
    ANSWER(c, 200, "B");
    mem_free(body);
    stage_free(s);
}

static void idle_clients_stay_310_s(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *fresh = stage_user(s, ROLE_INFERENCE);
    struct fake_conn *used = stage_user(s, ROLE_INFERENCE);

    s->play = play_echo;
    fake_advance(s->h, 200 * SECOND_US);
    stage_say(used, GET("/v1/a"));
    fake_advance(s->h, 110 * (uint64_t)SECOND_US - 1);
    assert_false(fresh->released);
    fake_advance(s->h, 1);
    assert_true(fresh->ended);
    SILENCE(fresh);
    fake_advance(s->h, 200 * (uint64_t)SECOND_US - 1);
    assert_false(used->released);
    fake_advance(s->h, 1);
    assert_true(used->ended);
    assert_int_equal(stage_counts(s).clients_ended.of[REASON_IDLE], 2);
    stage_free(s);
}

/* Use is use, also where the gateway answers by itself within the turn. */
static void our_own_answers_are_use(void **state)
{
    static const char *const asked[] = {GET("/sleep"), GET("/mlgate/status")};

    for (size_t i = 0; i < COUNT(asked); i++) {
        struct stage *s = stage_new();
        struct fake_conn *c = stage_user(s, ROLE_POC);

        for (int k = 0; k < 5; k++) {
            stage_say(c, asked[i]);
            ANSWER(c, i ? 200 : 404, NULL);
            fake_advance(s->h, 309 * (uint64_t)SECOND_US);
            assert_false(c->released);
        }
        fake_advance(s->h, SECOND_US);
        assert_true(c->ended);
        stage_free(s);
    }
}

/* Each head has its own 60 s, also when it begins in the piece that ends the one before. */
static void each_head_has_its_own_time(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

    stage_say(c, "GET /sleep HTTP/1.1\r\nHost: h\r\n");
    for (int k = 0; k < 5; k++) {
        fake_advance(s->h, 59 * SECOND_US);
        stage_say(c, "\r\nGET /sleep HTTP/1.1\r\nHost: h\r\n");
        ANSWER(c, 404, NULL);
    }
    fake_advance(s->h, 59 * SECOND_US);
    SILENCE(c);
    fake_advance(s->h, SECOND_US);
    ERROR(c, 408, "head_timeout");
    assert_int_equal(stage_counts(s).ended.of[REASON_HEAD_TIMEOUT], 1);
    assert_int_equal(stage_counts(s).ended.of[REASON_BAD_REQUEST], 0);
    stage_free(s);
}

/* Nothing limits how long an answer takes to begin, or to go on, but the day. The stage's engines
 * are asked no questions in between: the clock jumps. */
static void a_day_is_the_limit(void **state)
{
    const uint64_t day_us = 24 * 3600 * (uint64_t)SECOND_US;
    struct stage *s = stage_new();
    struct fake_conn *waits = stage_user(s, ROLE_INFERENCE);
    struct fake_conn *streams = stage_user(s, ROLE_INFERENCE);

    stage_say(waits, POST("/v1/a", "0", ""));
    fake_advance(s->h, SECOND_US);
    stage_say(streams, POST("/v1/b", "0", ""));
    stage_say(stage_up(s, ENGINE), CHUNKED "1\r\na\r\n");
    s->h->now_us += day_us - 3 * SECOND_US;
    fake_advance(s->h, SECOND_US);
    assert_false(waits->released || streams->released);
    fake_advance(s->h, 4 * SECOND_US);
    assert_true(waits->ended && streams->ended);
    SILENCE(waits);
    assert_int_equal(stage_counts(s).ended.of[REASON_LIMIT], 2);
    stage_free(s);
}

/* ---- too early ------------------------------------------------------------------------------- */

/* An answer before the end of its request: passed on, and both connections end with it. */
static void an_answer_before_the_end_of_the_request(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

    stage_say(c, "POST /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nabc");
    stage_say(stage_up(s, ENGINE), "HTTP/1.1 413 Big\r\nContent-Length: 3\r\n\r\nbig");
    ANSWER(c, 413, "big");
    assert_string_equal(stage_field(s, "Connection"), "close");
    assert_true(c->ended);
    HEARD(s, "5001 POST /v1/a\n5001 reset");

    c = stage_user(s, ROLE_INFERENCE); /* the rest may still go while the answer does */
    stage_say(c, "POST /v1/b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabc");
    stage_say(stage_up(s, ENGINE), CHUNKED "1\r\nx\r\n");
    stage_say(c, "de");
    REQUEST(stage_up(s, ENGINE), "abcde");
    stage_say(stage_up(s, ENGINE), "0\r\n\r\n");
    ANSWER(c, 200, "x");
    assert_true(c->ended);
    stage_free(s);
}

/* ---- stop ------------------------------------------------------------------------------------ */

/* Everything that can be under way is, in portions that leave something in every queue. */
static void everything_at_once(struct stage *s)
{
    struct fake_conn *c[9];

    for (size_t i = 0; i < COUNT(c); i++)
        c[i] = stage_user(s, i % 2 ? ROLE_POC : ROLE_INFERENCE);
    fake_say(c[0], "GET /v1/a HT");
    stage_say(c[1], GET("/v1/a") GET("/v1/b"));
    stage_say(stage_up(s, ENGINE), CHUNKED "5\r\nhel");
    stage_say(c[2], "POST /v1/c HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nabc");
    stage_say(c[3], POST("/api/v1/stop", "2", "{}"));
    stage_say(c[4], POST("/api/v1/pow/x", "2", "{}"));
    leave(c[4], LEAVES_BY_RESET);
    c[5]->room = 3;
    stage_say(c[5], GET("/v1/d"));
    stage_say(stage_up(s, ENGINE), OK("5", "hello"));
    stage_say(c[6], "POST /sleep HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nabc");
    fake_listen(s->h, ENGINE, FAKE_SILENT, NULL, NULL);
    stage_say(c[7], GET("/health"));
    stage_say(c[8], POST("/v1/e", "1", "x"));
}

static void stop_ends_it_all(void **state)
{
    for (unsigned turns = 0; turns < 12; turns++) {
        struct stage *s = stage_new();

        everything_at_once(s);
        s->h->piece = 3;
        fake_say(stage_user(s, ROLE_POC), GET("/api/v1/state"));
        for (unsigned i = 0; i < turns; i++)
            fake_turn(s->h);
        gateway_stop(s->g);
        assert_int_equal(stage_counts(s).exchanges_now, 0);
        assert_int_equal(stage_counts(s).clients_now, 0);
        assert_int_equal(stage_counts(s).upstreams_now, 0);
        assert_true(stage_counts(s).ended.of[REASON_LOCAL_STOP] >= 6);
        stage_free(s);
    }
}

/* Nobody new is taken, and the calls whose every answer means success get none. */
static void stopped_means_stopped(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_POC);
    struct fake_conn *late;

    stage_say(c, POST("/api/v1/stop", "0", ""));
    gateway_stop(s->g);
    gateway_stop(s->g);
    fake_run(s->h);
    SILENCE(c);
    assert_true(c->ended);
    late = fake_client(s->h, NULL, s);
    assert_false(gateway_serve(s->g, fake_stream(late), ROLE_POC, "10.0.0.9", 1));
    stream_reset(fake_stream(late));
    stage_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inference_is_cancelled_at_once),
        cmocka_unit_test(begun_after_the_end_is_cancelled_too),
        cmocka_unit_test(unfinished_requests_go_with_their_client),
        cmocka_unit_test(management_is_heard_out),
        cmocka_unit_test(orders_run_to_their_end),
        cmocka_unit_test(an_orphan_behind_a_full_window),
        cmocka_unit_test(orphans_are_bounded),
        cmocka_unit_test(a_head_takes_60_s_at_most),
        cmocka_unit_test(a_slow_reader_with_more_requests),
        cmocka_unit_test(idle_clients_stay_310_s),
        cmocka_unit_test(our_own_answers_are_use),
        cmocka_unit_test(each_head_has_its_own_time),
        cmocka_unit_test(a_day_is_the_limit),
        cmocka_unit_test(an_answer_before_the_end_of_the_request),
        cmocka_unit_test(stop_ends_it_all),
        cmocka_unit_test(stopped_means_stopped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
