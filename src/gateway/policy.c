#include "gateway/policy.h"

#include <string.h>

struct rule {
    const char *method; /* NULL: any */
    const char *path;
};

/* Refused with everything below it. vLLM's own administration is taken from its API server, 0.9 to
 * 0.25; most of it exists only with development switches on, and none of it is anybody's here. */
static const struct rule forbidden_rules[] = {
    /* MLNode: a caller's environment for a spawned job; hundreds of gigabytes of weights */
    {NULL, "/api/v1/train"},
    {"DELETE", "/api/v1/models"},
    /* FastAPI, on every port */
    {NULL, "/docs"},
    {NULL, "/redoc"},
    {NULL, "/openapi.json"},
    /* vLLM: any method of the engine by name, and SageMaker's second door to inference */
    {NULL, "/collective_rpc"},
    {NULL, "/invocations"},
    /* vLLM: other weights */
    {NULL, "/update_weights"},
    {NULL, "/init_weights_update_group"},
    {NULL, "/init_weight_transfer_engine"},
    {NULL, "/start_weight_update"},
    {NULL, "/start_draft_weight_update"},
    {NULL, "/finish_weight_update"},
    {NULL, "/update_weight_version"},
    {NULL, "/weight_checker"},
    {NULL, "/weight_info"},
    {NULL, "/get_world_size"},
    {NULL, "/v1/load_lora_adapter"},
    {NULL, "/v1/unload_lora_adapter"},
    {NULL, "/adapters"},
    /* vLLM: standstill */
    {NULL, "/sleep"},
    {NULL, "/wake_up"},
    {NULL, "/is_sleeping"},
    {NULL, "/pause"},
    {NULL, "/resume"},
    {NULL, "/is_paused"},
    {NULL, "/abort_requests"},
    {NULL, "/scale_elastic_ep"},
    {NULL, "/is_scaling_elastic_ep"},
    {NULL, "/fault_tolerance"},
    /* vLLM: caches, profiler, configuration */
    {NULL, "/reset_prefix_cache"},
    {NULL, "/reset_mm_cache"},
    {NULL, "/reset_encoder_cache"},
    {NULL, "/start_profile"},
    {NULL, "/stop_profile"},
    {NULL, "/server_info"},
    {NULL, "/v1/runtime_config"},
};

/* What the API node calls, and our own status page. */
static const struct rule strict_rules[] = {
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
    /* proof of compute, version 2; results of one request are matched by is_pow_result */
    {"POST", "/api/v1/inference/pow/init/generate"},
    {"POST", "/api/v1/inference/pow/generate"},
    {"POST", "/api/v1/inference/pow/stop"},
    {"GET", "/api/v1/inference/pow/status"},
    /* and version 1 */
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

static const char *const names[] = {
    [POLICY_GUARD] = "guard",
    [POLICY_STRICT] = "strict",
    [POLICY_OPEN] = "open",
};

int policy_parse(const char *text)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(text, names[i]) == 0)
            return (int)i;
    return -1;
}

const char *policy_name(enum policy p)
{
    return names[p];
}

static bool method_fits(const struct rule *rule, struct http_slice method)
{
    return rule->method == NULL || http_slice_is(method, rule->method);
}

static bool is_id_byte(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == ':' ||
           c == '-' || c == '_';
}

/* /api/v1/inference/pow/generate/{port:uuid} */
static bool is_pow_result(const char *path, size_t len)
{
    static const char parent[] = "/api/v1/inference/pow/generate/";
    size_t at = sizeof(parent) - 1;

    if (len <= at || memcmp(path, parent, at) != 0)
        return false;
    while (at < len && is_id_byte(path[at]))
        at++;
    return at == len;
}

static bool is_expected(struct http_slice method, const struct http_target *target)
{
    for (size_t i = 0; i < sizeof(strict_rules) / sizeof(strict_rules[0]); i++)
        if (method_fits(&strict_rules[i], method) &&
            http_path_is(target->path, target->length, strict_rules[i].path))
            return true;
    return http_slice_is(method, "GET") && is_pow_result(target->path, target->length);
}

/* What is left of a path when it is taken for a URL again: MLNode pastes the decoded path into one,
 * so an encoded '?' or '#' ends it there. */
static size_t url_path_length(const char *path, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (path[i] == '?' || path[i] == '#')
            return i;
    return len;
}

static bool is_forbidden(struct http_slice method, const char *path, size_t len)
{
    size_t prefix;

    len = url_path_length(path, len);
    /* a proxy of the upstream's own may remove another one */
    while ((prefix = http_version_prefix(path, len)) > 0) {
        path += prefix;
        len -= prefix;
    }
    for (size_t i = 0; i < sizeof(forbidden_rules) / sizeof(forbidden_rules[0]); i++) {
        const struct rule *rule = &forbidden_rules[i];

        /* the first letter tells most of them apart, at no cost */
        if (len > 1 && path[1] == rule->path[1] && method_fits(rule, method) &&
            http_path_under(path, len, rule->path))
            return true;
    }
    return false;
}

static bool is_harmless(struct http_slice method, const struct http_target *target)
{
    char path[HTTP_PATH_MAX + 1];
    size_t len = target->length;
    int changed = 1;

    memcpy(path, target->path, len);
    for (int round = 0; round <= POLICY_DECODE_MAX && changed == 1; round++) {
        if (is_forbidden(method, path, len))
            return false;
        changed = http_path_again(path, len, path, &len);
    }
    return changed == 0;
}

bool policy_allows(enum policy p, struct http_slice method, const struct http_target *target)
{
    switch (p) {
    case POLICY_STRICT:
        return is_expected(method, target);
    case POLICY_GUARD:
        return is_harmless(method, target);
    case POLICY_OPEN:
        return true;
    }
    return false;
}
