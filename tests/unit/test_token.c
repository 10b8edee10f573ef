#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "env_fixture.h"

/* value of SECRET_FRP_TOKEN, the token that frpc would read, whether quotes went; NULL: refused. */
static const struct {
    const char *given;
    const char *token;
    bool unquoted;
} tokens[] = {
    {"abc", "abc", false},
    {"  abc\t ", "abc", false},
    {"abc\r", "abc", false},
    {"abc\r\n", "abc", false},
    {"\xc2\xa0"
     "abc"
     "\xe2\x80\x8b",
     "abc\xe2\x80\x8b", false}, /* no-break space goes, ZWSP stays */
    {"a b", "a b", false},
    {"\"abc\"", "abc", true},
    {"'abc'", "abc", true},
    {"`abc`", "abc", true},
    {"\"\"\"a\"c\"\"\"", "a\"c", true},
    {"\" abc \"", " abc ", true},
    {"\"'abc'\"", "'abc'", true},
    {"'a'b'", "'a'b'", false},
    {"\"abc", "\"abc", false},
    {"abc\"", "abc\"", false},
    {"\"", "\"", false},
    {"a#b", "a#b", false},
    {"#abc", "#abc", false},
    {"a;b", "a;b", false},
    {"a # b", "a # b", false},
    {"a=b", "a=b", false},
    {"[abc]", "[abc]", false},
    {"a}}", "a}}", false},
    {"\"abc\\\"", "abc\\", true},
    {"100%", "100%", false},
    {"p\xc3\xa4ss", "p\xc3\xa4ss", false},
    {"", NULL, false},
    {"   ", NULL, false},
    {"\"\"", NULL, false},
    {"abc\\", NULL, false},
    {"abc\\  ", NULL, false},
    {"a{{b", NULL, false},
    {"{{ .Envs.X }}", NULL, false},
    {"%(user)s", NULL, false},
    {"a\nb", NULL, false},
    {"a\rb", NULL, false},
    {"a\tb", NULL, false},
    {"a\x01"
     "b",
     NULL, false},
    {"a\x7f"
     "b",
     NULL, false},
    {"\"a\nb\"", NULL, false},
    {"`abc", NULL, false},
    {"\"\"\"abc", NULL, false},
};

static void test_tokens(void **state)
{
    for (size_t i = 0; i < COUNT(tokens); i++) {
        struct fixture f;
        int code;

        fixture_init(&f);
        set_line(&f, "SECRET_FRP_TOKEN", tokens[i].given);
        code = env_load(f.list, &f.env, &f.problems);
        if ((code == 0) != (tokens[i].token != NULL))
            fail_msg("token \"%s\" gives %d", tokens[i].given, code);
        if (code == 0) {
            assert_string_equal(f.env.token, tokens[i].token);
            assert_int_equal(f.problems.count, tokens[i].unquoted ? 1 : 0);
        } else {
            assert_int_equal(f.problems.errors, 1);
            assert_null(problems_find(&f.problems, "SECRET_FRP_TOKEN")->value);
        }
        fixture_free(&f);
    }
}

static void test_token_is_never_said(void **state)
{
    static const char *const bad[] = {
        SECRET "\\",      SECRET "\n",   SECRET "{{",      "`" SECRET,
        "%(" SECRET ")s", SECRET "\x01", "\"" SECRET "\"",
    };

    for (size_t i = 0; i < COUNT(bad); i++) {
        struct fixture f;

        fixture_init(&f);
        set_line(&f, "SECRET_FRP_TOKEN", bad[i]);
        set_line(&f, "CLIENT_ID", "1");
        env_load(f.list, &f.env, &f.problems);
        assert_true(f.problems.errors > 0);
        assert_secret_unsaid(&f.problems, SECRET);
        fixture_free(&f);
    }
}

