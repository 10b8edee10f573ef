/* The server's side of the control stream behind the login, and its end, against a client of the
 * real frp played by hand. */
#include <stdio.h>

#include "expect.h"

/* V10 on stream 1, accepted; nothing of it is left to read. */
static void log_in(struct scene *s)
{
    script_begin(&s->t, SIDE_SERVER);
    raw_open(&s->raw, 1);
    raw_hex(&s->raw, 1, V10_LOGIN);
    script_run(&s->t);
    raw_encipher(&s->raw, 1);
    hush(&s->t);
}

/* ---- the control stream --------------------------------------------------------------------- */

static void control_garbage_ends_the_session(void **state)
{
    struct scene *s = *state;

    log_in(s);
    raw_hex(&s->raw, 1, "0011223344556677889900112233445566778899");
    script_run(&s->t);
    EXPECT(&s->t, "server: ended, protocol-error: control bytes that are not frp messages");
    raw_say(&s->raw, 1, 'h', "{}");
    script_advance(&s->t, 1000);
    EXPECT_NOTHING(&s->t);
}

static void unexpected_but_known_messages_are_ignored(void **state)
{
    static const char types[] = "12wrs4v3uinm56";
    struct scene *s = *state;

    log_in(s);
    for (const char *type = types; *type != '\0'; type++)
        raw_say(&s->raw, 1, *type, "{}");
    raw_say(&s->raw, 1, 'p', "null");
    raw_say(&s->raw, 1, 'h', "null");
    script_run(&s->t);
    EXPECT_NOTHING(&s->t);
    raw_say(&s->raw, 1, 'h', "{}");
    script_run(&s->t);
    EXPECT(&s->t, "raw: s1 Pong {}");
}

static void an_unknown_message_ends_the_session(void **state)
{
    struct scene *s = *state;

    log_in(s);
    raw_say(&s->raw, 1, 'z', "{}");
    script_run(&s->t);
    EXPECT(&s->t, "server: ended, protocol-error: control bytes that are not frp messages");
}

static void proxies_are_answered_in_order_and_closed(void **state)
{
    struct scene *s = *state;

    log_in(s);
    s->t.proxy_refusal[1] = "port already used";
    raw_say(&s->raw, 1, 'p', "{\"proxy_name\":\"a\",\"proxy_type\":\"tcp\",\"remote_port\":6000}");
    raw_say(&s->raw, 1, 'p', "{\"proxy_name\":\"b\",\"proxy_type\":\"tcp\",\"remote_port\":6001}");
    raw_say(&s->raw, 1, 'c', "{\"proxy_name\":\"a\"}");
    script_run(&s->t);
    EXPECT(&s->t, "server: asked for tcp a on 6000", "server: asked for tcp b on 6001",
           "server: a is taken back",
           "raw: s1 NewProxyResp {\"proxy_name\":\"a\",\"remote_addr\":\":6000\"}",
           "raw: s1 NewProxyResp {\"proxy_name\":\"b\",\"error\":\"port already used\"}");
}

static void refused_proxies_are_told_less_when_asked_to(void **state)
{
    struct scene *s = *state;

    s->t.server_cfg.detailed_errors = false;
    s->t.proxy_refusal[0] = "port already used";
    log_in(s);
    raw_say(&s->raw, 1, 'p', "{\"proxy_name\":\"a\",\"remote_port\":6000}");
    script_run(&s->t);
    EXPECT(&s->t, "server: asked for  a on 6000",
           "raw: s1 NewProxyResp {\"proxy_name\":\"a\",\"error\":\"new proxy [a] error\"}");
}

static void heartbeats_need_their_key_when_in_scope(void **state)
{
    struct scene *s = *state;
    char key[RAW_KEY_SIZE];
    char json[128];

    s->t.server_cfg.scopes = SCOPE_HEARTBEATS;
    log_in(s);
    snprintf(json, sizeof(json), "{\"privilege_key\":\"%s\",\"timestamp\":7}",
             raw_privilege_key(key, 7));
    raw_say(&s->raw, 1, 'h', json);
    raw_say(&s->raw, 1, 'h', "{}");
    script_run(&s->t);
    EXPECT(&s->t, "raw: s1 Pong {}",
           "raw: s1 Pong {\"error\":\"token in heartbeat doesn't match token from "
           "configuration\"}");
    s->t.server_cfg.detailed_errors = false;
    raw_say(&s->raw, 1, 'h', "{\"privilege_key\":\"00\"}");
    script_run(&s->t);
    EXPECT(&s->t, "raw: s1 Pong {\"error\":\"invalid ping\"}");
    assert_true(server_session_logged_in(s->t.server)); /* frps keeps the session as well */
}

