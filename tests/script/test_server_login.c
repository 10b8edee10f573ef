/* The server's side of the login and of the control stream, against a client of the real frp played
 * by hand. */
#include <stdio.h>

#include "expect.h"

#define LOGIN_OF_H "server: login of h, user \"\", run_id \"\", stock"
#define ACCEPTED                                                                                   \
    "raw: s1 LoginResp {\"version\":\"0.70.1\",\"run_id\":\"0123456789abcdef\",\"mlgate\":"        \
    "\"" MLGATE_VERSION " half-close\"}"
#define WORK_ASKED "raw: s1 ReqWorkConn {}"

static const char bad_token[] = "server: ended, auth-failed: token in login doesn't match token "
                                "from configuration";
static const char not_frp[] =
    "server: ended, protocol-error: the first bytes are not an frp message";
static const char no_login[] = "server: ended, protocol-error: the first message is not a login";

static void begin(struct scene *s)
{
    script_begin(&s->t, SIDE_SERVER);
    raw_open(&s->raw, 1);
}

/* V10 on stream 1, accepted; nothing of it is left to read. */
static void log_in(struct scene *s)
{
    begin(s);
    raw_hex(&s->raw, 1, V10_LOGIN);
    script_run(&s->t);
    raw_encipher(&s->raw, 1);
    hush(&s->t);
}

/* A login with the right key for its time. */
static void say_login(struct scene *s, uint32_t id, int64_t timestamp, const char *more)
{
    char key[RAW_KEY_SIZE];
    char *json = mem_printf("{\"version\":\"0.70.1\",\"hostname\":\"h\",\"privilege_key\":\"%s\","
                            "\"timestamp\":%lld%s}",
                            raw_privilege_key(key, timestamp), (long long)timestamp, more);

    raw_say(&s->raw, id, 'o', json);
    mem_free(json);
}

/* ---- good ----------------------------------------------------------------------------------- */

static void play_v10(struct scene *s)
{
    begin(s);
    raw_hex(&s->raw, 1, V10_LOGIN);
    script_run(&s->t);
    EXPECT(&s->t, LOGIN_OF_H, "raw: s1 ack", ACCEPTED, WORK_ASKED);
    raw_hex(&s->raw, 1, V16_PING V16_NEW_PROXY);
    script_run(&s->t);
    EXPECT(&s->t, "server: asked for tcp t1 on 6000", "raw: s1 Pong {}",
           "raw: s1 NewProxyResp {\"proxy_name\":\"t1\",\"remote_addr\":\":6000\"}");
    assert_true(server_session_logged_in(s->t.server));
    assert_string_equal(server_session_hostname(s->t.server), "h");
    assert_string_equal(server_session_user(s->t.server), "");
    assert_string_equal(server_session_run_id(s->t.server), "0123456789abcdef");
    assert_false(server_session_mlgate(s->t.server));
}

static void the_vectors_in_any_portions(void **state)
{
    static const size_t steps[] = {0, 1, 2, 3, 12, 13, 64};

    for (size_t i = 0; i < COUNT(steps); i++) {
        struct scene *s = scene_new(SIDE_CLIENT);

        s->t.step = steps[i];
        play_v10(s);
        scene_end(s);
    }
}

/* Login, the client's IV, a Ping and a NewProxy under one cut, wherever it falls: frpc waits for
 * the answer, but bytes that hurry ahead are ciphertext all the same. */
static void the_vectors_cut_at_every_byte(void **state)
{
    size_t total = 1;

    for (size_t cut = 0; cut < total; cut++) {
        struct scene *s = scene_new(SIDE_CLIENT);

        begin(s);
        raw_hex(&s->raw, 1, V10_LOGIN V16_PING V16_NEW_PROXY);
        total = wire_under_way(&s->t.wire[SIDE_SERVER]);
        script_deliver(&s->t, SIDE_SERVER, cut);
        script_deliver(&s->t, SIDE_SERVER, total);
        script_run(&s->t);
        EXPECT(&s->t, LOGIN_OF_H, "server: asked for tcp t1 on 6000", "raw: s1 ack", ACCEPTED,
               WORK_ASKED, "raw: s1 Pong {}",
               "raw: s1 NewProxyResp {\"proxy_name\":\"t1\",\"remote_addr\":\":6000\"}");
        scene_end(s);
    }
    assert_true(total > 250);
}

