/* Which request means what on which of MLNode's two ports. Pure. */
#ifndef TESTNODE_ROUTE_H
#define TESTNODE_ROUTE_H

#include <stdbool.h>

#include "http/head.h"

enum node_port {
    NODE_INFERENCE = 0,  /* MLNode's 5000: open only while an engine runs */
    NODE_MANAGEMENT = 1, /* MLNode's 8080 */
};

enum { NODE_PORTS = 2 };

enum node_route {
    ROUTE_NONE = 0, /* 404 or 405 */
    ROUTE_CHAT = 1,
    ROUTE_COMPLETION = 2,
    ROUTE_MODELS = 3,
    ROUTE_TOKENIZE = 4,
    ROUTE_ENGINE_HEALTH = 5,
    ROUTE_STATE = 6,
    ROUTE_HEALTH = 7,
    ROUTE_READY = 8,
    ROUTE_UP = 9,
    ROUTE_UP_ASYNC = 10,
    ROUTE_UP_STATUS = 11,
    ROUTE_DOWN = 12,
    ROUTE_SINK = 13,
    ROUTE_SOURCE = 14,
    ROUTE_ENGINES = 15,        /* what each engine has served */
    ROUTE_ENGINE_CONTROL = 16, /* what a test does to one */
    ROUTE_PROXY = 17,          /* passed on to an engine; route_find never says it */
    ROUTE_POC_START = 18,
    ROUTE_POC_STOP = 19,
    ROUTE_POC_STATUS = 20,
    ROUTE_WEIGHTS = 21,
    ROUTE_WEIGHTS_DOWNLOAD = 22,
    ROUTE_WEIGHTS_DELETE = 23,
    ROUTE_COUNT = 24,
};

struct node_match {
    enum node_route route;
    bool engine; /* answered by the engine, not by the management application */
    int status;  /* ROUTE_NONE: 404, or 405 with `allow` */
    const char *allow;
};

/* `target` as in the request line; a query is allowed and ignored here. */
struct node_match route_find(enum node_port port, struct http_slice method,
                             struct http_slice target);
/* The value of `name` in the query of `target`, as it stands there; false when absent. */
bool route_query(struct http_slice target, const char *name, struct http_slice *out);
/* The decimal value of `name` in the query of `target`, at most `max`; false when absent or bad. */
bool route_query_uint(struct http_slice target, const char *name, uint64_t max, uint64_t *out);

#endif
