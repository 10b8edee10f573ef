/* The map against a plain list that does the same slowly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/map.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum {
    KEYS = 500,
    STEPS = 200 * 1000,
};

static int values[KEYS + 1];

static void an_empty_map_has_nothing(void **state)
{
    struct map m;

    map_init(&m, 1);
    assert_null(map_get(&m, ""));
    assert_null(map_get(&m, "a"));
    assert_null(map_remove(&m, "a"));
    assert_int_equal(m.count, 0);
    map_clear(&m);
    map_clear(&m);
}

static void keys_are_whole_strings(void **state)
{
    static const char *const keys[] = {"", "a", "aa", "A", "b", "a ", "\xff", "\x01", "ab", "ba"};
    struct map m;

    map_init(&m, 0);
    for (size_t i = 0; i < COUNT(keys); i++)
        map_put(&m, keys[i], &values[i]);
    assert_int_equal(m.count, COUNT(keys));
    for (size_t i = 0; i < COUNT(keys); i++)
        assert_ptr_equal(map_get(&m, keys[i]), &values[i]);
    map_clear(&m);
}

static void the_map_keeps_its_own_copy_of_the_key(void **state)
{
    char key[] = "name";
    struct map m;

    map_init(&m, 3);
    map_put(&m, key, &values[0]);
    memcpy(key, "eman", 4);
    assert_ptr_equal(map_get(&m, "name"), &values[0]);
    assert_null(map_get(&m, "eman"));
    map_clear(&m);
}

static void putting_again_replaces(void **state)
{
    struct map m;

    map_init(&m, 3);
    map_put(&m, "k", &values[0]);
    map_put(&m, "k", &values[1]);
    assert_int_equal(m.count, 1);
    assert_ptr_equal(map_remove(&m, "k"), &values[1]);
    assert_null(map_remove(&m, "k"));
    assert_int_equal(m.count, 0);
    map_clear(&m);
}

static void a_cleared_map_starts_afresh(void **state)
{
    struct map m;

    map_init(&m, 99);
    map_put(&m, "k", &values[0]);
    map_clear(&m);
    assert_int_equal(m.count, 0);
    assert_int_equal(m.seed, 99);
    assert_null(map_get(&m, "k"));
    map_put(&m, "k", &values[1]);
    assert_ptr_equal(map_get(&m, "k"), &values[1]);
    map_clear(&m);
}

static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525U + 1013904223U;
    return *seed >> 8;
}

/* Random puts and removals; `model` says what must be there. Growing happens on the way. */
static void it_does_what_the_model_does(void **state)
{
    for (uint64_t map_seed = 0; map_seed < 3; map_seed++) {
        const void *model[KEYS] = {0};
        uint32_t seed = 7;
        size_t count = 0;
        struct map m;

        map_init(&m, map_seed * UINT64_MAX / 2);
        for (int i = 0; i < STEPS; i++) {
            uint32_t k = next(&seed) % KEYS;
            char key[16];

            snprintf(key, sizeof(key), "k%u", k);
            assert_ptr_equal(map_get(&m, key), model[k]);
            if (next(&seed) % 3 == 0) {
                assert_ptr_equal(map_remove(&m, key), model[k]);
                count -= model[k] != NULL;
                model[k] = NULL;
            } else {
                count += model[k] == NULL;
                model[k] = &values[next(&seed) % KEYS];
                map_put(&m, key, (void *)(uintptr_t)model[k]);
            }
            assert_int_equal(m.count, count);
        }
        map_clear(&m);
    }
}

/* Chains stay short: the table doubles as it fills, and the low bits depend on the whole key. */
static void many_keys_spread(void **state)
{
    struct map m;
    size_t used = 0;

    map_init(&m, 12345);
    for (int i = 0; i < 4096; i++) {
        char key[24];

        snprintf(key, sizeof(key), "%d.proxy", i);
        map_put(&m, key, &values[0]);
    }
    assert_true(m.n_buckets >= 4096);
    assert_int_equal(m.n_buckets & (m.n_buckets - 1), 0);
    for (size_t i = 0; i < m.n_buckets; i++)
        used += m.buckets[i] != NULL;
    assert_true(used > m.n_buckets / 2); /* by chance: 63 % of a full table */
    map_clear(&m);
}

/* Another seed puts the same keys elsewhere. */
static void the_seed_decides_where_keys_go(void **state)
{
    size_t moved = 0;

    for (int i = 0; i < 64; i++) {
        struct map a;
        struct map b;
        char key[16];
        size_t at = 0;

        snprintf(key, sizeof(key), "%d", i);
        map_init(&a, 1);
        map_init(&b, 2);
        map_put(&a, key, &values[0]);
        map_put(&b, key, &values[0]);
        while (a.buckets[at] == NULL)
            at++;
        moved += b.buckets[at] == NULL;
        map_clear(&a);
        map_clear(&b);
    }
    assert_true(moved > 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_map_has_nothing),
        cmocka_unit_test(keys_are_whole_strings),
        cmocka_unit_test(the_map_keeps_its_own_copy_of_the_key),
        cmocka_unit_test(putting_again_replaces),
        cmocka_unit_test(a_cleared_map_starts_afresh),
        cmocka_unit_test(it_does_what_the_model_does),
        cmocka_unit_test(many_keys_spread),
        cmocka_unit_test(the_seed_decides_where_keys_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
