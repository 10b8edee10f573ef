/* The client's login, against a server of the real frp played by hand. */
#include <stdio.h>

#include "expect.h"

#define LOGIN                                                                                      \
    "{\"version\":\"0.70.1\",\"hostname\":\"h\",\"os\":\"linux\",\"arch\":\"amd64\","              \
    "\"privilege_key\":\"22bd6333f840eeeee03ad14f75fd96ac\",\"timestamp\":1700000000,"             \
    "\"metas\":{\"mlgate\":\"" MLGATE_VERSION                                                      \
    " half-close\"},\"client_spec\":{},\"pool_count\":1}"
static const char not_an_answer[] =
    "client: ended, protocol-error: the server's first message is not a login answer";
static const char not_frp[] =
    "client: ended, protocol-error: the answer to the login is not an frp message";

static void begin(struct scene *s)
{
    script_begin(&s->t, SIDE_CLIENT);
    script_run(&s->t);
    hush(&s->t);
}

static void accept_login(struct scene *s)
{
    raw_hex(&s->raw, 1, V11_LOGIN_RESP);
    raw_encipher(&s->raw, 1);
}

/* Every byte that leaves before an answer: SYN of stream 1, one data frame with the login. */
static void login_is_the_first_thing_on_the_wire(void **state)
{
    struct scene *s = *state;
    struct wire *w = &s->t.wire[SIDE_SERVER];
    uint8_t wanted[12 + 12 + 9 + sizeof(LOGIN)];
    size_t len = raw_from_hex(wanted, "000100010000000100000000"
                                      "000000000000000100000000");

    wanted[len - 2] = (9 + strlen(LOGIN)) >> 8;
    wanted[len - 1] = (9 + strlen(LOGIN)) & 0xff;
    len += raw_message(wanted + len, 'o', LOGIN);
    script_begin(&s->t, SIDE_CLIENT);
    script_pull(&s->t, SIDE_CLIENT);
    assert_int_equal(wire_under_way(w), len);
    assert_memory_equal(w->data, wanted, len);
    script_run(&s->t);
    EXPECT(&s->t, "raw: s1 open", "raw: s1 Login " LOGIN);
}

static void empty_token_and_own_names_are_said(void **state)
{
    struct scene *s = *state;

    s->t.client_cfg.token = (char *)(uintptr_t) "";
    s->t.client_cfg.user = (char *)(uintptr_t) "<u>";
    s->t.client_cfg.pool_count = 0;
    s->t.identity.run_id = "r-1";
    script_begin(&s->t, SIDE_CLIENT);
    script_run(&s->t);
    EXPECT(&s->t, "raw: s1 open",
           "raw: s1 Login {\"version\":\"0.70.1\",\"hostname\":\"h\",\"os\":\"linux\","
           "\"arch\":\"amd64\",\"user\":\"\\u003cu\\u003e\","
           "\"privilege_key\":\"24920decf83f6960b80f737a28eeafc1\",\"timestamp\":1700000000,"
           "\"run_id\":\"r-1\",\"metas\":{\"mlgate\":\"" MLGATE_VERSION " half-close\"},"
           "\"client_spec\":{}}");
    accept_login(s);
    raw_say(&s->raw, 1, 'r', "{}");
    script_run(&s->t);
    EXPECT(&s->t, LOGGED_IN, "raw: s3 open", ASKED("\\u003cu\\u003e.t1", "6000"), NEW_WORK("s3"));
}

static void play_good_login(struct scene *s)
{
    begin(s);
    assert_false(client_session_logged_in(s->t.client));
    accept_login(s);
    raw_say(&s->raw, 1, 'r', "{}"); /* in the same segment, before any NewProxy */
    script_run(&s->t);
    EXPECT(&s->t, LOGGED_IN, "raw: s3 open", ASKED("t1", "6000"), NEW_WORK("s3"));
    assert_true(client_session_logged_in(s->t.client));
    assert_false(client_session_ready(s->t.client));
    script_advance(&s->t, 100);
    EXPECT_NOTHING(&s->t);
    raw_say(&s->raw, 1, '2', "{\"proxy_name\":\"t1\",\"remote_addr\":\":6000\"}");
    script_run(&s->t);
    EXPECT(&s->t, "client: proxy 0 :6000");
    assert_true(client_session_ready(s->t.client));
}

