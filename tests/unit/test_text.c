#include "base/human.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define SIZED(text) (text), sizeof(text) - 1

static const struct {
    const char *text;
    size_t len;
    uint64_t max;
    bool good;
    uint64_t value;
} numbers[] = {
    {SIZED("0"), 0, true, 0},
    {SIZED("1"), 0, false, 0},
    {SIZED("00"), 0, true, 0},
    {SIZED("7"), 9, true, 7},
    {SIZED("7"), 7, true, 7},
    {SIZED("7"), 6, false, 0},
    {SIZED("007"), 9, true, 7},
    {SIZED("0999"), 9999, true, 999}, /* leading zeros are not octal */
    {SIZED("65535"), 65535, true, 65535},
    {SIZED("65536"), 65535, false, 0},
    {SIZED("655350"), 65535, false, 0},
    {SIZED("15"), 14, false, 0},
    {SIZED("14"), 14, true, 14},
    {SIZED("18446744073709551615"), UINT64_MAX, true, UINT64_MAX},
    {SIZED("18446744073709551616"), UINT64_MAX, false, 0},
    {SIZED("18446744073709551625"), UINT64_MAX, false, 0},
    {SIZED("99999999999999999999999999"), UINT64_MAX, false, 0},
    {SIZED("000000000000000000000000000000001"), UINT64_MAX, true, 1},
    {SIZED(""), UINT64_MAX, false, 0},
    {SIZED("+1"), 9, false, 0},
    {SIZED("-1"), 9, false, 0},
    {SIZED(" 1"), 9, false, 0},
    {SIZED("1 "), 9, false, 0},
    {SIZED("1\n"), 9, false, 0},
    {SIZED("1\0"), 9, false, 0},
    {SIZED("0x1"), 9, false, 0},
    {SIZED("1e3"), 9999, false, 0},
    {SIZED("1."), 9, false, 0},
    {SIZED("/"), 9, false, 0},
    {SIZED(":"), 99, false, 0},
    {SIZED("\xb1"), UINT64_MAX, false, 0},
    {SIZED("\xff"), UINT64_MAX, false, 0},
    {"12", 1, 99, true, 1}, /* only what was given, no terminator needed */
};

static void test_uint(void **state)
{
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        uint64_t value = 4711;
        bool good = text_uint(numbers[i].text, numbers[i].len, numbers[i].max, &value);

        if (good != numbers[i].good || value != (good ? numbers[i].value : 4711))
            fail_msg("row %zu, \"%s\": %d, %llu", i, numbers[i].text, good,
                     (unsigned long long)value);
    }
}

static void test_hex(void **state)
{
    char out[16];

    memset(out, '#', sizeof(out));
    text_hex(out, (const uint8_t *)"", 0);
    assert_memory_equal(out, "\0#", 2);
    text_hex(out, (const uint8_t *)"\x00\x0f\x9a\xff\x10", 5);
    assert_memory_equal(out, "000f9aff10\0#", 12);
}

static const struct {
    const char *a;
    size_t a_len;
    const char *b;
    size_t b_len;
    bool equal;
} pairs[] = {
    {SIZED(""), SIZED(""), true},
    {SIZED("a"), SIZED(""), false},
    {SIZED(""), SIZED("a"), false},
    {SIZED("secret"), SIZED("secret"), true},
    {SIZED("secret"), SIZED("Secret"), false},
    {SIZED("secret"), SIZED("secreT"), false},
    {SIZED("secret"), SIZED("secre"), false},
    {SIZED("secre"), SIZED("secret"), false},
    {SIZED("a\0b"), SIZED("a\0c"), false},
    {SIZED("a\0b"), SIZED("a\0b"), true},
    {SIZED("\x80"), SIZED("\x00"), false},
    {SIZED("\xff\xff"), SIZED("\xff\xff"), true},
    {SIZED("\x01\x02"), SIZED("\x02\x01"), false},
};

static void test_equal_secret(void **state)
{
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        if (text_equal_secret(pairs[i].a, pairs[i].a_len, pairs[i].b, pairs[i].b_len) !=
            pairs[i].equal)
            fail_msg("row %zu", i);
}

static void test_put_uint(void **state)
{
    static const struct {
        uint64_t value;
        const char *text;
    } rows[] = {
        {0, "0"}, {9, "9"}, {10, "10"}, {4096, "4096"}, {UINT64_MAX, "18446744073709551615"}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[TEXT_UINT_MAX];
        size_t len = text_put_uint(out, rows[i].value);

        assert_int_equal(len, strlen(rows[i].text));
        assert_memory_equal(out, rows[i].text, len);
    }
}

