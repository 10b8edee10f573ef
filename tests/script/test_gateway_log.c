/* What the operator reads: a line for each request, a word for each end, numbers that add up; and
 * what programs read: errors in OpenAI's shape with codes that stay. */
#include "gateway_stage.h"

#include <jansson.h>

/* The log has this line exactly once since it was looked at last. */
static void logged(struct stage *s, const char *line)
{
    char *log = fake_log(s->h);
    char *want = mem_printf("%s\n", line);
    const char *at = strstr(log, want);

    if (at == NULL || strstr(at + 1, want) != NULL)
        fail_msg("not one line\n%s\nin\n%s", line, log);
    mem_free(log);
    mem_free(want);
    fake_log_clear(s->h);
}

static void a_line_for_each_request(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

    fake_log_clear(s->h);
    stage_say(c, GET("/v3.0.8/v1/models?key=secret"));
    fake_advance(s->h, 1500);
    stage_say(stage_up(s, ENGINE), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    fake_advance(s->h, 2000 * 1000 + 7);
    stage_say(stage_up(s, ENGINE), "hello");
    logged(s, "GET /v1/models 200, 5 bytes, first 1.500 ms, all 2001.507 ms, client 10.0.0.1:1000, "
              "upstream 127.0.0.1:5001, done");
    stage_say(c, GET("/sleep"));
    logged(s, "GET /sleep 404, 129 bytes, first 0.000 ms, all 0.000 ms, client 10.0.0.1:1000, "
              "upstream -, policy");
    stage_say(c, POST("/api/v1/stop%1b%0a", "0", ""));
    logged(s, "POST /api/v1/stop%1b%0a 400, 110 bytes, first 0.000 ms, all 0.000 ms, client "
              "10.0.0.1:1000, upstream -, bad-request: control byte in path");
    stage_free(s);
}

static json_t *only_object(struct stage *s)
{
    char *log = fake_log(s->h);
    json_error_t why;
    json_t *line = json_loads(log, JSON_REJECT_DUPLICATES, &why);

    if (line == NULL || strchr(log, '\n') != log + strlen(log) - 1)
        fail_msg("not one object (%s) in\n%s", why.text, log);
    mem_free(log);
    fake_log_clear(s->h);
    return line;
}

static void has_text(const json_t *line, const char *name, const char *want)
{
    assert_string_equal(json_string_value(json_object_get(line, name)), want);
}

static void has_number(const json_t *line, const char *name, double want)
{
    json_t *member = json_object_get(line, name);

    assert_true(json_is_number(member));
    assert_true(json_number_value(member) == want);
}

static void a_json_line_for_each_request(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);
    json_t *line;

    fake_log_json(s->h);
    fake_log_clear(s->h);
    stage_say(c, GET("/v1/models?key=secret"));
    fake_advance(s->h, 1500);
    stage_say(stage_up(s, ENGINE), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    fake_advance(s->h, 2000 * 1000 + 7);
    stage_say(stage_up(s, ENGINE), "hello");
    line = only_object(s);
    has_text(line, "tag", "gateway");
    has_text(line, "level", "info");
    has_text(line, "text", "GET /v1/models 200");
    has_text(line, "method", "GET");
    has_text(line, "path", "/v1/models");
    has_number(line, "status", 200);
    has_number(line, "bytes", 5);
    has_number(line, "first_ms", 1.5);
    has_number(line, "duration_ms", 2001.507);
    has_text(line, "client", "10.0.0.1:1000");
    has_text(line, "upstream", "127.0.0.1:5001");
    has_text(line, "end", "done");
    json_decref(line);
    stage_say(c, GET("/sleep/\"%c3%a9"));
    line = only_object(s);
    has_text(line, "path", "/sleep/\"%c3%a9");
    assert_true(json_is_null(json_object_get(line, "upstream")));
    json_decref(line);
    stage_free(s);
}

/* The longest path, each byte of which is escaped: the line stays whole. */
static void json_lines_are_bounded(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);
    json_t *line;

    fake_log_json(s->h);
    for (int i = 0; i < 50; i++) {
        fake_log_clear(s->h);
        fake_say(c, "GET /sleep/");
        for (int k = 0; k < 1000; k++)
            fake_say(c, "\"");
        stage_say(c, " HTTP/1.1\r\nHost: h\r\n\r\n");
        line = only_object(s);
        json_decref(line);
    }
    stage_free(s);
}

