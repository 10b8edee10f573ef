#include "observe/problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/human.h"
#include "observe/advice.h"
#include "observe/report_line.h"

enum {
    PORTS_SAID = 16,  /* of a list of ports; the document has them all */
    STORM = 3,        /* so many restarts of one child ... */
    STORM_S = 600,    /* ... in so many seconds are no accident any more */
    START_S = 300,    /* MLNode's management listens within a minute or so of its start */
    WORDS_ROOM = 512, /* of a sentence of ours */
};

/* ---- one problem ----------------------------------------------------------------------------- */

static json_t *begin(json_t *list, const char *subject)
{
    json_t *problem = json_pack("{s:s}", "subject", subject);

    json_array_append_new(list, problem);
    return problem;
}

__attribute__((format(printf, 3, 4))) static void put(json_t *problem, const char *key,
                                                      const char *format, ...)
{
    char text[WORDS_ROOM];
    va_list words;

    va_start(words, format);
    vsnprintf(text, sizeof(text), format, words);
    va_end(words);
    if (text[0] != '\0')
        json_object_set_new(problem, key, json_string(text));
}

static void say(json_t *list, const char *subject, const char *what, const char *remedy)
{
    json_t *problem = begin(list, subject);

    put(problem, "what", "%s", what);
    put(problem, "remedy", "%s", remedy);
}

/* ---- servers --------------------------------------------------------------------------------- */

static json_t *begin_server(json_t *list, const json_t *server)
{
    json_t *problem = begin(list, "server");
    char text[STRING_ROOM];

    put(problem, "where", "%s", string(server, "address", text));
    return problem;
}

/* What went wrong last, without the address and the word that are said before it. */
static const char *detail_of(const json_t *server, char text[STRING_ROOM])
{
    char address[STRING_ROOM];
    char reason[STRING_ROOM];
    const char *at = string(server, "last_end.text", text);

    at = behind(at, string(server, "address", address));
    at = behind(at, string(server, "last_end.reason", reason));
    return strcmp(at, reason) == 0 ? "" : at;
}

static void unregistered(json_t *list, const json_t *server)
{
    json_t *problem;
    char state[STRING_ROOM];
    char reason[STRING_ROOM];
    char detail[STRING_ROOM];
    char since[HUMAN_MAX];
    char next[HUMAN_MAX];
    bool waits = has(server, "next_try_s");

    if (string_is(server, "state", "registered"))
        return;
    problem = begin_server(list, server);
    put(problem, "what", "not registered, %s%s%s%s%s%s%s", string(server, "state", state),
        has(server, "since_s") ? " for " : "",
        has(server, "since_s") ? human_age(since, number(server, "since_s")) : "",
        waits ? ", next try in " : "", waits ? human_age(next, number(server, "next_try_s")) : "",
        has(server, "last_end") ? "; " : "", string(server, "last_end.reason", reason));
    put(problem, "detail", "%s", detail_of(server, detail));
}

static void silent(json_t *list, const json_t *server)
{
    json_t *problem;
    char age[HUMAN_MAX];

    if (!has(server, "silent_s"))
        return;
    problem = begin_server(list, server);
    put(problem, "what",
        "nothing heard for %s, a second connection is tried: packets get lost or the network is "
        "frozen",
        human_age(age, number(server, "silent_s")));
    put(problem, "remedy", "`mlgate check` says whether a new connection comes about");
}

static void refused_ports(json_t *list, const json_t *server, bool several)
{
    const char *advice;
    char text[STRING_ROOM];
    size_t i;
    json_t *p;

    json_array_foreach (member(server, "ports"), i, p) {
        json_t *problem;

        if (!string_is(p, "state", "refused"))
            continue;
        problem = begin_server(list, server);
        put(problem, "what", "port %u is refused", (unsigned)number(p, "remote"));
        put(problem, "detail", "%s", string(p, "error", text));
        advice = advice_port(text, several);
        put(problem, "remedy", "%s", advice != NULL ? advice : "");
    }
}

