/* A hostile peer's bytes. First byte: role, owner and input form; second: how the bytes are cut.
 * The verdict and the events are the same however the bytes were cut, whole frames come out, and
 * nothing is held afterwards. A second run answers, pulls and lets time pass in between.
 *
 * Input forms: the wire as it is, or four bytes a frame (type and flags, id, two of length), which
 * reaches deep states sooner. */
#include "base/err.h"
#include "base/mem.h"
#include "mux/frame.h"
#include "mux/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    WIRE_MAX = 4 * 1024 * 1024,
    STREAMS_MAX = 20,
    ECHO_MAX = 100 * 1000,
    OUT_MAX = 100 * 1000,
    OPENS = 3,
};

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "broken: %s, line %d\n", #condition, __LINE__);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

struct wire {
    uint8_t *data;
    size_t len;
};

struct run {
    struct mux_session *mux;
    struct pool pool;
    uint64_t seen; /* hash of the events; data of one stream in one piece */
    uint32_t data_id;
    size_t opened;
    size_t gone;
    size_t room;
    size_t out_len;
    bool said;
    bool live;     /* answers, pulls, reacts */
    bool finisher; /* ends its side when the peer does; else releases */
};

/* ---- the owner ------------------------------------------------------------------------------- */

static void see(struct run *r, const void *data, size_t len)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < len; i++)
        r->seen = (r->seen ^ bytes[i]) * 1099511628211u;
}

static void see_event(struct run *r, uint8_t what, uint32_t id)
{
    see(r, &what, 1);
    see(r, &id, sizeof(id));
    r->data_id = 0;
}

static void on_data(void *ctx, struct mux_stream *s, const uint8_t *data, size_t len)
{
    struct run *r = ctx;
    uint32_t id = mux_stream_id(s);

    MUST(len > 0);
    if (r->data_id != id + 1)
        see_event(r, 'd', id);
    r->data_id = id + 1;
    see(r, data, len);
    if (!r->live)
        return;
    if (mux_queued(s) < ECHO_MAX)
        mux_send(s, data, len);
    mux_consumed(s, len);
}

static void on_sent(void *ctx, struct mux_stream *s, size_t len)
{
    MUST(len > 0);
    MUST(mux_held(s) >= mux_queued(s));
}

static void on_fin(void *ctx, struct mux_stream *s)
{
    struct run *r = ctx;

    see_event(r, 'f', mux_stream_id(s));
    if (r->finisher)
        mux_finish(s);
    else
        mux_release(s);
}

static void on_reset(void *ctx, struct mux_stream *s, enum reason why)
{
    struct run *r = ctx;

    see_event(r, 'r', mux_stream_id(s));
    r->gone++;
}

static const struct mux_stream_events stream_events = {
    .data = on_data, .sent = on_sent, .fin = on_fin, .reset = on_reset};

static bool on_opened(void *ctx, struct mux_stream *s)
{
    struct run *r = ctx;

    see_event(r, 'o', mux_stream_id(s));
    r->opened++;
    mux_attach(s, &stream_events, r);
    return mux_stream_id(s) % 5 != 0;
}

static void on_output(void *ctx)
{
    struct run *r = ctx;

    MUST(mux_has_output(r->mux));
    r->said = true;
}

static const struct mux_session_events session_events = {.opened = on_opened, .output = on_output};

/* ---- what leaves ----------------------------------------------------------------------------- */

static size_t room(void *ctx)
{
    return ((struct run *)ctx)->room;
}

/* Every call is one whole frame, and one that makes sense. */
static void put(void *ctx, const uint8_t *data, size_t len)
{
    struct run *r = ctx;
    struct mux_frame f;

    MUST(r->room > 0);
    r->out_len += len;
    MUST(len >= MUX_HEADER_SIZE && mux_frame_get(&f, data) == ERR_OK);
    MUST(len == MUX_HEADER_SIZE + (f.type == MUX_DATA ? f.length : 0));
    MUST(f.flags < 16);
    if (f.type == MUX_DATA)
        MUST(f.length > 0 && f.flags == 0);
    if (f.type == MUX_PING)
        MUST(f.flags == MUX_ACK && f.id == 0);
    if (f.type == MUX_GO_AWAY)
        MUST(f.flags == 0 && f.id == 0 && f.length == 1);
    if (f.type == MUX_WINDOW)
        MUST(f.flags != 0 || f.length > 0);
}

