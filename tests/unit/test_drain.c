/* The time before a stop: what began goes on, what is new is refused, and nobody takes a refusal
 * for success. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "gateway/gateway.h"
#include "gateway_host_fake.h"

enum { MANAGEMENT = 8080, INFERENCE = 5000 };

#define ASK(method, path) method " " path " HTTP/1.1\r\nHost: n\r\n\r\n"
#define TELL(path)        "POST " path " HTTP/1.1\r\nHost: n\r\nContent-Length: 2\r\n\r\n{}"

struct world {
    struct fake_host *host;
    struct gateway *gateway;
};

static uint64_t tick(void *ctx, uint64_t now_us)
{
    return gateway_tick(ctx, now_us);
}

static void world_init(struct world *w)
{
    static const struct gateway_config cfg = {
        .management = {"127.0.0.1", MANAGEMENT},
        .inference = {"127.0.0.1", INFERENCE},
        .engines = {.management = {"127.0.0.1", MANAGEMENT}, .inference = {"127.0.0.1", INFERENCE}},
    };

    w->host = fake_new();
    w->gateway = gateway_new(fake_gateway(w->host), &cfg);
    w->host->tick = tick;
    w->host->tick_ctx = w->gateway;
    fake_listen(w->host, INFERENCE, FAKE_ACCEPTS, NULL, NULL);
}

static void world_free(struct world *w)
{
    gateway_stop(w->gateway);
    w->host->tick = NULL;
    fake_run(w->host);
    gateway_free(w->gateway);
    fake_free(w->host);
}

static struct fake_conn *client(struct world *w, enum gateway_role role)
{
    struct fake_conn *c = fake_client(w->host, NULL, NULL);

    assert_true(gateway_serve(w->gateway, fake_stream(c), role, "198.51.100.1", 4000));
    return c;
}

static bool says(const struct fake_conn *c, const char *text)
{
    return c->got.data != NULL && strstr(c->got.data, text) != NULL;
}

/* A client whose answer has begun, and the upstream that gives it. */
static struct fake_conn *begin_stream(struct world *w, struct fake_conn **upstream)
{
    struct fake_conn *c = client(w, ROLE_INFERENCE);
    struct fake_request request;

    fake_say(c, TELL("/v1/chat/completions"));
    fake_run(w->host);
    *upstream = fake_latest(w->host, INFERENCE);
    assert_non_null(*upstream);
    assert_true(fake_request(*upstream, &request));
    fake_say(*upstream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    fake_chunk(*upstream, "data: one\n\n");
    fake_run(w->host);
    assert_true(says(c, "data: one"));
    return c;
}

static void answers_under_way_are_finished(void **state)
{
    struct fake_conn *upstream;
    struct fake_conn *c;
    struct world w;

    world_init(&w);
    c = begin_stream(&w, &upstream);
    fake_say(c, ASK("GET", "/v1/models")); /* waits behind the answer */
    gateway_drain(w.gateway);
    fake_chunk(upstream, "data: two\n\n");
    fake_run(w.host);
    assert_true(says(c, "data: two"));
    assert_false(c->ended);
    fake_chunk(upstream, "");
    fake_run(w.host);
    assert_true(says(c, "\r\n0\r\n\r\n"));
    assert_true(c->ended);
    assert_false(c->reset);
    world_free(&w);
}

static void an_answer_to_come_says_close(void **state)
{
    struct fake_request request;
    struct fake_conn *c;
    struct world w;

    world_init(&w);
    c = client(&w, ROLE_INFERENCE);
    fake_say(c, ASK("GET", "/v1/models"));
    fake_run(w.host);
    gateway_drain(w.gateway);
    assert_true(fake_request(fake_latest(w.host, INFERENCE), &request));
    fake_answer(fake_latest(w.host, INFERENCE), 200, "", "{}");
    fake_run(w.host);
    assert_true(says(c, "200"));
    assert_true(says(c, "Connection: close"));
    assert_true(c->ended);
    world_free(&w);
}

static void new_requests_are_refused(void **state)
{
    static const struct {
        enum gateway_role role;
        const char *request;
        bool silent;
    } rows[] = {
        {ROLE_INFERENCE, ASK("GET", "/v1/models"), false},
        {ROLE_INFERENCE, TELL("/v1/chat/completions"), false},
        {ROLE_INFERENCE, ASK("GET", "/health"), false},
        {ROLE_POC, ASK("GET", "/health"), false},
        {ROLE_POC, ASK("GET", "/api/v1/state"), false},
        {ROLE_POC, TELL("/api/v1/inference/down"), false},
        {ROLE_POC, TELL("/api/v1/stop"), true},
        {ROLE_POC, TELL("/v3.0.8/api/v1/inference/up"), true},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fake_conn *fresh;
        struct fake_conn *kept;
        struct world w;

        world_init(&w);
        kept = client(&w, rows[i].role); /* connected before, silent so far */
        gateway_drain(w.gateway);
        fresh = client(&w, rows[i].role);
        fake_say(kept, rows[i].request);
        fake_say(fresh, rows[i].request);
        fake_run(w.host);
        for (int k = 0; k < 2; k++) {
            const struct fake_conn *c = k ? fresh : kept;

            assert_true(c->ended);
            assert_int_equal(says(c, "HTTP/1.1 503 "), !rows[i].silent);
            assert_int_equal(says(c, "\"code\":\"stopping\""), !rows[i].silent);
            assert_int_equal(says(c, "Retry-After: "), !rows[i].silent);
            assert_int_equal(c->got_total > 0, !rows[i].silent);
        }
        assert_int_equal(fake_connects_to(w.host, INFERENCE), 0);
        world_free(&w);
    }
}

static void the_operator_may_still_ask(void **state)
{
    struct fake_conn *c;
    struct world w;

    world_init(&w);
    gateway_drain(w.gateway);
    c = client(&w, ROLE_POC);
    fake_say(c, ASK("GET", "/mlgate/status"));
    fake_run(w.host);
    assert_true(says(c, "HTTP/1.1 200 OK"));
    world_free(&w);
}

static void what_is_cut_stays_truncated(void **state)
{
    struct gateway_counters n;
    struct fake_conn *upstream;
    struct fake_conn *c;
    struct fake_conn *late;
    struct world w;

    world_init(&w);
    c = begin_stream(&w, &upstream);
    gateway_drain(w.gateway);
    gateway_cut(w.gateway);
    fake_run(w.host);
    assert_true(c->ended);
    assert_false(says(c, "\r\n0\r\n\r\n"));
    assert_true(upstream->reset);
    gateway_counters(w.gateway, &n);
    assert_int_equal(n.exchanges_now, 0);
    assert_int_equal(n.ended.of[REASON_LOCAL_STOP], 1);
    late = client(&w, ROLE_INFERENCE);
    fake_say(late, ASK("GET", "/v1/models"));
    fake_run(w.host);
    assert_true(says(late, "\"code\":\"stopping\""));
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_under_way_are_finished),
        cmocka_unit_test(an_answer_to_come_says_close),
        cmocka_unit_test(new_requests_are_refused),
        cmocka_unit_test(the_operator_may_still_ask),
        cmocka_unit_test(what_is_cut_stays_truncated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
