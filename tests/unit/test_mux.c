/* The rules of the wire, one session against a scripted peer. */
#include "mux_harness.h"

#include "mux/internal.h"

/* What Go's library puts on the wire, byte for byte, and what we answer. */
static const struct {
    enum mux_role role;
    unsigned opens; /* streams that we open first */
    const char *in;
    const char *events;
    const char *out;
} vectors[] = {
    /* SYN and ACK with frp's 6 MiB window */
    {MUX_SERVER, 0, "0001000100000001005c0000", "open1", "000100020000000100000000"},
    {MUX_CLIENT, 1, "0001000200000001005c0000", "", "000100010000000100000000"},
    /* ping and its answer, both ways */
    {MUX_SERVER, 0, "000200010000000000000007", "", "000200020000000000000007"},
    {MUX_SERVER, 0, "000200020000000000000007", "", ""},
    /* FIN, RST of an unknown stream, go-away */
    {MUX_SERVER, 0, "000100040000000300000000", "", ""},
    {MUX_SERVER, 0, "000100080000000300000000", "", ""},
    {MUX_CLIENT, 2, "000100040000000300000000", "fin3",
     "000100010000000100000000000100010000000300000000"},
    {MUX_CLIENT, 2, "000100080000000300000000", "reset3:peer-reset", "000100010000000100000000"},
    {MUX_CLIENT, 0, "000300000000000000000000", "", ""},
    /* window update of 3 MiB */
    {MUX_CLIENT, 1, "000100000000000100300000", "", "000100010000000100000000"},
    /* the opening of a default frpc: SYN, then an 11-byte message */
    {MUX_SERVER, 0, "0001000100000001005c000000000000000000010000000b6800000000000000027b7d",
     "open1 data1=11", "000100020000000100000000"},
};

static size_t from_hex(uint8_t *out, const char *hex)
{
    size_t n = 0;

    for (; hex[0] != '\0'; hex += 2) {
        const char pair[3] = {hex[0], hex[1], '\0'};

        out[n++] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return n;
}

static void test_vectors(void **state)
{
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        uint8_t in[64];
        uint8_t out[64];
        size_t in_len = from_hex(in, vectors[i].in);
        size_t out_len = from_hex(out, vectors[i].out);
        struct end e;

        end_init(&e, vectors[i].role, ANY_STREAMS);
        for (unsigned n = 0; n < vectors[i].opens; n++)
            end_open(&e);
        assert_int_equal(mux_input(e.mux, in, in_len), ERR_OK);
        end_pull(&e);
        assert_string_equal(end_events(&e), vectors[i].events);
        assert_int_equal(e.out.len, out_len);
        if (out_len > 0)
            assert_memory_equal(e.out.data, out, out_len);
        end_free(&e);
    }
}

static void test_vectors_sent(void **state)
{
    uint8_t want[64];
    struct mux_stream *s;
    struct end e;

    end_init(&e, MUX_CLIENT, ANY_STREAMS);
    end_open(&e);
    s = end_open(&e);
    mux_send(s, (const uint8_t *)"h\0\0\0\0\0\0\0\2{}", 11);
    mux_finish(s);
    end_pull(&e);
    assert_int_equal(e.out.len, from_hex(want, "000100010000000100000000000100010000000300000000"
                                               "000000000000000300"
                                               "00000b6800000000000000027b7d"
                                               "000100040000000300000000"));
    assert_memory_equal(e.out.data, want, e.out.len);
    e.out.len = 0;
    mux_reset(s);
    mux_ping(e.mux);
    mux_go_away(e.mux);
    end_pull(&e);
    assert_int_equal(e.out.len, from_hex(want, "000200010000000000000000"
                                               "000300000000000000000000"
                                               "000100080000000300000000"));
    assert_memory_equal(e.out.data, want, e.out.len);
    end_free(&e);
}

/* What a peer may say and what follows, whatever way the bytes are cut. `error` is part of the
 * sentence; NULL: the session lives. */
