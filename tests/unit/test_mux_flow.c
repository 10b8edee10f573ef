/* Windows and the ends of streams. */
#include "mux_harness.h"

#include "mux/internal.h"

enum {
    HALF = MUX_INITIAL_WINDOW / 2,
};

static uint64_t now(const struct end *e)
{
    return e->mux->now_us;
}

static void pass(struct end *e, uint64_t us)
{
    mux_time(e->mux, now(e) + us);
}

/* ---- receive windows ------------------------------------------------------------------------- */

static void test_credit_only_through_consumed(void **state)
{
    struct end e;

    end_init(&e, MUX_SERVER, ANY_STREAMS);
    end_feed(&e, "W1S=0 D1=262144");
    assert_string_equal(end_frames(&e), "W1A=0");
    pass(&e, 1000 * 1000);
    mux_consumed(e.last, HALF - 1);
    assert_string_equal(end_frames(&e), "");
    mux_consumed(e.last, 1);
    assert_string_equal(end_frames(&e), "W1=131072");
    assert_int_equal(end_feed(&e, "D1=131072"), ERR_OK);
    pass(&e, 1000 * 1000);
    mux_consumed(e.last, HALF);
    pass(&e, 1000 * 1000);
    mux_consumed(e.last, HALF); /* credit that did not leave yet travels in one frame */
    assert_string_equal(end_frames(&e), "W1=262144");
    assert_int_equal(end_feed(&e, "D1=262145"), ERR_SYNTAX);
    end_free(&e);
}

static void test_credit_rides_on_ack_and_fin(void **state)
{
    struct end e;

    end_init(&e, MUX_SERVER, ANY_STREAMS);
    e.consume = true;
    pass(&e, 1000 * 1000);
    end_feed(&e, "W1S=0");
    pass(&e, 1000 * 1000);
    end_feed(&e, "D1=131072");
    assert_string_equal(end_frames(&e), "W1A=131072");
    pass(&e, 1000 * 1000);
    end_feed(&e, "D1=131072");
    mux_finish(e.last);
    assert_string_equal(end_frames(&e), "W1F=131072");
    e.consume = false;
    end_feed(&e, "D1F=200000");
    mux_consumed(e.last, 200000); /* nothing to grant once the peer has ended */
    assert_string_equal(end_frames(&e), "");
    end_free(&e);
}

/* Credit after half a window was drained in `took` microseconds. */
static const struct {
    uint64_t took;
    uint64_t round_trip;
    size_t limit; /* of the pool */
    size_t held;  /* of it, by somebody else */
    unsigned credit;
} growth[] = {
    {0, 0, 0, 0, HALF + MUX_INITIAL_WINDOW},
    {19999, 0, 0, 0, HALF + MUX_INITIAL_WINDOW},
    {20000, 0, 0, 0, HALF},
    {60000000, 0, 0, 0, HALF},
    {20000, 9000, 0, 0, HALF},
    {199999, 100000, 0, 0, HALF + MUX_INITIAL_WINDOW},
    {200000, 100000, 0, 0, HALF},
    {0, 0, 1000, 500, HALF + MUX_INITIAL_WINDOW},
    {0, 0, 1000, 501, HALF},
    {0, 0, 0, 501, HALF + MUX_INITIAL_WINDOW},
};

static void test_window_growth(void **state)
{
    for (size_t i = 0; i < sizeof(growth) / sizeof(growth[0]); i++) {
        char want[32];
        struct end e;

        end_init(&e, MUX_SERVER, ANY_STREAMS);
        mux_ping(e.mux);
        end_frames(&e);
        pass(&e, growth[i].round_trip);
        end_feed(&e, "P0A=0 W1S=0 D1=131072");
        end_frames(&e);
        e.pool.limit = growth[i].limit;
        e.pool.held = growth[i].held;
        pass(&e, growth[i].took);
        mux_consumed(e.last, HALF);
        e.pool.held = 0;
        snprintf(want, sizeof(want), "W1=%u", growth[i].credit);
        assert_string_equal(end_frames(&e), want);
        end_free(&e);
    }
}

/* What counts is the time since the last credit, not the age of the stream. */
static void test_window_grows_later(void **state)
{
    struct end e;

    end_init(&e, MUX_SERVER, ANY_STREAMS);
    end_feed(&e, "W1S=0 D1=262144");
    end_frames(&e);
    pass(&e, 1000 * 1000);
    mux_consumed(e.last, HALF);
    assert_string_equal(end_frames(&e), "W1=131072");
    pass(&e, 10 * 1000);
    mux_consumed(e.last, HALF);
    assert_string_equal(end_frames(&e), "W1=393216");
    end_free(&e);
}

