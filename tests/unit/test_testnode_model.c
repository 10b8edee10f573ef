#include "base/err.h"
#include "testnode/answer.h"
#include "testnode/route.h"
#include "testnode/weights.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct ask_defaults defaults = {.rate = 40, .tokens = 3};

static void test_life(void **state)
{
    struct model m;

    assert_int_equal(model_init(&m, "a/b", 1000), 0);
    assert_string_equal(model_state(&m), "STOPPED");
    assert_string_equal(model_load_name(m.load), "not_started");
    assert_false(model_down(&m, 1));

    assert_int_equal(model_up(&m, "c/d", false, 5000), 0);
    assert_string_equal(model_state(&m), "STOPPED");
    assert_string_equal(model_load_name(m.load), "in_progress");
    assert_int_equal(model_up(&m, "e", false, 5001), ERR_NOTNOW);
    assert_string_equal(m.name, "c/d");
    assert_int_equal(model_remaining(&m, 5400), 600);
    assert_false(model_tick(&m, 5999));
    assert_true(model_elapsed_s(&m, 5500) == 0.5);
    assert_true(model_tick(&m, 6000));
    assert_true(m.running);
    assert_string_equal(model_state(&m), "INFERENCE");
    assert_string_equal(model_load_name(m.load), "completed");
    assert_true(model_elapsed_s(&m, 9000) == 1);
    assert_false(model_tick(&m, 7000));
    assert_int_equal(model_up(&m, "e", false, 7000), ERR_NOTNOW);

    assert_string_equal(model_poc(&m), "IDLE");
    assert_true(model_generate(&m, true));
    assert_string_equal(model_poc(&m), "GENERATING");
    assert_string_equal(model_state(&m), "INFERENCE");

    assert_true(model_down(&m, 8000));
    assert_string_equal(model_state(&m), "STOPPED");
    assert_string_equal(model_poc(&m), "NO_BACKENDS");
    assert_false(model_generate(&m, true));
    assert_int_equal(model_up(&m, NULL, false, 9000), 0);
    assert_string_equal(m.name, "c/d");
}

static void test_ends(void **state)
{
    char name[MODEL_NAME_MAX + 2];
    struct model m;

    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(model_init(&m, name, 0), ERR_LIMIT);
    assert_int_equal(model_init(&m, "", 0), ERR_LIMIT);
    name[sizeof(name) - 2] = '\0';
    assert_int_equal(model_init(&m, name, 10), 0);

    assert_int_equal(model_up(&m, "a", false, 0), 0);
    assert_true(model_down(&m, 4));
    assert_string_equal(model_load_name(m.load), "cancelled");
    assert_false(model_tick(&m, 20));
    assert_false(m.running);

    assert_int_equal(model_up(&m, "a", true, 100), 0);
    assert_true(model_tick(&m, 110));
    assert_false(m.running);
    assert_string_equal(model_load_name(m.load), "failed");
    assert_int_equal(model_up(&m, "a", false, 200), 0);
    assert_true(model_tick(&m, 210));
    assert_true(m.running);
    model_fail(&m);
    assert_string_equal(model_state(&m), "STOPPED");

    model_init(&m, "a", 10);
    model_started(&m);
    assert_int_equal(model_up(&m, "a", false, 0), ERR_NOTNOW);
}

