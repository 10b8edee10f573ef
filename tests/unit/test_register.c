/* `mlgate register`: arguments in MLNode's spelling, and the node's JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "cli/register_node.h"
#include "config/problem.h"
#include "config/words.h"

/* ---- arguments ------------------------------------------------------------------------------- */

/* `problem`: where the first problem lies, NULL for none; `size`: TENSOR_PARALLEL_SIZE, 0: not set.
 */
static const struct row {
    const char *words;
    int size;
    const char *expected;
    const char *problem;
    bool warning;
} rows[] = {
    {"", 0, "--tensor-parallel-size 1", NULL, false},
    {"", 4, "--tensor-parallel-size 4", NULL, false},
    {"--tensor-parallel-size 2", 2, "--tensor-parallel-size 2", NULL, false},
    {"--tensor-parallel-size 2", 0, "--tensor-parallel-size 2", NULL, false},
    {"--tensor-parallel-size=2", 2, "--tensor-parallel-size 2", NULL, false},
    {"-tp 2", 2, "--tensor-parallel-size 2", NULL, false},
    {"-tp=2", 2, "--tensor-parallel-size 2", NULL, false},
    {"-tp=8", 0, "--tensor-parallel-size 8", NULL, false},
    {"--tensor_parallel_size=2", 2, "--tensor-parallel-size 2", NULL, false},
    {"-pp 2", 1, "--tensor-parallel-size 1 --pipeline-parallel-size 2", NULL, false},
    {"-pp=2 -tp=3", 3, "--tensor-parallel-size 3 --pipeline-parallel-size 2", NULL, false},
    {"--pipeline-parallel-size=2", 1, "--tensor-parallel-size 1 --pipeline-parallel-size 2", NULL,
     false},
    {"--a 1 --pipeline_parallel_size 2 --b", 1,
     "--tensor-parallel-size 1 --a 1 --pipeline-parallel-size 2 --b", NULL, false},
    {"--max-model-len=240000 --tool_call -O3 --x -1 --y 1 2 3", 1,
     "--tensor-parallel-size 1 --max-model-len=240000 --tool_call -O3 --x -1 --y 1 2 3", NULL,
     false},
    {"--served-model-name m", 1, "--tensor-parallel-size 1 --served-model-name m", NULL, false},

    {"--served-model-name x", 1, "--tensor-parallel-size 1 --served-model-name x",
     "--served-model-name", true},
    {"--served_model_name=x", 1, "--tensor-parallel-size 1 --served_model_name=x",
     "--served-model-name", true},

    {"-dp 2", 1, "--tensor-parallel-size 1 -dp 2", "--data-parallel-size", true},

    {"-tp4", 4, NULL, "-tp4", false},
    {"-pp2", 1, NULL, "-pp2", false},
    {"-tp 2", 1, NULL, "--tensor-parallel-size", false},
    {"-tp 2 --tensor-parallel-size=2", 2, NULL, "--tensor-parallel-size", false},
    {"-pp 2 -pp=2", 1, NULL, "--pipeline-parallel-size", false},
    {"--seed 1 --a --seed=1", 1, NULL, "--seed", false},
    {"--max-model-len 1 --max_model_len 1", 1, NULL, "--max-model-len", false},
    {"-tp", 1, NULL, "--tensor-parallel-size", false},
    {"-tp --seed 1", 1, NULL, "--tensor-parallel-size", false},
    {"-tp=", 1, NULL, "--tensor-parallel-size", false},
    {"-tp 0", 1, NULL, "--tensor-parallel-size", false},
    {"-tp 02", 2, NULL, "--tensor-parallel-size", false},
    {"-pp 129", 1, NULL, "--pipeline-parallel-size", false},
    {"-pp 1x", 1, NULL, "--pipeline-parallel-size", false},
    {"--tensor-parallel 2", 2, NULL, "--tensor-parallel", false},
    {"--pipeline-p=2", 2, NULL, "--pipeline-p", false},
    {"--model x", 1, NULL, "--model", false},
    {"--port=1", 1, NULL, "--port", false},
    {"stray", 1, NULL, "--", false},
    {"--a \xff", 1, NULL, "--", false},
    {"--a \x01", 1, NULL, "--", false},
};

