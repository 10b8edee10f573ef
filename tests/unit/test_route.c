/* The table of doc/DESIGN.md: who answers which path on which port. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/route.h"

enum {
    DAMPED = 1 << 0,
    TO_END = 1 << 1,
    SILENT = 1 << 2,
    CHANGES = 1 << 3,
    ASKS = 1 << 4,
};

static const char *const to_names[] = {"management", "inference", "engine", "status"};

static unsigned flags_of(const struct route *route)
{
    return (route->damped ? DAMPED : 0u) | (route->run_to_end ? TO_END : 0u) |
           (route->silent ? SILENT : 0u) | (route->changes ? CHANGES : 0u) |
           (route->asks_model ? ASKS : 0u);
}

static void check(enum gateway_role role, const char *method, const char *text, enum route_to to,
                  unsigned flags)
{
    static struct http_target target;
    struct route route;

    if (http_target_read((struct http_slice){text, strlen(text)}, &target) != 0)
        fail_msg("%s: %s", text, target.why);
    route = route_of(role, (struct http_slice){method, strlen(method)}, &target);
    if (route.to != to || flags_of(&route) != flags)
        fail_msg("%s %s on %d goes to %s with flags %u, want %s with %u", method, text, role,
                 to_names[route.to], flags_of(&route), to_names[to], flags);
}

#define MANAGEMENT ROUTE_TO_MANAGEMENT
#define INFERENCE  ROUTE_TO_INFERENCE
#define ENGINE     ROUTE_TO_ENGINE
#define STATUS     ROUTE_TO_STATUS

/* Of what the counters and the times are kept apart. */
static void test_classes(void **state)
{
    static const struct {
        enum gateway_role role;
        const char *method;
        const char *target;
        enum route_class class;
    } rows[] = {
        {ROLE_INFERENCE, "POST", "/v1/chat/completions", CLASS_INFERENCE},
        {ROLE_POC, "POST", "/v3.0.8/v1/completions", CLASS_INFERENCE},
        {ROLE_INFERENCE, "GET", "/v1/models", CLASS_POLL},
        {ROLE_INFERENCE, "GET", "/health", CLASS_POLL},
        {ROLE_POC, "HEAD", "/health", CLASS_POLL},
        {ROLE_POC, "GET", "/api/v1/state", CLASS_POLL},
        {ROLE_POC, "POST", "/api/v1/pow/init/generate", CLASS_MANAGEMENT},
        {ROLE_POC, "DELETE", "/api/v1/models", CLASS_MANAGEMENT},
        {ROLE_INFERENCE, "POST", "/tokenize", CLASS_OTHER},
        {ROLE_POC, "GET", "/mlgate/status", CLASS_OTHER},
        {ROLE_POC, "POST", "/pooling", CLASS_OTHER},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct http_slice method = {rows[i].method, strlen(rows[i].method)};
        static struct http_target target;
        enum route_class got;

        http_target_read((struct http_slice){rows[i].target, strlen(rows[i].target)}, &target);
        got = route_of(rows[i].role, method, &target).class;
        if (got != rows[i].class)
            fail_msg("%s %s is %s, want %s", rows[i].method, rows[i].target, route_class_name(got),
                     route_class_name(rows[i].class));
    }
}

