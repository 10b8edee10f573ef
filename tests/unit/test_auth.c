#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "proto/auth.h"

static const struct {
    const char *token;
    int64_t timestamp;
    const char *key;
} vectors[] = {
    {"abc", 1700000000, "22bd6333f840eeeee03ad14f75fd96ac"},
    {"", 1700000000, "24920decf83f6960b80f737a28eeafc1"},
    {"s3cret", 0, "864b251d40d7db423dd1e9c9cdbf76db"},
    {"t", -1, "f3e90ce87a25538f5a4be79a0a7c0fa5"},
    {"t", INT64_MIN, "bc38a15870cca57a704ac786ab81dead"},
};

static void test_known_keys(void **state)
{
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        char key[AUTH_KEY_SIZE];
        size_t len = strlen(vectors[i].token);

        assert_int_equal(auth_key(key, vectors[i].token, len, vectors[i].timestamp), 0);
        assert_string_equal(key, vectors[i].key);
        assert_int_equal(auth_verify(key, vectors[i].token, len, vectors[i].timestamp), 0);
    }
}

static void test_empty_token_may_be_null(void **state)
{
    assert_int_equal(auth_verify(vectors[1].key, NULL, 0, 1700000000), 0);
}

static void test_token_is_taken_by_length(void **state)
{
    assert_int_equal(auth_verify(vectors[0].key, "abcdef", 3, 1700000000), 0);
}

static void test_wrong_keys(void **state)
{
    static const char *const wrong[] = {
        "",
        "22bd6333f840eeeee03ad14f75fd96a",
        "22bd6333f840eeeee03ad14f75fd96acc",
        "32bd6333f840eeeee03ad14f75fd96ac",
        "22bd6333f840eeeee03ad14f75fd96ad",
        "22BD6333F840EEEEE03AD14F75FD96AC",
        "24920decf83f6960b80f737a28eeafc1",
    };

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(auth_verify(wrong[i], "abc", 3, 1700000000), ERR_AUTH);
    assert_int_equal(auth_verify(NULL, "abc", 3, 1700000000), ERR_AUTH);
    assert_int_equal(auth_verify(vectors[0].key, "abc", 3, 1700000001), ERR_AUTH);
    assert_int_equal(auth_verify(vectors[0].key, "abd", 3, 1700000000), ERR_AUTH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_keys),
        cmocka_unit_test(test_empty_token_may_be_null),
        cmocka_unit_test(test_token_is_taken_by_length),
        cmocka_unit_test(test_wrong_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
