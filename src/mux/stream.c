#include "base/err.h"
#include "base/mem.h"
#include "mux/internal.h"

enum {
    /* A stream with no more than this queued is somebody's tokens: it overtakes bulk. */
    SMALL_QUEUE = 4 * 1024,
    /* Half a window drained within two round trips, or within this on a fast path: the window is
     * what limits the sender, so it doubles. */
    GROW_WITHIN_US = 20 * 1000,
};

struct mux_stream *stream_new(struct mux_session *m, uint32_t id, bool from_peer)
{
    struct mux_stream *s = mem_zalloc(sizeof(*s));

    s->session = m;
    s->id = id;
    list_init(&s->turn);
    list_init(&s->control);
    s->send_window = MUX_INITIAL_WINDOW;
    s->recv_window = MUX_INITIAL_WINDOW;
    s->window = MUX_INITIAL_WINDOW;
    s->credited_us = m->now_us;
    s->from_peer = from_peer;
    s->acked = from_peer;
    m->peer_streams += from_peer;
    table_add(&m->table, s);
    return s;
}

void mux_attach(struct mux_stream *s, const struct mux_stream_events *events, void *ctx)
{
    s->events = events;
    s->ctx = ctx;
}

void *mux_stream_owner(const struct mux_stream *s)
{
    return s->ctx;
}

struct mux_session *mux_stream_session(const struct mux_stream *s)
{
    return s->session;
}

uint32_t mux_stream_id(const struct mux_stream *s)
{
    return s->id;
}

size_t mux_queued(const struct mux_stream *s)
{
    return s->queue.len;
}

size_t mux_held(const struct mux_stream *s)
{
    return s->queue.held;
}

/* ---- scheduling --------------------------------------------------------------------------- */

void stream_due(struct mux_stream *s, uint16_t flags)
{
    s->due |= (uint8_t)flags;
    if (list_empty(&s->control))
        list_push(&s->session->control, &s->control);
    session_output_due(s->session);
}

static void set_lane(struct mux_stream *s, enum lane lane)
{
    struct mux_session *m = s->session;

    if (s->lane == lane)
        return;
    list_remove(&s->turn);
    s->lane = (uint8_t)lane;
    if (lane == LANE_NONE)
        return;
    list_push(lane == LANE_SMALL ? &m->small : &m->bulk, &s->turn);
    session_output_due(m);
}

static void schedule(struct mux_stream *s)
{
    if (s->queue.len == 0 || s->send_window == 0)
        set_lane(s, LANE_NONE);
    else if (s->queue.len > SMALL_QUEUE)
        set_lane(s, LANE_BULK);
    else
        set_lane(s, LANE_SMALL);
}

/* ---- ends --------------------------------------------------------------------------------- */

static void acknowledged(struct mux_stream *s)
{
    if (s->acked)
        return;
    s->acked = true;
    s->session->unacked--;
}

void stream_forget(struct mux_stream *s)
{
    struct mux_session *m = s->session;

    s->gone = true;
    acknowledged(s);
    bytes_clear(&s->queue, m->pool);
    set_lane(s, LANE_NONE);
    list_remove(&s->control);
    table_remove(&m->table, s);
    m->peer_streams -= s->from_peer;
    if (m->body == s)
        m->body = NULL;
    list_push(&m->dead, &s->turn);
    session_output_gone(m);
}

static void forget_if_over(struct mux_stream *s)
{
    if (!s->gone && s->events == NULL && s->local == HALF_ENDED && s->remote == HALF_ENDED)
        stream_forget(s);
}

/* Forgotten first: whatever the owner does in the event, mux_close included, meets a stream that is
 * gone already. */
void stream_peer_reset(struct mux_stream *s, enum reason why)
{
    const struct mux_stream_events *events = s->events;

    s->events = NULL;
    stream_forget(s);
    if (events != NULL)
        events->reset(s->ctx, s, why);
}

void mux_finish(struct mux_stream *s)
{
    if (s->gone || s->local != HALF_OPEN)
        return;
    s->local = HALF_ENDING;
    if (s->queue.len == 0)
        stream_due(s, MUX_FIN);
}

void mux_reset(struct mux_stream *s)
{
    if (s->gone)
        return;
    s->events = NULL;
    s->gone = true;
    bytes_clear(&s->queue, s->session->pool);
    set_lane(s, LANE_NONE);
    s->grant = 0;
    s->due &= MUX_SYN; /* an unsent SYN still goes first: RST needs a stream */
    stream_due(s, MUX_RST);
}

void mux_release(struct mux_stream *s)
{
    struct mux_session *m = s->session;

    if (s->gone)
        return;
    session_enter(m);
    s->events = NULL;
    s->moved_us = m->now_us;
    mux_finish(s);
    forget_if_over(s);
    session_leave(m);
}

/* ---- receiving ---------------------------------------------------------------------------- */

