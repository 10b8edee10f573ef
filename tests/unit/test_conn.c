/* The connection object over loopback: backpressure, ends, and what each end is called. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "net/conn.h"
#include "net/dial.h"
#include "net/listener.h"
#include "net/sockaddr.h"

/* One end of a connection under test and what it was told. */
struct end {
    struct stream *stream;
    size_t received;
    size_t sent;
    bool consume; /* give credit back at once */
    bool open;
    bool eof;
    bool closed;
    enum reason why;
};

struct fixture {
    uv_loop_t loop;
    struct net *net;
    struct listener *listener;
    struct end server;
    struct end client;
    uv_timer_t guard;
    bool late;
    enum reason dial_why;
    bool dial_done;
};

static void heard(struct stream *s, enum stream_event event, const uint8_t *data, size_t len)
{
    struct end *e = s->owner;

    switch (event) {
    case STREAM_OPEN:
        e->open = true;
        break;
    case STREAM_DATA:
        e->received += len;
        if (e->consume)
            stream_consumed(s, len);
        break;
    case STREAM_SENT:
        e->sent += len;
        break;
    case STREAM_EOF:
        e->eof = true;
        break;
    case STREAM_CLOSED:
        e->closed = true;
        e->why = s->why;
        e->stream = NULL;
        break;
    }
}

static void accepted(struct listener *l, void *ctx)
{
    struct fixture *f = ctx;
    struct conn *c = listener_accept(l, heard, &f->server);

    assert_non_null(c);
    f->server.stream = conn_stream(c);
    conn_start(c);
}

static void too_late(uv_timer_t *timer)
{
    ((struct fixture *)timer->data)->late = true;
}

/* Runs the loop until `*flag`, or fails after ten seconds. */
static void until(struct fixture *f, const bool *flag)
{
    f->late = false;
    uv_timer_start(&f->guard, too_late, 10000, 0);
    while (!*flag && !f->late)
        uv_run(&f->loop, UV_RUN_ONCE);
    uv_timer_stop(&f->guard);
    assert_true(*flag);
}

/* Runs what is due, until nothing has happened for a moment. */
static void settle(struct fixture *f)
{
    size_t before;

    do {
        before = f->server.received + f->client.received + f->server.sent + f->client.sent;
        for (int i = 0; i < 50; i++)
            uv_run(&f->loop, UV_RUN_NOWAIT);
    } while (before != f->server.received + f->client.received + f->server.sent + f->client.sent);
}

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(sizeof(*f));
    struct sockaddr_storage at;
    int error;

    uv_loop_init(&f->loop);
    f->net = net_new(&f->loop, NULL, 0);
    uv_timer_init(&f->loop, &f->guard);
    f->guard.data = f;
    f->client.consume = true;
    f->server.consume = true;
    assert_true(sockaddr_from_text(&at, "127.0.0.1", 0));
    f->listener = listener_open(f->net, (struct sockaddr *)&at, accepted, f, &error);
    assert_non_null(f->listener);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    if (f->client.stream != NULL)
        stream_reset(f->client.stream);
    if (f->server.stream != NULL)
        stream_reset(f->server.stream);
    listener_close(f->listener);
    uv_close((uv_handle_t *)&f->guard, NULL);
    net_stop(f->net);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(net_pool(f->net)->held, 0);
    net_free(f->net);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    mem_free(f);
    return 0;
}

static void connect_both(struct fixture *f)
{
    struct sockaddr_storage to;
    struct conn *c;

    assert_true(sockaddr_from_text(&to, "127.0.0.1", listener_port(f->listener)));
    c = conn_connect(f->net, (struct sockaddr *)&to, heard, &f->client);
    f->client.stream = conn_stream(c);
    until(f, &f->client.open);
    while (f->server.stream == NULL)
        uv_run(&f->loop, UV_RUN_ONCE);
}

static void test_bytes_and_half_close(void **state)
{
    struct fixture *f = *state;

    connect_both(f);
    stream_write(f->client.stream, (const uint8_t *)"question", 8);
    stream_finish(f->client.stream);
    until(f, &f->server.eof);
    assert_int_equal(f->server.received, 8);
    assert_false(f->client.eof);
    stream_write(f->server.stream, (const uint8_t *)"answer", 6);
    stream_finish(f->server.stream);
    until(f, &f->client.eof);
    assert_int_equal(f->client.received, 6);
    assert_int_equal(f->client.sent, 8);
}

