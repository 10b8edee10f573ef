#include "container/model.h"

#include <stdio.h>
#include <string.h>

#include "base/human.h"
#include "base/log.h"

static void set_text(struct model_job *j, const char *text, const char *detail)
{
    char safe[MODEL_BEAT_TEXT_MAX];

    log_safe(safe, sizeof(safe), detail ? detail : "", detail ? strlen(detail) : 0);
    /* The detail is the longer part, and may be cut. */
    if (snprintf(j->text, sizeof(j->text), "%s%s%s", text, safe[0] ? ": " : "", safe) >=
        (int)sizeof(j->text))
        memcpy(j->text + sizeof(j->text) - 4, "...", 4);
}

static void step(struct model_job *j, enum model_step what, uint64_t due_us)
{
    j->step = what;
    j->due_us = due_us;
}

void model_job_init(struct model_job *j, const char *name, unsigned stall_s, uint64_t now_us)
{
    *j = (struct model_job){.name = name,
                            .stage = MODEL_STAGE_WAITING,
                            .step = MODEL_STEP_ASK,
                            .due_us = now_us,
                            .stall_us = (uint64_t)stall_s * 1000000};
}

void model_job_end(struct model_job *j, enum model_stage stage, enum model_fault fault,
                   const char *detail)
{
    j->stage = stage;
    j->fault = fault;
    if (stage == MODEL_STAGE_DONE && j->total > j->bytes)
        j->bytes = j->total;
    set_text(j, model_fault_text(fault), detail);
    step(j, MODEL_STEP_END, 0);
}

static void fail(struct model_job *j, enum model_fault fault, const char *detail)
{
    model_job_end(j, model_fault_final(fault) ? MODEL_STAGE_FAILED : MODEL_STAGE_RETRYING, fault,
                  detail);
}

/* What we began is ended first. */
static void give_up(struct model_job *j, enum model_fault fault, const char *detail)
{
    bool began = j->stage == MODEL_STAGE_DOWNLOADING && j->ours;

    fail(j, fault, detail);
    if (began)
        step(j, MODEL_STEP_CANCEL, 0);
}

static void download(struct model_job *j, enum model_step what, bool ours, uint64_t now_us)
{
    j->stage = MODEL_STAGE_DOWNLOADING;
    j->ours = ours;
    j->grown_us = now_us;
    j->looked_us = now_us;
    j->n_samples = 0;
    step(j, what, now_us + (what == MODEL_STEP_ASK ? MODEL_POLL_EVERY_US : 0));
}

/* ---- MLNode ---------------------------------------------------------------------------------- */

static void no_endpoint(struct model_job *j, uint64_t now_us)
{
    if (j->stage == MODEL_STAGE_DOWNLOADING) {
        fail(j, MODEL_FAULT_NODE, "its endpoint for models is gone");
        return;
    }
    j->endpoint = false;
    j->stage = MODEL_STAGE_CHOOSING;
    step(j, MODEL_STEP_MEASURE, now_us);
}

/* An MLNode that ends and is started again says nothing for minutes; that is no failure of ours. */
static void odd(struct model_job *j, const char *detail, uint64_t every_us, uint64_t now_us)
{
    if (++j->odd >= MODEL_ODD_ANSWERS)
        fail(j, MODEL_FAULT_NODE, detail);
    else
        step(j, MODEL_STEP_ASK, now_us + every_us);
}

static void missing(struct model_job *j, const char *detail, uint64_t now_us)
{
    enum model_fault fault = MODEL_FAULT_NONE;

    if (j->stage == MODEL_STAGE_DOWNLOADING) {
        if (detail != NULL)
            fault = model_fault_in(detail, strlen(detail));
        /* MLNode tells the first 500 letters of a tool's output, whose last line has the cause. */
        if (detail != NULL && strncmp(detail, "Traceback", 9) == 0)
            detail = NULL;
        fail(j, fault == MODEL_FAULT_NONE ? MODEL_FAULT_NODE_GAVE_UP : fault, detail);
        return;
    }
    /* What an older download left behind is the next one's beginning. */
    j->endpoint = true;
    j->by = MODEL_BY_MLNODE;
    j->stage = MODEL_STAGE_CHOOSING;
    step(j, MODEL_STEP_MEASURE, now_us);
}

static void downloading(struct model_job *j, uint64_t now_us)
{
    if (j->stage == MODEL_STAGE_DOWNLOADING) {
        step(j, MODEL_STEP_ASK, now_us + MODEL_POLL_EVERY_US);
        return;
    }
    j->by = MODEL_BY_MLNODE;
    j->endpoint = true;
    j->stage = MODEL_STAGE_DOWNLOADING;
    j->ours = false;
    step(j, MODEL_STEP_MEASURE, now_us);
}

