#include "base/err.h"
#include "http/chunk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SIZED(text) (text), sizeof(text) - 1

/* What was seen, as text: "[5 hello]" is a chunk, "{X: y}" trailers, "." the end. */
struct trace {
    char text[256];
    size_t len;
    enum http_chunk_kind last;
};

static void put(struct trace *t, const char *data, size_t len)
{
    assert_true(t->len + len < sizeof(t->text));
    memcpy(t->text + t->len, data, len);
    t->len += len;
    t->text[t->len] = '\0';
}

static void put_event(struct trace *t, const struct http_chunk_event *e)
{
    char size[32];

    switch (e->kind) {
    case HTTP_CHUNK_BEGIN:
        put(t, size, (size_t)snprintf(size, sizeof(size), "[%llx ", (unsigned long long)e->size));
        break;
    case HTTP_CHUNK_DATA:
        assert_int_not_equal(e->len, 0);
        put(t, e->data, e->len);
        break;
    case HTTP_CHUNK_END:
        put(t, "]", 1);
        break;
    case HTTP_CHUNK_TRAILER:
        assert_int_not_equal(e->len, 0);
        if (t->last != HTTP_CHUNK_TRAILER)
            put(t, "{", 1);
        put(t, e->data, e->len);
        break;
    case HTTP_CHUNK_DONE:
        put(t, ".", 1);
        break;
    }
    t->last = e->kind;
}

/* Feeds pieces of `step` bytes; returns the verdict and how many bytes were taken. */
static int decode(const char *data, size_t len, size_t step, struct trace *t, size_t *taken)
{
    struct http_chunk chunk;
    struct http_chunk_event event = {0};
    int rc = ERR_MORE;

    memset(t, 0, sizeof(*t));
    http_chunk_init(&chunk);
    *taken = 0;
    for (size_t from = 0; from < len && rc == ERR_MORE;) {
        size_t end = from + step < len ? from + step : len;

        do {
            size_t used;

            rc = http_chunk_next(&chunk, data + from, end - from, &used, &event);
            from += used;
            if (rc == 0)
                put_event(t, &event);
        } while (rc == 0 && event.kind != HTTP_CHUNK_DONE);
        if (rc == ERR_MORE)
            assert_int_equal(from, end);
        *taken = from;
    }
    return rc;
}

static const struct {
    const char *in;
    size_t len;
    int code;
    const char *trace;
    size_t rest; /* bytes after the body */
} rows[] = {
    {SIZED("0\r\n\r\n"), 0, ".", 0},
    {SIZED("5\r\nhello\r\n0\r\n\r\n"), 0, "[5 hello].", 0},
    {SIZED("5\r\nhello\r\n1\r\n!\r\n0\r\n\r\nGET /"), 0, "[5 hello][1 !].", 5},
    {SIZED("a\r\n0\r\n\r\n0\r\n\r\n\r\n00\r\n\r\n"), 0, "[a 0\r\n\r\n0\r\n\r\n].", 0},
    {SIZED("00000000000000A\r\n0123456789\r\n0\r\n\r\n"), 0, "[a 0123456789].", 0},
    {SIZED("1;a=b;c=\"d\"\r\nx\r\n0;last\r\n\r\n"), 0, "[1 x].", 0},
    {SIZED("1; \t\xc3\xa9\r\nx\r\n0\r\n\r\n"), 0, "[1 x].", 0},
    {SIZED("0\r\nX: y\r\nZ:\r\n\r\n+"), 0, "{X: y\r\nZ:\r\n.", 1},
    {SIZED("ffffffffffffffff\r\nab"), ERR_MORE, "[ffffffffffffffff ab", 0},
    {SIZED("5\r\nhel"), ERR_MORE, "[5 hel", 0},
    {SIZED("5\r\nhello\r"), ERR_MORE, "[5 hello", 0},
    {SIZED("0\r\n"), ERR_MORE, "", 0},
    /* refused */
    {SIZED("\r\n"), ERR_SYNTAX, "", 0},
    {SIZED(";a\r\n"), ERR_SYNTAX, "", 0},
    {SIZED("5\nhello\r\n"), ERR_SYNTAX, "", 0},
    {SIZED("5\r\rhello\r\n"), ERR_SYNTAX, "", 0},
    {SIZED("5 \r\nhello\r\n"), ERR_SYNTAX, "", 0},
    {SIZED(" 5\r\nhello\r\n"), ERR_SYNTAX, "", 0},
    {SIZED("5\t;a\r\nhello\r\n"), ERR_SYNTAX, "", 0},
    {SIZED("0x5\r\nhello\r\n"), ERR_SYNTAX, "", 0},
    {SIZED("+5\r\nhello\r\n"), ERR_SYNTAX, "", 0},
    {SIZED("-5\r\nhello\r\n"), ERR_SYNTAX, "", 0},
    {SIZED("5_0\r\n"), ERR_SYNTAX, "", 0},
    {SIZED("g\r\n"), ERR_SYNTAX, "", 0},
    {SIZED("5\r\nhello0\r\n\r\n"), ERR_SYNTAX, "[5 hello", 0},
    {SIZED("5\r\nhello\n0\r\n\r\n"), ERR_SYNTAX, "[5 hello", 0},
    {SIZED("5\r\nhello\r0\r\n\r\n"), ERR_SYNTAX, "[5 hello", 0},
    {SIZED("5\r\nhello!\r\n0\r\n\r\n"), ERR_SYNTAX, "[5 hello", 0},
    {SIZED("1;a\nx\r\n"), ERR_SYNTAX, "", 0},
    {SIZED("1;a\0b\r\nx\r\n"), ERR_SYNTAX, "", 0},
    {SIZED("1;\x7f\r\nx\r\n"), ERR_SYNTAX, "", 0},
    {SIZED("1;a\rb\r\n"), ERR_SYNTAX, "", 0},
    {SIZED("1\0\r\nx\r\n"), ERR_SYNTAX, "", 0},
    {SIZED("00000000000000001\r\nx\r\n"), ERR_LIMIT, "", 0},
    {SIZED("10000000000000000\r\n"), ERR_LIMIT, "", 0},
    {SIZED("0\r\n\n"), ERR_SYNTAX, "", 0},
    {SIZED("0\r\n\rx"), ERR_SYNTAX, "", 0},
    {SIZED("0\r\n: y\r\n\r\n"), ERR_SYNTAX, "", 0},
    {SIZED("0\r\n folded\r\n\r\n"), ERR_SYNTAX, "", 0},
};

