/* A few pages over HTTP/1.1 for programs on this machine: GET and HEAD of fixed paths, one request
 * a connection. What it costs is bounded, whoever connects: so many connections, so long each. */
#ifndef OBSERVE_PAGE_H
#define OBSERVE_PAGE_H

#include "net/net.h"

struct page;

enum {
    /* Connections at a time; others wait in the kernel until one has ended. */
    PAGE_CLIENTS_MAX = 64,
    /* From a connection's beginning to its end, with a slow request and a slow reader. A scrape of
     * Prometheus gives up after as long. */
    PAGE_CLIENT_S = 10,
    PAGE_HEAD_MAX = 8 * 1024, /* of a request; scrapers send a few hundred bytes */
};

struct page_path {
    const char *path;
    const char *type; /* Content-Type */
    /* The body, mem_alloc'ed, with its length; the page frees it. Called for each request. */
    char *(*body)(void *ctx, size_t *len);
};

/* `paths` ends with a NULL path; it, `n` and `ctx` must outlive the page. NULL and a negative uv
 * code in *error when nobody can listen there. `host` is an IP literal without brackets. */
struct page *page_open(struct net *n, const char *host, uint16_t port,
                       const struct page_path *paths, void *ctx, int *error);
/* The real port, for one opened on port 0. */
uint16_t page_port(const struct page *p);
/* Connections are reset. Its memory goes when the loop has run; NULL is allowed. */
void page_close(struct page *p);

#endif
