/* Calls from inside events, and two sessions that talk to each other. */
#include "mux_harness.h"

#include "mux/internal.h"

/* What an owner does inside an event, and to which stream: that of the event, or the other one. */
enum action {
    ACT_RESET = 0,
    ACT_RELEASE = 1,
    ACT_FINISH = 2,
    ACT_SEND = 3,
    ACT_CONSUME = 4,
    ACT_OPEN = 5,
    ACT_PING = 6,
    ACT_GO_AWAY = 7,
    ACT_TICK = 8,
    ACT_CLOSE = 9,
    ACT_COUNT = 10,
};

enum { STREAMS = 4 };

struct drill {
    struct end e;
    struct mux_stream
        *mine[STREAMS]; /* 1 and 3 of the peer, 2 and 4 of ours; NULL: not ours (any more) */
    enum what on;
    enum action action;
    bool other; /* acts on another stream than the event's */
    bool pull;  /* and lets frames leave at once */
    unsigned done;
};

static void not_mine(struct drill *d, const struct mux_stream *s)
{
    for (unsigned i = 0; i < STREAMS; i++)
        if (d->mine[i] == s)
            d->mine[i] = NULL;
}

/* The stream to act on: never one that the contract forbids to touch. */
static struct mux_stream *target(struct drill *d, struct mux_stream *s)
{
    if (s != NULL && !d->other)
        return s;
    for (unsigned i = 0; i < STREAMS; i++)
        if (d->mine[i] != s && d->mine[i] != NULL)
            return d->mine[i];
    return NULL;
}

static void act_on(struct drill *d, struct mux_stream *s)
{
    switch (d->action) {
    case ACT_RESET:
        not_mine(d, s);
        mux_reset(s);
        break;
    case ACT_RELEASE:
        not_mine(d, s);
        mux_release(s);
        break;
    case ACT_FINISH:
        mux_finish(s);
        break;
    case ACT_SEND:
        end_send(s, 5000);
        break;
    default:
        mux_consumed(s, 1);
        break;
    }
}

static void act(struct drill *d, struct mux_stream *s)
{
    struct mux_stream *opened;

    switch (d->action) {
    case ACT_OPEN:
        opened = end_open(&d->e);
        if (opened != NULL)
            mux_release(opened);
        break;
    case ACT_PING:
        mux_ping(d->e.mux);
        break;
    case ACT_GO_AWAY:
        mux_go_away(d->e.mux);
        break;
    case ACT_TICK:
        mux_tick(d->e.mux);
        break;
    case ACT_CLOSE:
        mux_close(d->e.mux);
        break;
    default:
        s = target(d, s);
        if (s != NULL)
            act_on(d, s);
        break;
    }
}

static void drill_event(struct end *e, enum what what, struct mux_stream *s)
{
    struct drill *d = e->react_ctx;

    if (what == ON_OPENED)
        d->mine[mux_stream_id(s) - 1] = s;
    if (what == ON_RESET)
        not_mine(d, s);
    if (what == d->on && d->done < 3) {
        d->done++;
        act(d, s);
    }
    if (d->pull && what != ON_RESET)
        end_pull(e);
}

static void feed_unless_closed(struct drill *d, const char *words)
{
    int rc = end_feed_by(&d->e, words, 5);

    if (rc == ERR_NOTNOW)
        assert_true(d->e.mux->closed);
    else if (rc != ERR_OK)
        fail_msg("event %d, action %d: %s", (int)d->on, (int)d->action, mux_error(d->e.mux));
}

static void each_mine(struct drill *d, void (*verb)(struct mux_stream *s))
{
    for (unsigned i = 0; i < STREAMS; i++)
        if (d->mine[i] != NULL)
            verb(d->mine[i]);
}

static void send_some(struct mux_stream *s)
{
    end_send(s, 300);
}

