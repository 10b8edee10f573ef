/* What the tunnel adds to a small request: the same request on two kept connections, one direct and
 * one through the tunnel, in turn, so that whatever else the machine does hits both alike. */
#ifndef CLI_DEMO_LATENCY_H
#define CLI_DEMO_LATENCY_H

#include "net/http_client.h"

struct latency;

struct latency_result {
    unsigned rounds;
    double direct_us; /* medians */
    double tunnel_us;
    struct http_client_traffic tunnel; /* bytes at the port of the tunnel */
};

/* Calls `done` once, unless latency_free comes first: with a result, or with NULL and why. Both
 * ports are on 127.0.0.1. latency_free is not allowed inside it. */
struct latency *
latency_start(struct net *n, uint16_t direct_port, uint16_t tunnel_port, const char *path,
              void (*done)(void *ctx, const struct latency_result *r, const char *why), void *ctx);
/* NULL is allowed. */
void latency_free(struct latency *l);

#endif
