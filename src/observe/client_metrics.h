/* The numbers of the client's side: tunnel, gateway and what carries them. */
#ifndef OBSERVE_CLIENT_METRICS_H
#define OBSERVE_CLIENT_METRICS_H

#include "gateway/gateway.h"
#include "observe/metrics.h"
#include "tunnel/client.h"

/* What a process has of it; the pointers are the caller's. */
struct client_metrics {
    struct client *const *clients; /* one a server, in the configuration's order */
    size_t n_clients;
    size_t n_proxies;              /* of each client */
    const struct gateway *gateway; /* NULL: none */
};

void client_metrics_write(const struct client_metrics *what, struct metrics *m);

#endif