/* A reader that consumes nothing is given at most one window and a last read. */
static void test_reading_stops_at_the_window(void **state)
{
    struct fixture *f = *state;
    size_t size = 16 * 1024 * 1024;
    uint8_t *data = mem_zalloc(size);
    size_t first;

    connect_both(f);
    f->server.consume = false;
    stream_write(f->client.stream, data, size);
    settle(f);
    first = f->server.received;
    assert_true(first >= CONN_READ_WINDOW);
    assert_true(first <= CONN_READ_WINDOW + 512 * 1024);
    assert_true(f->client.sent < size);
    stream_consumed(f->server.stream, first / 4);
    settle(f);
    assert_int_equal(f->server.received, first); /* not below half the window: no new read */
    f->server.consume = true;
    stream_consumed(f->server.stream, first - first / 4);
    while (f->server.received < size)
        uv_run(&f->loop, UV_RUN_ONCE);
    settle(f);
    assert_int_equal(f->client.sent, size);
    mem_free(data);
}

/* However much waits in the kernel, others get the loop after one read. */
static void test_one_read_in_a_turn(void **state)
{
    struct fixture *f = *state;
    size_t size = 4 * 1024 * 1024;
    uint8_t *data = mem_zalloc(size);
    size_t most = 0;

    connect_both(f);
    stream_write(f->client.stream, data, size);
    while (f->server.received < size) {
        size_t before = f->server.received;

        uv_run(&f->loop, UV_RUN_NOWAIT);
        if (f->server.received - before > most)
            most = f->server.received - before;
    }
    assert_int_equal(most, CHUNK_MAX);
    mem_free(data);
}

static void test_close_delivers_what_is_queued(void **state)
{
    struct fixture *f = *state;
    size_t size = 8 * 1024 * 1024;
    uint8_t *data = mem_zalloc(size);

    connect_both(f);
    stream_write(f->client.stream, data, size);
    stream_close(f->client.stream);
    f->client.stream = NULL;
    until(f, &f->server.eof);
    assert_int_equal(f->server.received, size);
    mem_free(data);
}

static void test_reset_is_told_apart(void **state)
{
    struct fixture *f = *state;

    connect_both(f);
    stream_reset(f->client.stream);
    f->client.stream = NULL;
    until(f, &f->server.closed);
    assert_int_equal(f->server.why, REASON_PEER_RESET);
    assert_false(f->server.eof);
}

/* Also where data and the reset come in one piece: what was cut off must not look whole. */
static void test_reset_behind_data_is_told_apart(void **state)
{
    struct fixture *f = *state;

    connect_both(f);
    stream_write(f->client.stream, (const uint8_t *)"half an ans", 11);
    stream_reset(f->client.stream);
    f->client.stream = NULL;
    until(f, &f->server.closed);
    assert_int_equal(f->server.why, REASON_PEER_RESET);
    assert_int_equal(f->server.received, 11);
    assert_false(f->server.eof);
}

/* What was queued behind the write that libuv works on is free at once, and that write's chunk is
 * no excess any more: a second look in the same turn finds nobody else to reset. */
static void test_what_is_dropped_is_no_excess(void **state)
{
    static const uint8_t bulk[1024 * 1024];
    struct fixture *f = *state;
    struct pool *pool = net_pool(f->net);

    connect_both(f);
    f->server.consume = false;
    for (int i = 0; i < 16; i++)
        stream_write(f->client.stream, bulk, sizeof(bulk));
    settle(f);
    assert_true(stream_held(f->client.stream) > 4 * sizeof(bulk));
    pool->limit = pool->held - 1;
    assert_true(pool_over(pool));
    stream_reset(f->client.stream);
    f->client.stream = NULL;
    assert_in_range(pool->held, 1, CHUNK_MAX + 4096);
    pool->limit = 1;
    assert_false(pool_over(pool));
    settle(f);
    assert_int_equal(pool->leaving, 0);
    assert_int_equal(pool->held, 0);
}

enum { CROWD = 24, CROWD_STEPS = 4000 };

/* Ends of many connections, both of each. */
struct crowd {
    struct fixture *f;
    struct end ends[CROWD];
    uint32_t random;
};

static uint32_t pick(struct crowd *w, uint32_t below)
{
    w->random = w->random * 1664525 + 1013904223;
    return (w->random >> 8) % below;
}

static struct end *free_place(struct crowd *w)
{
    for (size_t i = 0; i < CROWD; i++)
        if (w->ends[i].stream == NULL)
            return &w->ends[i];
    return NULL;
}

