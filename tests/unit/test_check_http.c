/* From answers of API node and MLNode, and of PID 1, to what is said of them. */
#include "findings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "check/judge_http.h"
#include "check/judge_instance.h"
#include "container/beat.h"
#include "container/plan.h"

#define MANY(rows) (sizeof(rows) / sizeof((rows)[0]))

enum { NOW_S = 1800000000 };

static struct http_facts asked(const char *path)
{
    return (struct http_facts){.host = "127.0.0.1", .port = 8080, .path = path};
}

static struct http_facts answered(const char *path, unsigned status, const char *body)
{
    struct http_facts f = asked(path);

    f.answered = true;
    f.status = status;
    f.body = mem_strdup(body);
    f.len = strlen(body);
    f.here_s = NOW_S;
    snprintf(f.peer, sizeof(f.peer), "127.0.0.1:8080");
    return f;
}

static struct http_facts refused(const char *path, enum reason why)
{
    struct http_facts f = asked(path);

    f.why = why;
    snprintf(f.text, sizeof(f.text), "%s", reason_name(why));
    if (why != REASON_CONNECT_REFUSED && why != REASON_RESOLVE_FAILED)
        snprintf(f.peer, sizeof(f.peer), "127.0.0.1:8080");
    return f;
}

/* ---- the API node ---------------------------------------------------------------------------- */

static void test_api_is_away(void **state)
{
    static const struct {
        enum reason why;
        const char *remedy;
    } rows[] = {
        {REASON_RESOLVE_FAILED, "DNS"},
        {REASON_CONNECT_REFUSED, "nothing listens"},
        {REASON_CONNECT_TIMEOUT, "firewall"},
        {REASON_CONNECT_FAILED, "is down"},
    };

    for (size_t i = 0; i < MANY(rows); i++) {
        struct http_facts f = refused("/", rows[i].why);
        struct findings list = {0};
        const struct expected want[] = {
            {CHECK_API_TCP, VERDICT_FAIL, reason_name(rows[i].why), rows[i].remedy},
            {CHECK_API_HTTP, VERDICT_SKIP, "api.tcp", NULL},
            {CHECK_CLOCK_API, VERDICT_SKIP, "api.tcp", NULL},
        };

        judge_api(&list, &f);
        expect_findings(&list, want, MANY(want));
    }
}

static void test_api_says_nothing(void **state)
{
    static const enum reason rows[] = {REASON_UPSTREAM_TIMEOUT, REASON_UPSTREAM_PROTOCOL,
                                       REASON_PEER_CLOSED, REASON_NONE};

    for (size_t i = 0; i < MANY(rows); i++) {
        struct http_facts f = refused("/", rows[i]);
        struct findings list = {0};
        const struct expected want[] = {
            {CHECK_API_TCP, VERDICT_OK, "127.0.0.1:8080", NULL},
            {CHECK_API_HTTP, VERDICT_WARN, NULL, "TLS"},
            {CHECK_CLOCK_API, VERDICT_SKIP, "api.http", NULL},
        };

        judge_api(&list, &f);
        expect_findings(&list, want, MANY(want));
    }
}

static void test_api_clock(void **state)
{
    static const struct {
        int64_t ahead_s;
        enum verdict verdict;
        const char *found;
    } rows[] = {
        {0, VERDICT_OK, "within 1 s"},
        {-9, VERDICT_OK, "within 10 s"},
        {9, VERDICT_OK, "within 10 s"},
        {10, VERDICT_WARN, "10 s ahead of"},
        {-899, VERDICT_WARN, "899 s behind"},
        {900, VERDICT_FAIL, "900 s ahead of"},
        {-90000, VERDICT_FAIL, "90000 s behind"},
    };

    for (size_t i = 0; i < MANY(rows); i++) {
        struct http_facts f = answered("/", 404, "");
        struct findings list = {0};
        const struct expected want[] = {
            {CHECK_API_TCP, VERDICT_OK, NULL, NULL},
            {CHECK_API_HTTP, VERDICT_OK, "404", NULL},
            {CHECK_CLOCK_API, rows[i].verdict, rows[i].found, NULL},
        };

        f.date_s = f.here_s - rows[i].ahead_s;
        judge_api(&list, &f);
        expect_findings(&list, want, MANY(want));
        http_facts_release(&f);
    }
}

/* ---- MLNode ---------------------------------------------------------------------------------- */

#define STATE(word) "{\"state\":\"" word "\"}"
#define MODELS      "{\"data\":[{\"id\":\"m\"}]}"

