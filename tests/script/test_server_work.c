/* Work connections as the server sees them: asked for, pooled, refused, given to users. The client
 * is played by hand. */
#include <inttypes.h>
#include <stdio.h>

#include "expect.h"

#define WORK_ASKED "raw: s1 ReqWorkConn {}"
#define START_FOR_T1(stream)                                                                       \
    "raw: " stream " StartWorkConn {\"proxy_name\":\"t1\",\"src_addr\":\"192.0.2.7\","             \
    "\"dst_addr\":\"198.51.100.1\",\"src_port\":40000,\"dst_port\":6000}"

enum { POOL_SURPLUS = 10 };

/* Logged in with V10's key; `pool` is what the client says of its pool. */
static void log_in(struct scene *s, int64_t pool)
{
    char json[256];

    snprintf(json, sizeof(json),
             "{\"hostname\":\"h\",\"privilege_key\":\"22bd6333f840eeeee03ad14f75fd96ac\","
             "\"timestamp\":1700000000,\"pool_count\":%" PRId64 "}",
             pool);
    script_begin(&s->t, SIDE_SERVER);
    raw_open(&s->raw, 1);
    raw_say(&s->raw, 1, 'o', json);
    script_run(&s->t);
}

static void offer(struct scene *s, uint32_t id)
{
    raw_open(&s->raw, id);
    raw_hex(&s->raw, id, V13_NEW_WORK_CONN);
    script_run(&s->t);
}

/* ---- the pool ------------------------------------------------------------------------------- */

static void the_pool_is_asked_for_right_behind_the_login(void **state)
{
    static const struct {
        int64_t says;
        int most;
        unsigned asked;
    } table[] = {
        {0, 5, 0},       {1, 5, 1},  {5, 5, 5},          {6, 5, 5},         {100, 5, 5},
        {100, 200, 100}, {-1, 5, 0}, {-11, 5, 0},        {INT64_MIN, 5, 0}, {INT64_MAX, 5, 5},
        {7, 0, 0},       {7, -3, 0}, {INT64_MIN, -1, 0}, {1, 1, 1},         {INT64_MAX, 0, 0},
    };

    for (size_t i = 0; i < COUNT(table); i++) {
        struct scene *s = scene_new(SIDE_CLIENT);

        s->t.server_cfg.max_pool_count = table[i].most;
        s->raw.counted = 'r';
        log_in(s, table[i].says);
        script_advance(&s->t, 5000);
        if (s->raw.count != table[i].asked)
            fail_msg("row %zu: asked %u times", i, s->raw.count);
        assert_true(server_session_logged_in(s->t.server));
        hush(&s->t);
        scene_end(s);
    }
}

static void connections_beyond_the_pool_are_refused(void **state)
{
    for (int detailed = 0; detailed <= 1; detailed++) {
        struct scene *s = scene_new(SIDE_CLIENT);
        uint32_t id = 3;

        s->t.server_cfg.detailed_errors = detailed;
        log_in(s, 1);
        hush(&s->t);
        for (; id < 3 + 2 * (1 + POOL_SURPLUS); id += 2) {
            char line[32];

            offer(s, id);
            snprintf(line, sizeof(line), "raw: s%u ack", id);
            EXPECT(&s->t, line);
        }
        offer(s, id);
        EXPECT(&s->t, "raw: s25 ack",
               detailed ? "raw: s25 StartWorkConn {\"error\":\"work connection pool is full, "
                          "discarding\"}"
                        : "raw: s25 StartWorkConn {\"error\":\"invalid NewWorkConn\"}",
               "raw: s25 fin");
        scene_end(s);
    }
}

