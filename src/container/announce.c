#include "container/announce.h"

const char *announce_name(enum plan_child child)
{
    static const char *const names[PLAN_CHILDREN] = {"the worker", "MLNode",
                                                     "the model's preparation"};

    return names[child];
}

static void announce_pause(struct log *log, const struct plan_action *a, double s)
{
    const char *who = announce_name(a->child);

    if (a->count >= PLAN_STORM)
        log_error(log, "%s ended %u times in a row soon after its start; next start in %.1f s", who,
                  a->count, s);
    else
        log_warn(log, "%s starts again in %.1f s", who, s);
}

static void announce_silence(struct log *log, double s)
{
    if (s > 0)
        log_warn(log,
                 "MLNode accepts connections and does not answer; it is killed if that lasts "
                 "%.0f s",
                 s);
    else
        log_warn(log, "MLNode accepts connections and does not answer; it has not since its start, "
                      "and is not killed for that");
}

void announce(struct log *log, const struct plan_action *a)
{
    double s = (double)a->us / 1e6;

    switch (a->what) {
    case PLAN_SAY_PAUSE:
        announce_pause(log, a, s);
        break;
    case PLAN_SAY_NO_BEAT:
        log_error(log, "no sign of life from the worker for %.1f s: killing it", s);
        break;
    case PLAN_SAY_SILENT:
        announce_silence(log, s);
        break;
    case PLAN_SAY_ANSWERS:
        log_info(log, "MLNode answers again, after %.0f s", s);
        break;
    case PLAN_SAY_GIVEN_UP:
        log_error(log, "MLNode accepted connections and did not answer for %.0f s: killing it", s);
        break;
    default:
        break;
    }
}
