#include "observe/report_broken.h"

#include <string.h>

#include "base/human.h"
#include "observe/advice.h"

enum {
    PORTS_SAID = 16, /* of a list of ports; the document has them all */
    STORM = 3,       /* so many restarts of one child ... */
    STORM_S = 600,   /* ... in so many seconds are no accident any more */
};

/* ---- servers --------------------------------------------------------------------------------- */

void report_last_end(struct report *r, const json_t *server, const char *before)
{
    char text[STRING_ROOM];
    char address[STRING_ROOM];
    size_t len = strlen(string(server, "address", address));

    string(server, says(server, "last_end.text") ? "last_end.text" : "last_end.reason", text);
    if (len > 0 && strncmp(text, address, len) == 0 && strncmp(text + len, ": ", 2) == 0)
        line_add(r, "%s%s", before, text + len + 2);
    else
        line_add(r, "%s%s", before, text);
}

static void broken_ports(struct report *r, const json_t *server, bool several)
{
    const json_t *ports = member(server, "ports");
    const char *advice;
    char text[STRING_ROOM];
    size_t i;
    json_t *p;

    json_array_foreach (ports, i, p) {
        if (!string_is(p, "state", "refused"))
            continue;
        line_add(r, "%s: port %u is refused", string(server, "address", text),
                 (unsigned)number(p, "remote"));
        if (has(p, "error")) {
            line_add(r, ": %s", string(p, "error", text));
            advice = advice_port(text, several);
            line_add(r, "%s%s", advice ? "; " : "", advice ? advice : "");
        }
        line_end(r, LINE_BROKEN, "!");
    }
}

static void broken_server(struct report *r, const json_t *server, bool several)
{
    char text[STRING_ROOM];
    char age[HUMAN_MAX];

    if (!string_is(server, "state", "registered")) {
        if (says(server, "address"))
            line_add(r, "%s: ", string(server, "address", text));
        line_add(r, "not registered, %s", string(server, "state", text));
        line_since(r, server, "since_s");
        if (has(server, "next_try_s"))
            line_item(r, "next try in %s", human_age(age, number(server, "next_try_s")));
        if (has(server, "last_end"))
            report_last_end(r, server, "; ");
        line_end(r, LINE_BROKEN, "!");
    }
    if (has(server, "silent_s")) {
        if (says(server, "address"))
            line_add(r, "%s: ", string(server, "address", text));
        line_add(r, "nothing heard for %s, a second connection is tried",
                 human_age(age, number(server, "silent_s")));
        line_add(r, ": packets get lost or the network is frozen; `mlgate check` says whether a "
                    "new connection comes about");
        line_end(r, LINE_BROKEN, "!");
    }
    broken_ports(r, server, several);
}

/* ---- MLNode and its model -------------------------------------------------------------------- */

static const json_t *last_restart_of(const json_t *container, const char *who)
{
    size_t i;
    json_t *restart;

    json_array_foreach (member(container, "restarts"), i, restart) {
        if (string_is(restart, "who", who))
            return restart;
    }
    return NULL;
}

static void broken_process(struct report *r, const json_t *container)
{
    const json_t *last = last_restart_of(container, "mlnode");
    char text[STRING_ROOM];

    if (!string_is(container, "mlnode.state", "paused") ||
        !string_is(container, "phase", "serving"))
        return;
    line_add(r, "MLNode has ended and starts again after a pause");
    if (last != NULL)
        line_add(r, ": it %s, and the container's log has its last words",
                 string(last, "why", text));
    line_end(r, LINE_BROKEN, "!");
}

static void broken_mlnode(struct report *r, const json_t *d)
{
    if (string_is(d, "mlnode.manner", "silent"))
        line_add(r, "MLNode accepts connections and does not answer: an engine crashed, or the "
                    "machine is overloaded; when that lasts 2 minutes, it is started again");
    else if (string_is(d, "mlnode.manner", "absent"))
        line_add(r, "MLNode's management does not listen: it needs a minute to start");
    else if (string_is(d, "mlnode.manner", "answers") && string_is(d, "mlnode.state", "unknown"))
        line_add(r, "what answers in the place of MLNode's management tells no state: `mlgate "
                    "check` says whether another program has its port");
    line_end(r, LINE_BROKEN, "!");
    broken_process(r, section(d, "container"));
}

static void broken_model(struct report *r, const json_t *d)
{
    char text[STRING_ROOM];

    if (!string_is(d, "model.state", "failed") && !string_is(d, "model.state", "retrying"))
        return;
    line_add(r, "model %s", string(d, "model.name", text));
    line_add(r, ": %s", string(d, "model.state", text));
    if (has(d, "model.text"))
        line_add(r, ": %s", string(d, "model.text", text));
    line_end(r, LINE_BROKEN, "!");
}

/* ---- the container --------------------------------------------------------------------------- */

/* One restart is an accident, which the section of the container has. */
static void broken_again(struct report *r, const json_t *container, const char *who)
{
    const json_t *last = last_restart_of(container, who);
    unsigned count = 0;
    char text[STRING_ROOM];
    size_t i;
    json_t *restart;

    json_array_foreach (member(container, "restarts"), i, restart) {
        count += string_is(restart, "who", who) && number(restart, "ago_s") <= STORM_S;
    }
    if (count < STORM)
        return;
    line_add(r, "%s ended %u times in %d minutes", who, count, STORM_S / 60);
    line_add(r, ", last it %s: the container's log says more", string(last, "why", text));
    line_end(r, LINE_BROKEN, "!");
}

static void add_listeners(struct report *r, const json_t *container)
{
    const json_t *list = member(container, "listeners");
    size_t size = json_array_size(list);
    size_t more = (size_t)number(container, "more_listeners");

    for (size_t i = 0; i < size && i < PORTS_SAID; i++)
        line_add(r, "%s%u", i > 0 ? ", " : "",
                 (unsigned)json_integer_value(json_array_get(list, i)));
    more += size > PORTS_SAID ? size - PORTS_SAID : 0;
    if (more > 0)
        line_add(r, " and %zu more", more);
}

static void broken_container(struct report *r, const json_t *container)
{
    broken_again(r, container, "worker");
    broken_again(r, container, "mlnode");
    if (json_array_size(member(container, "listeners")) == 0)
        return;
    line_add(r, "reachable from outside where the platform publishes them: ports ");
    add_listeners(r, container);
    line_add(r, "; `mlgate check` says whose they are");
    line_end(r, LINE_BROKEN, "!");
}

void report_broken(struct report *r, const json_t *d)
{
    const json_t *container = section(d, "container");
    const json_t *servers = member(d, "servers");
    char text[STRING_ROOM];
    size_t i;
    json_t *server;

    if (has(container, "phase") && !string_is(container, "phase", "serving")) {
        line_add(r, "the container is %s", string(container, "phase", text));
        line_end(r, LINE_BROKEN, "!");
    }
    json_array_foreach (servers, i, server)
        broken_server(r, server, json_array_size(servers) > 1);
    broken_mlnode(r, d);
    broken_model(r, d);
    broken_container(r, container);
}
