/* Who takes nothing holds up nobody but himself, and what is held is bounded and given back. */
#include "gateway_stage.h"

enum { MUCH = 10 * 1024 * 1024 };

/* ---- answers and a slow reader --------------------------------------------------------------- */

/* Of a body of MUCH bytes, behind a head. */
static void send_more(struct fake_conn *c)
{
    static const char piece[10 * 1024];

    if (c->delivered < MUCH)
        fake_send(c, piece, sizeof(piece));
}

static const struct fake_peer endless = {.more = send_more};

/* An engine with a long answer, and a reader who takes nothing. */
static struct fake_conn *stalled(struct stage *s, struct fake_conn *c)
{
    struct fake_conn *up;

    c->room = 0;
    stage_say(c, GET("/v1/a"));
    up = stage_up(s, ENGINE);
    up->peer = &endless;
    stage_say(up, "HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n");
    return up;
}

static void a_reader_that_takes_nothing_stops_his_upstream(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);
    struct fake_conn *up = stalled(s, c);
    uint64_t before = up->delivered;

    /* nothing has left towards the client, so that nothing is given back but part of the head */
    assert_true(up->delivered - up->consumed >= FAKE_WINDOW);
    assert_true(up->delivered - up->consumed < FAKE_WINDOW + 16 * 1024);
    assert_true(s->h->pool.held < 2 * FAKE_WINDOW);
    fake_advance(s->h, 30 * SECOND_US);
    assert_int_equal(up->delivered, before);

    s->play = play_echo; /* and nobody else */
    for (int i = 0; i < 20; i++) {
        struct fake_conn *other = stage_user(s, ROLE_INFERENCE);

        stage_say(other, GET("/v1/b"));
        ANSWER(other, 200, "GET /v1/b -");
    }
    stage_free(s);
}

/* As much as he takes is delivered, whatever the portions; all is given back at the end. */
static void a_reader_goes_on(void **state)
{
    static const size_t portions[] = {1000, 7777, 100000, 3000000};

    for (size_t i = 0; i < COUNT(portions); i++) {
        struct stage *s = stage_new();
        struct fake_conn *c = stage_user(s, ROLE_INFERENCE);
        struct fake_conn *up;

        s->h->sent_late = i % 2;
        s->h->drain = i == 1 ? 5000 : 0;
        c->forget = true;
        up = stalled(s, c);
        while (c->got_total < MUCH) {
            uint64_t before = c->got_total;

            fake_take(c, portions[i]);
            fake_run(s->h);
            assert_true(c->got_total > before);
            assert_true(up->delivered <= c->got_total + FAKE_WINDOW + 16 * 1024);
        }
        fake_take(c, SIZE_MAX);
        fake_run(s->h);
        assert_int_equal(stage_counts(s).exchanges_now, 0);
        assert_int_equal(stage_counts(s).bytes_out, MUCH);
        assert_int_equal(up->consumed, up->delivered);
        assert_int_equal(s->h->pool.held, 0);
        stage_free(s);
    }
}

/* ---- requests and a slow upstream ------------------------------------------------------------ */

static struct fake_conn *uploading(struct stage *s, const char *framing)
{
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);
    char *head = mem_printf("POST /v1/a HTTP/1.1\r\nHost: h\r\n%s\r\n\r\n", framing);

    stage_say(c, head);
    mem_free(head);
    stage_up(s, ENGINE)->room = 0;
    return c;
}

static void an_upstream_that_takes_nothing_stops_its_client(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = uploading(s, "Content-Length: 10485760");
    struct fake_conn *up = stage_up(s, ENGINE);
    uint64_t head = c->consumed;

    up->forget = true;
    c->peer = &endless;
    fake_run(s->h);
    assert_int_equal(c->consumed, head);
    assert_true(c->delivered - c->consumed >= FAKE_WINDOW);
    assert_true(c->delivered - c->consumed < FAKE_WINDOW + 16 * 1024);
    while (up->got_total < MUCH - 100000) {
        uint64_t before = up->got_total;

        fake_take(up, 50000);
        fake_run(s->h);
        assert_int_equal(up->got_total, before + 50000);
        assert_true(c->delivered <= up->got_total + FAKE_WINDOW + 16 * 1024);
    }
    fake_take(up, SIZE_MAX);
    fake_run(s->h);
    assert_int_equal(stage_counts(s).bytes_in, MUCH);
    assert_int_equal(c->consumed, c->delivered);
    stage_free(s);
}

/* Bytes that come before there is an upstream are not taken. */
static void nothing_is_taken_while_connecting(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_POC);
    struct fake_conn *up;

    fake_listen(s->h, MANAGEMENT, FAKE_SILENT, &s->node, s);
    stage_say(c, "POST /api/v1/x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n");
    uint64_t head = c->consumed;
    stage_say(c, "hello");
    assert_int_equal(c->consumed, head);
    up = fake_latest(s->h, MANAGEMENT);
    up->connecting = true;
    fake_run(s->h);
    REQUEST(up, "hello");
    assert_int_equal(c->consumed, c->delivered);
    stage_free(s);
}

