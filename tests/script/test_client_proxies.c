/* The client's proxies: asked for, answered, refused, as one unit or each on its own; and its
 * heartbeats. The server is played by hand. */
#include <stdio.h>

#include "expect.h"

#define YES(name, port) "{\"proxy_name\":\"" name "\",\"remote_addr\":\":" port "\"}"
#define NO(name)        "{\"proxy_name\":\"" name "\",\"error\":\"port already used\"}"

/* Logged in, with `n` proxies asked for; nothing of it is left to read. */
static void log_in(struct scene *s, size_t n)
{
    s->t.client_cfg.n_proxies = n;
    script_begin(&s->t, SIDE_CLIENT);
    script_run(&s->t);
    raw_hex(&s->raw, 1, V11_LOGIN_RESP);
    raw_encipher(&s->raw, 1);
    script_run(&s->t);
    hush(&s->t);
}

static void answer(struct scene *s, const char *json)
{
    raw_say(&s->raw, 1, '2', json);
    script_run(&s->t);
}

/* ---- asking --------------------------------------------------------------------------------- */

static void all_are_asked_for_at_once_in_order(void **state)
{
    struct scene *s = *state;

    s->t.client_cfg.n_proxies = 3;
    s->t.client_cfg.user = (char *)(uintptr_t) "u";
    s->t.proxies[1].use_encryption = true;
    s->t.proxies[2].remote_port = 0;
    script_begin(&s->t, SIDE_CLIENT);
    script_run(&s->t);
    hush(&s->t);
    raw_hex(&s->raw, 1, V11_LOGIN_RESP);
    raw_encipher(&s->raw, 1);
    script_run(&s->t);
    EXPECT(&s->t, LOGGED_IN, ASKED("u.t1", "6000"),
           "raw: s1 NewProxy {\"proxy_name\":\"u.t2\",\"proxy_type\":\"tcp\","
           "\"use_encryption\":true,\"remote_port\":6001}",
           "raw: s1 NewProxy {\"proxy_name\":\"u.t3\",\"proxy_type\":\"tcp\"}");
    answer(s, YES("t1", "6000")); /* not our name: the prefix is missing */
    EXPECT_NOTHING(&s->t);
    answer(s, YES("u.t3", "31000"));
    EXPECT(&s->t, "client: proxy 2 :31000");
    answer(s, YES("u.t1", "6000"));
    EXPECT(&s->t, "client: proxy 0 :6000");
    assert_false(client_session_ready(s->t.client));
    answer(s, YES("u.t2", "6001"));
    EXPECT(&s->t, "client: proxy 1 :6001");
    assert_true(client_session_ready(s->t.client));
}

static void without_proxies_a_login_is_all(void **state)
{
    struct scene *s = *state;

    log_in(s, 0);
    assert_true(client_session_ready(s->t.client));
    script_advance(&s->t, 60 * 1000);
    EXPECT_NOTHING(&s->t);
}

static void an_answer_nobody_waits_for_is_ignored(void **state)
{
    struct scene *s = *state;

    log_in(s, 1);
    answer(s, YES("stranger", "1"));
    answer(s, NO(""));
    answer(s, YES("t1", "6000"));
    EXPECT(&s->t, "client: proxy 0 :6000");
    answer(s, "{\"proxy_name\":\"t1\",\"error\":\"proxy [t1] already exists\"}");
    answer(s, YES("t1", "7000"));
    script_advance(&s->t, 120 * 1000);
    EXPECT_NOTHING(&s->t);
    assert_true(client_session_ready(s->t.client));
}

/* As frpc does: asked again after 20 s, the first late success counts, its twin's error does not.
 */
