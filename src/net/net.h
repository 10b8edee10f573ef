/* What all connections of one event loop share: the pool, the read buffers, the moment at the end
 * of a turn when everything written leaves. One per loop; no global state beside it. */
#ifndef NET_NET_H
#define NET_NET_H

#include <stdint.h>
#include <uv.h>

#include "base/budget.h"
#include "base/gate.h"
#include "base/list.h"
#include "base/log.h"

struct net;

/* Something that wants to run once at the end of this turn of the loop, before it sleeps. */
struct net_task {
    struct list node;
    void (*run)(struct net_task *t);
};

/* `loop` and `log` (may be NULL) must outlive the net; `memory_limit` is the pool's (0: none). */
struct net *net_new(uv_loop_t *loop, struct log *log, size_t memory_limit);
/* Ends what still drains, runs the tasks that wait and stops its handles; call before the last
 * uv_run, and net_free after. */
void net_stop(struct net *n);
void net_free(struct net *n);

/* When the pool is over its limit: drops connections that nobody owns any more and that only
 * deliver their last bytes, oldest first, until what they held makes up for the excess. */
void net_shed(struct net *n);

uv_loop_t *net_loop(const struct net *n);
struct pool *net_pool(struct net *n);
struct log *net_log(const struct net *n);
/* Monotonic, microseconds. */
uint64_t net_now_us(void);
/* log_gate among the loop's gates, which say by themselves what they hold. log_gate_end before the
 * gate's memory or `log` goes; after net_free none holds anything. */
bool net_gate(struct net *n, struct log_gate *g, struct log *log, char more[LOG_HELD_MAX]);

void net_task_init(struct net_task *t, void (*run)(struct net_task *t));
/* Runs t->run once at the end of this turn; asking again before that changes nothing. */
void net_soon(struct net *n, struct net_task *t);
/* Withdraws; required before the task's memory goes. */
void net_task_cancel(struct net_task *t);

#endif
