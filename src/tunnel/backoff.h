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
    BACKOFF_SHORT_US = 5 * 1000 * 1000, /* a session that lives less is a short one */
    BACKOFF_SHORT_FREE = 2,             /* so many in a row cost nothing: a server's restart */
};

struct backoff {
    uint64_t first_failure_us; /* since the last success; 0: none */
    uint64_t delay_us;         /* the last one, before jitter */
    unsigned short_sessions;   /* in a row: logged in and soon ended */
    uint64_t replaced_us;      /* when another holder of our place displaced us last; 0: never */
};

/* A login succeeded. */
void backoff_reset(struct backoff *b);
/* A session ended that lived this long after its login. A few short ones in a row slow the next
 * tries down: a server that drops us at once, or two holders of one run_id who displace each other
 * (stock frps closes without a word). */
void backoff_session_lived(struct backoff *b, uint64_t lived_us);
/* The delay before the next try after an end for `why` at `now_us`; `random` is any 32 bits. */
uint64_t backoff_next(struct backoff *b, enum reason why, uint64_t now_us, uint32_t random);

#endif
