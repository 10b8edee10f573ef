#include "observe/report.h"

#include <string.h>

#include "base/human.h"
#include "base/log.h"
#include "observe/report_broken.h"
#include "observe/report_line.h"
#include "observe/report_server.h"

enum { LISTED = 5 }; /* refusals and restarts: the latest tell what goes on */

/* ---- title ----------------------------------------------------------------------------------- */

static void title(struct report *r, const json_t *d)
{
    char text[STRING_ROOM];
    char age[HUMAN_MAX];
    const json_t *container = section(d, "container");

    line_add(r, "mlgate %s", string(d, "version", text));
    if (has(d, "role"))
        line_item(r, "%s", string(d, "role", text));
    if (has(d, "client_id"))
        line_add(r, " %s", string(d, "client_id", text));
    if (has(d, "node_id"))
        line_item(r, "node %s", string(d, "node_id", text));
    if (has(container ? container : d, "uptime_s"))
        line_item(r, "up %s", human_age(age, number(container ? container : d, "uptime_s")));
    line_end(r, LINE_TITLE, "");
}

/* ---- servers --------------------------------------------------------------------------------- */

static void traffic(struct report *r, const json_t *o)
{
    char in[HUMAN_MAX];
    char out[HUMAN_MAX];

    line_count(r, number(o, "streams"), "stream");
    line_item(r, "in %s/s", human_bytes(in, number(o, "rate_in")));
    line_item(r, "out %s/s", human_bytes(out, number(o, "rate_out")));
    line_end(r, LINE_PLAIN, "  now");
    line_count(r, number(o, "users"), "user");
    line_item(r, "in %s", human_bytes(in, number(o, "bytes_in")));
    line_item(r, "out %s", human_bytes(out, number(o, "bytes_out")));
    line_count(r, number(o, "sessions"), "session");
    line_end(r, LINE_PLAIN, "  total");
}

static void last_end(struct report *r, const json_t *server)
{
    char age[HUMAN_MAX];
    char text[STRING_ROOM];
    char address[STRING_ROOM];

    if (!has(server, "last_end") || !string_is(server, "state", "registered"))
        return; /* nothing, or said among what is broken */
    line_add(r, "%s ago", human_age(age, number(server, "last_end.ago_s")));
    string(server, says(server, "last_end.text") ? "last_end.text" : "last_end.reason", text);
    line_add(r, ": %s", behind(text, string(server, "address", address)));
    line_end(r, LINE_PLAIN, "  ended");
}

static void add_port(struct report *r, const json_t *p)
{
    char text[STRING_ROOM];

    line_item(r, "%u", (unsigned)number(p, "remote"));
    if (has(p, "to"))
        line_add(r, " to %s", string(p, "to", text));
    if (!string_is(p, "state", "confirmed"))
        line_add(r, " (%s)", string(p, "state", text));
}

static void server_section(struct report *r, const json_t *server)
{
    char text[STRING_ROOM];
    char ms[HUMAN_MAX];
    size_t i;
    json_t *p;

    if (says(server, "address"))
        line_add(r, "%s: ", string(server, "address", text));
    line_add(r, "%s", string(server, "state", text));
    line_since(r, server, "since_s");
    if (has(server, "round_trip_ms"))
        line_item(r, "round trip %s", human_ms(ms, real(server, "round_trip_ms")));
    line_end(r, LINE_PLAIN, "server");
    json_array_foreach (member(server, "ports"), i, p)
        add_port(r, p);
    line_end(r, LINE_PLAIN, "  ports");
    traffic(r, server);
    last_end(r, server);
}

/* ---- gateway and MLNode ---------------------------------------------------------------------- */

static void add_outcomes(struct report *r, const json_t *outcomes)
{
    json_t *object = (json_t *)(uintptr_t)outcomes;
    char n[HUMAN_MAX];
    char word[STRING_ROOM];
    const char *key;
    json_t *value;

    json_object_foreach (object, key, value) {
        char *at;

        log_safe(word, sizeof(word), key, strlen(key));
        while ((at = strchr(word, '_')) != NULL)
            *at = ' ';
        line_item(r, "%s %s", word, human_count(n, (uint64_t)json_integer_value(value)));
    }
}

static void class_line(struct report *r, const json_t *gateway, const char *name, const char *label)
{
    char key[64];
    char p50[HUMAN_MAX];
    char p99[HUMAN_MAX];
    const json_t *class;

    snprintf(key, sizeof(key), "classes.%s", name);
    class = section(gateway, key);
    if (class == NULL)
        return;
    add_outcomes(r, member(class, "outcomes"));
    if (number(class, "first_byte_ms.count") > 0)
        line_add(r, "; first byte p50 %s, p99 %s", human_ms(p50, real(class, "first_byte_ms.p50")),
                 human_ms(p99, real(class, "first_byte_ms.p99")));
    line_end(r, LINE_PLAIN, label);
}