static void pull(struct run *r, size_t limit)
{
    const struct mux_sink sink = {.room = room, .put = put, .ctx = r};
    size_t before = r->out_len;

    MUST(r->said || !mux_has_output(r->mux));
    r->room = limit;
    mux_output(r->mux, &sink);
    r->said = mux_has_output(r->mux);
    MUST(limit > 0 || r->out_len == before);
    MUST(limit == 0 || !r->said);
}

/* ---- input ----------------------------------------------------------------------------------- */

static void expand(struct wire *w, const uint8_t *data, size_t size)
{
    for (; size >= 4; data += 4, size -= 4) {
        struct mux_frame f = {.type = data[0] & 3,
                              .flags = data[0] >> 2 & 15,
                              .id = data[1] & 31,
                              .length = (uint32_t)(data[2] << 8 | data[3])};
        size_t body = 0;

        if (data[1] & 32)
            f.length *= 8; /* windows are larger than 16 bits */
        if (f.type == MUX_DATA)
            body = f.length;
        if (w->len + MUX_HEADER_SIZE + body > WIRE_MAX)
            return;
        mux_frame_put(w->data + w->len, &f);
        w->len += MUX_HEADER_SIZE;
        memset(w->data + w->len, data[3], body);
        w->len += body;
    }
}

static void begin(struct run *r, unsigned how, bool live)
{
    *r = (struct run){.live = live, .finisher = (how & 4) != 0, .seen = 14695981039346656037u};
    pool_init(&r->pool, 0);
    r->mux = mux_new(how & 1 ? MUX_CLIENT : MUX_SERVER, &r->pool, STREAMS_MAX, &session_events, r);
    mux_time(r->mux, 1);
    for (unsigned i = 0; i < OPENS; i++)
        mux_open(r->mux, &stream_events, r);
}

static void end(struct run *r)
{
    pull(r, 1);
    mux_close(r->mux);
    MUST(mux_stream_count(r->mux) == 0);
    MUST(r->gone <= r->opened + OPENS);
    MUST(r->pool.held == 0);
    mux_free(r->mux);
    pool_clear(&r->pool);
}

/* Feeds pieces whose sizes follow from `seed`; 0: all at once. Returns the verdict. */
static int feed(struct run *r, const struct wire *w, uint32_t seed)
{
    int rc = ERR_OK;

    for (size_t at = 0; at < w->len && rc == ERR_OK;) {
        size_t n = w->len - at;

        seed = seed * 1664525 + 1013904223 * (seed != 0);
        if (seed != 0 && n > 1 + (seed >> 16) % (seed & 256 ? 40 : 40000))
            n = 1 + (seed >> 16) % (seed & 256 ? 40 : 40000);
        rc = mux_input(r->mux, w->data + at, n);
        at += n;
        MUST(rc == ERR_OK || rc == ERR_SYNTAX);
        MUST((rc == ERR_OK) == (strcmp(mux_error(r->mux), "none") == 0));
        r->said = r->said && mux_has_output(r->mux);
        if (!r->live)
            continue;
        pull(r, seed & 512);
        mux_time(r->mux, 1 + at * 1000);
        mux_tick(r->mux);
    }
    if (rc != ERR_OK)
        MUST(mux_input(r->mux, w->data, 1) == ERR_NOTNOW);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire w = {0};
    struct run whole;
    struct run cut;
    struct run live;
    uint32_t seed;

    if (size < 2)
        return 0;
    seed = data[1] + 1u;
    w.data = mem_alloc(WIRE_MAX);
    if (data[0] & 2)
        expand(&w, data + 2, size - 2);
    else if (size - 2 <= WIRE_MAX) {
        memcpy(w.data, data + 2, size - 2);
        w.len = size - 2;
    }
    begin(&whole, data[0], false);
    begin(&cut, data[0], false);
    begin(&live, data[0], true);
    MUST(feed(&whole, &w, 0) == feed(&cut, &w, seed));
    MUST(strcmp(mux_error(whole.mux), mux_error(cut.mux)) == 0);
    MUST(mux_stream_count(whole.mux) == mux_stream_count(cut.mux));
    MUST(mux_going_away(whole.mux) == mux_going_away(cut.mux));
    MUST(whole.seen == cut.seen);
    feed(&live, &w, seed);
    end(&whole);
    end(&cut);
    MUST(whole.out_len == cut.out_len);
    end(&live);
    mem_free(w.data);
    return 0;
}
