/* Which requests are refused before any upstream hears of them. Pure. */
#ifndef GATEWAY_POLICY_H
#define GATEWAY_POLICY_H

#include "http/head.h"
#include "http/target.h"

enum policy {
    POLICY_GUARD = 0,  /* all but what only an attacker sends */
    POLICY_STRICT = 1, /* only what gonka's API node sends */
    POLICY_OPEN = 2,   /* everything, as the original image */
};

/* "guard", "strict", "open"; -1 for anything else. */
int policy_parse(const char *text);
const char *policy_name(enum policy p);

/* Looks at the decoded path and at what further decoding makes of it, because MLNode's port 5000
 * decodes once before the engine does: a path that is forbidden at any depth is forbidden, and one
 * that is still encoded after POLICY_DECODE_MAX rounds is nobody's honest path. */
enum { POLICY_DECODE_MAX = 4 };
bool policy_allows(enum policy p, struct http_slice method, const struct http_target *target);

#endif
