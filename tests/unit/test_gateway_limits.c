/* What hostile clients and servers can make the gateway hold, and for how long: the whole gateway
 * on a fake clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "gateway/gateway.h"
#include "gateway_world.h"

enum {
    MANAGEMENT = 8080,
    INFERENCE = 5000,
    SECOND_US = 1000 * 1000,
    KIB = 1024,
    LARGE_HEAD = 60 * KIB,
};

struct world {
    struct gateway_world gateway;
    char large[LARGE_HEAD + 256];
};

/* Answers what the gateway asks on its own account; what others ask waits for the test. */
static void state_asked(struct fake_conn *c)
{
    if (strncmp(c->got.data, "GET /api/v1/state ", 18) == 0 &&
        strstr(c->got.data, "X-Forwarded-For") == NULL)
        fake_answer(c, 200, "", "{\"state\":\"INFERENCE\"}");
}

static void echo(struct fake_conn *c)
{
    struct fake_request r;

    state_asked(c);
    while (c->got.len > c->taken && strstr(c->got.data, "X-Forwarded-For") != NULL &&
           fake_request(c, &r))
        fake_answer(c, 200, "", r.target);
}

static const struct fake_peer silent = {.data = state_asked};
static const struct fake_peer echoes = {.data = echo};
static const struct fake_peer nobody = {.data = NULL};

static uint64_t tick(void *ctx, uint64_t now_us)
{
    struct world *w = ctx;

    gateway_shed(w->gateway.g);
    return gateway_tick(w->gateway.g, now_us);
}

static int world_new(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));

    gateway_world_open(&w->gateway, MANAGEMENT, INFERENCE, tick, w);
    fake_listen(w->gateway.h, MANAGEMENT, FAKE_ACCEPTS, &echoes, w);
    fake_listen(w->gateway.h, INFERENCE, FAKE_ACCEPTS, &echoes, w);
    w->gateway.h->tick_due = 0;
    fake_advance(w->gateway.h, SECOND_US);
    *state = w;
    return 0;
}

static int world_free(void **state)
{
    struct world *w = *state;

    gateway_world_close(&w->gateway);
    mem_free(w);
    return 0;
}

static struct fake_conn *visit_from(struct world *w, const char *peer)
{
    struct fake_conn *c = fake_client(w->gateway.h, &nobody, w);

    assert_true(gateway_serve(w->gateway.g, fake_stream(c), ROLE_INFERENCE, peer, 4711));
    return c;
}

static struct fake_conn *visit(struct world *w)
{
    return visit_from(w, "192.0.2.1");
}

static struct fake_conn *say(struct world *w, const char *text)
{
    struct fake_conn *c = visit(w);

    fake_say(c, text);
    return c;
}

static struct gateway_counters counters(struct world *w)
{
    struct gateway_counters n;

    gateway_counters(w->gateway.g, &n);
    return n;
}

static uint64_t ended(struct world *w, enum reason why)
{
    return counters(w).ended.of[why];
}

static void expect_got(struct fake_conn *c, const char *part)
{
    if (c->got.data == NULL || strstr(c->got.data, part) == NULL)
        fail_msg("no %s in what came back: %s", part, c->got.data ? c->got.data : "nothing");
}

/* A request whose head has about LARGE_HEAD bytes. */
static const char *large(struct world *w, const char *line)
{
    int n = snprintf(w->large, sizeof(w->large), "%s HTTP/1.1\r\nHost: a\r\nX: ", line);

    memset(w->large + n, 'a', LARGE_HEAD);
    memcpy(w->large + n + LARGE_HEAD, "\r\n\r\n", 5);
    return w->large;
}

/* ---- time ------------------------------------------------------------------------------------ */

static void test_slow_heads(void **state)
{
    struct world *w = *state;
    static const char head[] = "GET /api/v1/x HTTP/1.1\r\nHost: a\r\nX: yyyyyyyyyyyyyyyyyyyy";
    struct fake_conn *slow = visit(w);

    /* a byte every five seconds does not win time */
    for (unsigned at = 0; at < GATEWAY_HEAD_S / 5; at++) {
        fake_send(slow, head + at, 1);
        fake_run(w->gateway.h);
        assert_false(slow->ended);
        fake_advance(w->gateway.h, 5 * SECOND_US);
    }
    assert_true(slow->ended);
    expect_got(slow, "HTTP/1.1 408 ");
    expect_got(slow, "head_timeout");
    assert_int_equal(ended(w, REASON_HEAD_TIMEOUT), 1);
    assert_int_equal(counters(w).clients_now, 0);
}

