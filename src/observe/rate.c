#include "observe/rate.h"

enum { KEPT = RATE_WINDOW_S + 1 };

void rate_add(struct rate *r, uint64_t now_us, uint64_t in, uint64_t out)
{
    r->samples[r->n++ % KEPT] = (struct rate_sample){.at_us = now_us, .in = in, .out = out};
}

static const struct rate_sample *latest(const struct rate *r)
{
    return &r->samples[(r->n - 1) % KEPT];
}

static const struct rate_sample *oldest(const struct rate *r)
{
    return &r->samples[r->n > KEPT ? r->n % KEPT : 0];
}

static uint64_t per_second(const struct rate *r, uint64_t before, uint64_t now)
{
    uint64_t us = latest(r)->at_us - oldest(r)->at_us;

    return us == 0 || now < before ? 0 : (uint64_t)((double)(now - before) * 1e6 / (double)us);
}

uint64_t rate_in(const struct rate *r)
{
    return r->n < 2 ? 0 : per_second(r, oldest(r)->in, latest(r)->in);
}

uint64_t rate_out(const struct rate *r)
{
    return r->n < 2 ? 0 : per_second(r, oldest(r)->out, latest(r)->out);
}
