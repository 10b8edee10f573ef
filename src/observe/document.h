/* The status document: what `mlgate status --json` prints, and, redacted (gateway/redact.h), what
 * GET /mlgate/status answers. Made of plain structures; no I/O, no clock. Times are seconds (_s) or
 * milliseconds (_ms), moments RFC 3339 in UTC, and what is not known is not there. */
#ifndef OBSERVE_DOCUMENT_H
#define OBSERVE_DOCUMENT_H

#include <jansson.h>
#include <stdint.h>

#include "config/client_config.h"
#include "observe/rate.h"
#include "tunnel/client.h"

/* Who answers. */
struct document_who {
    const char *role;      /* "container", "client", "server" */
    const char *client_id; /* NULL: has none; the next one too */
    const char *node_id;
    int64_t started_s; /* since 1970 */
    uint64_t uptime_us;
};

/* One server of the client's, and the session to it. */
struct document_server {
    const struct client_status *status;
    const struct client_proxy_status *ports; /* as many as `cfg` has proxies */
    const struct client_config *cfg;
    const struct rate *rate;
};

/* Any text as a string: what is not printable ASCII is escaped, and what is too long is cut. */
json_t *document_text(const char *text);
/* "host:port", with brackets around an IPv6 address. */
json_t *document_address(const char *host, uint16_t port);
/* "2026-11-29T21:05:54Z". */
json_t *document_moment(int64_t seconds);

/* An object of the list "servers". */
json_t *document_server(const struct document_server *s, uint64_t now_us);

/* The whole, but for "problems" (problems_add). The last four are the caller's no more; each may be
 * NULL. `gateway` is what gateway_status made, and gives its members. */
json_t *document_make(const struct document_who *who, json_t *servers, json_t *gateway,
                      json_t *model, json_t *container);

#endif