static void test_utf8_len(void **state)
{
    static const struct {
        const char *text;
        size_t len;
        size_t want;
    } rows[] = {
        {SIZED(""), 0},
        {SIZED("a"), 1},
        {SIZED("\0"), 1},
        {SIZED("\x80"), 0},
        {SIZED("\xc3\xa9x"), 2},
        {SIZED("\xc3"), 0},
        {SIZED("\xc1\xbf"), 0},     /* overlong */
        {SIZED("\xe0\x9f\xbf"), 0}, /* overlong */
        {SIZED("\xe2\x82\xac"), 3},
        {SIZED("\xe2\x82"), 0},
        {SIZED("\xed\xa0\x80"), 0}, /* a surrogate */
        {SIZED("\xf0\x9f\x92\xa9"), 4},
        {SIZED("\xf4\x90\x80\x80"), 0}, /* above U+10FFFF */
        {SIZED("\xff\xff\xff\xff"), 0},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(text_utf8_len((const uint8_t *)rows[i].text, rows[i].len), rows[i].want);
}

static void test_put_json(void **state)
{
    static const struct {
        const char *text;
        size_t len;
        size_t size; /* of the buffer */
        const char *out;
    } rows[] = {
        {SIZED(""), 0, ""},
        {SIZED("plain"), 5, "plain"},
        {SIZED("plain"), 4, "plai"},
        {SIZED("a\"b\\c/"), 16, "a\\\"b\\\\c/"},
        {SIZED("\0\n\t\x1f\x7f"), 32, "\\u0000\\u000a\\u0009\\u001f\\u007f"},
        {SIZED("\x80\xc3\xa9\xff"), 16, "\\ufffd\xc3\xa9\\ufffd"},
        {SIZED("\xe2\x82"), 16, "\\ufffd\\ufffd"},
        {SIZED("ab\""), 3, "ab"}, /* no half escapes */
        {SIZED("ab\n"), 7, "ab"},
        {SIZED("ab\n"), 8, "ab\\u000a"},
        {SIZED("a\xc3\xa9"), 2, "a"}, /* no half characters */
        {SIZED("a\xc3\xa9"), 3, "a\xc3\xa9"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[40];
        size_t len;

        memset(out, '#', sizeof(out));
        len = text_put_json(out, rows[i].size, rows[i].text, rows[i].len);
        assert_int_equal(len, strlen(rows[i].out));
        assert_memory_equal(out, rows[i].out, len);
        assert_int_equal(out[len], '#');
    }
}

static void numbers_for_people(void **state)
{
    static const struct {
        uint64_t value;
        const char *bytes;
        const char *seconds;
    } rows[] = {
        {0, "0 B", "0 s"},
        {99, "99 B", "99 s"},
        {100, "100 B", "2 min"},
        {1023, "1023 B", "17 min"},
        {1024, "1.00 KiB", "17 min"},
        {5999, "5.86 KiB", "100 min"},
        {6000, "5.86 KiB", "1.7 h"},
        {10234, "9.99 KiB", "2.8 h"},
        {10239, "10.0 KiB", "2.8 h"},
        {102348, "99.9 KiB", "28.4 h"},
        {172799, "169 KiB", "48.0 h"},
        {172800, "169 KiB", "2 d"},
        {1023487, "999 KiB", "12 d"},
        {1023489, "0.98 MiB", "12 d"},
        {UINT64_C(33822867456), "31.5 GiB", "391468 d"},
        {UINT64_MAX, "16.0 EiB", "for ever"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[HUMAN_MAX];

        assert_string_equal(human_bytes(text, rows[i].value), rows[i].bytes);
        assert_string_equal(human_seconds(text, rows[i].value), rows[i].seconds);
    }
}

static void ages_for_people(void **state)
{
    static const struct {
        uint64_t value;
        const char *age;
        const char *ms;
        const char *count;
    } rows[] = {
        {0, "less than 1 s", "0.00 ms", "0"},
        {59, "59 s", "59.0 ms", "59"},
        {60, "1 m 0 s", "60.0 ms", "60"},
        {192, "3 m 12 s", "192 ms", "192"},
        {999, "16 m 39 s", "999 ms", "999"},
        {1000, "16 m 40 s", "1.0 s", "1,000"},
        {3599, "59 m 59 s", "3.6 s", "3,599"},
        {3600, "1 h 0 m", "3.6 s", "3,600"},
        {86399, "23 h 59 m", "1 m 26 s", "86,399"},
        {90000, "1 d 1 h", "1 m 30 s", "90,000"},
        {1234567, "14 d 6 h", "20 m 35 s", "1,234,567"},
        {UINT64_MAX, "213503982334601 d 7 h", NULL, "18,446,744,073,709,551,615"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[HUMAN_MAX];

        assert_string_equal(human_age(text, rows[i].value), rows[i].age);
        assert_string_equal(human_count(text, rows[i].value), rows[i].count);
        if (rows[i].ms != NULL)
            assert_string_equal(human_ms(text, (double)rows[i].value), rows[i].ms);
    }
}

static void test_host_port(void **state)
{
    char out[TEXT_HOST_PORT];
    char longest[400];

    memset(longest, 'a', sizeof(longest));
    longest[253] = '\0';
    assert_string_equal(text_host_port(out, "frp.example.org", 7000), "frp.example.org:7000");
    assert_string_equal(text_host_port(out, "::1", 65535), "[::1]:65535");
    assert_string_equal(text_host_port(out, longest, 65535) + 253, ":65535");
    longest[253] = ':';
    longest[399] = '\0';
    assert_string_equal(text_host_port(out, longest, 65535) + 254, "]:65535");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_for_people), cmocka_unit_test(test_put_uint),
        cmocka_unit_test(test_uint),          cmocka_unit_test(test_host_port),
        cmocka_unit_test(test_utf8_len),      cmocka_unit_test(test_put_json),
        cmocka_unit_test(test_hex),           cmocka_unit_test(test_equal_secret),
        cmocka_unit_test(ages_for_people),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