static void test_weights(void **state)
{
    struct weights w = {.delay_ms = 100};
    char name[MODEL_NAME_MAX + 2];
    uint64_t elapsed = 0;

    assert_int_equal(weights_status(&w, "a", 1000, NULL), WEIGHTS_NOT_FOUND);
    assert_int_equal(weights_download(&w, "a", 1000), 0);
    assert_int_equal(weights_download(&w, "a", 1099), ERR_EXISTS);
    assert_int_equal(weights_status(&w, "a", 1099, &elapsed), WEIGHTS_DOWNLOADING);
    assert_int_equal(elapsed, 99);
    assert_int_equal(weights_status(&w, "a", 1100, NULL), WEIGHTS_DOWNLOADED);
    assert_int_equal(weights_download(&w, "a", 1100), 0);
    assert_int_equal(weights_status(&w, "a", 1100, NULL), WEIGHTS_DOWNLOADED);
    for (int i = 0; i < WEIGHTS_DOWNLOADS; i++)
        assert_int_equal(weights_download(&w, (char[]){(char)('b' + i), 0}, 2000), 0);
    assert_int_equal(weights_download(&w, "e", 2050), ERR_LIMIT);
    assert_int_equal(weights_download(&w, "e", 2100), 0);
    assert_int_equal(weights_delete(&w, "e", 2101), WEIGHTS_DOWNLOADING);
    assert_int_equal(weights_status(&w, "e", 2101, NULL), WEIGHTS_NOT_FOUND);
    assert_int_equal(weights_delete(&w, "b", 2101), WEIGHTS_DOWNLOADED);
    assert_int_equal(weights_delete(&w, "b", 2101), WEIGHTS_NOT_FOUND);
    assert_int_equal(weights_status(&w, "c", 2101, NULL), WEIGHTS_DOWNLOADED);
    memset(name, 'x', sizeof(name));
    name[MODEL_NAME_MAX + 1] = '\0';
    assert_int_equal(weights_download(&w, name, 3000), ERR_SYNTAX);
    assert_int_equal(weights_download(&w, "", 3000), ERR_SYNTAX);
    for (int i = 0; i < 100; i++) { /* a place for each is not promised */
        snprintf(name, sizeof(name), "m%d", i);
        weights_download(&w, name, 4000 + (uint64_t)i * 1000);
        assert_true(w.n <= WEIGHTS_MAX);
    }
}

static struct http_slice slice(const char *text)
{
    return (struct http_slice){text, strlen(text)};
}

static void test_routes(void **state)
{
    static const struct {
        enum node_port port;
        const char *method;
        const char *target;
        enum node_route route;
        int status;
        bool engine;
    } rows[] = {
        {NODE_INFERENCE, "POST", "/v1/chat/completions", ROUTE_CHAT, 0, true},
        {NODE_INFERENCE, "POST", "/v1/completions?x=1", ROUTE_COMPLETION, 0, true},
        {NODE_INFERENCE, "GET", "/v1/models", ROUTE_MODELS, 0, true},
        {NODE_INFERENCE, "GET", "/health", ROUTE_ENGINE_HEALTH, 0, true},
        {NODE_INFERENCE, "POST", "/tokenize", ROUTE_TOKENIZE, 0, true},
        {NODE_INFERENCE, "GET", "/api/v1/state", ROUTE_NONE, 404, true},
        {NODE_INFERENCE, "HEAD", "/v1/models", ROUTE_NONE, 405, true},
        {NODE_INFERENCE, "POST", "/v1/models/", ROUTE_NONE, 404, true},
        {NODE_MANAGEMENT, "POST", "/v1/chat/completions", ROUTE_CHAT, 0, true},
        {NODE_MANAGEMENT, "GET", "/v1/nothing", ROUTE_NONE, 404, true},
        {NODE_MANAGEMENT, "POST", "/tokenize", ROUTE_NONE, 404, false},
        {NODE_MANAGEMENT, "GET", "/health", ROUTE_HEALTH, 0, false},
        {NODE_MANAGEMENT, "GET", "/livez", ROUTE_HEALTH, 0, false},
        {NODE_MANAGEMENT, "GET", "/readyz", ROUTE_READY, 0, false},
        {NODE_MANAGEMENT, "GET", "/api/v1/state", ROUTE_STATE, 0, false},
        {NODE_MANAGEMENT, "get", "/api/v1/state", ROUTE_NONE, 405, false},
        {NODE_MANAGEMENT, "POST", "/api/v1/inference/up", ROUTE_UP, 0, false},
        {NODE_MANAGEMENT, "POST", "/api/v1/inference/up/async", ROUTE_UP_ASYNC, 0, false},
        {NODE_MANAGEMENT, "GET", "/api/v1/inference/up/status", ROUTE_UP_STATUS, 0, false},
        {NODE_MANAGEMENT, "POST", "/api/v1/inference/down", ROUTE_DOWN, 0, false},
        {NODE_MANAGEMENT, "POST", "/api/v1/stop", ROUTE_DOWN, 0, false},
        {NODE_MANAGEMENT, "GET", "/api/v1/stop", ROUTE_NONE, 405, false},
        {NODE_MANAGEMENT, "POST", "/api/v1/models/status", ROUTE_WEIGHTS, 0, false},
        {NODE_MANAGEMENT, "POST", "/api/v1/models/download", ROUTE_WEIGHTS_DOWNLOAD, 0, false},
        {NODE_MANAGEMENT, "DELETE", "/api/v1/models", ROUTE_WEIGHTS_DELETE, 0, false},
        {NODE_MANAGEMENT, "GET", "/api/v1/models", ROUTE_NONE, 405, false},
        {NODE_INFERENCE, "POST", "/api/v1/models/status", ROUTE_NONE, 404, true},
        {NODE_INFERENCE, "POST", "/mlgate-test/sink", ROUTE_SINK, 0, false},
        {NODE_MANAGEMENT, "GET", "/mlgate-test/source?bytes=1", ROUTE_SOURCE, 0, false},
        {NODE_MANAGEMENT, "GET", "/mlgate-test/engines", ROUTE_ENGINES, 0, false},
        {NODE_MANAGEMENT, "POST", "/mlgate-test/engine?port=1", ROUTE_ENGINE_CONTROL, 0, false},
        {NODE_MANAGEMENT, "GET", "/mlgate-test/engine", ROUTE_NONE, 405, false},
        {NODE_INFERENCE, "GET", "/mlgate-test/engines", ROUTE_NONE, 404, true},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct node_match m =
            route_find(rows[i].port, slice(rows[i].method), slice(rows[i].target));

        if (m.route != rows[i].route || m.status != rows[i].status || m.engine != rows[i].engine)
            fail_msg("%s %s gives %d %d %d", rows[i].method, rows[i].target, m.route, m.status,
                     m.engine);
        assert_int_equal(m.allow != NULL, m.status == 405);
    }
}