/* The server's side of V16: its IV comes directly behind LoginResp, then its own messages. */
static void the_answer_byte_by_byte(void **state)
{
    static const char answer[] = "{\"version\":\"0.70.1\",\"run_id\":\"0123456789abcdef\","
                                 "\"mlgate\":\"" MLGATE_VERSION " half-close\"}";
    struct scene *s = *state;
    struct wire *w = &s->t.wire[SIDE_CLIENT];
    uint8_t wanted[256];
    size_t len = raw_from_hex(wanted, "000100020000000100000000"
                                      "000000000000000100000000");
    size_t body;

    s->t.server_cfg.max_pool_count = 0;
    begin(s);
    raw_hex(&s->raw, 1, V10_LOGIN V16_PING);
    body = raw_message(wanted + len, '1', answer);
    body += raw_from_hex(wanted + len + body, "000102030405060708090a0b0c0d0e0f");
    script_deliver(&s->t, SIDE_SERVER, SIZE_MAX);
    script_pull(&s->t, SIDE_SERVER);
    wanted[len - 1] = (uint8_t)(body + 11); /* and a Pong */
    assert_int_equal(wire_under_way(w), len + body + 11);
    assert_memory_equal(w->data, wanted, len + body);
}

static void own_names_are_taken_over(void **state)
{
    struct scene *s = *state;

    begin(s);
    say_login(s, 1, SCRIPT_WALL_S,
              ",\"user\":\"u\",\"run_id\":\"mine\",\"os\":\"plan9\",\"unknown\":{\"x\":[1]},"
              "\"metas\":{\"a\":\"b\",\"mlgate\":\"9.9\"},\"pool_count\":0");
    script_run(&s->t);
    EXPECT(&s->t, "server: login of h, user \"u\", run_id \"mine\", mlgate", "raw: s1 ack",
           "raw: s1 LoginResp {\"version\":\"0.70.1\",\"run_id\":\"mine\",\"mlgate\":"
           "\"" MLGATE_VERSION " half-close\"}");
    assert_true(server_session_mlgate(s->t.server));
    assert_string_equal(server_session_user(s->t.server), "u");
}

static void names_are_made_harmless(void **state)
{
    struct scene *s = *state;

    begin(s);
    say_login(s, 1, SCRIPT_WALL_S, ",\"hostname\":\"a\\nb\\u001b\",\"user\":\"\\u00e9\"");
    script_run(&s->t);
    assert_string_equal(server_session_hostname(s->t.server), "a\\x0ab\\x1b");
    assert_string_equal(server_session_user(s->t.server), "\\xc3\\xa9");
}

static void an_empty_token_on_both_ends_is_legal(void **state)
{
    struct scene *s = *state;

    s->t.server_cfg.token = (char *)(uintptr_t) "";
    begin(s);
    raw_say(&s->raw, 1, 'o',
            "{\"hostname\":\"h\",\"privilege_key\":\"24920decf83f6960b80f737a28eeafc1\","
            "\"timestamp\":1700000000}");
    raw_say(&s->raw, 1, 'h', "{}");
    script_run(&s->t);
    EXPECT(&s->t, LOGIN_OF_H, "raw: s1 ack", ACCEPTED, "raw: s1 Pong {}");
}

/* ---- refused -------------------------------------------------------------------------------- */

/* The refusal leaves in clear, then the stream ends; what follows is not looked at. */
static void expect_refusal(struct scene *s, const char *line, const char *said)
{
    char *answer = mem_printf("raw: s1 LoginResp {\"version\":\"0.70.1\",\"error\":\"%s\"}", said);

    raw_say(&s->raw, 1, 'h', "{}");
    script_run(&s->t);
    EXPECT(&s->t, line, "raw: s1 ack", answer, "raw: s1 fin");
    mem_free(answer);
    assert_false(server_session_logged_in(s->t.server));
    say_login(s, 1, SCRIPT_WALL_S, "");
    raw_open(&s->raw, 3);
    say_login(s, 3, SCRIPT_WALL_S, "");
    script_advance(&s->t, 20 * 1000);
    EXPECT(&s->t, "raw: s3 rst");
}

