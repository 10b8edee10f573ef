/* Bytes a second over the last seconds, from counters that only grow. Pure; zeroed is ready. */
#ifndef OBSERVE_RATE_H
#define OBSERVE_RATE_H

#include <stddef.h>
#include <stdint.h>

enum {
    RATE_WINDOW_S = 10, /* long enough to be calm, short enough to show what happens now */
};

struct rate_sample {
    uint64_t at_us;
    uint64_t in;
    uint64_t out;
};

struct rate {
    struct rate_sample samples[RATE_WINDOW_S + 1];
    size_t n; /* ever */
};

/* To be called once a second with the counters as they are. */
void rate_add(struct rate *r, uint64_t now_us, uint64_t in, uint64_t out);
/* Between the oldest sample that is kept and the latest; 0 before there are two. */
uint64_t rate_in(const struct rate *r);
uint64_t rate_out(const struct rate *r);

#endif
