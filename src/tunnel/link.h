/* One user of the client: a work stream and the local service it is joined to. */
#ifndef TUNNEL_LINK_H
#define TUNNEL_LINK_H

#include "base/count.h"
#include "base/gate.h"
#include "config/client_config.h"
#include "net/net.h"
#include "net/stream.h"

struct link;

/* The links of one client, and how they ended. */
struct links {
    struct net *net;
    struct log *log;
    struct list all;
    struct reason_counts ended;
    struct log_gate refused_gate;
    struct log_gate memory_gate;
};

/* `n` and `log` must outlive it. */
void links_init(struct links *l, struct net *n, struct log *log);
/* Dials the local service of `p` and joins it to `work`, which is the link's from here on. `user`
 * is for the log, escaped already. */
void link_start(struct links *l, const struct proxy_config *p, struct stream *work, bool exact_ends,
                const char *user);
/* Once a second: idle half-closed relays. */
void links_tick(struct links *l, uint64_t now_us);
/* When the pool is over its limit: ends links, which holds most first, until what they held makes
 * up for the excess; reason `memory`. */
void links_shed(struct links *l);
/* Ends every link. */
void links_end(struct links *l, enum reason why);
/* When none is left: the log may go afterwards. */
void links_free(struct links *l);

#endif
