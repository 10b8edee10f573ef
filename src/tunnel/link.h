/* One user of the client: a work stream and the local service it is joined to. */
#ifndef TUNNEL_LINK_H
#define TUNNEL_LINK_H

#include "base/count.h"
#include "base/gate.h"
#include "base/shed.h"
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
/* All links, for the memory limit. */
void links_offer(struct links *l, struct shed_list *list);
/* Ends one that links_offer offered, whosever it is; reason `memory`. */
void links_shed_one(const struct shed_one *one);
/* Ends every link. */
void links_end(struct links *l, enum reason why);
/* When none is left: the log may go afterwards. */
void links_free(struct links *l);

#endif
