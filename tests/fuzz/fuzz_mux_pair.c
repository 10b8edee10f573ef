/* Two sessions joined by two byte pipes, driven by the input: open, send, consume, finish, reset,
 * release, ping, time, room, and how many bytes cross when; also from inside events. A model knows
 * what every stream must see: its bytes in order and unaltered, one end, a reset only from a reset;
 * no session ever finds fault with the other, no wake-up is lost, and when all is over nothing is
 * held. */
#include "base/err.h"
#include "base/mem.h"
#include "mux/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    LINKS = 700,    /* streams in one run: more than the open backlog */
    PERIOD = 65521, /* of what streams carry */
    PIECE = PERIOD,
    PIPE_MAX = 4 * 1024 * 1024,
    EVENT_DEPTH = 4,
    UNLIMITED = 1 << 30,
};

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "broken: %s, line %d\n", #condition, __LINE__);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

struct side;

/* One side's half of a stream, as its owner sees it. */
struct half {
    struct side *side;
    struct half *peer;
    struct mux_stream *s; /* NULL: not open here, or no longer ours to touch */
    uint32_t id;
    size_t sent; /* given to mux_send */
    size_t left; /* reported by `sent` */
    size_t received;
    size_t unconsumed;
    bool finished; /* no more may be sent */
    bool fin;      /* the peer's end was seen */
    bool cut;      /* we reset or refused it, or its session gave it up */
};

struct side {
    struct mux_session *mux;
    struct pool pool;
    struct half half[LINKS + 1]; /* by stream id */
    struct world *world;
    uint32_t recent[4]; /* ids that ops choose from */
    uint8_t *pipe;
    size_t pipe_len;
    size_t pipe_size;
    size_t room;
    bool said; /* `output` was told and not all of it has left since */
    bool refusing;
    unsigned opened;
};

struct world {
    struct side side[2];
    const uint8_t *data;
    size_t size;
    uint64_t now_us;
    uint32_t top;     /* the highest stream id so far */
    unsigned depth;   /* of ops inside events */
    bool closing;     /* the run is over: no more ops in events */
    bool patience_up; /* time passed in which released streams are given up */
};

static unsigned next_byte(struct world *w)
{
    if (w->size == 0)
        return 0;
    w->size--;
    return *w->data++;
}

/* What `from` sends from `offset` on, PIECE bytes of it. */
static const uint8_t *text_of(const struct half *from, size_t offset)
{
    static uint8_t noise[2 * PERIOD];
    unsigned key = from->id * 7 + (from->side == from->side->world->side ? 1009 : 0);
    uint32_t x = 1;

    if (noise[0] == 0) {
        for (size_t i = 0; i < PERIOD; i++) {
            x = x * 1664525 + 1013904223;
            noise[i] = noise[i + PERIOD] = (uint8_t)(x >> 24);
        }
        noise[0] = noise[PERIOD] = 1;
    }
    return noise + (offset + key) % PERIOD;
}

static struct side *other_side(const struct side *d)
{
    return d == d->world->side ? d->world->side + 1 : d->world->side;
}

static void check_half(const struct half *h)
{
    MUST(h->received <= h->peer->sent);
    MUST(h->left <= h->sent);
    MUST(h->unconsumed <= MUX_MAX_WINDOW);
    if (h->s == NULL)
        return;
    MUST(mux_queued(h->s) == h->sent - h->left);
    MUST(mux_held(h->s) >= mux_queued(h->s));
    MUST(mux_held(h->s) <= h->side->pool.held);
    MUST(mux_stream_owner(h->s) == h);
    MUST(mux_stream_id(h->s) == h->id);
}

static void random_op(struct side *d);

static void react(struct side *d)
{
    struct world *w = d->world;

    if (w->closing || w->depth >= EVENT_DEPTH || w->size == 0 || next_byte(w) < 160)
        return;
    w->depth++;
    random_op(d);
    w->depth--;
}

/* ---- events ---------------------------------------------------------------------------------- */

