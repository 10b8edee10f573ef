/* Every refused path in every spelling that some hop behind us reads as that path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/policy.h"

enum verdict {
    REFUSED = 0, /* by the policy: 404 */
    ALLOWED = 1,
    BAD = 2, /* no target at all: 400 */
};

static enum verdict judge(enum policy p, const char *method, const char *text)
{
    static struct http_target target;

    memset(&target, 0xa5, sizeof(target));
    if (http_target_read((struct http_slice){text, strlen(text)}, &target) != 0)
        return BAD;
    return policy_allows(p, (struct http_slice){method, strlen(method)}, &target) ? ALLOWED
                                                                                  : REFUSED;
}

static void expect(enum policy p, const char *method, const char *text, enum verdict want)
{
    static const char *const said[] = {"refused", "allowed", "bad"};
    enum verdict got = judge(p, method, text);

    if (got != want)
        fail_msg("%s %s with %s is %s, want %s", method, text, policy_name(p), said[got],
                 said[want]);
}

/* ---- spellings ------------------------------------------------------------------------------- */

enum { TEXT_MAX = 2048 };

/* Encodes one byte `depth` times: %74, %2574, %252574 … */
static void put_encoded(char *out, unsigned char c, unsigned depth)
{
    size_t len = strlen(out);

    if (depth == 0) {
        snprintf(out + len, TEXT_MAX - len, "%c", c);
        return;
    }
    len += (size_t)snprintf(out + len, TEXT_MAX - len, "%%");
    for (unsigned i = 1; i < depth; i++)
        len += (size_t)snprintf(out + len, TEXT_MAX - len, "25");
    snprintf(out + len, TEXT_MAX - len, "%02x", c);
}

/* Encodes the byte at `only`, or all but the first '/' when that is past the end. */
static void encode(char *out, const char *path, size_t only, unsigned depth)
{
    size_t len = strlen(path);

    out[0] = '\0';
    for (size_t i = 0; i < len; i++)
        put_encoded(out, (unsigned char)path[i], i > 0 && (i == only || only >= len) ? depth : 0);
}

/* In no spelling is the path let through, and only what is no target at all is 400. */
static void refuse_spelling(const char *method, const char *text)
{
    enum verdict guard = judge(POLICY_GUARD, method, text);

    if (guard == ALLOWED)
        fail_msg("%s %s passes", method, text);
    if (judge(POLICY_STRICT, method, text) == ALLOWED)
        fail_msg("%s %s passes strict", method, text);
    if (guard == REFUSED)
        expect(POLICY_OPEN, method, text, ALLOWED);
}

static void refuse_all_spellings(const char *method, const char *path)
{
    static const char *const before[] = {
        "",     "/v3.0.8", "/v3.0.8/v9.1-x", "/v1.0/v2.0/v3.0", "/v3%2e0.8", "/v3.0.8/v3%252e0.8",
        "/.",   "/",       "/x/..",          "/x/%2e%2e",       "/x/.%252e", "/%252e",
        "/%2f", "/%252f",  "/%5c..",
    };
    static const char *const after[] = {
        "",         "/",   "?x=y", "/x",  "%3Fx",  "%3f/%2e.", "%23",   "%253fx",
        "%2525233", "%2f", "/%2e", "/..", "%2f..", "%00",      "%2500", "%252f",
    };
    char text[2 * TEXT_MAX];
    char spelled[TEXT_MAX];

    for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++)
        for (size_t k = 0; k < sizeof(after) / sizeof(after[0]); k++) {
            snprintf(text, sizeof(text), "%s%s%s", before[i], path, after[k]);
            refuse_spelling(method, text);
        }
    for (unsigned depth = 1; depth <= POLICY_DECODE_MAX + 2; depth++)
        for (size_t only = 1; only <= strlen(path); only++) {
            encode(spelled, path, only, depth);
            refuse_spelling(method, spelled);
        }
}

