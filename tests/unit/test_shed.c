/* Who pays: against a list that is sorted anew for each. */
#include "base/shed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { PEOPLE = 500, ROUNDS = 300 };

struct world {
    size_t held[PEOPLE]; /* 0: has nothing, or has paid */
    unsigned looks;
    unsigned paid;
    size_t made_up;
    size_t last; /* what the last one held */
    uint32_t random;
};

static uint32_t pick(struct world *w, uint32_t below)
{
    w->random = w->random * 1664525 + 1013904223;
    return (w->random >> 8) % below;
}

static void look(void *ctx, struct shed_list *list)
{
    struct world *w = ctx;

    w->looks++;
    for (size_t i = 0; i < PEOPLE; i++)
        shed_offer(list, &w->held[i], w->held[i]);
}

static void pay(void *ctx, const struct shed_one *one)
{
    struct world *w = ctx;
    size_t *held = one->who;

    assert_true(one->held > 0 && *held == one->held);
    for (size_t i = 0; i < PEOPLE; i++)
        assert_true(w->held[i] <= one->held);
    w->last = one->held;
    w->made_up += one->held;
    w->paid++;
    *held = 0;
}

static const struct shed_events events = {.look = look, .pay = pay};

/* No more pay than must, and nobody pays before one who holds more. */
static void test_against_sorting(void **state)
{
    struct world w = {.random = 1};

    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t all = 0;
        size_t excess;

        for (size_t i = 0; i < PEOPLE; i++)
            all += w.held[i] = pick(&w, 3) * pick(&w, round % 2 ? 5 : 100000);
        excess = pick(&w, (uint32_t)all + 1000);
        w.looks = w.paid = 0;
        w.made_up = w.last = 0;
        shed(excess, &events, &w);
        assert_true(w.made_up >= excess || w.made_up == all);
        assert_true(w.paid == 0 || w.made_up - w.last < excess);
        assert_true(w.looks <= w.paid / SHED_AT_ONCE + 2);
    }
}

static void test_nobody_pays_for_nothing(void **state)
{
    struct world w = {.held = {5, 7}};

    shed(0, &events, &w);
    assert_int_equal(w.looks, 0);
    shed(SIZE_MAX, &events, &w);
    assert_int_equal(w.paid, 2);
    shed(SIZE_MAX, &events, &w);
    assert_int_equal(w.paid, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_sorting),
        cmocka_unit_test(test_nobody_pays_for_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