static void a_connection_that_dies_in_the_pool_is_replaced(void **state)
{
    for (int reset = 0; reset <= 1; reset++) {
        struct scene *s = scene_new(SIDE_CLIENT);

        log_in(s, 1);
        offer(s, 3);
        hush(&s->t);
        if (reset)
            raw_rst(&s->raw, 3);
        else
            raw_fin(&s->raw, 3);
        script_run(&s->t);
        if (!reset)
            EXPECT(&s->t, "raw: s3 fin");
        script_advance(&s->t, SCRIPT_TICK_MS);
        EXPECT(&s->t, WORK_ASKED);
        script_user(&s->t);
        script_run(&s->t);
        EXPECT(&s->t, WORK_ASKED);
        offer(s, 5);
        EXPECT(&s->t, "server: user 0 gets s5", "raw: s5 ack", START_FOR_T1("s5"));
        scene_end(s);
    }
}

static void a_connection_that_speaks_in_the_pool_is_reset(void **state)
{
    struct scene *s = *state;

    log_in(s, 1);
    offer(s, 3);
    hush(&s->t);
    raw_bytes(&s->raw, 3, "x", 1);
    script_run(&s->t);
    EXPECT(&s->t, "raw: s3 rst");
    script_advance(&s->t, SCRIPT_TICK_MS);
    EXPECT(&s->t, WORK_ASKED);
    raw_open(&s->raw, 5);
    raw_hex(&s->raw, 5, V13_NEW_WORK_CONN "78");
    script_run(&s->t);
    EXPECT(&s->t, "raw: s5 ack fin"); /* the same in one frame */
    assert_true(server_session_logged_in(s->t.server));
}

static void what_does_not_come_is_asked_for_anew(void **state)
{
    struct scene *s = *state;

    log_in(s, 2);
    hush(&s->t);
    script_advance(&s->t, 10 * 1000);
    EXPECT_NOTHING(&s->t);
    script_advance(&s->t, SCRIPT_TICK_MS);
    EXPECT(&s->t, WORK_ASKED, WORK_ASKED);
    offer(s, 3);
    hush(&s->t);
    script_advance(&s->t, 10 * 1000 + SCRIPT_TICK_MS);
    EXPECT(&s->t, WORK_ASKED);
}

/* Streams without a first message: as many as were asked for and some more. */
static void first_messages_under_way_are_bounded(void **state)
{
    for (unsigned users = 0; users <= 3; users += 3) {
        struct scene *s = scene_new(SIDE_CLIENT);
        uint32_t last = 3 + 2 * (64 + users);
        char line[32];

        log_in(s, 0);
        for (unsigned i = 0; i < users; i++)
            script_user(&s->t);
        script_run(&s->t);
        s->t.quiet = true;
        for (uint32_t id = 3; id < last; id += 2)
            raw_open(&s->raw, id);
        script_run(&s->t);
        s->t.quiet = false;
        hush(&s->t);
        raw_open(&s->raw, last);
        script_run(&s->t);
        snprintf(line, sizeof(line), "raw: s%u rst", last);
        EXPECT(&s->t, line);
        raw_rst(&s->raw, last - 2);
        raw_open(&s->raw, last + 2);
        script_run(&s->t);
        assert_null(strstr(script_take(&s->t), "rst"));
        scene_end(s);
    }
}

/* ---- proofs --------------------------------------------------------------------------------- */

static void a_run_id_alone_must_be_the_logins(void **state)
{
    static const struct {
        const char *json;
        const char *said;
    } table[] = {
        {"{\"run_id\":\"0123456789abcdee\"}",
         "no client control found for run id [0123456789abcdee]"},
        {"{\"run_id\":\"0123456789abcdef0\"}",
         "no client control found for run id [0123456789abcdef0]"},
        {"{\"run_id\":\"\"}", "no client control found for run id []"},
        {"{}", "no client control found for run id []"},
        {"{\"run_id\":\"a\\nb\"}", "no client control found for run id [a\\\\x0ab]"},
    };

    for (size_t i = 0; i < COUNT(table); i++) {
        struct scene *s = scene_new(SIDE_CLIENT);
        char line[256];

        log_in(s, 0);
        hush(&s->t);
        raw_open(&s->raw, 3);
        raw_say(&s->raw, 3, 'w', table[i].json);
        script_run(&s->t);
        snprintf(line, sizeof(line), "raw: s3 StartWorkConn {\"error\":\"%s\"}", table[i].said);
        EXPECT(&s->t, "raw: s3 ack", line, "raw: s3 fin");
        scene_end(s);
    }
}