static void on_data(void *ctx, struct mux_stream *s, const uint8_t *data, size_t len)
{
    struct half *h = ctx;

    MUST(h->s == s && len > 0 && !h->fin);
    MUST(h->received + len <= h->peer->sent);
    h->unconsumed += len;
    for (size_t n; len > 0; h->received += n, data += n, len -= n) {
        n = len < PIECE ? len : PIECE;
        MUST(memcmp(data, text_of(h->peer, h->received), n) == 0);
    }
    react(h->side);
}

static void on_sent(void *ctx, struct mux_stream *s, size_t len)
{
    struct half *h = ctx;

    MUST(h->s == s && len > 0);
    h->left += len;
    check_half(h);
    react(h->side);
}

static void on_fin(void *ctx, struct mux_stream *s)
{
    struct half *h = ctx;

    MUST(h->s == s && !h->fin);
    MUST(h->peer->finished);
    MUST(h->received == h->peer->sent);
    h->fin = true;
    react(h->side);
}

static void on_reset(void *ctx, struct mux_stream *s, enum reason why)
{
    struct half *h = ctx;

    MUST(h->s == s);
    MUST(why == REASON_PEER_GONE ? h->side->world->closing : h->peer->cut);
    h->s = NULL;
    h->finished = true;
    react(h->side);
}

static const struct mux_stream_events stream_events = {
    .data = on_data, .sent = on_sent, .fin = on_fin, .reset = on_reset};

static void take(struct side *d, struct half *h, struct mux_stream *s)
{
    MUST(h->s == NULL);
    h->s = s;
    d->recent[d->opened++ % 4] = h->id;
    if (h->id > d->world->top)
        d->world->top = h->id;
}

static bool on_opened(void *ctx, struct mux_stream *s)
{
    struct side *d = ctx;
    uint32_t id = mux_stream_id(s);

    MUST(id <= LINKS);
    if (d->refusing) {
        d->half[id].cut = true;
        d->half[id].finished = true;
        react(d);
        return false;
    }
    take(d, &d->half[id], s);
    mux_attach(s, &stream_events, &d->half[id]);
    react(d);
    return true;
}

static void on_output(void *ctx)
{
    struct side *d = ctx;

    MUST(mux_has_output(d->mux));
    d->said = true;
    react(d);
}

static void on_pong(void *ctx, uint64_t round_trip_us)
{
    struct side *d = ctx;

    MUST(mux_ping_since(d->mux) == 0);
    react(d);
}

static const struct mux_session_events session_events = {
    .opened = on_opened, .output = on_output, .pong = on_pong};

/* ---- the pipes ------------------------------------------------------------------------------- */

static size_t room(void *ctx)
{
    struct side *d = ctx;

    return d->pipe_len < PIPE_MAX / 2 ? d->room : 0;
}

static void put(void *ctx, const uint8_t *data, size_t len)
{
    struct side *d = ctx;

    MUST(d->room > 0 && len > 0 && d->pipe_len + len <= PIPE_MAX);
    if (d->pipe_len + len > d->pipe_size) {
        d->pipe_size = (d->pipe_len + len) * 2;
        d->pipe = mem_realloc(d->pipe, d->pipe_size);
    }
    memcpy(d->pipe + d->pipe_len, data, len);
    d->pipe_len += len;
}

/* Pulls as an owner does: only when told and when there is something. */
static void pull(struct side *d)
{
    const struct mux_sink sink = {.room = room, .put = put, .ctx = d};

    if (!d->said)
        return;
    if (mux_has_output(d->mux))
        mux_output(d->mux, &sink);
    d->said = mux_has_output(d->mux);
}

/* Taken out of the pipe first, because events may put more into it. */
static void deliver(struct side *from, size_t max, size_t step)
{
    struct side *to = other_side(from);
    size_t n = from->pipe_len < max ? from->pipe_len : max;
    uint8_t *bytes = mem_alloc(n);

    if (n > 0)
        memcpy(bytes, from->pipe, n);
    from->pipe_len -= n;
    if (from->pipe_len > 0)
        memmove(from->pipe, from->pipe + n, from->pipe_len);
    for (size_t at = 0; at < n; at += step)
        MUST(mux_input(to->mux, bytes + at, n - at < step ? n - at : step) == ERR_OK);
    mem_free(bytes);
}

