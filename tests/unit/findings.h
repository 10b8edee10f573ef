/* What the tests of mlgate check's judgements ask of a list of findings. */
#ifndef TESTS_FINDINGS_H
#define TESTS_FINDINGS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "check/finding.h"

/* One line of an expectation; `found` and `remedy` are parts of the texts, NULL: whatever. */
struct expected {
    enum check_id id;
    enum verdict verdict;
    const char *found;
    const char *remedy;
};

static inline void print_findings(const struct findings *list)
{
    for (size_t i = 0; i < list->count; i++)
        print_message("  %s %d: %s / %s\n", check_id_text(list->items[i].id),
                      list->items[i].verdict, list->items[i].found,
                      list->items[i].remedy ? list->items[i].remedy : "-");
}

static inline bool is_expected(const struct finding *f, const struct expected *e)
{
    return f->id == e->id && f->verdict == e->verdict &&
           (e->found == NULL || strstr(f->found, e->found) != NULL) &&
           (e->remedy == NULL || (f->remedy != NULL && strstr(f->remedy, e->remedy) != NULL)) &&
           /* what is wrong has a remedy, what is not needs none */
           (f->verdict == VERDICT_WARN || f->verdict == VERDICT_FAIL) == (f->remedy != NULL);
}

/* Exactly these, in this order; then the list is released. */
static inline void expect_findings(struct findings *list, const struct expected *want, size_t n)
{
    bool same = list->count == n;

    for (size_t i = 0; same && i < n; i++)
        same = is_expected(&list->items[i], &want[i]);
    if (!same)
        print_findings(list);
    assert_true(same);
    findings_free(list);
}

static inline void expect_finding(struct findings *list, enum check_id id, enum verdict verdict,
                                  const char *found, const char *remedy)
{
    const struct expected want = {id, verdict, found, remedy};

    expect_findings(list, &want, 1);
}

#endif
