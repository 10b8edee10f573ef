/* What the plan wants said, in words for the log. */
#ifndef CONTAINER_ANNOUNCE_H
#define CONTAINER_ANNOUNCE_H

#include "base/log.h"
#include "container/plan.h"

/* "the worker", "MLNode". Static. */
const char *announce_name(enum plan_child child);
/* An action of the PLAN_SAY kind. */
void announce(struct log *log, const struct plan_action *a);

#endif