static void check_mlnode(struct http_facts management, struct http_facts inference, bool here,
                         const struct expected want[2])
{
    const struct instance_facts instance = {.here = here};
    struct findings list = {0};

    judge_mlnode(&list, &management, &inference, &instance);
    expect_findings(&list, want, 2);
    http_facts_release(&management);
    http_facts_release(&inference);
}

static void test_mlnode(void **state)
{
    const char *s = "/api/v1/state";
    const char *m = "/v1/models";
    const struct expected stopped[] = {
        {CHECK_MLNODE_MANAGEMENT, VERDICT_OK, "STOPPED", NULL},
        {CHECK_MLNODE_INFERENCE, VERDICT_OK, "normal while no model is loaded", NULL}};
    const struct expected serves[] = {{CHECK_MLNODE_MANAGEMENT, VERDICT_OK, "INFERENCE", NULL},
                                      {CHECK_MLNODE_INFERENCE, VERDICT_OK, "has a model", NULL}};
    const struct expected no_engine[] = {
        {CHECK_MLNODE_MANAGEMENT, VERDICT_OK, "INFERENCE", NULL},
        {CHECK_MLNODE_INFERENCE, VERDICT_WARN, "closed although", "engine"}};
    const struct expected busy[] = {{CHECK_MLNODE_MANAGEMENT, VERDICT_OK, "INFERENCE", NULL},
                                    {CHECK_MLNODE_INFERENCE, VERDICT_WARN, "503", NULL}};
    const struct expected foreign_engine[] = {
        {CHECK_MLNODE_MANAGEMENT, VERDICT_OK, "INFERENCE", NULL},
        {CHECK_MLNODE_INFERENCE, VERDICT_FAIL, "not MLNode", "MLNODE_INFERENCE"}};
    const struct expected before[] = {
        {CHECK_MLNODE_MANAGEMENT, VERDICT_SKIP, "before `mlgate run`", NULL},
        {CHECK_MLNODE_INFERENCE, VERDICT_SKIP, "mlnode.management", NULL}};
    const struct expected starting[] = {
        {CHECK_MLNODE_MANAGEMENT, VERDICT_WARN, "nobody listens", "a minute"},
        {CHECK_MLNODE_INFERENCE, VERDICT_SKIP, NULL, NULL}};
    const struct expected hangs[] = {
        {CHECK_MLNODE_MANAGEMENT, VERDICT_FAIL, "no answer", "restart it"},
        {CHECK_MLNODE_INFERENCE, VERDICT_SKIP, NULL, NULL}};
    const struct expected jupyter[] = {
        {CHECK_MLNODE_MANAGEMENT, VERDICT_FAIL, "not MLNode", "Jupyter"},
        {CHECK_MLNODE_INFERENCE, VERDICT_SKIP, NULL, NULL}};

    check_mlnode(answered(s, 200, STATE("STOPPED")), refused(m, REASON_CONNECT_REFUSED), true,
                 stopped);
    check_mlnode(answered(s, 200, STATE("INFERENCE")), answered(m, 200, MODELS), true, serves);
    check_mlnode(answered(s, 200, STATE("INFERENCE")), refused(m, REASON_CONNECT_REFUSED), true,
                 no_engine);
    check_mlnode(answered(s, 200, STATE("INFERENCE")), answered(m, 503, "{}"), true, busy);
    check_mlnode(answered(s, 200, STATE("INFERENCE")), answered(m, 200, "<html>"), true,
                 foreign_engine);
    check_mlnode(refused(s, REASON_CONNECT_REFUSED), refused(m, REASON_CONNECT_REFUSED), false,
                 before);
    check_mlnode(refused(s, REASON_CONNECT_REFUSED), refused(m, REASON_CONNECT_REFUSED), true,
                 starting);
    check_mlnode(refused(s, REASON_UPSTREAM_TIMEOUT), refused(m, REASON_CONNECT_REFUSED), true,
                 hangs);
    check_mlnode(answered(s, 404, "<html>"), refused(m, REASON_CONNECT_REFUSED), false, jupyter);
    check_mlnode(answered(s, 302, ""), refused(m, REASON_CONNECT_REFUSED), false, jupyter);
    check_mlnode(answered(s, 200, "{\"state\":7}"), refused(m, REASON_CONNECT_REFUSED), false,
                 jupyter);
}

/* ---- the instance ---------------------------------------------------------------------------- */