static void silence_is_asked_again_after_twenty_seconds(void **state)
{
    struct scene *s = *state;

    log_in(s, 1);
    script_advance(&s->t, 20 * 1000);
    EXPECT_NOTHING(&s->t);
    script_advance(&s->t, 100);
    EXPECT(&s->t, ASKED("t1", "6000"));
    script_advance(&s->t, 20 * 1000);
    EXPECT_NOTHING(&s->t);
    script_advance(&s->t, 100);
    EXPECT(&s->t, ASKED("t1", "6000"));
    answer(s, YES("t1", "6000"));
    answer(s, "{\"proxy_name\":\"t1\",\"error\":\"proxy [t1] already exists\"}");
    answer(s, "{\"proxy_name\":\"t1\",\"error\":\"proxy [t1] already exists\"}");
    EXPECT(&s->t, "client: proxy 0 :6000");
    assert_true(client_session_ready(s->t.client));
}

static void a_name_that_fits_no_message_is_an_error(void **state)
{
    struct scene *s = *state;
    char name[10241];

    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    s->t.proxies[1].name = name;
    log_in(s, 3);
    assert_true(s->t.end[SIDE_CLIENT].ended);
    assert_int_equal(s->t.end[SIDE_CLIENT].why, REASON_PROTOCOL);
    script_drop(&s->t, SIDE_CLIENT);
}

/* ---- refusals ------------------------------------------------------------------------------- */

/* After a refusal the next question comes `wait` later and not a tick earlier. */
static void expect_asked_after(struct scene *s, uint64_t wait_ms)
{
    script_advance(&s->t, wait_ms - SCRIPT_TICK_MS);
    EXPECT_NOTHING(&s->t);
    script_advance(&s->t, SCRIPT_TICK_MS);
    EXPECT(&s->t, ASKED("t1", "6000"));
}

static void a_refused_port_is_tried_again_ever_more_slowly(void **state)
{
    static const unsigned waits_s[] = {1, 2, 4, 8, 16, 32, 60, 60, 60};
    struct scene *s = *state;

    log_in(s, 1);
    for (size_t i = 0; i < COUNT(waits_s); i++) {
        answer(s, NO("t1"));
        EXPECT(&s->t, "client: proxy 0 refused: port already used");
        expect_asked_after(s, waits_s[i] * 1000);
    }
    answer(s, YES("t1", "6000"));
    EXPECT(&s->t, "client: proxy 0 :6000");
    assert_true(client_session_ready(s->t.client));
}

static void each_on_its_own_when_fate_is_not_shared(void **state)
{
    struct scene *s = *state;

    log_in(s, 2);
    answer(s, YES("t2", "6001"));
    answer(s, NO("t1"));
    EXPECT(&s->t, "client: proxy 1 :6001", "client: proxy 0 refused: port already used");
    expect_asked_after(s, 1000);
    assert_false(client_session_ready(s->t.client));
    answer(s, YES("t1", "6000"));
    EXPECT(&s->t, "client: proxy 0 :6000");
    assert_true(client_session_ready(s->t.client));
}

static void share_fate(struct scene *s)
{
    s->t.client_cfg.fate_shared = true;
    log_in(s, 2);
}

static void expect_both_asked_after(struct scene *s, uint64_t wait_ms)
{
    script_advance(&s->t, wait_ms - SCRIPT_TICK_MS);
    EXPECT_NOTHING(&s->t);
    script_advance(&s->t, SCRIPT_TICK_MS);
    EXPECT(&s->t, ASKED("t1", "6000"), ASKED("t2", "6001"));
}

static void fate_shared_and_the_second_refused(void **state)
{
    struct scene *s = *state;

    share_fate(s);
    answer(s, YES("t1", "6000"));
    EXPECT(&s->t, "client: proxy 0 :6000");
    answer(s, NO("t2"));
    EXPECT(&s->t, "client: proxy 1 refused: port already used", TAKEN_BACK("t1"));
    expect_both_asked_after(s, 1000);
    answer(s, YES("t1", "6000"));
    answer(s, NO("t2"));
    EXPECT(&s->t, "client: proxy 0 :6000", "client: proxy 1 refused: port already used",
           TAKEN_BACK("t1"));
    assert_false(client_session_ready(s->t.client));
    expect_both_asked_after(s, 2000);
    answer(s, YES("t1", "6000"));
    answer(s, YES("t2", "6001"));
    EXPECT(&s->t, "client: proxy 0 :6000", "client: proxy 1 :6001");
    assert_true(client_session_ready(s->t.client));
}