/* Trailer fields that are refused: how much of them was seen first depends on the split. */
static const struct {
    const char *in;
    size_t len;
    int code;
} bad_trailers[] = {
    {SIZED("0\r\nX y\r\n\r\n"), ERR_SYNTAX},        {SIZED("0\r\nX : y\r\n\r\n"), ERR_SYNTAX},
    {SIZED("0\r\nX\r\n\r\n"), ERR_SYNTAX},          {SIZED("0\r\nX: y\n\r\n"), ERR_SYNTAX},
    {SIZED("0\r\nX: y\r\n z\r\n\r\n"), ERR_SYNTAX}, {SIZED("0\r\nX: \0\r\n\r\n"), ERR_SYNTAX},
    {SIZED("0\r\nX: y\rz\r\n\r\n"), ERR_SYNTAX},    {SIZED("0\r\nX\xff: y\r\n\r\n"), ERR_SYNTAX},
};

static void test_table(void **state)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (size_t step = 1; step <= rows[i].len; step++) {
            struct trace t;
            size_t taken;
            int rc = decode(rows[i].in, rows[i].len, step, &t, &taken);

            if (rc != rows[i].code || strcmp(t.text, rows[i].trace) != 0)
                fail_msg("row %zu step %zu: %s, %s", i, step, err_name(rc), t.text);
            if (rc == 0)
                assert_int_equal(rows[i].len - taken, rows[i].rest);
        }
    }
}

static void test_bad_trailers(void **state)
{
    for (size_t i = 0; i < sizeof(bad_trailers) / sizeof(bad_trailers[0]); i++) {
        for (size_t step = 1; step <= bad_trailers[i].len; step++) {
            struct trace t;
            size_t taken;

            if (decode(bad_trailers[i].in, bad_trailers[i].len, step, &t, &taken) !=
                bad_trailers[i].code)
                fail_msg("row %zu step %zu: %s", i, step, t.text);
        }
    }
}

/* Feeds `text` `times` times after `open` and returns the first verdict that is not an event. */
static int flood(const char *open, const char *text, size_t times)
{
    struct http_chunk chunk;
    struct http_chunk_event event;
    int rc = 0;

    http_chunk_init(&chunk);
    for (size_t i = 0; i <= times; i++) {
        const char *piece = i == 0 ? open : text;
        size_t len = strlen(piece);
        size_t used;

        do {
            rc = http_chunk_next(&chunk, piece, len, &used, &event);
            piece += used;
            len -= used;
        } while (rc == 0);
        if (rc != ERR_MORE)
            return rc;
    }
    return rc;
}

static void test_limits(void **state)
{
    assert_int_equal(flood("1;", "x", HTTP_CHUNK_EXT_MAX), ERR_MORE);
    assert_int_equal(flood("1;", "x", HTTP_CHUNK_EXT_MAX + 1), ERR_LIMIT);
    assert_int_equal(flood("", "1;0123456789\r\nx\r\n", 10 * HTTP_CHUNK_EXT_MAX), ERR_MORE);
    assert_int_equal(flood("0\r\nX:", "y", HTTP_TRAILER_MAX - 2), ERR_MORE);
    assert_int_equal(flood("0\r\nX:", "y", HTTP_TRAILER_MAX - 1), ERR_LIMIT);
    assert_int_equal(flood("0\r\n", "X:\r\n", HTTP_TRAILER_FIELDS_MAX), ERR_MORE);
    assert_int_equal(flood("0\r\n", "X:\r\n", HTTP_TRAILER_FIELDS_MAX + 1), ERR_LIMIT);
}

static void test_over(void **state)
{
    static const char *const ended[] = {"0\r\n\r\n", "z"};

    for (size_t i = 0; i < 2; i++) {
        struct http_chunk chunk;
        struct http_chunk_event event;
        size_t used;

        http_chunk_init(&chunk);
        http_chunk_next(&chunk, ended[i], strlen(ended[i]), &used, &event);
        assert_int_equal(http_chunk_next(&chunk, "5\r\n", 3, &used, &event), ERR_NOTNOW);
        assert_int_equal(used, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_bad_trailers),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
