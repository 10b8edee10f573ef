#include "container/model_beat.h"

#include <string.h>

#include "container/beat.h"

bool model_beat_read(const void *data, size_t len, struct model_beat *out)
{
    struct model_beat b;

    if (len != sizeof(b))
        return false;
    memcpy(&b, data, sizeof(b));
    if (b.magic != MODEL_BEAT_MAGIC || b.stage >= MODEL_STAGES || b.by >= MODEL_BYS || b.zero != 0)
        return false;
    if (b.percent > 10000 && b.percent != MODEL_PERCENT_UNKNOWN)
        return false;
    if (!beat_text_ok(b.name, sizeof(b.name)) || !beat_text_ok(b.text, sizeof(b.text)))
        return false;
    *out = b;
    return true;
}

const char *model_stage_name(enum model_stage stage)
{
    static const char *const names[MODEL_STAGES] = {"off",  "waiting",  "choosing", "downloading",
                                                    "done", "retrying", "failed",   "stopped"};

    return names[stage];
}

const char *model_by_name(enum model_by by)
{
    static const char *const names[MODEL_BYS] = {"", "mlnode", "hf", "huggingface-cli", "python"};

    return names[by];
}
