/* What the preparer of the model (model.h) tells PID 1, once a second and at each change: one
 * record of fixed size, over the same kind of socket as the worker's (beat.h). The last one is kept
 * after the preparer's end, because it says how that ended. */
#ifndef CONTAINER_MODEL_BEAT_H
#define CONTAINER_MODEL_BEAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MODEL_BEAT_MAGIC = 0x6d6c676d, /* "mlgm" */
    MODEL_BEAT_EVERY_MS = 1000,
    MODEL_BEAT_NAME_MAX = 128, /* of MODEL_NAME; a longer one is cut */
    MODEL_BEAT_TEXT_MAX = 192,
    /* What is not known. */
    MODEL_PERCENT_UNKNOWN = UINT16_MAX, /* in hundredths, so at most 10000 otherwise */
};

#define MODEL_REMAINING_UNKNOWN UINT32_MAX

enum model_stage {
    MODEL_STAGE_OFF = 0,         /* nothing is fetched in advance; the text says why */
    MODEL_STAGE_WAITING = 1,     /* for MLNode, which comes first */
    MODEL_STAGE_CHOOSING = 2,    /* how to fetch, and whether it fits on the disk */
    MODEL_STAGE_DOWNLOADING = 3, /* by us, or by somebody else whom we watch */
    MODEL_STAGE_DONE = 4,
    MODEL_STAGE_RETRYING = 5, /* it failed, the text says how; it is tried again */
    MODEL_STAGE_FAILED = 6,   /* given up, the text says why */
    MODEL_STAGE_STOPPED = 7,  /* another model was asked for */
    MODEL_STAGES = 8,
};

enum model_by {
    MODEL_BY_NOBODY = 0,
    MODEL_BY_MLNODE = 1, /* its own endpoint */
    MODEL_BY_HF = 2,
    MODEL_BY_HF_CLI = 3, /* huggingface-cli */
    MODEL_BY_PYTHON = 4, /* snapshot_download */
    MODEL_BYS = 5,
};

struct model_beat {
    uint32_t magic;
    uint8_t stage;        /* enum model_stage */
    uint8_t by;           /* enum model_by */
    uint16_t percent;     /* hundredths */
    uint64_t bytes;       /* on disk */
    uint64_t total;       /* 0: unknown */
    uint64_t rate;        /* bytes a second */
    uint32_t remaining_s; /* MODEL_REMAINING_UNKNOWN: not known */
    uint32_t zero;
    char name[MODEL_BEAT_NAME_MAX]; /* printable ASCII, ended by NUL */
    char text[MODEL_BEAT_TEXT_MAX]; /* the same; one sentence, or "" */
};

/* false, and *out untouched, when it is not such a record. */
bool model_beat_read(const void *data, size_t len, struct model_beat *out);

/* "off", "waiting", … in the words of the status document. */
const char *model_stage_name(enum model_stage stage);
/* "mlnode", "hf", "huggingface-cli", "python"; "" for nobody. */
const char *model_by_name(enum model_by by);

#endif