static const struct {
    enum mux_role role;
    unsigned opens;
    const char *in;
    const char *events;
    const char *out;
    const char *error;
} rules[] = {
    /* opening */
    {MUX_SERVER, 0, "W1S=0", "open1", "W1A=0", NULL},
    {MUX_SERVER, 0, "W1S=0 W3S=9 W7S=0", "open1 open3 open7", "W1A=0 W3A=0 W7A=0", NULL},
    {MUX_SERVER, 0, "D1S:hello D1: D1:!", "open1 data1=6", "W1A=0", NULL},
    {MUX_SERVER, 0, "D1SF:hello", "open1 data1=5 fin1", "W1A=0", NULL},
    {MUX_SERVER, 0, "W1SF=0", "open1 fin1", "W1A=0", NULL},
    {MUX_SERVER, 0, "W1SR=0", "open1 reset1:peer-reset", "", NULL},
    {MUX_SERVER, 0, "W4294967295S=0", "open4294967295", "W4294967295A=0", NULL},
    {MUX_CLIENT, 0, "W2S=0", "open2", "W2A=0", NULL},
    {MUX_SERVER, 0, "D1S=262144", "open1 data1=262144", "W1A=0", NULL},
    {MUX_SERVER, 0, "D1S=262145", "open1", "G0=1", "window"},
    {MUX_SERVER, 0, "W1S=0 W1S=0", "open1", "G0=1", "in use"},
    {MUX_SERVER, 0, "W1S=0 D1S:x", "open1", "G0=1", "in use"},
    {MUX_CLIENT, 1, "W1S=0", "", "G0=1", "in use"},
    {MUX_SERVER, 0, "W1S=0 W1R=0 W1S=0", "open1 reset1:peer-reset open1", "W1A=0", NULL},
    /* ids of our own parity are not the peer's to give */
    {MUX_CLIENT, 1, "W3S=0 D3:abc W2S=0", "open2", "W3R=0 W1S=0 W2A=0", NULL},
    {MUX_SERVER, 0, "W4S=0", "", "W4R=0", NULL},
    /* acknowledging */
    {MUX_CLIENT, 1, "W1A=0", "", "W1S=0", NULL},
    {MUX_CLIENT, 1, "D1A:abc D1A:de", "data1=5", "W1S=0", NULL},
    {MUX_CLIENT, 1, "W1A=0 W1A=0 W3A=0", "", "W1S=0", NULL},
    {MUX_CLIENT, 1, "D1:before D1A:after", "data1=11", "W1S=0", NULL},
    {MUX_SERVER, 0, "W1S=0 W1A=0", "open1", "W1A=0", NULL},
    {MUX_CLIENT, 2, "W1AF=0 W3AR=0", "fin1 reset3:peer-reset", "W1S=0", NULL},
    /* data and windows */
    {MUX_SERVER, 0, "W1S=0 D1=262144 D1=0", "open1 data1=262144", "W1A=0", NULL},
    {MUX_SERVER, 0, "W1S=0 D1=262143 D1=1 D1=1", "open1 data1=262144", "G0=1", "window"},
    {MUX_SERVER, 0, "W1S=0 W3S=0 D1=200000 D3=200000", "open1 open3 data1=200000 data3=200000",
     "W1A=0 W3A=0", NULL},
    {MUX_SERVER, 0, "D9=300000 W1S=0 D1:ab", "open1 data1=2", "W1A=0", NULL},
    {MUX_SERVER, 0, "W9=5 W9F=0 W9A=7 D9F:abc W1S=0", "open1", "W1A=0", NULL},
    /* ends */
    {MUX_SERVER, 0, "W1S=0 W1F=0", "open1 fin1", "W1A=0", NULL},
    {MUX_SERVER, 0, "W1S=0 D1F:abc", "open1 data1=3 fin1", "W1A=0", NULL},
    {MUX_SERVER, 0, "W1S=0 D1F:", "open1 fin1", "W1A=0", NULL},
    {MUX_SERVER, 0, "W1S=0 W1F=70000 W1=9", "open1 fin1", "W1A=0", NULL},
    {MUX_SERVER, 0, "W1S=0 W1F=0 W1F=0", "open1 fin1", "G0=1", "twice"},
    {MUX_SERVER, 0, "W1S=0 W1F=0 D1F:abc", "open1 fin1", "G0=1", "twice"},
    {MUX_SERVER, 0, "W1S=0 D1F:abc D1F:", "open1 data1=3 fin1", "G0=1", "twice"},
    /* a Go writer that races with its own Close sends this; Go takes it too */
    {MUX_SERVER, 0, "W1S=0 D1:ab W1F=0 D1:late D1=300000 D3S:x", "open1 data1=2 fin1 open3 data3=1",
     "W1A=0 W3A=0", NULL},
    {MUX_SERVER, 0, "W1S=0 W1R=0 D1:abc W1F=0 W1R=0", "open1 reset1:peer-reset", "", NULL},
    {MUX_SERVER, 0, "W1S=0 D1R:abc W3S=0", "open1 reset1:peer-reset open3", "W3A=0", NULL},
    {MUX_SERVER, 0, "W1S=0 D1FR:abc", "open1 reset1:peer-reset", "", NULL},
    {MUX_SERVER, 0, "W1S=0 W1F=0 W1R=0", "open1 fin1 reset1:peer-reset", "", NULL},
    {MUX_CLIENT, 1, "W1R=4294967295", "reset1:peer-reset", "", NULL},
    /* session frames */
    {MUX_SERVER, 0, "P0S=4294967295 P0S=1", "", "P0A=4294967295 P0A=1", NULL},
    {MUX_SERVER, 0, "P0A=0 P0A=77", "", "", NULL},
    {MUX_CLIENT, 1, "G0=0 W1A=0 D1:abc", "data1=3", "W1S=0", NULL},
    {MUX_SERVER, 0, "W1S=0 G0=0 W3S=0 D1:abc", "open1 open3 data1=3", "W1A=0 W3A=0", NULL},
    {MUX_SERVER, 0, "G0=1", "", "G0=1", "go-away"},
    {MUX_SERVER, 0, "G0=2", "", "G0=1", "go-away"},
    {MUX_SERVER, 0, "G0=99", "", "G0=1", "go-away"},
};