static void good_login_in_any_portions(void **state)
{
    static const size_t steps[] = {0, 1, 2, 3, 11, 12, 13, 27};

    for (size_t i = 0; i < COUNT(steps); i++) {
        struct scene *s = scene_new(SIDE_SERVER);

        s->t.step = steps[i];
        play_good_login(s);
        scene_end(s);
    }
}

/* LoginResp in clear, then the server's IV and a ReqWorkConn: one cut, wherever it falls. */
static void good_login_cut_at_every_byte(void **state)
{
    size_t total = 1;

    for (size_t cut = 0; cut < total; cut++) {
        struct scene *s = scene_new(SIDE_SERVER);

        begin(s);
        accept_login(s);
        raw_say(&s->raw, 1, 'r', "{}");
        total = wire_under_way(&s->t.wire[SIDE_CLIENT]);
        script_deliver(&s->t, SIDE_CLIENT, cut);
        script_deliver(&s->t, SIDE_CLIENT, total);
        script_run(&s->t);
        EXPECT(&s->t, LOGGED_IN, "raw: s3 open", ASKED("t1", "6000"), NEW_WORK("s3"));
        scene_end(s);
    }
    assert_true(total > 100);
}

static void an_mlgate_server_is_recognised(void **state)
{
    struct scene *s = *state;

    begin(s);
    raw_say(&s->raw, 1, '1',
            "{\"version\":\"0.70.1\",\"run_id\":\"ab\",\"mlgate\":\"9.9.9 new-word half-close\"}");
    script_run(&s->t);
    EXPECT(&s->t, "client: logged in as ab at 0.70.1, mlgate", ASKED("t1", "6000"));
}

static void refused_logins_end_with_the_servers_words(void **state)
{
    static const struct {
        const char *json;
        const char *line;
    } table[] = {
        {"{\"version\":\"0.70.1\",\"error\":\"token in login doesn't match token from "
         "configuration\"}",
         "client: ended, auth-failed: the server refused the login: token in login doesn't match "
         "token from configuration"},
        {"{\"error\":\"authorization failed\"}",
         "client: ended, auth-failed: the server refused the login: authorization failed"},
        {"{\"error\":\"register control error\"}",
         "client: ended, login-refused: the server refused the login: register control error"},
        {"{\"run_id\":\"x\",\"error\":\"a\\nb\\u001b[31m\\u00e9\"}",
         "client: ended, login-refused: the server refused the login: a\\x0ab\\x1b[31m\\xc3\\xa9"},
    };

    for (size_t i = 0; i < COUNT(table); i++) {
        struct scene *s = scene_new(SIDE_SERVER);

        begin(s);
        raw_say(&s->raw, 1, '1', table[i].json);
        raw_fin(&s->raw, 1);
        script_run(&s->t);
        EXPECT(&s->t, table[i].line);
        assert_false(client_session_logged_in(s->t.client));
        script_advance(&s->t, 30 * 1000);
        EXPECT_NOTHING(&s->t); /* told once, and nothing is asked of that server any more */
        scene_end(s);
    }
}

static void silence_ends_after_ten_seconds(void **state)
{
    struct scene *s = *state;

    begin(s);
    script_advance(&s->t, 10 * 1000);
    EXPECT_NOTHING(&s->t);
    script_advance(&s->t, 100);
    EXPECT(&s->t, "client: ended, login-timeout: the server does not answer the login");
    accept_login(s);
    raw_say(&s->raw, 1, 'r', "{}");
    script_advance(&s->t, 1000);
    EXPECT_NOTHING(&s->t); /* too late is too late */
    assert_false(client_session_logged_in(s->t.client));
}

static void an_answer_at_the_last_moment_counts(void **state)
{
    struct scene *s = *state;

    begin(s);
    script_advance(&s->t, 10 * 1000);
    accept_login(s);
    script_run(&s->t);
    EXPECT(&s->t, LOGGED_IN, ASKED("t1", "6000"));
}

