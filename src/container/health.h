/* `mlgate health`: one record, from PID 1 to whoever asks and is root. The asker sends nothing, so
 * PID 1 reads nothing and waits for nobody: it accepts, looks at the other's credentials, writes
 * the record and closes. The door is mlgate.sock in the configuration's directory. */
#ifndef CONTAINER_HEALTH_H
#define CONTAINER_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "observe/door.h"

enum {
    HEALTH_MAGIC = 0x6d6c6768,
    HEALTH_ASK_MS = 2000, /* PID 1 answers in microseconds or not at all */
};

struct health {
    uint32_t magic;
    uint32_t worker_starts;
    uint32_t node_starts;
    uint32_t exchanges; /* by the last record of the worker, and so are the next two */
    uint8_t registered;
    uint8_t manner; /* enum beat_manner */
    uint8_t phase;  /* enum plan_phase */
    uint8_t worker; /* enum child_state */
    uint8_t node;   /* enum child_state */
    uint8_t zero[3];
    uint64_t beat_age_us; /* since the worker's last record, or its start */
};

/* Says in the log what could not be done, and then there is no door. */
void health_open(struct door *door, const char *directory, struct log *log);
/* Answers all who wait. false: one who waits cannot be taken in, because no descriptor is free; he
 * stays at the door, and whoever polls it should rest. */
bool health_answer(const struct door *door, const struct health *now);

/* 0, or a negative errno: nobody there (ECONNREFUSED, ENOENT), not allowed, no answer in time. */
int health_ask(const char *directory, struct health *out);

/* PID 1 lives, and its worker does: what a restart of the container could mend. */
bool health_is_live(const struct health *h);
/* Moreover the tunnel is registered, and MLNode's management answers, which is not one that waits
 * for its next start. */
bool health_is_ready(const struct health *h);
/* What is missing, in words, or what is there. */
const char *health_text(const struct health *h);

#endif
