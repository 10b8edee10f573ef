/* What the two files of PID 1 share. No one else includes this.
 *
 *   init.c       starts, ends, signals, records
 *   init_tell.c  what it says of itself */
#ifndef CONTAINER_INIT_INTERNAL_H
#define CONTAINER_INIT_INTERNAL_H

#include "container/facts.h"
#include "container/init.h"
#include "container/model_link.h"
#include "container/plan.h"
#include "container/sweep.h"
#include "observe/door.h"

struct init {
    const struct init_config *cfg;
    struct plan plan;
    struct door door;
    bool door_rests;          /* somebody waits there who cannot be taken in now */
    pid_t pid[PLAN_CHILDREN]; /* 0: none */
    unsigned kills[PLAN_CHILDREN];
    int signals;          /* signalfd */
    int link;             /* to the worker; -1: none */
    bool bad_record_said; /* once a worker */
    struct model_link model;
    struct child_program model_program;
    struct sweep sweep;
    int node_status;                   /* held back while it sweeps */
    enum facts_why why[PLAN_CHILDREN]; /* why this one is going to end, as far as we know */
    struct facts facts;
    struct facts told; /* what this worker was told last */
    uint64_t told_us;
    bool over;
    int status;
};

uint64_t init_now_us(void); /* CLOCK_MONOTONIC */
/* For the facts; the end of a child in a stop is no news, nor is a model that is there. */
void init_note_end(struct init *in, enum plan_child child, enum facts_why why, int wait_status);
/* Whoever waits at the door of `mlgate health`. */
void init_answer_health(struct init *in);
/* A worker that does not read now gets the next one. */
void init_tell_facts(struct init *in);

#endif
