#include "mux/session.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "mux/internal.h"

enum {
    GO_AWAY_NORMAL = 0,
    GO_AWAY_PROTOCOL = 1,
    /* How long frp waits for the answer to a FIN. */
    LINGER_US = 300 * 1000 * 1000,
    /* Small traffic may be this far ahead of bulk that waits; then they share the pipe evenly. */
    SMALL_SHARE = 64 * 1024,
};

void session_enter(struct mux_session *m)
{
    m->depth++;
}

void session_leave(struct mux_session *m)
{
    struct list *node;

    if (--m->depth > 0)
        return;
    while ((node = list_pop(&m->dead)) != NULL)
        mem_free(LIST_ENTRY(node, struct mux_stream, turn));
}

struct mux_session *mux_new(enum mux_role role, struct pool *pool, uint32_t max_streams,
                            const struct mux_session_events *events, void *ctx)
{
    struct mux_session *m = mem_zalloc(sizeof(*m));

    m->events = events;
    m->ctx = ctx;
    m->pool = pool;
    m->role = role;
    m->max_streams = max_streams;
    m->next_id = role == MUX_CLIENT ? 1 : 2;
    list_init(&m->control);
    list_init(&m->small);
    list_init(&m->bulk);
    list_init(&m->dead);
    return m;
}

void mux_set_max_streams(struct mux_session *m, uint32_t max_streams)
{
    m->max_streams = max_streams;
}

void mux_close(struct mux_session *m)
{
    if (m->closed)
        return;
    m->closed = true;
    session_enter(m);
    for (uint32_t i = 0; i < m->table.n_buckets; i++)
        while (m->table.buckets[i] != NULL)
            stream_peer_reset(m->table.buckets[i], REASON_PEER_GONE);
    session_leave(m);
}

void mux_free(struct mux_session *m)
{
    if (m == NULL)
        return;
    mux_close(m);
    table_clear(&m->table);
    mem_free(m);
}

void mux_time(struct mux_session *m, uint64_t now_us)
{
    m->now_us = now_us;
}

const char *mux_error(const struct mux_session *m)
{
    return m->error ? m->error : "none";
}

bool mux_going_away(const struct mux_session *m)
{
    return m->peer_going;
}

uint32_t mux_stream_count(const struct mux_session *m)
{
    return m->table.count;
}

void session_output_due(struct mux_session *m)
{
    if (m->output_said || m->closed)
        return;
    m->output_said = true;
    m->events->output(m->ctx);
}

void session_output_gone(struct mux_session *m)
{
    if (!mux_has_output(m))
        m->output_said = false;
}

int session_fail(struct mux_session *m, const char *why)
{
    if (m->error == NULL)
        m->error = why;
    m->go_away_code = GO_AWAY_PROTOCOL;
    m->go_away_due = true;
    session_output_due(m);
    return ERR_SYNTAX;
}

/* ---- pings and go-away ------------------------------------------------------------------ */

void mux_ping(struct mux_session *m)
{
    if (m->ping_asked_us != 0 || m->error != NULL)
        return;
    m->ping_asked_us = m->now_us ? m->now_us : 1;
    m->ping_sent_us = 0;
    m->ping_due = true;
    session_output_due(m);
}

uint64_t mux_ping_since(const struct mux_session *m)
{
    return m->ping_asked_us;
}

uint64_t mux_round_trip_us(const struct mux_session *m)
{
    return m->round_trip_us;
}

void mux_go_away(struct mux_session *m)
{
    if (m->error != NULL)
        return; /* the go-away that is due says more */
    m->go_away_code = GO_AWAY_NORMAL;
    m->go_away_due = true;
    session_output_due(m);
}

static void ping_answered(struct mux_session *m, uint32_t id)
{
    uint64_t took;

    if (m->ping_asked_us == 0 || m->ping_due || id != m->ping_id)
        return; /* an unknown answer is ignored, as Go does */
    took = m->now_us - m->ping_sent_us;
    m->round_trip_us = m->round_trip_us ? (m->round_trip_us * 7 + took) / 8 : took;
    m->ping_asked_us = 0;
    m->ping_id++;
    if (m->events->pong != NULL)
        m->events->pong(m->ctx, took);
}

static void ping_received(struct mux_session *m, const struct mux_frame *f)
{
    if (f->flags & MUX_ACK) {
        ping_answered(m, f->length);
        return;
    }
    if (m->n_pongs == PONG_SLOTS) {
        memmove(m->pongs, m->pongs + 1, (PONG_SLOTS - 1) * sizeof(m->pongs[0]));
        m->n_pongs--;
    }
    m->pongs[m->n_pongs++] = f->length;
    session_output_due(m);
}

