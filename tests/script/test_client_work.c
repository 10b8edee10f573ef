/* Work connections as the client sees them: asked for, waiting, started, refused. The server is
 * played by hand. */
#include <stdio.h>

#include "expect.h"

#define USER_OF_T1 "client: s3 is a user of 0, 192.0.2.7:40000 to 198.51.100.1:6000"

enum { MAX_IDLE_WORK = 2048 };

/* Logged in; the proxy is asked for and not answered. */
static void log_in(struct scene *s)
{
    script_begin(&s->t, SIDE_CLIENT);
    script_run(&s->t);
    raw_hex(&s->raw, 1, V11_LOGIN_RESP);
    raw_encipher(&s->raw, 1);
    script_run(&s->t);
    hush(&s->t);
}

/* One idle work connection, stream 3. */
static void bring_one(struct scene *s)
{
    log_in(s);
    raw_say(&s->raw, 1, '2', "{\"proxy_name\":\"t1\",\"remote_addr\":\":6000\"}");
    raw_say(&s->raw, 1, 'r', "{}");
    script_run(&s->t);
    hush(&s->t);
}

/* V13 byte by byte, on a stream of its own. */
static void a_work_connection_opens_with_v13(void **state)
{
    struct scene *s = *state;
    uint8_t wanted[128];
    size_t len = raw_from_hex(wanted, "000100010000000300000000"
                                      "000000000000000300000026" V13_NEW_WORK_CONN);
    struct wire *w = &s->t.wire[SIDE_SERVER];

    log_in(s);
    raw_say(&s->raw, 1, 'r', "{}");
    script_deliver(&s->t, SIDE_CLIENT, SIZE_MAX);
    script_pull(&s->t, SIDE_CLIENT);
    assert_int_equal(wire_under_way(w), len);
    assert_memory_equal(w->data, wanted, len);
}

/* The server listens before it answers, so users may come before the client knows. */
static void a_user_may_come_before_the_answer(void **state)
{
    struct scene *s = *state;

    log_in(s);
    raw_say(&s->raw, 1, 'r', "{}");
    script_run(&s->t);
    EXPECT(&s->t, "raw: s3 open", NEW_WORK("s3"));
    raw_hex(&s->raw, 3, V13_START_WORK_CONN);
    script_run(&s->t);
    EXPECT(&s->t, USER_OF_T1);
    raw_say(&s->raw, 1, '2', "{\"proxy_name\":\"t1\",\"remote_addr\":\":6000\"}");
    script_run(&s->t);
    EXPECT(&s->t, "client: proxy 0 :6000");
}

static void play_user(struct scene *s)
{
    uint8_t data[256];
    size_t len = raw_from_hex(data, V13_START_WORK_CONN);

    memcpy(data + len, "GET / HTTP/1.1\r\n", 16);
    raw_bytes(&s->raw, 3, data, len + 16); /* the user's first bytes in the same frame */
    raw_bytes(&s->raw, 3, "\r\n", 2);
    raw_fin(&s->raw, 3);
}

static void early_bytes_follow_the_start(void **state)
{
    static const size_t steps[] = {0, 1, 2, 13, 100};

    for (size_t i = 0; i < COUNT(steps); i++) {
        struct scene *s = scene_new(SIDE_SERVER);

        bring_one(s);
        s->t.step = steps[i];
        play_user(s);
        script_run(&s->t);
        EXPECT(&s->t, USER_OF_T1, "client: s3 hears \"GET / HTTP/1.1\\x0d\\x0a\\x0d\\x0a\"",
               "client: s3 fin", "raw: s3 fin");
        scene_end(s);
    }
}

static void early_bytes_wherever_the_cut_falls(void **state)
{
    size_t total = 1;

    for (size_t cut = 0; cut < total; cut++) {
        struct scene *s = scene_new(SIDE_SERVER);

        bring_one(s);
        play_user(s);
        total = wire_under_way(&s->t.wire[SIDE_CLIENT]);
        script_deliver(&s->t, SIDE_CLIENT, cut);
        script_run(&s->t);
        EXPECT(&s->t, USER_OF_T1, "client: s3 hears \"GET / HTTP/1.1\\x0d\\x0a\\x0d\\x0a\"",
               "client: s3 fin", "raw: s3 fin");
        scene_end(s);
    }
    assert_true(total > 100);
}