static void fate_shared_and_the_first_refused(void **state)
{
    struct scene *s = *state;

    share_fate(s);
    answer(s, NO("t1"));
    EXPECT(&s->t, "client: proxy 0 refused: port already used", TAKEN_BACK("t2"));
    answer(s, YES("t2", "6001"));
    EXPECT(&s->t, TAKEN_BACK("t2")); /* who knows whether it crossed the first one */
    assert_false(client_session_ready(s->t.client));
    expect_both_asked_after(s, 1000);
    answer(s, YES("t1", "6000"));
    answer(s, YES("t2", "6001"));
    EXPECT(&s->t, "client: proxy 0 :6000", "client: proxy 1 :6001");
    assert_true(client_session_ready(s->t.client));
}

static void fate_shared_and_both_refused(void **state)
{
    struct scene *s = *state;

    share_fate(s);
    answer(s, NO("t1"));
    answer(s, NO("t2"));
    EXPECT(&s->t, "client: proxy 0 refused: port already used", TAKEN_BACK("t2"));
    expect_both_asked_after(s, 1000);
}

/* A success ends the count of refusals: the next one is tried again soon. */
static void a_confirmation_forgives_earlier_refusals(void **state)
{
    static const unsigned waits_ms[] = {1000, 2000, 4000};
    struct scene *s = *state;

    share_fate(s);
    for (size_t i = 0; i < COUNT(waits_ms); i++) {
        answer(s, NO("t1"));
        answer(s, YES("t2", "6001"));
        hush(&s->t);
        expect_both_asked_after(s, waits_ms[i]);
    }
    answer(s, YES("t1", "6000"));
    answer(s, NO("t2"));
    hush(&s->t);
    expect_both_asked_after(s, 1000);
    answer(s, NO("t1"));
    answer(s, YES("t2", "6001"));
    hush(&s->t);
    expect_both_asked_after(s, 1000);
}

/* The answer to a question that we took back must not pass for the answer to the next one. */
static void fate_shared_and_an_old_answer_comes_late(void **state)
{
    struct scene *s = *state;

    share_fate(s);
    answer(s, NO("t1"));
    hush(&s->t);
    script_advance(&s->t, 5000);
    EXPECT_NOTHING(&s->t); /* neither is asked for: one unit */
    answer(s, YES("t2", "6001"));
    EXPECT(&s->t, TAKEN_BACK("t2"));
    script_advance(&s->t, SCRIPT_TICK_MS);
    EXPECT(&s->t, ASKED("t1", "6000"), ASKED("t2", "6001"));
    answer(s, YES("t1", "6000"));
    answer(s, NO("t2"));
    EXPECT(&s->t, "client: proxy 0 :6000", "client: proxy 1 refused: port already used",
           TAKEN_BACK("t1"));
    assert_false(client_session_ready(s->t.client));
}

static void fate_shared_and_an_old_answer_never_comes(void **state)
{
    struct scene *s = *state;

    share_fate(s);
    answer(s, NO("t1"));
    hush(&s->t);
    expect_both_asked_after(s, 20 * 1000 + SCRIPT_TICK_MS);
    answer(s, YES("t1", "6000"));
    answer(s, NO("t2"));
    hush(&s->t);
    expect_both_asked_after(s, 1000); /* the lost answer is forgotten */
    answer(s, YES("t1", "6000"));
    answer(s, YES("t2", "6001"));
    assert_true(client_session_ready(s->t.client));
}

