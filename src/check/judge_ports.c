#include "check/judge_ports.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "check/known_port.h"

enum { PER_LEADING_DIGIT = 10000 };

/* ---- CLIENT_ID ------------------------------------------------------------------------------- */

void judge_client_id(struct findings *list, const char *client_id, unsigned number)
{
    bool known = false;

    for (unsigned first = 1; first <= 2; first++) {
        uint16_t port = (uint16_t)(first * PER_LEADING_DIGIT + number);
        const char *use = known_port_use(port);

        if (use == NULL)
            continue;
        known = true;
        finding_add(list, CHECK_PORTS_CLIENT_ID, client_id, VERDICT_WARN,
                    "port %u of this CLIENT_ID is known for %s", port, use);
        finding_remedy(list, "where that runs on the network node, its port is taken or is reached "
                             "by mistake: ask the operator for another CLIENT_ID");
    }
    if (!known)
        finding_add(list, CHECK_PORTS_CLIENT_ID, client_id, VERDICT_OK,
                    "ports %u and %u are not known for anything else", PER_LEADING_DIGIT + number,
                    2 * PER_LEADING_DIGIT + number);
}

/* ---- the platform ---------------------------------------------------------------------------- */

/* The port behind one of the prefixes, up to the '='; 0: another variable. */
static uint16_t port_of(const char *entry)
{
    static const char *const prefixes[] = {"VAST_TCP_PORT_", "RUNPOD_TCP_PORT_"};

    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        size_t len = strlen(prefixes[i]);
        uint64_t port;

        if (strncmp(entry, prefixes[i], len) == 0 &&
            text_uint(entry + len, strcspn(entry + len, "="), UINT16_MAX, &port))
            return (uint16_t)port;
    }
    return 0;
}

void published_find(struct published *p, char *const *environ_list)
{
    p->count = 0;
    for (; *environ_list != NULL && p->count < CHECK_PUBLISHED_MAX; environ_list++) {
        uint16_t port = port_of(*environ_list);

        if (port == 0)
            continue;
        p->items[p->count].port = port;
        p->items[p->count].variable = *environ_list;
        p->items[p->count++].name_len = strcspn(*environ_list, "=");
    }
}

static bool is_inside(uint16_t port, const struct port_range *ranges, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (port >= ranges[i].first && port <= ranges[i].last)
            return true;
    return false;
}

static bool is_open(uint16_t port, const struct audit *audit)
{
    for (size_t i = 0; audit != NULL && i < audit->count; i++)
        if (audit->ports[i] == port)
            return true;
    return false;
}

void judge_published(struct findings *list, const struct published *p,
                     const struct port_range *inner, size_t n_inner, const struct audit *audit)
{
    bool said = false;

    for (size_t i = 0; i < p->count; i++) {
        uint16_t port = p->items[i].port;
        bool open = is_open(port, audit);
        char subject[8];

        if (!is_inside(port, inner, n_inner))
            continue;
        said = true;
        snprintf(subject, sizeof(subject), "%u", port);
        finding_add(list, CHECK_PORTS_PUBLISHED, subject, open ? VERDICT_FAIL : VERDICT_WARN,
                    open ? "the platform publishes it (%.*s) and it listens for strangers now: "
                           "they reach MLNode past the tunnel"
                         : "the platform publishes it (%.*s); now nothing listens there for "
                           "strangers",
                    (int)p->items[i].name_len, p->items[i].variable);
        finding_remedy(list,
                       "rent the machine again without that port: no port of MLNode or mlgate "
                       "needs to be published");
    }
    if (!said)
        finding_add(list, CHECK_PORTS_PUBLISHED, NULL, VERDICT_OK,
                    p->count > 0 ? "the platform publishes none of MLNode's and mlgate's ports"
                                 : "no variable of the platform tells of published ports");
}

void judge_listening(struct findings *list, const char *ports)
{
    if (ports == NULL) {
        finding_add(list, CHECK_PORTS_LISTENING, NULL, VERDICT_SKIP,
                    "/proc/net/tcp cannot be read here");
    } else if (ports[0] == '\0') {
        finding_add(list, CHECK_PORTS_LISTENING, NULL, VERDICT_OK,
                    "all TCP listeners are on loopback");
    } else {
        finding_add(list, CHECK_PORTS_LISTENING, NULL, VERDICT_WARN,
                    "not on loopback: %s; where the platform publishes them, strangers reach them",
                    ports);
        finding_remedy(list, "have the programs listen on 127.0.0.1, or end those that you did not "
                             "start; of what you need (SSH), have the platform publish nothing "
                             "else");
    }
}

/* ---- the gateway's own ----------------------------------------------------------------------- */

void judge_gateway_listen(struct findings *list, const struct holder_facts *f, bool instance)
{
    if (f->unreadable) {
        finding_add(list, CHECK_GATEWAY_LISTEN, f->variable, VERDICT_SKIP,
                    "%s: /proc/net/tcp cannot be read here", f->address);
    } else if (!f->held) {
        finding_add(list, CHECK_GATEWAY_LISTEN, f->variable, instance ? VERDICT_WARN : VERDICT_OK,
                    instance ? "%s is free although `mlgate run` is here" : "%s is free",
                    f->address);
        if (instance)
            finding_remedy(list, "its worker could not listen or is being started: see the log");
    } else if (f->ours || (f->name[0] == '\0' && instance)) {
        finding_add(list, CHECK_GATEWAY_LISTEN, f->variable, VERDICT_OK, "%s is held by mlgate",
                    f->address);
    } else if (f->name[0] == '\0') {
        finding_add(list, CHECK_GATEWAY_LISTEN, f->variable, VERDICT_SKIP,
                    "%s is held by a program that only root may see: mlgate, or another one",
                    f->address);
    } else {
        finding_add(list, CHECK_GATEWAY_LISTEN, f->variable, VERDICT_FAIL,
                    "%s is held by %s, which is not mlgate", f->address, f->name);
        finding_remedy(list, "end that program, or set %s to another address", f->variable);
    }
}
