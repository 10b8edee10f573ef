/* The status document, its rates, and that nothing of the environment that must stay inside is in
 * its public part. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "container/facts_json.h"
#include "gateway/redact.h"
#include "observe/document.h"
#include "observe/problems.h"
#include "observe/report_line.h"

enum { SECOND_US = 1000000 };

/* What must not get out. */
static const char *const inside[] = {
    "frp.example.org", "198.51.100.7", "192.0.2.9", "10.9.8.7", "s3cret-token", "/root/secret",
};

static struct proxy_config proxies[] = {
    {.name = "client-mlnode-0042-inference",
     .local_ip = "10.9.8.7",
     .local_port = 8081,
     .remote_port = 10042},
    {.name = "client-mlnode-0042-poc", .local_ip = "::1", .local_port = 5050, .remote_port = 20042},
};
static const struct client_config cfg = {.proxies = proxies, .n_proxies = 2};

static struct client_status whole_status(void)
{
    struct client_status s = {.address = "frp.example.org:7000",
                              .state = CLIENT_WAITING,
                              .since_us = 100 * SECOND_US,
                              .next_try_us = 117 * SECOND_US,
                              .silent_us = 98 * SECOND_US,
                              .sessions = 3,
                              .round_trip_us = 23140,
                              .streams = 12,
                              .users = 99,
                              .bytes_in = 1000,
                              .bytes_out = 2000};

    s.last_end.why = REASON_AUTH_FAILED;
    s.last_end.at_us = 101 * SECOND_US;
    snprintf(s.last_end.text, sizeof(s.last_end.text), "198.51.100.7: token s3cret-token at %s",
             "/root/secret");
    return s;
}

static json_t *server_of(const struct client_status *status)
{
    static const struct client_proxy_status ports[] = {
        {.state = CLIENT_PROXY_REFUSED, .remote_port = 10042, .error = "held by 192.0.2.9"},
        {.state = CLIENT_PROXY_CONFIRMED, .remote_port = 20042, .error = ""}};
    static struct rate rate;
    const struct document_server s = {.status = status, .ports = ports, .cfg = &cfg, .rate = &rate};

    return document_server(&s, 110 * SECOND_US);
}

static json_t *whole_server(void)
{
    struct client_status status = whole_status();

    return server_of(&status);
}

static json_t *whole_gateway(void)
{
    return json_pack("{s:{s:s, s:[{s:i, s:b, s:s}]}, s:{s:i, s:[{s:i, s:s, s:s, s:s, s:s}]}}",
                     "mlnode", "state", "inference", "engines", "port", 5001, "live", 1, "host",
                     "10.9.8.7", "gateway", "requests", 7, "last_refusals", "ago_s", 3, "method",
                     "GET", "path", "/x", "why", "policy", "from", "192.0.2.9");
}

static struct facts whole_facts(void)
{
    struct facts f = {.magic = FACTS_MAGIC, .started_s = 1700000000};
    const struct audit audit = {.ports = {22, 8888}, .count = 2};
    const struct facts_restart restarts[] = {
        {.at_s = 1700000001, .child = PLAN_WORKER, .wait_status = 9},
        {.at_s = 1700000002, .child = PLAN_NODE, .why = FACTS_WHY_SILENT},
        {.at_s = 1700000003, .child = PLAN_MODEL, .why = FACTS_WHY_NOT_STARTED},
        {.at_s = 1700000004, .child = PLAN_WORKER, .why = FACTS_WHY_NO_BEAT},
    };

    for (int i = 0; i < PLAN_CHILDREN; i++)
        f.child[i] = (struct facts_child){.since_us = SECOND_US, .starts = 2, .state = CHILD_ALIVE};
    for (size_t i = 0; i < sizeof(restarts) / sizeof(restarts[0]); i++)
        facts_restarted(&f, &restarts[i]);
    facts_audited(&f, &audit);
    f.model = (struct model_beat){.magic = MODEL_BEAT_MAGIC,
                                  .stage = MODEL_STAGE_DOWNLOADING,
                                  .by = MODEL_BY_HF,
                                  .percent = 4310,
                                  .bytes = 431,
                                  .total = 1000,
                                  .rate = 50,
                                  .remaining_s = 12,
                                  .name = "/root/secret/model",
                                  .text = "to /root/secret from frp.example.org"};
    return f;
}