static void test_each_head_has_its_own_minute(void **state)
{
    struct world *w = *state;
    struct fake_conn *c = visit(w);

    for (unsigned i = 1; i <= 3; i++) {
        fake_say(c, "GET /api/v1/x HTTP/1.1\r\nHost");
        fake_advance(w->gateway.h, 50 * SECOND_US);
        fake_say(c, ": a\r\n\r\n");
        fake_run(w->gateway.h);
        assert_int_equal(counters(w).answers[2], i);
        fake_advance(w->gateway.h, 50 * SECOND_US);
    }
    assert_false(c->ended);
    fake_say(c, "\r"); /* also the empty line that may stand before a request */
    fake_advance(w->gateway.h, (GATEWAY_HEAD_S + 1) * (uint64_t)SECOND_US);
    assert_true(c->ended);
}

static void test_idle(void **state)
{
    struct world *w = *state;
    struct fake_conn *never = visit(w);
    struct fake_conn *once = say(w, "GET /api/v1/x HTTP/1.1\r\nHost: a\r\n\r\n");

    fake_advance(w->gateway.h, (GATEWAY_IDLE_S - 1) * (uint64_t)SECOND_US);
    assert_false(never->ended || once->ended);
    fake_advance(w->gateway.h, 2 * SECOND_US);
    assert_true(never->ended && once->ended);
    assert_int_equal(never->got.len, 0);
    assert_int_equal(counters(w).clients_ended.of[REASON_IDLE], 2);
}

/* A day would be a hundred thousand questions of the gateway's own. */
static void jump(struct world *w, uint64_t seconds)
{
    w->gateway.h->now_us += seconds * SECOND_US;
    w->gateway.h->tick_due = 0;
    fake_run(w->gateway.h);
}

static void test_a_body_that_never_comes(void **state)
{
    struct world *w = *state;
    struct fake_conn *c =
        say(w, "POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nfirst");

    fake_run(w->gateway.h);
    jump(w, GATEWAY_EXCHANGE_S - 10);
    assert_false(c->ended);
    jump(w, 20);
    assert_true(c->ended);
    assert_int_equal(ended(w, REASON_LIMIT), 1);
    assert_int_equal(counters(w).upstreams_now, 0);
}

/* The rest of a body that was refused is waited for like a head, and holds up no stop. */
static void test_a_refused_body_that_never_comes(void **state)
{
    struct world *w = *state;
    struct fake_conn *c =
        say(w, "POST /api/v1/train/start HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nfirst");

    fake_run(w->gateway.h);
    expect_got(c, "HTTP/1.1 404 ");
    fake_advance(w->gateway.h, (GATEWAY_HEAD_S - 1) * (uint64_t)SECOND_US);
    assert_false(c->ended);
    assert_int_equal(counters(w).exchanges_now, 1);
    fake_advance(w->gateway.h, 2 * SECOND_US);
    assert_true(c->ended);
    assert_int_equal(counters(w).exchanges_now, 0);
    assert_int_equal(ended(w, REASON_REFUSED_POLICY), 1);
}

/* ---- the end of the client's side ------------------------------------------------------------ */

/* The rest of the request lies there when its end comes; the upstream is still being dialled. */
static void test_a_whole_request_and_the_end(void **state)
{
    struct world *w = *state;
    struct fake_conn *c =
        say(w, "POST /api/v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");

    fake_end(c);
    fake_run(w->gateway.h);
    expect_got(c, "HTTP/1.1 200 ");
    assert_true(c->ended);
    assert_string_equal(fake_latest(w->gateway.h, MANAGEMENT)->got.data +
                            fake_latest(w->gateway.h, MANAGEMENT)->got.len - 5,
                        "hello");
}

/* A body that lacks bytes will never have them: nobody waits for it. */
static void test_half_a_request_and_the_end(void **state)
{
    static const char *const requests[] = {
        "POST /api/v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nfirst",
        "POST /api/v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n",
        "POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nfirst",
        "POST /docs HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nfirst",
        ("GET /api/v1/y HTTP/1.1\r\nHost: a\r\n\r\n"
         "POST /api/v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nfirst"),
        "GET /api/v1/y HTTP/1.1\r\nHost: a\r\n\r\nPOST /api/v1/x HTTP/1.1\r\nHost: a\r\n",
    };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        struct fake_conn *c = say(w, requests[i]);

        fake_end(c);
        fake_run(w->gateway.h);
        if (!c->ended || counters(w).exchanges_now != 0)
            fail_msg("waits for the rest of %s", requests[i]);
    }
    fake_advance(w->gateway.h, 5 * SECOND_US);
    assert_int_equal(counters(w).upstreams_now, 0);
}