static void the_service_answers_its_user(void **state)
{
    struct scene *s = *state;

    bring_one(s);
    raw_hex(&s->raw, 3, V13_START_WORK_CONN);
    script_run(&s->t);
    hush(&s->t);
    s->raw.streams[1]->relay = true;
    script_service_says(&s->t, 0, "220 ready");
    script_run(&s->t);
    EXPECT(&s->t, "raw: s3 hears \"220 ready\"");
    script_service_ends(&s->t, 0);
    script_run(&s->t);
    EXPECT(&s->t, "raw: s3 fin");
    raw_fin(&s->raw, 3);
    script_run(&s->t);
    EXPECT_NOTHING(&s->t);
    assert_int_equal(mux_stream_count(s->t.end[SIDE_CLIENT].mux), 1);
}

/* What may stand where a StartWorkConn is expected. The work connection goes, the session stays. */
static void other_starts_let_the_connection_go(void **state)
{
    static const struct {
        const char *name;
        const char *hex; /* or: */
        char type;
        const char *json;
        const char *told;
    } table[] = {
        {.name = "error",
         .type = 's',
         .json = "{\"error\":\"pool is full\"}",
         .told = "client: work connection turned down: pool is full"},
        {.name = "error for t1",
         .type = 's',
         .json = "{\"proxy_name\":\"t1\",\"error\":\"x\"}",
         .told = "client: work connection turned down: x"},
        {.name = "unknown proxy", .type = 's', .json = "{\"proxy_name\":\"t9\"}"},
        {.name = "no proxy", .type = 's', .json = "{}"},
        {.name = "null", .type = 's', .json = "null"},
        {.name = "port 65536", .type = 's', .json = "{\"proxy_name\":\"t1\",\"src_port\":65536}"},
        {.name = "not JSON", .type = 's', .json = "{\"proxy_name\""},
        {.name = "another message", .type = '4', .json = "{}"},
        {.name = "its own message", .type = 'w', .json = "{}"},
        {.name = "ReqWorkConn", .type = 'r', .json = "{}"},
        {.name = "unknown type", .hex = "00"},
        {.name = "HTTP", .hex = "474554202f20485454502f312e31"},
        {.name = "length -1", .hex = "73ffffffffffffffff"},
        {.name = "length 0", .hex = "730000000000000000"},
        {.name = "length 10241", .hex = "730000000000002801"},
    };

    for (size_t i = 0; i < COUNT(table); i++) {
        struct scene *s = scene_new(SIDE_SERVER);

        bring_one(s);
        if (table[i].hex != NULL)
            raw_hex(&s->raw, 3, table[i].hex);
        else
            raw_say(&s->raw, 3, table[i].type, table[i].json);
        raw_bytes(&s->raw, 3, "more", 4);
        script_run(&s->t);
        if (table[i].told != NULL)
            EXPECT(&s->t, table[i].told, "raw: s3 fin");
        else
            EXPECT(&s->t, "raw: s3 fin");
        assert_true(client_session_ready(s->t.client));
        raw_fin(&s->raw, 3);
        script_run(&s->t);
        assert_int_equal(mux_stream_count(s->t.end[SIDE_CLIENT].mux), 1);
        scene_end(s);
    }
}

static void an_idle_connection_may_end(void **state)
{
    for (int reset = 0; reset <= 1; reset++) {
        struct scene *s = scene_new(SIDE_SERVER);

        bring_one(s);
        if (reset)
            raw_rst(&s->raw, 3);
        else
            raw_fin(&s->raw, 3);
        script_advance(&s->t, 1000);
        if (!reset)
            EXPECT(&s->t, "raw: s3 fin");
        EXPECT_NOTHING(&s->t);
        assert_int_equal(mux_stream_count(s->t.end[SIDE_CLIENT].mux), 1);
        raw_say(&s->raw, 1, 'r', "{}");
        script_run(&s->t);
        EXPECT(&s->t, "raw: s5 open", NEW_WORK("s5"));
        scene_end(s);
    }
}