static void a_long_foreign_run_id_is_cut_in_the_answer(void **state)
{
    struct scene *s = *state;
    char json[9000];

    log_in(s, 0);
    hush(&s->t);
    snprintf(json, sizeof(json), "{\"run_id\":\"%08900d\"}", 0);
    raw_open(&s->raw, 3);
    raw_say(&s->raw, 3, 'w', json);
    script_run(&s->t);
    assert_in_range(strlen(script_take(&s->t)), 50, 300);
}

static void the_scope_demands_a_key(void **state)
{
    static const struct {
        const char *more;
        bool good;
    } table[] = {
        {",\"privilege_key\":\"22bd6333f840eeeee03ad14f75fd96ac\",\"timestamp\":1700000000", true},
        {",\"privilege_key\":\"22bd6333f840eeeee03ad14f75fd96ac\",\"timestamp\":1700000001", false},
        {",\"privilege_key\":\"\",\"timestamp\":1700000000", false},
        {"", false},
    };

    for (size_t i = 0; i < COUNT(table); i++) {
        struct scene *s = scene_new(SIDE_CLIENT);
        char json[256];

        s->t.server_cfg.scopes = SCOPE_NEW_WORK_CONNS;
        log_in(s, 0);
        script_user(&s->t);
        script_run(&s->t);
        hush(&s->t);
        snprintf(json, sizeof(json), "{\"run_id\":\"0123456789abcdef\"%s}", table[i].more);
        raw_open(&s->raw, 3);
        raw_say(&s->raw, 3, 'w', json);
        script_run(&s->t);
        if (table[i].good)
            EXPECT(&s->t, "server: user 0 gets s3", "raw: s3 ack", START_FOR_T1("s3"));
        else
            EXPECT(&s->t, "raw: s3 ack",
                   "raw: s3 StartWorkConn {\"error\":\"token in NewWorkConn doesn't match token "
                   "from configuration\"}",
                   "raw: s3 fin");
        scene_end(s);
    }
}

/* ---- users ---------------------------------------------------------------------------------- */

/* StartWorkConn is V13 byte by byte, in one data frame. */
static void a_user_is_started_with_v13(void **state)
{
    struct scene *s = *state;
    struct wire *w = &s->t.wire[SIDE_CLIENT];
    uint8_t wanted[256];
    size_t len = raw_from_hex(wanted, "000100020000000300000000"
                                      "00000000000000030000006e" V13_START_WORK_CONN);

    log_in(s, 0);
    script_user(&s->t);
    script_run(&s->t);
    raw_open(&s->raw, 3);
    raw_hex(&s->raw, 3, V13_NEW_WORK_CONN);
    script_deliver(&s->t, SIDE_SERVER, SIZE_MAX);
    script_pull(&s->t, SIDE_SERVER);
    assert_int_equal(wire_under_way(w), len);
    assert_memory_equal(w->data, wanted, len);
}

static void a_pooled_connection_serves_at_once_and_is_refilled(void **state)
{
    struct scene *s = *state;

    log_in(s, 1);
    offer(s, 3);
    hush(&s->t);
    script_user(&s->t);
    script_run(&s->t);
    EXPECT(&s->t, "server: user 0 gets s3", START_FOR_T1("s3"), WORK_ASKED);
    script_user_says(&s->t, 0, "hello");
    raw_bytes(&s->raw, 3, "220 ready", 9);
    script_run(&s->t);
    EXPECT(&s->t, "server: user 0 hears \"220 ready\"", "raw: s3 hears \"hello\"");
    raw_fin(&s->raw, 3);
    script_run(&s->t);
    EXPECT(&s->t, "server: user 0 fin", "raw: s3 fin");
}