static void a_silent_client_is_let_go(void **state)
{
    struct scene *s = *state;

    s->t.server_cfg.heartbeat_timeout_s = 90;
    s->t.server_cfg.max_pool_count = 0;
    log_in(s);
    script_advance(&s->t, 50 * 1000);
    raw_say(&s->raw, 1, 'h', "{}");
    script_run(&s->t);
    EXPECT(&s->t, "raw: s1 Pong {}");
    script_advance(&s->t, 90 * 1000);
    assert_true(server_session_logged_in(s->t.server));
    script_advance(&s->t, 100);
    assert_false(server_session_logged_in(s->t.server));
    assert_int_equal(s->t.end[SIDE_SERVER].why, REASON_HEARTBEAT_TIMEOUT);
    hush(&s->t);
    raw_say(&s->raw, 1, 'h', "{}");
    raw_say(&s->raw, 1, 'p', "{\"proxy_name\":\"a\",\"remote_port\":6000}");
    script_run(&s->t);
    EXPECT_NOTHING(&s->t); /* too late */
}

static void without_a_limit_silence_is_fine(void **state)
{
    for (int limit = -1; limit <= 0; limit++) {
        struct scene *s = scene_new(SIDE_CLIENT);

        s->t.server_cfg.heartbeat_timeout_s = limit;
        log_in(s);
        script_advance(&s->t, 600 * 1000);
        assert_true(server_session_logged_in(s->t.server));
        hush(&s->t);
        scene_end(s);
    }
}

/* A client that sends Pings and grants no window for the Pongs: they wait, in order, and when too
 * many do, the session ends. */
static void answers_wait_for_the_window(void **state)
{
    struct scene *s = *state;

    s->raw.no_grant = true;
    log_in(s);
    s->raw.counted = '4';
    for (int i = 0; i < 30000; i++) {
        raw_say(&s->raw, 1, 'h', "{}");
        if (i % 1000 == 999)
            script_run(&s->t);
    }
    hush(&s->t);
    assert_in_range(s->raw.count, 23000, 24000);
    raw_grant(&s->raw, 1, RAW_GRANT);
    script_run(&s->t);
    assert_int_equal(s->raw.count, 30000);
    EXPECT_NOTHING(&s->t);
}

/* All bytes of the control stream count for its window, those of the login too: with 11,898 Pings
 * they are half of it. */
static void the_login_counts_for_the_window(void **state)
{
    struct scene *s = *state;

    log_in(s);
    s->raw.counted = '4';
    for (int i = 1; i < 11898; i++)
        raw_say(&s->raw, 1, 'h', "{}");
    script_run(&s->t);
    EXPECT_NOTHING(&s->t);
    raw_say(&s->raw, 1, 'h', "{}");
    script_run(&s->t);
    assert_non_null(strstr(script_take(&s->t), "raw: s1 +"));
    assert_int_equal(s->raw.count, 11898);
}

static void answers_that_nobody_reads_end_the_session(void **state)
{
    struct scene *s = *state;

    s->raw.no_grant = true;
    log_in(s);
    for (int i = 0; i < 200 && !s->t.end[SIDE_SERVER].ended; i++) {
        for (int k = 0; k < 1000; k++)
            raw_say(&s->raw, 1, 'h', "{}");
        script_run(&s->t);
    }
    assert_true(s->t.end[SIDE_SERVER].ended);
    assert_int_equal(s->t.end[SIDE_SERVER].why, REASON_LIMIT);
    assert_true(s->t.end[SIDE_SERVER].pool.peak < 2 * 1024 * 1024);
}

/* ---- ends at every stage -------------------------------------------------------------------- */

enum stage {
    NOTHING_OPENED = 0,
    OPENED = 1,
    HALF_A_LOGIN = 2,
    REFUSED = 3,
    LOGGED_IN_NOW = 4,
    HALF_A_MESSAGE = 5,
    WORK_HALF_OFFERED = 6,
    WORK_IDLE = 7,
    USER_WAITS = 8,
    USER_SERVED = 9,
    STAGES = 10,
};

static void advance_to(struct scene *s, int stage)
{
    script_begin(&s->t, SIDE_SERVER);
    if (stage >= OPENED)
        raw_open(&s->raw, 1);
    if (stage == HALF_A_LOGIN)
        raw_hex(&s->raw, 1, "6f00000000000000a97b227665");
    if (stage == REFUSED)
        raw_say(&s->raw, 1, 'o', "{\"privilege_key\":\"wrong\"}");
    if (stage >= LOGGED_IN_NOW)
        raw_hex(&s->raw, 1, V10_LOGIN);
    if (stage >= HALF_A_MESSAGE)
        raw_hex(&s->raw, 1, "000102030405060708090a0b0c0d0e0fc674");
    if (stage >= WORK_HALF_OFFERED)
        raw_open(&s->raw, 3);
    if (stage == WORK_HALF_OFFERED)
        raw_hex(&s->raw, 3, "77000000");
    if (stage >= WORK_IDLE)
        raw_hex(&s->raw, 3, V13_NEW_WORK_CONN);
    script_run(&s->t);
    if (stage >= USER_SERVED)
        script_user(&s->t);
    if (stage >= USER_WAITS)
        (void)(script_user(&s->t) + script_user(&s->t));
    script_run(&s->t);
    hush(&s->t);
}