static void check_rule(size_t i, size_t step)
{
    struct end e;
    const char *text;
    int rc;

    end_init(&e, rules[i].role, ANY_STREAMS);
    for (unsigned n = 0; n < rules[i].opens; n++)
        end_open(&e);
    rc = end_feed_by(&e, rules[i].in, step);
    if ((rc == ERR_OK) != (rules[i].error == NULL) ||
        strstr(mux_error(e.mux), rules[i].error ? rules[i].error : "none") == NULL)
        fail_msg("rule %zu, step %zu: %d, %s", i, step, rc, mux_error(e.mux));
    text = end_events(&e);
    if (strcmp(text, rules[i].events) != 0)
        fail_msg("rule %zu, step %zu: events %s", i, step, text);
    text = end_frames(&e);
    if (strcmp(text, rules[i].out) != 0)
        fail_msg("rule %zu, step %zu: frames %s", i, step, text);
    end_free(&e);
}

static void test_rules(void **state)
{
    static const size_t big_steps[] = {4096, 65536, 262144, 262156, UNLIMITED};

    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        struct buffer b = {0};

        put_words(&b, rules[i].in);
        for (size_t step = b.len < 1000 ? 1 : 997; step <= b.len && step < 1000; step++)
            check_rule(i, step);
        for (size_t n = 0; n < sizeof(big_steps) / sizeof(big_steps[0]); n++)
            check_rule(i, big_steps[n]);
        buffer_clear(&b);
    }
}