static int go_away_received(struct mux_session *m, uint32_t code)
{
    m->peer_going = true;
    if (code == GO_AWAY_NORMAL)
        return ERR_OK;
    return session_fail(m, "the peer ended the mux session with a go-away error code");
}

/* ---- input -------------------------------------------------------------------------------- */

static int refuse_open(struct mux_session *m, uint32_t id)
{
    if (m->n_refused == REFUSED_SLOTS)
        return session_fail(m, "the peer opens streams faster than refusals can leave");
    m->refused[m->n_refused++] = id;
    session_output_due(m);
    return ERR_OK;
}

/* Ids of our own parity are refused: Go lets them pass, but a later open of ours would meet them.
 */
static int open_received(struct mux_session *m, uint32_t id)
{
    bool ours = (id & 1) == (m->next_id & 1);
    struct mux_stream *s;

    if (table_find(&m->table, id) != NULL)
        return session_fail(m, "the peer opened a stream id that is in use");
    if (ours || m->peer_streams >= m->max_streams || m->events->opened == NULL)
        return refuse_open(m, id);
    s = stream_new(m, id, true);
    if (!m->events->opened(m->ctx, s))
        mux_reset(s);
    else if (!s->gone)
        stream_due(s, MUX_ACK);
    return ERR_OK;
}

static int data_header(struct mux_session *m, struct mux_stream *s)
{
    m->body = s;
    m->body_left = m->frame.length;
    return s ? stream_begin_data(s, m->frame.length) : ERR_OK;
}

/* FIN counts after the payload of its frame; RST before. */
static int stream_frame(struct mux_session *m)
{
    struct mux_stream *s;
    int rc = ERR_OK;

    if (m->frame.flags & MUX_SYN)
        rc = open_received(m, m->frame.id);
    if (rc != ERR_OK)
        return rc;
    s = table_find(&m->table, m->frame.id);
    if (s != NULL && !stream_flags(s, m->frame.flags))
        s = NULL;
    if (m->frame.type == MUX_DATA)
        return data_header(m, s);
    if (s == NULL)
        return ERR_OK;
    stream_credit(s, m->frame.length);
    return m->frame.flags & MUX_FIN ? stream_peer_fin(s) : ERR_OK;
}

static int frame_received(struct mux_session *m)
{
    switch (m->frame.type) {
    case MUX_PING:
        ping_received(m, &m->frame);
        return ERR_OK;
    case MUX_GO_AWAY:
        return go_away_received(m, m->frame.length);
    default:
        return stream_frame(m);
    }
}

static int end_of_body(struct mux_session *m)
{
    bool fin = m->body != NULL && (m->frame.flags & MUX_FIN);

    return fin ? stream_peer_fin(m->body) : ERR_OK;
}

static int input_header(struct mux_session *m, const uint8_t **data, size_t *len)
{
    size_t want = MUX_HEADER_SIZE - m->header_len;
    size_t n = *len < want ? *len : want;
    int rc;

    memcpy(m->header + m->header_len, *data, n);
    m->header_len += (unsigned)n;
    *data += n;
    *len -= n;
    if (m->header_len < MUX_HEADER_SIZE)
        return ERR_OK;
    m->header_len = 0;
    rc = mux_frame_get(&m->frame, m->header);
    if (rc == ERR_SYNTAX)
        return session_fail(m, "the first byte of a mux frame is not version 0: is the other end "
                               "a frp peer with tcp_mux on?");
    if (rc != ERR_OK)
        return session_fail(m, "unknown mux frame type");
    rc = frame_received(m);
    if (rc == ERR_OK && m->frame.type == MUX_DATA && m->body_left == 0)
        rc = end_of_body(m);
    return rc;
}

static int input_body(struct mux_session *m, const uint8_t **data, size_t *len)
{
    size_t n = *len < m->body_left ? *len : m->body_left;

    if (m->body != NULL)
        stream_data(m->body, *data, n);
    *data += n;
    *len -= n;
    m->body_left -= (uint32_t)n;
    return m->body_left == 0 ? end_of_body(m) : ERR_OK;
}

int mux_input(struct mux_session *m, const uint8_t *data, size_t len)
{
    int rc = m->error || m->closed ? ERR_NOTNOW : ERR_OK;

    session_enter(m);
    while (rc == ERR_OK && len > 0 && !m->closed)
        rc = m->body_left ? input_body(m, &data, &len) : input_header(m, &data, &len);
    session_leave(m);
    return rc;
}

/* ---- output ------------------------------------------------------------------------------- */

void session_put_frame(const struct mux_sink *sink, uint8_t type, uint16_t flags, uint32_t id,
                       uint32_t length)
{
    const struct mux_frame f = {.type = type, .flags = flags, .id = id, .length = length};
    uint8_t header[MUX_HEADER_SIZE];

    mux_frame_put(header, &f);
    sink->put(sink->ctx, header, sizeof(header));
}

