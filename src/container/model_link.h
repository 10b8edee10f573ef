/* PID 1's end of what it knows of the model's preparation: the socket to the process that does it,
 * and that process's last record (model_beat.h), which outlives it. In the other direction goes the
 * name of the model that inference/up asked for, one a record. */
#ifndef CONTAINER_MODEL_LINK_H
#define CONTAINER_MODEL_LINK_H

#include <sys/types.h>

#include "base/log.h"
#include "container/beat.h"
#include "container/child.h"
#include "container/model_beat.h"

struct model_link {
    int fd; /* -1: no process */
    bool bad_record_said;
    struct model_beat last;
    char asked[BEAT_MODEL_MAX]; /* the last name that a worker's record had; "": none */
};

/* `program` runs below a shim of its own (shim.h), with the other end as its link. `output` is PID
 * 1's, `format` that of the shim's own lines. As child_start. */
pid_t model_link_start(struct model_link *m, const struct child_program *program, int output,
                       enum log_format format);
/* Takes what has come. Does not wait. */
void model_link_read(struct model_link *m, struct log *log);
/* What a worker's record names, which beat_read has passed. */
void model_link_tell(struct model_link *m, const char *asked);
/* The process is gone. Where its last record does not say how it ended, it was ended by others. */
void model_link_ended(struct model_link *m, struct log *log);

#endif