/* A chunked upload whose coding is longer than what goes on, and one that is shorter. */
static void accounting_ends_at_zero(void **state)
{
    static const char *const chunks[] = {"1;e=\"long extension of nobody\"\r\nx\r\n",
                                         "01\r\nx\r\n"};

    for (size_t i = 0; i < COUNT(chunks); i++) {
        struct stage *s = stage_new();
        struct fake_conn *c = uploading(s, "Transfer-Encoding: chunked");
        struct fake_conn *up = stage_up(s, ENGINE);

        for (int k = 0; k < 500; k++)
            fake_say(c, chunks[i]);
        fake_say(c, "0\r\nX-T: 1\r\n\r\n");
        fake_run(s->h);
        for (int k = 0; k < 400; k++) {
            fake_take(up, 7);
            fake_run(s->h);
        }
        fake_take(up, SIZE_MAX);
        fake_run(s->h);
        assert_int_equal(c->consumed, c->delivered);
        stage_say(up, OK("1", "A"));
        ANSWER(c, 200, "A");
        assert_int_equal(up->consumed, up->delivered);
        assert_int_equal(s->h->pool.held, 0);
        stage_free(s);
    }
}

/* An upload that is not taken does not hold the answer back, nor the other way round. */
static void both_directions_are_their_own(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = uploading(s, "Content-Length: 1000");
    struct fake_conn *up = stage_up(s, ENGINE);

    stage_say(c, "hello");
    stage_say(up, CHUNKED "1\r\na\r\n");
    assert_non_null(strstr(c->got.data, "\r\n\r\n1\r\na\r\n"));
    c->room = 0;
    stage_say(up, "1\r\nb\r\n");
    fake_take(up, SIZE_MAX);
    fake_run(s->h);
    assert_non_null(strstr(up->got.data, "\r\n\r\nhello"));
    stage_say(c, " world");
    assert_non_null(strstr(up->got.data, "\r\n\r\nhello world"));
    stage_free(s);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Makes this user hold so many bytes of an answer. */
static struct fake_conn *holding(struct stage *s, size_t len)
{
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);
    char *body = mem_zalloc(len + 1);

    memset(body, 'x', len);
    c->room = 0;
    stage_say(c, GET("/v1/a"));
    fake_answer(stage_up(s, ENGINE), 200, "", body);
    fake_run(s->h);
    mem_free(body);
    return c;
}

/* Who holds most goes first, and nobody goes who need not. */
static void the_largest_goes_first(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c[4];
    static const size_t sizes[] = {50000, 200000, 100000, 20000};

    for (size_t i = 0; i < COUNT(c); i++)
        c[i] = holding(s, sizes[i]);
    s->h->pool.limit = s->h->pool.held;
    gateway_shed(s->g);
    for (size_t i = 0; i < COUNT(c); i++)
        assert_false(c[i]->reset);
    for (size_t gone = 1; gone <= 2; gone++) {
        s->h->pool.limit = s->h->pool.held - 1;
        gateway_shed(s->g);
        assert_true(c[1]->reset);
        assert_int_equal(c[2]->reset, gone == 2);
        assert_false(c[0]->reset || c[3]->reset);
    }
    assert_int_equal(stage_counts(s).clients_ended.of[REASON_MEMORY], 2);
    s->h->pool.limit = 1;
    gateway_shed(s->g);
    assert_int_equal(s->h->pool.held, 0);
    assert_int_equal(stage_counts(s).clients_now, 0);
    s->h->pool.limit = 0;
    stage_free(s);
}

/* Hundreds of victims in one go: exactly as many as it takes, the largest of all. */
static void as_many_as_it_takes(void **state)
{
    enum { USERS = 300, VICTIMS = 150 };
    struct stage *s = stage_new();
    struct fake_conn *c[USERS];
    size_t held[USERS];
    size_t excess = 0;
    size_t gone = 0;

    for (size_t i = 0; i < USERS; i++) { /* not in the order of their sizes */
        held[i] = s->h->pool.held;
        c[i] = holding(s, 2000 * (1 + i * 7 % 40));
        held[i] = s->h->pool.held - held[i];
    }
    for (size_t i = 0; i < USERS; i++) /* who is among the first so many */
        for (size_t k = 0, more = 0; k < USERS; k++) {
            more += held[k] > held[i] || (held[k] == held[i] && k < i);
            if (k == USERS - 1 && more < VICTIMS)
                excess += held[i];
        }
    s->h->pool.limit = s->h->pool.held - excess;
    gateway_shed(s->g);
    for (size_t i = 0; i < USERS; i++)
        gone += c[i]->reset;
    assert_int_equal(gone, VICTIMS);
    for (size_t i = 0; i < USERS; i++)
        for (size_t k = 0; k < USERS; k++)
            assert_false(c[i]->reset && !c[k]->reset && held[k] > held[i]);
    s->h->pool.limit = 0;
    stage_free(s);
}

