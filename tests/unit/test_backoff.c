/* When to try again: bounds under both extremes of the jitter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tunnel/backoff.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum {
    MS = 1000,
    SECOND = 1000 * 1000,
};

static const uint64_t start_us = 5000 * (uint64_t)SECOND;

/* The delay asked with the least and the greatest randomness lies around `ms`, 25 % to each side.
 */
static void expect_about(const struct backoff *b, enum reason why, uint64_t now_us, uint64_t ms)
{
    static const uint32_t randoms[] = {0, 1023, 512, 1024, UINT32_MAX, 0x80000000};

    for (size_t i = 0; i < COUNT(randoms); i++) {
        struct backoff copy = *b;
        uint64_t delay = backoff_next(&copy, why, now_us, randoms[i]);

        if (delay * 4 < ms * MS * 3 || delay * 4 > ms * MS * 5)
            fail_msg("%llu us instead of about %llu ms", (unsigned long long)delay,
                     (unsigned long long)ms);
    }
}

/* A step of a sequence: it must lie around `ms`, and is taken. */
static void step(struct backoff *b, enum reason why, uint64_t now_us, uint64_t ms)
{
    expect_about(b, why, now_us, ms);
    backoff_next(b, why, now_us, 7);
}

static void the_jitter_spans_a_quarter_to_each_side(void **state)
{
    struct backoff least = {0};
    struct backoff most = {0};

    assert_int_equal(backoff_next(&least, REASON_CONNECT_FAILED, start_us, 0), 150 * MS);
    assert_in_range(backoff_next(&most, REASON_CONNECT_FAILED, start_us, 1023), 249 * MS, 250 * MS);
}

static void failures_double_up_to_ten_seconds(void **state)
{
    static const enum reason reasons[] = {
        REASON_CONNECT_FAILED, REASON_CONNECT_TIMEOUT, REASON_RESOLVE_FAILED, REASON_PEER_CLOSED,
        REASON_PING_TIMEOUT,   REASON_TLS_FAILED,      REASON_LOGIN_TIMEOUT,  REASON_PROTOCOL,
    };
    static const unsigned wait_ms[] = {200, 400, 800, 1600, 3200, 6400, 10000, 10000, 10000, 10000};

    for (size_t r = 0; r < COUNT(reasons); r++) {
        struct backoff b = {0};
        uint64_t now = start_us;

        for (size_t i = 0; i < COUNT(wait_ms); i++) {
            step(&b, reasons[r], now, wait_ms[i]);
            now += wait_ms[i] * (uint64_t)MS;
        }
        backoff_reset(&b);
        expect_about(&b, reasons[r], now, 200);
    }
}

static void a_persons_mistake_doubles_up_to_a_minute(void **state)
{
    static const enum reason reasons[] = {REASON_AUTH_FAILED, REASON_LOGIN_REFUSED,
                                          REASON_CLOCK_SKEW, REASON_TLS_UNTRUSTED};
    static const unsigned wait_ms[] = {200,   400,   800,   1600,  3200,  6400,
                                       12800, 25600, 51200, 60000, 60000, 60000};

    for (size_t r = 0; r < COUNT(reasons); r++) {
        struct backoff b = {0};
        uint64_t now = start_us;

        for (size_t i = 0; i < COUNT(wait_ms); i++) {
            step(&b, reasons[r], now, wait_ms[i]);
            now += wait_ms[i] * (uint64_t)MS;
        }
    }
}

static void a_refused_address_is_tried_eagerly_for_thirty_seconds(void **state)
{
    struct backoff b = {0};
    uint64_t now = start_us;

    for (; now < start_us + 30 * (uint64_t)SECOND; now += 200 * MS)
        step(&b, REASON_CONNECT_REFUSED, now, 200);
    step(&b, REASON_CONNECT_REFUSED, now, 400);
    step(&b, REASON_CONNECT_REFUSED, now, 800);
    backoff_reset(&b);
    now += 3600 * (uint64_t)SECOND;
    step(&b, REASON_CONNECT_REFUSED, now, 200); /* eager again after a session */
    step(&b, REASON_CONNECT_REFUSED, now + 29 * (uint64_t)SECOND, 200);
}

