/* What session.c and stream.c share. No one else includes this. */
#ifndef MUX_INTERNAL_H
#define MUX_INTERNAL_H

#include "base/bytes.h"
#include "base/list.h"
#include "mux/frame.h"
#include "mux/session.h"
#include "mux/table.h"

/* Our half and the peer's half of a stream end separately. */
enum half {
    HALF_OPEN = 0,
    HALF_ENDING = 1, /* ours only: FIN waits for the queue */
    HALF_ENDED = 2,
};

/* Which queue of the session a stream waits in to send data. */
enum lane {
    LANE_NONE = 0,
    LANE_SMALL = 1,
    LANE_BULK = 2,
};

struct mux_stream {
    struct mux_session *session;
    struct mux_stream *hash_next;
    struct list turn;    /* on small, bulk, or dead of the session; or detached */
    struct list control; /* on control of the session when frames other than data are due */
    const struct mux_stream_events *events; /* NULL once released */
    void *ctx;
    struct bytes queue;
    uint64_t credited_us; /* when credit last went out: the drain rate decides the window */
    uint64_t moved_us;    /* when bytes last left or, later, the owner did */
    uint32_t id;
    uint32_t send_window;
    uint32_t recv_window; /* what the peer may still send */
    uint32_t window;      /* recv_window + delivered and not consumed + owed + grant */
    uint32_t owed;        /* consumed, not yet granted */
    uint32_t grant;       /* goes out with the next window frame */
    uint8_t due;          /* flags of the next window frame: SYN, ACK, FIN, RST */
    uint8_t lane;         /* enum lane */
    uint8_t local;        /* enum half */
    uint8_t remote;       /* enum half */
    bool from_peer;       /* the peer opened it */
    bool acked;           /* the peer has answered our SYN */
    bool gone;            /* reset or forgotten: at most its RST still leaves */
};

/* Answers to pings wait here; a peer that floods loses the oldest, never memory. */
enum { PONG_SLOTS = 8 };
/* Opens refused for lack of room, whose RST has not left yet. */
enum { REFUSED_SLOTS = 256 };

struct mux_session {
    const struct mux_session_events *events;
    void *ctx;
    struct pool *pool;
    enum mux_role role;
    struct mux_table table;
    struct list control; /* streams with frames other than data due */
    struct list small;   /* streams with little queued and credit to send it */
    struct list bulk;
    struct list dead;  /* forgotten streams, freed when depth is 0 */
    size_t small_sent; /* how far small streams are ahead of bulk that waits */
    unsigned depth;    /* calls on the stack: nothing is freed while > 0 */
    uint64_t now_us;
    uint32_t max_streams;
    uint32_t peer_streams; /* open streams that the peer opened */
    uint32_t next_id;
    uint32_t unacked;
    uint32_t pongs[PONG_SLOTS];
    unsigned n_pongs;
    uint32_t refused[REFUSED_SLOTS];
    unsigned n_refused;
    uint32_t ping_id;
    uint64_t ping_asked_us;
    uint64_t ping_sent_us;
    uint64_t round_trip_us;
    bool ping_due;
    bool go_away_due;
    uint32_t go_away_code;
    bool peer_going;
    bool closed;
    const char *error; /* not NULL: dead */
    bool output_said;
    /* the frame being received */
    uint8_t header[MUX_HEADER_SIZE];
    unsigned header_len;
    struct mux_frame frame;
    uint32_t body_left;
    struct mux_stream *body; /* whose payload it is; NULL: nobody's, dropped */
};

/* stream.c */
struct mux_stream *stream_new(struct mux_session *m, uint32_t id, bool from_peer);
void stream_due(struct mux_stream *s, uint16_t flags);
void stream_peer_reset(struct mux_stream *s, enum reason why);
/* Out of the table and to the reaper. Only below session_enter. */
void stream_forget(struct mux_stream *s);
/* False: reset, now or earlier, so the rest of the frame is nobody's. */
bool stream_flags(struct mux_stream *s, uint16_t flags);
void stream_credit(struct mux_stream *s, uint32_t delta);
int stream_begin_data(struct mux_stream *s, uint32_t len);
void stream_data(struct mux_stream *s, const uint8_t *data, size_t len);
int stream_peer_fin(struct mux_stream *s);
void stream_put_control(struct mux_stream *s, const struct mux_sink *sink);
void stream_put_data(struct mux_stream *s, const struct mux_sink *sink);

/* session.c */
void session_enter(struct mux_session *m);
void session_leave(struct mux_session *m);
void session_output_due(struct mux_session *m);
/* A stream took its output with it. The owner was told of output and may find none when it comes,
 * so it is told anew of the next. */
void session_output_gone(struct mux_session *m);
int session_fail(struct mux_session *m, const char *why);
void session_put_frame(const struct mux_sink *sink, uint8_t type, uint16_t flags, uint32_t id,
                       uint32_t length);

#endif