static void a_new_work_conn_cut_at_every_byte(void **state)
{
    size_t total = 1;

    for (size_t cut = 0; cut < total; cut++) {
        struct scene *s = scene_new(SIDE_CLIENT);

        log_in(s, 0);
        script_user(&s->t);
        script_run(&s->t);
        hush(&s->t);
        raw_open(&s->raw, 3);
        raw_hex(&s->raw, 3, V13_NEW_WORK_CONN);
        total = wire_under_way(&s->t.wire[SIDE_SERVER]);
        script_deliver(&s->t, SIDE_SERVER, cut);
        script_run(&s->t);
        EXPECT(&s->t, "server: user 0 gets s3", "raw: s3 ack", START_FOR_T1("s3"));
        scene_end(s);
    }
    assert_true(total > 60);
}

static void first_come_first_served(void **state)
{
    struct scene *s = *state;

    log_in(s, 0);
    for (int i = 0; i < 3; i++)
        script_user(&s->t);
    script_run(&s->t);
    hush(&s->t);
    offer(s, 7);
    offer(s, 3);
    offer(s, 5);
    EXPECT(&s->t, "server: user 0 gets s7", "raw: s7 ack", START_FOR_T1("s7"),
           "server: user 1 gets s3", "raw: s3 ack", START_FOR_T1("s3"), "server: user 2 gets s5",
           "raw: s5 ack", START_FOR_T1("s5"));
}

static void the_oldest_connection_goes_first(void **state)
{
    struct scene *s = *state;

    log_in(s, 2);
    offer(s, 5);
    offer(s, 3);
    hush(&s->t);
    script_user(&s->t);
    script_user(&s->t);
    EXPECT(&s->t, "server: user 0 gets s5", "server: user 1 gets s3");
}

static void an_unasked_connection_is_welcome(void **state)
{
    struct scene *s = *state;

    log_in(s, 0);
    offer(s, 3);
    hush(&s->t);
    script_user(&s->t);
    script_run(&s->t);
    EXPECT(&s->t, "server: user 0 gets s3", START_FOR_T1("s3"));
    script_user(&s->t);
    script_run(&s->t);
    EXPECT(&s->t, WORK_ASKED);
}

static void who_left_is_not_served(void **state)
{
    struct scene *s = *state;

    log_in(s, 0);
    for (int i = 0; i < 3; i++)
        script_user(&s->t);
    script_user_leaves(&s->t, 1);
    script_user_leaves(&s->t, 1);
    script_run(&s->t);
    hush(&s->t);
    offer(s, 3);
    offer(s, 5);
    offer(s, 7);
    EXPECT(&s->t, "server: user 0 gets s3", "raw: s3 ack", START_FOR_T1("s3"),
           "server: user 2 gets s5", "raw: s5 ack", START_FOR_T1("s5"), "raw: s7 ack");
    script_user_leaves(&s->t, 0); /* served already: without effect */
    script_user(&s->t);
    EXPECT(&s->t, "server: user 3 gets s7");
}

static void who_leaves_and_comes_back_is_served_once(void **state)
{
    struct scene *s = *state;

    log_in(s, 0);
    script_user(&s->t);
    script_user_leaves(&s->t, 0);
    s->t.users[0].wanted = true;
    server_session_want(s->t.server, &s->t.users[0].want);
    script_run(&s->t);
    offer(s, 3);
    offer(s, 5);
    assert_int_equal(s->t.users[0].served, 1);
    hush(&s->t);
}

