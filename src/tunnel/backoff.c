#include "tunnel/backoff.h"

#include <stdbool.h>

/* Two displacements within this mean that two clients fight for one place. */
enum { FIGHT_US = 60 * 1000 * 1000 };

void backoff_reset(struct backoff *b)
{
    b->first_failure_us = 0;
    b->delay_us = 0;
}

void backoff_session_lived(struct backoff *b, uint64_t lived_us)
{
    b->short_sessions = lived_us < BACKOFF_SHORT_US ? b->short_sessions + 1 : 0;
}

/* What short sessions add to a delay that a login has just reset. */
static uint64_t after_short_sessions(const struct backoff *b)
{
    uint64_t delay = BACKOFF_FIRST_US;

    for (unsigned i = BACKOFF_SHORT_FREE; i < b->short_sessions && delay < BACKOFF_MAX_US; i++)
        delay *= 2;
    return delay < BACKOFF_MAX_US ? delay : BACKOFF_MAX_US;
}

static bool for_a_person(enum reason why)
{
    return why == REASON_AUTH_FAILED || why == REASON_LOGIN_REFUSED || why == REASON_CLOCK_SKEW ||
           why == REASON_TLS_UNTRUSTED;
}

/* ± 25 %, so that a hundred clients of one restarted server do not come in step. */
static uint64_t jitter(uint64_t delay, uint32_t random)
{
    return delay - delay / 4 + delay / 2 * (random % 1024) / 1024;
}

static uint64_t doubled(uint64_t delay, uint64_t max)
{
    if (delay == 0)
        return BACKOFF_FIRST_US;
    return delay * 2 < max ? delay * 2 : max;
}

static bool fighting(struct backoff *b, enum reason why, uint64_t now_us)
{
    bool again;

    if (why != REASON_REPLACED && why != REASON_DISPLACED)
        return false;
    again = b->replaced_us != 0 && now_us - b->replaced_us < FIGHT_US;
    b->replaced_us = now_us;
    return again;
}

uint64_t backoff_next(struct backoff *b, enum reason why, uint64_t now_us, uint32_t random)
{
    if (b->first_failure_us == 0)
        b->first_failure_us = now_us;
    if (fighting(b, why, now_us))
        b->delay_us = BACKOFF_PERSON_US;
    else if (for_a_person(why))
        b->delay_us = doubled(b->delay_us, BACKOFF_PERSON_US);
    else if (why == REASON_CONNECT_REFUSED && now_us - b->first_failure_us < BACKOFF_EAGER_US)
        b->delay_us = BACKOFF_FIRST_US;
    else
        b->delay_us = doubled(b->delay_us, BACKOFF_MAX_US);
    if (b->delay_us < after_short_sessions(b))
        b->delay_us = after_short_sessions(b);
    return jitter(b->delay_us, random);
}
