/* Telling a dead connection from a frozen network: one pure function.
 *
 * A thawed connection loses no stream, a redialled one loses all; so silence alone proves nothing.
 * When the peer stops answering, a second ("reserve") connection is dialled, without a login, which
 * would displace the first. How it fares says what the silence means:
 *   up quickly  - the path works, so the old connection is dead: log in on the reserve;
 *   up late     - the network was frozen (also when only a second dial succeeded, however fast):
 *                 the old one gets the time of its own retransmission;
 *   not up      - nothing works: keep the old one until `dead_after`. */
#ifndef TUNNEL_LIVENESS_H
#define TUNNEL_LIVENESS_H

#include <stdint.h>

enum {
    LIVE_IDLE_US = 1000 * 1000,      /* silence before a ping */
    LIVE_STUCK_US = 3 * 1000 * 1000, /* unanswered ping and no other progress */
    LIVE_QUICK_US = 1100 * 1000,     /* a reserve up so soon after that, one tick included */
    LIVE_MORE_US = 1000 * 1000,      /* ... leaves the old one this much */
    LIVE_RTO_MAX_US = 8 * 1000 * 1000,
    LIVE_REDIAL_US = 1000 * 1000, /* between two tries of a reserve that was refused */
};

enum live_action {
    LIVE_WAIT = 0,
    LIVE_PING = 1,         /* send a ping */
    LIVE_DIAL = 2,         /* dial the reserve */
    LIVE_DROP_RESERVE = 3, /* the old connection lives after all */
    LIVE_SWITCH = 4,       /* the old one is dead: log in on the reserve */
    LIVE_DEAD = 5,         /* give the connection up; no reserve is there */
};

enum reserve_state {
    RESERVE_NONE = 0,
    RESERVE_DIALLING = 1,
    RESERVE_UP = 2,
};

struct live_facts {
    uint64_t now_us;
    uint64_t heard_us;    /* last byte received */
    uint64_t progress_us; /* last byte received or written byte newly acknowledged by TCP */
    uint64_t ping_us;     /* when the unanswered ping was asked for; 0: none */
    uint64_t dead_after_us;
    uint64_t rto_us; /* the old connection's retransmission timeout */
    enum reserve_state reserve;
    uint64_t
        reserve_since_us;   /* when its last dial began (or failed, with RESERVE_NONE); 0: never */
    uint64_t reserve_up_us; /* when it was up */
};

enum live_action live_judge(const struct live_facts *f);

#endif