/* Asked twice, refused once: the second answer is still to come. */
static void a_late_success_behind_a_refusal_is_taken_back(void **state)
{
    struct scene *s = *state;

    log_in(s, 1);
    script_advance(&s->t, 20 * 1000 + SCRIPT_TICK_MS);
    hush(&s->t);
    answer(s, NO("t1"));
    EXPECT(&s->t, "client: proxy 0 refused: port already used");
    script_advance(&s->t, 10 * 1000);
    EXPECT_NOTHING(&s->t);
    answer(s, YES("t1", "6000"));
    EXPECT(&s->t, TAKEN_BACK("t1"));
    expect_asked_after(s, SCRIPT_TICK_MS);
}

static void fate_shared_and_no_answer_is_asked_again(void **state)
{
    struct scene *s = *state;

    share_fate(s);
    answer(s, YES("t1", "6000"));
    hush(&s->t);
    script_advance(&s->t, 20 * 1000);
    EXPECT_NOTHING(&s->t);
    script_advance(&s->t, 100);
    EXPECT(&s->t, ASKED("t2", "6001"));
    answer(s, YES("t2", "6001"));
    assert_true(client_session_ready(s->t.client));
}

static void users_of_a_proxy_taken_back_are_let_go(void **state)
{
    struct scene *s = *state;

    share_fate(s);
    answer(s, YES("t1", "6000"));
    raw_say(&s->raw, 1, 'r', "{}");
    answer(s, NO("t2"));
    hush(&s->t);
    raw_hex(&s->raw, 3, V13_START_WORK_CONN);
    script_run(&s->t);
    EXPECT(&s->t, "raw: s3 fin");
}

/* ---- heartbeats ----------------------------------------------------------------------------- */

static void heartbeat(struct scene *s, int interval_s, int timeout_s)
{
    s->t.client_cfg.heartbeat_interval_s = interval_s;
    s->t.client_cfg.heartbeat_timeout_s = timeout_s;
    log_in(s, 0);
}

static void no_interval_no_heartbeat(void **state)
{
    for (int interval = -1; interval <= 0; interval++) {
        struct scene *s = scene_new(SIDE_SERVER);

        heartbeat(s, interval, 1);
        script_advance(&s->t, 300 * 1000);
        EXPECT_NOTHING(&s->t);
        scene_end(s);
    }
}

static void pings_leave_at_once_and_then_by_the_interval(void **state)
{
    struct scene *s = *state;

    heartbeat(s, 30, 90);
    script_advance(&s->t, 100);
    EXPECT(&s->t, "raw: s1 Ping {}");
    for (int i = 0; i < 20; i++) {
        raw_say(&s->raw, 1, '4', "{}");
        script_advance(&s->t, 29900);
        EXPECT_NOTHING(&s->t);
        script_advance(&s->t, 100);
        EXPECT(&s->t, "raw: s1 Ping {}");
    }
}

/* The exact bytes of V16's beginning: the IV, then a Ping under the token's key. */
static void a_ping_is_v16(void **state)
{
    struct scene *s = *state;
    uint8_t wanted[64];
    size_t len = raw_from_hex(wanted, "00000000000000010000001b" V16_PING);

    heartbeat(s, 30, 90);
    assert_int_equal(wire_under_way(&s->t.wire[SIDE_SERVER]), 0);
    script_tick(&s->t, 100);
    script_pull(&s->t, SIDE_CLIENT);
    assert_int_equal(wire_under_way(&s->t.wire[SIDE_SERVER]), len);
    assert_memory_equal(s->t.wire[SIDE_SERVER].data, wanted, len);
}

static void the_scope_puts_a_key_into_each_ping(void **state)
{
    struct scene *s = *state;
    char key[RAW_KEY_SIZE];

    s->t.client_cfg.scopes = SCOPE_HEARTBEATS;
    heartbeat(s, 30, -1);
    script_advance(&s->t, 100);
    EXPECT(&s->t, "raw: s1 Ping {\"privilege_key\":\"22bd6333f840eeeee03ad14f75fd96ac\","
                  "\"timestamp\":1700000000}");
    for (int i = 1; i <= 3; i++) {
        char line[128];

        script_advance(&s->t, 30 * 1000);
        snprintf(line, sizeof(line), "raw: s1 Ping {\"privilege_key\":\"%s\",\"timestamp\":%d}",
                 raw_privilege_key(key, SCRIPT_WALL_S + 30 * i), SCRIPT_WALL_S + 30 * i);
        EXPECT(&s->t, line);
    }
}

