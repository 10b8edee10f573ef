/* The `mlgate run`, or `mlgate client`, that may be running beside this check. Pure. */
#ifndef CHECK_JUDGE_INSTANCE_H
#define CHECK_JUDGE_INSTANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "check/finding.h"
#include "container/health.h"

enum { INSTANCE_REFUSED_MAX = 400, INSTANCE_LEFT_MAX = 400 };

struct instance_facts {
    int answer; /* of health_ask */
    bool here;  /* somebody is at its door, whatever he says */
    struct health health;
    char refused[INSTANCE_REFUSED_MAX]; /* why its server refused a port; "": none, or not known */
    uint16_t refused_port;
    bool several; /* servers */
    /* Where no `mlgate run` is: */
    bool client;                  /* a `mlgate client` with the same directory */
    bool registered;              /* it is, with one server at least */
    char left[INSTANCE_LEFT_MAX]; /* a socket of one that was here, escaped; "": none */
    bool expected;                /* this is a container that has its variables */
};

/* What health_ask said. */
void instance_facts_set(struct instance_facts *f, int answer);
void judge_instance(struct findings *list, const struct instance_facts *f);

#endif
