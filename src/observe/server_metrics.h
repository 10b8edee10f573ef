/* The numbers of the frp server. Names that begin with frp_server_ are frp's and mean the same. */
#ifndef OBSERVE_SERVER_METRICS_H
#define OBSERVE_SERVER_METRICS_H

#include "observe/metrics.h"
#include "tunnel/server.h"

enum {
    /* Proxies that have series of their own: those of 1,000 nodes, in half a megabyte of text. Of
     * the others, on higher ports, there is the sum, and how many they are. */
    SERVER_METRICS_PROXIES_MAX = 2000,
};

void server_metrics_write(const struct server *s, struct metrics *m);

#endif
