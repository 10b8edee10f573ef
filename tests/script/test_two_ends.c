/* Both real ends, joined by a wire that the script rules. */
#include <stdio.h>

#include "expect.h"

static struct script *script_new(void)
{
    struct script *t = mem_zalloc(sizeof(*t));

    script_init(t);
    return t;
}

static void script_end(struct script *t)
{
    assert_true(script_free(t));
    mem_free(t);
}

static int with_script(void **state)
{
    *state = script_new();
    return 0;
}

static int after_script(void **state)
{
    bool clean = script_free(*state);

    mem_free(*state);
    return clean ? 0 : -1;
}

static void begin_both(struct script *t)
{
    script_begin(t, SIDE_SERVER);
    script_begin(t, SIDE_CLIENT);
}

/* Both ends up, the proxies confirmed, nothing of it left to read. */
static void both_up(struct script *t)
{
    begin_both(t);
    script_run(t);
    assert_true(client_session_ready(t->client));
    hush(t);
}

/* ---- good days ------------------------------------------------------------------------------ */

static void play_everything(struct script *t)
{
    t->client_cfg.n_proxies = 2;
    begin_both(t);
    script_run(t);
    EXPECT(t, "server: login of h, user \"\", run_id \"\", mlgate",
           "client: logged in as 0123456789abcdef at 0.70.1, mlgate",
           "server: asked for tcp t1 on 6000", "server: asked for tcp t2 on 6001",
           "client: proxy 0 :6000", "client: proxy 1 :6001");
    script_user(t);
    script_run(t);
    EXPECT(t, "server: user 0 gets s3",
           "client: s3 is a user of 0, 192.0.2.7:40000 to 198.51.100.1:6000");
    script_user_says(t, 0, "GET /");
    script_run(t);
    script_service_says(t, 0, "200 OK");
    script_run(t);
    EXPECT(t, "client: s3 hears \"GET /\"", "server: user 0 hears \"200 OK\"");
    script_user_ends(t, 0);
    script_run(t);
    EXPECT(t, "client: s3 fin");
    client_session_leave(t->client);
    script_run(t);
    EXPECT(t, "server: t1 is taken back", "server: t2 is taken back");
    assert_int_equal(mux_stream_count(t->end[SIDE_CLIENT].mux), 2); /* control, one in the pool */
}

static void a_whole_session_in_any_portions(void **state)
{
    static const size_t steps[] = {0, 1, 2, 5, 12, 100};

    for (size_t i = 0; i < COUNT(steps); i++) {
        struct script *t = script_new();

        t->step = steps[i];
        play_everything(t);
        script_end(t);
    }
}

static void a_whole_session_through_a_narrow_pipe(void **state)
{
    for (size_t room = 1; room <= 64; room++) {
        struct script *t = script_new();

        t->room[SIDE_CLIENT] = room;
        t->room[SIDE_SERVER] = room;
        play_everything(t);
        script_end(t);
    }
}

static void a_login_over_a_long_way(void **state)
{
    struct script *t = *state;

    t->wire[SIDE_CLIENT].delay_us = 2400 * 1000;
    t->wire[SIDE_SERVER].delay_us = 2400 * 1000;
    begin_both(t);
    script_run(t);
    EXPECT_NOTHING(t);
    script_advance(t, 4900);
    EXPECT(t, "server: login of h, user \"\", run_id \"\", mlgate",
           "client: logged in as 0123456789abcdef at 0.70.1, mlgate");
    script_advance(t, 4900);
    EXPECT(t, "server: asked for tcp t1 on 6000", "client: proxy 0 :6000");
    assert_true(client_session_ready(t->client));
}

static void expect_all_served(struct script *t, unsigned n)
{
    assert_int_equal(t->n_works, n);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(t->users[i].served, 1);
}

