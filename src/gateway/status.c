#include "gateway/status.h"

#include <string.h>

#include "gateway/internal.h"

enum {
    DIGITS = 6, /* of a number with a fraction: no measurement has more */
};

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

static const char *manner_name(enum node_manner manner)
{
    switch (manner) {
    case NODE_ABSENT:
        return "absent";
    case NODE_SILENT:
        return "silent";
    case NODE_ANSWERS:
        return "answers";
    case NODE_NOT_ASKED:
        break;
    }
    return "not asked";
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

static json_t *ended_json(const struct reason_counts *ended)
{
    json_t *out = json_object();

    for (int i = 0; i < REASON_COUNT; i++)
        if (ended->of[i] > 0)
            json_object_set_new(out, reason_name((enum reason)i),
                                json_integer((json_int_t)ended->of[i]));
    return out;
}

/* Of the classes from `first` to `last`. */
static json_t *outcomes_json(const struct gateway *g, int first, int last)
{
    json_t *out = json_object();

    for (int i = 0; i < OUTCOME_COUNT; i++) {
        uint64_t n = 0;

        for (int class = first; class <= last; class ++)
            n += g->counters.outcomes[class][i];
        if (n > 0)
            json_object_set_new(out, outcome_name((enum outcome)i), json_integer((json_int_t)n));
    }
    return out;
}

static double quantile_ms(const struct histogram *h, double q)
{
    return (double)histogram_quantile(h, q) / 1000;
}

static json_t *first_byte_json(const struct histogram *h)
{
    return json_pack("{s:f, s:f, s:I}", "p50", quantile_ms(h, 0.5), "p99", quantile_ms(h, 0.99),
                     "count", (json_int_t)h->count);
}

/* Classes that nothing was asked of are left out. */
static json_t *classes_json(const struct gateway *g)
{
    json_t *out = json_object();

    for (int class = 0; class < ROUTE_CLASSES; class ++) {
        json_t *outcomes = outcomes_json(g, class, class);

        if (json_object_size(outcomes) == 0)
            json_decref(outcomes);
        else
            json_object_set_new(out, route_class_name((enum route_class) class),
                                json_pack("{s:o, s:o}", "outcomes", outcomes, "first_byte_ms",
                                          first_byte_json(&g->first_byte[class])));
    }
    return out;
}

static json_t *refusal_json(const struct refusal *r, uint64_t now_us)
{
    const char *space = strchr(r->line, ' ');
    json_t *out = json_pack("{s:I, s:s, s:s}", "ago_s", (json_int_t)((now_us - r->at_us) / 1000000),
                            "why", r->why, "from", r->peer);

    if (space != NULL && r->line[0] != '-')
        json_object_set_new(out, "method", json_stringn(r->line, (size_t)(space - r->line)));
    if (space != NULL && space[1] != '-')
        json_object_set_new(out, "path", json_string(space + 1));
    return out;
}

static json_t *refusals_json(const struct gateway *g)
{
    json_t *list = json_array();
    const struct refusal *r;

    for (size_t i = 0; (r = refusals_at(g, i)) != NULL; i++)
        json_array_append_new(list, refusal_json(r, gateway_now(g)));
    return list;
}

static json_t *counters_json(const struct gateway *g)
{
    const struct gateway_counters *n = &g->counters;

    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o}",
                     "clients", (json_int_t)n->clients_now, "exchanges",
                     (json_int_t)n->exchanges_now, "requests", (json_int_t)n->requests,
                     "refused_by_policy", (json_int_t)n->refused, "direct", (json_int_t)n->direct,
                     "retried", (json_int_t)n->retried, "bytes_in", (json_int_t)n->bytes_in,
                     "bytes_out", (json_int_t)n->bytes_out, "ended", ended_json(&n->ended),
                     "clients_ended", ended_json(&n->clients_ended), "outcomes",
                     outcomes_json(g, 0, ROUTE_CLASSES - 1), "first_byte_ms",
                     first_byte_json(&g->first_byte[CLASS_INFERENCE]), "classes", classes_json(g),
                     "last_refusals", refusals_json(g));
}

static json_t *mlnode_json(const struct gateway *g)
{
    json_t *out =
        json_pack("{s:s, s:s, s:o}", "state", state_name(engines_state(g->engines)), "manner",
                  manner_name(gateway_node_manner(g)), "engines", engines_json(g));

    if (gateway_asked_model(g)[0] != '\0')
        json_object_set_new(out, "asked_model", json_string(gateway_asked_model(g)));
    return out;
}

json_t *gateway_status(const struct gateway *g)
{
    return json_pack("{s:s, s:I, s:o, s:o}", "version", MLGATE_VERSION, "uptime_s",
                     (json_int_t)((gateway_now(g) - g->started_us) / 1000000), "mlnode",
                     mlnode_json(g), "gateway", counters_json(g));
}

char *status_text(const json_t *document)
{
    return json_dumps(document, JSON_COMPACT | JSON_REAL_PRECISION(DIGITS));
}
