/* The status report, letter by letter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "observe/report.h"

static char *report(const char *document, bool colour)
{
    json_t *d = json_loads(document, 0, NULL);
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(d);
    assert_non_null(out);
    report_write(out, d, colour);
    fclose(out);
    json_decref(d);
    return text;
}

static void check(const char *document, const char *wanted)
{
    char *text = report(document, false);

    if (strcmp(text, wanted) != 0)
        fail_msg("wanted:\n%s\ngot:\n%s", wanted, text);
    mem_free(text);
}

static const char well[] =
    "{'version': '1.2.3', 'role': 'container', 'client_id': '0042', 'node_id': 'rig-7',"
    " 'uptime_s': 5,"
    " 'servers': [{'address': 'frp.example.org:7000', 'state': 'registered', 'since_s': 11523,"
    "  'round_trip_ms': 23.14, 'sessions': 2, 'streams': 12, 'users': 51234,"
    "  'bytes_in': 1288490188, 'bytes_out': 8697308774, 'rate_in': 3250586, 'rate_out': 23068672,"
    "  'ports': [{'remote': 10042, 'state': 'confirmed', 'to': '127.0.0.1:8081'},"
    "            {'remote': 20042, 'state': 'confirmed', 'to': '127.0.0.1:5050'}],"
    "  'last_end': {'reason': 'peer-reset', 'ago_s': 11524,"
    "   'text': 'frp.example.org:7000: peer-reset: the connection was reset'}}],"
    " 'mlnode': {'state': 'inference', 'manner': 'answers', 'asked_model': 'Qwen/Qwen3-32B-FP8',"
    "  'engines': [{'port': 5001, 'live': true, 'in_flight': 3, 'served': 1234},"
    "              {'port': 5002, 'live': false, 'in_flight': 0, 'served': 77}]},"
    " 'model': {'name': 'Qwen/Qwen3-32B-FP8', 'state': 'downloading', 'by': 'hf',"
    "  'percent': 43.1, 'bytes': 14500000000, 'total_bytes': 33600000000, 'rate': 89128960,"
    "  'remaining_s': 225},"
    " 'gateway': {'requests': 12345, 'exchanges': 3, 'clients': 7,"
    "  'classes': {'inference': {'outcomes': {'ok': 12000, 'client_left': 12},"
    "                            'first_byte_ms': {'p50': 123.4, 'p99': 1234.5, 'count': 12000}},"
    "              'poll': {'outcomes': {'ok': 333}, 'first_byte_ms': {'count': 0}}},"
    "  'last_refusals': [{'ago_s': 192, 'method': 'POST', 'path': '/v1/load_lora_adapter',"
    "    'why': 'not served here (GATEWAY_POLICY)', 'from': '192.0.2.7'},"
    "   {'ago_s': 4000, 'why': 'malformed request', 'from': '192.0.2.8'}]},"
    " 'container': {'phase': 'serving', 'uptime_s': 90000,"
    "  'worker': {'state': 'running', 'starts': 2, 'since_s': 61},"
    "  'mlnode': {'state': 'running', 'starts': 1, 'since_s': 89999},"
    "  'restarts': [{'who': 'worker', 'why': 'was killed by signal 9 (Killed)', 'ago_s': 61}],"
    "  'listeners': []}}";

static const char well_said[] =
    "mlgate 1.2.3, container 0042, node rig-7, up 1 d 1 h\n"
    "server    frp.example.org:7000: registered for 3 h 12 m, round trip 23.1 ms\n"
    "  ports   10042 to 127.0.0.1:8081, 20042 to 127.0.0.1:5050\n"
    "  now     12 streams, in 3.10 MiB/s, out 22.0 MiB/s\n"
    "  total   51,234 users, in 1.20 GiB, out 8.10 GiB, 2 sessions\n"
    "  ended   3 h 12 m ago: peer-reset: the connection was reset\n"
    "MLNode    state inference, management answers, asked for Qwen/Qwen3-32B-FP8\n"
    "  engines 5001 live (3 now, 1,234 served), 5002 lost (0 now, 77 served)\n"
    "model     Qwen/Qwen3-32B-FP8: downloading by hf, 43.1 %, 13.5 GiB of 31.3 GiB,\n"
    "          85.0 MiB/s, 3 m 45 s left\n"
    "requests  12,345, 3 under way, 7 connected clients\n"
    "  answers ok 12,000, client left 12; first byte p50 123 ms, p99 1.2 s\n"
    "  polls   ok 333\n"
    "refused   3 m 12 s ago from 192.0.2.7, POST /v1/load_lora_adapter: not served\n"
    "          here (GATEWAY_POLICY)\n"
    "          1 h 6 m ago from 192.0.2.8: malformed request\n"
    "processes worker running for 1 m 1 s (start 2), mlnode running for 1 d 0 h\n"
    "restarts  1 m 1 s ago: worker was killed by signal 9 (Killed)\n";

static const char broken[] =
    "{'version': '1.2.3', 'role': 'container', 'client_id': '0042', 'uptime_s': 5,"
    " 'servers': [{'address': 'a.example.org:7000', 'state': 'waiting', 'since_s': 2,"
    "  'next_try_s': 7, 'ports': [{'remote': 10042, 'state': 'waiting'}],"
    "  'last_end': {'reason': 'auth-failed', 'ago_s': 2,"
    "   'text': 'a.example.org:7000: auth-failed: token in login doesn\\'t match'}},"
    "  {'address': 'b.example.org:7000', 'state': 'registering', 'since_s': 3,"
    "   'ports': [{'remote': 10042, 'state': 'refused', 'error': 'port already used'},"
    "             {'remote': 20042, 'state': 'waiting'}]}],"
    " 'mlnode': {'state': 'unknown', 'manner': 'absent', 'engines': []},"
    " 'model': {'name': 'a/b', 'state': 'retrying', 'text': 'the hub says 401'},"
    " 'container': {'phase': 'serving', 'uptime_s': 60,"
    "  'worker': {'state': 'running', 'starts': 1, 'since_s': 60},"
    "  'mlnode': {'state': 'paused', 'starts': 3},"
    "  'restarts': [{'who': 'mlnode', 'why': 'ended with status 1', 'ago_s': 4}],"
    "  'listeners': [22, 8888], 'more_listeners': 3}}";

static const char broken_said[] =
    "mlgate 1.2.3, container 0042, up 1 m 0 s\n"
    "!         a.example.org:7000: not registered, waiting for 2 s, next try in 7 s;\n"
    "          auth-failed: token in login doesn't match\n"
    "!         b.example.org:7000: not registered, registering for 3 s\n"
    "!         b.example.org:7000: port 10042 is refused: port already used; another\n"
    "          session has it: a second container with the same CLIENT_ID, of which\n"
    "          one must stop, or two entries of FRP_SERVER that lead to one server\n"
    "!         MLNode has ended and starts again after a pause: it ended with status\n"
    "          1, and the container's log has its last words\n"
    "!         model a/b: retrying: the hub says 401\n"
    "!         reachable from outside where the platform publishes them: ports 22,\n"
    "          8888 and 3 more; `mlgate check` says whose they are\n"
    "server ";

/* JSON with the quotes that C likes. */
static char *quoted(const char *text)
{
    char *out = mem_strdup(text);

    for (char *at = out; *at != '\0'; at++)
        if (*at == '\'' && (at == out || at[-1] != '\\'))
            *at = '"';
        else if (*at == '\\' && at[1] == '\'')
            memmove(at, at + 1, strlen(at));
    return out;
}