/* ---- ops ------------------------------------------------------------------------------------- */

static void op_open(struct side *d)
{
    uint32_t id = 2 * d->half[0].id + (d == d->world->side ? 1 : 2);
    struct mux_stream *s;

    if (id > LINKS)
        return;
    d->half[0].id++; /* counts our opens: an id is never used twice */
    s = mux_open(d->mux, &stream_events, &d->half[id]);
    if (s == NULL) {
        d->half[0].id--;
        return;
    }
    MUST(mux_stream_id(s) == id);
    take(d, &d->half[id], s);
}

static void op_send(struct half *h, size_t len)
{
    const uint8_t *text = text_of(h, h->sent);

    if (h->finished || mux_queued(h->s) > 8 * PIECE)
        return;
    h->sent += len;
    mux_send(h->s, text, len);
}

static void op_consume(struct half *h, size_t len)
{
    size_t n = len < h->unconsumed ? len : h->unconsumed;

    h->unconsumed -= n;
    mux_consumed(h->s, n);
}

static void op_finish(struct half *h)
{
    h->finished = true;
    mux_finish(h->s);
}

static void op_reset(struct half *h)
{
    struct mux_stream *s = h->s;

    h->s = NULL;
    h->cut = true;
    h->finished = true;
    mux_reset(s);
}

static void op_release(struct half *h)
{
    struct mux_stream *s = h->s;

    h->s = NULL;
    h->finished = true;
    mux_release(s);
}

static void op_time(struct world *w, unsigned how)
{
    w->now_us += how < 250 ? how * 1000 : 400 * 1000 * 1000;
    for (unsigned i = 0; i < 2; i++)
        mux_time(w->side[i].mux, w->now_us);
}

/* A released stream whose bytes cannot leave is reset after its patience: the model allows it. */
static void op_tick(struct side *d)
{
    for (uint32_t id = 1; id <= d->world->top; id++)
        if (d->half[id].s == NULL && d->half[id].finished)
            d->half[id].cut = true;
    mux_tick(d->mux);
}

static void stream_op(struct side *d, unsigned op)
{
    struct half *h = &d->half[d->recent[op % 4]];
    unsigned amount = next_byte(d->world);

    if (h->s == NULL)
        return;
    switch (op / 4) {
    case 0:
        op_finish(h);
        break;
    case 1:
        op_release(h);
        break;
    case 2:
        op_reset(h);
        break;
    case 3:
        op_consume(h, amount);
        break;
    case 4:
    case 5:
    case 6:
        op_consume(h, amount < 128 ? amount * 1024 : SIZE_MAX);
        break;
    case 7:
    case 8:
    case 9:
        op_send(h, 1 + amount);
        break;
    default:
        op_send(h, 1 + amount * amount);
        break;
    }
}

static void session_op(struct side *d, unsigned op)
{
    unsigned amount = next_byte(d->world);

    switch (op & 7) {
    case 0:
        for (unsigned i = 0; i < 1 + amount / 4; i++)
            op_open(d);
        break;
    case 1:
        mux_ping(d->mux);
        break;
    case 2:
        op_time(d->world, amount);
        break;
    case 3:
        op_tick(d);
        break;
    case 4:
        d->room = amount < 128 ? amount * 50 : UNLIMITED;
        break;
    case 5:
        d->refusing = amount > 200;
        break;
    case 6:
        d->recent[amount % 4] = amount * d->world->top / 255;
        break;
    default:
        if (amount == 255)
            mux_go_away(d->mux);
        break;
    }
}

/* Inside events everything but input, which the contract forbids there. */
static void random_op(struct side *d)
{
    struct world *w = d->world;
    unsigned op = next_byte(w);

    if (op & 1)
        d = other_side(d);
    op >>= 1;
    if (op < 60)
        stream_op(d, op);
    else if (op < 80)
        session_op(d, op);
    else if (op < 100 || w->depth > 0)
        pull(d);
    else
        deliver(d, (next_byte(w) + 1) * (op & 4 ? 500 : 1), next_byte(w) * 40 + 1);
}