static void test_bad_headers(void **state)
{
    static const struct {
        const char *hex;
        const char *error;
    } rows[] = {
        {"010100010000000100000000", "tcp_mux"}, {"ff0100010000000100000000", "tcp_mux"},
        {"160301020001000000000000", "tcp_mux"}, {"000400010000000100000000", "type"},
        {"00ff00010000000100000000", "type"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t in[16];
        struct end e;

        end_init(&e, MUX_SERVER, ANY_STREAMS);
        from_hex(in, rows[i].hex);
        assert_int_equal(mux_input(e.mux, in, 11), ERR_OK);
        assert_int_equal(mux_input(e.mux, in + 11, 1), ERR_SYNTAX);
        assert_non_null(strstr(mux_error(e.mux), rows[i].error));
        assert_string_equal(end_frames(&e), "G0=1");
        end_free(&e);
    }
}

static void test_payload_is_untouched(void **state)
{
    struct end e;

    for (size_t step = 1; step < 40; step++) {
        end_init(&e, MUX_SERVER, ANY_STREAMS);
        end_feed_by(&e, "D1S:hello D3S:mixed D1: D1:world D5:nobody D1F:!", step);
        assert_int_equal(e.got.len, 16);
        assert_memory_equal(e.got.data, "hellomixedworld!", 16);
        end_free(&e);
    }
}

/* A dead session says its go-away and nothing else, and takes nothing more. */
static void test_dead_session(void **state)
{
    struct mux_stream *s;
    struct end e;

    end_init(&e, MUX_SERVER, ANY_STREAMS);
    end_feed(&e, "W1S=0 W3S=0");
    s = e.last;
    end_frames(&e);
    assert_int_equal(end_feed(&e, "W1S=0"), ERR_SYNTAX);
    assert_int_equal(e.outputs, 2);
    assert_int_equal(end_feed(&e, "P0S=1"), ERR_NOTNOW);
    end_send(s, 100);
    assert_int_equal(mux_queued(s), 0);
    mux_finish(s);
    mux_ping(e.mux);
    mux_go_away(e.mux);
    assert_null(end_open(&e));
    assert_true(mux_has_output(e.mux));
    assert_string_equal(end_frames(&e), "G0=1");
    assert_false(mux_has_output(e.mux));
    end_events(&e);
    mux_close(e.mux);
    assert_string_equal(end_events(&e), "reset1:peer-gone reset3:peer-gone");
    end_free(&e);
}

static void test_refused(void **state)
{
    struct end e;

    end_init(&e, MUX_SERVER, ANY_STREAMS);
    e.refuse = true;
    assert_int_equal(end_feed(&e, "D1S:abc D1:def W1F=0 W3SF=0"), ERR_OK);
    assert_string_equal(end_events(&e), "open1 open3");
    assert_string_equal(end_frames(&e), "W1R=0 W3R=0");
    assert_int_equal(mux_stream_count(e.mux), 0);
    e.refuse = false;
    assert_int_equal(end_feed(&e, "W1S=0"), ERR_OK);
    assert_string_equal(end_frames(&e), "W1A=0");
    end_free(&e);
}

static void test_nobody_to_ask(void **state)
{
    static const struct mux_session_events only_output = {.output = on_output};
    struct mux_session *m;
    struct end e;

    end_init(&e, MUX_CLIENT, ANY_STREAMS);
    m = e.mux;
    e.mux = mux_new(MUX_CLIENT, &e.pool, ANY_STREAMS, &only_output, &e);
    assert_int_equal(end_feed(&e, "W2S=0 D2:abc"), ERR_OK);
    assert_string_equal(end_frames(&e), "W2R=0");
    mux_ping(e.mux);
    assert_string_equal(end_frames(&e), "P0S=0");
    assert_int_equal(end_feed(&e, "P0A=0"), ERR_OK); /* and nobody to tell */
    mux_free(m);
    end_free(&e);
}

static void test_max_streams(void **state)
{
    struct end e;

    end_init(&e, MUX_SERVER, 2);
    end_feed(&e, "W1S=0 W3S=0 W5S=0 D5:abc D7S:abc W5F=0");
    assert_string_equal(end_frames(&e), "W5R=0 W7R=0 W1A=0 W3A=0");
    assert_string_equal(end_events(&e), "open1 open3");
    end_feed(&e, "W1R=0 W9S=0 W11S=0");
    assert_string_equal(end_events(&e), "reset1:peer-reset open9");
    assert_string_equal(end_frames(&e), "W11R=0 W9A=0");
    mux_reset(e.last);
    end_feed(&e, "W13S=0"); /* 9 counts until its RST has left */
    assert_string_equal(end_frames(&e), "W13R=0 W9R=0");
    end_feed(&e, "W15S=0");
    assert_string_equal(end_frames(&e), "W15A=0");
    end_free(&e);
}

/* A peer that opens without end and never reads is cut off, not stored. */
static void test_refusals_are_bounded(void **state)
{
    struct end e;
    char syn[32];
    unsigned n;

    end_init(&e, MUX_SERVER, 0);
    e.room = 0;
    for (n = 0; n < 1000; n++) {
        snprintf(syn, sizeof(syn), "W%uS=0", 2 * n + 1);
        if (end_feed(&e, syn) != ERR_OK)
            break;
        end_pull(&e);
    }
    assert_int_equal(n, REFUSED_SLOTS);
    assert_int_equal(e.out.len, 0);
    assert_non_null(strstr(mux_error(e.mux), "refusals"));
    end_free(&e);
}

/* ---- pings and go-away ----------------------------------------------------------------------- */

static void test_ping(void **state)
{
    struct end e;

    end_init(&e, MUX_CLIENT, ANY_STREAMS);
    assert_int_equal(mux_ping_since(e.mux), 0);
    mux_ping(e.mux);
    assert_int_equal(mux_ping_since(e.mux), 1000 * 1000);
    end_feed(&e, "P0A=0"); /* an answer to what was not yet asked */
    assert_string_equal(end_events(&e), "");
    mux_time(e.mux, 1000 * 1000 + 500);
    assert_string_equal(end_frames(&e), "P0S=0");
    mux_ping(e.mux);
    assert_string_equal(end_frames(&e), "");
    mux_time(e.mux, 1000 * 1000 + 1300);
    end_feed(&e, "P0A=1 P0A=4294967295");
    assert_int_equal(mux_ping_since(e.mux), 1000 * 1000);
    end_feed(&e, "P0A=0 P0A=0");
    assert_string_equal(end_events(&e), "pong=800");
    assert_int_equal(mux_round_trip_us(e.mux), 800);
    assert_int_equal(mux_ping_since(e.mux), 0);
    mux_ping(e.mux);
    assert_string_equal(end_frames(&e), "P0S=1");
    mux_time(e.mux, 1000 * 1000 + 2900);
    end_feed(&e, "P0A=1");
    assert_string_equal(end_events(&e), "pong=1600");
    assert_int_equal(mux_round_trip_us(e.mux), 900);
    end_free(&e);
}

static void test_ping_flood(void **state)
{
    struct end e;
    char ping[32];

    end_init(&e, MUX_SERVER, ANY_STREAMS);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(ping, sizeof(ping), "P0S=%u", i);
        assert_int_equal(end_feed(&e, ping), ERR_OK);
    }
    assert_int_equal(e.outputs, 1);
    assert_string_equal(end_frames(&e), "P0A=992 P0A=993 P0A=994 P0A=995 P0A=996 P0A=997 P0A=998 "
                                        "P0A=999");
    e.room = 0; /* the flooder reads nothing: nothing may pile up in the pipe either */
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(end_feed(&e, "P0S=5"), ERR_OK);
        end_pull(&e);
    }
    assert_int_equal(e.out.len, 0);
    e.room = 1;
    end_pull(&e);
    assert_int_equal(e.out.len, PONG_SLOTS * MUX_HEADER_SIZE);
    end_free(&e);
}

