/* A listening TCP socket. */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "net/conn.h"

struct listener;

/* `accepted` is called for each waiting connection and calls listener_accept once, or leaves that
 * for later: until then nobody else is accepted, and who connects waits in the kernel. On failure
 * NULL and a negative uv code in *error. "0.0.0.0" and "::" listen on both families where the
 * machine has both. */
struct listener *listener_open(struct net *n, const struct sockaddr *at,
                               void (*accepted)(struct listener *l, void *ctx), void *ctx,
                               int *error);
/* Changes who hears of connections. */
void listener_attach(struct listener *l, void (*accepted)(struct listener *l, void *ctx),
                     void *ctx);
/* See conn_accept. */
struct conn *listener_accept(struct listener *l,
                             void (*on)(struct stream *, enum stream_event, const uint8_t *,
                                        size_t),
                             void *owner);
/* The real port, for a listener opened on port 0. */
uint16_t listener_port(const struct listener *l);
void listener_close(struct listener *l);

#endif
