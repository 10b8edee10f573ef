#include "base/mem.h"
#include "cli/demo_chat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define TOKEN(text) "data: {\"choices\":[{\"delta\":{\"content\":\"" text "\"}}]}\n\n"
#define ROLE        "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n"
#define FINISH      "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define DONE        "data: [DONE]\n\n"

/* Tokens as they came, each in brackets. */
struct seen {
    char text[512];
    size_t len;
};

static void note(void *ctx, const char *text)
{
    struct seen *s = ctx;

    s->len += (size_t)snprintf(s->text + s->len, sizeof(s->text) - s->len, "[%s]", text);
    assert_true(s->len < sizeof(s->text));
}

static const struct {
    const char *stream;
    const char *tokens;
    bool done;
    const char *why;
} streams[] = {
    {ROLE TOKEN("a ") TOKEN("b") FINISH DONE, "[a ][b]", true, NULL},
    {TOKEN("a") FINISH, "[a]", false, NULL},
    {"", "", false, NULL},
    {DONE, "", true, NULL},
    {"data:[DONE]\r\n\r\n", "", true, NULL},
    {"data: [DONE", "", false, NULL},
    {"data: [DONE]", "", false, NULL}, /* a line ends with its line feed */
    {": comment\nevent: message\nid: 7\n" TOKEN("a") DONE, "[a]", true, NULL},
    {"data:    {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\r\n", "[x]", false, NULL},
    {TOKEN("\\u001b[31m\\n\\u007f"), "[ [31m  ]", false, NULL},
    {TOKEN("\xc3\xa4\xe2\x82\xac"), "[\xc3\xa4\xe2\x82\xac]", false, NULL},
    {"data: {\"choices\":[],\"usage\":{}}\n\n" DONE, "", true, NULL},
    {"data: {\"choices\":[{\"delta\":{\"content\":7}}]}\n\n" DONE, "", true, NULL},
    {"data: {}\n\ndata: []\n\n" DONE, "", true, NULL},
    {TOKEN("a") "data: {\"choices\"\n\n" TOKEN("b") DONE, "[a]", false,
     "an event of the stream is not JSON"},
    {"data: \xff\n\n" DONE, "", false, "an event of the stream is not JSON"},
    {"data:\n\n" DONE, "", false, "an event of the stream is not JSON"},
};

static void check(size_t i, size_t step)
{
    struct seen seen = {0};
    struct chat *c = mem_zalloc(sizeof(*c));
    const char *data = streams[i].stream;
    size_t len = strlen(data);

    chat_init(c, note, &seen);
    for (size_t at = 0; at < len; at += step)
        chat_feed(c, data + at, len - at < step ? len - at : step, 0, (unsigned)at);
    if (strcmp(seen.text, streams[i].tokens) != 0 || c->done != streams[i].done)
        fail_msg("stream %zu by %zu: %s, done %d", i, step, seen.text, c->done);
    if (streams[i].why == NULL)
        assert_null(c->why);
    else
        assert_string_equal(c->why, streams[i].why);
    mem_free(c);
}

static void test_streams_however_split(void **state)
{
    for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++)
        for (size_t step = 1; step <= 100; step++)
            check(i, step);
}

static void test_event_limit(void **state)
{
    static const char begin[] = "data: {\"choices\":[{\"delta\":{\"content\":\"";
    static const char end[] = "\"}}]}";
    static char pad[CHAT_EVENT_MAX];
    size_t fits = CHAT_EVENT_MAX - strlen(begin) - strlen(end);

    memset(pad, ' ', sizeof(pad));
    for (size_t extra = 0; extra < 2; extra++) {
        struct chat *c = mem_zalloc(sizeof(*c));
        struct seen seen = {0};

        chat_init(c, note, &seen);
        chat_feed(c, begin, strlen(begin), 0, 0);
        chat_feed(c, end, strlen(end) - 3, 0, 0); /* the text is empty; the rest is blanks */
        chat_feed(c, pad, fits + extra, 0, 0);
        chat_feed(c, end + strlen(end) - 3, 3, 0, 0);
        chat_feed(c, "\n" DONE, 1 + strlen(DONE), 0, 0);
        assert_int_equal(c->done, extra == 0);
        if (extra == 0)
            assert_null(c->why);
        else
            assert_string_equal(c->why, "an event of the stream is too long");
        mem_free(c);
    }
}

static void test_times(void **state)
{
    static const uint64_t at_us[] = {1000, 26000, 51000, 151000, 151000};
    static const unsigned read[] = {0, 1, 2, 4, 4}; /* the last two came together */
    struct chat *c = mem_zalloc(sizeof(*c));
    struct seen seen = {0};

    chat_init(c, note, &seen);
    assert_true(chat_rate(c) == 0);
    chat_feed(c, ROLE, strlen(ROLE), 1, 0); /* no token, so no time */
    for (size_t i = 0; i < sizeof(at_us) / sizeof(at_us[0]); i++) {
        chat_feed(c, TOKEN("x"), strlen(TOKEN("x")), at_us[i], read[i]);
        if (i == 0)
            assert_true(chat_rate(c) == 0);
    }
    chat_feed(c, FINISH DONE, strlen(FINISH DONE), 999999, 5);
    assert_int_equal(c->tokens, 5);
    assert_int_equal(c->glued, 1);
    assert_int_equal(c->first_us, 1000);
    assert_int_equal(c->last_us, 151000);
    assert_int_equal(c->longest_gap_us, 100000);
    assert_true(chat_rate(c) > 26.6 && chat_rate(c) < 26.7);
    mem_free(c);
}

static void test_whole_answers(void **state)
{
    static const struct {
        const char *json;
        const char *text; /* NULL: none */
        size_t tokens;
    } answers[] = {
        {"{\"choices\":[{\"message\":{\"content\":\"a\\tb\"}}],\"usage\":{\"completion_tokens\":8}"
         "}",
         "a b", 8},
        {"{\"choices\":[{\"message\":{\"content\":\"\"}}]}", "", 0},
        {"{\"choices\":[{\"message\":{}}],\"usage\":{\"completion_tokens\":3}}", NULL, 3},
        {"{\"choices\":[]}", NULL, 0},
        {"[1]", NULL, 0},
        {"{\"choices\"", NULL, 0},
        {"", NULL, 0},
    };

    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        size_t tokens = 99;
        char *text = chat_whole(answers[i].json, strlen(answers[i].json), &tokens);

        if (answers[i].text == NULL)
            assert_null(text);
        else
            assert_string_equal(text, answers[i].text);
        assert_int_equal(tokens, answers[i].tokens);
        mem_free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams_however_split),
        cmocka_unit_test(test_event_limit),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_whole_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