static void check_row(const struct row *row, size_t number)
{
    static char *none[] = {NULL};
    struct engine_wish wish = {.model = "m",
                               .tensor_parallel_size = row->size ? row->size : 1,
                               .size_given = row->size != 0};
    char **words = words_split(row->words);
    struct problems problems;
    struct engine_args args;
    char joined[512] = "";

    problems_init(&problems);
    engine_args_read(words ? words : none, &wish, &args, &problems);
    for (size_t i = 0; i < args.n; i++) {
        size_t len = strlen(joined);

        snprintf(joined + len, sizeof(joined) - len, "%s%s", i ? " " : "", args.words[i]);
    }
    if (row->expected != NULL && strcmp(row->expected, joined) != 0)
        fail_msg("row %zu: %s", number, joined);
    if ((problems.errors > 0) != (row->problem != NULL && !row->warning) ||
        problems.count != (row->problem != NULL))
        fail_msg("row %zu: %zu problems, %zu errors", number, problems.count, problems.errors);
    if (row->problem != NULL && problems_find(&problems, row->problem) == NULL)
        fail_msg("row %zu: about %s", number, problems.items[0].where);
    engine_args_free(&args);
    problems_free(&problems);
    mem_free(words);
}

static void test_arguments(void **state)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check_row(&rows[i], i);
}

/* As many words as there may be, and one more. */
static void test_too_many_arguments(void **state)
{
    char flag[ENGINE_ARGS_MAX + 1][8];
    char *words[ENGINE_ARGS_MAX + 2];
    struct engine_wish wish = {.model = "m", .tensor_parallel_size = 1};

    for (size_t i = 0; i <= ENGINE_ARGS_MAX; i++) {
        snprintf(flag[i], sizeof(flag[i]), "--f%zu", i);
        words[i] = flag[i];
    }
    for (size_t n = ENGINE_ARGS_MAX; n <= ENGINE_ARGS_MAX + 1; n++) {
        struct problems problems;
        struct engine_args args;

        words[n] = NULL;
        problems_init(&problems);
        engine_args_read(words, &wish, &args, &problems);
        assert_int_equal(problems.errors, n - ENGINE_ARGS_MAX);
        if (n == ENGINE_ARGS_MAX)
            assert_int_equal(args.n, n + 2);
        engine_args_free(&args);
        problems_free(&problems);
        words[n] = flag[ENGINE_ARGS_MAX];
    }
}

/* ---- the node -------------------------------------------------------------------------------- */

struct loaded {
    struct registration r;
    struct problems problems;
    const char *stray;
    int rc;
};

static void load(struct loaded *l, char *const *environ_list, const char *line)
{
    static char *none[] = {NULL};
    char **words = words_split(line);

    problems_init(&l->problems);
    l->rc = registration_load(environ_list, words ? words : none, &l->r, &l->stray, &l->problems);
    mem_free(words); /* the stray word with it: whether there is one is all that is looked at */
}

static void unload(struct loaded *l)
{
    if (l->rc == 0)
        registration_free(&l->r);
    problems_free(&l->problems);
}

static char line_id[] = "CLIENT_ID=0042";
static char line_node[] = "NODE_ID=it's \"mine\"";
static char line_model[] = "MODEL_NAME=MiniMaxAI/MiniMax-M2.7";
static char line_size[] = "TENSOR_PARALLEL_SIZE=4";
static char *const whole_environment[] = {line_id, line_node, line_model, line_size, NULL};
static char *const empty_environment[] = {NULL};

static void expect_json(char *const *environ_list, const char *line, const char *expected)
{
    struct loaded l;
    char *json;

    load(&l, environ_list, line);
    if (l.rc != 0)
        problems_print(&l.problems, stderr);
    assert_int_equal(l.rc, 0);
    json = register_node_json(&l.r, true);
    assert_non_null(json);
    assert_string_equal(json, expected);
    mem_free(json);
    unload(&l);
}

static void test_json(void **state)
{
    expect_json(whole_environment, "",
                "{\"id\":\"it's \\\"mine\\\"\",\"host\":\"frps\",\"inference_port\":10042,"
                "\"poc_port\":20042,\"models\":{\"MiniMaxAI/MiniMax-M2.7\":{\"args\":["
                "\"--tensor-parallel-size\",\"4\"]}},\"max_concurrent\":500}");
    expect_json(empty_environment,
                "--client-id 9999 --model m --host=fd00::1 --max-concurrent 128 -- -tp=2 --a",
                "{\"id\":\"9999\",\"host\":\"[fd00::1]\",\"inference_port\":19999,"
                "\"poc_port\":29999,\"models\":{\"m\":{\"args\":["
                "\"--tensor-parallel-size\",\"2\",\"--a\"]}},\"max_concurrent\":128}");
    expect_json(whole_environment, "--client-id 0001 --node-id n --tensor-parallel-size 1",
                "{\"id\":\"n\",\"host\":\"frps\",\"inference_port\":10001,\"poc_port\":20001,"
                "\"models\":{\"MiniMaxAI/MiniMax-M2.7\":{\"args\":["
                "\"--tensor-parallel-size\",\"1\"]}},\"max_concurrent\":500}");
}

