#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "http/target.h"

static struct http_target target; /* 4 KiB: filled before each look at it */

static int read_text(const char *text)
{
    memset(&target, 0xa5, sizeof(target));
    return http_target_read((struct http_slice){text, strlen(text)}, &target);
}

static void assert_slice(struct http_slice slice, const char *text)
{
    assert_int_equal(slice.len, strlen(text));
    assert_memory_equal(slice.at, text, slice.len);
}

static void test_accepted(void **state)
{
    static const struct {
        const char *target;
        const char *path;
        const char *raw;
        const char *raw_path;
        bool versioned;
    } rows[] = {
        {"/", "/", "/", "/", false},
        {"*", "*", "*", "*", false},
        {"/?a=b", "/", "/?a=b", "/", false},
        {"/api/v1/state", "/api/v1/state", "/api/v1/state", "/api/v1/state", false},
        {"/a/", "/a/", "/a/", "/a/", false},
        {"/a%2F", "/a/", "/a%2F", "/a%2F", false},
        {"/api/v1/tra%69n/start?x=%2e%2e/", "/api/v1/train/start",
         "/api/v1/tra%69n/start?x=%2e%2e/", "/api/v1/tra%69n/start", false},
        {"/api/v1%2Ftrain", "/api/v1/train", "/api/v1%2Ftrain", "/api/v1%2Ftrain", false},
        {"/v2/poc-batches/Qwen%252FQwen3-32B/generated",
         "/v2/poc-batches/Qwen%2FQwen3-32B/generated",
         "/v2/poc-batches/Qwen%252FQwen3-32B/generated",
         "/v2/poc-batches/Qwen%252FQwen3-32B/generated", false},
        {"/100%25", "/100%", "/100%25", "/100%25", false},
        {"/%C3%A9%ff", "/\xc3\xa9\xff", "/%C3%A9%ff", "/%C3%A9%ff", false},
        /* what MLNode takes for the end of the path once it has decoded it */
        {"/a%3Fb%23c?d?e", "/a?b#c", "/a%3Fb%23c?d?e", "/a%3Fb%23c", false},
        /* dots and blanks that are no dot segments */
        {"/.../.a/a./..b", "/.../.a/a./..b", "/.../.a/a./..b", "/.../.a/a./..b", false},
        {"/a%20b+c", "/a b+c", "/a%20b+c", "/a%20b+c", false},
        {"/a?//../%zz\\", "/a", "/a?//../%zz\\", "/a", false},
        /* version prefixes */
        {"/v3.0.8/api/v1/state", "/api/v1/state", "/api/v1/state", "/api/v1/state", true},
        {"/v0.2.13-post2/health?x", "/health", "/health?x", "/health", true},
        {"/v10.20/", "/", "/", "/", true},
        {"/v1.0_rc+1.a/b", "/b", "/b", "/b", true},
        {"/v3.0.8/v3.0.9/a", "/v3.0.9/a", "/v3.0.9/a", "/v3.0.9/a", true},
        {"/v3.0.8/v3%2E0.9/a", "/v3.0.9/a", "/v3%2E0.9/a", "/v3%2E0.9/a", true},
        /* and what is none */
        {"/v1/models", "/v1/models", "/v1/models", "/v1/models", false},
        {"/v3.0.8", "/v3.0.8", "/v3.0.8", "/v3.0.8", false},
        {"/v3.0.8?/a", "/v3.0.8", "/v3.0.8?/a", "/v3.0.8", false},
        {"/v./a", "/v./a", "/v./a", "/v./a", false},
        {"/v1./a", "/v1./a", "/v1./a", "/v1./a", false},
        {"/v1.x/a", "/v1.x/a", "/v1.x/a", "/v1.x/a", false},
        {"/v.1/a", "/v.1/a", "/v.1/a", "/v.1/a", false},
        {"/v", "/v", "/v", "/v", false},
        {"/V1.0/a", "/V1.0/a", "/V1.0/a", "/V1.0/a", false},
        {"/v1.0~/a", "/v1.0~/a", "/v1.0~/a", "/v1.0~/a", false},
        {"/a/v1.0/b", "/a/v1.0/b", "/a/v1.0/b", "/a/v1.0/b", false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (read_text(rows[i].target) != 0)
            fail_msg("%s: %s", rows[i].target, target.why);
        assert_null(target.why);
        assert_string_equal(target.path, rows[i].path);
        assert_int_equal(target.length, strlen(rows[i].path));
        assert_slice(target.raw, rows[i].raw);
        assert_slice(target.raw_path, rows[i].raw_path);
        assert_int_equal(target.versioned, rows[i].versioned);
        /* a suffix of the input, not a copy */
        assert_ptr_equal(target.raw.at + target.raw.len, rows[i].target + strlen(rows[i].target));
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *target;
        const char *why;
    } rows[] = {
        {"", "target does not begin with /"},
        {"a", "target does not begin with /"},
        {"?a", "target does not begin with /"},
        {"**", "target does not begin with /"},
        {"*/a", "target does not begin with /"},
        {"%2Fa", "target does not begin with /"},
        {"/%", "broken escape in path"},
        {"/%4", "broken escape in path"},
        {"/%4?1", "broken escape in path"},
        {"/%4g", "broken escape in path"},
        {"/%g4", "broken escape in path"},
        {"/%%34", "broken escape in path"},
        {"/%u0041", "broken escape in path"},
        {"/%-1", "broken escape in path"},
        {"//", "empty segment in path"},
        {"//a", "empty segment in path"},
        {"/a//b", "empty segment in path"},
        {"/a//", "empty segment in path"},
        {"/%2Fa", "empty segment in path"},
        {"/a/%2f", "empty segment in path"},
        {"/a%2F%2Fb", "empty segment in path"},
        {"/a%2F/b", "empty segment in path"},
        {"/v3.0.8//a", "empty segment in path"},
        {"/v3.0.8/%2Fa", "empty segment in path"},
        {"/.", "dot segment in path"},
        {"/..", "dot segment in path"},
        {"/./a", "dot segment in path"},
        {"/a/../b", "dot segment in path"},
        {"/a/..", "dot segment in path"},
        {"/a/%2e%2E/b", "dot segment in path"},
        {"/a/%2e./b", "dot segment in path"},
        {"/a/.%2e", "dot segment in path"},
        {"/a/%2E", "dot segment in path"},
        {"/a%2F..%2fb", "dot segment in path"},
        {"/v3.0.8/../a", "dot segment in path"},
        {"/a\\b", "backslash in path"},
        {"/a%5Cb", "backslash in path"},
        {"/a%5cb?c", "backslash in path"},
        {"/a%00", "control byte in path"},
        {"/a%00b", "control byte in path"},
        {"/%0d%0aX:y", "control byte in path"},
        {"/%09", "control byte in path"},
        {"/%1f", "control byte in path"},
        {"/%7F", "control byte in path"},
        {"/a\tb", "control byte in path"},
        {"/v3%2E0.8/a", "encoded version prefix"},
        {"/%763.0.8/a", "encoded version prefix"},
        {"/v3.0.%38/a", "encoded version prefix"},
        {"/v3.0.8%2Fa", "encoded version prefix"},
        {"/v3.0.8%2F", "encoded version prefix"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int rc = read_text(rows[i].target);

        if (rc != ERR_SYNTAX || target.why == NULL || strcmp(target.why, rows[i].why) != 0)
            fail_msg("%s: %s (%s), want %s", rows[i].target, err_name(rc),
                     rc && target.why ? target.why : "", rows[i].why);
    }
}

/* An escape that goes on behind the end of the target is none. */
static void test_cut_escape(void **state)
{
    assert_int_equal(http_target_read((struct http_slice){"/%41", 3}, &target), ERR_SYNTAX);
    assert_string_equal(target.why, "broken escape in path");
    assert_int_equal(http_target_read((struct http_slice){"/%41", 4}, &target), 0);
}

/* A raw path one byte over the limit is refused, however little it decodes to; the query and the
 * version prefix do not count. */
static void test_length(void **state)
{
    static char text[3 * HTTP_PATH_MAX];
    struct http_slice slice = {text, HTTP_PATH_MAX};

    memset(text, 'a', sizeof(text));
    text[0] = '/';
    assert_int_equal(http_target_read(slice, &target), 0);
    assert_int_equal(target.length, HTTP_PATH_MAX);
    slice.len++;
    assert_int_equal(http_target_read(slice, &target), ERR_LIMIT);
    assert_string_equal(target.why, "path too long");
    text[HTTP_PATH_MAX] = '?';
    slice.len = sizeof(text);
    assert_int_equal(http_target_read(slice, &target), 0);
    assert_int_equal(target.raw.len, sizeof(text));

    memcpy(text, "/v1.0/", 6);
    text[HTTP_PATH_MAX] = 'a';
    slice.len = HTTP_PATH_MAX + 5;
    assert_int_equal(http_target_read(slice, &target), 0);
    assert_int_equal(target.length, HTTP_PATH_MAX);

    for (size_t i = 1; i + 3 < sizeof(text); i += 3)
        memcpy(text + i, "%61", 3);
    slice.len = 1 + 3 * (HTTP_PATH_MAX / 3 + 1);
    assert_int_equal(http_target_read(slice, &target), ERR_LIMIT);
}

static void test_again(void **state)
{
    static const struct {
        const char *path;
        int rc;
        const char *out;
    } rows[] = {
        {"/", 0, "/"},
        {"/a%b", 0, "/a%b"},
        {"/a%", 0, "/a%"},
        {"/a%4", 0, "/a%4"},
        {"/a%4g%zz", 0, "/a%4g%zz"},
        {"/%74rain", 1, "/train"},
        {"/%%74rain", 1, "/%train"},
        {"/%2574rain", 1, "/%74rain"},
        {"/Qwen%2FQwen3", 1, "/Qwen/Qwen3"},
        {"/a%2F%2Fb", ERR_SYNTAX, NULL},
        {"/a/%2e%2e", ERR_SYNTAX, NULL},
        {"/a%00", ERR_SYNTAX, NULL},
        {"/a%5c", ERR_SYNTAX, NULL},
        {"/a%0a", ERR_SYNTAX, NULL},
    };
    char out[HTTP_PATH_MAX + 1];
    size_t len;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(http_path_again(rows[i].path, strlen(rows[i].path), out, &len),
                         rows[i].rc);
        if (rows[i].rc >= 0)
            assert_string_equal(out, rows[i].out);
        if (rows[i].rc >= 0)
            assert_int_equal(len, strlen(rows[i].out));
    }
    memcpy(out, "/%2574%2f", 10); /* in its own place */
    assert_int_equal(http_path_again(out, strlen(out), out, &len), 1);
    assert_string_equal(out, "/%74/");
}

static void test_comparisons(void **state)
{
    static const struct {
        const char *path;
        const char *text;
        bool is;
        bool under;
    } rows[] = {
        {"/v1", "/v1", true, true},    {"/v1/", "/v1", true, true},
        {"/v1//", "/v1", false, true}, {"/v1/a", "/v1", false, true},
        {"/v1x", "/v1", false, false}, {"/v", "/v1", false, false},
        {"/V1", "/v1", false, false},  {"/a/v1", "/v1", false, false},
        {"/v1?", "/v1", false, false}, {"", "/v1", false, false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t len = strlen(rows[i].path);

        assert_int_equal(http_path_is(rows[i].path, len, rows[i].text), rows[i].is);
        assert_int_equal(http_path_under(rows[i].path, len, rows[i].text), rows[i].under);
    }
    assert_int_equal(http_version_prefix("/v3.0.8/a", 9), 7);
    assert_int_equal(http_version_prefix("/v3.0.8/a", 7), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),    cmocka_unit_test(test_refused),
        cmocka_unit_test(test_length),      cmocka_unit_test(test_again),
        cmocka_unit_test(test_comparisons), cmocka_unit_test(test_cut_escape),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