/* What a server may send instead of a LoginResp, as bytes of the control stream. */
static void other_first_answers_are_protocol_errors(void **state)
{
    static const struct {
        const char *name;
        const char *hex;
        const char *line;
    } table[] = {
        {"Pong", "3400000000000000027b7d", not_an_answer},
        {"ReqWorkConn", "7200000000000000027b7d", not_an_answer},
        {"LoginResp null", "3100000000000000046e756c6c", not_an_answer},
        {"unknown type", "58", not_frp},
        {"HTTP", "485454502f312e3120343030", not_frp},
        {"length -1", "31ffffffffffffffff", not_frp},
        {"length 0", "310000000000000000", not_frp},
        {"length 10241", "310000000000002801", not_frp},
        {"length 2^62", "314000000000000000", not_frp},
        {"not JSON", "3100000000000000027b7b", not_frp},
        {"wrong kind", "31000000000000000c7b2272756e5f6964223a317d", not_frp},
    };

    for (size_t i = 0; i < COUNT(table); i++) {
        struct scene *s = scene_new(SIDE_SERVER);

        begin(s);
        raw_hex(&s->raw, 1, table[i].hex);
        raw_hex(&s->raw, 1, V11_LOGIN_RESP); /* comes too late */
        script_run(&s->t);
        EXPECT(&s->t, table[i].line);
        scene_end(s);
    }
}

static char *padded_login_resp(size_t len)
{
    static const char start[] = "{\"run_id\":\"r\",\"x\":\"";
    char *json = mem_alloc(len + 1);

    memset(json, 'x', len);
    memcpy(json, start, sizeof(start) - 1);
    memcpy(json + len - 2, "\"}", 3);
    return json;
}

static void an_answer_of_the_greatest_length_is_taken(void **state)
{
    struct scene *s = *state;
    char *json = padded_login_resp(10240);

    begin(s);
    raw_say(&s->raw, 1, '1', json);
    script_run(&s->t);
    EXPECT(&s->t, "client: logged in as r at , stock", ASKED("t1", "6000"));
    mem_free(json);
}

static void an_answer_that_is_longer_is_not(void **state)
{
    struct scene *s = *state;
    char *json = padded_login_resp(10241);

    begin(s);
    raw_say(&s->raw, 1, '1', json);
    script_run(&s->t);
    EXPECT(&s->t, not_frp);
    mem_free(json);
}

static void run_ids_have_a_reasonable_length(void **state)
{
    for (size_t len = 63; len <= 64; len++) {
        struct scene *s = scene_new(SIDE_SERVER);
        char json[128];

        begin(s);
        snprintf(json, sizeof(json), "{\"run_id\":\"%0*d\"}", (int)len, 7);
        raw_say(&s->raw, 1, '1', json);
        script_run(&s->t);
        assert_int_equal(client_session_logged_in(s->t.client), len == 63);
        hush(&s->t);
        scene_end(s);
    }
}

static void run_ids_can_be_shown(void **state)
{
    static const char *const bad[] = {"a b", "a\\nb", "\\u007f", "\\u001b[1m", "\xc3\xa9"};

    for (size_t i = 0; i < COUNT(bad); i++) {
        struct scene *s = scene_new(SIDE_SERVER);
        char json[64];

        begin(s);
        snprintf(json, sizeof(json), "{\"run_id\":\"%s\"}", bad[i]);
        raw_say(&s->raw, 1, '1', json);
        script_run(&s->t);
        assert_false(client_session_logged_in(s->t.client));
        assert_int_equal(s->t.end[SIDE_CLIENT].why, REASON_PROTOCOL);
        hush(&s->t);
        scene_end(s);
    }
}

static void a_login_that_fits_no_message_is_an_error(void **state)
{
    struct scene *s = *state;
    char *user = mem_alloc(10241);

    memset(user, 'u', 10240);
    user[10240] = '\0';
    s->t.client_cfg.user = user;
    script_begin(&s->t, SIDE_CLIENT);
    script_run(&s->t);
    EXPECT(&s->t,
           "client: ended, protocol-error: the login does not fit into a message: is `user` too "
           "long?",
           "raw: s1 open");
    script_drop(&s->t, SIDE_CLIENT);
    mem_free(user);
}

/* ---- ends of the control stream ------------------------------------------------------------- */

enum stage {
    NOTHING_SENT = 0,
    LOGIN_SENT = 1,
    HALF_AN_ANSWER = 2,
    LOGGED_IN_NOW = 3,
    PROXY_ASKED = 4,
    PROXY_CONFIRMED = 5,
    WORK_IDLE = 6,
    WORK_HALF_STARTED = 7,
    WORK_STARTED = 8,
    LEFT = 9,
    STAGES = 10,
};

static void half_an_answer(struct scene *s)
{
    char hex[31];

    snprintf(hex, sizeof(hex), "%.30s", V11_LOGIN_RESP);
    raw_hex(&s->raw, 1, hex);
}

