/* What of the status document strangers may see, and the requests that it keeps as refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "gateway/internal.h"
#include "gateway/redact.h"
#include "gateway/status.h"
#include "gateway_world.h"

static void check(const char *before, const char *after)
{
    json_t *document = json_loads(before, 0, NULL);
    json_t *wanted = json_loads(after, 0, NULL);

    assert_non_null(document);
    assert_non_null(wanted);
    redact(document);
    if (!json_equal(document, wanted))
        fail_msg("%s became %s", before, json_dumps(document, JSON_COMPACT));
    json_decref(document);
    json_decref(wanted);
}

static void only_what_is_listed_stays(void **state)
{
    check("{\"version\": \"1\", \"token\": \"s3cret\"}", "{\"version\": \"1\"}");
    check("{\"servers\": [{\"address\": \"a:1\", \"state\": \"registered\","
          " \"ports\": [{\"remote\": 10001, \"to\": \"127.0.0.1:1\", \"error\": \"at 10.0.0.1\"}],"
          " \"last_end\": {\"reason\": \"peer-reset\", \"text\": \"10.0.0.1\", \"ago_s\": 3}}]}",
          "{\"servers\": [{\"state\": \"registered\", \"ports\": [{\"remote\": 10001}],"
          " \"last_end\": {\"reason\": \"peer-reset\", \"ago_s\": 3}}]}");
    check("{\"gateway\": {\"outcomes\": {\"ok\": 3, \"x\": \"10.0.0.1\"}, \"last_refusals\":"
          " [{\"from\": \"10.0.0.1\", \"path\": \"/x\", \"ago_s\": 1}]}}",
          "{\"gateway\": {\"outcomes\": {\"ok\": 3}, \"last_refusals\":"
          " [{\"path\": \"/x\", \"ago_s\": 1}]}}");
    check("{\"container\": {\"listeners\": [22, 8888], \"directory\": \"/root\"}}",
          "{\"container\": {\"listeners\": [22, 8888]}}");
}

/* Nobody gets past the list by another shape. */
static void another_shape_is_not_what_is_listed(void **state)
{
    check("{\"version\": {\"address\": \"a\"}}", "{}");
    check("{\"version\": [\"a\", {\"b\": 1}]}", "{\"version\": [\"a\"]}");
    check("{\"servers\": \"frp.example.org\"}", "{}");
    check("{\"servers\": [\"frp.example.org\", [\"b\"], {\"state\": \"x\"}]}",
          "{\"servers\": [[], {\"state\": \"x\"}]}");
    check("{\"serve\": 1, \"gateway\": 3, \"gateway.ended.x\": \"y\"}", "{}");
    check("{\"gateway\": {\"ended\": {\"deep\": {\"er\": 1}}}}", "{\"gateway\": {\"ended\": {}}}");
}

static void a_model_named_by_its_path_has_no_name(void **state)
{
    check("{\"model\": {\"name\": \"Qwen/Qwen3\"}, \"mlnode\": {\"asked_model\": \"a/b\"}}",
          "{\"model\": {\"name\": \"Qwen/Qwen3\"}, \"mlnode\": {\"asked_model\": \"a/b\"}}");
    check("{\"model\": {\"name\": \"/data/x\"}, \"mlnode\": {\"asked_model\": \"./b\"}}",
          "{\"model\": {}, \"mlnode\": {}}");
    check(
        "{\"model\": {\"name\": \"s3://b/x\"}, \"mlnode\": {\"asked_model\": \"https://u:p@h/b\"}}",
        "{\"model\": {}, \"mlnode\": {}}");
}

/* ---- what was refused ------------------------------------------------------------------------ */

enum { SECOND_US = 1000 * 1000 };

static const struct fake_peer nobody = {.data = NULL};

static uint64_t tick(void *ctx, uint64_t now_us)
{
    struct gateway_world *w = ctx;

    return gateway_tick(w->g, now_us);
}

static int world_new(void **state)
{
    struct gateway_world *w = mem_zalloc(sizeof(*w));

    gateway_world_open(w, 8080, 5000, tick, w);
    *state = w;
    return 0;
}

static int world_free(void **state)
{
    gateway_world_close(*state);
    mem_free(*state);
    return 0;
}

static struct fake_conn *ask(struct gateway_world *w, enum gateway_role role, const char *peer,
                             const char *text)
{
    struct fake_conn *c = fake_client(w->h, &nobody, w);

    assert_true(gateway_serve(w->g, fake_stream(c), role, peer, 1));
    fake_say(c, text);
    fake_run(w->h);
    return c;
}

