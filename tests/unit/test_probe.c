/* One small question: every way an answer can come, stop coming, or never come. Each row runs with
 * the bytes in several portions, and must tell its end once and let go of everything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "gateway/probe.h"
#include "gateway_host_fake.h"

enum { PORT = 5001, SECOND_US = 1000 * 1000, DEADLINE_US = 2 * SECOND_US };

enum then {
    THEN_SILENCE = 0,
    THEN_END = 1,
    THEN_RESET = 2,
};

struct outcome {
    unsigned calls;
    unsigned status;
    enum reason why;
    char *body;
    size_t len;
    struct probe *cancel; /* another one, inside `done` */
};

static void on_done(void *ctx, unsigned status, const char *body, size_t len, enum reason why)
{
    struct outcome *o = ctx;

    o->calls++;
    o->status = status;
    o->why = why;
    assert_non_null(body);
    o->body = mem_strndup(body, len);
    o->len = len;
    probe_cancel(o->cancel);
    o->cancel = NULL;
}

static struct probe *ask(struct fake_host *h, struct outcome *o, const char *host, const char *path)
{
    struct endpoint to = {.host = host, .port = PORT};

    return probe_start(fake_gateway(h), &to, path, h->now_us + DEADLINE_US, on_done, o);
}

/* ---- answers --------------------------------------------------------------------------------- */

struct row {
    const char *answer;
    enum then then;
    unsigned status;
    enum reason why;
    const char *body;
};

static const struct row rows[] = {
    /* by length */
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", THEN_SILENCE, 200, REASON_DONE, "hello"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", THEN_END, 200, REASON_DONE, "hello"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, not asked for", THEN_RESET, 200,
     REASON_DONE, "hello"},
    {"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", THEN_SILENCE, 503, REASON_DONE, ""},
    {"HTTP/1.1 204 No\r\n\r\n", THEN_SILENCE, 204, REASON_DONE, ""},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", THEN_END, 0, REASON_UPSTREAM_CLOSED, ""},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", THEN_RESET, 0, REASON_PEER_RESET, ""},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", THEN_SILENCE, 0, REASON_UPSTREAM_TIMEOUT,
     ""},
    {"HTTP/1.1 200 OK\r\nContent-Length: 262145\r\n\r\n", THEN_SILENCE, 0, REASON_LIMIT, ""},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", THEN_SILENCE, 0,
     REASON_UPSTREAM_PROTOCOL, ""},
    /* chunked */
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
     THEN_SILENCE, 200, REASON_DONE, "hello"},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n", THEN_SILENCE, 200,
     REASON_DONE, ""},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", THEN_END, 0,
     REASON_UPSTREAM_CLOSED, ""},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n", THEN_SILENCE, 0,
     REASON_UPSTREAM_PROTOCOL, ""},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40001\r\n", THEN_SILENCE, 0,
     REASON_LIMIT, ""},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
     THEN_SILENCE, 0, REASON_UPSTREAM_PROTOCOL, ""},
    /* by the end of the connection */
    {"HTTP/1.0 200 OK\r\n\r\nhello", THEN_END, 200, REASON_DONE, "hello"},
    {"HTTP/1.1 200 OK\r\n\r\n", THEN_END, 200, REASON_DONE, ""},
    {"HTTP/1.1 200 OK\r\n\r\nhello", THEN_RESET, 0, REASON_PEER_RESET, ""},
    {"HTTP/1.1 200 OK\r\n\r\nhello", THEN_SILENCE, 0, REASON_UPSTREAM_TIMEOUT, ""},
    /* heads */
    {"HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 103 Hint\r\nA: b\r\n\r\n"
     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
     THEN_SILENCE, 200, REASON_DONE, "hi"},
    {"HTTP/1.1 103 Hint\r\nLink: </a/long/one>\r\nLink: </another/long/one>\r\n\r\n"
     "HTTP/1.1 204 No\r\n\r\n",
     THEN_SILENCE, 204, REASON_DONE, ""},
    {"HTTP/1.1 101 Other\r\n\r\n", THEN_SILENCE, 0, REASON_UPSTREAM_PROTOCOL, ""},
    {"HTTP/1.1 200 OK\r\nDate: a\r\ndate: b\r\nServer: c\r\nServer: d\r\nContent-Length: "
     "1\r\n\r\n1",
     THEN_SILENCE, 200, REASON_DONE, "1"},
    {"", THEN_END, 0, REASON_UPSTREAM_CLOSED, ""},
    {"", THEN_RESET, 0, REASON_PEER_RESET, ""},
    {"", THEN_SILENCE, 0, REASON_UPSTREAM_TIMEOUT, ""},
    {"HTTP/1.1 200 OK\r\nContent-", THEN_END, 0, REASON_UPSTREAM_CLOSED, ""},
    {"HTTP/1.1 200 OK\nContent-Length: 0\n\n", THEN_SILENCE, 0, REASON_UPSTREAM_PROTOCOL, ""},
    {"SSH-2.0-OpenSSH_9.2\r\n", THEN_SILENCE, 0, REASON_UPSTREAM_PROTOCOL, ""},
    {"SSH-2.0-OpenSSH_9.2\r\n\r\n", THEN_SILENCE, 0, REASON_UPSTREAM_PROTOCOL, ""},
    {"HTTP/2 200\r\n\r\n", THEN_SILENCE, 0, REASON_UPSTREAM_PROTOCOL, ""},
};