static json_t *whole(void)
{
    const struct document_who who = {.role = "container",
                                     .client_id = "0042",
                                     .node_id = "rig-7",
                                     .started_s = 1700000000,
                                     .uptime_us = 61 * SECOND_US};
    struct facts f = whole_facts();

    json_t *d =
        document_make(&who, json_pack("[o]", whole_server()), whole_gateway(), facts_model_json(&f),
                      facts_container_json(&f, 1700000010, 62 * SECOND_US));

    problems_add(d);
    return d;
}

static void is(const json_t *document, const char *key, const char *wanted)
{
    const json_t *value = member(document, key);
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6))
                       : mem_strdup("absent");

    if (text == NULL || strcmp(text, wanted) != 0)
        fail_msg("%s is %s, not %s", key, text, wanted);
    mem_free(text);
}

static void everything_is_in_its_place(void **state)
{
    json_t *d = whole();
    const json_t *server = json_array_get(member(d, "servers"), 0);

    is(d, "started", "\"2023-11-14T22:13:20Z\"");
    is(d, "uptime_s", "61");
    is(d, "client_id", "\"0042\"");
    is(server, "address", "\"frp.example.org:7000\"");
    is(server, "state", "\"waiting\"");
    is(server, "since_s", "10");
    is(server, "next_try_s", "7");
    is(server, "silent_s", "12");
    is(server, "round_trip_ms", "absent"); /* the last one says nothing about now */
    is(server, "last_end.reason", "\"auth-failed\"");
    is(server, "last_end.ago_s", "9");
    is(json_array_get(member(server, "ports"), 0), "error", "\"held by 192.0.2.9\"");
    is(json_array_get(member(server, "ports"), 1), "to", "\"[::1]:5050\"");
    is(json_array_get(member(server, "ports"), 1), "error", "absent");
    is(d, "gateway.requests", "7");
    is(d, "model.state", "\"downloading\"");
    is(d, "model.percent", "43.1");
    is(d, "model.total_bytes", "1000");
    is(d, "container.uptime_s", "10");
    is(d, "container.worker", "{\"state\":\"running\",\"starts\":2,\"since_s\":61}");
    is(d, "container.listeners", "[22,8888]");
    json_decref(d);
}

static void a_server_that_is_heard_has_its_round_trip(void **state)
{
    struct client_status status = whole_status();
    json_t *server;

    status.silent_us = 0;
    server = server_of(&status);
    is(server, "round_trip_ms", "23.14");
    is(server, "silent_s", "absent");
    json_decref(server);
}

static void restarts_say_why_the_latest_first(void **state)
{
    static const char *const why[] = {"\"gave no sign of life and was killed\"",
                                      "\"could not be started\"",
                                      "\"accepted connections, did not answer, and was killed\"",
                                      "\"was killed by signal 9 (Killed)\""};
    json_t *d = whole();
    const json_t *restarts = member(d, "container.restarts");

    assert_int_equal(json_array_size(restarts), 4);
    for (size_t i = 0; i < 4; i++)
        is(json_array_get(restarts, i), "why", why[i]);
    is(json_array_get(restarts, 0), "ago_s", "6");
    is(json_array_get(restarts, 3), "at", "\"2023-11-14T22:13:21Z\"");
    json_decref(d);
}

static const json_t *problem(const json_t *d, size_t i)
{
    return json_array_get(member(d, "problems"), i);
}

/* Where it is, and what others said of it, stays here. */
static void what_is_broken_is_public_in_words_of_ours(void **state)
{
    static const char waiting[] =
        "\"not registered, waiting for 10 s, next try in 7 s; auth-failed\"";
    json_t *d = whole();

    is(problem(d, 0), "what", waiting);
    is(problem(d, 0), "where", "\"frp.example.org:7000\"");
    is(problem(d, 0), "detail", "\"198.51.100.7: token s3cret-token at /root/secret\"");
    is(problem(d, 2), "detail", "\"held by 192.0.2.9\"");
    redact(d);
    is(problem(d, 0), "what", waiting);
    for (size_t i = 0; i < json_array_size(member(d, "problems")); i++) {
        is(problem(d, i), "where", "absent");
        is(problem(d, i), "detail", "absent");
    }
    is(problem(d, 1), "remedy", "\"`mlgate check` says whether a new connection comes about\"");
    is(problem(d, 2), "subject", "\"server\"");
    is(problem(d, 2), "what", "\"port 10042 is refused\"");
    json_decref(d);
}

