#include "base/err.h"
#include "testnode/engine.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct http_slice slice(const char *text)
{
    return (struct http_slice){text, strlen(text)};
}

static void test_controls(void **state)
{
    static const struct {
        const char *target;
        enum engine_do what;
        uint16_t port;
        unsigned delay_ms;
    } rows[] = {
        {"/e?port=5001&do=crash", ENGINE_CRASH, 5001, 0},
        {"/e?do=back&port=65535", ENGINE_BACK, 65535, 0},
        {"/e?port=1&do=sick&x=1", ENGINE_SICK, 1, 0},
        {"/e?port=1&do=well", ENGINE_WELL, 1, 0},
        {"/e?port=1&do=freeze", ENGINE_FREEZE, 1, 0},
        {"/e?port=1&do=slow&delay_ms=0", ENGINE_SLOW, 1, 0},
        {"/e?delay_ms=3600000&port=1&do=slow", ENGINE_SLOW, 1, 3600000},
        {"/e?port=1&do=crash&delay_ms=5", ENGINE_CRASH, 1, 0},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct engine_control got;
        const char *why;

        if (engine_control_parse(slice(rows[i].target), &got, &why) != 0)
            fail_msg("%s: %s", rows[i].target, why);
        if (got.what != rows[i].what || got.port != rows[i].port ||
            got.delay_ms != rows[i].delay_ms)
            fail_msg("%s gives %d %u %u", rows[i].target, got.what, got.port, got.delay_ms);
    }
}