void model_job_answered(struct model_job *j, enum model_says says, const char *detail,
                        uint64_t now_us)
{
    uint64_t every_us =
        j->stage == MODEL_STAGE_DOWNLOADING ? MODEL_POLL_EVERY_US : MODEL_ASK_EVERY_US;

    if (says != MODEL_SAYS_ODD && says != MODEL_SAYS_NOTHING)
        j->odd = 0;
    switch (says) {
    case MODEL_SAYS_NOTHING:
        step(j, MODEL_STEP_ASK, now_us + every_us);
        break;
    case MODEL_SAYS_NO_ENDPOINT:
        no_endpoint(j, now_us);
        break;
    case MODEL_SAYS_DOWNLOADED:
        j->by = MODEL_BY_MLNODE;
        model_job_end(j, MODEL_STAGE_DONE, MODEL_FAULT_NONE, NULL);
        break;
    case MODEL_SAYS_TAKEN:
    case MODEL_SAYS_DOWNLOADING:
        downloading(j, now_us);
        break;
    case MODEL_SAYS_MISSING:
        missing(j, detail, now_us);
        break;
    case MODEL_SAYS_IGNORED:
        fail(j, MODEL_FAULT_OFFLINE, NULL);
        break;
    case MODEL_SAYS_BUSY:
    case MODEL_SAYS_ODD:
        odd(j, detail, every_us, now_us);
        break;
    }
}

void model_job_ordered(struct model_job *j, enum model_says says, const char *detail,
                       uint64_t now_us)
{
    if (says == MODEL_SAYS_DOWNLOADING) {
        download(j, MODEL_STEP_ASK, true, now_us);
    } else if (says == MODEL_SAYS_TAKEN) {
        download(j, MODEL_STEP_ASK, false, now_us);
    } else if (says == MODEL_SAYS_BUSY) {
        j->stage = MODEL_STAGE_WAITING;
        set_text(j, "MLNode downloads as many other models as it may", NULL);
        step(j, MODEL_STEP_ASK, now_us + MODEL_BUSY_US);
    } else {
        model_job_answered(j, says == MODEL_SAYS_MISSING ? MODEL_SAYS_ODD : says, detail, now_us);
    }
}

/* ---- what there is to fetch ------------------------------------------------------------------ */

bool model_fits(const struct model_space *space, uint64_t need)
{
    uint64_t keep = space->total / 100 * MODEL_KEEP_FREE_PERCENT;

    return space->total == 0 || (space->free >= keep && space->free - keep >= need);
}

static void no_room(struct model_job *j, const struct model_space *space, uint64_t need)
{
    char detail[MODEL_BEAT_TEXT_MAX];
    char more[HUMAN_MAX];
    char room[HUMAN_MAX];
    char keep[HUMAN_MAX];

    human_bytes(room, space->free);
    human_bytes(keep, space->total / 100 * MODEL_KEEP_FREE_PERCENT);
    human_bytes(more, need);
    if (need > 0)
        snprintf(detail, sizeof(detail),
                 "%s more are needed, %s are free, of which %s (%d %%) stay "
                 "free",
                 more, room, keep, MODEL_KEEP_FREE_PERCENT);
    else
        snprintf(detail, sizeof(detail), "%s are free, and %s (%d %%) stay free", room, keep,
                 MODEL_KEEP_FREE_PERCENT);
    give_up(j, MODEL_FAULT_DISK_FLOOR, detail);
}

/* A hub that is busy says when to come back; until then nothing is asked of it. */
static void come_back(struct model_job *j, unsigned after_s, uint64_t now_us)
{
    uint64_t us = (uint64_t)after_s * 1000000;

    j->stage = MODEL_STAGE_RETRYING;
    set_text(j, model_fault_text(MODEL_FAULT_BUSY), NULL);
    step(j, MODEL_STEP_ASK, now_us + (us < MODEL_PAUSE_MAX_US ? us : MODEL_PAUSE_MAX_US));
}

void model_job_measured(struct model_job *j, const struct model_measure *m, uint64_t now_us)
{
    uint64_t need = m->total > m->bytes ? m->total - m->bytes : 0;

    j->total = m->total;
    j->bytes = m->bytes;
    if (j->stage == MODEL_STAGE_DOWNLOADING) {
        download(j, MODEL_STEP_ASK, false, now_us); /* others began it: their room, their risk */
        return;
    }
    if (!j->endpoint)
        j->by = m->tool;
    if (!j->endpoint && m->tool == MODEL_BY_NOBODY)
        fail(j, MODEL_FAULT_NO_TOOL, NULL);
    else if (m->fault == MODEL_FAULT_BUSY && m->retry_after_s > 0)
        come_back(j, m->retry_after_s, now_us);
    else if (m->fault != MODEL_FAULT_NONE)
        fail(j, m->fault, NULL);
    else if (!model_fits(&m->space, need))
        no_room(j, &m->space, need);
    else
        step(j, j->endpoint ? MODEL_STEP_ORDER : MODEL_STEP_FETCH, now_us);
}

/* ---- downloading ----------------------------------------------------------------------------- */

void model_job_fetching(struct model_job *j, uint64_t now_us)
{
    download(j, MODEL_STEP_WATCH, true, now_us);
}