/* A conversation in which every event happens. */
static void converse(struct drill *d)
{
    struct end *e = &d->e;

    mux_ping(e->mux);
    d->mine[1] = end_open(e);
    d->mine[3] = end_open(e);
    feed_unless_closed(d, "W1S=0 D3S:abc D1:abc W2A=0");
    each_mine(d, send_some);
    end_pull(e);
    feed_unless_closed(d, "P0A=0 D2:abc W4R=0 D1:def D3F:end");
    each_mine(d, send_some);
    end_pull(e);
    each_mine(d, mux_finish);
    feed_unless_closed(d, "D1:ghi W1F=0 W2R=0 W1R=0");
    end_pull(e);
    feed_unless_closed(d, "P0A=1 W3R=0 D2:late W3=5");
    end_pull(e);
}

static void one_drill(enum what on, enum action action, bool other, bool pull)
{
    struct drill *d = mem_zalloc(sizeof(*d));

    end_init(&d->e, MUX_SERVER, ANY_STREAMS);
    d->e.react = drill_event;
    d->e.react_ctx = d;
    d->on = on;
    d->action = action;
    d->other = other;
    d->pull = pull;
    converse(d);
    assert_true(d->done > 0);
    d->e.react = NULL;
    if (!d->e.mux->closed) {
        end_pull(&d->e);
        assert_false(mux_has_output(d->e.mux));
        assert_true(list_empty(&d->e.mux->dead));
        for (unsigned i = 0; i < STREAMS; i++)
            if (d->mine[i] != NULL)
                mux_reset(d->mine[i]);
    }
    end_free(&d->e);
    mem_free(d);
}

static void test_calls_inside_events(void **state)
{
    for (int on = ON_OPENED; on <= ON_RESET; on++)
        for (int action = 0; action < ACT_COUNT; action++)
            for (int how = 0; how < 4; how++)
                one_drill((enum what)on, (enum action)action, how & 1, how & 2);
}

static void pull_and_close(struct end *e, enum what what, struct mux_stream *s)
{
    end_pull(e);
    mux_close(e->mux);
}

/* An owner whose pipe breaks while it is told of the first frame. */
static void test_close_inside_output(void **state)
{
    struct mux_stream *s;
    struct end e;

    end_init(&e, MUX_CLIENT, ANY_STREAMS);
    e.react = pull_and_close;
    assert_null(end_open(&e));
    assert_string_equal(end_events(&e), "");
    end_free(&e);
    end_init(&e, MUX_CLIENT, ANY_STREAMS);
    s = end_open(&e);
    end_pull(&e);
    e.react = pull_and_close;
    mux_release(s);
    assert_string_equal(end_events(&e), "");
    end_free(&e);
    end_init(&e, MUX_CLIENT, ANY_STREAMS);
    s = end_open(&e);
    end_pull(&e);
    e.react = pull_and_close;
    end_send(s, 10); /* `sent` closes */
    assert_string_equal(end_events(&e), "sent1=10 reset1:peer-gone");
    end_free(&e);
}

static void ping_and_close(struct end *e, enum what what, struct mux_stream *s)
{
    if (what == ON_SENT)
        mux_ping(e->mux);
    if (what == ON_SENT)
        mux_close(e->mux);
    else
        mux_go_away(e->mux);
}

/* After mux_close nothing leaves and nobody is asked to pull. */
static void test_asked_for_while_closing(void **state)
{
    struct end e;

    end_init(&e, MUX_CLIENT, ANY_STREAMS);
    end_send(end_open(&e), 10);
    e.react = ping_and_close;
    assert_string_equal(end_frames(&e), "W1S=0 D1=10");
    assert_string_equal(end_events(&e), "sent1=10 reset1:peer-gone");
    assert_int_equal(e.outputs, 1);
    end_free(&e);
    end_init(&e, MUX_CLIENT, ANY_STREAMS);
    end_open(&e);
    end_frames(&e);
    e.react = ping_and_close;
    e.outputs = 0;
    mux_close(e.mux);
    assert_int_equal(e.outputs, 0);
    end_free(&e);
}