static void answer_row(struct fake_conn *c)
{
    const struct row *row = c->ctx;
    struct fake_request request;

    if (!fake_request(c, &request))
        return;
    assert_string_equal(request.method, "GET");
    assert_string_equal(request.target, "/health");
    fake_say(c, row->answer);
    if (row->then == THEN_END)
        fake_end(c);
    if (row->then == THEN_RESET)
        fake_fail(c, REASON_PEER_RESET);
}

static void never_ended(struct fake_conn *c)
{
    const struct row *row = c->ctx;

    assert_int_equal(row->why, REASON_DONE); /* a half-closed request is dropped by uvicorn */
}

static void check_row(const struct row *row, size_t piece, bool late)
{
    const struct fake_peer peer = {.data = answer_row, .ended = never_ended};
    struct fake_host *h = fake_new();
    struct outcome o = {0};
    struct probe *p;

    h->piece = piece;
    h->sent_late = late;
    h->window = 16;
    fake_listen(h, PORT, FAKE_ACCEPTS, &peer, (void *)(uintptr_t)row);
    p = ask(h, &o, "127.0.0.1", "/health");
    assert_int_equal(o.calls, 0);
    fake_advance(h, DEADLINE_US - 1);
    if (o.calls == 0) {
        assert_int_equal(row->why, REASON_UPSTREAM_TIMEOUT);
        probe_tick(p, h->now_us);
        fake_run(h);
        assert_int_equal(o.calls, 0);
        h->now_us++;
        probe_tick(p, h->now_us);
        assert_int_equal(o.calls, 0);
        fake_run(h);
    }
    assert_int_equal(o.calls, 1);
    assert_int_equal(o.why, row->why);
    assert_int_equal(o.status, row->status);
    assert_string_equal(o.body, row->body);
    fake_run(h);
    assert_int_equal(fake_latest(h, PORT)->ended, row->why == REASON_DONE);
    mem_free(o.body);
    fake_free(h);
}

static void every_answer_in_every_portion(void **state)
{
    const size_t pieces[] = {0, 1, 2, 3, 7, 50};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (size_t k = 0; k < sizeof(pieces) / sizeof(pieces[0]); k++)
            check_row(&rows[i], pieces[k], k % 2 != 0);
}

/* ---- what is asked --------------------------------------------------------------------------- */

static void check_request(const char *host, const char *expected)
{
    const struct fake_peer silent = {0};
    struct fake_host *h = fake_new();
    struct outcome o = {0};
    struct probe *p;

    fake_listen(h, PORT, FAKE_ACCEPTS, &silent, NULL);
    p = ask(h, &o, host, "/api/v1/state");
    fake_run(h);
    assert_string_equal(fake_latest(h, PORT)->got.data, expected);
    assert_false(fake_latest(h, PORT)->ended);
    probe_cancel(p);
    fake_run(h);
    assert_int_equal(o.calls, 0);
    assert_true(fake_latest(h, PORT)->reset);
    fake_free(h);
}

static void the_request_names_the_host_and_ends_the_connection(void **state)
{
    check_request("127.0.0.1", "GET /api/v1/state HTTP/1.1\r\nHost: 127.0.0.1:5001\r\n"
                               "Connection: close\r\nAccept: */*\r\n\r\n");
    check_request("::1", "GET /api/v1/state HTTP/1.1\r\nHost: [::1]:5001\r\n"
                         "Connection: close\r\nAccept: */*\r\n\r\n");
}