static void advance_to(struct scene *s, int stage)
{
    script_begin(&s->t, SIDE_CLIENT);
    if (stage >= LOGIN_SENT)
        script_run(&s->t);
    if (stage == HALF_AN_ANSWER)
        half_an_answer(s);
    if (stage >= LOGGED_IN_NOW)
        accept_login(s);
    script_run(&s->t);
    if (stage >= PROXY_ASKED)
        script_advance(&s->t, 100);
    if (stage >= PROXY_CONFIRMED)
        raw_say(&s->raw, 1, '2', "{\"proxy_name\":\"t1\",\"remote_addr\":\":6000\"}");
    if (stage >= WORK_IDLE)
        raw_say(&s->raw, 1, 'r', "{}");
    script_run(&s->t);
    if (stage == WORK_HALF_STARTED)
        raw_hex(&s->raw, 3, "7300000000000000657b22");
    if (stage >= WORK_STARTED)
        raw_hex(&s->raw, 3, V13_START_WORK_CONN);
    script_run(&s->t);
    if (stage >= LEFT)
        client_session_leave(s->t.client);
    script_run(&s->t);
    hush(&s->t);
}

static void it_can_be_freed_at_every_stage(void **state)
{
    for (int stage = NOTHING_SENT; stage < STAGES; stage++) {
        struct scene *s = scene_new(SIDE_SERVER);

        advance_to(s, stage);
        scene_end(s);
    }
}

static const char *end_of_control(int stage, bool reset)
{
    if (stage >= LEFT)
        return "";
    if (reset)
        return "client: ended, peer-reset: the server reset the control connection";
    if (stage < LOGGED_IN_NOW)
        return "client: ended, peer-closed: the server closed the connection without answering "
               "the login: wrong tcp_mux, TLS demanded, or not an frp server";
    return "client: ended, peer-closed: the server closed the control connection";
}

static void the_end_of_the_control_stream_is_the_end(void **state)
{
    for (int stage = LOGIN_SENT; stage < STAGES; stage++) {
        for (int reset = 0; reset <= 1; reset++) {
            struct scene *s = scene_new(SIDE_SERVER);

            advance_to(s, stage);
            reset ? raw_rst(&s->raw, 1) : raw_fin(&s->raw, 1);
            script_run(&s->t);
            assert_string_equal(script_take(&s->t), end_of_control(stage, reset));
            raw_say(&s->raw, 1, 'r', "{}");
            script_advance(&s->t, 30 * 1000);
            EXPECT_NOTHING(&s->t);
            scene_end(s);
        }
    }
}

static void the_end_of_the_connection_is_told_once(void **state)
{
    for (int stage = NOTHING_SENT; stage < LEFT; stage++) {
        struct scene *s = scene_new(SIDE_SERVER);

        advance_to(s, stage);
        mux_close(s->t.end[SIDE_CLIENT].mux);
        assert_true(s->t.end[SIDE_CLIENT].ended);
        assert_int_equal(s->t.end[SIDE_CLIENT].why, REASON_PEER_GONE);
        assert_null(strstr(script_take(&s->t), "again"));
        scene_end(s);
    }
}

/* ---- other ends ----------------------------------------------------------------------------- */

static void control_garbage_behind_the_login_ends_it(void **state)
{
    struct scene *s = *state;

    advance_to(s, PROXY_CONFIRMED);
    raw_hex(&s->raw, 1, "00112233445566778899aabbccddeeff");
    script_run(&s->t);
    EXPECT(&s->t, "client: ended, protocol-error: control bytes that are not frp messages: do "
                  "both ends use the same token?");
}

static void a_clear_message_behind_the_login_is_garbage(void **state)
{
    struct scene *s = *state;

    begin(s);
    raw_hex(&s->raw, 1, V11_LOGIN_RESP);
    for (int i = 0; i < 4; i++)
        raw_hex(&s->raw, 1, "7200000000000000027b7d");
    raw_encipher(&s->raw, 1);
    script_run(&s->t);
    EXPECT(&s->t, LOGGED_IN,
           "client: ended, protocol-error: control bytes that are not frp messages: do both ends "
           "use the same token?",
           ASKED("t1", "6000"));
}