/* More than may be opened unacknowledged; nobody waits for a tick. */
static void three_hundred_users_at_once(void **state)
{
    struct script *t = *state;

    both_up(t);
    t->quiet = true;
    for (int i = 0; i < 300; i++)
        script_user(t);
    script_run(t);
    expect_all_served(t, 300);
    for (unsigned i = 0; i < 300; i++) {
        script_user_ends(t, i);
        script_service_ends(t, i);
    }
    script_run(t);
    assert_int_equal(mux_stream_count(t->end[SIDE_CLIENT].mux), 2);
    assert_int_equal(mux_stream_count(t->end[SIDE_SERVER].mux), 2);
}

static void users_one_after_the_other(void **state)
{
    struct script *t = *state;

    both_up(t);
    t->quiet = true;
    for (unsigned i = 0; i < 1000; i++) {
        script_user(t);
        script_run(t);
        assert_int_equal(t->users[i].served, 1);
        script_service_ends(t, i);
        script_run(t);
        if (i % 10 == 0)
            script_advance(t, 100);
    }
    assert_int_equal(t->n_works, 1000);
    assert_int_equal(mux_stream_count(t->end[SIDE_SERVER].mux), 2);
}

/* The server listens before its answer is there. */
static void a_user_before_the_answer(void **state)
{
    struct script *t = *state;

    t->hold_answers = true;
    begin_both(t);
    script_run(t);
    script_user(t);
    script_run(t);
    assert_int_equal(t->n_works, 1);
    server_session_answer(t->server, "t1", ":6000", "");
    script_run(t);
    assert_true(client_session_ready(t->client));
    hush(t);
}

static void the_run_id_is_said_again(void **state)
{
    struct script *t = *state;

    both_up(t);
    script_drop(t, SIDE_CLIENT);
    script_drop(t, SIDE_SERVER);
    hush(t);
    t->identity.run_id = "0123456789abcdef";
    begin_both(t);
    script_run(t);
    EXPECT(t, "server: login of h, user \"\", run_id \"0123456789abcdef\", mlgate",
           "client: logged in as 0123456789abcdef at 0.70.1, mlgate",
           "server: asked for tcp t1 on 6000", "client: proxy 0 :6000");
}

static void a_thousand_sessions_leave_nothing_behind(void **state)
{
    for (int i = 0; i < 1000; i++) {
        struct script *t = script_new();

        both_up(t);
        script_user(t);
        script_run(t);
        hush(t);
        script_end(t);
    }
}

/* ---- bad days ------------------------------------------------------------------------------- */

static void different_tokens(void **state)
{
    struct script *t = *state;

    t->client_cfg.token = (char *)(uintptr_t) "other";
    begin_both(t);
    script_run(t);
    EXPECT(t, "server: ended, auth-failed: token in login doesn't match token from configuration",
           "client: ended, auth-failed: the server refused the login: token in login doesn't match "
           "token from configuration");
}

static void different_tokens_and_a_server_of_few_words(void **state)
{
    struct script *t = *state;

    t->client_cfg.token = (char *)(uintptr_t) "";
    t->server_cfg.detailed_errors = false;
    begin_both(t);
    script_run(t);
    EXPECT(t, "server: ended, auth-failed: token in login doesn't match token from configuration",
           "client: ended, login-refused: the server refused the login: register control error");
}

static void a_clock_twenty_minutes_off(void **state)
{
    struct script *t = *state;

    t->client_skew_s = -1200;
    begin_both(t);
    script_run(t);
    assert_int_equal(t->end[SIDE_SERVER].why, REASON_CLOCK_SKEW);
    assert_int_equal(t->end[SIDE_CLIENT].why, REASON_LOGIN_REFUSED);
    assert_non_null(strstr(script_take(t), "the server refused the login: the login's clock is "
                                           "1200 s behind the server's, more than the 900 s "
                                           "allowed: set the clock (NTP)"));
}

