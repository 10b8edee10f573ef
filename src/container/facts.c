#include "container/facts.h"

#include <string.h>

static bool are_counts_good(const struct facts *f)
{
    return f->n_ports <= AUDIT_PORTS_MAX && f->n_restarts <= FACTS_RESTARTS;
}

static bool are_words_good(const struct facts *f)
{
    if (f->phase >= PHASES || f->audit >= FACTS_AUDITS)
        return false;
    for (int i = 0; i < PLAN_CHILDREN; i++)
        if (f->child[i].state >= CHILD_STATES)
            return false;
    for (int i = 0; i < f->n_restarts; i++)
        if (f->restarts[i].child >= PLAN_CHILDREN || f->restarts[i].why >= FACTS_WHYS)
            return false;
    return true;
}

/* Times that are reckoned with. */
static bool are_times_good(const struct facts *f)
{
    bool good = f->started_s >= 0 && f->started_s <= FACTS_TIME_MAX_S;

    for (int i = 0; i < f->n_restarts; i++)
        good = good && f->restarts[i].at_s >= 0 && f->restarts[i].at_s <= FACTS_TIME_MAX_S;
    return good;
}

static bool is_model_good(const struct model_beat *m)
{
    struct model_beat ignored;

    return m->magic == 0 || model_beat_read(m, sizeof(*m), &ignored);
}

bool facts_read(const void *data, size_t len, struct facts *out)
{
    struct facts f;

    if (len != sizeof(f))
        return false;
    memcpy(&f, data, sizeof(f));
    if (f.magic != FACTS_MAGIC || !are_counts_good(&f) || !are_words_good(&f) ||
        !are_times_good(&f) || !is_model_good(&f.model))
        return false;
    *out = f;
    return true;
}

void facts_restarted(struct facts *f, const struct facts_restart *r)
{
    if (f->n_restarts == FACTS_RESTARTS)
        memmove(f->restarts, f->restarts + 1, sizeof(f->restarts) - sizeof(f->restarts[0]));
    else
        f->n_restarts++;
    f->restarts[f->n_restarts - 1] = *r;
}

void facts_audited(struct facts *f, const struct audit *audit)
{
    f->audit = FACTS_AUDIT_DONE;
    f->n_ports = (uint8_t)audit->count;
    f->more_ports = (uint32_t)audit->unsaid;
    memset(f->ports, 0, sizeof(f->ports));
    memcpy(f->ports, audit->ports, audit->count * sizeof(audit->ports[0]));
}
