/* A yamux session: many byte streams over one ordered byte pipe, as frp speaks it
 * (doc/PROTOCOL.md).
 *
 * Sans I/O and without a clock: the owner hands in received bytes (mux_input), tells the time
 * (mux_time), and pulls frames (mux_output) whenever its pipe has room. Frames leave in this order:
 * answers and window updates, then streams that hold little (tokens), then bulk, round robin.
 *
 * Receiving never waits on sending, and a slow stream never stops the pipe: data is handed up at
 * once, and the sender's credit comes back only through mux_consumed, when the bytes have left.
 *
 * Ownership: the session owns its streams. A stream's pointer is valid for its owner until the
 * owner's `reset` event has returned, or until it calls mux_release or mux_reset. Events may call
 * any function here but mux_input and mux_free, on any stream; nothing is freed before the
 * outermost call returns. The sink calls nothing here. */
#ifndef MUX_SESSION_H
#define MUX_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/budget.h"
#include "base/reason.h"

enum mux_role {
    MUX_CLIENT = 1, /* opens odd ids */
    MUX_SERVER = 2, /* opens even ids; an frp server opens none */
};

enum {
    MUX_INITIAL_WINDOW = 256 * 1024,  /* fixed by the protocol, each direction */
    MUX_MAX_WINDOW = 6 * 1024 * 1024, /* what frp itself grants (0.50 and later) */
    MUX_OPEN_BACKLOG = 256,           /* opens not yet acknowledged; Go resets what exceeds it */
};

struct mux_session;
struct mux_stream;

struct mux_session_events {
    /* The peer opened `s`. Attach with mux_attach and return true (the stream is acknowledged at
     * once), or return false to have it reset. NULL refuses all. */
    bool (*opened)(void *ctx, struct mux_stream *s);
    /* mux_output has something to send; said once until mux_output has run dry. */
    void (*output)(void *ctx);
    /* The newest ping was answered. May be NULL. */
    void (*pong)(void *ctx, uint64_t round_trip_us);
};

struct mux_stream_events {
    /* Valid only during the call; the owner copies or passes on, and says mux_consumed later. */
    void (*data)(void *ctx, struct mux_stream *s, const uint8_t *data, size_t len);
    /* `len` queued bytes have left into the pipe. May be NULL. */
    void (*sent)(void *ctx, struct mux_stream *s, size_t len);
    /* The peer sends no more. */
    void (*fin)(void *ctx, struct mux_stream *s);
    /* Gone: reset by the peer, or the session ended (REASON_PEER_GONE). The last event. */
    void (*reset)(void *ctx, struct mux_stream *s, enum reason why);
};

/* Where frames go. `room` is asked before each frame: 0 stops the pull. `put` must take everything;
 * one call is one whole frame. */
struct mux_sink {
    size_t (*room)(void *ctx);
    void (*put)(void *ctx, const uint8_t *data, size_t len);
    void *ctx;
};

/* `pool` holds queued bytes and must outlive the session. `max_streams` bounds the streams that the
 * peer may have open at once (more are reset). `events` must outlive the session. */
struct mux_session *mux_new(enum mux_role role, struct pool *pool, uint32_t max_streams,
                            const struct mux_session_events *events, void *ctx);
/* Changes the bound for opens from now on. */
void mux_set_max_streams(struct mux_session *m, uint32_t max_streams);
/* While the pool is over its limit: resets released streams that still hold bytes for a peer which
 * does not take them. */
void mux_shed(struct mux_session *m);
/* Ends every stream with `reset(REASON_PEER_GONE)`; afterwards only mux_free may be called. */
void mux_close(struct mux_session *m);
/* Allowed in no event of this session. */
void mux_free(struct mux_session *m);

/* Monotonic microseconds. Call before the other functions whenever time may have passed. */
void mux_time(struct mux_session *m, uint64_t now_us);

/* Takes all of `data`. Not ERR_OK: the session is dead (mux_error says why), a go-away is queued,
 * and everything but mux_output, mux_close and mux_free is refused. */
int mux_input(struct mux_session *m, const uint8_t *data, size_t len);
/* One sentence for the log after a failed mux_input or a go-away; static text. */
const char *mux_error(const struct mux_session *m);
/* True once the peer said it accepts no further streams. */
bool mux_going_away(const struct mux_session *m);

void mux_output(struct mux_session *m, const struct mux_sink *sink);
bool mux_has_output(const struct mux_session *m);

/* Sends a ping unless one is unanswered; its time starts when the frame leaves. */
void mux_ping(struct mux_session *m);
/* When the unanswered ping was asked for, 0 when there is none. */
uint64_t mux_ping_since(const struct mux_session *m);
/* Smoothed round trip, 0 when not measured yet. */
uint64_t mux_round_trip_us(const struct mux_session *m);
/* Asks the peer to open nothing more. */
void mux_go_away(struct mux_session *m);
/* Releases streams whose owner has left and whose peer never answered the FIN. Call about once a
 * second. */
void mux_tick(struct mux_session *m);

uint32_t mux_stream_count(const struct mux_session *m);

/* NULL: too many opens unanswered, ids used up, or the session is ending. */
struct mux_stream *mux_open(struct mux_session *m, const struct mux_stream_events *events,
                            void *ctx);
/* Changes who hears of the stream from now on. */
void mux_attach(struct mux_stream *s, const struct mux_stream_events *events, void *ctx);
void *mux_stream_owner(const struct mux_stream *s);
struct mux_session *mux_stream_session(const struct mux_stream *s);
uint32_t mux_stream_id(const struct mux_stream *s);

/* Queues all of `data` (copied). The owner keeps the queue short by sending only what `sent` made
 * room for: mux_queued is the predicate. Ignored after mux_finish. */
void mux_send(struct mux_stream *s, const uint8_t *data, size_t len);
size_t mux_queued(const struct mux_stream *s);
/* Memory that the queue occupies, for whoever must find the stream that holds most. */
size_t mux_held(const struct mux_stream *s);
/* `len` bytes of what `data` delivered have left towards their reader: the peer may send more. */
void mux_consumed(struct mux_stream *s, size_t len);
/* FIN after what is queued. Idempotent. */
void mux_finish(struct mux_stream *s);
/* Drops what is queued, sends RST, and releases. */
void mux_reset(struct mux_stream *s);
/* The owner hears no more of it. Queued bytes and a FIN still leave; what arrives is dropped. */
void mux_release(struct mux_stream *s);

#endif
