/* The numbers of the client's side: tunnel, gateway and what carries them. */
#ifndef OBSERVE_CLIENT_METRICS_H
#define OBSERVE_CLIENT_METRICS_H

#include "gateway/gateway.h"
#include "observe/metrics.h"
#include "tunnel/tunnel.h"

/* What a process has of it; the pointers are the caller's. */
struct client_metrics {
    const struct tunnel *tunnel;   /* NULL: none */
    size_t n_proxies;              /* of the tunnel, to each server */
    const struct gateway *gateway; /* NULL: none */
};

void client_metrics_write(const struct client_metrics *what, struct metrics *m);

#endif