static void unexpected_but_known_messages_are_ignored(void **state)
{
    static const struct {
        char type;
        const char *json;
    } table[] = {
        {'o', "{}"},   {'1', "{\"run_id\":\"other\"}"},
        {'p', "{}"},   {'c', "{}"},
        {'w', "{}"},   {'s', "{}"},
        {'h', "{}"},   {'4', "null"},
        {'2', "{}"},   {'r', "null"},
        {'3', "{}"},   {'v', "{\"a\":[1,2]}"},
        {'u', "{}"},   {'m', "{}"},
        {'2', "null"},
    };
    struct scene *s = *state;

    advance_to(s, PROXY_CONFIRMED);
    for (size_t i = 0; i < COUNT(table); i++)
        raw_say(&s->raw, 1, table[i].type, table[i].json);
    script_run(&s->t);
    EXPECT_NOTHING(&s->t);
    raw_say(&s->raw, 1, 'r', "{\"unknown\":{\"deep\":[null]}}");
    script_run(&s->t);
    EXPECT(&s->t, "raw: s3 open", NEW_WORK("s3"));
    assert_true(client_session_ready(s->t.client));
}

static void a_go_away_stops_new_work_only(void **state)
{
    struct scene *s = *state;

    advance_to(s, WORK_STARTED);
    raw_go_away(&s->raw, 0);
    raw_say(&s->raw, 1, 'r', "{}");
    raw_bytes(&s->raw, 3, "more", 4);
    script_advance(&s->t, 5000);
    EXPECT(&s->t, "client: s3 hears \"more\"");
    assert_true(client_session_ready(s->t.client));
}

static void a_second_refusal_dismisses(void **state)
{
    struct scene *s = *state;

    advance_to(s, WORK_STARTED);
    raw_say(&s->raw, 1, '1', "{\"error\":\"another\\none\"}");
    script_run(&s->t);
    EXPECT(&s->t, "client: ended, replaced: the server let this session go: another\\x0aone");
}

static void leaving_takes_the_proxies_back(void **state)
{
    struct scene *s = *state;

    s->t.client_cfg.n_proxies = 3;
    advance_to(s, PROXY_CONFIRMED);
    raw_say(&s->raw, 1, '2', "{\"proxy_name\":\"t3\",\"error\":\"port already used\"}");
    script_run(&s->t);
    hush(&s->t);
    client_session_leave(s->t.client);
    script_run(&s->t);
    EXPECT(&s->t, "raw: s1 CloseProxy {\"proxy_name\":\"t1\"}",
           "raw: s1 CloseProxy {\"proxy_name\":\"t2\"}");
    assert_false(client_session_ready(s->t.client));
    client_session_leave(s->t.client);
    raw_say(&s->raw, 1, 'r', "{}");
    raw_say(&s->raw, 1, '2', "{\"proxy_name\":\"t2\",\"remote_addr\":\":6001\"}");
    script_advance(&s->t, 60 * 1000);
    EXPECT(&s->t, TAKEN_BACK("t2")); /* and nobody asks again */
}

static void leaving_before_the_login_says_nothing(void **state)
{
    struct scene *s = *state;

    begin(s);
    client_session_leave(s->t.client);
    script_run(&s->t);
    EXPECT_NOTHING(&s->t);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, with_raw_server, after)
    const struct CMUnitTest tests[] = {
        TEST(login_is_the_first_thing_on_the_wire),
        TEST(empty_token_and_own_names_are_said),
        cmocka_unit_test(good_login_in_any_portions),
        cmocka_unit_test(good_login_cut_at_every_byte),
        TEST(an_mlgate_server_is_recognised),
        cmocka_unit_test(refused_logins_end_with_the_servers_words),
        TEST(silence_ends_after_ten_seconds),
        TEST(an_answer_at_the_last_moment_counts),
        cmocka_unit_test(other_first_answers_are_protocol_errors),
        TEST(an_answer_of_the_greatest_length_is_taken),
        TEST(an_answer_that_is_longer_is_not),
        cmocka_unit_test(run_ids_have_a_reasonable_length),
        cmocka_unit_test(run_ids_can_be_shown),
        TEST(a_login_that_fits_no_message_is_an_error),
        cmocka_unit_test(it_can_be_freed_at_every_stage),
        cmocka_unit_test(the_end_of_the_control_stream_is_the_end),
        cmocka_unit_test(the_end_of_the_connection_is_told_once),
        TEST(control_garbage_behind_the_login_ends_it),
        TEST(a_clear_message_behind_the_login_is_garbage),
        TEST(unexpected_but_known_messages_are_ignored),
        TEST(a_go_away_stops_new_work_only),
        TEST(a_second_refusal_dismisses),
        TEST(leaving_takes_the_proxies_back),
        TEST(leaving_before_the_login_says_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