static void a_lost_pong_ends_the_session(void **state)
{
    struct scene *s = *state;

    heartbeat(s, 30, 90);
    script_advance(&s->t, 60 * 1000);
    raw_say(&s->raw, 1, '4', "{}");
    script_run(&s->t); /* the last that is heard, 60 s in */
    hush(&s->t);
    script_advance(&s->t, 90 * 1000);
    EXPECT(&s->t, "raw: s1 Ping {}", "raw: s1 Ping {}", "raw: s1 Ping {}");
    script_advance(&s->t, 100);
    assert_true(s->t.end[SIDE_CLIENT].ended);
    assert_int_equal(s->t.end[SIDE_CLIENT].why, REASON_HEARTBEAT_TIMEOUT);
}

static void no_timeout_no_end(void **state)
{
    for (int timeout = -1; timeout <= 0; timeout++) {
        struct scene *s = scene_new(SIDE_SERVER);

        heartbeat(s, 30, timeout);
        script_advance(&s->t, 600 * 1000);
        assert_true(client_session_logged_in(s->t.client));
        hush(&s->t);
        scene_end(s);
    }
}

static void only_a_pong_counts_as_an_answer(void **state)
{
    struct scene *s = *state;

    heartbeat(s, 10, 20);
    for (int i = 0; i < 3 && !s->t.end[SIDE_CLIENT].ended; i++) {
        raw_say(&s->raw, 1, '4', "null");
        script_advance(&s->t, 10 * 1000);
    }
    assert_true(s->t.end[SIDE_CLIENT].ended);
}

static void a_refused_ping_ends_the_session(void **state)
{
    struct scene *s = *state;

    heartbeat(s, 30, 90);
    script_advance(&s->t, 100);
    hush(&s->t);
    raw_say(&s->raw, 1, '4',
            "{\"error\":\"token in heartbeat doesn't match token from configuration\"}");
    script_run(&s->t);
    EXPECT(&s->t, "client: ended, auth-failed: the server refused a heartbeat: token in heartbeat "
                  "doesn't match token from configuration");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, with_raw_server, after)
    const struct CMUnitTest tests[] = {
        TEST(all_are_asked_for_at_once_in_order),
        TEST(without_proxies_a_login_is_all),
        TEST(an_answer_nobody_waits_for_is_ignored),
        TEST(silence_is_asked_again_after_twenty_seconds),
        TEST(a_name_that_fits_no_message_is_an_error),
        TEST(a_refused_port_is_tried_again_ever_more_slowly),
        TEST(each_on_its_own_when_fate_is_not_shared),
        TEST(fate_shared_and_the_second_refused),
        TEST(fate_shared_and_the_first_refused),
        TEST(fate_shared_and_both_refused),
        TEST(a_confirmation_forgives_earlier_refusals),
        TEST(fate_shared_and_an_old_answer_comes_late),
        TEST(fate_shared_and_an_old_answer_never_comes),
        TEST(a_late_success_behind_a_refusal_is_taken_back),
        TEST(fate_shared_and_no_answer_is_asked_again),
        TEST(users_of_a_proxy_taken_back_are_let_go),
        cmocka_unit_test(no_interval_no_heartbeat),
        TEST(pings_leave_at_once_and_then_by_the_interval),
        TEST(a_ping_is_v16),
        TEST(the_scope_puts_a_key_into_each_ping),
        TEST(a_lost_pong_ends_the_session),
        cmocka_unit_test(no_timeout_no_end),
        TEST(only_a_pong_counts_as_an_answer),
        TEST(a_refused_ping_ends_the_session),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
