/* One HTTP/1.1 connection to a port on loopback that asks one thing at a time and keeps the
 * connection between requests. Bodies are handed on as they arrive, chunk coding removed. */
#ifndef CLI_DEMO_HTTP_H
#define CLI_DEMO_HTTP_H

#include <stddef.h>
#include <stdint.h>

#include "net/net.h"

enum {
    DEMO_HTTP_HEAD_MAX = 8 * 1024
}; /* of an answer; what we ask for needs a few hundred bytes */

struct demo_http;

/* Of one request: body as often as there is some, then done or failed once. demo_http_ask is
 * allowed inside done, demo_http_free inside none of them. */
struct demo_http_events {
    void (*body)(void *ctx, const char *data, size_t len);
    void (*done)(void *ctx, unsigned status);
    void (*failed)(void *ctx, const char *why);
};

struct demo_http_traffic {
    uint64_t sent;
    uint64_t received; /* with heads and chunk coding */
};

struct demo_http *demo_http_new(struct net *n, uint16_t port, const struct demo_http_events *events,
                                void *ctx);
/* A GET when `json` is NULL, else a POST of it. Connects when there is no connection. Only while
 * nothing is being asked. */
void demo_http_ask(struct demo_http *h, const char *path, const char *json);
/* The same with a request that is written already, right or wrong; the text is taken over. */
void demo_http_send(struct demo_http *h, char *request);
/* How often bytes of answers came. What one call of `body` after another brings while this stays
 * the same came in one piece. */
unsigned demo_http_reads(const struct demo_http *h);
struct demo_http_traffic demo_http_traffic(const struct demo_http *h);
/* Nothing is called any more. NULL is allowed. */
void demo_http_free(struct demo_http *h);

#endif