static void test_query(void **state)
{
    static const struct {
        const char *target;
        bool ok;
        uint64_t value;
    } rows[] = {
        {"/x?bytes=12", true, 12},  {"/x?a=1&bytes=0&b", true, 0}, {"/x?bytes=100", true, 100},
        {"/x?bytes=101", false, 0}, {"/x?bytes=", false, 0},       {"/x?bytes", false, 0},
        {"/x?nbytes=1", false, 0},  {"/x?bytes=1a", false, 0},     {"/x", false, 0},
        {"/x?", false, 0},          {"/x?&&bytes=7&", true, 7},    {"/x?bytesx=1", false, 0},
        {"/bytes=3", false, 0},     {"/x?bytes+7", false, 0},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t value = 0;

        if (route_query_uint(slice(rows[i].target), "bytes", 100, &value) != rows[i].ok ||
            value != rows[i].value)
            fail_msg("%s gives %llu", rows[i].target, (unsigned long long)value);
    }
}

static int parse(struct ask *ask, bool chat, const char *json)
{
    const char *why = NULL;
    int rc = ask_parse(ask, chat, json, strlen(json), &defaults, &why);

    if (rc)
        assert_non_null(why);
    return rc;
}

#define CHAT(more) "{\"messages\":[{\"role\":\"user\",\"content\":\"a b\"}]" more "}"

static void test_bad_asks(void **state)
{
    static const struct {
        bool chat;
        const char *json;
        int code;
    } rows[] = {
        {true, "", ERR_SYNTAX},
        {true, "{", ERR_SYNTAX},
        {true, CHAT("") "x", ERR_SYNTAX},
        {true, "[]", ERR_TYPE},
        {true, "{}", ERR_TYPE},
        {true, "{\"messages\":[]}", ERR_TYPE},
        {true, "{\"messages\":[\"a\"]}", ERR_TYPE},
        {true, "{\"messages\":[{},\"a\"]}", ERR_TYPE},
        {true, "{\"messages\":\"a\"}", ERR_TYPE},
        {false, CHAT(""), ERR_TYPE},
        {false, "{\"prompt\":1}", ERR_TYPE},
        {true, CHAT(",\"max_tokens\":0"), ERR_TYPE},
        {true, CHAT(",\"max_tokens\":-1"), ERR_TYPE},
        {true, CHAT(",\"max_tokens\":\"3\""), ERR_TYPE},
        {true, CHAT(",\"max_completion_tokens\":1.5"), ERR_TYPE},
        {true, CHAT(",\"mlgate_test\":{\"tokens\":1000001}"), ERR_TYPE},
        {true, CHAT(",\"mlgate_test\":{\"event_bytes\":1048577}"), ERR_TYPE},
        {true, CHAT(",\"mlgate_test\":{\"rate\":-1}"), ERR_TYPE},
        {true, CHAT(",\"mlgate_test\":{\"rate\":1e-300}"), ERR_TYPE},
        {true, CHAT(",\"mlgate_test\":{\"rate\":1e7}"), ERR_TYPE},
        {true, CHAT(",\"mlgate_test\":{\"rate\":\"1\"}"), ERR_TYPE},
        {true, CHAT(",\"mlgate_test\":{\"delay_ms\":3600001}"), ERR_TYPE},
    };
    struct ask ask;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (parse(&ask, rows[i].chat, rows[i].json) != rows[i].code)
            fail_msg("%s", rows[i].json);
}

