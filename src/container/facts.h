/* What PID 1 tells the worker, so that the worker can say how the whole container is: one record of
 * fixed size, over the socket on which the worker sends its beats. Sent when something changed, and
 * now and then. An order (enum beat_order) on the same socket is a single byte; the length tells
 * the two apart. Nothing of a peer's is in here. */
#ifndef CONTAINER_FACTS_H
#define CONTAINER_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "container/audit.h"
#include "container/model_beat.h"
#include "container/plan.h"

enum {
    FACTS_MAGIC = 0x6d6c6766, /* "mlgf" */
    FACTS_EVERY_US = 5000000, /* also when nothing changed: one that was lost is made up for */
    FACTS_RESTARTS = 8,       /* an evening's worth; the log has the others */
};

enum facts_why {
    FACTS_WHY_ENDED = 0,       /* by itself, or somebody else killed it: the fate tells */
    FACTS_WHY_NO_BEAT = 1,     /* killed: the worker gave no sign of life */
    FACTS_WHY_SILENT = 2,      /* killed: MLNode accepted and did not answer */
    FACTS_WHY_NOT_STARTED = 3, /* could not be started */
    FACTS_WHYS = 4,
};

enum facts_audit {
    FACTS_AUDIT_NOT_YET = 0,
    FACTS_AUDIT_DONE = 1,
    FACTS_AUDIT_UNREADABLE = 2, /* /proc/net/tcp cannot be read here */
    FACTS_AUDITS = 3,
};

/* The end of the year 9999, the last that RFC 3339 can write. */
#define FACTS_TIME_MAX_S INT64_C(253402300799)

/* A child that ended while it was wanted. */
struct facts_restart {
    int64_t at_s;        /* the wall clock, seconds since 1970 */
    int32_t wait_status; /* as waitpid has it */
    uint8_t child;       /* enum plan_child */
    uint8_t why;         /* enum facts_why */
    uint16_t zero;
};

struct facts_child {
    uint64_t since_us; /* its last start, CLOCK_MONOTONIC; 0: none yet */
    uint32_t starts;
    uint8_t state; /* enum child_state */
    uint8_t zero[3];
};

struct facts {
    uint32_t magic;
    uint8_t phase; /* enum plan_phase */
    uint8_t audit; /* enum facts_audit */
    uint8_t n_ports;
    uint8_t n_restarts;
    uint32_t more_ports; /* listeners that had no place in `ports` */
    uint32_t zero;
    int64_t started_s; /* PID 1, by the wall clock */
    struct facts_child child[PLAN_CHILDREN];
    struct facts_restart restarts[FACTS_RESTARTS]; /* the latest last */
    uint16_t ports[AUDIT_PORTS_MAX]; /* listeners that can be reached from outside, ascending */
    struct model_beat model;         /* the last one of the model's preparer; magic 0: none */
};

/* false, and *out untouched, when it is not such a record. */
bool facts_read(const void *data, size_t len, struct facts *out);

/* PID 1's side. */
void facts_restarted(struct facts *f, const struct facts_restart *r);
void facts_audited(struct facts *f, const struct audit *audit);

#endif