/* Who mistakes the two variables must not read the token in a log either. */
static void test_token_in_the_file_variable(void **state)
{
    struct fixture f;

    fixture_init(&f);
    unset_line(&f, "SECRET_FRP_TOKEN");
    set_line(&f, "SECRET_FRP_TOKEN_FILE", SECRET);
    assert_int_not_equal(env_load(f.list, &f.env, &f.problems), 0);
    assert_non_null(problems_find(&f.problems, "SECRET_FRP_TOKEN_FILE"));
    assert_secret_unsaid(&f.problems, SECRET);
    fixture_free(&f);
}

static void write_file(const char *path, const char *text, size_t len)
{
    FILE *out = fopen(path, "w");

    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, len, out), len);
    fclose(out);
}

static void load_token_file(struct fixture *f, const char *text, size_t len, int *code)
{
    char path[] = "/tmp/mlgate-test-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    close(fd);
    write_file(path, text, len);
    fixture_init(f);
    set_line(f, "SECRET_FRP_TOKEN", "");
    set_line(f, "SECRET_FRP_TOKEN_FILE", path);
    *code = env_load(f->list, &f->env, &f->problems);
    unlink(path);
}

static void test_token_file(void **state)
{
    struct fixture f;
    int code;

    load_token_file(&f, "from-file\r\n", 11, &code);
    assert_int_equal(code, 0);
    assert_string_equal(f.env.token, "from-file");
    fixture_free(&f);

    load_token_file(&f, "two\nlines\n", 10, &code);
    assert_int_not_equal(code, 0);
    assert_secret_unsaid(&f.problems, "lines");
    fixture_free(&f);

    load_token_file(&f, "nul\0inside", 10, &code);
    assert_int_not_equal(code, 0);
    fixture_free(&f);

    load_token_file(&f, "", 0, &code);
    assert_int_not_equal(code, 0);
    fixture_free(&f);
}

static void test_token_file_too_long_and_endless(void **state)
{
    struct fixture f;
    char *text = mem_alloc(MEGABYTE);
    int code;

    memset(text, 'x', MEGABYTE);
    load_token_file(&f, text, MEGABYTE, &code);
    assert_int_not_equal(code, 0);
    fixture_free(&f);
    mem_free(text);

    fixture_init(&f);
    unset_line(&f, "SECRET_FRP_TOKEN");
    set_line(&f, "SECRET_FRP_TOKEN_FILE", "/dev/zero");
    assert_int_not_equal(env_load(f.list, &f.env, &f.problems), 0);
    fixture_free(&f);
}

static void test_token_and_file_together(void **state)
{
    const struct problem *problem;
    struct fixture f;

    fixture_init(&f);
    set_line(&f, "SECRET_FRP_TOKEN_FILE", "/nonexistent/token");
    assert_int_not_equal(env_load(f.list, &f.env, &f.problems), 0);
    problem = &f.problems.items[f.problems.count - 1];
    assert_string_equal(problem->where, "SECRET_FRP_TOKEN_FILE");
    assert_non_null(strstr(problem->rule, "together"));
    fixture_free(&f);
}

static void test_token_length(void **state)
{
    char longest[4096 + 2];
    struct fixture f;

    memset(longest, 'x', sizeof(longest));
    longest[4096] = '\0';
    fixture_init(&f);
    set_line(&f, "SECRET_FRP_TOKEN", longest);
    assert_int_equal(env_load(f.list, &f.env, &f.problems), 0);
    fixture_free(&f);

    longest[4096] = 'x';
    longest[4097] = '\0';
    fixture_init(&f);
    set_line(&f, "SECRET_FRP_TOKEN", longest);
    assert_int_not_equal(env_load(f.list, &f.env, &f.problems), 0);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_token_is_never_said),
        cmocka_unit_test(test_token_in_the_file_variable),
        cmocka_unit_test(test_token_file),
        cmocka_unit_test(test_token_file_too_long_and_endless),
        cmocka_unit_test(test_token_and_file_together),
        cmocka_unit_test(test_token_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