static void it_can_be_freed_at_every_stage(void **state)
{
    for (int stage = NOTHING_OPENED; stage < STAGES; stage++) {
        struct scene *s = scene_new(SIDE_CLIENT);

        advance_to(s, stage);
        scene_end(s);
    }
}

static void the_end_of_the_connection_is_told_at_every_stage(void **state)
{
    for (int stage = LOGGED_IN_NOW; stage < STAGES; stage++) {
        struct scene *s = scene_new(SIDE_CLIENT);

        advance_to(s, stage);
        mux_close(s->t.end[SIDE_SERVER].mux);
        assert_true(s->t.end[SIDE_SERVER].ended);
        assert_int_equal(s->t.end[SIDE_SERVER].why, REASON_PEER_GONE);
        assert_null(strstr(script_take(&s->t), "again"));
        scene_end(s);
    }
}

static void the_end_of_the_control_stream_is_the_end(void **state)
{
    for (int i = 2 * LOGGED_IN_NOW; i < 2 * STAGES; i++) {
        struct scene *s = scene_new(SIDE_CLIENT);
        bool reset = i % 2;

        advance_to(s, i / 2);
        if (reset)
            raw_rst(&s->raw, 1);
        else
            raw_fin(&s->raw, 1);
        script_run(&s->t);
        EXPECT(&s->t, reset
                          ? "server: ended, peer-reset: the client's control connection ended"
                          : "server: ended, peer-closed: the client closed its control connection");
        raw_open(&s->raw, 9);
        script_advance(&s->t, 15 * 1000);
        EXPECT(&s->t, "raw: s9 rst");
        scene_end(s);
    }
}

static void a_stream_may_end_before_it_says_anything(void **state)
{
    for (int reset = 0; reset <= 1; reset++) {
        struct scene *s = scene_new(SIDE_CLIENT);

        advance_to(s, HALF_A_LOGIN);
        if (reset)
            raw_rst(&s->raw, 1);
        else
            raw_fin(&s->raw, 1);
        raw_open(&s->raw, 3);
        raw_hex(&s->raw, 3, V10_LOGIN);
        script_run(&s->t);
        assert_true(server_session_logged_in(s->t.server));
        hush(&s->t);
        scene_end(s);
    }
}

static void only_one_of_ours_is_told_why_it_must_go(void **state)
{
    struct scene *s = *state;

    script_begin(&s->t, SIDE_SERVER);
    raw_open(&s->raw, 1);
    raw_say(&s->raw, 1, 'o',
            "{\"privilege_key\":\"22bd6333f840eeeee03ad14f75fd96ac\",\"timestamp\":1700000000,"
            "\"metas\":{\"mlgate\":\"1\"}}");
    script_run(&s->t);
    hush(&s->t);
    server_session_dismiss(s->t.server, "another one");
    script_run(&s->t);
    EXPECT(&s->t, "raw: s1 LoginResp {\"version\":\"0.70.1\",\"error\":\"another one\"}");
}

static void a_stock_client_is_not_told(void **state)
{
    struct scene *s = *state;

    log_in(s);
    server_session_dismiss(s->t.server, "another one");
    script_run(&s->t);
    EXPECT_NOTHING(&s->t);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, with_raw_client, after)
    const struct CMUnitTest tests[] = {
        TEST(control_garbage_ends_the_session),
        TEST(unexpected_but_known_messages_are_ignored),
        TEST(an_unknown_message_ends_the_session),
        TEST(proxies_are_answered_in_order_and_closed),
        TEST(refused_proxies_are_told_less_when_asked_to),
        TEST(heartbeats_need_their_key_when_in_scope),
        TEST(a_silent_client_is_let_go),
        cmocka_unit_test(without_a_limit_silence_is_fine),
        TEST(answers_wait_for_the_window),
        TEST(the_login_counts_for_the_window),
        TEST(answers_that_nobody_reads_end_the_session),
        cmocka_unit_test(it_can_be_freed_at_every_stage),
        cmocka_unit_test(the_end_of_the_connection_is_told_at_every_stage),
        cmocka_unit_test(the_end_of_the_control_stream_is_the_end),
        cmocka_unit_test(a_stream_may_end_before_it_says_anything),
        TEST(only_one_of_ours_is_told_why_it_must_go),
        TEST(a_stock_client_is_not_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
