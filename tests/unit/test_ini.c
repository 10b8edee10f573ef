#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "config/ini.h"
#include "config/problem.h"
#include "config/value.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *lookup(void *context, const char *name)
{
    if (strcmp(name, "TOKEN") == 0)
        return "from-env";
    if (strcmp(name, "QUOTED") == 0)
        return "\"quoted\"";
    if (strcmp(name, "LINES") == 0)
        return "a\nb = c";
    if (strcmp(name, "EMPTY") == 0)
        return "";
    if (strcmp(name, "NESTED") == 0)
        return "{{ .Envs.TOKEN }}";
    return NULL;
}

/* The value of `k` in section `s` of a file; NULL: the file is refused or the key is absent. */
static const struct {
    const char *text;
    const char *value;
} files[] = {
    {"[s]\nk = v\n", "v"},
    {"[s]\nk=v", "v"},
    {"[s]\r\nk = v\r\n", "v"},
    {"\xef\xbb\xbf[s]\nk = v\n", "v"},
    {"  [s]\n\t k \t=\t v \t\n", "v"},
    {"[s] trailing words\nk = v\n", "v"},
    {"[s]\nk : v\n", "v"},
    {"[s]\nk : a=b\n", "a=b"},
    {"[s]\nk = a=b:c\n", "a=b:c"},
    {"[s]\nk =\n", ""},
    {"[s]\nk\n", "true"},
    {"[s]\n# k = a\n; k = b\nk = v\n", "v"},
    {"[s]\nk = v # not a comment\n", "v # not a comment"},
    {"[s]\nk = v;w\n", "v;w"},
    {"[s]\nk = #v\n", "#v"},
    {"[s]\nk = a\nk = b\n", "b"},
    {"[s]\nk = a\n[t]\nk = b\n[s]\nj = c\n", "a"},
    {"[s]\nK = a\n", NULL},
    {"[S]\nk = a\n", NULL},
    {"[s]\nk = \"v\"\n", "v"},
    {"[s]\nk = 'v'\n", "v"},
    {"[s]\nk = \" v \"\n", " v "},
    {"[s]\nk = \"\"\n", ""},
    {"[s]\nk = \"\n", "\""},
    {"[s]\nk = \"a\"b\"\n", "\"a\"b\""},
    {"[s]\nk = \"a'b\"\n", "a'b"},
    {"[s]\nk = \"a'\n", "\"a'"},
    {"[s]\nk = `v`\n", "v"},
    {"[s]\nk = `a`b` dropped\n", "a`b"},
    {"[s]\nk = `a\n b` dropped\nj = 1\n", "a\n b"},
    {"[s]\nk = `\nk2`\n", "\nk2"},
    {"[s]\nk = \"\"\"a\"b\"\"\"\n", "a\"b"},
    {"[s]\nk = \"\"\"a\n\"\"\"\n", "a\n"},
    {"[s]\nk = \"\"\"\n", NULL}, /* opens a value of many lines */
    {"[s]\nk = \"\"\"", "\"\"\""},
    {"[s]\nk = `open\n", NULL},
    {"[s]\nk = a\\\n  b\n", "ab"},
    {"[s]\nk = a \\\nb\\\nc\nj = 1\n", "a bc"},
    {"[s]\nk = a\\\n\nj = 1\n", "a"},
    {"[s]\nk = a\\", "a"},
    {"[s]\nk = \"a\\\nb\"\n", "\"ab\""}, /* a joined value keeps its quotes */
    {"[s]\nk = a\\\\\nb\n", "a\\b"},
    {"[s]\n\"k\" = v\n", "v"},
    {"[s]\n`k` = v\n", "v"},
    {"[s]\n\"k = v\n", NULL},
    {"[s]\n= v\n", NULL},
    {"[s]\n\"\"\n", NULL},
    {"[s\nk = v\n", NULL},
    {"[]\nk = v\n", NULL},
    {"[s]\nk = \xc2\xa0v\xe3\x80\x80\n", "v"},
    {"[s]\nk = {{ .Envs.TOKEN }}\n", "from-env"},
    {"[s]\nk = {{.Envs.TOKEN}}x{{\t.Envs.TOKEN }}\n", "from-envxfrom-env"},
    {"[s]\nk = {{ .Envs.QUOTED }}\n", "quoted"},
    {"[s]\nk = {{ .Envs.EMPTY }}\n", ""},
    {"[s]\nk = '{{ .Envs.NESTED }}'\n", "{{ .Envs.TOKEN }}"},
    {"[s]\nk = {{ .Envs.ABSENT }}\n", NULL},
    {"[s]\nk = {{ .Envs.LINES }}\n", NULL},
    {"[s]\nk = {{ .Env.TOKEN }}\n", NULL},
    {"[s]\nk = {{ .Envs. }}\n", NULL},
    {"[s]\nk = {{ .Envs.1A }}\n", NULL},
    {"[s]\nk = {{- .Envs.TOKEN -}}\n", NULL},
    {"[s]\nk = {{ if 1 }}x{{ end }}\n", NULL},
    {"[s]\nk = {{ .Envs.TOKEN\n", NULL},
    {"[s]\nk = a{{\n", NULL},
    {"# {{ broken\n[s]\nk = v\n", NULL},
    {"[s]\nj = 1\nk = %(j)s\n", NULL},
    {"j = 1\n[s]\nk = %(j)s\n", NULL},
    {"[s]\nj = 1\nk = %()s %(x)s %(j)s\n", NULL},
    {"[s]\nj = 1\nk = %(j) %(j\n", "%(j) %(j"},
    {"[s]\nk = %(k)s\n", "%(k)s"},
    {"[s]\nk = %(nothing)s\n", "%(nothing)s"},
    {"[s]\nk = 100%\n", "100%"},
    {"[s]\nk = %()s\n", "%()s"},
    {"", NULL},
    {"\n\n", NULL},
};