static void test_json_for_people(void **state)
{
    struct loaded l;
    char *json;

    load(&l, empty_environment, "--client-id 0042 --model m");
    json = register_node_json(&l.r, false);
    assert_string_equal(json, "{\n  \"id\": \"0042\",\n  \"host\": \"frps\",\n"
                              "  \"inference_port\": 10042,\n  \"poc_port\": 20042,\n"
                              "  \"models\": {\n    \"m\": {\n      \"args\": [\n"
                              "        \"--tensor-parallel-size\",\n        \"1\"\n"
                              "      ]\n    }\n  },\n  \"max_concurrent\": 500\n}");
    mem_free(json);
    unload(&l);
}

static void test_command(void **state)
{
    char *command = register_node_command("{\"id\":\"it's\"}");

    assert_string_equal(command, "curl -sS -X POST http://127.0.0.1:9200/admin/v1/nodes "
                                 "-H 'Content-Type: application/json' "
                                 "--data-raw '{\"id\":\"it'\\''s\"}'");
    mem_free(command);
}

/* ---- settings -------------------------------------------------------------------------------- */

static void expect_problem(const char *line, const char *where)
{
    struct loaded l;

    load(&l, empty_environment, line);
    if (l.rc != ERR_SYNTAX || problems_find(&l.problems, where) == NULL)
        fail_msg("%s: %d", line, l.rc);
    unload(&l);
}

static void test_what_is_refused(void **state)
{
    expect_problem("--model m", "CLIENT_ID");
    expect_problem("--client-id 0042 --model \xff", "--model");
    expect_problem("--client-id 0042 --model m --node-id \xc3", "--node-id");
    expect_problem("--client-id 0042", "MODEL_NAME");
    expect_problem("--client-id 42", "--client-id");
    expect_problem("--client-id 0042 --tensor-parallel-size 5", "--tensor-parallel-size");
    expect_problem("--client-id 0042 --host http://frps", "--host");
    expect_problem("--client-id 0042 --host frps:9000", "--host");
    expect_problem("--client-id 0042 --host ''", "--host");
    expect_problem("--client-id 0042 --max-concurrent 0", "--max-concurrent");
    expect_problem("--client-id 0042 --send https://api:9200", "--send");
    expect_problem("--client-id 0042 --send api:9200", "--send");
    expect_problem("--client-id 0042 --send http://api", "--send");
    expect_problem("--client-id 0042 --send http://u:p@api:9200", "--send");
    expect_problem("--client-id 0042 --send http://api:9200/admin", "--send");
    expect_problem("--client-id 0042 --send http://", "--send");
}

static void test_words_that_are_no_flags(void **state)
{
    static const char *const lines[] = {
        "x", "--nope 1", "--host", "-tp 2", "--json=1", "--client-id 0042 --json x", "--host --"};
    struct loaded l;

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        load(&l, empty_environment, lines[i]);
        if (l.rc != ERR_SYNTAX || l.stray == NULL)
            fail_msg("%s: %d", lines[i], l.rc);
        unload(&l);
    }
}

static void expect_warning(const char *line, const char *where)
{
    struct loaded l;

    load(&l, empty_environment, line);
    assert_int_equal(l.rc, 0);
    if (where == NULL ? l.problems.count != 0 : problems_find(&l.problems, where) == NULL)
        fail_msg("%s: %zu problems", line, l.problems.count);
    unload(&l);
}

static void test_what_is_warned_of(void **state)
{
    expect_warning("--client-id 0042 --model m", NULL);
    expect_warning("--client-id 0042 --model m --send http://api:9200/", NULL);
    expect_warning("--client-id 0042 --model /models/x", "MODEL_NAME");
    expect_warning("--client-id 0042 --model m --host 127.0.0.1", "--host");
    expect_warning("--client-id 0042 --model m -- -tp 4 -pp 2", NULL);
    expect_warning("--client-id 0042 --model m -- -tp 8", "--tensor-parallel-size");
}

static void test_where_it_is_sent(void **state)
{
    struct loaded l;

    load(&l, empty_environment, "--client-id 0042 --model m --send http://[fd00::1]:9200/");
    assert_int_equal(l.rc, 0);
    assert_string_equal(l.r.to.host, "fd00::1");
    assert_int_equal(l.r.to.port, 9200);
    unload(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_too_many_arguments),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_json_for_people),
        cmocka_unit_test(test_command),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_words_that_are_no_flags),
        cmocka_unit_test(test_what_is_warned_of),
        cmocka_unit_test(test_where_it_is_sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
