#include "gateway/redact.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
    PATH_ROOM = 128 /* of a place in the document; ours are shorter, and others are not listed */
};

/* Places in the document: keys with dots, an array as its key alone. Objects and arrays that hold
 * one of them stay with it; ".*" takes every number below, because the keys are words of ours. */
static const char *const stays[] = {
    "version",
    "started",
    "uptime_s",
    "role",
    "client_id",
    "node_id",

    "servers.state",
    "servers.since_s",
    "servers.round_trip_ms",
    "servers.silent_s",
    "servers.sessions",
    "servers.ports.remote",
    "servers.ports.state",
    "servers.last_end.reason",
    "servers.last_end.ago_s",
    "servers.next_try_s",
    "servers.streams",
    "servers.users",
    "servers.bytes_in",
    "servers.bytes_out",
    "servers.rate_in",
    "servers.rate_out",

    "mlnode.state",
    "mlnode.manner",
    "mlnode.asked_model",
    "mlnode.engines.port",
    "mlnode.engines.live",
    "mlnode.engines.in_flight",
    "mlnode.engines.served",

    "gateway.clients",
    "gateway.exchanges",
    "gateway.requests",
    "gateway.refused_by_policy",
    "gateway.direct",
    "gateway.retried",
    "gateway.bytes_in",
    "gateway.bytes_out",
    "gateway.ended.*",
    "gateway.clients_ended.*",
    "gateway.outcomes.*",
    "gateway.first_byte_ms.*",
    "gateway.classes.inference.outcomes.*",
    "gateway.classes.inference.first_byte_ms.*",
    "gateway.classes.management.outcomes.*",
    "gateway.classes.management.first_byte_ms.*",
    "gateway.classes.poll.outcomes.*",
    "gateway.classes.poll.first_byte_ms.*",
    "gateway.classes.other.outcomes.*",
    "gateway.classes.other.first_byte_ms.*",
    "gateway.last_refusals.ago_s",
    "gateway.last_refusals.method",
    "gateway.last_refusals.path",
    "gateway.last_refusals.why",

    "model.name",
    "model.state",
    "model.by",
    "model.percent",
    "model.bytes",
    "model.total_bytes",
    "model.rate",
    "model.remaining_s",

    "container.phase",
    "container.started",
    "container.uptime_s",
    "container.worker.state",
    "container.worker.starts",
    "container.worker.since_s",
    "container.mlnode.state",
    "container.mlnode.starts",
    "container.mlnode.since_s",
    "container.model.state",
    "container.model.starts",
    "container.model.since_s",
    "container.restarts.who",
    "container.restarts.why",
    "container.restarts.ago_s",
    "container.restarts.at",
    "container.listeners",
    "container.more_listeners",

    "problems.subject",
    "problems.what", /* words of ours (observe/problems.h); what others said is beside it */
    "problems.remedy",
};

/* What the list says about a place. */
struct verdict {
    bool stays;
    bool leads_on; /* something below it stays */
    bool numbers;  /* every number directly below it stays */
    size_t first;  /* the part of the list that is about it and what is below */
    size_t end;
};

static const struct verdict top = {.end = sizeof(stays) / sizeof(stays[0])};

/* `above`: about the place that this one is in. */
static struct verdict verdict_on(const char *place, const struct verdict *above)
{
    struct verdict v = {0};
    size_t len = strlen(place);

    for (size_t i = above->first; i < above->end; i++) {
        const char *rest = stays[i] + len;

        if (strncmp(stays[i], place, len) != 0)
            continue;
        v.stays = v.stays || rest[0] == '\0';
        v.leads_on = v.leads_on || rest[0] == '.';
        v.numbers = v.numbers || strcmp(rest, ".*") == 0;
        v.first = v.end == 0 ? i : v.first;
        v.end = i + 1;
    }
    return v;
}

/* A model may be named by where it lies, on this machine or elsewhere; a URL may hold a password.
 */
static bool is_location(const char *place, const json_t *value)
{
    const char *last = strrchr(place, '.');
    const char *text = json_string_value(value);

    return text != NULL && last != NULL &&
           (strcmp(last, ".name") == 0 || strcmp(last, ".asked_model") == 0) &&
           (strchr("/.~", text[0]) != NULL || strstr(text, "://") != NULL);
}

static void redact_object(json_t *object, const char *place, const struct verdict *v);

/* Whether something is left of it. */
static bool redact_value(json_t *value, const char *place, const struct verdict *v)
{
    size_t i;
    json_t *item;

    if (json_is_object(value)) {
        if (v->leads_on)
            redact_object(value, place, v);
        return v->leads_on;
    }
    if (!json_is_array(value))
        return v->stays && !is_location(place, value);
    if (!v->stays && !v->leads_on)
        return false;
    json_array_foreach (value, i, item)
        if (!redact_value(item, place, v))
            json_array_remove(value, i--);
    return true;
}

static void redact_object(json_t *object, const char *place, const struct verdict *v)
{
    const char *key;
    json_t *value;
    void *next;

    json_object_foreach_safe (object, next, key, value) {
        char below[PATH_ROOM];
        struct verdict inner = {0};
        int n = snprintf(below, sizeof(below), "%s%s%s", place, place[0] ? "." : "", key);

        if (v->numbers && json_is_number(value))
            continue;
        if (n < PATH_ROOM)
            inner = verdict_on(below, v);
        if (!redact_value(value, below, &inner))
            json_object_del(object, key);
    }
}

void redact(json_t *document)
{
    redact_object(document, "", &top);
}