static void test_window_grows_to_its_limit(void **state)
{
    struct buffer b = {0};
    struct end e;

    end_init(&e, MUX_SERVER, ANY_STREAMS);
    e.consume = true;
    put_words(&b, "D1=65536");
    end_feed(&e, "W1S=0");
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(mux_input(e.mux, b.data, b.len), ERR_OK);
        end_pull(&e);
        assert_in_range(e.last->recv_window, HALF, MUX_MAX_WINDOW);
    }
    assert_int_equal(e.last->window, MUX_MAX_WINDOW);
    assert_int_equal(e.last->recv_window + e.last->owed, MUX_MAX_WINDOW);
    buffer_clear(&b);
    end_free(&e);
}

/* ---- send windows ---------------------------------------------------------------------------- */

static void test_window_exhausted(void **state)
{
    struct mux_stream *a;
    struct mux_stream *b;
    struct end e;

    end_init(&e, MUX_CLIENT, ANY_STREAMS);
    a = end_open(&e);
    b = end_open(&e);
    end_send(a, 300000);
    assert_int_equal(end_payload(&e, 1), MUX_INITIAL_WINDOW);
    assert_int_equal(mux_queued(a), 300000 - MUX_INITIAL_WINDOW);
    assert_false(mux_has_output(e.mux));
    end_send(b, 10); /* stops one stream only */
    assert_int_equal(end_payload(&e, 3), 10);
    e.outputs = 0;
    end_feed(&e, "W1=0");
    assert_int_equal(e.outputs, 0);
    end_feed(&e, "W1A=1"); /* credit counts whatever its flags */
    assert_int_equal(e.outputs, 1);
    assert_string_equal(end_frames(&e), "D1=1");
    end_feed(&e, "W1=100000");
    assert_int_equal(end_payload(&e, 1), 300000 - MUX_INITIAL_WINDOW - 1);
    assert_int_equal(mux_queued(a), 0);
    end_free(&e);
}

static void test_credit_saturates(void **state)
{
    struct mux_stream *s;
    struct end e;

    end_init(&e, MUX_CLIENT, ANY_STREAMS);
    s = end_open(&e);
    end_feed(&e, "W1A=4294967295 W1=4294967295 W1=1");
    assert_int_equal(s->send_window, UINT32_MAX);
    end_send(s, 1000 * 1000);
    assert_int_equal(end_payload(&e, 1), 1000 * 1000);
    assert_int_equal(s->send_window, UINT32_MAX - 1000 * 1000);
    end_free(&e);
}