static void a_wrong_token_is_refused(void **state)
{
    static const char *const keys[] = {
        "",
        ",\"privilege_key\":\"\",\"timestamp\":1700000000",
        ",\"privilege_key\":\"22bd6333f840eeeee03ad14f75fd96ad\",\"timestamp\":1700000000",
        ",\"privilege_key\":\"22bd6333f840eeeee03ad14f75fd96ac\",\"timestamp\":1700000001",
        ",\"privilege_key\":\"22bd6333f840eeeee03ad14f75fd96ac0\",\"timestamp\":1700000000",
        ",\"privilege_key\":\"24920decf83f6960b80f737a28eeafc1\",\"timestamp\":1700000000",
    };

    for (size_t i = 0; i < 2 * COUNT(keys); i++) {
        struct scene *s = scene_new(SIDE_CLIENT);
        bool detailed = i % 2 == 0;
        char json[256];

        s->t.server_cfg.detailed_errors = detailed;
        begin(s);
        snprintf(json, sizeof(json), "{\"hostname\":\"h\"%s}", keys[i / 2]);
        raw_say(&s->raw, 1, 'o', json);
        expect_refusal(s, bad_token,
                       detailed ? "token in login doesn't match token from configuration"
                                : "register control error");
        scene_end(s);
    }
}

static void the_owner_may_refuse(void **state)
{
    struct scene *s = *state;

    s->t.login_refusal = "not today";
    begin(s);
    raw_hex(&s->raw, 1, V10_LOGIN);
    script_run(&s->t);
    EXPECT(&s->t, LOGIN_OF_H, "server: ended, login-refused: not today", "raw: s1 ack",
           "raw: s1 LoginResp {\"version\":\"0.70.1\",\"error\":\"not today\"}", "raw: s1 fin");
}

static void run_ids_have_a_reasonable_length(void **state)
{
    for (int len = RUN_ID_SIZE - 1; len <= RUN_ID_SIZE; len++) {
        struct scene *s = scene_new(SIDE_CLIENT);
        char more[128];

        begin(s);
        snprintf(more, sizeof(more), ",\"run_id\":\"%0*d\"", len, 7);
        say_login(s, 1, SCRIPT_WALL_S, more);
        script_run(&s->t);
        assert_int_equal(server_session_logged_in(s->t.server), len < RUN_ID_SIZE);
        assert_int_equal(strlen(server_session_run_id(s->t.server)), len < RUN_ID_SIZE ? len : 0);
        hush(&s->t);
        scene_end(s);
    }
}

static void run_ids_can_be_shown(void **state)
{
    static const struct {
        const char *json;
        bool good;
    } table[] = {
        {"!azAZ09-_~", true}, {"a b", false},        {" ", false},       {"a\\nb", false},
        {"\\u007f", false},   {"\\u001b[1m", false}, {"\\u00e9", false}, {"\xc3\xa9", false},
    };

    for (size_t i = 0; i < COUNT(table); i++) {
        struct scene *s = scene_new(SIDE_CLIENT);
        char more[64];

        begin(s);
        snprintf(more, sizeof(more), ",\"run_id\":\"%s\"", table[i].json);
        say_login(s, 1, SCRIPT_WALL_S, more);
        script_run(&s->t);
        assert_int_equal(server_session_logged_in(s->t.server), table[i].good);
        if (!table[i].good)
            assert_non_null(strstr(script_take(&s->t), "\"error\":\"the run_id is "));
        hush(&s->t);
        scene_end(s);
    }
}

/* ---- clocks --------------------------------------------------------------------------------- */

static const struct {
    int limit_s;
    int64_t timestamp;
    const char *said; /* NULL: accepted */
} clocks[] = {
    {900, SCRIPT_WALL_S, NULL},
    {900, SCRIPT_WALL_S + 900, NULL},
    {900, SCRIPT_WALL_S - 900, NULL},
    {900, SCRIPT_WALL_S + 901, "901 s ahead of the server's, more than the 900 s allowed"},
    {900, SCRIPT_WALL_S - 901, "901 s behind the server's, more than the 900 s allowed"},
    {900, SCRIPT_WALL_S + 1200, "1200 s ahead of the server's"},
    {1, SCRIPT_WALL_S + 1, NULL},
    {1, SCRIPT_WALL_S + 2, "2 s ahead of"},
    {900, 0, "1700000000 s behind"},
    {900, -1, "1700000001 s behind"},
    {900, INT64_MAX, "9223372035154775807 s ahead of"},
    {900, INT64_MIN, "s behind"},
    {900, INT64_MIN + SCRIPT_WALL_S, "s behind"},
    {900, INT64_MIN + SCRIPT_WALL_S - 1, "s behind"},
    {900, INT64_MIN + SCRIPT_WALL_S + 1, "9223372036854775807 s behind"},
    {INT32_MAX, INT64_MAX, "s ahead of"},
    {INT32_MAX, SCRIPT_WALL_S + (int64_t)INT32_MAX, NULL},
    {0, INT64_MAX, NULL},
    {0, INT64_MIN, NULL},
    {0, 0, NULL},
};