static void scopes_on_both_ends(void **state)
{
    struct script *t = *state;

    t->client_cfg.scopes = SCOPE_HEARTBEATS | SCOPE_NEW_WORK_CONNS;
    t->server_cfg.scopes = SCOPE_HEARTBEATS | SCOPE_NEW_WORK_CONNS;
    t->client_cfg.heartbeat_interval_s = 5;
    t->client_cfg.heartbeat_timeout_s = 15;
    t->server_cfg.heartbeat_timeout_s = 15;
    both_up(t);
    script_advance(t, 120 * 1000);
    script_user(t);
    script_run(t);
    EXPECT(t, "server: user 0 gets s3",
           "client: s3 is a user of 0, 192.0.2.7:40000 to 198.51.100.1:6000");
}

static void the_heartbeat_scope_on_one_end_only(void **state)
{
    struct script *t = *state;

    t->server_cfg.scopes = SCOPE_HEARTBEATS;
    t->client_cfg.heartbeat_interval_s = 5;
    both_up(t);
    script_advance(t, 200);
    EXPECT(t, "client: ended, auth-failed: the server refused a heartbeat: token in heartbeat "
              "doesn't match token from configuration");
    assert_true(server_session_logged_in(t->server));
}

static void the_work_scope_on_one_end_only(void **state)
{
    struct script *t = *state;

    t->server_cfg.scopes = SCOPE_NEW_WORK_CONNS;
    both_up(t);
    script_user(t);
    script_advance(t, 60 * 1000);
    assert_non_null(strstr(script_take(t), "client: work connection turned down: token in "
                                           "NewWorkConn doesn't match token from configuration"));
    assert_int_equal(t->users[0].served, 0); /* it waits for its own limit */
    assert_true(client_session_ready(t->client));
    assert_int_equal(mux_stream_count(t->end[SIDE_CLIENT].mux), 1);
}

static void silence_of_the_peer_is_noticed_by_heartbeats(void **state)
{
    struct script *t = *state;

    t->client_cfg.heartbeat_interval_s = 10;
    t->client_cfg.heartbeat_timeout_s = 30;
    t->server_cfg.heartbeat_timeout_s = 40;
    both_up(t);
    script_advance(t, 15 * 1000);
    t->wire[SIDE_CLIENT].cut = true;
    t->wire[SIDE_SERVER].cut = true;
    script_advance(t, 60 * 1000);
    EXPECT(t, "client: ended, heartbeat-timeout: the server answers no heartbeat",
           "server: ended, heartbeat-timeout: the client sends no heartbeat");
}

/* A network that stands still and then delivers everything: nothing is lost. */
static void a_frozen_network_thaws(void **state)
{
    struct script *t = *state;

    both_up(t);
    script_user(t);
    script_run(t);
    hush(t);
    t->wire[SIDE_CLIENT].frozen = true;
    t->wire[SIDE_SERVER].frozen = true;
    script_user_says(t, 0, "question");
    script_service_says(t, 0, "answer");
    script_user(t);
    script_advance(t, 30 * 1000);
    t->wire[SIDE_CLIENT].frozen = false;
    t->wire[SIDE_SERVER].frozen = false;
    script_run(t);
    EXPECT(t, "server: user 1 gets s5", "server: user 0 hears \"answer\"",
           "client: s3 hears \"question\"",
           "client: s5 is a user of 0, 192.0.2.7:40000 to 198.51.100.1:6000");
    assert_true(client_session_ready(t->client));
    assert_true(server_session_logged_in(t->server));
}

static void a_go_away_keeps_what_runs(void **state)
{
    struct script *t = *state;

    both_up(t);
    script_user(t);
    script_run(t);
    hush(t);
    mux_go_away(t->end[SIDE_SERVER].mux);
    script_run(t);
    script_user(t); /* the last one in the pool */
    script_user(t);
    script_advance(t, 30 * 1000);
    script_user_says(t, 0, "still here");
    script_run(t);
    EXPECT(t, "server: user 1 gets s5",
           "client: s5 is a user of 0, 192.0.2.7:40000 to 198.51.100.1:6000",
           "client: s3 hears \"still here\"");
    assert_false(t->end[SIDE_CLIENT].mux_failed || t->end[SIDE_SERVER].mux_failed);
}

