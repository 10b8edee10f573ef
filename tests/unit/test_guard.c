/* Limits on strangers: who counts as bad, when that is forgotten, when somebody must go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tunnel/guard.h"

static const uint64_t start_us = 1000 * (uint64_t)1000 * 1000;
static const uint64_t halve_us = GUARD_HALVE_US;

static int setup(void **state)
{
    struct guard *g = mem_zalloc(sizeof(*g));

    guard_init(g, 42);
    *state = g;
    return 0;
}

static int teardown(void **state)
{
    struct guard *g = *state;

    guard_clear(g);
    if (g->openings != 0 || !list_empty(&g->known) || g->sources.count != 0)
        return -1;
    mem_free(g);
    return 0;
}

static void fail_times(struct guard *g, const char *address, unsigned n, uint64_t now_us)
{
    for (unsigned i = 0; i < n; i++)
        guard_close(g, guard_open(g, address, now_us), true, now_us);
}

/* How many openings the source may have before one of them must go. */
static unsigned openings_allowed(struct guard *g, const char *address, uint64_t now_us)
{
    struct guard_source *open[2 * GUARD_BAD_OPENINGS];
    const unsigned most = sizeof(open) / sizeof(open[0]);
    unsigned n = 0;
    unsigned allowed;

    while (n < most) {
        open[n] = guard_open(g, address, now_us);
        if (guard_source_full(open[n++]))
            break;
    }
    allowed = n < most ? n - 1 : UINT32_MAX;
    while (n > 0)
        guard_close(g, open[--n], false, now_us);
    return allowed;
}

static void good_sources_are_not_limited(void **state)
{
    struct guard *g = *state;

    assert_int_equal(g->sources.seed, 42);
    assert_int_equal(openings_allowed(g, "192.0.2.1", start_us), UINT32_MAX);
    fail_times(g, "192.0.2.1", GUARD_BAD_FAILURES - 1, start_us);
    assert_int_equal(openings_allowed(g, "192.0.2.1", start_us), UINT32_MAX);
}

static void bad_sources_are(void **state)
{
    struct guard *g = *state;

    fail_times(g, "192.0.2.1", GUARD_BAD_FAILURES, start_us);
    assert_int_equal(openings_allowed(g, "192.0.2.1", start_us), GUARD_BAD_OPENINGS);
    assert_int_equal(openings_allowed(g, "192.0.2.10", start_us), UINT32_MAX);
    assert_int_equal(openings_allowed(g, "192.0.2.", start_us), UINT32_MAX);
}

static void logins_do_not_count(void **state)
{
    struct guard *g = *state;

    for (int i = 0; i < 1000; i++)
        guard_close(g, guard_open(g, "192.0.2.1", start_us), false, start_us);
    assert_int_equal(g->sources.count, 0); /* nothing to remember */
    assert_int_equal(openings_allowed(g, "192.0.2.1", start_us), UINT32_MAX);
}

static void failures_are_forgotten_by_halves(void **state)
{
    struct guard *g = *state;

    fail_times(g, "192.0.2.1", 4 * GUARD_BAD_FAILURES, start_us);
    assert_int_equal(openings_allowed(g, "192.0.2.1", start_us + halve_us - 1), GUARD_BAD_OPENINGS);
    assert_int_equal(openings_allowed(g, "192.0.2.1", start_us + 2 * halve_us), GUARD_BAD_OPENINGS);
    assert_int_equal(openings_allowed(g, "192.0.2.1", start_us + 3 * halve_us), UINT32_MAX);
}

/* The same when nobody looked in between, and when somebody looked all the time. */
static void forgetting_does_not_depend_on_looking(void **state)
{
    struct guard *g = *state;

    fail_times(g, "192.0.2.1", 2 * GUARD_BAD_FAILURES, start_us);
    fail_times(g, "192.0.2.2", 2 * GUARD_BAD_FAILURES, start_us);
    for (uint64_t now = start_us; now < start_us + 2 * halve_us; now += halve_us / 7)
        openings_allowed(g, "192.0.2.1", now);
    assert_int_equal(openings_allowed(g, "192.0.2.1", start_us + 2 * halve_us - 1),
                     GUARD_BAD_OPENINGS);
    assert_int_equal(openings_allowed(g, "192.0.2.2", start_us + 2 * halve_us - 1),
                     GUARD_BAD_OPENINGS);
    assert_int_equal(openings_allowed(g, "192.0.2.1", start_us + 2 * halve_us), UINT32_MAX);
    assert_int_equal(openings_allowed(g, "192.0.2.2", start_us + 2 * halve_us), UINT32_MAX);
}

