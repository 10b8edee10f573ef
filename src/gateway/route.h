/* Which upstream a request belongs to. Path first, the port it came in on second, so that both
 * readings of the image's port mapping work on both ports (doc/DESIGN.md). Pure. */
#ifndef GATEWAY_ROUTE_H
#define GATEWAY_ROUTE_H

#include "http/head.h"
#include "http/target.h"

/* What a port is registered as. */
enum gateway_role {
    ROLE_INFERENCE = 0, /* remote 1{CLIENT_ID}, local 8081 */
    ROLE_POC = 1,       /* remote 2{CLIENT_ID}, local 5050 */
};
enum { GATEWAY_ROLES = 2 };

enum route_to {
    ROUTE_TO_MANAGEMENT = 0, /* MLNode's 8080 */
    ROUTE_TO_INFERENCE = 1,  /* MLNode's 5000 and nothing else */
    ROUTE_TO_ENGINE = 2,     /* an engine itself when one can be told, else 5000 */
    ROUTE_TO_STATUS = 3,     /* the gateway answers */
};

/* What a request is about, for the counters: the API node's questions come every few seconds and
 * are answered in a millisecond; among them nobody would see how long an answer of an engine takes.
 */
enum route_class {
    CLASS_INFERENCE = 0,  /* what is sent to /v1: completions */
    CLASS_MANAGEMENT = 1, /* what MLNode is told to do */
    CLASS_POLL = 2,       /* GET and HEAD of states, health and models */
    CLASS_OTHER = 3,      /* tokenize, our own page, paths that only MLNode may know */
};
enum { ROUTE_CLASSES = 4 };

struct route {
    enum route_to to;
    enum route_class class;
    bool damped;     /* GET /health of the engine: asked again before it is called down */
    bool run_to_end; /* goes on when the client leaves: what MLNode was told to do should finish */
    bool silent;     /* an answer that is not MLNode's would be taken for success: close instead */
    bool changes;    /* may change which engines there are: stop, up, down */
    bool asks_model; /* its body names the model that is to be loaded: up */
};

/* A static word: "inference", "management", "poll", "other". */
const char *route_class_name(enum route_class class);

/* The decision for every target that http_target_read accepts. */
struct route route_of(enum gateway_role role, struct http_slice method,
                      const struct http_target *target);

#endif