static void test_go_away(void **state)
{
    struct mux_stream *s;
    struct end e;

    end_init(&e, MUX_CLIENT, ANY_STREAMS);
    s = end_open(&e);
    assert_false(mux_going_away(e.mux));
    end_feed(&e, "W1A=0 G0=0");
    assert_true(mux_going_away(e.mux));
    assert_null(end_open(&e));
    end_send(s, 5);
    mux_go_away(e.mux);
    mux_go_away(e.mux);
    assert_string_equal(end_frames(&e), "G0=0 W1S=0 D1=5");
    end_feed(&e, "D1F:still");
    assert_string_equal(end_events(&e), "sent1=5 data1=5 fin1");
    mux_release(s);
    assert_string_equal(end_frames(&e), "W1F=0");
    assert_int_equal(mux_stream_count(e.mux), 0);
    end_free(&e);
}

/* ---- opening --------------------------------------------------------------------------------- */

static void test_open_backlog(void **state)
{
    struct mux_stream *s[300] = {NULL};
    unsigned opened = 0;
    struct end e;

    end_init(&e, MUX_CLIENT, ANY_STREAMS);
    for (unsigned i = 0; i < 300; i++) {
        s[i] = end_open(&e);
        opened += s[i] != NULL;
    }
    assert_int_equal(opened, MUX_OPEN_BACKLOG);
    assert_int_equal(e.outputs, 1);
    end_pull(&e);
    assert_int_equal(e.out.len, MUX_OPEN_BACKLOG * MUX_HEADER_SIZE);
    e.out.len = 0;
    assert_null(end_open(&e));
    end_feed(&e, "W1A=0 D3A:abc W5R=0 W1A=0 W5A=0"); /* each counts once */
    mux_reset(s[3]);
    assert_string_equal(end_frames(&e), "W7R=0");
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(mux_stream_id(end_open(&e)), 2 * (MUX_OPEN_BACKLOG + i) + 1);
    assert_null(end_open(&e));
    mux_close(e.mux);
    assert_null(end_open(&e));
    end_free(&e);
}

static void test_ids_run_out(void **state)
{
    static const struct {
        enum mux_role role;
        uint32_t last;
    } rows[] = {{MUX_CLIENT, UINT32_MAX - 2}, {MUX_SERVER, UINT32_MAX - 3}};

    for (size_t i = 0; i < 2; i++) {
        struct end e;

        end_init(&e, rows[i].role, ANY_STREAMS);
        assert_int_equal(mux_stream_id(end_open(&e)), rows[i].role);
        assert_int_equal(mux_stream_id(end_open(&e)), rows[i].role + 2);
        e.mux->next_id = rows[i].last; /* four billion opens later */
        assert_int_equal(mux_stream_id(end_open(&e)), rows[i].last);
        assert_null(end_open(&e));
        assert_null(end_open(&e));
        end_free(&e);
    }
}