static void is(const json_t *refusal, const char *wanted)
{
    json_t *other = json_loads(wanted, 0, NULL);

    if (!json_equal(refusal, other))
        fail_msg("%s is not %s", json_dumps(refusal, JSON_COMPACT), wanted);
    json_decref(other);
}

static void the_last_refusals_are_told(void **state)
{
    struct gateway_world *w = *state;
    json_t *document;
    json_t *list;

    ask(w, ROLE_INFERENCE, "192.0.2.7",
        "POST /v1/load_lora_adapter?token=s3cret HTTP/1.1\r\n"
        "Host: x\r\nContent-Length: 0\r\n\r\n");
    fake_advance(w->h, 65 * SECOND_US);
    ask(w, ROLE_INFERENCE, "evil\x1b[31m", "no request at all\r\n\r\n");
    ask(w, ROLE_INFERENCE, "192.0.2.8",
        "POST /v1/x?token=s3cret HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n");
    ask(w, ROLE_INFERENCE, "192.0.2.9", "GET http://user:s3cret@h/ HTTP/1.1\r\nHost: h\r\n\r\n");
    document = gateway_status(w->g);
    list = json_object_get(json_object_get(document, "gateway"), "last_refusals");
    assert_int_equal(json_array_size(list), 4);
    is(json_array_get(list, 3),
       "{\"ago_s\": 65, \"method\": \"POST\", \"path\": \"/v1/load_lora_adapter\", \"from\":"
       " \"192.0.2.7\", \"why\": \"not served here (GATEWAY_POLICY)\"}");
    is(json_array_get(list, 2), "{\"ago_s\": 0, \"from\": \"unknown\", \"method\": \"no\", \"why\":"
                                " \"malformed version\"}");
    is(json_array_get(list, 1), "{\"ago_s\": 0, \"from\": \"192.0.2.8\", \"method\": \"POST\","
                                " \"path\": \"/v1/x\", \"why\": \"more than one Host\"}");
    is(json_array_get(list, 0),
       "{\"ago_s\": 0, \"from\": \"192.0.2.9\", \"method\": \"GET\", \"why\":"
       " \"target does not begin with /\"}");
    json_decref(document);
}

static void of_many_the_latest_are_kept(void **state)
{
    struct gateway_world *w = *state;
    char line[32];

    for (int i = 0; i < 3 * REFUSALS_KEPT; i++) {
        snprintf(line, sizeof(line), "GET /%d", i);
        refusals_note(w->g, line, "192.0.2.1", "test");
    }
    for (int i = 0; i < REFUSALS_KEPT; i++) {
        snprintf(line, sizeof(line), "GET /%d", 3 * REFUSALS_KEPT - 1 - i);
        assert_string_equal(refusals_at(w->g, (size_t)i)->line, line);
    }
    assert_null(refusals_at(w->g, REFUSALS_KEPT));
}

static json_t *document_with_secrets(void *ctx)
{
    return json_pack("{s:s, s:s}", "version", "1.2.3", "token", "s3cret");
}

static void the_page_is_what_is_left_of_the_document(void **state)
{
    struct gateway_world *w = *state;
    struct fake_conn *c;

    ask(w, ROLE_INFERENCE, "192.0.2.7", "no request at all\r\n\r\n");
    c = ask(w, ROLE_POC, "192.0.2.8", "GET /mlgate/status HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_non_null(strstr(c->got.data, "\"last_refusals\":[{"));
    assert_null(strstr(c->got.data, "192.0.2."));
    gateway_set_document(w->g, document_with_secrets, NULL);
    c = ask(w, ROLE_POC, "192.0.2.8", "GET /mlgate/status HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_non_null(strstr(c->got.data, "{\"version\":\"1.2.3\"}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_is_listed_stays),
        cmocka_unit_test(another_shape_is_not_what_is_listed),
        cmocka_unit_test(a_model_named_by_its_path_has_no_name),
        cmocka_unit_test_setup_teardown(the_last_refusals_are_told, world_new, world_free),
        cmocka_unit_test_setup_teardown(of_many_the_latest_are_kept, world_new, world_free),
        cmocka_unit_test_setup_teardown(the_page_is_what_is_left_of_the_document, world_new,
                                        world_free),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