static void test_files(void **state)
{
    for (size_t i = 0; i < COUNT(files); i++) {
        struct problems problems;
        struct ini ini;
        const struct ini_section *s;
        const struct ini_key *key;
        int code;

        problems_init(&problems);
        code =
            ini_read("f.ini", files[i].text, strlen(files[i].text), lookup, NULL, &ini, &problems);
        assert_int_equal(code == 0, problems.errors == 0);
        s = code == 0 ? ini_section(&ini, "s") : NULL;
        key = s ? ini_key(&ini, s, "k") : NULL;
        if ((key != NULL) != (files[i].value != NULL) ||
            (key && strcmp(key->value, files[i].value) != 0))
            fail_msg("\"%s\" gives %s", files[i].text, key ? key->value : "nothing");
        ini_free(&ini);
        problems_free(&problems);
    }
}

static void read_text(const char *text, struct ini *ini, struct problems *problems)
{
    problems_init(problems);
    assert_int_equal(ini_read("f.ini", text, strlen(text), lookup, NULL, ini, problems), 0);
}

static void test_keys_before_any_section(void **state)
{
    struct problems problems;
    struct ini ini;

    read_text("k = v\n[DEFAULT]\nj = w\n", &ini, &problems);
    assert_int_equal(ini.n_sections, 1);
    assert_int_equal(ini_section(&ini, "DEFAULT")->n_keys, 2);
    ini_free(&ini);
}

static void test_names_of_sections_end_at_the_last_bracket(void **state)
{
    struct problems problems;
    struct ini ini;

    read_text("[a]b] c\n[ x ]\n[[y]]\n", &ini, &problems);
    assert_non_null(ini_section(&ini, "a]b"));
    assert_non_null(ini_section(&ini, " x "));
    assert_non_null(ini_section(&ini, "[y]"));
    assert_null(ini_section(&ini, "x"));
    ini_free(&ini);
}

static void test_child_sections_inherit(void **state)
{
    struct problems problems;
    struct ini ini;
    const struct ini_section *child;

    read_text("[a]\nk = 1\n[a.b.c]\nj = 2\n[x]\n", &ini, &problems);
    child = ini_section(&ini, "a.b.c");
    assert_string_equal(ini_key(&ini, child, "k")->value, "1");
    assert_string_equal(ini_key(&ini, child, "j")->value, "2");
    assert_null(ini_key(&ini, child, "none"));
    assert_null(ini_key(&ini, ini_section(&ini, "x"), "k"));
    ini_free(&ini);
}

