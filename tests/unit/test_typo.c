/* Names that are nearly ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/frps.h"
#include "config/typo.h"
#include "env_fixture.h"

static const struct {
    const char *text;
    const char *name;
    bool near;
} names[] = {
    {"statsu", "status", true},
    {"statuss", "status", true},
    {"satus", "status", true},
    {"stbtus", "status", true},
    {"statsuu", "status", false},
    {"ttatus", "status", false}, /* the first letter */
    {"", "status", false},
    {"GATEWAY_POLCY", "GATEWAY_POLICY", true},
    {"GATEWAYPOLCY", "GATEWAY_POLICY", true},
    {"GATEWAYPLCY", "GATEWAY_POLICY", false},
    {"GATEWAY_POLICYYY", "GATEWAY_POLICY", true},
    {"GATEWAY_POLICYYYY", "GATEWAY_POLICY", false},
    {"GAETWAY_POLIYC", "GATEWAY_POLICY", true},
    {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", true},
    {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
     false}, /* longer than is looked at */
};

static void test_near(void **state)
{
    for (size_t i = 0; i < COUNT(names); i++)
        if (typo_is_near(names[i].text, strlen(names[i].text), names[i].name) != names[i].near)
            fail_msg("%s for %s", names[i].text, names[i].name);
    assert_true(typo_is_near("status=1", 6, "status"));
}

/* All of them are looked at. */
static void test_names_fit(void **state)
{
    for (size_t i = 0; i < env_n_fields; i++)
        assert_true(strlen(env_fields[i].name) <= TYPO_NAME_MAX);
    for (size_t i = 0; i < server_n_options; i++)
        assert_true(strlen(server_options[i].env) <= TYPO_NAME_MAX);
}

/* `meant`: NULL, nothing is said. */
static const struct {
    const char *name;
    const char *meant;
} variables[] = {
    {"GATEWAY_POLCY", "GATEWAY_POLICY"},
    {"FRP_TLS_PINS", "FRP_TLS_PIN"},
    {"STOPGRACE", "STOP_GRACE"},
    {"NODEID", "NODE_ID"},
    {"HF_HMOE", "HF_HOME"},
    {"NODE_IP", NULL},   /* of others */
    {"NODE_NAME", NULL}, /* two letters from MODEL_NAME */
    {"JAVA_HOME", NULL},
    {"HF_TOKEN", NULL},
    {"CLIENT_IDS", "CLIENT_ID"},
    {"MLGATE_PROXYBIND", NULL}, /* the server's */
    {"MLGATE_BIND", NULL},
    {"HOME", NULL},
    {"", NULL},
};

static void test_contract(void **state)
{
    for (size_t i = 0; i < COUNT(variables); i++) {
        char *list[] = {mem_printf("%s=hunter2", variables[i].name), NULL};
        const struct problem *p;
        struct problems problems;

        problems_init(&problems);
        typo_warn_contract(list, &problems);
        p = problems_find(&problems, variables[i].name);
        if ((p != NULL) != (variables[i].meant != NULL) || problems.errors != 0)
            fail_msg("%s", variables[i].name);
        if (p != NULL) {
            assert_true(p->warning);
            assert_non_null(strstr(p->rule, variables[i].meant));
            assert_null(strstr(p->rule, "hunter2"));
        }
        problems_free(&problems);
        mem_free(list[0]);
    }
}

static void test_server(void **state)
{
    char wrong[] = "MLGATE_PROXYBIND=0.0.0.0";
    char token[] = "SECRET_FRP_TOKE=x";
    char *list[] = {wrong, token, NULL};
    struct problems problems;

    problems_init(&problems);
    typo_warn_server(list, &problems);
    assert_int_equal(problems.count, 2);
    assert_string_equal(problems_find(&problems, "MLGATE_PROXYBIND")->rule,
                        "is no variable of mlgate: did you mean MLGATE_PROXY_BIND?");
    assert_non_null(problems_find(&problems, "SECRET_FRP_TOKE"));
    problems_free(&problems);
}

/* Who has set the right one knows it: the other belongs to another program. */
static void test_the_right_one_is_set(void **state)
{
    struct fixture f;

    fixture_init(&f);
    set_line(&f, "CLIENT_IDS", "1,2");
    set_line(&f, "GATEWAY_POLICI", "strict");
    assert_int_equal(env_load(f.list, &f.env, &f.problems), 0);
    assert_int_equal(f.problems.count, 1);
    assert_non_null(problems_find(&f.problems, "GATEWAY_POLICI"));
    fixture_free(&f);
}

/* What is said stays little, and names without a '=' or without an end are passed over. */
static void test_bounds(void **state)
{
    enum { LINES = 20 };
    char lines[LINES][32];
    char lone[] = "GATEWAY_POLCY";
    char endless[512];
    char *list[LINES + 3];
    struct problems problems;

    memset(endless, 'G', sizeof(endless));
    endless[sizeof(endless) - 1] = '\0';
    for (int i = 0; i < LINES; i++) {
        snprintf(lines[i], sizeof(lines[i]), "GATEWAY_POLCY%c=x", 'A' + i);
        list[i] = lines[i];
    }
    list[LINES] = lone;
    list[LINES + 1] = endless;
    list[LINES + 2] = NULL;
    problems_init(&problems);
    typo_warn_contract(list, &problems);
    assert_int_equal(problems.count, 8);
    problems_free(&problems);
    problems_init(&problems);
    typo_warn_contract(list + LINES, &problems);
    assert_int_equal(problems.count, 0);
    problems_free(&problems);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_near),
        cmocka_unit_test(test_names_fit),
        cmocka_unit_test(test_contract),
        cmocka_unit_test(test_server),
        cmocka_unit_test(test_the_right_one_is_set),
        cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
