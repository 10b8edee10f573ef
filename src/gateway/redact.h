/* What of a status document is said to whoever can reach the POC port: an operator without a shell
 * in the rental, and strangers. A list of what may stay, so that what is added to the document
 * later is kept back until somebody puts it on the list. Gone are addresses of servers and clients,
 * paths of this machine, and sentences that may contain them. */
#ifndef GATEWAY_REDACT_H
#define GATEWAY_REDACT_H

#include <jansson.h>

/* In place. */
void redact(json_t *document);

#endif
