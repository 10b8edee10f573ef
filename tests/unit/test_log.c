/* What an operator reads: whole lines, and none that a peer wrote. */
#include "base/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#define SIZED(text) (text), sizeof(text) - 1

enum { LINE_LONGEST = 2048 };

/* ---- what peers sent ------------------------------------------------------------------------- */

static const struct {
    const char *text;
    size_t len;
    size_t size; /* of the buffer */
    const char *out;
} safe[] = {
    {SIZED(""), 16, ""},
    {SIZED(""), 1, ""},
    {SIZED("plain text 0~"), 64, "plain text 0~"},
    {SIZED("a\nb"), 64, "a\\x0ab"},
    {SIZED("a\r\nERROR forged"), 64, "a\\x0d\\x0aERROR forged"},
    {SIZED("\x1b[31mred\x1b[0m"), 64, "\\x1b[31mred\\x1b[0m"},
    {SIZED("\0x"), 64, "\\x00x"},
    {SIZED("tab\there"), 64, "tab\\x09here"},
    {SIZED("\x7f\x80\xff"), 64, "\\x7f\\x80\\xff"},
    {SIZED("\xc3\xa9"), 64, "\\xc3\\xa9"},
    {SIZED("\xc2\x9b\x33\x31m"), 64, "\\xc2\\x9b31m"}, /* CSI as one C1 character */
    {SIZED("\xe2\x80\xae"), 64, "\\xe2\\x80\\xae"},    /* right-to-left override */
    {SIZED("%s%n"), 64, "%s%n"},
    {SIZED("0123456789abcdef"), 16, "0123456789ab..."},
    {SIZED("0123456789abcdefg"), 32, "0123456789abcdefg"},
    {SIZED("\n\n\n\n\n"), 16, "\\x0a\\x0a\\x0a..."},
    {SIZED("abc\n\n\n"), 16, "abc\\x0a\\x0a..."},
};

static void test_safe(void **state)
{
    for (size_t i = 0; i < sizeof(safe) / sizeof(safe[0]); i++) {
        char out[80];

        memset(out, '#', sizeof(out));
        assert_ptr_equal(log_safe(out, safe[i].size, safe[i].text, safe[i].len), out);
        assert_string_equal(out, safe[i].out);
        for (size_t n = safe[i].size; n < sizeof(out); n++)
            assert_int_equal(out[n], '#');
    }
}

static void test_safe_every_byte(void **state)
{
    for (int c = 0; c < 256; c++) {
        const char text = (char)c;
        char want[8];
        char out[16];

        log_safe(out, sizeof(out), &text, 1);
        if (c >= ' ' && c <= '~')
            snprintf(want, sizeof(want), "%c", c);
        else
            snprintf(want, sizeof(want), "\\x%02x", (unsigned)c);
        assert_string_equal(out, want);
    }
}

/* ---- lines ----------------------------------------------------------------------------------- */

struct sheet {
    int fd[2];
    char text[16 * 1024];
};

static void begin(struct sheet *s)
{
    assert_int_equal(pipe(s->fd), 0);
}

/* What was written; the log is done. */
static const char *end(struct sheet *s, struct log *log)
{
    ssize_t n;

    log_free(log);
    close(s->fd[1]);
    n = read(s->fd[0], s->text, sizeof(s->text) - 1);
    assert_true(n >= 0);
    s->text[n] = '\0';
    assert_int_equal(strlen(s->text), n);
    close(s->fd[0]);
    return s->text;
}

static size_t lines_in(const char *text)
{
    size_t n = 0;

    for (; *text != '\0'; text++)
        n += *text == '\n';
    return n;
}

static void test_line(void **state)
{
    unsigned year, month, day, hour, minute, second, milli;
    struct sheet s;
    struct log *log;
    const char *text;
    int used = 0;

    begin(&s);
    log = log_new(s.fd[1], "frpc", LOG_INFO, LOG_TEXT);
    log_warn(log, "%s %d", "answer", 42);
    text = end(&s, log);
    assert_int_equal(sscanf(text, "%4u-%2u-%2u %2u:%2u:%2u.%3u %n", &year, &month, &day, &hour,
                            &minute, &second, &milli, &used),
                     7);
    assert_string_equal(text + used, "[W] [frpc] answer 42\n");
}