static void servers(json_t *list, const json_t *d)
{
    const json_t *all = member(d, "servers");
    size_t i;
    json_t *server;

    json_array_foreach (all, i, server) {
        unregistered(list, server);
        silent(list, server);
        refused_ports(list, server, json_array_size(all) > 1);
    }
    if (json_is_array(member(d, "clients")) && json_array_size(member(d, "clients")) == 0)
        say(list, "server", "no client is logged in", "");
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

static void ended(json_t *list, const json_t *container)
{
    const json_t *last = last_restart_of(container, "mlnode");
    char text[STRING_ROOM];
    json_t *problem = begin(list, "mlnode");

    put(problem, "what", "MLNode has ended and starts again after a pause%s%s%s",
        last != NULL ? ": it " : "", last != NULL ? string(last, "why", text) : "",
        last != NULL ? ", and the container's log has its last words" : "");
}

/* Nobody listens where management should. */
static void absent(json_t *list, const json_t *d)
{
    const json_t *container = section(d, "container");
    uint64_t since_s = number(container, "mlnode.since_s");
    char age[HUMAN_MAX];
    json_t *problem;

    if (string_is(container, "mlnode.state", "paused"))
        return; /* it has ended, which is said */
    problem = begin(list, "mlnode");
    if (container == NULL) {
        put(problem, "what", "MLNode's management does not listen, and nobody starts it here");
        put(problem, "remedy", "start MLNode; MLNODE_MANAGEMENT must be where it listens");
    } else if (!has(container, "mlnode")) {
        put(problem, "what", "MLNode's management does not listen, and no MLNode is started here");
        put(problem, "remedy",
            "the image has none, or MLNODE_MANAGEMENT names another machine: "
            "the container's log says which (grep MLNode)");
    } else if (since_s >= START_S) {
        put(problem, "what", "MLNode's management does not listen, %s after the start of MLNode",
            human_age(age, since_s));
        put(problem, "remedy",
            "the container's log says what it does; MLNODE_MANAGEMENT must be "
            "where it listens");
    } else {
        put(problem, "what", "MLNode's management does not listen: it needs a minute to start");
    }
}

static void mlnode(json_t *list, const json_t *d)
{
    const json_t *container = section(d, "container");

    if (string_is(d, "mlnode.manner", "silent"))
        say(list, "mlnode",
            "MLNode accepts connections and does not answer: an engine crashed, or the machine is "
            "overloaded",
            "when that lasts 2 minutes, it is started again");
    else if (string_is(d, "mlnode.manner", "absent"))
        absent(list, d);
    else if (string_is(d, "mlnode.manner", "answers") && string_is(d, "mlnode.state", "unknown"))
        say(list, "mlnode", "what answers in the place of MLNode's management tells no state",
            "`mlgate check` says whether another program has its port");
    if (string_is(container, "mlnode.state", "paused") && string_is(container, "phase", "serving"))
        ended(list, container);
}

static void model(json_t *list, const json_t *d)
{
    char text[STRING_ROOM];
    json_t *problem;

    if (!string_is(d, "model.state", "failed") && !string_is(d, "model.state", "retrying"))
        return;
    problem = begin(list, "model");
    put(problem, "where", "%s", string(d, "model.name", text));
    put(problem, "what", "%s", string(d, "model.state", text));
    put(problem, "detail", "%s", string(d, "model.text", text));
}

/* ---- the container --------------------------------------------------------------------------- */

/* One restart is an accident, which the section of the container has. */
static void again(json_t *list, const json_t *container, const char *who)
{
    const json_t *last = last_restart_of(container, who);
    unsigned count = 0;
    char text[STRING_ROOM];
    size_t i;
    json_t *restart;

    json_array_foreach (member(container, "restarts"), i, restart)
        count += string_is(restart, "who", who) && number(restart, "ago_s") <= STORM_S;
    if (count < STORM)
        return;
    put(begin(list, "container"), "what",
        "%s ended %u times in %d minutes, last it %s: the container's log says more", who, count,
        STORM_S / 60, string(last, "why", text));
}

static void listeners(json_t *list, const json_t *container)
{
    const json_t *ports = member(container, "listeners");
    size_t size = json_array_size(ports);
    size_t more = (size_t)number(container, "more_listeners");
    struct report words = {0}; /* a line that is not written */
    json_t *problem;

    if (size == 0)
        return;
    for (size_t i = 0; i < size && i < PORTS_SAID; i++)
        line_item(&words, "%u", (unsigned)json_integer_value(json_array_get(ports, i)));
    more += size > PORTS_SAID ? size - PORTS_SAID : 0;
    if (more > 0)
        line_add(&words, " and %zu more", more);
    problem = begin(list, "container");
    put(problem, "what", "reachable from outside where the platform publishes them: ports %s",
        words.text);
    put(problem, "remedy", "`mlgate check` says whose they are");
}

static void phase(json_t *list, const json_t *container)
{
    char text[STRING_ROOM];

    if (has(container, "phase") && !string_is(container, "phase", "serving"))
        put(begin(list, "container"), "what", "the container is %s",
            string(container, "phase", text));
}

static void metrics(json_t *list, const json_t *d)
{
    char text[STRING_ROOM];
    json_t *problem;

    if (!says(d, "metrics.error"))
        return;
    problem = begin(list, "metrics");
    put(problem, "what", "the page of the metrics could not be opened");
    put(problem, "detail", "%s", string(d, "metrics.error", text));
    put(problem, "remedy", "free that port, or choose another one with METRICS_LISTEN");
}

json_t *problems_list(const json_t *d)
{
    const json_t *container = section(d, "container");
    json_t *list = json_array();

    phase(list, container);
    servers(list, d);
    mlnode(list, d);
    model(list, d);
    again(list, container, "worker");
    again(list, container, "mlnode");
    listeners(list, container);
    metrics(list, d);
    return list;
}

void problems_add(json_t *document)
{
    json_object_set_new(document, "problems", problems_list(document));
}