static void test_refused(void **state)
{
    static const char *const paths[] = {
        "/api/v1/train",
        "/api/v1/train/start",
        "/api/v1/train/stop",
        "/api/v1/train/status",
        "/docs",
        "/docs/oauth2-redirect",
        "/redoc",
        "/openapi.json",
        "/collective_rpc",
        "/invocations",
        "/update_weights",
        "/init_weights_update_group",
        "/init_weight_transfer_engine",
        "/start_weight_update",
        "/start_draft_weight_update",
        "/finish_weight_update",
        "/update_weight_version",
        "/weight_checker",
        "/weight_info",
        "/get_world_size",
        "/v1/load_lora_adapter",
        "/v1/unload_lora_adapter",
        "/adapters",
        "/sleep",
        "/wake_up",
        "/is_sleeping",
        "/pause",
        "/resume",
        "/is_paused",
        "/abort_requests",
        "/scale_elastic_ep",
        "/is_scaling_elastic_ep",
        "/fault_tolerance/apply",
        "/reset_prefix_cache",
        "/reset_mm_cache",
        "/reset_encoder_cache",
        "/start_profile",
        "/stop_profile",
        "/server_info",
        "/v1/runtime_config",
    };
    static const char *const methods[] = {"GET", "POST", "DELETE", "OPTIONS", "X-ODD"};

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        refuse_all_spellings("POST", paths[i]);
        for (size_t k = 0; k < sizeof(methods) / sizeof(methods[0]); k++)
            expect(POLICY_GUARD, methods[k], paths[i], REFUSED);
    }
    refuse_all_spellings("DELETE", "/api/v1/models");
    expect(POLICY_GUARD, "DELETE", "/api/v1/models", REFUSED);
}

