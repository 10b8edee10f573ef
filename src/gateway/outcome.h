/* What became of a request, in the words of somebody who runs the node. Made of the status that the
 * client got and of why the exchange ended. Pure. */
#ifndef GATEWAY_OUTCOME_H
#define GATEWAY_OUTCOME_H

#include "base/reason.h"

#define OUTCOMES(X)                                                                                \
    X(OK, "ok")                           /* answered with a status below 400, completely */       \
    X(CLIENT_ERROR, "client_error")       /* 4xx, MLNode's or ours: the request was at fault */    \
    X(REFUSED, "refused")                 /* by GATEWAY_POLICY */                                  \
    X(UPSTREAM_ERROR, "upstream_error")   /* MLNode answered with 5xx */                           \
    X(UPSTREAM_DOWN, "upstream_down")     /* nobody there took it */                               \
    X(UPSTREAM_FAILED, "upstream_failed") /* taken, and not answered to the end */                 \
    X(CLIENT_LEFT, "client_left")         /* before its answer was complete */                     \
    X(STOPPED, "stopped")                 /* refused or cut because this node stops */             \
    X(CUT, "cut")                         /* by a limit of ours: memory, age, orphans */

enum outcome {
#define OUTCOME_ENUM(name, text) OUTCOME_##name,
    OUTCOMES(OUTCOME_ENUM)
#undef OUTCOME_ENUM
        OUTCOME_COUNT
};

/* `status` is 0 where no answer began. */
enum outcome outcome_of(unsigned status, enum reason why);
/* A static word with underscores; "unknown" for values outside the enum. */
const char *outcome_name(enum outcome o);

#endif
