/* `mlgate health`: one record, from PID 1 to whoever asks and is root. The asker sends nothing, so
 * PID 1 reads nothing and waits for nobody: it accepts, looks at the other's credentials, writes
 * the record and closes.
 *
 * The socket is mlgate.sock in the configuration's directory. Where that cannot be made (a
 * read-only image, a full disk), it has a name without a file, which is derived from the directory.
 */
#ifndef CONTAINER_HEALTH_H
#define CONTAINER_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"

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

struct health_door {
    int fd;         /* listening and never waiting; -1: none */
    char path[108]; /* to be removed at the end; "": a name without a file */
};

/* Says in the log what could not be done, and then there is no door. */
void health_open(struct health_door *door, const char *directory, struct log *log);
/* Answers all who wait. */
void health_answer(const struct health_door *door, const struct health *now);
void health_close(struct health_door *door);

/* 0, or a negative errno: nobody there (ECONNREFUSED, ENOENT), not allowed, no answer in time. */
int health_ask(const char *directory, struct health *out);

/* PID 1 lives, and its worker does: what a restart of the container could mend. */
bool health_is_live(const struct health *h);
/* Moreover the tunnel is registered and MLNode's management answers. */
bool health_is_ready(const struct health *h);
/* What is missing, in words, or what is there. */
const char *health_text(const struct health *h);

#endif