static void a_node_that_is_well(void **state)
{
    char *document = quoted(well);

    check(document, well_said);
    mem_free(document);
}

static void what_is_broken_comes_first(void **state)
{
    char *document = quoted(broken);
    char *text = report(document, false);

    if (strncmp(text, broken_said, strlen(broken_said)) != 0)
        fail_msg("got:\n%s", text);
    mem_free(text);
    mem_free(document);
}

/* Each with the one line that says what it is, and what to do. */
static void what_is_broken_has_its_remedy(void **state)
{
    static const char *const rows[][2] = {
        {"{'servers': [{'state': 'registering', 'ports': [{'remote': 10042, 'state': 'refused',"
         " 'error': 'port unavailable'}]}]}",
         "`ss -ltnp` there says which"},
        {"{'servers': [{'state': 'registering', 'ports': [{'remote': 10042, 'state': 'refused',"
         " 'error': 'port not allowed'}]}]}",
         "--allow-ports"},
        {"{'servers': [{'state': 'registered'}, {'state': 'registering', 'ports': [{'remote': "
         "10042,"
         " 'state': 'refused', 'error': 'port already used'}]}]}",
         "two entries of FRP_SERVER"},
        {"{'servers': [{'address': 'a:1', 'state': 'registered', 'silent_s': 7}]}",
         "a:1: nothing heard for 7 s, a second connection is tried: "},
        {"{'mlnode': {'manner': 'silent'}}", "an engine crashed"},
        {"{'mlnode': {'manner': 'absent'}, 'container': {'mlnode': {'since_s': 9}}}",
         "does not listen: it needs a minute to start"},
        {"{'mlnode': {'manner': 'absent'}, 'container': {'mlnode': {'since_s': 301}}}",
         "does not listen, 5 m 1 s after the start of MLNode; "},
        {"{'mlnode': {'manner': 'absent'}, 'container': {}}",
         "no MLNode is started here; the image has none, or MLNODE_MANAGEMENT names another "},
        {"{'mlnode': {'manner': 'absent'}}", "nobody starts it here; start MLNode"},
        {"{'metrics': {'error': 'cannot listen on 0.0.0.0:80: x'}}",
         "could not be opened: cannot listen on 0.0.0.0:80: x; free that port"},
        {"{'clients': []}", "no client is logged in"},
        {"{'mlnode': {'manner': 'answers', 'state': 'unknown'}}", "tells no state"},
        {"{'container': {'restarts': [{'who': 'worker', 'why': 'x', 'ago_s': 1},"
         " {'who': 'mlnode', 'why': 'y', 'ago_s': 2}, {'who': 'worker', 'why': 'z', 'ago_s': 3},"
         " {'who': 'worker', 'why': 'z', 'ago_s': 600}]}}",
         "worker ended 3 times in 10 minutes, last it x: "},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *document = quoted(rows[i][0]);
        char *text = report(document, false);

        for (char *at = text; (at = strstr(at, "\n          ")) != NULL;)
            memmove(at, at + 10, strlen(at + 10) + 1); /* the words of one line, unwrapped */
        if (strstr(text, rows[i][1]) == NULL)
            fail_msg("no \"%s\" in:\n%s", rows[i][1], text);
        mem_free(text);
        mem_free(document);
    }
}

