/* What PID 1 told the worker, as numbers. */
#ifndef CLI_CONTAINER_METRICS_H
#define CLI_CONTAINER_METRICS_H

#include "container/facts.h"
#include "observe/metrics.h"

/* Nothing while PID 1 has said nothing (facts->magic is 0). */
void container_metrics_write(struct metrics *m, const struct facts *facts);

#endif