static void test_asks(void **state)
{
    struct ask ask;

    assert_int_equal(parse(&ask, true, CHAT(",\"max_tokens\":null")), 0);
    assert_true(ask.rate == 40);
    assert_int_equal(ask.tokens, 3);
    assert_false(ask.cut || ask.stream || ask.stamp || ask.include_usage);

    assert_int_equal(parse(&ask, true, CHAT(",\"max_tokens\":3")), 0);
    assert_false(ask.cut);
    assert_int_equal(parse(&ask, true, CHAT(",\"max_completion_tokens\":2")), 0);
    assert_true(ask.cut);
    assert_int_equal(ask.tokens, 2);

    assert_int_equal(
        parse(&ask, true,
              CHAT(",\"stream\":true,\"stream_options\":{\"include_usage\":true},\"mlgate_test\":"
                   "{\"event_bytes\":99,\"tokens\":7,\"rate\":0,\"stamp\":true,\"delay_ms\":5}")),
        0);
    assert_true(ask.stream && ask.include_usage && ask.stamp && ask.rate == 0);
    assert_int_equal(ask.event_bytes, 99);
    assert_int_equal(ask.tokens, 7);
    assert_int_equal(ask.delay_ms, 5);
}

/* The prompt is the last message, in both shapes of content; words lose what JSON would escape. */
static void test_words(void **state)
{
    struct ask ask;

    assert_int_equal(parse(&ask, true,
                           "{\"messages\":[{\"content\":\"no\"},{\"content\":[{\"type\":\"text\","
                           "\"text\":\" one\\n\\\"two\\\" \"},{\"type\":\"image_url\"},"
                           "{\"text\":\"dr\xc3\xa9i ... \"}]}]}"),
                     0);
    assert_int_equal(ask.prompt_tokens, 4);
    assert_int_equal(ask.n_words, 3);
    assert_string_equal(ask.words[0], "one");
    assert_string_equal(ask.words[1], "two");
    assert_string_equal(ask.words[2], "dr\xc3\xa9i");

    /* 31 letters and a character of two bytes that would straddle the limit */
    assert_int_equal(
        parse(&ask, false, "{\"prompt\":[\"1234567890123456789012345678901\xc3\xa9\",\"b\"]}"), 0);
    assert_string_equal(ask.words[0], "1234567890123456789012345678901");
    assert_string_equal(ask.words[1], "b");
}

static json_t *event_json(const struct blob *event)
{
    json_t *root;

    assert_true(event->len > 8);
    assert_memory_equal(event->data, "data: ", 6);
    assert_memory_equal(event->data + event->len - 2, "\n\n", 2);
    assert_ptr_equal(memchr(event->data, '\n', event->len), event->data + event->len - 2);
    root = json_loadb(event->data + 6, event->len - 8, 0, NULL);
    assert_non_null(root);
    return root;
}

static void check_step(const struct answer *a, size_t step, const char *want)
{
    struct blob event = {0};
    struct blob got = {0};
    json_t *root;

    answer_event(a, step, 1234567, &event);
    root = event_json(&event);
    if (json_array_size(json_object_get(root, "choices")) > 0)
        blob_json(&got, json_array_get(json_object_get(root, "choices"), 0));
    else
        blob_json(&got, json_object_get(root, "usage"));
    blob_add(&got, "", 1);
    assert_string_equal(got.data, want);
    assert_string_equal(json_string_value(json_object_get(root, "id")), a->id);
    assert_string_equal(json_string_value(json_object_get(root, "model")), "m \"x\"");
    assert_int_equal(json_integer_value(json_object_get(root, "created")), 77);
    assert_string_equal(json_string_value(json_object_get(root, "object")),
                        a->ask->chat ? "chat.completion.chunk" : "text_completion");
    json_decref(root);
    blob_clear(&event);
    blob_clear(&got);
}

