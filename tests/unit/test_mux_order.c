/* The order in which frames leave, and when the owner is told that there are some. */
#include "mux_harness.h"

#include "mux/internal.h"

enum { SMALL = 4 * 1024 }; /* a queue no longer than this goes before bulk */

/* Pulls exactly one frame, or one turn of session frames. */
static const char *one_frame(struct end *e)
{
    e->room = 1;
    return end_frames(e);
}

static void test_small_overtakes_bulk(void **state)
{
    struct mux_stream *bulk;
    struct mux_stream *small;
    struct end e;

    end_init(&e, MUX_CLIENT, ANY_STREAMS);
    bulk = end_open(&e);
    small = end_open(&e);
    end_frames(&e);
    end_send(bulk, 250000);
    assert_non_null(strstr(one_frame(&e), "D1="));
    end_send(small, SMALL);
    assert_string_equal(one_frame(&e), "D3=4096");
    assert_non_null(strstr(one_frame(&e), "D1="));
    end_send(small, SMALL + 1);
    assert_non_null(strstr(one_frame(&e), "D1=")); /* as bulk as the other: in turn */
    mux_ping(e.mux);
    end_feed(&e, "P0S=3");
    mux_finish(end_open(&e));
    assert_string_equal(one_frame(&e), "P0A=3 P0S=0");
    assert_string_equal(one_frame(&e), "W5SF=0");
    assert_non_null(strstr(one_frame(&e), "D3="));
    end_free(&e);
}

static void test_round_robin(void **state)
{
    static const size_t sizes[] = {2000, 2 * CHUNK_MAX};

    for (size_t i = 0; i < 2; i++) {
        struct mux_stream *s[3];
        struct end e;

        end_init(&e, MUX_CLIENT, ANY_STREAMS);
        for (unsigned n = 0; n < 3; n++)
            s[n] = end_open(&e);
        end_frames(&e);
        for (unsigned n = 0; n < 3; n++)
            end_send(s[n], sizes[i]);
        for (unsigned turn = 0; turn < (i ? 6 : 3); turn++) {
            end_send(s[turn % 3], 10); /* more to send does not move a stream forward */
            assert_int_equal(strtoul(one_frame(&e) + 1, NULL, 10), 2 * (turn % 3) + 1);
        }
        end_free(&e);
    }
}

/* Small traffic that went while no bulk waited is not held against it. */
static void test_bulk_has_no_claim_from_before(void **state)
{
    struct mux_stream *bulk;
    struct mux_stream *small;
    struct end e;

    end_init(&e, MUX_CLIENT, ANY_STREAMS);
    bulk = end_open(&e);
    small = end_open(&e);
    for (unsigned i = 0; i < 50; i++) {
        end_send(small, SMALL);
        end_frames(&e);
    }
    end_send(bulk, 100000);
    end_send(small, SMALL);
    assert_string_equal(one_frame(&e), "D3=4096");
    end_free(&e);
}

static void refill(struct end *e, enum what what, struct mux_stream *s)
{
    if (what == ON_SENT && mux_stream_id(s) != 1)
        end_send(s, 1000);
}

/* Small streams that never run dry share the pipe with bulk, however small the pulls are. */
static void test_bulk_does_not_starve(void **state)
{
    static const struct {
        size_t room;
        size_t step; /* what bulk is queued by: decides how long its frames are */
    } rows[] = {{1, 65536},     {1, 1000},     {5000, 65536},   {5000, 1000},
                {65536, 16384}, {65536, 1000}, {200000, 65536}, {1000000, 1000}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mux_stream *bulk;
        size_t bulk_left = 0;
        size_t left = 0;
        struct end e;

        end_init(&e, MUX_CLIENT, ANY_STREAMS);
        e.react = refill;
        bulk = end_open(&e);
        for (unsigned n = 0; n < 40; n++) {
            struct mux_stream *s = end_open(&e);

            s->send_window = UINT32_MAX;
            end_send(s, 1000);
        }
        bulk->send_window = UINT32_MAX;
        end_send_by(bulk, 4000000, rows[i].step);
        while (left < 3000000) {
            e.room = rows[i].room;
            end_pull(&e);
            left += e.out.len;
            bulk_left += end_payload(&e, 1);
            end_events(&e);
            e.room = 0;
        }
        assert_in_range(bulk_left, left / 4, left * 3 / 4);
        end_free(&e);
    }
}

static void test_output_is_said_once(void **state)
{
    struct mux_stream *s;
    struct end e;

    end_init(&e, MUX_CLIENT, ANY_STREAMS);
    assert_false(mux_has_output(e.mux));
    s = end_open(&e);
    end_send(s, 2 * CHUNK_MAX);
    mux_ping(e.mux);
    assert_int_equal(e.outputs, 1);
    assert_true(mux_has_output(e.mux));
    e.room = 0;
    assert_string_equal(end_frames(&e), "");
    assert_true(mux_has_output(e.mux));
    e.room = 20000;
    end_pull(&e);
    end_send(s, 5);
    assert_int_equal(e.outputs, 1);
    e.room = UNLIMITED;
    end_pull(&e);
    assert_false(mux_has_output(e.mux));
    end_send(s, 5);
    assert_int_equal(e.outputs, 2);
    end_free(&e);
}

/* A peer's reset takes the only output with it: an owner that looks before it pulls must hear of
 * the next. */
static void test_output_that_vanished(void **state)
{
    struct mux_stream *s;
    struct end e;

    end_init(&e, MUX_CLIENT, ANY_STREAMS);
    s = end_open(&e);
    end_frames(&e);
    end_send(s, 10);
    assert_int_equal(e.outputs, 2);
    end_feed(&e, "W1R=0");
    assert_false(mux_has_output(e.mux));
    mux_ping(e.mux);
    assert_int_equal(e.outputs, 3);
    end_free(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_overtakes_bulk),
        cmocka_unit_test(test_round_robin),
        cmocka_unit_test(test_bulk_has_no_claim_from_before),
        cmocka_unit_test(test_bulk_does_not_starve),
        cmocka_unit_test(test_output_is_said_once),
        cmocka_unit_test(test_output_that_vanished),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