static void a_login_must_be_of_about_now(void **state)
{
    for (size_t i = 0; i < COUNT(clocks); i++) {
        struct scene *s = scene_new(SIDE_CLIENT);
        const char *heard;

        s->t.server_cfg.login_max_skew_s = clocks[i].limit_s;
        begin(s);
        say_login(s, 1, clocks[i].timestamp, "");
        script_run(&s->t);
        heard = script_take(&s->t);
        assert_int_equal(server_session_logged_in(s->t.server), clocks[i].said == NULL);
        if (clocks[i].said != NULL) {
            assert_int_equal(s->t.end[SIDE_SERVER].why, REASON_CLOCK_SKEW);
            if (strstr(heard, clocks[i].said) == NULL)
                fail_msg("row %zu: %s", i, heard);
            assert_null(strstr(heard, "is -")); /* the direction is said in words */
        }
        scene_end(s);
    }
}

/* Who does not know the token learns nothing about clocks. */
static void the_token_is_looked_at_before_the_clock(void **state)
{
    struct scene *s = *state;

    begin(s);
    raw_say(&s->raw, 1, 'o', "{\"hostname\":\"h\",\"privilege_key\":\"00\",\"timestamp\":5}");
    expect_refusal(s, bad_token, "token in login doesn't match token from configuration");
}

static void the_skew_is_told_in_general_terms_when_asked_to(void **state)
{
    struct scene *s = *state;

    s->t.server_cfg.detailed_errors = false;
    begin(s);
    say_login(s, 1, SCRIPT_WALL_S + 1200, "");
    script_run(&s->t);
    assert_non_null(strstr(script_take(&s->t), "\"error\":\"register control error\"}"));
}

/* ---- other first messages ------------------------------------------------------------------- */

static void other_first_messages_end_the_connection(void **state)
{
    static const struct {
        const char *hex;
        const char *line;
    } table[] = {
        {"6800000000000000027b7d", no_login},                     /* Ping */
        {"7000000000000000027b7d", no_login},                     /* NewProxy */
        {"7600000000000000027b7d", no_login},                     /* NewVisitorConn */
        {"3100000000000000027b7d", no_login},                     /* LoginResp */
        {"6f00000000000000046e756c6c", no_login},                 /* Login null */
        {"7700000000000000046e756c6c", no_login},                 /* NewWorkConn null */
        {"46525000020d0a", not_frp},                              /* wire protocol v2 */
        {"16030100", not_frp},                                    /* TLS inside */
        {"6fffffffffffffffff", not_frp},                          /* length -1 */
        {"6f8000000000000000", not_frp},                          /* length -2^63 */
        {"6f0000000000000000", not_frp},                          /* length 0 */
        {"6f0000000000002801", not_frp},                          /* length 10241 */
        {"6f0100000000000002", not_frp},                          /* length 2^56 + 2 */
        {"6f00000000000000027b20", not_frp},                      /* half an object */
        {"6f00000000000000055b7b7d5d20", not_frp},                /* a list */
        {"6f000000000000002e7b2274696d657374616d70223a31", NULL}, /* not all there yet */
    };

    for (size_t i = 0; i < COUNT(table); i++) {
        struct scene *s = scene_new(SIDE_CLIENT);

        begin(s);
        raw_hex(&s->raw, 1, table[i].hex);
        script_run(&s->t);
        if (table[i].line != NULL)
            EXPECT(&s->t, table[i].line, "raw: s1 ack fin");
        else
            EXPECT(&s->t, "raw: s1 ack");
        scene_end(s);
    }
}

/* A login whose body is `len` bytes long. */
static void say_long_login(struct scene *s, size_t len)
{
    char key[RAW_KEY_SIZE];
    char *json = mem_alloc(len + 1);
    size_t used = (size_t)snprintf(json, len + 1,
                                   "{\"privilege_key\":\"%s\",\"timestamp\":1700000000,\"x\":\"",
                                   raw_privilege_key(key, SCRIPT_WALL_S));

    memset(json + used, 'x', len - used);
    memcpy(json + len - 2, "\"}", 3);
    raw_say(&s->raw, 1, 'o', json);
    mem_free(json);
}

