#include "cli/demo_report.h"

#include <jansson.h>

#include "base/mem.h"

enum { REAL_DIGITS = 5 };

char *report_command(const struct demo_report *r, int i)
{
    switch (i) {
    case 0:
        return mem_printf("curl -N http://127.0.0.1:%u/v1/chat/completions "
                          "-H 'Content-Type: application/json' -d '{\"stream\":true,\"messages\":"
                          "[{\"role\":\"user\",\"content\":\"Count with me\"}]}'",
                          r->inference_port);
    case 1:
        return mem_printf("curl http://127.0.0.1:%u/v1/models", r->inference_port);
    case 2:
        return mem_printf("curl http://127.0.0.1:%u/api/v1/state", r->inference_port);
    case 3:
        return mem_printf("curl http://127.0.0.1:%u/mlgate/status", r->poc_port);
    case 4:
        return mem_printf("tail -f %s/*.log", r->directory);
    default:
        return NULL;
    }
}

static json_t *ports(const struct demo_report *r)
{
    json_t *all =
        json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:i}", "server", r->server_port, "inference",
                  r->inference_port, "poc", r->poc_port, "gateway", r->gateway_port, "gateway_poc",
                  r->gateway_poc_port, "testnode_inference", r->node_inference_port,
                  "testnode_management", r->node_management_port);
    json_t *engines = json_array();

    for (int i = 0; i < DEMO_ENGINES; i++)
        json_array_append_new(engines, json_integer(r->engine_port[i]));
    json_object_set_new(all, "engines", engines);
    return all;
}

static json_t *children(const struct demo_report *r)
{
    json_t *all = json_object();

    for (int i = 0; i < CHILDREN; i++)
        json_object_set_new(all, demo_child_names[i],
                            json_pack("{s:i, s:I}", "pid", r->pid[i], "resident_bytes",
                                      (json_int_t)r->resident[i]));
    return all;
}

static json_t *call_json(const struct demo_call *c)
{
    static const char *const places[TO_PLACES] = {
        [TO_NOWHERE] = "gateway",
        [TO_MANAGEMENT] = "management",
        [TO_INFERENCE] = "inference",
        [TO_ENGINE] = "engine",
    };
    json_t *one = json_pack("{s:s, s:s, s:i, s:i}", "method", c->method, "path", c->path, "port",
                            c->port, "status", (int)c->status);

    if (c->refused)
        json_object_set_new(one, "code", json_string(c->code));
    else
        json_object_set_new(one, "to", json_string(places[c->to]));
    if (c->to_port != 0)
        json_object_set_new(one, "to_port", json_integer(c->to_port));
    return one;
}

static json_t *calls(const struct demo_report *r, bool refused)
{
    json_t *all = json_array();

    for (size_t i = 0; i < r->n_calls; i++)
        if (r->calls[i].refused == refused)
            json_array_append_new(all, call_json(&r->calls[i]));
    return all;
}

static json_t *stream(const struct demo_stream *s)
{
    return json_pack("{s:I, s:f, s:f, s:f, s:I}", "tokens", (json_int_t)s->tokens, "first_token_ms",
                     s->first_ms, "tokens_per_second", s->rate, "longest_gap_ms", s->longest_gap_ms,
                     "glued", (json_int_t)s->glued);
}

static json_t *measured(const struct demo_report *r)
{
    return json_pack("{s:o, s:o, s:{s:I, s:f}, s:{s:i, s:f, s:f, s:f}, s:{s:I, s:I}}", "stream",
                     stream(&r->stream), "stream_direct", stream(&r->direct), "completion",
                     "tokens", (json_int_t)r->whole.tokens, "ms", r->whole.ms, "latency", "rounds",
                     (int)r->latency.rounds, "direct_us", r->latency.direct_us, "tunnel_us",
                     r->latency.tunnel_us, "added_us", r->latency.tunnel_us - r->latency.direct_us,
                     "bytes", "sent", (json_int_t)r->bytes_sent, "received",
                     (json_int_t)r->bytes_received);
}

static void add_directory(const struct demo_report *r, json_t *all)
{
    json_t *commands = json_array();
    char *line;

    for (int i = 0; (line = report_command(r, i)) != NULL; i++) {
        json_array_append_new(commands, json_string(line));
        mem_free(line);
    }
    json_object_set_new(all, "directory", json_string(r->directory));
    json_object_set_new(all, "commands", commands);
}

void report_json(const struct demo_report *r, FILE *out)
{
    json_t *all = json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "version", MLGATE_VERSION,
                            "client_id", r->client_id, "ports", ports(r), "processes", children(r),
                            "routed", calls(r, false), "refused", calls(r, true));

    json_object_update_new(all, measured(r));
    if (r->directory != NULL)
        add_directory(r, all);
    json_dumpf(all, out, JSON_COMPACT | JSON_REAL_PRECISION(REAL_DIGITS));
    fputc('\n', out);
    json_decref(all);
}