static void reset_in_opened(struct end *e, enum what what, struct mux_stream *s)
{
    if (what == ON_OPENED)
        mux_reset(s);
}

static void test_reset_inside_opened(void **state)
{
    struct end e;

    end_init(&e, MUX_SERVER, ANY_STREAMS);
    e.react = reset_in_opened;
    end_feed(&e, "D1S:abc W1=9 W1F=0"); /* `opened` still says yes */
    assert_string_equal(end_events(&e), "open1");
    assert_string_equal(end_frames(&e), "W1R=0");
    assert_int_equal(mux_stream_count(e.mux), 0);
    end_free(&e);
}

static void ask_in_sent(struct end *e, enum what what, struct mux_stream *s)
{
    if (what != ON_SENT)
        return;
    mux_ping(e->mux);
    mux_go_away(e->mux);
    mux_finish(s);
}

/* What is asked for while the last frame leaves is not left behind unsaid. */
static void test_frames_asked_for_inside_sent(void **state)
{
    struct end e;

    end_init(&e, MUX_CLIENT, ANY_STREAMS);
    e.react = ask_in_sent;
    end_send(end_open(&e), 10);
    assert_string_equal(end_frames(&e), "W1S=0 D1=10 P0S=0 G0=0 W1F=0");
    end_free(&e);
}

static void count_in_reset(struct end *e, enum what what, struct mux_stream *s)
{
    if (what != ON_RESET)
        return;
    assert_int_equal(mux_queued(s), 0);
    assert_int_equal(mux_held(s), 0);
    assert_int_equal(mux_stream_count(e->mux), MUX_OPEN_BACKLOG - 1);
    assert_non_null(end_open(e)); /* its place is free */
}

static void test_place_is_free_in_reset(void **state)
{
    struct end e;

    end_init(&e, MUX_CLIENT, ANY_STREAMS);
    for (unsigned i = 0; i < MUX_OPEN_BACKLOG; i++)
        end_send(end_open(&e), 10);
    e.react = count_in_reset;
    end_feed(&e, "W7R=0");
    assert_string_equal(end_events(&e), "reset7:peer-reset");
    e.react = NULL;
    end_free(&e);
}

static void test_close_tells_everyone_once(void **state)
{
    struct end e;

    end_init(&e, MUX_SERVER, ANY_STREAMS);
    end_feed(&e, "W1S=0 W3S=0 W5S=0 W7S=0");
    end_send(e.last, 100000);
    mux_release(e.last);
    end_events(&e);
    mux_close(e.mux);
    assert_string_equal(end_events(&e), "reset1:peer-gone reset3:peer-gone reset5:peer-gone");
    mux_close(e.mux);
    assert_string_equal(end_events(&e), "");
    assert_int_equal(mux_stream_count(e.mux), 0);
    assert_int_equal(e.pool.held, 0);
    assert_int_equal(mux_input(e.mux, (const uint8_t *)"", 1), ERR_NOTNOW);
    assert_string_equal(end_frames(&e), "");
    assert_false(mux_has_output(e.mux));
    assert_null(end_open(&e));
    end_free(&e);
    mux_free(NULL);
}

/* ---- two sessions ---------------------------------------------------------------------------- */

struct both {
    struct end a;
    struct end b;
};

static void both_init(struct both *p)
{
    end_init(&p->a, MUX_CLIENT, ANY_STREAMS);
    end_init(&p->b, MUX_SERVER, ANY_STREAMS);
    p->a.release_on_fin = true;
    p->b.release_on_fin = true;
    p->b.consume = true;
}

static void both_free(struct both *p)
{
    assert_int_equal(mux_stream_count(p->a.mux), 0);
    assert_int_equal(mux_stream_count(p->b.mux), 0);
    assert_int_equal(p->a.pool.held, 0);
    assert_int_equal(p->b.pool.held, 0);
    assert_string_equal(mux_error(p->a.mux), "none");
    assert_string_equal(mux_error(p->b.mux), "none");
    end_free(&p->a);
    end_free(&p->b);
}