void model_job_fetched(struct model_job *j, int status, const char *said, size_t len,
                       uint64_t bytes)
{
    enum model_fault fault = model_fault_in(said, len);
    char detail[64];

    if (j->stage != MODEL_STAGE_DOWNLOADING)
        return; /* ended by us: the reason is known */
    j->bytes = bytes;
    if (status != 0) {
        snprintf(detail, sizeof(detail), "%s ended with status %d", model_by_name(j->by), status);
        fail(j, fault == MODEL_FAULT_NONE ? MODEL_FAULT_CRASHED : fault, detail);
    } else if (bytes < j->total) {
        snprintf(detail, sizeof(detail), "%s left %llu bytes of %llu", model_by_name(j->by),
                 (unsigned long long)bytes, (unsigned long long)j->total);
        fail(j, MODEL_FAULT_SIZE, detail);
    } else {
        model_job_end(j, MODEL_STAGE_DONE, MODEL_FAULT_NONE, NULL);
    }
}

static const struct model_sample *sample(const struct model_job *j, size_t back)
{
    return &j->samples[(j->n_samples - 1 - back) % MODEL_RATE_SAMPLES];
}

uint64_t model_job_rate(const struct model_job *j)
{
    size_t held = j->n_samples < MODEL_RATE_SAMPLES ? j->n_samples : MODEL_RATE_SAMPLES;
    const struct model_sample *newest;
    const struct model_sample *oldest;

    if (held < 2 || j->stage != MODEL_STAGE_DOWNLOADING)
        return 0;
    newest = sample(j, 0);
    oldest = sample(j, held - 1);
    if (newest->bytes <= oldest->bytes || newest->at_us <= oldest->at_us)
        return 0;
    return (uint64_t)((double)(newest->bytes - oldest->bytes) * 1e6 /
                      (double)(newest->at_us - oldest->at_us));
}

/* A container that was paused lost time that nobody else had either. */
static void thaw(struct model_job *j, uint64_t now_us)
{
    uint64_t lost = now_us - j->looked_us;

    if (lost > MODEL_FROZEN_US) {
        j->grown_us += lost;
        j->n_samples = 0;
    }
    j->looked_us = now_us;
}

void model_job_progress(struct model_job *j, uint64_t bytes, const struct model_space *space,
                        uint64_t now_us)
{
    char detail[32];

    if (j->stage != MODEL_STAGE_DOWNLOADING)
        return;
    thaw(j, now_us);
    if (bytes != j->bytes)
        j->grown_us = now_us;
    j->bytes = bytes;
    j->samples[j->n_samples++ % MODEL_RATE_SAMPLES] =
        (struct model_sample){.at_us = now_us, .bytes = bytes};
    if (!model_fits(space, 0) && j->ours) {
        no_room(j, space, 0);
    } else if (j->stall_us > 0 && now_us - j->grown_us >= j->stall_us) {
        snprintf(detail, sizeof(detail), "%llu s", (unsigned long long)(j->stall_us / 1000000));
        give_up(j, MODEL_FAULT_STALLED, detail);
    }
}

/* ---- ends ------------------------------------------------------------------------------------ */

void model_job_asked(struct model_job *j, const char *name)
{
    bool began = j->stage == MODEL_STAGE_DOWNLOADING && j->ours;
    char own[MODEL_BEAT_NAME_MAX];

    log_safe(own, sizeof(own), j->name, strlen(j->name));
    if (name[0] == '\0' || strcmp(own, name) == 0 || j->step == MODEL_STEP_END ||
        j->step == MODEL_STEP_CANCEL)
        return;
    model_job_end(j, MODEL_STAGE_STOPPED, MODEL_FAULT_NONE, NULL);
    set_text(j, "inference/up asks for another model", name);
    if (began)
        step(j, MODEL_STEP_CANCEL, 0);
}

void model_job_cancelled(struct model_job *j)
{
    step(j, MODEL_STEP_END, 0);
}

int model_job_status(const struct model_job *j)
{
    return j->stage == MODEL_STAGE_RETRYING ? 1 : 0;
}

/* ---- the record ------------------------------------------------------------------------------ */

static uint16_t percent(const struct model_job *j)
{
    uint64_t hundredths;

    if (j->stage == MODEL_STAGE_DONE)
        return 10000;
    if (j->total == 0)
        return MODEL_PERCENT_UNKNOWN;
    hundredths = (uint64_t)((double)j->bytes * 10000 / (double)j->total);
    return hundredths < 9999 ? (uint16_t)hundredths : 9999; /* whole once somebody has said so */
}

void model_job_beat(const struct model_job *j, struct model_beat *out)
{
    uint64_t rate = model_job_rate(j);
    uint64_t left = j->total > j->bytes ? j->total - j->bytes : 0;

    *out = (struct model_beat){.magic = MODEL_BEAT_MAGIC,
                               .stage = (uint8_t)j->stage,
                               .by = (uint8_t)j->by,
                               .percent = percent(j),
                               .bytes = j->bytes,
                               .total = j->total,
                               .rate = rate,
                               .remaining_s = MODEL_REMAINING_UNKNOWN};
    if (rate > 0 && j->total > 0 && left / rate < MODEL_REMAINING_UNKNOWN)
        out->remaining_s = (uint32_t)(left / rate);
    log_safe(out->name, sizeof(out->name), j->name, strlen(j->name));
    memcpy(out->text, j->text, sizeof(out->text));
}