bool stream_flags(struct mux_stream *s, uint16_t flags)
{
    if (flags & MUX_ACK)
        acknowledged(s);
    if (flags & MUX_RST)
        stream_peer_reset(s, REASON_PEER_RESET);
    return !s->gone;
}

void stream_credit(struct mux_stream *s, uint32_t delta)
{
    uint32_t room = UINT32_MAX - s->send_window;

    s->send_window += delta < room ? delta : room;
    schedule(s);
}

/* Data after the FIN is dropped and no error: a Go writer that races with its own Close looks at
 * the state before it queues the frame, and frp closes both directions when either ends. */
int stream_begin_data(struct mux_stream *s, uint32_t len)
{
    if (s->remote == HALF_ENDED)
        return ERR_OK;
    if (len > s->recv_window)
        return session_fail(s->session, "the peer sent more than a stream's window allows");
    s->recv_window -= len;
    return ERR_OK;
}

void stream_data(struct mux_stream *s, const uint8_t *data, size_t len)
{
    if (s->events != NULL && s->remote != HALF_ENDED)
        s->events->data(s->ctx, s, data, len);
}

int stream_peer_fin(struct mux_stream *s)
{
    if (s->gone)
        return ERR_OK;
    if (s->remote == HALF_ENDED)
        return session_fail(s->session, "the peer ended a stream twice");
    s->remote = HALF_ENDED;
    if (s->events != NULL)
        s->events->fin(s->ctx, s);
    else
        forget_if_over(s);
    return ERR_OK;
}

static bool window_limits(const struct mux_stream *s)
{
    const struct mux_session *m = s->session;
    uint64_t within = 2 * m->round_trip_us;

    if (s->window >= MUX_MAX_WINDOW || (m->pool->limit && m->pool->held > m->pool->limit / 2))
        return false;
    if (within < GROW_WITHIN_US)
        within = GROW_WITHIN_US;
    return m->now_us - s->credited_us < within;
}

void mux_consumed(struct mux_stream *s, size_t len)
{
    uint32_t wider;

    if (s->gone || s->remote == HALF_ENDED)
        return;
    s->owed += (uint32_t)len;
    if (s->owed < s->window / 2)
        return;
    if (window_limits(s)) {
        wider = s->window > MUX_MAX_WINDOW / 2 ? MUX_MAX_WINDOW : s->window * 2;
        s->grant += wider - s->window;
        s->window = wider;
    }
    s->grant += s->owed;
    s->owed = 0;
    s->credited_us = s->session->now_us;
    stream_due(s, 0);
}

/* ---- sending ------------------------------------------------------------------------------ */

void mux_send(struct mux_stream *s, const uint8_t *data, size_t len)
{
    if (s->gone || s->local != HALF_OPEN || s->session->error != NULL || len == 0)
        return;
    bytes_append(&s->queue, s->session->pool, data, len);
    schedule(s);
}

void stream_put_control(struct mux_stream *s, const struct mux_sink *sink)
{
    uint16_t flags = s->due;

    if ((flags & (MUX_SYN | MUX_RST)) == (MUX_SYN | MUX_RST)) {
        session_put_frame(sink, MUX_WINDOW, MUX_SYN, s->id, 0);
        flags = MUX_RST;
    }
    session_put_frame(sink, MUX_WINDOW, flags, s->id, s->grant);
    s->recv_window += s->grant;
    s->grant = 0;
    s->due = 0;
    if (flags & MUX_FIN)
        s->local = HALF_ENDED;
    if (flags & MUX_RST)
        stream_forget(s);
    else
        forget_if_over(s);
}

static void count_share(const struct mux_stream *s, size_t len)
{
    size_t *small_sent = &s->session->small_sent;

    if (s->lane == LANE_SMALL)
        *small_sent += len;
    else
        *small_sent -= len < *small_sent ? len : *small_sent;
}

void stream_put_data(struct mux_stream *s, const struct mux_sink *sink)
{
    struct mux_frame f = {.type = MUX_DATA, .id = s->id};
    uint8_t *frame;
    size_t len;

    bytes_peek(&s->queue, &len);
    if (len > s->send_window)
        len = s->send_window;
    f.length = (uint32_t)len;
    frame = bytes_headroom(&s->queue) + CHUNK_HEADROOM - MUX_HEADER_SIZE;
    mux_frame_put(frame, &f);
    sink->put(sink->ctx, frame, MUX_HEADER_SIZE + len);
    s->send_window -= (uint32_t)len;
    count_share(s, len);
    s->moved_us = s->session->now_us;
    set_lane(s, LANE_NONE); /* to the end of its lane: one frame a turn */
    bytes_consume(&s->queue, s->session->pool, len);
    schedule(s);
    if (s->queue.len == 0 && s->local == HALF_ENDING)
        stream_due(s, MUX_FIN);
    if (s->events != NULL && s->events->sent != NULL)
        s->events->sent(s->ctx, s, len);
}