static void the_greatest_body_is_taken_and_no_greater(void **state)
{
    for (size_t len = 10240; len <= 10241; len++) {
        struct scene *s = scene_new(SIDE_CLIENT);

        begin(s);
        say_long_login(s, len);
        script_run(&s->t);
        assert_int_equal(server_session_logged_in(s->t.server), len == 10240);
        hush(&s->t);
        scene_end(s);
    }
}

static void a_new_work_conn_before_the_login_is_refused(void **state)
{
    struct scene *s = *state;

    begin(s);
    raw_hex(&s->raw, 1, V13_NEW_WORK_CONN);
    script_run(&s->t);
    EXPECT(&s->t, "server: ended, protocol-error: a work connection before a login", "raw: s1 ack",
           "raw: s1 StartWorkConn {\"error\":\"no client control found for run id "
           "[0123456789abcdef]\"}",
           "raw: s1 fin");
    raw_open(&s->raw, 3);
    raw_hex(&s->raw, 3, V10_LOGIN);
    script_run(&s->t);
    assert_false(server_session_logged_in(s->t.server)); /* refusals must not pile up */
}

static void a_second_login_changes_nothing(void **state)
{
    struct scene *s = *state;

    log_in(s);
    raw_open(&s->raw, 3);
    raw_hex(&s->raw, 3, V10_LOGIN);
    raw_say(&s->raw, 1, 'o', "{\"run_id\":\"x\"}");
    raw_say(&s->raw, 1, 'h', "{}");
    script_run(&s->t);
    EXPECT(&s->t, "raw: s3 ack fin", "raw: s1 Pong {}");
    assert_true(server_session_logged_in(s->t.server));
}

static void four_streams_are_enough_before_the_login(void **state)
{
    struct scene *s = *state;

    begin(s);
    for (uint32_t id = 3; id <= 11; id += 2)
        raw_open(&s->raw, id);
    script_run(&s->t);
    EXPECT(&s->t, "raw: s1 ack", "raw: s3 ack", "raw: s5 ack", "raw: s7 ack", "raw: s9 rst",
           "raw: s11 rst");
    raw_hex(&s->raw, 5, V10_LOGIN);
    script_run(&s->t);
    assert_true(server_session_logged_in(s->t.server));
    hush(&s->t);
    for (uint32_t id = 13; id <= 21; id += 2)
        raw_open(&s->raw, id);
    script_run(&s->t);
    EXPECT(&s->t, "raw: s13 ack", "raw: s15 ack", "raw: s17 ack", "raw: s19 ack", "raw: s21 ack");
}

static void a_stream_has_ten_seconds_for_its_first_message(void **state)
{
    struct scene *s = *state;

    begin(s);
    raw_hex(&s->raw, 1, "6f00000000");
    script_run(&s->t);
    script_advance(&s->t, 5000);
    raw_open(&s->raw, 3);
    script_run(&s->t);
    EXPECT(&s->t, "raw: s1 ack", "raw: s3 ack");
    script_advance(&s->t, 5000);
    EXPECT_NOTHING(&s->t);
    script_advance(&s->t, 100);
    EXPECT(&s->t, "raw: s1 fin");
    raw_hex(&s->raw, 3, V10_LOGIN);
    script_run(&s->t);
    assert_true(server_session_logged_in(s->t.server));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, with_raw_client, after)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_in_any_portions),
        cmocka_unit_test(the_vectors_cut_at_every_byte),
        TEST(the_answer_byte_by_byte),
        TEST(own_names_are_taken_over),
        TEST(names_are_made_harmless),
        TEST(an_empty_token_on_both_ends_is_legal),
        cmocka_unit_test(a_wrong_token_is_refused),
        TEST(the_owner_may_refuse),
        cmocka_unit_test(run_ids_have_a_reasonable_length),
        cmocka_unit_test(run_ids_can_be_shown),
        cmocka_unit_test(a_login_must_be_of_about_now),
        TEST(the_token_is_looked_at_before_the_clock),
        TEST(the_skew_is_told_in_general_terms_when_asked_to),
        cmocka_unit_test(other_first_messages_end_the_connection),
        cmocka_unit_test(the_greatest_body_is_taken_and_no_greater),
        TEST(a_new_work_conn_before_the_login_is_refused),
        TEST(a_second_login_changes_nothing),
        TEST(four_streams_are_enough_before_the_login),
        TEST(a_stream_has_ten_seconds_for_its_first_message),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
