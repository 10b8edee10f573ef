/* A mux session on a connection: what arrives goes into the mux, what the mux has to say leaves at
 * the end of the turn, in full TLS records and one write. The connection is never paused: one slow
 * stream must not stop the others. */
#ifndef TUNNEL_CARRIER_H
#define TUNNEL_CARRIER_H

#include "mux/session.h"
#include "net/conn.h"

struct carrier;

struct carrier_events {
    /* See mux_session_events. NULL refuses. */
    bool (*opened)(void *ctx, struct mux_stream *s);
    /* The pool is over its limit: somebody has to give. Like `ended`, never inside the mux. */
    void (*crowded)(void *ctx);
    /* Over, told once and never inside a call or an event of the mux, so the owner may free
     * everything here. `text` is one sentence. */
    void (*ended)(void *ctx, enum reason why, const char *text);
};

/* Takes the open connection over. `events` must outlive the carrier. */
struct carrier *carrier_new(struct net *n, struct conn *c, enum mux_role role, uint32_t max_streams,
                            const struct carrier_events *events, void *ctx);
struct mux_session *carrier_mux(struct carrier *c);
struct conn *carrier_conn(struct carrier *c);
/* `data` arrived on the connection before the carrier was there. */
void carrier_input(struct carrier *c, const uint8_t *data, size_t len);
/* Has `ended` called soon with this reason; the first reason stays. What is queued still leaves. */
void carrier_fail(struct carrier *c, enum reason why, const char *text);
/* Monotonic microseconds of the last received byte. */
uint64_t carrier_heard_us(const struct carrier *c);
uint64_t carrier_bytes_in(const struct carrier *c);
uint64_t carrier_bytes_out(const struct carrier *c);
/* Ends all streams (reset with REASON_PEER_GONE), sends what is queued, closes. */
void carrier_free(struct carrier *c);

#endif