static void test_lines_are_counted(void **state)
{
    struct problems problems;
    struct ini ini;
    char *where;

    read_text("[s]\na = `x\ny`\nb = 1\\\n2\n\n# c\nk = v\n", &ini, &problems);
    assert_int_equal(ini_key(&ini, ini_section(&ini, "s"), "a")->line, 2);
    assert_int_equal(ini_key(&ini, ini_section(&ini, "s"), "b")->line, 4);
    assert_int_equal(ini_key(&ini, ini_section(&ini, "s"), "k")->line, 8);
    where = ini_where(&ini, 8, "k");
    assert_string_equal(where, "f.ini:8: k");
    mem_free(where);
    ini_free(&ini);
}

static void assert_refused_at(const char *text, size_t len, const char *where)
{
    struct problems problems;
    struct ini ini;

    problems_init(&problems);
    assert_true(ini_read("f.ini", text, len, lookup, NULL, &ini, &problems) < 0);
    assert_non_null(problems_find(&problems, where));
    assert_null(ini.sections);
    problems_free(&problems);
}

static void test_errors_name_their_line(void **state)
{
    assert_refused_at("[s]\n\nk = {{ .Envs.ABSENT }}\n", 28, "f.ini:3");
    assert_refused_at("[s]\nk = `a\n\n\n", 13, "f.ini:2");
    assert_refused_at("[s]\n= v\n", 8, "f.ini:2");
    assert_refused_at("[s]\nk = \0\n", 10, "f.ini");
}

static void test_secrets_of_a_broken_file_are_not_said(void **state)
{
    static const char *const texts[] = {"[common]\ntoken = hunter2{{hunter2}}\n",
                                        "[common]\ntoken = `hunter2\n", "\"hunter2 = 1\n",
                                        "[common]\nuser = x\ntoken = hunter2%(user)s\n"};

    for (size_t i = 0; i < COUNT(texts); i++) {
        struct problems problems;
        struct ini ini;

        problems_init(&problems);
        assert_true(ini_read("f", texts[i], strlen(texts[i]), lookup, NULL, &ini, &problems) < 0);
        for (size_t k = 0; k < problems.count; k++) {
            assert_null(strstr(problems.items[k].rule, "hunter2"));
            assert_null(problems.items[k].value);
        }
        problems_free(&problems);
    }
}

static void test_limits(void **state)
{
    char *text = mem_alloc(INI_SIZE_MAX + 1);
    struct problems problems;
    struct ini ini;

    memset(text, 'v', INI_SIZE_MAX + 1);
    memcpy(text, "[s]\nk = ", 8);
    problems_init(&problems);
    assert_int_equal(ini_read("f", text, INI_SIZE_MAX, NULL, NULL, &ini, &problems), 0);
    assert_int_equal(strlen(ini_key(&ini, ini_section(&ini, "s"), "k")->value), INI_SIZE_MAX - 8);
    ini_free(&ini);
    assert_int_equal(ini_read("f", text, INI_SIZE_MAX + 1, NULL, NULL, &ini, &problems), ERR_LIMIT);
    /* Filled in it would be longer than the limit. */
    memcpy(text + 8, "{{.Envs.A}}", 11);
    assert_true(ini_read("f", text, INI_SIZE_MAX, NULL, NULL, &ini, &problems) < 0);
    problems_free(&problems);
    mem_free(text);
}

static const char *long_value(void *context, const char *name)
{
    return context;
}

static void test_expansion_is_limited(void **state)
{
    struct problems problems;
    struct ini ini;
    char *value = mem_alloc(INI_SIZE_MAX / 2);
    const char text[] = "[s]\nk = {{.Envs.A}}{{.Envs.A}}{{.Envs.A}}\n";

    memset(value, 'v', INI_SIZE_MAX / 2 - 1);
    value[INI_SIZE_MAX / 2 - 1] = '\0';
    problems_init(&problems);
    assert_true(ini_read("f", text, strlen(text), long_value, value, &ini, &problems) < 0);
    assert_int_equal(problems.errors, 1);
    problems_free(&problems);
    mem_free(value);
}

