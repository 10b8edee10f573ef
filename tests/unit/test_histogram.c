/* The histogram against sorted lists of the same values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/histogram.h"

enum { VALUES = 20000 };

static uint64_t values[VALUES];

static uint64_t next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void fill(struct histogram *h, uint64_t (*draw)(uint64_t *state))
{
    uint64_t state = 42;

    memset(h, 0, sizeof(*h));
    for (size_t i = 0; i < VALUES; i++) {
        values[i] = draw(&state);
        histogram_add(h, values[i]);
    }
    qsort(values, VALUES, sizeof(values[0]), by_size);
}

/* Every power of ten from 1 us to 10,000 s equally often. */
static uint64_t wide(uint64_t *state)
{
    uint64_t scale = 1;

    for (uint64_t i = next(state) % 10; i > 0; i--)
        scale *= 10;
    return scale * (1 + next(state) % 9) + next(state) % scale;
}

static uint64_t narrow(uint64_t *state)
{
    return 150000 + next(state) % 100000;
}

/* Polls beside slow answers: nothing lies between the two. */
static uint64_t two_humps(uint64_t *state)
{
    return next(state) % 10 < 9 ? 200 + next(state) % 300 : 2000000 + next(state) % 3000000;
}

static void check_quantiles(const struct histogram *h)
{
    static const double qs[] = {0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999};

    for (size_t i = 0; i < sizeof(qs) / sizeof(qs[0]); i++) {
        double exact = (double)values[(size_t)(qs[i] * VALUES)];
        double low = (double)values[(size_t)(qs[i] * VALUES) - 1];
        double got = (double)histogram_quantile(h, qs[i]);

        /* A bucket's width to either side; below 100 us all is one bucket. */
        if (got > 1.15 * exact + 100 || got < low / 1.15 - 100)
            fail_msg("quantile %g is %g, want %g to %g", qs[i], got, low, exact);
    }
}

static void quantiles_are_near_the_exact_ones(void **state)
{
    struct histogram h;

    fill(&h, wide);
    check_quantiles(&h);
    fill(&h, narrow);
    check_quantiles(&h);
    fill(&h, two_humps);
    check_quantiles(&h);
}

static uint64_t exact_at_most(uint64_t us)
{
    uint64_t n = 0;

    while (n < VALUES && values[n] <= us)
        n++;
    return n;
}

static void counts_at_bounds_are_exact(void **state)
{
    static const unsigned mantissas[] = {100, 250, 500};
    struct histogram h;
    uint64_t sum = 0;

    fill(&h, wide);
    for (uint64_t scale = 1; scale <= 100000000; scale *= 10)
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(histogram_at_most(&h, mantissas[i] * scale),
                             exact_at_most(mantissas[i] * scale));
    for (size_t i = 0; i < VALUES; i++)
        sum += values[i];
    assert_int_equal(h.sum_us, sum);
    assert_int_equal(h.count, VALUES);
}

/* Every end of a bucket belongs to it, and one more microsecond to the next. */
static void a_bound_is_inclusive(void **state)
{
    static const uint64_t bounds[] = {100, 112, 1000, 2500, 1000000, 100000000000};

    for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
        struct histogram h = {0};

        histogram_add(&h, bounds[i]);
        assert_int_equal(histogram_at_most(&h, bounds[i]), 1);
        assert_int_equal(histogram_at_most(&h, bounds[i] - 1), 0);
        histogram_add(&h, bounds[i] + 1);
        assert_int_equal(histogram_at_most(&h, bounds[i]), 1);
    }
}

static void the_ends_of_the_scale(void **state)
{
    struct histogram h = {0};

    assert_int_equal(histogram_quantile(&h, 0.5), 0);
    assert_int_equal(histogram_at_most(&h, UINT64_MAX), 0);
    histogram_add(&h, UINT64_MAX);
    assert_int_equal(h.count, 1);
    assert_int_equal(histogram_at_most(&h, UINT64_MAX), 0); /* above every bound */
    assert_int_equal(histogram_quantile(&h, 0.5), 100000000000);
    assert_int_equal(histogram_quantile(&h, 1), 100000000000);
    h = (struct histogram){0};
    histogram_add(&h, 0);
    assert_int_equal(histogram_at_most(&h, 100), 1);
    assert_int_equal(histogram_quantile(&h, 0), 0);
    assert_true(histogram_quantile(&h, 1) <= 100);
}

static void a_quantile_never_falls_with_its_fraction(void **state)
{
    struct histogram h;
    uint64_t last = 0;

    fill(&h, two_humps);
    for (int i = 0; i <= 1000; i++) {
        uint64_t now = histogram_quantile(&h, i / 1000.0);

        assert_true(now >= last);
        last = now;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_are_near_the_exact_ones),
        cmocka_unit_test(counts_at_bounds_are_exact),
        cmocka_unit_test(a_bound_is_inclusive),
        cmocka_unit_test(the_ends_of_the_scale),
        cmocka_unit_test(a_quantile_never_falls_with_its_fraction),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