/* The first failure after a long peace starts a new count of time. */
static void an_old_source_is_not_forgiven_early(void **state)
{
    struct guard *g = *state;
    struct guard_source *kept = guard_open(g, "192.0.2.1", start_us);
    uint64_t later = start_us + 10 * halve_us + halve_us / 2;

    fail_times(g, "192.0.2.1", GUARD_BAD_FAILURES, later);
    assert_int_equal(kept->failures, GUARD_BAD_FAILURES);
    guard_tick(g, later + halve_us - 1);
    assert_int_equal(kept->failures, GUARD_BAD_FAILURES);
    guard_tick(g, later + halve_us);
    assert_int_equal(kept->failures, GUARD_BAD_FAILURES / 2);
    guard_close(g, kept, false, later + halve_us);
}

/* A failure counts from when it is known, not from when the connection was accepted. */
static void a_slow_failure_counts_from_its_end(void **state)
{
    struct guard *g = *state;
    struct guard_source *src = guard_open(g, "192.0.2.1", start_us);

    guard_close(g, src, true, start_us + halve_us / 2);
    guard_tick(g, start_us + halve_us);
    assert_int_equal(g->sources.count, 1);
    guard_tick(g, start_us + halve_us / 2 + halve_us);
    assert_int_equal(g->sources.count, 0);
}

static void ticks_forget_whom_nobody_misses(void **state)
{
    struct guard *g = *state;
    struct guard_source *open = guard_open(g, "192.0.2.3", start_us);

    fail_times(g, "192.0.2.1", 1, start_us);
    fail_times(g, "192.0.2.2", 2, start_us);
    assert_int_equal(g->sources.count, 3);
    guard_tick(g, start_us + halve_us - 1);
    assert_int_equal(g->sources.count, 3);
    guard_tick(g, start_us + halve_us);
    assert_int_equal(g->sources.count, 2);
    guard_tick(g, start_us + 2 * halve_us);
    assert_int_equal(g->sources.count, 1); /* has a connection open */
    guard_close(g, open, false, start_us + 2 * halve_us);
    assert_int_equal(g->sources.count, 0);
}

static void a_full_house(void **state)
{
    struct guard *g = *state;

    for (int i = 0; i < GUARD_OPENINGS; i++)
        guard_open(g, "192.0.2.1", start_us);
    assert_false(guard_full(g));
    guard_open(g, "192.0.2.2", start_us);
    assert_true(guard_full(g));
    guard_close(g, guard_open(g, "192.0.2.3", start_us), true, start_us);
    guard_close(g, map_get(&g->sources, "192.0.2.2"), true, start_us);
    assert_false(guard_full(g));
    for (int i = 0; i < GUARD_OPENINGS; i++)
        guard_close(g, map_get(&g->sources, "192.0.2.1"), false, start_us);
}

static void fill_sources(struct guard *g)
{
    for (int i = 0; i < GUARD_SOURCES; i++) {
        char address[32];

        snprintf(address, sizeof(address), "2001:db8::%x", i);
        fail_times(g, address, 1, start_us);
    }
}

/* Who does not fit into the table is only bounded by the house. */
static void a_full_table_of_sources(void **state)
{
    struct guard *g = *state;
    struct guard_source *known;

    fill_sources(g);
    assert_int_equal(g->sources.count, GUARD_SOURCES);
    assert_null(guard_open(g, "192.0.2.1", start_us));
    assert_int_equal(g->openings, 1);
    assert_false(guard_source_full(NULL));
    guard_close(g, NULL, true, start_us);
    assert_int_equal(g->openings, 0);
    known = guard_open(g, "2001:db8::7", start_us);
    assert_non_null(known);
    assert_int_equal(known->failures, 1);
    guard_close(g, known, false, start_us);
    guard_tick(g, start_us + halve_us);
    assert_int_equal(g->sources.count, 0);
    assert_non_null(guard_open(g, "192.0.2.1", start_us + halve_us));
    guard_close(g, map_get(&g->sources, "192.0.2.1"), true, start_us + halve_us);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(good_sources_are_not_limited),
        TEST(bad_sources_are),
        TEST(logins_do_not_count),
        TEST(failures_are_forgotten_by_halves),
        TEST(forgetting_does_not_depend_on_looking),
        TEST(an_old_source_is_not_forgiven_early),
        TEST(a_slow_failure_counts_from_its_end),
        TEST(ticks_forget_whom_nobody_misses),
        TEST(a_full_house),
        TEST(a_full_table_of_sources),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