/* Frp's opening gives 6 MiB before the first byte; the ACK's credit does too. */
static void test_credit_in_the_opening(void **state)
{
    struct end e;

    end_init(&e, MUX_SERVER, ANY_STREAMS);
    end_feed(&e, "W1S=6029312");
    end_send(e.last, MUX_MAX_WINDOW + 1);
    assert_int_equal(end_payload(&e, 1), MUX_MAX_WINDOW);
    end_free(&e);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void test_fin_follows_the_queue_once(void **state)
{
    struct mux_stream *s;
    struct end e;

    end_init(&e, MUX_CLIENT, ANY_STREAMS);
    s = end_open(&e);
    end_send(s, 300000);
    mux_finish(s);
    mux_finish(s);
    end_send(s, 7); /* too late */
    assert_int_equal(mux_queued(s), 300000);
    assert_null(strstr(end_frames(&e), "F="));
    mux_finish(s);
    end_feed(&e, "W1A=40000");
    assert_non_null(strstr(end_frames(&e), " W1F=0"));
    mux_finish(s);
    end_send(s, 7);
    assert_string_equal(end_frames(&e), "");
    end_feed(&e, "D1:half-open W1F=0");
    mux_release(s);
    assert_string_equal(end_frames(&e), "");
    assert_int_equal(mux_stream_count(e.mux), 0);
    end_free(&e);
}

static void test_finish_at_once(void **state)
{
    struct end e;

    end_init(&e, MUX_CLIENT, ANY_STREAMS);
    mux_finish(end_open(&e));
    assert_string_equal(end_frames(&e), "W1SF=0");
    end_feed(&e, "W1S=0"); /* still there */
    assert_non_null(strstr(mux_error(e.mux), "in use"));
    end_free(&e);
}

static void test_release_with_queue(void **state)
{
    struct mux_stream *s;
    struct end e;

    end_init(&e, MUX_CLIENT, ANY_STREAMS);
    s = end_open(&e);
    end_send(s, 300000);
    end_frames(&e);
    end_events(&e);
    mux_release(s);
    end_feed(&e, "W1A=0 D1=200000");
    assert_string_equal(end_frames(&e), ""); /* dropped, and never credited */
    end_feed(&e, "W1=100000");
    assert_non_null(strstr(end_frames(&e), " W1F=0"));
    assert_int_equal(e.pool.held, 0);
    assert_int_equal(mux_stream_count(e.mux), 1);
    end_feed(&e, "D1F=62144");
    assert_int_equal(mux_stream_count(e.mux), 0);
    assert_string_equal(end_events(&e), "");
    end_free(&e);
}

static void test_release_in_every_state(void **state)
{
    static const struct {
        bool finish;      /* our FIN has left */
        const char *peer; /* what it said before */
        const char *out;
        uint32_t count;
        const char *later;
    } rows[] = {
        {false, "W1S=0", "W1F=0", 1, "W1F=0"},   {false, "W1SF=0", "W1F=0", 0, ""},
        {true, "W1S=0", "", 1, "W1F=0"},         {true, "W1SF=0", "", 0, ""},
        {false, "W1S=0", "W1F=0", 1, "D1F:abc"}, {false, "W1S=0", "W1F=0", 1, "W1R=0"},
        {true, "W1S=0", "", 1, "W1R=0"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct end e;

        end_init(&e, MUX_SERVER, ANY_STREAMS);
        end_feed(&e, rows[i].peer);
        if (rows[i].finish)
            mux_finish(e.last);
        end_frames(&e);
        end_events(&e);
        mux_release(e.last);
        assert_string_equal(end_frames(&e), rows[i].out);
        assert_int_equal(mux_stream_count(e.mux), rows[i].count);
        assert_int_equal(end_feed(&e, rows[i].later), ERR_OK);
        assert_int_equal(mux_stream_count(e.mux), 0);
        assert_string_equal(end_events(&e), "");
        assert_string_equal(end_frames(&e), "");
        end_free(&e);
    }
}

static void test_reset_drops_the_queue(void **state)
{
    struct mux_stream *s;
    struct end e;

    end_init(&e, MUX_CLIENT, ANY_STREAMS);
    s = end_open(&e);
    end_send(s, 1000);
    mux_reset(s); /* before its SYN has left */
    assert_int_equal(e.pool.held, 0);
    assert_string_equal(end_frames(&e), "W1S=0 W1R=0");
    assert_int_equal(mux_stream_count(e.mux), 0);
    s = end_open(&e);
    end_feed(&e, "W3A=0 D3=131072");
    end_send(s, 300000);
    end_frames(&e);
    mux_finish(s);
    mux_consumed(s, 131072);
    mux_reset(s);
    assert_int_equal(e.pool.held, 0);
    end_events(&e);
    end_feed(&e, "D3=131072 W3=500 W3F=0 D3:late"); /* it does not know yet */
    assert_string_equal(end_frames(&e), "W3R=0");
    end_feed(&e, "D3=9 W3F=0 W3R=0");
    assert_string_equal(end_events(&e), "");
    assert_int_equal(mux_stream_count(e.mux), 0);
    end_free(&e);
}

static void test_both_reset(void **state)
{
    struct mux_stream *s;
    struct end e;

    end_init(&e, MUX_CLIENT, ANY_STREAMS);
    s = end_open(&e);
    end_frames(&e);
    mux_reset(s);
    end_feed(&e, "W1R=0");
    assert_string_equal(end_frames(&e), ""); /* nobody is left to tell */
    assert_string_equal(end_events(&e), "");
    assert_int_equal(mux_stream_count(e.mux), 0);
    end_free(&e);
}

/* Whoever never answers our FIN is forgotten after five minutes, without a reset, because that
 * would cost a slow reader what it has not read; bytes that cannot leave are given up with one. */
static void test_forsaken(void **state)
{
    const uint64_t minute = 60 * 1000 * 1000;
    struct mux_stream *kept;
    struct mux_stream *left;
    struct mux_stream *stuck;
    struct end e;

    end_init(&e, MUX_CLIENT, ANY_STREAMS);
    kept = end_open(&e);
    mux_finish(kept);
    left = end_open(&e);
    stuck = end_open(&e);
    end_send(stuck, 300000);
    end_frames(&e);
    pass(&e, 9 * minute); /* of no account: its owner was there */
    mux_release(stuck);
    mux_release(left);
    end_frames(&e);
    mux_tick(e.mux);
    assert_int_equal(mux_queued(stuck), 300000 - MUX_INITIAL_WINDOW);
    pass(&e, 4 * minute);
    end_feed(&e, "W5A=1");
    assert_string_equal(end_frames(&e), "D5=1");
    pass(&e, minute);
    mux_tick(e.mux);
    assert_int_equal(mux_stream_count(e.mux), 3);
    pass(&e, 1);
    mux_tick(e.mux);
    assert_string_equal(end_frames(&e), "");
    assert_int_equal(mux_stream_count(e.mux), 2);
    assert_int_equal(end_feed(&e, "D3F:late"), ERR_OK);
    pass(&e, 4 * minute);
    mux_tick(e.mux);
    assert_string_equal(end_frames(&e), "W5R=0");
    assert_int_equal(mux_stream_count(e.mux), 1); /* the owner of 1 is still there */
    assert_int_equal(e.pool.held, 0);
    end_free(&e);
}

/* When the byte budget is spent, those go first whose owner has left with bytes still queued. */
static void test_shed(void **state)
{
    struct mux_stream *s[4];
    struct end e;

    end_init(&e, MUX_CLIENT, ANY_STREAMS);
    for (unsigned i = 0; i < 4; i++) {
        s[i] = end_open(&e);
        end_send(s[i], i == 3 ? 100 : 300000);
    }
    end_frames(&e);
    end_events(&e);
    mux_release(s[1]);
    mux_release(s[3]);
    mux_reset(s[2]);
    assert_string_equal(end_frames(&e), "W7F=0 W5R=0");
    mux_shed(e.mux); /* within the limit: nobody pays */
    assert_string_equal(end_frames(&e), "");
    e.pool.limit = 1;
    mux_shed(e.mux);
    mux_shed(e.mux);
    assert_string_equal(end_frames(&e), "W3R=0");
    assert_int_equal(mux_queued(s[0]), 300000 - MUX_INITIAL_WINDOW);
    assert_int_equal(mux_stream_count(e.mux), 2);
    assert_string_equal(end_events(&e), "");
    end_free(&e);
}

/* A queue that stood for long at a slow reader still leaves whole after the release. */
static void test_release_does_not_cut_slow_readers(void **state)
{
    struct mux_stream *s;
    size_t left;
    struct end e;

    end_init(&e, MUX_CLIENT, ANY_STREAMS);
    s = end_open(&e);
    end_send(s, 400000);
    mux_release(s);
    left = end_payload(&e, 1);
    for (unsigned i = 0; i < 20 && left < 400000; i++) {
        pass(&e, 200 * 1000 * 1000);
        mux_tick(e.mux);
        assert_int_equal(end_feed(&e, "W1A=20000"), ERR_OK);
        left += end_payload(&e, 1);
    }
    assert_int_equal(left, 400000);
    end_free(&e);
}

static void test_idle_streams_hold_nothing(void **state)
{
    struct mux_stream *s;
    struct end e;

    end_init(&e, MUX_CLIENT, ANY_STREAMS);
    s = end_open(&e);
    assert_int_equal(mux_held(s), 0);
    end_send(s, 100000);
    assert_in_range(mux_held(s), 100000, 200000);
    assert_in_range(e.pool.held, mux_held(s), mux_held(s) + 5000);
    end_frames(&e);
    assert_int_equal(mux_held(s), 0);
    assert_int_equal(e.pool.held, 0);
    end_free(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_credit_only_through_consumed),
        cmocka_unit_test(test_credit_rides_on_ack_and_fin),
        cmocka_unit_test(test_window_growth),
        cmocka_unit_test(test_window_grows_later),
        cmocka_unit_test(test_window_grows_to_its_limit),
        cmocka_unit_test(test_window_exhausted),
        cmocka_unit_test(test_credit_saturates),
        cmocka_unit_test(test_credit_in_the_opening),
        cmocka_unit_test(test_fin_follows_the_queue_once),
        cmocka_unit_test(test_finish_at_once),
        cmocka_unit_test(test_release_with_queue),
        cmocka_unit_test(test_release_in_every_state),
        cmocka_unit_test(test_reset_drops_the_queue),
        cmocka_unit_test(test_both_reset),
        cmocka_unit_test(test_forsaken),
        cmocka_unit_test(test_shed),
        cmocka_unit_test(test_release_does_not_cut_slow_readers),
        cmocka_unit_test(test_idle_streams_hold_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
