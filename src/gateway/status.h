/* What the gateway knows about itself and about MLNode, for status pages. */
#ifndef GATEWAY_STATUS_H
#define GATEWAY_STATUS_H

#include <jansson.h>

#include "gateway/gateway.h"

/* A new object: "version", "uptime_s", "mlnode", "gateway". Addresses of clients are in it; strings
 * of peers are printable ASCII. The caller's. */
json_t *gateway_status(const struct gateway *g);
/* A document in one line; the caller frees it. */
char *status_text(const json_t *document);

#endif