static void an_accident_is_no_storm(void **state)
{
    static const char *const rows[] = {
        ("{'container': {'restarts': [{'who': 'worker', 'ago_s': 1}, {'who': 'worker', 'ago_s': 2},"
         " {'who': 'worker', 'ago_s': 601}]}}"),
        "{'mlnode': {'manner': 'answers', 'state': 'stopped'}}",
        "{'mlnode': {'manner': 'not asked', 'state': 'unknown'}}",
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *document = quoted(rows[i]);
        char *text = report(document, false);

        if (strstr(text, "\n!") != NULL)
            fail_msg("got:\n%s", text);
        mem_free(text);
        mem_free(document);
    }
}

static void lines_fit_a_terminal(void **state)
{
    const char *const documents[] = {well, broken};

    for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
        char *document = quoted(documents[i]);
        char *text = report(document, false);

        for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1)
            assert_true(strcspn(line, "\n") <= 80);
        mem_free(text);
        mem_free(document);
    }
}

static void what_is_missing_or_odd_is_left_out(void **state)
{
    static const char *const rows[][2] = {
        {"{}", "mlgate \n"},
        {"{'version': '1'}", "mlgate 1\n"},
        {"{'version': 7, 'servers': 3, 'gateway': [], 'mlnode': null}", "mlgate \n"},
        {"{'version': '1', 'model': {}}", "mlgate 1\n"},
        {"{'version': '1', 'servers': [{'state': 'registered'}]}",
         "mlgate 1\nserver    registered\n  now     0 streams, in 0 B/s, out 0 B/s\n"
         "  total   0 users, in 0 B, out 0 B, 0 sessions\n"},
        {"{'version': '1', 'container': {'phase': 'draining'}}",
         "mlgate 1\n!         the container is draining\n"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *document = quoted(rows[i][0]);

        check(document, rows[i][1]);
        mem_free(document);
    }
}

static void a_terminal_obeys_nobody_but_us(void **state)
{
    char *document = quoted("{'version': '\\u001b[2J', 'node_id': '\\u009b\\n\\u0007',"
                            " 'gateway': {'classes': {'other': {'outcomes': {'\\u001b[1m': 1}}}},"
                            " 'servers': [{'state': '\\u001bc', 'address': 'x\\r'}]}");
    char *text = report(document, false);

    for (const char *at = text; *at != '\0'; at++)
        assert_true(*at == '\n' || (*at >= ' ' && *at <= '~'));
    mem_free(text);
    mem_free(document);
}

static void colour_is_taken_back(void **state)
{
    char *document = quoted(broken);
    char *text = report(document, true);
    const char *red = strstr(text, "\x1b[1;31m");

    assert_non_null(red);
    assert_non_null(strstr(red, "\x1b[0m"));
    for (const char *at = text; (at = strstr(at, "\x1b[1")) != NULL; at++)
        assert_non_null(strstr(at, "\x1b[0m"));
    mem_free(text);
    mem_free(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_that_is_well),
        cmocka_unit_test(what_is_broken_comes_first),
        cmocka_unit_test(what_is_broken_has_its_remedy),
        cmocka_unit_test(an_accident_is_no_storm),
        cmocka_unit_test(lines_fit_a_terminal),
        cmocka_unit_test(what_is_missing_or_odd_is_left_out),
        cmocka_unit_test(a_terminal_obeys_nobody_but_us),
        cmocka_unit_test(colour_is_taken_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