/* A payload that began before its stream existed never becomes that stream's. */
static void test_body_before_open(void **state)
{
    struct buffer b = {0};
    struct end e;

    end_init(&e, MUX_CLIENT, ANY_STREAMS);
    put_words(&b, "D1F=300000 W1A=0 D1:own");
    mux_input(e.mux, b.data, 1000);
    end_open(&e);
    assert_int_equal(mux_input(e.mux, b.data + 1000, b.len - 1000), ERR_OK);
    assert_string_equal(end_events(&e), "data1=3");
    buffer_clear(&b);
    end_free(&e);
}

/* A stream reset while its payload arrives: the rest is dropped, the next frame is understood. */
static void test_reset_amid_body(void **state)
{
    struct buffer b = {0};

    put_words(&b, "W1S=0 D1F=1000 D3S:x");
    for (unsigned pulled = 0; pulled < 2; pulled++) { /* whether its RST has left before the rest */
        struct end e;

        end_init(&e, MUX_SERVER, ANY_STREAMS);
        mux_input(e.mux, b.data, 500);
        mux_reset(e.last);
        if (pulled)
            assert_string_equal(end_frames(&e), "W1R=0");
        assert_int_equal(mux_stream_count(e.mux), 1 - pulled);
        assert_int_equal(mux_input(e.mux, b.data + 500, b.len - 500), ERR_OK);
        assert_string_equal(end_events(&e), "open1 data1=476 open3 data3=1");
        end_free(&e);
    }
    buffer_clear(&b);
}

/* Only our opens wait for an ACK, and only the peer's count towards its limit. */
static void test_whose_streams_count(void **state)
{
    struct end e;

    end_init(&e, MUX_SERVER, 2);
    for (unsigned i = 0; i < 5; i++)
        assert_non_null(end_open(&e));
    end_feed(&e, "W1S=0 W3S=0 W1A=0 W3R=0 W2A=0 W4R=0");
    assert_int_equal(e.mux->unacked, 3);
    assert_int_equal(e.mux->peer_streams, 1);
    end_feed(&e, "W5S=0 W7S=0");
    assert_string_equal(end_events(&e), "open1 open3 reset3:peer-reset reset4:peer-reset open5");
    mux_set_max_streams(e.mux, 3);
    end_feed(&e, "W9S=0 W11S=0");
    assert_string_equal(end_events(&e), "open9");
    mux_set_max_streams(e.mux, 1); /* those that are there stay */
    end_feed(&e, "W1R=0 W13S=0");
    assert_string_equal(end_events(&e), "reset1:peer-reset");
    end_free(&e);
}

static void test_accessors(void **state)
{
    struct mux_stream *s;
    struct end other;
    struct end e;

    end_init(&e, MUX_SERVER, ANY_STREAMS);
    end_init(&other, MUX_SERVER, ANY_STREAMS);
    assert_string_equal(mux_error(e.mux), "none");
    end_feed(&e, "D1S:abc");
    s = e.last;
    assert_ptr_equal(mux_stream_owner(s), &e);
    assert_ptr_equal(mux_stream_session(s), e.mux);
    mux_attach(s, &end_stream_events, &other);
    assert_ptr_equal(mux_stream_owner(s), &other);
    end_feed(&e, "D1F:de");
    assert_string_equal(end_events(&e), "open1 data1=3");
    assert_string_equal(end_events(&other), "data1=2 fin1");
    end_free(&e);
    end_free(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_vectors_sent),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_bad_headers),
        cmocka_unit_test(test_payload_is_untouched),
        cmocka_unit_test(test_dead_session),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_nobody_to_ask),
        cmocka_unit_test(test_max_streams),
        cmocka_unit_test(test_refusals_are_bounded),
        cmocka_unit_test(test_ping),
        cmocka_unit_test(test_ping_flood),
        cmocka_unit_test(test_go_away),
        cmocka_unit_test(test_open_backlog),
        cmocka_unit_test(test_ids_run_out),
        cmocka_unit_test(test_body_before_open),
        cmocka_unit_test(test_reset_amid_body),
        cmocka_unit_test(test_whose_streams_count),
        cmocka_unit_test(test_accessors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