/* A socket's memory goes when the loop has let go of it, a work stream's when its mux does: until
 * then it stands in the pool, and nobody else pays for that. */
static void memory_that_goes_later_is_not_asked_for_twice(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c[4];
    static const size_t sizes[] = {50000, 200000, 100000, 20000};

    s->h->reset_late = true;
    for (size_t i = 0; i < COUNT(c); i++)
        c[i] = holding(s, sizes[i]);
    s->h->pool.limit = s->h->pool.held - 1;
    gateway_shed(s->g);
    assert_true(c[1]->reset);
    assert_false(c[0]->reset || c[2]->reset || c[3]->reset);
    fake_run(s->h);
    assert_true(s->h->pool.held < s->h->pool.limit);
    s->h->pool.limit = 0;
    stage_free(s);
}

/* A request that nobody takes counts as much as an answer; so do requests that wait. */
static void uploads_and_pipelines_count(void **state)
{
    static char much[300 * 1024 + 1];

    for (int pipeline = 0; pipeline < 2; pipeline++) {
        struct stage *s = stage_new();
        struct fake_conn *small = holding(s, 50000);
        struct fake_conn *big = uploading(s, "Content-Length: 1000000");

        if (pipeline) {
            big = stage_user(s, ROLE_INFERENCE);
            stage_say(big, GET("/v1/a"));
        }
        memset(much, 'x', sizeof(much) - 1);
        stage_say(big, much);
        assert_true(s->h->pool.held > 350000);
        s->h->pool.limit = s->h->pool.held - 1;
        gateway_shed(s->g);
        assert_true(big->reset);
        assert_false(small->reset);
        assert_true(s->h->pool.held < 200000);
        s->h->pool.limit = 0;
        stage_free(s);
    }
}

/* ---- what inference/up asks for -------------------------------------------------------------- */

#define UP        "/v3.0.8/api/v1/inference/up"
#define UP_MODEL  "{\"model\":\"org/name\"}" /* 20 bytes */
#define UP_CHUNKS "5\r\n{\"mod\r\n00f;x=y\r\nel\":\"org/name\"}\r\n0\r\nA: b\r\n\r\n"

static void the_model_that_is_asked_for(void **state)
{
    static const struct {
        const char *request;
        const char *name;
    } rows[] = {
        {POST(UP, "20", UP_MODEL), "org/name"},
        {POST("/api/v1/inference/up/async", "20", UP_MODEL), "org/name"},
        {"POST " UP " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" UP_CHUNKS,
         "org/name"},
        {POST("/api/v1/inference/upx", "20", UP_MODEL), ""},
        {POST("/api/v1/models/download", "20", UP_MODEL), ""},
        {POST("/v1/completions", "20", UP_MODEL), ""},
        {POST(UP, "21", UP_MODEL), ""}, /* the last byte never comes */
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t len = strlen(rows[i].request);

        for (size_t cut = len - 60; cut <= len; cut++) {
            struct stage *s = stage_new();
            struct fake_conn *c = stage_user(s, ROLE_POC);

            fake_send(c, rows[i].request, cut);
            fake_run(s->h);
            if (cut < len)
                assert_string_equal(gateway_asked_model(s->g), "");
            stage_say(c, rows[i].request + cut);
            assert_string_equal(gateway_asked_model(s->g), rows[i].name);
            if (i != COUNT(rows) - 1) /* it came through as it was */
                REQUEST(stage_up(s, i == 5 ? ENGINE : MANAGEMENT), UP_MODEL);
            stage_free(s);
        }
    }
}

/* Refused here, so MLNode never heard of it. */
static void a_model_that_was_not_passed_on(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_POC);

    gateway_drain(s->g);
    stage_say(c, POST(UP, "20", UP_MODEL));
    assert_string_equal(gateway_asked_model(s->g), "");
    stage_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_that_takes_nothing_stops_his_upstream),
        cmocka_unit_test(a_reader_goes_on),
        cmocka_unit_test(an_upstream_that_takes_nothing_stops_its_client),
        cmocka_unit_test(nothing_is_taken_while_connecting),
        cmocka_unit_test(accounting_ends_at_zero),
        cmocka_unit_test(both_directions_are_their_own),
        cmocka_unit_test(the_largest_goes_first),
        cmocka_unit_test(as_many_as_it_takes),
        cmocka_unit_test(memory_that_goes_later_is_not_asked_for_twice),
        cmocka_unit_test(uploads_and_pipelines_count),
        cmocka_unit_test(the_model_that_is_asked_for),
        cmocka_unit_test(a_model_that_was_not_passed_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