static void check_done(const struct answer *a, size_t step)
{
    struct blob event = {0};

    answer_event(a, step, 0, &event);
    assert_int_equal(event.len, strlen("data: [DONE]\n\n"));
    assert_memory_equal(event.data, "data: [DONE]\n\n", event.len);
    assert_int_equal(answer_steps(a), step + 1);
    blob_clear(&event);
}

static void test_chat_stream(void **state)
{
    struct answer a;
    struct ask ask;

    parse(&ask, true, CHAT(",\"stream\":true,\"stream_options\":{\"include_usage\":true}"));
    answer_init(&a, &ask, "m \"x\"", 9, 77);
    check_step(&a, 0,
               "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
               "\"logprobs\":null,\"finish_reason\":null}");
    check_step(&a, 1,
               "{\"index\":0,\"delta\":{\"content\":\"a-0 \"},\"logprobs\":null,"
               "\"finish_reason\":null}");
    check_step(&a, 3,
               "{\"index\":0,\"delta\":{\"content\":\"a-2 \"},\"logprobs\":null,"
               "\"finish_reason\":null}");
    check_step(&a, 4, "{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}");
    check_step(&a, 5, "{\"prompt_tokens\":2,\"total_tokens\":5,\"completion_tokens\":3}");
    check_done(&a, 6);
    answer_clear(&a);
}

static void test_completion_stream(void **state)
{
    struct answer a;
    struct ask ask;

    parse(&ask, false, "{\"prompt\":\"\",\"stream\":true,\"max_tokens\":1}");
    answer_init(&a, &ask, "m \"x\"", 10, 77);
    check_step(&a, 0,
               "{\"index\":0,\"text\":\"token-0 \",\"logprobs\":null,\"finish_reason\":null}");
    check_step(&a, 1, "{\"index\":0,\"text\":\"\",\"logprobs\":null,\"finish_reason\":\"length\"}");
    check_done(&a, 2);
    answer_clear(&a);
}

static void test_vendor(void **state)
{
    static const char *const vendors[] = {
        CHAT(",\"stream\":true,\"mlgate_test\":{\"event_bytes\":500}"),
        CHAT(",\"stream\":true,\"mlgate_test\":{\"event_bytes\":500,\"stamp\":true}"),
        CHAT(",\"stream\":true,\"mlgate_test\":{\"event_bytes\":1,\"stamp\":true}"),
    };

    for (size_t i = 0; i < 3; i++) {
        struct blob event = {0};
        struct answer a;
        struct ask ask;
        const json_t *vendor;
        json_t *root;

        parse(&ask, true, vendors[i]);
        answer_init(&a, &ask, "m", 9, 77);
        answer_event(&a, 1, 1234567890123, &event);
        root = event_json(&event);
        vendor = json_object_get(root, "mlgate_test");
        if (i < 2)
            assert_int_equal(event.len, 500);
        assert_int_equal(json_integer_value(json_object_get(vendor, "stamp")),
                         i > 0 ? 1234567890123 : 0);
        assert_int_equal(json_string_length(json_object_get(vendor, "pad")) > 0, i < 2);
        json_decref(root);
        blob_clear(&event);
        answer_clear(&a);
    }
}

static json_t *take_json(struct blob *body)
{
    json_t *root = json_loadb(body->data, body->len, 0, NULL);

    assert_non_null(root);
    blob_clear(body);
    return root;
}

static const char *get(const json_t *root, const char *name)
{
    return json_string_value(json_object_get(root, name));
}

static void test_full(void **state)
{
    struct blob body = {0};
    struct answer a;
    struct ask ask;
    const json_t *choice;
    json_t *root;

    parse(&ask, true, CHAT(""));
    answer_init(&a, &ask, "m", 1, 77);
    answer_full(&a, &body);
    root = take_json(&body);
    choice = json_array_get(json_object_get(root, "choices"), 0);
    assert_string_equal(get(root, "object"), "chat.completion");
    assert_string_equal(get(json_object_get(choice, "message"), "content"), "a-0 b-1 a-2 ");
    assert_string_equal(get(choice, "finish_reason"), "stop");
    json_decref(root);
    answer_clear(&a);
}

