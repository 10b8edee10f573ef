#include "gateway/internal.h"

#include <jansson.h>

#include "base/mem.h"

static const char *state_name(enum node_state state)
{
    switch (state) {
    case NODE_STOPPED:
        return "stopped";
    case NODE_INFERENCE:
        return "inference";
    case NODE_UNKNOWN:
        break;
    }
    return "unknown";
}

static json_t *engines_json(const struct gateway *g)
{
    json_t *list = json_array();
    const struct engine *e;

    for (size_t i = 0; (e = engines_at(g->engines, i)) != NULL; i++)
        json_array_append_new(list, json_pack("{s:i, s:b, s:i, s:I}", "port", e->at.port, "live",
                                              e->live, "in_flight", (int)e->in_flight, "served",
                                              (json_int_t)e->served));
    return list;
}

static json_t *ended_json(const struct gateway *g)
{
    json_t *out = json_object();

    for (int i = 0; i < REASON_COUNT; i++)
        if (g->counters.ended.of[i] > 0)
            json_object_set_new(out, reason_name((enum reason)i),
                                json_integer((json_int_t)g->counters.ended.of[i]));
    return out;
}

char *status_json(const struct gateway *g)
{
    const struct gateway_counters *n = &g->counters;
    json_t *root = json_pack(
        "{s:s, s:I, s:{s:s, s:o}, s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}, s:o}", "version",
        MLGATE_VERSION, "uptime_s", (json_int_t)((gateway_now(g) - g->started_us) / 1000000),
        "mlnode", "state", state_name(engines_state(g->engines)), "engines", engines_json(g),
        "gateway", "clients", (json_int_t)n->clients_now, "exchanges", (json_int_t)n->exchanges_now,
        "requests", (json_int_t)n->requests, "refused_by_policy", (json_int_t)n->refused, "direct",
        (json_int_t)n->direct, "retried", (json_int_t)n->retried, "bytes_in",
        (json_int_t)n->bytes_in, "bytes_out", (json_int_t)n->bytes_out, "ended", ended_json(g));
    size_t len = json_dumpb(root, NULL, 0, JSON_COMPACT);
    char *text = mem_zalloc(len + 1);

    json_dumpb(root, text, len, JSON_COMPACT);
    json_decref(root);
    return text;
}