/* ---- doors ----------------------------------------------------------------------------------- */

static void check_door(enum fake_door door, uint64_t after_us, enum reason why)
{
    const struct fake_peer silent = {0};
    struct fake_host *h = fake_new();
    struct outcome o = {0};
    struct probe *p;

    fake_listen(h, PORT, door, &silent, NULL);
    p = ask(h, &o, "127.0.0.1", "/");
    assert_int_equal(o.calls, 0);
    fake_advance(h, after_us);
    if (after_us > 0)
        probe_tick(p, h->now_us);
    fake_run(h);
    assert_int_equal(o.calls, 1);
    assert_int_equal(o.status, 0);
    assert_int_equal(o.why, why);
    mem_free(o.body);
    fake_free(h);
}

static void nobody_at_the_door(void **state)
{
    check_door(FAKE_REFUSES, 0, REASON_CONNECT_REFUSED);
    check_door(FAKE_FAILS, 0, REASON_CONNECT_FAILED);
    check_door(FAKE_SILENT, DEADLINE_US, REASON_CONNECT_TIMEOUT);
    check_door(FAKE_ACCEPTS, DEADLINE_US, REASON_UPSTREAM_TIMEOUT);
}

/* ---- bounds ---------------------------------------------------------------------------------- */

struct endless {
    const char *first;
    const char *text;
};

static void begin(struct fake_conn *c)
{
    const struct endless *e = c->ctx;

    fake_say(c, e->first);
}

static void repeat(struct fake_conn *c)
{
    const struct endless *e = c->ctx;

    fake_say(c, e->text);
}

/* `text` again and again after `first`; never more than `most` bytes are taken in. */
static void check_endless(const char *first, const char *text, size_t piece, enum reason why,
                          size_t most)
{
    const struct fake_peer peer = {.opened = begin, .more = repeat};
    struct endless e = {first, text};
    struct fake_host *h = fake_new();
    struct outcome o = {0};

    h->piece = piece;
    fake_listen(h, PORT, FAKE_ACCEPTS, &peer, &e);
    ask(h, &o, "127.0.0.1", "/");
    fake_run(h);
    assert_int_equal(o.calls, 1);
    assert_int_equal(o.why, why);
    assert_true(fake_latest(h, PORT)->delivered <= most);
    mem_free(o.body);
    fake_free(h);
}

static void what_never_ends_is_cut(void **state)
{
    static const char chunked[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    const size_t pieces[] = {0, 1, 999};

    for (size_t i = 0; i < 3; i++) {
        size_t piece = pieces[i];

        check_endless("HTTP/1.1 200 OK\r\n", "Name: value\r\n", piece, REASON_LIMIT,
                      HTTP_HEAD_MAX + 1024);
        check_endless("HTTP/1.1 200 OK\r\nName: ", "vvvvvvvvvvvvvvvv", piece, REASON_LIMIT,
                      HTTP_HEAD_MAX + 1024);
        check_endless(interim, interim, piece, REASON_LIMIT, HTTP_HEAD_MAX + 1024);
        check_endless("HTTP/1.1 200 OK\r\n\r\n", "bodybodybodybody", piece, REASON_LIMIT,
                      PROBE_BODY_MAX + 1024);
        check_endless(chunked, "10\r\nbodybodybodybody\r\n", piece, REASON_LIMIT,
                      2 * PROBE_BODY_MAX);
        check_endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10;", "extension",
                      piece, REASON_LIMIT, 1024);
    }
}

static void the_largest_body_is_whole(void **state)
{
    const struct fake_peer silent = {0};
    char *body = mem_alloc(PROBE_BODY_MAX + 1);

    memset(body, 'b', PROBE_BODY_MAX);
    body[PROBE_BODY_MAX] = '\0';
    for (size_t piece = 0; piece < 2; piece++) {
        struct fake_host *h = fake_new();
        struct outcome o = {0};

        h->piece = piece * 4099;
        fake_listen(h, PORT, FAKE_ACCEPTS, &silent, NULL);
        ask(h, &o, "127.0.0.1", "/");
        fake_run(h);
        fake_answer(fake_latest(h, PORT), 200, "", body);
        fake_run(h);
        assert_int_equal(o.calls, 1);
        assert_int_equal(o.status, 200);
        assert_int_equal(o.len, PROBE_BODY_MAX);
        assert_string_equal(o.body, body);
        mem_free(o.body);
        fake_free(h);
    }
    mem_free(body);
}

