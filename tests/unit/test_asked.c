/* The look at what inference/up asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/asked.h"

static void one_body(struct asked *a, const char *body, size_t cut)
{
    asked_begin(a, body);
    asked_take(a, body, body, cut);
    asked_take(a, body, body + cut, strlen(body) - cut);
    asked_done(a, body);
}

static void names(void **state)
{
    static const struct {
        const char *body;
        const char *name; /* NULL: the one before stays */
    } rows[] = {
        {"{\"model\":\"org/one\"}", "org/one"},
        {" {\"dtype\": \"auto\", \"model\": \"org/two\", \"additional_args\": [\"-x\"]}\n",
         "org/two"},
        {"{\"model\":\"a\",\"model\":\"b\"}", "b"}, /* as MLNode reads it: the last one counts */
        {"{\"model\":\"\\u00e9\\u001b[1m\"}", "\\xc3\\xa9\\x1b[1m"},
        {"{\"model\":\"\"}", NULL},
        {"{\"model\":7}", NULL},
        {"{\"model\":null}", NULL},
        {"{\"Model\":\"x\"}", NULL},
        {"{\"a\":{\"model\":\"x\"}}", NULL},
        {"[\"model\",\"x\"]", NULL},
        {"\"model\"", NULL},
        {"{\"model\":\"x\"", NULL},
        {"{\"model\":\"x\"} {}", NULL},
        {"{\"model\":\"\\u0000x\"}", NULL},
        {"", NULL},
    };
    struct asked a = {.by = NULL};
    char want[ASKED_NAME_MAX] = "";

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].name)
            strcpy(want, rows[i].name);
        for (size_t cut = 0; cut <= strlen(rows[i].body); cut++) {
            one_body(&a, rows[i].body, cut);
            if (strcmp(a.name, want) != 0)
                fail_msg("%s cut at %zu: %s", rows[i].body, cut, a.name);
        }
        assert_null(a.body);
    }
}

static void what_is_too_long(void **state)
{
    struct asked a = {.by = NULL};
    char *body = malloc(ASKED_BODY_MAX + 1);
    int by = 0;

    memset(body, ' ', ASKED_BODY_MAX + 1);
    memcpy(body, "{\"model\":\"x\"}", 13);
    asked_begin(&a, &by);
    asked_take(&a, &by, body, ASKED_BODY_MAX);
    assert_true(asked_done(&a, &by)); /* just fits */
    assert_string_equal(a.name, "x");
    memcpy(body, "{\"model\":\"y\"}", 13);
    asked_begin(&a, &by);
    asked_take(&a, &by, body, ASKED_BODY_MAX);
    asked_take(&a, &by, body + ASKED_BODY_MAX, 1);
    assert_null(a.body); /* held no longer than needed */
    asked_take(&a, &by, body, 13);
    assert_false(asked_done(&a, &by));
    assert_string_equal(a.name, "x");
    memset(body, 'z', ASKED_BODY_MAX);
    memcpy(body, "{\"model\":\"", 10);
    memcpy(body + 400, "\"}", 2);
    asked_begin(&a, &by);
    asked_take(&a, &by, body, 402);
    assert_true(asked_done(&a, &by));
    assert_int_equal(strlen(a.name), ASKED_NAME_MAX - 1);
    assert_string_equal(a.name + ASKED_NAME_MAX - 4, "...");
    free(body);
}

/* The last one has the look; the others pass unseen, and none is taken for another. */
static void one_at_a_time(void **state)
{
    struct asked a = {.by = NULL};
    int first = 0;
    int second = 0;

    asked_begin(&a, &first);
    asked_take(&a, &first, "{\"model\":", 9);
    asked_begin(&a, &second);
    asked_take(&a, &second, "{\"model\":\"2\"", 12);
    asked_take(&a, &first, "\"1\"}", 4);
    assert_false(asked_done(&a, &first));
    asked_leave(&a, &first);
    asked_take(&a, &second, "}", 1);
    assert_true(asked_done(&a, &second));
    assert_string_equal(a.name, "2");
    assert_false(asked_done(&a, &second));

    asked_begin(&a, &first);
    asked_take(&a, &first, "{\"model\":\"3\"}", 13);
    asked_leave(&a, &first); /* broken off before its end */
    assert_null(a.body);
    assert_false(asked_done(&a, &first));
    assert_string_equal(a.name, "2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(what_is_too_long),
        cmocka_unit_test(one_at_a_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