/* More than DOWNSTREAM_QUEUE_MAX of the last answer has not left when the client's end comes. */
static void test_the_end_of_a_slow_reader(void **state)
{
    struct world *w = *state;
    struct fake_conn *c = visit(w);
    char *body = mem_zalloc(200 * KIB + 1);

    memset(body, 'x', 200 * KIB);
    fake_listen(w->gateway.h, MANAGEMENT, FAKE_ACCEPTS, &silent, w);
    w->gateway.h->sent_late = true;
    c->room = KIB;
    fake_say(c, "GET /api/v1/x HTTP/1.1\r\nHost: a\r\n\r\n");
    fake_run(w->gateway.h);
    fake_answer(fake_latest(w->gateway.h, MANAGEMENT), 200, "", body);
    fake_run(w->gateway.h);
    fake_end(c);
    fake_run(w->gateway.h);
    assert_false(c->ended);
    fake_take(c, 400 * KIB);
    fake_run(w->gateway.h);
    assert_true(c->ended);
    assert_true(c->got.len > 200 * KIB);
    mem_free(body);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* A client that sends and sends without an answer is read no further than its window. */
static void test_pipelining(void **state)
{
    struct world *w = *state;
    struct fake_conn *c = visit(w);
    static const char one[] = "GET /v1/x HTTP/1.1\r\nHost: a\r\n\r\n";
    size_t before = w->gateway.h->pool.held;

    w->gateway.h->piece = 16 * KIB;
    fake_listen(w->gateway.h, INFERENCE, FAKE_ACCEPTS, &silent, w);
    for (int i = 0; i < 100000; i++)
        fake_send(c, one, sizeof(one) - 1);
    fake_run(w->gateway.h);
    assert_int_equal(counters(w).exchanges_now, 1);
    assert_true(c->delivered < 2 * FAKE_WINDOW);
    assert_true(w->gateway.h->pool.held - before < 2 * (FAKE_WINDOW + fake_pending(c)));
    fake_fail_now(c, REASON_PEER_CLOSED);
    fake_run(w->gateway.h);
    assert_int_equal(counters(w).exchanges_now, 0);
}

/* Refusals are answers too: nobody has more of them made than he reads. */
static void test_pipelined_refusals(void **state)
{
    struct world *w = *state;
    struct fake_conn *c = visit(w);
    static const char one[] = "GET /docs HTTP/1.1\r\nHost: a\r\n\r\n";

    w->gateway.h->sent_late = true;
    c->room = 0;
    for (int i = 0; i < 100000; i++)
        fake_send(c, one, sizeof(one) - 1);
    fake_run(w->gateway.h);
    assert_in_range(counters(w).refused, 1, 1000);
    c->forget = true;
    fake_take(c, SIZE_MAX / 2);
    fake_run(w->gateway.h);
    assert_int_equal(counters(w).refused, 100000);
}

static void shed_at(struct world *w, size_t limit, unsigned clients, const char *text)
{
    size_t most;

    w->gateway.h->pool.limit = limit;
    w->gateway.h->pool.peak = 0;
    for (unsigned i = 0; i < clients; i++) {
        say(w, text);
        fake_run(w->gateway.h);
    }
    most = limit + 4 * LARGE_HEAD + 512 * KIB; /* chunks are larger than what is in them */
    assert_true(counters(w).clients_ended.of[REASON_MEMORY] > 0);
    if (w->gateway.h->pool.peak > most)
        fail_msg("%zu bytes held with a limit of %zu", w->gateway.h->pool.peak, limit);
}

/* Many heads that are not complete: whoever holds most goes, at once and not at the next look. */
static void test_many_half_heads(void **state)
{
    struct world *w = *state;
    char *text = mem_strndup(large(w, "GET /v1/x"), LARGE_HEAD);

    shed_at(w, 4 * KIB * KIB, 400, text);
    mem_free(text);
}

/* Whole heads that wait for a server which does not accept, or does not answer a question that may
 * be asked again. */
static void test_many_heads_that_wait(void **state)
{
    struct world *w = *state;

    fake_listen(w->gateway.h, INFERENCE, FAKE_SILENT, NULL, NULL);
    shed_at(w, 4 * KIB * KIB, 400, large(w, "POST /v1/x"));
}

static void test_many_health_heads(void **state)
{
    struct world *w = *state;

    fake_listen(w->gateway.h, INFERENCE, FAKE_ACCEPTS, &silent, w);
    shed_at(w, 4 * KIB * KIB, 400, large(w, "GET /health"));
}

static void test_many_clients(void **state)
{
    struct world *w = *state;
    struct fake_conn *last;
    struct fake_conn *first = NULL;

    for (unsigned i = 0; i < GATEWAY_CLIENTS_MAX; i++) {
        last = visit(w);
        if (first == NULL)
            first = last;
    }
    last = fake_client(w->gateway.h, &nobody, w);
    assert_false(gateway_serve(w->gateway.g, fake_stream(last), ROLE_INFERENCE, "192.0.2.9", 1));
    stream_reset(fake_stream(last));
    fake_say(first, "GET /api/v1/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    fake_run(w->gateway.h);
    expect_got(first, "HTTP/1.1 200 ");
    visit(w);
}

/* Requests that go on without their clients are counted; the oldest gives way. */
static void test_many_orphans(void **state)
{
    struct world *w = *state;

    fake_listen(w->gateway.h, MANAGEMENT, FAKE_ACCEPTS, &silent, w);
    for (unsigned i = 0; i < GATEWAY_ORPHANS_MAX + 10; i++) {
        struct fake_conn *c = say(w, "POST /api/v1/x HTTP/1.1\r\nHost: a\r\n\r\n");

        fake_run(w->gateway.h);
        fake_fail(c, REASON_PEER_RESET);
        fake_run(w->gateway.h);
    }
    assert_int_equal(counters(w).exchanges_now, GATEWAY_ORPHANS_MAX);
    assert_int_equal(ended(w, REASON_LIMIT), 10);
}

/* ---- one request after another --------------------------------------------------------------- */

/* Bytes that nobody asked for, seen in the same turn as the request that reuses the connection. */
static void test_a_server_out_of_step(void **state)
{
    static const char evil[] = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL";
    struct world *w = *state;
    struct fake_conn *c = say(w, "GET /v1/a HTTP/1.1\r\nHost: a\r\n\r\n");
    struct fake_conn *up;

    fake_run(w->gateway.h);
    expect_got(c, "/v1/a");
    up = fake_latest(w->gateway.h, INFERENCE);
    fake_say(up, evil);
    fake_say(c, "GET /v1/b HTTP/1.1\r\nHost: a\r\n\r\n");
    fake_run(w->gateway.h);
    expect_got(c, "/v1/b");
    assert_null(strstr(c->got.data, "EVIL"));
    assert_true(up->reset);
}

/* A refused request with a body that its client may never send: the next bytes could be either. */
static void test_expect(void **state)
{
    struct world *w = *state;
    struct fake_conn *with = say(w, "POST /docs HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n"
                                    "Expect: 100-continue\r\n\r\n"
                                    "GET /v1/x HTTP/1.1\r\nHost: a\r\n\r\n");
    struct fake_conn *without = say(w, "POST /docs HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
                                       "helloGET /v1/x HTTP/1.1\r\nHost: a\r\n\r\n");

    fake_run(w->gateway.h);
    expect_got(with, "Connection: close");
    assert_true(with->ended);
    assert_null(strstr(with->got.data, "200"));
    expect_got(without, "HTTP/1.1 200 ");
}

/* The other end of a tunnel says who the client is; what it says becomes part of a head. */
static void test_addresses(void **state)
{
    static const struct {
        const char *said;
        const char *written;
    } rows[] = {
        {"192.0.2.7", "192.0.2.7"},
        {"2001:db8::1", "2001:db8::1"},
        {"::ffff:192.0.2.7", "::ffff:192.0.2.7"},
        {"fe80::1%eth0", "fe80::1%eth0"},
        {"", "unknown"},
        {"%eth0", "unknown"},
        {"192.0.2.7, 10.0.0.1", "unknown"},
        {"192.0.2.7\r\nX-Evil: 1", "unknown"},
        {"192.0.2.7\\x0d\\x0aX-Evil: 1", "unknown"},
        {"192.0.2.7\nX-Evil: 1", "unknown"},
        {"example.org", "unknown"},
        {"1111111111111111111111111111111111111111111111111111111111111111", "unknown"},
    };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fake_conn *c = visit_from(w, rows[i].said);
        char field[128];

        fake_say(c, "GET /v1/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        fake_run(w->gateway.h);
        snprintf(field, sizeof(field), "\r\nX-Forwarded-For: %s\r\nX-Real-IP: %s\r\n",
                 rows[i].written, rows[i].written);
        expect_got(fake_latest(w->gateway.h, INFERENCE), field);
        assert_null(strstr(fake_latest(w->gateway.h, INFERENCE)->got.data, "X-Evil"));
        fake_advance(w->gateway.h, 10 * SECOND_US);
    }
}

#define PLAYED(test) cmocka_unit_test_setup_teardown(test, world_new, world_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAYED(test_slow_heads),
        PLAYED(test_each_head_has_its_own_minute),
        PLAYED(test_idle),
        PLAYED(test_a_body_that_never_comes),
        PLAYED(test_a_refused_body_that_never_comes),
        PLAYED(test_a_whole_request_and_the_end),
        PLAYED(test_half_a_request_and_the_end),
        PLAYED(test_the_end_of_a_slow_reader),
        PLAYED(test_pipelining),
        PLAYED(test_pipelined_refusals),
        PLAYED(test_many_half_heads),
        PLAYED(test_many_heads_that_wait),
        PLAYED(test_many_health_heads),
        PLAYED(test_many_clients),
        PLAYED(test_many_orphans),
        PLAYED(test_a_server_out_of_step),
        PLAYED(test_expect),
        PLAYED(test_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