/* ---- ends ------------------------------------------------------------------------------------ */

/* Nothing follows a cancel, whenever it comes: after each turn of a whole conversation. */
static void cancelled_at_any_moment(void **state)
{
    static const struct row row = {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", THEN_END,
                                   200, REASON_DONE, "hello"};
    const struct fake_peer peer = {.data = answer_row};
    bool whole = false;

    for (unsigned turns = 0; !whole; turns++) {
        struct fake_host *h = fake_new();
        struct outcome o = {0};
        struct probe *p;

        h->piece = 5;
        fake_listen(h, PORT, FAKE_ACCEPTS, &peer, (void *)(uintptr_t)&row);
        p = ask(h, &o, "127.0.0.1", "/health");
        for (unsigned i = 0; i < turns && o.calls == 0; i++)
            fake_turn(h);
        whole = o.calls > 0;
        if (!whole) {
            probe_cancel(p);
            fake_run(h);
            assert_int_equal(o.calls, 0);
        }
        mem_free(o.body);
        fake_free(h);
    }
    probe_cancel(NULL);
}

/* One that is cancelled inside another's `done` while its own is already due. */
static void cancelled_by_a_neighbour(void **state)
{
    struct fake_host *h = fake_new();
    struct outcome o[2] = {{0}, {0}};
    struct probe *p[2];

    for (int i = 0; i < 2; i++)
        p[i] = ask(h, &o[i], "127.0.0.1", "/");
    o[0].cancel = p[1];
    o[1].cancel = p[0];
    while (o[0].calls + o[1].calls == 0)
        fake_turn(h);
    fake_run(h);
    assert_int_equal(o[0].calls + o[1].calls, 1);
    mem_free(o[0].body);
    mem_free(o[1].body);
    fake_free(h);
}

/* The time is over in the same turn in which the answer is complete. */
static void late_and_complete_is_told_once(void **state)
{
    const struct fake_peer silent = {0};
    struct fake_host *h = fake_new();
    struct outcome o = {0};
    struct probe *p;

    fake_listen(h, PORT, FAKE_ACCEPTS, &silent, NULL);
    p = ask(h, &o, "127.0.0.1", "/");
    fake_run(h);
    h->now_us += DEADLINE_US;
    probe_tick(p, h->now_us);
    probe_tick(p, h->now_us);
    fake_answer(fake_latest(h, PORT), 200, "", "late");
    fake_run(h);
    assert_int_equal(o.calls, 1);
    assert_int_equal(o.why, REASON_UPSTREAM_TIMEOUT);
    mem_free(o.body);
    fake_free(h);
}

struct bell {
    struct probe *probe;
    bool rung;
};

static void ring(struct stream *s, enum stream_event event, const uint8_t *data, size_t len)
{
    struct bell *b = s->owner;

    b->rung = true;
    assert_true(probe_tick(b->probe, UINT64_MAX - 1) == UINT64_MAX);
}

/* The answer is complete, and before that is told its time is over: it stays complete. */
static void complete_and_late_is_complete(void **state)
{
    const struct fake_peer silent = {0};
    struct fake_host *h = fake_new();
    struct fake_conn *clock = fake_client(h, NULL, NULL);
    struct outcome o = {0};
    struct bell bell = {0};

    fake_listen(h, PORT, FAKE_ACCEPTS, &silent, NULL);
    bell.probe = ask(h, &o, "127.0.0.1", "/");
    fake_stream(clock)->owner = &bell;
    fake_stream(clock)->on = ring;
    fake_run(h);
    fake_answer(fake_latest(h, PORT), 200, "", "in time");
    fake_say(clock, "now");
    fake_run(h);
    assert_true(bell.rung);
    assert_int_equal(o.calls, 1);
    assert_int_equal(o.status, 200);
    assert_string_equal(o.body, "in time");
    stream_close(fake_stream(clock));
    mem_free(o.body);
    fake_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_answer_in_every_portion),
        cmocka_unit_test(the_request_names_the_host_and_ends_the_connection),
        cmocka_unit_test(nobody_at_the_door),
        cmocka_unit_test(what_never_ends_is_cut),
        cmocka_unit_test(the_largest_body_is_whole),
        cmocka_unit_test(cancelled_at_any_moment),
        cmocka_unit_test(cancelled_by_a_neighbour),
        cmocka_unit_test(late_and_complete_is_told_once),
        cmocka_unit_test(complete_and_late_is_complete),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
