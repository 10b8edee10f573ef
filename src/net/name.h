/* The address behind a host that is connected to again and again: literals at once, names from
 * the resolver, asked anew now and then while they are in use. Connecting itself never waits for
 * DNS. */
#ifndef NET_NAME_H
#define NET_NAME_H

#include "net/net.h"

struct name;

/* Of the addresses that a resolver found the one to connect to: the first IPv4 one, else the first;
 * NULL when there is none. MLNode listens on IPv4 ("0.0.0.0", or 127.0.0.1 behind the bind guard),
 * and resolvers put ::1 first for "localhost". */
const struct addrinfo *name_choice(const struct addrinfo *found);
/* Begins to resolve. `host` is a name or an IP literal without brackets; it is copied. */
struct name *name_new(struct net *n, const char *host);
/* Without a port. NULL: no answer yet, or there is no such name. The last good answer is kept while
 * the resolver has none. Valid until the next turn of the loop. */
const struct sockaddr *name_address(struct name *m);
void name_free(struct name *m);

#endif