static void crowd_accepted(struct listener *l, void *ctx)
{
    struct crowd *w = ctx;
    struct end *e = free_place(w);
    struct conn *c = listener_accept(l, heard, e);

    if (c == NULL)
        return;
    if (e == NULL) {
        stream_reset(conn_stream(c));
        return;
    }
    *e = (struct end){.stream = conn_stream(c), .consume = pick(w, 2)};
    conn_start(c);
}

static void crowd_connect(struct crowd *w, struct listener *l)
{
    struct end *e = free_place(w);
    struct sockaddr_storage to;

    if (e == NULL)
        return;
    assert_true(sockaddr_from_text(&to, "127.0.0.1", listener_port(l)));
    *e = (struct end){.consume = pick(w, 2)};
    e->stream = conn_stream(conn_connect(w->f->net, (struct sockaddr *)&to, heard, e));
}

static void crowd_step(struct crowd *w, struct listener *l)
{
    static const uint8_t bulk[1024 * 1024];
    struct end *e = &w->ends[pick(w, CROWD)];
    struct stream *s = e->stream;
    uint32_t what = pick(w, 64); /* so many writes that the kernel takes them no more */

    if (what < 6)
        uv_run(&w->f->loop, UV_RUN_NOWAIT);
    else if (what < 10)
        crowd_connect(w, l);
    else if (s == NULL)
        return;
    else if (what < 60)
        stream_write(s, bulk, pick(w, 2) ? pick(w, 100) : pick(w, sizeof(bulk)));
    else if (what == 60)
        stream_finish(s);
    else if (what == 61)
        net_shed(w->f->net);
    else
        e->stream = NULL;
    if (what == 62)
        stream_close(s);
    else if (what == 63)
        stream_reset(s);
}

/* However they end, what was counted is counted down, and nothing is taken for leaving for ever. */
static void test_the_count_returns_to_nothing(void **state)
{
    struct crowd w = {.f = *state, .random = 7};
    struct pool *pool = net_pool(w.f->net);
    struct sockaddr_storage at;
    size_t left = 0;
    bool sound = true; /* judged when all is closed: what is open keeps the loop from its end */
    struct listener *l;
    int error;

    assert_true(sockaddr_from_text(&at, "127.0.0.1", 0));
    l = listener_open(w.f->net, (struct sockaddr *)&at, crowd_accepted, &w, &error);
    assert_non_null(l);
    for (int i = 0; i < CROWD_STEPS; i++) {
        crowd_step(&w, l);
        pool->limit = i % 64 < 32 ? 0 : 4 * 1024 * 1024;
        sound = sound && pool->leaving <= pool->held;
        left += pool->leaving > 0;
    }
    listener_close(l);
    for (size_t i = 0; i < CROWD; i++)
        if (w.ends[i].stream != NULL)
            stream_reset(w.ends[i].stream);
    pool->limit = 1;
    net_shed(w.f->net);
    for (int i = 0; i < 100; i++)
        uv_run(&w.f->loop, UV_RUN_NOWAIT);
    assert_true(sound);
    assert_int_equal(pool->leaving, 0);
    assert_int_equal(pool->held, 0);
    assert_in_range(left, 10, CROWD_STEPS);
}

static void test_push_leaves_at_the_end_of_the_turn(void **state)
{
    struct fixture *f = *state;
    struct conn *c;

    connect_both(f);
    c = conn_of(f->client.stream);
    for (int i = 0; i < 100; i++)
        conn_push(c, (const uint8_t *)"0123456789", 10);
    assert_int_equal(conn_queued(c), 1000);
    assert_true(conn_room(c) > 0);
    settle(f);
    assert_int_equal(conn_queued(c), 0);
    assert_int_equal(stream_held(f->client.stream), 0);
    assert_int_equal(f->server.received, 1000);
}

static void dialled(void *ctx, struct conn *c, enum reason why, const char *text)
{
    struct fixture *f = ctx;

    f->dial_done = true;
    f->dial_why = why;
    if (c == NULL) {
        assert_true(strlen(text) > 0);
        return;
    }
    conn_stream(c)->on = heard;
    conn_stream(c)->owner = &f->client;
    f->client.stream = conn_stream(c);
}

static void dial(struct fixture *f, const char *host, uint16_t port)
{
    const struct dial_target to = {.host = host, .port = port, .timeout_ms = 5000};

    dial_start(f->net, &to, dialled, f);
    assert_false(f->dial_done);
    until(f, &f->dial_done);
}

static uint16_t closed_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    close(fd);
    return ntohs(at.sin_port);
}

