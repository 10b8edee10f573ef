/* The numbers that every long-running verb has. */
#ifndef OBSERVE_PROCESS_METRICS_H
#define OBSERVE_PROCESS_METRICS_H

#include "base/budget.h"
#include "observe/metrics.h"

/* `started_s`: Unix time. */
void process_metrics_write(struct metrics *m, const struct pool *pool, int64_t started_s);

#endif