static size_t lines_with(struct stage *s, const char *text)
{
    char *log = fake_log(s->h);
    size_t n = 0;

    for (const char *at = log; (at = strstr(at, text)) != NULL; at++)
        n++;
    mem_free(log);
    return n;
}

/* A head whose method is `unit` over and over, which no method is. */
static void nonsense_is_logged_as_a_dash(const char *unit, size_t times, bool as_json)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_POC);
    json_t *line;

    if (as_json)
        fake_log_json(s->h);
    fake_log_clear(s->h);
    for (size_t i = 0; i < times; i++)
        fake_say(c, unit);
    stage_say(c, " http://user:secret@h/x HTTP/1.1\r\n\r\n");
    if (as_json) {
        line = only_object(s);
        has_text(line, "text", "- - 400");
        has_text(line, "method", "-");
        has_text(line, "path", "-");
        has_text(line, "fault", "bad method");
        json_decref(line);
    } else {
        logged(s, "- - 400, 100 bytes, first 0.000 ms, all 0.000 ms, client 10.0.0.1:1000, "
                  "upstream -, bad-request: bad method");
    }
    stage_free(s);
}

/* What stands where method and target should: no byte of it reaches a terminal, no length of it
 * the end of the line. */
static void heads_that_make_no_sense_are_not_quoted(void **state)
{
    static const char *const units[] = {("\x9b"
                                         "31m"),
                                        "(", "\xff", "\"\\", "AAAAAAAAA"};

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        for (size_t times = 5; times < 400; times += 17) {
            nonsense_is_logged_as_a_dash(units[i], times, false);
            nonsense_is_logged_as_a_dash(units[i], times, true);
        }
}

/* Bad heads cost a connection each, and lines up to a limit; what is missing is said when the flood
 * is over. Lines of requests are never held back. */
static void floods_of_bad_heads_are_counted(void **state)
{
    struct stage *s = stage_new();

    fake_log_clear(s->h);
    for (int i = 0; i < 25; i++) {
        stage_say(stage_user(s, ROLE_POC), "nonsense\r\n\r\n");
        stage_say(stage_user(s, ROLE_POC), GET("/sleep"));
    }
    assert_int_equal(lines_with(s, "- - 400, 112 bytes, first 0.000 ms, all 0.000 ms, client 10.0"),
                     10);
    assert_int_equal(lines_with(s, "GET /sleep 404, "), 25);
    fake_advance(s->h, 1999 * 1000);
    assert_int_equal(lines_with(s, "held back"), 0);
    fake_advance(s->h, 1000);
    assert_int_equal(lines_with(s, "15 more lines were held back: request heads refused\n"), 1);
    fake_log_clear(s->h);
    fake_advance(s->h, 60 * 1000 * 1000);
    assert_int_equal(lines_with(s, "held back"), 0);
    stage_free(s);
}

/* A loop in MLNode's answers is said once a second, beside the requests' own lines. */
static void floods_of_bad_answers_are_counted(void **state)
{
    struct stage *s = stage_new();

    fake_log_clear(s->h);
    for (int i = 0; i < 7; i++) {
        stage_say(stage_user(s, ROLE_INFERENCE), GET("/v1/models"));
        stage_say(stage_up(s, ENGINE), "nonsense\r\n\r\n");
    }
    assert_int_equal(lines_with(s, "the answer of 127.0.0.1:5001 was refused: "), 1);
    assert_int_equal(lines_with(s, "GET /v1/models 502, "), 7);
    fake_advance(s->h, 2000 * 1000);
    assert_int_equal(lines_with(s, "6 more lines were held back: answers of MLNode refused\n"), 1);
    stage_free(s);
}

