/* The `mlgate run` that may be running beside this check. Pure. */
#ifndef CHECK_JUDGE_INSTANCE_H
#define CHECK_JUDGE_INSTANCE_H

#include <stdbool.h>

#include "check/finding.h"
#include "container/health.h"

struct instance_facts {
    int answer; /* of health_ask */
    bool here;  /* somebody is at its door, whatever he says */
    struct health health;
};

/* What health_ask said. */
void instance_facts_set(struct instance_facts *f, int answer);
void judge_instance(struct findings *list, const struct instance_facts *f);

#endif