static void refusals(struct report *r, const json_t *gateway)
{
    size_t i;
    json_t *refusal;

    json_array_foreach (member(gateway, "last_refusals"), i, refusal) {
        char text[STRING_ROOM];
        char age[HUMAN_MAX];

        if (i == LISTED)
            break;
        line_add(r, "%s ago", human_age(age, number(refusal, "ago_s")));
        if (has(refusal, "from"))
            line_add(r, " from %s", string(refusal, "from", text));
        if (has(refusal, "method"))
            line_item(r, "%s", string(refusal, "method", text));
        if (has(refusal, "path"))
            line_add(r, " %s", string(refusal, "path", text));
        line_add(r, ": %s", string(refusal, "why", text));
        line_end(r, LINE_PLAIN, i == 0 ? "refused" : "");
    }
}

static void gateway_section(struct report *r, const json_t *gateway)
{
    char n[HUMAN_MAX];

    if (gateway == NULL)
        return;
    line_add(r, "%s", human_count(n, number(gateway, "requests")));
    line_item(r, "%s under way", human_count(n, number(gateway, "exchanges")));
    line_count(r, number(gateway, "clients"), "connected client");
    line_end(r, LINE_PLAIN, "requests");
    class_line(r, gateway, "inference", "  answers");
    class_line(r, gateway, "management", "  orders");
    class_line(r, gateway, "poll", "  polls");
    class_line(r, gateway, "other", "  others");
    refusals(r, gateway);
}

static void mlnode_section(struct report *r, const json_t *mlnode)
{
    char text[STRING_ROOM];
    char n[HUMAN_MAX];
    size_t i;
    json_t *e;

    if (mlnode == NULL)
        return;
    line_add(r, "state %s", string(mlnode, "state", text));
    line_item(r, "management %s", string(mlnode, "manner", text));
    if (has(mlnode, "asked_model"))
        line_item(r, "asked for %s", string(mlnode, "asked_model", text));
    line_end(r, LINE_PLAIN, "MLNode");
    json_array_foreach (member(mlnode, "engines"), i, e) {
        line_item(r, "%u %s", (unsigned)number(e, "port"),
                  json_is_true(member(e, "live")) ? "live" : "lost");
        line_add(r, " (%s now", human_count(n, number(e, "in_flight")));
        line_add(r, ", %s served)", human_count(n, number(e, "served")));
    }
    line_end(r, LINE_PLAIN, "  engines");
}

static void model_section(struct report *r, const json_t *model)
{
    char text[STRING_ROOM];
    char words[HUMAN_MAX];

    if (!says(model, "state"))
        return;
    if (says(model, "name"))
        line_add(r, "%s: ", string(model, "name", text));
    line_add(r, "%s", string(model, "state", text));
    if (says(model, "by"))
        line_add(r, " by %s", string(model, "by", text));
    if (has(model, "percent"))
        line_item(r, "%.1f %%", real(model, "percent"));
    if (number(model, "bytes") > 0)
        line_item(r, "%s", human_bytes(words, number(model, "bytes")));
    if (has(model, "total_bytes"))
        line_add(r, " of %s", human_bytes(words, number(model, "total_bytes")));
    if (has(model, "rate"))
        line_item(r, "%s/s", human_bytes(words, number(model, "rate")));
    if (has(model, "remaining_s"))
        line_item(r, "%s left", human_age(words, number(model, "remaining_s")));
    if (has(model, "text"))
        line_add(r, "; %s", string(model, "text", text));
    line_end(r, LINE_PLAIN, "model");
}

/* ---- container ------------------------------------------------------------------------------- */

static void child_line(struct report *r, const json_t *container, const char *name)
{
    const json_t *child = member(container, name);
    char text[STRING_ROOM];

    if (child == NULL)
        return;
    line_item(r, "%s %s", name, string(child, "state", text));
    line_since(r, child, "since_s");
    if (number(child, "starts") > 1)
        line_add(r, " (start %u)", (unsigned)number(child, "starts"));
}

static void container_section(struct report *r, const json_t *container)
{
    size_t i;
    json_t *restart;

    child_line(r, container, "worker");
    child_line(r, container, "mlnode");
    child_line(r, container, "model");
    line_end(r, LINE_PLAIN, "processes");
    json_array_foreach (member(container, "restarts"), i, restart) {
        char text[STRING_ROOM];
        char age[HUMAN_MAX];

        if (i == LISTED)
            break;
        line_add(r, "%s ago: ", human_age(age, number(restart, "ago_s")));
        line_add(r, "%s", string(restart, "who", text));
        line_add(r, " %s", string(restart, "why", text));
        line_end(r, LINE_PLAIN, i == 0 ? "restarts" : "");
    }
}

void report_write(FILE *out, const json_t *document, bool colour)
{
    struct report r = {.out = out, .colour = colour};
    size_t i;
    json_t *server;

    title(&r, document);
    report_broken(&r, document);
    report_server(&r, document);
    json_array_foreach (member(document, "servers"), i, server)
        server_section(&r, server);
    mlnode_section(&r, section(document, "mlnode"));
    model_section(&r, section(document, "model"));
    gateway_section(&r, section(document, "gateway"));
    container_section(&r, section(document, "container"));
}