static void check(struct side *d)
{
    MUST(strcmp(mux_error(d->mux), "none") == 0);
    MUST(d->said || !mux_has_output(d->mux));
    d->said = mux_has_output(d->mux); /* an owner may look, and then waits to be told again */
    for (unsigned i = 0; i < 4; i++)
        if (d->recent[i] != 0)
            check_half(&d->half[d->recent[i]]);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void init(struct world *w)
{
    w->now_us = 1;
    for (unsigned i = 0; i < 2; i++) {
        struct side *d = &w->side[i];

        d->world = w;
        pool_init(&d->pool, 0);
        d->mux = mux_new(i == 0 ? MUX_CLIENT : MUX_SERVER, &d->pool, LINKS, &session_events, d);
        mux_time(d->mux, w->now_us);
        d->room = UNLIMITED;
        for (uint32_t id = 1; id <= LINKS; id++)
            d->half[id] = (struct half){.side = d, .peer = &w->side[1 - i].half[id], .id = id};
    }
}

static void consume_all(struct side *d)
{
    for (uint32_t id = 1; id <= d->world->top; id++)
        if (d->half[id].s != NULL)
            op_consume(&d->half[id], SIZE_MAX);
}

static void settle(struct world *w)
{
    bool moved;

    do {
        moved = false;
        for (unsigned i = 0; i < 2; i++) {
            consume_all(&w->side[i]);
            pull(&w->side[i]);
            moved = moved || w->side[i].pipe_len > 0;
            deliver(&w->side[i], SIZE_MAX, 100000);
        }
    } while (moved);
}

static void end_all(struct side *d, void (*end)(struct half *h))
{
    for (uint32_t id = 1; id <= d->world->top; id++)
        if (d->half[id].s != NULL)
            end(&d->half[id]);
}

/* Everything that was sent has arrived wherever both sides still listen. */
static void check_all_arrived(const struct side *d)
{
    for (uint32_t id = 1; id <= d->world->top; id++) {
        const struct half *h = &d->half[id];

        check_half(h);
        if (h->s == NULL)
            continue;
        MUST(!h->peer->cut || h->peer->s == NULL);
        if (h->peer->s != NULL || (h->peer->finished && !h->peer->cut))
            MUST(h->received == h->peer->sent);
        if (h->peer->s != NULL)
            MUST(mux_queued(h->s) == 0);
    }
}

static void finish_run(struct world *w)
{
    w->closing = true;
    w->side[0].room = w->side[1].room = UNLIMITED;
    settle(w);
    check_all_arrived(&w->side[0]);
    check_all_arrived(&w->side[1]);
    end_all(&w->side[0], op_finish);
    settle(w);
    check_all_arrived(&w->side[1]);
    end_all(&w->side[1], op_finish);
    settle(w);
    end_all(&w->side[0], op_release);
    end_all(&w->side[1], op_release);
    settle(w);
}

/* Streams that one side released early and the other could not fill to the end stay until their
 * time is up; nothing else does. */
static void check_empty(struct world *w)
{
    op_time(w, 255);
    for (unsigned i = 0; i < 2; i++)
        op_tick(&w->side[i]);
    settle(w);
    for (unsigned i = 0; i < 2; i++) {
        MUST(!mux_has_output(w->side[i].mux));
        MUST(mux_stream_count(w->side[i].mux) == 0);
        MUST(w->side[i].pool.held == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world *w = mem_zalloc(sizeof(*w));
    bool abrupt;

    w->data = data;
    w->size = size;
    abrupt = next_byte(w) > 200;
    init(w);
    while (w->size > 0) {
        random_op(&w->side[0]);
        check(&w->side[0]);
        check(&w->side[1]);
    }
    w->closing = true;
    if (!abrupt) {
        finish_run(w);
        check_empty(w);
    }
    for (unsigned i = 0; i < 2; i++) {
        mux_close(w->side[i].mux);
        MUST(mux_stream_count(w->side[i].mux) == 0);
        MUST(w->side[i].pool.held == 0);
        mux_free(w->side[i].mux);
        pool_clear(&w->side[i].pool);
        mem_free(w->side[i].pipe);
    }
    mem_free(w);
    return 0;
}