/* Also where nobody is left to tell: whose request it was, and where it had gone. */
static void lines_of_requests_that_failed(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_POC);

    fake_log_clear(s->h);
    stage_say(c, POST("/v1/a", "0", ""));
    fake_fail(stage_up(s, ENGINE), REASON_PEER_RESET);
    fake_run(s->h);
    logged(s, "POST /v1/a 502, 133 bytes, first 0.000 ms, all 0.000 ms, client 10.0.0.1:1000, "
              "upstream 127.0.0.1:5001, upstream-closed");
    stage_say(c, POST("/v1/b", "0", ""));
    stage_say(stage_up(s, ENGINE), CHUNKED "1\r\na\r\n");
    fake_advance(s->h, 3000);
    fake_fail_now(c, REASON_PEER_RESET);
    fake_run(s->h);
    logged(s, "POST /v1/b 200, 6 bytes, first 0.000 ms, all 3.000 ms, client 10.0.0.1:1000, "
              "upstream 127.0.0.1:5001, client-left");
    c = stage_user(s, ROLE_POC);
    stage_say(c, POST("/api/v1/pow/x", "0", ""));
    fake_fail_now(c, REASON_PEER_RESET);
    fake_advance(s->h, 9000);
    stage_say(stage_up(s, MANAGEMENT), OK("0", ""));
    logged(s, "POST /api/v1/pow/x 200, 0 bytes, first 9.000 ms, all 9.000 ms, client "
              "10.0.0.2:1000, upstream 127.0.0.1:8080, done");
    fake_crash(s->h, MANAGEMENT);
    c = stage_user(s, ROLE_POC);
    stage_say(c, POST("/api/v1/stop", "0", ""));
    logged(s, "POST /api/v1/stop 0, 0 bytes, first 0.000 ms, all 0.000 ms, client 10.0.0.3:1000, "
              "upstream 127.0.0.1:8080, upstream-down");
    stage_free(s);
}

/* An answer to HTTP/1.0 that breaks off is cut by a reset, and logged like any other. */
static void lines_of_answers_that_were_cut(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

    fake_log_clear(s->h);
    stage_say(c, "GET /v1/a HTTP/1.0\r\n\r\n");
    stage_say(stage_up(s, ENGINE), CHUNKED "2\r\nab\r\n");
    stage_say(stage_up(s, ENGINE), "nonsense\r\n");
    assert_true(c->reset);
    logged(s, "GET /v1/a 200, 2 bytes, first 0.000 ms, all 0.000 ms, client 10.0.0.1:1000, "
              "upstream 127.0.0.1:5001, upstream-protocol: a chunk that breaks the coding");
    stage_free(s);
}

/* Long paths are cut, odd bytes are escaped, and a thousand lines a turn lose none. */
static void lines_are_bounded(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);
    char path[1001];
    char *request;
    char *log;
    size_t n = 0;

    memset(path, 'a', 1000);
    path[1000] = '\0';
    request = mem_printf("GET /sleep/%s HTTP/1.1\r\nHost: h\r\n\r\n", path);
    fake_log_clear(s->h);
    s->h->piece = 4000;
    for (int i = 0; i < 300; i++)
        fake_say(c, request);
    fake_run(s->h);
    log = fake_log(s->h);
    for (const char *at = log; (at = strstr(at, "GET /sleep/aaaa")) != NULL; n++) {
        size_t len = strcspn(at, "\n");

        assert_in_range(len, 100, 300);
        at += len;
    }
    assert_int_equal(n, 300);
    mem_free(log);
    mem_free(request);
    stage_free(s);
}

/* The sum over all lines. */
static uint64_t bytes_logged(struct stage *s)
{
    static const char word[] = " bytes, first ";
    char *log = fake_log(s->h);
    uint64_t sum = 0;

    for (char *at = log; (at = strstr(at, word)) != NULL; at += strlen(word)) {
        char *digits = at;

        while (digits[-1] != ' ')
            digits--;
        sum += strtoull(digits, NULL, 10);
    }
    mem_free(log);
    return sum;
}

static void numbers_add_up(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);
    struct gateway_counters n;

    s->play = play_echo;
    stage_say(c, GET("/v1/a") POST("/v1/b", "5", "hello") GET("/api/v1/state") GET("/sleep"));
    fake_crash(s->h, MANAGEMENT);
    stage_say(c, GET("/api/v1/state") POST("/api/v1/stop", "0", ""));
    stage_say(stage_user(s, ROLE_POC), "nonsense\r\n\r\n");
    n = stage_counts(s);
    assert_int_equal(n.clients, 2);
    assert_int_equal(n.requests, 7);
    assert_int_equal(n.answers[2], 3);
    assert_int_equal(n.answers[4], 2);
    assert_int_equal(n.answers[5], 1);
    assert_int_equal(n.answers[0], 1);
    assert_int_equal(n.direct, 2);
    assert_int_equal(n.refused, 1);
    assert_int_equal(n.bytes_in, 5);
    assert_in_range(n.bytes_out, strlen("GET /v1/a -POST /v1/b helloGET /api/v1/state -") + 1,
                    SIZE_MAX);
    assert_int_equal(n.bytes_out, bytes_logged(s));
    assert_int_equal(n.ended.of[REASON_DONE], 3);
    assert_int_equal(n.ended.of[REASON_UPSTREAM_DOWN], 2);
    assert_int_equal(n.ended.of[REASON_REFUSED_POLICY], 1);
    assert_int_equal(n.ended.of[REASON_BAD_REQUEST], 1);
    assert_int_equal(n.clients_now, 0);
    assert_int_equal(n.outcomes[CLASS_INFERENCE][OUTCOME_OK], 1);
    assert_int_equal(n.outcomes[CLASS_POLL][OUTCOME_OK], 2);
    assert_int_equal(n.outcomes[CLASS_POLL][OUTCOME_REFUSED], 1);
    assert_int_equal(n.outcomes[CLASS_POLL][OUTCOME_UPSTREAM_DOWN], 1);
    assert_int_equal(n.outcomes[CLASS_MANAGEMENT][OUTCOME_UPSTREAM_DOWN], 1);
    assert_int_equal(n.outcomes[CLASS_OTHER][OUTCOME_CLIENT_ERROR], 1);
    stage_free(s);
}

