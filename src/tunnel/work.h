/* A work connection as a struct stream (net/stream.h): a mux stream, with frp's work cipher where
 * the proxy asks for it. */
#ifndef TUNNEL_WORK_H
#define TUNNEL_WORK_H

#include "mux/session.h"
#include "net/net.h"
#include "net/stream.h"
#include "proto/cipher.h"
#include "tunnel/control.h"

/* What work connections add up to. */
struct work_counts {
    uint64_t now; /* alive */
    uint64_t all;
    uint64_t bytes_in; /* from the peer's end, where the user is */
    uint64_t bytes_out;
};

struct work_options {
    struct net *net;
    const uint8_t *key;              /* CIPHER_KEY_LEN bytes, used during work_new; NULL: clear */
    const struct randomness *random; /* for the IV; used with a key */
    /* The peer understands resets and half-closes. Stock frp takes every end for the whole
     * connection's, and loses unread bytes on a reset: towards it we end with FIN. */
    bool exact_ends;
    /* Counts here until its mux stream has gone. May be NULL. */
    struct work_counts *counts;
};

/* Takes the mux stream over (it is attached at once). Until work_open nothing is delivered: bytes
 * wait here, at most the stream's window of them. NULL when the cipher could not be made; the
 * stream is released then. */
struct stream *work_new(struct mux_stream *s, const struct work_options *o);
/* Bytes that came before the stream was ours. Before work_open. */
void work_early(struct stream *w, const uint8_t *data, size_t len);
/* Delivers what has waited; `on` and `owner` hear from now on. May deliver inside. */
void work_open(struct stream *w,
               void (*on)(struct stream *, enum stream_event, const uint8_t *, size_t),
               void *owner);

#endif