static void test_dial_names_and_refusals(void **state)
{
    struct fixture *f = *state;

    dial(f, "localhost", listener_port(f->listener)); /* ::1 first where there is one: refused */
    assert_non_null(f->client.stream);
    f->dial_done = false;
    dial(f, "127.0.0.1", closed_port());
    assert_int_equal(f->dial_why, REASON_CONNECT_REFUSED);
    f->dial_done = false;
    dial(f, "no-such-host.invalid", 1);
    assert_int_equal(f->dial_why, REASON_RESOLVE_FAILED);
}

static void test_dial_cancelled(void **state)
{
    struct fixture *f = *state;
    const struct dial_target name = {.host = "localhost", .port = 1, .timeout_ms = 5000};
    const struct dial_target literal = {.host = "127.0.0.1", .port = 1, .timeout_ms = 5000};

    dial_cancel(dial_start(f->net, &name, dialled, f));
    dial_cancel(dial_start(f->net, &literal, dialled, f));
    settle(f);
    assert_false(f->dial_done);
}

struct follow_up {
    struct net *net;
    struct net_task first;
    struct net_task second;
    bool second_ran;
};

static void run_first(struct net_task *t)
{
    struct follow_up *f = LIST_ENTRY(t, struct follow_up, first);

    net_soon(f->net, &f->second);
}

static void run_second(struct net_task *t)
{
    LIST_ENTRY(t, struct follow_up, second)->second_ran = true;
}

/* A loop with nothing to wait for has no further turn; what its tasks would free must still go. */
static void test_tasks_of_the_last_turn_run(void **state)
{
    struct follow_up f = {0};
    uv_loop_t loop;

    uv_loop_init(&loop);
    f.net = net_new(&loop, NULL, 0);
    net_task_init(&f.first, run_first);
    net_task_init(&f.second, run_second);
    net_soon(f.net, &f.first);
    uv_run(&loop, UV_RUN_DEFAULT);
    net_stop(f.net);
    assert_true(f.second_ran);
    uv_run(&loop, UV_RUN_DEFAULT);
    net_free(f.net);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void test_addresses_as_frp_writes_them(void **state)
{
    static const struct {
        const char *ip;
        const char *host;
        const char *with_port;
    } rows[] = {
        {"192.0.2.7", "192.0.2.7", "192.0.2.7:80"},
        {"2001:db8::1", "2001:db8::1", "[2001:db8::1]:80"},
        {"::ffff:192.0.2.7", "192.0.2.7", "192.0.2.7:80"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sockaddr_storage a;
        char text[ADDR_PORT_TEXT];

        assert_true(sockaddr_from_text(&a, rows[i].ip, 80));
        assert_int_equal(sockaddr_text((struct sockaddr *)&a, text), 80);
        assert_string_equal(text, rows[i].host);
        sockaddr_text_port((struct sockaddr *)&a, text);
        assert_string_equal(text, rows[i].with_port);
    }
}

static void test_public_addresses(void **state)
{
    static const char *const closed[] = {
        "127.0.0.1",   "127.255.255.255", "10.0.0.1",        "172.16.0.1",     "172.31.255.255",
        "192.168.1.1", "100.64.0.1",      "100.127.255.255", "169.254.1.1",    "::1",
        "fe80::1",     "fd00::1",         "fcff::1",         "::ffff:10.1.2.3"};
    static const char *const open[] = {
        "0.0.0.0",         "::",          "8.8.8.8",        "172.15.255.255", "172.32.0.1",
        "192.167.255.255", "192.169.0.0", "100.63.255.255", "100.128.0.0",    "203.0.113.7",
        "2001:db8::1",     "fe00::1",     "::ffff:8.8.8.8"};
    struct sockaddr_storage at;

    for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++) {
        assert_true(sockaddr_from_text(&at, closed[i], 1));
        if (sockaddr_is_public((const struct sockaddr *)&at))
            fail_msg("%s is not public", closed[i]);
    }
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
        assert_true(sockaddr_from_text(&at, open[i], 1));
        if (!sockaddr_is_public((const struct sockaddr *)&at))
            fail_msg("%s is public", open[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bytes_and_half_close, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reading_stops_at_the_window, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_read_in_a_turn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_close_delivers_what_is_queued, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reset_is_told_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reset_behind_data_is_told_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_dropped_is_no_excess, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_count_returns_to_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_push_leaves_at_the_end_of_the_turn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_dial_names_and_refusals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_dial_cancelled, set_up, tear_down),
        cmocka_unit_test(test_tasks_of_the_last_turn_run),
        cmocka_unit_test(test_addresses_as_frp_writes_them),
        cmocka_unit_test(test_public_addresses),
    };

    signal(SIGPIPE, SIG_IGN); /* as every program of ours does: libuv writes without MSG_NOSIGNAL */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
