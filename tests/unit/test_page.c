/* The page on real sockets: places, and readers that do not read. What it answers is asked end to
 * end (tests/e2e/test_metrics.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "net/conn.h"
#include "net/sockaddr.h"
#include "observe/page.h"

enum {
    SMALL = 100,
    LARGE = 24 * 1024 * 1024, /* more than the kernel takes for a reader that does not read */
    MANY = PAGE_CLIENTS_MAX + 20,
    PATIENCE_MS = 30000,
};

struct reader {
    struct stream *stream; /* NULL: over */
    size_t received;
    bool reads;
    bool ended;
    enum reason why;
};

struct fixture {
    uv_loop_t loop;
    struct net *net;
    struct page *page;
    uv_timer_t guard;
    bool late;
    size_t asked; /* bodies that were made */
    struct reader readers[MANY];
};

static char *make(struct fixture *f, size_t size, size_t *len)
{
    char *body = mem_alloc(size);

    f->asked++;
    memset(body, 'x', size);
    *len = size;
    return body;
}

static char *small(void *ctx, size_t *len)
{
    return make(ctx, SMALL, len);
}

static char *large(void *ctx, size_t *len)
{
    return make(ctx, LARGE, len);
}

static void heard(struct stream *s, enum stream_event event, const uint8_t *data, size_t len)
{
    struct reader *r = s->owner;

    if (event == STREAM_DATA) {
        r->received += len;
        if (r->reads)
            stream_consumed(s, len);
    } else if (event == STREAM_EOF) {
        r->ended = true;
    } else if (event == STREAM_CLOSED) {
        r->ended = true;
        r->why = s->why;
        r->stream = NULL;
    }
}

static void too_late(uv_timer_t *timer)
{
    ((struct fixture *)timer->data)->late = true;
}

static void turn(struct fixture *f)
{
    uv_run(&f->loop, UV_RUN_ONCE);
    assert_false(f->late);
}

static int set_up(void **state)
{
    static const struct page_path paths[] = {
        {"/small", "text/plain", small}, {"/large", "text/plain", large}, {NULL, NULL, NULL}};
    struct fixture *f = mem_zalloc(sizeof(*f));
    int error;

    uv_loop_init(&f->loop);
    f->net = net_new(&f->loop, NULL, 0);
    uv_timer_init(&f->loop, &f->guard);
    f->guard.data = f;
    uv_timer_start(&f->guard, too_late, PATIENCE_MS, 0);
    f->page = page_open(f->net, "127.0.0.1", 0, paths, f, &error);
    *state = f;
    return f->page == NULL;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < MANY; i++)
        if (f->readers[i].stream != NULL)
            stream_reset(f->readers[i].stream);
    page_close(f->page);
    uv_close((uv_handle_t *)&f->guard, NULL);
    net_stop(f->net);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    net_free(f->net);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    mem_free(f);
    return 0;
}

static void ask(struct fixture *f, size_t i, const char *text, bool reads)
{
    struct reader *r = &f->readers[i];
    struct sockaddr_storage to;

    r->reads = reads;
    assert_true(sockaddr_from_text(&to, "127.0.0.1", page_port(f->page)));
    r->stream = conn_stream(conn_connect(f->net, (struct sockaddr *)&to, heard, r));
    stream_write(r->stream, (const uint8_t *)text, strlen(text));
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

/* All places are taken by unfinished heads; who comes later is served when they have gone. */
static void the_next_waits_for_a_place(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < PAGE_CLIENTS_MAX; i++)
        ask(f, i, "GET /sm", true);
    for (int i = 0; i < 200; i++)
        uv_run(&f->loop, UV_RUN_NOWAIT);
    for (size_t i = PAGE_CLIENTS_MAX; i < MANY; i++)
        ask(f, i, GET("/small"), true);
    for (int i = 0; i < 200; i++)
        uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_int_equal(f->asked, 0);
    stream_reset(f->readers[0].stream);
    f->readers[0].stream = NULL;
    for (size_t i = PAGE_CLIENTS_MAX; i < MANY; i++)
        while (!f->readers[i].ended)
            turn(f);
    assert_int_equal(f->asked, MANY - PAGE_CLIENTS_MAX);
    assert_true(f->readers[MANY - 1].received > SMALL);
}

/* A reader that stalls is given up, and what waited for it with it. */
static void a_stalled_reader_is_given_up(void **state)
{
    struct fixture *f = *state;

    ask(f, 0, GET("/large"), false);
    ask(f, 1, GET("/large"), true);
    while (!f->readers[1].ended)
        turn(f);
    assert_true(f->readers[1].received > LARGE);
    assert_true(net_pool(f->net)->held > LARGE / 2);
    while (net_pool(f->net)->held > LARGE / 2)
        turn(f);
    f->readers[0].reads = true;
    stream_consumed(f->readers[0].stream, f->readers[0].received);
    while (!f->readers[0].ended)
        turn(f);
    assert_int_equal(f->readers[0].why, REASON_PEER_RESET);
    assert_true(f->readers[0].received < LARGE);
    assert_int_equal(f->asked, 2);
}

/* In the middle of an answer, of a head, and with somebody at the door. */
static void closing_ends_all(void **state)
{
    struct fixture *f = *state;

    ask(f, 0, GET("/large"), false);
    for (size_t i = 1; i < MANY; i++)
        ask(f, i, "GET /sm", true);
    while (f->readers[0].received == 0)
        turn(f);
    page_close(f->page);
    f->page = NULL;
    for (size_t i = 1; i < MANY; i++)
        while (!f->readers[i].ended)
            turn(f);
}

static void what_cannot_be_opened(void **state)
{
    static const struct page_path paths[] = {{NULL, NULL, NULL}};
    struct fixture *f = *state;
    int error = 0;

    assert_null(page_open(f->net, "127.0.0.1", page_port(f->page), paths, NULL, &error));
    assert_int_equal(error, UV_EADDRINUSE);
    assert_null(page_open(f->net, "localhost", 1, paths, NULL, &error));
    assert_int_equal(error, UV_EINVAL);
    page_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_next_waits_for_a_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stalled_reader_is_given_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(closing_ends_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_opened, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
