/* What the gateway needs from the world: connections, the clock, the moment at the end of a turn.
 * The event loop's version is gateway/wire.h; tests and fuzz targets bring their own, with a fake
 * clock and streams made of memory. */
#ifndef GATEWAY_HOST_H
#define GATEWAY_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/budget.h"
#include "base/log.h"
#include "net/net.h"
#include "net/stream.h"

/* An upstream's address. The string is somebody else's. */
struct endpoint {
    const char *host; /* name or IP literal without brackets */
    uint16_t port;
};

struct gateway_host {
    void *ctx;
    struct log *log;
    struct pool *pool;
    /* Monotonic, microseconds. */
    uint64_t (*now)(void *ctx);
    /* A stream that is being connected: STREAM_OPEN or STREAM_CLOSED follows, never inside this
     * call. Never NULL. The owner bounds the time and gives up with stream_reset. */
    struct stream *(*connect)(void *ctx, const struct endpoint *to,
                              void (*on)(struct stream *, enum stream_event, const uint8_t *,
                                         size_t),
                              void *owner);
    /* Whether the peer has ended or sent bytes that no event told of yet. For connections that
     * were idle. */
    bool (*stale)(void *ctx, struct stream *s);
    /* gateway_tick is wanted no later than at `due_us`. May be NULL: then it is called anyway. */
    void (*wake)(void *ctx, uint64_t due_us);
    /* net_soon: runs t once, after the events on the stack have returned. */
    void (*soon)(void *ctx, struct net_task *t);
};

#endif
