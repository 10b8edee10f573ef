#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "container/variables.h"

static void test_copy_leaves_the_token_out(void **state)
{
    char *from[] = {"A=1",      "SECRET_FRP_TOKEN=hush",  "SECRET_FRP_TOKEN_FILE=/x",
                    "nonsense", "SECRET_FRP_TOKEN=again", "SECRET_FRP_TOKENS=kept",
                    NULL};
    struct variables list = variables_copy(from);

    assert_int_equal(list.count, 3);
    assert_string_equal(list.items[0], "A=1");
    assert_string_equal(list.items[1], "nonsense");
    assert_string_equal(list.items[2], "SECRET_FRP_TOKENS=kept");
    assert_null(list.items[3]);
    variables_free(&list);
}

static void test_set_and_get(void **state)
{
    char *from[] = {"A=1", "B=", "A=2", NULL};
    struct variables list = variables_copy(from);

    assert_string_equal(variables_get(&list, "A"), "1");
    assert_string_equal(variables_get(&list, "B"), "");
    assert_null(variables_get(&list, "C"));
    assert_null(variables_get(&list, ""));
    /* the old value may be part of the new one, and no second one stays */
    variables_set(&list, "A", "<%s>", variables_get(&list, "A"));
    assert_string_equal(variables_get(&list, "A"), "<1>");
    variables_set(&list, "C", "%d", 17);
    assert_string_equal(variables_get(&list, "C"), "17");
    variables_unset(&list, "A");
    assert_null(variables_get(&list, "A"));
    variables_unset(&list, "A");
    assert_int_equal(list.count, 2);
    assert_null(list.items[2]);
    variables_free(&list);
}

static void test_joined(void **state)
{
    static const struct {
        const char *value; /* NULL: not set */
        const char *before;
        const char *behind;
    } rows[] = {
        {NULL, "x", "x"},
        {"", "x", "x"},
        {"a", "x:a", "a:x"},
        {"a:b", "x:a:b", "a:b:x"},
        /* there already, first, last, in the middle; but not as a part of another */
        {"x", "x", "x"},
        {"x:a", "x:a", "x:a"},
        {"a:x", "x:a:x", "a:x"},
        {"a:x:b", "x:a:x:b", "a:x:b"},
        {"ax:xa", "x:ax:xa", "ax:xa:x"},
        {":", "x::", "::x"},
    };
    char *empty[] = {NULL};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct variables before = variables_copy(empty);
        struct variables behind = variables_copy(empty);

        if (rows[i].value) {
            variables_set(&before, "V", "%s", rows[i].value);
            variables_set(&behind, "V", "%s", rows[i].value);
        }
        variables_prepend(&before, "V", "x", ':');
        variables_append(&behind, "V", "x", ':');
        assert_string_equal(variables_get(&before, "V"), rows[i].before);
        assert_string_equal(variables_get(&behind, "V"), rows[i].behind);
        variables_free(&before);
        variables_free(&behind);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copy_leaves_the_token_out),
        cmocka_unit_test(test_set_and_get),
        cmocka_unit_test(test_joined),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