/* The thirty seconds count from the first failure of any kind. */
static void eagerness_does_not_begin_late(void **state)
{
    struct backoff b = {0};

    step(&b, REASON_CONNECT_TIMEOUT, start_us, 200);
    step(&b, REASON_CONNECT_TIMEOUT, start_us + 10 * (uint64_t)SECOND, 400);
    step(&b, REASON_CONNECT_REFUSED, start_us + 20 * (uint64_t)SECOND, 200);
    step(&b, REASON_CONNECT_REFUSED, start_us + 31 * (uint64_t)SECOND, 400);
}

static void a_mistake_corrected_comes_down_to_the_common_limit(void **state)
{
    struct backoff b = {0};

    for (int i = 0; i < 12; i++)
        backoff_next(&b, REASON_AUTH_FAILED, start_us, 0);
    step(&b, REASON_CONNECT_FAILED, start_us, 10000);
}

static void displaced_once_is_no_fight(void **state)
{
    struct backoff b = {0};

    step(&b, REASON_REPLACED, start_us, 200);
    backoff_reset(&b); /* logged in again */
    step(&b, REASON_REPLACED, start_us + 60 * (uint64_t)SECOND, 200);
    backoff_reset(&b);
    step(&b, REASON_DISPLACED, start_us + 121 * (uint64_t)SECOND, 200);
}

/* A login in between is the very nature of a fight: it must not be forgotten. */
static void displaced_twice_within_a_minute_is_one(void **state)
{
    static const enum reason reasons[] = {REASON_REPLACED, REASON_DISPLACED};

    for (size_t first = 0; first < 2; first++) {
        for (size_t second = 0; second < 2; second++) {
            struct backoff b = {0};

            step(&b, reasons[first], start_us, 200);
            backoff_reset(&b);
            step(&b, reasons[second], start_us + 60 * (uint64_t)SECOND - 1, 60000);
            backoff_reset(&b);
            step(&b, reasons[first], start_us + 119 * (uint64_t)SECOND, 60000);
            backoff_reset(&b);
            step(&b, REASON_PEER_CLOSED, start_us + 119 * (uint64_t)SECOND, 200);
        }
    }
}

/* A server that lets us in and drops us at once: two such sessions are a restart, more a habit. */
static void short_sessions_in_a_row_slow_down(void **state)
{
    static const unsigned wait_ms[] = {200, 200, 400, 800, 1600, 3200, 6400, 10000, 10000, 10000};
    struct backoff b = {0};

    for (size_t i = 0; i < COUNT(wait_ms); i++) {
        backoff_reset(&b);
        backoff_session_lived(&b, BACKOFF_SHORT_US - 1);
        step(&b, REASON_PEER_CLOSED, start_us + i * SECOND, wait_ms[i]);
    }
    expect_about(&b, REASON_CONNECT_REFUSED, start_us, 10000); /* whatever comes next */
    backoff_reset(&b);
    backoff_session_lived(&b, BACKOFF_SHORT_US);
    step(&b, REASON_PEER_CLOSED, start_us, 200);
}

/* Short sessions set a least delay; a longer one that is due for another reason stays. */
static void short_sessions_shorten_nothing(void **state)
{
    struct backoff b = {0};

    for (int i = 0; i < 4; i++)
        backoff_session_lived(&b, 0);
    for (int i = 0; i < 12; i++)
        backoff_next(&b, REASON_AUTH_FAILED, start_us, 0);
    expect_about(&b, REASON_AUTH_FAILED, start_us, 60000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_jitter_spans_a_quarter_to_each_side),
        cmocka_unit_test(failures_double_up_to_ten_seconds),
        cmocka_unit_test(a_persons_mistake_doubles_up_to_a_minute),
        cmocka_unit_test(a_refused_address_is_tried_eagerly_for_thirty_seconds),
        cmocka_unit_test(eagerness_does_not_begin_late),
        cmocka_unit_test(a_mistake_corrected_comes_down_to_the_common_limit),
        cmocka_unit_test(displaced_once_is_no_fight),
        cmocka_unit_test(displaced_twice_within_a_minute_is_one),
        cmocka_unit_test(short_sessions_in_a_row_slow_down),
        cmocka_unit_test(short_sessions_shorten_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
