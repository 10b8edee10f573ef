/* The parts of the status document (observe/document.h) that PID 1's facts make. */
#ifndef CONTAINER_FACTS_JSON_H
#define CONTAINER_FACTS_JSON_H

#include <jansson.h>

#include "container/facts.h"

/* "container". `now_s` is the wall clock, `now_us` the monotonic one. */
json_t *facts_container_json(const struct facts *f, int64_t now_s, uint64_t now_us);
/* "model", or NULL where nobody prepares one. */
json_t *facts_model_json(const struct facts *f);

#endif
