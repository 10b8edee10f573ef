#include "base/histogram.h"

#include <stddef.h>

/* Bucket 0 holds 0 to 100 us. Bucket d * 20 + i + 1 ends, inclusive, at ends[i] * 10^d us. */
static const uint16_t ends[HISTOGRAM_PER_DECADE] = {112, 125, 140, 160, 180, 200, 224,
                                                    250, 280, 315, 355, 400, 450, 500,
                                                    560, 630, 710, 800, 900, 1000};
enum { FIRST_END = 100 };

/* The first of `ends`, times `scale`, that is not below us; us is above 100 * scale and at most
 * 1000 * scale. */
static size_t place(uint64_t us, uint64_t scale)
{
    size_t low = 0;
    size_t high = HISTOGRAM_PER_DECADE - 1;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (us <= ends[middle] * scale)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static size_t bucket_of(uint64_t us)
{
    uint64_t scale = 1;

    if (us <= FIRST_END)
        return 0;
    for (size_t decade = 0; decade < HISTOGRAM_DECADES; decade++, scale *= 10)
        if (us <= 10 * FIRST_END * scale)
            return decade * HISTOGRAM_PER_DECADE + place(us, scale) + 1;
    return HISTOGRAM_BUCKETS - 1;
}

/* Inclusive; of the last bucket, which has none, the one before's. */
static uint64_t end_of(size_t bucket)
{
    uint64_t end;

    if (bucket == 0)
        return FIRST_END;
    if (bucket == HISTOGRAM_BUCKETS - 1)
        bucket--;
    end = ends[(bucket - 1) % HISTOGRAM_PER_DECADE];
    for (size_t decade = (bucket - 1) / HISTOGRAM_PER_DECADE; decade > 0; decade--)
        end *= 10;
    return end;
}

void histogram_add(struct histogram *h, uint64_t us)
{
    h->count++;
    h->sum_us += us;
    h->of[bucket_of(us)]++;
}

uint64_t histogram_at_most(const struct histogram *h, uint64_t us)
{
    uint64_t n = 0;

    for (size_t i = 0; i < HISTOGRAM_BUCKETS - 1 && end_of(i) <= us; i++)
        n += h->of[i];
    return n;
}

/* As if a bucket's values lay evenly between its ends. */
uint64_t histogram_quantile(const struct histogram *h, double q)
{
    double rank = q * (double)h->count;
    double before = 0;
    size_t i = 0;
    double start;

    if (h->count == 0)
        return 0;
    while (i < HISTOGRAM_BUCKETS - 1 && (h->of[i] == 0 || before + (double)h->of[i] < rank))
        before += (double)h->of[i++];
    start = i > 0 ? (double)end_of(i - 1) : 0;
    if (h->of[i] == 0) /* only rounding leads here */
        return end_of(i);
    return (uint64_t)(start + ((double)end_of(i) - start) * (rank - before) / (double)h->of[i]);
}
