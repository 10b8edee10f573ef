/* The model is fetched before it is asked for: what is done when. Pure: what was seen and the time
 * go in, the next step comes out; model_run.c takes the steps.
 *
 *   WAITING      MLNode is asked for the model until it answers: it comes first
 *   CHOOSING     how much there is to fetch, whether it fits, and by whom: MLNode itself where it
 *                has an endpoint for that, else a tool of the image
 *   DOWNLOADING  watched by the bytes on disk, whoever fetches
 *   DONE, RETRYING, FAILED, STOPPED: how it ended. RETRYING asks PID 1 for another start, later.
 *
 * A download that others began is watched and never ended. */
#ifndef CONTAINER_MODEL_H
#define CONTAINER_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "container/model_beat.h"

enum {
    MODEL_ASK_EVERY_US = 1000000,   /* MLNode, until it answers */
    MODEL_POLL_EVERY_US = 2000000,  /* MLNode, while it downloads */
    MODEL_BUSY_US = 30000000,       /* it downloads three others (429): until it is asked again */
    MODEL_PAUSE_MAX_US = 600000000, /* the longest Retry-After of a hub that is obeyed */
    MODEL_ODD_ANSWERS = 5,          /* in a row, of MLNode, until that is a failure */
    MODEL_STALL_S = 600,            /* as MLNode's own MODEL_DOWNLOAD_STALL_TIMEOUT */
    MODEL_RATE_SAMPLES = 32,        /* of about a second each: the rate is that of half a minute */
    /* Of the file system, in percent, that stays free: engines, logs and caches of compiled code
     * need room, and a full disk takes the node down. */
    MODEL_KEEP_FREE_PERCENT = 20,
    /* Between two looks more than this has passed: we did not run, and nobody else may have. */
    MODEL_FROZEN_US = 60000000,
    MODEL_REPOSITORY_MAX = 193, /* of the hub: 96 letters, '/', and 96 */
};

/* What went wrong. model_fault_final tells which of them no second try mends. */
enum model_fault {
    MODEL_FAULT_NONE = 0,
    MODEL_FAULT_NAME,        /* MODEL_NAME is no repository's name */
    MODEL_FAULT_PATH,        /* a path that is not there */
    MODEL_FAULT_NO_MODEL,    /* 404 */
    MODEL_FAULT_REFUSED,     /* 401, 403 */
    MODEL_FAULT_BUSY,        /* 429 */
    MODEL_FAULT_HUB,         /* 5xx */
    MODEL_FAULT_UNREACHABLE, /* no answer from the hub */
    MODEL_FAULT_SIZE,        /* a file is truncated or has the wrong size */
    MODEL_FAULT_DISK_FULL,   /* somebody met the end of the disk */
    MODEL_FAULT_DISK_FLOOR,  /* less would stay free than shall */
    MODEL_FAULT_NO_TOOL,
    MODEL_FAULT_CRASHED, /* the tool, for no reason that is known here */
    MODEL_FAULT_STALLED,
    MODEL_FAULT_OFFLINE,      /* not there, and nothing may be fetched */
    MODEL_FAULT_NODE,         /* MLNode answers what nobody expects */
    MODEL_FAULT_NODE_GAVE_UP, /* MLNode's own download ended too early */
    MODEL_FAULTS,
};

bool model_fault_final(enum model_fault fault);
/* What a tool's or MLNode's words tell; MODEL_FAULT_NONE: nothing that is known. `text` is any
 * bytes. */
enum model_fault model_fault_in(const char *text, size_t len);
/* One sentence, without its full stop; "" of MODEL_FAULT_NONE. */
const char *model_fault_text(enum model_fault fault);
/* The status of an answer of the hub; 0: there was none. MODEL_FAULT_NONE: it is no failure. */
enum model_fault model_fault_of_status(unsigned status);

/* What MODEL_NAME is. */
enum model_kind {
    MODEL_KIND_REPOSITORY, /* NAME or OWNER/NAME of letters, digits, '-', '_' and '.' */
    MODEL_KIND_PATH,       /* begins with '/', './', '../' or '~' */
    MODEL_KIND_NEITHER,
};
enum model_kind model_kind(const char *name);