static void test_bad_controls(void **state)
{
    static const struct {
        const char *target;
        const char *why;
    } rows[] = {
        {"/e", "port"},
        {"/e?do=crash", "port"},
        {"/e?port=0&do=crash", "port"},
        {"/e?port=65536&do=crash", "port"},
        {"/e?port=+1&do=crash", "port"},
        {"/e?port=1", "do must"},
        {"/e?port=1&do=", "do must"},
        {"/e?port=1&do=cras", "do must"},
        {"/e?port=1&do=crashed", "do must"},
        {"/e?port=1&do=Crash", "do must"},
        {"/e?port=1&do=slow", "delay_ms"},
        {"/e?port=1&do=slow&delay_ms=-1", "delay_ms"},
        {"/e?port=1&do=slow&delay_ms=3600001", "delay_ms"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct engine_control got;
        const char *why = NULL;

        if (engine_control_parse(slice(rows[i].target), &got, &why) != ERR_SYNTAX)
            fail_msg("%s", rows[i].target);
        assert_memory_equal(why, rows[i].why, strlen(rows[i].why));
    }
}

static void test_allowed(void **state)
{
    enum { ALIVE = 1, FROZEN = 2, RUNNING = 4 };
    static const struct {
        enum engine_do what;
        unsigned when;
        bool ok;
    } rows[] = {
        {ENGINE_CRASH, RUNNING | ALIVE, true},
        {ENGINE_CRASH, RUNNING | ALIVE | FROZEN, true},
        {ENGINE_CRASH, RUNNING, false},
        {ENGINE_CRASH, 0, false},
        {ENGINE_FREEZE, RUNNING | ALIVE, true},
        {ENGINE_FREEZE, RUNNING, false},
        {ENGINE_FREEZE, 0, false},
        {ENGINE_BACK, RUNNING, true},
        {ENGINE_BACK, RUNNING | ALIVE | FROZEN, true},
        {ENGINE_BACK, RUNNING | ALIVE, false},
        {ENGINE_BACK, 0, false},
        {ENGINE_SLOW, 0, true},
        {ENGINE_SICK, 0, true},
        {ENGINE_WELL, RUNNING | ALIVE, true},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct engine_state e = {.alive = rows[i].when & ALIVE,
                                       .frozen = rows[i].when & FROZEN};
        const struct engine_control control = {.what = rows[i].what};
        const char *why = NULL;
        int rc = engine_allows(&e, &control, rows[i].when & RUNNING, &why);

        if (rc != (rows[i].ok ? 0 : ERR_NOTNOW))
            fail_msg("row %zu gives %d", i, rc);
        if (rc)
            assert_non_null(why);
    }
}

static void test_choice(void **state)
{
    static const struct {
        struct engine_state engines[3];
        int want; /* -1: none */
    } rows[] = {
        {{{.alive = true}, {.alive = true}, {.alive = true}}, 0},
        {{{.alive = true, .relays = 2}, {.alive = true, .relays = 1}, {.alive = true, .relays = 1}},
         1},
        {{{.relays = 0}, {.alive = true, .relays = 9}, {.alive = true, .relays = 8}}, 2},
        {{{.alive = true, .sick = true}, {.alive = true, .relays = 5}, {.sick = true}}, 1},
        {{{.alive = true, .sick = true}, {0}, {0}}, -1},
        {{{.alive = true, .frozen = true}, {.alive = true, .relays = 1}, {0}}, 0},
        {{{.alive = true, .active = 7}, {.alive = true, .relays = 1}, {0}}, 0},
        {{{0}, {0}, {0}}, -1},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct engine_state engines[3];
        const struct engine_state *got;

        memcpy(engines, rows[i].engines, sizeof(engines));
        got = engine_pick(engines, 3);
        if ((got ? (int)(got - engines) : -1) != rows[i].want)
            fail_msg("row %zu", i);
    }
    assert_null(engine_pick(NULL, 0));
}

static void test_find(void **state)
{
    struct engine_state engines[] = {{.port = 5001}, {.port = 7, .alive = true}};

    assert_ptr_equal(engine_find(engines, 2, 7), &engines[1]);
    assert_null(engine_find(engines, 1, 7));
    assert_null(engine_find(NULL, 0, 7));
    assert_true(engine_any_alive(engines, 2));
    assert_false(engine_any_alive(engines, 1));
}

static json_int_t number(const json_t *root, const char *name)
{
    const json_t *value = json_object_get(root, name);

    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static void test_counts(void **state)
{
    struct engine_state engines[2] = {{.port = 5001, .alive = true, .delay_ms = 3},
                                      {.port = 5002, .sick = true, .frozen = true}};
    struct blob body = {0};
    const json_t *first;
    const json_t *second;
    json_t *root;

    engine_begin(&engines[0], false);
    engine_begin(&engines[0], false);
    engine_begin(&engines[0], true);
    engine_end(&engines[0], true, true);
    engine_end(&engines[0], false, true);
    engine_begin(&engines[0], false);
    engine_end(&engines[0], false, false);
    engine_report(engines, 2, 12, &body);
    root = json_loadb(body.data, body.len, 0, NULL);
    assert_int_equal(number(root, "proxied"), 12);
    first = json_array_get(json_object_get(root, "engines"), 0);
    second = json_array_get(json_object_get(root, "engines"), 1);
    assert_int_equal(number(first, "port"), 5001);
    assert_int_equal(number(first, "requests"), 3);
    assert_int_equal(number(first, "active"), 1);
    assert_int_equal(number(first, "max_active"), 2);
    assert_int_equal(number(first, "aborted"), 1);
    assert_int_equal(number(first, "probes"), 1);
    assert_int_equal(number(first, "delay_ms"), 3);
    assert_true(json_is_true(json_object_get(first, "alive")));
    assert_int_equal(number(second, "requests"), 0);
    assert_true(json_is_false(json_object_get(second, "alive")));
    assert_true(json_is_true(json_object_get(second, "sick")));
    assert_true(json_is_true(json_object_get(second, "frozen")));
    json_decref(root);
    blob_clear(&body);

    engine_report(NULL, 0, 0, &body);
    root = json_loadb(body.data, body.len, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(root, "engines")), 0);
    json_decref(root);
    blob_clear(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_controls), cmocka_unit_test(test_bad_controls),
        cmocka_unit_test(test_allowed),  cmocka_unit_test(test_choice),
        cmocka_unit_test(test_find),     cmocka_unit_test(test_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