static void test_levels(void **state)
{
    static const char *const want[] = {"TDIWE", "DIWE", "IWE", "WE", "E", ""};

    for (int level = LOG_TRACE; level <= LOG_SILENT; level++) {
        char seen[8] = "";
        struct sheet s;
        struct log *log;
        const char *text;

        begin(&s);
        log = log_new(s.fd[1], "t", (enum log_level)level, LOG_TEXT);
        log_write(log, LOG_TRACE, "x");
        log_debug(log, "x");
        log_info(log, "x");
        log_warn(log, "x");
        log_error(log, "x");
        log_write(log, LOG_SILENT, "never");
        text = end(&s, log);
        for (size_t n = 0; (text = strstr(text, " [")) != NULL; text += 5)
            if (text[3] == ']' && text[2] != 't')
                seen[n++] = text[2];
        assert_string_equal(seen, want[level]);
        assert_null(strstr(s.text, "never"));
        assert_int_equal(lines_in(s.text), strlen(want[level]));
    }
}

static void test_child_and_null(void **state)
{
    struct sheet s;
    struct log *log;
    struct log *child;

    begin(&s);
    log = log_new(s.fd[1], "parent", LOG_WARN, LOG_TEXT);
    child = log_child(log, "child");
    log_info(child, "below the level");
    log_error(child, "told");
    log_free(child);
    assert_non_null(strstr(end(&s, log), "[E] [child] told\n"));
    assert_int_equal(lines_in(s.text), 1);
    assert_null(log_child(NULL, "x"));
    log_error(NULL, "nowhere");
    log_free(NULL);
}

/* Whatever a peer sends, one call writes one line. */
static void test_no_line_is_forged(void **state)
{
    uint32_t random = 7;

    for (unsigned round = 0; round < 200; round++) {
        char hostile[3000];
        char shown[2600];
        struct sheet s;
        struct log *log;
        size_t len = (round * 37) % sizeof(hostile);

        for (size_t i = 0; i < len; i++) {
            random = random * 1664525 + 1013904223;
            hostile[i] = random & 0x10000 ? '\n' : (char)(random >> 24);
        }
        begin(&s);
        log = log_new(s.fd[1], "frps", LOG_INFO, LOG_TEXT);
        log_info(log, "peer says: %s", log_safe(shown, sizeof(shown), hostile, len));
        end(&s, log);
        assert_int_equal(lines_in(s.text), 1);
        assert_int_equal(s.text[strlen(s.text) - 1], '\n');
        for (const char *p = s.text; *p != '\n'; p++)
            assert_in_range(*p, ' ', '~');
    }
}

static void test_long_lines_are_cut(void **state)
{
    static char long_text[3 * LINE_LONGEST];

    memset(long_text, 'y', sizeof(long_text) - 1);
    for (size_t len = LINE_LONGEST - 100; len < sizeof(long_text); len += len < 2100 ? 1 : 997) {
        struct sheet s;
        struct log *log;

        begin(&s);
        log = log_new(s.fd[1], "t", LOG_INFO, LOG_TEXT);
        log_info(log, "%.*s", (int)len, long_text);
        log_info(log, "next");
        end(&s, log);
        assert_int_equal(lines_in(s.text), 2);
        assert_true(strcspn(s.text, "\n") < LINE_LONGEST);
        assert_true(strcspn(s.text, "\n") > LINE_LONGEST - 110);
        assert_non_null(strstr(s.text, "y\n"));
        assert_non_null(strstr(s.text, "[t] next\n"));
    }
}

/* A log that cannot be written stops nothing. */
static void test_closed_descriptor(void **state)
{
    struct log *log = log_new(-1, "t", LOG_INFO, LOG_TEXT);

    log_info(log, "lost");
    log_free(log);
}