static void test_table(void **state)
{
    static const struct {
        const char *method;
        const char *target;
        enum route_to inference; /* on 1{ID}, 8081 */
        unsigned inference_flags;
        enum route_to poc; /* on 2{ID}, 5050 */
        unsigned poc_flags;
    } rows[] = {
        /* by path, whatever the port */
        {"GET", "/api/v1/state", MANAGEMENT, 0, MANAGEMENT, 0},
        {"HEAD", "/api/v1/state", MANAGEMENT, 0, MANAGEMENT, 0},
        {"OPTIONS", "/api/v1/state", MANAGEMENT, 0, MANAGEMENT, 0},
        {"GET", "/api/v1", MANAGEMENT, 0, MANAGEMENT, 0},
        {"GET", "/api/v1/", MANAGEMENT, 0, MANAGEMENT, 0},
        {"GET", "/v3.0.8/api/v1/state?a", MANAGEMENT, 0, MANAGEMENT, 0},
        {"GET", "/%61pi%2Fv1/state", MANAGEMENT, 0, MANAGEMENT, 0},
        {"GET", "/livez", MANAGEMENT, 0, MANAGEMENT, 0},
        {"GET", "/readyz/", MANAGEMENT, 0, MANAGEMENT, 0},
        {"POST", "/v1/chat/completions", ENGINE, 0, ENGINE, 0},
        {"POST", "/v0.2.13-post2/v1/completions", ENGINE, 0, ENGINE, 0},
        {"GET", "/v1/models", ENGINE, 0, ENGINE, 0},
        {"GET", "/v1", ENGINE, 0, ENGINE, 0},
        {"GET", "/v1/", ENGINE, 0, ENGINE, 0},
        {"POST", "/tokenize", ENGINE, 0, ENGINE, 0},
        {"POST", "/detokenize", ENGINE, 0, ENGINE, 0},
        {"POST", "/api/v1/pow/init/generate", MANAGEMENT, TO_END, MANAGEMENT, TO_END},
        /* by role */
        {"GET", "/health", ENGINE, DAMPED, MANAGEMENT, 0},
        {"HEAD", "/health", ENGINE, DAMPED, MANAGEMENT, 0},
        {"GET", "/v3.0.8/health", ENGINE, DAMPED, MANAGEMENT, 0},
        {"POST", "/health", ENGINE, 0, MANAGEMENT, TO_END},
        {"OPTIONS", "/health", ENGINE, 0, MANAGEMENT, 0},
        {"GET", "/mlgate/status", MANAGEMENT, 0, STATUS, 0},
        {"POST", "/mlgate/status", MANAGEMENT, TO_END, STATUS, 0},
        /* the upstream of the port */
        {"GET", "/", MANAGEMENT, 0, INFERENCE, 0},
        {"OPTIONS", "*", MANAGEMENT, 0, INFERENCE, 0},
        {"GET", "/metrics", MANAGEMENT, 0, INFERENCE, 0},
        {"POST", "/pooling", MANAGEMENT, TO_END, INFERENCE, 0},
        {"DELETE", "/x", MANAGEMENT, TO_END, INFERENCE, 0},
        {"GET", "/mlgate", MANAGEMENT, 0, INFERENCE, 0},
        {"GET", "/mlgate/status/x", MANAGEMENT, 0, INFERENCE, 0},
        /* whole segments, letters as they are */
        {"GET", "/api/v1x", MANAGEMENT, 0, INFERENCE, 0},
        {"GET", "/api", MANAGEMENT, 0, INFERENCE, 0},
        {"GET", "/api/v2/state", MANAGEMENT, 0, INFERENCE, 0},
        {"GET", "/v1x", MANAGEMENT, 0, INFERENCE, 0},
        {"GET", "/v2/models", MANAGEMENT, 0, INFERENCE, 0},
        {"GET", "/V1/models", MANAGEMENT, 0, INFERENCE, 0},
        {"GET", "/x/v1/models", MANAGEMENT, 0, INFERENCE, 0},
        {"GET", "/livez/x", MANAGEMENT, 0, INFERENCE, 0},
        {"GET", "/health/x", MANAGEMENT, 0, INFERENCE, 0},
        {"GET", "/tokenize/x", MANAGEMENT, 0, INFERENCE, 0},
        {"GET", "/v1%3Fx", MANAGEMENT, 0, INFERENCE, 0},
        {"GET", "/v3.0.8/v3.0.8/v1/models", MANAGEMENT, 0, INFERENCE, 0},
        {"GET", "/%2576%31/models", MANAGEMENT, 0, INFERENCE, 0},
        /* what may change the engines, and what an answer of ours would misreport */
        {"POST", "/api/v1/stop", MANAGEMENT, TO_END | SILENT | CHANGES, MANAGEMENT,
         TO_END | SILENT | CHANGES},
        {"POST", "/v3.0.8/api/v1/stop", MANAGEMENT, TO_END | SILENT | CHANGES, MANAGEMENT,
         TO_END | SILENT | CHANGES},
        {"POST", "/api/v1/stop/", MANAGEMENT, TO_END | SILENT | CHANGES, MANAGEMENT,
         TO_END | SILENT | CHANGES},
        {"POST", "/api/v1/inference/up", MANAGEMENT, TO_END | SILENT | CHANGES | ASKS, MANAGEMENT,
         TO_END | SILENT | CHANGES | ASKS},
        {"POST", "/api/v1/inference/up/async", MANAGEMENT, TO_END | CHANGES | ASKS, MANAGEMENT,
         TO_END | CHANGES | ASKS},
        {"POST", "/api/v1/inference/down", MANAGEMENT, TO_END | CHANGES, MANAGEMENT,
         TO_END | CHANGES},
        {"GET", "/api/v1/stop", MANAGEMENT, 0, MANAGEMENT, 0},
        {"PUT", "/api/v1/stop", MANAGEMENT, TO_END, MANAGEMENT, TO_END},
        {"GET", "/api/v1/inference/up/status", MANAGEMENT, 0, MANAGEMENT, 0},
        {"POST", "/api/v1/inference/up/status", MANAGEMENT, TO_END, MANAGEMENT, TO_END},
        {"POST", "/api/v1/inference/pow/stop", MANAGEMENT, TO_END, MANAGEMENT, TO_END},
        {"POST", "/api/v1/stop/x", MANAGEMENT, TO_END, MANAGEMENT, TO_END},
        {"POST", "/api/v1/inference/upx", MANAGEMENT, TO_END, MANAGEMENT, TO_END},
        {"POST", "/api/v1/models/download", MANAGEMENT, TO_END, MANAGEMENT, TO_END},
        {"DELETE", "/api/v1/models", MANAGEMENT, TO_END, MANAGEMENT, TO_END},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check(ROLE_INFERENCE, rows[i].method, rows[i].target, rows[i].inference,
              rows[i].inference_flags);
        check(ROLE_POC, rows[i].method, rows[i].target, rows[i].poc, rows[i].poc_flags);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_classes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
