/* One GET to a service, for what its answer says of it. */
#ifndef CHECK_ASK_HTTP_H
#define CHECK_ASK_HTTP_H

#include "check/judge_http.h"
#include "net/net.h"

enum {
    ASK_HTTP_MS = 9000,           /* MLNode was seen to take 8 s for its state */
    ASK_HTTP_BODY_MAX = 64 << 10, /* all that is asked for is smaller */
};

struct ask_http;

/* `facts` has where to ask and for what, and gets the rest; it must outlive the question. `done` is
 * called once, unless ask_http_free comes first; never inside this call. */
struct ask_http *ask_http_start(struct net *n, struct http_facts *facts, void (*done)(void *ctx),
                                void *ctx);
/* Not inside `done`; the loop must run once more. The facts keep their body until
 * http_facts_release. */
void ask_http_free(struct ask_http *a);

#endif