enum model_step {
    MODEL_STEP_ASK,     /* ask MLNode how the model is: model_job_answered */
    MODEL_STEP_MEASURE, /* what there is to fetch: model_job_measured */
    MODEL_STEP_ORDER,   /* tell MLNode to download: model_job_ordered */
    MODEL_STEP_FETCH,   /* start the tool `by`: model_job_fetching */
    MODEL_STEP_WATCH,   /* nothing but model_job_progress and what may come */
    MODEL_STEP_CANCEL,  /* end what we began: model_job_cancelled */
    MODEL_STEP_END,     /* with model_job_status */
};

/* What MLNode says of the model. */
enum model_says {
    MODEL_SAYS_NOTHING, /* no answer */
    MODEL_SAYS_NO_ENDPOINT,
    MODEL_SAYS_DOWNLOADED,
    MODEL_SAYS_DOWNLOADING,
    MODEL_SAYS_MISSING, /* not there, or not whole */
    MODEL_SAYS_IGNORED, /* it is offline */
    MODEL_SAYS_TAKEN,   /* 409: somebody has it downloaded already */
    MODEL_SAYS_BUSY,    /* 429 */
    MODEL_SAYS_ODD,
};

struct model_space {
    uint64_t total; /* 0: not known, and nothing is refused for it */
    uint64_t free;  /* for those who fetch */
};

struct model_sample {
    uint64_t at_us;
    uint64_t bytes;
};

struct model_job {
    const char *name; /* MODEL_NAME; the caller's */
    enum model_stage stage;
    enum model_by by;
    bool ours; /* what downloads was begun by us */
    enum model_step step;
    uint64_t due_us; /* of the step */
    enum model_fault fault;
    bool endpoint; /* MLNode has one */
    unsigned odd;
    uint64_t total; /* 0: not known */
    uint64_t bytes;
    uint64_t stall_us; /* 0: never */
    uint64_t grown_us; /* when bytes came last */
    uint64_t looked_us;
    struct model_sample samples[MODEL_RATE_SAMPLES];
    size_t n_samples; /* taken so far; the newest is at (n_samples - 1) % MODEL_RATE_SAMPLES */
    char text[MODEL_BEAT_TEXT_MAX];
};

/* `name` is a repository's. */
void model_job_init(struct model_job *j, const char *name, unsigned stall_s, uint64_t now_us);
/* An end without a beginning: there is nothing to do, or it is clear that it cannot be done. */
void model_job_end(struct model_job *j, enum model_stage stage, enum model_fault fault,
                   const char *detail);

void model_job_answered(struct model_job *j, enum model_says says, const char *detail,
                        uint64_t now_us);
/* The result of MODEL_STEP_MEASURE. */
struct model_measure {
    uint64_t total;         /* 0: nobody could tell */
    enum model_fault fault; /* why it was not told */
    unsigned retry_after_s; /* 0: the hub did not say */
    enum model_by tool;     /* what there is in the image, for a node without an endpoint */
    uint64_t bytes;         /* there already */
    struct model_space space;
};
void model_job_measured(struct model_job *j, const struct model_measure *m, uint64_t now_us);
void model_job_ordered(struct model_job *j, enum model_says says, const char *detail,
                       uint64_t now_us);
/* The tool was started. */
void model_job_fetching(struct model_job *j, uint64_t now_us);
/* The tool ended, with a status as a shell has it; `said`: its last words. */
void model_job_fetched(struct model_job *j, int status, const char *said, size_t len,
                       uint64_t bytes);
/* About once a second while it downloads. */
void model_job_progress(struct model_job *j, uint64_t bytes, const struct model_space *space,
                        uint64_t now_us);
/* inference/up named this one, as asked.h writes it. */
void model_job_asked(struct model_job *j, const char *name);
void model_job_cancelled(struct model_job *j);
/* The exit status: 0: nothing is left to do; 1: again, later. */
int model_job_status(const struct model_job *j);

/* Whether `need` more bytes leave free what shall stay free. */
bool model_fits(const struct model_space *space, uint64_t need);
/* Bytes a second; 0: not known yet, or none. */
uint64_t model_job_rate(const struct model_job *j);
void model_job_beat(const struct model_job *j, struct model_beat *out);

#endif