static void three_hundred_users_at_once(void **state)
{
    struct scene *s = *state;

    log_in(s, 1);
    hush(&s->t);
    s->raw.counted = 'r';
    s->t.quiet = true;
    for (int i = 0; i < 300; i++)
        script_user(&s->t);
    script_run(&s->t);
    assert_int_equal(s->raw.count, 300); /* and the one behind the login */
    for (uint32_t id = 3; id < 3 + 2 * 301; id += 2)
        offer(s, id);
    for (int i = 0; i < 300; i++)
        assert_int_equal(s->t.users[i].served, 1);
    script_advance(&s->t, 60 * 1000);
    assert_int_equal(s->raw.count, 300); /* the pool of one is full again */
}

/* Their connections come, but for other users that left meanwhile: the pool keeps some. */
static void three_hundred_users_who_leave(void **state)
{
    struct scene *s = *state;
    uint32_t id = 3;

    log_in(s, 1);
    s->t.quiet = true;
    for (int i = 0; i < 300; i++)
        script_user(&s->t);
    for (unsigned i = 0; i < 300; i++)
        script_user_leaves(&s->t, i);
    for (; id < 3 + 2 * 301; id += 2)
        offer(s, id);
    s->t.quiet = false;
    for (int i = 300; i < 300 + 1 + POOL_SURPLUS; i++)
        assert_int_equal(s->t.users[script_user(&s->t)].served, 1);
    assert_int_equal(s->t.users[script_user(&s->t)].served, 0);
    hush(&s->t);
}

static void users_of_a_session_that_ends_are_left_alone(void **state)
{
    struct scene *s = *state;

    log_in(s, 0);
    script_user(&s->t);
    script_user(&s->t);
    raw_fin(&s->raw, 1);
    script_run(&s->t);
    script_drop(&s->t, SIDE_SERVER);
    assert_true(list_empty(&s->t.users[0].want.node)); /* free for the next session */
    assert_true(list_empty(&s->t.users[1].want.node));
    assert_int_equal(s->t.users[0].served + s->t.users[1].served, 0);
    hush(&s->t);
}

static void a_served_user_outlives_the_control_stream(void **state)
{
    struct scene *s = *state;

    log_in(s, 1);
    offer(s, 3);
    script_user(&s->t);
    script_run(&s->t);
    hush(&s->t);
    raw_fin(&s->raw, 1);
    raw_bytes(&s->raw, 3, "bye", 3);
    script_run(&s->t);
    EXPECT(&s->t, "server: ended, peer-closed: the client closed its control connection",
           "server: user 0 hears \"bye\"");
    mux_close(s->t.end[SIDE_SERVER].mux);
    EXPECT(&s->t, "server: user 0 reset peer-gone");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, with_raw_client, after)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_pool_is_asked_for_right_behind_the_login),
        cmocka_unit_test(connections_beyond_the_pool_are_refused),
        cmocka_unit_test(a_connection_that_dies_in_the_pool_is_replaced),
        TEST(a_connection_that_speaks_in_the_pool_is_reset),
        TEST(what_does_not_come_is_asked_for_anew),
        cmocka_unit_test(first_messages_under_way_are_bounded),
        cmocka_unit_test(a_run_id_alone_must_be_the_logins),
        TEST(a_long_foreign_run_id_is_cut_in_the_answer),
        cmocka_unit_test(the_scope_demands_a_key),
        TEST(a_user_is_started_with_v13),
        TEST(a_pooled_connection_serves_at_once_and_is_refilled),
        cmocka_unit_test(a_new_work_conn_cut_at_every_byte),
        TEST(first_come_first_served),
        TEST(the_oldest_connection_goes_first),
        TEST(an_unasked_connection_is_welcome),
        TEST(who_left_is_not_served),
        TEST(who_leaves_and_comes_back_is_served_once),
        TEST(three_hundred_users_at_once),
        TEST(three_hundred_users_who_leave),
        TEST(users_of_a_session_that_ends_are_left_alone),
        TEST(a_served_user_outlives_the_control_stream),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