static bool session_frames_due(const struct mux_session *m)
{
    return m->n_pongs || m->n_refused || m->ping_due || m->go_away_due;
}

/* A bounded number of 12-byte frames, so the sink's room is asked for once. */
static void put_session_frames(struct mux_session *m, const struct mux_sink *sink)
{
    for (unsigned i = 0; i < m->n_pongs; i++)
        session_put_frame(sink, MUX_PING, MUX_ACK, 0, m->pongs[i]);
    m->n_pongs = 0;
    for (unsigned i = 0; i < m->n_refused; i++)
        session_put_frame(sink, MUX_WINDOW, MUX_RST, m->refused[i], 0);
    m->n_refused = 0;
    if (m->ping_due) {
        m->ping_due = false;
        m->ping_sent_us = m->now_us;
        session_put_frame(sink, MUX_PING, MUX_SYN, 0, m->ping_id);
    }
    if (m->go_away_due) {
        m->go_away_due = false;
        session_put_frame(sink, MUX_GO_AWAY, 0, 0, m->go_away_code);
    }
}

/* The stream whose turn it is to send data; NULL when none can. */
static struct mux_stream *next_turn(struct mux_session *m)
{
    bool bulk_waits = !list_empty(&m->bulk);
    struct list *lane = &m->small;

    if (list_empty(&m->small) || (bulk_waits && m->small_sent >= SMALL_SHARE))
        lane = &m->bulk;
    if (!bulk_waits)
        m->small_sent = 0;
    return list_empty(lane) ? NULL : LIST_ENTRY(lane->next, struct mux_stream, turn);
}

static bool put_data(struct mux_session *m, const struct mux_sink *sink)
{
    struct mux_stream *s = next_turn(m);

    if (s == NULL)
        return false;
    stream_put_data(s, sink);
    return true;
}

static bool put_one(struct mux_session *m, const struct mux_sink *sink)
{
    struct list *node;

    if (session_frames_due(m)) {
        put_session_frames(m, sink);
        return true;
    }
    if (m->error != NULL)
        return false;
    node = list_pop(&m->control);
    if (node == NULL)
        return put_data(m, sink);
    stream_put_control(LIST_ENTRY(node, struct mux_stream, control), sink);
    return true;
}

void mux_output(struct mux_session *m, const struct mux_sink *sink)
{
    session_enter(m);
    while (!m->closed && sink->room(sink->ctx) > 0 && put_one(m, sink))
        ;
    session_output_gone(m);
    session_leave(m);
}

bool mux_has_output(const struct mux_session *m)
{
    if (m->closed)
        return false;
    if (session_frames_due(m))
        return true;
    return m->error == NULL &&
           !(list_empty(&m->control) && list_empty(&m->small) && list_empty(&m->bulk));
}

/* ---- opening and ageing ------------------------------------------------------------------- */

struct mux_stream *mux_open(struct mux_session *m, const struct mux_stream_events *events,
                            void *ctx)
{
    struct mux_stream *s;

    if (m->closed || m->error || m->peer_going || m->unacked >= MUX_OPEN_BACKLOG ||
        m->next_id >= UINT32_MAX - 1)
        return NULL;
    session_enter(m);
    s = stream_new(m, m->next_id, false);
    m->next_id += 2;
    m->unacked++;
    stream_due(s, MUX_SYN);
    if (s->gone)
        s = NULL; /* the `output` event closed the session */
    else
        mux_attach(s, events, ctx);
    session_leave(m);
    return s;
}

static bool forsaken(const struct mux_stream *s)
{
    return s->events == NULL && !s->gone && s->session->now_us - s->moved_us > LINGER_US;
}

/* Once the FIN has left no RST may follow: it would make Go drop what its slow reader has not read
 * yet. Frames for a forgotten id are ignored. */
static void give_up(struct mux_stream *s)
{
    if (s->local == HALF_ENDED)
        stream_forget(s);
    else
        mux_reset(s);
}

void mux_shed(struct mux_session *m)
{
    session_enter(m);
    for (uint32_t i = 0; i < m->table.n_buckets; i++)
        for (struct mux_stream *s = m->table.buckets[i]; s != NULL; s = s->hash_next)
            if (s->events == NULL && s->queue.len > 0 && pool_over(m->pool))
                mux_reset(s);
    session_leave(m);
}

void mux_tick(struct mux_session *m)
{
    session_enter(m);
    for (uint32_t i = 0; i < m->table.n_buckets; i++)
        for (struct mux_stream *s = m->table.buckets[i]; s != NULL; s = s->hash_next)
            if (forsaken(s))
                give_up(s); /* what is forgotten is freed at the end, so the chain holds */
    session_leave(m);
}
