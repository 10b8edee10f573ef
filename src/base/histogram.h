/* How often which duration was seen: a fixed table, nothing allocated, a few dozen instructions a
 * value. Zeroed is ready and empty. */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdint.h>

enum {
    /* Bounds lie at the preferred numbers of series R20 (ISO 3), so that 1, 2.5 and 5 of every
     * decade are among them and neighbours differ by 15 % at most. */
    HISTOGRAM_PER_DECADE = 20,
    /* From 100 us, which no answer of an engine beats, to 100,000 s: an exchange may last a day. */
    HISTOGRAM_DECADES = 9,
    /* Also one for what is not above 100 us, and one for what is above 100,000 s. */
    HISTOGRAM_BUCKETS = HISTOGRAM_PER_DECADE * HISTOGRAM_DECADES + 2,
};

struct histogram {
    uint64_t count;
    uint64_t sum_us;
    uint64_t of[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t us);
/* How many values were at most `us`. Exact where `us` is a bound (1, 2.5 or 5 times a power of ten,
 * 100 us to 100,000 s); otherwise for the bound below it. */
uint64_t histogram_at_most(const struct histogram *h, uint64_t us);
/* An estimate of the value that the fraction `q` (0 to 1) of all values does not exceed, in
 * microseconds: as exact as its bucket is narrow. 0 when empty. Values above 100,000 s count as
 * that. */
uint64_t histogram_quantile(const struct histogram *h, double q);

#endif
