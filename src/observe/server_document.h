/* The status document of the network node's server: `mlgate status --server`. As document.h. */
#ifndef OBSERVE_SERVER_DOCUMENT_H
#define OBSERVE_SERVER_DOCUMENT_H

#include <jansson.h>

#include "observe/document.h"
#include "tunnel/server.h"

json_t *server_document(const struct document_who *who, const struct server *s,
                        const struct server_config *cfg, const struct rate *rate, uint64_t now_us);

#endif