static void test_many_keys_and_sections(void **state)
{
    char *text = mem_alloc(INI_SIZE_MAX);
    struct problems problems;
    struct ini ini;
    size_t len = 0;

    for (int i = 0; i <= INI_KEYS_MAX; i++)
        len += (size_t)snprintf(text + len, 32, "k%d=1\n", i);
    problems_init(&problems);
    assert_true(ini_read("f", text, len, NULL, NULL, &ini, &problems) < 0);
    len = 0;
    for (int i = 0; i <= INI_SECTIONS_MAX; i++)
        len += (size_t)snprintf(text + len, 32, "[s%d]\n", i);
    assert_true(ini_read("f", text, len, NULL, NULL, &ini, &problems) < 0);
    assert_int_equal(problems.errors, 2);
    problems_free(&problems);
    mem_free(text);
}

static void test_encode(void **state)
{
    static const char *const good[] = {
        "",      "abc",     " abc ", "a\"b",  "'abc'",  "\"abc\"",   "`abc`",    "`abc",
        "abc\\", "\\",      "\"",    "'",     "`",      "#a",        ";a",       "a = b",
        "[a]",   " a'b\" ", "a`b ",  "%(x)s", "\"\"\"", "p\xc3\xa4", "\xc2\xa0x"};
    static const char *const bad[] = {"a\nb", "a\rb", "{{", "x{{y"};

    for (size_t i = 0; i < COUNT(good); i++) {
        char *encoded = ini_encode(good[i]);
        char *text;
        struct problems problems;
        struct ini ini;

        assert_non_null(encoded);
        text = mem_printf("[s]\nk = %s\nnext = 1\n", encoded);
        read_text(text, &ini, &problems);
        assert_string_equal(ini_key(&ini, ini_section(&ini, "s"), "k")->value, good[i]);
        assert_string_equal(ini_key(&ini, ini_section(&ini, "s"), "next")->value, "1");
        ini_free(&ini);
        mem_free(text);
        mem_free(encoded);
    }
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_null(ini_encode(bad[i]));
}

static void test_bool_words(void **state)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True", "yes", "y", "On"};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False", "no", "n", "Off"};
    static const char *const bad[] = {"", "2", "tRUE", "Y", "N", "yEs", " 1", "true ", "nil"};
    bool value;

    for (size_t i = 0; i < COUNT(yes); i++) {
        assert_true(value_ini_bool(yes[i], &value));
        assert_true(value);
        assert_true(value_ini_bool(no[i], &value));
        assert_false(value);
        assert_false(value_ini_bool(bad[i], &value));
    }
}

static void test_port_ranges(void **state)
{
    static const char *const bad[] = {"",
                                      "0",
                                      "1-0",
                                      "65536",
                                      "1-65536",
                                      "08",
                                      "1,",
                                      ",1",
                                      "1--2",
                                      "1-2-3",
                                      "a",
                                      "2-1",
                                      "-1",
                                      "1-",
                                      "1 2",
                                      "1.5",
                                      "0-5",
                                      "1;2",
                                      "99999999999999999999"};
    struct port_range *ranges;
    size_t n;

    assert_true(value_port_ranges("2000-3000,3001, 4000 - 50000 ,65535", &ranges, &n));
    assert_int_equal(n, 4);
    assert_int_equal(ranges[0].first, 2000);
    assert_int_equal(ranges[0].last, 3000);
    assert_int_equal(ranges[1].first, 3001);
    assert_int_equal(ranges[1].last, 3001);
    assert_int_equal(ranges[2].last, 50000);
    assert_int_equal(ranges[3].first, 65535);
    mem_free(ranges);
    for (size_t i = 0; i < COUNT(bad); i++)
        if (value_port_ranges(bad[i], &ranges, &n))
            fail_msg("\"%s\" is taken", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_keys_before_any_section),
        cmocka_unit_test(test_names_of_sections_end_at_the_last_bracket),
        cmocka_unit_test(test_child_sections_inherit),
        cmocka_unit_test(test_lines_are_counted),
        cmocka_unit_test(test_errors_name_their_line),
        cmocka_unit_test(test_secrets_of_a_broken_file_are_not_said),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_expansion_is_limited),
        cmocka_unit_test(test_many_keys_and_sections),
        cmocka_unit_test(test_encode),
        cmocka_unit_test(test_bool_words),
        cmocka_unit_test(test_port_ranges),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