/* Three megabytes through one stream, whatever the pieces in which they cross. */
static void test_transfer(void **state)
{
    static const size_t steps[] = {1, 11, 12, 13, 1000, 65536, SIZE_MAX};
    enum { TOTAL = 3000000 };
    uint8_t *bytes = mem_alloc(TOTAL);
    uint32_t x = 1;

    for (size_t i = 0; i < TOTAL; i++) {
        x = x * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(x >> 24);
    }
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        size_t total = steps[i] < 100 ? TOTAL / 10 : TOTAL;
        struct mux_stream *s;
        struct both p;

        both_init(&p);
        s = end_open(&p.a);
        mux_send(s, bytes, total);
        mux_finish(s);
        end_settle(&p.a, &p.b, steps[i]);
        assert_int_equal(p.b.got.len, total);
        assert_memory_equal(p.b.got.data, bytes, total);
        both_free(&p);
    }
    mem_free(bytes);
}

/* A reader that stops stops its own stream and no other. */
static void test_stalled_reader(void **state)
{
    struct mux_stream *slow;
    struct mux_stream *fast;
    struct both p;

    both_init(&p);
    p.b.consume = false;
    slow = end_open(&p.a);
    fast = end_open(&p.a);
    end_send(slow, 1000000);
    end_settle(&p.a, &p.b, 4096);
    assert_int_equal(mux_queued(slow), 1000000 - MUX_INITIAL_WINDOW);
    p.b.consume = true;
    end_send(fast, 1000000);
    end_settle(&p.a, &p.b, 4096);
    assert_int_equal(mux_queued(fast), 0);
    assert_int_equal(mux_queued(slow), 1000000 - MUX_INITIAL_WINDOW);
    mux_reset(slow);
    mux_finish(fast);
    end_settle(&p.a, &p.b, 4096);
    both_free(&p);
}

/* 300 at once: 256 leave, the others find room as soon as answers come. */
static void test_burst_of_opens(void **state)
{
    unsigned opened = 0;
    struct both p;

    both_init(&p);
    while (opened < 300) {
        struct mux_stream *s = end_open(&p.a);

        if (s == NULL) {
            assert_int_equal(opened, MUX_OPEN_BACKLOG);
            end_settle(&p.a, &p.b, SIZE_MAX);
            continue;
        }
        opened++;
        end_send(s, 100);
        mux_finish(s);
    }
    end_settle(&p.a, &p.b, SIZE_MAX);
    assert_int_equal(p.b.got.len, 300 * 100);
    both_free(&p);
}

static void test_crossing_ends(void **state)
{
    struct mux_stream *s;
    struct both p;

    both_init(&p);
    s = end_open(&p.a);
    end_settle(&p.a, &p.b, 5);
    mux_finish(s); /* both at once */
    mux_finish(p.b.last);
    end_settle(&p.a, &p.b, 5);
    s = end_open(&p.a);
    end_settle(&p.a, &p.b, 5);
    mux_reset(s);
    mux_reset(p.b.last);
    end_settle(&p.a, &p.b, 5);
    s = end_open(&p.a);
    end_settle(&p.a, &p.b, 5);
    mux_finish(s);
    mux_reset(p.b.last);
    end_settle(&p.a, &p.b, 5);
    assert_string_equal(end_events(&p.a), "fin1 reset5:peer-reset");
    both_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_inside_events),
        cmocka_unit_test(test_close_inside_output),
        cmocka_unit_test(test_asked_for_while_closing),
        cmocka_unit_test(test_reset_inside_opened),
        cmocka_unit_test(test_frames_asked_for_inside_sent),
        cmocka_unit_test(test_place_is_free_in_reset),
        cmocka_unit_test(test_close_tells_everyone_once),
        cmocka_unit_test(test_transfer),
        cmocka_unit_test(test_stalled_reader),
        cmocka_unit_test(test_burst_of_opens),
        cmocka_unit_test(test_crossing_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
