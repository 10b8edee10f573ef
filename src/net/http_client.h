/* One HTTP/1.1 connection that asks one thing at a time and is kept between requests. Bodies are
 * handed on as they arrive, chunk coding removed. Plain HTTP: what we ask is on loopback or in a
 * private network. For programs without a loop of their own there is net/fetch.h. */
#ifndef NET_HTTP_CLIENT_H
#define NET_HTTP_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "base/reason.h"
#include "http/head.h"
#include "net/net.h"
#include "net/sockaddr.h"

enum {
    HTTP_CLIENT_HEAD_MAX = 8 * 1024,  /* of an answer; what we ask for needs a few hundred bytes */
    HTTP_CLIENT_CONNECT_MS = 3 * 1000 /* where no limit for everything is given */
};

struct http_client;

struct http_client_target {
    const char *host; /* a name, or an IP literal without brackets; copied */
    uint16_t port;
    unsigned
        timeout_ms;    /* of a request, from asking to its last byte; 0: only connecting has one */
    uint64_t body_max; /* a longer body fails, before it arrives where its length is told; 0: any
                        */
};

/* Of one request: head once (may be NULL), body as often as there is some, then done; or failed
 * once at any point, with one sentence that is valid during the call and holds nothing a peer said.
 * http_client_ask is allowed inside done, http_client_free inside none of them.
 *   RESOLVE_FAILED, CONNECT_…  no connection
 *   UPSTREAM_TIMEOUT           connected, but timeout_ms was over
 *   UPSTREAM_PROTOCOL          not HTTP/1.1
 *   LIMIT                      the answer is longer than its limit
 *   PEER_CLOSED, PEER_RESET …  the connection ended before the answer did */
struct http_client_events {
    void (*head)(void *ctx, const struct http_head *head); /* valid during the call */
    void (*body)(void *ctx, const char *data, size_t len);
    void (*done)(void *ctx, unsigned status);
    void (*failed)(void *ctx, enum reason why, const char *text);
};

struct http_client_traffic {
    uint64_t sent;
    uint64_t received; /* with heads and chunk coding */
};

/* A request. `method` and `path` go into the head as they are: see http_client_sendable. */
struct http_ask {
    const char *method; /* NULL: GET, with a body POST */
    const char *path;
    const char *json; /* the body; NULL: none */
    bool last;        /* asks the server to close the connection after its answer */
};

struct http_client *http_client_new(struct net *n, const struct http_client_target *target,
                                    const struct http_client_events *events, void *ctx);
/* Connects when there is no connection. Only while nothing is being asked. */
void http_client_ask(struct http_client *h, const struct http_ask *ask);
/* The same with a request that is written already, right or wrong; the text is taken over. */
void http_client_send(struct http_client *h, char *request);
/* Whether the request's words are what a head may hold: a method of token bytes, a path of visible
 * ASCII that begins with '/'. */
bool http_client_sendable(const struct http_ask *ask);
/* How often bytes of answers came. What one call of `body` after another brings while this stays
 * the same came in one piece. */
unsigned http_client_reads(const struct http_client *h);
struct http_client_traffic http_client_traffic(const struct http_client *h);
/* The address of the last connection that was made, with its port; "" before there was one. */
const char *http_client_peer(const struct http_client *h);
/* Nothing is called any more; the memory goes when the loop has run once more. NULL is allowed. */
void http_client_free(struct http_client *h);

#endif