static void test_instance(void **state)
{
    const struct health ready = {
        .phase = PHASE_SERVE, .worker = CHILD_ALIVE, .registered = 1, .manner = MANNER_ANSWERS};
    struct health unregistered = ready;
    struct health waits = ready;
    struct health dead = ready;
    const struct {
        int answer;
        const struct health *health;
        bool here;
        enum verdict verdict;
        const char *found;
        const char *remedy;
    } rows[] = {
        {0, &ready, true, VERDICT_OK, "ready", NULL},
        {0, &unregistered, true, VERDICT_FAIL, "not registered", "first FAIL below"},
        {0, &waits, true, VERDICT_WARN, "does not listen", "mlnode.management"},
        {0, &dead, true, VERDICT_FAIL, "no sign of life", "log"},
        {-ETIMEDOUT, &ready, true, VERDICT_FAIL, "does not answer", "restart"},
        {-ENOENT, &ready, false, VERDICT_SKIP, "no `mlgate run` is here", NULL},
        {-ECONNREFUSED, &ready, false, VERDICT_SKIP, "no `mlgate run` is here", NULL},
        {-EACCES, &ready, false, VERDICT_SKIP, "only root", NULL},
        {-EPERM, &ready, true, VERDICT_SKIP, "only root", NULL},
        {-EPROTO, &ready, false, VERDICT_SKIP, "cannot ask", NULL},
    };

    unregistered.registered = 0;
    waits.manner = MANNER_ABSENT;
    dead.beat_age_us = 3600 * (uint64_t)1000000;
    for (size_t i = 0; i < MANY(rows); i++) {
        struct instance_facts f = {.health = *rows[i].health};
        struct findings list = {0};

        instance_facts_set(&f, rows[i].answer);
        assert_int_equal(f.here, rows[i].here);
        judge_instance(&list, &f);
        expect_finding(&list, CHECK_INSTANCE, rows[i].verdict, rows[i].found, rows[i].remedy);
    }
}

/* Nobody answers as `mlgate run` does. */
static void test_no_run(void **state)
{
    static const struct {
        struct instance_facts f;
        enum verdict verdict;
        const char *found;
        const char *remedy;
    } rows[] = {
        {{.client = true, .registered = true}, VERDICT_OK, "`mlgate client` is here", NULL},
        {{.client = true}, VERDICT_FAIL, "`mlgate client` is here and its tunnel", "FAIL below"},
        {{.client = true, .refused = "port unavailable", .refused_port = 10042},
         VERDICT_FAIL,
         "refuses it port 10042",
         "ss -ltnp"},
        {{.left = "/etc/frp/mlgate.sock", .expected = true},
         VERDICT_WARN,
         "it left /etc/frp/mlgate.sock behind and is gone",
         "dmesg"},
        {{.expected = true}, VERDICT_WARN, "although PID 1 has its variables", "mlgate run"},
    };

    for (size_t i = 0; i < MANY(rows); i++) {
        struct instance_facts f = rows[i].f;
        struct findings list = {0};

        instance_facts_set(&f, -ECONNREFUSED);
        judge_instance(&list, &f);
        expect_finding(&list, CHECK_INSTANCE, rows[i].verdict, rows[i].found, rows[i].remedy);
    }
}

static void test_refused_ports(void **state)
{
    static const struct {
        const char *refused;
        bool several;
        const char *remedy;
    } rows[] = {
        {"proxy [a] already exists: h at 192.0.2.1:2 is online", false, "stop one of the two"},
        {"port already used: h at 192.0.2.1:2 is online", true, "FRP_SERVER"},
        {"port unavailable", false, "ss -ltnp"},
        {"port not allowed", true, "--allow-ports"},
        {"something new", false, "log"},
    };

    for (size_t i = 0; i < MANY(rows); i++) {
        struct instance_facts f = {.health = {.phase = PHASE_SERVE, .worker = CHILD_ALIVE},
                                   .refused_port = 10042,
                                   .several = rows[i].several};
        struct findings list = {0};

        snprintf(f.refused, sizeof(f.refused), "%s", rows[i].refused);
        instance_facts_set(&f, 0);
        judge_instance(&list, &f);
        expect_finding(&list, CHECK_INSTANCE, VERDICT_FAIL, rows[i].refused, rows[i].remedy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_api_is_away),   cmocka_unit_test(test_api_says_nothing),
        cmocka_unit_test(test_api_clock),     cmocka_unit_test(test_mlnode),
        cmocka_unit_test(test_instance),      cmocka_unit_test(test_no_run),
        cmocka_unit_test(test_refused_ports),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
