/* One user of the client: a work stream and the local service it is joined to. */
#ifndef TUNNEL_LINK_H
#define TUNNEL_LINK_H

#include "base/count.h"
#include "config/client_config.h"
#include "net/net.h"
#include "net/stream.h"

struct link;

/* The links of one client, with what they add up to. */
struct links {
    struct net *net;
    struct list all;
    uint64_t count;
    uint64_t bytes_in; /* users to services, of ended links */
    uint64_t bytes_out;
    struct reason_counts ended;
    struct log_gate refused_gate;
};

void links_init(struct links *l, struct net *n);
/* Dials the local service of `p` and joins it to `work`, which is the link's from here on. `user`
 * is for the log, escaped already. */
void link_start(struct links *l, const struct proxy_config *p, struct stream *work, bool exact_ends,
                const char *user);
/* Once a second: idle half-closed relays. */
void links_tick(struct links *l, uint64_t now_us);
/* When the pool is over its limit: ends links, which holds most first, until what they held makes
 * up for the excess; reason `memory`. */
void links_shed(struct links *l);
void links_totals(const struct links *l, uint64_t *bytes_in, uint64_t *bytes_out);
/* Ends every link. */
void links_end(struct links *l, enum reason why);

#endif
