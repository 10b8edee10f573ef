#include "tunnel/liveness.h"

#include <stdbool.h>

/* Only where a ping is unanswered. */
static uint64_t stuck_since_us(const struct live_facts *f)
{
    return (f->ping_us > f->progress_us ? f->ping_us : f->progress_us) + LIVE_STUCK_US;
}

static bool stuck(const struct live_facts *f)
{
    return f->ping_us != 0 && f->now_us >= stuck_since_us(f);
}

/* How long after the reserve came up the old connection may still speak. */
static uint64_t patience_us(const struct live_facts *f)
{
    if (f->reserve_up_us <= stuck_since_us(f) + LIVE_QUICK_US)
        return LIVE_MORE_US;
    return f->rto_us < LIVE_RTO_MAX_US ? f->rto_us : LIVE_RTO_MAX_US;
}

static enum live_action judge_stuck(const struct live_facts *f)
{
    switch (f->reserve) {
    case RESERVE_UP:
        return f->now_us - f->reserve_up_us >= patience_us(f) ? LIVE_SWITCH : LIVE_WAIT;
    case RESERVE_DIALLING:
        break;
    case RESERVE_NONE:
        if (f->reserve_since_us == 0 || f->now_us - f->reserve_since_us >= LIVE_REDIAL_US)
            return f->now_us - f->heard_us >= f->dead_after_us ? LIVE_DEAD : LIVE_DIAL;
        break;
    }
    return f->now_us - f->heard_us >= f->dead_after_us ? LIVE_DEAD : LIVE_WAIT;
}

enum live_action live_judge(const struct live_facts *f)
{
    if (stuck(f))
        return judge_stuck(f);
    if (f->reserve != RESERVE_NONE && f->ping_us == 0)
        return LIVE_DROP_RESERVE;
    if (f->ping_us == 0 && f->now_us - f->heard_us >= LIVE_IDLE_US)
        return LIVE_PING;
    return LIVE_WAIT;
}