static void the_scope_puts_a_key_into_each_new_work_conn(void **state)
{
    struct scene *s = *state;
    char key[RAW_KEY_SIZE];
    char line[200];

    s->t.client_cfg.scopes = SCOPE_NEW_WORK_CONNS;
    log_in(s);
    script_advance(&s->t, 7 * 1000);
    raw_say(&s->raw, 1, 'r', "{}");
    script_run(&s->t);
    snprintf(line, sizeof(line),
             "raw: s3 NewWorkConn {\"run_id\":\"0123456789abcdef\",\"privilege_key\":\"%s\","
             "\"timestamp\":%d}",
             raw_privilege_key(key, SCRIPT_WALL_S + 7), SCRIPT_WALL_S + 7);
    EXPECT(&s->t, "raw: s3 open", line);
}

static void behind_the_end_nothing_is_told(void **state)
{
    struct scene *s = *state;

    bring_one(s);
    raw_say(&s->raw, 1, 'r', "{}");
    script_run(&s->t);
    raw_fin(&s->raw, 1);
    script_run(&s->t);
    hush(&s->t);
    raw_hex(&s->raw, 3, V13_START_WORK_CONN);
    raw_say(&s->raw, 5, 's', "{\"error\":\"no\"}");
    script_run(&s->t);
    EXPECT(&s->t, "raw: s3 fin", "raw: s5 fin");
}

/* All bytes of a work connection count for its window, those of StartWorkConn too. */
static void the_start_counts_for_the_window(void **state)
{
    struct scene *s = *state;
    size_t start = strlen(V13_START_WORK_CONN) / 2;
    char *bulk = mem_zalloc(128 * 1024);

    bring_one(s);
    raw_hex(&s->raw, 3, V13_START_WORK_CONN);
    raw_bytes(&s->raw, 3, bulk, 128 * 1024 - start - 1);
    s->t.quiet = true;
    script_run(&s->t);
    s->t.quiet = false;
    EXPECT_NOTHING(&s->t);
    raw_bytes(&s->raw, 3, bulk, 1); /* half the window */
    script_run(&s->t);
    assert_non_null(strstr(script_take(&s->t), "raw: s3 +"));
    mem_free(bulk);
}

/* ---- many ----------------------------------------------------------------------------------- */

static void ask(struct scene *s, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        raw_say(&s->raw, 1, 'r', "{}");
    script_run(&s->t);
}

/* At most 256 opens may be unacknowledged; the rest leaves at the next tick. */
static void three_hundred_at_once(void **state)
{
    struct scene *s = *state;

    log_in(s);
    s->raw.counted = 'w';
    ask(s, 300);
    assert_int_equal(s->raw.count, 256);
    script_advance(&s->t, SCRIPT_TICK_MS);
    assert_int_equal(s->raw.count, 300);
    EXPECT_NOTHING(&s->t);
}

/* Once a user has come over one of them the server has answered, so the rest need not wait. */
static void three_hundred_at_once_with_users(void **state)
{
    struct scene *s = *state;

    log_in(s);
    s->raw.counted = 'w';
    ask(s, 300);
    raw_hex(&s->raw, 3, V13_START_WORK_CONN);
    script_run(&s->t);
    assert_int_equal(s->raw.count, 300);
    EXPECT(&s->t, USER_OF_T1);
}

static void no_more_opens_than_the_backlog_takes(void **state)
{
    struct scene *s = *state;

    log_in(s);
    s->raw.counted = 'w';
    s->raw.no_ack = true;
    ask(s, 300);
    assert_int_equal(s->raw.count, 256);
    script_advance(&s->t, 5000);
    assert_int_equal(s->raw.count, 256);
    s->raw.no_ack = false;
    for (uint32_t id = 3; id < 3 + 2 * 44; id += 2)
        raw_ack(&s->raw, id);
    script_run(&s->t);
    script_advance(&s->t, SCRIPT_TICK_MS);
    assert_int_equal(s->raw.count, 300);
}

