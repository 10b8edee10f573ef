/* The gateway on an event loop: its listeners, its timer, its connections to MLNode. */
#ifndef GATEWAY_WIRE_H
#define GATEWAY_WIRE_H

#include "gateway/gateway.h"
#include "net/net.h"

struct wire;

/* `log` and the strings of `cfg` must outlive it. */
struct wire *wire_new(struct net *n, struct log *log, const struct gateway_config *cfg);
/* Clients of this address have that role. 0, or a negative uv code. */
int wire_listen(struct wire *w, enum gateway_role role, const char *ip, uint16_t port);
struct gateway *wire_gateway(struct wire *w);
/* Closes listeners and connections. Then wire_free, after the loop ran dry. */
void wire_stop(struct wire *w);
void wire_free(struct wire *w);

#endif
