#include "testnode/route.h"

#include "base/text.h"

#include <string.h>

enum {
    ON_INFERENCE = 1 << NODE_INFERENCE,
    ON_MANAGEMENT = 1 << NODE_MANAGEMENT,
    ON_BOTH = ON_INFERENCE | ON_MANAGEMENT,
};

static const struct {
    const char *method;
    const char *path;
    unsigned ports;
    enum node_route route;
    bool engine;
} routes[] = {
    /* MLNode's 8080 passes everything below /v1 to the engine, and nothing else of the engine's */
    {"POST", "/v1/chat/completions", ON_BOTH, ROUTE_CHAT, true},
    {"POST", "/v1/completions", ON_BOTH, ROUTE_COMPLETION, true},
    {"GET", "/v1/models", ON_BOTH, ROUTE_MODELS, true},
    {"POST", "/tokenize", ON_INFERENCE, ROUTE_TOKENIZE, true},
    {"GET", "/health", ON_INFERENCE, ROUTE_ENGINE_HEALTH, true},
    {"GET", "/health", ON_MANAGEMENT, ROUTE_HEALTH, false},
    {"GET", "/livez", ON_MANAGEMENT, ROUTE_HEALTH, false},
    {"GET", "/readyz", ON_MANAGEMENT, ROUTE_READY, false},
    {"GET", "/api/v1/state", ON_MANAGEMENT, ROUTE_STATE, false},
    {"POST", "/api/v1/inference/up", ON_MANAGEMENT, ROUTE_UP, false},
    {"POST", "/api/v1/inference/up/async", ON_MANAGEMENT, ROUTE_UP_ASYNC, false},
    {"GET", "/api/v1/inference/up/status", ON_MANAGEMENT, ROUTE_UP_STATUS, false},
    {"POST", "/api/v1/inference/down", ON_MANAGEMENT, ROUTE_DOWN, false},
    {"POST", "/api/v1/stop", ON_MANAGEMENT, ROUTE_DOWN, false},
    {"POST", "/api/v1/inference/pow/init/generate", ON_MANAGEMENT, ROUTE_POC_START, false},
    {"POST", "/api/v1/inference/pow/stop", ON_MANAGEMENT, ROUTE_POC_STOP, false},
    {"GET", "/api/v1/inference/pow/status", ON_MANAGEMENT, ROUTE_POC_STATUS, false},
    {"POST", "/api/v1/models/status", ON_MANAGEMENT, ROUTE_WEIGHTS, false},
    {"POST", "/api/v1/models/download", ON_MANAGEMENT, ROUTE_WEIGHTS_DOWNLOAD, false},
    {"DELETE", "/api/v1/models", ON_MANAGEMENT, ROUTE_WEIGHTS_DELETE, false},
    /* not MLNode's: bulk in both directions for tests */
    {"POST", "/mlgate-test/sink", ON_BOTH, ROUTE_SINK, false},
    {"GET", "/mlgate-test/source", ON_BOTH, ROUTE_SOURCE, false},
    {"GET", "/mlgate-test/engines", ON_MANAGEMENT, ROUTE_ENGINES, false},
    {"POST", "/mlgate-test/engine", ON_MANAGEMENT, ROUTE_ENGINE_CONTROL, false},
};

static bool equals(struct http_slice slice, const char *text)
{
    return slice.len == strlen(text) && memcmp(slice.at, text, slice.len) == 0;
}

static struct http_slice path_of(struct http_slice target)
{
    const char *mark = memchr(target.at, '?', target.len);

    return (struct http_slice){target.at, mark ? (size_t)(mark - target.at) : target.len};
}

struct node_match route_find(enum node_port port, struct http_slice method,
                             struct http_slice target)
{
    struct http_slice path = path_of(target);
    struct node_match match = {.status = 404};

    match.engine = port == NODE_INFERENCE || (path.len >= 3 && memcmp(path.at, "/v1", 3) == 0);
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (!(routes[i].ports & 1u << port) || !equals(path, routes[i].path))
            continue;
        if (!equals(method, routes[i].method)) {
            match.status = 405;
            match.allow = routes[i].method;
            continue;
        }
        return (struct node_match){.route = routes[i].route, .engine = routes[i].engine};
    }
    return match;
}

bool route_query(struct http_slice target, const char *name, struct http_slice *out)
{
    size_t name_len = strlen(name);
    size_t at = path_of(target).len;

    while (at < target.len) {
        const char *pair = target.at + at + 1; /* past '?' or '&' */
        size_t rest = target.len - at - 1;
        const char *amp = memchr(pair, '&', rest);
        size_t len = amp ? (size_t)(amp - pair) : rest;

        if (len > name_len && memcmp(pair, name, name_len) == 0 && pair[name_len] == '=') {
            *out = (struct http_slice){pair + name_len + 1, len - name_len - 1};
            return true;
        }
        at += len + 1;
    }
    return false;
}

bool route_query_uint(struct http_slice target, const char *name, uint64_t max, uint64_t *out)
{
    struct http_slice value;

    return route_query(target, name, &value) && text_uint(value.at, value.len, max, out);
}
