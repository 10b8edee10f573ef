/* When to try again: pure, the randomness is the caller's. */
#ifndef TUNNEL_BACKOFF_H
#define TUNNEL_BACKOFF_H

#include <stdint.h>

#include "base/reason.h"

enum {
    BACKOFF_FIRST_US = 200 * 1000,
    BACKOFF_MAX_US = 10 * 1000 * 1000,
    /* A wrong token or a refused login is a person's mistake: no need to hammer. */
    BACKOFF_PERSON_US = 60 * 1000 * 1000,
    /* A server that is being restarted refuses for a moment: stay close for this long. */
    BACKOFF_EAGER_US = 30 * 1000 * 1000,
};

struct backoff {
    uint64_t first_failure_us; /* since the last success; 0: none */
    uint64_t delay_us;         /* the last one, before jitter */
    uint64_t replaced_us;      /* when another holder of our place displaced us last; 0: never */
};

/* A login succeeded. */
void backoff_reset(struct backoff *b);
/* The delay before the next try after an end for `why` at `now_us`; `random` is any 32 bits. */
uint64_t backoff_next(struct backoff *b, enum reason why, uint64_t now_us, uint32_t random);

#endif