/* A connection between two requests ends for a reason as well. */
static void clients_leave_for_reasons(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c;
    struct gateway_counters n;

    s->play = play_echo;
    stage_say(stage_user(s, ROLE_INFERENCE), GET("/v1/a")); /* stays until the end */
    c = stage_user(s, ROLE_INFERENCE);
    stage_say(c, GET("/v1/a"));
    fake_end(c);
    fake_run(s->h);
    fake_end(stage_user(s, ROLE_POC)); /* never asked */
    fake_run(s->h);
    c = stage_user(s, ROLE_POC);
    stage_say(c, "GET /v1/a HT");
    fake_fail(c, REASON_PEER_RESET);
    fake_run(s->h);
    stage_say(stage_user(s, ROLE_POC), "GET /v1/a HTTP/1.0\r\n\r\n");
    stage_say(stage_user(s, ROLE_POC), "nonsense\r\n\r\n");
    s->play = NULL;
    c = stage_user(s, ROLE_INFERENCE);
    stage_say(c, GET("/v1/a"));
    fake_fail(c, REASON_PEER_RESET);
    fake_run(s->h);
    n = stage_counts(s);
    assert_int_equal(n.clients_ended.of[REASON_PEER_CLOSED], 2);
    assert_int_equal(n.clients_ended.of[REASON_PEER_RESET], 1);
    assert_int_equal(n.clients_ended.of[REASON_DONE], 1);
    assert_int_equal(n.clients_ended.of[REASON_BAD_REQUEST], 1);
    assert_int_equal(n.clients_ended.of[REASON_CLIENT_LEFT], 1);
    assert_int_equal(n.ended.of[REASON_PEER_CLOSED], 0); /* those are of requests */
    assert_int_equal(n.clients_now, 1);
    stage_free(s);
}

/* Of each class by itself, also where the client left in the middle; errors of ours have none. */
static void first_bytes_are_measured(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);
    const struct histogram *slow = gateway_first_byte(s->g, CLASS_INFERENCE);
    const struct histogram *polls = gateway_first_byte(s->g, CLASS_POLL);

    stage_say(c, POST("/v1/a", "0", ""));
    fake_advance(s->h, 700 * 1000);
    stage_say(stage_up(s, ENGINE), CHUNKED);
    assert_int_equal(slow->count, 0); /* until it ends */
    fake_advance(s->h, SECOND_US);
    fake_fail_now(c, REASON_PEER_RESET);
    fake_run(s->h);
    assert_int_equal(slow->count, 1);
    assert_int_equal(slow->sum_us, 700 * 1000);
    c = stage_user(s, ROLE_INFERENCE);
    stage_say(c, GET("/api/v1/state"));
    fake_advance(s->h, 2000);
    stage_say(stage_up(s, MANAGEMENT), OK("0", ""));
    stage_say(c, GET("/sleep"));
    assert_int_equal(polls->count, 1);
    assert_int_equal(polls->sum_us, 2000);
    assert_int_equal(slow->count, 1);
    stage_free(s);
}

/* Where a request went does not depend on how it ended. */
static void direct_is_where_it_went(void **state)
{
    struct stage *s = stage_new();
    struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

    stage_say(c, GET("/v1/a"));
    fake_fail_now(c, REASON_PEER_RESET);
    fake_run(s->h);
    assert_int_equal(stage_counts(s).direct, 1);
    fake_listen(s->h, ENGINE, FAKE_REFUSES, NULL, NULL);
    stage_say(stage_user(s, ROLE_INFERENCE), POST("/v1/a", "0", ""));
    stage_say(stage_up(s, INFERENCE), OK("1", "A"));
    assert_int_equal(stage_counts(s).direct, 1);
    stage_free(s);
}

