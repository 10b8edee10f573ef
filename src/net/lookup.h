/* Questions for the resolver, which blocks: each keeps a thread of the process while it hangs, and
 * there are few. So whoever asks for a name that is being asked for waits for the same answer, and
 * a question that was given up serves whoever asks next: a name that hangs keeps one thread,
 * however often it is tried. */
#ifndef NET_LOOKUP_H
#define NET_LOOKUP_H

#include <netdb.h>

#include "net/net.h"

struct lookup;

/* Exactly one call of `done`, never inside lookup_start, unless lookup_cancel comes first: with 0
 * and at least one address (their ports are 0; valid during the call), or with a negative uv code
 * and NULL. `host` is copied. NULL, and no call, when the resolver cannot even be asked. */
struct lookup *lookup_start(struct net *n, const char *host,
                            void (*done)(void *ctx, int status, const struct addrinfo *found),
                            void *ctx);
/* Not inside `done`. NULL is nothing. */
void lookup_cancel(struct lookup *l);
/* Threads for so many names at the same time, so that one which hangs delays no other. Counts only
 * before the first question of the process; a UV_THREADPOOL_SIZE that somebody has set stays. */
void lookup_allow(unsigned names);

#endif
