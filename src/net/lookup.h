/* Names to addresses. The C library's resolver blocks, for half a minute where a name server is
 * silent, so each question has a thread of its own, which nobody waits for: neither another name,
 * nor the end of the process. Whoever asks for a name that is being asked for gets the same answer,
 * and a question that was given up serves the next who asks: a name that hangs has one thread,
 * however often it is tried. */
#ifndef NET_LOOKUP_H
#define NET_LOOKUP_H

#include <netdb.h>

#include "net/net.h"

struct lookup;

/* Exactly one call of `done`, never inside lookup_start, unless lookup_cancel or net_stop comes
 * first: with NULL and at least one address (ports 0; valid during the call), or with why there is
 * none, in words, and NULL. `host` is copied. NULL, and no call, when there is no thread to ask. */
struct lookup *lookup_start(struct net *n, const char *host,
                            void (*done)(void *ctx, const char *why, const struct addrinfo *found),
                            void *ctx);
/* Not inside `done`; also after net_stop. NULL is nothing. */
void lookup_cancel(struct lookup *l);

#endif