static void test_level_names(void **state)
{
    static const struct {
        const char *text;
        int level;
    } rows[] = {
        {"trace", LOG_TRACE}, {"debug", LOG_DEBUG}, {"info", LOG_INFO}, {"warn", LOG_WARN},
        {"error", LOG_ERROR}, {"ERROR", LOG_ERROR}, {"Info", LOG_INFO}, {"", -1},
        {"silent", -1},       {"warning", -1},      {" info", -1},      {"inf", -1},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(log_level_parse(rows[i].text), rows[i].level);
}

static void test_safe_in_tiny_buffers(void **state)
{
    char out[LOG_SAFE_MIN + 1];

    for (size_t size = 0; size <= LOG_SAFE_MIN; size++) {
        memset(out, '#', sizeof(out));
        log_safe(out, size, "\x1b[31m", 5);
        assert_true(size == 0 || memchr(out, '\0', size) != NULL);
        assert_int_equal(out[size], '#');
    }
}

/* Lines that somebody else forms begin as ours do, and are wanted when ours are. */
static void test_head_and_put(void **state)
{
    struct sheet s;
    struct log *log;
    char line[LOG_HEAD_MAX + 8];
    size_t len;

    begin(&s);
    log = log_new(s.fd[1], "gateway", LOG_INFO, LOG_TEXT);
    assert_int_equal(log_head(log, LOG_DEBUG, line), 0);
    assert_int_equal(log_head(NULL, LOG_ERROR, line), 0);
    len = log_head(log, LOG_INFO, line);
    assert_in_range(len, 1, LOG_HEAD_MAX);
    memcpy(line + len, "text\n", 5);
    log_put(log, line, len + 5);
    log_put(NULL, line, len + 5);
    assert_non_null(strstr(end(&s, log), " [I] [gateway] text\n"));
}

/* A pipe that is full and does not wait: what is missing is said where it is missing. */
static void test_lost_lines_are_counted(void **state)
{
    struct log *log;
    char drain[4096];
    char text[8192];
    ssize_t n;
    int ends[2];

    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    log = log_new(ends[1], "full", LOG_INFO, LOG_TEXT);
    while (write(ends[1], "filler filler f\n", 16) == 16)
        ;
    log_info(log, "one");
    log_put(log, "two\nthree\n", 10);
    while (read(ends[0], drain, sizeof(drain)) > 0)
        ;
    log_info(log, "four");
    log_info(log, "five");
    n = read(ends[0], text, sizeof(text) - 1);
    assert_true(n > 0);
    text[n] = '\0';
    assert_non_null(strstr(text, "[W] [full] 3 lines are missing here: nobody read the log\n"));
    assert_null(strstr(text, "three"));
    assert_true(strstr(text, "missing") < strstr(text, "four"));
    assert_true(strstr(text, "four") < strstr(text, "five"));
    assert_null(strstr(strstr(text, "four"), "missing"));
    log_free(log);
    close(ends[0]);
    close(ends[1]);
}

/* ---- for programs ---------------------------------------------------------------------------- */

static const char *member(const json_t *line, const char *name)
{
    const char *text = json_string_value(json_object_get(line, name));

    assert_non_null(text);
    return text;
}

/* One whole line at *text, which is moved behind it. */
static json_t *next_object(const char **text)
{
    size_t len = strcspn(*text, "\n");
    json_error_t why;
    json_t *line = json_loadb(*text, len, JSON_REJECT_DUPLICATES, &why);

    if (line == NULL)
        fail_msg("%s in %.*s", why.text, (int)len, *text);
    assert_int_equal((*text)[len], '\n');
    *text += len + 1;
    return line;
}

static void test_json_line(void **state)
{
    unsigned year, month, day, hour, minute, second, milli;
    struct sheet s;
    struct log *log;
    struct log *child;
    const char *text;
    const char *time_said;
    json_t *line;
    int used = 0;

    begin(&s);
    log = log_new(s.fd[1], "frpc", LOG_INFO, LOG_JSON);
    child = log_child(log, "gateway");
    assert_int_equal(log_format(child), LOG_JSON);
    log_debug(log, "not wanted");
    log_warn(log, "Writing \"%s\"", "C:\\frpc.ini");
    log_error(child, "second");
    log_free(child);
    text = end(&s, log);
    line = next_object(&text);
    time_said = member(line, "time");
    assert_int_equal(sscanf(time_said, "%4u-%2u-%2uT%2u:%2u:%2u.%3uZ%n", &year, &month, &day, &hour,
                            &minute, &second, &milli, &used),
                     7);
    assert_int_equal(used, strlen(time_said));
    assert_string_equal(member(line, "level"), "warn");
    assert_string_equal(member(line, "tag"), "frpc");
    assert_string_equal(member(line, "text"), "Writing \"C:\\frpc.ini\"");
    assert_int_equal(json_object_size(line), 4);
    json_decref(line);
    line = next_object(&text);
    assert_string_equal(member(line, "level"), "error");
    assert_string_equal(member(line, "tag"), "gateway");
    assert_string_equal(text, "");
    json_decref(line);
}

/* Text of any bytes: one line, one object, and no line too long for one piece of a pipe. */
static void test_json_of_any_bytes(void **state)
{
    uint32_t random = 11;

    for (unsigned round = 0; round < 600; round++) {
        char hostile[3000];
        struct sheet s;
        struct log *log;
        const char *text;
        json_t *line;
        size_t len = round * 5;

        for (size_t i = 0; i < len; i++) {
            random = random * 1664525 + 1013904223;
            hostile[i] = round % 3 == 0   ? (char)(random >> 24 | 1)
                         : round % 3 == 1 ? "\"\\\n\x1b"[random >> 30]
                                          : "\xe2\x82\xac\x01"[i % 4];
            if (hostile[i] == '\0')
                hostile[i] = '\\';
        }
        hostile[len] = '\0';
        begin(&s);
        log = log_new(s.fd[1], "frps", LOG_INFO, LOG_JSON);
        log_info(log, "%s", hostile);
        text = end(&s, log);
        assert_true(strlen(text) <= 4096);
        line = next_object(&text);
        assert_string_equal(text, "");
        if (round % 3 == 1 && len < 600)
            assert_string_equal(member(line, "text"), hostile);
        json_decref(line);
    }
}

static void test_json_heads(void **state)
{
    struct sheet s;
    struct log *log;
    const char *text;
    char out[LOG_HEAD_MAX + 16];
    json_t *line;
    size_t len;

    begin(&s);
    log = log_new(s.fd[1], "a-tag-that-is-longer-than-tags-may-be", LOG_INFO, LOG_JSON);
    len = log_head(log, LOG_ERROR, out);
    assert_in_range(len, 1, LOG_HEAD_MAX);
    memcpy(out + len, "x\",\"n\":1}\n", 10);
    log_put(log, out, len + 10);
    text = end(&s, log);
    line = next_object(&text);
    assert_int_equal(json_integer_value(json_object_get(line, "n")), 1);
    assert_string_equal(member(line, "text"), "x");
    assert_int_equal(strlen(member(line, "tag")), LOG_TAG_MAX);
    json_decref(line);
}

static void test_json_lost_lines(void **state)
{
    char drain[4096];
    char text[8192];
    const char *at = text;
    struct log *log;
    json_t *line;
    ssize_t n;
    int ends[2];

    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    log = log_new(ends[1], "full", LOG_INFO, LOG_JSON);
    while (write(ends[1], "filler filler f\n", 16) == 16)
        ;
    log_info(log, "one");
    while (read(ends[0], drain, sizeof(drain)) > 0)
        ;
    log_info(log, "two");
    n = read(ends[0], text, sizeof(text) - 1);
    assert_true(n > 0);
    text[n] = '\0';
    line = next_object(&at);
    assert_string_equal(member(line, "text"), "1 lines are missing here: nobody read the log");
    assert_string_equal(member(line, "level"), "warn");
    json_decref(line);
    line = next_object(&at);
    assert_string_equal(member(line, "text"), "two");
    assert_string_equal(at, "");
    json_decref(line);
    log_free(log);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head_and_put),
        cmocka_unit_test(test_json_line),
        cmocka_unit_test(test_json_of_any_bytes),
        cmocka_unit_test(test_json_heads),
        cmocka_unit_test(test_json_lost_lines),
        cmocka_unit_test(test_safe_in_tiny_buffers),
        cmocka_unit_test(test_safe),
        cmocka_unit_test(test_safe_every_byte),
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_child_and_null),
        cmocka_unit_test(test_no_line_is_forged),
        cmocka_unit_test(test_long_lines_are_cut),
        cmocka_unit_test(test_closed_descriptor),
        cmocka_unit_test(test_lost_lines_are_counted),
        cmocka_unit_test(test_level_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
