/* Limits on connections that have not proven anything yet. Pure: no I/O, no clock.
 *
 * Only failures count against a source, because many honest nodes may share one address; and what a
 * full house costs is the oldest opening, never the newest, so a client with the right token is
 * never kept waiting by strangers. */
#ifndef TUNNEL_GUARD_H
#define TUNNEL_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"

enum {
    GUARD_OPENINGS = 4096,    /* at once, all sources together */
    GUARD_BAD_FAILURES = 20,  /* from here on a source counts as bad ... */
    GUARD_BAD_OPENINGS = 256, /* ... and has at most this many openings at once */
    GUARD_SOURCES = 16384,    /* remembered at most; others are only bounded by GUARD_OPENINGS */
    GUARD_HALVE_US = 60 * 1000 * 1000, /* failures are forgotten by halves */
    GUARD_LOGIN_US = 10 * 1000 * 1000, /* from accept to a complete login */
};

struct guard_source {
    unsigned failures;
    unsigned openings;
    uint64_t halved_us;
    struct list node; /* guard->known */
    char address[];
};

struct guard {
    struct map sources;
    struct list known; /* all of them, oldest first */
    unsigned openings;
};

void guard_init(struct guard *g, uint64_t seed);
/* A connection from `address` opens. NULL when the source is not remembered; pass it on anyway. */
struct guard_source *guard_open(struct guard *g, const char *address, uint64_t now_us);
/* The opening ended: with a login, or `failed` to prove anything. */
void guard_close(struct guard *g, struct guard_source *src, bool failed, uint64_t now_us);
/* True: one opening must go, the oldest of this source (bad source) or of all. */
bool guard_source_full(const struct guard_source *src);
bool guard_full(const struct guard *g);
/* Now and then: forgets sources that have nothing open and failed long ago. */
void guard_tick(struct guard *g, uint64_t now_us);
/* Every opening must have been closed. */
void guard_clear(struct guard *g);

#endif
