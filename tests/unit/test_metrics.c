/* The exposition format, byte by byte, and what peers may put into labels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "observe/metrics.h"

static void check(struct metrics *m, const char *want)
{
    if (m->len != strlen(want) || memcmp(m->text, want, m->len) != 0)
        fail_msg("got\n%.*s\nwant\n%s", (int)m->len, m->text, want);
    metrics_free(m);
}

static void families_and_samples(void **state)
{
    const struct metrics_label labels[] = {{"class", "poll"}, {"outcome", "ok"}};
    struct metrics m = {0};

    metrics_one(&m, "a_things", METRICS_GAUGE, "Things.", 7);
    metrics_family(&m, "b_total", METRICS_COUNTER, "More.");
    metrics_put(&m, labels, 2, UINT64_MAX);
    metrics_put(&m, labels, 1, 0);
    check(&m, "# HELP a_things Things.\n# TYPE a_things gauge\na_things 7\n"
              "# HELP b_total More.\n# TYPE b_total counter\n"
              "b_total{class=\"poll\",outcome=\"ok\"} 18446744073709551615\n"
              "b_total{class=\"poll\"} 0\n");
}

static void seconds_are_exact(void **state)
{
    static const struct {
        uint64_t us;
        const char *text;
    } rows[] = {{0, "0"},
                {1, "0.000001"},
                {100000, "0.1"},
                {1000000, "1"},
                {1250000, "1.25"},
                {60000010, "60.00001"},
                {UINT64_MAX, "18446744073709.551615"}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct metrics m = {0};
        char *want =
            mem_printf("# HELP s_seconds S.\n# TYPE s_seconds gauge\ns_seconds %s\n", rows[i].text);

        metrics_family(&m, "s_seconds", METRICS_GAUGE, "S.");
        metrics_put_us(&m, NULL, 0, rows[i].us);
        check(&m, want);
        mem_free(want);
    }
}

static void value_is(const char *value, const char *want)
{
    const struct metrics_label label = {"name", value};
    struct metrics m = {.family = "f"};
    char *line = mem_printf("f{name=\"%s\"} 1\n", want);

    metrics_put(&m, &label, 1, 1);
    check(&m, line);
    mem_free(line);
}

/* Nothing that a peer calls itself ends a label or a line, is no UTF-8, or looks like another. */
static void hostile_values(void **state)
{
    char longest[2 * METRICS_VALUE_MAX];
    char escaped[5 * METRICS_VALUE_MAX + 1];

    value_is("node_0042.inference", "node_0042.inference");
    value_is("", "");
    value_is("a\"} 1\nup 0", "a\\\"} 1\\\\x0aup 0");
    value_is("\\", "\\\\x5c");
    value_is("\\x0a", "\\\\x5cx0a");
    value_is("\n", "\\\\x0a");
    value_is("\xff\xc3\x28\x7f\x1b[0m", "\\\\xff\\\\xc3(\\\\x7f\\\\x1b[0m");
    value_is("{a=\"b\"}", "{a=\\\"b\\\"}");
    memset(longest, '\xfe', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    for (size_t i = 0; i < METRICS_VALUE_MAX; i++)
        memcpy(escaped + 5 * i, "\\\\xfe", 6);
    value_is(longest, escaped);
}

static void four_of_the_longest_labels(void **state)
{
    char longest[METRICS_VALUE_MAX + 1];
    struct metrics_label labels[METRICS_LABELS_MAX];
    const struct reason_counts counts = {.of = {[REASON_DONE] = 1}};
    struct metrics m = {.family = "f"};

    memset(longest, '\xfe', METRICS_VALUE_MAX);
    longest[METRICS_VALUE_MAX] = '\0';
    for (size_t i = 0; i < METRICS_LABELS_MAX; i++)
        labels[i] = (struct metrics_label){"label", longest};
    for (int i = 0; i < 20; i++)
        metrics_reasons(&m, labels, METRICS_LABELS_MAX, &counts);
    assert_int_equal(m.len, 20 * (strlen("f{,,,,reason=\"done\"} 1\n") +
                                  METRICS_LABELS_MAX * (5 * METRICS_VALUE_MAX + 8)));
    metrics_free(&m);
}

static void reasons_that_occurred(void **state)
{
    const struct reason_counts counts = {.of = {[REASON_DONE] = 3, [REASON_PEER_RESET] = 1}};
    const struct metrics_label server = {"server", "1"};
    struct metrics m = {.family = "e_total"};

    metrics_reasons(&m, &server, 1, &counts);
    metrics_reasons(&m, NULL, 0, &counts);
    check(&m, "e_total{server=\"1\",reason=\"done\"} 3\n"
              "e_total{server=\"1\",reason=\"peer-reset\"} 1\n"
              "e_total{reason=\"done\"} 3\ne_total{reason=\"peer-reset\"} 1\n");
}

static void histograms(void **state)
{
    const struct metrics_label class = {"class", "poll"};
    struct metrics m = {.family = "h_seconds"};
    struct histogram h = {0};
    static const char *const parts[] = {
        "h_seconds_bucket{class=\"poll\",le=\"0.001\"} 1\n",
        "h_seconds_bucket{class=\"poll\",le=\"0.0025\"} 2\n",
        "h_seconds_bucket{class=\"poll\",le=\"0.25\"} 2\n",
        "h_seconds_bucket{class=\"poll\",le=\"0.5\"} 3\n",
        "h_seconds_bucket{class=\"poll\",le=\"1000\"} 3\n"
        "h_seconds_bucket{class=\"poll\",le=\"+Inf\"} 4\n"
        "h_seconds_sum{class=\"poll\"} 2000.302\nh_seconds_count{class=\"poll\"} 4\n"};

    histogram_add(&h, 1000);
    histogram_add(&h, 2000);
    histogram_add(&h, 299000);
    histogram_add(&h, 2000000000);
    metrics_histogram(&m, &class, 1, &h);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (memmem(m.text, m.len, parts[i], strlen(parts[i])) == NULL)
            fail_msg("no %s in\n%.*s", parts[i], (int)m.len, m.text);
    metrics_free(&m);
}

/* Whole lines only, and never more than there may be. */
static void the_limit(void **state)
{
    char longest[METRICS_VALUE_MAX + 1];
    const struct metrics_label label = {"label", longest};
    struct metrics m = {.family = "f"};

    memset(longest, 'x', METRICS_VALUE_MAX);
    longest[METRICS_VALUE_MAX] = '\0';
    while (!m.full)
        metrics_put(&m, &label, 1, 1);
    metrics_one(&m, "g", METRICS_GAUGE, "G.", 1);
    assert_true(m.len <= METRICS_TEXT_MAX && m.len > METRICS_TEXT_MAX - 16 * 1024);
    assert_int_equal(m.text[m.len - 1], '\n');
    assert_null(memmem(m.text, m.len, "\ng ", 3));
    metrics_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_and_samples),
        cmocka_unit_test(seconds_are_exact),
        cmocka_unit_test(hostile_values),
        cmocka_unit_test(four_of_the_longest_labels),
        cmocka_unit_test(reasons_that_occurred),
        cmocka_unit_test(histograms),
        cmocka_unit_test(the_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
