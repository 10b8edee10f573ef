/* Who owns the bytes: two streams joined, each byte owned by exactly one of them.
 *
 * What arrives on one side is written to the other; what has left there is consumed here. So no
 * side is read faster than the other takes, and at most one window of bytes is inside per
 * direction.
 *
 * Ends. Between two mlgate ends (`exact_ends`) a half-close is kept, a reset stays a reset, and a
 * half-closed relay without traffic ends after RELAY_HALF_IDLE. With stock frp every end of one
 * direction ends the connection, after the bytes already under way (frp-compatible). */
#ifndef TUNNEL_RELAY_H
#define TUNNEL_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "net/stream.h"

/* gonka's API node leaves its side half-open for many minutes after some calls; nobody reads. */
enum { RELAY_HALF_IDLE_S = 120 };

struct relay {
    struct relay_side {
        struct stream *stream; /* NULL once let go */
        uint64_t received;     /* bytes that came in on this side */
        uint64_t sent;         /* bytes that left on this side */
        bool eof;
    } user, work;
    bool exact_ends;
    enum reason ended;             /* NONE while it lives */
    uint64_t active_us;            /* last traffic, when half-closed */
    uint64_t moved;                /* bytes sent when relay_tick last looked */
    void (*done)(struct relay *r); /* both sides are let go; the owner frees r, not inside */
    void *owner;
};

/* Joins two open streams; `work` is opened by this. `user` may still be connecting. `done` is
 * called once, possibly inside. The relay's memory is the owner's. */
void relay_start(struct relay *r, struct stream *user, struct stream *work, bool exact_ends,
                 void (*done)(struct relay *r), void *owner);
/* Ends both sides with resets (or what the peer understands), then `done`. */
void relay_abort(struct relay *r, enum reason why);
/* Call about once a second: ends half-closed relays that are idle. */
void relay_tick(struct relay *r, uint64_t now_us);
/* Memory held by its queues: what the byte budget counts. */
size_t relay_held(const struct relay *r);

#endif