/* Fate sharing seen from the server: whatever it refuses, in the end nothing half is registered. */
static void one_refused_port_takes_the_other_back(void **state)
{
    for (int refused = 0; refused <= 1; refused++) {
        struct script *t = script_new();

        t->client_cfg.fate_shared = true;
        t->client_cfg.n_proxies = 2;
        t->proxy_refusal[refused] = "port already used";
        begin_both(t);
        script_run(t);
        hush(t);
        assert_false(client_session_ready(t->client));
        script_advance(t, 1100);
        assert_non_null(strstr(script_take(t),
                               refused ? "server: t1 is taken back" : "server: t2 is taken back"));
        t->proxy_refusal[refused] = NULL;
        script_advance(t, 2100);
        assert_true(client_session_ready(t->client));
        hush(t);
        script_end(t);
    }
}

/* ---- an end after every byte ---------------------------------------------------------------- */

/* Moves exactly `bytes` bytes one by one, up and down in turns; returns how many there were. */
static size_t crawl(struct script *t, size_t bytes)
{
    size_t moved = 0;

    while (moved < bytes) {
        size_t before = moved;

        script_pull(t, SIDE_CLIENT);
        moved += script_deliver(t, SIDE_SERVER, 1);
        script_pull(t, SIDE_SERVER);
        if (moved < bytes)
            moved += script_deliver(t, SIDE_CLIENT, 1);
        if (moved == before)
            break;
    }
    return moved;
}

static size_t begin_and_crawl(struct script *t, size_t bytes)
{
    size_t moved;

    t->quiet = true;
    begin_both(t);
    script_user(t);
    moved = crawl(t, bytes);
    script_user_says(t, 0, "hello");
    return moved;
}

static void everything_can_be_freed_after_every_byte(void **state)
{
    for (size_t n = 0;; n++) {
        struct script *t = script_new();
        bool all = begin_and_crawl(t, n) < n;

        script_end(t);
        if (all)
            return;
    }
}

static void each_end_notices_that_the_other_is_gone(void **state)
{
    for (size_t n = 0;; n++) {
        struct script *t = script_new();
        bool all = begin_and_crawl(t, n) < n;
        enum script_side gone = n % 2 ? SIDE_CLIENT : SIDE_SERVER;
        struct script_end *left = &t->end[1 - gone];
        bool knows = gone == SIDE_SERVER || server_session_logged_in(t->server);

        script_drop(t, gone);
        mux_close(left->mux);
        assert_true(left->ended || !knows);
        assert_int_equal(left->ended ? left->why : REASON_PEER_GONE, REASON_PEER_GONE);
        script_end(t);
        if (all)
            return;
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, with_script, after_script)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_session_in_any_portions),
        cmocka_unit_test(a_whole_session_through_a_narrow_pipe),
        TEST(a_login_over_a_long_way),
        TEST(three_hundred_users_at_once),
        TEST(users_one_after_the_other),
        TEST(a_user_before_the_answer),
        TEST(the_run_id_is_said_again),
        cmocka_unit_test(a_thousand_sessions_leave_nothing_behind),
        TEST(different_tokens),
        TEST(different_tokens_and_a_server_of_few_words),
        TEST(a_clock_twenty_minutes_off),
        TEST(scopes_on_both_ends),
        TEST(the_heartbeat_scope_on_one_end_only),
        TEST(the_work_scope_on_one_end_only),
        TEST(silence_of_the_peer_is_noticed_by_heartbeats),
        TEST(a_frozen_network_thaws),
        TEST(a_go_away_keeps_what_runs),
        cmocka_unit_test(one_refused_port_takes_the_other_back),
        cmocka_unit_test(everything_can_be_freed_after_every_byte),
        cmocka_unit_test(each_end_notices_that_the_other_is_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
