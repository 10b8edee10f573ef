/* One reliable byte stream in both directions, whoever carries it: a socket (net/conn.h) or a work
 * stream of a tunnel (tunnel/work.h). Relays and the gateway know this and nothing below it.
 *
 * Backpressure: every byte that STREAM_DATA delivered counts as held until stream_consumed; the
 * carrier stops delivering (a socket) or stops granting credit (a mux stream) when too much is
 * held. A relay therefore consumes on one side what STREAM_SENT reported on the other, and no queue
 * grows past the window of the side it came from.
 *
 * Life: a stream belongs to its owner until the owner calls stream_close or stream_reset, or until
 * STREAM_CLOSED has been delivered. After any of these it must not be touched, and no event
 * follows. Calls are allowed inside events; memory goes only after the event has returned. */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "base/reason.h"

enum stream_event {
    STREAM_OPEN = 1,   /* a dialled stream can carry bytes now (TCP and, where asked for, TLS) */
    STREAM_DATA = 2,   /* data, len: valid during the call only */
    STREAM_SENT = 3,   /* len bytes have left the queue towards the peer */
    STREAM_EOF = 4,    /* the peer sends no more; the other direction lives on */
    STREAM_CLOSED = 5, /* over, for stream->why */
};

struct stream;

struct stream_ops {
    void (*write)(struct stream *s, const uint8_t *data, size_t len);
    void (*consumed)(struct stream *s, size_t len);
    void (*finish)(struct stream *s);
    void (*close)(struct stream *s);
    void (*reset)(struct stream *s);
    size_t (*held)(const struct stream *s);
};

struct stream {
    const struct stream_ops *ops;
    void (*on)(struct stream *s, enum stream_event event, const uint8_t *data, size_t len);
    void *owner;
    enum reason why; /* with STREAM_CLOSED */
};

/* Takes all of it; what cannot leave at once is copied and queued. */
static inline void stream_write(struct stream *s, const uint8_t *data, size_t len)
{
    s->ops->write(s, data, len);
}

/* `len` bytes that STREAM_DATA delivered have left this process or were dropped on purpose. */
static inline void stream_consumed(struct stream *s, size_t len)
{
    s->ops->consumed(s, len);
}

/* End of our direction, after what is queued. Idempotent. */
static inline void stream_finish(struct stream *s)
{
    s->ops->finish(s);
}

/* Lets go: queued bytes and the end still leave, whatever arrives is dropped. */
static inline void stream_close(struct stream *s)
{
    s->ops->close(s);
}

/* Lets go with a reset that the peer can tell from an end. */
static inline void stream_reset(struct stream *s)
{
    s->ops->reset(s);
}

/* Memory queued towards the peer: what the byte budget counts for this stream. */
static inline size_t stream_held(const struct stream *s)
{
    return s->ops->held(s);
}

#endif
