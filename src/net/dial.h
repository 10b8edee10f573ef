/* Reaching host:port: resolve, then try every address in turn until one carries bytes. Asks the
 * resolver anew each time. */
#ifndef NET_DIAL_H
#define NET_DIAL_H

#include "net/conn.h"

struct dial;

struct dial_target {
    const char *host; /* name or IP literal without brackets */
    uint16_t port;
    unsigned timeout_ms;           /* for everything together */
    const struct sockaddr *prefer; /* tried first when the name still resolves to it; NULL: none */
    struct tls_context *tls;       /* NULL: plain */
    const char *tls_name;          /* for SNI and verification; NULL: host */
    bool custom_first_byte;
};

/* Exactly one call of `done`, never inside dial_start, unless dial_cancel comes first: with a
 * connection that is open (its owner sets stream.on and stream.owner at once), or with NULL, the
 * reason and one sentence valid during the call. The strings of `target` are copied; its tls
 * context is not. */
struct dial *dial_start(struct net *n, const struct dial_target *target,
                        void (*done)(void *ctx, struct conn *c, enum reason why, const char *text),
                        void *ctx);
void dial_cancel(struct dial *d);

#endif
