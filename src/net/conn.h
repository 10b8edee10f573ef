/* A TCP connection, plain or TLS, as a struct stream (net/stream.h) with a few powers of its own.
 *
 * Two ways to write. conn_stream's stream_write goes to the kernel at once: for relays, where each
 * piece is worth a system call. conn_push collects until the end of the turn (or until conn_room is
 * used up): for carriers, where the frames of many streams should leave in full TLS records and one
 * write. Nothing is buffered while idle.
 *
 * Created by conn_dial (via net/dial.h) or by a listener; owned by whoever got it, see stream.h. */
#ifndef NET_CONN_H
#define NET_CONN_H

#include <netinet/in.h>
#include <stdbool.h>

#include "net/net.h"
#include "net/path.h"
#include "net/stream.h"
#include "net/tls.h"

struct conn;

enum {
    /* A socket stops being read while this many delivered bytes are not consumed. */
    CONN_READ_WINDOW = 512 * 1024,
    /* conn_push is welcome while less than this waits in our own queue. */
    CONN_PUSH_LIMIT = 160 * 1024,
    /* TCP_NOTSENT_LOWAT of carriers: what waits unsent in the kernel, where nothing can overtake.
     */
    CONN_NOTSENT_LOWAT = 128 * 1024,
};

/* Starts connecting to one address; STREAM_OPEN or STREAM_CLOSED follows, never inside this call.
 */
struct conn *conn_connect(struct net *n, const struct sockaddr *to,
                          void (*on)(struct stream *, enum stream_event, const uint8_t *, size_t),
                          void *owner);
/* A connection that fails: STREAM_CLOSED with `why` at the end of the turn. For owners that know
 * before connecting that there is nobody, and want one path for every failure. */
struct conn *conn_unreachable(struct net *n, enum reason why,
                              void (*on)(struct stream *, enum stream_event, const uint8_t *,
                                         size_t),
                              void *owner);
/* Accepts from `server` (a uv listener with a waiting connection). NULL when that failed; the
 * peer's connection is gone then. Reading starts with conn_start. */
struct conn *conn_accept(struct net *n, uv_stream_t *server,
                         void (*on)(struct stream *, enum stream_event, const uint8_t *, size_t),
                         void *owner);

struct stream *conn_stream(struct conn *c);
struct conn *conn_of(struct stream *s);

/* Begins delivering STREAM_DATA on an accepted connection; a connected one does so by itself. */
void conn_start(struct conn *c);

/* From now on the connection is TLS. `context` must outlive it. Clients: before STREAM_OPEN, which
 * then means that the handshake is done and the peer verified; `custom_first_byte` sends frp's 0x17
 * first. */
void conn_use_tls_client(struct conn *c, struct tls_context *context, const char *server_name,
                         bool custom_first_byte);
/* Servers: after conn_start; `data` are bytes already delivered that belong to the handshake.
 * STREAM_OPEN follows when it is done. Allowed inside STREAM_DATA as the last thing done. */
void conn_use_tls_server(struct conn *c, struct tls_context *context, const uint8_t *data,
                         size_t len);
/* Why TLS failed, for the log; "" when it did not. Valid inside STREAM_CLOSED. */
const char *conn_tls_error(const struct conn *c);
/* See tls_peer; false on a connection without TLS. */
bool conn_tls_peer(const struct conn *c, struct tls_peer *out);

/* For carriers: bounds what waits unsent in the kernel. */
void conn_limit_unsent(struct conn *c);
/* How many more bytes conn_push welcomes now; 0: wait for STREAM_SENT. */
size_t conn_room(const struct conn *c);
/* Queues; leaves at the end of the turn. */
void conn_push(struct conn *c, const uint8_t *data, size_t len);
/* Ends the turn for this connection early. */
void conn_flush(struct conn *c);

/* Bytes not yet given to the kernel. */
size_t conn_queued(const struct conn *c);

/* The kernel has neither bytes nor an end that no event told of yet. */
bool conn_quiet(const struct conn *c);
/* What the kernel knows of the path; false when it does not say. */
bool conn_path(const struct conn *c, struct tcp_path *out);
/* The peer's address, of either family; false when the connection is gone. */
bool conn_peer(const struct conn *c, struct sockaddr_in6 *out);
/* The local address of the socket; false when gone. */
bool conn_local(const struct conn *c, struct sockaddr_storage *out);

#endif
