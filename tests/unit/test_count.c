/* Counters as text, and the gate in front of repeated log lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/count.h"

static void nothing_counted(void **state)
{
    struct reason_counts counts = {0};
    char out[32];

    reason_counts_text(&counts, out, sizeof(out));
    assert_string_equal(out, "none");
}

static void what_is_not_zero_is_said_in_order(void **state)
{
    struct reason_counts counts = {0};
    char out[128];

    counts.of[REASON_LOCAL_REFUSED] = 3;
    counts.of[REASON_DONE] = 12;
    counts.of[REASON_MEMORY] = UINT64_MAX;
    counts.of[REASON_NONE] = 1;
    reason_counts_text(&counts, out, sizeof(out));
    assert_string_equal(out, "none 1, done 12, local-refused 3, memory 18446744073709551615");
}

/* Whatever the room: terminated, within it, and a beginning of the whole. */
static void it_is_cut_to_fit(void **state)
{
    struct reason_counts counts;
    char whole[2048];

    for (int i = 0; i < REASON_COUNT; i++)
        counts.of[i] = (uint64_t)i + 1;
    reason_counts_text(&counts, whole, sizeof(whole));
    assert_non_null(strstr(whole, "memory"));
    for (size_t size = 1; size < strlen(whole) + 2; size++) {
        char out[2048];

        memset(out, 'x', sizeof(out));
        reason_counts_text(&counts, out, size);
        assert_true(strlen(out) < size);
        assert_int_equal(out[size], 'x');
        assert_memory_equal(out, whole, strlen(out));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_counted),
        cmocka_unit_test(what_is_not_zero_is_said_in_order),
        cmocka_unit_test(it_is_cut_to_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
