#include "testnode/model.h"

#include "base/err.h"

#include <string.h>

static int set_name(struct model *m, const char *name)
{
    size_t len = strlen(name);

    if (len == 0 || len > MODEL_NAME_MAX)
        return ERR_LIMIT;
    memcpy(m->name, name, len + 1);
    return 0;
}

int model_init(struct model *m, const char *name, unsigned load_delay_ms)
{
    *m = (struct model){.load_delay_ms = load_delay_ms};
    return set_name(m, name);
}

void model_started(struct model *m)
{
    m->running = true;
    m->load = MODEL_COMPLETED;
}

int model_up(struct model *m, const char *name, bool doomed, uint64_t now_ms)
{
    if (m->running || m->load == MODEL_IN_PROGRESS)
        return ERR_NOTNOW;
    if (name && set_name(m, name) != 0)
        return ERR_LIMIT;
    m->load = MODEL_IN_PROGRESS;
    m->doomed = doomed;
    m->began_ms = now_ms;
    return 0;
}

uint64_t model_remaining(const struct model *m, uint64_t now_ms)
{
    uint64_t due = m->began_ms + m->load_delay_ms;

    return m->load == MODEL_IN_PROGRESS && due > now_ms ? due - now_ms : 0;
}

bool model_tick(struct model *m, uint64_t now_ms)
{
    if (m->load != MODEL_IN_PROGRESS || model_remaining(m, now_ms) > 0)
        return false;
    m->running = !m->doomed;
    m->load = m->running ? MODEL_COMPLETED : MODEL_FAILED;
    m->ended_ms = now_ms;
    return true;
}

void model_fail(struct model *m)
{
    m->running = false;
    m->generating = false;
    m->load = MODEL_FAILED;
}

bool model_generate(struct model *m, bool on)
{
    if (m->running)
        m->generating = on;
    return m->running;
}

bool model_down(struct model *m, uint64_t now_ms)
{
    bool ended = m->running || m->load == MODEL_IN_PROGRESS;

    if (m->load == MODEL_IN_PROGRESS) {
        m->load = MODEL_CANCELLED;
        m->ended_ms = now_ms;
    } else if (m->running) {
        m->load = MODEL_NOT_STARTED;
    }
    m->running = false;
    m->generating = false;
    return ended;
}

const char *model_state(const struct model *m)
{
    return m->running ? "INFERENCE" : "STOPPED";
}

const char *model_poc(const struct model *m)
{
    return m->generating ? "GENERATING" : m->running ? "IDLE" : "NO_BACKENDS";
}

const char *model_load_name(enum model_load load)
{
    static const char *const names[] = {"not_started", "in_progress", "completed", "failed",
                                        "cancelled"};

    return names[load];
}

double model_elapsed_s(const struct model *m, uint64_t now_ms)
{
    if (m->load == MODEL_NOT_STARTED)
        return 0;
    return (double)((m->load == MODEL_IN_PROGRESS ? now_ms : m->ended_ms) - m->began_ms) / 1000;
}