/* ---- errors ---------------------------------------------------------------------------------- */

static void is_openai(const struct message *m, const char *type, const char *code)
{
    json_t *root = json_loadb(m->body, m->body_len, JSON_REJECT_DUPLICATES, NULL);
    json_t *error = json_object_get(root, "error");

    assert_non_null(error);
    assert_int_equal(json_object_size(root), 1);
    assert_int_equal(json_object_size(error), 4);
    assert_true(strlen(json_string_value(json_object_get(error, "message"))) > 0);
    assert_string_equal(json_string_value(json_object_get(error, "type")), type);
    assert_string_equal(json_string_value(json_object_get(error, "code")), code);
    assert_true(json_is_null(json_object_get(error, "param")));
    json_decref(root);
}

static void errors_are_openais(void **state)
{
    static const struct {
        const char *request;
        unsigned status;
        const char *type;
        const char *code;
    } rows[] = {
        {"nonsense\r\n\r\n", 400, "invalid_request_error", "bad_request"},
        {GET("/v1//a"), 400, "invalid_request_error", "bad_request"},
        {"GET / HTTP/1.1\r\n\r\n", 400, "invalid_request_error", "bad_request"},
        {"POST /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: "
         "chunked\r\n\r\n",
         400, "invalid_request_error", "bad_request"},
        {"POST /v1/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400,
         "invalid_request_error", "bad_chunk"},
        {GET("/sleep"), 404, "not_found_error", "not_served"},
        {GET("/v1/a"), 503, "service_unavailable", "engine_unavailable"},
        {GET("/api/v1/state"), 503, "service_unavailable", "management_unavailable"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct stage *s = stage_new();
        struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

        if (rows[i].status == 503) {
            fake_crash(s->h, MANAGEMENT);
            fake_crash(s->h, INFERENCE);
            fake_crash(s->h, ENGINE);
        }
        stage_say(c, rows[i].request);
        ERROR(c, rows[i].status, rows[i].code);
        is_openai(&s->last, rows[i].type, rows[i].code);
        stage_free(s);
    }
}

/* Too long, too many, in a target or in a head: the status says which. */
static void limits_have_codes(void **state)
{
    static const struct {
        const char *before;
        const char *repeated;
        unsigned times;
        unsigned status;
        const char *code;
    } rows[] = {
        {"GET /", "aaaaaaaaaa", 410, 414, "target_too_long"},
        {"GET / HTTP/1.1\r\nHost: h\r\n", "A: b\r\n", 128, 431, "head_too_large"},
        {"GET / HTTP/1.1\r\nHost: h\r\nA: ", "aaaaaaaaaa", 6600, 431, "head_too_large"},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: a", ",abcdefgh", 70, 400, "bad_request"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct stage *s = stage_new();
        struct fake_conn *c = stage_user(s, ROLE_INFERENCE);

        fake_say(c, rows[i].before);
        for (unsigned k = 0; k < rows[i].times; k++)
            fake_say(c, rows[i].repeated);
        fake_say(c, i == 0 ? " HTTP/1.1\r\nHost: h\r\n\r\n" : i == 1 ? "\r\n" : "\r\n\r\n");
        fake_run(s->h);
        ERROR(c, rows[i].status, rows[i].code);
        assert_string_equal(stage_field(s, "Connection"), "close");
        assert_true(c->ended);
        HEARD(s, "");
        stage_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_for_each_request),
        cmocka_unit_test(a_json_line_for_each_request),
        cmocka_unit_test(json_lines_are_bounded),
        cmocka_unit_test(heads_that_make_no_sense_are_not_quoted),
        cmocka_unit_test(floods_of_bad_heads_are_counted),
        cmocka_unit_test(floods_of_bad_answers_are_counted),
        cmocka_unit_test(lines_of_requests_that_failed),
        cmocka_unit_test(lines_of_answers_that_were_cut),
        cmocka_unit_test(lines_are_bounded),
        cmocka_unit_test(numbers_add_up),
        cmocka_unit_test(clients_leave_for_reasons),
        cmocka_unit_test(first_bytes_are_measured),
        cmocka_unit_test(direct_is_where_it_went),
        cmocka_unit_test(errors_are_openais),
        cmocka_unit_test(limits_have_codes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