static void idle_connections_are_bounded(void **state)
{
    struct scene *s = *state;

    log_in(s);
    s->raw.counted = 'w';
    for (int i = 0; i < 30; i++) {
        ask(s, 256);
        script_advance(&s->t, SCRIPT_TICK_MS);
    }
    assert_int_equal(s->raw.count, MAX_IDLE_WORK);
    assert_int_equal(mux_stream_count(s->t.end[SIDE_CLIENT].mux), MAX_IDLE_WORK + 1);
}

/* Connections that came and went leave their place to others. */
static void idle_places_come_back(void **state)
{
    struct scene *s = *state;

    log_in(s);
    s->t.quiet = true;
    s->raw.counted = 'w';
    for (uint32_t i = 0; i < MAX_IDLE_WORK + 100; i++) {
        ask(s, 1);
        if (i % 3 == 0)
            raw_hex(&s->raw, 3 + 2 * i, V13_START_WORK_CONN);
        if (i % 3 == 1)
            raw_rst(&s->raw, 3 + 2 * i);
        else
            raw_fin(&s->raw, 3 + 2 * i);
        script_run(&s->t);
    }
    assert_int_equal(s->raw.count, MAX_IDLE_WORK + 100);
}

/* ---- the control stream's window ------------------------------------------------------------ */

/* A server that takes nothing from the control stream for hours. */
static void what_waits_for_the_window_is_bounded(void **state)
{
    struct scene *s = *state;
    char name[9001];

    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    s->t.proxies[0].name = name;
    s->raw.no_grant = true;
    log_in(s);
    for (int i = 0; i < 400 && !s->t.end[SIDE_CLIENT].ended; i++)
        script_advance(&s->t, 20 * 1000 + SCRIPT_TICK_MS);
    assert_true(s->t.end[SIDE_CLIENT].ended);
    assert_int_equal(s->t.end[SIDE_CLIENT].why, REASON_LIMIT);
    assert_true(s->t.end[SIDE_CLIENT].pool.peak < 2 * 1024 * 1024);
}

/* What the window held back leaves in order when it opens. */
static void the_window_opens_again(void **state)
{
    struct scene *s = *state;
    char name[9001];

    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    s->t.proxies[0].name = name;
    s->raw.no_grant = true;
    s->raw.counted = 'p';
    log_in(s);
    for (int i = 0; i < 49; i++)
        script_advance(&s->t, 20 * 1000 + SCRIPT_TICK_MS);
    EXPECT_NOTHING(&s->t);
    assert_int_equal(s->raw.count, 28); /* of 50: 256 KiB hold no more */
    raw_grant(&s->raw, 1, RAW_GRANT);
    script_run(&s->t);
    EXPECT_NOTHING(&s->t); /* no garbage: the cipher's stream is whole */
    assert_int_equal(s->raw.count, 50);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, with_raw_server, after)
    const struct CMUnitTest tests[] = {
        TEST(a_work_connection_opens_with_v13),
        TEST(a_user_may_come_before_the_answer),
        cmocka_unit_test(early_bytes_follow_the_start),
        cmocka_unit_test(early_bytes_wherever_the_cut_falls),
        TEST(the_service_answers_its_user),
        cmocka_unit_test(other_starts_let_the_connection_go),
        cmocka_unit_test(an_idle_connection_may_end),
        TEST(the_scope_puts_a_key_into_each_new_work_conn),
        TEST(behind_the_end_nothing_is_told),
        TEST(the_start_counts_for_the_window),
        TEST(three_hundred_at_once),
        TEST(three_hundred_at_once_with_users),
        TEST(no_more_opens_than_the_backlog_takes),
        TEST(idle_connections_are_bounded),
        TEST(idle_places_come_back),
        TEST(what_waits_for_the_window_is_bounded),
        TEST(the_window_opens_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