/* Without a serial no permissions; with one, an id of its own and else the same. */
static void check_models(const char *model)
{
    struct blob bodies[3] = {0};
    json_t *roots[3];
    const json_t *entry;

    for (uint64_t i = 0; i < 3; i++) {
        answer_models(model, 5, i, &bodies[i]);
        roots[i] = take_json(&bodies[i]);
        entry = json_array_get(json_object_get(roots[i], "data"), 0);
        assert_string_equal(get(entry, "id"), model);
        assert_int_equal(json_array_size(json_object_get(entry, "permission")), i > 0);
    }
    assert_false(json_equal(roots[1], roots[2]));
    for (size_t i = 0; i < 3; i++)
        json_decref(roots[i]);
}

static void test_bodies(void **state)
{
    struct blob body = {0};
    struct model m;
    const char *why;
    json_t *root;

    model_init(&m, "q\"m", 10);
    answer_state(&m, &body);
    root = take_json(&body);
    assert_string_equal(get(root, "state"), "STOPPED");
    assert_true(json_is_null(json_object_get(root, "loaded_model")));
    json_decref(root);

    model_started(&m);
    answer_state(&m, &body);
    root = take_json(&body);
    assert_string_equal(get(root, "state"), "INFERENCE");
    assert_string_equal(get(root, "loaded_model"), "q\"m");
    assert_true(json_is_true(json_object_get(root, "inference_healthy")));
    json_decref(root);

    answer_health(&m, &body);
    json_decref(take_json(&body));
    answer_up_status(&m, 0, &body);
    json_decref(take_json(&body));
    check_models(m.name);
    answer_error(404, "no \"x\"", &body);
    root = take_json(&body);
    assert_string_equal(get(json_object_get(root, "error"), "message"), "no \"x\"");
    json_decref(root);

    assert_int_equal(answer_tokenize("{\"prompt\":\"a b a\"}", 18, &body, &why), 0);
    root = take_json(&body);
    assert_int_equal(json_integer_value(json_object_get(root, "count")), 3);
    assert_int_equal(json_array_size(json_object_get(root, "tokens")), 3);
    json_decref(root);
    assert_int_equal(answer_tokenize("{}", 2, &body, &why), ERR_TYPE);
    assert_int_equal(body.len, 0);
}

static void test_pattern(void **state)
{
    static const char want[] = "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\0\x10";
    char got[24];

    answer_pattern(0, got, sizeof(got));
    assert_memory_equal(got, want, sizeof(got));
    for (size_t from = 0; from < sizeof(got); from++)
        for (size_t len = 0; len <= sizeof(got) - from; len++) {
            answer_pattern(from, got, len);
            assert_memory_equal(got, want + from, len);
        }
    answer_pattern(0x0102030405060708, got, 8);
    assert_memory_equal(got, "\1\2\3\4\5\6\7\x08", 8);
}

static void test_blob(void **state)
{
    struct blob b = {0};

    blob_printf(&b, "%s", "ab");
    blob_printf(&b, "%01000d", 7);
    blob_fill(&b, 'z', 2);
    assert_int_equal(b.len, 1004);
    assert_memory_equal(b.data, "ab000", 5);
    assert_memory_equal(b.data + 1000, "07zz", 4);
    blob_drop(&b, 1000);
    assert_int_equal(b.len, 4);
    assert_memory_equal(b.data, "07zz", 4);
    blob_clear(&b);
    assert_null(b.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights),     cmocka_unit_test(test_life),
        cmocka_unit_test(test_ends),        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_query),       cmocka_unit_test(test_bad_asks),
        cmocka_unit_test(test_asks),        cmocka_unit_test(test_words),
        cmocka_unit_test(test_chat_stream), cmocka_unit_test(test_completion_stream),
        cmocka_unit_test(test_vendor),      cmocka_unit_test(test_full),
        cmocka_unit_test(test_bodies),      cmocka_unit_test(test_pattern),
        cmocka_unit_test(test_blob),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