/* A preparer that is done is no process that is missing. */
static void who_has_finished_is_not_told_of(void **state)
{
    struct facts f = whole_facts();
    json_t *d;

    f.child[PLAN_MODEL].state = CHILD_NONE;
    f.model.stage = MODEL_STAGE_OFF;
    f.restarts[1] = (struct facts_restart){.child = PLAN_NODE, .wait_status = 127 << 8};
    f.restarts[2] = (struct facts_restart){.child = PLAN_NODE, .wait_status = 126 << 8};
    d = facts_container_json(&f, 0, 0);
    is(d, "model", "absent");
    is(d, "mlnode.starts", "2");
    is(json_array_get(member(d, "restarts"), 2), "why",
       "\"ended with status 127 (a command was not found)\"");
    is(json_array_get(member(d, "restarts"), 1), "why",
       "\"ended with status 126 (a command cannot be executed)\"");
    json_decref(d);
    d = facts_model_json(&f);
    is(d, "state", "\"off\"");
    is(d, "name", "absent");
    json_decref(d);
}

static void nothing_that_must_stay_inside_is_public(void **state)
{
    json_t *d = whole();
    char *before = json_dumps(d, JSON_COMPACT);
    char *after;

    redact(d);
    after = json_dumps(d, JSON_COMPACT);
    for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++) {
        assert_non_null(strstr(before, inside[i])); /* else this test shows nothing */
        if (strstr(after, inside[i]) != NULL)
            fail_msg("%s is in %s", inside[i], after);
    }
    is(d, "container.listeners", "[22,8888]");
    is(json_array_get(member(d, "servers"), 0), "last_end.reason", "\"auth-failed\"");
    is(d, "model.percent", "43.1");
    is(d, "model.name", "absent");
    mem_free(before);
    mem_free(after);
    json_decref(d);
}

static void what_is_not_there_is_left_out(void **state)
{
    const struct document_who who = {.role = "client", .started_s = 1};
    json_t *d = document_make(&who, NULL, NULL, NULL, NULL);
    struct facts f = {.magic = FACTS_MAGIC};

    is(d, "client_id", "absent");
    is(d, "servers", "absent");
    is(d, "model", "absent");
    json_decref(d);
    assert_null(facts_model_json(&f));
    d = facts_container_json(&f, 0, 0);
    is(d, "listeners", "absent"); /* nobody has looked yet */
    is(d, "model", "absent");
    json_decref(d);
}

static void any_text_becomes_a_string(void **state)
{
    static const char bytes[] = "\xff\xfe\x1b[31m\n";
    json_t *text = document_text(bytes);

    assert_non_null(text);
    assert_string_equal(json_string_value(text), "\\xff\\xfe\\x1b[31m\\x0a");
    json_decref(text);
}

/* ---- rates ----------------------------------------------------------------------------------- */

static void rates_are_of_the_last_seconds(void **state)
{
    struct rate r = {0};

    assert_int_equal(rate_in(&r), 0);
    rate_add(&r, 5 * SECOND_US, 100, 0);
    assert_int_equal(rate_in(&r), 0);
    for (uint64_t s = 1; s <= 20; s++) {
        rate_add(&r, (5 + s) * SECOND_US, 100 + s * 1000, s * 7);
        assert_int_equal(rate_in(&r), 1000);
        assert_int_equal(rate_out(&r), 7);
    }
    for (uint64_t s = 21; s <= 20 + RATE_WINDOW_S; s++)
        rate_add(&r, (5 + s) * SECOND_US, 20100, 140);
    assert_int_equal(rate_in(&r), 0); /* what was before is forgotten */
}

static void odd_counters_and_clocks_make_no_rate(void **state)
{
    struct rate r = {0};

    rate_add(&r, SECOND_US, 100, 100);
    rate_add(&r, SECOND_US, 200, 200);
    assert_int_equal(rate_in(&r), 0); /* in no time */
    rate_add(&r, 2 * SECOND_US, 50, 100);
    assert_int_equal(rate_in(&r), 0); /* backwards */
    assert_int_equal(rate_out(&r), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_in_its_place),
        cmocka_unit_test(a_server_that_is_heard_has_its_round_trip),
        cmocka_unit_test(restarts_say_why_the_latest_first),
        cmocka_unit_test(what_is_broken_is_public_in_words_of_ours),
        cmocka_unit_test(who_has_finished_is_not_told_of),
        cmocka_unit_test(nothing_that_must_stay_inside_is_public),
        cmocka_unit_test(what_is_not_there_is_left_out),
        cmocka_unit_test(any_text_becomes_a_string),
        cmocka_unit_test(rates_are_of_the_last_seconds),
        cmocka_unit_test(odd_counters_and_clocks_make_no_rate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
