/* What PID 1 says of itself: to those who ask at the door, and to the worker. */
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "container/health.h"
#include "container/init_internal.h"

uint64_t init_now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void init_note_end(struct init *in, enum plan_child child, enum facts_why why, int wait_status)
{
    const struct facts_restart r = {.at_s = (int64_t)time(NULL),
                                    .wait_status = wait_status,
                                    .child = (uint8_t)child,
                                    .why = (uint8_t)why};

    if (in->plan.phase == PHASE_SERVE && (child != PLAN_MODEL || wait_status != 0))
        facts_restarted(&in->facts, &r);
}

void init_answer_health(struct init *in)
{
    const struct plan *p = &in->plan;
    const struct health now = {
        .magic = HEALTH_MAGIC,
        .phase = (uint8_t)p->phase,
        .worker = (uint8_t)p->child[PLAN_WORKER].state,
        .node = (uint8_t)p->child[PLAN_NODE].state,
        .exchanges = p->beat.exchanges,
        .registered = p->beat.registered,
        .manner = p->beat.manner,
        .worker_starts = p->child[PLAN_WORKER].starts,
        .node_starts = p->child[PLAN_NODE].starts,
        .beat_age_us = init_now_us() - p->beat_us,
    };

    in->door_rests = in->door.fd >= 0 && !health_answer(&in->door, &now);
}

void init_tell_facts(struct init *in)
{
    const struct plan *p = &in->plan;
    struct facts *f = &in->facts;

    f->phase = (uint8_t)p->phase;
    f->model = in->model.last;
    for (int i = 0; i < PLAN_CHILDREN; i++)
        f->child[i] = (struct facts_child){.since_us = p->child[i].started_us,
                                           .starts = p->child[i].starts,
                                           .state = (uint8_t)p->child[i].state};
    if (in->cfg->facts != NULL)
        in->cfg->facts(in->cfg->facts_ctx, f);
    if (in->link < 0 || (in->told_us != 0 && init_now_us() - in->told_us < FACTS_EVERY_US &&
                         memcmp(f, &in->told, sizeof(*f)) == 0))
        return;
    if (send(in->link, f, sizeof(*f), MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)sizeof(*f))
        return;
    in->told = *f;
    in->told_us = init_now_us();
}
