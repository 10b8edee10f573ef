/* Whether a connection comes about. Nothing is said on it. */
#ifndef CHECK_ASK_TCP_H
#define CHECK_ASK_TCP_H

#include "check/judge_node.h"
#include "net/net.h"

enum { ASK_TCP_MS = 4000 };

struct ask_tcp;

/* `facts` has where to, and gets the rest. `done` is called once, unless ask_tcp_free comes first;
 * never inside this call. */
struct ask_tcp *ask_tcp_start(struct net *n, struct tcp_facts *facts, void (*done)(void *ctx),
                              void *ctx);
/* Not inside `done`. */
void ask_tcp_free(struct ask_tcp *a);

#endif
