#include "gateway/route.h"

static bool is(const struct http_target *target, const char *path)
{
    return http_path_is(target->path, target->length, path);
}

static bool under(const struct http_target *target, const char *path)
{
    return http_path_under(target->path, target->length, path);
}

static enum route_to to_of(enum gateway_role role, const struct http_target *target)
{
    if (under(target, "/api/v1") || is(target, "/livez") || is(target, "/readyz"))
        return ROUTE_TO_MANAGEMENT;
    if (under(target, "/v1") || is(target, "/tokenize") || is(target, "/detokenize"))
        return ROUTE_TO_ENGINE;
    /* The API node asks both: MLNode's own health on the port it manages, the engine's on the port
     * it sends prompts to. */
    if (is(target, "/health"))
        return role == ROLE_INFERENCE ? ROUTE_TO_ENGINE : ROUTE_TO_MANAGEMENT;
    if (role == ROLE_POC && is(target, "/mlgate/status"))
        return ROUTE_TO_STATUS;
    return role == ROLE_INFERENCE ? ROUTE_TO_MANAGEMENT : ROUTE_TO_INFERENCE;
}

static enum route_class class_of(enum route_to to, bool reads, const struct http_target *target)
{
    if (to == ROUTE_TO_MANAGEMENT)
        return reads ? CLASS_POLL : CLASS_MANAGEMENT;
    if (to != ROUTE_TO_ENGINE)
        return CLASS_OTHER;
    if (reads)
        return CLASS_POLL;
    return under(target, "/v1") ? CLASS_INFERENCE : CLASS_OTHER;
}

const char *route_class_name(enum route_class class)
{
    static const char *const names[ROUTE_CLASSES] = {"inference", "management", "poll", "other"};

    return names[class];
}

struct route route_of(enum gateway_role role, struct http_slice method,
                      const struct http_target *target)
{
    struct route route = {.to = to_of(role, target)};
    bool post = http_slice_is(method, "POST");
    bool reads = http_slice_is(method, "GET") || http_slice_is(method, "HEAD");

    route.class = class_of(route.to, reads, target);
    route.damped = route.to == ROUTE_TO_ENGINE && reads && is(target, "/health");
    route.run_to_end =
        route.to == ROUTE_TO_MANAGEMENT && !reads && !http_slice_is(method, "OPTIONS");
    route.silent = post && (is(target, "/api/v1/stop") || is(target, "/api/v1/inference/up"));
    route.asks_model =
        post && (is(target, "/api/v1/inference/up") || is(target, "/api/v1/inference/up/async"));
    route.changes =
        route.silent || route.asks_model || (post && is(target, "/api/v1/inference/down"));
    return route;
}