/* Beside the refused paths: as near as a name can be, and still another one. */
static void test_near_misses(void **state)
{
    static const struct {
        const char *method;
        const char *target;
    } rows[] = {
        {"GET", "/"},
        {"OPTIONS", "*"},
        {"POST", "/api/v1/training"},
        {"POST", "/api/v1/trai"},
        {"POST", "/api/v2/train"},
        {"POST", "/train/start"},
        {"POST", "/Sleep"},
        {"POST", "/sleepy"},
        {"POST", "/sleep;x"},
        {"POST", "/x/sleep"},
        {"GET", "/docsx"},
        {"GET", "/doc"},
        {"GET", "/openapi.jsonx"},
        {"GET", "/v1/docs"},
        {"POST", "/load_lora_adapter"},
        {"GET", "/x?/../sleep"},
        {"GET", "/x%3F/sleep"},
        {"POST", "/v1/load_lora_adapters"},
        {"POST", "/api/v1/models"},
        {"GET", "/api/v1/models/list"},
        {"DELETE", "/api/v1/model"},
        {"POST", "/v2/poc-batches/Qwen%252FQwen3-32B-FP8/generated"},
        {"GET", "/100%25"},
        {"GET", "/100%2525"},
        {"GET", "/%2525252541"}, /* four rounds, then plain */
        {"GET", "/version"},
        {"GET", "/metrics"},
        {"GET", "/load"},
        {"POST", "/pooling"},
        {"POST", "/v1/responses"},
        {"POST", "/detokenize"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        expect(POLICY_GUARD, rows[i].method, rows[i].target, ALLOWED);
        expect(POLICY_OPEN, rows[i].method, rows[i].target, ALLOWED);
        expect(POLICY_STRICT, rows[i].method, rows[i].target, REFUSED);
    }
    expect(POLICY_GUARD, "GET", "/%252525252541", REFUSED); /* five rounds */
    expect(POLICY_GUARD, "GET", "/a%252f..%252fb", REFUSED);
    expect(POLICY_GUARD, "GET", "/a%255cb", REFUSED);
    expect(POLICY_OPEN, "GET", "/a%255cb", ALLOWED);
}

static void test_strict(void **state)
{
    static const struct {
        const char *method;
        const char *target;
    } rows[] = {
        {"GET", "/health"},
        {"GET", "/v1/models"},
        {"POST", "/v1/chat/completions"},
        {"POST", "/v1/completions"},
        {"POST", "/tokenize"},
        {"GET", "/api/v1/state"},
        {"GET", "/api/v1/versions"},
        {"GET", "/api/v1/metrics"},
        {"GET", "/api/v1/gpu/devices"},
        {"POST", "/api/v1/stop"},
        {"POST", "/api/v1/models/status"},
        {"POST", "/api/v1/models/download"},
        {"POST", "/api/v1/inference/up"},
        {"POST", "/api/v1/inference/up/async"},
        {"GET", "/api/v1/inference/up/status"},
        {"POST", "/api/v1/inference/down"},
        {"POST", "/api/v1/inference/pow/init/generate"},
        {"POST", "/api/v1/inference/pow/generate"},
        {"POST", "/api/v1/inference/pow/stop"},
        {"GET", "/api/v1/inference/pow/status"},
        {"GET", "/api/v1/inference/pow/generate/5001:0b9c_a-7F"},
        {"POST", "/api/v1/pow/init"},
        {"POST", "/api/v1/pow/init/generate"},
        {"POST", "/api/v1/pow/init/validate"},
        {"POST", "/api/v1/pow/phase/generate"},
        {"POST", "/api/v1/pow/phase/validate"},
        {"POST", "/api/v1/pow/validate"},
        {"POST", "/api/v1/pow/stop"},
        {"GET", "/api/v1/pow/status"},
        {"GET", "/mlgate/status"},
    };
    char text[TEXT_MAX];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bool get = strcmp(rows[i].method, "GET") == 0;

        for (int p = POLICY_GUARD; p <= POLICY_OPEN; p++)
            expect((enum policy)p, rows[i].method, rows[i].target, ALLOWED);
        snprintf(text, sizeof(text), "/v3.0.8%s?a=%%2e%%2e", rows[i].target);
        expect(POLICY_STRICT, rows[i].method, text, ALLOWED);
        /* other methods, more or less of the path */
        if (strcmp(rows[i].target, "/api/v1/inference/pow/generate") != 0)
            expect(POLICY_STRICT, get ? "POST" : "GET", rows[i].target, REFUSED);
        expect(POLICY_STRICT, "HEAD", rows[i].target, REFUSED);
        expect(POLICY_STRICT, "DELETE", rows[i].target, REFUSED);
        snprintf(text, sizeof(text), "%s%%3Fx", rows[i].target);
        expect(POLICY_STRICT, rows[i].method, text, REFUSED);
        snprintf(text, sizeof(text), "%s%%2541", rows[i].target);
        expect(POLICY_STRICT, rows[i].method, text, REFUSED);
        snprintf(text, sizeof(text), "%s/x/y", rows[i].target);
        expect(POLICY_STRICT, rows[i].method, text, REFUSED);
    }
    expect(POLICY_STRICT, "GET", "/api/v1/state/", ALLOWED);
    expect(POLICY_STRICT, "GET", "/api/v1/inference/pow/generate/", REFUSED);
    expect(POLICY_STRICT, "GET", "/api/v1/inference/pow/generate/a/b", REFUSED);
    expect(POLICY_STRICT, "GET", "/api/v1/inference/pow/generate/a.b", REFUSED);
    expect(POLICY_STRICT, "GET", "/api/v1/inference/pow/generate/a%7Eb", REFUSED);
    expect(POLICY_STRICT, "POST", "/api/v1/inference/pow/generate/5001:a", REFUSED);
    expect(POLICY_STRICT, "POST", "/api/v1/pow/other", REFUSED);
    expect(POLICY_STRICT, "GET", "/api/v1/pow/versions", REFUSED);
    expect(POLICY_STRICT, "POST", "/detokenize", REFUSED);
    expect(POLICY_STRICT, "GET", "/livez", REFUSED);
    expect(POLICY_STRICT, "GET", "/version", REFUSED);
}

static void test_names(void **state)
{
    for (int p = POLICY_GUARD; p <= POLICY_OPEN; p++)
        assert_int_equal(policy_parse(policy_name((enum policy)p)), p);
    assert_string_equal(policy_name(POLICY_GUARD), "guard");
    assert_int_equal(policy_parse("Guard"), -1);
    assert_int_equal(policy_parse("guard "), -1);
    assert_int_equal(policy_parse(""), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_near_misses),
        cmocka_unit_test(test_strict),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
